//! Files of a spool.

use super::SpoolError;
use super::format::{self, HEADER, SpoolId};
use super::index::{Segment, file_name, parse_name};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tracing::warn;

const LOCK: &str = "lock";
/// The last segment that could not be read whole, for whoever wants to look at it.
const KEPT: &str = "damaged.kept";

/// A segment that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) spool: SpoolId,
    pub(super) first: u64,
    pub(super) length: u64,
}

/// Makes the folder, readable by its owner only, and locks it.
pub(super) fn lock(folder: &Path) -> Result<File, SpoolError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(SpoolError::io("make the folder", folder))?;
    let path = folder.join(LOCK);
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(SpoolError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(SpoolError::io("lock", &path)(error)),
    }
}

/// All segments in the folder, in the order of their names.
pub(super) fn list(folder: &Path) -> Result<Vec<Found>, SpoolError> {
    let entries = std::fs::read_dir(folder).map_err(SpoolError::io("list", folder))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(SpoolError::io("list", folder))?;
        let Some((spool, first)) = entry.file_name().to_str().and_then(parse_name) else { continue };
        let length = entry.metadata().map_err(SpoolError::io("look at", &entry.path()))?.len();
        found.push(Found { spool, first, length });
    }
    found.sort_by_key(|segment| (segment.spool, segment.first));
    Ok(found)
}

/// Whether a folder holds a segment with more than its header.
#[must_use]
pub fn holds_entries(folder: &Path) -> bool {
    list(folder).is_ok_and(|found| found.iter().any(|segment| segment.length > HEADER as u64))
}

/// Begins a segment: it and its name are on disk when this returns.
pub(super) fn create(folder: &Path, spool: SpoolId, first: u64) -> Result<File, SpoolError> {
    let path = folder.join(file_name(spool, first));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(&path).and_then(|mut file| {
        file.write_all(&format::header(spool, first))?;
        file.sync_all()?;
        sync_folder(folder)?;
        Ok(file)
    });
    made.map_err(|error| {
        // Half a segment is none; where it cannot be removed it is found empty at the next start.
        let _ = std::fs::remove_file(&path);
        SpoolError::io("begin", &path)(error)
    })
}

/// Opens the segment that is written to, and cuts off what is beyond `length`.
pub(super) fn reopen(folder: &Path, spool: SpoolId, first: u64, length: u64) -> Result<File, SpoolError> {
    let path = folder.join(file_name(spool, first));
    let opened = OpenOptions::new().read(true).write(true).open(&path).and_then(|mut file| {
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok(file)
    });
    opened.map_err(SpoolError::io("open", &path))
}

/// Bytes of a segment.
pub(super) fn read(
    folder: &Path,
    spool: SpoolId,
    first: u64,
    offset: u64,
    most: u64,
) -> Result<Vec<u8>, SpoolError> {
    let path = folder.join(file_name(spool, first));
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.take(most).read_to_end(&mut bytes)
    });
    read.map_err(SpoolError::io("read", &path))?;
    Ok(bytes)
}

/// Deletes a segment; a damaged one is kept, in place of the one kept before.
pub(super) fn remove(folder: &Path, spool: SpoolId, segment: &Segment) -> Result<(), SpoolError> {
    let path = folder.join(file_name(spool, segment.first));
    if segment.damaged {
        return put_aside(folder, &path);
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SpoolError::io("delete", &path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Puts away what belongs to another spool.
pub(super) fn put_aside_foreign(folder: &Path, found: &Found) -> Result<(), SpoolError> {
    warn!(folder = %folder.display(), spool = %found.spool, first = found.first, "segment of another spool put aside");
    put_aside(folder, &folder.join(file_name(found.spool, found.first)))
}

fn put_aside(folder: &Path, path: &Path) -> Result<(), SpoolError> {
    let kept: PathBuf = folder.join(KEPT);
    std::fs::rename(path, &kept).map_err(SpoolError::io("put aside", path))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
