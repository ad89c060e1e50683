//! The pipeline: decode ▸ enrich ▸ severity ▸ filter ▸ route ▸ format, for one source.
//!
//! It is a plain struct that its source's actor owns, not an actor of its own: one entry is taken from
//! reply bytes to SIEM bytes in one pass over one reused [`Event`], so nothing is allocated or sent
//! between threads per event (docs/decisions). What it decides with, the compiled policy, can be
//! exchanged between two batches.

mod counters;
mod damage;
mod output;
#[cfg(test)]
mod tests;
mod throttle;

pub use counters::{CountersSnapshot, FaultCount, RuleCounts, SourceCounters};
pub use damage::Damage;
pub use output::Output;

use crate::collector::{COMMAND_ENTRY, OutageWatch};
use crate::destination::{Delivery, Mark};
use crate::inspect::{Look, SourceWatch};
use crate::lane::Lane;
use crate::source::audit_journal::EntryBatch;
use crate::source::record::RecordBatch;
use crate::source::{Gap, GapUnit};
use damage::WholeTypes;
use muster_ibmi::audit::{AuditDecoder, JournalEntry};
use muster_shared::cursor::{Cursor, JournalCursor, ReceiverId};
use muster_shared::event::{AgentEvent, Event, EventKind, field};
use muster_shared::partition::Partition;
use muster_shared::policy::replay::Fate;
use muster_shared::policy::throttle::Summary;
use muster_shared::policy::{CompiledPolicy, EventSource, Fault};
use muster_shared::severity::Severity;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Entries between two marks: what a crash repeats at most beyond the replay window. Small enough to be
/// a fraction of any window, large enough that marks cost nothing.
const MARK_EVERY: u32 = 256;

/// One lane that a batch is made for.
#[derive(Debug, Clone)]
pub struct Target {
    /// The lane.
    pub lane: Arc<Lane>,
    /// Epoch in which the batch was read.
    pub epoch: u64,
    /// Index of its destination in the compiled policy.
    pub destination: usize,
}

/// See the module.
pub struct Pipeline {
    source_name: String,
    source_key: String,
    partition: Arc<Partition>,
    policy: Arc<CompiledPolicy>,
    outputs: Vec<Output>,
    decoder: AuditDecoder,
    event: Event,
    counters: Arc<SourceCounters>,
    watch: Option<Arc<SourceWatch>>,
    outage: Option<Arc<OutageWatch>>,
    lease_epoch: Arc<AtomicU64>,
    prefix_of: Option<ReceiverId>,
    whole: WholeTypes,
}

impl Pipeline {
    /// A pipeline for the source `source_name`. `outputs` has one entry per destination of `policy`, in
    /// its order.
    #[must_use]
    pub fn new(
        source_name: &str,
        source_key: &str,
        partition: Arc<Partition>,
        policy: Arc<CompiledPolicy>,
        outputs: Vec<Output>,
        counters: Arc<SourceCounters>,
    ) -> Self {
        Self {
            source_name: source_name.to_owned(),
            source_key: source_key.to_owned(),
            decoder: AuditDecoder::new(partition.ccsid),
            partition,
            policy,
            outputs,
            event: Event::new(),
            counters,
            watch: None,
            outage: None,
            lease_epoch: Arc::default(),
            prefix_of: None,
            whole: WholeTypes::default(),
        }
    }

    /// Shows what passes to whoever looks into the agent.
    #[must_use]
    pub fn watched(self, watch: Arc<SourceWatch>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Tells of commands after which the partition goes away.
    #[must_use]
    pub fn noticing(self, outage: Arc<OutageWatch>) -> Self {
        Self { outage: Some(outage), ..self }
    }

    /// Events tell the epoch of the lease under which they were collected; 0 is told by none.
    #[must_use]
    pub fn under_lease(self, lease_epoch: Arc<AtomicU64>) -> Self {
        Self { lease_epoch, ..self }
    }

    /// Uses another policy from the next batch on. Only filters, routes and severities may differ.
    pub fn set_policy(&mut self, policy: Arc<CompiledPolicy>) {
        self.policy = policy;
    }

    /// The policy in use.
    #[must_use]
    pub fn policy(&self) -> &Arc<CompiledPolicy> {
        &self.policy
    }

    /// Turns a batch into one delivery per target. `last` is the cursor after the batch. Bad rows
    /// are decoded as far as they go and counted.
    pub fn process(&mut self, entries: &EntryBatch, last: &Cursor, targets: &[Target]) -> Vec<Delivery> {
        // Entries of a journal come with a place in one.
        let Some(last_entry) = last.journal() else { return Self::moved(last, targets) };
        self.set_prefix(&last_entry.receiver);
        let receiver = &last_entry.receiver;
        let mut deliveries: Vec<Delivery> = targets.iter().map(empty_delivery).collect();
        let mut step = Step {
            judge: Judge {
                policy: &self.policy,
                source: EventSource::new(&self.source_name, self.partition.utc_offset_seconds),
                throttles: self.counters.throttles.open(&self.policy, targets),
                faults: Vec::new(),
                newest_us: 0,
            },
            decoder: &mut self.decoder,
            event: &mut self.event,
            outputs: &mut self.outputs,
            tally: self.counters.tally(),
            high_water: self.counters.high_water().filter(|(attached, _)| *attached >= receiver.attached_us),
            attached_us: receiver.attached_us,
            lease_epoch: self.lease_epoch.load(Ordering::Relaxed),
            outage: self.outage.as_deref(),
            look: self.watch.as_ref().map(|watch| watch.batch(entries.rows(), Instant::now())),
            whole: &mut self.whole,
        };
        let mut since_mark = 0_u32;
        let stats = entries.visit(&mut |entry| {
            step.entry(entry, targets, &mut deliveries);
            since_mark += 1;
            if since_mark == MARK_EVERY {
                since_mark = 0;
                let cursor =
                    Cursor::Journal(JournalCursor { receiver: receiver.clone(), sequence: entry.sequence });
                for delivery in &mut deliveries {
                    push_mark(delivery, cursor.clone());
                }
            }
        });
        step.tally.bad_rows += stats.bad_rows;
        if let Some(last) = stats.last_bad {
            step.tally.damaged(stats.bad_rows, last);
        }
        self.counters.add(&step.tally, &self.policy);
        let (newest_us, due) = (step.judge.newest_us, step.judge.end());
        // Releases what it holds of the watch and of the throttles.
        drop(step);
        self.counters.counted_up_to(receiver.attached_us, last_entry.sequence);
        self.summaries(&due, targets, &mut deliveries);
        self.finish(&mut deliveries, last, targets, newest_us);
        deliveries
    }

    /// Turns records into one delivery per target. `last` is the cursor after them.
    pub fn process_records(
        &mut self,
        records: &dyn RecordBatch,
        last: &Cursor,
        targets: &[Target],
    ) -> Vec<Delivery> {
        let mut deliveries: Vec<Delivery> = targets.iter().map(empty_delivery).collect();
        let mut tally = self.counters.tally();
        let counted = self.counters.high_water().map_or(0, |(_, sequence)| sequence);
        let mut judge = Judge {
            policy: &self.policy,
            source: EventSource::new(&self.source_name, self.partition.utc_offset_seconds),
            throttles: self.counters.throttles.open(&self.policy, targets),
            faults: Vec::new(),
            newest_us: 0,
        };
        let mut sequence = counted;
        let mut look = self.watch.as_ref().map(|watch| watch.batch(records.count(), Instant::now()));
        for index in 0..records.count() {
            self.event.clear();
            let facts = records.fill(index, &mut self.event);
            push_epoch(&mut self.event, self.lease_epoch.load(Ordering::Relaxed));
            let (decoded_severity, fate) = judge.fate(&mut self.event, targets);
            sequence = sequence.max(facts.sequence);
            if facts.sequence > counted {
                tally.record(facts.bytes, self.event.time_us, fate);
                tally.faults(&judge.faults);
                if let Some(look) = &mut look {
                    look.event(&self.event, decoded_severity, fate, &self.policy);
                }
            }
            write_kept(fate, &self.event, targets, &mut self.outputs, &mut deliveries);
            for delivery in &mut deliveries {
                if let Some(cursor) = &facts.cursor {
                    push_mark(delivery, cursor.clone());
                }
            }
        }
        drop(look);
        let (newest_us, due) = (judge.newest_us, judge.end());
        drop(judge);
        // The next journal entry sets its own prefix again.
        self.prefix_of = None;
        self.counters.add(&tally, &self.policy);
        self.counters.counted_up_to(0, sequence);
        self.summaries(&due, targets, &mut deliveries);
        self.finish(&mut deliveries, last, targets, newest_us);
        deliveries
    }

    /// There is nothing to read after `position` for these targets: summaries of throttles that are due at `now_us`,
    /// if any.
    pub fn idle(&mut self, position: &Cursor, targets: &[Target], now_us: i64) -> Option<Vec<Delivery>> {
        let mut throttles = self.counters.throttles.open(&self.policy, targets);
        throttles.idle(now_us);
        let due = throttles.take_due();
        drop(throttles);
        if due.iter().all(Vec::is_empty) {
            return None;
        }
        let mut deliveries: Vec<Delivery> = targets.iter().map(empty_delivery).collect();
        self.summaries(&due, targets, &mut deliveries);
        self.finish(&mut deliveries, position, targets, 0);
        Some(deliveries)
    }

    /// Writes what throttles held back to the destinations that it was held back from.
    fn summaries(&mut self, due: &[Vec<Summary>], targets: &[Target], deliveries: &mut [Delivery]) {
        if due.iter().all(Vec::is_empty) {
            return;
        }
        let front = format!("{}/{}", self.partition.key(), self.source_key);
        let epoch = self.lease_epoch.load(Ordering::Relaxed);
        for ((due, target), delivery) in due.iter().zip(targets).zip(deliveries) {
            for summary in due {
                summary.fill(&mut self.event, &front);
                push_epoch(&mut self.event, epoch);
                self.outputs[target.destination].write(&self.event, delivery);
            }
        }
        // The next ordinary entry sets its own prefix again.
        self.prefix_of = None;
    }

    /// Ends a batch: the last mark, the newest event, and what the outputs have to count.
    fn finish(&mut self, deliveries: &mut [Delivery], last: &Cursor, targets: &[Target], newest_us: i64) {
        for (delivery, target) in deliveries.iter_mut().zip(targets) {
            push_mark(delivery, last.clone());
            delivery.newest_us = delivery.newest_us.max(newest_us);
            let counts = self.outputs[target.destination].take_counts();
            target.lane.count_truncated(counts.truncated);
        }
    }

    /// A gap as an event to every target, whatever the filters say, with the cursor behind the gap.
    #[must_use]
    pub fn gap(&mut self, gap: &Gap, next: &Cursor, targets: &[Target], now_us: i64) -> Vec<Delivery> {
        self.fill_gap(gap, now_us);
        targets
            .iter()
            .map(|target| {
                let mut delivery = empty_delivery(target);
                self.outputs[target.destination].write(&self.event, &mut delivery);
                push_mark(&mut delivery, next.clone());
                delivery
            })
            .collect()
    }

    /// A move of the cursor without events, for each target.
    #[must_use]
    pub fn moved(next: &Cursor, targets: &[Target]) -> Vec<Delivery> {
        let mut deliveries: Vec<Delivery> = targets.iter().map(empty_delivery).collect();
        for delivery in &mut deliveries {
            push_mark(delivery, next.clone());
        }
        deliveries
    }

    fn fill_gap(&mut self, gap: &Gap, now_us: i64) {
        let event = &mut self.event;
        event.clear();
        event.kind = EventKind::Agent(AgentEvent::Gap);
        event.name = AgentEvent::Gap.text();
        event.time_us = now_us;
        event.severity = Severity::clamped(9);
        event.sequence = gap.from;
        event.id_prefix =
            Arc::from(format!("{}/{}/gap/{}/", self.partition.key(), self.source_key, gap.receiver));
        event.push(field::RECEIVER, &gap.receiver);
        let numbered = gap.unit == GapUnit::Sequence;
        if numbered {
            event.push_int(field::GAP_FROM, i64::try_from(gap.from).unwrap_or(i64::MAX));
        }
        // Of a span of time nobody knows how many entries it held; the reason tells from when to when.
        if let Some(to) = gap.to.filter(|_| numbered) {
            event.push_int(field::GAP_TO, i64::try_from(to).unwrap_or(i64::MAX));
            let count = to.saturating_sub(gap.from).saturating_add(1);
            event.push_int(field::GAP_COUNT, i64::try_from(count).unwrap_or(i64::MAX));
        }
        event.push(field::REASON, &gap.reason);
        push_epoch(event, self.lease_epoch.load(Ordering::Relaxed));
        // The next ordinary entry sets its own prefix again.
        self.prefix_of = None;
    }

    fn set_prefix(&mut self, receiver: &ReceiverId) {
        if self.prefix_of.as_ref() != Some(receiver) {
            self.event.id_prefix = Arc::from(format!(
                "{}/{}/{}/{}@{}/",
                self.partition.key(),
                self.source_key,
                receiver.library,
                receiver.name,
                receiver.attached_us
            ));
            self.prefix_of = Some(receiver.clone());
        }
    }
}

/// Doubles of two agents of a partition are told by it.
fn push_epoch(event: &mut Event, epoch: u64) {
    if epoch > 0 {
        event.push_int(field::LEASE_EPOCH, i64::try_from(epoch).unwrap_or(i64::MAX));
    }
}

/// Writes an event to those of the targets that it goes to.
fn write_kept(
    fate: Fate,
    event: &Event,
    targets: &[Target],
    outputs: &mut [Output],
    deliveries: &mut [Delivery],
) {
    let Fate::Kept { destinations, .. } = fate else { return };
    for (target, delivery) in targets.iter().zip(deliveries) {
        if destinations & (1 << target.destination) != 0 {
            outputs[target.destination].write(event, delivery);
        }
    }
}

/// The policy and its throttles over the events of one batch.
struct Judge<'p> {
    policy: &'p CompiledPolicy,
    source: EventSource<'p>,
    throttles: throttle::Open<'p>,
    /// Expressions that failed on the event judged last.
    faults: Vec<Fault>,
    newest_us: i64,
}

impl Judge<'_> {
    /// Sets the severity of an event. Says which it had before, and what becomes of the event for these targets.
    #[inline]
    fn fate(&mut self, event: &mut Event, targets: &[Target]) -> (Severity, Fate) {
        self.faults.clear();
        let decoded = event.severity;
        let verdict = self.policy.judge(event, self.source, &mut self.faults);
        self.newest_us = self.newest_us.max(event.time_us);
        (decoded, self.throttles.settle(self.policy, verdict, event, targets))
    }

    /// The batch is over: summaries that are due, for each target.
    fn end(&mut self) -> Vec<Vec<Summary>> {
        self.throttles.advance(self.newest_us);
        self.throttles.take_due()
    }
}

/// What one entry passes through; borrows the parts of the pipeline apart from the batch.
struct Step<'p> {
    judge: Judge<'p>,
    decoder: &'p mut AuditDecoder,
    event: &'p mut Event,
    outputs: &'p mut [Output],
    tally: counters::Tally,
    high_water: Option<(i64, u64)>,
    attached_us: i64,
    lease_epoch: u64,
    outage: Option<&'p OutageWatch>,
    look: Option<Look<'p>>,
    whole: &'p mut WholeTypes,
}

impl Step<'_> {
    fn entry(&mut self, entry: &JournalEntry<'_>, targets: &[Target], deliveries: &mut [Delivery]) {
        let decoded = self.decoder.decode(entry, self.event);
        push_epoch(self.event, self.lease_epoch);
        let (decoded_severity, fate) = self.judge.fate(self.event, targets);
        if self.high_water.is_none_or(|seen| (self.attached_us, entry.sequence) > seen) {
            self.tally.entry(entry, &decoded, fate);
            if self.whole.is_damaged(entry.entry_type, &decoded) {
                self.tally.damaged(1, (entry.code, entry.entry_type));
            }
            self.tally.faults(&self.judge.faults);
            if entry.entry_type == COMMAND_ENTRY
                && entry.code == b'T'
                && let Some(outage) = self.outage
            {
                outage.look(self.event);
            }
            if let Some(look) = &mut self.look {
                look.entry(entry, self.event, decoded_severity, fate, self.judge.policy);
            }
        }
        write_kept(fate, self.event, targets, self.outputs, deliveries);
    }
}

fn empty_delivery(target: &Target) -> Delivery {
    Delivery {
        lane: Arc::clone(&target.lane),
        epoch: target.epoch,
        bytes: Vec::new(),
        ends: Vec::new(),
        marks: Vec::new(),
        newest_us: 0,
    }
}

fn push_mark(delivery: &mut Delivery, cursor: Cursor) {
    // Lengths are bounded by the batch: at most 5,000 messages of some 100 KiB.
    let events = delivery.ends.len() as u32;
    if let Some(last) = delivery.marks.last_mut()
        && last.events == events
    {
        last.cursor = cursor;
        return;
    }
    delivery.marks.push(Mark { offset: delivery.bytes.len(), events, cursor });
}
