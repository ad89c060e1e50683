//! A policy over recorded events, in their order: what becomes of each, throttles included. For previews and tests;
//! a running agent keeps the throttles of each destination apart, for these are not all read for at the same pace.

use super::compile::{CompiledPolicy, Fault, RuleIndex, Verdict};
use super::filter::EventSource;
use super::route::DestinationSet;
use super::throttle::{Summary, Throttle};
use crate::event::Event;
use std::collections::BTreeMap;

/// Most bytes that the keys of one source take.
const MAX_KEY_BYTES: usize = 16 * 1024 * 1024;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes to these destinations.
    Kept {
        /// The destinations.
        destinations: DestinationSet,
        /// The rule that keeps it, or that throttles and lets it pass.
        rule: Option<RuleIndex>,
    },
    /// A rule or an exclude drops it.
    Dropped {
        /// Which one.
        rule: RuleIndex,
    },
    /// A throttle holds it back, and will tell how many it held back.
    HeldBack {
        /// Which rule.
        rule: RuleIndex,
        /// Where the summary goes.
        destinations: DestinationSet,
    },
}

/// The throttles of all sources, while events are replayed.
#[derive(Debug, Default)]
pub struct Replay {
    by_source: BTreeMap<String, Throttle>,
    key: String,
}

impl Replay {
    /// Says what becomes of the next event, and sets its severity. `policy` is the same each time. Expressions that
    /// failed are added to `faults`.
    pub fn take(
        &mut self,
        policy: &CompiledPolicy,
        event: &mut Event,
        source: EventSource<'_>,
        faults: &mut Vec<Fault>,
    ) -> Fate {
        match policy.judge(event, source, faults) {
            Verdict::Keep { destinations, rule } => Fate::Kept { destinations, rule },
            Verdict::Drop { rule } => Fate::Dropped { rule },
            Verdict::Throttle { destinations, rule } => {
                if self.admit(policy, rule, event, source.name) {
                    Fate::Kept { destinations, rule: Some(rule) }
                } else {
                    Fate::HeldBack { rule, destinations }
                }
            }
        }
    }

    fn admit(&mut self, policy: &CompiledPolicy, rule: RuleIndex, event: &Event, source: &str) -> bool {
        if !self.by_source.contains_key(source) {
            let mut throttle = Throttle::new(MAX_KEY_BYTES);
            throttle.adopt(policy);
            self.by_source.insert(source.to_owned(), throttle);
        }
        let (Some(throttle), Some(of_rule)) = (self.by_source.get_mut(source), policy.throttle(rule)) else {
            return true;
        };
        of_rule.write_key(event, &mut self.key);
        throttle.admit(rule, &self.key, event.time_us, event.severity)
    }

    /// Ends all windows: the summaries of the whole replay, by source.
    #[must_use]
    pub fn finish(self) -> Vec<(String, Summary)> {
        let mut all = Vec::new();
        for (source, mut throttle) in self.by_source {
            throttle.advance(i64::MAX);
            all.extend(throttle.take_due().into_iter().map(|summary| (source.clone(), summary)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, field};
    use crate::policy::parse_effective;

    #[test]
    fn events_are_held_back_in_their_order_and_told_at_the_end() {
        let policy = parse_effective(
            "spec:
  rules:
    - {name: storm, match: {entry_types: [AF]}, action: throttle, limit: 2, seconds: 60}
    - {name: quiet, match: {entry_types: [ZR]}, action: drop}
  destinations: {a: {transport: {kind: udp, address: 'a:514'}}}
",
        );
        let policy = CompiledPolicy::compile(&policy.unwrap()).unwrap();
        let mut replay = Replay::default();
        let mut faults = Vec::new();
        let mut take = |entry_type: &[u8; 2], user: &str, seconds: i64, source: &str| {
            let mut event = Event::new();
            event.kind = EventKind::Audit { code: b'T', entry_type: *entry_type, subtype: b'A' };
            event.time_us = seconds * 1_000_000;
            event.push(field::USER, user);
            replay.take(&policy, &mut event, EventSource::new(source, 0), &mut faults)
        };
        let passed = Fate::Kept { destinations: 1, rule: Some(RuleIndex(0)) };
        let held = Fate::HeldBack { rule: RuleIndex(0), destinations: 1 };
        assert_eq!(take(b"AF", "BOB", 0, "audit"), passed);
        assert_eq!(take(b"AF", "BOB", 1, "audit"), passed);
        assert_eq!(take(b"AF", "BOB", 2, "audit"), held);
        assert_eq!(take(b"AF", "EVE", 3, "audit"), passed, "another key");
        assert_eq!(take(b"AF", "BOB", 4, "second"), passed, "another source");
        assert_eq!(take(b"AF", "BOB", 59, "audit"), held);
        assert_eq!(take(b"AF", "BOB", 60, "audit"), passed, "another window");
        assert_eq!(take(b"ZR", "BOB", 61, "audit"), Fate::Dropped { rule: RuleIndex(1) });
        assert_eq!(take(b"PW", "BOB", 62, "audit"), Fate::Kept { destinations: 1, rule: None });
        let told: Vec<_> = replay.finish().into_iter().map(|(source, s)| (source, s.text())).collect();
        assert_eq!(told, [("audit".to_owned(), "2 more AF_A by BOB in 60 s".to_owned())]);
        assert_eq!(faults, []);
    }
}
