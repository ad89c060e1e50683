//! What goes wrong with data queues at customers: each gives one clear message, other queues go on, and what was mended
//! goes on by itself.

use super::*;
use muster_tests::process::program;
use muster_tests::receiver::Port;
use std::process::{Command, Output};

const OTHER: &str = "SALES/AUDIT";
const SALES: &str = "sales: {kind: data_queue, queue: SALES/AUDIT}";

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

fn two(story: &str, receiver: &Receiver, source: &str) -> Rig {
    let partition = partition(story, vec![QueuePlan::new(QUEUE), QueuePlan::new(OTHER)]);
    let sandbox = Sandbox::new(story);
    let policy = policy(&[source, SALES], &[("siem", policies::tcp(&receiver.address()), "{kind: leef2}")])
        + "    replay_window_ms: 1000\n";
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    home.allow(&[QUEUE, OTHER]);
    Rig { partition, home, sandbox }
}

fn seen(receiver: &Receiver, text: &str) -> Option<Seen> {
    let messages = receiver.messages();
    let mut seen = messages.iter().filter_map(|message| read(Dialect::Leef, message).ok());
    seen.find(|seen| seen.values.get("msg").is_some_and(|message| message.contains(text)))
}

fn await_seen(receiver: &Receiver, text: &str) -> Seen {
    eventually(&format!("{text:?} arrives"), LIMIT, || {
        seen(receiver, text).ok_or_else(|| format!("{} messages", receiver.count()))
    })
}

#[test]
fn a_queue_that_is_deleted_while_it_is_read_and_one_without_authority() {
    let receiver = Receiver::start(Port::Tcp);
    let rig = two("dtaq-deleted", &receiver, PAYROLL);
    let _agent = rig.home.run();
    send(&rig.partition, QUEUE, "before it is deleted");
    await_seen(&receiver, "before it is deleted");
    rig.partition.delete_data_queue(QUEUE).expect("it is there");
    let reason = rig.home.await_health(SOURCE, "failed", "CRTDTAQ DTAQ(PAYROLL/EVENTS)", LIMIT);
    contains(&reason, &["PAYROLL/EVENTS", "next try in"]);
    // the other one goes on
    send(&rig.partition, OTHER, "the other queue goes on");
    await_seen(&receiver, "the other queue goes on");
    rig.home.await_health("source/sales", "healthy", "", LIMIT);
    // created anew, as another kind of queue, it goes on by itself
    rig.partition.create_data_queue(QueuePlan::new(QUEUE).keyed(3)).expect("created");
    let entry = SentEntry {
        data: rig.partition.bytes("created anew"),
        key: vec![0xD2, 0xF1],
        ..SentEntry::default()
    };
    rig.partition.send_data_queue(QUEUE, entry).expect("the queue takes it");
    let anew = await_seen(&receiver, "created anew");
    assert_eq!((anew.values["entryKey"].as_str(), anew.values.get("jobName")), ("K1", None));
    rig.home.await_health(SOURCE, "healthy", "", LIMIT);
    // no authority, which is given later
    rig.partition.deny_data_queue(QUEUE, true).expect("it is there");
    let reason = rig.home.await_health(SOURCE, "failed", "GRTOBJAUT OBJ(PAYROLL/EVENTS)", LIMIT);
    contains(&reason, &["MUSTER may not read data queue PAYROLL/EVENTS", "USER(MUSTER)", "next try in"]);
    let entry =
        SentEntry { data: rig.partition.bytes("while denied"), key: vec![0xD2], ..SentEntry::default() };
    rig.partition.send_data_queue(QUEUE, entry).expect("the queue takes it");
    rig.partition.deny_data_queue(QUEUE, false).expect("it is there");
    await_seen(&receiver, "while denied");
    rig.home.await_health(SOURCE, "healthy", "", LIMIT);
}

#[test]
fn text_that_cannot_be_printed_and_a_wrong_code_page_lose_nothing() {
    let receiver = Receiver::start(Port::Tcp);
    let source = "payroll: {kind: data_queue, queue: PAYROLL/EVENTS, ccsid: 37, content: key_value}";
    let rig = two("dtaq-text", &receiver, source);
    let _agent = rig.home.run();
    let raw = |bytes: &[u8]| {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        format!("0:{digits}")
    };
    let put = |queue: &str, data: &[u8]| {
        let entry = SentEntry { data: data.to_vec(), ..SentEntry::default() };
        rig.partition.send_data_queue(queue, entry).expect("the queue takes it");
    };
    // UTF-16 in a queue that is said to be CCSID 37
    let wide: Vec<u8> = "order=1".encode_utf16().flat_map(u16::to_be_bytes).collect();
    put(QUEUE, &wide);
    let arrives = |digits: &str| {
        eventually("all bytes arrive", LIMIT, || {
            let messages = receiver.messages();
            let mut all = messages.iter().filter_map(|message| read(Dialect::Leef, message).ok());
            let found = all.find(|seen| seen.values.get("raw").is_some_and(|raw| raw == digits));
            found.ok_or_else(|| format!("{:?}", messages.last()))
        })
    };
    arrives(&raw(&wide));
    let reason = rig.home.await_health(SOURCE, "degraded", "CCSID 37", LIMIT);
    contains(&reason, &["PAYROLL/EVENTS", "ccsid"]);
    // no text at all, where anything may come
    let binary = [0x00, 0x01, 0x02, 0xFF, 0xC1];
    put(OTHER, &binary);
    assert_eq!(arrives(&raw(&binary)).event_id, "DTAQ_BINARY");
    rig.home.await_health("source/sales", "healthy", "", LIMIT);
    // text that is not what was announced
    send(&rig.partition, QUEUE, "no pairs at all");
    assert_eq!(await_seen(&receiver, "no pairs at all").event_id, "DTAQ_TEXT");
    rig.home.await_health(SOURCE, "degraded", "key_value", LIMIT);
    // and good text after that is good
    send(&rig.partition, QUEUE, "order=7 severity=2");
    let good = await_seen(&receiver, "order=7 severity=2");
    assert_eq!((good.event_id.as_str(), good.severity.as_str()), ("DTAQ_KV", "2"));
}

#[test]
fn a_queue_that_the_agents_limits_do_not_name_is_not_emptied() {
    let receiver = Receiver::start(Port::Tcp);
    let rig = Rig::new("dtaq-limits", QueuePlan::new(QUEUE), PAYROLL, &receiver);
    send(&rig.partition, QUEUE, "order=1");
    let text = std::fs::read_to_string(&rig.home.config).expect("the configuration");
    for limits in ["", "[limits]\nqueues = [\"SALES/*ALL\"]\n"] {
        let start = text.split("[limits]").next().expect("a start");
        std::fs::write(&rig.home.config, format!("{start}{limits}")).expect("the configuration is written");
        let run =
            Command::new(program("muster-agent")).args(["run", "--config"]).arg(&rig.home.config).output();
        let refused = |output: Output| {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{error}");
            contains(&error, &["queues", "PAYROLL/EVENTS", "[limits]"]);
        };
        refused(run.expect("muster-agent starts"));
        refused(rig.home.call("check-config", &[]));
    }
    assert_eq!((rig.waiting(), receiver.count()), (1, 0));
}

#[test]
fn check_config_looks_at_each_queue_and_takes_nothing() {
    let receiver = Receiver::start(Port::Tcp);
    let rig = two("dtaq-check", &receiver, PAYROLL);
    send(&rig.partition, QUEUE, "stays");
    let check = || {
        let output = rig.home.call("check-config", &["--connect"]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = check();
    assert_eq!(code, Some(0), "{told}");
    contains(&told, &["data queue PAYROLL/EVENTS", "data queue SALES/AUDIT"]);
    assert_eq!(rig.waiting(), 1, "nothing is taken");
    rig.partition.delete_data_queue(OTHER).expect("it is there");
    rig.partition.deny_data_queue(QUEUE, true).expect("it is there");
    let (code, told) = check();
    assert_eq!(code, Some(3), "{told}");
    contains(&told, &["CRTDTAQ DTAQ(SALES/AUDIT)", "PAYROLL/EVENTS", "FAIL"]);
}

#[test]
fn another_reader_of_the_queue_is_noticed() {
    let receiver = Receiver::start(Port::Tcp);
    let rig = Rig::new("dtaq-other", QueuePlan::new(QUEUE), PAYROLL, &receiver);
    // given entries that the agent has written down and cannot take away yet
    rig.partition.lock_data_queue(QUEUE, true).expect("the queue is there");
    rig.send(0..10);
    let _agent = rig.home.run();
    rig.home.await_health(SOURCE, "failed", "CPF9503", LIMIT);
    rig.await_all(10, &receiver);
    // when another program takes one of them first
    rig.partition.lock_data_queue(QUEUE, false).expect("the queue is there");
    rig.partition.receive_data_queue(QUEUE).expect("the queue is there");
    rig.send(10..20);
    // then nothing is lost or doubled
    rig.await_all(20, &receiver);
    eventually("the queue is emptied", LIMIT, || {
        if rig.waiting() == 0 { Ok(()) } else { Err("not yet".to_owned()) }
    });
}
