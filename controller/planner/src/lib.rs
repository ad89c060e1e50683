//! Plans rollouts: which partition gets a change next, what is waited for, and when to stop.
//!
//! Everything here is a function of values, with the time passed in: the state of a [`Rollout`], what is seen of the
//! partitions ([`Observation`]) and the time give the next state, what to do ([`Step`]) and the reasons in words.
//! What is done, stored and shown is the business of whoever calls; what a change consists of is not known here.
#![forbid(unsafe_code)]

mod gate;
mod report;
mod rollout;
mod state;
mod track;
mod waves;
mod window;
mod words;

pub use gate::{Before, Counters};
pub use rollout::{Action, Refused, Rollout, Step};
pub use state::{Phase, State, Target};
pub use waves::{Candidate, Planned, plan};
pub use window::{WindowFault, Windows};

use jiff::Timestamp;
use muster_proto::api::Labels;

/// Whether a partition's agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is connected.
    Present,
    /// It is not.
    Away,
    /// It is not, and its outage was announced.
    PlannedOutage,
    /// It takes no changes: quarantined.
    Held,
    /// It was removed or revoked.
    Gone,
}

/// What a partition runs, as seen from the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// What it ran before, or anything else but the change.
    Old,
    /// It is changing over.
    Changing,
    /// The change.
    New,
    /// It refused the change, with this reason.
    Refused(String),
}

/// What is seen of a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Its name, for people.
    pub name: String,
    /// Its labels, for windows.
    pub labels: Labels,
    /// Whether it is there.
    pub presence: Presence,
    /// What it runs.
    pub version: Version,
    /// Its components that do not work: `source audit`, and why.
    pub unwell: Vec<(String, String)>,
    /// Its greatest lag in milliseconds.
    pub lag_ms: u64,
    /// Received events a second over the last minute.
    pub rate: f64,
    /// Its counters, as it last told them.
    pub counters: Option<Counters>,
    /// When it last told counters.
    pub reported_at: Option<Timestamp>,
    /// When it was last heard.
    pub last_seen: Option<Timestamp>,
    /// Another rollout is changing it: what to call that.
    pub busy: Option<String>,
}

#[cfg(test)]
mod tests;
