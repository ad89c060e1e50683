//! Certificates and who may take part, with real agents and a real controller. A week of a certificate's life
//! lasts seconds.

mod clones;
mod proxy;
mod renewal;
mod roll_over;

use crate::fleet::partition;
use muster_tests::partition::Partition;
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A controller whose certificates' week lasts `week` seconds, signed on to.
fn controller(sandbox: &Sandbox, week: &str) -> Controller {
    let controller =
        sandbox.controller_with(&["--heartbeat-seconds", "1", "--certificate-week-seconds", week]);
    controller.login();
    controller
}

fn connected(controller: &Controller, id: &str) {
    controller.await_agent(id, "connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
}

fn serial(controller: &Controller, id: &str) -> String {
    controller.agent(id)["certificate"]["serial"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the controller knows another certificate than `before`, and gives its serial number.
fn await_renewal(controller: &Controller, id: &str, before: &str) -> String {
    controller.await_agent(id, "its certificate is renewed", LIMIT, |view| {
        let serial = view["certificate"]["serial"].as_str()?;
        (serial != before && view["summary"]["connection"] == "connected").then(|| serial.to_owned())
    })
}

/// The entries of the audit log for an action on an agent.
fn audited(controller: &Controller, action: &str, id: &str) -> Vec<Value> {
    let args = ["audit-log", "list", "--limit", "1000", "--action", action, "--object", id];
    controller.muster_json(&args).as_array().cloned().unwrap_or_default()
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn time(value: &Value) -> jiff::Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).expect("a time")
}

fn home(sandbox: &Sandbox, at: &Partition, name: &str) -> AgentHome {
    sandbox.agent(name, &at.at(), None)
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("the folder is made");
    for entry in std::fs::read_dir(from).expect("the folder is read").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("the file is copied");
        }
    }
}
