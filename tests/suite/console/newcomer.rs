//! An agent that asks to be let in, and waits for a person.

use crate::fleet::partition;
use muster_tests::eventually::eventually;
use muster_tests::partition::Partition;
use muster_tests::process::{Process, program};
use muster_tests::sandbox::{AgentHome, Controller, Sandbox};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// The agent of a partition that nobody knows yet.
pub(super) struct Newcomer {
    /// Its home; it can be run once it was let in.
    pub(super) home: AgentHome,
    /// Its partition.
    pub(super) at: Partition,
    enrol: Process,
    fingerprint: String,
}

impl Newcomer {
    /// Starts `muster-agent enrol` with a token whose agents wait for approval.
    pub(super) fn ask(sandbox: &Sandbox, controller: &Controller, name: &str) -> Self {
        let at = partition(name);
        let home = sandbox.agent(name, &at.at(), None);
        let token = home.folder.join("token").display().to_string();
        let _ = controller.muster_ok(&[
            "token",
            "create",
            "--approve",
            "--label",
            "env=new",
            "--output-file",
            &token,
        ]);
        let mut command = Command::new(program("muster-agent"));
        command.args(["enrol", "--token-file", &token, "--config"]).arg(&home.config);
        let enrol = Process::start(name, &mut command, &home.folder.join("enrol.log"));
        let fingerprint = eventually("it says that it waits", LIMIT, || {
            let log = enrol.log();
            let line = log.lines().find_map(|line| line.strip_prefix("waiting for approval, fingerprint "));
            line.map(str::to_owned).ok_or(log.clone())
        });
        Self { home, at, enrol, fingerprint }
    }

    /// What it printed of its key.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Waits until it was decided about: whether it was let in, and what it was told.
    pub(super) fn decided(&mut self) -> Value {
        let status = self.enrol.wait(LIMIT);
        json!({ "in": status.success(), "told": self.enrol.log() })
    }
}
