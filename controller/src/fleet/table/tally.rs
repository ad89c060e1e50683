//! What agents sum up to, and what there is to filter by.

use super::Facts;
use super::order::Natural;
use muster_proto::api::{AgentState, PartitionFacets, PartitionGroup};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Groups that are told.
const MAX_GROUPS: usize = 1_000;
/// Keys of labels that are told.
const MAX_KEYS: usize = 50;
/// Values of a key that are told.
const MAX_VALUES: usize = 100;

/// Something for each name, in the order in which they came.
#[derive(Debug)]
struct Named<T> {
    places: HashMap<String, usize>,
    all: Vec<(String, T)>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), all: Vec::new() }
    }
}

impl<T: Default> Named<T> {
    /// The place of a name, which is copied only where it is new.
    fn of(&mut self, name: &str) -> &mut T {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                self.places.insert(name.to_owned(), self.all.len());
                self.all.push((name.to_owned(), T::default()));
                self.all.len() - 1
            }
        };
        &mut self.all[place].1
    }

    /// At most `limit` of them: those with the most agents, by name where alike.
    fn most(mut self, limit: usize, agents: impl Fn(&T) -> u64) -> Vec<(String, T)> {
        if self.all.len() > limit {
            let rank = |(name, counted): &(String, T)| (Reverse(agents(counted)), name.clone());
            self.all.sort_by_cached_key(rank);
            self.all.truncate(limit);
        }
        self.all
    }
}

/// Sums by value.
#[derive(Debug, Default)]
pub(super) struct Groups(Named<PartitionGroup>);

impl Groups {
    pub(super) fn add(&mut self, value: &str, facts: &Facts<'_>) {
        let group = self.0.of(value);
        group.agents += 1;
        match facts.state {
            AgentState::Healthy => group.healthy += 1,
            AgentState::Degraded => group.degraded += 1,
            AgentState::Failed => group.failed += 1,
            AgentState::Offline => group.offline += 1,
            AgentState::Reconnecting
            | AgentState::PlannedOutage
            | AgentState::Quarantined
            | AgentState::NeverConnected => group.other += 1,
        }
        group.received_per_s += facts.received;
        group.lag_ms = group.lag_ms.max(facts.lag_ms);
    }

    /// The largest groups by their value; those without one come last.
    pub(super) fn done(self) -> Vec<PartitionGroup> {
        let named = self
            .0
            .most(MAX_GROUPS, |group| group.agents)
            .into_iter()
            .map(|(value, group)| PartitionGroup { value, ..group });
        let mut groups: Vec<PartitionGroup> = named.collect();
        groups.sort_by_cached_key(|group| {
            (group.value.is_empty(), Natural::of(&group.value), group.value.clone())
        });
        groups
    }
}

/// Counts by value.
#[derive(Debug, Default)]
pub(super) struct Facets {
    states: Named<u64>,
    labels: Named<Named<u64>>,
    versions: Named<u64>,
    os_releases: Named<u64>,
}

impl Facets {
    pub(super) fn count(&mut self, facts: &Facts<'_>) {
        *self.states.of(facts.state.word()) += 1;
        for (key, value) in facts.labels {
            *self.labels.of(key).of(value) += 1;
        }
        let told = [(&mut self.versions, facts.version), (&mut self.os_releases, facts.os_release)];
        for (counts, value) in told.into_iter().filter(|(_, value)| !value.is_empty()) {
            *counts.of(value) += 1;
        }
    }

    pub(super) fn done(self) -> PartitionFacets {
        let values = |values: Named<u64>| values.most(MAX_VALUES, |count| *count).into_iter().collect();
        let agents = |values: &Named<u64>| values.all.iter().map(|(_, count)| count).sum::<u64>();
        let labels = self.labels.most(MAX_KEYS, agents).into_iter();
        PartitionFacets {
            labels: labels.map(|(key, counts)| (key, values(counts))).collect(),
            states: values(self.states),
            versions: values(self.versions),
            os_releases: values(self.os_releases),
        }
    }
}
