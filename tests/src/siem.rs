//! Two real rsyslogs, one for LEEF and one for CEF, and how long an event takes to both.

use crate::eventually::eventually;
use crate::load::Spread;
use crate::policies;
use crate::readers::{Dialect, Seen, read};
use crate::receiver::ProgramReceiver;
use crate::receiver::rsyslog::{self, Input};
use crate::results::result;
use crate::sandbox::Sandbox;
use std::time::{Duration, Instant};

/// Between two things that are measured; no multiple of the pause between two polls.
const PACE: Duration = Duration::from_millis(173);
/// Between two looks at what arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// What has not arrived by then is lost.
const LOST: Duration = Duration::from_secs(60);

/// Receivers of LEEF and of CEF.
pub struct Siem {
    leef: ProgramReceiver,
    cef: ProgramReceiver,
}

impl Siem {
    /// Starts both, with their files in the sandbox.
    ///
    /// # Panics
    /// When one does not start.
    #[must_use]
    pub fn start(sandbox: &Sandbox) -> Self {
        let start = |name: &str| {
            let folder = sandbox.path().join(format!("rsyslog-{name}"));
            std::fs::create_dir(&folder).expect("a folder");
            rsyslog::start(&folder, &Input::Tcp)
        };
        Self { leef: start("leef"), cef: start("cef") }
    }

    /// The `destinations` of a policy that sends to both, with nothing else set.
    #[must_use]
    pub fn destinations(&self) -> String {
        let of = |name: &str, receiver: &ProgramReceiver, format: &str| {
            let transport = policies::tcp(&receiver.address());
            format!("  {name}: {{transport: {transport}, format: {{kind: {format}}}}}\n")
        };
        format!("destinations:\n{}{}", of("leef", &self.leef, "leef2"), of("cef", &self.cef, "cef"))
    }

    fn both(&self) -> [(Dialect, &ProgramReceiver); 2] {
        [(Dialect::Leef, &self.leef), (Dialect::Cef, &self.cef)]
    }

    /// All messages of one format but the agent's own.
    ///
    /// # Panics
    /// When one cannot be read.
    #[must_use]
    pub fn seen(&self, dialect: Dialect) -> Vec<Seen> {
        let (_, receiver) =
            self.both().into_iter().find(|(known, _)| *known == dialect).expect("LEEF or CEF");
        let read = |line: &String| read(dialect, line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let seen = receiver.lines().iter().map(read).collect::<Vec<_>>();
        seen.into_iter().filter(|seen| !seen.event_id.starts_with("MUSTER_")).collect()
    }

    /// Waits until a message with `mark` in it is at both; gives what they have, LEEF first.
    ///
    /// # Panics
    /// When it does not come.
    pub fn await_mark(&self, mark: &str, limit: Duration) -> [Seen; 2] {
        self.both().map(|(dialect, receiver)| {
            let line = eventually(&format!("{mark} arrives as {dialect:?}"), limit, || {
                let found = receiver.lines().into_iter().find(|line| line.contains(mark));
                found.ok_or_else(|| format!("{} lines", receiver.lines().len()))
            });
            read(dialect, &line).unwrap_or_else(|error| panic!("{error}: {line}"))
        })
    }

    /// Makes `count` things happen, 173 ms apart so that each phase of a poll is met, and measures how long each takes
    /// until it is at both receivers: prints the 99th percentile in milliseconds as `RESULT name`. `happen` does the thing
    /// with a number and gives a text that its message alone has.
    ///
    /// # Panics
    /// When a message does not come.
    pub fn measure(&self, name: &str, count: usize, mut happen: impl FnMut(usize) -> String) -> Spread {
        let began = Instant::now();
        let mut happened = 0;
        let mut awaited: Vec<(String, Instant)> = Vec::new();
        let mut took = Vec::new();
        while happened < count || !awaited.is_empty() {
            if happened < count && began.elapsed() >= PACE * u32::try_from(happened).expect("few") {
                let at = Instant::now();
                awaited.push((happen(happened), at));
                happened += 1;
            }
            let lines = self.both().map(|(_, receiver)| receiver.lines());
            awaited.retain(|(mark, at)| {
                let arrived =
                    lines.iter().all(|lines| lines.iter().rev().any(|line| line.contains(mark.as_str())));
                if arrived {
                    took.push(at.elapsed());
                }
                assert!(at.elapsed() < LOST, "{mark} does not arrive at both; {} of {count} did", took.len());
                !arrived
            });
            std::thread::sleep(LOOK_AGAIN);
        }
        let spread = Spread::of(took);
        result(name, spread.p99.as_millis());
        println!("{name}: {spread:?}");
        spread
    }
}
