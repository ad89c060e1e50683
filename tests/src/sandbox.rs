//! A folder, programs in it, and what joins them: agents with their configuration, a controller, the
//! command line.

use crate::eventually::eventually;
use crate::namespace::Namespace;
use crate::process::{Process, program};
use crate::results::not_run;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// How long a program may take to be ready: debug builds on a busy machine.
pub const READY: Duration = Duration::from_secs(30);

/// A temporary folder for one story; gone at its end unless the story fails.
pub struct Sandbox {
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
}

impl Sandbox {
    /// A fresh folder.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(story: &str) -> Self {
        let folder =
            tempfile::Builder::new().prefix(&format!("muster-{story}-")).tempdir().expect("a temp folder");
        let path = folder.path().to_owned();
        Self { folder: Some(folder), path }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into the folder and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("the folder is made");
        }
        std::fs::write(&path, text).expect("the file is written");
        path
    }

    /// An agent's home for the partition at `address`, verified by `ca_pem`, with a local policy if given.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn agent(&self, name: &str, partition: &PartitionAt<'_>, policy: Option<&str>) -> AgentHome {
        let home = format!("agents/{name}");
        self.write(&format!("{home}/password"), &format!("{}\n", partition.password));
        self.write(&format!("{home}/ca.pem"), partition.ca_pem);
        let mut config = format!(
            "state_dir = \"state\"\n[partition]\naddress = \"{}\"\nuser = \"{}\"\npassword_file = \"password\"\n\
             ca_file = \"ca.pem\"\n[secrets]\ndir = \"secrets\"\n[log]\nfilter = \"debug,h2=info,hyper=info,rustls=info,tungstenite=info,sled=info\"\n",
            partition.address, partition.user
        );
        if let Some(policy) = policy {
            self.write(&format!("{home}/policy.yaml"), policy);
            config.push_str("[policy]\nfile = \"policy.yaml\"\n");
        }
        let config = self.write(&format!("{home}/agent.toml"), &config);
        AgentHome { name: name.to_owned(), folder: self.path.join(home), config }
    }

    /// Starts a controller and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn controller(&self) -> Controller {
        self.controller_with(&[])
    }

    /// The same with further options.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn controller_with(&self, options: &[&str]) -> Controller {
        Controller::start(&self.path.join("controller"), "127.0.0.1:0", options)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the story's folder is kept: {}", folder.keep().display());
        }
    }
}

/// How a partition is reached.
#[derive(Debug, Clone, Copy)]
pub struct PartitionAt<'a> {
    /// `host:port` of its Mapepire server.
    pub address: &'a str,
    /// PEM of what signed its certificate.
    pub ca_pem: &'a str,
    /// Profile.
    pub user: &'a str,
    /// Password.
    pub password: &'a str,
}

/// An agent's configuration and state.
#[derive(Debug, Clone)]
pub struct AgentHome {
    /// Name, for messages.
    pub name: String,
    /// Folder with configuration and state.
    pub folder: PathBuf,
    /// Configuration file.
    pub config: PathBuf,
}

impl AgentHome {
    /// Starts `muster-agent run`.
    #[must_use]
    pub fn run(&self) -> Process {
        let mut command = Command::new(program("muster-agent"));
        command.args(["run", "--config"]).arg(&self.config);
        Process::start(&self.name, &mut command, &self.folder.join("agent.log"))
    }

    /// Starts `muster-launcher`, which runs and upgrades the agent. It is quick to decide: see [`AgentHome::upgradable`].
    #[must_use]
    pub fn launch(&self) -> Process {
        let mut command = Command::new(program("muster-launcher"));
        command.arg("--config").arg(&self.config).arg("--agent").arg(program("muster-agent"));
        Process::start(&self.name, &mut command, &self.folder.join("agent.log"))
    }

    /// The same with the state folder on a disk of its own that has only so many megabytes; it goes with the process.
    /// None where that cannot be made: it takes root and the program `unshare`.
    ///
    /// # Panics
    /// Where it cannot be made and the full size is asked for.
    #[must_use]
    pub fn launch_on_small_disk(&self, megabytes: u32) -> Option<Process> {
        let possible =
            Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
        if !possible.is_ok_and(|output| output.status.success()) {
            not_run("a disk of its own takes root and the programs unshare and mount");
            return None;
        }
        let script = "cp -a \"$1\" \"$1.copy\" && mount -t tmpfs -o size=\"$2m\" tmpfs \"$1\" && cp -a \"$1.copy/.\" \"$1\" \
                      && exec \"$3\" --config \"$4\" --agent \"$5\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]);
        command.arg(self.folder.join("state")).arg(megabytes.to_string());
        command.arg(program("muster-launcher")).arg(&self.config).arg(program("muster-agent"));
        Some(Process::start(&self.name, &mut command, &self.folder.join("agent.log")))
    }

    /// Gives upgrades seconds instead of minutes: until all must work again, and in which the new version must not end.
    ///
    /// # Panics
    /// When its configuration cannot be written.
    pub fn upgradable(&self, healthy_seconds: u64, probation_seconds: u64) {
        let text = std::fs::read_to_string(&self.config).expect("the configuration");
        let upgrade = format!(
            "[upgrade]\njitter_seconds = 0\nhealthy_seconds = {healthy_seconds}\nconnected_seconds = 30\n\
             probation_seconds = {probation_seconds}\n"
        );
        std::fs::write(&self.config, format!("{text}{upgrade}")).expect("it is written");
    }

    /// The same, in a network of its own.
    #[must_use]
    pub fn run_in(&self, namespace: &Namespace) -> Process {
        let mut command = namespace.command(&program("muster-agent"));
        command.args(["run", "--config"]).arg(&self.config);
        Process::start(&self.name, &mut command, &self.folder.join("agent.log"))
    }

    /// Lets the agent empty these data queues; before it is started.
    ///
    /// # Panics
    /// When its configuration cannot be written.
    pub fn allow(&self, queues: &[&str]) {
        let text = std::fs::read_to_string(&self.config).expect("the configuration");
        std::fs::write(&self.config, format!("{text}[limits]\nqueues = {queues:?}\n"))
            .expect("it is written");
    }

    /// Runs another subcommand to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn call(&self, subcommand: &str, args: &[&str]) -> Output {
        Command::new(program("muster-agent"))
            .args([subcommand, "--config"])
            .arg(&self.config)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("muster-agent starts")
    }

    /// Health of a component, as `show-state` tells it: (state, reason).
    #[must_use]
    pub fn health(&self, component: &str) -> Option<(String, String)> {
        let output = self.call("show-state", &["--output", "json"]);
        let state: Value = serde_json::from_slice(&output.stdout).ok()?;
        let entry = state["health"].as_array()?.iter().find(|entry| entry["component"] == component)?;
        Some((entry["state"].as_str()?.to_owned(), entry["reason"].as_str()?.to_owned()))
    }

    /// Waits until the log has this text so many times, over all runs.
    ///
    /// # Panics
    /// When it does not come.
    pub fn await_logged(&self, text: &str, times: usize, limit: Duration) {
        eventually(&format!("{text:?} is logged {times} times"), limit, || {
            let log =
                std::fs::read_to_string(self.folder.join("agent.log")).map_err(|error| error.to_string())?;
            match log.matches(text).count() {
                count if count >= times => Ok(()),
                count => Err(format!("{count} times")),
            }
        });
    }

    /// Waits until the committed cursor of a destination stands at `sequence`.
    ///
    /// # Panics
    /// When it does not.
    pub fn await_cursor(&self, destination: &str, sequence: u64, limit: Duration) {
        eventually(&format!("the cursor of {destination} is committed at {sequence}"), limit, || {
            let output = self.call("show-state", &["--output", "json"]);
            let state: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
            let cursors = state["cursors"].as_array().cloned().unwrap_or_default();
            let cursor = cursors.iter().find(|cursor| cursor["key"]["destination"] == destination);
            match cursor.map(|cursor| &cursor["cursor"]["sequence"]) {
                Some(at) if at.as_u64() == Some(sequence) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// Waits until a component's health is `state` and its reason contains `part`; gives the reason.
    ///
    /// # Panics
    /// When it does not come.
    pub fn await_health(&self, component: &str, state: &str, part: &str, limit: Duration) -> String {
        eventually(&format!("{component} is {state} with {part:?}"), limit, || match self.health(component) {
            Some((now, reason)) if now == state && reason.contains(part) => Ok(reason),
            other => Err(format!("{other:?}")),
        })
    }
}

/// A running controller and how to talk to it.
pub struct Controller {
    /// Its process.
    pub process: Process,
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    /// Port, to start it again on the same one.
    pub port: u16,
    folder: PathBuf,
    options: Vec<String>,
}

impl Controller {
    /// Starts it with state in `folder`.
    ///
    /// # Panics
    /// When it is not ready in time.
    #[must_use]
    pub fn start(folder: &Path, listen: &str, options: &[&str]) -> Self {
        std::fs::create_dir_all(folder).expect("the folder is made");
        let port_file = folder.join("port");
        // An older run's file must not be read as this one's.
        let _ = std::fs::remove_file(&port_file);
        let mut command = Command::new(program("muster-controller"));
        command
            .args(["serve", "--listen", listen, "--data-dir"])
            .arg(folder.join("data"))
            .arg("--port-file")
            .arg(&port_file)
            .arg("--admin-password-file")
            .arg(folder.join("admin-password"))
            .args(options);
        let process = Process::start("controller", &mut command, &folder.join("controller.log"));
        let port = eventually("the controller listens", READY, || {
            let text = std::fs::read_to_string(&port_file).map_err(|error| error.to_string())?;
            let port = text.trim().rsplit_once(':').map_or("", |(_, port)| port);
            port.parse::<u16>().map_err(|error| format!("{text:?}: {error}"))
        });
        let url = format!("https://127.0.0.1:{port}");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { process, url, port, folder: folder.to_owned(), options }
    }

    /// `kill -9` and start again on the same port.
    pub fn crash_and_restart(&mut self) {
        self.process.kill();
        self.restart();
    }

    /// Starts it again on the same port after it was killed.
    pub fn restart(&mut self) {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        *self = Self::start(&self.folder, &format!("127.0.0.1:{}", self.port), &options);
    }

    /// What `muster agents show NAME --output json` says.
    #[must_use]
    pub fn agent(&self, name: &str) -> Value {
        self.muster_json(&["agents", "show", name])
    }

    /// Waits until `look` is content with what `muster agents show NAME` says.
    ///
    /// # Panics
    /// When it never is.
    pub fn await_agent<T>(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        eventually(&format!("{name}: {what}"), limit, || {
            let output = self.muster(&["agents", "show", name, "--output", "json"]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let view = serde_json::from_str(&text)
                .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
            look(&view).ok_or(text)
        })
    }

    /// Waits until the controller shows a component (`audit`, `siem`, …) with this status word and a reason
    /// that contains `part`; gives the reason.
    ///
    /// # Panics
    /// When it does not come.
    pub fn await_component(
        &self,
        agent: &str,
        name: &str,
        status: &str,
        part: &str,
        limit: Duration,
    ) -> String {
        self.await_agent(agent, &format!("{name} is {status} with {part:?}"), limit, |view| {
            let component = view["components"].as_array()?.iter().find(|c| c["name"] == name)?;
            let reason = component["reason"].as_str().unwrap_or_default();
            (component["status"] == status && reason.contains(part)).then(|| reason.to_owned())
        })
    }

    /// Writes a policy document and publishes it; waits until the connected agents have answered.
    ///
    /// # Panics
    /// When it is refused or not applied in time.
    pub fn publish(&self, document: &str) -> String {
        let file = self.folder.join("policy.yaml");
        std::fs::write(&file, document).expect("the policy is written");
        self.muster_ok(&["policy", "apply", &file.display().to_string(), "--wait", "30s"])
    }

    /// Its data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The password that the first start made for the admin.
    ///
    /// # Panics
    /// When its file cannot be read.
    #[must_use]
    pub fn admin_password(&self) -> String {
        let file = self.folder.join("admin-password");
        std::fs::read_to_string(file).expect("the password's file is read").trim().to_owned()
    }

    /// Path of the CA certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("data/ca.crt")
    }

    /// Runs `muster` with its profile in the controller's folder.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn muster(&self, args: &[&str]) -> Output {
        self.muster_command(args).output().expect("muster starts")
    }

    /// `muster` with its profile in the controller's folder, not started yet.
    #[must_use]
    pub fn muster_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("muster"));
        command
            .args(args)
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Calls the HTTP interface with the session of the command line: status and body.
    ///
    /// # Panics
    /// When there is no session, or the controller does not answer with JSON.
    #[must_use]
    pub fn call(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let (status, text) = self.fetch(method, &format!("/api/v1{path}"), body);
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    /// What `/metrics` says: status and text.
    ///
    /// # Panics
    /// When there is no session, or no answer.
    #[must_use]
    pub fn metrics(&self) -> (u16, String) {
        self.fetch("GET", "/metrics", None)
    }

    fn fetch(&self, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
        let profile = std::fs::read_to_string(self.folder.join("config/muster/profiles/default.toml"));
        let profile: toml::Table = profile.expect("a login").parse().expect("a profile");
        let session = profile["session"].as_str().expect("a session").to_owned();
        let ca = std::fs::read(self.ca_file()).expect("the certificate");
        let (url, method, body) = (format!("{}{path}", self.url), method.to_owned(), body.map(str::to_owned));
        // A second provider is refused, which is as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let certificate = reqwest::Certificate::from_pem(&ca).expect("a certificate");
            let client = reqwest::Client::builder()
                .tls_certs_only([certificate])
                .timeout(READY)
                .build()
                .expect("a client");
            let mut request = client.request(method.parse().expect("a method"), url).bearer_auth(session);
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body);
            }
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            (status, response.text().await.expect("text"))
        })
    }

    /// Runs `muster` and gives its standard output.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn muster_ok(&self, args: &[&str]) -> String {
        let output = self.muster(args);
        assert!(
            output.status.success(),
            "muster {args:?} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `muster … --output json`.
    ///
    /// # Panics
    /// When it fails or prints no JSON.
    #[must_use]
    pub fn muster_json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.extend(["--output", "json"]);
        let text = self.muster_ok(&all);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("muster {args:?} prints JSON: {error}: {text}"))
    }

    /// Signs on as the admin.
    pub fn login(&self) {
        let password = self.folder.join("admin-password");
        let ca = self.ca_file();
        let _ = self.muster_ok(&[
            "login",
            &self.url,
            "--user",
            "admin",
            "--password-file",
            &password.display().to_string(),
            "--ca",
            &ca.display().to_string(),
        ]);
    }

    /// The token of the session that [`Self::login`] began.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn profile(&self) -> String {
        let path = self.folder.join("config/muster/profiles/default.toml");
        let text = std::fs::read_to_string(&path).expect("the profile of the command line");
        let profile: toml::Table = text.parse().expect("a profile is TOML");
        profile["session"].as_str().expect("there is a session").to_owned()
    }

    /// Enrols an agent with a fresh token of the given labels; gives its id.
    ///
    /// # Panics
    /// When it is refused.
    pub fn enrol(&self, agent: &AgentHome, labels: &[&str]) -> String {
        let token = agent.folder.join("token");
        let token_text = token.display().to_string();
        let mut args =
            vec!["token", "create", "--uses", "1", "--expires", "1h", "--output-file", &token_text];
        for label in labels {
            args.extend(["--label", label]);
        }
        let _ = self.muster_ok(&args);
        let output = agent.call("enrol", &["--token-file", &token_text]);
        assert!(output.status.success(), "enrol: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let id = told.lines().find_map(|line| line.strip_prefix("enrolled as ")?.split(' ').next());
        id.unwrap_or_else(|| panic!("the id is told: {told}")).to_owned()
    }
}
