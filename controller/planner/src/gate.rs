//! Whether a partition is well with the change, against what it was like before.

use crate::Observation;
use jiff::Timestamp;
use muster_proto::api::RolloutGates;
use serde::{Deserialize, Serialize};

/// Rates below this are too low to be compared, in events a second.
const LEAST_RATE: f64 = 1.0;
/// Shortest span over which a rate is measured, in milliseconds.
const LEAST_SPAN_MS: i64 = 5_000;
/// Fewest events that a share of errors is told of.
const LEAST_EVENTS: u64 = 20;

/// Cumulative counters of all sources and destinations of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// When they were counted, in Unix milliseconds of the agent's clock.
    pub at_ms: i64,
    /// Which process counted: counters of another one cannot be compared.
    pub boot: u64,
    /// Events received.
    pub received: u64,
    /// Events with an error: not decoded, cut, lost.
    pub errors: u64,
}

impl Counters {
    /// What was counted between `before` and now; `None` if that cannot be told.
    fn since(&self, before: &Self) -> Option<(i64, u64, u64)> {
        let ms = self.at_ms - before.at_ms;
        let same = self.boot == before.boot && ms > 0;
        same.then(|| {
            let (received, errors) = (self.received, self.errors);
            (ms, received.saturating_sub(before.received), errors.saturating_sub(before.errors))
        })
    }
}

/// What a partition was like before the change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Before {
    /// Components that did not work.
    pub unwell: Vec<String>,
    /// Its lag in milliseconds.
    pub lag_ms: u64,
    /// Received events a second.
    pub rate: f64,
    /// Share of events with errors, in percent.
    pub error_percent: f64,
    /// Its counters when it was first seen to run the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
}

impl Before {
    /// As it is seen now.
    #[must_use]
    pub fn of(seen: &Observation) -> Self {
        let share = |c: &Counters| percent(c.errors, c.received);
        Self {
            unwell: seen.unwell.iter().map(|(name, _)| name.clone()).collect(),
            lag_ms: seen.lag_ms,
            rate: seen.rate,
            error_percent: seen.counters.as_ref().map_or(0.0, share),
            counters: None,
        }
    }
}

#[allow(clippy::cast_precision_loss)] // for comparing with a limit that people set
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Why a partition is not well with the change; `None` if it is.
pub(crate) fn fault(seen: &Observation, before: &Before, gates: &RolloutGates) -> Option<String> {
    if gates.health {
        let new = seen.unwell.iter().find(|(name, _)| !before.unwell.contains(name));
        if let Some((name, why)) = new {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            return Some(format!("{name} does not work{why}"));
        }
    }
    if let Some(limit) = gates.max_lag_seconds {
        let limit_ms = limit.saturating_mul(1_000).max(before.lag_ms);
        if seen.lag_ms > limit_ms {
            return Some(format!(
                "it lags {} s behind, more than {} s",
                seen.lag_ms / 1_000,
                limit_ms / 1_000
            ));
        }
    }
    let (ms, received, errors) = seen.counters.as_ref()?.since(before.counters.as_ref()?)?;
    if let Some(limit) = gates.max_error_percent.map(|limit| limit.max(before.error_percent))
        && received >= LEAST_EVENTS
        && percent(errors, received) > limit
    {
        let share = percent(errors, received);
        return Some(format!("{share:.1} % of its events have errors, more than {limit:.1} %"));
    }
    rate_fault(ms, received, before, gates)
}

fn rate_fault(ms: i64, received: u64, before: &Before, gates: &RolloutGates) -> Option<String> {
    if ms < LEAST_SPAN_MS || before.rate < LEAST_RATE {
        return None;
    }
    #[allow(clippy::cast_precision_loss)] // for comparing with a limit that people set
    let rate = received as f64 * 1_000.0 / ms as f64;
    let share = rate / before.rate * 100.0;
    let told = |word: &str, limit: u32| {
        format!("it receives {rate:.1} events/s, {word} than {limit} % of the {:.1} before", before.rate)
    };
    let low = gates.min_rate_percent.filter(|limit| share < f64::from(*limit));
    let high = gates.max_rate_percent.filter(|limit| share > f64::from(*limit));
    low.map(|limit| told("less", limit)).or_else(|| high.map(|limit| told("more", limit)))
}

/// Counters that are newer than `moment`.
pub(crate) fn is_fresh(seen: &Observation, moment: Timestamp) -> bool {
    seen.reported_at.is_none_or(|at| at >= moment)
}
