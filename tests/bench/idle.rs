//! What an agent with every kind of source costs while nothing happens.

use anyhow::Context as _;
use muster_tests::everything::{NAMES, QUEUES, SOURCES, await_sources, partition};
use muster_tests::policies;
use muster_tests::receiver::{Port, Receiver};
use muster_tests::results::result;
use muster_tests::sandbox::Sandbox;
use std::time::{Duration, Instant};

/// Longest wait for a source to be healthy.
const READY: Duration = Duration::from_secs(60);

/// It is watched this long.
const WATCHED: Duration = Duration::from_secs(60);

/// Measures processor time of the agent at default settings, and how often it asks the partition.
pub fn run() -> anyhow::Result<()> {
    let partition = partition("idle");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("idle");
    let transport = policies::tcp(&receiver.address());
    let policy =
        format!("{SOURCES}destinations:\n  siem: {{transport: {transport}, format: {{kind: leef2}}}}\n");
    let home = sandbox.agent("agent", &partition.at(), Some(&policy));
    let config = std::fs::read_to_string(&home.config).context("read the configuration")?;
    // A story's log tells everything; a site's does not.
    let (before, _) = config.split_once("[log]").context("the log's section")?;
    let (_, after) = config.split_once("[policy]").context("the policy's section")?;
    std::fs::write(&home.config, format!("{before}[policy]{after}")).context("write the configuration")?;
    home.allow(&QUEUES);
    let agent = home.run();
    await_sources(&home, READY);
    let cpu = || agent.cpu_seconds().context("the agent runs");
    let (used, asked, began) = (cpu()?, partition.counts().requests, Instant::now());
    // Measured over a time, not a wait for something.
    std::thread::sleep(WATCHED);
    let took = began.elapsed().as_secs_f64();
    let (used, asked) = (cpu()? - used, partition.counts().requests - asked);
    println!(
        "idle: {} sources for {took:.0} s, {used:.2} s of processor, {:.2} requests a second to the partition",
        NAMES.len(),
        asked as f64 / took
    );
    result("idle_poll_cpu_percent", format_args!("{:.2}", used / took * 100.0));
    Ok(())
}
