//! Leases: which agent of a partition collects which source.
//!
//! Agents say where they stand ([`Leases::hear`]), the driver decides ([`decide`]) and stores, and each agent is told
//! what to do ([`Leases::order_for`]). A partition with one agent has no lease and costs nothing: its agent says so
//! once a connection.

pub mod decide;
pub mod driver;

use crate::fleet::link::Link;
use crate::fleet::record::Life;
use crate::fleet::{Agent, Fleet};
use crate::store::{self, Store, StoreError};
use decide::{LeaseRecord, Member, Phase, Said};
use jiff::Timestamp;
use muster_proto::session::lease::{
    self as wire, LeaseClaim, LeaseOrder, LeaseRole, MAX_CURSORS, SourceClaim, SourceOrder,
};
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use muster_shared::policy::model::CONTROLLER_AUDIT_KEY;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// No lease changes hands that often; a larger number is none of ours.
const MAX_EPOCH: u64 = 1 << 48;

/// A lease in memory.
#[derive(Debug, Clone)]
pub struct Lease {
    /// As it is stored; its cursors are newer.
    pub record: LeaseRecord,
    /// When it was last renewed or changed hands, on the controller's clock.
    pub renewed: Duration,
    /// When its phase began.
    pub phase_since: Duration,
    /// The cursors differ from those stored.
    unstored: bool,
    /// When they were stored.
    stored_at: Duration,
    /// Commits of earlier holders that were refused, since the start.
    pub late: u64,
}

/// What an agent said.
#[derive(Debug, Default)]
struct Claims {
    sources: BTreeMap<String, Said>,
    /// When it was said, on the controller's clock.
    at: Duration,
    partition_known: bool,
    /// Names of the sources that it does not collect.
    standing_by: Vec<String>,
    /// Of which connection.
    connection: u64,
    /// The pause between its renewals.
    renew_ms: u32,
}

#[derive(Debug, Default)]
struct State {
    leases: BTreeMap<(PartitionKey, String), Lease>,
    claims: HashMap<AgentId, Claims>,
}

/// The leases of all partitions.
pub struct Leases {
    state: Mutex<State>,
    /// There may be something to decide.
    news: Notify,
    /// Nothing lapses before.
    grace: Mutex<Duration>,
    /// Held over deciding, storing and taking over.
    changes: tokio::sync::Mutex<()>,
    clock: Instant,
}

impl Leases {
    /// Reads what is stored.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let mut state = State::default();
        for (_, record) in store::scan_json::<LeaseRecord>(store, decide::PREFIX)? {
            state.leases.insert(
                (record.partition.clone(), record.source.clone()),
                Lease::new(record, Duration::ZERO),
            );
        }
        Ok(Self {
            state: Mutex::new(state),
            news: Notify::new(),
            grace: Mutex::new(decide::START_GRACE),
            changes: tokio::sync::Mutex::default(),
            clock: Instant::now(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// All leases, in order.
    #[must_use]
    pub fn all(&self) -> Vec<Lease> {
        self.lock().leases.values().cloned().collect()
    }

    /// How long ago it was renewed or changed hands.
    #[must_use]
    pub fn age(&self, lease: &Lease) -> Duration {
        self.now().saturating_sub(lease.renewed)
    }

    fn grace(&self) -> Duration {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing lapses before this time on the controller's clock.
    fn give_grace(&self, until: Duration) {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// There may be something to decide.
    pub fn nudge(&self) {
        self.news.notify_one();
    }

    /// Takes what an agent says over its connection of this number; true if it has to be told something.
    #[must_use]
    pub fn hear(&self, fleet: &Fleet, id: AgentId, connection: u64, claim: &LeaseClaim) -> bool {
        let Some(partition) = fleet.with(id, |agent| agent.record.partition.clone()) else { return false };
        let now = self.now();
        {
            let mut state = self.lock();
            let State { leases, claims } = &mut *state;
            let known = claims.entry(id).or_default();
            (known.connection, known.at) = (connection, now);
            (known.partition_known, known.renew_ms) = (claim.partition_known, claim.renew_ms);
            known.standing_by =
                claim.sources.iter().filter(|s| !s.collecting).map(|s| s.name.clone()).collect();
            let ours = claim.sources.iter().filter(|source| source.epoch < MAX_EPOCH);
            let sources: BTreeMap<String, Said> = ours.map(|s| (s.source.clone(), said(s))).collect();
            let mut news = sources != known.sources;
            known.sources = sources;
            // What it says of another partition than the one that is known for it is no renewal.
            let here = |key: &&PartitionKey| claim.partition.is_empty() || claim.partition == key.to_string();
            if let Some(partition) = partition.as_ref().filter(here) {
                for source in &claim.sources {
                    if let Some(lease) = leases.get_mut(&(partition.clone(), source.source.clone())) {
                        news |= lease.hear(id, source, now);
                    }
                }
            }
            if news {
                self.news.notify_one();
            }
        }
        self.order_for(fleet, id).is_some()
    }

    /// What an agent has to be told: nothing if it does what it should.
    #[must_use]
    pub fn order_for(&self, fleet: &Fleet, id: AgentId) -> Option<LeaseOrder> {
        let (partition, active, polls) = fleet.with(id, |a| {
            (
                a.record.partition.clone(),
                a.record.life == Life::Active,
                matches!(a.link, Link::Polling { .. }),
            )
        })?;
        // What waits for a person's decision goes on as it is.
        if !active {
            return None;
        }
        let state = self.lock();
        let claims = state.claims.get(&id)?;
        let mut renew_ms = 0;
        let mut sources = Vec::new();
        for (source, said) in &claims.sources {
            let lease = partition.as_ref().and_then(|p| state.leases.get(&(p.clone(), source.clone())));
            let order = match (&partition, lease) {
                (Some(partition), Some(lease)) => {
                    // Who stands by and polls would hear of its turn with its next heartbeat only.
                    if (lease.record.holder == id || polls) && is_shared(fleet, partition, source) {
                        renew_ms = u32::try_from(wire::RENEW_EVERY.as_millis()).unwrap_or(u32::MAX);
                    }
                    let holder = name_of(fleet, lease.record.holder);
                    Some(lease.order(id, *said, holder))
                }
                // Soon there is a lease, if another agent reads the same.
                (Some(partition), None) => (!is_shared(fleet, partition, source)).then(|| sole(source)),
                // An agent that reads what has no identity is alone with it; and a log of the controller needs no
                // partition.
                (None, _) => (claims.partition_known || source == CONTROLLER_AUDIT_KEY).then(|| sole(source)),
            };
            sources.extend(order.filter(|order| !does(*said, order)));
        }
        (!sources.is_empty() || renew_ms != claims.renew_ms).then_some(LeaseOrder { sources, renew_ms })
    }

    /// Names of the sources that agents do not collect, of those that have some.
    #[must_use]
    pub fn standing_by(&self) -> HashMap<AgentId, Vec<String>> {
        let state = self.lock();
        let some = state.claims.iter().filter(|(_, claims)| !claims.standing_by.is_empty());
        some.map(|(id, claims)| (*id, claims.standing_by.clone())).collect()
    }

    /// Nothing of the agent is remembered any more.
    pub fn forget(&self, id: AgentId) {
        self.lock().claims.remove(&id);
        self.nudge();
    }

    /// The agents of a partition, for one source.
    pub(crate) fn members(
        &self,
        fleet: &Fleet,
        partition: &PartitionKey,
        source: &str,
        now: Timestamp,
    ) -> Vec<Member> {
        let ids = fleet.of_partition(partition);
        let clock = self.now();
        let state = self.lock();
        let member = |id: &AgentId| {
            let claims = state.claims.get(id);
            let said = claims.and_then(|claims| claims.sources.get(source)).copied();
            // One that did not say anything over its present connection could not be told anything either.
            let heard = |agent: &Agent| {
                claims.is_some_and(|claims| {
                    let polls = matches!(agent.link, Link::Polling { .. });
                    claims.connection == agent.epoch
                        && (!polls || clock.saturating_sub(claims.at) <= wire::TTL)
                })
            };
            let member = |agent: &mut Agent| {
                (!matches!(agent.record.life, Life::Revoked(_))).then(|| Member {
                    id: *id,
                    enrolled_at: agent.record.enrolled_at,
                    there: agent.talks(now) && heard(agent) && agent.record.life == Life::Active,
                    wants: wants(agent, source),
                    said,
                })
            };
            fleet.with(*id, member).flatten()
        };
        ids.iter().filter_map(member).collect()
    }
}

/// The source stands in the policy that the agent should run.
fn wants(agent: &Agent, source: &str) -> bool {
    agent.desired.policy.spec.sources.values().any(|spec| spec.key() == source)
}

/// More than one agent of the partition has the source in its policy.
fn is_shared(fleet: &Fleet, partition: &PartitionKey, source: &str) -> bool {
    let ids = fleet.of_partition(partition);
    let counts = |agent: &mut Agent| !matches!(agent.record.life, Life::Revoked(_)) && wants(agent, source);
    ids.len() > 1 && ids.iter().filter(|id| fleet.with(**id, counts) == Some(true)).count() > 1
}

fn sole(source: &str) -> SourceOrder {
    SourceOrder { source: source.to_owned(), role: LeaseRole::Sole.into(), ..SourceOrder::default() }
}

/// An agent, for people: those of one partition have one name.
pub(crate) fn name_of(fleet: &Fleet, id: AgentId) -> String {
    let name = fleet.with(id, |agent| agent.observed.name(id)).filter(|name| *name != id.to_string());
    name.map_or_else(|| format!("agent {id}"), |name| format!("{name} (agent {id})"))
}

fn said(claim: &SourceClaim) -> Said {
    Said { epoch: claim.epoch, collecting: claim.collecting, released: claim.released }
}

/// What the agent says is what the order wants.
fn does(said: Said, order: &SourceOrder) -> bool {
    match order.role() {
        LeaseRole::Unspecified => true,
        LeaseRole::Sole => said.collecting,
        LeaseRole::Hold => said.collecting && said.epoch == order.epoch,
        LeaseRole::StandBy => !said.collecting && !said.released && said.epoch == order.epoch,
        // Who reads no more is on its way.
        LeaseRole::Release => !said.collecting && said.epoch == order.epoch,
    }
}

impl Lease {
    fn new(record: LeaseRecord, now: Duration) -> Self {
        Self { record, renewed: now, phase_since: now, unstored: false, stored_at: now, late: 0 }
    }

    /// Takes a renewal; true if there is something to decide. What a late holder says of its cursors is not taken.
    fn hear(&mut self, agent: AgentId, claim: &SourceClaim, now: Duration) -> bool {
        if agent != self.record.holder || claim.epoch != self.record.epoch {
            if claim.epoch < self.record.epoch && !claim.cursors.is_empty() {
                self.late += 1;
                tracing::info!(
                    agent_id = %agent, source = claim.source, epoch = claim.epoch, present = self.record.epoch,
                    "commit of a late holder refused"
                );
            }
            return false;
        }
        self.renewed = now;
        for (destination, json) in &claim.cursors {
            let Ok(cursor) = serde_json::from_slice::<Value>(json) else { continue };
            let cursors = &mut self.record.cursors;
            if cursors.len() >= MAX_CURSORS && !cursors.contains_key(destination) {
                // Destinations that the policy had once make room.
                cursors.retain(|known, _| claim.cursors.contains_key(known));
            }
            let known = cursors.get(destination);
            if known != Some(&cursor) && (known.is_some() || cursors.len() < MAX_CURSORS) {
                cursors.insert(destination.clone(), cursor);
                self.unstored = true;
            }
        }
        claim.released
    }

    fn order(&self, id: AgentId, said: Said, holder: String) -> SourceOrder {
        let record = &self.record;
        let holds = record.holder == id;
        let role = match (&record.phase, holds) {
            (_, false) => LeaseRole::StandBy,
            (Phase::Held, true) => LeaseRole::Hold,
            (Phase::Moving { .. }, true) => LeaseRole::Release,
        };
        // Who collects under this lease knows better where it stands.
        let new = matches!(role, LeaseRole::Hold | LeaseRole::Release)
            && !(said.collecting && said.epoch == record.epoch);
        let cursors = record.cursors.iter().filter(|_| new);
        SourceOrder {
            source: record.source.clone(),
            role: role.into(),
            epoch: record.epoch,
            cursors: cursors.map(|(to, cursor)| (to.clone(), store::encode(cursor))).collect(),
            lost: new && record.lost,
            holder,
        }
    }
}

#[cfg(test)]
mod tests;
