//! The audit journal: receivers as append-only lists of entries that roll over and get deleted.

mod body;
mod truth;

use std::collections::VecDeque;
use std::sync::Arc;

pub use body::Body;
pub use truth::PutEntry;

use crate::scenario::JournalPlan;

/// One entry. What many entries have in common is shared.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Number in its receiver.
    pub sequence: u64,
    /// Local time of the partition, microseconds since 1970.
    pub at: i64,
    /// Port that the job came from.
    pub remote_port: u16,
    /// An internal entry, shown only with INCLUDE_INTERNAL => 'YES'.
    pub internal: bool,
    /// Everything else.
    pub body: Arc<Body>,
}

/// One journal receiver.
#[derive(Debug)]
pub struct Receiver {
    /// Grows with every receiver ever attached; tells receivers of the same name apart.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Local time of its attachment, microseconds.
    pub attached: i64,
    /// Local time of its detachment.
    pub detached: Option<i64>,
    /// Does the sequence start anew here?
    pub reset: bool,
    /// Sequence of the first entry.
    pub first: u64,
    /// Entries in order of their sequence.
    pub entries: Vec<Entry>,
}

impl Receiver {
    /// Sequence of the last entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.entries.last().map_or(self.first, |entry| entry.sequence)
    }

    /// Index of the first entry with this sequence or a later one.
    #[must_use]
    pub fn seek(&self, sequence: u64) -> usize {
        self.entries.partition_point(|entry| entry.sequence < sequence)
    }
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    /// How it behaves.
    pub plan: JournalPlan,
    receivers: VecDeque<Receiver>,
    next_id: u64,
    next_number: u32,
    next_sequence: u64,
    hole: Arc<Body>,
    total: u64,
}

impl Journal {
    /// A journal with its first receiver attached.
    #[must_use]
    pub fn new(plan: JournalPlan, now: i64) -> Self {
        let mut journal = Self {
            next_sequence: plan.first_sequence.max(1),
            plan,
            receivers: VecDeque::new(),
            next_id: 1,
            next_number: 1,
            hole: Arc::new(Body::of_journal("CI")),
            total: 0,
        };
        journal.attach(now, false);
        journal
    }

    fn attach(&mut self, now: i64, reset: bool) {
        if reset {
            self.next_sequence = 1;
        }
        let name = self.next_name();
        let before = self.receivers.back().map_or("*NONE", |receiver| receiver.name.as_str());
        let library = if before == "*NONE" { "" } else { &self.plan.receiver_library };
        let start = Arc::new(Body::of_chain("PR", library, before));
        let receiver = Receiver {
            id: self.next_id,
            name,
            attached: now,
            detached: None,
            reset,
            first: self.next_sequence,
            entries: Vec::new(),
        };
        self.receivers.push_back(receiver);
        self.next_id += 1;
        self.next_number = self.next_number % 9999 + 1;
        self.push(now, 0, start, false);
    }

    /// Name of the receiver that is attached next.
    fn next_name(&self) -> String {
        format!("{}{:04}", self.plan.receiver_prefix, self.next_number)
    }

    fn push(&mut self, at: i64, remote_port: u16, body: Arc<Body>, internal: bool) -> u64 {
        let sequence = self.next_sequence;
        if let Some(receiver) = self.receivers.back_mut() {
            self.next_sequence += 1;
            receiver.entries.push(Entry { sequence, at, remote_port, internal, body });
        }
        sequence
    }

    /// Adds an entry to the attached receiver, attaching the next one first where it is full. Returns its
    /// sequence.
    pub fn append(&mut self, at: i64, remote_port: u16, body: Arc<Body>) -> u64 {
        let full = self.plan.receiver_size > 0
            && self
                .receivers
                .back()
                .is_some_and(|receiver| receiver.entries.len() >= self.plan.receiver_size);
        if full {
            self.roll_over(at, false);
        }
        if self.plan.hole_every > 0 && self.next_sequence.is_multiple_of(self.plan.hole_every) {
            let hole = Arc::clone(&self.hole);
            self.push(at, 0, hole, true);
        }
        self.total += 1;
        self.push(at, remote_port, body, false)
    }

    /// Detaches the receiver and attaches the next one; with `reset` its sequence starts at 1.
    pub fn roll_over(&mut self, now: i64, reset: bool) {
        let end = Arc::new(Body::of_chain("NR", &self.plan.receiver_library, &self.next_name()));
        self.push(now, 0, end, false);
        if let Some(receiver) = self.receivers.back_mut() {
            receiver.detached = Some(now);
        }
        self.attach(now, reset);
        while self.plan.keep_receivers > 0 && self.receivers.len() > self.plan.keep_receivers {
            self.receivers.pop_front();
        }
    }

    /// Deletes the oldest detached receiver and returns its name.
    pub fn prune_oldest(&mut self) -> Option<String> {
        if self.receivers.len() < 2 {
            return None;
        }
        self.receivers.pop_front().map(|receiver| receiver.name)
    }

    /// Deletes the journal with all receivers and creates it anew: same names, other attach time, sequence 1.
    pub fn recreate(&mut self, now: i64) {
        self.receivers.clear();
        self.next_number = 1;
        self.next_sequence = 1;
        self.attach(now, false);
    }

    /// All receivers, oldest first; the last one is attached.
    #[must_use]
    pub fn receivers(&self) -> &VecDeque<Receiver> {
        &self.receivers
    }

    /// The receiver of that name.
    #[must_use]
    pub fn receiver(&self, library: &str, name: &str) -> Option<&Receiver> {
        if library != self.plan.receiver_library {
            return None;
        }
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// The receiver with that id, or the next one after it where it is gone.
    #[must_use]
    pub fn at_or_after(&self, id: u64) -> Option<&Receiver> {
        self.receivers.get(self.receivers.partition_point(|receiver| receiver.id < id))
    }

    /// Entries ever written, those of deleted receivers too, without the journal's own.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(size: usize, hole_every: u64) -> Journal {
        Journal::new(JournalPlan { receiver_size: size, hole_every, ..JournalPlan::default() }, 1000)
    }

    fn fill(journal: &mut Journal, count: usize) -> Vec<u64> {
        let body = Arc::new(Body::of_journal("XX"));
        (0..count).map(|_| journal.append(2000, 1, Arc::clone(&body))).collect()
    }

    #[test]
    fn receivers_roll_over_and_the_sequence_goes_on() {
        let mut journal = journal(5, 0);
        assert_eq!(fill(&mut journal, 6), [2, 3, 4, 5, 8, 9]);
        let names: Vec<_> =
            journal.receivers().iter().map(|r| (r.name.as_str(), r.first, r.last())).collect();
        assert_eq!(names, [("AUDRCV0001", 1, 6), ("AUDRCV0002", 7, 9)]);
        assert_eq!(journal.receivers()[0].detached, Some(2000));
    }

    #[test]
    fn the_entries_at_both_ends_of_a_receiver_name_its_neighbours() {
        let mut journal = journal(0, 0);
        journal.roll_over(3000, false);
        let named = |receiver: usize, entry: usize| {
            let entry = &journal.receivers()[receiver].entries[entry];
            let names: Vec<_> = entry.body.fields.iter().map(|field| field.text.as_str()).collect();
            format!("{} {}/{}", entry.body.entry_type, names[1], names[0])
        };
        assert_eq!(
            [named(0, 0), named(0, 1), named(1, 0)],
            ["PR /*NONE", "NR QGPL/AUDRCV0002", "PR QGPL/AUDRCV0001"]
        );
        assert_eq!(journal.receivers()[1].entries[0].body.full_data().len(), 40);
    }

    #[test]
    fn internal_entries_leave_holes() {
        let mut journal = journal(0, 3);
        assert_eq!(fill(&mut journal, 4), [2, 4, 5, 7]);
        assert_eq!(journal.receivers()[0].seek(3), 2);
        assert!(journal.receivers()[0].entries[2].internal);
    }

    #[test]
    fn a_reset_and_a_new_journal_start_at_one() {
        let mut journal = journal(0, 0);
        fill(&mut journal, 2);
        journal.roll_over(3000, true);
        assert_eq!(fill(&mut journal, 1), [2]);
        assert_eq!(journal.receivers()[1].first, 1);
        journal.recreate(9000);
        assert_eq!(journal.receivers().len(), 1);
        assert_eq!(
            (journal.receivers()[0].name.as_str(), journal.receivers()[0].attached),
            ("AUDRCV0001", 9000)
        );
    }

    #[test]
    fn the_attached_receiver_is_never_pruned() {
        let mut journal = journal(0, 0);
        assert_eq!(journal.prune_oldest(), None);
        journal.roll_over(3000, false);
        assert_eq!(journal.prune_oldest().as_deref(), Some("AUDRCV0001"));
        assert_eq!(journal.at_or_after(1).map(|receiver| receiver.name.as_str()), Some("AUDRCV0002"));
    }
}
