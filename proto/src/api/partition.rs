//! The table of the fleet: partitions searched, filtered, sorted, grouped and told in windows.

use super::{AgentKind, AgentSummary, FlagKind, PolicyState};
use jiff::Timestamp;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which partitions, in which order, and which window of them. Everything given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct PartitionsQuery {
    /// Words, upper or lower case, each of which is found somewhere in name, id, partition, labels (`key=value`), release
    /// of the operating system, version, reason or attributes; 200 bytes at most.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "openapi", param(max_length = 200))]
    pub search: String,
    /// Only in one of these states, with commas between: `failed,degraded`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// Only with all of these labels, with commas between: `env=prod,site=zrh`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Only where the agent's version fulfils this requirement, as in the list of agents: `<0.4`, `>=0.2, <0.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Only with exactly this release of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_release: Option<String>,
    /// Only where the policy stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyState>,
    /// Only with a source that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<FlagKind>,
    /// Only agents of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AgentKind>,
    /// By what: `name` (default), `state` (the worst first), `os_release`, `version`, `rate` (events read per second over
    /// the last minute), `lag`, `policy`, `last_seen` or `label:KEY`. Where that is not known comes last in both orders;
    /// what is alike is told by name and id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// Rising (default) or falling.
    #[serde(default)]
    pub order: SortOrder,
    /// Adds sums by `state`, `version`, `os_release` or `label:KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Position of the first item among those that match, from 0 (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Most items, 0 to 500; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 0, maximum = 500))]
    pub limit: Option<u32>,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SortOrder {
    /// Rising.
    #[default]
    Asc,
    /// Falling.
    Desc,
}

/// A window of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionsView {
    /// When this was computed.
    pub at: Timestamp,
    /// All agents of the fleet.
    pub total: u64,
    /// Those that match.
    pub matching: u64,
    /// Position of the first item among those that match.
    pub offset: u64,
    /// The window.
    pub items: Vec<PartitionRow>,
    /// Sums over those that match, by the value that was asked for, of the 1,000 values with the most agents; empty without
    /// `group`.
    pub groups: Vec<PartitionGroup>,
    /// What there is to filter by, counted over the whole fleet.
    pub facets: PartitionFacets,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionRow {
    /// The agent.
    #[serde(flatten)]
    pub agent: AgentSummary,
    /// Its partition; absent where it was never told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "78A1B2C-3"))]
    pub partition: Option<PartitionKey>,
    /// System name of the partition; empty where it was never told.
    pub system: String,
    /// Events read per second over the last hour: 30 points of two minutes, oldest first; none where it was away.
    pub spark: Vec<Option<f32>>,
}

/// Sums over the agents with the same value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionGroup {
    /// The value; empty for those that have none.
    pub value: String,
    /// Agents.
    pub agents: u64,
    /// In the state `healthy`.
    pub healthy: u64,
    /// In the state `degraded`.
    pub degraded: u64,
    /// In the state `failed`.
    pub failed: u64,
    /// In the state `offline`.
    pub offline: u64,
    /// In another state.
    pub other: u64,
    /// Events read per second, over the last minute.
    pub received_per_s: f64,
    /// Greatest lag of those that are connected, in milliseconds.
    pub lag_ms: u64,
}

/// What there is to filter by: values with the number of agents that have them. Only the most frequent ones where there
/// are very many.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionFacets {
    /// By state.
    pub states: BTreeMap<String, u64>,
    /// By label: at most 50 keys, each with at most 100 values.
    pub labels: BTreeMap<String, BTreeMap<String, u64>>,
    /// By version of the agent, at most 100.
    pub versions: BTreeMap<String, u64>,
    /// By release of the operating system, at most 100.
    pub os_releases: BTreeMap<String, u64>,
}
