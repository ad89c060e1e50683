//! Looking into a running agent: tail, recent events, preview, diagnostics, and the switch that forbids it.

use crate::fleet::partition;
use muster_tests::eventually::{eventually, eventually_true};
use muster_tests::policies;
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver as Lines, sync_channel};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// `muster events tail …` as it runs; killed when dropped.
struct Tail {
    child: Child,
    lines: Lines<String>,
}

impl Tail {
    fn start(controller: &Controller, args: &[&str]) -> Self {
        let mut command = controller.muster_command(&["events", "tail"]);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("muster starts");
        let (sender, lines) = sync_channel(10_000);
        for pipe in [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>),
        ] {
            let (pipe, sender) = (pipe.expect("a pipe"), sender.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines }
    }

    /// The next line that holds all of these words.
    fn await_line(&self, words: &[&str], limit: Duration) -> String {
        let end = Instant::now() + limit;
        let mut seen = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if words.iter().all(|word| line.contains(word)) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {words:?} in {seen:#?}"),
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn policy(receiver: &Receiver, dropped: &str) -> String {
    let content = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
    format!(
        "{content}rules:\n  - {{name: no-{dropped}, match: {{entry_types: [{dropped}]}}, action: drop}}\n"
    )
}

fn held(controller: &Controller, agent: &str, count: usize) {
    eventually("the agent has seen the events", LIMIT, || {
        let found = controller.muster_json(&["events", "recent", agent, "--limit", "1000"]);
        if found["held"] == count { Ok(()) } else { Err(found["held"].to_string()) }
    });
}

fn await_connected(controller: &Controller, id: &str) {
    controller.await_agent(id, "connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then_some(())
    });
}

#[test]
fn an_agent_is_looked_into() {
    // given an agent that runs a policy which drops reads
    let at = partition("LOOK");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("inspect");
    let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
    controller.login();
    let home = sandbox.agent("look", &at.at(), None);
    let id = controller.enrol(&home, &["env=test"]);
    let _agent = home.run();
    await_connected(&controller, &id);
    controller.publish(&policies::document("base", &policy(&receiver, "ZR")));
    at.append_mix(200);
    let entries = at.entries(0..=u64::MAX);
    held(&controller, &id, entries.len());
    let count = |kind: &str| entries.iter().filter(|entry| entry.entry_type == kind).count();
    assert!(count("ZR") > 0 && count("AF") > 0, "the mix has both");

    // when recent events are asked for, then those that match come, dropped ones too
    let dropped =
        controller.muster_json(&["events", "recent", &id, "--filter", "verdict=dropped", "--limit", "1000"]);
    assert_eq!(dropped["matched"], count("ZR"));
    assert!(
        dropped["events"]
            .as_array()
            .is_some_and(|all| all.iter().all(|event| event["dropped_by"] == "no-ZR")),
        "{dropped}"
    );
    let shown = controller.muster_ok(&["events", "recent", &id, "--filter", "type=AF"]);
    assert_eq!(shown.lines().count(), count("AF").min(100), "{shown}");
    assert!(shown.contains(" LOOK audit AF") && shown.contains("Authority failure"), "{shown}");

    // when one of them is looked at, then it is told whole, and as the destination got it
    let newest = controller.muster_json(&["events", "recent", &id, "--filter", "type=AF", "--limit", "1"]);
    one_is_told_whole(&controller, &receiver, &id, &newest["events"][0]);

    // when another policy is previewed, then the counts are those of the journal
    let (status, preview) =
        controller.call("POST", &format!("/agents/{id}/preview"), Some(&candidate(&receiver)));
    assert_eq!(status, 200, "{preview}");
    assert_eq!(
        (&preview["events"], &preview["newly_dropped"]),
        (&entries.len().into(), &count("AF").into()),
        "{preview}"
    );
    assert_eq!(preview["newly_kept"], count("ZR"), "{preview}");
    assert_eq!(preview["dropped_by_rule"], serde_json::json!({"no-AF": count("AF")}));
    assert_eq!(preview["kept_from_rule"], serde_json::json!({"no-ZR": count("ZR")}));
    let samples = preview["samples"].as_array().cloned().unwrap_or_default();
    assert_eq!(samples.len(), 20.min(count("AF") + count("ZR")), "{preview}");

    // when somebody watches, then an event is seen within two seconds
    let tail = Tail::start(&controller, &[&id]);
    tail.await_line(&["LOOK: watching"], LIMIT);
    let before = Instant::now();
    at.append_mix(1);
    let line = tail.await_line(&[" LOOK audit "], LIMIT);
    let took = before.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?} until {line}");
    // and a flood is cut, and the rest counted
    at.append_mix(2_000);
    tail.await_line(&["LOOK: ", "more events, too many to show"], LIMIT);
    drop(tail);
    let looked = controller.call("GET", "/audit?limit=1000", None).1;
    let actions: Vec<&str> = looked["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    for action in ["events.recent", "events.tail", "policy.preview"] {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
    controller.await_agent(&id, "all is read", LIMIT, |view| {
        let all = at.entries(0..=u64::MAX).len();
        (view["rate_detail"]["sources"][0]["window"]["total"]["received"] == all).then_some(())
    });
    bundle_holds_no_secret(&sandbox, &controller, &home, &id, at.at().password);
}

/// The event with all that is known of it: its message is among those that the receiver got.
fn one_is_told_whole(controller: &Controller, receiver: &Receiver, agent: &str, event: &Value) {
    let id = event["id"].as_str().expect("an id");
    let path =
        |id: &str| format!("/agents/{agent}/events/one?id={}", id.replace('/', "%2F").replace('@', "%40"));
    let (status, told) = controller.call("GET", &path(id), None);
    assert_eq!((status, &told["event"], &told["agent"]), (200, event, &agent.into()), "{told}");
    let formats = told["formats"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = formats.iter().filter_map(|format| format["format"].as_str()).collect();
    assert_eq!(names, ["leef2", "syslog_rfc5424", "syslog_rfc3164", "cef", "leef1", "leef2"]);
    let sent = formats[0]["text"].as_str().expect("a message");
    assert!(formats[0]["destination"].is_string() && sent.contains(id), "{sent}");
    assert!(told["raw"].as_str().is_some_and(|raw| raw.len() > 20), "{told}");
    eventually_true("the receiver got the same message", LIMIT, || {
        receiver.messages().iter().any(|message| message == sent)
    });
    let (status, problem) = controller.call("GET", &path("LOOK/none/1"), None);
    assert_eq!(status, 404, "{problem}");
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains("keeps the last 1,000")),
        "{problem}"
    );
}

/// The candidate: drops authority failures instead of reads.
fn candidate(receiver: &Receiver) -> String {
    let spec = muster_shared::policy::parse_spec(&policy(receiver, "AF")).expect("a policy");
    let policy = muster_shared::policy::model::EffectivePolicy { spec, ..Default::default() };
    serde_json::to_string(&policy).expect("JSON")
}

fn bundle_holds_no_secret(
    sandbox: &Sandbox,
    controller: &Controller,
    home: &AgentHome,
    id: &str,
    password: &str,
) {
    let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IG9mIHRoZSBzdG9yeQ==\n-----END PRIVATE KEY-----\n";
    sandbox.write(&format!("agents/{}/secrets/client.key", home.name), key);
    let token = std::fs::read_to_string(home.folder.join("token")).expect("the token");
    let admin =
        std::fs::read_to_string(sandbox.path().join("controller/admin-password")).expect("a password");
    let file = sandbox.path().join("bundle.json");
    for extra in [&[][..], &["--with-events"][..]] {
        let path = file.display().to_string();
        let mut args = vec!["agents", "diagnostics", id, "--file", &path];
        args.extend(extra);
        let _ = controller.muster_ok(&args);
        let text = std::fs::read_to_string(&file).expect("the bundle");
        for secret in [password, token.trim(), admin.trim(), "c2VjcmV0", "PRIVATE KEY"] {
            assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in the bundle");
        }
        let bundle: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(bundle["agent"]["id"], id);
        assert_eq!(bundle["partition"]["system_name"], "LOOK");
        assert_eq!(bundle["configuration"]["secret_names"], serde_json::json!(["client.key"]));
        assert_eq!(bundle["sources"]["audit"]["received"], 2_202);
        assert!(bundle["log"].as_array().is_some_and(|log| log.len() > 10), "{}", bundle["log"]);
        assert!(bundle["health"].as_array().is_some_and(|health| health.len() >= 2), "{}", bundle["health"]);
        assert_eq!(bundle["events"].is_array(), !extra.is_empty());
    }
}

#[test]
fn an_agent_that_does_not_want_it_is_not_looked_into() {
    let at = partition("SHUT");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("inspect-off");
    let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
    controller.login();
    let home = sandbox.agent("shut", &at.at(), None);
    let config = std::fs::read_to_string(&home.config).expect("the configuration");
    std::fs::write(&home.config, format!("{config}[inspect]\nenabled = false\n")).expect("it is written");
    let id = controller.enrol(&home, &["env=test"]);
    let _agent = home.run();
    await_connected(&controller, &id);
    controller.publish(&policies::document("base", &policy(&receiver, "ZR")));
    at.append_mix(10);
    eventually_true("events flow all the same", LIMIT, || {
        controller.agent(&id)["rate_detail"]["sources"][0]["window"]["total"]["received"]
            == at.entries(0..=u64::MAX).len()
    });
    for args in [&["events", "recent", &id][..], &["agents", "diagnostics", &id]] {
        let output = controller.muster(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains("local configuration does not allow it"), "{told}");
    }
    let tail = Tail::start(&controller, &[&id]);
    tail.await_line(&["SHUT: not watched any more", "local configuration does not allow it"], LIMIT);
}

#[test]
fn a_filter_without_meaning_is_told_before_anybody_is_asked() {
    let sandbox = Sandbox::new("inspect-filter");
    let controller = sandbox.controller();
    controller.login();
    let output = controller.muster(&["events", "tail", "--filter", "nofield=1"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("`nofield` is no field"), "{told}");
}
