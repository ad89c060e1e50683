//! What another policy would do to events that were seen: the present and the candidate policy judge the same
//! event, and the difference is counted. Pure; the agent runs it on its recent events.

use super::compile::{CompiledPolicy, PolicyError};
use super::filter::EventSource;
use super::model::EffectivePolicy;
use super::replay::{Fate, Replay};
use crate::event::Event;
use std::collections::{BTreeMap, BTreeSet};

/// Under this name events of a source that the candidate does not have count as dropped.
pub const NO_SOURCE: &str = "(source not collected)";

/// What becomes of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Kept by both, to the same destinations.
    StaysKept,
    /// Dropped by both.
    StaysDropped,
    /// Kept until now, dropped by this rule of the candidate.
    Dropped {
        /// Rule or exclude of the candidate.
        rule: String,
    },
    /// Dropped until now by this rule, kept by the candidate.
    Kept {
        /// Rule or exclude of the present policy.
        rule: String,
    },
    /// Kept by both, with other destinations.
    Rerouted {
        /// Destinations that get it no more.
        leaves: Vec<String>,
        /// Destinations that get it then.
        joins: Vec<String>,
    },
}

impl Change {
    /// It matters to somebody.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::StaysKept | Self::StaysDropped)
    }
}

/// Counts over all events that were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviewCounts {
    /// Events looked at.
    pub events: u64,
    /// Kept by the present policy.
    pub kept_now: u64,
    /// Kept by the candidate.
    pub kept_then: u64,
    /// Kept now and dropped then.
    pub newly_dropped: u64,
    /// Dropped now and kept then.
    pub newly_kept: u64,
    /// Kept by both, with other destinations.
    pub rerouted: u64,
    /// Newly dropped, by the rule of the candidate that does it.
    pub dropped_by_rule: BTreeMap<String, u64>,
    /// Newly kept, by the present rule that dropped them until now.
    pub kept_from_rule: BTreeMap<String, u64>,
}

impl PreviewCounts {
    /// Counts one event.
    pub fn add(&mut self, change: &Change) {
        self.events += 1;
        let (now, then) = match change {
            Change::StaysKept => (1, 1),
            Change::StaysDropped => (0, 0),
            Change::Dropped { rule } => {
                self.newly_dropped += 1;
                *self.dropped_by_rule.entry(rule.clone()).or_default() += 1;
                (1, 0)
            }
            Change::Kept { rule } => {
                self.newly_kept += 1;
                *self.kept_from_rule.entry(rule.clone()).or_default() += 1;
                (0, 1)
            }
            Change::Rerouted { .. } => {
                self.rerouted += 1;
                (1, 1)
            }
        };
        self.kept_now += now;
        self.kept_then += then;
    }
}

/// A policy in force and one that may follow. Events are looked at in their order, so that throttles hold back
/// what they would; what a throttle holds back counts as dropped by its rule.
#[derive(Debug)]
pub struct Comparison<'p> {
    present: &'p CompiledPolicy,
    candidate: CompiledPolicy,
    sources: BTreeSet<String>,
    now: Replay,
    then: Replay,
}

impl<'p> Comparison<'p> {
    /// Compiles the candidate.
    ///
    /// # Errors
    /// If the candidate could not run.
    pub fn new(present: &'p CompiledPolicy, candidate: &EffectivePolicy) -> Result<Self, PolicyError> {
        Ok(Self {
            present,
            candidate: CompiledPolicy::compile(candidate)?,
            sources: candidate.spec.sources.keys().cloned().collect(),
            now: Replay::default(),
            then: Replay::default(),
        })
    }

    /// What becomes of an event, and what becomes of it now. Its severity is as decoded, and is again afterwards.
    #[must_use]
    pub fn change(&mut self, event: &mut Event, source: EventSource<'_>) -> (Change, Fate) {
        let severity = event.severity;
        let mut faults = Vec::new();
        let now = self.now.take(self.present, event, source, &mut faults);
        event.severity = severity;
        let then = self.then.take(&self.candidate, event, source, &mut faults);
        event.severity = severity;
        let collected = self.sources.contains(source.name);
        let change = match (now, then) {
            (Fate::Kept { .. }, Fate::Kept { .. }) if !collected => {
                Change::Dropped { rule: NO_SOURCE.to_owned() }
            }
            (Fate::Dropped { .. } | Fate::HeldBack { .. }, Fate::Kept { .. }) if !collected => {
                Change::StaysDropped
            }
            (Fate::Dropped { .. } | Fate::HeldBack { .. }, Fate::Dropped { .. } | Fate::HeldBack { .. }) => {
                Change::StaysDropped
            }
            (Fate::Kept { .. }, Fate::Dropped { rule } | Fate::HeldBack { rule, .. }) => {
                Change::Dropped { rule: self.candidate.rule_name(rule).to_owned() }
            }
            (Fate::Dropped { rule } | Fate::HeldBack { rule, .. }, Fate::Kept { .. }) => {
                Change::Kept { rule: self.present.rule_name(rule).to_owned() }
            }
            (Fate::Kept { destinations: now, .. }, Fate::Kept { destinations: then, .. }) => {
                self.routes(&names(self.present, now), &names(&self.candidate, then))
            }
        };
        (change, now)
    }

    fn routes(&self, now: &BTreeSet<&str>, then: &BTreeSet<&str>) -> Change {
        let only =
            |a: &BTreeSet<&str>, b: &BTreeSet<&str>| a.difference(b).map(|n| (*n).to_owned()).collect();
        if now == then {
            return Change::StaysKept;
        }
        Change::Rerouted { leaves: only(now, then), joins: only(then, now) }
    }
}

fn names(policy: &CompiledPolicy, set: u64) -> BTreeSet<&str> {
    policy.destination_names(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, field};
    use crate::policy::parse_effective;
    use crate::severity::Severity;

    fn policy(rules: &str, destinations: &str) -> EffectivePolicy {
        parse_effective(&format!(
            "spec:\n  sources: {{audit: {{kind: audit_journal}}}}\n  destinations: {destinations}\n{rules}"
        ))
        .unwrap()
    }

    const ONE: &str = "{siem: {transport: {kind: udp, address: 'a:514'}}}";
    const TWO: &str = "{archive: {transport: {kind: udp, address: 'b:514'}}, siem: {transport: {kind: udp, address: 'a:514'}}}";

    fn event(entry_type: &[u8; 2], severity: u8) -> Event {
        let mut event = Event::new();
        event.kind = EventKind::Audit { code: b'T', entry_type: *entry_type, subtype: 0 };
        event.severity = Severity::clamped(severity);
        event.push(field::USER, "BOB");
        event
    }

    fn changes(present: &EffectivePolicy, candidate: &EffectivePolicy, source: &str) -> Vec<Change> {
        let compiled = CompiledPolicy::compile(present).unwrap();
        let mut comparison = Comparison::new(&compiled, candidate).unwrap();
        [(b"AF", 7), (b"ZR", 2), (b"PW", 5)]
            .iter()
            .map(|(kind, severity)| {
                let mut event = event(kind, *severity);
                let (change, _) = comparison.change(&mut event, EventSource::new(source, 0));
                assert_eq!(event.severity.get(), *severity, "the severity is as it was");
                change
            })
            .collect()
    }

    #[test]
    fn each_change() {
        let drop = |name: &str, kind: &str| {
            format!("  rules: [{{name: {name}, match: {{entry_types: [{kind}]}}, action: drop}}]\n")
        };
        let dropped = |rule: &str| Change::Dropped { rule: rule.to_owned() };
        let kept = |rule: &str| Change::Kept { rule: rule.to_owned() };
        let no_reads = policy(&drop("no-reads", "ZR"), ONE);
        let no_passwords = policy(&drop("no-passwords", "PW"), ONE);
        let got = changes(&no_reads, &no_passwords, "audit");
        assert_eq!(got, [Change::StaysKept, kept("no-reads"), dropped("no-passwords")]);
        assert_eq!(
            changes(&no_reads, &no_reads, "audit"),
            [Change::StaysKept, Change::StaysDropped, Change::StaysKept]
        );
        let mut counts = PreviewCounts::default();
        got.iter().for_each(|change| counts.add(change));
        assert_eq!((counts.events, counts.kept_now, counts.kept_then), (3, 2, 2));
        assert_eq!((counts.newly_dropped, counts.newly_kept, counts.rerouted), (1, 1, 0));
        assert_eq!(counts.dropped_by_rule, [("no-passwords".to_owned(), 1)].into());
        assert_eq!(counts.kept_from_rule, [("no-reads".to_owned(), 1)].into());
        // A policy that sets severities first: the candidate must not see what the present one set.
        let raised = policy(
            "  severities: [{match: {entry_types: [ZR]}, severity: 9}]\n  rules: [{name: low, match: {max_severity: 4}, action: drop}]\n",
            ONE,
        );
        let plain = policy("  rules: [{name: low, match: {max_severity: 4}, action: drop}]\n", ONE);
        assert_eq!(changes(&raised, &plain, "audit")[1], dropped("low"));
        assert_eq!(changes(&plain, &raised, "audit")[1], kept("low"));
        // Bits of destinations move: names count.
        assert_eq!(
            changes(&policy("", ONE), &policy("", TWO), "audit")[0],
            Change::Rerouted { leaves: vec![], joins: vec!["archive".to_owned()] }
        );
        assert_eq!(changes(&policy("", ONE), &policy("", ONE), "other")[0], dropped(NO_SOURCE));
        // Three events of BOB: the first one passes.
        let throttled = policy("  rules: [{name: storm, action: throttle, limit: 1, key: [user]}]\n", ONE);
        assert_eq!(
            changes(&policy("", ONE), &throttled, "audit"),
            [Change::StaysKept, dropped("storm"), dropped("storm")]
        );
    }
}
