//! Data queues: what programs put on them arrives, whatever happens to the agent, the queue, the partition or a
//! receiver, and nothing that a policy was not allowed to empty is touched.

mod crash;
mod lease;
mod outage;
mod trouble;

use ibmi_sim::{QueuePlan, Scenario, SentEntry};
use muster_tests::eventually::eventually;
use muster_tests::everything::send;
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::Receiver;
use muster_tests::results::{full_size, result};
use muster_tests::sandbox::{AgentHome, Sandbox};
use muster_tests::siem::Siem;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const QUEUE: &str = "PAYROLL/EVENTS";
const SOURCE: &str = "source/payroll";
/// The queue's source as it stands in a policy.
const PAYROLL: &str = "payroll: {kind: data_queue, queue: PAYROLL/EVENTS}";
/// From sending to the receiver's file.
const PROMISED: Duration = Duration::from_secs(2);
/// Between two looks at what has arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A partition without traffic of its own, with data queues.
pub(crate) fn partition(name: &str, plans: Vec<QueuePlan>) -> Partition {
    let mut scenario = Scenario { name: name.to_owned(), data_queues: plans, ..Scenario::default() };
    scenario.traffic.rate = 0.0;
    Partition::start(scenario)
}

/// A policy of these sources and destinations: (name, transport, format).
pub(crate) fn policy(sources: &[&str], destinations: &[(&str, String, &str)]) -> String {
    let mut text = "sources:\n".to_owned();
    for source in sources {
        text.push_str(&format!("  {source}\n"));
    }
    text.push_str("destinations:\n");
    for (name, transport, format) in destinations {
        text.push_str(&format!(
            "  {name}:\n    transport: {transport}\n    format: {format}\n    heartbeat_seconds: 0\n"
        ));
    }
    text
}

/// A stand-alone agent of a partition with one queue, and one receiver.
struct Rig {
    partition: Partition,
    home: AgentHome,
    sandbox: Sandbox,
}

impl Rig {
    fn new(story: &str, plan: QueuePlan, source: &str, receiver: &Receiver) -> Self {
        let partition = partition(story, vec![plan]);
        let sandbox = Sandbox::new(story);
        let policy = policy(&[source], &[("siem", policies::tcp(&receiver.address()), "{kind: leef2}")])
            + "    replay_window_ms: 1000\n";
        let home = sandbox.agent("agent", &partition.at(), Some(&policy));
        home.allow(&[QUEUE]);
        Self { partition, home, sandbox }
    }

    /// Puts entries with these numbers on the queue.
    fn send(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            send(&self.partition, QUEUE, &format!("order={number} severity=5"));
        }
    }

    /// Entries that lie on the queue.
    fn waiting(&self) -> usize {
        waiting(&self.partition, QUEUE)
    }

    /// Waits until nothing lies on the queue.
    fn await_empty(&self) {
        await_empty(&self.partition, QUEUE);
    }

    /// Waits until entries with all numbers below `count` have arrived, each under one id and in order where ids
    /// tell it; gives how many came more than once.
    fn await_all(&self, count: usize, receiver: &Receiver) -> usize {
        let arrived = eventually("everything arrives", LIMIT, || {
            let arrived = arrived(&receiver.messages());
            let missing: Vec<usize> =
                (0..count).filter(|number| !arrived.contains_key(number)).take(3).collect();
            if missing.is_empty() {
                Ok(arrived)
            } else {
                Err(format!(
                    "{} of {count} arrived, missing {missing:?}; {:?}",
                    arrived.len(),
                    self.home.health(SOURCE)
                ))
            }
        });
        for (number, ids) in &arrived {
            let different: BTreeSet<&String> = ids.iter().collect();
            assert_eq!(different.len(), 1, "entry {number} has several ids: {ids:?}");
        }
        arrived.values().map(|ids| ids.len() - 1).sum()
    }
}

/// Entries that lie on a queue.
fn waiting(partition: &Partition, queue: &str) -> usize {
    partition.data_queues().iter().find(|state| state.queue == queue).map_or(0, |state| state.entries)
}

/// Waits until nothing lies on a queue: an entry may arrive before it is taken out.
pub(crate) fn await_empty(partition: &Partition, queue: &str) {
    eventually(&format!("{queue} is emptied"), LIMIT, || match waiting(partition, queue) {
        0 => Ok(()),
        left => Err(format!("{left} left")),
    });
}

/// The events of the queue among these messages: the ids under which each order number came.
fn arrived(messages: &[String]) -> BTreeMap<usize, Vec<String>> {
    let mut all: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for seen in messages.iter().filter_map(|message| read(Dialect::Leef, message).ok()) {
        if let Some(number) = seen.values.get("appOrder").and_then(|number| number.parse().ok()) {
            all.entry(number).or_default().push(seen.values["eventId"].clone());
        }
    }
    all
}

#[test]
fn an_entry_stands_in_rsyslog_within_two_seconds_in_leef_and_cef() {
    let partition = partition("dtaq-latency", vec![QueuePlan::new(QUEUE)]);
    let sandbox = Sandbox::new("dtaq-latency");
    let siem = Siem::start(&sandbox);
    let policy = format!("sources:\n  {PAYROLL}\n{}", siem.destinations());
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    home.allow(&[QUEUE]);
    let agent = home.run();
    // What lies there when the agent begins arrives too.
    send(&partition, QUEUE, "order=4711 severity=high user=ANNA text=\"two words\"");
    let [leef, cef] = siem.await_mark("4711", LIMIT);
    check_first("usrName", &leef);
    check_first("suser", &cef);
    let count = if full_size() { 300 } else { 40 };
    let used = agent.cpu_seconds();
    let began = Instant::now();
    let spread = siem.measure("latency_p99_ms_data_queue", count, |number| {
        send(&partition, QUEUE, &format!("number {number:06}"));
        format!("number {number:06}")
    });
    println!("{used:?} to {:?} seconds of processor in {:?}", agent.cpu_seconds(), began.elapsed());
    assert!(spread.p99 < PROMISED, "{spread:?}");
    home.await_health(SOURCE, "healthy", "", LIMIT);
    await_empty(&partition, QUEUE);
}

/// Every field of the first entry, as the formats have them.
fn check_first(user: &str, seen: &Seen) {
    assert_eq!(seen.event_id, "DTAQ_KV");
    let value = |key: &str| seen.values.get(key).map_or("", String::as_str);
    for (key, expected) in [
        (user, "PAYAPP"),
        ("queue", QUEUE),
        ("jobName", "NIGHTRUN"),
        ("jobUser", "BOB"),
        ("jobNumber", "123456"),
        ("appFormat", "key_value"),
        ("appSeverity", "high"),
        ("appOrder", "4711"),
        ("appUser", "ANNA"),
        ("appText", "two words"),
        ("msg", "order=4711 severity=high user=ANNA text=\"two words\""),
    ] {
        assert_eq!(value(key), expected, "{key} of {seen:?}");
    }
    assert_eq!(seen.severity, "8");
    assert!(!seen.values.contains_key("raw"), "{seen:?}");
}
