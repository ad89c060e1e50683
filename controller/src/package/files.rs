//! The files of the repository: packages by their digest, and uploads that are not whole yet.
//!
//! ```text
//! packages/<sha256>.muster           a package; a record in the store names it
//! packages/uploads/<sha256>.<size>   the beginning of a file of that digest and size
//! ```
//! That is all that is known of an upload, so it outlives the controller without a record of its own.

use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// An upload that got nothing for so long is dead.
const DEAD: SignedDuration = SignedDuration::from_hours(24);
/// Space that is left to the controller's store and logs, in bytes: a full disk would stop more than an upload.
const RESERVE: u64 = 256 * 1024 * 1024;

/// A file of the repository that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The disk is full, or would be.
    #[error(
        "there is no room for it: {needed} bytes are needed in {folder}, and {free} are free beside the {RESERVE} that \
         the controller keeps for itself; make room there, or retire and remove packages"
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What is needed.
        needed: u64,
        /// What is free.
        free: u64,
    },
    /// Something else.
    #[error("{path} cannot be {tried}; check the permissions and the disk of its folder")]
    Io {
        /// `read`, `written` …
        tried: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) sha256: String,
    /// Bytes that it will have.
    pub(super) size: u64,
    pub(super) path: PathBuf,
}

/// The folders.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

fn fault<'p>(tried: &'static str, path: &'p Path) -> impl Fn(io::Error) -> FileFault + 'p {
    move |source| FileFault::Io { tried, path: path.to_owned(), source }
}

impl Files {
    pub(super) fn open(folder: &Path) -> Result<Self, FileFault> {
        let files = Self { folder: folder.to_owned() };
        let uploads = files.uploads();
        DirBuilder::new().recursive(true).mode(0o700).create(&uploads).map_err(fault("made", &uploads))?;
        Ok(files)
    }

    fn uploads(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    /// The file of a package.
    pub(super) fn package(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.muster"))
    }

    /// The file of an upload.
    pub(super) fn upload(&self, sha256: &str, size: u64) -> PathBuf {
        self.uploads().join(format!("{sha256}.{size}"))
    }

    /// All uploads that were begun.
    pub(super) fn begun(&self) -> Result<Vec<Begun>, FileFault> {
        let folder = self.uploads();
        let entries = fs::read_dir(&folder).map_err(fault("read", &folder))?;
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(fault("read", &folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let parts = name.split_once('.').and_then(|(sha256, size)| Some((sha256, size.parse().ok()?)));
            if let Some((sha256, size)) = parts
                && muster_package::is_sha256(sha256)
            {
                all.push(Begun { sha256: sha256.to_owned(), size, path });
            }
        }
        Ok(all)
    }

    /// Opens an upload for its next piece, or makes it.
    pub(super) fn append(&self, sha256: &str, size: u64) -> Result<File, FileFault> {
        let path = self.upload(sha256, size);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        file.map_err(fault("written", &path))
    }

    /// An upload that is whole and verified becomes a package.
    pub(super) fn keep(&self, sha256: &str, size: u64) -> Result<(), FileFault> {
        let (from, to) = (self.upload(sha256, size), self.package(sha256));
        let renamed = fs::rename(&from, &to).and_then(|()| File::open(&self.folder)?.sync_all());
        renamed.map_err(fault("written", &to))
    }

    /// Removes an upload; one that is gone already is no fault.
    pub(super) fn drop_upload(&self, sha256: &str, size: u64) -> Result<(), FileFault> {
        remove(&self.upload(sha256, size))
    }

    /// Removes the file of a package that was not stored.
    pub(super) fn drop_package(&self, sha256: &str) -> Result<(), FileFault> {
        remove(&self.package(sha256))
    }

    /// Removes uploads that got nothing for a day.
    pub(super) fn remove_dead_uploads(&self, now: Timestamp) -> Result<(), FileFault> {
        for Begun { path, sha256, .. } in self.begun()? {
            let metadata = match fs::metadata(&path) {
                Ok(metadata) => metadata,
                // It became a package, or was refused, a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fault("read", &path)(error)),
            };
            let last = metadata.modified().map_err(fault("read", &path))?;
            // A time that makes no sense is that of a clock that was wrong: as if it were new.
            let last = Timestamp::try_from(last).unwrap_or(now);
            if now.duration_since(last) > DEAD {
                tracing::info!(sha256, "an upload of a package that nobody went on with is removed");
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes files of packages that no record names: what a crash left.
    pub(super) fn remove_strangers(&self, known: &BTreeSet<&str>) -> Result<(), FileFault> {
        let entries = fs::read_dir(&self.folder).map_err(fault("read", &self.folder))?;
        for entry in entries {
            let path = entry.map_err(fault("read", &self.folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let sha256 = name.strip_suffix(".muster").filter(|stem| muster_package::is_sha256(stem));
            if sha256.is_some_and(|sha256| !known.contains(sha256)) {
                tracing::info!(file = name, "a package that a crash left without a record is removed");
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Refuses what the disk has no room for.
    pub(super) fn check_room(&self, needed: u64) -> Result<(), FileFault> {
        let stat = rustix::fs::statvfs(&self.folder);
        let stat = stat.map_err(|error| fault("read", &self.folder)(error.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize).saturating_sub(RESERVE);
        if needed > free {
            return Err(FileFault::NoRoom { folder: self.folder.clone(), needed, free });
        }
        Ok(())
    }

    /// Why a write failed.
    pub(super) fn write_fault(&self, sha256: &str, size: u64, error: io::Error) -> FileFault {
        if error.kind() == io::ErrorKind::StorageFull {
            return FileFault::NoRoom { folder: self.folder.clone(), needed: size, free: 0 };
        }
        fault("written", &self.upload(sha256, size))(error)
    }
}

fn remove(path: &Path) -> Result<(), FileFault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("removed", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
