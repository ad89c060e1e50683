//! Two real rsyslogs, one for LEEF and one for CEF, and how long an event takes to both.

use crate::eventually::eventually;
use crate::policies;
use crate::readers::{Dialect, Seen, read};
use crate::receiver::ProgramReceiver;
use crate::receiver::rsyslog::{self, Input};
use crate::results::result;
use crate::sandbox::Sandbox;
use std::time::{Duration, Instant};

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
        let (_, receiver) = self.both().into_iter().find(|(known, _)| *known == dialect).expect("LEEF or CEF");
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

    /// Makes `count` things happen one after another, at different moments between two polls, and tells the 99th
    /// percentile of the time from each until it is at both receivers, in milliseconds, as `RESULT name`. `happen` does
    /// the thing with a number and gives what its message is known by.
    ///
    /// # Panics
    /// When a message does not come.
    pub fn measure(&self, name: &str, count: usize, mut happen: impl FnMut(usize) -> String) -> Duration {
        let mut taken: Vec<Duration> = (0..count)
            .map(|number| {
                // Not a wait for anything: the agent polls once a second, and each part of that second gets its turn.
                std::thread::sleep(Duration::from_millis((number as u64 * 377) % 1_000));
                let began = Instant::now();
                let mark = happen(number);
                self.await_mark(&mark, Duration::from_secs(30));
                began.elapsed()
            })
            .collect();
        taken.sort_unstable();
        let place = (count * 99).div_ceil(100).saturating_sub(1);
        let p99 = taken.get(place).copied().unwrap_or_default();
        result(name, p99.as_millis());
        p99
    }
}
