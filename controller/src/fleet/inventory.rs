//! All agents, in memory. Locks are held for pure work only, never while waiting: one for each agent, so that
//! what is worked out for one holds up no other, and one for the map, which is written only when an agent comes
//! or goes.

use super::agent::Agent;
use super::config_state::ConfigState;
use super::configs::{ConfigBook, StoredConfig};
use super::effective::Texts;
use super::link::Link;
use super::observed::Observed;
use super::record::{self, AgentRecord, Life};
use super::upgrade::UpgradeState;
use crate::gateway::outbox::Outbox;
use crate::policy::PolicyBook;
use crate::policy::assign::Desired;
use crate::policy::plan::FleetFacts;
use crate::store::{self, Store, StoreError, packed};
use muster_proto::api::Labels;
use muster_proto::opamp::attribute;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use muster_shared::policy::limits::Limits;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Agents = BTreeMap<AgentId, Arc<Mutex<Agent>>>;

fn lock(agent: &Mutex<Agent>) -> MutexGuard<'_, Agent> {
    agent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every enrolled agent.
#[derive(Debug, Default)]
pub struct Fleet {
    agents: RwLock<Agents>,
    epochs: AtomicU64,
    /// Held over reading, storing and taking over a record, so that two changes do not undo each other.
    record_writes: tokio::sync::RwLock<()>,
    texts: Texts,
    /// What foreign agents should run. Locked before agents where both are.
    configs: Mutex<ConfigBook>,
    /// Which agents are of a partition.
    partitions: Mutex<Partitions>,
}

type Partitions = HashMap<PartitionKey, BTreeSet<AgentId>>;

impl Fleet {
    /// Reads all agents from the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(
        store: &dyn Store,
        book: &PolicyBook,
        staged: &BTreeMap<AgentId, Vec<u64>>,
    ) -> Result<Self, StoreError> {
        let mut agents = BTreeMap::new();
        let mut partitions = Partitions::new();
        let mut outages = super::outage::load(store)?;
        let configs = ConfigBook::load(store)?;
        for (_, record) in store::scan_json::<AgentRecord>(store, record::PREFIX)? {
            let observed = packed::get(store, &Observed::key(record.id))?.unwrap_or_default();
            let state = packed::get(store, &ConfigState::key(record.id))?.unwrap_or_default();
            let id = record.id;
            if let Some(partition) = &record.partition {
                partitions.entry(partition.clone()).or_default().insert(id);
            }
            let staged = staged.get(&id).map_or(&[][..], Vec::as_slice);
            let desired = match record.foreign {
                Some(_) => configs.desired(&record),
                None => book.desired(&record.labels, staged),
            };
            let mut agent = Agent::new(record, observed, state, desired);
            agent.staged = staged.into();
            agent.upgrade = packed::get(store, &UpgradeState::key(id))?.unwrap_or_default();
            agent.outage = outages.remove(&id).map(Box::new);
            agents.insert(id, Arc::new(Mutex::new(agent)));
        }
        Ok(Self {
            agents: RwLock::new(agents),
            configs: Mutex::new(configs),
            partitions: Mutex::new(partitions),
            ..Self::default()
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Agents> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Agents> {
        self.agents.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All agents as they are at this moment, by id.
    fn all(&self) -> Vec<Arc<Mutex<Agent>>> {
        self.read().values().map(Arc::clone).collect()
    }

    fn one(&self, id: AgentId) -> Option<Arc<Mutex<Agent>>> {
        self.read().get(&id).map(Arc::clone)
    }

    /// What is stored of effective configurations.
    #[must_use]
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Works on one agent; `None` if there is no such agent.
    pub fn with<R>(&self, id: AgentId, f: impl FnOnce(&mut Agent) -> R) -> Option<R> {
        self.one(id).map(|agent| f(&mut lock(&agent)))
    }

    /// Works on one agent if `epoch` is that of its present connection.
    pub fn with_epoch<R>(&self, id: AgentId, epoch: u64, f: impl FnOnce(&mut Agent) -> R) -> Option<R> {
        let agent = self.one(id)?;
        let mut agent = lock(&agent);
        (agent.epoch == epoch).then(|| f(&mut agent))
    }

    /// Works on all agents, by id.
    pub fn each<R>(&self, mut f: impl FnMut(&mut Agent) -> R) -> Vec<R> {
        self.all().iter().map(|agent| f(&mut lock(agent))).collect()
    }

    /// All ids, in their order.
    #[must_use]
    pub fn ids(&self) -> Vec<AgentId> {
        self.read().keys().copied().collect()
    }

    /// Works on these agents, one after the other; those that are gone are left out.
    pub fn with_each(&self, ids: &[AgentId], mut f: impl FnMut(&mut Agent)) {
        for id in ids {
            self.with(*id, &mut f);
        }
    }

    /// The number of agents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// No agents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// The ids of the agents with this id or name.
    #[must_use]
    pub fn find(&self, id_or_name: &str) -> Vec<AgentId> {
        if let Ok(id) = id_or_name.parse::<AgentId>() {
            return self.read().contains_key(&id).then_some(id).into_iter().collect();
        }
        let named = |a: &mut Agent| a.observed.name(a.record.id).eq_ignore_ascii_case(id_or_name);
        self.each(|agent| named(agent).then_some(agent.record.id)).into_iter().flatten().collect()
    }

    // Each change is whole before the lock is left.
    fn partitions(&self) -> MutexGuard<'_, Partitions> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent is of another partition than before.
    fn note_partition(&self, id: AgentId, before: Option<&PartitionKey>, now: Option<&PartitionKey>) {
        if before == now {
            return;
        }
        let mut partitions = self.partitions();
        if let Some(before) = before
            && let Some(agents) = partitions.get_mut(before)
        {
            agents.remove(&id);
            if agents.is_empty() {
                partitions.remove(before);
            }
        }
        if let Some(now) = now {
            partitions.entry(now.clone()).or_default().insert(id);
        }
    }

    /// All agents of a partition.
    #[must_use]
    pub fn of_partition(&self, partition: &PartitionKey) -> Vec<AgentId> {
        self.partitions().get(partition).map(|agents| agents.iter().copied().collect()).unwrap_or_default()
    }

    /// Partitions with more than one agent.
    #[must_use]
    pub fn shared_partitions(&self) -> Vec<(PartitionKey, Vec<AgentId>)> {
        let partitions = self.partitions();
        let shared = partitions.iter().filter(|(_, agents)| agents.len() > 1);
        shared.map(|(partition, agents)| (partition.clone(), agents.iter().copied().collect())).collect()
    }

    /// Other agents of a partition, those apart that were revoked.
    #[must_use]
    pub fn neighbours(&self, partition: &PartitionKey, but: AgentId) -> Vec<AgentId> {
        let mut ids = self.of_partition(partition);
        let counts = |a: &mut Agent| !matches!(a.record.life, Life::Revoked(_));
        ids.retain(|id| *id != but && self.with(*id, counts) == Some(true));
        ids
    }

    /// Waits for the right to change records.
    pub async fn record_writes(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.record_writes.write().await
    }

    /// Waits for the right to note the first use of a certificate: thousands do so at the same time, each for
    /// its own record, and none while a record is changed otherwise.
    pub async fn record_uses(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.record_writes.read().await
    }

    /// Takes over a record that is stored.
    pub fn install(&self, record: AgentRecord, book: &PolicyBook) {
        loop {
            let staged = self.with(record.id, |agent| agent.staged.clone()).unwrap_or_default();
            // Merged outside of the locks, taken over only if no newer policy came meanwhile.
            let (edition, desired) = match record.foreign {
                Some(_) => (book.edition(), self.configs().desired(&record)),
                None => book.desired_at(&record.labels, &staged),
            };
            if let Some(agent) = self.one(record.id) {
                let mut agent = lock(&agent);
                if book.edition() != edition || agent.staged != staged {
                    continue;
                }
                self.note_partition(record.id, agent.record.partition.as_ref(), record.partition.as_ref());
                if (&agent.record.life, &agent.record.partition) != (&record.life, &record.partition) {
                    agent.outbox.leases_changed();
                }
                agent.record = record;
                agent.wants(desired);
                return;
            }
            let mut agents = self.write();
            // Records are written by one at a time, so nobody else adds the same agent.
            if book.edition() == edition {
                let id = record.id;
                self.note_partition(id, None, record.partition.as_ref());
                let agent = Agent::new(record, Observed::default(), ConfigState::default(), desired);
                agents.insert(id, Arc::new(Mutex::new(agent)));
                return;
            }
        }
    }

    /// Forgets an agent; gives what waits for it.
    pub fn remove(&self, id: AgentId) -> Option<Arc<Outbox>> {
        let agent = self.write().remove(&id)?;
        let agent = lock(&agent);
        self.note_partition(id, agent.record.partition.as_ref(), None);
        Some(Arc::clone(&agent.outbox))
    }

    /// Gives every agent what it should run by the present policies. The caller holds
    /// [`PolicyBook::publishing`].
    pub fn reassign(&self, book: &PolicyBook) {
        // Merged once for each set of labels, outside of the lock.
        let sets: BTreeSet<(Labels, Box<[u64]>)> =
            self.each(|a| (a.record.labels.clone(), a.staged.clone())).into_iter().collect();
        let merged: BTreeMap<(Labels, Box<[u64]>), Arc<Desired>> = sets
            .into_iter()
            .map(|(labels, staged)| {
                let desired = book.desired(&labels, &staged);
                ((labels, staged), desired)
            })
            .collect();
        for agent in self.all() {
            let mut agent = lock(&agent);
            if agent.record.foreign.is_some() {
                continue;
            }
            let key = (agent.record.labels.clone(), agent.staged.clone());
            let desired = match merged.get(&key) {
                Some(desired) => Arc::clone(desired),
                // Labelled meanwhile.
                None => book.desired(&key.0, &key.1),
            };
            agent.wants(desired);
        }
    }

    /// These agents have what a rollout brings from now on, or not any more: they are told what they should run.
    /// Gives those that refused the very same before and may try again, which has to be stored.
    pub fn stage(&self, ids: &[AgentId], rollout: u64, with: bool, book: &PolicyBook) -> Vec<AgentId> {
        let mut again = Vec::new();
        self.with_each(ids, |agent| {
            let others = agent.staged.iter().copied().filter(|other| *other != rollout);
            let mut staged: Vec<u64> = others.chain(with.then_some(rollout)).collect();
            staged.sort_unstable();
            agent.staged = staged.into();
            if agent.record.foreign.is_none() {
                agent.wants(book.desired(&agent.record.labels, &agent.staged));
                if agent.retry_refused() {
                    again.push(agent.record.id);
                }
            }
        });
        again
    }

    /// A rollout is over: what it brought is everybody's or nobody's. The caller reassigns afterwards.
    pub fn unstage(&self, rollout: u64) {
        for agent in self.all() {
            let mut agent = lock(&agent);
            if agent.staged.contains(&rollout) {
                agent.staged = agent.staged.iter().copied().filter(|other| *other != rollout).collect();
            }
        }
    }

    fn configs(&self) -> MutexGuard<'_, ConfigBook> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a configuration of foreign agents that is stored, or forgets one that is removed; tells the
    /// agents. Who refused the same before is offered it again; tells which those are, for that has to be
    /// stored. The caller holds [`Fleet::record_writes`].
    pub fn set_config(&self, stored: &StoredConfig, removed: bool) -> Vec<AgentId> {
        let mut configs = self.configs();
        if removed {
            configs.remove(&stored.target)
        } else {
            configs.set(stored)
        }
        let mut again = Vec::new();
        for agent in self.all() {
            let mut agent = lock(&agent);
            if agent.record.foreign.is_none() {
                continue;
            }
            let desired = configs.desired(&agent.record);
            let (changed, same) = (agent.desired.hash != desired.hash, Arc::ptr_eq(&agent.desired, &desired));
            agent.desired = desired;
            if changed {
                agent.outbox.policy_changed();
            } else if !same && agent.retry_refused() {
                again.push(agent.record.id);
            }
        }
        again
    }

    /// Forgets the configuration of an agent that is being removed.
    pub fn forget_config(&self, agent: AgentId) {
        self.configs().remove(&muster_proto::api::ConfigTarget::Agent(agent));
    }

    /// Has the wanted policy offered again where it was refused, among the agents that `selector` selects;
    /// tells which, for that has to be stored.
    pub fn retry_refused(&self, selector: &Labels) -> Vec<AgentId> {
        let retry = |agent: &mut Agent| {
            (agent.record.is_selected(selector) && agent.retry_refused()).then_some(agent.record.id)
        };
        self.each(retry).into_iter().flatten().collect()
    }

    /// What matters for policies, of all agents.
    #[must_use]
    pub fn facts(&self) -> FleetFacts {
        let mut sets: BTreeMap<Labels, Vec<AgentId>> = BTreeMap::new();
        let mut limits: BTreeMap<String, BTreeSet<AgentId>> = BTreeMap::new();
        let mut secrets: BTreeMap<String, BTreeSet<AgentId>> = BTreeMap::new();
        // Policies are not for foreign agents.
        for agent in self.all() {
            let agent = lock(&agent);
            if agent.record.foreign.is_some() {
                continue;
            }
            let (id, attributes) = (agent.record.id, &agent.observed.attributes);
            match sets.get_mut(&agent.record.labels) {
                Some(agents) => agents.push(id),
                None => drop(sets.insert(agent.record.labels.clone(), vec![id])),
            }
            if let Some(text) = attributes.get(attribute::LIMITS) {
                limits.entry(text.clone()).or_default().insert(id);
            }
            if attributes.get(attribute::SERVICE_NAME).is_some_and(|name| name == attribute::MUSTER_AGENT) {
                let names = attributes.get(attribute::SECRETS).map_or("", String::as_str);
                match secrets.get_mut(names) {
                    Some(agents) => drop(agents.insert(id)),
                    None => drop(secrets.insert(names.to_owned(), BTreeSet::from([id]))),
                }
            }
        }
        let names = |text: &str| text.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
        // What an agent of another release says and this one cannot read limits nothing here; it does there.
        let read = |text: &str| Limits::build(serde_json::from_str(text).ok()?).ok();
        FleetFacts {
            sets,
            limits: limits.into_iter().filter_map(|(text, agents)| Some((read(&text)?, agents))).collect(),
            secrets: secrets.into_iter().map(|(text, agents)| (names(&text), agents)).collect(),
        }
    }

    /// A number for a new connection.
    #[must_use]
    pub fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Attaches a connection; `None` if there is no such agent.
    pub fn attach(&self, id: AgentId, epoch: u64, link: Link) -> Option<Arc<Outbox>> {
        self.with(id, |agent| {
            agent.attach(epoch, link);
            Arc::clone(&agent.outbox)
        })
    }
}
