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
const PASSWORD: &str = "muster1";

/// The admin's password; it guards nothing but a demo that only this machine reaches.
pub(super) const ADMIN_PASSWORD: &str = "muster-demo-admin";

/// What runs.
pub(super) struct Fleet {
    folder: PathBuf,
    /// `https://host:port` of the controller and its console.
    pub(super) url: String,
    /// How many partitions.
    pub(super) size: usize,
    /// Control address of the first partition's simulator, and its name.
    pub(super) control: (String, String),
}

/// The partitions, by the names of their scenarios: five code pages. The tests use the same files.
const PARTITIONS: [&str; 5] = ["chicago", "muenchen", "lyon", "krakow", "bruxelles"];

/// A simulator that answers.
struct Partition {
    name: &'static str,
    /// `host:port` of its Mapepire server.
    address: String,
    /// `host:port` to inject events at.
    control: String,
    /// PEM file with its certificate.
    ca_file: PathBuf,
}

/// What a simulator writes when it is ready.
#[derive(Deserialize)]
struct Ports {
    /// Of the Mapepire server.
    port: u16,
    /// Of the control port.
    control: u16,
}

impl Fleet {
    /// Starts all of it and publishes the policy that sends everything to the receiver.
    pub(super) async fn start(children: &mut Children, receiver_port: u16) -> anyhow::Result<Self> {
        let folder = children.folder().to_owned();
        let mut fleet = Self {
            folder: folder.clone(),
            url: String::new(),
            size: PARTITIONS.len(),
            control: Default::default(),
        };
        fleet.url = fleet.start_controller(children).await?;
        println!("controller  {}", fleet.url);
        let token = fleet.folder.join("token");
        let uses = PARTITIONS.len().to_string();
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
        for name in PARTITIONS {
            let partition = start_partition(name, children).await?;
            fleet.start_agent(&partition, &token, children).await?;
            println!("partition   {name:<12} {} with its agent", partition.address);
            if fleet.control.0.is_empty() {
                fleet.control = (partition.control, name.to_owned());
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
        // The console would ask for another password first, and signing in there would end this session.
        let own = self.folder.join("password");
        write_private(&own, ADMIN_PASSWORD)?;
        let change = ["password", "--current-file", &text(&password), "--new-file", &text(&own)];
        self.muster(&change).await?;
        Ok(url)
    }

    async fn start_agent(
        &self,
        partition: &Partition,
        token: &Path,
        children: &mut Children,
    ) -> anyhow::Result<()> {
        let name = partition.name;
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

    /// What a browser gets at the controller's address: the title of the page.
    pub(super) async fn console(&self) -> anyhow::Result<String> {
        // A second provider is refused, which is as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ca = std::fs::read(self.folder.join("controller/ca.crt"))?;
        let certificate = reqwest::Certificate::from_pem(&ca)?;
        let client = reqwest::Client::builder().tls_certs_only([certificate]).build()?;
        let page = client.get(&self.url).header("accept", "text/html").send().await?;
        if page.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok("left out of this build, for want of Node.js".to_owned());
        }
        let text = page.error_for_status()?.text().await?;
        let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        Ok(title.context("the controller serves no page")?.0.to_owned())
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

async fn start_partition(name: &'static str, children: &mut Children) -> anyhow::Result<Partition> {
    let scenario = root().join("tests/ibmi-sim/scenarios").join(format!("{name}.toml"));
    let folder = children.folder().join(format!("partition-{name}"));
    std::fs::create_dir_all(&folder)?;
    let ready = folder.join("ports.json");
    children.start_ours(
        &format!("partition-{name}"),
        "ibmi-sim",
        &[
            "serve",
            "--scenario",
            &text(&scenario),
            "--listen",
            "127.0.0.1:0",
            "--control",
            "127.0.0.1:0",
            "--cert-dir",
            &text(&folder),
            "--port-file",
            &text(&ready),
        ],
    )?;
    let told = await_file(&ready, children).await?;
    let ports: Ports = serde_json::from_str(&told).with_context(|| text(&ready))?;
    Ok(Partition {
        name,
        address: format!("127.0.0.1:{}", ports.port),
        control: format!("127.0.0.1:{}", ports.control),
        ca_file: folder.join("cert.pem"),
    })
}
