//! Event rates and lag.

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

/// Totals since the agent's start, and rates over two spans.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RateWindow {
    /// Since the agent's start.
    pub total: Totals,
    /// Between the last two reports (about 1 s while watched, else the heartbeat interval).
    pub now: PerSecond,
    /// Over the last minute.
    pub minute: PerSecond,
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
    /// Age of the newest event read when it was read, in milliseconds.
    pub lag_ms: u64,
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
    /// Age of the oldest event not yet delivered, in milliseconds.
    pub lag_ms: u64,
}
