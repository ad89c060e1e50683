//! A lane joins one source to one destination: what may be sent, from where, and what is safely there.
//!
//! The source side asks [`Lane::ready`] before it reads for a lane, and takes [`Lane::position`] as the
//! place to read from. The destination side accounts what it holds ([`Lane::add_queued`]), confirms what
//! is delivered ([`Lane::commit`]) and, when a connection broke and what it wrote may be lost, calls
//! [`Lane::rewind`]: the epoch grows, batches of older epochs are thrown away unsent, and the source
//! reads again from the committed cursor. So events are sent at least once and never held in memory for
//! a receiver that is down.

use muster_shared::cursor::{Cursor, CursorKey};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Most bytes that a lane may have queued at its destination before the source stops reading for it.
/// Two full batches of 2,000 events at 500 bytes: enough to overlap reading and sending.
pub const LANE_QUEUE_BYTES: usize = 2 * 1024 * 1024;

#[derive(Debug, Default)]
struct Position {
    /// Grows with every rewind.
    epoch: u64,
    /// Last position that the destination is known to have.
    committed: Option<Cursor>,
    /// Position up to which the source has read in this epoch; None: start from `committed`.
    read: Option<Cursor>,
}

/// State shared by the source and the destination of one lane.
#[derive(Debug)]
pub struct Lane {
    key: CursorKey,
    position: Mutex<Position>,
    queued: AtomicUsize,
    open: AtomicBool,
    draining: AtomicBool,
    changed: Arc<Notify>,
    delivered: AtomicU64,
    replayed: AtomicU64,
    truncated: AtomicU64,
    /// Time of the newest entry whose batch is written, microseconds since 1970 UTC; 0 before the first.
    written_us: AtomicI64,
    /// When the source last found nothing after what is written, the same.
    end_seen_us: AtomicI64,
    /// The last look found nothing more.
    at_end: AtomicBool,
}

impl Lane {
    /// A closed lane that will start from `committed` (None: the source's start policy decides).
    #[must_use]
    pub fn new(key: CursorKey, committed: Option<Cursor>) -> Self {
        Self::with_wake(key, committed, Arc::new(Notify::new()))
    }

    /// Like [`Lane::new`], with the notification that wakes the source; all lanes of a source share one.
    #[must_use]
    pub fn with_wake(key: CursorKey, committed: Option<Cursor>, changed: Arc<Notify>) -> Self {
        Self {
            key,
            position: Mutex::new(Position { epoch: 0, committed, read: None }),
            queued: AtomicUsize::new(0),
            open: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            changed,
            delivered: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
            written_us: AtomicI64::new(0),
            end_seen_us: AtomicI64::new(0),
            at_end: AtomicBool::new(false),
        }
    }

    /// Which source and destination this joins.
    #[must_use]
    pub fn key(&self) -> &CursorKey {
        &self.key
    }

    // A panic while the lock is held cannot leave the plain values half changed: go on with them.
    fn lock(&self) -> std::sync::MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    // ---- source side ----

    /// Epoch and place to read from next.
    #[must_use]
    pub fn position(&self) -> (u64, Option<Cursor>) {
        let position = self.lock();
        (position.epoch, position.read.clone().or_else(|| position.committed.clone()))
    }

    /// The source has read up to `cursor` in `epoch`; ignored when the lane was rewound since.
    pub fn advance(&self, epoch: u64, cursor: Cursor) {
        let mut position = self.lock();
        if position.epoch == epoch {
            position.read = Some(cursor);
        }
    }

    /// Whether the destination is connected and has room.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.open.load(Ordering::Acquire) && self.queued.load(Ordering::Acquire) < LANE_QUEUE_BYTES
    }

    /// The source looked and found more after the lane's position (or read some), or the end of the journal.
    pub fn looked(&self, at_end: bool, now_us: i64) {
        self.at_end.store(at_end, Ordering::Release);
        if at_end && self.queued.load(Ordering::Acquire) == 0 {
            self.end_seen_us.fetch_max(now_us, Ordering::AcqRel);
        }
    }

    /// How far the destination is behind, in milliseconds: nothing, while it is connected and the last look
    /// found the end of the journal with nothing left to be written; else the time since it was last known to
    /// have everything up to some moment. None before any such moment since the agent's start.
    #[must_use]
    pub fn lag_ms(&self, now_us: i64) -> Option<u64> {
        let open = self.open.load(Ordering::Acquire);
        if open && self.at_end.load(Ordering::Acquire) && self.queued.load(Ordering::Acquire) == 0 {
            return Some(0);
        }
        let known = self.written_us.load(Ordering::Acquire).max(self.end_seen_us.load(Ordering::Acquire));
        (known > 0).then(|| (now_us - known).max(0).unsigned_abs() / 1000)
    }

    /// Counts events that were cut to the length of a datagram.
    pub fn count_truncated(&self, events: u64) {
        self.truncated.fetch_add(events, Ordering::Relaxed);
    }

    /// Events that were cut so far.
    #[must_use]
    pub fn truncated(&self) -> u64 {
        self.truncated.load(Ordering::Relaxed)
    }

    // ---- destination side ----

    /// A batch is written whose newest entry is of this time, microseconds since 1970 UTC.
    pub fn wrote_up_to(&self, newest_us: i64) {
        self.written_us.fetch_max(newest_us, Ordering::AcqRel);
    }

    /// The current epoch: a batch of another one must be thrown away.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// The destination is connected (true) or cannot take anything (false).
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
        self.changed.notify_one();
    }

    /// `bytes` were put into the destination's queue (called by whoever sends the batch).
    pub fn add_queued(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::AcqRel);
    }

    /// `bytes` left the queue, written or thrown away.
    pub fn take_queued(&self, bytes: usize) {
        let _ = self
            .queued
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |queued| Some(queued.saturating_sub(bytes)));
        self.changed.notify_one();
    }

    /// Everything up to `cursor` is delivered, as far as the transport can tell. Ignored when the batch
    /// it belongs to is of an older epoch. Returns whether it counted.
    pub fn commit(&self, epoch: u64, cursor: Cursor) -> bool {
        let mut position = self.lock();
        if position.epoch != epoch {
            return false;
        }
        position.committed = Some(cursor);
        drop(position);
        if self.draining.load(Ordering::Acquire) {
            self.changed.notify_one();
        }
        true
    }

    /// What was written but not committed may be lost: read again from the committed cursor.
    pub fn rewind(&self) {
        let mut position = self.lock();
        position.epoch += 1;
        position.read = None;
        drop(position);
        self.at_end.store(false, Ordering::Release);
        self.changed.notify_one();
    }

    /// The committed cursor, to be stored.
    #[must_use]
    pub fn committed(&self) -> Option<Cursor> {
        self.lock().committed.clone()
    }

    /// Sets the first position of a source that had none (start policy), as read and committed.
    pub fn initialise(&self, cursor: Cursor) {
        let mut position = self.lock();
        if position.committed.is_none() {
            position.committed = Some(cursor);
        }
    }

    /// Another agent collected up to `cursor`: reading goes on from there, whatever was known here.
    pub fn take_over(&self, cursor: Cursor) {
        let mut position = self.lock();
        position.epoch += 1;
        position.committed = Some(cursor);
        position.read = None;
    }

    /// The source reads no more: from now on each commit wakes it, until this is taken back.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Release);
    }

    /// Everything that was read is delivered and committed; or the destination takes nothing, so that waiting
    /// for it is of no use.
    #[must_use]
    pub fn drained(&self) -> bool {
        if !self.open.load(Ordering::Acquire) {
            return true;
        }
        let position = self.lock();
        position.read.is_none() || position.read == position.committed
    }

    /// Counts events written to the transport.
    pub fn count_delivered(&self, events: u64) {
        self.delivered.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts events that a rewind will send again.
    pub fn count_replayed(&self, events: u64) {
        self.replayed.fetch_add(events, Ordering::Relaxed);
    }

    /// Events written so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Events that were or will be sent again because of breaks, at most: of a write that failed nobody knows how much
    /// arrived.
    #[must_use]
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::cursor::{JournalCursor, ReceiverId};

    fn at(sequence: u64) -> Cursor {
        Cursor::Journal(JournalCursor {
            receiver: ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 1 },
            sequence,
        })
    }

    fn lane() -> Lane {
        Lane::new(CursorKey { source: "audit".into(), destination: "siem".into() }, Some(at(10)))
    }

    #[test]
    fn a_rewind_goes_back_to_the_committed_cursor_and_outdates_old_batches() {
        let lane = lane();
        lane.advance(0, at(30));
        assert!(lane.commit(0, at(20)));
        assert_eq!(lane.position(), (0, Some(at(30))));
        lane.rewind();
        assert_eq!(lane.position(), (1, Some(at(20))));
        lane.advance(0, at(40));
        assert!(!lane.commit(0, at(40)));
        assert_eq!(lane.position(), (1, Some(at(20))));
        assert_eq!(lane.committed(), Some(at(20)));
    }

    #[tokio::test]
    async fn a_lane_is_drained_when_all_is_committed_and_says_so() {
        let lane = lane();
        assert!(lane.drained(), "closed: waiting is of no use");
        lane.set_open(true);
        assert!(lane.drained(), "nothing was read");
        lane.advance(0, at(30));
        assert!(!lane.drained());
        lane.set_draining(true);
        let changed = Arc::clone(&lane.changed);
        // Left over from the opening.
        changed.notified().await;
        lane.commit(0, at(20));
        changed.notified().await;
        assert!(!lane.drained());
        lane.commit(0, at(30));
        changed.notified().await;
        assert!(lane.drained());
    }

    #[test]
    fn what_another_agent_delivered_counts_from_then_on() {
        let lane = lane();
        lane.advance(0, at(30));
        lane.take_over(at(90));
        assert_eq!(lane.position(), (1, Some(at(90))));
        assert!(!lane.commit(0, at(30)), "what was under way is outdated");
        assert_eq!(lane.committed(), Some(at(90)));
    }

    #[test]
    fn a_destination_that_is_down_falls_behind() {
        let lane = lane();
        const SECOND: i64 = 1_000_000;
        assert_eq!(lane.lag_ms(100 * SECOND), None, "nothing is known");
        lane.set_open(true);
        lane.looked(false, 100 * SECOND);
        lane.wrote_up_to(99 * SECOND);
        assert_eq!(lane.lag_ms(101 * SECOND), Some(2_000), "more is waiting");
        lane.looked(true, 102 * SECOND);
        assert_eq!(lane.lag_ms(110 * SECOND), Some(0), "idle");
        lane.add_queued(1);
        assert_eq!(lane.lag_ms(110 * SECOND), Some(8_000), "stalled");
        lane.take_queued(1);
        lane.set_open(false);
        lane.rewind();
        assert_eq!(lane.lag_ms(112 * SECOND), Some(10_000), "down since");
        lane.set_open(true);
        assert_eq!(lane.lag_ms(113 * SECOND), Some(11_000), "back, not looked yet");
        lane.looked(true, 114 * SECOND);
        assert_eq!(lane.lag_ms(114 * SECOND), Some(0));
    }

    #[test]
    fn ready_needs_a_connection_and_room() {
        let lane = lane();
        assert!(!lane.ready());
        lane.set_open(true);
        assert!(lane.ready());
        lane.add_queued(LANE_QUEUE_BYTES);
        assert!(!lane.ready());
        lane.take_queued(1);
        assert!(lane.ready());
    }
}
