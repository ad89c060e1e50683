//! A receiving program of the system: started in a folder of its own, ended by its own handle.

use super::pki::{Authority, Identity};
use crate::eventually::eventually;
use crate::process::Process;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longest start of a receiving program.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Certificate files of a receiving program.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Authority whose clients are let in.
    pub ca: PathBuf,
    /// Own certificate.
    pub certificate: PathBuf,
    /// Own key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Writes them into `folder`.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn write(folder: &Path, clients: &Authority, identity: &Identity) -> Self {
        identity.write(folder, "receiver");
        std::fs::write(folder.join("ca.pem"), clients.pem()).expect("the folder is writable");
        Self {
            ca: folder.join("ca.pem"),
            certificate: folder.join("receiver.crt"),
            key: folder.join("receiver.key"),
        }
    }
}

/// A receiving program that writes each message as one line into a file. Killed when dropped.
pub struct ProgramReceiver {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    folder: PathBuf,
    port: u16,
    datagrams: bool,
    process: Option<Process>,
}

impl ProgramReceiver {
    pub(super) fn new(
        name: &'static str,
        program: PathBuf,
        folder: &Path,
        port: u16,
        datagrams: bool,
    ) -> Self {
        Self {
            name,
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: folder.to_owned(),
            port,
            datagrams,
            process: None,
        }
    }

    pub(super) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(super) fn variable(mut self, name: &str, value: PathBuf) -> Self {
        self.environment.push((name.to_owned(), value));
        self
    }

    /// Starts it (again) and waits until it listens.
    ///
    /// # Panics
    /// When it does not listen in time; its output is shown.
    pub fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let log = self.folder.join("program.log");
        let mut process = Process::start(self.name, &mut command, &log);
        let (port, datagrams) = (self.port, self.datagrams);
        eventually(&format!("{} listens on {port}", self.name), START_LIMIT, || {
            if !process.is_running() {
                return Err(format!("it ended: {}", process.log()));
            }
            if listens(port, datagrams) { Ok(()) } else { Err(process.log()) }
        });
        self.process = Some(process);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Ends it in order, so that it writes what it has.
    ///
    /// # Panics
    /// When it does not end within ten seconds.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate(Duration::from_secs(10));
        }
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Lines written so far; what a crash left of a line without its end is left out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let bytes = std::fs::read(self.folder.join("received.log")).unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect()
    }

    /// Waits until it has written at least `count` lines.
    ///
    /// # Panics
    /// After `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<String> {
        eventually(&format!("{count} lines of {}", self.name), limit, || match self.lines() {
            lines if lines.len() >= count => Ok(lines),
            lines => Err(format!("{} lines", lines.len())),
        })
    }
}

/// A port that nobody uses now, for programs that cannot choose one themselves.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn listens(port: u16, datagrams: bool) -> bool {
    if datagrams {
        // Taken: then somebody else cannot bind it.
        UdpSocket::bind(("127.0.0.1", port)).is_err()
    } else {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    }
}

/// The first of `places` that is there.
///
/// # Panics
/// When none is, saying how to install it.
pub(super) fn installed(name: &str, places: &[PathBuf]) -> PathBuf {
    find(places).unwrap_or_else(|| panic!("{name} is missing: run `make deps` (looked at {places:?})"))
}

/// The first of `places` that is there.
pub(super) fn find(places: &[PathBuf]) -> Option<PathBuf> {
    places.iter().find(|place| place.is_file()).cloned()
}
