//! Controller, partitions and agents of the demo.

use super::process::{Children, await_file};
use super::root;
use crate::process::program;
use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Profile and password that the demo's scenarios know; they guard nothing but a simulation.
const USER: &str = "MUSTER";
const PASSWORD: &str = "muster";

/// What runs.
pub(super) struct Fleet {
    folder: PathBuf,
    /// How many partitions.
    pub(super) size: usize,
    /// Control address of the first partition's simulator, and its name.
    pub(super) control: (String, String),
}

/// What a simulator writes when it is ready.
#[derive(Deserialize)]
struct SimulatorReady {
    /// `host:port` of its Mapepire server.
    address: String,
    /// `host:port` to inject events at.
    control: String,
    /// PEM file with what signed its certificate.
    ca_file: PathBuf,
}

impl Fleet {
    /// Starts all of it and publishes the policy that sends everything to the receiver.
    pub(super) async fn start(children: &mut Children, receiver_port: u16) -> anyhow::Result<Self> {
        let folder = children.folder().to_owned();
        let scenarios = scenarios()?;
        let mut fleet = Self { folder: folder.clone(), size: scenarios.len(), control: Default::default() };
        let url = fleet.start_controller(children).await?;
        println!("controller  {url}");
        let token = fleet.folder.join("token");
        let uses = scenarios.len().to_string();
        fleet
            .muster(&[
                "token",
                "create",
                "--uses",
                &uses,
                "--label",
                "fleet=demo",
                "--output-file",
                &text(&token),
            ])
            .await?;
        let policy = folder.join("fleet.yaml");
        let template = std::fs::read_to_string(root().join("deploy/demo/fleet.yaml"))?;
        std::fs::write(&policy, template.replace("127.0.0.1:1\"", &format!("127.0.0.1:{receiver_port}\"")))?;
        fleet.muster(&["policy", "apply", &text(&policy)]).await?;
        for scenario in &scenarios {
            let (name, ready) = start_partition(scenario, children).await?;
            fleet.start_agent(&name, &ready, &token, children).await?;
            println!("partition   {name:<12} {} with its agent", ready.address);
            if fleet.control.0.is_empty() {
                fleet.control = (ready.control, name);
            }
        }
        Ok(fleet)
    }

    async fn start_controller(&self, children: &mut Children) -> anyhow::Result<String> {
        let (data, port_file) = (self.folder.join("controller"), self.folder.join("controller.port"));
        let password = self.folder.join("admin-password");
        children.start_ours(
            "controller",
            "muster-controller",
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
                &text(&data),
                "--port-file",
                &text(&port_file),
                "--admin-password-file",
                &text(&password),
                "--heartbeat-seconds",
                "1",
            ],
        )?;
        // `address:port`, or the port alone.
        let listening = await_file(&port_file, children).await?;
        let port: u16 =
            listening.rsplit(':').next().unwrap_or_default().parse().context("the controller's port")?;
        let url = format!("https://127.0.0.1:{port}");
        let ca = data.join("ca.crt");
        self.muster(&["login", &url, "--ca", &text(&ca), "--password-file", &text(&password)]).await?;
        Ok(url)
    }

    async fn start_agent(
        &self,
        name: &str,
        partition: &SimulatorReady,
        token: &Path,
        children: &mut Children,
    ) -> anyhow::Result<()> {
        let home = self.folder.join(name);
        std::fs::create_dir_all(&home)?;
        write_private(&home.join("password"), PASSWORD)?;
        let config = home.join("agent.toml");
        let content = format!(
            "state_dir = {:?}\n[partition]\naddress = {:?}\nuser = {USER:?}\npassword_file = {:?}\nca_file = {:?}\n",
            text(&home.join("state")),
            partition.address,
            text(&home.join("password")),
            text(&partition.ca_file),
        );
        std::fs::write(&config, content)?;
        let enrolled = Command::new(program("muster-agent"))
            .args(["enrol", "--config", &text(&config), "--token-file", &text(token)])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(
            enrolled.status.success(),
            "{name} cannot enrol: {}",
            String::from_utf8_lossy(&enrolled.stderr)
        );
        children.start_ours(&format!("agent-{name}"), "muster-agent", &["run", "--config", &text(&config)])
    }

    /// Runs `muster` with the demo's login and gives what it printed.
    pub(super) async fn muster(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(program("muster"))
            .args(args)
            .env("XDG_CONFIG_HOME", self.config_home())
            .env_remove("MUSTER_PROFILE")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            bail!("muster {} failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Events dropped by the fleet so far.
    pub(super) async fn dropped(&self) -> anyhow::Result<u64> {
        let rates: Value = serde_json::from_str(&self.muster(&["rates", "--output", "json"]).await?)?;
        rates["fleet"]["total"]["dropped"].as_u64().context("`muster rates` tells no drop counter")
    }

    /// What to set to use the demo's login by hand.
    pub(super) fn config_home(&self) -> PathBuf {
        self.folder.join("config")
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(writeln!(file, "{content}")?)
}

/// The demo's scenarios: the tests use the same files.
fn scenarios() -> anyhow::Result<Vec<PathBuf>> {
    let folder = root().join("tests/ibmi-sim/scenarios");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| text(&folder))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("demo-") && name.ends_with(".toml") {
            found.push(path);
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "no demo-*.toml in {}", folder.display());
    Ok(found)
}

async fn start_partition(
    scenario: &Path,
    children: &mut Children,
) -> anyhow::Result<(String, SimulatorReady)> {
    let stem = scenario.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = stem.trim_start_matches("demo-").to_owned();
    let ready = children.folder().join(format!("{name}.ready"));
    children.start_ours(
        &format!("partition-{name}"),
        "ibmi-sim",
        &["serve", "--scenario", &text(scenario), "--listen", "127.0.0.1:0", "--ready-file", &text(&ready)],
    )?;
    let told = await_file(&ready, children).await?;
    Ok((name, serde_json::from_str(&told).with_context(|| text(&ready))?))
}
