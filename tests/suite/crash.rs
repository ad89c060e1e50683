//! An agent that is killed at random moments, and a receiver that is restarted, lose nothing and repeat
//! little.

use muster_tests::eventually::eventually;
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, read};
use muster_tests::receiver::{Port, Receiver, UNREAD_BYTES};
use muster_tests::results::{full_size, result};
use muster_tests::sandbox::Sandbox;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Events written per second while the story runs (settled for this story: the window is one second, the
/// receiver's buffer 256 KiB).
const RATE: usize = 5_000;

struct Size {
    events: usize,
    kills: usize,
    restarts: usize,
}

#[test]
fn killed_agents_and_restarted_receivers_lose_nothing() {
    let size = if full_size() {
        Size { events: 100_000, kills: 10, restarts: 5 }
    } else {
        Size { events: 15_000, kills: 2, restarts: 1 }
    };
    // given an agent that delivers over TCP with a replay window of one second, and knows the receiver's buffer
    let partition = Partition::quiet("crash", 20_000);
    let mut receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("crash");
    let policy = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}")
        + &format!("    receiver_buffer_bytes: {UNREAD_BYTES}\n");
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let mut agent = home.run();

    // when it is killed and the receiver is restarted at random moments while events are written
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let moments = |count: usize, random: &mut rand::rngs::StdRng| -> Vec<usize> {
        let mut moments: Vec<usize> =
            (0..count).map(|_| random.random_range(size.events / 20..size.events * 19 / 20)).collect();
        moments.sort_unstable();
        moments
    };
    let mut kills = moments(size.kills, &mut random);
    let mut restarts = moments(size.restarts, &mut random);
    let started = Instant::now();
    let mut written = 0;
    let mut incidents = Vec::new();
    while written < size.events {
        written += partition.append_mix(RATE / 50);
        if kills.first().is_some_and(|at| written >= *at) {
            kills.remove(0);
            incidents.push(written);
            agent.kill();
            agent = home.run();
        }
        if restarts.first().is_some_and(|at| written >= *at) {
            restarts.remove(0);
            incidents.push(written);
            receiver.kill();
            receiver.restart();
        }
        // The traffic's own pace, not a wait for something.
        let due = started + Duration::from_secs_f64(written as f64 / RATE as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }

    // then every event is there
    let put = partition.entry_ids();
    assert!(put.len() >= size.events, "{} of {} were written", put.len(), size.events);
    let counts = eventually("every event arrives", Duration::from_secs(120), || {
        let counts = arrivals(&receiver);
        let missing = put.iter().filter(|id| !counts.contains_key(*id)).count();
        if missing == 0 { Ok(counts) } else { Err(format!("{missing} of {} are missing", put.len())) }
    });
    let duplicates: usize = counts.values().map(|count| count - 1).sum();
    result("crash_lost", 0);
    result("crash_duplicates", duplicates);
    // and each incident repeats the events of one window at most, however soon it came after another
    let bound = incidents.len() * RATE;
    assert!(duplicates <= bound, "{duplicates} duplicates, at most {bound}; incidents at {incidents:?}");
}

/// How often each entry arrived, by receiver and sequence. A message cut by a kill is no message.
fn arrivals(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in receiver.messages() {
        let Ok(seen) = read(Dialect::Leef, &message) else { continue };
        if let Some(id) = seen.journal_entry() {
            *counts.entry(id.to_owned()).or_default() += 1;
        }
    }
    counts
}
