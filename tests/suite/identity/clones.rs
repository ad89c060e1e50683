//! Copies of state folders, approval, revocation.

use super::*;
use muster_tests::eventually::eventually;
use muster_tests::process::{Process, program};
use std::process::Command;

#[test]
fn a_copied_state_folder_is_quarantined_and_resolved() {
    // given an agent that runs, and a copy of its state in another partition
    let (one, two) = (partition("ORIGINAL"), partition("COPY"));
    let sandbox = Sandbox::new("clone");
    let controller = controller(&sandbox, "600");
    let original = home(&sandbox, &one, "original");
    let id = controller.enrol(&original, &["env=test"]);
    let _original = original.run();
    connected(&controller, &id);
    let copy = home(&sandbox, &two, "copy");
    copy_folder(&original.folder.join("state/identity"), &copy.folder.join("state/identity"));
    // when the copy runs too
    let mut clone = copy.run();
    // then the identity is quarantined and both say so
    controller.await_agent(&id, "quarantined", LIMIT, |view| {
        (view["summary"]["life"] == "quarantined").then_some(())
    });
    original.await_health("uplink", "degraded", "quarantined", LIMIT);
    copy.await_health("uplink", "failed", "copy of its state folder", LIMIT);
    let list = controller.muster_ok(&["agents"]);
    assert!(list.contains("quarantined") && list.contains("second agent"), "{list}");
    // when the copy is stopped and enrolled on its own, and the original released
    assert!(clone.terminate(LIMIT).success());
    std::fs::remove_dir_all(copy.folder.join("state")).expect("its state is deleted");
    let _ = controller.muster_ok(&["agents", "release", &id, "--reason", "the copy is gone"]);
    let other = controller.enrol(&copy, &["env=test"]);
    assert_ne!(other, id);
    let _copy = copy.run();
    // then both take part
    connected(&controller, &other);
    let view = controller.agent(&id);
    assert_eq!(
        (&view["summary"]["life"], &view["summary"]["connection"]),
        (&"active".into(), &"connected".into())
    );
}

#[test]
fn enrol_waits_for_approval_and_is_told_of_a_denial() {
    // given a token that asks for approval
    let at = partition("WAITS");
    let sandbox = Sandbox::new("approval");
    let controller = controller(&sandbox, "600");
    let file = sandbox.path().join("token").display().to_string();
    let _ = controller.muster_ok(&["token", "create", "--approve", "--uses", "3", "--output-file", &file]);
    let start = |name: &str| {
        let agent = home(&sandbox, &at, name);
        let mut command = Command::new(program("muster-agent"));
        command.args(["enrol", "--token-file", &file, "--config"]).arg(&agent.config);
        let process = Process::start(name, &mut command, &agent.folder.join("enrol.log"));
        let fingerprint = eventually("it says that it waits", LIMIT, || {
            let log = process.log();
            let line = log.lines().find_map(|l| l.strip_prefix("waiting for approval, fingerprint "));
            line.map(str::to_owned).ok_or(log.clone())
        });
        (agent, process, fingerprint)
    };
    let (agent, mut process, fingerprint) = start("good");
    // then the controller shows the same fingerprint
    let pending = controller.muster_json(&["agents", "pending"]);
    assert_eq!(pending[0]["fingerprint"], fingerprint.as_str(), "{pending}");
    assert_eq!(pending[0]["name"], "WAITS");
    // when it is approved, then the command ends and the agent can run
    let _ = controller.muster_ok(&["agents", "approve", &fingerprint]);
    assert!(process.wait(LIMIT).success(), "{}", process.log());
    let _run = agent.run();
    controller.await_agent("WAITS", "connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
    // when another one for the same partition is denied, then it is told why
    let (_, mut process, fingerprint) = start("bad");
    let pending = controller.muster_ok(&["agents", "pending"]);
    assert!(pending.contains("is known already"), "{pending}");
    let _ = controller.muster_ok(&["agents", "deny", &fingerprint, "--reason", "one is enough"]);
    assert_eq!(process.wait(LIMIT).code(), Some(1));
    assert!(process.log().contains("denied by admin"), "{}", process.log());
    assert!(process.log().contains("one is enough"), "{}", process.log());
}

#[test]
fn a_revoked_agent_goes_on_collecting_and_says_why_it_is_alone() {
    let at = partition("REVOKED");
    let sandbox = Sandbox::new("revoked");
    let controller = controller(&sandbox, "600");
    let agent = home(&sandbox, &at, "revoked");
    let id = controller.enrol(&agent, &["env=test"]);
    let mut process = agent.run();
    connected(&controller, &id);
    let _ = controller.muster_ok(&["agents", "revoke", &id, "--reason", "disk stolen"]);
    agent.await_health("uplink", "failed", "disk stolen", LIMIT);
    let list = controller.muster_ok(&["agents"]);
    assert!(list.contains("revoked") && list.contains("disk stolen"), "{list}");
    assert!(process.is_running());
}
