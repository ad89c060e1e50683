//! A fleet whose licence runs out while it works: days pass in half a second. What is said at each step, what is
//! refused, that collection goes on, and that a new file mends it at once.

use crate::fleet::partition;
use jiff::{SignedDuration, Timestamp};
use muster_tests::eventually::{eventually, eventually_true};
use muster_tests::policies;
use muster_tests::process::program;
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::{Controller, Sandbox};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// Days of the licence in a day: one lasts half a second.
const PACE: &str = "172800";

/// The checked-in key, which only builds for development believe.
fn dev_key() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../controller/vendor/keys/licence-dev.key")
}

/// A signed licence from today on.
fn licence(sandbox: &Sandbox, id: &str, seats: u32, days: i64) -> PathBuf {
    let day = |days: i64| {
        (Timestamp::now() + SignedDuration::from_hours(24 * days)).strftime("%Y-%m-%d").to_string()
    };
    let body = format!(
        "format: muster/licence-v1\nid: {id}\ncustomer: Story AG\nseats: {seats}\nvalid_from: {}\nvalid_until: {}\n",
        day(-1),
        day(days)
    );
    let (says, file) =
        (sandbox.write(&format!("{id}.yaml"), &body), sandbox.path().join(format!("{id}.licence")));
    let output = Command::new(program("muster-licence"))
        .args(["sign", "--key"])
        .arg(dev_key())
        .arg("--out")
        .arg(&file)
        .arg(says)
        .output()
        .expect("muster-licence starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

fn await_standing(controller: &Controller, standing: &str) -> String {
    eventually(&format!("the licence is {standing}"), LIMIT, || {
        let view = controller.muster_json(&["licence", "show"]);
        if view["standing"] == standing { Ok(view["says"].to_string()) } else { Err(view.to_string()) }
    })
}

/// What a command prints for people beside its answer, and how it ends.
fn told(controller: &Controller, args: &[&str]) -> (Option<i32>, String) {
    let output = controller.muster(args);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn metrics(controller: &Controller) -> String {
    let (status, text) = controller.metrics();
    assert_eq!(status, 200, "{text}");
    text
}

#[test]
fn a_licence_runs_out_while_the_fleet_works_and_collection_goes_on() {
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("licence");
    let mut controller = sandbox.controller_with(&["--heartbeat-seconds", "1", "--licence-pace", PACE]);
    controller.login();
    let (east, west) = (partition("EAST"), partition("WEST"));
    let home = sandbox.agent("east", &east.at(), None);
    let _id = controller.enrol(&home, &[]);
    let _agent = home.run();
    controller.await_agent("EAST", "it is there", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
    let content = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
    controller.publish(&policies::document("base", &content));
    let arrived = || receiver.messages().iter().filter(|m| !m.contains("MUSTER")).count();
    east.set_rate(20.0);

    // The evaluation says when it ends, warns in its last days, and is followed by a grace.
    let says = controller.muster_ok(&["licence", "show"]);
    assert!(says.contains("evaluation with every function until"), "{says}");
    eventually_true("every command warns before the evaluation ends", LIMIT, || {
        told(&controller, &["agents"]).1.contains("licence: the evaluation ends on")
    });
    let says = await_standing(&controller, "grace");
    assert!(says.contains("Nothing is refused until") && says.contains("Collection never stops"), "{says}");
    assert!(metrics(&controller).contains("muster_licence_standing{standing=\"grace\"} 1"));

    // After it changes are refused, each with its reason; collection goes on.
    await_standing(&controller, "restricted");
    let before = arrived();
    let changed = policies::document("base", &format!("{content}rules: [{{name: r, action: keep}}]\n"));
    let file = sandbox.write("changed.yaml", &changed).display().to_string();
    for (args, what) in [
        (vec!["policy", "apply", file.as_str()], "publishing refused: the evaluation ended on"),
        (vec!["rollout", "start", "-f", file.as_str()], "new rollouts refused: the evaluation ended on"),
    ] {
        let (code, complaint) = told(&controller, &args);
        assert_eq!(code, Some(4), "{args:?}: {complaint}");
        assert!(complaint.contains(what) && complaint.contains("muster licence install"), "{complaint}");
    }
    let west_home = sandbox.agent("west", &west.at(), None);
    let token = west_home.folder.join("token").display().to_string();
    let _ = controller.muster_ok(&["token", "create", "--uses", "5", "--output-file", &token]);
    let refused = west_home.call("enrol", &["--token-file", &token]);
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && complaint.contains("new partitions refused"), "{complaint}");
    // What is there may always come back, and everything goes back.
    let _ = controller.muster_ok(&["policy", "revert", "base", "--to", "1"]);
    eventually_true("events go on arriving", LIMIT, || arrived() > before + 40);
    assert!(metrics(&controller).contains("muster_licence_standing{standing=\"restricted\"} 1"));
    let (_, notice) = told(&controller, &["agents"]);
    assert!(notice.contains("New partitions, publishing and new rollouts are refused"), "{notice}");

    // A file that was changed on its way is refused; a true one mends it at once, and a crash does not undo it.
    let good = licence(&sandbox, "S-1", 2, 3_000);
    let bad = std::fs::read_to_string(&good).unwrap().replace("seats: 2", "seats: 200");
    let bad = sandbox.write("bad.licence", &bad).display().to_string();
    let (code, complaint) = told(&controller, &["licence", "install", &bad]);
    assert!(code == Some(4) && complaint.contains("fits none of the keys"), "{complaint}");
    let shown = controller.muster_ok(&["licence", "install", &good.display().to_string()]);
    assert!(shown.contains("licensed: licence S-1 for Story AG: 1 of 2 seats in use"), "{shown}");
    let published = controller.publish(&changed);
    assert!(published.contains("applied"), "{published}");
    let enrolled = west_home.call("enrol", &["--token-file", &token]);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    assert_eq!(told(&controller, &["agents"]), (Some(0), String::new()), "nothing is left to say");
    controller.crash_and_restart();
    let says = await_standing(&controller, "licensed");
    assert!(says.contains("2 of 2 seats"), "{says}");
    let audit = controller.muster_ok(&["audit-log", "list"]);
    assert!(audit.contains("licence.install"), "{audit}");
    east.set_rate(0.0);
    eventually_true("every event arrives", LIMIT, || arrived() >= east.entries(0..=u64::MAX).len());
}
