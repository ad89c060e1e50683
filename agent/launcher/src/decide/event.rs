//! What happens to the launcher, and what it decides: plain values.

use muster_package::Version;
use muster_package::slots::{CONNECTED, HEALTHY, Order, Slot, UNWELL};
use std::fmt;
use std::time::Duration;

/// Longest text of [`Line::Unwell`] that is kept, in characters.
const MAX_UNWELL: usize = 300;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Result of [`Act::Look`].
    Looked(Look),
    /// Result of [`Act::Check`]: the SHA-256 of its manifest, or why it is not what was signed.
    Checked(Result<String, String>),
    /// What had to be stored could not be, so nothing was done: why.
    NotStored(String),
    /// Result of [`Act::Start`].
    Started,
    /// Result of [`Act::Start`]: why not.
    NotStarted(String),
    /// The agent said something to the launcher.
    Said(Line),
    /// Result of [`Act::Peek`]: whether there is an order that was not dealt with.
    Peeked(bool),
    /// The agent's process ended.
    Ended(Exit),
    /// [`super::Machine::deadline`] has come.
    Timer,
    /// The launcher is asked to end.
    StopAsked,
}

/// What there is before a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The agent's order.
    pub order: Found,
    /// SHA-256 of the installed program, or why it is not known.
    pub installed: Result<String, String>,
}

/// What is at the place of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No file.
    Nothing,
    /// An order.
    Order(Box<Order>),
    /// A file that is no order: why.
    Unreadable(String),
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The operating system does not say.
    Unknown,
    /// It did not begin: why.
    NotStarted(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("for a reason that the system does not tell"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// A line by which the agent tells the launcher something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// All works again that worked before.
    Healthy,
    /// A controller heard it.
    Connected,
    /// What does not work yet.
    Unwell(String),
}

impl Line {
    /// Reads a line, without its end; none if it is for others.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
        match text {
            HEALTHY => Some(Self::Healthy),
            CONNECTED => Some(Self::Connected),
            other => {
                let what = other.strip_prefix(UNWELL)?;
                Some(Self::Unwell(what.chars().filter(|c| !c.is_control()).take(MAX_UNWELL).collect()))
            }
        }
    }
}

/// Whether the state is stored before anything else is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Store {
    /// It did not change.
    #[default]
    No,
    /// It changed. If it cannot be stored the launcher goes on all the same, and tries again with the next decision, which
    /// is [`super::PEEK_EVERY`] away at most while an agent runs: that agent is worth more than a note about it.
    Try,
    /// What follows is not done unless this is stored; [`Event::NotStored`].
    Must,
}

/// The one thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Act {
    /// Wait for the agent, a signal, or the deadline.
    #[default]
    Wait,
    /// Look for an order and at the installed program.
    Look,
    /// Look whether there is an order, while an agent runs.
    Peek,
    /// Verify an unpacked package.
    Check {
        /// Its version.
        version: Version,
        /// SHA-256 of a manifest for which the signature of a retired key counts.
        accepted: Option<String>,
    },
    /// Start the agent.
    Start(Slot),
    /// Ask the agent to end, then wait.
    Term,
    /// Kill the agent, then wait.
    Kill,
    /// End the launcher.
    End,
}

/// What is done, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// For people.
    pub notes: Vec<String>,
    /// Store [`super::Machine::launch`].
    pub store: Store,
    /// Remove the order; only once the state is stored, for it says what became of it.
    pub remove_order: bool,
    /// Then do this.
    pub act: Act,
}

impl Decision {
    pub(super) fn say(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn try_store(&mut self) {
        self.store = match self.store {
            Store::No | Store::Try => Store::Try,
            Store::Must => Store::Must,
        };
    }
}

/// `12 s`, rounded down.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_the_launcher_are_told_from_others() {
        let cases: [(&[u8], Option<Line>); 8] = [
            (b"muster: healthy", Some(Line::Healthy)),
            (b"muster: healthy\r", Some(Line::Healthy)),
            (b"muster: connected", Some(Line::Connected)),
            (b"muster: unwell: destination/siem is not there", Some(unwell("destination/siem is not there"))),
            (b"muster: unwell: a\x1b[2Jb", Some(unwell("a[2Jb"))),
            (b"muster: healthy!", None),
            (b" muster: healthy", None),
            (b"\xff\xfe", None),
        ];
        for (line, expected) in cases {
            assert_eq!(Line::read(line), expected, "{}", String::from_utf8_lossy(line));
        }
        let long = [UNWELL.as_bytes(), &[b'x'; 5_000]].concat();
        assert_eq!(Line::read(&long), Some(unwell(&"x".repeat(MAX_UNWELL))));
    }

    fn unwell(what: &str) -> Line {
        Line::Unwell(what.to_owned())
    }
}
