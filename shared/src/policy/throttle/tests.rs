//! Throttles as tables and as properties.

use super::*;
use crate::policy::parse_effective;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SECOND: i64 = 1_000_000;

fn policy(rules: &str) -> CompiledPolicy {
    CompiledPolicy::compile(&parse_effective(&format!("{{spec: {{rules: [{rules}]}}}}")).unwrap()).unwrap()
}

fn throttle(rules: &str) -> Throttle {
    let mut throttle = Throttle::new(1 << 20);
    throttle.adopt(&policy(rules));
    throttle
}

const STORM: &str = "{name: storm, action: throttle, limit: 2, seconds: 60}";
const RULE: RuleIndex = RuleIndex(0);

fn admit(throttle: &mut Throttle, key: &str, seconds: i64) -> bool {
    throttle.admit(RULE, key, seconds * SECOND, Severity::clamped(5))
}

fn told(throttle: &mut Throttle) -> Vec<(String, i64, u64)> {
    let due = throttle.take_due();
    due.iter().map(|s| (s.key.replace(SEPARATOR, ","), s.start_us / SECOND, s.held_back)).collect()
}

#[test]
fn the_first_ones_of_each_window_pass_and_the_rest_is_told() {
    let mut state = throttle(STORM);
    let steps = [
        ("a", 100, true),
        ("a", 101, true),
        ("a", 102, false),
        ("b", 103, true),
        ("a", 119, false),
        ("a", 120, true),
        ("b", 121, true),
        ("a", 122, true),
        ("a", 123, false),
    ];
    for (key, seconds, passes) in steps {
        assert_eq!(admit(&mut state, key, seconds), passes, "{key} {seconds}");
    }
    assert_eq!(told(&mut state), [("a".to_owned(), 60, 2)], "the window before ended by itself");
    state.advance(179 * SECOND);
    assert_eq!(told(&mut state), []);
    state.advance(180 * SECOND);
    assert_eq!(told(&mut state), [("a".to_owned(), 120, 1)]);
    state.advance(1_000 * SECOND);
    assert_eq!(told(&mut state), [], "told once");
}

#[test]
fn late_events_count_where_they_are_and_a_clock_set_back_begins_anew() {
    let mut state = throttle(STORM);
    assert!(admit(&mut state, "a", 120) && admit(&mut state, "a", 121));
    assert!(!admit(&mut state, "a", 119), "a second late");
    assert!(!admit(&mut state, "a", 60));
    assert!(admit(&mut state, "a", 59), "a window back and more: the clock was set back");
    assert_eq!(told(&mut state), [("a".to_owned(), 120, 2)]);
}

#[test]
fn a_window_ends_without_events_too() {
    let mut state = throttle(STORM);
    for seconds in 0..5 {
        admit(&mut state, "a", seconds);
    }
    // The agent's clock differs from the partition's.
    let start = 9_000_000;
    state.idle(start * SECOND);
    state.idle((start + 59) * SECOND);
    assert_eq!(told(&mut state), []);
    state.idle((start + 60) * SECOND);
    assert_eq!(told(&mut state), [("a".to_owned(), 0, 3)]);
    assert_eq!(state.bytes, 0);
    state.idle((start + 500) * SECOND);
    assert_eq!(told(&mut state), []);
}

#[test]
fn another_policy_keeps_windows_of_rules_that_are_the_same() {
    let other = "{name: other, action: throttle, limit: 1, seconds: 10}";
    let mut state = throttle(&format!("{STORM}, {other}"));
    for _ in 0..4 {
        admit(&mut state, "a", 1);
        state.admit(RuleIndex(1), "b", SECOND, Severity::LOWEST);
    }
    // `storm` moves to another place, `other` is gone.
    state.adopt(&policy(&format!("{{name: k, match: {{users: [A]}}, action: keep}}, {STORM}")));
    assert_eq!(told(&mut state), [("b".to_owned(), 0, 3)]);
    assert!(!state.admit(RuleIndex(1), "a", SECOND, Severity::LOWEST), "two passed already");
    assert!(state.admit(RuleIndex(0), "a", SECOND, Severity::LOWEST), "no throttle");
    // Another limit is another rule.
    state.adopt(&policy("{name: storm, action: throttle, limit: 3, seconds: 60}"));
    assert_eq!(told(&mut state), [("a".to_owned(), 0, 3)]);
}

#[test]
fn what_is_read_again_begins_anew() {
    let mut state = throttle(STORM);
    for _ in 0..4 {
        admit(&mut state, "a", 1);
    }
    state.clear();
    assert!(admit(&mut state, "a", 1), "what was lost on the way was perhaps the first");
    state.advance(100 * SECOND);
    assert_eq!(told(&mut state), []);
}

#[test]
fn keys_beyond_the_memory_pass() {
    let mut state = Throttle::new(3 * (KEY_OVERHEAD + 1));
    state.adopt(&policy(STORM));
    for key in ["a", "b", "c", "d"] {
        assert!(admit(&mut state, key, 1) && admit(&mut state, key, 1));
    }
    assert!(!admit(&mut state, "a", 1) && !admit(&mut state, "c", 1));
    assert!(admit(&mut state, "d", 1), "not counted");
    assert!(admit(&mut state, "a", 61), "the next window has room again");
    assert!((0..3).all(|_| admit(&mut throttle(STORM), &"k".repeat(MAX_KEY_BYTES + 1), 1)));
}

fn event(user: &str, job: &str) -> Event {
    let mut event = Event::new();
    event.kind = EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' };
    event.push(field::USER, user);
    event.push(field::JOB_NAME, job);
    event
}

fn rule(rules: &str) -> ThrottleRule {
    policy(rules).throttle(RULE).unwrap().clone()
}

#[test]
fn summaries_are_for_people_and_their_ids_are_stable() {
    let cases = [
        ("", event("BOB", ""), "4,211 more AF_A by BOB in 60 s", "AF_A,BOB"),
        ("", event("", ""), "4,211 more AF_A in 60 s", "AF_A,"),
        ("key: [user], seconds: 5", event("BOB", ""), "4,211 more events by BOB in 5 s", "BOB"),
        (
            "key: [job_name, event]",
            event("BOB", "QZDASOINIT"),
            "4,211 more AF_A with job_name QZDASOINIT in 60 s",
            "QZDASOINIT,AF_A",
        ),
        ("key: [user]", event("A\u{1f}B", ""), "4,211 more events by A B in 60 s", "A B"),
    ];
    for (settings, of, text, key) in cases {
        let rule = rule(&format!("{{name: storm, action: throttle, limit: 1, {settings}}}"));
        let mut written = String::from("left over");
        rule.write_key(&of, &mut written);
        let mut state = Throttle::new(1 << 20);
        state.adopt(&policy(&format!("{{name: storm, action: throttle, limit: 1, {settings}}}")));
        for number in 0..4_212 {
            state.admit(RULE, &written, 120 * SECOND + number, Severity::clamped((number % 7) as u8 + 1));
        }
        state.advance(i64::MAX);
        let due = state.take_due();
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].text(), text);
        let mut event = Event::new();
        due[0].fill(&mut event, "78A1B2C-3/audit_journal:QSYS/QAUDJRN");
        let mut id = Vec::new();
        event.write_id(&mut id);
        let expected = format!("78A1B2C-3/audit_journal:QSYS/QAUDJRN/throttle/storm/{key}/120");
        assert_eq!(String::from_utf8(id).unwrap(), expected);
        let value = |keyword: &str| event.get(dictionary().find(keyword).unwrap());
        assert_eq!(event.get(field::MESSAGE), Some(text));
        assert_eq!((value("throttled_count"), value("throttle_rule")), (Some("4211"), Some("storm")));
        assert_eq!(value("throttle_key"), Some(key).filter(|key| !key.is_empty()));
        assert_eq!(value("throttled_event").is_some(), text.contains("AF_A"));
        assert_eq!(event.severity, Severity::clamped(7), "the gravest that was held back");
        assert_eq!(event.time_us, 120 * SECOND + 4_211);
        assert_eq!(event.kind, EventKind::Agent(AgentEvent::Throttled));
    }
}

#[test]
fn a_long_key_is_shortened_in_the_id_and_stays_its_own() {
    let summary = |user: &str| {
        let mut state = throttle("{name: storm, action: throttle, limit: 1, key: [user]}");
        for _ in 0..2 {
            admit(&mut state, user, 1);
        }
        state.advance(i64::MAX);
        state.take_due().remove(0).id_key()
    };
    let (a, b) = (summary(&"é".repeat(100)), summary(&format!("{}x", "é".repeat(100))));
    assert!(a.len() < 150 && b.len() < 150 && a != b, "{a} {b}");
}

#[test]
fn numbers_are_readable() {
    for (number, text) in
        [(0, "0"), (999, "999"), (1_000, "1,000"), (4_211, "4,211"), (1_234_567, "1,234,567")]
    {
        assert_eq!(thousands(number), text);
    }
}

proptest! {
    /// In a stream whose time goes on: the first event of a key in a window passes, never more than the limit do, and
    /// what passed and what was told is everything.
    #[test]
    fn nothing_is_lost_and_no_window_passes_more(
        limit in 1_u32..4, seconds in 1_u32..5,
        steps in proptest::collection::vec((0_i64..3_000_000, 0_u8..3, any::<bool>()), 0..200),
    ) {
        let rules = format!("{{name: r, action: throttle, limit: {limit}, seconds: {seconds}}}");
        let mut state = throttle(&rules);
        let width = i64::from(seconds) * SECOND;
        let (mut now, mut summaries) = (0, Vec::new());
        let mut windows: BTreeMap<(i64, String), (u32, u64)> = BTreeMap::new();
        for (step, key, batch_ends) in steps {
            now += step;
            let key = format!("k{key}");
            let passed = state.admit(RULE, &key, now, Severity::LOWEST);
            let count = windows.entry((now / width, key)).or_default();
            if count.0 == 0 {
                prop_assert!(passed, "the first one of a window passes");
            }
            if passed { count.0 += 1 } else { count.1 += 1 }
            prop_assert!(count.0 <= limit);
            if batch_ends {
                state.advance(now);
                summaries.extend(state.take_due());
            }
        }
        state.advance(i64::MAX);
        summaries.extend(state.take_due());
        let mut told: BTreeMap<(i64, String), u64> = BTreeMap::new();
        for summary in summaries {
            let before = told.insert((summary.start_us / width, summary.key.to_string()), summary.held_back);
            prop_assert_eq!(before, None, "each window is told once");
        }
        let held: BTreeMap<_, _> = windows.into_iter().filter(|(_, c)| c.1 > 0).map(|(k, c)| (k, c.1)).collect();
        prop_assert_eq!(told, held);
        prop_assert_eq!(state.bytes, 0);
    }

    /// Whatever the clock does, what passed and what was told is everything, and the first event of a key passes.
    #[test]
    fn no_clock_loses_an_event(
        steps in proptest::collection::vec((any::<i64>(), 0_u8..2, any::<bool>(), any::<bool>()), 0..100),
    ) {
        let mut state = throttle(STORM);
        let (mut passed, mut held, mut told) = (BTreeMap::new(), 0_u64, 0_u64);
        for (time, key, advance, idle) in steps {
            let key = format!("k{key}");
            let first = !passed.contains_key(&key);
            if state.admit(RULE, &key, time, Severity::LOWEST) {
                *passed.entry(key).or_insert(0) += 1;
            } else {
                prop_assert!(!first);
                held += 1;
            }
            if advance { state.advance(time) }
            if idle { state.idle(time) }
            told += state.take_due().iter().map(Summary::held_back).sum::<u64>();
        }
        state.advance(i64::MAX);
        told += state.take_due().iter().map(Summary::held_back).sum::<u64>();
        prop_assert_eq!(told, held);
    }
}
