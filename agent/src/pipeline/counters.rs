//! Counters of one source: cumulative since the agent started.

use muster_ibmi::audit::{Decoded, JournalEntry};
use muster_shared::policy::Verdict;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Most entry types whose drops are counted apart; the rest is counted together. IBM i has under 100.
const MAX_TYPES: usize = 256;

/// Counts of one batch, added to the shared counters at its end.
#[derive(Debug, Default)]
pub struct Tally {
    received: u64,
    bytes: u64,
    kept: u64,
    dropped: u64,
    unknown: u64,
    short: u64,
    /// Rows that could be read only in part.
    pub bad_rows: u64,
    newest_us: i64,
    by_rule: Vec<u64>,
    /// By journal code and type.
    by_type: Vec<((u8, [u8; 2]), u64)>,
}

impl Tally {
    /// Counts one record of a source that has no entry types.
    pub fn record(&mut self, bytes: usize, time_us: i64, verdict: Verdict) {
        self.received += 1;
        self.bytes += bytes as u64;
        self.newest_us = self.newest_us.max(time_us);
        self.verdict(verdict);
    }

    fn verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Keep { .. } => self.kept += 1,
            Verdict::Drop { rule } => {
                self.dropped += 1;
                let rule = usize::from(rule.0);
                if self.by_rule.len() <= rule {
                    self.by_rule.resize(rule + 1, 0);
                }
                self.by_rule[rule] += 1;
            }
        }
    }

    /// Counts one entry.
    pub fn entry(&mut self, entry: &JournalEntry<'_>, decoded: &Decoded, verdict: Verdict) {
        self.received += 1;
        self.bytes += entry.data.len() as u64;
        self.newest_us = self.newest_us.max(entry.time_us);
        self.unknown += u64::from(!decoded.known_type);
        self.short += u64::from(decoded.short);
        self.verdict(verdict);
        if let Verdict::Drop { .. } = verdict {
            let entry_type = (entry.code, entry.entry_type);
            match self.by_type.iter_mut().find(|(known, _)| *known == entry_type) {
                Some((_, count)) => *count += 1,
                None => self.by_type.push((entry_type, 1)),
            }
        }
    }
}

/// Shared counters of one source; read by heartbeats and the uplink.
#[derive(Debug, Default)]
pub struct SourceCounters {
    received: AtomicU64,
    bytes: AtomicU64,
    kept: AtomicU64,
    dropped: AtomicU64,
    unknown: AtomicU64,
    short: AtomicU64,
    bad_rows: AtomicU64,
    /// Gaps reported.
    pub gaps: AtomicU64,
    newest_us: AtomicI64,
    /// When the source last found the end of what there is, microseconds since 1970 UTC; 0: never.
    end_seen_us: AtomicI64,
    /// The last look found nothing more.
    at_end: AtomicBool,
    /// Attach time and sequence of the newest entry counted; what is read again is not counted twice.
    high_water: Mutex<Option<(i64, u64)>>,
    drops: Mutex<Drops>,
}

#[derive(Debug, Default, Clone)]
struct Drops {
    by_rule: BTreeMap<String, u64>,
    rule_names: Vec<String>,
    by_type: BTreeMap<String, u64>,
}

/// Values of [`SourceCounters`] at one moment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CountersSnapshot {
    /// Entries read.
    pub received: u64,
    /// Bytes of entry data read.
    pub bytes: u64,
    /// Entries kept.
    pub kept: u64,
    /// Entries dropped by policy.
    pub dropped: u64,
    /// Entries of unknown type.
    pub unknown: u64,
    /// Entries shorter than their layout.
    pub short: u64,
    /// Rows that could be read only in part.
    pub bad_rows: u64,
    /// Gaps reported.
    pub gaps: u64,
    /// Time of the newest entry, microseconds since 1970 UTC; 0 if none.
    pub newest_us: i64,
    /// Lag in milliseconds.
    pub lag_ms: u64,
    /// Drops by rule name.
    pub by_rule: BTreeMap<String, u64>,
    /// Drops by entry type.
    pub by_type: BTreeMap<String, u64>,
}

impl SourceCounters {
    /// An empty tally for one batch.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::default()
    }

    fn drops(&self) -> std::sync::MutexGuard<'_, Drops> {
        // Plain counts: after a panic elsewhere they are still usable.
        self.drops.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Tells the names of the rules that a tally counts by index; called with each new policy. Counts
    /// of rules with the same name go on.
    pub fn set_rules(&self, names: &[String]) {
        self.drops().rule_names = names.to_vec();
    }

    /// Adds a batch.
    pub fn add(&self, tally: &Tally) {
        self.received.fetch_add(tally.received, Ordering::Relaxed);
        self.bytes.fetch_add(tally.bytes, Ordering::Relaxed);
        self.kept.fetch_add(tally.kept, Ordering::Relaxed);
        self.dropped.fetch_add(tally.dropped, Ordering::Relaxed);
        self.unknown.fetch_add(tally.unknown, Ordering::Relaxed);
        self.short.fetch_add(tally.short, Ordering::Relaxed);
        self.bad_rows.fetch_add(tally.bad_rows, Ordering::Relaxed);
        self.newest_us.fetch_max(tally.newest_us, Ordering::Relaxed);
        if tally.dropped == 0 {
            return;
        }
        let mut drops = self.drops();
        for (index, count) in tally.by_rule.iter().enumerate().filter(|(_, count)| **count > 0) {
            let name = drops.rule_names.get(index).cloned().unwrap_or_else(|| format!("rule {index}"));
            *drops.by_rule.entry(name).or_default() += count;
        }
        for ((code, entry_type), count) in &tally.by_type {
            let name = type_name(*code, *entry_type);
            let known = drops.by_type.contains_key(&name) || drops.by_type.len() < MAX_TYPES;
            let name = if known { name } else { "other".to_owned() };
            *drops.by_type.entry(name).or_default() += count;
        }
    }

    /// Attach time of the receiver and sequence of the newest entry counted.
    #[must_use]
    pub fn high_water(&self) -> Option<(i64, u64)> {
        *self.high_water.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Entries up to this one are counted, whatever connection they came over.
    pub fn counted_up_to(&self, attached_us: i64, sequence: u64) {
        let mut seen = self.high_water.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *seen = (*seen).max(Some((attached_us, sequence)));
    }

    /// The frontmost lane was read for: it found more, or the end at `now_us`. Nobody looking any more counts
    /// as more.
    pub fn looked(&self, at_end: bool, now_us: i64) {
        self.at_end.store(at_end, Ordering::Relaxed);
        if at_end {
            self.end_seen_us.fetch_max(now_us, Ordering::Relaxed);
        }
    }

    /// How far reading is behind the partition, in milliseconds: nothing while the last look found the end,
    /// else the time since everything up to some moment was known to be read; 0 before anything was.
    #[must_use]
    pub fn lag_ms(&self, now_us: i64) -> u64 {
        let known = self.newest_us.load(Ordering::Relaxed).max(self.end_seen_us.load(Ordering::Relaxed));
        if known == 0 || self.at_end.load(Ordering::Relaxed) {
            return 0;
        }
        (now_us - known).max(0).unsigned_abs() / 1000
    }

    /// Whether any row could be read only in part.
    #[must_use]
    pub fn has_bad_rows(&self) -> bool {
        self.bad_rows.load(Ordering::Relaxed) > 0
    }

    /// The values now.
    #[must_use]
    pub fn snapshot(&self) -> CountersSnapshot {
        let drops = self.drops().clone();
        CountersSnapshot {
            received: self.received.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            kept: self.kept.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
            short: self.short.load(Ordering::Relaxed),
            bad_rows: self.bad_rows.load(Ordering::Relaxed),
            gaps: self.gaps.load(Ordering::Relaxed),
            newest_us: self.newest_us.load(Ordering::Relaxed),
            lag_ms: self.lag_ms(jiff::Timestamp::now().as_microsecond()),
            by_rule: drops.by_rule,
            by_type: drops.by_type,
        }
    }
}

/// `AF`, or with a journal code other than T `J_NR`: the name that policies use.
fn type_name(code: u8, entry_type: [u8; 2]) -> String {
    let name = String::from_utf8_lossy(&entry_type);
    if code == b'T' { name.into_owned() } else { format!("{}_{name}", char::from(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_counted_under_the_names_that_policies_use() {
        let counters = SourceCounters::default();
        let by_type = vec![((b'T', *b"NR"), 2), ((b'J', *b"NR"), 1), ((b'U', *b"NR"), 4)];
        counters.add(&Tally { dropped: 7, by_type, ..Tally::default() });
        let seen: Vec<_> = counters.snapshot().by_type.into_iter().collect();
        assert_eq!(seen, [("J_NR".to_owned(), 1), ("NR".to_owned(), 2), ("U_NR".to_owned(), 4)]);
    }

    #[test]
    fn lag_grows_while_nobody_looks() {
        let counters = SourceCounters::default();
        assert_eq!(counters.lag_ms(5_000_000), 0);
        counters.looked(true, 5_000_000);
        assert_eq!(counters.lag_ms(9_000_000), 0, "idle");
        counters.looked(false, 9_000_000);
        assert_eq!(counters.lag_ms(9_000_000), 4_000, "every destination is down");
        counters.add(&Tally { newest_us: 8_000_000, ..Tally::default() });
        assert_eq!(counters.lag_ms(9_000_000), 1_000, "reading on");
    }

    #[test]
    fn the_high_water_mark_outlives_connections() {
        let counters = SourceCounters::default();
        counters.counted_up_to(5, 100);
        counters.counted_up_to(5, 90);
        assert_eq!(counters.high_water(), Some((5, 100)));
        counters.counted_up_to(6, 1);
        assert_eq!(counters.high_water(), Some((6, 1)));
    }
}
