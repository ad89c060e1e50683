//! Journal receivers that roll over or are deleted while the agent is away.

use muster_tests::eventually::{eventually, never};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::Sandbox;
use std::collections::BTreeSet;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn seen(receiver: &Receiver) -> Vec<Seen> {
    receiver.messages().iter().filter_map(|message| read(Dialect::Leef, message).ok()).collect()
}

fn sequences(receiver: &Receiver) -> BTreeSet<(String, u64)> {
    let of = |seen: &Seen| {
        let id = seen.values.get("eventId")?;
        let (front, sequence) = id.rsplit_once('/')?;
        let receiver = front.rsplit_once('/')?.1.split_once('@')?.0.to_owned();
        Some((receiver, sequence.parse().ok()?))
    };
    seen(receiver).iter().filter(|seen| !seen.event_id.starts_with("MUSTER")).filter_map(of).collect()
}

fn await_all(partition: &Partition, receiver: &Receiver) {
    let put: BTreeSet<(String, u64)> =
        partition.entries(0..=u64::MAX).into_iter().map(|entry| (entry.receiver, entry.sequence)).collect();
    eventually("everything that is in the journal arrives", LIMIT, || {
        let arrived = sequences(receiver);
        let missing: Vec<_> = put.difference(&arrived).take(5).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{} arrived, missing {missing:?}", arrived.len()))
        }
    });
}

#[test]
fn a_receiver_rolls_over_while_the_agent_is_down_and_nothing_is_lost() {
    // given an agent that has read the first receiver
    let partition = Partition::quiet("rolls", 0);
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("rolls");
    let policy = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let mut agent = home.run();
    partition.append_mix(100);
    await_all(&partition, &receiver);
    // when two receivers are attached one after the other while it is down
    assert!(agent.terminate(LIMIT).success());
    partition.append_mix(50);
    partition.roll_over();
    partition.append_mix(700);
    partition.roll_over();
    partition.append_mix(20);
    // then it goes on where it was, through all of them
    let _agent = home.run();
    await_all(&partition, &receiver);
    // and reports no gap
    never("a gap is reported", Duration::from_secs(2), || {
        seen(&receiver).into_iter().find(|seen| seen.event_id == "MUSTER_GAP").map(|seen| format!("{seen:?}"))
    });
}

#[test]
fn a_receiver_pruned_past_the_cursor_is_one_gap_with_the_exact_range() {
    // given an agent that has read part of the first receiver
    let partition = Partition::quiet("pruned", 0);
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("pruned");
    let policy = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let mut agent = home.run();
    partition.append_mix(100);
    await_all(&partition, &receiver);
    let read_to = partition.entries(0..=u64::MAX).last().expect("entries").sequence;
    home.await_cursor("siem", read_to, LIMIT);
    assert!(agent.terminate(LIMIT).success());
    // when more is written and its receiver is deleted before it could be read
    partition.append_mix(40);
    let lost: Vec<u64> =
        partition.entries(read_to + 1..=u64::MAX).into_iter().map(|entry| entry.sequence).collect();
    let name = partition.status().receivers[0].name.clone();
    partition.roll_over();
    partition.append_mix(10);
    assert!(partition.prune_oldest().is_some());
    // then one gap event names the range
    let _agent = home.run();
    await_all(&partition, &receiver);
    let gaps: Vec<Seen> = seen(&receiver).into_iter().filter(|seen| seen.event_id == "MUSTER_GAP").collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let value = |key: &str| gaps[0].values.get(key).cloned().unwrap_or_default();
    assert!(value("receiver").ends_with(&name), "{:?}", gaps[0]);
    assert_eq!(value("gapFrom"), (read_to + 1).to_string());
    let to: u64 = value("gapTo").parse().expect("the gap has an end");
    assert!(to >= *lost.last().expect("something was lost"), "{to} {lost:?}");
    assert!(partition.entries(0..=to).is_empty(), "the range ends before what is still there");
    // and the source is degraded and says why
    let reason = home.await_health("source/audit", "degraded", "entries lost", LIMIT);
    assert!(reason.contains(&format!("{} to {to}", read_to + 1)), "{reason}");
}
