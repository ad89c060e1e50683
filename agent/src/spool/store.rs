//! A spool at work on its files. Everything here may block.

use super::SpoolError;
use super::files::{self, Found};
use super::format::{self, HEADER, MARK, MAX_BODY, RECORD, SpoolId, Step};
use super::index::{Index, Place, Segment};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::{info, warn};

/// A spool of any size has about so many segments: what is delivered goes in pieces of this part of it.
const SEGMENTS: u64 = 16;
/// Smallest and largest segment: not thousands of files, and not minutes to look through one.
const SEGMENT_BYTES: (u64, u64) = (64 * 1024, 8 * 1024 * 1024);
/// Part of the disk that a spool leaves to what it writes beside entries: headers and marks.
const MARGIN: u64 = 1024;
/// Bytes that are read at once: any record fits.
const CHUNK: u64 = 1024 * 1024;
/// What is delivered whole is deleted even before its segment is full, if it is at least so long.
const SPENT_BYTES: u64 = 256 * 1024;

/// What is to be kept: kind (not [`MARK`]) and body of each entry, in order.
pub type Batch<'b> = [(u8, &'b [u8])];

/// An entry that is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolEntry {
    /// Its number.
    pub sequence: u64,
    /// What the writer said that it is.
    pub kind: u8,
    /// Its content.
    pub body: Vec<u8>,
}

/// Entries behind a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadBack {
    /// These.
    Entries {
        /// The entries; none where nothing is there yet.
        entries: Vec<SpoolEntry>,
        /// Whether more follow.
        more: bool,
    },
    /// The next ones up to this number cannot be read any more.
    Missing {
        /// Last number.
        to: u64,
        /// Why.
        reason: &'static str,
    },
    /// The spool ends with this number, before the place that was asked for.
    Ahead {
        /// Last number.
        last: u64,
    },
}

/// How full a spool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on disk.
    pub bytes: u64,
    /// The limit.
    pub limit: u64,
    /// Number of the last entry.
    pub last: u64,
}

/// What was found when the spool was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// It was begun anew: there was none.
    pub fresh: bool,
    /// Entries behind the last mark: they may still be in the queue.
    pub unmarked: Vec<SpoolEntry>,
    /// Bytes at the end that could not be read and were cut off: a write that was not finished when the agent stopped,
    /// which was taken out of no queue yet, or damage.
    pub dropped: u64,
    /// Segments of other spools that lay in the folder and were put aside.
    pub put_aside: usize,
}

#[derive(Debug)]
struct Writer {
    /// The last segment; none after a write that failed: then the next batch begins another one.
    file: Option<File>,
}

/// See the module's head.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    id: SpoolId,
    limit: u64,
    segment_bytes: u64,
    writer: Mutex<Writer>,
    index: Mutex<Index>,
    _lock: File,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The index is changed only after the files were; a panic in between leaves it behind them, which is safe.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spool {
    /// Opens the spool in `folder` or begins one with the id `fresh`. `delivered` tells for a spool up to which number
    /// some destination is known to have it: no number up to there is given again, whatever became of the files.
    ///
    /// # Errors
    /// [`SpoolError::InUse`], [`SpoolError::Io`]. Damage is none.
    pub fn open(
        folder: &Path,
        limit: u64,
        fresh: SpoolId,
        delivered: impl Fn(SpoolId) -> Option<u64>,
    ) -> Result<(Self, Taken), SpoolError> {
        let held = files::lock(folder)?;
        let found = files::list(folder)?;
        // Never more than one, unless somebody copied files: the one that is being delivered counts.
        let known = found.iter().map(|segment| segment.spool).find(|spool| delivered(*spool).is_some());
        let id = known.or_else(|| found.last().map(|segment| segment.spool)).unwrap_or(fresh);
        let mut put_aside = 0;
        for foreign in found.iter().filter(|segment| segment.spool != id) {
            files::put_aside_foreign(folder, foreign)?;
            put_aside += 1;
        }
        let found: Vec<Found> = found.into_iter().filter(|segment| segment.spool == id).collect();
        let floor = delivered(id).unwrap_or(0);
        let segment_bytes = (limit / SEGMENTS).clamp(SEGMENT_BYTES.0, SEGMENT_BYTES.1);
        let fresh = found.is_empty();
        let Opened { index, file, unmarked, dropped } =
            if fresh { begin(folder, id, floor)? } else { recover(folder, id, &found, floor)? };
        let usage = (index.bytes(), index.first(), index.next);
        info!(folder = %folder.display(), spool = %id, bytes = usage.0, first = usage.1, next = usage.2, "spool opened");
        let spool = Self {
            folder: folder.to_owned(),
            id,
            limit,
            segment_bytes,
            writer: Mutex::new(Writer { file: Some(file) }),
            index: Mutex::new(index),
            _lock: held,
        };
        Ok((spool, Taken { fresh, unmarked, dropped, put_aside }))
    }

    /// Which spool it is.
    #[must_use]
    pub fn id(&self) -> SpoolId {
        self.id
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How full it is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let index = lock(&self.index);
        Usage { bytes: index.bytes(), limit: self.limit, last: index.next.saturating_sub(1) }
    }

    /// Number of the oldest entry that is there, or will be.
    #[must_use]
    pub fn first(&self) -> u64 {
        lock(&self.index).first()
    }

    /// How many of these bodies fit, from the first on.
    #[must_use]
    pub fn fitting(&self, lengths: impl IntoIterator<Item = usize>) -> usize {
        let mut room = self.limit.saturating_sub(self.usage().bytes.saturating_add(MARGIN));
        let fits = |length: &usize| {
            let size = (RECORD + (*length).min(MAX_BODY)) as u64;
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        };
        lengths.into_iter().take_while(fits).count()
    }

    /// Keeps a batch, and gives the number of its last entry when all of it is on disk.
    ///
    /// # Errors
    /// [`SpoolError::Full`] and [`SpoolError::Io`]: then nothing of the batch is kept.
    pub fn append(&self, batch: &Batch<'_>) -> Result<u64, SpoolError> {
        if self.fitting(batch.iter().map(|(_, body)| body.len())) < batch.len() {
            return Err(SpoolError::Full);
        }
        self.append_beyond(batch)
    }

    /// As [`Spool::append`], beyond the limit if need be: for what is nowhere else any more.
    ///
    /// # Errors
    /// [`SpoolError::Io`]: then nothing of the batch is kept.
    pub fn append_beyond(&self, batch: &Batch<'_>) -> Result<u64, SpoolError> {
        let mut writer = lock(&self.writer);
        let (next, length) = self.room_in_segment(&mut writer)?;
        if batch.is_empty() {
            return Ok(next - 1);
        }
        let mut bytes = Vec::with_capacity(batch.iter().map(|(_, body)| RECORD + body.len()).sum());
        for (sequence, (kind, body)) in (next..).zip(batch) {
            format::put_record(self.id, sequence, *kind, body, &mut bytes);
        }
        self.write(&mut writer, &bytes, length, true)?;
        let last = next + batch.len() as u64 - 1;
        lock(&self.index).grown(length + bytes.len() as u64, last + 1);
        Ok(last)
    }

    /// Everything so far was taken out of the queue. See [`Spool::mark_to`].
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn mark(&self) -> Result<(), SpoolError> {
        self.mark_to(u64::MAX)
    }

    /// Everything up to the number `to` was taken out of the queue. Not synced by itself: what a power failure loses of
    /// it is compared with the queue again. A mark never goes back.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn mark_to(&self, to: u64) -> Result<(), SpoolError> {
        let mut writer = lock(&self.writer);
        {
            let index = lock(&self.index);
            if index.mark >= to.min(index.next.saturating_sub(1)) {
                return Ok(());
            }
        }
        let (next, length) = self.room_in_segment(&mut writer)?;
        let to = to.min(next - 1);
        let mut bytes = Vec::with_capacity(RECORD);
        format::put_record(self.id, to, MARK, &[], &mut bytes);
        self.write(&mut writer, &bytes, length, false)?;
        let mut index = lock(&self.index);
        index.grown(length + bytes.len() as u64, next);
        index.mark = to;
        Ok(())
    }

    /// The segment to write to, begun if need be: number of the next entry, and how long the segment is.
    fn room_in_segment(&self, writer: &mut Writer) -> Result<(u64, u64), SpoolError> {
        let (next, last) = {
            let index = lock(&self.index);
            (index.next, index.last_segment().cloned())
        };
        if writer.file.is_some()
            && let Some(last) = last.filter(|last| last.length < self.segment_bytes || last.first == next)
        {
            return Ok((next, last.length));
        }
        self.begin_segment(writer, next)?;
        Ok((next, HEADER as u64))
    }

    fn begin_segment(&self, writer: &mut Writer, first: u64) -> Result<(), SpoolError> {
        writer.file = None;
        writer.file = Some(files::create(&self.folder, self.id, first)?);
        let mut index = lock(&self.index);
        if index.last_segment().is_none_or(|last| last.first < first) {
            index.begin(first);
        } else {
            // The one whose write failed held nothing.
            index.grown(HEADER as u64, first);
        }
        Ok(())
    }

    /// Writes behind `length`, or leaves the segment as it was.
    fn write(&self, writer: &mut Writer, bytes: &[u8], length: u64, sync: bool) -> Result<(), SpoolError> {
        let Some(file) = writer.file.as_mut() else { return Err(SpoolError::Full) };
        let written = file.write_all(bytes).and_then(|()| if sync { file.sync_data() } else { Ok(()) });
        let Err(error) = written else { return Ok(()) };
        // After a sync that failed nobody knows what is on disk: the rest is cut off, and the next batch begins a
        // file of its own.
        if let Err(error) = file.set_len(length) {
            warn!(%error, folder = %self.folder.display(), "what a failed write left cannot be cut off");
        }
        writer.file = None;
        Err(SpoolError::io("write", &self.folder)(error))
    }

    /// Reads what follows `after`: at most `most` entries of about `bytes`.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn read(&self, after: u64, most: usize, bytes: usize) -> Result<ReadBack, SpoolError> {
        let place = lock(&self.index).place(after);
        match place {
            Place::Nothing => Ok(ReadBack::Entries { entries: Vec::new(), more: false }),
            Place::Gone { to } => {
                Ok(ReadBack::Missing { to, reason: "deleted when every destination of that time had it" })
            }
            Place::Ahead { last } => Ok(ReadBack::Ahead { last }),
            Place::In { segment, offset, expected, length, end } => {
                self.read_segment(after, Span { segment, offset, expected, length, end }, most, bytes)
            }
        }
    }

    fn read_segment(
        &self,
        after: u64,
        span: Span,
        most: usize,
        bytes: usize,
    ) -> Result<ReadBack, SpoolError> {
        let Span { segment, mut offset, mut expected, length, end } = span;
        let mut entries: Vec<SpoolEntry> = Vec::new();
        let (mut size, mut whole) = (0, false);
        while expected < end && offset < length && entries.len() < most && size < bytes {
            let wanted = if whole { length - offset } else { CHUNK.min(length - offset) };
            let chunk = files::read(&self.folder, self.id, segment, offset, wanted)?;
            // A record may be cut off by the end of the chunk, not by damage.
            let last_chunk = offset + wanted >= length;
            let mut at = 0;
            // Numbers from `end` on belong to the segment that follows.
            while expected < end && entries.len() < most && size < bytes {
                if !last_chunk && chunk.len() - at < MAX_BODY + RECORD {
                    break;
                }
                match format::step(self.id, &chunk, at, expected) {
                    Step::Entry(record) => {
                        if record.sequence > after {
                            size += record.body.len();
                            let body = record.body.to_vec();
                            entries.push(SpoolEntry { sequence: record.sequence, kind: record.kind, body });
                        }
                        (at, expected) = (record.end, record.sequence + 1);
                    }
                    Step::Mark(record) => at = record.end,
                    Step::Missing { to } if to > after => {
                        return Ok(self.damaged(segment, entries, to.min(end - 1)));
                    }
                    Step::Missing { to } => expected = to + 1,
                    Step::Damaged { resume: Some(resume) } => at = resume,
                    // Where only a part was looked at, the rest may tell more.
                    Step::Damaged { resume: None } if !last_chunk => {
                        whole = true;
                        break;
                    }
                    Step::Damaged { resume: None } | Step::End => break,
                }
            }
            let moved = at > 0;
            offset += at as u64;
            if last_chunk || (!moved && !whole) {
                break;
            }
        }
        if entries.is_empty() && expected < end && size == 0 {
            // To the end of the segment there is nothing that can be read.
            return Ok(self.damaged(segment, entries, end - 1));
        }
        let last = entries.last().map_or(after, |entry| entry.sequence);
        let mut index = lock(&self.index);
        index.remember(last, segment, offset);
        let more = last + 1 < index.next;
        Ok(ReadBack::Entries { entries, more })
    }

    /// Shows what can be read before the damage first.
    fn damaged(&self, segment: u64, entries: Vec<SpoolEntry>, to: u64) -> ReadBack {
        lock(&self.index).note_damage(segment);
        if entries.is_empty() {
            ReadBack::Missing { to, reason: "damaged on the agent's disk" }
        } else {
            ReadBack::Entries { entries, more: true }
        }
    }

    /// Whether [`Spool::trim`] would delete anything.
    #[must_use]
    pub fn can_trim(&self, delivered: u64) -> bool {
        let index = lock(&self.index);
        index.has_delivered(delivered) || index.is_spent(delivered, SPENT_BYTES)
    }

    /// Deletes the segments whose entries every destination has; `delivered` must be stored already.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn trim(&self, delivered: u64) -> Result<(), SpoolError> {
        self.delete(delivered, SPENT_BYTES)
    }

    /// As [`Spool::trim`], to the last byte: nobody reads on here for now.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn finish(&self, delivered: u64) -> Result<(), SpoolError> {
        self.delete(delivered, 0)
    }

    fn delete(&self, delivered: u64, spent_bytes: u64) -> Result<(), SpoolError> {
        let mut writer = lock(&self.writer);
        let (spent, next) = {
            let index = lock(&self.index);
            (index.is_spent(delivered, spent_bytes), index.next)
        };
        if spent {
            self.begin_segment(&mut writer, next)?;
        }
        let gone = lock(&self.index).take_delivered(delivered);
        for segment in &gone {
            files::remove(&self.folder, self.id, segment)?;
        }
        Ok(())
    }
}

/// What [`Place::In`] says.
struct Span {
    segment: u64,
    offset: u64,
    expected: u64,
    length: u64,
    end: u64,
}

/// What [`begin`] and [`recover`] give.
struct Opened {
    index: Index,
    /// The segment that is written to.
    file: File,
    unmarked: Vec<SpoolEntry>,
    /// Bytes that were cut off at the end.
    dropped: u64,
}

fn begin(folder: &Path, id: SpoolId, floor: u64) -> Result<Opened, SpoolError> {
    let first = floor.saturating_add(1);
    let file = files::create(folder, id, first)?;
    let segment = Segment { first, length: HEADER as u64, damaged: false };
    Ok(Opened { index: Index::new(vec![segment], first, floor), file, unmarked: Vec::new(), dropped: 0 })
}

/// Finds the end of what was written, and what may not be out of the queue yet.
fn recover(folder: &Path, id: SpoolId, found: &[Found], floor: u64) -> Result<Opened, SpoolError> {
    let mut segments: Vec<Segment> = found
        .iter()
        .map(|found| Segment { first: found.first, length: found.length, damaged: false })
        .collect();
    let mut unmarked = Vec::new();
    let (mut next, mut keep, mut mark, mut dropped) = (0, 0, None, 0);
    // From the newest back, until everything before is known to be out of the queue.
    for (index, segment) in segments.iter_mut().enumerate().rev() {
        let bytes = files::read(folder, id, segment.first, 0, segment.length)?;
        if format::is_later(&bytes) {
            return Err(SpoolError::Later { path: folder.to_owned() });
        }
        let mut entries = Vec::new();
        let tail = format::tail(id, &bytes, segment.first, |record| {
            entries.push(SpoolEntry {
                sequence: record.sequence,
                kind: record.kind,
                body: record.body.to_vec(),
            });
        });
        segment.damaged = tail.damaged;
        match found.get(index + 1) {
            // Numbers from there on belong to the segment that follows.
            Some(following) => entries.retain(|entry| entry.sequence < following.first),
            None => {
                (next, keep) = (tail.next, tail.keep as u64);
                dropped = segment.length.saturating_sub(keep);
                segment.length = keep;
            }
        }
        mark = mark.max(tail.mark);
        entries.retain(|entry| mark.is_none_or(|mark| entry.sequence > mark));
        entries.append(&mut unmarked);
        unmarked = entries;
        if mark.is_some_and(|mark| mark.saturating_add(1) >= segment.first) {
            break;
        }
    }
    if dropped > 0 {
        warn!(folder = %folder.display(), bytes = dropped, "the end of the spool cannot be read and is dropped");
    }
    let first = found.last().map_or(1, |found| found.first);
    let before = segments.first().map_or(0, |segment| segment.first.saturating_sub(1));
    let mark = mark.unwrap_or(before);
    // Where the header is cut off too, the file is begun again.
    let (index, file) = if keep < HEADER as u64 {
        let mut index = Index::new(segments, next, mark);
        let file = files::create(folder, id, first)?;
        index.grown(HEADER as u64, next.max(first));
        (index, file)
    } else {
        (Index::new(segments, next, mark), files::reopen(folder, id, first, keep)?)
    };
    let (index, file) = beyond(folder, id, index, file, floor)?;
    Ok(Opened { index, file, unmarked, dropped })
}

/// Where some destination has more than the files, they lost their end: its numbers are not given again.
fn beyond(
    folder: &Path,
    id: SpoolId,
    mut index: Index,
    file: File,
    floor: u64,
) -> Result<(Index, File), SpoolError> {
    if index.next > floor {
        return Ok((index, file));
    }
    warn!(folder = %folder.display(), last = index.next - 1, delivered = floor, "the spool lost its end");
    let file = files::create(folder, id, floor + 1)?;
    index.begin(floor + 1);
    Ok((index, file))
}
