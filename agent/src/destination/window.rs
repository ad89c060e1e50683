//! The replay window: which written marks may be committed, and when.
//!
//! A successful write to TCP or TLS means "in the kernel". What the receiving *program* has is not told,
//! so a mark is committed only
//! - when it was written at least one window ago on a connection that still lives, not counting time in
//!   which a write was blocked (a receiver that does not read lets the window stand still); or
//! - when more was written behind it than both kernels together hold, so that the receiving program must have
//!   read it: [`MAX_BYTES`] where nothing better is known. Therefore a fast source is never held up by the window.
//!
//! When the connection breaks, the window is thrown away and the source reads again from the committed
//! cursor. Nothing here holds event bytes. Time is passed in; the window never asks a clock.

use muster_shared::cursor::Cursor;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most bytes that may be written and not committed, if the receiver's buffer is not known. Linux gives a TCP
/// connection 4 MiB to send and 6 MiB to receive by default; ten times that leaves room for tuned hosts and for TLS.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A window of marks is kept in at most this many groups by time, so that many small deliveries need little
/// memory; a group is committed when its youngest mark is due.
const GROUPS: u32 = 64;

/// Something that may be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit<L> {
    /// Of which lane.
    pub lane: L,
    /// Epoch it was read in.
    pub epoch: u64,
    /// Cursor to commit.
    pub cursor: Cursor,
}

#[derive(Debug)]
struct Group<L> {
    commit: Commit<L>,
    /// Window time of its first mark.
    opened: Duration,
    /// Window time of its last mark.
    written: Duration,
    /// Bytes written on the connection before its first and up to its last mark.
    first_byte: u64,
    last_byte: u64,
    events: u64,
}

/// The replay window of one connection. `L` names a lane.
#[derive(Debug)]
pub struct Window<L> {
    length: Duration,
    /// Most bytes that both kernels hold.
    held: u64,
    groups: VecDeque<Group<L>>,
    /// Events written behind the last mark, by lane.
    unmarked: Vec<(L, u64)>,
    bytes: u64,
    started: Instant,
    /// Time that does not count.
    stalled: Duration,
    stalled_since: Option<Instant>,
}

impl<L: Clone + PartialEq> Window<L> {
    /// The window of a connection made at `now`, whose two kernels together hold `held` bytes at most; no more
    /// than [`MAX_BYTES`] are believed.
    #[must_use]
    pub fn new(length: Duration, held: u64, now: Instant) -> Self {
        Self {
            length,
            held: held.min(MAX_BYTES),
            groups: VecDeque::new(),
            unmarked: Vec::new(),
            bytes: 0,
            started: now,
            stalled: Duration::ZERO,
            stalled_since: None,
        }
    }

    /// A write is blocked since `now`: the window stands still.
    pub fn stall(&mut self, now: Instant) {
        self.stalled_since.get_or_insert(now);
    }

    /// Writing goes on.
    pub fn resume(&mut self, now: Instant) {
        if let Some(since) = self.stalled_since.take() {
            self.stalled += now.saturating_duration_since(since);
        }
    }

    /// Since when a write is blocked.
    #[must_use]
    pub fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// `bytes` with the ends of `events` messages of `lane` were written.
    pub fn wrote(&mut self, lane: &L, bytes: u64, events: u64) {
        self.bytes += bytes;
        match self.unmarked.iter_mut().find(|(of, _)| of == lane) {
            Some((_, count)) => *count += events,
            None => self.unmarked.push((lane.clone(), events)),
        }
    }

    /// Everything of `commit.lane` written so far belongs before this mark.
    pub fn mark(&mut self, commit: Commit<L>, now: Instant) {
        let written = self.time(now);
        let events = match self.unmarked.iter_mut().find(|(of, _)| *of == commit.lane) {
            Some((_, count)) => std::mem::take(count),
            None => 0,
        };
        let step = self.length / GROUPS;
        // Lanes take turns, so the group to add to need not be the very last one.
        if let Some(last) = self.groups.iter_mut().rev().take(16).find(|g| g.commit.lane == commit.lane)
            && last.commit.epoch == commit.epoch
            && written.saturating_sub(last.opened) <= step
            // A group ends after this many bytes as well, so that the limit by bytes stays fine.
            && self.bytes - last.first_byte <= self.held / u64::from(GROUPS)
        {
            last.commit.cursor = commit.cursor;
            last.written = written;
            last.last_byte = self.bytes;
            last.events += events;
            return;
        }
        self.groups.push_back(Group {
            commit,
            opened: written,
            written,
            first_byte: self.bytes,
            last_byte: self.bytes,
            events,
        });
    }

    /// Takes out what may be committed at `now`, oldest first.
    pub fn due(&mut self, now: Instant) -> Vec<Commit<L>> {
        let time = self.time(now);
        let mut due = Vec::new();
        while let Some(group) = self.groups.front() {
            let old_enough = time.saturating_sub(group.written) >= self.length;
            let pushed_out = self.bytes - group.last_byte >= self.held;
            if !old_enough && !pushed_out {
                break;
            }
            due.extend(self.groups.pop_front().map(|group| group.commit));
        }
        due
    }

    /// When [`Window::due`] will yield something if nothing else is written; None while nothing waits or
    /// the window stands still.
    #[must_use]
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.stalled_since.is_some() {
            return None;
        }
        let group = self.groups.front()?;
        let age = self.time(now).saturating_sub(group.written);
        Some(now + self.length.saturating_sub(age))
    }

    /// Events of `lane` written and not yet taken out by [`Window::due`]: a break sends them again.
    #[must_use]
    pub fn uncommitted(&self, lane: &L) -> u64 {
        let marked: u64 = self.groups.iter().filter(|g| g.commit.lane == *lane).map(|g| g.events).sum();
        let unmarked: u64 = self.unmarked.iter().filter(|(of, _)| of == lane).map(|(_, n)| n).sum();
        marked + unmarked
    }

    /// Window time: time since the connection was made, less the time stalled.
    fn time(&self, now: Instant) -> Duration {
        let stall = self.stalled_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        now.saturating_duration_since(self.started).saturating_sub(self.stalled + stall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::cursor::{JournalCursor, ReceiverId};

    fn commit(lane: u8, sequence: u64) -> Commit<u8> {
        let receiver = ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 1 };
        Commit { lane, epoch: 3, cursor: Cursor::Journal(JournalCursor { receiver, sequence }) }
    }

    enum Step {
        Write { lane: u8, bytes: u64, events: u64 },
        Mark(u8, u64),
        Stall,
        Resume,
        Due(&'static [(u8, u64)]),
        Next(Option<u64>),
        Uncommitted(u8, u64),
    }
    use Step::{Due, Mark, Next, Resume, Stall, Uncommitted, Write};

    /// Runs steps, each at a time in milliseconds, on a window of one second.
    fn run(steps: &[(u64, Step)]) {
        run_with(MAX_BYTES, steps);
    }

    fn run_with(held: u64, steps: &[(u64, Step)]) {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(1), held, start);
        for (number, (at, step)) in steps.iter().enumerate() {
            let now = start + Duration::from_millis(*at);
            match step {
                Write { lane, bytes, events } => window.wrote(lane, *bytes, *events),
                Mark(lane, sequence) => window.mark(commit(*lane, *sequence), now),
                Stall => window.stall(now),
                Resume => window.resume(now),
                Due(expected) => {
                    let expected: Vec<_> = expected.iter().map(|(lane, n)| commit(*lane, *n)).collect();
                    assert_eq!(window.due(now), expected, "step {number}");
                }
                Next(expected) => {
                    let next = window.next_due(now).map(|at| (at - start).as_millis() as u64);
                    assert_eq!(next, *expected, "step {number}");
                }
                Uncommitted(lane, expected) => {
                    assert_eq!(window.uncommitted(lane), *expected, "step {number}");
                }
            }
        }
    }

    const fn write(lane: u8, bytes: u64, events: u64) -> Step {
        Write { lane, bytes, events }
    }

    #[test]
    fn a_mark_is_due_one_window_after_it_was_written() {
        run(&[
            (0, Next(None)),
            (100, write(1, 500, 2)),
            (100, Mark(1, 2)),
            (600, write(1, 500, 3)),
            (600, Mark(1, 5)),
            (600, Uncommitted(1, 5)),
            (1_099, Due(&[])),
            (1_099, Next(Some(1_100))),
            (1_100, Due(&[(1, 2)])),
            (1_100, Uncommitted(1, 3)),
            (1_100, Next(Some(1_600))),
            (5_000, Due(&[(1, 5)])),
            (5_000, Next(None)),
            (5_000, Uncommitted(1, 0)),
        ]);
    }

    #[test]
    fn the_window_stands_still_while_a_write_is_blocked() {
        run(&[
            (0, Mark(1, 1)),
            (200, Stall),
            (300, Stall),
            (9_000, Due(&[])),
            (9_000, Next(None)),
            (9_200, Resume),
            (9_200, Next(Some(10_000))),
            (9_999, Due(&[])),
            (10_000, Due(&[(1, 1)])),
        ]);
    }

    #[test]
    fn what_64_mib_pushed_out_is_due_at_once_even_while_stalled() {
        run(&[
            (0, write(1, 1_000, 1)),
            (0, Mark(1, 1)),
            (100, write(2, MAX_BYTES - 1, 9)),
            (100, Mark(2, 9)),
            (100, Stall),
            (100, Due(&[])),
            (101, write(2, 1, 1)),
            (101, Due(&[(1, 1)])),
            (101, Uncommitted(2, 10)),
        ]);
    }

    #[test]
    fn what_known_buffers_pushed_out_is_due_at_once() {
        run_with(
            64_000,
            &[
                (0, write(1, 1_000, 1)),
                (0, Mark(1, 1)),
                // A sixty-fourth of the limit ends a group.
                (1, write(1, 1_001, 1)),
                (1, Mark(1, 2)),
                (2, write(1, 62_998, 63)),
                (2, Due(&[])),
                (3, write(1, 1, 1)),
                (3, Due(&[(1, 1)])),
                (4, write(1, 1_001, 1)),
                (4, Due(&[(1, 2)])),
                (4, Uncommitted(1, 65)),
            ],
        );
        // What nobody's kernel holds is not believed.
        run_with(u64::MAX, &[(0, Mark(1, 1)), (1, write(1, MAX_BYTES, 1)), (1, Due(&[(1, 1)]))]);
    }

    #[test]
    fn marks_close_together_become_one_and_lanes_stay_apart() {
        run(&[
            (0, Mark(1, 1)),
            (10, Mark(1, 2)),
            (15, Mark(1, 3)),
            (16, Mark(1, 4)),
            (16, Mark(2, 1)),
            (17, Mark(1, 5)),
            (1_014, Due(&[])),
            (1_015, Due(&[(1, 3)])),
            (1_016, Due(&[])),
            (1_017, Due(&[(1, 5), (2, 1)])),
        ]);
    }

    #[test]
    fn memory_is_bounded_by_groups_not_by_marks() {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(30), MAX_BYTES, start);
        for n in 0..30_000 {
            window.wrote(&1, 400, 1);
            window.mark(commit(1, n), start + Duration::from_millis(n));
        }
        assert!(window.groups.len() <= GROUPS as usize + 1, "{}", window.groups.len());
        assert_eq!(window.uncommitted(&1), 30_000);
    }
}
