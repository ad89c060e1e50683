//! `kill -9` at every step between the queue and a receiver: nothing is lost, and no entry becomes two events.

use super::*;
use muster_tests::receiver::Port;
use rand::{RngExt, SeedableRng};

/// Entries a second while the story runs.
const RATE: usize = 200;
/// The same of a keyed queue: what has a key is asked for by its key, which takes the simulated partition, slowed as it is,
/// several times as long.
const KEYED_RATE: usize = 50;
/// Answers of the partition take so long, so that kills fall between any two steps.
const SLOW: Duration = Duration::from_millis(15);

#[test]
fn an_entry_that_is_kept_and_still_on_the_queue_is_not_taken_for_another_one() {
    let receiver = Receiver::start(Port::Tcp);
    let rig = Rig::new("dtaq-kept", QueuePlan::new(QUEUE), PAYROLL, &receiver);
    // given entries that the agent has written down and cannot take away
    rig.partition.lock_data_queue(QUEUE, true).expect("the queue is there");
    rig.send(0..20);
    let mut agent = rig.home.run();
    rig.home.await_health(SOURCE, "failed", "CPF9503", LIMIT);
    rig.await_all(20, &receiver);
    // Equal entries are counted.
    rig.send(0..1);
    assert_eq!(rig.waiting(), 21);
    // when it is killed, and starts again with the queue free
    agent.kill();
    rig.partition.lock_data_queue(QUEUE, false).expect("the queue is there");
    let _agent = rig.home.run();
    eventually("the queue is emptied", LIMIT, || match rig.waiting() {
        0 => Ok(()),
        left => Err(left.to_string()),
    });
    rig.home.await_health(SOURCE, "healthy", "", LIMIT);
    rig.send(20..25);
    // then each came under one id, but for the one that was sent twice
    let arrived = eventually("everything arrives", LIMIT, || {
        let arrived = arrived(&receiver.messages());
        if arrived.len() == 25 { Ok(arrived) } else { Err(format!("{} arrived", arrived.len())) }
    });
    for (number, ids) in arrived {
        let different: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), if number == 0 { 2 } else { 1 }, "{number}: {ids:?}");
    }
}

#[test]
fn an_entry_that_was_taken_and_whose_answer_is_lost_is_there() {
    let receiver = Receiver::start(Port::Tcp);
    let rig = Rig::new("dtaq-answer", QueuePlan::new(QUEUE), PAYROLL, &receiver);
    let mut agent = rig.home.run();
    rig.home.await_health(SOURCE, "healthy", "", LIMIT);
    // After each kill a few entries stay in the queue for half a minute.
    let rounds = if full_size() { 3 } else { 1 };
    for round in 0..rounds {
        // when entries leave the queue and the agent never hears of it, because it is killed
        rig.partition.lose_next_answer(QUEUE).expect("the queue is there");
        rig.send(round * 30..round * 30 + 30);
        eventually("an answer is lost", LIMIT, || {
            if rig.partition.loses_answers() { Err("not yet".to_owned()) } else { Ok(()) }
        });
        assert!(rig.waiting() < 30, "they are not on the queue any more");
        agent.kill();
        agent = rig.home.run();
        // then they are there, each under one id
        rig.await_all(round * 30 + 30, &receiver);
        rig.await_empty();
    }
}

#[test]
fn an_agent_killed_at_random_moments_loses_no_entry() {
    let (count, kills) = if full_size() { (12_000, 40) } else { (2_400, 8) };
    for (name, plan) in [("fifo", QueuePlan::new(QUEUE)), ("keyed", QueuePlan::new(QUEUE).keyed(4))] {
        let receiver = Receiver::start(Port::Tcp);
        let keyed = name == "keyed";
        let (count, rate) = if keyed { (count / 4, KEYED_RATE) } else { (count, RATE) };
        let rig = Rig::new(&format!("dtaq-crash-{name}"), plan, PAYROLL, &receiver);
        rig.partition.slow_data_queues(SLOW);
        let seed = rand::random::<u64>();
        println!("seed {seed}");
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut moments: Vec<usize> = (0..kills).map(|_| random.random_range(0..count)).collect();
        moments.sort_unstable();
        let mut agent = rig.home.run();
        let began = Instant::now();
        for number in 0..count {
            let key = if keyed { rig.partition.bytes(&format!("K{}", number % 7)) } else { Vec::new() };
            let data = rig.partition.bytes(&format!("order={number} severity=5"));
            let sent = SentEntry { data, key, job: "123456/BOB/NIGHTRUN".into(), user: "PAYAPP".into() };
            rig.partition.send_data_queue(QUEUE, sent).expect("the queue takes it");
            while moments.first() == Some(&number) {
                moments.remove(0);
                // Half of them at the worst moment: entries are taken, and the answer never comes.
                if random.random::<bool>() {
                    rig.partition.lose_next_answer(QUEUE).expect("the queue is there");
                    let end = Instant::now() + Duration::from_secs(5);
                    while rig.partition.loses_answers() && Instant::now() < end {
                        std::thread::sleep(LOOK_AGAIN);
                    }
                }
                agent.kill();
                agent = rig.home.run();
            }
            // The traffic's own pace, not a wait for something.
            let due = began + Duration::from_secs_f64(number as f64 / rate as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let duplicates = rig.await_all(count, &receiver);
        result(&format!("data_queue_crash_lost_{name}"), 0);
        result(&format!("data_queue_crash_duplicates_{name}"), duplicates);
        // What a receiver had and the agent had not yet written down that it has: one window for each kill.
        let most = kills * 2 * rate;
        assert!(duplicates <= most, "{duplicates} came twice, at most {most}");
        rig.await_empty();
    }
}
