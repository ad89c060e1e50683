//! The table of the fleet: which partitions, in which order, and what they sum up to. Pure.
//!
//! Agents are shown one after the other to a [`Look`], as [`Facts`] that borrow from them: nothing of an agent is copied
//! but what it is sorted by, so that thousands cost little. What is told of those on a page is worked out afterwards.

mod filter;
mod order;
mod tally;

pub use filter::Filter;
pub use order::{Column, GroupBy, NoColumn};

use jiff::Timestamp;
use muster_package::Version;
use muster_proto::api::{
    AgentKind, AgentState, FlagKind, Labels, PartitionFacets, PartitionGroup, PolicyState, SortOrder,
};
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use order::Key;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tally::{Facets, Groups};

/// What the table knows of one agent.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Identity.
    pub id: AgentId,
    /// Muster's own, or another.
    pub kind: AgentKind,
    /// Name for people.
    pub name: Cow<'a, str>,
    /// Labels.
    pub labels: &'a Labels,
    /// Its partition.
    pub partition: Option<&'a PartitionKey>,
    /// What it told of its host.
    pub attributes: &'a BTreeMap<String, String>,
    /// The one state.
    pub state: AgentState,
    /// Why it is not well.
    pub reason: Cow<'a, str>,
    /// Version of the agent; empty where it was never told.
    pub version: &'a str,
    /// Release of the operating system; empty where it was never told.
    pub os_release: &'a str,
    /// Where it stands with its policy.
    pub policy: PolicyState,
    /// It has a silent source.
    pub silent: bool,
    /// It has a noisy source.
    pub noisy: bool,
    /// Events read per second, over the last minute.
    pub received: f64,
    /// Greatest lag in milliseconds.
    pub lag_ms: u64,
    /// When it was last heard.
    pub last_seen: Option<Timestamp>,
}

impl Facts<'_> {
    /// The version, as far as it is one.
    fn version(&self) -> Option<Version> {
        self.version.parse().ok()
    }

    fn has(&self, flag: FlagKind) -> bool {
        match flag {
            FlagKind::Silent => self.silent,
            FlagKind::Noisy => self.noisy,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Which agents.
    pub filter: Filter,
    /// By what they are sorted.
    pub sort: Column,
    /// Rising or falling.
    pub order: SortOrder,
    /// By what they are summed up.
    pub group: Option<GroupBy>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Agents looked at.
    pub total: u64,
    /// Those that match, in their order.
    pub ids: Vec<AgentId>,
    /// Sums over those that match.
    pub groups: Vec<PartitionGroup>,
    /// What there is, over all.
    pub facets: PartitionFacets,
}

/// A look at all agents.
#[derive(Debug)]
pub struct Look<'w> {
    wanted: &'w Wanted,
    total: u64,
    keys: Vec<Key>,
    groups: Groups,
    facets: Facets,
    /// Memory that is used again for each agent.
    text: String,
}

impl<'w> Look<'w> {
    /// Begins.
    #[must_use]
    pub fn new(wanted: &'w Wanted) -> Self {
        Self {
            wanted,
            total: 0,
            keys: Vec::new(),
            groups: Groups::default(),
            facets: Facets::default(),
            text: String::new(),
        }
    }

    /// Takes an agent.
    pub fn at(&mut self, facts: &Facts<'_>) {
        self.total += 1;
        self.facets.count(facts);
        if !self.wanted.filter.finds(facts, &mut self.text) {
            return;
        }
        if let Some(group) = &self.wanted.group {
            self.groups.add(group.value(facts), facts);
        }
        self.keys.push(Key::of(facts, &self.wanted.sort));
    }

    /// All were looked at.
    #[must_use]
    pub fn done(mut self) -> Found {
        let order = self.wanted.order;
        self.keys.sort_unstable_by(|a, b| a.compare(b, order));
        Found {
            total: self.total,
            ids: self.keys.into_iter().map(|key| key.id).collect(),
            groups: self.groups.done(),
            facets: self.facets.done(),
        }
    }
}

/// The part of a list from `offset` on, at most `limit` long.
#[must_use]
pub fn window<T>(all: &[T], offset: u64, limit: usize) -> &[T] {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
    &all[from..from.saturating_add(limit).min(all.len())]
}

#[cfg(test)]
mod tests;
