//! Where a rollout and each of its partitions stand: what is stored.

use crate::gate::Before;
use jiff::Timestamp;
use muster_proto::api::{RolloutPartitionState, RolloutState};
use serde::{Deserialize, Serialize};

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word")]
pub enum Phase {
    /// Goes on by itself.
    Running,
    /// A person stopped it for a while.
    Paused {
        /// Who.
        by: String,
        /// Since when.
        since: Timestamp,
        /// Why; may be empty.
        reason: String,
    },
    /// Too many failed; a person has to decide.
    Halted {
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// Everybody goes back.
    GoingBack {
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// The change is everybody's.
    Done {
        /// Since when.
        at: Timestamp,
    },
    /// Everybody went back.
    RolledBack {
        /// Why.
        reason: String,
        /// Since when.
        at: Timestamp,
    },
}

impl Phase {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> RolloutState {
        match self {
            Self::Running => RolloutState::Running,
            Self::Paused { .. } => RolloutState::Paused,
            Self::Halted { .. } => RolloutState::Halted,
            Self::GoingBack { .. } => RolloutState::RollingBack,
            Self::Done { .. } => RolloutState::Done,
            Self::RolledBack { .. } => RolloutState::RolledBack,
        }
    }

    /// Nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.word().is_over()
    }
}

/// Where a partition stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word")]
pub enum State {
    /// Not told yet.
    Planned,
    /// Told, and does not run it yet.
    Offered {
        /// When it was told.
        at: Timestamp,
    },
    /// Runs the change, and is well.
    Proving {
        /// Since when.
        since: Timestamp,
    },
    /// Was told, and something is wrong; it may pass.
    Unwell {
        /// What.
        reason: String,
        /// Since when.
        since: Timestamp,
        /// When it counts as failed.
        until: Timestamp,
        /// It is not there: what it does when it returns is another matter.
        #[serde(default)]
        away: bool,
    },
    /// Was well with the change for as long as was asked.
    Proven {
        /// Since when it is well.
        since: Timestamp,
    },
    /// It does not do with the change.
    Failed {
        /// Why.
        reason: String,
        /// Since when.
        at: Timestamp,
    },
    /// As `Failed`, and a person let it be.
    Accepted {
        /// Why it failed.
        reason: String,
        /// Since when.
        at: Timestamp,
    },
    /// Was told to go back.
    GoingBack {
        /// When.
        since: Timestamp,
    },
    /// Runs what it ran before, or will when it returns.
    Back,
    /// It is not in the fleet any more.
    Gone,
}

impl State {
    /// It was told to run the change, and not to go back.
    #[must_use]
    pub fn has_change(&self) -> bool {
        match self {
            Self::Offered { .. }
            | Self::Proving { .. }
            | Self::Unwell { .. }
            | Self::Proven { .. }
            | Self::Failed { .. }
            | Self::Accepted { .. } => true,
            Self::Planned | Self::GoingBack { .. } | Self::Back | Self::Gone => false,
        }
    }

    /// It may not be collecting as it should because of the change.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Offered { .. } | Self::Unwell { .. } | Self::Failed { .. })
    }

    /// It is decided by itself what comes next, and when.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Offered { .. } | Self::Unwell { .. })
    }

    /// The word for it, since when, and why.
    #[must_use]
    pub fn told(&self) -> (RolloutPartitionState, Option<Timestamp>, &str) {
        use RolloutPartitionState as S;
        match self {
            Self::Planned => (S::Planned, None, ""),
            Self::Offered { at } => (S::Changing, Some(*at), ""),
            Self::Proving { since } => (S::Proving, Some(*since), ""),
            Self::Unwell { reason, since, .. } => (S::Unwell, Some(*since), reason),
            Self::Proven { since } => (S::Proven, Some(*since), ""),
            Self::Failed { reason, at } => (S::Failed, Some(*at), reason),
            Self::Accepted { reason, at } => (S::Accepted, Some(*at), reason),
            Self::GoingBack { since } => (S::GoingBack, Some(*since), ""),
            Self::Back => (S::Back, None, ""),
            Self::Gone => (S::Gone, None, ""),
        }
    }
}

/// A partition in a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its wave, from 0.
    pub wave: usize,
    /// Where it stands.
    pub state: State,
    /// What it was like before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// How often it became unwell after it had been well.
    #[serde(default)]
    pub relapses: u8,
}

impl Target {
    /// One that was not told yet.
    #[must_use]
    pub fn planned(wave: usize) -> Self {
        Self { wave, state: State::Planned, before: None, relapses: 0 }
    }
}
