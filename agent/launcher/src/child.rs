//! The process of an agent.

use crate::decide::{Event, Exit, Line};
use crate::output::pass_on;
use muster_package::slots::ENV;
use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

/// Lines of the agent that wait for the launcher. It says one a second at most, and each is taken at once.
const SAID: usize = 16;
/// How long is waited for what an ended agent wrote last.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    /// Open as long as the launcher lives: its end tells the agent that the launcher is gone.
    stdin: Option<ChildStdin>,
    said: Receiver<Line>,
    output: JoinHandle<()>,
}

impl Agent {
    /// Starts `program run --config FILE`, in a process group of its own: a Ctrl-C at a terminal then reaches the launcher
    /// alone, which asks the agent to end. Otherwise it would look as if a version on trial had ended by itself.
    ///
    /// # Errors
    /// As the system says.
    pub fn start(program: &Path, config: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(config)
            .env(ENV, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let stdin = child.stdin.take();
        let (sender, said) = channel(SAID);
        let stdout = child.stdout.take();
        let output = tokio::spawn(async move {
            match (stdout, own_output()) {
                (Some(stdout), Ok(own)) => pass_on(stdout, own, sender).await,
                // Read all the same: an agent that cannot write would stand still.
                (Some(stdout), Err(_)) => pass_on(stdout, tokio::io::sink(), sender).await,
                (None, _) => (),
            }
        });
        Ok(Self { child, stdin, said, output })
    }

    /// What it says or that it ended. What was said before the end is told before it.
    pub async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            Some(line) = self.said.recv() => Event::Said(line),
            status = self.child.wait() => Event::Ended(status.map_or(Exit::Unknown, exit)),
        }
    }

    /// Asks it to end, in both ways; the signal first, so that it is what ends an agent that does not take signals.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
        self.stdin = None;
    }

    /// Ends it.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    /// Until what it wrote last is passed on.
    pub async fn last_words(self) {
        // A process that it left behind may keep its standard output open.
        let _ = tokio::time::timeout(LAST_WORDS, self.output).await;
    }

    /// Its number cannot belong to another process: it is kept until the end was waited for, and then not known here.
    fn signal(&self, signal: Signal) {
        let number = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = number.and_then(Pid::from_raw)
            && let Err(error) = kill_process(pid, signal)
        {
            crate::say(&format!(
                "the agent (process {}) cannot be told to end: {error}",
                pid.as_raw_nonzero()
            ));
        }
    }
}

/// The launcher's standard output.
fn own_output() -> io::Result<tokio::fs::File> {
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(std::fs::File::from(own)))
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}
