//! Effective configurations, kept by their content: thousands of agents run the same one, so each text is
//! stored once and the agents' states name it by its hash.
//!
//! A text is written in the batch with the first state that names it, and deleted by [`sweep`] when none does
//! any more; in between, nobody may come to rely on a text that is being deleted, hence [`Texts::keep`].

use crate::app::App;
use crate::store::{Batch, Condition, Store, StoreError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{RwLock, RwLockReadGuard};

/// Prefix of the keys of texts.
const PREFIX: &str = "effective/";
/// Texts that are looked at together when sweeping.
const PAGE: usize = 64;

/// SHA-256 of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextId([u8; 32]);

impl TextId {
    /// Of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Key in the store.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{PREFIX}{}", crate::identity::secret::hex(&self.0))
    }
}

impl Serialize for TextId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::identity::secret::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for TextId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let digit = |at: usize| text.get(at..at + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = digit(index * 2).ok_or_else(|| serde::de::Error::custom("no SHA-256 in hex"))?;
        }
        Ok(Self(bytes))
    }
}

/// Which texts are stored.
#[derive(Debug, Default)]
pub struct Texts {
    stored: Mutex<HashSet<TextId>>,
    changing: RwLock<()>,
}

impl Texts {
    /// While this is held, no text is deleted: held from before a state names a text until both are stored.
    pub async fn keep(&self) -> RwLockReadGuard<'_, ()> {
        self.changing.read().await
    }

    /// Adds the text to the batch unless it is stored.
    pub fn add_to(&self, batch: &mut Batch, id: TextId, text: &str) {
        if !self.stored.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) {
            batch.put(id.key(), Condition::Any, text.as_bytes().to_vec());
        }
    }

    /// The text is stored.
    pub fn note_stored(&self, id: TextId) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }
}

/// A stored text.
///
/// # Errors
/// If the store cannot be read.
pub fn text(store: &dyn Store, id: TextId) -> Result<Option<String>, StoreError> {
    Ok(store.get(&id.key())?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Deletes the texts that no agent's state names.
///
/// # Errors
/// If the store fails.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let _alone = app.fleet.texts().changing.write().await;
    let named: HashSet<TextId> =
        app.fleet.each(|agent| agent.config.effective).into_iter().flatten().collect();
    let keys: HashSet<String> = named.iter().map(TextId::key).collect();
    let mut after: Option<String> = None;
    loop {
        let page = app.store.scan(PREFIX, after.as_deref(), PAGE)?;
        let mut batch = Batch::new();
        for (key, _) in &page {
            if !keys.contains(key) {
                batch.delete(key.as_str(), Condition::Any);
            }
        }
        app.store.apply(batch).await?;
        match page.into_iter().last() {
            Some((key, _)) => after = Some(key),
            None => break,
        }
    }
    let mut stored = app.fleet.texts().stored.lock().unwrap_or_else(PoisonError::into_inner);
    stored.retain(|id| named.contains(id));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_in_hex_and_read_back() {
        let id = TextId::of("abc");
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
        assert_eq!(serde_json::from_str::<TextId>(&json).unwrap(), id);
        assert_eq!(id.key(), format!("effective/{}", json.trim_matches('"')));
        for bad in
            ["\"\"", "\"ba\"", "\"zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"", "7"]
        {
            assert!(serde_json::from_str::<TextId>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_is_added_until_it_is_stored() {
        let (texts, id) = (Texts::default(), TextId::of("abc"));
        let mut batch = Batch::new();
        texts.add_to(&mut batch, id, "abc");
        assert!(!batch.is_empty());
        texts.note_stored(id);
        let mut batch = Batch::new();
        texts.add_to(&mut batch, id, "abc");
        assert!(batch.is_empty());
    }
}
