//! Event rates and lag.

use super::ComponentKind;
use jiff::Timestamp;
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which rates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RatesQuery {
    /// Agents report every second for the next 15 s; ask again within that time to keep it so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
    /// Only this agent (id or name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// What history tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HistoryMetric {
    /// Events read, per second.
    #[default]
    Received,
    /// Events kept by the filter, per second.
    Kept,
    /// Events dropped by the filter, per second.
    Dropped,
    /// Events handed over to destinations, per second.
    Delivered,
    /// Greatest lag in milliseconds.
    LagMs,
}

/// Which history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Of what.
    #[serde(default)]
    pub metric: HistoryMetric,
    /// Beginning; default 24 h before the end. A day is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// End; default now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Seconds of a step, 60 at least; default 300. At most 2,000 steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
}

/// History in steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryView {
    /// Of what.
    pub metric: HistoryMetric,
    /// Beginning of the first step.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// Seconds of a step.
    pub step: u64,
    /// Sources and destinations; one series for the fleet.
    pub series: Vec<HistorySeries>,
}

/// One line of history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistorySeries {
    /// Source, destination, or other for the fleet.
    pub kind: ComponentKind,
    /// Its name.
    pub name: String,
    /// A value for each step: events per second on average, or the greatest lag in milliseconds. None where the
    /// agent was away.
    pub values: Vec<Option<f64>>,
}

/// The rates of the fleet at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RatesView {
    /// When this was computed.
    pub at: Timestamp,
    /// Sum over the agents below.
    pub fleet: RateWindow,
    /// Each agent, by name.
    pub agents: Vec<AgentRates>,
}

/// The rates of one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentRates {
    /// The agent.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// When its counters were last heard; absent if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Timestamp>,
    /// Sum over its sources; `delivered` over its destinations.
    pub window: RateWindow,
    /// Greatest lag of its destinations in milliseconds: age of the oldest event not yet delivered.
    pub lag_ms: u64,
    /// Each source.
    pub sources: Vec<SourceRates>,
    /// Each destination.
    pub destinations: Vec<DestinationRates>,
}

/// Totals since the agent's start, and rates over three spans.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RateWindow {
    /// Since the agent's start.
    pub total: Totals,
    /// Between the last two reports (about 1 s while watched, else the heartbeat interval).
    pub now: PerSecond,
    /// Over the last minute.
    pub minute: PerSecond,
    /// Over the last hour, or since the first report where that is shorter ago.
    #[serde(default)]
    pub hour: PerSecond,
}

/// Counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Totals {
    /// Events read from sources.
    pub received: u64,
    /// Events that the filter kept.
    pub kept: u64,
    /// Events that the filter dropped.
    pub dropped: u64,
    /// Events handed over to destinations (one event to two destinations counts twice).
    pub delivered: u64,
}

/// Events per second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PerSecond {
    /// Read from sources.
    pub received: f64,
    /// Kept by the filter.
    pub kept: f64,
    /// Dropped by the filter.
    pub dropped: f64,
    /// Handed over to destinations.
    pub delivered: f64,
}

/// The rates of a source; `delivered` is 0, for that is counted per destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceRates {
    /// Name in the policy.
    pub name: String,
    /// Counters and rates.
    pub window: RateWindow,
    /// Dropped, by the name of the rule or exclude that did it.
    #[serde(default)]
    pub dropped_by_rule: BTreeMap<String, u64>,
    /// Kept by a rule, or let pass by one that throttles, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept_by_rule: BTreeMap<String, u64>,
    /// Held back by a rule that throttles, by its name; they are among those dropped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub throttled_by_rule: BTreeMap<String, u64>,
    /// How often an expression of the policy failed, by where it stands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expression_faults: BTreeMap<String, u64>,
    /// Age of the newest event read when it was read, in milliseconds.
    pub lag_ms: u64,
    /// What else it counts.
    #[serde(default)]
    pub counters: SourceCounters,
}

/// What a source counts beside events, since the agent's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceCounters {
    /// Bytes of entry data read.
    pub bytes: u64,
    /// Entries of a type that no layout covers; they are kept as hexadecimal digits.
    pub unknown_types: u64,
    /// Entries shorter than their layout.
    pub short_entries: u64,
    /// Rows that could be read only in part.
    pub bad_rows: u64,
    /// Time of the newest event read; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<Timestamp>,
}

/// The rates of a destination; only `delivered` is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DestinationRates {
    /// Name in the policy.
    pub name: String,
    /// Delivered in all.
    pub delivered: u64,
    /// Per second, between the last two reports.
    pub delivered_now: f64,
    /// Per second, over the last minute.
    pub delivered_minute: f64,
    /// Per second, over the last hour.
    #[serde(default)]
    pub delivered_hour: f64,
    /// Age of the oldest event not yet delivered, in milliseconds.
    pub lag_ms: u64,
    /// What else it counts.
    #[serde(default)]
    pub counters: DestinationCounters,
}

/// What a destination counts beside events, since the agent's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DestinationCounters {
    /// Bytes handed over.
    pub bytes: u64,
    /// Bytes that wait now.
    pub queue_bytes: u64,
    /// Events sent again after a break: possible duplicates.
    pub replayed: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Events cut to the length of a datagram.
    pub truncated: u64,
    /// Datagrams that the network is known to have refused.
    pub lost_datagrams: u64,
}
