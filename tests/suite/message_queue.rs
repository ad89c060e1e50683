//! Message queues: messages, inquiries and their replies reach a SIEM in two formats; a queue that is missing, refused,
//! deleted or cleared is told with what to do; and the other sources go on.

use crate::history_log::await_repeats;
use ibmi_sim::{Fault, MessageSpec, Scenario};
use muster_tests::eventually::{eventually, never};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::results::{full_size, result};
use muster_tests::sandbox::{AgentHome, Sandbox};
use muster_tests::siem::Siem;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const OPERATOR: &str = "source/operator";

fn job(number: usize) -> String {
    format!("{number:06}/STORY/M{number:06}")
}

fn note(number: usize) -> MessageSpec {
    MessageSpec::impromptu(&format!("note {number}")).from_job(&job(number))
}

fn inquiry(number: usize) -> MessageSpec {
    MessageSpec::new("CPA0702")
        .from_job(&job(number))
        .saying(&format!("CPF2110 received by {number}. (C D I R)"))
}

fn quiet(name: &str, queues: &[&str]) -> Partition {
    let mut scenario = Scenario { name: name.to_owned(), ..Scenario::default() };
    scenario.traffic.rate = 0.0;
    scenario.system.utc_offset_minutes = -300;
    scenario.message_queues = queues.iter().map(ToString::to_string).collect();
    Partition::start(scenario)
}

/// An agent that reads QSYSOPR and what else is named, and one receiver.
struct Rig {
    partition: Partition,
    receiver: Receiver,
    home: AgentHome,
    _sandbox: Sandbox,
}

impl Rig {
    fn new(story: &str, queues: &[&str], sources: &str) -> Self {
        let partition = quiet(story, queues);
        let receiver = Receiver::start(Port::Tcp);
        let sandbox = Sandbox::new(story);
        let policy = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}")
            .replace("  audit:\n    kind: audit_journal\n    start: oldest\n", sources);
        let home = sandbox.agent("agent", &partition.at(), Some(&policy));
        Self { partition, receiver, home, _sandbox: sandbox }
    }

    fn seen(&self) -> Vec<Seen> {
        self.receiver.messages().iter().filter_map(|line| read(Dialect::Leef, line).ok()).collect()
    }

    fn find(&self, what: &str, test: impl Fn(&Seen) -> bool) -> Seen {
        eventually(what, LIMIT, || {
            let seen = self.seen();
            let ids = seen.iter().map(|seen| seen.event_id.clone()).collect::<Vec<_>>();
            seen.into_iter().find(|seen| test(seen)).ok_or_else(|| format!("{ids:?}"))
        })
    }

    /// A part of the place that is stored of the first source, and all of the agent's state.
    fn stored(&self, part: &str) -> (serde_json::Value, String) {
        let output = self.home.call("show-state", &["--output", "json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let state: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        (state["cursors"][0]["cursor"][part].clone(), text)
    }

    fn await_job(&self, number: usize) -> Seen {
        self.find(&format!("message {number} arrives"), |seen| {
            seen.values.get("jobName").is_some_and(|name| *name == format!("M{number:06}"))
        })
    }
}

const OPERATOR_SOURCE: &str = "  operator: {kind: message_queue}\n";

#[test]
fn messages_inquiries_and_replies_reach_rsyslog_as_leef_and_cef_within_two_seconds() {
    // given an agent with default settings that reads QSYSOPR, QSYSMSG and one more
    let partition = quiet("queues", &["QSYS/QSYSMSG", "QGPL/OPS"]);
    let sandbox = Sandbox::new("queues");
    let siem = Siem::start(&sandbox);
    let policy = format!(
        "sources:\n{OPERATOR_SOURCE}  critical: {{kind: message_queue, queue: QSYS/QSYSMSG}}\n  \
         ours: {{kind: message_queue, queue: QGPL/OPS}}\n{}",
        siem.destinations()
    );
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let _agent = home.run();
    for source in [OPERATOR, "source/critical", "source/ours"] {
        home.await_health(source, "healthy", "", LIMIT);
    }

    // when an inquiry is answered, something critical happens, and a program tells something
    let key = partition.send_message("QSYSOPR", &inquiry(1)).expect("sent");
    for seen in siem.await_mark("received by 1.", LIMIT) {
        assert_eq!(seen.event_id, "CPA0702");
        assert_eq!(seen.values["replyState"], "waiting");
        assert_eq!(seen.values["msgQueue"], "QSYS/QSYSOPR");
        assert_eq!(seen.values["msgKey"], format!("{key:08X}"));
        assert_eq!((seen.values["msgType"].as_str(), seen.values["msgSeverity"].as_str()), ("INQUIRY", "99"));
    }
    partition.reply("QSYSOPR", key, "OPERATOR1", "C").expect("answered");
    partition
        .send_message("QSYSMSG", &MessageSpec::new("CPI0920").from_job(&job(2)).with("device", "DD001"))
        .expect("sent");
    partition
        .send_message("QSYSMSG", &MessageSpec::impromptu("critical note").from_job(&job(3)))
        .expect("sent");
    partition.send_message("QGPL/OPS", &note(4)).expect("sent");

    // then the reply names its inquiry
    for seen in siem.await_mark("OPERATOR1", LIMIT) {
        assert_eq!(seen.event_id, "IMPROMPTU");
        assert_eq!((seen.values["msgType"].as_str(), seen.values["msg"].as_str()), ("REPLY", "C"));
        assert_eq!(seen.values["replyToKey"], format!("{key:08X}"));
        assert_eq!(seen.values["replyToId"], "CPA0702");
        assert!(seen.values["replyToMsg"].starts_with("CPF2110 received by 1."), "{seen:?}");
    }
    // and what lands in QSYSMSG is severe
    for (mark, id, severity) in
        [("DD001", "CPI0920", "9"), ("critical note", "IMPROMPTU", "8"), ("note 4", "IMPROMPTU", "2")]
    {
        for seen in siem.await_mark(mark, LIMIT) {
            assert_eq!((seen.event_id.as_str(), seen.severity.as_str()), (id, severity), "{mark}");
        }
    }
    assert_eq!(siem.seen(Dialect::Leef).len(), 5, "each once");
    // and the queue is as it was: the inquiry and its reply, both still there
    let left: Vec<_> =
        partition.queue("QSYS", "QSYSOPR").into_iter().map(|sent| (sent.kind, sent.key)).collect();
    assert_eq!(
        left.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(),
        ["INQUIRY", "REPLY"],
        "{left:?}"
    );
    assert_eq!(left[0].1, Some(key));

    // and all of it soon
    let count = if full_size() { 300 } else { 40 };
    let spread = siem.measure("latency_p99_ms_message_queue", count, |number| {
        partition.send_message("QSYSOPR", &note(1_000 + number)).expect("sent");
        format!("M{:06}", 1_000 + number)
    });
    assert!(spread.p99 < Duration::from_secs(2), "{spread:?}");
}

#[test]
fn a_reply_finds_its_inquiry_in_the_queue_after_a_restart() {
    let rig = Rig::new("queue-restart", &[], OPERATOR_SOURCE);
    let mut agent = rig.home.run();
    rig.home.await_health(OPERATOR, "healthy", "", LIMIT);
    let key = rig.partition.send_message("QSYSOPR", &inquiry(1)).expect("sent");
    rig.await_job(1);
    // Long ago by the time of the restart, so that it is not met again among the last messages.
    rig.partition.set_fault(Fault::ClockJump { seconds: 3_000 }).expect("a fault");
    rig.partition.send_message("QSYSOPR", &note(2)).expect("sent");
    rig.await_job(2);
    let sent = rig.partition.queue("QSYS", "QSYSOPR");
    eventually("the place behind the second message is stored", LIMIT, || {
        let (from_us, state) = rig.stored("from_us");
        if from_us.as_i64().is_some_and(|from_us| from_us > sent[0].at) { Ok(()) } else { Err(state) }
    });
    agent.kill();
    let _agent = rig.home.run();
    rig.home.await_health(OPERATOR, "healthy", "", LIMIT);
    rig.partition.reply("QSYSOPR", key, "OPERATOR1", "I").expect("answered");
    let reply =
        rig.find("the reply arrives", |seen| seen.values.get("msgType").is_some_and(|kind| kind == "REPLY"));
    assert_eq!(reply.values["replyToId"], "CPA0702");
    assert!(reply.values["replyToMsg"].starts_with("CPF2110 received by 1."), "{reply:?}");
}

#[test]
fn a_killed_agent_loses_nothing_of_a_queue() {
    let (bursts, kills) = if full_size() { (200, 10) } else { (60, 2) };
    let rig = Rig::new("queue-crash", &[], OPERATOR_SOURCE);
    let mut agent = rig.home.run();
    rig.home.await_health(OPERATOR, "healthy", "", LIMIT);
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let (mut number, mut killed, mut unharmed) = (0, 0, 1);
    for burst in 0..bursts {
        for _ in 0..random.random_range(1..40) {
            number += 1;
            rig.partition.send_message("QSYSOPR", &note(number)).expect("sent");
        }
        if burst % (bursts / kills) == bursts / kills / 2 {
            agent.kill();
            agent = rig.home.run();
            (killed, unharmed) = (killed + 1, number + 1);
        }
        // The traffic's own pace, not a wait for something.
        std::thread::sleep(Duration::from_millis(random.random_range(10..120)));
    }
    let duplicates = await_repeats(number, killed, unharmed, || {
        let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for seen in rig.seen() {
            if let Some(name) = seen.values.get("jobName") {
                ids.entry(name.clone()).or_default().push(seen.values["eventId"].clone());
            }
        }
        ids
    });
    result("crash_message_queue_lost", 0);
    result("crash_message_queue_duplicates", duplicates);
}

#[test]
fn a_queue_that_is_missing_refused_or_deleted_is_told_and_recovers_by_itself() {
    let sources = format!("{OPERATOR_SOURCE}  critical: {{kind: message_queue, queue: QSYS/QSYSMSG}}\n");
    let rig = Rig::new("queue-missing", &[], &sources);
    // given no QSYSMSG
    let output = rig.home.call("check-config", &["--connect"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{told}");
    assert!(
        told.contains("message queue QSYS/QSYSOPR: SIM01") && told.contains("CRTMSGQ MSGQ(QSYS/QSYSMSG)"),
        "{told}"
    );
    let _agent = rig.home.run();
    let critical = "source/critical";
    let reason = rig.home.await_health(critical, "failed", "CRTMSGQ MSGQ(QSYS/QSYSMSG)", LIMIT);
    assert!(
        reason.contains("does not exist, or MUSTER may not see it") && reason.contains("optional"),
        "{reason}"
    );
    rig.home.await_health(OPERATOR, "healthy", "", LIMIT);
    // when it is created as the reason says
    rig.partition.create_queue("QSYSMSG");
    rig.home.await_health(critical, "healthy", "", LIMIT);
    rig.partition.send_message("QSYSMSG", &note(1)).expect("sent");
    rig.await_job(1);
    // and deleted while it is read
    assert!(rig.partition.delete_queue("QSYSMSG"));
    rig.home.await_health(critical, "failed", "CRTMSGQ MSGQ(QSYS/QSYSMSG)", LIMIT);
    rig.partition.send_message("QSYSOPR", &note(2)).expect("sent");
    rig.await_job(2);
    rig.partition.create_queue("QSYSMSG");
    rig.partition.send_message("QSYSMSG", &note(3)).expect("sent");
    rig.await_job(3);
    rig.home.await_health(critical, "healthy", "", LIMIT);
    // and the authority to it is taken away
    rig.partition.set_fault(Fault::QueuesRefused).expect("a fault");
    let reason = rig.home.await_health(OPERATOR, "failed", "may not read message queue QSYS/QSYSOPR", LIMIT);
    assert!(reason.contains("GRTOBJAUT OBJ(QSYS/QSYSOPR) OBJTYPE(*MSGQ) USER(MUSTER) AUT(*USE)"), "{reason}");
    rig.partition.set_fault(Fault::Clear).expect("well again");
    rig.partition.send_message("QSYSOPR", &note(4)).expect("sent");
    rig.await_job(4);
    let seen: Vec<_> = rig.seen().into_iter().filter(|seen| seen.event_id == "IMPROMPTU").collect();
    assert_eq!(seen.len(), 4, "each once: {seen:?}");
}

#[test]
fn messages_that_operators_remove_are_no_gap_and_a_queue_cleared_while_away_is_one() {
    let rig = Rig::new("queue-cleared", &[], OPERATOR_SOURCE);
    let mut agent = rig.home.run();
    rig.home.await_health(OPERATOR, "healthy", "", LIMIT);
    let key = rig.partition.send_message("QSYSOPR", &note(1)).expect("sent");
    rig.await_job(1);
    // An operator removes the only message there is.
    assert_eq!(rig.partition.remove_messages("QSYSOPR", Some(key)), 1);
    rig.partition.send_message("QSYSOPR", &note(2)).expect("sent");
    rig.await_job(2);
    let gaps = || rig.seen().iter().filter(|seen| seen.event_id == "MUSTER_GAP").count();
    never("a gap is told", Duration::from_secs(3), || (gaps() > 0).then(|| "a gap".to_owned()));
    // What was read is stored, then the agent is away, and the queue is cleared.
    let second = rig.partition.queue("QSYS", "QSYSOPR")[0].at;
    eventually("the place behind the second message is stored", LIMIT, || {
        let (at_us, state) = rig.stored("at_us");
        if at_us.as_i64() == Some(second) { Ok(()) } else { Err(state) }
    });
    assert!(agent.terminate(LIMIT).success());
    rig.partition.send_message("QSYSOPR", &note(3)).expect("sent");
    assert_eq!(rig.partition.remove_messages("QSYSOPR", None), 2);
    rig.partition.set_fault(Fault::ClockJump { seconds: 600 }).expect("a fault");
    rig.partition.send_message("QSYSOPR", &note(4)).expect("sent");
    let _agent = rig.home.run();
    let gap = rig.find("the gap is told", |seen| seen.event_id == "MUSTER_GAP");
    assert!(gap.values["reason"].contains("may have been removed before they were read"), "{gap:?}");
    assert!(!gap.values.contains_key("gapCount"), "nobody knows how many: {gap:?}");
    rig.await_job(4);
    rig.home.await_health(OPERATOR, "degraded", "entries of QSYS/QSYSOPR may be lost", LIMIT);
}

#[test]
fn what_is_bad_in_a_message_is_told_and_the_rest_goes_on() {
    let rig = Rig::new(
        "queue-bad",
        &["QGPL/OPS"],
        &format!("{OPERATOR_SOURCE}  ours: {{kind: message_queue, queue: QGPL/OPS}}\n"),
    );
    let _agent = rig.home.run();
    rig.home.await_health(OPERATOR, "healthy", "", LIMIT);
    rig.home.await_health("source/ours", "healthy", "", LIMIT);
    for (number, (fault, reason)) in [
        (Fault::GarbledText, "its text holds characters that cannot be printed"),
        (Fault::OverlongText, "its text is longer than the 1024 that the service declares"),
        (
            Fault::TruncatedData { bytes: 30 },
            "its replacement data has 30 bytes, and what is documented of it 68",
        ),
        (Fault::ForeignPage { ccsid: 1025 }, "its replacement data holds no name where subsystem lies"),
    ]
    .into_iter()
    .enumerate()
    {
        rig.partition.set_fault(fault).expect("a fault");
        // No name has a blank in it, in whatever page it is read.
        let spec = MessageSpec::new("CPF1124").from_job(&job(number)).with("subsystem", "Щ ЖЩ");
        rig.partition.send_message("QSYSOPR", &spec).expect("sent");
        rig.home.await_health(OPERATOR, "degraded", reason, LIMIT);
        rig.await_job(number);
        rig.partition.set_fault(Fault::Clear).expect("well again");
        rig.partition.send_message("QSYSOPR", &note(100 + number)).expect("sent");
        rig.partition.send_message("QGPL/OPS", &note(200 + number)).expect("sent");
        rig.await_job(100 + number);
        rig.await_job(200 + number);
        assert_eq!(rig.home.health("source/ours").map(|(state, _)| state).as_deref(), Some("healthy"));
    }
}
