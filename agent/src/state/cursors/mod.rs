//! The cursors, kept twice: in a checksummed file and in sled.

use super::file::write_atomic;
use super::lost::Lost;
use super::record::{MAX_RECORD, Record};
use super::{StateDir, StateError, chain};
use muster_shared::cursor::{Cursor, CursorKey};
use std::collections::{BTreeMap, BTreeSet};
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

/// What was found at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    cursors: BTreeMap<CursorKey, Cursor>,
    lost: Lost,
    /// What was damaged and how it was mended, for people; empty when all was well.
    pub notes: Vec<String>,
}

impl Loaded {
    /// All cursors.
    #[must_use]
    pub fn cursors(&self) -> &BTreeMap<CursorKey, Cursor> {
        &self.cursors
    }

    /// Which cursors without an entry are lost ones.
    #[must_use]
    pub fn lost(&self) -> &Lost {
        &self.lost
    }
}

/// What one copy holds.
#[derive(Debug, PartialEq, Eq)]
enum Copy {
    Absent,
    Damaged,
    Good(Record),
}

/// Where the last save is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copies {
    /// In both places.
    Both,
    /// In one: why not in the other, and what to do.
    One(String),
}

/// Stores cursors so that a crash at any moment costs none.
#[derive(Debug)]
pub struct CursorStore {
    folder: PathBuf,
    sled: Option<sled::Db>,
    record: Record,
    lost: Lost,
    copies: Copies,
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
            Record { lost: if lost { Lost::Unknown } else { Lost::None }, ..Record::default() }
        });
        for note in &notes {
            warn!(note, "state mended");
        }
        let loaded = Loaded { cursors: record.cursors.clone(), lost: record.lost.clone(), notes };
        let lost = record.lost.clone();
        (Self { folder, sled, record, lost, copies: Copies::Both, marked }, loaded)
    }

    /// A policy with these lanes runs: where cursors were lost, the first one tells whose. On disk with the
    /// next save.
    pub fn settle_lost(&mut self, lanes: &BTreeSet<CursorKey>) {
        self.lost = std::mem::take(&mut self.lost).settled(lanes).without(&self.record.cursors);
    }

    /// Whether any cursor was ever stored here and is still known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record.cursors.is_empty()
    }

    /// Stores `cursors` beside those of other keys, in both copies, and returns when they are on disk. Writes
    /// nothing when none is new.
    ///
    /// # Errors
    /// [`StateError`] when *neither* copy could be written; one alone is enough to go on, and is told.
    pub fn save(&mut self, cursors: &BTreeMap<CursorKey, Cursor>) -> Result<Copies, StateError> {
        let lost = self.lost.clone().without(cursors);
        let same = cursors.iter().all(|(key, cursor)| self.record.cursors.get(key) == Some(cursor));
        if same && lost == self.record.lost {
            return Ok(self.copies.clone());
        }
        let mut record = self.record.clone();
        record.counter += 1;
        record.lost = lost.clone();
        record.cursors.extend(cursors.iter().map(|(key, cursor)| (key.clone(), cursor.clone())));
        let bytes = record.encode();
        self.mark()?;
        let in_sled = self.save_sled(&bytes);
        let in_file = write_atomic(&self.folder.join(FILE), &bytes);
        self.copies = match (in_file, in_sled) {
            (Ok(()), Ok(())) => Copies::Both,
            (Ok(()), Err(reason)) => Copies::One(reason),
            (Err(reason), Ok(())) => Copies::One(chain(&reason)),
            (Err(reason), Err(_)) => return Err(reason),
        };
        self.record = record;
        self.lost = lost;
        Ok(self.copies.clone())
    }

    /// The marker comes before the first cursor: afterwards a missing cursor is a lost one.
    fn mark(&mut self) -> Result<(), StateError> {
        if !self.marked {
            write_atomic(&self.folder.join(MARKER), b"this folder has held cursors\n")?;
            self.marked = true;
        }
        Ok(())
    }

    fn save_sled(&self, bytes: &[u8]) -> Result<(), String> {
        let path = self.folder.join(SLED);
        let Some(db) = &self.sled else {
            let path = path.display();
            return Err(format!("the embedded store {path} could not be opened at the start of the agent"));
        };
        // sled buffers writes in the process: only what was flushed survives a kill.
        db.insert(KEY, bytes)
            .and_then(|_| db.flush())
            .map(|_| ())
            .map_err(|source| chain(&StateError::Sled { attempt: "write to", path, source }))
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

/// Looks at the cursors of a folder that another process uses: how many this version reads.
///
/// # Errors
/// When there are some and this version cannot read them.
pub fn look(folder: &Path) -> Result<usize, String> {
    let path = folder.join(FILE);
    match read_file(&path) {
        Copy::Good(record) => Ok(record.cursors.len()),
        Copy::Absent => Ok(0),
        Copy::Damaged => {
            Err(format!("{} is damaged, or of a form that this version does not know", path.display()))
        }
    }
}

/// The record in the file copy; None when absent or damaged.
#[cfg(test)]
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
