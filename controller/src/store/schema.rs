//! Which form the store's records have, and how a later controller takes over an earlier one's.
//!
//! The number of the form stands in the store itself. An earlier form is brought forward at the start, step by step,
//! each step in one batch with its number, after the folder was copied: a controller that was killed in between goes on
//! where it was, and the copy lets the earlier release run again. A later form is refused: an earlier controller would
//! read half of it and write over the rest.

use super::{Batch, Condition, SharedStore, SledStore, Store, StoreError, get_json};
use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Key of the number.
const KEY: &str = "store/schema";
/// Beginning of the names of copies.
const COPY: &str = "store-before-";
/// Copies that are kept.
const COPIES: usize = 2;

/// Brings the records of one form to the next.
pub(crate) type Migration = fn(&dyn Store) -> Result<Batch, StoreError>;

/// From the form of their position to the next one. Records that only gained fields need none: they are read as they
/// are.
const MIGRATIONS: &[Migration] = &[
    // Builds before the number was kept: their records are read as they are.
    |_| Ok(Batch::new()),
];

/// Why the store cannot be used by this controller.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The store itself.
    #[error("the store in the data folder failed; is another controller using this data folder?")]
    Store(#[from] StoreError),
    /// A later controller wrote it.
    #[error(
        "`{}` was written by a later release of the controller (form {found}, this one knows up to {known}): start that \
         release, or one after it; to go back, stop it and put the copy `{COPY}*` that lies beside the store in its place",
        folder.display()
    )]
    Later {
        /// The store's folder.
        folder: PathBuf,
        /// Its form.
        found: usize,
        /// The last one that this controller knows.
        known: usize,
    },
    /// It could not be copied before it is changed.
    #[error("the store cannot be copied to `{}` before it is brought forward; make room on its disk", to.display())]
    Copy {
        /// Where to.
        to: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What to do with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// Nothing is in it: it begins with the newest form.
    Begin,
    /// It has the newest form.
    Use,
    /// Bring it forward from this form.
    Forward(usize),
    /// A later controller wrote it.
    Refuse(usize),
}

fn plan(found: Option<usize>, empty: bool, known: usize) -> Plan {
    match found {
        None if empty => Plan::Begin,
        None => Plan::Forward(0),
        Some(found) if found == known => Plan::Use,
        Some(found) if found < known => Plan::Forward(found),
        Some(found) => Plan::Refuse(found),
    }
}

/// Opens the store in a data folder, and brings it forward if need be.
///
/// # Errors
/// [`SchemaError`] says what to do.
pub async fn open(data_dir: &Path, now: Timestamp) -> Result<SharedStore, SchemaError> {
    open_with(data_dir, MIGRATIONS, now).await
}

/// The same with other migrations, for tests.
pub(crate) async fn open_with(
    data_dir: &Path,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<SharedStore, SchemaError> {
    let folder = data_dir.join("store");
    let known = migrations.len();
    let store = SledStore::open(&folder)?;
    let mut stamp = Batch::new();
    match plan(get_json(&store, KEY)?, store.scan("", None, 1)?.is_empty(), known) {
        Plan::Use => Ok(Arc::new(store)),
        Plan::Refuse(found) => Err(SchemaError::Later { folder, found, known }),
        Plan::Begin => {
            stamp.put_json(KEY, Condition::Absent, &known);
            store.apply(stamp).await?;
            Ok(Arc::new(store))
        }
        Plan::Forward(from) => {
            store.close();
            drop(store);
            // One that was cut off in the middle was copied when it was whole.
            let begun = format!("{COPY}{known}-");
            let to = match copies(data_dir).into_iter().find(|(name, _)| name.starts_with(&begun)) {
                Some((_, path)) if from > 0 => path,
                Some(_) | None => {
                    let to = data_dir.join(format!("{begun}{}", now.strftime("%Y%m%dT%H%M%SZ")));
                    copy_folder(&folder, &to)
                        .map_err(|source| SchemaError::Copy { to: to.clone(), source })?;
                    forget_old_copies(data_dir);
                    to
                }
            };
            let store: SharedStore = Arc::new(SledStore::open(&folder)?);
            for (form, migration) in migrations.iter().enumerate().skip(from) {
                let mut batch = migration(&*store)?;
                batch.put_json(KEY, Condition::Any, &(form + 1));
                store.apply(batch).await?;
            }
            tracing::info!(from, to = known, copy = %to.display(), "store brought forward");
            Ok(store)
        }
    }
}

/// Refuses a store that this controller cannot work on as it is.
///
/// # Errors
/// [`SchemaError::Later`].
pub fn check(store: &dyn Store, folder: &Path) -> Result<(), SchemaError> {
    let known = MIGRATIONS.len();
    match plan(get_json(store, KEY)?, true, known) {
        Plan::Refuse(found) => Err(SchemaError::Later { folder: folder.to_owned(), found, known }),
        Plan::Begin | Plan::Use | Plan::Forward(_) => Ok(()),
    }
}

/// Copies a folder: under its name it is whole.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    let partial = to.with_extension("partial");
    let _ = std::fs::remove_dir_all(&partial);
    let copied = copy_into(from, &partial).and_then(|()| std::fs::rename(&partial, to));
    if copied.is_err() {
        // The reason is told; what could not be removed is removed the next time.
        let _ = std::fs::remove_dir_all(&partial);
    }
    copied
}

fn copy_into(from: &Path, to: &Path) -> io::Result<()> {
    crate::identity::file::private_folder(to).map_err(io::Error::other)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_into(&entry.path(), &place)?;
        } else {
            std::fs::copy(entry.path(), &place)?;
            std::fs::File::open(&place)?.sync_all()?;
        }
    }
    std::fs::File::open(to)?.sync_all()
}

/// Whole copies, the oldest first: names and paths. A name ends with the time.
fn copies(data_dir: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(data_dir) else { return Vec::new() };
    let mut copies: Vec<(String, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| name.starts_with(COPY) && !name.ends_with(".partial"))
        .collect();
    copies.sort_by(|(a, _), (b, _)| a.rsplit('-').next().cmp(&b.rsplit('-').next()));
    copies
}

/// Keeps the newest copies.
fn forget_old_copies(data_dir: &Path) {
    let all = copies(data_dir);
    let surplus = all.len().saturating_sub(COPIES);
    for (_, path) in all.into_iter().take(surplus) {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "an old copy of the store cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn text(store: &dyn Store, key: &str) -> Option<String> {
        get_json(store, key).unwrap()
    }

    fn put(key: &str, value: &str) -> Batch {
        let mut batch = Batch::new();
        batch.put_json(key, Condition::Any, &value);
        batch
    }

    fn kept(folder: &Path) -> Vec<PathBuf> {
        copies(folder).into_iter().map(|(_, path)| path).collect()
    }

    /// Renames a key.
    fn first(store: &dyn Store) -> Result<Batch, StoreError> {
        let mut batch = put("new/a", &text(store, "a").unwrap_or_default());
        batch.delete("a", Condition::Any);
        Ok(batch)
    }

    fn second(store: &dyn Store) -> Result<Batch, StoreError> {
        Ok(put("new/a", &format!("{}!", text(store, "new/a").unwrap_or_default())))
    }

    fn broken(_: &dyn Store) -> Result<Batch, StoreError> {
        Err(StoreError::Closed)
    }

    #[test]
    fn what_is_done_with_a_store() {
        let cases = [
            (None, true, Plan::Begin),
            (None, false, Plan::Forward(0)),
            (Some(1), false, Plan::Forward(1)),
            (Some(2), false, Plan::Use),
            (Some(3), false, Plan::Refuse(3)),
        ];
        for (found, empty, expected) in cases {
            assert_eq!(plan(found, empty, 2), expected, "{found:?}");
        }
    }

    #[tokio::test]
    async fn an_earlier_store_is_copied_and_brought_forward_and_a_later_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let before = SledStore::open(&dir.path().join("store")).unwrap();
        before.apply(put("a", "one")).await.unwrap();
        before.close();
        drop(before);

        // Cut off after the first step: the second one alone is left to do.
        let cut = open_with(dir.path(), &[first, broken], at(0)).await;
        assert!(matches!(cut, Err(SchemaError::Store(StoreError::Closed))));
        let store = open_with(dir.path(), &[first, second], at(1)).await.unwrap();
        assert_eq!((text(&*store, "a"), text(&*store, "new/a")), (None, Some("one!".to_owned())));
        store.close();
        drop(store);

        let again = open_with(dir.path(), &[first, second], at(2)).await.unwrap();
        assert_eq!(text(&*again, "new/a").as_deref(), Some("one!"), "nothing is done twice");
        again.close();
        drop(again);

        let Err(error) = open_with(dir.path(), &[first], at(3)).await else { panic!("refused") };
        let told = error.to_string();
        assert!(
            told.contains("form 2, this one knows up to 1") && told.contains("start that release"),
            "{told}"
        );

        // The copy of the first time is the store as the earlier release left it.
        let kept = kept(dir.path());
        assert_eq!(kept.len(), 1, "what was half brought forward is no copy to go back to");
        let copy = SledStore::open(&kept[0]).unwrap();
        assert_eq!(text(&copy, "a").as_deref(), Some("one"));
    }

    #[tokio::test]
    async fn a_new_store_begins_with_the_newest_form_and_without_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_with(dir.path(), &[first, second], at(0)).await.unwrap();
        assert_eq!(get_json::<usize>(&*store, KEY).unwrap(), Some(2));
        assert!(kept(dir.path()).is_empty());
        store.close();
        drop(store);
        for round in 1..=4 {
            let store = SledStore::open(&dir.path().join("store")).unwrap();
            let mut earlier = Batch::new();
            earlier.put_json(KEY, Condition::Any, &1);
            store.apply(earlier).await.unwrap();
            store.close();
            drop(store);
            let store = open_with(dir.path(), &[first, second], at(round)).await.unwrap();
            store.close();
        }
        assert_eq!(kept(dir.path()).len(), 1, "one copy for each form that is gone to");
        for round in 1..=4 {
            std::fs::create_dir(dir.path().join(format!("{COPY}{round}-2026010{round}T000000Z"))).unwrap();
        }
        forget_old_copies(dir.path());
        assert_eq!(kept(dir.path()).len(), COPIES, "old copies go");
    }
}
