//! What the agent keeps on disk: one folder, used by one agent at a time.
//!
//! ```text
//! lock            held while an agent runs; holds its process number
//! initialised     present once cursors were stored: tells a lost cursor from a first start
//! cursors         the cursors, checksummed, replaced atomically
//! cursors.sled/   the cursors once more
//! ```
//! Promises: a kill at any moment leaves the last stored cursors or the ones before; damage to one copy
//! is mended from the other; damage to both is reported as *lost*, never taken for a first start, and
//! never keeps the agent from starting. Refuses a folder that another agent uses.

mod cursors;
mod file;
mod gaps;
mod keeper;
mod lost;
mod record;

pub use cursors::{Copies, CursorStore, Loaded, look};
pub use file::write_atomic;
pub use gaps::{GapBook, GapNote};
pub use keeper::{CursorKeeper, Flush, Flushed, STORE_PAUSE, Watch};
pub use lost::Lost;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// The state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another agent runs on it.
    #[error("the state folder {} is used by another agent{}; stop that agent, or give this one a folder of its own", path.display(), .process.map(|id| format!(" (process {id})")).unwrap_or_default())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Process number of the other agent, where it could be read.
        process: Option<u32>,
    },
    /// A file of it could not be read or written.
    #[error("cannot {attempt} {}; check that the folder belongs to the agent's user and that its disk is not full", path.display())]
    Io {
        /// What was tried.
        attempt: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The embedded store failed.
    #[error("cannot {attempt} the embedded store {}; check that its disk is not full", path.display())]
    Sled {
        /// What was tried.
        attempt: &'static str,
        /// The folder of the store.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: sled::Error,
    },
}

impl StateError {
    pub(crate) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { attempt, path: path.to_owned(), source }
    }
}

/// An agent's state folder, held until dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Opens the folder, makes it if need be (readable by its owner only), and locks it.
    ///
    /// # Errors
    /// [`StateError::InUse`] when another agent holds it; [`StateError::Io`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        make_private(path).map_err(StateError::io("make the state folder", path))?;
        let lock_path = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(StateError::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::InUse { path: path.to_owned(), process: read_process(&mut lock) });
            }
            Err(TryLockError::Error(error)) => return Err(StateError::io("lock", &lock_path)(error)),
        }
        write_process(&mut lock).map_err(StateError::io("write", &lock_path))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn read_process(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_process(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_cannot_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let first = StateDir::open(&path).unwrap();
        let error = StateDir::open(&path).unwrap_err();
        assert!(matches!(&error, StateError::InUse { process: Some(id), .. } if *id == std::process::id()));
        assert!(error.to_string().contains("give this one a folder of its own"), "{error}");
        drop(first);
        assert_eq!(StateDir::open(&path).unwrap().path(), path);
    }
}
