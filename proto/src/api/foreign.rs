//! Foreign OpAMP agents: their tokens and the configurations that an operator gives them.

use super::Labels;
use jiff::Timestamp;
use muster_shared::id::{AgentId, Revision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// Muster's own.
    #[default]
    Muster,
    /// Another OpAMP agent: seen, and given configuration files; no policies, secrets or packages.
    Foreign,
}

/// Asks for the token of a foreign agent. All fields may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ForeignTokenRequest {
    /// Until its first use, in seconds: 1 to 90 days; default 24 hours. Once used it stays good until it is
    /// deleted or its agent removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// Labels that its agent gets.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// One line for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A new token. This is the only time that its text is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForeignTokenCreated {
    /// Its public part.
    pub view: ForeignTokenView,
    /// The token's text, `musterf1.…`; the agent sends it as `Authorization: Bearer` with each connection.
    pub token: String,
    /// URLs for the agent's configuration: WebSocket, then HTTP.
    pub urls: Vec<String>,
}

/// What is known of a token; never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForeignTokenView {
    /// Id, by which it can be deleted.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it stops working if nobody has used it.
    pub expires_at: Timestamp,
    /// The agent that it is bound to since its first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Labels that its agent gets.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// One line for people.
    #[serde(default)]
    pub note: String,
}

impl fmt::Debug for ForeignTokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignTokenCreated").field("view", &self.view).finish_non_exhaustive()
    }
}

/// A file of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Its text.
    pub body: String,
    /// MIME type, such as `text/yaml` or `application/json`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
}

/// Sets the configuration of foreign agents: the whole set of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfigRequest {
    /// Whom it is for.
    pub target: ConfigTarget,
    /// Files by name; the name may be empty for a single file.
    pub files: BTreeMap<String, ConfigFile>,
}

/// A configuration of foreign agents as it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigView {
    /// For one agent, or for all foreign agents with certain labels.
    pub target: ConfigTarget,
    /// Number of this configuration: grows with each that is set, whatever for.
    pub revision: Revision,
    /// When it was set.
    pub set_at: Timestamp,
    /// By whom.
    pub set_by: String,
    /// OpAMP hash of the files in hex.
    pub hash: String,
    /// The files by name.
    pub files: BTreeMap<String, ConfigFile>,
}

/// Whom a configuration is for. The one for an agent itself wins; then the selector with the most labels,
/// then the newer one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConfigTarget {
    /// One agent.
    Agent(AgentId),
    /// All foreign agents that have these labels; none: all of them.
    Selector(BTreeMap<String, String>),
}
