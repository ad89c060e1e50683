//! A fleet of agents under launchers, with a policy, live traffic and a receiver.

use super::ledger::Ledger;
use crate::fleet::partition;
use muster_tests::eventually::eventually;
use muster_tests::packages;
use muster_tests::partition::Partition;
use muster_tests::policies;
use muster_tests::process::Process;
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::Value;
use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const LIMIT: Duration = Duration::from_secs(240);
/// Events a second of each partition.
const RATE: f64 = 20.0;
/// The version that agents begin with, and the one that they go to.
pub(super) const OLD: &str = "0.1.0";
pub(super) const NEW: &str = "0.2.0";

pub(super) struct Stage {
    pub(super) partitions: Vec<Partition>,
    pub(super) homes: Vec<AgentHome>,
    pub(super) launchers: Vec<Process>,
    pub(super) controller: Controller,
    pub(super) receiver: Receiver,
    pub(super) sandbox: Sandbox,
    ledger: RefCell<Ledger>,
}

/// In how many seconds a version must be healthy after a switch, and how long it must not end after that.
#[derive(Clone, Copy)]
pub(super) struct Trials {
    pub(super) healthy: u64,
    pub(super) probation: u64,
}

pub(super) fn name(number: usize) -> String {
    format!("LPAR{number:02}")
}

impl Stage {
    /// `count` agents that must be healthy within so many seconds after a switch, and not end for some after that.
    pub(super) fn new(story: &str, count: usize, healthy: u64, probation: u64) -> Self {
        Self::prepared(story, count, Trials { healthy, probation }, &[], |_, _| ())
    }

    /// The same, with further options of the controller, and with something done to the homes before their agents start.
    pub(super) fn prepared(
        story: &str,
        count: usize,
        trials: Trials,
        options: &[&str],
        prepare: impl Fn(usize, &AgentHome),
    ) -> Self {
        let receiver = Receiver::start(Port::Tcp);
        let sandbox = Sandbox::new(story);
        let controller = sandbox.controller_with(&[&["--heartbeat-seconds", "1"], options].concat());
        controller.login();
        let partitions: Vec<Partition> = (1..=count).map(|number| partition(&name(number))).collect();
        let mut homes = Vec::new();
        for (number, at) in (1..).zip(&partitions) {
            let home = sandbox.agent(&name(number), &at.at(), None);
            home.upgradable(trials.healthy, trials.probation);
            controller.enrol(&home, &[if number <= 2 { "ring=canary" } else { "ring=rest" }]);
            prepare(number, &home);
            homes.push(home);
        }
        let launchers = homes.iter().map(AgentHome::launch).collect();
        let ledger = RefCell::default();
        let stage = Self { partitions, homes, launchers, controller, receiver, sandbox, ledger };
        stage.await_agents("are connected", |agent| agent["connection"] == "connected");
        let told = stage.controller.publish(&stage.policy());
        assert_eq!(told.matches("applied").count(), count, "{told}");
        for partition in &stage.partitions {
            partition.set_rate(RATE);
        }
        stage.await_healthy();
        stage
    }

    fn policy(&self) -> String {
        let content = policies::one(&policies::tcp(&self.receiver.address()), "{kind: leef2}");
        // A second source, so that one alone can break.
        let content = content.replace("sources:\n", "sources:\n  history:\n    kind: history_log\n");
        policies::document("fleet", &content)
    }

    pub(super) fn agents(&self) -> Vec<Value> {
        self.controller.muster_json(&["agents"]).as_array().cloned().unwrap_or_default()
    }

    pub(super) fn await_agents(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        eventually(&format!("all {what}"), LIMIT, || {
            let agents = self.agents();
            match agents.iter().find(|agent| !is_so(agent)) {
                None if agents.len() == self.homes.len() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    pub(super) fn await_healthy(&self) {
        self.await_agents("are healthy", |a| a["state"] == "healthy" && a["connection"] == "connected");
    }

    /// Versions that run, by name.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.agents().iter().map(|agent| (text(&agent["name"]), text(&agent["version"]))).collect()
    }

    pub(super) fn upload_next(&self) {
        let package = packages::next(&self.sandbox.path().join("packages"));
        let told = self.controller.muster_ok(&["package", "upload", &package.display().to_string()]);
        assert!(told.contains(NEW), "{told}");
    }

    /// Starts a rollout of a version, in seconds instead of minutes.
    pub(super) fn start(&self, version: &str, options: &[&str]) -> String {
        let package = format!("muster-agent@{version}");
        let mut words = vec!["rollout", "start", "--package", &package];
        for (option, value) in
            [("--soak", "3s"), ("--deadline", "60s"), ("--recovery", "5s"), ("--max-unavailable", "100%")]
        {
            if !options.contains(&option) {
                words.extend([option, value]);
            }
        }
        words.extend(options);
        self.controller.muster_ok(&words)
    }

    pub(super) fn view(&self) -> Value {
        self.controller.muster_json(&["rollout", "show"])
    }

    /// Waits until the newest rollout is in a state; gives its log.
    pub(super) fn await_state(&self, state: &str) -> String {
        eventually(&format!("the rollout is {state}"), LIMIT, || {
            let view = self.view();
            let log = log(&view);
            if view["state"] == state {
                return Ok(log);
            }
            let upgrades: Vec<String> = self
                .agents()
                .iter()
                .map(|a| format!("{} {} {}", a["name"], a["version"], a["upgrade"]))
                .collect();
            Err(format!("{} {}\n{log}\n{}", view["state"], view["waiting"], upgrades.join("\n")))
        })
    }

    /// What arrived so far.
    pub(super) fn arrived(&self) -> RefMut<'_, Ledger> {
        let mut ledger = self.ledger.borrow_mut();
        ledger.take(&self.receiver);
        ledger
    }

    /// Ends the traffic; every entry has arrived, and none was lost meanwhile. Gives how many events came more than once.
    pub(super) fn assert_nothing_lost(&self) -> usize {
        for partition in &self.partitions {
            partition.set_rate(0.0);
        }
        for (home, partition) in self.homes.iter().zip(&self.partitions) {
            eventually(&format!("every event of {} has arrived", home.name), LIMIT, || {
                let written = partition.entry_ids();
                match self.arrived().missing(&home.name, &written) {
                    None => Ok(()),
                    Some((missing, first)) => Err(format!("{missing} of {}, such as {first}", written.len())),
                }
            });
        }
        self.arrived().duplicates()
    }

    /// Every launcher runs, and every agent below it collects: what was written last arrives.
    pub(super) fn bricked(&mut self) -> usize {
        let dead =
            self.launchers.iter_mut().filter_map(|launcher| (!launcher.is_running()).then_some(())).count();
        self.await_news();
        dead
    }

    /// Waits until something new of every partition arrives.
    pub(super) fn await_news(&self) {
        let counts = || -> Vec<usize> {
            let arrived = self.arrived();
            self.homes.iter().map(|home| arrived.count(&home.name)).collect()
        };
        let before = counts();
        eventually("every agent delivers something new", LIMIT, || {
            let silent = counts().iter().zip(&before).position(|(now, before)| now <= before);
            silent.map_or(Ok(()), |silent| Err(format!("{} does not", self.homes[silent].name)))
        });
    }

    /// The number of agents whose version is on trial, as their launchers keep it.
    pub(super) fn on_trial(&self) -> usize {
        let on_trial = |home: &&AgentHome| {
            let launch = std::fs::read_to_string(home.folder.join("state/upgrade/launch.json"));
            launch.is_ok_and(|launch| launch.contains("\"trial\""))
        };
        self.homes.iter().filter(on_trial).count()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The agents end with their launchers: at the end of what they read from them.
        for launcher in &mut self.launchers {
            launcher.kill();
        }
    }
}

pub(super) fn log(view: &Value) -> String {
    let notes = view["log"].as_array().cloned().unwrap_or_default();
    let line = |note: &Value| {
        format!("{} {}", note["at"].as_str().unwrap_or(""), note["text"].as_str().unwrap_or(""))
    };
    notes.iter().map(line).collect::<Vec<_>>().join("\n")
}
