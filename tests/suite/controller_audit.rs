//! What administrators do at the controller reaches the SIEM by way of an agent.

use crate::fleet::partition;
use muster_tests::eventually::{eventually, never};
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::rsyslog::{self, Input};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::Sandbox;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);

/// The controller's events among these messages, by their number in the log.
fn entries(messages: &[String]) -> BTreeMap<String, Seen> {
    let seen = messages.iter().filter_map(|message| read(Dialect::Leef, message).ok());
    let ours = seen.filter(|seen| seen.event_id.starts_with("CONTROLLER_"));
    ours.map(|seen| (seen.values.get("auditHash").cloned().unwrap_or_default(), seen)).collect()
}

/// Hashes of the entries in the controller's files, the truth of this story.
fn hashes(data: &Path) -> Vec<String> {
    let mut hashes = Vec::new();
    for segment in std::fs::read_dir(data.join("audit")).expect("the log's folder").filter_map(Result::ok) {
        let text = std::fs::read_to_string(segment.path()).expect("a segment");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an entry"));
        hashes.extend(lines.filter_map(|line| line["hash"].as_str().map(str::to_owned)));
    }
    hashes
}

fn document(address: &str) -> String {
    let content = format!(
        "sources:\n  log: {{kind: controller_audit, start: oldest, poll_interval_ms: 1000}}\ndestinations:\n  siem:\n    \
         transport: {}\n    format: {{kind: leef2}}\n    heartbeat_seconds: 0\n    replay_window_ms: 1000\n",
        policies::tcp(address)
    );
    policies::document("audit-log", &content).replace("spec:\n", "selector: {sends: audit-log}\nspec:\n")
}

#[test]
fn logins_and_publishing_reach_rsyslog_and_nothing_is_lost_over_a_crash_of_the_controller() {
    let host = partition("AUDITOR");
    let sandbox = Sandbox::new("controller-audit");
    let folder = sandbox.path().join("rsyslog");
    std::fs::create_dir(&folder).expect("a folder");
    let receiver = rsyslog::start(&folder, &Input::Tcp);
    let mut controller = sandbox.controller();
    controller.login();
    let home = sandbox.agent("auditor", &host.at(), None);
    let id = controller.enrol(&home, &["sends=audit-log"]);
    let _agent = home.run();
    controller.await_agent(&id, "is connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
    // when the policy that names the source is published
    let told = controller.publish(&document(&receiver.address()));
    assert!(told.contains("applied"), "{told}");
    // then what was done before and after arrives
    let has = |what: &str, messages: &[String]| {
        let seen = entries(messages);
        let found = seen.values().any(|seen| seen.event_id == what);
        if found {
            Ok(())
        } else {
            Err(format!("{:?}", seen.values().map(|s| &s.event_id).collect::<Vec<_>>()))
        }
    };
    for what in
        ["CONTROLLER_LOGIN", "CONTROLLER_TOKEN_CREATE", "CONTROLLER_AGENT_ENROL", "CONTROLLER_POLICY_PUBLISH"]
    {
        eventually(&format!("{what} arrives"), LIMIT, || has(what, &receiver.lines()));
    }
    let seen = entries(&receiver.lines());
    let login = seen.values().find(|seen| seen.event_id == "CONTROLLER_LOGIN").expect("a login");
    assert_eq!((login.values["usrName"].as_str(), login.values["src"].as_str()), ("admin", "127.0.0.1"));
    assert_eq!(login.values["auditAction"], "login");

    // when the controller is killed, and things are done after it is back
    controller.crash_and_restart();
    for n in 0..5 {
        let note = format!("after the crash {n}");
        let _ = controller.muster_ok(&["token", "create", "--note", &note]);
    }
    // then every entry of the log arrives, each once
    eventually("the whole log arrives", LIMIT, || {
        let hashes = hashes(&sandbox.path().join("controller/data"));
        let seen = entries(&receiver.lines());
        let missing: Vec<&String> = hashes.iter().filter(|hash| !seen.contains_key(*hash)).collect();
        if hashes.len() > 8 && missing.is_empty() {
            Ok(())
        } else {
            Err(format!("missing {missing:?} of {}", hashes.len()))
        }
    });
    let health = controller.agent(&id);
    let component =
        health["components"].as_array().and_then(|c| c.iter().find(|c| c["name"] == "log").cloned());
    assert_eq!(component.map(|c| c["healthy"].clone()), Some(Value::Bool(true)), "{health}");
}

#[test]
fn an_agent_without_the_source_is_not_given_the_log() {
    let host = partition("CURIOUS");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("controller-audit-refused");
    let controller = sandbox.controller();
    controller.login();
    let home = sandbox.agent("curious", &host.at(), None);
    let id = controller.enrol(&home, &[]);
    let _agent = home.run();
    // A policy that is for others: the route is asked only by whom a policy names, so this is the proof that an
    // agent's certificate alone opens nothing.
    let _ = controller.publish(&document(&receiver.address()));
    let identity = home.folder.join("state/identity");
    let output = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--output", "/dev/stdout", "--write-out", " %{http_code}"])
        .arg("--cacert")
        .arg(controller.ca_file())
        .arg("--cert")
        .arg(identity.join("cert.pem"))
        .arg("--key")
        .arg(identity.join("key.pem"))
        .arg(format!("{}/api/v1/agent/audit", controller.url))
        .output()
        .expect("curl starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.ends_with(" 403") && text.contains("no source of kind controller_audit"), "{id}: {text}");
    never("nothing arrives", Duration::from_secs(2), || {
        let messages = receiver.messages();
        (!messages.is_empty()).then(|| format!("{messages:?}"))
    });
}
