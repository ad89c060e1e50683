//! What is counted: one registry that heartbeats, the uplink and `show-state` read.

use crate::pipeline::{CountersSnapshot, SourceCounters};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counters of all sources, by name. They outlive a restart of the source's actor.
#[derive(Debug, Default)]
pub struct Telemetry {
    sources: Mutex<BTreeMap<String, Arc<SourceCounters>>>,
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
