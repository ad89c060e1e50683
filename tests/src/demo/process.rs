//! What the demo starts, and that nothing of it runs on.
//!
//! Three nets: every child is stopped in order when the demo ends; a handle that is dropped kills its child;
//! and where `setpriv` is installed (it is part of Debian's util-linux) the kernel kills a child whose parent
//! died, so that even `kill -9` of the demo leaves nothing.

use crate::process::program;
use anyhow::{Context as _, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long a program may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks at a file or a process; neither announces its change.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The running programs, in the order of their start.
pub(super) struct Children {
    folder: PathBuf,
    reaper: bool,
    running: Vec<(String, Child)>,
}

impl Children {
    /// None yet; logs go to `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        let reaper = std::process::Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        Self { folder, reaper, running: Vec::new() }
    }

    /// The folder of everything.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a program; its output goes to `<name>.log`. In a process group of its own, so that the Ctrl-C of
    /// a terminal reaches the demo alone, which then stops all in order.
    pub(super) fn start(&mut self, name: &str, path: &Path, args: &[&str]) -> anyhow::Result<()> {
        let log = self.folder.join(format!("{name}.log"));
        let open = || {
            File::options().create(true).append(true).open(&log).with_context(|| log.display().to_string())
        };
        let mut command = if self.reaper {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        let child = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", path.display()))?;
        self.running.push((name.to_owned(), child));
        Ok(())
    }

    /// Starts one of our programs.
    pub(super) fn start_ours(&mut self, name: &str, ours: &str, args: &[&str]) -> anyhow::Result<()> {
        self.start(name, &program(ours), args)
    }

    /// Fails if a program has ended by itself.
    pub(super) fn all_run(&mut self) -> anyhow::Result<()> {
        for (name, child) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                bail!(
                    "{name} ended ({status}); its log says:\n{}",
                    last_lines(&self.folder.join(format!("{name}.log")))
                );
            }
        }
        Ok(())
    }

    /// Stops all, the last first. A program that does not end in time is killed, and that is an error.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let mut late = Vec::new();
        for (_, child) in self.running.iter().rev() {
            if let Some(id) = child.id() {
                // Fails only for a process that is gone.
                let _ = std::process::Command::new("kill").arg(id.to_string()).stderr(Stdio::null()).status();
            }
        }
        for (name, mut child) in self.running.drain(..).rev() {
            if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
                child.kill().await?;
                late.push(name);
            }
        }
        if late.is_empty() {
            Ok(())
        } else {
            bail!("had to be killed after {PATIENCE:?}: {}", late.join(", "))
        }
    }
}

/// The end of a log.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Waits for a file with at least one whole line, and gives it without the line's end.
pub(super) async fn await_file(path: &Path, children: &mut Children) -> anyhow::Result<String> {
    const LONGEST: Duration = Duration::from_secs(30);
    let waiting = async {
        loop {
            if let Ok(text) = tokio::fs::read_to_string(path).await
                && !text.trim().is_empty()
            {
                return Ok(text.trim().to_owned());
            }
            children.all_run()?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(LONGEST, waiting)
        .await
        .with_context(|| format!("{} did not appear", path.display()))?
}

/// Processes whose command line names the demo's folder: all that the demo starts does.
fn of_folder(folder: &Path) -> Vec<(u32, String)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mark = folder.display().to_string();
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let is_program = ["muster", "ibmi-sim", "rsyslogd"].iter().any(|word| line.contains(word));
        if is_program && line.contains(&mark) && id != std::process::id() {
            found.push((id, line));
        }
    }
    found
}

/// A demo that runs already would lose its folder.
pub(super) fn refuse_second(folder: &Path) -> anyhow::Result<()> {
    match of_folder(folder).first() {
        None => Ok(()),
        Some((id, line)) => bail!("a demo runs already (process {id}: {line}); stop it first"),
    }
}

/// At the end: nothing that was started is left.
pub(super) fn nothing_runs_on(folder: &Path) -> anyhow::Result<()> {
    match of_folder(folder).as_slice() {
        [] => Ok(()),
        left => bail!("still running: {left:?}"),
    }
}
