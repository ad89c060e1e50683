//! Exit points: what the exit program was asked arrives, and so does what becomes of the exit programs themselves, whatever
//! happens to the agent.

use crate::data_queue::policy;
use ibmi_sim::{ExitProgram, QueuePlan, Scenario, SentEntry};
use muster_tests::eventually::eventually;
use muster_tests::everything::{ask, put_record, statement};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::results::full_size;
use muster_tests::sandbox::{AgentHome, Sandbox};
use muster_tests::siem::Siem;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const QUEUE: &str = "MUSTER/EXITQ";
const SOURCE: &str = "source/exits";
const WATCHED: &str = "exits: {kind: exit_point, watch_seconds: 10}";
/// From the request to the receiver's file.
const PROMISED: Duration = Duration::from_secs(2);

fn program(exit_point: &str, format: &str, program: &str) -> ExitProgram {
    ExitProgram {
        exit_point: exit_point.to_owned(),
        format: format.to_owned(),
        program: program.to_owned(),
        number: 4320,
        text: "Muster".to_owned(),
    }
}

/// A partition with the exit program's queue, and the program at two exit points.
fn partition(name: &str) -> Partition {
    let queue = QueuePlan { max_length: 16_384, ..QueuePlan::new(QUEUE) };
    let mut scenario = Scenario { name: name.to_owned(), data_queues: vec![queue], ..Scenario::default() };
    scenario.exit_programs = vec![
        program("QIBM_QZDA_SQL2", "ZDAQ0200", "MUSTER/MUSTERXH"),
        program("QIBM_QZRC_RMT", "CZRC0100", "MUSTER/MUSTERXH"),
    ];
    scenario.traffic.rate = 0.0;
    Partition::start(scenario)
}

/// An agent of the partition with one receiver.
fn agent(sandbox: &Sandbox, partition: &Partition, receiver: &Receiver) -> AgentHome {
    let policy = policy(&[WATCHED], &[("siem", policies::tcp(&receiver.address()), "{kind: leef2}")])
        + "    replay_window_ms: 1000\n";
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    home.allow(&[QUEUE]);
    home
}

fn events(receiver: &Receiver, id: &str) -> Vec<Seen> {
    let messages = receiver.messages();
    let seen = messages.iter().filter_map(|message| read(Dialect::Leef, message).ok());
    seen.filter(|seen| seen.event_id == id).collect()
}

/// Waits for an event of this id with `text` among its values.
fn await_event(receiver: &Receiver, id: &str, text: &str) -> Seen {
    eventually(&format!("{id} with {text:?} arrives"), LIMIT, || {
        let found = events(receiver, id)
            .into_iter()
            .find(|seen| seen.values.values().any(|value| value.contains(text)));
        found.ok_or_else(|| format!("{:?}", receiver.messages().last()))
    })
}

#[test]
fn a_request_stands_in_rsyslog_within_two_seconds_in_leef_and_cef() {
    let partition = partition("exit-latency");
    let sandbox = Sandbox::new("exit-latency");
    let siem = Siem::start(&sandbox);
    let policy = format!("sources:\n  exits: {{kind: exit_point}}\n{}", siem.destinations());
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    home.allow(&[QUEUE]);
    let _agent = home.run();
    ask(&partition, &statement("select * from payroll.emp"));
    for (first, user) in siem.await_mark("select * from payroll.emp", LIMIT).iter().zip(["usrName", "suser"])
    {
        assert!(first.event_id.starts_with("EXIT_SQL"), "{first:?}");
        for (key, expected) in [
            (user, "BOB"),
            ("jobName", "QZDASOINIT"),
            ("jobNumber", "004711"),
            ("serverId", "*SQLSRV"),
            ("sqlText", "select * from payroll.emp"),
        ] {
            assert_eq!(first.values.get(key).map_or("", String::as_str), expected, "{key} of {first:?}");
        }
    }
    let count = if full_size() { 300 } else { 40 };
    let spread = siem.measure("latency_p99_ms_exit_point", count, |number| {
        ask(&partition, &statement(&format!("select {number:06}")));
        format!("select {number:06}")
    });
    assert!(spread.p99 < PROMISED, "{spread:?}");
    home.await_health(SOURCE, "healthy", "", LIMIT);
}

#[test]
fn what_becomes_of_exit_programs_is_an_event_that_survives_a_crash() {
    let partition = partition("exit-watch");
    let mut receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("exit-watch");
    let home = agent(&sandbox, &partition, &receiver);
    let mut agent = home.run();
    ask(&partition, &statement("select 1"));
    await_event(&receiver, "EXIT_SQL_PREPARE_EXECUTE", "select 1");
    assert_eq!(events(&receiver, "EXIT_PROGRAM_REMOVED").len(), 0);
    // when a foreign program is registered
    let foreign = program("QIBM_QTMF_SERVER_REQ", "VLRQ0100", "EVIL/FTPEXIT");
    partition.add_exit_program(foreign).expect("registered");
    let found = await_event(&receiver, "EXIT_PROGRAM_FOREIGN", "EVIL/FTPEXIT");
    assert_eq!((found.values["exitPoint"].as_str(), found.severity.as_str()), ("QIBM_QTMF_SERVER_REQ", "8"));
    // and, with no receiver there, one of ours is removed
    receiver.kill();
    partition.remove_exit_program("QIBM_QZDA_SQL2", "ZDAQ0200", 4320).expect("it is there");
    let registry = home.folder.join("state/spool").join("exit_point.MUSTER.EXITQ").join("registry.json");
    eventually("the agent has seen that it is gone", LIMIT, || {
        let text = std::fs::read(&registry).map_err(|error| format!("{}: {error}", registry.display()))?;
        let state: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let programs = state["snapshot"]["programs"].as_array().expect("a list");
        let there = programs.iter().any(|program| program["exit_point"] == "QIBM_QZDA_SQL2");
        if there { Err(format!("{programs:?}")) } else { Ok(()) }
    });
    // and the agent is killed, another one is removed meanwhile, with the queue as well
    agent.kill();
    partition.remove_exit_program("QIBM_QZRC_RMT", "CZRC0100", 4320).expect("it is there");
    partition.delete_data_queue(QUEUE).expect("it is there");
    receiver.restart();
    let _agent = home.run();
    // then both arrive, each once
    for point in ["QIBM_QZDA_SQL2", "QIBM_QZRC_RMT"] {
        let removed = await_event(&receiver, "EXIT_PROGRAM_REMOVED", point);
        assert_eq!(
            (removed.values["exitProgram"].as_str(), removed.severity.as_str()),
            ("MUSTER/MUSTERXH", "9")
        );
    }
    home.await_health(SOURCE, "failed", "MUSTER/EXITQ", LIMIT);
    let removed = events(&receiver, "EXIT_PROGRAM_REMOVED");
    let ids: BTreeSet<&String> = removed.iter().map(|seen| &seen.values["eventId"]).collect();
    assert_eq!(ids.len(), 2, "{removed:?}");
}

#[test]
fn records_that_are_none_and_records_that_are_cut_hold_up_nothing() {
    let partition = partition("exit-bad");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("exit-bad");
    let home = agent(&sandbox, &partition, &receiver);
    let _agent = home.run();
    let good = partition.exit_record(&statement("select 7")).expect("a good request");
    // shorter and longer than it says of itself
    put_record(&partition, good[..good.len() - 4].to_vec());
    home.await_health(SOURCE, "degraded", "end too early or tell a wrong length", LIMIT);
    put_record(&partition, [good.as_slice(), &[0x40; 9]].concat());
    // no record at all: its bytes are not shown
    put_record(&partition, b"password=geheim".to_vec());
    home.await_health(SOURCE, "degraded", "are no records of the exit program", LIMIT);
    // and a good one after them
    ask(&partition, &statement("select 8"));
    let last = await_event(&receiver, "EXIT_SQL_PREPARE_EXECUTE", "select 8");
    assert_eq!(last.values["usrName"], "BOB");
    eventually("all four are events", LIMIT, || {
        let messages = receiver.messages();
        let count = messages.iter().filter(|message| message.contains("EXIT_")).count();
        if count == 4 { Ok(()) } else { Err(format!("{count}: {messages:?}")) }
    });
    assert!(
        !receiver.messages().iter().any(|message| message.contains("geheim")),
        "no bytes of what is no record"
    );
    let digits = b"geheim".iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    assert!(!receiver.messages().iter().any(|message| message.contains(&digits)), "nor as digits");
}

const SALES: &str = "sales: {kind: data_queue, queue: SALES/AUDIT}";

/// A partition with another queue beside the exit program's, and an agent that reads both.
fn two(story: &str, receiver: &Receiver) -> (Partition, Sandbox, AgentHome) {
    let queue = QueuePlan { max_length: 16_384, ..QueuePlan::new(QUEUE) };
    let data_queues = vec![queue, QueuePlan::new("SALES/AUDIT")];
    let mut scenario = Scenario { name: story.to_owned(), data_queues, ..Scenario::default() };
    scenario.exit_programs = vec![program("QIBM_QZDA_SQL2", "ZDAQ0200", "MUSTER/MUSTERXH")];
    scenario.traffic.rate = 0.0;
    let partition = Partition::start(scenario);
    let sandbox = Sandbox::new(story);
    let siem = ("siem", policies::tcp(&receiver.address()), "{kind: leef2}");
    let policy = policy(&[WATCHED, SALES], &[siem]) + "    replay_window_ms: 1000\n";
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    home.allow(&[QUEUE, "SALES/AUDIT"]);
    (partition, sandbox, home)
}

/// The other queue is read and healthy.
fn other_goes_on(partition: &Partition, home: &AgentHome, receiver: &Receiver, text: &str) {
    let sent = SentEntry { data: partition.bytes(text), ..SentEntry::default() };
    partition.send_data_queue("SALES/AUDIT", sent).expect("the queue takes it");
    await_event(receiver, "DTAQ_TEXT", text);
    home.await_health("source/sales", "healthy", "", LIMIT);
}

#[test]
fn an_exit_queue_that_is_deleted_while_it_is_read_and_one_without_authority() {
    let receiver = Receiver::start(Port::Tcp);
    let (partition, _sandbox, home) = two("exit-deleted", &receiver);
    let _agent = home.run();
    ask(&partition, &statement("select 1"));
    await_event(&receiver, "EXIT_SQL_PREPARE_EXECUTE", "select 1");
    // deleted while it is read
    partition.delete_data_queue(QUEUE).expect("it is there");
    let reason = home.await_health(SOURCE, "failed", "CRTDTAQ DTAQ(MUSTER/EXITQ)", LIMIT);
    assert!(reason.contains("next try in"), "{reason}");
    other_goes_on(&partition, &home, &receiver, "while the queue is gone");
    // created anew
    let queue = QueuePlan { max_length: 16_384, ..QueuePlan::new(QUEUE) };
    partition.create_data_queue(queue).expect("created");
    ask(&partition, &statement("select 2"));
    await_event(&receiver, "EXIT_SQL_PREPARE_EXECUTE", "select 2");
    home.await_health(SOURCE, "healthy", "", LIMIT);
    // the authority is lost
    partition.deny_data_queue(QUEUE, true).expect("it is there");
    let reason = home.await_health(SOURCE, "failed", "GRTOBJAUT OBJ(MUSTER/EXITQ)", LIMIT);
    assert!(reason.contains("MUSTER may not read data queue MUSTER/EXITQ"), "{reason}");
    ask(&partition, &statement("select 3"));
    other_goes_on(&partition, &home, &receiver, "while it is denied");
    // and given back
    partition.deny_data_queue(QUEUE, false).expect("it is there");
    await_event(&receiver, "EXIT_SQL_PREPARE_EXECUTE", "select 3");
    home.await_health(SOURCE, "healthy", "", LIMIT);
}

#[test]
fn a_format_that_no_table_knows_is_told_and_nothing_of_it_shown() {
    let receiver = Receiver::start(Port::Tcp);
    let (partition, _sandbox, home) = two("exit-format", &receiver);
    let _agent = home.run();
    // a record of an exit point that hands over passwords, as a program of the site might send it
    let mut record = partition.exit_record(&statement("select geheim")).expect("a good request");
    record[16..36].copy_from_slice(&partition.bytes("QIBM_QSY_CHK_PASSWRD"));
    record[36..44].copy_from_slice(&partition.bytes("CHKP0100"));
    put_record(&partition, record);
    let unknown = await_event(&receiver, "EXIT_UNKNOWN", "CHKP0100");
    assert_eq!(unknown.values["usrName"], "BOB");
    let reason = home.await_health(SOURCE, "degraded", "CHKP0100", LIMIT);
    assert!(reason.contains("QIBM_QSY_CHK_PASSWRD") && reason.contains("no layout"), "{reason}");
    assert!(!receiver.messages().iter().any(|message| message.contains("geheim")));
    // the other source goes on, and so does this one
    other_goes_on(&partition, &home, &receiver, "the other one goes on");
    ask(&partition, &statement("select 9"));
    await_event(&receiver, "EXIT_SQL_PREPARE_EXECUTE", "select 9");
}

#[test]
fn a_statement_that_cannot_be_printed_arrives_and_holds_up_nothing() {
    let receiver = Receiver::start(Port::Tcp);
    let (partition, _sandbox, home) = two("exit-text", &receiver);
    let _agent = home.run();
    let good = partition.exit_record(&statement("select UNPRINTABLE")).expect("a good request");
    // control characters, and bytes that are no character of any page, in the text of the statement
    let (plain, odd) = (partition.bytes("UNPRINTABLE"), [0x01, 0x02, 0xFF, 0x00, 0x1F]);
    let wide: Vec<u8> = "UNPRINTABLE".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let place = |part: &[u8]| good.windows(part.len()).position(|window| window == part);
    let at = place(&plain).or_else(|| place(&wide)).expect("the text lies in the record");
    let mut record = good.clone();
    record[at..at + odd.len()].copy_from_slice(&odd);
    put_record(&partition, record);
    let seen = await_event(&receiver, "EXIT_SQL_PREPARE_EXECUTE", "select");
    assert_eq!(
        (seen.values["usrName"].as_str(), seen.values["exitPoint"].as_str()),
        ("BOB", "QIBM_QZDA_SQL2")
    );
    // and good text after it
    ask(&partition, &statement("select 10"));
    await_event(&receiver, "EXIT_SQL_PREPARE_EXECUTE", "select 10");
    other_goes_on(&partition, &home, &receiver, "the other one goes on");
}
