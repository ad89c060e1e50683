//! Upgrades of real agents under real launchers, with packages that the vendor's program made of two builds.

mod bad;
mod controller_gone;
mod kill;
mod ledger;
mod stage;

use muster_tests::results::{full_size, result};
use stage::{NEW, OLD, Stage};
use std::time::{Duration, Instant};

#[test]
fn agents_are_upgraded_in_waves_and_lose_nothing() {
    let count = if full_size() { 20 } else { 4 };
    let mut stage = Stage::new("upgrade", count, 60, 10);
    stage.upload_next();
    assert!(stage.versions().values().all(|version| version == OLD), "{:?}", stage.versions());
    let began = Instant::now();
    let told = stage.start(NEW, &["--canaries", "1", "--waves", "50,100"]);
    assert!(told.contains("rollout 1 started: muster-agent@0.2.0"), "{told}");
    let log = stage.await_state("done");
    let places: Vec<usize> = ["canaries passed: 1", "wave 1 passed", "wave 2 passed"]
        .iter()
        .map(|part| log.find(part).unwrap_or_else(|| panic!("{part} in {log}")))
        .collect();
    assert!(places.is_sorted(), "{log}");
    assert!(stage.versions().values().all(|version| version == NEW), "{:?}", stage.versions());
    stage.await_healthy();
    let old = stage.controller.muster_json(&["agents", "--version", "<0.2"]);
    assert_eq!(old.as_array().map(Vec::len), Some(0), "{old}");
    let pause = stage.arrived().longest_pause(began);
    result("upgrade_pause_s", format!("{:.1}", pause.as_secs_f64()));
    assert_eq!(stage.bricked(), 0);
    let duplicates = stage.assert_nothing_lost();
    // One window of a second, and what is repeated after a stop: the window once more.
    let bound = count * 3 * 20;
    assert!(duplicates <= bound, "{duplicates} duplicates, at most {bound}");
    result("upgrade_lost", 0);
    result("upgrade_duplicates", duplicates);
    assert!(pause < Duration::from_secs(30), "{pause:?}");
}
