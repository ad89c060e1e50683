//! Where agents stand with their packages.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where an agent stands with the version that it shall come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum UpgradeStep {
    /// It is offered a package, and did not answer yet.
    Offered,
    /// It waits for its turn to download.
    Waiting,
    /// It downloads.
    Downloading,
    /// Signature and digests are right.
    Verified,
    /// It lies unpacked beside the running version, and passed its check of itself.
    Staged,
    /// The running version ends, and the new one starts.
    Switching,
    /// The new one runs, and has to show that all works.
    Confirming,
    /// It runs what it shall.
    Done,
    /// It is back at the version before.
    RolledBack,
    /// The new version never ran.
    Failed,
    /// It is not there: what it said last says nothing of now.
    Away,
    /// It is pinned to the version that it runs.
    Pinned,
    /// Nothing leads from what it runs to what it shall run.
    Blocked,
}

impl UpgradeStep {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Offered,
        Self::Waiting,
        Self::Downloading,
        Self::Verified,
        Self::Staged,
        Self::Switching,
        Self::Confirming,
        Self::Done,
        Self::RolledBack,
        Self::Failed,
        Self::Away,
        Self::Pinned,
        Self::Blocked,
    ];

    /// As people read it: `rolled back`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Waiting => "waiting",
            Self::Downloading => "downloading",
            Self::Verified => "verified",
            Self::Staged => "staged",
            Self::Switching => "switching",
            Self::Confirming => "confirming",
            Self::Done => "done",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::Away => "away",
            Self::Pinned => "pinned",
            Self::Blocked => "blocked",
        }
    }
}

/// An agent's way to the version that it shall run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpgradeView {
    /// The rollout that says so.
    pub rollout: u64,
    /// The version that it shall come to at last.
    #[cfg_attr(feature = "openapi", schema(example = "0.4.0"))]
    pub target: String,
    /// The version that this step is about: the next on the way.
    #[cfg_attr(feature = "openapi", schema(example = "0.3.1"))]
    pub version: String,
    /// How far it is.
    pub step: UpgradeStep,
    /// How much of the package it has, in percent; while it downloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it has to have got on; absent for what has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The deadline has passed.
    #[serde(default)]
    pub overdue: bool,
}

/// Pins an agent to the version that it runs: it gets no packages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinRequest {
    /// The version that it runs; refused if it runs another one. Absent for whatever it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why, one line.
    #[serde(default)]
    pub reason: String,
}

/// That an agent is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinView {
    /// The version that it ran then; empty if that was not known.
    #[serde(default)]
    pub version: String,
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}
