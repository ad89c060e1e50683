//! A controller that is killed in the middle of an upgrade, first while packages are fetched and then while versions are
//! on trial, costs nothing but time: what was fetched is kept, agents collect on, and nobody is confirmed unheard.

use super::stage::{LIMIT, NEW, Stage, Trials};
use muster_tests::eventually::eventually;
use muster_tests::results::{full_size, result};
use muster_tests::sandbox::AgentHome;

/// Bytes of the package that an agent has fetched so far; none once it is unpacked.
fn fetched(home: &AgentHome) -> Option<u64> {
    let mut found = std::fs::read_dir(home.folder.join("state/upgrade/download")).ok()?;
    Some(found.next()?.ok()?.metadata().ok()?.len())
}

#[test]
fn a_controller_that_is_killed_half_way_only_delays_an_upgrade() {
    // given agents whose downloads take several seconds
    let (count, pace) = if full_size() { (20, "20") } else { (3, "5") };
    let trials = Trials { healthy: 60, probation: 5 };
    let options = ["--package-megabytes-per-second", pace];
    let mut stage = Stage::prepared("upgrade-controller", count, trials, &options, |_, _| ());
    stage.upload_next();
    stage.start(NEW, &["--canaries", "0", "--waves", "100", "--deadline", "180s"]);

    // when the controller is killed while all of them download
    let had: Vec<u64> = eventually("every agent downloads", LIMIT, || {
        stage
            .homes
            .iter()
            .map(|home| fetched(home).filter(|bytes| *bytes > 0).ok_or_else(|| home.name.clone()))
            .collect()
    });
    stage.controller.process.kill();
    // then they collect on, and keep what they have
    stage.await_news();
    for (home, had) in stage.homes.iter().zip(&had) {
        assert!(fetched(home) >= Some(*had), "{}: {:?} of {had} bytes are left", home.name, fetched(home));
        home.await_logged("download of a package broke off, goes on", 1, LIMIT);
    }

    // when it is back, they go on where they were; and it is killed again as soon as one switched
    stage.controller.restart();
    eventually("an agent is on trial", LIMIT, || {
        for (home, had) in stage.homes.iter().zip(&had) {
            if let Some(has) = fetched(home).filter(|has| has < had) {
                panic!("{} began anew: {has} bytes after {had}", home.name);
            }
        }
        if stage.on_trial() > 0 { Ok(()) } else { Err("nobody is".to_owned()) }
    });
    stage.controller.process.kill();
    let switched = stage.on_trial();
    // then they collect, with the new version and the old one, and nobody gives up
    stage.await_news();
    assert!(stage.on_trial() >= switched, "of {switched} agents only {} are on trial", stage.on_trial());

    // and once it is back, all end on the new version
    stage.controller.restart();
    stage.await_state("done");
    assert!(stage.versions().values().all(|version| version == NEW), "{:?}", stage.versions());
    stage.await_healthy();
    assert_eq!(stage.bricked(), 0);
    stage.assert_nothing_lost();
    result("upgrade_controller_gone_lost", 0);
}
