//! Rollouts of policies and of packages: what is stored of them, and who has which.
//!
//! A rollout's new revisions are stored with it, staged: an agent gets them when the planner
//! ([`muster_planner`]) says so, and everybody when it is done. Each step is stored before it is acted on, so that
//! after a crash it goes on where it was. [`driver`] makes the steps, [`observe`] looks at the agents,
//! [`package`] is what is different where a package is brought.

pub mod driver;
pub mod observe;
pub mod package;

use crate::policy::StoredRevision;
use crate::store::{self, Batch, Condition, SharedStore, Store, StoreError};
use jiff::Timestamp;
use muster_planner::{Rollout, State, Step, Target};
use muster_proto::api::{
    RolloutChange, RolloutNote, RolloutPartition, RolloutState, RolloutSummary, RolloutView,
};
use muster_shared::id::AgentId;
use package::StoredPackage;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Prefix of the keys of rollouts.
pub(crate) const HEADS: &str = "rollout/head/";
/// Prefix of the keys of their partitions.
const TARGETS: &str = "rollout/target/";
/// Key of the last number given.
pub(crate) const LAST: &str = "rollout/last";
/// Notes kept of one rollout.
const MAX_NOTES: usize = 500;
/// Rollouts under way at the same time.
pub const MAX_ACTIVE: usize = 20;
/// Rollouts that are over and still listed.
const MAX_LISTED: usize = 200;
/// Of those, the ones whose partitions are still told.
const MAX_DETAILED: usize = 5;

/// A rollout as it is stored, its partitions apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredRollout {
    /// Its number.
    pub id: u64,
    /// What it is for.
    pub description: String,
    /// What it changes.
    pub changes: Vec<RolloutChange>,
    /// The package that it brings; then it changes no policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<StoredPackage>,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// What happened, oldest first.
    pub log: Vec<RolloutNote>,
    /// The planner's state.
    pub rollout: Rollout,
}

/// Rollouts, those under way with their partitions.
pub struct Rollouts {
    store: SharedStore,
    active: Mutex<BTreeMap<u64, StoredRollout>>,
    /// Held over a step of any rollout: from looking to having acted.
    steps: tokio::sync::Mutex<()>,
    wanted: Notify,
}

fn head_key(id: u64) -> String {
    format!("{HEADS}{id:020}")
}

fn targets_prefix(id: u64) -> String {
    format!("{TARGETS}{id:020}/")
}

fn target_key(id: u64, agent: AgentId) -> String {
    format!("{TARGETS}{id:020}/{agent}")
}

/// The partitions of a rollout.
///
/// # Errors
/// If the store cannot be read.
pub fn targets(store: &dyn Store, id: u64) -> Result<BTreeMap<AgentId, Target>, StoreError> {
    let prefix = targets_prefix(id);
    let all = store::scan_json::<Target>(store, &prefix)?;
    Ok(all
        .into_iter()
        .filter_map(|(key, target)| Some((key.strip_prefix(&prefix)?.parse().ok()?, target)))
        .collect())
}

impl Rollouts {
    /// Reads those under way.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(store: SharedStore, now: Timestamp) -> Result<Self, StoreError> {
        let mut active = BTreeMap::new();
        for (_, mut stored) in store::scan_json::<StoredRollout>(&*store, HEADS)? {
            if !stored.rollout.phase.is_over() {
                stored.rollout.targets = targets(&*store, stored.id)?;
                // While nobody looked no deadline passed.
                stored.rollout.looked_away_until(now);
                active.insert(stored.id, stored);
            }
        }
        Ok(Self {
            store,
            active: Mutex::new(active),
            steps: tokio::sync::Mutex::default(),
            wanted: Notify::new(),
        })
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<u64, StoredRollout>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rollouts whose change each agent has.
    #[must_use]
    pub fn staged(&self) -> BTreeMap<AgentId, Vec<u64>> {
        let mut staged: BTreeMap<AgentId, Vec<u64>> = BTreeMap::new();
        for (id, stored) in self.active().iter().filter(|(_, stored)| stored.package.is_none()) {
            for (agent, _) in stored.rollout.targets.iter().filter(|(_, t)| t.state.has_change()) {
                staged.entry(*agent).or_default().push(*id);
            }
        }
        staged
    }

    /// Numbers of those under way.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        self.active().keys().copied().collect()
    }

    /// One that is under way.
    #[must_use]
    pub fn find_active(&self, id: u64) -> Option<StoredRollout> {
        self.active().get(&id).cloned()
    }

    /// The package that one under way brings.
    #[must_use]
    pub fn package(&self, id: u64) -> Option<StoredPackage> {
        self.active().get(&id)?.package.clone()
    }

    /// Agents that rollouts but `id` are changing, and which one that is. One that began earlier has its partitions until
    /// it is over, so that no two wait for each other and none is judged by what the other did.
    #[must_use]
    pub fn busy(&self, id: u64) -> BTreeMap<AgentId, u64> {
        let mut busy = BTreeMap::new();
        for (other, stored) in self.active().iter().filter(|(other, _)| **other != id) {
            let holds = |state: &State| match state {
                State::Offered { .. } | State::Unwell { .. } | State::GoingBack { .. } => true,
                State::Planned
                | State::Proving { .. }
                | State::Proven { .. }
                | State::Failed { .. }
                | State::Accepted { .. } => *other < id,
                State::Back | State::Gone => false,
            };
            let held = stored.rollout.targets.iter().filter(|(_, t)| holds(&t.state));
            busy.extend(held.map(|(agent, _)| (*agent, *other)));
        }
        busy
    }

    /// Any rollout, without its partitions if it is over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn find(&self, id: u64) -> Result<Option<StoredRollout>, StoreError> {
        match self.find_active(id) {
            Some(stored) => Ok(Some(stored)),
            None => store::get_json(&*self.store, &head_key(id)),
        }
    }

    /// All rollouts, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn all(&self) -> Result<Vec<StoredRollout>, StoreError> {
        let mut all: Vec<_> = store::scan_json::<StoredRollout>(&*self.store, HEADS)?;
        all.reverse();
        let active = self.active();
        Ok(all.into_iter().map(|(_, stored)| active.get(&stored.id).cloned().unwrap_or(stored)).collect())
    }

    /// Waits for the right to change a rollout.
    pub async fn stepping(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.steps.lock().await
    }

    /// The number of the next one, with what makes sure that nobody else takes it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn next_number(&self, batch: &mut Batch) -> Result<u64, StoreError> {
        let last: Option<u64> = store::get_json(&*self.store, LAST)?;
        let free = last.map_or(Condition::Absent, |last| Condition::Equals(store::encode(&last)));
        let number = last.unwrap_or(0) + 1;
        batch.put_json(LAST, free, &number);
        Ok(number)
    }

    /// Takes over a rollout that is stored; forgets it where it is over.
    pub fn take(&self, stored: StoredRollout) {
        let mut active = self.active();
        if stored.rollout.phase.is_over() {
            active.remove(&stored.id);
        } else {
            active.insert(stored.id, stored);
        }
        drop(active);
        self.nudge();
    }

    /// Something happened that a rollout may wait for.
    pub fn nudge(&self) {
        self.wanted.notify_one();
    }

    /// Ends when [`Rollouts::nudge`] was called.
    pub async fn nudged(&self) {
        self.wanted.notified().await;
    }

    /// Adds the deletion of what is kept no longer.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn prune(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let over: Vec<u64> =
            self.all()?.into_iter().filter(|s| s.rollout.phase.is_over()).map(|s| s.id).collect();
        for id in over.iter().skip(MAX_DETAILED) {
            // Those of older ones are gone already.
            for (key, _) in self.store.scan(&targets_prefix(*id), None, usize::MAX)? {
                batch.delete(key, Condition::Any);
            }
        }
        for id in over.iter().skip(MAX_LISTED) {
            batch.delete(head_key(*id), Condition::Any);
        }
        Ok(())
    }
}

impl StoredRollout {
    /// Adds what a step changed to a batch.
    pub fn add_step(&mut self, step: &Step, now: Timestamp, batch: &mut Batch) {
        let notes = step.notes.iter().map(|text| RolloutNote { at: now, text: text.clone() });
        self.log.extend(notes);
        let surplus = self.log.len().saturating_sub(MAX_NOTES);
        self.log.drain(..surplus);
        if self.rollout.phase.is_over() && self.ended_at.is_none() {
            self.ended_at = Some(now);
        }
        batch.put_json(head_key(self.id), Condition::Any, self);
        for agent in step.changed.iter().collect::<BTreeSet<_>>() {
            if let Some(target) = self.rollout.targets.get(agent) {
                batch.put_json(target_key(self.id, *agent), Condition::Any, target);
            }
        }
    }

    /// Adds all of it to a batch.
    pub fn add_new(&self, batch: &mut Batch) {
        batch.put_json(head_key(self.id), Condition::Absent, self);
        for (agent, target) in &self.rollout.targets {
            batch.put_json(target_key(self.id, *agent), Condition::Absent, target);
        }
    }

    fn reason(&self) -> String {
        use muster_planner::Phase;
        match &self.rollout.phase {
            Phase::Running | Phase::Done { .. } => String::new(),
            Phase::Paused { reason, by, .. } if reason.is_empty() => format!("paused by {by}"),
            Phase::Paused { reason, .. }
            | Phase::Halted { reason, .. }
            | Phase::GoingBack { reason, .. }
            | Phase::RolledBack { reason, .. } => reason.clone(),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> RolloutState {
        self.rollout.phase.word()
    }

    /// As it is shown; `waiting` in words.
    #[must_use]
    pub fn view(&self, waiting: Vec<String>) -> RolloutView {
        RolloutView {
            id: self.id,
            state: self.state(),
            reason: self.reason(),
            description: self.description.clone(),
            changes: self.changes.clone(),
            package: self.package.as_ref().map(StoredPackage::view),
            labels: self.package.as_ref().map(|package| package.labels.clone()).unwrap_or_default(),
            strategy: self.rollout.strategy.clone(),
            started_by: self.started_by.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            waves: self.rollout.wave_views(),
            wave: self.rollout.wave as u64,
            waiting,
            log: self.log.clone(),
        }
    }

    /// As it is listed.
    #[must_use]
    pub fn summary(&self) -> RolloutSummary {
        let waves = self.rollout.wave_views();
        RolloutSummary {
            id: self.id,
            state: self.state(),
            description: self.description.clone(),
            changes: self.changes.clone(),
            package: self.package.as_ref().map(StoredPackage::view),
            started_by: self.started_by.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            partitions: waves.iter().map(|w| w.partitions).sum(),
            proven: waves.iter().map(|w| w.proven).sum(),
            failed: waves.iter().map(|w| w.failed).sum(),
        }
    }

    /// Its partitions.
    pub fn partitions<'r>(
        &'r self,
        name: impl Fn(AgentId) -> String + 'r,
    ) -> impl Iterator<Item = RolloutPartition> + 'r {
        self.rollout.targets.iter().map(move |(id, target)| {
            let (state, since, reason) = target.state.told();
            let (name, wave, reason) = (name(*id), target.wave as u64, reason.to_owned());
            RolloutPartition { id: *id, name, wave, state, since, reason }
        })
    }
}

/// The changes that revisions of a rollout are.
#[must_use]
pub fn changes(revisions: &[StoredRevision], from: impl Fn(&str) -> u64) -> Vec<RolloutChange> {
    let change = |stored: &StoredRevision| RolloutChange {
        name: stored.view.name.clone(),
        from: muster_shared::id::Revision(from(&stored.view.name)),
        to: stored.view.revision,
        removed: stored.view.removed,
    };
    revisions.iter().map(change).collect()
}
