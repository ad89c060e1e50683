//! A delivery on its way out: how far it is written, and what that means for its lane.

use super::stats::Stats;
use super::window::{Commit, Window};
use super::{Delivery, Mark};
use crate::lane::Lane;
use std::sync::Arc;
use std::time::Instant;

/// A lane that can be compared: two are the same when they are one object.
#[derive(Debug, Clone)]
pub(super) struct LaneRef(pub(super) Arc<Lane>);

impl PartialEq for LaneRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A delivery being written. Gives its lane the credit back byte by byte, and the rest when dropped.
#[derive(Debug)]
pub(super) struct Writing {
    lane: LaneRef,
    epoch: u64,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    marks: std::iter::Peekable<std::vec::IntoIter<Mark>>,
    newest_us: i64,
    offset: usize,
    next_end: usize,
}

impl Writing {
    pub(super) fn new(delivery: Delivery) -> Self {
        let Delivery { lane, epoch, bytes, ends, marks, newest_us } = delivery;
        Self {
            lane: LaneRef(lane),
            epoch,
            bytes,
            ends,
            marks: marks.into_iter().peekable(),
            newest_us,
            offset: 0,
            next_end: 0,
        }
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.offset..]
    }

    /// The next message, for datagrams.
    pub(super) fn next_message(&self) -> Option<&[u8]> {
        let end = *self.ends.get(self.next_end)? as usize;
        self.bytes.get(self.offset..end)
    }

    /// `written` more bytes went out: counts whole messages and gives credit back.
    fn advance(&mut self, written: usize, stats: &Stats) -> u64 {
        self.offset += written;
        let ended = self.ends[self.next_end..].partition_point(|end| *end as usize <= self.offset);
        self.next_end += ended;
        let events = ended as u64;
        self.lane.0.take_queued(written);
        self.lane.0.count_delivered(events);
        Stats::add(&stats.delivered, events);
        Stats::add(&stats.bytes, written as u64);
        if self.offset == self.bytes.len() {
            stats.saw(self.newest_us);
            self.lane.0.wrote_up_to(self.newest_us);
        }
        events
    }

    /// Counts the messages that are not written as ones that may be sent twice.
    pub(super) fn count_in_doubt(&self) {
        self.lane.0.count_replayed((self.ends.len() - self.next_end) as u64);
    }

    fn next_mark(&mut self) -> Option<Commit<LaneRef>> {
        let offset = self.offset;
        let mark = self.marks.next_if(|mark| mark.offset <= offset)?;
        Some(Commit { lane: self.lane.clone(), epoch: self.epoch, cursor: mark.cursor })
    }

    /// `written` more bytes are in the kernel: the marks behind them enter the window.
    pub(super) fn wrote(
        &mut self,
        written: usize,
        window: &mut Window<LaneRef>,
        stats: &Stats,
        now: Instant,
    ) {
        let events = self.advance(written, stats);
        window.wrote(&self.lane, written as u64, events);
        while let Some(commit) = self.next_mark() {
            window.mark(commit, now);
        }
    }

    /// A datagram of `written` bytes was sent, or cannot be: its marks are committed at once, since nobody
    /// will ever say more about it.
    pub(super) fn sent(&mut self, written: usize, stats: &Stats) {
        self.advance(written, stats);
        while let Some(commit) = self.next_mark() {
            commit.lane.0.commit(commit.epoch, commit.cursor);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.lane.0.take_queued(self.bytes.len() - self.offset);
    }
}
