//! Writing the store anew when most of its file is dead.
//!
//! sled's file is a high-water mark: it frees a segment only when half of it was written anew, in a thread
//! that gets little time beside a busy fleet, and never gives a byte back to the disk. So when the file is
//! several times as large as what lives in it, the writing thread copies the living pairs into a fresh
//! generation, slice by slice between two groups of writes, and then that one counts. Nobody waits for more
//! than a slice, and a crash at any moment finds the old generation whole or the new one.

use super::super::StoreError;
use super::super::group::Group;
use super::generation::{Current, Generation, Home};
use super::io;
use std::ops::Bound;
use std::sync::Arc;

/// The file may be this many times as large as what lives in it.
const LARGEST_RATIO: u64 = 4;
/// A file of less is never worth it.
const LEAST_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that are copied between two groups of writes, about.
const SLICE_BYTES: usize = 256 * 1024;
/// The file's size is looked at after so many written bytes.
const LOOK_EVERY: usize = 1024 * 1024;

/// Size of the file, in bytes, from which on it is written anew.
fn threshold(live_bytes: u64) -> u64 {
    live_bytes.saturating_mul(LARGEST_RATIO).max(LEAST_BYTES)
}

/// When to write anew: what was seen of the file.
#[derive(Debug)]
pub(super) struct Judge {
    threshold: u64,
    since_look: usize,
}

impl Judge {
    pub(super) fn new(live_bytes: u64) -> Self {
        Self { threshold: threshold(live_bytes), since_look: LOOK_EVERY }
    }

    /// `written` bytes were written: is it time? `size` tells the file's size in bytes, if it can be told.
    pub(super) fn is_due(&mut self, written: usize, size: impl FnOnce() -> Option<u64>) -> bool {
        self.since_look = self.since_look.saturating_add(written);
        if self.since_look < LOOK_EVERY {
            return false;
        }
        self.since_look = 0;
        size().is_some_and(|size| size > self.threshold)
    }

    /// It did not work at this size of the file: not again before it is half as large again.
    pub(super) fn put_off(&mut self, size: u64) {
        self.threshold = size.saturating_add(size / 2).max(self.threshold);
    }
}

/// A generation that is being written.
pub(super) struct Compaction {
    number: u64,
    into: Generation,
    /// Keys up to here are copied.
    copied: Option<::sled::IVec>,
    bytes: u64,
}

impl Compaction {
    /// Begins one.
    ///
    /// # Errors
    /// If the new generation cannot be made.
    pub(super) fn begin(home: &Home, current: u64) -> Result<Self, StoreError> {
        let (number, into) = home.next(current)?;
        Ok(Self { number, into, copied: None, bytes: 0 })
    }

    /// Copies the next slice; true when all is copied.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn copy_slice(&mut self, from: &::sled::Db) -> Result<bool, StoreError> {
        let after = self.copied.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut batch = ::sled::Batch::default();
        let mut bytes = 0;
        let mut last = None;
        let mut ended = true;
        for pair in from.range::<::sled::IVec, _>((after.clone(), Bound::Unbounded)) {
            let (key, value) = pair.map_err(io("read"))?;
            bytes += key.len() + value.len();
            last = Some(key.clone());
            batch.insert(key, value);
            if bytes >= SLICE_BYTES {
                ended = false;
                break;
            }
        }
        self.into.tree.apply_batch(batch).map_err(io("written"))?;
        self.bytes += bytes as u64;
        self.copied = last.or(match after {
            Bound::Excluded(key) => Some(key),
            Bound::Included(_) | Bound::Unbounded => None,
        });
        Ok(ended)
    }

    /// A group was written to the old generation meanwhile: what is copied already is written here too.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn follow(&self, group: &Group) -> Result<(), StoreError> {
        let Some(copied) = &self.copied else { return Ok(()) };
        let batch = super::batch_of(group.writes().filter(|(key, _)| key.as_bytes() <= &copied[..]));
        self.into.tree.apply_batch(batch).map_err(io("written"))
    }

    /// All is copied: from now on the new generation counts.
    ///
    /// # Errors
    /// If the disk fails; then the old one counts.
    pub(super) fn finish(self, home: &Home) -> Result<(Current, Arc<Generation>), StoreError> {
        self.into.tree.flush().map_err(io("written"))?;
        let current = Current { generation: self.number, live_bytes: self.bytes };
        home.set_current(current)?;
        self.into.keep();
        Ok((current, Arc::new(self.into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_when_the_file_is_several_times_what_lives() {
        const MB: u64 = 1024 * 1024;
        let cases = [
            ("a small file is left alone", 0, 8 * MB, false),
            ("an empty one that grew", 0, 9 * MB, true),
            ("four times is allowed", 20 * MB, 80 * MB, false),
            ("more is not", 20 * MB, 81 * MB, true),
        ];
        for (name, live, size, due) in cases {
            assert_eq!(Judge::new(live).is_due(1, || Some(size)), due, "{name}");
        }
    }

    #[test]
    fn the_size_is_looked_at_now_and_then_and_a_failure_puts_it_off() {
        let mut judge = Judge::new(0);
        let large = || Some(100 * LEAST_BYTES);
        assert!(judge.is_due(0, large), "at the start");
        assert!(!judge.is_due(LOOK_EVERY - 1, large), "not at each write");
        assert!(judge.is_due(1, large));
        judge.put_off(100 * LEAST_BYTES);
        assert!(!judge.is_due(LOOK_EVERY, large));
        assert!(!judge.is_due(LOOK_EVERY, || None), "a size that cannot be told is no reason");
        assert!(judge.is_due(LOOK_EVERY, || Some(151 * LEAST_BYTES)));
    }
}
