//! Decides on leases, stores what was decided, and has the agents told.

use super::decide::{LeaseRecord, START_GRACE, Seen, Why, decide, order_move};
use super::{Lease, Leases, name_of};
use crate::app::App;
use crate::audit_log::{Actor, Outgoing};
use crate::store::{Batch, Condition, StoreError};
use jiff::Timestamp;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// Longest time between two looks: that a holder is silent is told by nothing else.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So much time between two looks means that the controller, or its host, stood still.
const STOOD_STILL: Duration = Duration::from_secs(3);

/// Cursors of a renewal are stored this often: after a crash of the controller and the holder in the same moment a
/// stand-by repeats what came since.
const STORE_EVERY: Duration = Duration::from_secs(10);

/// Runs until it is aborted.
pub async fn run(app: Arc<App>) {
    let mut last = app.leases.now();
    loop {
        // Whether there is news or time passed: it is looked.
        let _ = tokio::time::timeout(LOOK_EVERY, app.leases.news.notified()).await;
        let now = app.leases.now();
        if now.saturating_sub(last) > STOOD_STILL {
            tracing::warn!(
                seconds = now.saturating_sub(last).as_secs(),
                "the controller stood still; leases get time to be renewed"
            );
            app.leases.give_grace(now + START_GRACE);
        }
        last = now;
        if let Err(error) = look(&app).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a decision on leases was not stored; it is made again");
        }
    }
}

/// A decision.
struct Decided {
    record: LeaseRecord,
    why: Why,
}

/// Looks at every lease, and at what needs one.
async fn look(app: &App) -> Result<(), StoreError> {
    let leases = &app.leases;
    let _changes = leases.changes.lock().await;
    let (now, at, grace) = (leases.now(), Timestamp::now(), leases.grace());
    let mut decided = Vec::new();
    let mut gone = Vec::new();
    for key in keys(app) {
        if app.fleet.of_partition(&key.0).is_empty() {
            gone.push(key);
            continue;
        }
        let members = leases.members(&app.fleet, &key.0, &key.1, at);
        let lease = leases.lock().leases.get(&key).cloned();
        let (renewed, phase_since) = lease.as_ref().map_or((now, now), |l| (l.renewed, l.phase_since));
        let seen = Seen { now, renewed, phase_since, grace, members: &members };
        let next = decide((&key.0, &key.1), lease.as_ref().map(|l| &l.record), &seen, at);
        decided.extend(next.map(|(record, why)| Decided { record, why }));
    }
    let mut batch = Batch::new();
    for key in &gone {
        if let Some(lease) = leases.lock().leases.get(key) {
            batch.delete(lease.record.key(), Condition::Any);
        }
    }
    for Decided { record, why } in &decided {
        batch.put_json(record.key(), Condition::Any, record);
        entry(app, record, why).add_to(&mut batch);
    }
    let stored = add_cursors(leases, &decided, now, &mut batch);
    if batch.is_empty() {
        return Ok(());
    }
    app.store.apply(batch).await?;
    if !decided.is_empty() {
        app.audit.drain().await;
    }
    {
        let mut state = leases.lock();
        for key in &gone {
            state.leases.remove(key);
        }
        for key in &stored {
            if let Some(lease) = state.leases.get_mut(key) {
                lease.stored_at = now;
            }
        }
    }
    for Decided { record, why } in decided {
        tracing::info!(partition = %record.partition, source = record.source, epoch = record.epoch,
            holder = %record.holder, ?why, "lease");
        install(app, record);
    }
    Ok(())
}

/// What there may be to decide on: leases, and what the agents of shared partitions read.
fn keys(app: &App) -> BTreeSet<(PartitionKey, String)> {
    let shared = app.fleet.shared_partitions();
    let state = app.leases.lock();
    let mut keys: BTreeSet<_> = state.leases.keys().cloned().collect();
    for (partition, agents) in shared {
        for claims in agents.iter().filter_map(|id| state.claims.get(id)) {
            keys.extend(claims.sources.keys().map(|source| (partition.clone(), source.clone())));
        }
    }
    keys
}

/// Adds the cursors that came with renewals and are due to be stored.
fn add_cursors(
    leases: &Leases,
    decided: &[Decided],
    now: Duration,
    batch: &mut Batch,
) -> Vec<(PartitionKey, String)> {
    let mut stored = Vec::new();
    let changing: BTreeSet<_> = decided.iter().map(|d| (&d.record.partition, &d.record.source)).collect();
    for (key, lease) in &mut leases.lock().leases {
        let due = lease.unstored && now.saturating_sub(lease.stored_at) >= STORE_EVERY;
        if due && !changing.contains(&(&key.0, &key.1)) {
            batch.put_json(lease.record.key(), Condition::Any, &lease.record);
            // Should it fail, the next renewal brings newer ones.
            lease.unstored = false;
            stored.push(key.clone());
        }
    }
    stored
}

/// Takes over what is stored, and has the partition's agents told.
fn install(app: &App, record: LeaseRecord) {
    let leases = &app.leases;
    let now = leases.now();
    let partition = record.partition.clone();
    {
        let mut state = leases.lock();
        let key = (record.partition.clone(), record.source.clone());
        match state.leases.get_mut(&key) {
            Some(lease) => {
                if (lease.record.epoch, lease.record.holder) != (record.epoch, record.holder) {
                    lease.renewed = now;
                }
                lease.phase_since = now;
                // A renewal may have come while it was stored.
                let cursors = std::mem::take(&mut lease.record.cursors);
                lease.record = LeaseRecord { cursors, ..record };
            }
            None => {
                state.leases.insert(key, Lease::new(record, now));
            }
        }
    }
    for id in app.fleet.of_partition(&partition) {
        app.fleet.with(id, |agent| agent.outbox.leases_changed());
    }
}

/// The entry of the audit log.
fn entry(app: &App, record: &LeaseRecord, why: &Why) -> Outgoing {
    let holder = name_of(&app.fleet, record.holder);
    let name = |id: &AgentId| name_of(&app.fleet, *id);
    let epoch = record.epoch;
    let (action, text) = match why {
        Why::Created => {
            ("lease.create", format!("{holder} collects, the other agents of the partition stand by"))
        }
        Why::Adopted => {
            ("lease.adopt", format!("{holder} collects: agents know a later lease than this controller"))
        }
        Why::Lapsed { from } => {
            ("lease.take-over", format!("{holder} collects: {} did not renew its lease", name(from)))
        }
        Why::Left { from } => (
            "lease.take-over",
            format!("{holder} collects: {} is no agent of this source any more", name(from)),
        ),
        Why::Moved { from } => ("lease.moved", format!("{holder} collects: {} gave it back", name(from))),
        Why::GivenUp(reason) => ("lease.move-given-up", format!("{holder} goes on: {reason}")),
    };
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Outgoing::by_user(Actor::new(crate::identity::life::CONTROLLER, here), action, object(record))
        .detail(format!("{text}; epoch {epoch}"))
}

/// The lease, in the audit log.
fn object(record: &LeaseRecord) -> String {
    format!("{} {}", record.partition, record.source)
}

/// Why a lease was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There is none.
    #[error(
        "partition {partition} has no lease for {source_key}: leases are there where two agents of a partition read the \
         same; see `muster lease list`"
    )]
    None {
        /// The partition.
        partition: PartitionKey,
        /// The source.
        source_key: String,
    },
    /// It cannot be moved there.
    #[error("{object} was not moved to {to}: {reason}")]
    Refused {
        /// The lease.
        object: String,
        /// The agent.
        to: String,
        /// Why.
        reason: &'static str,
    },
    /// The agent is none of the partition's.
    #[error("{agent} is no agent of partition {partition}")]
    Stranger {
        /// The agent.
        agent: String,
        /// The partition.
        partition: PartitionKey,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Has a lease moved to another agent: its holder is asked to give it back.
///
/// # Errors
/// If there is no such lease, it cannot be moved there, or the store fails; then nothing changed.
pub async fn move_lease(
    app: &App,
    key: &(PartitionKey, String),
    to: AgentId,
    by: Actor<'_>,
) -> Result<(), MoveError> {
    let leases = &app.leases;
    let _changes = leases.changes.lock().await;
    let lease = leases.lock().leases.get(key).cloned();
    let none = || MoveError::None { partition: key.0.clone(), source_key: key.1.clone() };
    let lease = lease.ok_or_else(none)?.record;
    let members = leases.members(&app.fleet, &key.0, &key.1, Timestamp::now());
    let name = name_of(&app.fleet, to);
    let stranger = || MoveError::Stranger { agent: name.clone(), partition: key.0.clone() };
    let target = members.iter().find(|member| member.id == to).ok_or_else(stranger)?;
    let refused = |reason| MoveError::Refused { object: object(&lease), to: name.clone(), reason };
    let moving = order_move(&lease, target, by.name).map_err(refused)?;
    let mut batch = Batch::new();
    batch.put_json(moving.key(), Condition::Any, &moving);
    let action = Outgoing::by_user(by, "lease.move", object(&moving))
        .detail(format!("from {} to {name}", name_of(&app.fleet, moving.holder)));
    app.commit(batch, action).await?;
    install(app, moving);
    Ok(())
}
