//! What arrived at the receiver of a fleet, read once as it comes: in full size there are too many messages to look at all
//! of them again and again.

use muster_tests::readers::{Dialect, read};
use muster_tests::receiver::Receiver;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What arrived, by partition.
#[derive(Default)]
pub(super) struct Ledger {
    partitions: BTreeMap<String, Arrived>,
}

/// What arrived of a partition.
#[derive(Default)]
struct Arrived {
    /// Ids of its events.
    events: BTreeSet<String>,
    /// Which entries of its journal they are.
    entries: BTreeSet<String>,
    /// When each of them came for the first time, in order.
    firsts: Vec<Instant>,
    /// How many came again.
    again: usize,
}

impl Ledger {
    /// Takes over what came since the last time.
    pub(super) fn take(&mut self, receiver: &Receiver) {
        for (at, message) in receiver.take_arrivals() {
            let Ok(seen) = read(Dialect::Leef, &message) else { continue };
            let Some(id) = seen.values.get("eventId").filter(|_| !seen.event_id.starts_with("MUSTER")) else {
                continue;
            };
            let entry = seen.journal_entry().filter(|_| id.contains("QAUDJRN")).map(str::to_owned);
            let arrived = self.partitions.entry(seen.host.clone()).or_default();
            if arrived.events.insert(id.clone()) {
                arrived.firsts.push(at);
                arrived.entries.extend(entry);
            } else {
                arrived.again += 1;
            }
        }
    }

    /// How many events of a partition came.
    pub(super) fn count(&self, partition: &str) -> usize {
        self.partitions.get(partition).map_or(0, |arrived| arrived.events.len())
    }

    /// How many of these entries of a partition's journal did not come, and the first of them.
    pub(super) fn missing(&self, partition: &str, written: &[String]) -> Option<(usize, String)> {
        let came = self.partitions.get(partition).map(|arrived| &arrived.entries);
        let mut missing = written.iter().filter(|entry| !came.is_some_and(|came| came.contains(*entry)));
        let first = missing.next()?.clone();
        Some((1 + missing.count(), first))
    }

    /// How many came more than once, each time counted.
    pub(super) fn duplicates(&self) -> usize {
        self.partitions.values().map(|arrived| arrived.again).sum()
    }

    /// The longest time in which nothing new of a partition arrived, since `from`.
    pub(super) fn longest_pause(&self, from: Instant) -> Duration {
        let pauses = self.partitions.values().flat_map(|arrived| arrived.firsts.windows(2));
        let since = |pair: &[Instant]| pair[1].saturating_duration_since(pair[0].max(from));
        pauses.map(since).max().unwrap_or_default()
    }
}
