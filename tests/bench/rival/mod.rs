//! Rivals on the same machine in the same run: programs that read finished lines from a file and forward
//! them to the receiver of the end-to-end run.
//!
//! The lines are the bytes that the agent sends of the same journal, kept in a file first. A rival begins
//! with the first of them, and what arrives is compared with what was in the file.

mod rsyslog;
mod syslog_ng;

use crate::e2e::{self, DRAINED, Simulated};
use crate::figures::{megabytes, status_bytes};
use crate::receiver::Receiver;
use anyhow::{Context as _, ensure};
use muster_tests::process::Process;
use muster_tests::results::result;
use muster_tests::sandbox::Sandbox;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How a rival is set up.
struct Rival {
    /// As it is called.
    program: &'static str,
    /// Part of the names of results.
    name: &'static str,
    /// Its configuration.
    configuration: fn(&Forwarding<'_>) -> String,
    /// The command that runs it in a folder with a configuration; none where it is missing.
    command: fn(&Path, &Path) -> Option<Command>,
}

/// What a rival is to do.
struct Forwarding<'a> {
    /// Folder for its own files.
    folder: &'a Path,
    /// The file to read.
    lines: &'a Path,
    /// Port of the receiver on 127.0.0.1.
    port: &'a str,
}

const RIVALS: [Rival; 2] = [
    Rival {
        program: "rsyslog",
        name: "rsyslog",
        configuration: rsyslog::configuration,
        command: muster_tests::receiver::rsyslog::command,
    },
    Rival {
        program: "syslog-ng",
        name: "syslog_ng",
        configuration: syslog_ng::configuration,
        command: muster_tests::receiver::syslog_ng::command,
    },
];

/// Measures every rival that is there with `events` lines.
pub fn run(events: u64) -> anyhow::Result<()> {
    let sandbox = Sandbox::new("rival");
    let lines = Lines::make(&sandbox, events)?;
    for rival in &RIVALS {
        measure(&sandbox, rival, &lines).with_context(|| format!("{} was not measured", rival.program))?;
    }
    Ok(())
}

/// The file that rivals read.
struct Lines {
    path: PathBuf,
    events: u64,
    bytes: u64,
}

impl Lines {
    /// Keeps what the agent sends of a full journal.
    fn make(sandbox: &Sandbox, events: u64) -> anyhow::Result<Self> {
        let path = sandbox.path().join("lines.log");
        let partition = Simulated::start(sandbox, "full", events)?;
        let receiver = Receiver::keeping(events, &path)?;
        let bytes = e2e::send(sandbox, &partition, &receiver)?;
        // What is not on disk yet would be written while a rival runs.
        File::open(&path)?.sync_all().with_context(|| format!("cannot write {}", path.display()))?;
        let kept = std::fs::metadata(&path)?.len();
        ensure!(kept == bytes, "{kept} bytes were kept of {bytes}");
        Ok(Self { path, events, bytes })
    }
}

/// Lets a rival forward the whole file.
fn measure(sandbox: &Sandbox, rival: &Rival, lines: &Lines) -> anyhow::Result<()> {
    let receiver = Receiver::start(lines.events)?;
    let folder = sandbox.path().join(rival.name);
    let port = receiver.address.rsplit(':').next().unwrap_or_default();
    let text = (rival.configuration)(&Forwarding { folder: &folder, lines: &lines.path, port });
    let configuration = sandbox.write(&format!("{}/rival.conf", rival.name), &text);
    let Some(mut command) = (rival.command)(&folder, &configuration) else {
        println!(
            "rival: {} is not installed, so it was not measured; `make deps` installs it",
            rival.program
        );
        return Ok(());
    };
    let started = Instant::now();
    let mut process = Process::start(rival.program, &mut command, &folder.join("program.log"));
    let received = receiver.await_all(&mut process, DRAINED)?;
    let peak = status_bytes(process.id(), "VmHWM:")?;
    let cpu = process.cpu_seconds().unwrap_or_default();
    ensure!(
        received.bytes == lines.bytes,
        "{} bytes arrived of a file with {}: it changes lines",
        received.bytes,
        lines.bytes
    );
    println!(
        "rival: {} forwarded {} lines of a file, {:.0} lines/s over all, {:.0} after the first tenth; {} bytes a \
         line; processor seconds: {cpu:.1}",
        rival.program,
        lines.events,
        received.overall(started),
        received.steady(),
        lines.bytes / lines.events
    );
    result(&format!("rival_{}_tcp_events_per_s", rival.name), received.steady().round());
    result(&format!("rival_{}_rss_busy_mb", rival.name), megabytes(peak));
    Ok(())
}
