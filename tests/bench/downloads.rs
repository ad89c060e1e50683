//! A herd of agents that fetch a package at the same time: limits kept, time and memory told.

use anyhow::{Context as _, ensure};
use clap::Args;
use muster_tests::load::Spread;
use muster_tests::load::trial::Trial;
use muster_tests::packages;
use muster_tests::results::result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::block_in_place;

/// What to measure.
#[derive(Args, Clone, PartialEq, Eq)]
pub struct Downloads {
    /// Agents.
    #[arg(long, default_value_t = 1_000)]
    agents: usize,
    /// Size of the package in MB.
    #[arg(long, default_value_t = 20)]
    megabytes: usize,
    /// Limit: so many at a time.
    #[arg(long, default_value_t = 50)]
    at_once: u64,
    /// Limit: so many MB a second together.
    #[arg(long, default_value_t = 200)]
    megabytes_per_second: u64,
}

/// Measures it.
pub fn run(wanted: &Downloads) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(wanted))
}

async fn measure(wanted: &Downloads) -> anyhow::Result<()> {
    let (at_once, pace) = (wanted.at_once.to_string(), wanted.megabytes_per_second.to_string());
    let options = ["--package-downloads", &at_once, "--package-megabytes-per-second", &pace];
    let mut trial = Trial::start("downloads", &options).await?;
    trial.enrol(wanted.agents).await?;
    let (path, bytes) = block_in_place(|| publish(&trial, wanted.megabytes))?;
    let before = trial.controller.process.resident_bytes().unwrap_or_default();
    let (most, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let began = Instant::now();
    let watching = watch(&trial, Arc::clone(&most), Arc::clone(&ended))?;
    let times = trial.swarm.download(&path, bytes).await?;
    let took = began.elapsed();
    ended.store(true, Ordering::Relaxed);
    watching.await?;
    let spread = Spread::of(times);
    #[allow(clippy::cast_precision_loss)] // some 20 GB
    let rate = (bytes * wanted.agents as u64) as f64 / took.as_secs_f64() / 1e6;
    let most = most.load(Ordering::Relaxed);
    let peak = trial.controller.process.peak_resident_bytes().unwrap_or_default();
    println!(
        "{} agents fetched {bytes} bytes each; one took p50 {:.1} s, at most {:.1} s with its waiting",
        wanted.agents,
        spread.median.as_secs_f64(),
        spread.last.as_secs_f64()
    );
    println!("controller {} MB before the downloads, {} MB at most", before / 1_000_000, peak / 1_000_000);
    ensure!(most > 0, "the metrics tell no download");
    ensure!(most <= wanted.at_once, "{most} at a time, {} are allowed", wanted.at_once);
    result("package_downloads_s", format!("{:.1}", took.as_secs_f64()));
    result("package_downloads_mb_per_s", format!("{rate:.0}"));
    result("package_downloads_at_once", most);
    result("package_downloads_rss_mb", peak.saturating_sub(before) / 1_000_000);
    Ok(())
}

/// Uploads a package of that size; gives its path at the controller and its size.
fn publish(trial: &Trial, megabytes: usize) -> anyhow::Result<(String, u64)> {
    trial.controller.login();
    let folder = trial.controller.data_dir().join("../made");
    let filler = folder.join("filler");
    std::fs::create_dir_all(&folder)?;
    // What cannot be compressed.
    let mut noise = vec![0; megabytes * 1_000_000];
    rand::fill(&mut noise[..]);
    std::fs::write(&filler, noise)?;
    let package = packages::build_with(&folder, &filler);
    packages::sign(&package, &packages::key(1));
    let told = trial.controller.muster_json(&["package", "upload", &package.display().to_string()]);
    let list = trial.controller.muster_json(&["package", "list"]);
    let sha256 = list[0]["sha256"].as_str().with_context(|| format!("a digest in {list} after {told}"))?;
    Ok((format!("/v1/packages/{sha256}"), std::fs::metadata(&package)?.len()))
}

/// Watches how many downloads there are at a time.
fn watch(
    trial: &Trial,
    most: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let api = trial.api.clone();
    Ok(tokio::spawn(async move {
        while !ended.load(Ordering::Relaxed) {
            if let Ok(text) = api.metrics().await {
                let count = text.lines().find_map(|line| line.strip_prefix("muster_package_downloads "));
                let count = count.and_then(|count| count.trim().parse().ok()).unwrap_or(0);
                most.fetch_max(count, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }))
}
