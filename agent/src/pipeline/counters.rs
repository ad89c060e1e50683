//! Counters of one source: cumulative since the agent started.

use muster_ibmi::audit::{Decoded, JournalEntry};
use muster_shared::policy::Verdict;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

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
    by_type: Vec<([u8; 2], u64)>,
}

impl Tally {
    /// Counts one entry.
    pub fn entry(&mut self, entry: &JournalEntry<'_>, decoded: &Decoded, verdict: Verdict) {
        self.received += 1;
        self.bytes += entry.data.len() as u64;
        self.newest_us = self.newest_us.max(entry.time_us);
        self.unknown += u64::from(!decoded.known_type);
        self.short += u64::from(decoded.short);
        match verdict {
            Verdict::Keep { .. } => self.kept += 1,
            Verdict::Drop { rule } => {
                self.dropped += 1;
                let rule = usize::from(rule.0);
                if self.by_rule.len() <= rule {
                    self.by_rule.resize(rule + 1, 0);
                }
                self.by_rule[rule] += 1;
                match self.by_type.iter_mut().find(|(entry_type, _)| *entry_type == entry.entry_type) {
                    Some((_, count)) => *count += 1,
                    None => self.by_type.push((entry.entry_type, 1)),
                }
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
    /// Lag behind the partition in milliseconds at the last read.
    pub lag_ms: AtomicU64,
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

    /// Tells the names of the rules that [`Tally`] counts by index; called with each new policy. Counts
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
        for (entry_type, count) in &tally.by_type {
            let name = String::from_utf8_lossy(entry_type).into_owned();
            let known = drops.by_type.contains_key(&name) || drops.by_type.len() < MAX_TYPES;
            let name = if known { name } else { "other".to_owned() };
            *drops.by_type.entry(name).or_default() += count;
        }
    }

    /// Time of the newest entry, microseconds since 1970 UTC; 0 if none.
    #[must_use]
    pub fn snapshot_newest_us(&self) -> i64 {
        self.newest_us.load(Ordering::Relaxed)
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
            lag_ms: self.lag_ms.load(Ordering::Relaxed),
            by_rule: drops.by_rule,
            by_type: drops.by_type,
        }
    }
}
