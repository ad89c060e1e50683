//! An agent that reads everything a partition has: soon, and without loss over kills and restarts.

use crate::data_queue::await_empty;
use ibmi_sim::Generation;
use muster_tests::eventually::eventually;
use muster_tests::everything::{self, NAMES, QUEUES, SOURCES, await_sources, partition, scenario};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::{Port, Receiver, UNREAD_BYTES};
use muster_tests::results::{full_size, result};
use muster_tests::sandbox::Sandbox;
use muster_tests::siem::Siem;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
/// Something happens with this number, in each source but the audit journal.
fn happen(partition: &Partition, number: usize) {
    for name in &NAMES[1..] {
        everything::happen(partition, name, number);
    }
}

/// What happened, as [`happen`] numbers it: source and number.
fn known_by(seen: &Seen) -> Option<String> {
    let value = |key: &str| seen.values.get(key).map(String::as_str);
    if let Some(order) = value("appOrder") {
        return Some(format!("payroll {order}"));
    }
    if let Some(number) = value("sqlText").and_then(|text| text.strip_prefix("select ")?.split(' ').next()) {
        return Some(format!("exits {number}"));
    }
    let number: usize = value("jobName")?.trim_start_matches(['H', 'O']).parse().ok()?;
    match seen.event_id.as_str() {
        "CPF1124" => Some(format!("history {number}")),
        "IMPROMPTU" => Some(format!("ours {number}")),
        _ => None,
    }
}

#[test]
fn audit_entries_reach_rsyslog_as_leef_and_cef_within_two_seconds_beside_all_other_sources() {
    // given an agent with default settings that reads everything
    let partition = partition("all-latency");
    let sandbox = Sandbox::new("all-latency");
    let siem = Siem::start(&sandbox);
    let home = sandbox.agent("agent", &partition.at(), Some(&format!("{SOURCES}{}", siem.destinations())));
    home.allow(&QUEUES);
    let _agent = home.run();
    await_sources(&home, LIMIT);

    // when something happens everywhere again and again
    let count = if full_size() { 300 } else { 40 };
    let spread = siem.measure("latency_p99_ms_audit_journal", count, |number| {
        happen(&partition, number);
        everything::happen(&partition, "audit", number)
    });

    // then it is in both files soon
    assert!(spread.p99 < Duration::from_secs(2), "{spread:?}");
    await_sources(&home, LIMIT);
}

#[test]
fn every_source_reads_from_every_generation_of_the_server() {
    for (name, generation) in Generation::ALL {
        let mut scenario = scenario(&format!("all-{name}"));
        scenario.server.generation = generation;
        let partition = Partition::start(scenario);
        let receiver = Receiver::start(Port::Tcp);
        let sandbox = Sandbox::new("all-generations");
        let transport = policies::tcp(&receiver.address());
        let policy =
            format!("{SOURCES}destinations:\n  siem: {{transport: {transport}, format: {{kind: leef2}}}}\n");
        let home = sandbox.agent("agent", &partition.at(), Some(&policy));
        home.allow(&QUEUES);
        let _agent = home.run();
        await_sources(&home, LIMIT);
        for number in 0..20 {
            happen(&partition, number);
        }
        let mark = everything::happen(&partition, "audit", 0);
        eventually(&format!("everything of {name} arrives"), LIMIT, || {
            let counts = arrivals(&receiver);
            let one = |name: &str| (0..20).find(|number| counts.get(&format!("{name} {number}")) != Some(&1));
            if let Some(missing) =
                NAMES[1..].iter().find_map(|name| one(name).map(|at| format!("{name} {at}")))
            {
                return Err(missing);
            }
            let marked = receiver.messages().iter().filter(|message| message.contains(&mark)).count();
            if marked == 1 { Ok(()) } else { Err(format!("{marked} audit entries")) }
        });
        await_sources(&home, LIMIT);
    }
}

/// Audit entries a second while the story runs; everything else happens once for a hundred of them.
const RATE: usize = 5_000;
const EACH: usize = 100;

#[test]
fn an_agent_with_all_sources_that_is_killed_loses_nothing() {
    let (events, kills, restarts) = if full_size() { (100_000, 10, 5) } else { (10_000, 2, 1) };
    // given an agent that reads everything, with a replay window of one second
    let partition = partition("all-crash");
    let mut receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("all-crash");
    let one = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
    let (_, destinations) = one.split_once("destinations:").expect("a destination");
    let policy = format!("{SOURCES}destinations:{destinations}    receiver_buffer_bytes: {UNREAD_BYTES}\n");
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    home.allow(&QUEUES);
    let mut agent = home.run();
    await_sources(&home, LIMIT);
    let first = partition.entries(0..=u64::MAX).len();

    // when it is killed and the receiver is restarted at random moments
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut moments: Vec<(usize, bool)> = (0..kills + restarts)
        .map(|at| (random.random_range(events / 20..events * 19 / 20), at < kills))
        .collect();
    moments.sort_unstable_by(|one, other| other.cmp(one));
    let incidents = moments.len();
    let started = Instant::now();
    let (mut written, mut happened) = (0, 0);
    while written < events {
        written += partition.append_mix(EACH);
        happen(&partition, happened);
        happened += 1;
        while let Some((_, kill)) = moments.pop_if(|(at, _)| *at <= written) {
            if kill {
                agent.kill();
                agent = home.run();
            } else {
                receiver.kill();
                receiver.restart();
            }
        }
        // The traffic's own pace, not a wait for something.
        let due = started + Duration::from_secs_f64(written as f64 / RATE as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }

    // then everything is there
    let mut expected = partition.entry_ids().split_off(first);
    assert!(expected.len() >= events, "{} of {events} were written", expected.len());
    for name in &NAMES[1..] {
        expected.extend((0..happened).map(|number| format!("{name} {number}")));
    }
    let counts = eventually("every event arrives", Duration::from_secs(180), || {
        let counts = arrivals(&receiver);
        let missing: Vec<&String> = expected.iter().filter(|id| !counts.contains_key(*id)).collect();
        match missing.first() {
            None => Ok(counts),
            Some(first) => Err(format!("{} of {} are missing, {first} first", missing.len(), expected.len())),
        }
    });
    let duplicates: usize = counts.values().map(|count| count - 1).sum();
    result("crash_all_sources_lost", 0);
    result("crash_all_sources_duplicates", duplicates);
    let window = RATE + 4 * RATE / EACH;
    let bound = incidents * window;
    assert!(duplicates <= bound, "{duplicates} came twice, at most {bound}");
    // and nothing is left anywhere
    await_sources(&home, LIMIT);
    for queue in QUEUES {
        await_empty(&partition, queue);
    }
}

/// How often each event arrived. A message cut by a kill is no message.
fn arrivals(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in receiver.messages() {
        let Ok(seen) = read(Dialect::Leef, &message) else { continue };
        let id = known_by(&seen).or_else(|| seen.journal_entry().map(str::to_owned));
        if let Some(id) = id {
            *counts.entry(id).or_default() += 1;
        }
    }
    counts
}

/// Reads, jobs and storms: one rule of each kind that has an effect here.
const RULES: &str = "rules:\n  - {name: no-jobs, match: {message_ids: [CPF1124]}, action: drop}\n  \
                     - {name: storms, match: {sources: [payroll]}, action: throttle, limit: 2, seconds: 3}\n\
                     severities:\n  - {match: {exit_points: [QIBM_QZDA_SQL2]}, severity: 9}\n";

#[test]
fn what_was_recorded_of_every_source_goes_through_policies_by_command() {
    // given an agent whose policy drops, throttles and judges events of several sources
    let partition = partition("all-recorded");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("all-recorded");
    let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
    controller.login();
    let home = sandbox.agent("all", &partition.at(), None);
    home.allow(&QUEUES);
    let id = controller.enrol(&home, &["env=test"]);
    let _agent = home.run();
    let transport = policies::tcp(&receiver.address());
    let content = format!(
        "{SOURCES}{RULES}destinations:\n  siem: {{transport: {transport}, format: {{kind: leef2}}, heartbeat_seconds: 0}}\n"
    );
    controller.publish(&policies::document("everything", &content));
    await_sources(&home, LIMIT);

    // when five things happen in each of them at once
    for number in 0..5 {
        happen(&partition, number);
    }
    // then the SIEM has the first two of the throttled ones and is told of the rest
    let summary = eventually("the throttle tells what it held back", LIMIT, || {
        let seen: Vec<Seen> =
            receiver.messages().iter().filter_map(|message| read(Dialect::Leef, message).ok()).collect();
        let found = seen.iter().find(|seen| seen.event_id == "MUSTER_THROTTLED").cloned();
        found.ok_or_else(|| format!("{:?}", seen.iter().map(|seen| &seen.event_id).collect::<Vec<_>>()))
    });
    for (key, value) in [
        ("throttledCount", "3"),
        ("throttledEvent", "DTAQ_KV"),
        ("throttleRule", "storms"),
        ("throttleSeconds", "3"),
    ] {
        assert_eq!(summary.values.get(key).map(String::as_str), Some(value), "{key} of {summary:?}");
    }
    let counts = arrivals(&receiver);
    let here = |name: &str| (0..5).filter(|number| counts.contains_key(&format!("{name} {number}"))).count();
    assert_eq!(["history", "ours", "payroll", "exits"].map(here), [0, 5, 2, 5], "{counts:?}");

    // and what was recorded tells the same story through the agent's policy
    let recorded = eventually("all of it is recorded", LIMIT, || {
        let recorded =
            controller.muster_ok(&["events", "recent", &id, "--limit", "1000", "--output", "json"]);
        let marks = ["note 4", "order=4", "select 4", "CPF1124"];
        let missing = marks.iter().find(|mark| !recorded.contains(**mark));
        missing.map_or(Ok(recorded.clone()), |mark| Err(format!("{mark} is missing")))
    });
    let recorded = sandbox.write("recorded.json", &recorded);
    let recorded = recorded.to_str().expect("a path");
    let told = controller.muster_ok(&["policy", "test", "--events", recorded, "--effective", &id]);
    let lines =
        |parts: &[&str]| told.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count();
    assert_eq!(lines(&[" history CPF1124 ", " dropped by no-jobs"]), 5, "{told}");
    assert_eq!(lines(&[" ours IMPROMPTU ", " kept -> siem"]), 5, "{told}");
    assert_eq!(lines(&[" exits EXIT_SQL", " kept -> siem", " -> 9 by severities[0]"]), 5, "{told}");
    assert_eq!(lines(&[" payroll DTAQ_KV ", " kept by storms -> siem"]), 2, "{told}");
    assert_eq!(lines(&[" payroll DTAQ_KV ", " held back by storms"]), 3, "{told}");
    assert_eq!(lines(&["no-jobs", " 5 "]), 1, "{told}");

    // and through files: one that keeps everything, one that is wrong, one whose expression fails
    let test = |name: &str, text: &str| {
        let file = sandbox.write(name, text);
        let file = file.to_str().expect("a path");
        let output = controller.muster(&["policy", "test", "--events", recorded, "-f", file, "--summary"]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let plain = "destinations:\n  siem: {transport: {kind: tcp, address: 'siem.example.com:514'}}\n";
    let (code, out, _) = test("plain.yaml", &format!("{SOURCES}{plain}"));
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains(", 0 dropped, 0 held back"), "{out}");
    let (code, _, error) = test("wrong.yaml", &format!("{SOURCES}{plain}rulez: []\n"));
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains("rulez"), "{error}");
    let failing = "rules:\n  - {name: odd, match: {expression: 'event.severity / 0 > 1'}, action: drop}\n";
    let (code, out, error) = test("failing.yaml", &format!("{SOURCES}{plain}{failing}"));
    assert_eq!(code, Some(1), "{out}{error}");
    assert!(out.contains(", 0 dropped, 0 held back"), "an expression that fails drops nothing: {out}");
}
