//! Counters of one source: cumulative since the agent started.

use super::damage::Damage;
use super::throttle::Throttles;
use muster_ibmi::audit::{Decoded, JournalEntry};
use muster_shared::policy::compile::Place;
use muster_shared::policy::replay::Fate;
use muster_shared::policy::{CompiledPolicy, Fault, RuleIndex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Most entry types whose drops are counted apart; the rest is counted together. IBM i has under 100.
const MAX_TYPES: usize = 256;

/// Most expressions whose failures are counted apart.
const MAX_FAULTS: usize = 256;

/// What one rule did.
#[derive(Debug, Default, Clone, Copy)]
struct RuleTally {
    kept: u64,
    dropped: u64,
    held_back: u64,
}

/// How often an expression failed, and why it did last.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCount {
    /// How often.
    pub count: u64,
    /// Why, the last time.
    pub last: String,
}

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
    damaged: u64,
    last_damaged: Option<(u8, [u8; 2])>,
    newest_us: i64,
    by_rule: Vec<RuleTally>,
    /// By journal code and type.
    by_type: Vec<((u8, [u8; 2]), u64)>,
    faults: Vec<(Place, FaultCount)>,
}

impl Tally {
    /// Counts one record of a source that has no entry types.
    pub fn record(&mut self, bytes: usize, time_us: i64, fate: Fate) {
        self.received += 1;
        self.bytes += bytes as u64;
        self.newest_us = self.newest_us.max(time_us);
        self.fate(fate);
    }

    /// Counts entries that came damaged, the last one of this code and type.
    pub fn damaged(&mut self, count: u64, last: (u8, [u8; 2])) {
        self.damaged += count;
        self.last_damaged = Some(last);
    }

    fn fate(&mut self, fate: Fate) {
        match fate {
            Fate::Kept { rule, .. } => {
                self.kept += 1;
                if let Some(rule) = rule {
                    self.rule(rule).kept += 1;
                }
            }
            Fate::Dropped { rule } => {
                self.dropped += 1;
                self.rule(rule).dropped += 1;
            }
            Fate::HeldBack { rule, .. } => {
                self.dropped += 1;
                self.rule(rule).held_back += 1;
            }
        }
    }

    fn rule(&mut self, rule: RuleIndex) -> &mut RuleTally {
        let rule = usize::from(rule.0);
        if self.by_rule.len() <= rule {
            self.by_rule.resize(rule + 1, RuleTally::default());
        }
        &mut self.by_rule[rule]
    }

    /// Counts one entry.
    pub fn entry(&mut self, entry: &JournalEntry<'_>, decoded: &Decoded, fate: Fate) {
        self.received += 1;
        self.bytes += entry.data.len() as u64;
        self.newest_us = self.newest_us.max(entry.time_us);
        self.unknown += u64::from(!decoded.known_type);
        self.short += u64::from(decoded.short);
        self.fate(fate);
        match fate {
            Fate::Kept { .. } => {}
            Fate::Dropped { .. } | Fate::HeldBack { .. } => {
                let entry_type = (entry.code, entry.entry_type);
                match self.by_type.iter_mut().find(|(known, _)| *known == entry_type) {
                    Some((_, count)) => *count += 1,
                    None => self.by_type.push((entry_type, 1)),
                }
            }
        }
    }

    /// Counts expressions that failed.
    pub fn faults(&mut self, faults: &[Fault]) {
        for fault in faults {
            match self.faults.iter_mut().find(|(place, _)| *place == fault.place) {
                Some((_, count)) => count.count += 1,
                // Why is told once a batch: it is the same each time as a rule.
                None => {
                    self.faults.push((fault.place, FaultCount { count: 1, last: fault.fault.to_string() }));
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
    /// When the source last found the end of what there is, microseconds since 1970 UTC; 0: never.
    end_seen_us: AtomicI64,
    /// The last look found nothing more.
    at_end: AtomicBool,
    /// Attach time and sequence of the newest entry counted; what is read again is not counted twice.
    high_water: Mutex<Option<(i64, u64)>>,
    drops: Mutex<Drops>,
    damage: Mutex<Option<Damage>>,
    /// What throttles of the policy count, over restarts of the source.
    pub throttles: Throttles,
}

#[derive(Debug, Default, Clone)]
struct Drops {
    rules: RuleCounts,
    rule_names: Vec<String>,
    by_type: BTreeMap<String, u64>,
}

/// What the rules of a policy did, by their names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RuleCounts {
    /// Events that a rule kept: one that keeps, or one that throttles and let them pass.
    pub kept: BTreeMap<String, u64>,
    /// Events that a rule or an exclude dropped.
    pub dropped: BTreeMap<String, u64>,
    /// Events that a throttle held back.
    pub held_back: BTreeMap<String, u64>,
    /// Expressions that failed, by where they stand.
    pub faults: BTreeMap<String, FaultCount>,
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
    /// What the rules did.
    pub rules: RuleCounts,
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

    /// Adds a batch that was judged by `policy`.
    pub fn add(&self, tally: &Tally, policy: &CompiledPolicy) {
        self.received.fetch_add(tally.received, Ordering::Relaxed);
        self.bytes.fetch_add(tally.bytes, Ordering::Relaxed);
        self.kept.fetch_add(tally.kept, Ordering::Relaxed);
        self.dropped.fetch_add(tally.dropped, Ordering::Relaxed);
        self.unknown.fetch_add(tally.unknown, Ordering::Relaxed);
        self.short.fetch_add(tally.short, Ordering::Relaxed);
        self.bad_rows.fetch_add(tally.bad_rows, Ordering::Relaxed);
        self.newest_us.fetch_max(tally.newest_us, Ordering::Relaxed);
        if let Some(last) = tally.last_damaged {
            let mut damage = self.damage();
            let count = damage.as_ref().map_or(0, |damage| damage.count) + tally.damaged;
            *damage = Some(Damage { count, at_us: jiff::Timestamp::now().as_microsecond(), last });
        }
        if tally.by_rule.is_empty() && tally.faults.is_empty() && tally.by_type.is_empty() {
            return;
        }
        let mut drops = self.drops();
        let Drops { rules, rule_names, .. } = &mut *drops;
        for (index, of_rule) in tally.by_rule.iter().enumerate() {
            let RuleTally { kept, dropped, held_back } = *of_rule;
            for (counts, count) in
                [(&mut rules.kept, kept), (&mut rules.dropped, dropped), (&mut rules.held_back, held_back)]
            {
                if count > 0 {
                    let name = rule_names.get(index).cloned().unwrap_or_else(|| format!("rule {index}"));
                    *counts.entry(name).or_default() += count;
                }
            }
        }
        for (place, fault) in &tally.faults {
            let name = policy.place_name(*place);
            let known = rules.faults.contains_key(&name) || rules.faults.len() < MAX_FAULTS;
            let counted = rules.faults.entry(if known { name } else { "other".to_owned() }).or_default();
            counted.count += fault.count;
            counted.last.clone_from(&fault.last);
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

    /// What came damaged, if anything did at `since_us` (microseconds since 1970 UTC) or later.
    #[must_use]
    pub fn damage_since(&self, since_us: i64) -> Option<Damage> {
        self.damage().clone().filter(|damage| damage.at_us >= since_us)
    }

    // The value is replaced whole.
    fn damage(&self) -> std::sync::MutexGuard<'_, Option<Damage>> {
        self.damage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
            rules: drops.rules,
            by_type: drops.by_type,
        }
    }
}

/// `AF`, or with a journal code other than T `J_NR`: the name that policies use.
pub(super) fn type_name(code: u8, entry_type: [u8; 2]) -> String {
    let name = String::from_utf8_lossy(&entry_type);
    if code == b'T' { name.into_owned() } else { format!("{}_{name}", char::from(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::model::EffectivePolicy;
    use muster_shared::policy::parse_effective;

    #[test]
    fn rules_are_counted_by_name_over_policies() {
        let policy = |rules: &str| {
            CompiledPolicy::compile(&parse_effective(&format!("{{spec: {{rules: [{rules}]}}}}")).unwrap())
                .unwrap()
        };
        let counters = SourceCounters::default();
        let first =
            policy("{name: k, action: keep}, {name: t, action: throttle, limit: 1}, {name: d, action: drop}");
        counters.set_rules(first.rule_names());
        let mut tally = counters.tally();
        let rule = RuleIndex;
        tally.record(1, 1, Fate::Kept { destinations: 1, rule: None });
        tally.record(1, 1, Fate::Kept { destinations: 1, rule: Some(rule(0)) });
        tally.record(1, 1, Fate::Kept { destinations: 1, rule: Some(rule(1)) });
        tally.record(1, 1, Fate::HeldBack { rule: rule(1), destinations: 1 });
        tally.record(1, 1, Fate::HeldBack { rule: rule(1), destinations: 1 });
        tally.record(1, 1, Fate::Dropped { rule: rule(2) });
        counters.add(&tally, &first);
        // Another policy moves the rule; its count goes on.
        let second = policy("{name: d, match: {expression: 'event.remote_port > 0'}, action: drop}");
        counters.set_rules(second.rule_names());
        let mut tally = counters.tally();
        let mut event = muster_shared::event::Event::new();
        event.kind = muster_shared::event::EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: 0 };
        for _ in 0..3 {
            let mut faults = Vec::new();
            let _ = second.judge(&mut event, Default::default(), &mut faults);
            tally.faults(&faults);
        }
        tally.record(1, 1, Fate::Dropped { rule: rule(0) });
        counters.add(&tally, &second);
        let seen = counters.snapshot();
        assert_eq!((seen.received, seen.kept, seen.dropped), (7, 3, 4));
        let of = |counts: &[(&str, u64)]| counts.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect();
        assert_eq!(seen.rules.kept, of(&[("k", 1), ("t", 1)]));
        assert_eq!(seen.rules.held_back, of(&[("t", 2)]));
        assert_eq!(seen.rules.dropped, of(&[("d", 2)]));
        let last = "the event has no remote_port; ask has(event.remote_port) first".to_owned();
        assert_eq!(seen.rules.faults, [("d".to_owned(), FaultCount { count: 3, last })].into());
    }

    #[test]
    fn drops_are_counted_under_the_names_that_policies_use() {
        let counters = SourceCounters::default();
        let by_type = vec![((b'T', *b"NR"), 2), ((b'J', *b"NR"), 1), ((b'U', *b"NR"), 4)];
        let policy = CompiledPolicy::compile(&EffectivePolicy::default()).unwrap();
        counters.add(&Tally { dropped: 7, by_type, ..Tally::default() }, &policy);
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
        let policy = CompiledPolicy::compile(&EffectivePolicy::default()).unwrap();
        counters.add(&Tally { newest_us: 8_000_000, ..Tally::default() }, &policy);
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
