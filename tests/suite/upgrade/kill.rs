//! `kill -9` before every change that an upgrade makes on disk, and of launchers in the middle of it.

use super::stage::{LIMIT, NEW, Stage, Trials};
use muster_tests::eventually::eventually;
use muster_tests::results::{full_size, result};

/// File by which an agent is told before which change it has to die.
const KILL_FILE: &str = "kill-at-change";

/// One agent for each change: all of them in one rollout.
fn killed_before(changes: &[usize], story: &str) -> (usize, usize) {
    let trials = Trials { healthy: 60, probation: 5 };
    let mut stage = Stage::prepared(story, changes.len(), trials, &[], |number, home| {
        std::fs::write(home.folder.join(KILL_FILE), changes[number - 1].to_string()).expect("it is written");
    });
    stage.upload_next();
    stage.start(NEW, &["--canaries", "0", "--waves", "100", "--deadline", "120s"]);
    // One of the launchers dies as well, while its agent is on trial, and is started again as a service manager would.
    let last = stage.homes.len() - 1;
    let name = stage.homes[last].name.clone();
    eventually("an agent is on trial", LIMIT, || {
        let launch = std::fs::read_to_string(stage.homes[last].folder.join("state/upgrade/launch.json"));
        let on_trial = launch.unwrap_or_default().contains("\"trial\"");
        if on_trial { Ok(()) } else { Err(name.clone()) }
    });
    stage.launchers[last].kill();
    stage.launchers[last] = stage.homes[last].launch();
    stage.await_state("done");
    assert!(stage.versions().values().all(|version| version == NEW), "{:?}", stage.versions());
    stage.await_healthy();
    let bricked = stage.bricked();
    stage.assert_nothing_lost();
    let killed = stage.homes.iter().filter(|home| !home.folder.join(KILL_FILE).exists()).count();
    (killed, bricked)
}

#[test]
fn an_agent_that_is_killed_at_any_step_is_upgraded_all_the_same() {
    let all: Vec<usize> = if full_size() { (0..48).collect() } else { vec![8, 18, 28, 34] };
    let (mut killed, mut bricked) = (0, 0);
    for (part, changes) in all.chunks(24).enumerate() {
        let (died, broken) = killed_before(changes, &format!("upgrade-kill-{part}"));
        killed += died;
        bricked += broken;
    }
    // The walk goes beyond the last change: those that were to die after it had nothing to die before.
    let least = if full_size() { 30 } else { all.len() };
    assert!(killed >= least, "{killed} of {} were killed", all.len());
    assert!(!full_size() || killed < all.len(), "an upgrade changes more on disk than is walked: {killed}");
    assert_eq!(bricked, 0);
    result("upgrade_killed", killed);
    result("upgrade_bricked", bricked);
}
