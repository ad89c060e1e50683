//! The policy as it runs on every event: severities, then excludes, then rules, then routes.

use super::filter::{CompiledMatch, MatchError, Subject};
use super::model::{Action, EffectivePolicy, Match, PolicySpec};
use super::route::{DestinationSet, RouteError, RouteTable};
use crate::event::{Event, EventKind};
use crate::severity::Severity;

/// Number of an exclude or a rule in [`CompiledPolicy::rule_names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub u16);

/// What happens to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to these destinations: bit *i* is the *i*-th name of [`CompiledPolicy::destinations`].
    /// 0 where routes exist and none of them matches.
    Keep {
        /// The destinations.
        destinations: DestinationSet,
    },
    /// An exclude or a rule drops it.
    Drop {
        /// Which one.
        rule: RuleIndex,
    },
}

/// Why a policy cannot run. `validate_effective` lists every such problem; this is the first one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Conditions without meaning.
    #[error("{path}: {error}")]
    Match {
        /// Where, such as `rules[2].match`.
        path: String,
        /// What is wrong.
        error: MatchError,
    },
    /// Routes without meaning.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// More excludes and rules than can be numbered.
    #[error("the policy has {0} excludes and rules, at most {MAX_RULES} are possible")]
    TooManyRules(usize),
}

/// Most excludes and rules of one policy, together.
pub const MAX_RULES: usize = 10_000;

#[derive(Debug, Clone)]
struct CompiledRule {
    when: CompiledMatch,
    action: Action,
}

/// A policy ready to run.
#[derive(Debug, Clone)]
pub struct CompiledPolicy {
    destinations: Vec<String>,
    rule_names: Vec<String>,
    severities: Vec<(CompiledMatch, Severity)>,
    rules: Vec<CompiledRule>,
    routes: RouteTable,
    /// Some condition asks for the names of user or object.
    asks_names: bool,
}

impl CompiledPolicy {
    /// Compiles a policy.
    ///
    /// # Errors
    /// [`PolicyError`] for the first thing that cannot run.
    pub fn compile(policy: &EffectivePolicy) -> Result<Self, PolicyError> {
        let spec = &policy.spec;
        let count = spec.exclude.len() + spec.rules.len();
        if count > MAX_RULES {
            return Err(PolicyError::TooManyRules(count));
        }
        let mut rules = Vec::with_capacity(count);
        let mut rule_names = Vec::with_capacity(count);
        for (position, when) in spec.exclude.iter().enumerate() {
            let name = format!("exclude[{position}]");
            rules.push(CompiledRule { when: compile_match(when, spec, &name)?, action: Action::Drop });
            rule_names.push(name);
        }
        for (position, rule) in spec.rules.iter().enumerate() {
            let when = compile_match(&rule.when, spec, &format!("rules[{position}].match"))?;
            rules.push(CompiledRule { when, action: rule.action });
            rule_names.push(rule.name.clone());
        }
        let mut severities = Vec::with_capacity(spec.severities.len());
        for (position, rule) in spec.severities.iter().enumerate() {
            let when = compile_match(&rule.when, spec, &format!("severities[{position}].match"))?;
            severities.push((when, rule.severity));
        }
        let routes = RouteTable::compile(spec)?;
        let asks_names = routes.asks_names()
            || rules.iter().any(|rule| rule.when.asks_names())
            || severities.iter().any(|(when, _)| when.asks_names());
        Ok(Self {
            destinations: spec.destinations.keys().cloned().collect(),
            rule_names,
            severities,
            rules,
            routes,
            asks_names,
        })
    }

    /// Names of the destinations, in the order of the bits of [`Verdict::Keep`].
    #[must_use]
    pub fn destinations(&self) -> &[String] {
        &self.destinations
    }

    /// Names under which drops are counted, by [`RuleIndex`]: `exclude[0]` …, then the names of the rules.
    #[must_use]
    pub fn rule_names(&self) -> &[String] {
        &self.rule_names
    }

    /// Sets the event's severity and says what happens to it.
    ///
    /// `source_name` is the name of the source in the policy. The agent's own reports (heartbeat, gap,
    /// policy change) go to every destination and are never dropped: a filter must not hide that
    /// something was lost.
    #[must_use]
    pub fn evaluate(&self, event: &mut Event, source_name: &str) -> Verdict {
        if matches!(event.kind, EventKind::Agent(_)) {
            return Verdict::Keep { destinations: self.routes.every() };
        }
        let mut subject = Subject::of(event, source_name, self.asks_names);
        let severity = self.severities.iter().find(|(when, _)| when.matches(&subject)).map(|(_, to)| *to);
        if let Some(severity) = severity {
            subject = subject.with_severity(severity);
        }
        let verdict = self.verdict(&subject);
        event.severity = severity.unwrap_or(event.severity);
        verdict
    }

    fn verdict(&self, subject: &Subject<'_>) -> Verdict {
        for (position, rule) in self.rules.iter().enumerate() {
            if rule.when.matches(subject) {
                match rule.action {
                    Action::Keep => break,
                    // `compile` allows at most `MAX_RULES`, so the number fits.
                    Action::Drop => return Verdict::Drop { rule: RuleIndex(position as u16) },
                }
            }
        }
        Verdict::Keep { destinations: self.routes.destinations(subject) }
    }
}

fn compile_match(when: &Match, spec: &PolicySpec, path: &str) -> Result<CompiledMatch, PolicyError> {
    CompiledMatch::compile(when, spec).map_err(|error| PolicyError::Match { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AgentEvent, field};
    use crate::policy::parse_effective;
    use proptest::prelude::*;

    fn policy(spec: &str) -> Result<CompiledPolicy, PolicyError> {
        CompiledPolicy::compile(&parse_effective(&format!("spec:\n{spec}")).unwrap())
    }

    /// An event of type `AF_A` by BOB on PAYROLL/EMP with severity 7, changed by `change`.
    fn event(change: impl FnOnce(&mut Event)) -> Event {
        let mut event = Event::new();
        event.kind = EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' };
        event.severity = Severity::clamped(7);
        event.push(field::USER, "BOB");
        event.push(field::OBJECT_LIBRARY, "PAYROLL");
        event.push(field::OBJECT_NAME, "EMP");
        change(&mut event);
        event
    }

    const DESTINATIONS: &str = "
  sources: {audit: {kind: audit_journal}, second: {kind: audit_journal, journal: A/B}}
  destinations:
    b: {transport: {kind: udp, address: 'b:514'}}
    a: {transport: {kind: udp, address: 'a:514'}}
";

    fn dropped(when: &str, event: &mut Event, source: &str) -> bool {
        let policy =
            policy(&format!("{DESTINATIONS}  rules: [{{name: r, match: {when}, action: drop}}]\n")).unwrap();
        match policy.evaluate(event, source) {
            Verdict::Keep { destinations } => {
                assert_eq!(destinations, 0b11);
                false
            }
            Verdict::Drop { rule } => {
                assert_eq!(policy.rule_names()[usize::from(rule.0)], "r");
                true
            }
        }
    }

    #[test]
    fn each_condition() {
        let cases: [(&str, bool); 31] = [
            ("{}", true),
            ("{entry_types: [AF]}", true),
            ("{entry_types: [af_a]}", true),
            ("{entry_types: [AF_B]}", false),
            ("{entry_types: [PW, AF]}", true),
            ("{entry_types: [PW]}", false),
            ("{entry_types: [U_AF]}", false),
            ("{entry_types: [T_AF_A]}", true),
            ("{users: [BOB]}", true),
            ("{users: [bob]}", true),
            ("{users: [BOBBY]}", false),
            ("{users: [BO]}", false),
            ("{users: ['BO*']}", true),
            ("{users: [ALICE, '*ALL']}", true),
            ("{objects: [PAYROLL/EMP]}", true),
            ("{objects: ['PAY*/*ALL']}", true),
            ("{objects: ['*ALL/EM*']}", true),
            ("{objects: ['PAY*/DEPT']}", false),
            ("{objects: [QSYS/EMP]}", false),
            ("{min_severity: 7}", true),
            ("{min_severity: 8}", false),
            ("{max_severity: 7}", true),
            ("{max_severity: 6}", false),
            ("{min_severity: 3, max_severity: 8}", true),
            ("{sources: [audit_journal]}", true),
            ("{sources: [audit]}", true),
            ("{sources: [second]}", false),
            ("{sources: [second, audit]}", true),
            ("{entry_types: [AF], users: [ALICE]}", false),
            ("{entry_types: [AF], users: [BOB], objects: [PAYROLL/EMP], min_severity: 7}", true),
            ("{users: [ALICE, BOB], objects: [A/B, PAYROLL/E*]}", true),
        ];
        for (when, expected) in cases {
            assert_eq!(dropped(when, &mut event(|_| ()), "audit"), expected, "{when}");
        }
    }

    #[test]
    fn absent_fields_match_no_name() {
        let mut bare = Event::new();
        bare.kind = EventKind::Audit { code: b'U', entry_type: *b"00", subtype: 0 };
        for (when, expected) in [
            ("{users: [BOB]}", false),
            ("{users: ['*ALL']}", true),
            ("{objects: ['*ALL/*ALL']}", false),
            ("{entry_types: [U_00]}", true),
            ("{entry_types: ['00']}", false),
        ] {
            assert_eq!(dropped(when, &mut bare, "audit"), expected, "{when}");
        }
    }

    #[test]
    fn excludes_come_first_and_the_first_rule_wins() {
        let policy = policy(
            "  exclude: [{users: [NOISE]}]
  rules:
    - {name: keep-af, match: {entry_types: [AF]}, action: keep}
    - {name: drop-bob, match: {users: [BOB]}, action: drop}
  destinations: {a: {transport: {kind: udp, address: 'a:514'}}}
",
        )
        .unwrap();
        assert_eq!(policy.rule_names(), ["exclude[0]", "keep-af", "drop-bob"]);
        let keep = Verdict::Keep { destinations: 1 };
        assert_eq!(policy.evaluate(&mut event(|_| ()), "audit"), keep);
        let mut other =
            event(|e| e.kind = EventKind::Audit { code: b'T', entry_type: *b"PW", subtype: b'P' });
        assert_eq!(policy.evaluate(&mut other, "audit"), Verdict::Drop { rule: RuleIndex(2) });
        let mut noise = event(|e| {
            e.clear();
            e.push(field::USER, "NOISE");
        });
        assert_eq!(policy.evaluate(&mut noise, "audit"), Verdict::Drop { rule: RuleIndex(0) });
    }

    #[test]
    fn severities_are_set_before_filters_and_routes_ask() {
        let policy = policy(
            "  severities:
    - {match: {entry_types: [AF_A], users: [BOB]}, severity: 10}
    - {match: {entry_types: [AF]}, severity: 2}
  rules: [{name: low, match: {max_severity: 3}, action: drop}]
  routes:
    high: {match: {min_severity: 9}, destinations: [b, a]}
    mid: {match: {min_severity: 5}, destinations: [b]}
  destinations:
    b: {transport: {kind: udp, address: 'b:514'}}
    a: {transport: {kind: udp, address: 'a:514'}}
",
        )
        .unwrap();
        assert_eq!(policy.destinations(), ["a", "b"]);
        let mut bob = event(|_| ());
        assert_eq!(policy.evaluate(&mut bob, "audit"), Verdict::Keep { destinations: 0b11 });
        assert_eq!(bob.severity.get(), 10);
        let mut alice = event(|e| {
            e.clear();
            e.push(field::USER, "ALICE");
        });
        assert_eq!(policy.evaluate(&mut alice, "audit"), Verdict::Drop { rule: RuleIndex(0) });
        let pw = |severity| {
            event(|e| {
                e.kind = EventKind::Audit { code: b'T', entry_type: *b"PW", subtype: b'P' };
                e.severity = Severity::clamped(severity);
            })
        };
        assert_eq!(policy.evaluate(&mut pw(6), "audit"), Verdict::Keep { destinations: 0b10 });
        assert_eq!(policy.evaluate(&mut pw(4), "audit"), Verdict::Keep { destinations: 0 });
    }

    #[test]
    fn reports_of_the_agent_are_never_dropped_and_go_everywhere() {
        let policy = policy(
            "  rules: [{name: all, action: drop}]
  routes: {none: {match: {entry_types: [AF]}, destinations: [a]}}
  destinations:
    a: {transport: {kind: udp, address: 'a:514'}}
    b: {transport: {kind: udp, address: 'b:514'}}
",
        )
        .unwrap();
        let mut gap = Event::new();
        gap.kind = EventKind::Agent(AgentEvent::Gap);
        assert_eq!(policy.evaluate(&mut gap, "audit"), Verdict::Keep { destinations: 0b11 });
    }

    #[test]
    fn what_cannot_run_is_refused_with_its_place() {
        for (spec, expected) in [
            (
                "  rules: [{name: a, match: {users: ['*']}, action: drop}]",
                "rules[0].match: `*` has a star in the wrong place; a generic name ends with its only star (PAY*), *ALL means every name",
            ),
            (
                "  exclude: [{users: [A]}, {sources: [ghost]}]",
                "exclude[1]: `ghost` is neither a kind of source (audit_journal) nor a source of the policy",
            ),
            (
                "  severities: [{match: {entry_types: [AFA]}, severity: 1}]",
                "severities[0].match: `AFA` is no entry type; write two letters or digits (AF), with subtype AF_A, with journal code U_00",
            ),
            ("  routes: {r: {destinations: [ghost]}}", "routes.r: there is no destination `ghost`"),
        ] {
            assert_eq!(policy(&format!("{spec}\n")).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn sixty_four_destinations_fit_and_one_more_does_not() {
        let spec = |count: usize| {
            let lines: String = (0..count)
                .map(|i| format!("    d{i:02}: {{transport: {{kind: udp, address: 'a:514'}}}}\n"))
                .collect();
            format!("  destinations:\n{lines}")
        };
        let full = policy(&spec(64)).unwrap();
        assert_eq!(full.evaluate(&mut event(|_| ()), "audit"), Verdict::Keep { destinations: u64::MAX });
        assert_eq!(
            policy(&spec(65)).unwrap_err().to_string(),
            "the policy has 65 destinations, at most 64 are possible"
        );
    }

    proptest! {
        /// The compiled conditions agree with a plain reading of the texts.
        #[test]
        fn compiled_conditions_agree_with_the_texts(
            types in proptest::collection::vec("(AF|PW|ZR|U_00)(_[AB])?", 0..4),
            users in proptest::collection::vec("[AB]{1,2}\\*?", 0..4),
            objects in proptest::collection::vec("([AB]{1,2}\\*?|\\*ALL)/([AB]{1,2}\\*?|\\*ALL)", 0..4),
            event_type in prop_oneof![Just(*b"AF"), Just(*b"PW"), Just(*b"00")],
            code in prop_oneof![Just(b'T'), Just(b'U')],
            subtype in prop_oneof![Just(0), Just(b'A'), Just(b'B')],
            user in "[AB]{0,3}", library in "[AB]{0,3}", name in "[AB]{0,3}",
        ) {
            let mut event = Event::new();
            event.kind = EventKind::Audit { code, entry_type: event_type, subtype };
            event.push(field::USER, &user);
            event.push(field::OBJECT_NAME, &name);
            event.push(field::OBJECT_LIBRARY, &library);
            let generic = |pattern: &str, value: &str| match pattern.strip_suffix('*') {
                Some(stem) => !value.is_empty() && value.starts_with(stem),
                None => pattern == "*ALL" || pattern == value,
            };
            let mut id = Vec::new();
            event.kind.write_event_id(&mut id);
            let id = String::from_utf8(id).unwrap();
            let is_type = |t: &String| id == *t || id.strip_suffix("_A") == Some(t) || id.strip_suffix("_B") == Some(t);
            let expected = (types.is_empty() || types.iter().any(is_type))
                && (users.is_empty() || users.iter().any(|u| generic(u, &user)))
                && (objects.is_empty()
                    || objects.iter().any(|o| {
                        let (l, n) = o.split_once('/').unwrap();
                        (!library.is_empty() || !name.is_empty()) && generic(l, &library) && generic(n, &name)
                    }));
            let when = Match { entry_types: types, users, objects, ..Match::default() };
            let compiled = CompiledMatch::compile(&when, &PolicySpec::default()).unwrap();
            prop_assert_eq!(compiled.matches(&Subject::of(&event, "audit", true)), expected);
        }
    }
}
