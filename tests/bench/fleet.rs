//! A controller as a process of its own, and many agents in this one, on the same cores.

use crate::machine;
use clap::Args;
use muster_tests::load::trial::{Trial, Week};
use muster_tests::load::{Spread, trial};
use muster_tests::results::result;
use std::time::Duration;

/// Longest wait for a step.
const LIMIT: Duration = Duration::from_secs(180);
/// Policies that are pushed before memory is read.
const PUSHES: usize = 5;

/// What to measure.
#[derive(Args, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Sizes of the fleet, each with a controller of its own; the results are those of 10,000.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000])]
    agents: Vec<usize>,
    /// Seconds for which an idle fleet is watched.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u64,
    /// Weeks of churn to simulate.
    #[arg(long, default_value_t = 2)]
    weeks: u32,
    /// Waves of a rollout; 0 for none.
    #[arg(long, default_value_t = 20)]
    rollout_waves: u8,
    /// Further options of the controller.
    #[arg(long, value_delimiter = ' ', allow_hyphen_values = true)]
    controller: Vec<String>,
}

/// Measures fleets of all wanted sizes.
pub fn run(fleet: &Fleet) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for &agents in &fleet.agents {
        runtime.block_on(measure(fleet, agents))?;
        println!("{}", machine::describe());
    }
    Ok(())
}

async fn measure(fleet: &Fleet, agents: usize) -> anyhow::Result<()> {
    let told = |name: &str, value: String| {
        if agents == 10_000 { result(name, value) } else { println!("{agents} agents: {name} {value}") }
    };
    let options: Vec<&str> = fleet.controller.iter().map(String::as_str).collect();
    let mut trial = Trial::start("fleet", &options).await?;
    let (took, each) = trial.enrol(agents).await?;
    #[allow(clippy::cast_precision_loss)] // a few thousand
    let per_minute = agents as f64 / took.as_secs_f64() * 60.0;
    println!("{agents} agents: enrolled in {took:.1?}, each {}", shown(&each));
    told("fleet_enrol_per_min", format!("{per_minute:.0}"));
    let took = trial.connect(LIMIT).await?;
    println!("{agents} agents: connected in {took:.1?}; failures {:?}", trial.swarm.failures());

    let mut pushes = Vec::new();
    for _ in 0..PUSHES {
        let spread = trial.push(LIMIT).await?;
        println!("{agents} agents: pushed: {}", shown(&spread));
        pushes.push(spread);
    }
    // The middle one by its last agent: the first meets cold caches, the best would flatter.
    pushes.sort_by_key(|spread| spread.last);
    let middle = pushes[pushes.len() / 2];
    told("fleet_policy_push_p99_s", format!("{:.2}", middle.p99.as_secs_f64()));
    told("fleet_policy_push_last_s", format!("{:.2}", middle.last.as_secs_f64()));
    told("fleet_rss_kb_per_agent", format!("{:.1}", trial.kib_per_agent()?));
    println!(
        "{agents} agents: controller {} MB before the first agent, {} MB now, {} MB at most",
        trial.empty_bytes / 1_000_000,
        trial.controller.process.resident_bytes().unwrap_or_default() / 1_000_000,
        trial.controller.process.peak_resident_bytes().unwrap_or_default() / 1_000_000,
    );
    if fleet.idle_seconds > 0 {
        let percent = trial.idle_percent(Duration::from_secs(fleet.idle_seconds)).await?;
        told("fleet_idle_cpu_percent", format!("{percent:.2}"));
    }
    println!("{agents} agents: failures before the crash {:?}", trial.swarm.failures());
    let trial::Restarted { listening, all_back, back, api, slowest } = trial.crash(LIMIT).await?;
    println!(
        "{agents} agents: killed; listening after {listening:.2?}; back {}; api {}; failures {:?}",
        shown(&back),
        shown(&api),
        trial.swarm.failures()
    );
    for trial::Answer { at, path, took } in slowest {
        println!("{agents} agents: slow answer: {path} asked after {at:.2?} took {took:.0?}");
    }
    told("fleet_restart_all_back_s", format!("{:.2}", all_back.as_secs_f64()));
    told("fleet_api_p99_ms", format!("{:.0}", api.p99.as_secs_f64() * 1e3));
    println!("{agents} agents: store {} MB", megabytes(trial.store_bytes()?));

    if fleet.rollout_waves > 0 {
        let soak = Duration::from_secs(2);
        let overhead = trial.roll_out(fleet.rollout_waves, soak, LIMIT).await?;
        println!(
            "{agents} agents: rolled out in canaries and {} waves, each watched for {soak:?}",
            fleet.rollout_waves
        );
        let name = if agents == 10_000 { "rollout_10k_overhead_s" } else { "rollout_overhead_s" };
        told(name, format!("{:.1}", overhead.as_secs_f64()));
    }
    let mut sizes = Vec::new();
    for week in 1..=fleet.weeks {
        let began = std::time::Instant::now();
        let peak = trial.week_with_peak(&Week::default(), LIMIT).await?;
        sizes.push(peak);
        println!(
            "{agents} agents: week {week} took {:.0?}, store {} MB at most, {} MB at its end",
            began.elapsed(),
            megabytes(peak),
            megabytes(trial.store_bytes()?)
        );
    }
    if let Some(first) = sizes.first() {
        told("store_mb_after_churn", megabytes(*first));
    }
    if let [first, second, ..] = sizes[..] {
        #[allow(clippy::cast_precision_loss)] // far below 53 bits
        let growth = (second as f64 / first as f64 - 1.0) * 100.0;
        told("store_second_week_growth_percent", format!("{growth:.1}"));
    }
    trial.swarm.stop().await;
    Ok(())
}

fn shown(spread: &Spread) -> String {
    let Spread { count, median, p99, p999, last } = spread;
    format!("{count}: median {median:.2?}, p99 {p99:.2?}, p99.9 {p999:.2?}, last {last:.2?}")
}

#[allow(clippy::cast_precision_loss)] // far below 53 bits
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
