//! What has to start, stop or restart to get from one policy to another: pure.

use muster_shared::policy::model::{EffectivePolicy, PolicySpec};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to a source or destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is new.
    Start,
    /// It is gone.
    Stop,
    /// Its settings changed: a new one replaces it and goes on at its cursor.
    Restart,
    /// It is the same.
    Keep,
}

/// What happens to each source and destination, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Sources of the old and the new policy.
    pub sources: BTreeMap<String, Change>,
    /// Destinations of the old and the new policy.
    pub destinations: BTreeMap<String, Change>,
    /// Filters, severities or routes changed: the pipeline takes a new compiled policy.
    pub pipeline_changed: bool,
}

impl Plan {
    /// Nothing has to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let keep = |change: &Change| *change == Change::Keep;
        !self.pipeline_changed && self.sources.values().all(keep) && self.destinations.values().all(keep)
    }
}

/// The way from `old` (nothing, at the first policy) to `new`.
#[must_use]
pub fn plan(old: Option<&EffectivePolicy>, new: &EffectivePolicy) -> Plan {
    let nothing = PolicySpec::default();
    let (before, after) = (old.map_or(&nothing, |policy| &policy.spec), &new.spec);
    Plan {
        sources: changes(&before.sources, &after.sources),
        destinations: changes(&before.destinations, &after.destinations),
        pipeline_changed: old.is_none()
            || before.exclude != after.exclude
            || before.rules != after.rules
            || before.severities != after.severities
            || before.routes != after.routes
            // Without routes every event goes to every destination: the set of names is routing, too.
            || !before.destinations.keys().eq(after.destinations.keys())
            || !before.sources.keys().eq(after.sources.keys()),
    }
}

fn changes<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> BTreeMap<String, Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .map(|name| {
            let change = match (old.get(name), new.get(name)) {
                (Some(before), Some(after)) if before == after => Change::Keep,
                (Some(_), Some(_)) => Change::Restart,
                (Some(_), None) => Change::Stop,
                (None, Some(_) | None) => Change::Start,
            };
            (name.clone(), change)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::model::{Action, AuditJournalSpec, Match, Rule, SourceSpec};
    use muster_shared::policy::parse::parse_effective;

    fn source(poll_interval_ms: u64) -> SourceSpec {
        SourceSpec::AuditJournal(AuditJournalSpec { poll_interval_ms, ..AuditJournalSpec::default() })
    }

    fn policy(sources: &[(&str, u64)], destinations: &[(&str, &str)]) -> EffectivePolicy {
        let destinations: Vec<String> = destinations
            .iter()
            .map(|(name, address)| {
                format!(r#""{name}":{{"transport":{{"kind":"udp","address":"{address}"}}}}"#)
            })
            .collect();
        let text = format!(r#"{{"revision":1,"spec":{{"destinations":{{{}}}}}}}"#, destinations.join(","));
        let mut policy = parse_effective(&text).unwrap();
        policy.spec.sources =
            sources.iter().map(|(name, poll)| ((*name).to_owned(), source(*poll))).collect();
        policy
    }

    fn named(changes: &[(&str, Change)]) -> BTreeMap<String, Change> {
        changes.iter().map(|(name, change)| ((*name).to_owned(), *change)).collect()
    }

    #[test]
    fn the_first_policy_starts_everything() {
        let plan = plan(None, &policy(&[("a", 1_000)], &[("d", "h:1")]));
        assert_eq!(plan.sources, named(&[("a", Change::Start)]));
        assert_eq!(plan.destinations, named(&[("d", Change::Start)]));
        assert!(plan.pipeline_changed);
    }

    #[test]
    fn each_name_gets_its_change() {
        let old =
            policy(&[("gone", 1_000), ("kept", 1_000), ("slower", 1_000)], &[("d", "h:1"), ("e", "h:2")]);
        let new =
            policy(&[("kept", 1_000), ("new", 1_000), ("slower", 2_000)], &[("d", "h:9"), ("e", "h:2")]);
        let plan = plan(Some(&old), &new);
        let expected = [
            ("gone", Change::Stop),
            ("kept", Change::Keep),
            ("new", Change::Start),
            ("slower", Change::Restart),
        ];
        assert_eq!(plan.sources, named(&expected));
        assert_eq!(plan.destinations, named(&[("d", Change::Restart), ("e", Change::Keep)]));
        assert!(plan.pipeline_changed, "names of sources changed");
    }

    #[test]
    fn a_new_filter_touches_the_pipeline_alone() {
        let old = policy(&[("a", 1_000)], &[("d", "h:1")]);
        let mut new = old.clone();
        new.revision = 2;
        assert!(plan(Some(&old), &new).is_empty(), "another number is no change");
        new.spec.rules.push(Rule { name: "r".to_owned(), when: Match::default(), action: Action::Drop });
        let plan = plan(Some(&old), &new);
        assert_eq!(plan.sources, named(&[("a", Change::Keep)]));
        assert!(plan.pipeline_changed && !plan.is_empty());
    }

    #[test]
    fn another_setting_of_a_destination_does_not_touch_the_pipeline() {
        let (old, new) = (policy(&[], &[("d", "h:1")]), policy(&[], &[("d", "h:2")]));
        assert!(!plan(Some(&old), &new).pipeline_changed);
    }
}
