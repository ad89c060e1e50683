//! Table tests of single decisions; whole rollouts are played in the suite.

use crate::gate::{Before, Counters, fault};
use crate::track::{Next, follow, follow_back};
use crate::waves::{Candidate, plan};
use crate::{Observation, Presence, State, Version};
use jiff::Timestamp;
use muster_proto::api::{Amount, Labels, RolloutGates, RolloutStrategy};
use muster_shared::id::AgentId;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn seen(presence: Presence, version: Version) -> Observation {
    Observation {
        name: "EAST".to_owned(),
        labels: Labels::new(),
        presence,
        version,
        unwell: Vec::new(),
        lag_ms: 0,
        rate: 0.0,
        counters: None,
        reported_at: None,
        last_seen: None,
        busy: None,
    }
}

fn strategy() -> RolloutStrategy {
    RolloutStrategy {
        soak_seconds: 60,
        deadline_seconds: 30,
        recovery_seconds: 10,
        ..RolloutStrategy::default()
    }
}

/// The word of where a partition goes, with the reason; empty where it stays.
fn goes(state: &State, observed: &Observation, second: i64) -> String {
    let word = |state: &State| {
        let (word, _, reason) = state.told();
        format!("{word:?} {reason}").trim_end().to_owned()
    };
    match follow(state, &mut Some(Before::default()), observed, &strategy(), at(second)) {
        Next::Same => String::new(),
        Next::To(state) | Next::Told(state, _) => word(&state),
    }
}

#[test]
fn what_becomes_of_a_partition_that_was_told() {
    use Presence::{Away, Gone, Held, PlannedOutage, Present};
    use Version::{Changing, New, Old, Refused};
    let offered = State::Offered { at: at(0) };
    let refused = || Refused("no such destination".to_owned());
    let cases = [
        (Present, Old, 29, ""),
        (Present, Old, 30, "Failed it did not run the change within 30 s"),
        (Present, Changing, 30, "Failed it did not run the change within 30 s"),
        (Present, New, 5, "Proving"),
        (Present, New, 45, "Proving"),
        (Present, refused(), 1, "Failed it refused the change: no such destination"),
        (Away, refused(), 1, "Failed it refused the change: no such destination"),
        (Away, Old, 29, ""),
        (Away, Old, 30, "Planned"),
        (Away, Changing, 29, ""),
        (Away, Changing, 30, "Failed it went away while it changed over, and is not back after 30 s"),
        (Away, New, 30, "Failed it went away while it changed over, and is not back after 30 s"),
        (PlannedOutage, Changing, 500, ""),
        (PlannedOutage, Old, 30, "Planned"),
        (Held, Old, 30, "Planned"),
        (Gone, Old, 1, "Gone"),
    ];
    for (presence, version, second, expected) in cases {
        let observed = seen(presence, version);
        assert_eq!(goes(&offered, &observed, second), expected, "{observed:?} after {second} s");
    }
}

#[test]
fn what_becomes_of_a_partition_that_has_the_change() {
    use Presence::{Away, PlannedOutage, Present};
    use Version::{New, Old, Refused};
    let proving = State::Proving { since: at(0) };
    let unwell = State::Unwell { reason: "it is away".to_owned(), since: at(0), until: at(10), away: true };
    let proven = State::Proven { since: at(0) };
    let reason = "source audit does not work: not authorised".to_owned();
    let sick_for_long = State::Unwell { reason, since: at(0), until: at(10), away: false };
    let sick = || {
        let mut observed = seen(Present, New);
        observed.unwell.push(("source audit".to_owned(), "not authorised".to_owned()));
        observed
    };
    let told = "Unwell source audit does not work: not authorised";
    let cases = [
        (&proving, seen(Present, New), 5, ""),
        (&proving, sick(), 5, told),
        (&proving, seen(Away, New), 5, "Unwell it is away"),
        (&proving, seen(Present, Old), 5, "Unwell it runs something else again"),
        (&proving, seen(Present, Refused("no".to_owned())), 5, "Failed it refused the change: no"),
        (&unwell, seen(Present, New), 9, "Proving"),
        (&unwell, seen(Away, New), 9, ""),
        (&unwell, seen(Away, New), 10, "Failed it is away"),
        (&unwell, seen(PlannedOutage, New), 500, ""),
        // It has the time of a start again once it is back.
        (&unwell, sick(), 9, told),
        (&unwell, sick(), 10, told),
        (&sick_for_long, sick(), 9, ""),
        (&sick_for_long, sick(), 10, "Failed source audit does not work: not authorised"),
        (&proven, seen(Present, New), 500, ""),
        (&proven, sick(), 500, told),
        // Nobody stops a rollout by switching off a partition that had passed.
        (&proven, seen(Away, New), 500, ""),
    ];
    for (state, observed, second, expected) in cases {
        assert_eq!(goes(state, &observed, second), expected, "{state:?}: {observed:?} after {second} s");
    }
}

#[test]
fn going_back() {
    let back =
        |presence, version, second| follow_back(at(0), &seen(presence, version), &strategy(), at(second));
    assert_eq!(back(Presence::Present, Version::New, 29), Next::Same);
    assert_eq!(back(Presence::Present, Version::Old, 1), Next::To(State::Back));
    assert_eq!(back(Presence::Away, Version::New, 29), Next::Same);
    for (presence, why) in
        [(Presence::Present, "did not say within 30 s"), (Presence::Away, "when it returns")]
    {
        let Next::Told(State::Back, told) = back(presence, Version::New, 30) else { panic!("{presence:?}") };
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn gates_compare_with_before() {
    let counters =
        |second: i64, received, errors| Some(Counters { at_ms: second * 1_000, boot: 1, received, errors });
    let before = || Before {
        unwell: vec!["destination old".to_owned()],
        lag_ms: 0,
        rate: 100.0,
        error_percent: 0.0,
        counters: counters(0, 1_000, 0),
    };
    let well = || Observation { counters: counters(60, 7_000, 0), ..seen(Presence::Present, Version::New) };
    let with_unwell =
        |name: &str| Observation { unwell: vec![(name.to_owned(), "refused".to_owned())], ..well() };
    /// Name, observation, before, what is wrong; empty for nothing.
    type Case = (&'static str, Observation, Before, &'static str);
    let cases: Vec<Case> = vec![
        ("well", well(), before(), ""),
        ("did not work before either", with_unwell("destination old"), before(), ""),
        ("worked before", with_unwell("destination new"), before(), "destination new does not work: refused"),
        (
            "late",
            Observation { lag_ms: 301_000, ..well() },
            before(),
            "it lags 301 s behind, more than 300 s",
        ),
        (
            "was late before",
            Observation { lag_ms: 301_000, ..well() },
            Before { lag_ms: 400_000, ..before() },
            "",
        ),
        (
            "errors",
            Observation { counters: counters(60, 7_000, 90), ..well() },
            before(),
            "1.5 % of its events",
        ),
        (
            "errors as before",
            Observation { counters: counters(60, 7_000, 90), ..well() },
            Before { error_percent: 2.0, ..before() },
            "",
        ),
        (
            "too few to tell",
            Observation { counters: counters(60, 1_010, 5), ..well() },
            before(),
            "it receives 0.2",
        ),
        ("silent", Observation { counters: counters(60, 1_000, 0), ..well() }, before(), "less than 10 %"),
        (
            "flooded",
            Observation { counters: counters(60, 100_000, 0), ..well() },
            before(),
            "more than 1000 %",
        ),
        ("hardly any time", Observation { counters: counters(4, 1_000, 0), ..well() }, before(), ""),
        (
            "hardly any before",
            Observation { counters: counters(60, 1_000, 0), ..well() },
            Before { rate: 0.9, ..before() },
            "",
        ),
        (
            "another process counts",
            Observation { counters: Some(Counters { boot: 2, ..counters(60, 5, 0).unwrap() }), ..well() },
            before(),
            "",
        ),
    ];
    for (name, observed, before, expected) in cases {
        let told = fault(&observed, &before, &RolloutGates::default()).unwrap_or_default();
        assert!(told.starts_with(expected) || told.contains(expected), "{name}: {told}");
        assert_eq!(told.is_empty(), expected.is_empty(), "{name}: {told}");
    }
}

fn candidate(number: u128, kind: &str, present: bool) -> Candidate {
    Candidate {
        id: AgentId(uuid::Uuid::from_u128(number)),
        name: format!("P{number}"),
        labels: Labels::new(),
        kind: kind.to_owned(),
        present,
    }
}

#[test]
fn waves_are_shares_of_all() {
    let sizes = |count: u128, canaries: u32, waves: &[u8]| {
        let all = (0..count).map(|n| candidate(n, "V7R5M0", true)).collect();
        let strategy = RolloutStrategy { canaries, waves: waves.to_vec(), ..RolloutStrategy::default() };
        plan(all, &strategy).unwrap().waves.iter().map(Vec::len).collect::<Vec<_>>()
    };
    for (count, canaries, waves, expected) in [
        (0, 1, &[10, 100][..], vec![]),
        (1, 1, &[10, 100], vec![1]),
        (5, 1, &[10, 50, 100], vec![1, 2, 2]),
        (20, 2, &[10, 50, 100], vec![2, 8, 10]),
        (100, 1, &[1, 10], vec![1, 9, 90]),
        (100, 0, &[], vec![100]),
        (3, 9, &[100], vec![3]),
    ] {
        assert_eq!(sizes(count, canaries, waves), expected, "{count} {canaries} {waves:?}");
    }
}

#[test]
fn canaries_are_there_and_of_different_kinds() {
    let mut all: Vec<Candidate> = (0..40).map(|n| candidate(n, "V7R5M0", true)).collect();
    all.push(candidate(100, "V7R3M0", true));
    all.push(candidate(101, "V7R4M0", false));
    let strategy = RolloutStrategy { canaries: 2, ..RolloutStrategy::default() };
    let planned = plan(all.clone(), &strategy).unwrap();
    assert!(planned.waves[0].contains(&candidate(100, "", true).id), "the only one of its kind: {planned:?}");
    assert!(!planned.waves[0].contains(&candidate(101, "", true).id), "one that is away");
    assert_eq!(plan(all.clone(), &strategy).unwrap(), planned, "the same again");
    let labelled =
        RolloutStrategy { canary_labels: Labels::from([("env".to_owned(), "test".to_owned())]), ..strategy };
    assert_eq!(plan(all.clone(), &labelled).unwrap().waves[0].len(), 5, "no canary: the first wave is 10 %");
    all[7].labels = labelled.canary_labels.clone();
    let planned = plan(all.clone(), &labelled).unwrap();
    assert_eq!(planned.waves[0], [all[7].id]);
    assert!(planned.reasons.iter().any(|r| r == "1 of 2 canaries: no more have the labels"), "{planned:?}");
}

#[test]
fn strategies_that_make_no_sense() {
    let told = |change: fn(&mut RolloutStrategy)| {
        let mut strategy = RolloutStrategy::default();
        change(&mut strategy);
        plan(Vec::new(), &strategy).unwrap_err().join("; ")
    };
    for (change, why) in [
        (
            (|s| s.waves = vec![50, 10]) as fn(&mut RolloutStrategy),
            "waves: shares between 1 and 100 that grow",
        ),
        (|s| s.waves = vec![0], "waves: shares"),
        (|s| s.max_unavailable = Amount::Count(0), "max_unavailable: at least 1"),
        (|s| s.deadline_seconds = 0, "deadline_seconds: between 1 and 2678400"),
        (|s| s.success_percent = 101, "success_percent: at most 100"),
        (|s| s.gates.max_error_percent = Some(f64::NAN), "gates.max_error_percent"),
    ] {
        let found = told(change);
        assert!(found.starts_with(why), "{found}");
    }
}
