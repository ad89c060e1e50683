//! Settings of the controller, and what waits for a second person.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings that hold for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settings {
    /// What is published needs the approval of a second person.
    #[serde(default)]
    pub four_eyes: bool,
}

/// Changes settings; what is left out stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingsChange {
    /// As in [`Settings`]. Switching it off needs the approval of a second person too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub four_eyes: Option<bool>,
}

/// The settings as they are now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingsChanged {
    /// The settings.
    pub settings: Settings,
    /// What a second person must approve before the change is made; absent if it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<ProposalView>,
}

/// Kinds of proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ProposalKind {
    /// To publish or remove policies.
    PolicyPublish,
    /// To start a rollout.
    RolloutStart,
    /// To let one person publish alone again.
    FourEyesOff,
}

/// Where a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ProposalState {
    /// Waits for a decision.
    Pending,
    /// Approved, and done.
    Approved,
    /// Rejected, or taken back; nothing was done.
    Rejected,
    /// Nobody decided in time; nothing was done.
    Expired,
}

/// What somebody wants to do and a second person must approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProposalView {
    /// Id, by which it is approved or rejected.
    pub id: String,
    /// What kind of thing.
    pub kind: ProposalKind,
    /// What would be done, in one line.
    pub summary: String,
    /// What would be done, in full.
    #[serde(default)]
    pub payload: Value,
    /// Who proposed it.
    pub proposed_by: String,
    /// When.
    pub proposed_at: Timestamp,
    /// When it expires undecided.
    pub expires_at: Timestamp,
    /// Where it stands.
    pub state: ProposalState,
    /// Who decided.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decided_by: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// What the one who decided wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Approves or rejects a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProposalDecision {
    /// One line for people, at most 200 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}
