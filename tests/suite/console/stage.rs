//! Controller, partitions, agents and a receiver behind a browser.

use super::newcomer::Newcomer;
use crate::fleet::partition;
use ibmi_sim::InjectSpec;
use muster_tests::eventually::eventually_true;
use muster_tests::partition::Partition;
use muster_tests::process::{Process, program};
use muster_tests::receiver::{Port, Receiver};
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// The admin's, after the first one was changed.
pub(super) const PASSWORD: &str = "the admin of the story";
/// Of the users `vera` (viewer), `otto` (operator) and `anna` (approver).
pub(super) const USER_PASSWORD: &str = "a user of the story";

/// What stands behind the browser.
pub(super) struct Stage {
    /// The controller.
    pub(super) controller: Controller,
    partitions: Vec<(String, Partition)>,
    agents: Vec<(AgentHome, Option<Process>)>,
    newcomers: Vec<Newcomer>,
    pub(super) receiver: Receiver,
    pub(super) sandbox: Sandbox,
}

impl Stage {
    /// A controller that nobody has used yet, and one partition whose agent is not enrolled.
    pub(super) fn untouched(story: &str) -> Self {
        let sandbox = Sandbox::new(&format!("console-{story}"));
        let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
        let name = "NEWLPAR".to_owned();
        let at = partition(&name);
        let home = sandbox.agent(&name, &at.at(), None);
        let receiver = Receiver::start(Port::Tcp);
        let (partitions, agents) = (vec![(name, at)], vec![(home, None)]);
        Self { controller, partitions, agents, newcomers: Vec::new(), receiver, sandbox }
    }

    /// A fleet that works: `count` partitions with a policy, and a user of each role.
    pub(super) fn new(story: &str, count: usize) -> Self {
        let sandbox = Sandbox::new(&format!("console-{story}"));
        let controller = sandbox.controller_with(&["--heartbeat-seconds", "1"]);
        controller.login();
        let receiver = Receiver::start(Port::Tcp);
        let (partitions, agents, newcomers) = (Vec::new(), Vec::new(), Vec::new());
        let mut stage = Self { controller, partitions, agents, newcomers, receiver, sandbox };
        for number in 1..=count {
            let name = format!("LPAR{number:02}");
            let at = partition(&name);
            let home = stage.sandbox.agent(&name, &at.at(), None);
            let site = if number % 2 == 0 { "site=east" } else { "site=west" };
            stage.controller.enrol(&home, &["env=test", site]);
            let agent = home.run();
            stage.partitions.push((name, at));
            stage.agents.push((home, Some(agent)));
        }
        stage.await_connected(count);
        stage.controller.publish(&stage.policy("fleet", ""));
        stage.people();
        stage
    }

    fn await_connected(&self, count: usize) {
        eventually_true("all are connected", LIMIT, || {
            let agents = self.controller.muster_json(&["agents"]);
            let connected = |all: &Vec<Value>| all.iter().filter(|a| a["connection"] == "connected").count();
            agents.as_array().is_some_and(|all| connected(all) >= count)
        });
    }

    /// The admin's own password, and a user of each role with one.
    fn people(&self) {
        let first = self.sandbox.write("first", &format!("first {USER_PASSWORD}\n"));
        let first = first.display().to_string();
        let admin = self.sandbox.write("admin", &format!("{PASSWORD}\n")).display().to_string();
        let initial = self.sandbox.write("initial", &self.controller.admin_password());
        let initial = initial.display().to_string();
        let _ = self.controller.muster_ok(&["password", "--current-file", &initial, "--new-file", &admin]);
        let own = self.sandbox.write("own", &format!("{USER_PASSWORD}\n")).display().to_string();
        for (name, role) in [("vera", "viewer"), ("otto", "operator"), ("anna", "approver")] {
            let _ = self.controller.muster_ok(&[
                "users",
                "create",
                name,
                "--role",
                role,
                "--password-file",
                &first,
            ]);
            // Each gives themselves another: nobody works with a password that somebody else knows.
            let login = ["login", &self.controller.url, "--user", name, "--password-file", &first];
            let ca = self.controller.ca_file().display().to_string();
            let profile = ["--ca", &ca, "--profile", name];
            let _ = self.controller.muster_ok(&[&login[..], &profile[..]].concat());
            let change = ["password", "--current-file", &first, "--new-file", &own, "--profile", name];
            let _ = self.controller.muster_ok(&change);
        }
    }

    /// Does what a script asks for.
    pub(super) fn act(&mut self, asked: &Value) -> Result<Value, String> {
        let word = |key: &str| asked[key].as_str().ok_or_else(|| format!("{key} is missing in {asked}"));
        match word("what")? {
            "inject" => {
                let (name, text) = (word("partition")?, word("event")?);
                let (_, at) = self.partitions.iter().find(|(n, _)| n == name).ok_or("no such partition")?;
                let spec = InjectSpec::parse(text).map_err(|error| error.to_string())?;
                let sequence = at.inject(&spec).map_err(|error| error.to_string())?;
                Ok(json!(sequence))
            }
            "stop-agent" => {
                let (_, agent) = self.agent(word("partition")?)?;
                let process = agent.take().ok_or("it does not run")?;
                drop(process);
                Ok(Value::Null)
            }
            "start-agent" => {
                let (home, agent) = self.agent(word("partition")?)?;
                *agent = Some(home.run());
                Ok(Value::Null)
            }
            "shell" => {
                let (home, _) = self.agent(word("partition")?)?;
                shell(home, word("command")?)
            }
            "ask-to-join" => Ok(self.ask(word("partition")?).into()),
            "await-decision" => Ok(self.newcomer(word("partition")?)?.decided()),
            "run-newcomer" => {
                let name = word("partition")?;
                let index = self.newcomers.iter().position(|newcomer| newcomer.home.name == name);
                let Newcomer { home, at, .. } =
                    self.newcomers.remove(index.ok_or("nobody of that name asked")?);
                let agent = home.run();
                self.partitions.push((name.to_owned(), at));
                self.agents.push((home, Some(agent)));
                Ok(Value::Null)
            }
            "package" => Ok(self.package().into()),
            "stop-controller" => {
                self.controller.process.kill();
                Ok(Value::Null)
            }
            "start-controller" => {
                self.controller.restart();
                Ok(Value::Null)
            }
            "receiver" => Ok(json!(self.receiver.address())),
            "audit" => Ok(self.controller.muster_json(&["audit", "list"])),
            other => Err(format!("`{other}` is nothing that this test can do")),
        }
    }

    /// Has the agent of a new partition ask to be let in; gives the fingerprint that it printed.
    pub(super) fn ask(&mut self, name: &str) -> String {
        let newcomer = Newcomer::ask(&self.sandbox, &self.controller, name);
        let fingerprint = newcomer.fingerprint().to_owned();
        self.newcomers.push(newcomer);
        fingerprint
    }

    fn newcomer(&mut self, name: &str) -> Result<&mut Newcomer, String> {
        let found = self.newcomers.iter_mut().find(|newcomer| newcomer.home.name == name);
        found.ok_or_else(|| format!("nobody called {name} asked to be let in"))
    }

    fn agent(&mut self, name: &str) -> Result<&mut (AgentHome, Option<Process>), String> {
        let found = self.agents.iter_mut().find(|(home, _)| home.name == name);
        found.ok_or_else(|| format!("there is no agent {name}"))
    }
}

/// Runs a command that the console showed, as somebody would who pastes it on the agent's host, where the agent's
/// configuration lies in the working folder.
fn shell(home: &AgentHome, command: &str) -> Result<Value, String> {
    let agent = program("muster-agent");
    let folder = agent.parent().ok_or("the program lies in a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-eu", "-c", command])
        .current_dir(&home.folder)
        .env("PATH", format!("{}:{path}", folder.display()))
        .output()
        .map_err(|error| error.to_string())?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(json!({ "out": out, "err": err })) } else { Err(format!("{out}{err}")) }
}
