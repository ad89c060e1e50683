//! Stories of the console in a real browser: `node tests/console/NAME.mjs` with Debian's Chromium.
//!
//! A script asks for what a browser cannot do (an event, an agent that stops) with a line `ASK {"what": …}` on its
//! standard output, and gets a line of JSON on its standard input. Everything else that it prints is told when it fails.

use crate::results::target_dir;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Begins a line that asks for something.
const ASK: &str = "ASK ";
/// Lines that wait; then the script does.
const LINES: usize = 1_024;
/// Begins a line with a result.
const RESULT: &str = "RESULT ";

/// A script with its browser; ended when dropped.
pub struct Script {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    printed: Vec<String>,
}

/// What a script says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It asks for something.
    Asks(Value),
    /// A result: name and value.
    Result(String, String),
    /// It has ended well.
    Done,
    /// Nothing within the wait.
    Silent,
}

/// Folder for pictures and what is left of stories that failed.
#[must_use]
pub fn pictures() -> PathBuf {
    target_dir().join("console")
}

impl Script {
    /// Starts `node tests/console/NAME`; `given` is what it is told, as JSON in `MUSTER_GIVEN`.
    ///
    /// # Panics
    /// When Node.js, its packages or Chromium are missing, saying what to do.
    #[must_use]
    pub fn start(name: &str, given: &Value) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        assert!(
            folder.join("node_modules/playwright-core").is_dir(),
            "the browser's packages are missing in {}: run `make deps`",
            folder.display()
        );
        let mut child = Command::new("node")
            .arg(folder.join(name))
            .env("MUSTER_GIVEN", given.to_string())
            .env("MUSTER_PICTURES", std::path::absolute(pictures()).expect("a path"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node starts; install Node.js 20 or later");
        let (sender, lines) = sync_channel(LINES);
        let out: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("a pipe")), Box::new(child.stderr.take().expect("a pipe"))];
        for pipe in out {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        let stdin = child.stdin.take().expect("a pipe");
        Self { child, stdin, lines, printed: Vec::new() }
    }

    /// What it says next, within `limit`.
    ///
    /// # Panics
    /// When it fails: with all that it printed.
    pub fn next(&mut self, limit: Duration) -> Said {
        let until = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(asked) = line.strip_prefix(ASK) {
                        return Said::Asks(serde_json::from_str(asked).expect("a script asks in JSON"));
                    }
                    if let Some((name, value)) = line.strip_prefix(RESULT).and_then(|r| r.split_once(' ')) {
                        return Said::Result(name.to_owned(), value.to_owned());
                    }
                    self.printed.push(line);
                }
                Err(RecvTimeoutError::Timeout) => return Said::Silent,
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().expect("the script ends");
                    assert!(status.success(), "{}", self.told(&status.to_string()));
                    return Said::Done;
                }
            }
        }
    }

    /// Answers what it asked for.
    ///
    /// # Panics
    /// When it has ended.
    pub fn answer(&mut self, answer: &Value) {
        writeln!(self.stdin, "{answer}").expect("the script listens");
    }

    /// Runs it to its end: `act` does what it asks for, and gives the answer or why not.
    ///
    /// # Panics
    /// When it fails, or is not done within `limit`.
    pub fn run(mut self, limit: Duration, mut act: impl FnMut(&Value) -> Result<Value, String>) {
        let until = Instant::now() + limit;
        loop {
            match self.next(until.saturating_duration_since(Instant::now())) {
                Said::Asks(what) => {
                    let answer = match act(&what) {
                        Ok(value) => json!({ "ok": value }),
                        Err(why) => json!({ "error": why }),
                    };
                    self.answer(&answer);
                }
                Said::Result(name, value) => crate::results::result(&name, value),
                Said::Done => return,
                Said::Silent => panic!("{}", self.told(&format!("not done within {limit:?}"))),
            }
        }
    }

    fn told(&self, end: &str) -> String {
        format!("the script failed ({end}):\n{}", self.printed.join("\n"))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Its browser goes when its pipe to the script closes. Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
