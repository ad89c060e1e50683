//! Policy documents, their revisions and where they stand.

use super::{Labels, PolicyState};
use jiff::Timestamp;
use muster_shared::id::{AgentId, Revision};
use serde::{Deserialize, Serialize};

/// One fault of a policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyFault {
    /// Line, from 1; 0 where it has no single place.
    pub line: u64,
    /// Column, from 1; 0 where it has no single place.
    pub column: u64,
    /// Path in the document, such as `spec.rules[2].match.users[0]`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Answer to a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyCheck {
    /// It could be published as it is.
    pub valid: bool,
    /// Name of the document, empty where it could not be read.
    #[serde(default)]
    pub name: String,
    /// Why not; empty if valid.
    #[serde(default)]
    pub faults: Vec<PolicyFault>,
    /// What is allowed but probably not meant.
    #[serde(default)]
    pub warnings: Vec<PolicyFault>,
    /// What would change against the current revision; empty where there is none.
    #[serde(default)]
    pub changes: Vec<PolicyChange>,
    /// How many agents it selects now.
    #[serde(default)]
    pub agents: u64,
}

/// A revision was published (or was current already).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyPublished {
    /// The revision.
    pub revision: PolicyRevisionView,
    /// False if the same content was current already: nothing was done.
    pub changed: bool,
    /// How many agents the document selects now.
    pub agents: u64,
    /// What is allowed but probably not meant.
    #[serde(default)]
    pub warnings: Vec<PolicyFault>,
}

/// One numbered, immutable revision of a document. Numbers are given over all documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyRevisionView {
    /// Name of the document.
    pub name: String,
    /// Number.
    pub revision: Revision,
    /// When it was published.
    pub published_at: Timestamp,
    /// By whom.
    pub published_by: String,
    /// This revision removed the document.
    #[serde(default)]
    pub removed: bool,
    /// Description in the document.
    #[serde(default)]
    pub description: String,
    /// Labels that it selects.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub selector: Labels,
    /// Its priority.
    #[serde(default)]
    pub priority: i32,
    /// SHA-256 of the text, in hex.
    pub sha256: String,
    /// Why it was published, in the words of whoever did; empty if nothing was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether it is, or was, in force for everybody.
    #[serde(default, skip_serializing_if = "RevisionStanding::is_in_force")]
    pub standing: RevisionStanding,
    /// The rollout that brings it, or brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<u64>,
}

/// Whether a revision is, or was, in force for everybody that it selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RevisionStanding {
    /// It was published to everybody, or its rollout is done.
    #[default]
    InForce,
    /// A rollout brings it to one partition after the other.
    Staged,
    /// Its rollout was rolled back: it never was in force for everybody.
    Withdrawn,
}

impl RevisionStanding {
    fn is_in_force(&self) -> bool {
        *self == Self::InForce
    }
}

/// A revision with its text, exactly as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyRevisionText {
    /// The revision.
    pub revision: PolicyRevisionView,
    /// YAML text; of a removing revision, the text that it removed.
    pub text: String,
    /// Its detached minisign signature, if it was published with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Which two revisions to compare.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct PolicyDiffQuery {
    /// The older; default the one before `to`, or nothing if `to` is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The newer; default the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// What differs between two revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyDiff {
    /// Name of the document.
    pub name: String,
    /// The older; 0 for "nothing".
    pub from: Revision,
    /// The newer.
    pub to: Revision,
    /// The differences.
    pub changes: Vec<PolicyChange>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyChange {
    /// Path in the document, such as `spec.rules[drop-zr].action`.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The value before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// The value after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
}

/// Kinds of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ChangeKind {
    /// Only in the newer.
    Added,
    /// Only in the older.
    Removed,
    /// In both, and different.
    Changed,
}

/// How far the current revision of a document has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyStatus {
    /// Name of the document.
    pub name: String,
    /// Its current revision.
    pub revision: Revision,
    /// Agents that run it.
    pub applied: u64,
    /// Agents that are changing over, or were told and have not answered.
    pub applying: u64,
    /// Agents that refused it.
    pub failed: u64,
    /// Agents that are offline and will be told when they return.
    pub waiting: u64,
    /// The agents that it selects, by name; at most 1,000, and if there are more, first those that failed, wait or
    /// change over.
    pub agents: Vec<PolicyStatusAgent>,
}

/// One agent in a [`PolicyStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyStatusAgent {
    /// The agent.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: PolicyState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}
