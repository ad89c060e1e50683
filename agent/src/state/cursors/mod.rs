//! The cursors, kept twice: in a checksummed file and in sled.

use super::file::write_atomic;
use super::record::{MAX_RECORD, Record};
use super::{StateDir, StateError};
use muster_shared::cursor::{Cursor, CursorKey};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tracing::{error, warn};

pub(super) const FILE: &str = "cursors";
pub(super) const MARKER: &str = "initialised";
const SLED: &str = "cursors.sled";
const SLED_ASIDE: &str = "cursors.sled.damaged";
const FILE_ASIDE: &str = "cursors.damaged";
const KEY: &[u8] = b"cursors";

/// Memory for sled's cache; the record is a few KiB.
const SLED_CACHE: u64 = 2 * 1024 * 1024;

/// What is known of one cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Here it goes on.
    Cursor(Cursor),
    /// There never was one: the source's start policy decides.
    First,
    /// There was one and it is gone: read from the oldest entry that is still there.
    Lost,
}

/// What was found at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    cursors: BTreeMap<CursorKey, Cursor>,
    lost: bool,
    /// What was damaged and how it was mended, for people; empty when all was well.
    pub notes: Vec<String>,
}

impl Loaded {
    /// The cursor of one source and destination.
    #[must_use]
    pub fn find(&self, key: &CursorKey) -> Found {
        match self.cursors.get(key) {
            Some(cursor) => Found::Cursor(cursor.clone()),
            None if self.lost => Found::Lost,
            None => Found::First,
        }
    }

    /// All cursors.
    #[must_use]
    pub fn cursors(&self) -> &BTreeMap<CursorKey, Cursor> {
        &self.cursors
    }

    /// Whether cursors without an entry are lost ones.
    #[must_use]
    pub fn lost(&self) -> bool {
        self.lost
    }
}

/// What one copy holds.
#[derive(Debug, PartialEq, Eq)]
enum Copy {
    Absent,
    Damaged,
    Good(Record),
}

/// Stores cursors so that a crash at any moment costs none.
#[derive(Debug)]
pub struct CursorStore {
    folder: PathBuf,
    sled: Option<sled::Db>,
    record: Record,
    marked: bool,
}

impl CursorStore {
    /// Opens both copies, takes the newer good one and mends the other at the next save. Damage never
    /// keeps it from opening: a damaged copy is moved aside (one of each kind is kept for study).
    pub fn open(folder: &StateDir) -> (Self, Loaded) {
        let folder = folder.path().to_owned();
        let mut notes = Vec::new();
        let marked = folder.join(MARKER).exists();
        let file = read_file(&folder.join(FILE));
        if file == Copy::Damaged {
            move_aside(&folder.join(FILE), &folder.join(FILE_ASIDE));
            notes.push(format!("the cursor file was damaged and moved to {FILE_ASIDE}"));
        }
        let (sled, copy) = open_sled(&folder, &mut notes);
        let damaged = file == Copy::Damaged || copy == Copy::Damaged;
        let newest = [file, copy]
            .into_iter()
            .filter_map(|copy| match copy {
                Copy::Good(record) => Some(record),
                Copy::Absent | Copy::Damaged => None,
            })
            .max_by_key(|record| record.counter);
        let record = newest.unwrap_or_else(|| {
            let lost = marked || damaged;
            if lost {
                notes.push(
                    "both copies of the cursors are lost: sources are read again from the oldest entry still there"
                        .to_owned(),
                );
            }
            Record { lost, ..Record::default() }
        });
        for note in &notes {
            warn!(note, "state mended");
        }
        let loaded = Loaded { cursors: record.cursors.clone(), lost: record.lost, notes };
        (Self { folder, sled, record, marked }, loaded)
    }

    /// Stores `cursors` beside those of other keys, in both copies, and returns when they are on disk. Does
    /// nothing when none is new. `complete`: every source now has its cursor, so that none counts as lost any
    /// more.
    ///
    /// # Errors
    /// [`StateError`] when *neither* copy could be written; one alone is enough to go on, and is logged.
    pub fn save(&mut self, cursors: &BTreeMap<CursorKey, Cursor>, complete: bool) -> Result<(), StateError> {
        let lost = self.record.lost && !complete;
        let same = cursors.iter().all(|(key, cursor)| self.record.cursors.get(key) == Some(cursor));
        if same && lost == self.record.lost {
            return Ok(());
        }
        let mut record = self.record.clone();
        record.counter += 1;
        record.lost = lost;
        record.cursors.extend(cursors.iter().map(|(key, cursor)| (key.clone(), cursor.clone())));
        let bytes = record.encode();
        self.mark()?;
        let in_sled = self.save_sled(&bytes);
        let in_file = write_atomic(&self.folder.join(FILE), &bytes);
        match (in_file, in_sled) {
            (Ok(()), Ok(())) => {}
            (Ok(()), Err(reason)) => warn!(%reason, "cursors are stored in the file only"),
            (Err(reason), Ok(())) if self.sled.is_some() => {
                warn!(%reason, "cursors are stored in the embedded store only");
            }
            (Err(reason), _) => return Err(reason),
        }
        self.record = record;
        Ok(())
    }

    /// The marker comes before the first cursor: afterwards a missing cursor is a lost one.
    fn mark(&mut self) -> Result<(), StateError> {
        if !self.marked {
            write_atomic(&self.folder.join(MARKER), b"this folder has held cursors\n")?;
            self.marked = true;
        }
        Ok(())
    }

    fn save_sled(&self, bytes: &[u8]) -> Result<(), StateError> {
        let Some(db) = &self.sled else {
            return Ok(());
        };
        let path = self.folder.join(SLED);
        // sled buffers writes in the process: only what was flushed survives a kill.
        db.insert(KEY, bytes).and_then(|_| db.flush()).map(|_| ()).map_err(|source| StateError::Sled {
            attempt: "write to",
            path,
            source,
        })
    }
}

/// Reads the file copy.
fn read_file(path: &Path) -> Copy {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_RECORD as u64).read_to_end(&mut bytes)) {
        Ok(_) => Record::decode(&bytes).map_or(Copy::Damaged, Copy::Good),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Copy::Absent,
        Err(_) => Copy::Damaged,
    }
}

/// The record in the file copy, for `show-state`; None when absent or damaged.
pub(super) fn peek(folder: &Path) -> Option<Record> {
    match read_file(&folder.join(FILE)) {
        Copy::Good(record) => Some(record),
        Copy::Absent | Copy::Damaged => None,
    }
}

/// Opens sled and reads its copy. A damaged one is moved aside and a new one made; when even that fails
/// the file alone serves.
fn open_sled(folder: &Path, notes: &mut Vec<String>) -> (Option<sled::Db>, Copy) {
    let path = folder.join(SLED);
    let existed = path.exists();
    if let Some((db, copy)) = try_sled(&path)
        && copy != Copy::Damaged
    {
        return (Some(db), copy);
    }
    if existed {
        move_aside(&path, &folder.join(SLED_ASIDE));
        notes.push(format!("the embedded store was damaged and moved to {SLED_ASIDE}"));
    }
    let rebuilt = try_sled(&path).map(|(db, _)| db);
    if rebuilt.is_none() {
        notes.push("the embedded store cannot be opened: cursors are kept in the file alone".to_owned());
    }
    (rebuilt, if existed { Copy::Damaged } else { Copy::Absent })
}

/// sled may panic on what it finds on disk, so it is opened and read inside a guard.
fn try_sled(path: &Path) -> Option<(sled::Db, Copy)> {
    let open = || -> sled::Result<(sled::Db, Copy)> {
        let db = sled::Config::new().path(path).cache_capacity(SLED_CACHE).flush_every_ms(None).open()?;
        let copy = match db.get(KEY)? {
            Some(bytes) => Record::decode(&bytes).map_or(Copy::Damaged, Copy::Good),
            None => Copy::Absent,
        };
        Ok((db, copy))
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(opened)) => Some(opened),
        Ok(Err(reason)) => {
            error!(%reason, "embedded store cannot be opened");
            None
        }
        Err(_) => {
            error!("embedded store panicked while it was opened");
            None
        }
    }
}

/// Moves something out of the way, over what was moved there before.
fn move_aside(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let _ = std::fs::remove_file(to);
    if let Err(reason) = std::fs::rename(from, to) {
        error!(%reason, path = %from.display(), "damaged state cannot be moved aside");
    }
}

#[cfg(test)]
mod tests;
