//! Where the controller keeps its small, bounded state: users, tokens, agents, policy revisions.
//!
//! Promises: [`Store::apply`] is atomic (all of a batch or nothing), refuses if one of its conditions does
//! not hold, and is done only when the batch would survive `kill -9`; nothing is answered to a client
//! before that. Watches are nudges without content: whoever is nudged reads what is there now.
//! Refuses: events, rate history, logs; those belong in segment files.

mod group;
mod memory;
pub mod packed;
pub mod schema;
mod sled;

pub use self::memory::MemoryStore;
pub use self::sled::SledStore;

use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 512;
/// Largest value, in bytes.
pub const MAX_VALUE: usize = 4 * 1024 * 1024;

/// A key with its value.
pub type Pair = (String, Vec<u8>);

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A condition of the batch did not hold: somebody else was faster. Nothing was changed.
    #[error("`{key}` was changed by somebody else meanwhile; nothing was stored, read again and retry")]
    Conflict {
        /// The first key whose condition did not hold.
        key: String,
    },
    /// A key or value beyond the limits. Nothing was changed.
    #[error("`{key}` with {bytes} bytes is beyond the store's limits; nothing was stored")]
    TooLarge {
        /// The key.
        key: String,
        /// Size of its value.
        bytes: usize,
    },
    /// A stored value cannot be read.
    #[error("the stored value of `{key}` cannot be read; restore the data folder from a backup")]
    Unreadable {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The disk, or the database on it, failed.
    #[error("the data folder cannot be {tried}; look at its disk space, permissions and health")]
    Io {
        /// `opened`, `read` or `written`.
        tried: &'static str,
        /// Why.
        #[source]
        source: ::sled::Error,
    },
    /// Another program has the store open.
    #[error("`{folder}` is in use by another controller, or by a command that works on it; stop that first")]
    InUse {
        /// The store's folder.
        folder: std::path::PathBuf,
    },
    /// The store is being closed.
    #[error("the controller is shutting down; try again when it is back")]
    Closed,
}

/// What must hold for a write to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Any,
    /// The key has no value.
    Absent,
    /// The key has exactly this value.
    Equals(Vec<u8>),
}

impl Condition {
    /// It holds whatever is stored.
    fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    fn holds(&self, present: Option<&[u8]>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => present.is_none(),
            Self::Equals(wanted) => present == Some(wanted.as_slice()),
        }
    }
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Write {
    key: String,
    condition: Condition,
    /// `None` deletes.
    value: Option<Vec<u8>>,
}

/// Writes that are done together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores `value` if `condition` holds.
    pub fn put(&mut self, key: impl Into<String>, condition: Condition, value: Vec<u8>) -> &mut Self {
        self.writes.push(Write { key: key.into(), condition, value: Some(value) });
        self
    }

    /// Stores `value` as JSON if `condition` holds.
    pub fn put_json<T: Serialize>(
        &mut self,
        key: impl Into<String>,
        condition: Condition,
        value: &T,
    ) -> &mut Self {
        let bytes = encode(value);
        self.put(key, condition, bytes)
    }

    /// Deletes the key if `condition` holds.
    pub fn delete(&mut self, key: impl Into<String>, condition: Condition) -> &mut Self {
        self.writes.push(Write { key: key.into(), condition, value: None });
        self
    }

    /// Adds all writes of another batch.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.writes.extend(other.writes);
        self
    }

    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.writes.iter().map(|w| w.key.as_str())
    }

    fn check_sizes(&self) -> Result<(), StoreError> {
        for w in &self.writes {
            let bytes = w.value.as_ref().map_or(0, Vec::len);
            if w.key.len() > MAX_KEY || bytes > MAX_VALUE {
                return Err(StoreError::TooLarge { key: w.key.clone(), bytes });
            }
        }
        Ok(())
    }
}

/// The store, as everything above knows it.
pub trait Store: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// If the disk fails.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` pairs whose key begins with `prefix` and comes after `after`, in key order.
    ///
    /// # Errors
    /// If the disk fails.
    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Pair>, StoreError>;

    /// Does the whole batch or nothing; ready when it is durable.
    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Every pair, all of one moment.
    ///
    /// # Errors
    /// If the disk fails.
    fn snapshot(&self) -> Result<Vec<Pair>, StoreError>;

    /// Nudges whenever a key with this prefix was written.
    fn watch(&self, prefix: &str) -> watch::Receiver<u64>;

    /// Makes everything durable and refuses further writes.
    fn close(&self);
}

/// A shared store.
pub type SharedStore = Arc<dyn Store>;

/// Reads a JSON value.
///
/// # Errors
/// If the disk fails or the value is not a `T`.
pub fn get_json<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>, StoreError> {
    store.get(key)?.map(|bytes| decode(key, &bytes)).transpose()
}

/// Reads every JSON value with the prefix.
///
/// # Errors
/// If the disk fails or a value is not a `T`.
pub fn scan_json<T: DeserializeOwned>(
    store: &dyn Store,
    prefix: &str,
) -> Result<Vec<(String, T)>, StoreError> {
    let pairs = store.scan(prefix, None, usize::MAX)?;
    pairs.into_iter().map(|(key, bytes)| decode(&key, &bytes).map(|value| (key, value))).collect()
}

/// JSON of a stored value.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Stored types are plain structs with string keys: serde_json has no way to fail on them.
    serde_json::to_vec(value).expect("plain structs with string keys always become JSON")
}

/// Reads the JSON of a stored value.
///
/// # Errors
/// If it is not a `T`.
pub fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|source| StoreError::Unreadable { key: key.to_owned(), source })
}

/// Who wants to be nudged, by prefix. One entry a prefix, so it is bounded by the code that watches.
#[derive(Default)]
struct Watchers(Mutex<Vec<(String, watch::Sender<u64>)>>);

impl Watchers {
    fn watch(&self, prefix: &str) -> watch::Receiver<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, sender)) = all.iter().find(|(p, _)| p == prefix) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(0);
        all.push((prefix.to_owned(), sender));
        receiver
    }

    fn nudge<'a>(&self, keys: impl Iterator<Item = &'a str> + Clone) {
        for (prefix, sender) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if keys.clone().any(|key| key.starts_with(prefix.as_str())) {
                sender.send_modify(|n| *n += 1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
