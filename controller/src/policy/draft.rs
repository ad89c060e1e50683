//! Drafts: documents that people are working on. They have no number and select nobody.

use super::{Checked, PolicyBook};
use crate::store::{self, Batch, Condition, Store, StoreError};
use jiff::Timestamp;
use muster_proto::api::DraftView;
use muster_shared::id::Revision;
use serde::{Deserialize, Serialize};

/// Prefix of the keys of drafts.
const PREFIX: &str = "policy/draft/";
/// Most drafts.
pub const MAX_DRAFTS: usize = 500;

/// A stored draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDraft {
    /// Its name.
    pub name: String,
    /// Another with every save.
    pub etag: String,
    /// Name of the policy that it would become; empty where the text cannot be read.
    pub policy: String,
    /// Revision of that policy that it was made from.
    pub base: u64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was saved last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
    /// Its text.
    pub text: String,
}

impl StoredDraft {
    fn key(name: &str) -> String {
        format!("{PREFIX}{name}")
    }

    /// Stores it in a batch, if what is there is still `before`.
    pub fn put(&self, before: Option<&Self>, batch: &mut Batch) {
        batch.put_json(Self::key(&self.name), condition(before), self);
    }

    /// Deletes it in a batch, if it was not saved again meanwhile.
    pub fn delete(&self, batch: &mut Batch) {
        batch.delete(Self::key(&self.name), condition(Some(self)));
    }

    /// What is shown of it.
    #[must_use]
    pub fn view(&self, book: &PolicyBook) -> DraftView {
        let Checked { faults, warnings, .. } = book.check(&self.text);
        DraftView {
            name: self.name.clone(),
            etag: self.etag.clone(),
            policy: self.policy.clone(),
            base: Revision(self.base),
            outdated: book.live(&self.policy) != self.base,
            created_at: self.created_at,
            updated_at: self.updated_at,
            updated_by: self.updated_by.clone(),
            valid: faults.is_empty(),
            faults,
            warnings,
        }
    }
}

fn condition(before: Option<&StoredDraft>) -> Condition {
    before.map_or(Condition::Absent, |draft| Condition::Equals(store::encode(draft)))
}

/// A draft as it is after a save: `before` is what is stored now.
#[must_use]
pub fn saved(
    before: Option<&StoredDraft>,
    name: &str,
    text: String,
    base: Option<u64>,
    book: &PolicyBook,
    (user, now): (&str, Timestamp),
) -> StoredDraft {
    let policy = super::check_alone(&text).document.map(|d| d.name.clone()).unwrap_or_default();
    // A draft that becomes one of another policy starts from what that is now.
    let kept = before.filter(|b| b.policy == policy).map(|b| b.base);
    StoredDraft {
        name: name.to_owned(),
        etag: uuid::Uuid::new_v4().simple().to_string(),
        base: base.or(kept).unwrap_or_else(|| book.live(&policy)),
        policy,
        created_at: before.map_or(now, |b| b.created_at),
        updated_at: now,
        updated_by: user.to_owned(),
        text,
    }
}

/// Whether a text can be the name of a draft; it becomes part of a key and of paths.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
}

/// One draft.
///
/// # Errors
/// If the store cannot be read.
pub fn stored(store: &dyn Store, name: &str) -> Result<Option<StoredDraft>, StoreError> {
    store::get_json(store, &StoredDraft::key(name))
}

/// All drafts, by name.
///
/// # Errors
/// If the store cannot be read.
pub fn all(store: &dyn Store) -> Result<Vec<StoredDraft>, StoreError> {
    Ok(store::scan_json(store, PREFIX)?.into_iter().map(|(_, draft)| draft).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{api_version: muster/v1, name: a, spec: {}}";

    #[test]
    fn a_save_keeps_the_base_and_changes_the_tag() {
        let book = PolicyBook::default();
        let now = Timestamp::UNIX_EPOCH;
        let first = saved(None, "d", TEXT.to_owned(), None, &book, ("ann", now));
        assert_eq!((first.policy.as_str(), first.base), ("a", 0));
        let later = now + jiff::SignedDuration::from_secs(1);
        let rebased = saved(Some(&first), "d", TEXT.to_owned(), Some(7), &book, ("bob", later));
        assert_eq!((rebased.base, rebased.created_at, rebased.updated_by.as_str()), (7, now, "bob"));
        assert_ne!(rebased.etag, first.etag, "even for the same text");
        let again = saved(Some(&rebased), "d", TEXT.to_owned(), None, &book, ("bob", later));
        assert_eq!(again.base, 7);
        let other =
            saved(Some(&rebased), "d", TEXT.replace("name: a", "name: b"), None, &book, ("bob", later));
        assert_eq!((other.policy.as_str(), other.base), ("b", 0), "another policy is another base");
        assert!(rebased.view(&book).outdated && !first.view(&book).outdated);
        let broken = saved(None, "d", "spec: [".to_owned(), None, &book, ("ann", now)).view(&book);
        assert_eq!((broken.valid, broken.faults.len()), (false, 1), "what is not finished may be saved");
    }

    #[test]
    fn names() {
        for (name, good) in
            [("a", true), ("a-1", true), ("", false), ("-a", false), ("A", false), ("a/b", false)]
        {
            assert_eq!(is_name(name), good, "{name}");
        }
        assert!(!is_name(&"a".repeat(64)));
    }
}
