//! The spool: what was taken out of a queue, on disk until every destination has it.
//!
//! ```text
//! state/spool/data_queue.PAYROLL.EVENTS/
//!   lock                                              held by the source that empties or delivers it
//!   0123456789abcdef-00000000000000000001.seg         segments: spool, number of the first entry
//!   under-way.json                                    not of the spool: what was about to be taken out of the queue
//!   damaged.kept                                      the last segment that could not be read whole
//!   fedcba9876543210-00000000000000000001.seg.foreign segments of another spool, put aside
//! ```
//! Promises: an entry that [`Spool::append`] took is on disk (one sync for a batch) when it returns, and is read back
//! under the same number whatever happens to the agent; only what is on disk is read back, so a number is never
//! given twice. What is cut off by a crash is cut off cleanly; a damaged record costs itself, is told with its
//! number, and holds up nothing behind it. It never grows beyond its limit: a batch that does not fit is
//! refused, unless what is in it is nowhere else any more ([`Spool::append_beyond`]).
//! Segments are deleted when the caller says that all of them is delivered. Refuses: a folder that another source uses.
//!
//! [`mod@format`] says what the bytes mean and [`index`] which segment is whose turn; both are pure. [`Spool`] does the
//! work on files and may block.

mod files;
pub mod format;
mod index;
mod store;

pub use files::holds_entries;
pub use store::{Batch, ReadBack, Spool, SpoolEntry, Taken, Usage};

use std::io;
use std::path::{Path, PathBuf};

/// Folder of all spools in the state folder.
const FOLDER: &str = "spool";

/// A spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another source has it open.
    #[error(
        "the spool {} is still in use by an earlier run of this source; if this goes on, restart the agent",
        path.display()
    )]
    InUse {
        /// Its folder.
        path: PathBuf,
    },
    /// A later release of the agent wrote it.
    #[error(
        "the spool {} was written by a later release of the agent; run that release until it is delivered, or move \
         the folder away",
        path.display()
    )]
    Later {
        /// Its folder.
        path: PathBuf,
    },
    /// It would grow beyond its limit.
    #[error("the spool is full")]
    Full,
    /// A file could not be read or written.
    #[error(
        "cannot {attempt} {}: {source}; check that the folder belongs to the agent's user and that its disk is not full",
        path.display()
    )]
    Io {
        /// What was tried.
        attempt: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl SpoolError {
    pub(crate) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { attempt, path: path.to_owned(), source }
    }
}

/// Folder of the spool of a source: its key in letters that every file system takes.
#[must_use]
pub fn folder(state_dir: &Path, source_key: &str) -> PathBuf {
    let mut name = String::with_capacity(source_key.len());
    for c in source_key.chars() {
        match c {
            ':' | '/' => name.push('.'),
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') => name.push(c),
            other => {
                let mut bytes = [0; 4];
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    name.push_str(&format!("%{byte:02X}"));
                }
            }
        }
    }
    state_dir.join(FOLDER).join(name)
}

/// Spools in the state folder that belong to none of these sources, by the names of their folders: what is in them is
/// not delivered until a policy names their queue again.
#[must_use]
pub fn orphans(state_dir: &Path, source_keys: &[&str]) -> Vec<String> {
    let wanted: Vec<PathBuf> = source_keys.iter().map(|key| folder(state_dir, key)).collect();
    let entries = std::fs::read_dir(state_dir.join(FOLDER)).into_iter().flatten().flatten();
    let mut orphans: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| !wanted.contains(path) && files::holds_entries(path))
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .collect();
    orphans.sort();
    orphans
}

/// Looks at the spools of a state folder that another process uses: how many segments this version reads.
///
/// # Errors
/// When a later release wrote one of them.
pub fn look(state_dir: &Path) -> Result<usize, String> {
    let mut count = 0;
    for entry in std::fs::read_dir(state_dir.join(FOLDER)).into_iter().flatten().flatten() {
        count += files::look(&entry.path())?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
