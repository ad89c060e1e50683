//! One thread through the whole product: controller, agents, partitions, a receiver and the command line.

use ibmi_sim::Scenario;
use muster_tests::eventually::{eventually, eventually_true, never};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::readers::{Dialect, Seen, read};
use muster_tests::receiver::{Port, Receiver, free_port};
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Reports come every second, so that what is shown is fresh.
const QUICK: &[&str] = &["--heartbeat-seconds", "1"];

/// A partition of that system name, without traffic of its own.
pub(crate) fn partition(system: &str) -> Partition {
    let mut scenario = Scenario { name: system.to_owned(), ..Scenario::default() };
    scenario.system.host_name = system.to_owned();
    // Two partitions of one story are two machines.
    scenario.system.serial = format!("78{}{system}", system.len());
    scenario.traffic.rate = 0.0;
    scenario.journal.receiver_size = 0;
    Partition::start(scenario)
}

/// Events of a partition that arrived, without those of the agent itself.
fn arrived(receiver: &Receiver, system: &str) -> Vec<Seen> {
    let messages = receiver.messages();
    let seen = messages.iter().filter_map(|message| read(Dialect::Leef, message).ok());
    seen.filter(|seen| seen.host == system && !seen.event_id.starts_with("MUSTER")).collect()
}

fn await_arrived(receiver: &Receiver, system: &str, count: usize) {
    eventually(&format!("{count} events of {system} arrive"), LIMIT, || {
        match arrived(receiver, system).len() {
            got if got >= count => Ok(()),
            got => Err(format!("{got}")),
        }
    });
}

fn reads(events: &[Seen]) -> usize {
    events.iter().filter(|event| event.event_id.starts_with("ZR")).count()
}

fn fleet_policy(receiver: &Receiver, rules: &str) -> String {
    let content = policies::one(&policies::tcp(&receiver.address()), "{kind: leef2}");
    let document = policies::document("fleet", &format!("{content}{rules}"));
    document.replace("spec:\n", "description: the fleet\nselector: {env: test}\nspec:\n")
}

const NO_READS: &str = "rules:\n  - {name: no-reads, match: {entry_types: [ZR]}, action: drop}\n";

fn await_connected(controller: &Controller, name: &str) -> Value {
    controller.await_agent(name, "connected", LIMIT, |view| {
        (view["summary"]["connection"] == "connected").then(|| view.clone())
    })
}

/// An enrolled agent for a partition, and its id.
fn enrolled(
    sandbox: &Sandbox,
    controller: &Controller,
    at: &Partition,
    name: &str,
    labels: &[&str],
) -> (AgentHome, String) {
    let home = sandbox.agent(name, &at.at(), None);
    let id = controller.enrol(&home, labels);
    (home, id)
}

#[test]
fn a_fleet_is_enrolled_steered_and_watched() {
    // given two enrolled agents
    let (east, west) = (partition("EAST"), partition("WEST1"));
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("fleet");
    let controller = sandbox.controller_with(QUICK);
    controller.login();
    let homes = [
        enrolled(&sandbox, &controller, &east, "east", &["env=test", "site=east"]),
        enrolled(&sandbox, &controller, &west, "west", &["env=test", "site=west"]),
    ];
    let _agents = homes.each_ref().map(|(home, _)| home.run());
    eventually_true("both are connected", LIMIT, || {
        let agents = controller.muster_json(&["agents"]);
        agents.as_array().is_some_and(|a| a.len() == 2 && a.iter().all(|a| a["connection"] == "connected"))
    });
    // when a policy for their label is published, they answer
    let first = fleet_policy(&receiver, "");
    let told = controller.publish(&first);
    assert!(told.contains("selects 2 agent(s)"), "{told}");
    assert_eq!(told.matches("applied").count(), 2, "{told}");
    // then their events flow
    east.append_mix(60);
    west.append_mix(40);
    // The journal's own entry, with which its receiver begins, is one more.
    let written = east.entries(0..=u64::MAX).len();
    assert_eq!(written, 61);
    await_arrived(&receiver, "EAST", written);
    await_arrived(&receiver, "WEST1", 41);

    // and the list tells of both
    let view = controller.await_agent("EAST", "its events are counted", LIMIT, |view| {
        let rates = &view["rate_detail"];
        let counted = rates["sources"][0]["window"]["total"]["received"] == written
            && rates["destinations"][0]["delivered"] == written;
        counted.then(|| view.clone())
    });
    let summary = &view["summary"];
    assert_eq!(summary["labels"], serde_json::json!({"env": "test", "site": "east"}));
    assert_eq!(summary["os_release"], "V7R5M0");
    assert_eq!((&summary["healthy"], &summary["connection"]), (&Value::Bool(true), &"connected".into()));
    assert_eq!(summary["policy"]["state"], "applied");
    assert_eq!(summary["policy"]["running"], summary["policy"]["wanted"]);
    assert_eq!(view["attributes"]["ibmi.serial_number"], "784EAST");
    let component = |name: &str| {
        let components = view["components"].as_array().cloned().unwrap_or_default();
        components.into_iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name} in {view}"))
    };
    for (name, kind) in [("audit", "source"), ("siem", "destination")] {
        assert_eq!((&component(name)["kind"], &component(name)["healthy"]), (&kind.into(), &true.into()));
    }
    let list = controller.muster_ok(&["agents"]);
    for word in ["EAST", "WEST1", "healthy", "env=test site=west", "V7R5M0", "LAST SEEN"] {
        assert!(list.contains(word), "{word} in {list}");
    }
    // and without anybody watching reports come in every second
    east.set_rate(50.0);
    controller.await_agent("EAST", "a rate is shown", LIMIT, |view| {
        let fresh = view["summary"]["rates"]["now"]["received"].as_f64().is_some_and(|rate| rate > 10.0);
        fresh.then_some(())
    });
    east.set_rate(0.0);
    let rates = controller.muster_json(&["rates"]);
    assert!(rates["fleet"]["total"]["received"].as_u64() >= Some(100), "{rates}");

    eventually_true("all of that arrives", LIMIT, || {
        arrived(&receiver, "EAST").len() == east.entries(0..=u64::MAX).len()
    });

    // when a policy drops an entry type
    let told = controller.publish(&fleet_policy(&receiver, NO_READS));
    assert_eq!(told.matches("applied").count(), 2, "{told}");
    let before = east.entries(0..=u64::MAX).len();
    let reads_before = reads(&arrived(&receiver, "EAST"));
    assert!(reads_before > 0, "there were some before");
    east.append_mix(100);
    let new = east.entries(0..=u64::MAX).split_off(before);
    let dropped = new.iter().filter(|entry| entry.entry_type == "ZR").count();
    assert!(dropped > 0 && dropped < 100, "{dropped} of 100");
    // then it stops, and the drops are counted by rule
    await_arrived(&receiver, "EAST", before + 100 - dropped);
    assert_eq!(reads(&arrived(&receiver, "EAST")), reads_before);
    controller.await_agent("EAST", "drops are counted", LIMIT, |view| {
        let source = &view["rate_detail"]["sources"][0];
        let counted = source["dropped_by_rule"]["no-reads"] == dropped
            && source["window"]["total"]["dropped"] == dropped;
        counted.then_some(())
    });
    let shown = controller.muster_ok(&["agents", "show", "EAST"]);
    for word in ["no-reads", &dropped.to_string(), "audit", "siem", "784EAST"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    assert_eq!(controller.muster_json(&["rates"])["fleet"]["total"]["dropped"], dropped);

    // and the revisions tell them apart
    let history = controller.muster_json(&["policy", "history", "fleet"]);
    let revisions: Vec<u64> =
        history.as_array().into_iter().flatten().filter_map(|r| r["revision"].as_u64()).collect();
    let [newer, older] = revisions[..] else { panic!("two revisions in {history}") };
    assert!(newer > older, "{history}");
    let (older, newer) = (format!("fleet@{older}"), format!("fleet@{newer}"));
    assert_eq!(controller.muster_ok(&["policy", "show", &older]), first);
    let diff = controller.muster_ok(&["policy", "diff", &older, &newer]);
    assert!(diff.starts_with("+ ") && diff.contains("no-reads"), "{diff}");
}

#[test]
fn a_killed_controller_forgets_nothing_that_it_answered() {
    // given an agent that runs a policy
    let (one, two) = (partition("ONE"), partition("TWO"));
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("controller-killed");
    let mut controller = sandbox.controller_with(QUICK);
    controller.login();
    let (home, id) = enrolled(&sandbox, &controller, &one, "one", &["env=test"]);
    let _agent = home.run();
    await_connected(&controller, &id);
    controller.publish(&fleet_policy(&receiver, ""));
    one.append_mix(20);
    await_arrived(&receiver, "ONE", 20);
    let before = controller.agent(&id);
    // when the controller is killed right after it answered a token and a revision
    let token = controller.muster_json(&["token", "create", "--label", "env=test"]);
    let token_text = token["token"].as_str().expect("a token").to_owned();
    let policy = sandbox.write("second.yaml", &fleet_policy(&receiver, NO_READS));
    let _ = controller.muster_ok(&["policy", "apply", &policy.display().to_string()]);
    controller.process.kill();
    // then the agent goes on without it
    let so_far = arrived(&receiver, "ONE").len();
    one.append_mix(50);
    let kept = one.entries(0..=u64::MAX).iter().skip(so_far).filter(|entry| entry.entry_type != "ZR").count();
    await_arrived(&receiver, "ONE", so_far + kept);
    // and after the restart everything answered is there
    controller.restart();
    let back = await_connected(&controller, &id);
    for key in ["enrolled_at", "certificate"] {
        assert_eq!(back[key], before[key], "{key}");
    }
    assert_eq!(back["summary"]["id"], before["summary"]["id"]);
    assert_eq!(controller.muster_json(&["agents"]).as_array().map(Vec::len), Some(1));
    let history = controller.muster_json(&["policy", "history", "fleet"]);
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
    controller.await_agent(&id, "it runs the second revision", LIMIT, |view| {
        let policy = &view["summary"]["policy"];
        (policy["state"] == "applied" && policy["running"] == history[0]["revision"]).then_some(())
    });
    // and the token lets a second agent in, once
    let second = sandbox.agent("two", &two.at(), None);
    let file = sandbox.write("token-two", &token_text);
    let output = second.call("enrol", &["--token-file", &file.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let _second = second.run();
    await_connected(&controller, told.split(' ').nth(2).unwrap_or_default());
}

#[test]
fn gaps_and_destinations_that_are_down_are_seen_and_offline_wins() {
    // given an agent with a receiver and a destination where nobody listens
    let partition = partition("PROD");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("sick");
    let controller = sandbox.controller_with(QUICK);
    controller.login();
    let (home, id) = enrolled(&sandbox, &controller, &partition, "prod", &["env=test"]);
    let mut agent = home.run();
    await_connected(&controller, &id);
    let nobody = policies::tcp(&format!("127.0.0.1:{}", free_port()));
    let content = policies::several(&[
        ("siem", &policies::tcp(&receiver.address()), "{kind: leef2}"),
        ("archive", &nobody, "{kind: leef2}"),
    ]);
    // when the policy is published, it is accepted
    let told = controller.publish(&policies::document("sick", &content));
    assert!(told.contains("applied"), "{told}");
    // then the dead destination is shown with the reason, and the other one goes on
    partition.append_mix(30);
    await_arrived(&receiver, "PROD", 30);
    controller.await_component(&id, "archive", "failed", "refused", LIMIT);
    controller.await_component(&id, "siem", "healthy", "", LIMIT);
    let list = controller.muster_ok(&["agents"]);
    assert!(list.contains("failed") && list.contains("archive"), "{list}");

    // when a receiver is deleted that was not read
    home.await_cursor("siem", partition.entries(0..=u64::MAX).last().expect("entries").sequence, LIMIT);
    assert!(agent.terminate(LIMIT).success());
    partition.append_mix(40);
    partition.roll_over();
    partition.append_mix(10);
    assert!(partition.prune_oldest().is_some());
    // then the agent, which was unhealthy, is offline first of all
    controller.await_agent(&id, "offline", LIMIT, |view| {
        (view["summary"]["connection"] == "offline").then_some(())
    });
    let list = controller.muster_ok(&["agents"]);
    assert!(list.contains("offline") && !list.contains("failed"), "{list}");
    // and back again it tells of the gap
    let _agent = home.run();
    let reason = controller.await_component(&id, "audit", "degraded", "entries lost", LIMIT);
    let shown = controller.muster_ok(&["agents", "show", "PROD"]);
    assert!(shown.contains("degraded") || shown.contains("failed"), "{shown}");
    assert!(reason.contains(" to "), "the range is named: {reason}");
    await_arrived(&receiver, "PROD", 40);
}

#[test]
fn an_agent_killed_right_after_applied_runs_the_policy_without_the_controller() {
    let partition = partition("LAST");
    let receiver = Receiver::start(Port::Tcp);
    let sandbox = Sandbox::new("last-good");
    let mut controller = sandbox.controller_with(QUICK);
    controller.login();
    let (home, id) = enrolled(&sandbox, &controller, &partition, "last", &["env=test"]);
    let mut agent = home.run();
    await_connected(&controller, &id);
    // when agent and controller are killed as soon as the policy is answered
    let told = controller.publish(&fleet_policy(&receiver, NO_READS));
    agent.kill();
    controller.process.kill();
    assert!(told.contains("applied"), "{told}");
    // then the agent runs it after its restart
    partition.append_mix(60);
    let kept = partition.entries(0..=u64::MAX).iter().filter(|entry| entry.entry_type != "ZR").count();
    let agent = home.run();
    await_arrived(&receiver, "LAST", kept);
    never("a dropped type arrives", Duration::from_millis(500), || {
        let reads = reads(&arrived(&receiver, "LAST"));
        (reads > 0).then(|| reads.to_string())
    });
    // and says what is wrong with the controller, and comes back by itself
    home.await_health("uplink", "failed", "cannot be reached", LIMIT);
    controller.restart();
    await_connected(&controller, &id);
    home.await_health("uplink", "healthy", "", LIMIT);
    drop(agent);
}
