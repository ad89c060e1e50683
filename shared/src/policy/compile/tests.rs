//! A compiled policy: every condition, the order of things, and what is refused.

use super::*;
use crate::event::{AgentEvent, MessageId, MessageOrigin, field};
use crate::policy::model::{RouteSpec, Rule, SeverityRule};
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

const AUDIT: EventSource<'static> = EventSource::new("audit", 0);

fn dropped(when: &str, event: &mut Event, source: &str) -> bool {
    let policy =
        policy(&format!("{DESTINATIONS}  rules: [{{name: r, match: {when}, action: drop}}]\n")).unwrap();
    match policy.evaluate(event, EventSource::new(source, 0)) {
        Verdict::Keep { destinations, rule: None } => {
            assert_eq!(destinations, 0b11);
            false
        }
        kept @ (Verdict::Keep { .. } | Verdict::Throttle { .. }) => panic!("{kept:?}"),
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
    let keep = Verdict::Keep { destinations: 1, rule: Some(RuleIndex(1)) };
    assert_eq!(policy.evaluate(&mut event(|_| ()), AUDIT), keep);
    let mut other = event(|e| e.kind = EventKind::Audit { code: b'T', entry_type: *b"PW", subtype: b'P' });
    assert_eq!(policy.evaluate(&mut other, AUDIT), Verdict::Drop { rule: RuleIndex(2) });
    let mut noise = event(|e| {
        e.clear();
        e.push(field::USER, "NOISE");
    });
    assert_eq!(policy.evaluate(&mut noise, AUDIT), Verdict::Drop { rule: RuleIndex(0) });
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
    assert_eq!(policy.evaluate(&mut bob, AUDIT), Verdict::Keep { destinations: 0b11, rule: None });
    assert_eq!(bob.severity.get(), 10);
    let mut alice = event(|e| {
        e.clear();
        e.push(field::USER, "ALICE");
    });
    assert_eq!(policy.evaluate(&mut alice, AUDIT), Verdict::Drop { rule: RuleIndex(0) });
    let pw = |severity| {
        event(|e| {
            e.kind = EventKind::Audit { code: b'T', entry_type: *b"PW", subtype: b'P' };
            e.severity = Severity::clamped(severity);
        })
    };
    assert_eq!(policy.evaluate(&mut pw(6), AUDIT), Verdict::Keep { destinations: 0b10, rule: None });
    assert_eq!(policy.evaluate(&mut pw(4), AUDIT), Verdict::Keep { destinations: 0, rule: None });
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
    assert_eq!(policy.evaluate(&mut gap, AUDIT), Verdict::Keep { destinations: 0b11, rule: None });
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
    assert_eq!(
        full.evaluate(&mut event(|_| ()), AUDIT),
        Verdict::Keep { destinations: u64::MAX, rule: None }
    );
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
        let subject = Subject::new(&event, AUDIT, compiled.asked());
        prop_assert_eq!(compiled.matches(&subject), Holds::from(expected));
    }
}

#[test]
fn a_rule_that_throttles_decides_like_any_other() {
    let policy = policy(
        "  rules:
    - {name: keep-eve, match: {users: [EVE]}, action: keep}
    - {name: storm, match: {entry_types: [AF]}, action: throttle, limit: 3}
    - {name: all, action: drop}
  routes: {grave: {match: {min_severity: 5}, destinations: [a]}}
  destinations: {a: {transport: {kind: udp, address: 'a:514'}}}
",
    )
    .unwrap();
    let storm = RuleIndex(1);
    assert_eq!(
        policy.evaluate(&mut event(|_| ()), AUDIT),
        Verdict::Throttle { destinations: 1, rule: storm }
    );
    let mut mild = event(|e| e.severity = Severity::clamped(4));
    assert_eq!(policy.evaluate(&mut mild, AUDIT), Verdict::Throttle { destinations: 0, rule: storm });
    assert_eq!(policy.throttles().map(|(rule, _)| rule).collect::<Vec<_>>(), [storm]);
    assert!(policy.throttle(storm).is_some() && policy.throttle(RuleIndex(0)).is_none());
    assert_eq!(policy.rule_name(storm), "storm");
}

#[test]
fn an_expression_that_fails_hides_nothing() {
    let failing = "match: {expression: 'event.remote_port > 0'}";
    let policy = policy(&format!(
        "  severities: [{{{failing}, severity: 1}}]
  exclude: [{{expression: 'event.remote_port > 1'}}]
  rules:
    - {{name: no-drop, {failing}, action: drop}}
    - {{name: no-throttle, {failing}, action: throttle, limit: 1}}
    - {{name: keep, match: {{not: {{expression: 'event.remote_port > 2'}}}}, action: keep}}
    - {{name: all, action: drop}}
  routes: {{r: {{{failing}, destinations: [a]}}, never: {{match: {{users: [X]}}, destinations: [b]}}}}
  destinations:
    a: {{transport: {{kind: udp, address: 'a:514'}}}}
    b: {{transport: {{kind: udp, address: 'b:514'}}}}
"
    ))
    .unwrap();
    let mut faults = Vec::new();
    let mut bob = event(|_| ());
    let verdict = policy.judge(&mut bob, AUDIT, &mut faults);
    assert_eq!(verdict, Verdict::Keep { destinations: 0b01, rule: Some(RuleIndex(3)) });
    assert_eq!(bob.severity.get(), 7);
    let told: Vec<_> = faults.iter().map(|fault| policy.place_name(fault.place)).collect();
    assert_eq!(told, ["severities[0]", "exclude[0]", "no-drop", "no-throttle", "keep", "routes.r"]);
    assert!(faults.iter().all(|fault| fault.fault.to_string().contains("remote_port")));
    // With a port nothing fails.
    faults.clear();
    let mut whole = event(|e| e.push(field::REMOTE_PORT, "8471"));
    assert_eq!(policy.judge(&mut whole, AUDIT, &mut faults), Verdict::Drop { rule: RuleIndex(0) });
    assert_eq!((whole.severity.get(), faults), (1, Vec::new()));
}

#[test]
fn an_explanation_names_severity_and_routes() {
    let policy = policy(
        "  severities: [{match: {users: [EVE]}, severity: 1}, {match: {entry_types: [AF]}, severity: 9}]
  rules: [{name: quiet, match: {users: [QUIET]}, action: drop}]
  routes:
    all: {destinations: [a]}
    grave: {match: {min_severity: 9}, destinations: [a]}
    mild: {match: {max_severity: 8}, destinations: [a]}
  destinations: {a: {transport: {kind: udp, address: 'a:514'}}}
",
    )
    .unwrap();
    let bob = event(|_| ());
    let (severity, routes) = policy.explain(&bob, AUDIT);
    assert_eq!(severity, Some((1, Severity::clamped(9))));
    assert_eq!(routes, ["all", "grave"], "those that add no destination, too");
    assert_eq!(bob.severity.get(), 7, "it stays as it is");
    let quiet = event(|e| {
        e.clear();
        e.push(field::USER, "QUIET");
    });
    assert_eq!(policy.explain(&quiet, AUDIT).1, [""; 0]);
}

/// A policy read plainly: every condition asked in its order, nothing left out.
fn read_plainly(policy: &EffectivePolicy, event: &Event) -> (Severity, Verdict) {
    let spec = &policy.spec;
    let holds = |when: &Match, severity: Severity| {
        let compiled = CompiledMatch::compile(when, spec).unwrap();
        let mut subject = Subject::new(event, AUDIT, Asked::MAX);
        subject.set_severity(severity);
        compiled.matches(&subject) == Holds::Yes
    };
    let set = spec.severities.iter().find(|rule| holds(&rule.when, event.severity));
    let severity = set.map_or(event.severity, |rule| rule.severity);
    let number = |position: usize| RuleIndex(u16::try_from(position).unwrap());
    if let Some(position) = spec.exclude.iter().position(|when| holds(when, severity)) {
        return (severity, Verdict::Drop { rule: number(position) });
    }
    let rule = spec.rules.iter().position(|rule| holds(&rule.when, severity));
    let mut destinations = 0;
    for route in spec.routes.values().filter(|route| holds(&route.when, severity)) {
        for (bit, name) in spec.destinations.keys().enumerate() {
            destinations |= u64::from(route.destinations.contains(name)) << bit;
        }
    }
    let index = rule.map(|position| number(spec.exclude.len() + position));
    let verdict = match rule.map(|position| spec.rules[position].action) {
        Some(Action::Drop) => Verdict::Drop { rule: index.unwrap() },
        Some(Action::Throttle) => Verdict::Throttle { destinations, rule: index.unwrap() },
        Some(Action::Keep) | None => Verdict::Keep { destinations, rule: index },
    };
    (severity, verdict)
}

/// Conditions of few values, so that they often hold.
fn conditions() -> impl Strategy<Value = Match> {
    let few = |texts: &'static [&'static str], most: usize| {
        let text = proptest::sample::select(texts).prop_map(str::to_owned);
        proptest::collection::vec(text, 0..=most)
    };
    let severity = || proptest::option::of((1_u8..=10).prop_map(Severity::clamped));
    let flat = (
        few(&["AF", "PW", "AF_A", "U_00", "J_PR"], 2),
        few(&["A*", "AF_*", "AF", "PW_B", "U_*", "CONTROLLER_*", "*ALL", "CPF1124"], 1),
        few(&["A", "B*", "*ALL"], 1),
        few(&["L/*ALL", "*ALL/N*"], 1),
        few(&["audit_journal", "controller_audit", "history_log", "audit"], 1),
        (severity(), severity()),
    );
    let flat =
        flat.prop_map(|(entry_types, events, users, objects, sources, (min_severity, max_severity))| Match {
            entry_types,
            events,
            users,
            objects,
            sources,
            min_severity,
            max_severity,
            ..Match::default()
        });
    (flat.clone(), proptest::option::weighted(0.2, flat))
        .prop_map(|(when, not)| Match { not: not.map(Box::new), ..when })
}

fn events() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        6 => (prop_oneof![4 => Just(b'T'), 1 => Just(b'U'), 1 => Just(b'J')],
              proptest::sample::select(vec![*b"AF", *b"PW", *b"ZR", *b"00", *b"PR", *b"Z|"]),
              proptest::sample::select(vec![0, b'A', b'B']))
            .prop_map(|(code, entry_type, subtype)| EventKind::Audit { code, entry_type, subtype }),
        1 => Just(EventKind::Controller(crate::event::controller_action("login"))),
        1 => Just(EventKind::Message { origin: MessageOrigin::HistoryLog, id: MessageId::parse("CPF1124") }),
    ];
    (kind, "[AB]{0,2}", "[LM]{0,1}", "[NO]{0,1}", 1_u8..=10).prop_map(
        |(kind, user, library, name, severity)| {
            let mut event = Event::new();
            event.kind = kind;
            event.severity = Severity::clamped(severity);
            event.push(field::OBJECT_LIBRARY, &library);
            event.push(field::USER, &user);
            event.push(field::OBJECT_NAME, &name);
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// What the index leaves out would not have matched: rules are found as if every one was asked.
    #[test]
    fn the_index_changes_no_answer(
        exclude in proptest::collection::vec(conditions(), 0..3),
        rules in proptest::collection::vec((conditions(), 0_u8..3), 0..12),
        severities in proptest::collection::vec((conditions(), 1_u8..=10), 0..6),
        routes in proptest::collection::vec(conditions(), 1..5),
        events in proptest::collection::vec(events(), 1..20),
    ) {
        let mut policy = parse_effective(&format!("spec:\n{DESTINATIONS}")).unwrap();
        let spec = &mut policy.spec;
        spec.exclude = exclude;
        spec.rules = rules.into_iter().enumerate().map(|(number, (when, action))| {
            let action = [Action::Keep, Action::Drop, Action::Throttle][usize::from(action)];
            let limit = (action == Action::Throttle).then_some(1);
            Rule { name: format!("r{number}"), when, action, limit, seconds: None, key: Vec::new() }
        }).collect();
        spec.severities = severities.into_iter()
            .map(|(when, severity)| SeverityRule { when, severity: Severity::clamped(severity) }).collect();
        let names = ["a", "b"];
        spec.routes = routes.into_iter().enumerate().map(|(number, when)| {
            (format!("r{number}"), RouteSpec { when, destinations: vec![names[number % 2].to_owned()] })
        }).collect();
        let compiled = CompiledPolicy::compile(&policy).unwrap();
        for event in events {
            let expected = read_plainly(&policy, &event);
            let mut judged = event.clone();
            let verdict = compiled.evaluate(&mut judged, AUDIT);
            prop_assert_eq!((judged.severity, verdict), expected, "{:?}", event);
        }
    }
}
