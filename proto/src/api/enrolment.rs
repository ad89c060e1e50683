//! Enrolments that wait for approval, and decisions about agents.

use jiff::Timestamp;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};

/// Where an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EnrolmentState {
    /// A person has to look.
    Waiting,
    /// Approved; the agent gets its certificate when it asks again.
    Approved,
    /// Denied; the agent is told when it asks again.
    Denied,
}

/// An enrolment that waits, or was decided lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolmentView {
    /// SHA-256 of the agent's public key in hex.
    pub key_sha256: String,
    /// The same as the agent prints it: `sha256:` and the hex digits.
    pub fingerprint: String,
    /// The id that it uses.
    pub agent: AgentId,
    /// Its name, as it says.
    pub name: String,
    /// Its partition, as it says; absent where it does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "78A1B2C-3"))]
    pub partition: Option<PartitionKey>,
    /// Id of its token.
    pub token: String,
    /// Why a person has to look.
    pub reasons: Vec<String>,
    /// From where it asked first.
    pub from: String,
    /// When it asked first.
    pub since: Timestamp,
    /// When it asked last.
    pub last_asked: Timestamp,
    /// Where it stands.
    pub state: EnrolmentState,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// Why it was denied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A decision about an agent or an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Decision {
    /// Why, one line; shown, kept in the audit log, and told to the agent where it is refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What was decided about an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AgentLife {
    /// It takes part.
    #[default]
    Active,
    /// It stays connected and goes on with the policy that it has, but gets nothing.
    Quarantined,
    /// Its certificates are refused.
    Revoked,
}

/// A decision against an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldView {
    /// Since when.
    pub since: Timestamp,
    /// By whom: a user, or `controller`.
    pub by: String,
    /// Why.
    pub reason: String,
}
