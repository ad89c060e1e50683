//! A partition and a policy with every kind of source.

use crate::partition::Partition;
use ibmi_sim::{ExitProgram, QueuePlan, Scenario};

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
