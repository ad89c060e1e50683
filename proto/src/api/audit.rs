//! What administrators did.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Content type of an export: a JSON value a line.
pub const JSON_LINES_CONTENT_TYPE: &str = "application/jsonl";

/// One entry of the controller's audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Position in the log, from 1, without a hole.
    pub sequence: u64,
    /// Id of the entry: the same wherever it is seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who: a user name, `agent ID` or `controller`.
    pub actor: String,
    /// From where (IP address); empty for the controller itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Id of the API token by which it was done; absent where the person did it, or no token was in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What: `token.create`, `policy.publish`, …
    pub action: String,
    /// On what: a token's id, `name@revision`, an agent's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Further detail; never a secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What the object was before; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What the object is now; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// SHA-256 over the entry before and this one, in hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// Which entries of the audit log. Without `after` the newest come first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct AuditQuery {
    /// `next` of the page before; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most items of a page, 1 to 1,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
    /// Entries after this sequence, oldest first: for programs that follow the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only by this actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only by the API token with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Only this action, or all of a kind: `token` finds `token.create` and `token.delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only on this object; a policy's name finds all its revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Words, upper or lower case, each of which is found somewhere in actor, address, API token, action, object, detail or the change;
    /// 200 bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(max_length = 200))]
    pub search: Option<String>,
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Whether the audit log is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditVerification {
    /// When it was checked.
    pub at: Timestamp,
    /// Nothing was changed, removed or reordered.
    pub ok: bool,
    /// Entries that are right, one after the other.
    pub entries: u64,
    /// Sequence of the first of them; 0 if there is none.
    pub from: u64,
    /// Sequence of the last of them; 0 if there is none.
    pub to: u64,
    /// Hash of the last of them: whoever keeps it elsewhere can tell later that the log still holds what it held.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub head_hash: String,
    /// Sequence of the first entry that is wrong or missing; what follows cannot be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<u64>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Which part of the audit log to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct AuditExportQuery {
    /// Entries after this sequence; default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Asks for what follows in the audit log: an agent whose policy has a source `controller_audit`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentAuditQuery {
    /// Number of the last entry that is known; 0 for none.
    pub after: u64,
    /// Most entries, 0 to 1,000; default 500. 0 tells only where the log ends.
    pub limit: Option<u32>,
}

/// What follows in the audit log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentAuditPage {
    /// The entries, each as the JSON text that stands in the file: the hashes are over that.
    pub lines: Vec<String>,
    /// Number of the newest entry; 0 if there is none.
    pub newest: u64,
    /// Its hash; empty if there is none.
    pub newest_hash: String,
    /// Of a controller that was restored from a backup: the last entry that the log has in common with that of the
    /// controller that was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<AuditFork>,
}

/// An entry after which two histories of an audit log differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditFork {
    /// Its number; 0 if they have none in common.
    pub sequence: u64,
    /// Its hash; empty if there is none.
    pub hash: String,
}
