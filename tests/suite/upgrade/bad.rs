//! Versions that do not do: every agent ends on one that works, the rollout goes back by itself and says why, and the
//! partitions of later waves are left alone.

use super::stage::{LIMIT, NEW, OLD, Stage};
use muster_tests::packages;
use muster_tests::process::program;
use muster_tests::results::{full_size, result};
use std::path::Path;

/// Above [`NEW`].
const LATER: &str = "0.3.0";

/// Until a partition must be well with another version: all of a wave fetch it at the same time.
const DEADLINE: &str = "180s";

/// How many agents there are, and in how many seconds a version must be healthy: in full size they switch by the dozen, and
/// start on as many cores as there are.
fn size(small: usize) -> (usize, u64) {
    if full_size() { (20, 30) } else { (small, 6) }
}

/// A version that dies so long after it was healthy, and for how long the rollout watches it.
fn dying() -> (&'static str, &'static str) {
    if full_size() { ("dies-after 20", "30s") } else { ("dies-after 3", "8s") }
}

/// Lets a version misbehave on all partitions.
fn misbehave(stage: &Stage, version: &str, kind: &str) {
    for home in &stage.homes {
        std::fs::write(home.folder.join("bad-build"), format!("{version} {kind}\n")).expect("it is written");
    }
}

/// Rolls a version out that goes back by itself at the canary; everybody runs `before` then, and works.
fn goes_back(stage: &mut Stage, version: &str, reason: &str, before: &str) -> usize {
    stage.start(version, &["--canaries", "1", "--waves", "100", "--deadline", DEADLINE, "--soak", dying().1]);
    let log = stage.await_state("rolled_back");
    assert!(log.contains(reason), "{version}: {reason} in {log}");
    assert!(!log.contains("wave 1 begins"), "{version}: {log}");
    let versions = stage.versions();
    assert!(versions.values().all(|running| running == before), "{version}: {versions:?}");
    stage.await_healthy();
    stage.bricked()
}

fn goes_out(stage: &Stage, version: &str) {
    stage.start(version, &["--canaries", "1", "--waves", "100", "--deadline", DEADLINE]);
    stage.await_state("done");
    assert!(stage.versions().values().all(|running| running == version), "{:?}", stage.versions());
}

#[test]
fn a_bad_version_goes_back_by_itself() {
    let (count, healthy) = size(3);
    let mut stage = Stage::new("upgrade-bad", count, healthy, 60);
    stage.upload_next();
    let mut bricked = 0;
    // How the build misbehaves, and what the rollout says of it.
    for (kind, reason) in [
        ("crash-at-start", "it ended after"),
        ("never-healthy", &format!("it was not healthy within {healthy} s")),
        ("breaks-source history_log", "source/history does not work"),
    ] {
        misbehave(&stage, NEW, kind);
        bricked += goes_back(&mut stage, NEW, reason, OLD);
    }
    misbehave(&stage, NEW, dying().0);
    bricked += goes_back(&mut stage, NEW, "it ended", OLD);
    // What was bad can be good the next time: the same version, and nothing in its way.
    misbehave(&stage, LATER, "crash-at-start");
    goes_out(&stage, NEW);

    // From one package to the next: what is gone back to was brought by a controller itself.
    let folder = stage.sandbox.path().join("packages");
    upload(&stage, &packages::later(&folder));
    bricked += goes_back(&mut stage, LATER, "it ended after", NEW);
    misbehave(&stage, LATER, dying().0);
    bricked += goes_back(&mut stage, LATER, "it ended", NEW);
    misbehave(&stage, "none", "");
    goes_out(&stage, LATER);
    // Back to the version before, which lies there; and not to one that is below what was signed.
    goes_out(&stage, NEW);
    upload(&stage, &packages::claiming(&folder, "0.0.9"));
    bricked += goes_back(&mut stage, "0.0.9", "0.0.9 is below 0.1.0", NEW);
    // A package that says another version than its program has.
    upload(&stage, &packages::claiming(&folder, "0.4.0"));
    bricked += goes_back(&mut stage, "0.4.0", "its package says 0.4.0", NEW);
    assert_eq!(bricked, 0);
    result("upgrade_bricked", bricked);
    stage.assert_nothing_lost();
}

#[test]
fn a_full_disk_is_told_and_the_version_that_runs_goes_on() {
    let mut stage = Stage::new("upgrade-full", size(2).0, 30, 1);
    stage.upload_next();
    // Of several canaries one partition alone has no room.
    stage.launchers[0].terminate(LIMIT);
    let Some(small) = stage.homes[0].launch_on_small_disk(60) else { return };
    stage.launchers[0] = small;
    stage.await_healthy();
    let canaries = ["--canaries", "2", "--canary-label", "ring=canary"];
    stage.start(NEW, &[&canaries[..], &["--waves", "100"]].concat());
    let log = stage.await_state("rolled_back");
    assert!(log.contains("are needed") && log.contains("make room"), "{log}");
    assert!(!log.contains("wave 1 begins"), "{log}");
    let versions = stage.versions();
    assert!(versions.values().all(|running| running == OLD), "{versions:?}");
    stage.await_healthy();
    assert_eq!(stage.bricked(), 0);
    stage.assert_nothing_lost();
}

fn upload(stage: &Stage, package: &Path) {
    let _ = stage.controller.muster_ok(&["package", "upload", &package.display().to_string()]);
}

#[test]
fn what_is_not_signed_does_not_even_reach_the_repository() {
    let mut stage = Stage::new("upgrade-unsigned", size(1).0, 30, 1);
    let folder = stage.sandbox.path().join("packages");
    let refused = |package: &Path| {
        let output = stage.controller.muster(&["package", "upload", &package.display().to_string()]);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let package = packages::build(&folder, &program("muster-agent-next"), None);
    assert!(refused(&package).contains("not signed"));
    packages::sign(
        &package,
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/vendor/keys/licence-dev.key"),
    );
    let told = refused(&package);
    assert!(told.contains("fits none of the keys"), "{told}");
    packages::sign(&package, &packages::key(3));
    let whole = std::fs::read(&package).expect("the package");
    std::fs::write(&package, &whole[..whole.len() / 2]).expect("it is written");
    let told = refused(&package);
    assert!(told.contains("cut off") || told.contains("fetch it again"), "{told}");
    assert_eq!(stage.controller.muster_json(&["package", "list"]), serde_json::json!([]));
    // Nothing was refused on behalf of the agents: they work on as before.
    assert!(stage.versions().values().all(|running| running == OLD), "{:?}", stage.versions());
    assert_eq!(stage.bricked(), 0);
    stage.assert_nothing_lost();
    std::fs::write(&package, &whole).expect("it is written");
    upload(&stage, &package);
    let list = stage.controller.muster_json(&["package", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
}
