//! A partition and a policy with every kind of source.

use crate::partition::Partition;
use crate::sandbox::AgentHome;
use ibmi_sim::{ExitProgram, ExitRequest, InjectSpec, MessageSpec, QueuePlan, Scenario, SentEntry};
use std::time::Duration;

/// The queues that an agent with these sources empties: one of an application, and the one of the exit program.
pub const QUEUES: [&str; 2] = ["PAYROLL/EVENTS", "MUSTER/EXITQ"];

/// Names of the sources in [`SOURCES`].
pub const NAMES: [&str; 5] = ["audit", "history", "ours", "payroll", "exits"];

/// `sources` of a policy, each kind once, with nothing set that has a default.
pub const SOURCES: &str = "sources:\n  audit: {kind: audit_journal}\n  history: {kind: history_log}\n  \
                           ours: {kind: message_queue, queue: QGPL/OPS}\n  \
                           payroll: {kind: data_queue, queue: PAYROLL/EVENTS}\n  exits: {kind: exit_point}\n";

/// A partition without traffic of its own that has all of it.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn partition(name: &str) -> Partition {
    Partition::start(scenario(name))
}

/// What such a partition is made of.
#[must_use]
pub fn scenario(name: &str) -> Scenario {
    let mut scenario = Scenario { name: name.to_owned(), ..Scenario::default() };
    scenario.traffic.rate = 0.0;
    scenario.journal.receiver_size = 20_000;
    scenario.journal.keep_receivers = 0;
    scenario.message_queues = vec!["QGPL/OPS".to_owned()];
    scenario.data_queues =
        QUEUES.map(|queue| QueuePlan { max_length: 16_384, ..QueuePlan::new(queue) }).to_vec();
    scenario.exit_programs = vec![ExitProgram {
        exit_point: "QIBM_QZDA_SQL2".to_owned(),
        format: "ZDAQ0200".to_owned(),
        program: "MUSTER/MUSTERXH".to_owned(),
        number: 4320,
        text: "Muster".to_owned(),
    }];
    scenario
}

/// Waits until every source of [`NAMES`] is healthy.
///
/// # Panics
/// When one is not within `limit`.
pub fn await_sources(home: &AgentHome, limit: Duration) {
    for name in NAMES {
        home.await_health(&format!("source/{name}"), "healthy", "", limit);
    }
}

/// Something happens in one of the sources of [`NAMES`]. Gives a text that its event alone has, as long as numbers
/// are not used twice.
///
/// # Panics
/// When the partition has no such source, or does not take it.
pub fn happen(partition: &Partition, source: &str, number: usize) -> String {
    let mark = format!("{}{number:06}", source[..1].to_uppercase());
    let job = format!("{number:06}/STORY/{mark}");
    match source {
        "audit" => {
            let words = format!("AF, violation A, user {mark}, job 123456/BOB/NIGHT, PAYROLL/SALARY *FILE");
            partition.inject(&InjectSpec::parse(&words).expect("good words")).expect("an entry");
        }
        "history" => {
            let start = MessageSpec::new("CPF1124").from_job(&job).with("subsystem", "QBATCH");
            partition.log_messages(&[start]).expect("it is logged");
        }
        "ours" => {
            let note = MessageSpec::impromptu(&format!("note {number}")).from_job(&job);
            partition.send_message("QGPL/OPS", &note).expect("it is sent");
        }
        "payroll" => send(partition, QUEUES[0], &format!("order={number} severity=5 mark={mark}")),
        "exits" => ask(partition, &statement(&format!("select {number} from {mark}"))),
        other => panic!("{other} is no source"),
    }
    mark
}

/// Puts a text on a data queue, as a program of the partition does.
///
/// # Panics
/// When the queue does not take it.
pub fn send(partition: &Partition, queue: &str, text: &str) {
    let sent = SentEntry {
        data: partition.bytes(text),
        job: "123456/BOB/NIGHTRUN".to_owned(),
        user: "PAYAPP".to_owned(),
        ..SentEntry::default()
    };
    partition.send_data_queue(queue, sent).expect("the queue takes it");
}

/// A request to the database server.
#[must_use]
pub fn statement(text: &str) -> ExitRequest {
    ExitRequest {
        exit_point: "QIBM_QZDA_SQL2".to_owned(),
        format: "ZDAQ0200".to_owned(),
        function: "x180D".to_owned(),
        user: "BOB".to_owned(),
        job: "004711/QUSER/QZDASOINIT".to_owned(),
        current_user: "BOB".to_owned(),
        fields: [("sql".to_owned(), text.to_owned())].into(),
    }
}

/// The exit program is called.
///
/// # Panics
/// When the request makes no record, or the queue does not take it.
pub fn ask(partition: &Partition, request: &ExitRequest) {
    put_record(partition, partition.exit_record(request).expect("a good request"));
}

/// Puts bytes on the exit program's queue.
///
/// # Panics
/// When the queue does not take them.
pub fn put_record(partition: &Partition, data: Vec<u8>) {
    let sent = SentEntry {
        data,
        job: "004711/QUSER/QZDASOINIT".to_owned(),
        user: "MUSTEROWN".to_owned(),
        ..SentEntry::default()
    };
    partition.send_data_queue(QUEUES[1], sent).expect("the queue takes it");
}
