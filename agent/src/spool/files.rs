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
/// What follows the name of a segment of another spool that was put aside.
const FOREIGN: &str = ".foreign";
/// Most segments of other spools that are kept.
const MAX_FOREIGN: usize = 16;

/// A segment that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) spool: SpoolId,
    pub(super) first: u64,
    pub(super) length: u64,
}

/// Makes the folder, readable by its owner only, and locks it.
pub(super) fn lock(folder: &Path) -> Result<File, SpoolError> {
    make(folder).map_err(SpoolError::io("make the folder", folder))?;
    let path = folder.join(LOCK);
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(SpoolError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(SpoolError::io("lock", &path)(error)),
    }
}

/// Makes the folder and those above it that are missing. Their names are on disk when this returns: files in a folder
/// whose name is lost are lost too.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for path in missing.iter().rev() {
        builder.recursive(true).create(path)?;
        sync_parent(path)?;
    }
    // Also one that an earlier run made, and perhaps no more than that.
    if missing.is_empty() { sync_parent(folder) } else { Ok(()) }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
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

/// Looks at the heads of the segments in a folder: how many there are.
///
/// # Errors
/// When a later release wrote one of them.
pub(super) fn look(folder: &Path) -> Result<usize, String> {
    // A folder that goes away meanwhile holds nothing.
    let segments = list(folder).unwrap_or_default();
    for segment in &segments {
        let path = folder.join(file_name(segment.spool, segment.first));
        let mut head = [0; HEADER];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut head));
        if read.is_ok() && format::is_later(&head) {
            return Err(format!("a later release wrote {}", path.display()));
        }
    }
    Ok(segments.len())
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

/// Opens the segment that is written to, and cuts off what is beyond `length`. What is before it is on disk when this
/// returns: it may have been read from memory only, after a write whose sync never came.
pub(super) fn reopen(folder: &Path, spool: SpoolId, first: u64, length: u64) -> Result<File, SpoolError> {
    let path = folder.join(file_name(spool, first));
    let opened = OpenOptions::new().read(true).write(true).open(&path).and_then(|mut file| {
        file.set_len(length)?;
        file.sync_all()?;
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

/// Puts away what belongs to another spool, under a name of its own; beyond a bound the oldest of them goes.
pub(super) fn put_aside_foreign(folder: &Path, found: &Found) -> Result<(), SpoolError> {
    warn!(folder = %folder.display(), spool = %found.spool, first = found.first, "segment of another spool put aside");
    let name = file_name(found.spool, found.first);
    let path = folder.join(&name);
    std::fs::rename(&path, folder.join(name + FOREIGN)).map_err(SpoolError::io("put aside", &path))?;
    let mut kept = foreign(folder);
    kept.sort();
    let surplus = kept.len().saturating_sub(MAX_FOREIGN);
    for (_, path) in kept.into_iter().take(surplus) {
        std::fs::remove_file(&path).map_err(SpoolError::io("delete", &path))?;
    }
    Ok(())
}

/// Segments of other spools that were put aside, and when they were written last.
fn foreign(folder: &Path) -> Vec<(std::time::SystemTime, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.ends_with(FOREIGN)))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect()
}

fn put_aside(folder: &Path, path: &Path) -> Result<(), SpoolError> {
    let kept: PathBuf = folder.join(KEPT);
    std::fs::rename(path, &kept).map_err(SpoolError::io("put aside", path))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
