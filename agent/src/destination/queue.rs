//! What waits to be written. Bounded: the credit of the lanes keeps it small, and what comes without
//! credit is thrown away by rewinding its lane, which loses nothing.

use super::Delivery;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most bytes that may wait. Sources stop at 2 MiB a lane; this is the second lock.
pub(super) const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// Most deliveries that may wait.
pub(super) const MAX_QUEUED: usize = 4_096;

/// Deliveries in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Queue {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
}

impl Queue {
    /// Adds a delivery. An outdated one, or one beyond the bounds, is thrown away and its credit given back.
    pub(super) fn push(&mut self, delivery: Delivery) {
        let size = delivery.bytes.len();
        if delivery.lane.epoch() != delivery.epoch {
            delivery.lane.take_queued(size);
            return;
        }
        if self.deliveries.len() >= MAX_QUEUED || self.bytes + size > MAX_QUEUED_BYTES {
            delivery.lane.take_queued(size);
            delivery.lane.rewind();
            return;
        }
        // A source whose events are all filtered away needs no credit: only its last mark matters.
        if size == 0
            && let Some(last) = self.deliveries.back_mut()
            && last.bytes.is_empty()
            && last.epoch == delivery.epoch
            && Arc::ptr_eq(&last.lane, &delivery.lane)
        {
            if let Some(mark) = delivery.marks.into_iter().next_back() {
                last.marks = vec![mark];
            }
            last.newest_us = last.newest_us.max(delivery.newest_us);
            return;
        }
        self.bytes += size;
        self.deliveries.push_back(delivery);
    }

    /// Takes the next delivery that is not outdated. Its credit is given back by whoever writes it.
    pub(super) fn pop(&mut self) -> Option<Delivery> {
        while let Some(delivery) = self.deliveries.pop_front() {
            self.bytes -= delivery.bytes.len();
            if delivery.lane.epoch() == delivery.epoch {
                return Some(delivery);
            }
            delivery.lane.take_queued(delivery.bytes.len());
        }
        None
    }

    /// Throws everything away and gives the credit back.
    pub(super) fn clear(&mut self) {
        for delivery in self.deliveries.drain(..) {
            delivery.lane.take_queued(delivery.bytes.len());
        }
        self.bytes = 0;
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Mark;
    use crate::lane::{LANE_QUEUE_BYTES, Lane};
    use muster_shared::cursor::{Cursor, CursorKey, JournalCursor, ReceiverId};

    fn lane() -> Arc<Lane> {
        Arc::new(Lane::new(CursorKey { source: "audit".into(), destination: "siem".into() }, None))
    }

    fn delivery(lane: &Arc<Lane>, epoch: u64, bytes: usize, sequence: u64) -> Delivery {
        let receiver = ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 1 };
        let cursor = Cursor::Journal(JournalCursor { receiver, sequence });
        lane.add_queued(bytes);
        Delivery {
            lane: Arc::clone(lane),
            epoch,
            bytes: vec![b'x'; bytes],
            ends: vec![bytes as u32],
            marks: vec![Mark { offset: bytes, events: 1, cursor }],
            newest_us: 0,
        }
    }

    fn has_credit(lane: &Lane) -> bool {
        lane.set_open(true);
        lane.ready()
    }

    #[test]
    fn outdated_deliveries_give_their_credit_back() {
        let (lane, mut queue) = (lane(), Queue::default());
        queue.push(delivery(&lane, 9, LANE_QUEUE_BYTES, 1));
        assert!(queue.is_empty() && has_credit(&lane));
        queue.push(delivery(&lane, 0, LANE_QUEUE_BYTES, 1));
        assert!(!has_credit(&lane));
        lane.rewind();
        assert!(queue.pop().is_none());
        assert!(has_credit(&lane));
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn empty_deliveries_become_one() {
        let (lane, mut queue) = (lane(), Queue::default());
        for n in 1..=10_000 {
            queue.push(delivery(&lane, 0, 0, n));
        }
        let marks = queue.pop().unwrap().marks;
        assert!(matches!(&marks[0].cursor, Cursor::Journal(at) if at.sequence == 10_000));
        assert!(queue.is_empty());
    }

    #[test]
    fn beyond_the_bound_a_delivery_is_thrown_away_and_read_again() {
        let (lane, mut queue) = (lane(), Queue::default());
        for n in 0..=MAX_QUEUED as u64 {
            queue.push(delivery(&lane, 0, 1, n));
        }
        assert_eq!(lane.epoch(), 1);
        queue.clear();
        assert!(has_credit(&lane));
    }
}
