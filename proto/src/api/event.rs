//! What changes, as it happens: bodies of `GET /api/v1/events`.
//!
//! The stream has events of these names:
//!
//! | event | data |
//! | --- | --- |
//! | `audit` | [`super::AuditEntry`] |
//! | `policy` | [`PolicyEvent`] |
//! | `agent` | [`AgentEvent`] |
//! | `fleet` | [`FleetEvent`] |
//! | `rollout` | [`RolloutEvent`](super::RolloutEvent) |
//! | `reload` | [`ReloadEvent`]: something was missed, read everything anew |

use super::{Connection, PolicyState, UpgradeStep};
use jiff::Timestamp;
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};

/// An agent changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentEvent {
    /// Which.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub connection: Connection,
    /// Healthy, as in [`super::AgentSummary`].
    pub healthy: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where it stands with its policy.
    pub policy: PolicyState,
    /// Where its upgrade stands; absent where nobody said that it shall come to a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStep>,
    /// It is not one of the fleet any more.
    #[serde(default)]
    pub removed: bool,
}

/// The counts of the fleet changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FleetEvent {
    /// All agents.
    pub agents: u64,
    /// Connected.
    pub connected: u64,
    /// Offline.
    pub offline: u64,
    /// Connected and healthy.
    pub healthy: u64,
    /// Connected and not healthy.
    pub unhealthy: u64,
    /// Whose policy failed.
    pub policy_failed: u64,
    /// Whose policy is on its way.
    pub policy_pending: u64,
}

/// A policy was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyEvent {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// `policy.publish`, `policy.remove`, …
    pub action: String,
    /// `name@revision`.
    pub object: String,
}

/// Events were missed: they are older than what is kept, or the controller was restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReloadEvent {
    /// Why.
    pub reason: String,
}
