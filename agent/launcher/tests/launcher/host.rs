//! A host for tests: a state folder, an installed program, signed packages, and the real launcher as a process.

use muster_package::manifest::{FORMAT, FileEntry, Manifest, Payload};
use muster_package::slots::{self, Launch, Layout, Order, OutcomeResult, PROGRAM, Slot};
use muster_package::{AGENT, Version, archive, sha256_hex, this_platform};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Says that it is well, and runs until its standard input ends.
pub const HEALTHY: &str = "echo 'muster: healthy'\nexec cat > /dev/null";
/// Runs until its standard input ends, and says nothing.
pub const SILENT: &str = "exec cat > /dev/null";
/// Longer than anything takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(30);

pub struct Host {
    folder: tempfile::TempDir,
    pub layout: Layout,
    launcher: Option<Child>,
}

impl Host {
    /// With an installed program that does `body`.
    pub fn new(body: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("state"));
        let host = Self { folder, layout, launcher: None };
        fs::write(host.path("agent.toml"), "state_dir = \"state\"\nunknown = 1\n").unwrap();
        host.install(body);
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The operating system's package brings a program.
    pub fn install(&self, body: &str) {
        let beside = self.path("installed.new");
        write_program(&beside, &program("installed", body));
        fs::rename(beside, self.path("installed")).unwrap();
    }

    /// Unpacks a signed package whose program does `body`.
    pub fn unpack(&self, version: &str, body: &str) {
        let folder = self.version(version);
        fs::create_dir_all(folder.join("bin")).unwrap();
        let text = program(version, body);
        write_program(&folder.join(PROGRAM), &text);
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            name: AGENT.to_owned(),
            version: version.parse().unwrap(),
            platform: this_platform(),
            upgrade_from: ">=0.1".parse().unwrap(),
            floor: Version::new(0, 1, 0),
            formats: Default::default(),
            payload: Payload { sha256: "0".repeat(64), size: 1 },
            files: vec![FileEntry {
                path: PROGRAM.to_owned(),
                sha256: sha256_hex(text.as_bytes()),
                size: text.len() as u64,
                executable: true,
            }],
            notes: String::new(),
            security: false,
        };
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let key = include_str!("../../../../controller/vendor/keys/release-dev-1.key");
        let key = minisign::SecretKeyBox::from_string(key).unwrap().into_unencrypted_secret_key().unwrap();
        let signature = minisign::sign(None, &key, Cursor::new(&manifest), None, None).unwrap();
        fs::write(folder.join(archive::MANIFEST), manifest).unwrap();
        fs::write(folder.join(archive::SIGNATURE), signature.into_string()).unwrap();
    }

    /// A statement about keys comes that retires the key that signs the packages here.
    pub fn retire_key(&self) {
        let text = serde_json::json!({
            "format": muster_package::statement::FORMAT, "number": 1,
            "retire": [include_str!("../../../../controller/vendor/keys/release-dev-1.pub").trim_ascii()],
        })
        .to_string();
        let keys = [
            include_str!("../../../../controller/vendor/keys/release-dev-2.key"),
            include_str!("../../../../controller/vendor/keys/release-dev-3.key"),
        ];
        let sign = |key: &str| {
            let key =
                minisign::SecretKeyBox::from_string(key).unwrap().into_unencrypted_secret_key().unwrap();
            minisign::sign(None, &key, Cursor::new(&text), None, None).unwrap().into_string()
        };
        let signatures = keys.map(sign).to_vec();
        let kept = slots::KeptStatement { text: text.clone(), signatures };
        fs::write(self.layout.statement(), serde_json::to_vec(&kept).unwrap()).unwrap();
    }

    pub fn version(&self, version: &str) -> PathBuf {
        self.layout.version(&version.parse().unwrap())
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster-launcher"));
        command.arg("--config").arg(self.path("agent.toml")).arg("--agent").arg(self.path("installed"));
        command
    }

    /// Starts the launcher.
    pub fn start(&mut self) {
        assert!(self.launcher.is_none());
        let log = |name| fs::OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        let child = self.command().stdout(log("output")).stderr(log("log")).spawn().unwrap();
        self.launcher = Some(child);
    }

    /// Sends the launcher a signal, and waits for its end.
    pub fn end_launcher(&mut self, signal: Signal) -> ExitStatus {
        let mut launcher = self.launcher.take().unwrap();
        kill_process(Pid::from_child(&launcher), signal).unwrap();
        self.until("the launcher ends", || launcher.try_wait().unwrap())
    }

    /// The running agent writes an order, and ends.
    pub fn order(&self, order: &Order) {
        let (_, pid) = self.running();
        let beside = self.layout.root().join("order.json.new");
        fs::write(&beside, serde_json::to_vec(order).unwrap()).unwrap();
        fs::rename(beside, self.layout.order()).unwrap();
        kill(pid);
    }

    /// Every start of an agent: which, and its process.
    pub fn starts(&self) -> Vec<(String, i32)> {
        let text = fs::read_to_string(self.path("started")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let start = |line: &str| {
            let (name, pid) = line.split_once(' ').unwrap();
            (name.to_owned(), pid.parse().unwrap())
        };
        whole.lines().map(start).collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.starts().into_iter().map(|(name, _)| name).collect()
    }

    /// The agent that was started last, which must run.
    pub fn running(&self) -> (String, i32) {
        self.until("an agent runs", || self.starts().pop().filter(|(_, pid)| is_alive(*pid)))
    }

    /// Until these agents were started, in this order.
    pub fn until_started(&self, names: &[&str]) {
        self.until(&format!("started are {names:?}"), || (self.names() == names).then_some(()));
    }

    pub fn launch(&self) -> Launch {
        let text = fs::read(self.layout.launch()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Until the last order ended, and how: `refused: …`.
    pub fn outcome(&self, result: OutcomeResult) -> String {
        self.until(&format!("the order is {result:?}"), || {
            self.launch().last.filter(|last| last.result == result).map(|last| last.reason)
        })
    }

    /// What the launcher said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn until_log(&self, text: &str) {
        self.until(&format!("the log says `{text}`"), || self.log().contains(text).then_some(()));
    }

    /// Looks again and again.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                begun.elapsed() < LONGEST,
                "never: {what}\nstarts: {:?}\nlaunch: {:#?}\n{}",
                self.starts(),
                self.launch(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn until_gone(&self, pid: i32) {
        self.until(&format!("process {pid} ends"), || (!is_alive(pid)).then_some(()));
    }
}

impl Drop for Host {
    /// Nothing is left behind, also by a test that failed.
    fn drop(&mut self) {
        if let Some(mut launcher) = self.launcher.take() {
            let _ = kill_process(Pid::from_child(&launcher), Signal::KILL);
            let _ = launcher.wait();
        }
        // They notice that their launcher is gone. One that is not made to, a test ends itself.
        let begun = Instant::now();
        while self.starts().iter().any(|(_, pid)| is_alive(*pid)) {
            if begun.elapsed() > LONGEST {
                self.starts().iter().filter(|(_, pid)| is_alive(*pid)).for_each(|(_, pid)| kill(*pid));
                assert!(std::thread::panicking(), "agents outlive their launcher");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An order with a minute for everything.
pub fn order(to: &str) -> Order {
    let slot = match to {
        "installed" => Slot::Installed,
        version => Slot::Package { version: version.parse().unwrap() },
    };
    Order {
        format: slots::FORMAT,
        offer: format!("offer of {to}"),
        to: slot,
        to_version: to.parse().unwrap_or(Version::new(0, 1, 0)),
        from_version: Version::new(0, 1, 0),
        worked: Vec::new(),
        connected: false,
        healthy_seconds: 60,
        connected_seconds: 60,
        probation_seconds: 60,
    }
}

pub fn kill(pid: i32) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// Whether a process is there, and is more than an entry that its parent did not fetch yet.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A program that notes its start, if it is started as an agent is.
fn program(name: &str, body: &str) -> String {
    let check = "[ \"$1 $2\" = 'run --config' ] && [ \"$MUSTER_LAUNCHER\" = 1 ] || exit 99";
    format!("#!/bin/sh\n{check}\necho \"{name} $$\" >> \"${{3%/*}}/started\"\n{body}\n")
}

fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}
