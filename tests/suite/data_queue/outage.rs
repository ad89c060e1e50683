//! Receivers that are away: the queue is emptied into the spool meanwhile, up to its size, and everything arrives later.

use super::*;
use muster_tests::receiver::Port;
use std::path::PathBuf;

const SMALL: &str = "payroll: {kind: data_queue, queue: PAYROLL/EVENTS, spool_mb: 1}";

fn large() -> QueuePlan {
    QueuePlan { max_length: 4_096, ..QueuePlan::new(QUEUE) }
}

impl Rig {
    /// Puts large entries with these numbers on the queue.
    fn send_large(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            send(&self.partition, QUEUE, &format!("order={number} severity=5 text={}", "x".repeat(4_000)));
        }
    }

    /// Segments of the spool in order.
    fn segments(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.home.folder.join("state/spool")).expect("there are spools");
        let files =
            folders.flat_map(|folder| std::fs::read_dir(folder.expect("a folder").path()).expect("a spool"));
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "seg"));
        files.sort();
        files
    }

    fn spool_bytes(&self) -> u64 {
        self.segments().iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }
}

#[test]
fn a_full_spool_leaves_the_queue_alone_and_everything_arrives_later() {
    let mut receiver = Receiver::start(Port::Tcp);
    receiver.kill();
    let rig = Rig::new("dtaq-full", large(), SMALL, &receiver);
    let mut agent = rig.home.run();
    // when more comes than the spool takes, and no receiver is there
    rig.send_large(0..400);
    rig.home.await_health(SOURCE, "degraded", "the spool is full", LIMIT);
    let left = rig.waiting();
    assert!((100..200).contains(&left), "{left} entries of 4,000 bytes are left on the queue");
    assert!(rig.spool_bytes() <= 1024 * 1024, "{}", rig.spool_bytes());
    // and the agent is killed and started again meanwhile: it starts, and nothing is taken
    agent.kill();
    agent = rig.home.run();
    rig.home.await_health(SOURCE, "degraded", "the spool is full", LIMIT);
    rig.send_large(400..410);
    assert!(rig.waiting() >= left, "{} were {left}", rig.waiting());
    // then all of it arrives when a receiver is there
    receiver.restart();
    rig.await_all(410, &receiver);
    rig.home.await_health(SOURCE, "healthy", "", LIMIT);
    rig.await_empty();
    // a second outage is like the first
    receiver.kill();
    rig.send_large(410..430);
    eventually("the queue is emptied", LIMIT, || match rig.waiting() {
        0 => Ok(()),
        left => Err(format!("{left} left")),
    });
    receiver.restart();
    rig.await_all(430, &receiver);
    // what is delivered goes
    eventually("the spool is tidied up", LIMIT, || match rig.spool_bytes() {
        small if small < 300 * 1024 => Ok(()),
        bytes => Err(format!("{bytes} bytes")),
    });
    assert!(agent.is_running());
}

#[test]
fn a_spool_of_another_size_keeps_what_it_has() {
    let mut receiver = Receiver::start(Port::Tcp);
    receiver.kill();
    let two = SMALL.replace("spool_mb: 1", "spool_mb: 2");
    let rig = Rig::new("dtaq-resize", large(), &two, &receiver);
    let mut agent = rig.home.run();
    rig.send_large(0..350);
    eventually("the queue is emptied", LIMIT, || match rig.waiting() {
        0 => Ok(()),
        left => Err(format!("{left} left")),
    });
    // when the policy halves the spool
    agent.kill();
    let file = rig.home.folder.join("policy.yaml");
    let text = std::fs::read_to_string(&file).expect("the policy").replace("spool_mb: 2", "spool_mb: 1");
    std::fs::write(&file, text).expect("the policy is written");
    let _agent = rig.home.run();
    rig.send_large(350..360);
    rig.home.await_health(SOURCE, "degraded", "the spool is full", LIMIT);
    // then nothing is thrown away
    receiver.restart();
    rig.await_all(360, &receiver);
}

#[test]
fn a_damaged_spool_costs_what_is_damaged_and_says_so() {
    let mut receiver = Receiver::start(Port::Tcp);
    receiver.kill();
    let rig = Rig::new("dtaq-damaged", QueuePlan::new(QUEUE), PAYROLL, &receiver);
    let mut agent = rig.home.run();
    rig.send(0..100);
    eventually("the queue is emptied", LIMIT, || {
        if rig.waiting() == 0 { Ok(()) } else { Err(rig.waiting().to_string()) }
    });
    agent.kill();
    // when a byte in the middle turns over, and the last bytes are cut off as after a power failure
    let segment = rig.segments().pop().expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&segment, bytes).expect("the segment is written");
    let mut agent = rig.home.run();
    receiver.restart();
    // then all others arrive, and a gap says which one does not
    let seen = eventually("the others arrive", LIMIT, || {
        let seen: Vec<Seen> =
            receiver.messages().iter().filter_map(|message| read(Dialect::Leef, message).ok()).collect();
        let gap = seen.iter().any(|seen| seen.event_id == "MUSTER_GAP");
        let count = arrived(&receiver.messages()).len();
        if gap && count >= 98 { Ok(seen) } else { Err(format!("{count} arrived, gap: {gap}")) }
    });
    let lost: Vec<usize> =
        (0..100).filter(|number| !arrived(&receiver.messages()).contains_key(number)).collect();
    assert!((1..=2).contains(&lost.len()), "{lost:?}");
    let gap = seen.iter().find(|seen| seen.event_id == "MUSTER_GAP").expect("found above");
    // Numbers in the spool begin at 1.
    let text = format!("{:?}", gap.values);
    assert!(text.contains(&(lost[0] + 1).to_string()), "{lost:?}: {text}");
    rig.home.await_health(SOURCE, "degraded", "lost", LIMIT);
    rig.send(100..110);
    eventually("what follows arrives", LIMIT, || match arrived(&receiver.messages()).len() {
        count if count == 110 - lost.len() => Ok(()),
        count => Err(count.to_string()),
    });
    // and when the whole spool is gone, that is told and costs what was in it
    receiver.kill();
    rig.send(110..120);
    eventually("the queue is emptied", LIMIT, || {
        if rig.waiting() == 0 { Ok(()) } else { Err(rig.waiting().to_string()) }
    });
    agent.kill();
    std::fs::remove_dir_all(rig.home.folder.join("state/spool")).expect("the spool is there");
    let _agent = rig.home.run();
    receiver.restart();
    rig.send(120..130);
    eventually("what comes after arrives", LIMIT, || {
        let messages = receiver.messages();
        let arrived = arrived(&messages);
        let gone = messages.iter().any(|message| message.contains("is gone from the agent"));
        if gone && (120..130).all(|number| arrived.contains_key(&number)) {
            Ok(())
        } else {
            Err(format!("gap: {gone}, {:?}", arrived.keys().rev().take(12).collect::<Vec<_>>()))
        }
    });
    assert!(rig.sandbox.path().is_dir());
}
