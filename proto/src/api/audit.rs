//! What administrators did.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One entry of the controller's audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Position in the log, from 1, without a hole.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a user name, or `controller`.
    pub actor: String,
    /// From where (IP address); empty for the controller itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// What: `token.create`, `policy.publish`, …
    pub action: String,
    /// On what: a token's id, `name@revision`, an agent's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Further detail; never a secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// SHA-256 over the entry before and this one, in hex.
    pub hash: String,
}
