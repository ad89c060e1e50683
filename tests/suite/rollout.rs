//! Rollouts with real agents: waves, going back by itself, agents that leave and return, a maintenance window, and a
//! controller that is killed in the middle of each.

use crate::fleet::partition;
use jiff::{SignedDuration, Timestamp};
use muster_tests::eventually::{eventually, eventually_true};
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::process::Process;
use muster_tests::readers::{Dialect, read};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::results::{full_size, result};
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);
/// Events a second of each partition while a policy is rolled out.
const RATE: f64 = 20.0;
/// Times of these stories: seconds instead of minutes.
const QUICK: &[&str] = &["--soak", "2s", "--deadline", "20s", "--recovery", "3s", "--max-unavailable", "50%"];

/// A fleet with a policy, live traffic and a receiver.
struct Stage {
    partitions: Vec<Partition>,
    homes: Vec<AgentHome>,
    agents: Vec<Process>,
    controller: Controller,
    receiver: Receiver,
    sandbox: Sandbox,
}

fn name(number: usize) -> String {
    format!("LPAR{number:02}")
}

impl Stage {
    fn new(story: &str) -> Self {
        let count = if full_size() { 20 } else { 6 };
        let receiver = Receiver::start(Port::Tcp);
        let sandbox = Sandbox::new(story);
        let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
        controller.login();
        let partitions: Vec<Partition> = (1..=count).map(|number| partition(&name(number))).collect();
        let mut homes = Vec::new();
        for (number, at) in (1..).zip(&partitions) {
            let home = sandbox.agent(&name(number), &at.at(), None);
            let site = if number % 2 == 0 { "site=east" } else { "site=west" };
            controller.enrol(&home, &[site]);
            homes.push(home);
        }
        let agents = homes.iter().map(AgentHome::run).collect();
        let stage = Self { partitions, homes, agents, controller, receiver, sandbox };
        stage.await_connected(count);
        let told = stage.controller.publish(&stage.policy(""));
        assert_eq!(told.matches("applied").count(), count, "{told}");
        for partition in &stage.partitions {
            partition.set_rate(RATE);
        }
        stage.await_healthy();
        stage
    }

    fn count(&self) -> usize {
        self.partitions.len()
    }

    fn await_connected(&self, count: usize) {
        eventually_true("all are connected", LIMIT, || {
            let agents = self.controller.muster_json(&["agents"]);
            agents.as_array().is_some_and(|all| {
                all.iter().filter(|agent| agent["connection"] == "connected").count() >= count
            })
        });
    }

    fn await_healthy(&self) {
        eventually_true("all are healthy", LIMIT, || {
            let agents = self.controller.muster_json(&["agents"]);
            agents.as_array().is_some_and(|all| all.iter().all(|agent| agent["state"] == "healthy"))
        });
    }

    fn policy(&self, more: &str) -> String {
        let content = policies::one(&policies::tcp(&self.receiver.address()), "{kind: leef2}");
        policies::document("fleet", &format!("{content}{more}"))
    }

    /// The policy with a rule that drops what no partition writes.
    fn changed(&self) -> String {
        self.policy("rules:\n  - {name: quiet, match: {users: [NOBODY]}, action: drop}\n")
    }

    fn start(&self, document: &str, options: &[&str]) -> String {
        let file = self.sandbox.write("next.yaml", document).display().to_string();
        let mut words = vec!["rollout", "start", "-f", &file];
        words.extend(QUICK);
        words.extend(options);
        self.controller.muster_ok(&words)
    }

    fn view(&self) -> Value {
        self.controller.muster_json(&["rollout", "show"])
    }

    /// Waits until the newest rollout is in a state; gives its log.
    fn await_state(&self, state: &str) -> String {
        eventually(&format!("the rollout is {state}"), LIMIT, || {
            let view = self.view();
            let log = log(&view);
            if view["state"] == state { Ok(log) } else { Err(format!("{}\n{log}", view["state"])) }
        })
    }

    fn await_log(&self, part: &str) {
        eventually(&format!("the rollout says {part:?}"), LIMIT, || {
            let log = log(&self.view());
            if log.contains(part) { Ok(()) } else { Err(log) }
        });
    }

    /// Revisions that the agents run.
    fn running(&self) -> Vec<(String, u64)> {
        let agents = self.controller.muster_json(&["agents"]);
        let mut all: Vec<_> = agents
            .as_array()
            .expect("a list")
            .iter()
            .map(|agent| {
                let running = agent["policy"]["running"].as_u64().unwrap_or(0);
                (agent["name"].as_str().unwrap_or_default().to_owned(), running)
            })
            .collect();
        all.sort();
        all
    }

    fn assert_all_run(&self, revision: u64) {
        let running = self.running();
        assert!(running.iter().all(|(_, runs)| *runs == revision), "{running:?}");
    }

    /// Ends the traffic; every event has arrived, and none was lost meanwhile.
    fn assert_nothing_lost(&self) {
        for partition in &self.partitions {
            partition.set_rate(0.0);
        }
        eventually("every event has arrived", LIMIT, || {
            let messages = self.receiver.messages();
            let seen: BTreeSet<String> = messages
                .iter()
                .filter_map(|message| read(Dialect::Leef, message).ok())
                .filter(|seen| !seen.event_id.starts_with("MUSTER"))
                .filter_map(|seen| Some(format!("{} {}", seen.host, seen.values.get("eventId")?)))
                .collect();
            let written: usize = self.partitions.iter().map(|p| p.entries(0..=u64::MAX).len()).sum();
            if seen.len() >= written { Ok(()) } else { Err(format!("{} of {written}", seen.len())) }
        });
    }
}

fn log(view: &Value) -> String {
    let notes = view["log"].as_array().cloned().unwrap_or_default();
    let line = |note: &Value| {
        format!("{} {}", note["at"].as_str().unwrap_or(""), note["text"].as_str().unwrap_or(""))
    };
    notes.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_policy_goes_out_in_waves_and_a_crash_does_not_stop_it() {
    let mut stage = Stage::new("rollout-waves");
    let file = stage.sandbox.write("next.yaml", &stage.changed()).display().to_string();
    let plan = stage.controller.muster_ok(&["rollout", "plan", "-f", &file, "--waves", "50,100"]);
    for part in ["canaries", "wave 1", "wave 2", &format!("{} partition(s) would change", stage.count())] {
        assert!(plan.contains(part), "{part} in {plan}");
    }
    stage.assert_all_run(1);
    let told = stage.start(&stage.changed(), &["--waves", "50,100", "--description", "quieter"]);
    assert!(told.contains("rollout 1 started: fleet@2"), "{told}");
    // Only canaries have it; who publishes beside it is told to wait.
    stage.await_log("canaries: 1 partition is told");
    let other = stage.sandbox.write("other.yaml", &stage.policy("rules: []\n")).display().to_string();
    let refused = stage.controller.muster(&["policy", "apply", &other]);
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("rollout 1 is bringing `fleet` to the partitions"), "{complaint}");
    stage.await_log("wave 1 begins");
    stage.controller.crash_and_restart();
    let log = stage.await_state("done");
    let places: Vec<usize> =
        ["canaries passed: 1", "wave 1 passed", "wave 2 begins", "wave 2 passed", "done: the"]
            .iter()
            .map(|part| log.find(part).unwrap_or_else(|| panic!("{part} in {log}")))
            .collect();
    assert!(places.is_sorted(), "{log}");
    stage.assert_all_run(2);
    let shown = stage.controller.muster_ok(&["rollout", "show", "--partitions"]);
    assert_eq!(shown.matches(" proven ").count(), stage.count(), "{shown}");
    stage.assert_nothing_lost();
    let verified = stage.controller.muster_ok(&["audit-log", "verify"]);
    assert!(!verified.is_empty());
    let audit = stage.controller.muster_ok(&["audit-log", "list"]);
    for action in ["rollout.start", "rollout.done"] {
        assert!(audit.contains(action), "{action} in {audit}");
    }
}

#[test]
fn a_policy_that_breaks_a_source_goes_back_by_itself() {
    let mut stage = Stage::new("rollout-back");
    let broken = stage.policy("").replace("start: oldest", "start: oldest\n      journal: GONE/QAUDJRN");
    let began = Instant::now();
    stage.start(&broken, &[]);
    stage.await_log("is told");
    stage.controller.crash_and_restart();
    let log = stage.await_state("rolled_back");
    let took = began.elapsed();
    assert!(log.contains("a canary failed") && log.contains("source audit does not work"), "{log}");
    assert!(!log.contains("wave 1 begins"), "{log}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    result("rollout_back_s", format!("{:.1}", took.as_secs_f64()));
    // Everybody but the canary was left alone, and the canary collects again.
    stage.assert_all_run(1);
    let view = stage.view();
    let waves = view["waves"].as_array().expect("waves");
    assert_eq!((&waves[0]["back"], &waves[1]["planned"]), (&1.into(), &waves[1]["partitions"]), "{view}");
    stage.await_healthy();
    stage.assert_nothing_lost();
    // What went back is nobody's: the next revision is planned against the one in force.
    let history = stage.controller.muster_ok(&["policy", "history", "fleet"]);
    assert!(history.contains("withdrawn"), "{history}");
    let told = stage.controller.publish(&stage.changed());
    assert!(told.contains("revision 3"), "{told}");
}

#[test]
fn partitions_that_leave_during_a_rollout_get_it_when_they_return() {
    let mut stage = Stage::new("rollout-away");
    let count = stage.count();
    stage.agents[0].terminate(LIMIT);
    stage.agents[1].kill();
    eventually_true("both are seen to be away", LIMIT, || {
        let agents = stage.controller.muster_json(&["agents"]);
        let connected =
            agents.as_array().map(|a| a.iter().filter(|a| a["connection"] == "connected").count());
        connected == Some(count - 2)
    });
    stage.start(&stage.changed(), &["--waves", "100"]);
    stage.await_log("wave 1 begins");
    let waiting = stage.view()["waiting"].to_string();
    stage.agents[0] = stage.homes[0].run();
    stage.controller.crash_and_restart();
    let log = stage.await_state("done");
    assert!(waiting.contains("away: told when they are back") || log.contains("away"), "{waiting}\n{log}");
    // One may have been in time; the other returns when all is over, and gets it too.
    stage.agents[1] = stage.homes[1].run();
    eventually("everybody runs it", LIMIT, || {
        let running = stage.running();
        if running.iter().all(|(_, runs)| *runs == 2) { Ok(()) } else { Err(format!("{running:?}")) }
    });
    stage.await_healthy();
    stage.assert_nothing_lost();
}

#[test]
fn nobody_is_changed_outside_of_its_maintenance_window() {
    let mut stage = Stage::new("rollout-window");
    // The window opens with the next minute but one, so that there is time to see that it is closed.
    let opens = (Timestamp::now() + SignedDuration::from_secs(105)).strftime("%H:%M").to_string();
    let closes = (Timestamp::now() + SignedDuration::from_hours(2)).strftime("%H:%M").to_string();
    let window = format!("site=east {opens}-{closes} UTC");
    stage.start(&stage.changed(), &["--canaries", "0", "--waves", "100", "--window", &window]);
    let east = |stage: &Stage| -> Vec<u64> {
        let running = stage.running();
        running.iter().enumerate().filter(|(at, _)| at % 2 == 1).map(|(_, (_, runs))| *runs).collect()
    };
    eventually_true("those in the west run it", LIMIT, || {
        stage.running().iter().step_by(2).all(|(_, runs)| *runs == 2)
    });
    assert!(
        Timestamp::now().strftime("%H:%M").to_string() != opens,
        "the story was too slow to see it closed"
    );
    assert!(east(&stage).iter().all(|runs| *runs == 1), "{:?}", stage.running());
    let waiting = stage.view()["waiting"].to_string();
    assert!(
        waiting.contains("wait for the maintenance window that opens") && waiting.contains(&opens),
        "{waiting}"
    );
    stage.controller.crash_and_restart();
    let log = stage.await_state("done");
    let told = log.lines().rfind(|line| line.contains("told")).unwrap_or_default().to_owned();
    assert!(told.contains(&format!("T{opens}")), "told at the minute that it opens: {told}\n{log}");
    stage.assert_all_run(2);
    stage.assert_nothing_lost();
}
