//! Quarantine, release, revocation and decommission of agents.
//!
//! A quarantined agent stays connected and goes on with the policy that it has, but gets nothing: no policy,
//! no certificate. A revoked one is refused and its open connection closed at once; it comes back only by
//! enrolling anew. A decommissioned one is forgotten but for the audit log, and its keys are refused for good.

use crate::app::App;
use crate::audit_log::{Actor, Outgoing};
use crate::fleet::AgentRecord;
use crate::fleet::config_state::ConfigState;
use crate::fleet::configs::StoredConfig;
use crate::fleet::observed::Observed;
use crate::fleet::record::{BLOCKED_PREFIX, Hold, Life};
use crate::fleet::upgrade::UpgradeState;
use crate::gateway::outbox::Farewell;
use crate::identity::foreign::ForeignTokenRecord;
use crate::store::{self, Batch, Condition, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::ConfigTarget;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Name under which the controller itself decides.
pub const CONTROLLER: &str = "controller";

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It gets nothing any more.
    Quarantine,
    /// It takes part again.
    Release,
    /// Its certificates are refused.
    Revoke,
}

impl Change {
    fn action(self) -> &'static str {
        match self {
            Self::Quarantine => "agent.quarantine",
            Self::Release => "agent.release",
            Self::Revoke => "agent.revoke",
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// No such agent.
    #[error("agent {0} was removed")]
    Gone(AgentId),
    /// There is nothing to release.
    #[error("agent {0} is not quarantined")]
    NotHeld(AgentId),
    /// Revocation is for good.
    #[error(
        "agent {0} was revoked, which cannot be undone: enrol it anew with a new token (`muster-agent enrol --replace`)"
    )]
    Revoked(AgentId),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an agent is after a change; pure.
///
/// # Errors
/// If the change makes no sense for it.
pub fn after(id: AgentId, life: &Life, change: Change, hold: Hold) -> Result<Life, LifeError> {
    match (life, change) {
        (Life::Active, Change::Quarantine) => Ok(Life::Quarantined(hold)),
        (Life::Active | Life::Quarantined(_), Change::Revoke) => Ok(Life::Revoked(hold)),
        (Life::Quarantined(_), Change::Release) => Ok(Life::Active),
        (Life::Active, Change::Release) => Err(LifeError::NotHeld(id)),
        // The first reason stays.
        (Life::Quarantined(_), Change::Quarantine) | (Life::Revoked(_), Change::Revoke) => Ok(life.clone()),
        (Life::Revoked(_), Change::Quarantine | Change::Release) => Err(LifeError::Revoked(id)),
    }
}

/// Carries out a change: stored with its audit entry first, then taken over.
///
/// # Errors
/// If the agent is not there, the change makes no sense, or it could not be stored.
pub async fn change(
    app: &App,
    id: AgentId,
    change: Change,
    actor: Actor<'_>,
    reason: &str,
) -> Result<(), LifeError> {
    let _writes = app.fleet.record_writes().await;
    let now = Timestamp::now();
    let present = app.fleet.with(id, |a| (a.record.clone(), a.observed.partition()));
    let (record, partition) = present.ok_or(LifeError::Gone(id))?;
    let reason = crate::fleet::bounded(reason, 500);
    let hold = Hold { at: now, by: actor.name.to_owned(), reason: reason.clone() };
    let life = after(id, &record.life, change, hold)?;
    if life == record.life {
        return Ok(());
    }
    let mut record = AgentRecord { life, ..record };
    let mut batch = Batch::new();
    match change {
        Change::Quarantine => {}
        Change::Release => {
            // Whoever releases it has looked at where it is.
            record.partition = partition.or(record.partition);
            record.shares_partition = true;
        }
        Change::Revoke => block(&mut batch, &record, now),
    }
    batch.put_json(AgentRecord::key(id), Condition::Any, &record);
    let action = Outgoing::by_user(actor, change.action(), id.to_string());
    app.commit(batch, action.detail(reason.as_str())).await?;
    app.fleet.install(record, &app.book);
    tracing::info!(agent_id = %id, action = change.action(), by = actor.name, reason, "agent's standing changed");
    app.fleet.with(id, |agent| match change {
        Change::Quarantine => agent.outbox.warn(warning(&reason)),
        Change::Release => {
            agent.forget_suspicions();
            agent.outbox.policy_changed();
        }
        Change::Revoke => agent.outbox.end(Farewell::Revoked),
    });
    Ok(())
}

fn warning(reason: &str) -> String {
    format!("this agent is quarantined: {reason}")
}

/// Tells an agent that has just reported in why it gets nothing, if it is quarantined: it may have restarted since it
/// was told, and nobody who looks at it alone would know.
pub fn remind(app: &App, id: AgentId, epoch: u64) {
    app.fleet.with_epoch(id, epoch, |agent| {
        if let Life::Quarantined(hold) = &agent.record.life {
            agent.outbox.warn(warning(&hold.reason));
        }
    });
}

/// Quarantines an agent for what its connection showed. An error is logged: the agent is looked at again with
/// its next message.
pub async fn suspect(app: &App, id: AgentId, from: IpAddr, reason: &str) {
    let actor = Actor::new(CONTROLLER, from);
    if let Err(error) = change(app, id, Change::Quarantine, actor, reason).await {
        tracing::warn!(agent_id = %id, error = &error as &dyn std::error::Error, "agent not quarantined");
    }
}

/// What an agent's report says of its partition, against what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// As it was, or it does not say.
    Known,
    /// Known from now on.
    New(PartitionKey),
    /// Another one than before.
    Moved {
        /// Before.
        from: PartitionKey,
        /// Now.
        to: PartitionKey,
    },
}

/// Compares; pure.
#[must_use]
pub fn place(known: Option<&PartitionKey>, said: Option<PartitionKey>) -> Place {
    match (known, said) {
        (_, None) => Place::Known,
        (None, Some(said)) => Place::New(said),
        (Some(known), Some(said)) if *known == said => Place::Known,
        (Some(known), Some(said)) => Place::Moved { from: known.clone(), to: said },
    }
}

/// Looks at where an agent says that it is.
///
/// # Errors
/// If the store fails.
pub async fn look_at_place(app: &App, id: AgentId, from: IpAddr) -> Result<(), StoreError> {
    let said = app.fleet.with(id, |a| place(a.record.partition.as_ref(), a.observed.partition()));
    match said {
        None | Some(Place::Known) => Ok(()),
        Some(Place::New(partition)) => settle(app, id, from, partition).await,
        Some(Place::Moved { from: before, to }) => {
            let reason = format!(
                "its partition was {before} and is now {to}: it uses a copy of another agent's state folder, or \
                 the partition was moved; release it if it was moved, else stop it and enrol it anew"
            );
            suspect(app, id, from, &reason).await;
            Ok(())
        }
    }
}

/// Notes the partition of an agent; one that has another agent already needs somebody's consent.
async fn settle(app: &App, id: AgentId, from: IpAddr, partition: PartitionKey) -> Result<(), StoreError> {
    let shares = {
        let _writes = app.fleet.record_writes().await;
        let Some(record) = app.fleet.with(id, |a| a.record.clone()) else { return Ok(()) };
        let record = AgentRecord { partition: Some(partition.clone()), ..record };
        let mut batch = Batch::new();
        batch.put_json(AgentRecord::key(id), Condition::Any, &record);
        app.store.apply(batch).await?;
        let shares = record.shares_partition;
        app.fleet.install(record, &app.book);
        shares
    };
    if !shares && let [first, ..] = app.fleet.neighbours(&partition, id).as_slice() {
        let reason = format!(
            "its partition {partition} is known already: agent {first}; release it if both are to be there, else \
             decommission one of them"
        );
        suspect(app, id, from, &reason).await;
    }
    Ok(())
}

/// A key that is refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Blocked {
    agent: AgentId,
    at: Timestamp,
}

/// Blocks are forgotten after this: the key's certificates have been useless for much longer then.
const KEEP_BLOCKED: SignedDuration = SignedDuration::from_hours(730 * 24);

/// Adds to `batch` that the keys of an agent are refused for good.
pub(crate) fn block(batch: &mut Batch, record: &AgentRecord, now: Timestamp) {
    for key in record.keys() {
        let blocked = Blocked { agent: record.id, at: now };
        batch.put_json(AgentRecord::blocked_key(key), Condition::Any, &blocked);
    }
}

/// Adds to `batch` the removal of old blocks.
///
/// # Errors
/// If the store cannot be read.
pub fn forget_old_blocks(store: &dyn Store, batch: &mut Batch, now: Timestamp) -> Result<(), StoreError> {
    for (key, blocked) in store::scan_json::<Blocked>(store, BLOCKED_PREFIX)? {
        if now.duration_since(blocked.at) > KEEP_BLOCKED {
            batch.delete(key, Condition::Any);
        }
    }
    Ok(())
}

/// Adds to `batch` the removal of everything that is stored of an agent.
pub(crate) fn add_removal(batch: &mut Batch, record: &AgentRecord) {
    let id = record.id;
    batch.delete(AgentRecord::key(id), Condition::Any);
    batch.delete(Observed::key(id), Condition::Any);
    batch.delete(ConfigState::key(id), Condition::Any);
    batch.delete(UpgradeState::key(id), Condition::Any);
    batch.delete(crate::fleet::outage::key(id), Condition::Any);
    for key in record.keys() {
        batch.delete(AgentRecord::owner_key(key), Condition::Any);
    }
    if let Some(token) = &record.foreign {
        batch.delete(ForeignTokenRecord::key(token), Condition::Any);
        batch.delete(StoredConfig::key(&ConfigTarget::Agent(id)), Condition::Any);
    }
}

/// Forgets an agent. With `for_good` its keys are refused from now on and its history stands in the audit log.
///
/// # Errors
/// If it is not there or the store fails.
pub async fn remove(
    app: &App,
    id: AgentId,
    actor: Actor<'_>,
    for_good: bool,
    reason: &str,
) -> Result<(), LifeError> {
    let _writes = app.fleet.record_writes().await;
    let present = app.fleet.with(id, |a| (a.record.clone(), a.observed.name(id), a.last_seen));
    let (record, name, last_seen) = present.ok_or(LifeError::Gone(id))?;
    let mut batch = Batch::new();
    add_removal(&mut batch, &record);
    let action = if for_good { "agent.decommission" } else { "agent.remove" };
    if for_good {
        block(&mut batch, &record, Timestamp::now());
    }
    let text = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), |t| t.to_string());
    let labels = record.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    let detail = format!(
        "{reason}; name {name}, partition {}, labels [{labels}], enrolled {}, last seen {}, key {}",
        record.partition.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string),
        record.enrolled_at,
        text(last_seen),
        record.certificate.key_sha256,
    );
    let entry = Outgoing::by_user(actor, action, id.to_string());
    app.commit(batch, entry.detail(detail.trim_start_matches("; "))).await?;
    app.fleet.forget_config(id);
    if let Some(outbox) = app.fleet.remove(id) {
        outbox.end(Farewell::Removed);
    }
    app.leases.forget(id);
    tracing::info!(agent_id = %id, action, by = actor.name, "agent removed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(by: &str) -> Hold {
        Hold { at: Timestamp::UNIX_EPOCH, by: by.to_owned(), reason: "r".to_owned() }
    }

    #[test]
    fn what_leads_to_what() {
        use Change::{Quarantine, Release, Revoke};
        let id = AgentId(uuid::Uuid::nil());
        let held = Life::Quarantined(hold("old"));
        let revoked = Life::Revoked(hold("old"));
        let cases = [
            (Life::Active, Quarantine, Ok(Life::Quarantined(hold("new")))),
            (Life::Active, Release, Err("is not quarantined")),
            (Life::Active, Revoke, Ok(Life::Revoked(hold("new")))),
            (held.clone(), Quarantine, Ok(held.clone())),
            (held.clone(), Release, Ok(Life::Active)),
            (held, Revoke, Ok(Life::Revoked(hold("new")))),
            (revoked.clone(), Quarantine, Err("cannot be undone")),
            (revoked.clone(), Release, Err("cannot be undone")),
            (revoked.clone(), Revoke, Ok(revoked)),
        ];
        for (life, change, expected) in cases {
            match (after(id, &life, change, hold("new")), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{life:?} {change:?}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (got, expected) => panic!("{life:?} {change:?}: {got:?}, expected {expected:?}"),
            }
        }
    }

    #[tokio::test]
    async fn old_blocks_are_forgotten() {
        let store = crate::store::MemoryStore::default();
        let now: Timestamp = "2026-11-22T04:00:00Z".parse().unwrap();
        let mut batch = Batch::new();
        for (key, days) in [("old", 731), ("new", 729)] {
            let certificate =
                crate::fleet::record::Certificate { key_sha256: key.to_owned(), ..Default::default() };
            let id = AgentId(uuid::Uuid::nil());
            let record = AgentRecord { certificate, ..AgentRecord::fresh(id, now) };
            block(&mut batch, &record, now - SignedDuration::from_hours(days * 24));
        }
        store.apply(batch).await.unwrap();
        let mut batch = Batch::new();
        forget_old_blocks(&store, &mut batch, now).unwrap();
        store.apply(batch).await.unwrap();
        let left: Vec<String> = store.snapshot().unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(left, [AgentRecord::blocked_key("new")]);
    }

    #[test]
    fn places() {
        let key = |text: &str| text.parse::<PartitionKey>().unwrap();
        assert_eq!(place(None, None), Place::Known);
        assert_eq!(place(Some(&key("A-1")), None), Place::Known, "silence is no move");
        assert_eq!(place(Some(&key("A-1")), Some(key("A-1"))), Place::Known);
        assert_eq!(place(None, Some(key("A-1"))), Place::New(key("A-1")));
        let moved = Place::Moved { from: key("A-1"), to: key("A-2") };
        assert_eq!(place(Some(&key("A-1")), Some(key("A-2"))), moved);
    }
}
