//! The folders of the embedded store. Each **generation** is a database of its own in a numbered folder; the
//! file `current` names the one that counts:
//!
//! ```text
//! store/lock       held while a controller has the store open
//! store/current    {"generation":7,"live_bytes":20480000}
//! store/7/         sled's files
//! store/8/         being written, or left by a crash: deleted at the next opening
//! ```
//!
//! A store without `current` is at generation 0. Earlier builds kept sled's files in `store` itself; they are
//! moved to `store/0` when it is opened.

use super::super::StoreError;
use super::io;
use crate::identity::file;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Cache of sled in bytes: the state is small, and 2 MiB holds 11 MiB resident in all.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;

/// So long an earlier opening in this process may take to let go of a generation: sled's threads end a moment after its
/// last handle is dropped, and tell nobody.
const LET_GO: Duration = Duration::from_secs(5);
/// Pause between two looks at that.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Which generation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Current {
    /// Its number.
    pub(super) generation: u64,
    /// Bytes of keys and values when it was written.
    pub(super) live_bytes: u64,
}

/// The folder of the store, held until dropped.
pub(super) struct Home {
    folder: PathBuf,
    _lock: File,
}

/// An open generation. Fields are dropped in this order: a folder is removed after its database is closed.
pub(super) struct Generation {
    pub(super) tree: ::sled::Db,
    folder: Folder,
}

struct Folder {
    path: PathBuf,
    /// It counts no more, or never did.
    abandoned: std::sync::atomic::AtomicBool,
}

impl Home {
    /// Makes the folder if need be, and locks it.
    ///
    /// # Errors
    /// If it cannot be written or another program has it open.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let attempt = || -> std::io::Result<File> {
            std::fs::create_dir_all(folder)?;
            OpenOptions::new().write(true).create(true).truncate(false).open(folder.join("lock"))
        };
        let lock = attempt().map_err(|e| io("opened")(e.into()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(io("opened")(error.into())),
        }
        let home = Self { folder: folder.to_owned(), _lock: lock };
        home.move_former_layout().map_err(|e| io("opened")(e.into()))?;
        Ok(home)
    }

    /// sled's files of an earlier build move to generation 0; `conf` last, so that a crash between goes on here.
    fn move_former_layout(&self) -> std::io::Result<()> {
        let conf = self.folder.join("conf");
        if !conf.exists() {
            return Ok(());
        }
        let new = self.folder.join("0");
        std::fs::create_dir_all(&new)?;
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let text = name.to_string_lossy();
            if text == "db" || text == "blobs" || text.starts_with("snap.") {
                std::fs::rename(self.folder.join(&name), new.join(&name))?;
            }
        }
        std::fs::rename(&conf, new.join("conf"))?;
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.folder.join(generation.to_string())
    }

    /// Which generation counts.
    ///
    /// # Errors
    /// If `current` cannot be read.
    pub(super) fn current(&self) -> Result<Current, StoreError> {
        let path = self.folder.join("current");
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|source| StoreError::Unreadable { key: path.display().to_string(), source }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Current::default()),
            Err(error) => Err(io("read")(error.into())),
        }
    }

    /// From now on this generation counts.
    ///
    /// # Errors
    /// If `current` cannot be written; then the one before counts.
    pub(super) fn set_current(&self, current: Current) -> Result<(), StoreError> {
        // A struct of two numbers always becomes JSON.
        let text = serde_json::to_vec(&current).unwrap_or_default();
        let written = file::write(&self.folder.join("current"), 0o600, &text);
        match written {
            Ok(()) => Ok(()),
            // The name may have been taken over before the folder's own entry could be made safe.
            Err(_) if self.current().is_ok_and(|present| present == current) => Ok(()),
            Err(error) => Err(io("written")(std::io::Error::other(error).into())),
        }
    }

    /// Opens the generation that counts and deletes all others.
    ///
    /// # Errors
    /// If `current` names a generation that is gone, or the disk fails.
    pub(super) fn open_current(&self) -> Result<(Current, Generation), StoreError> {
        let current = self.current()?;
        let path = self.path(current.generation);
        if current != Current::default() && !path.exists() {
            // sled would make an empty one.
            let text = format!("`current` names generation {}, which is not there", current.generation);
            return Err(io("opened")(std::io::Error::new(ErrorKind::NotFound, text).into()));
        }
        let generation = Generation::open(path)?;
        self.delete_others(current.generation);
        Ok((current, generation))
    }

    /// What a crash left. A folder that stays costs nothing but its place.
    fn delete_others(&self, current: u64) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if number.is_some_and(|number| number != current) {
                remove(&entry.path());
            }
        }
    }

    /// An empty generation after `current`; it is deleted when dropped unless [`Generation::keep`] was said.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn next(&self, current: u64) -> Result<(u64, Generation), StoreError> {
        let number = current + 1;
        let path = self.path(number);
        remove(&path);
        let generation = Generation::open(path)?;
        generation.abandon();
        Ok((number, generation))
    }
}

impl Generation {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let config = ::sled::Config::new()
            .path(&path)
            .cache_capacity(CACHE_BYTES)
            .mode(::sled::Mode::LowSpace)
            .flush_every_ms(Some(500));
        let until = Instant::now() + LET_GO;
        let tree = loop {
            match config.open() {
                // No other program can have it: the lock of the home is held.
                Err(error) if is_held(&error) && Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
                opened => break opened.map_err(io("opened"))?,
            }
        };
        Ok(Self { tree, folder: Folder { path, abandoned: false.into() } })
    }

    /// Its folder is removed when the last who reads it is done.
    pub(super) fn abandon(&self) {
        self.folder.abandoned.store(true, std::sync::atomic::Ordering::Release);
    }

    /// Its folder stays.
    pub(super) fn keep(&self) {
        self.folder.abandoned.store(false, std::sync::atomic::Ordering::Release);
    }
}

/// Sled tells by words only that somebody has its files.
fn is_held(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

impl Drop for Folder {
    fn drop(&mut self) {
        if *self.abandoned.get_mut() {
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    match std::fs::remove_dir_all(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "an old generation of the store could not be deleted; \
                the next start tries again");
        }
    }
}
