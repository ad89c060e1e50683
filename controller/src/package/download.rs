//! Downloads of packages: how many there are at a time, at what pace, and the bytes themselves.

use super::pace::Bucket;
use crate::gateway::overload::{Drain, Full, retry_after};
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;

/// Bytes that are read and sent at once.
const PIECE: usize = 64 * 1024;
/// A download that took no piece for so long has no right to its place any more: whoever needs it gets it. Longer than
/// a line of some hundred bit/s needs for what is on its way.
const STALLED: Duration = Duration::from_secs(60);

/// The downloads of a controller.
#[derive(Debug)]
pub struct Downloads {
    limit: usize,
    per_second: u64,
    inside: Mutex<Inside>,
    bytes: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Inside {
    next: u64,
    /// When each took its last piece.
    running: BTreeMap<u64, Instant>,
    bucket: Bucket,
    drain: Drain,
}

/// A download's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    downloads: Arc<Downloads>,
    number: u64,
}

impl Downloads {
    /// So many at a time, so many bytes a second of all together.
    #[must_use]
    pub fn new(limit: usize, bytes_per_second: u64) -> Arc<Self> {
        let now = Instant::now();
        let bucket = Bucket::new(bytes_per_second, now);
        let inside = Inside { next: 0, running: BTreeMap::new(), bucket, drain: Drain::new(now) };
        Arc::new(Self {
            limit,
            per_second: bytes_per_second,
            inside: Mutex::new(inside),
            bytes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a download of `bytes`.
    ///
    /// # Errors
    /// When to come back, if there is none.
    pub fn enter(self: &Arc<Self>, bytes: u64, now: Instant) -> Result<Place, Full> {
        let mut inside = self.lock();
        if inside.running.len() >= self.limit {
            inside.running.retain(|_, last| now.saturating_duration_since(*last) < STALLED);
        }
        if inside.running.len() >= self.limit {
            self.refused.fetch_add(1, Ordering::Relaxed);
            // As long as none has ended: as fast as the pace lets files of this size out.
            #[allow(clippy::cast_precision_loss)] // far below 2^53
            let expected = self.per_second as f64 / bytes.max(1) as f64;
            let per_second = inside.drain.per_second(now).unwrap_or(expected);
            return Err(Full { retry_after: retry_after(inside.running.len(), Some(per_second)) });
        }
        let number = inside.next;
        inside.next += 1;
        inside.running.insert(number, now);
        Ok(Place { downloads: Arc::clone(self), number })
    }

    /// How many are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().running.len()
    }

    /// Bytes that were sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many were told to come back later.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Takes a piece: how long to wait before it is sent; none if the place was given to somebody else meanwhile.
    fn take(&self, bytes: usize, now: Instant) -> Option<Duration> {
        let mut inside = self.downloads.lock();
        *inside.running.get_mut(&self.number)? = now;
        let wait = inside.bucket.take(bytes, now);
        self.downloads.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Some(wait)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.downloads.lock();
        if inside.running.remove(&self.number).is_some() {
            inside.drain.done(Instant::now());
        }
    }
}

/// The next `length` bytes of a file, at the pace of its place.
pub fn content(
    file: tokio::fs::File,
    length: u64,
    place: Place,
) -> impl Stream<Item = Result<Bytes, io::Error>> {
    try_unfold((file, length, place), |(mut file, left, place)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
        file.read_exact(&mut piece).await?;
        let stalled =
            || io::Error::new(io::ErrorKind::TimedOut, "the download stood still, its place is gone");
        let wait = place.take(piece.len(), Instant::now()).ok_or_else(stalled)?;
        tokio::time::sleep(wait).await;
        let left = left - piece.len() as u64;
        Ok(Some((Bytes::from(piece), (file, left, place))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_and_are_given_back() {
        let downloads = Downloads::new(2, 1_000_000);
        let now = Instant::now();
        let first = downloads.enter(20_000_000, now).unwrap();
        let second = downloads.enter(20_000_000, now).unwrap();
        let full = downloads.enter(20_000_000, now).unwrap_err();
        assert_eq!(full.retry_after, 10, "two files of 20 s each are before it");
        let full = downloads.enter(1_000, now).unwrap_err();
        assert_eq!(full.retry_after, 1);
        assert_eq!((downloads.count(), downloads.refused()), (2, 2));
        drop(first);
        assert_eq!(downloads.count(), 1);
        let third = downloads.enter(1, now).unwrap();
        drop((second, third));
        assert_eq!(downloads.count(), 0);
    }

    #[test]
    fn a_download_that_stands_still_keeps_nobody_out() {
        let downloads = Downloads::new(2, 1_000_000);
        let start = Instant::now();
        let still = downloads.enter(1, start).unwrap();
        let moving = downloads.enter(1, start).unwrap();
        let later = start + STALLED;
        assert!(moving.take(10, later).is_some());
        let third = downloads.enter(1, later).unwrap();
        assert_eq!(still.take(10, later), None, "its place is another's");
        drop(still);
        assert_eq!(downloads.count(), 2, "nothing is given back twice");
        drop((moving, third));
    }
}
