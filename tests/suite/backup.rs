//! A controller is lost and restored from a backup that was made while it was busy: its agents come back to the
//! address that they know as its second, without enrolling again; who was revoked stays out, and the old controller
//! is refused when it comes back.

use crate::fleet::partition;
use muster_tests::eventually::{eventually, eventually_true};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::process::{Process, run};
use muster_tests::readers::{Dialect, read};
use muster_tests::receiver::{Port, Receiver, free_port};
use muster_tests::results::full_size;
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
/// Events a second of each partition.
const RATE: f64 = 20.0;
const QUICK: &[&str] = &["--heartbeat-seconds", "1"];

fn name(number: usize) -> String {
    format!("LPAR{number:02}")
}

/// A fleet whose agents know two addresses, with a policy, traffic and a receiver.
struct Stage {
    partitions: Vec<Partition>,
    homes: Vec<AgentHome>,
    agents: Vec<Process>,
    receiver: Receiver,
    sandbox: Sandbox,
    second: u16,
}

impl Stage {
    /// Enrols everybody at `controller`, whose restored one will be at the second address.
    fn enrol(&mut self, controller: &Controller, number: usize) {
        let home = self.sandbox.agent(&name(number), &self.partitions[number - 1].at(), None);
        let token = self.token(controller, &format!("token-{number}"));
        let output = home.call("enrol", &["--token-file", &token]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.agents.push(home.run());
        self.homes.push(home);
    }

    /// A token for one agent that carries both addresses, in a file.
    fn token(&self, controller: &Controller, file: &str) -> String {
        let path = self.sandbox.path().join(file).display().to_string();
        let second = format!("https://127.0.0.1:{}", self.second);
        let urls = ["--url", controller.url.as_str(), "--url", second.as_str()];
        let words = ["token", "create", "--output-file", path.as_str()];
        let _ = controller.muster_ok(&[&words[..], &urls[..]].concat());
        path
    }

    fn policy(&self, more: &str) -> String {
        let content = policies::one(&policies::tcp(&self.receiver.address()), "{kind: leef2}");
        policies::document("fleet", &format!("{content}{more}"))
    }

    /// Ids of the events that arrived.
    fn arrived(&self) -> BTreeSet<String> {
        let messages = self.receiver.messages();
        let seen = messages.iter().filter_map(|message| read(Dialect::Leef, message).ok());
        let ours = seen.filter(|seen| !seen.event_id.starts_with("MUSTER"));
        ours.filter_map(|seen| Some(format!("{} {}", seen.host, seen.values.get("eventId")?))).collect()
    }

    /// Waits until events go on arriving.
    fn await_traffic(&self, what: &str) {
        let before = self.arrived().len();
        eventually_true(what, LIMIT, || self.arrived().len() > before + 2 * self.partitions.len());
    }

    fn written(&self) -> usize {
        self.partitions.iter().map(|partition| partition.entries(0..=u64::MAX).len()).sum()
    }

    /// Files of an agent's identity: what a new enrolment or certificate would change.
    fn identities(&self) -> Vec<Vec<(PathBuf, Vec<u8>)>> {
        let files = |home: &AgentHome| {
            let folder = home.folder.join("state/identity");
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .expect("the agent's identity")
                .map(|entry| entry.expect("a file").path())
                .map(|path| (path.clone(), std::fs::read(path).expect("its content")))
                .collect();
            files.sort();
            files
        };
        self.homes.iter().map(files).collect()
    }
}

/// Name and id of the agents that are connected, with the revision that each runs.
fn connected(controller: &Controller) -> BTreeMap<String, (String, Option<u64>)> {
    let agents = controller.muster_json(&["agents"]);
    let all = agents.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter()
        .filter(|agent| agent["connection"] == "connected")
        .map(|agent| (text(&agent["name"]), (text(&agent["id"]), agent["policy"]["running"].as_u64())))
        .collect()
}

fn await_connected(controller: &Controller, count: usize) -> BTreeMap<String, String> {
    eventually(&format!("{count} agents are connected"), LIMIT, || {
        let there = connected(controller);
        match there.len() {
            got if got == count => Ok(there.into_iter().map(|(name, (id, _))| (name, id)).collect()),
            got => Err(format!("{got}")),
        }
    })
}

/// Waits until all that are connected run a revision for which `wanted` holds.
fn await_running(controller: &Controller, what: &str, wanted: impl Fn(u64) -> bool) {
    eventually(what, LIMIT, || {
        let there = connected(controller);
        let all = !there.is_empty() && there.values().all(|(_, runs)| runs.is_some_and(&wanted));
        if all { Ok(()) } else { Err(format!("{there:?}")) }
    });
}

/// What a command prints for people beside its answer, and how it ends.
fn told(controller: &Controller, args: &[&str]) -> (Option<i32>, String) {
    let output = controller.muster(args);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_lost_controller_is_restored_under_the_second_address_that_its_agents_know() {
    // given a busy controller that makes backups, and agents that know a second address
    let count = if full_size() { 20 } else { 3 };
    let sandbox = Sandbox::new("backup");
    let passphrase = sandbox.write("passphrase", "a sentence that nobody guesses\n");
    std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let (folder, passphrase) =
        (sandbox.path().join("backups").display().to_string(), passphrase.display().to_string());
    let options = [QUICK, &["--backup-dir", &folder, "--backup-passphrase-file", &passphrase]].concat();
    let mut first = sandbox.controller_with(&options);
    first.login();
    let mut stage = Stage {
        partitions: (1..=count).map(|number| partition(&name(number))).collect(),
        homes: Vec::new(),
        agents: Vec::new(),
        receiver: Receiver::start(Port::Tcp),
        sandbox,
        second: free_port(),
    };
    for number in 1..=count {
        stage.enrol(&first, number);
    }
    let ids = await_connected(&first, count);
    let spare = stage.token(&first, "spare-token");
    let applied = first.publish(&stage.policy(""));
    assert_eq!(applied.matches("applied").count(), count, "{applied}");
    for partition in &stage.partitions {
        partition.set_rate(RATE);
    }
    stage.await_traffic("events arrive");

    // when a backup is made while policies are published
    let backup = stage.sandbox.path().join("fetched.muster-backup").display().to_string();
    let mut making =
        first.muster_command(&["backup", "create", "-f", &backup]).spawn().expect("muster starts");
    let mut rules = String::from("rules:\n");
    let mut published = 1;
    let status = loop {
        if let Some(status) = making.try_wait().expect("it can be asked") {
            break status;
        }
        published += 1;
        rules.push_str(&format!("  - {{name: r{published}, match: {{users: [NOBODY]}}, action: drop}}\n"));
        let _ = first.publish(&stage.policy(&rules));
    };
    assert!(status.success() && published > 1, "{status}, {published} revisions");
    // then it is whole, says so without a controller, and is listed
    let verified = first.muster_ok(&["backup", "verify", &backup, "--passphrase-file", &passphrase]);
    for part in ["whole: taken at", "incarnation 1", "audit log whole", &format!("{count} agents")] {
        assert!(verified.contains(part), "{part} in {verified}");
    }
    let listed = first.muster_ok(&["backup", "list"]);
    assert!(listed.contains("last good one") && !listed.contains("FAILED"), "{listed}");

    // when the fleet goes on: a revision, a token and a revocation that the backup does not have
    let _ =
        first.publish(&stage.policy("rules:\n  - {name: late, match: {users: [NOBODY]}, action: drop}\n"));
    let late = connected(&first).values().filter_map(|(_, runs)| *runs).max().expect("a revision runs");
    await_running(&first, "all run the last revision", |runs| runs == late);
    let late_token = stage.token(&first, "late-token");
    let revoked = name(count);
    let _ = first.muster_ok(&["agents", "revoke", &revoked, "--reason", "stolen host"]);
    let export = stage.sandbox.path().join("audit.jsonl").display().to_string();
    let _ = first.muster_ok(&["audit-log", "export", "--output-file", &export]);
    let identities = stage.identities();
    // and its controller is lost
    first.process.kill();
    stage.await_traffic("collection goes on without a controller");

    // then it is restored on another folder
    let place = stage.sandbox.path().join("restored");
    let data = place.join("data").display().to_string();
    let words = [
        "restore",
        "--from",
        &backup,
        "--data-dir",
        &data,
        "--passphrase-file",
        &passphrase,
        "--audit-log",
        &export,
    ];
    let restored = run("muster-controller", &words);
    let report = String::from_utf8_lossy(&restored.stdout).into_owned();
    assert!(restored.status.success(), "{report}{}", String::from_utf8_lossy(&restored.stderr));
    for part in [
        "incarnation 2",
        &format!("agent {} was shut out after the backup, and stays out", ids[&revoked]),
        "policy.publish fleet@",
        "make a new one, if it is still needed",
        "void:",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    // and its agents come back to the second address with the certificates that they have
    let password = stage.sandbox.path().join("controller/admin-password");
    std::fs::copy(password, place.join("admin-password")).expect("the password is the same");
    let second = Controller::start(&place, &format!("127.0.0.1:{}", stage.second), QUICK);
    second.login();
    let back = await_connected(&second, count - 1);
    let mut expected = ids.clone();
    expected.remove(&revoked);
    assert_eq!(back, expected);
    assert_eq!(stage.identities(), identities, "nobody enrolled again");
    // with the policy of the backup, whose number is lower than what they ran
    await_running(&second, "all run what the backup has", |runs| runs > 0 && runs < late);
    let told_of = second.muster_ok(&["backup", "restored"]);
    let lost = format!("revision {late} ran on {} agent(s)", count - 1);
    assert!(told_of.contains(&lost), "{lost} in {told_of}");
    // and who was revoked stays out, and no token works
    stage.homes[count - 1].await_health("uplink", "failed", "was revoked by admin", LIMIT);
    let extra = partition("EXTRA");
    for (number, token) in [&spare, &late_token, &stage.sandbox.path().join("token-1").display().to_string()]
        .into_iter()
        .enumerate()
    {
        let home = stage.sandbox.agent(&format!("extra-{number}"), &extra.at(), None);
        let output = home.call("enrol", &["--token-file", token]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && complaint.contains("does not know the enrolment token"),
            "{complaint}"
        );
    }
    // and what is published now has a number that nobody ever saw
    let applied =
        second.publish(&stage.policy("rules:\n  - {name: new, match: {users: [NOBODY]}, action: drop}\n"));
    assert_eq!(applied.matches("applied").count(), count - 1, "{applied}");
    await_running(&second, "all run the new revision", |runs| runs > 2_000_000);
    let verified = second.muster_ok(&["audit-log", "verify"]);
    assert!(verified.starts_with("whole"), "{verified}");

    // when the old controller comes back, and an agent that starts meets it first
    first.restart();
    stage.agents[0].terminate(LIMIT);
    stage.agents[0] = stage.homes[0].run();
    // then the agent refuses it and goes on to the restored one
    await_connected(&second, count - 1);
    let log = stage.agents[0].log();
    assert!(
        log.contains("is not in charge any more: this controller was replaced by a restored one"),
        "{log}"
    );
    assert_eq!(connected(&first).len(), 0);
    // and it knows that it was replaced, says so, and changes nothing
    eventually_true("the old controller knows", LIMIT, || {
        told(&first, &["agents"]).1.contains("controller: this controller was replaced by a restored one")
    });
    let (code, complaint) = told(&first, &["token", "create"]);
    assert_eq!(code, Some(4), "{complaint}");
    assert!(complaint.contains("it takes no agents and no changes"), "{complaint}");
    let audit = first.muster_ok(&["audit-log", "list"]);
    assert_eq!(audit.matches("controller.superseded").count(), 1, "{audit}");
    assert!(first.metrics().1.contains("muster_superseded 1"));
    first.crash_and_restart();
    assert!(told(&first, &["agents"]).1.contains("was replaced by a restored one"), "nor does it forget");

    // and at the receiver nothing is missing
    for partition in &stage.partitions {
        partition.set_rate(0.0);
    }
    eventually("every event has arrived", LIMIT, || match (stage.arrived().len(), stage.written()) {
        (seen, written) if seen >= written => Ok(()),
        (seen, written) => Err(format!("{seen} of {written}")),
    });
}
