//! The console in a real browser, with a large fleet behind it that changes all the time.

use anyhow::ensure;
use clap::Args;
use muster_tests::browser::{Said, Script};
use muster_tests::load::agent::Order;
use muster_tests::load::content;
use muster_tests::load::trial::Trial;
use muster_tests::results::result;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for a step of the fleet.
const LIMIT: Duration = Duration::from_secs(180);
/// Longest silence of the browser beside its live part.
const PATIENCE: Duration = Duration::from_secs(120);
/// While the page is live, so many agents change their health …
const CHANGING: usize = 50;
/// … so often.
const EVERY: Duration = Duration::from_secs(1);
/// Of a controller that lives as long as the benchmark.
const PASSWORD: &str = "a password of the benchmark";

/// What to measure.
#[derive(Args, Clone, PartialEq, Eq)]
pub struct Console {
    /// Partitions.
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Seconds for which the page is watched while the fleet changes.
    #[arg(long, default_value_t = 600)]
    live_seconds: u64,
}

/// Measures it.
pub fn run(wanted: &Console) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(wanted))
}

async fn measure(wanted: &Console) -> anyhow::Result<()> {
    let mut trial = Trial::start("console", &[]).await?;
    trial.enrol(wanted.agents).await?;
    trial.connect(LIMIT).await?;
    trial.push(LIMIT).await?;
    // With a first password, the console asks for another before anything else.
    trial.api.change_password(&trial.controller.admin_password(), PASSWORD).await?;
    // What somebody looks for: near the beginning, in the middle, at the end.
    let names: Vec<String> =
        [1, 2, 3, 5, 9].iter().map(|tenth| content::name(wanted.agents * tenth / 10)).collect();
    let given = json!({
        "url": trial.controller.url,
        "user": "admin",
        "password": PASSWORD,
        "live_seconds": wanted.live_seconds,
        "bundle": Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/console/dist"),
        "names": names,
    });
    let mut script = Script::start("bench.mjs", &given);
    let mut live = false;
    let mut turn = 0;
    let mut last_word = Instant::now();
    loop {
        let wait = if live { EVERY } else { PATIENCE };
        match tokio::task::block_in_place(|| script.next(wait)) {
            Said::Result(name, value) => result(&name, value),
            Said::Asks(_) => live = true,
            Said::Done => break,
            Said::Silent => {
                let patience = PATIENCE + Duration::from_secs(if live { wanted.live_seconds } else { 0 });
                ensure!(last_word.elapsed() < patience, "the browser says nothing any more");
                trial.swarm.order_some(Order::ChangeHealth, turn * CHANGING, CHANGING).await?;
                turn += 1;
                continue;
            }
        }
        last_word = Instant::now();
    }
    println!("{} agents; {} changed their health while the page was live", wanted.agents, turn * CHANGING);
    trial.swarm.stop().await;
    Ok(())
}
