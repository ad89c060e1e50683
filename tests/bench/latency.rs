//! How long something takes from a partition into the files of two rsyslogs, for every kind of source.

use muster_tests::everything::{NAMES, QUEUES, SOURCES, await_sources, happen, partition};
use muster_tests::sandbox::Sandbox;
use muster_tests::siem::Siem;
use std::time::Duration;

/// Longest wait for a source to be healthy.
const READY: Duration = Duration::from_secs(60);

/// How often something happens in each source.
const COUNT: usize = 300;

/// Kind of each source of [`NAMES`].
const KINDS: [&str; 5] = ["audit_journal", "history_log", "message_queue", "data_queue", "exit_point"];

/// Measures one source after the other with an agent that has all of them, at default settings.
pub fn run() -> anyhow::Result<()> {
    let partition = partition("latency");
    let sandbox = Sandbox::new("latency");
    let siem = Siem::start(&sandbox);
    let policy = format!("{SOURCES}{}", siem.destinations());
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    home.allow(&QUEUES);
    let _agent = home.run();
    await_sources(&home, READY);
    for (name, kind) in NAMES.into_iter().zip(KINDS) {
        siem.measure(&format!("latency_p99_ms_{kind}"), COUNT, |number| happen(&partition, name, number));
    }
    Ok(())
}
