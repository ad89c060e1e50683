//! What is counted: one registry that heartbeats, the uplink and `show-state` read.

use crate::destination::Stats;
use crate::lane::Lane;
use crate::pipeline::{CountersSnapshot, SourceCounters};
use crate::uplink::RatesSnapshot;
use muster_proto::session::rates::{DestinationRates, SourceRates};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the figures of one destination are.
#[derive(Debug, Clone)]
pub struct DestinationFigures {
    /// Its own figures.
    pub stats: Arc<Stats>,
    /// Its lanes, which count what is sent again.
    pub lanes: Vec<Arc<Lane>>,
}

/// Counters of all sources and destinations, by name. They outlive a restart of the actors.
#[derive(Debug, Default)]
pub struct Telemetry {
    sources: Mutex<BTreeMap<String, Arc<SourceCounters>>>,
    destinations: Mutex<BTreeMap<String, DestinationFigures>>,
}

impl Telemetry {
    // A map of shared counters: usable after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<SourceCounters>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counters of a source; made at first use.
    pub fn source(&self, name: &str) -> Arc<SourceCounters> {
        Arc::clone(self.lock().entry(name.to_owned()).or_default())
    }

    /// Forgets a source that the policy does not name any more.
    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The destinations of the policy in force.
    pub fn set_destinations(&self, destinations: BTreeMap<String, DestinationFigures>) {
        *self.destinations.lock().unwrap_or_else(PoisonError::into_inner) = destinations;
    }

    /// All counters as the controller gets them; `now_us` is microseconds since 1970 UTC.
    #[must_use]
    pub fn rates(&self, now_us: i64) -> RatesSnapshot {
        let sources = self.snapshot().into_iter().map(|(name, counters)| (name, source_rates(counters)));
        let destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let destinations = destinations.into_iter().map(|(name, of)| (name, destination_rates(&of, now_us)));
        RatesSnapshot { sources: sources.collect(), destinations: destinations.collect() }
    }

    /// Counters of every source.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, CountersSnapshot> {
        self.lock().iter().map(|(name, counters)| (name.clone(), counters.snapshot())).collect()
    }

    /// Events dropped by policy, over all sources.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().values().map(|counters| counters.snapshot().dropped).sum()
    }

    /// The largest lag of a source in milliseconds.
    #[must_use]
    pub fn lag_ms(&self) -> u64 {
        self.lock().values().map(|counters| counters.snapshot().lag_ms).max().unwrap_or(0)
    }
}

fn source_rates(counters: CountersSnapshot) -> SourceRates {
    let seen = counters.newest_us > 0;
    SourceRates {
        received: counters.received,
        bytes: counters.bytes,
        decoded_unknown: counters.unknown,
        decoded_short: counters.short,
        kept: counters.kept,
        dropped: counters.dropped,
        dropped_by_rule: counters.rules.dropped.into_iter().collect(),
        kept_by_rule: counters.rules.kept.into_iter().collect(),
        throttled_by_rule: counters.rules.held_back.into_iter().collect(),
        expression_faults: counters.rules.faults.into_iter().map(|(place, of)| (place, of.count)).collect(),
        lag_ms: seen.then_some(counters.lag_ms),
        bad_rows: counters.bad_rows,
        last_event_unix_ms: seen.then(|| (counters.newest_us / 1000).unsigned_abs()),
    }
}

fn destination_rates(of: &DestinationFigures, now_us: i64) -> DestinationRates {
    let stats = of.stats.snapshot();
    DestinationRates {
        delivered: stats.delivered,
        replayed: of.lanes.iter().map(|lane| lane.replayed()).sum(),
        bytes: stats.bytes,
        queue_bytes: stats.queued_bytes as u64,
        reconnects: stats.connections.saturating_sub(1),
        lag_ms: of.lanes.iter().filter_map(|lane| lane.lag_ms(now_us)).max(),
        truncated: of.lanes.iter().map(|lane| lane.truncated()).sum(),
        lost_datagrams: stats.lost_datagrams,
    }
}
