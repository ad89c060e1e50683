//! What of a backup is not taken over as it was, so that a restored controller is a new incarnation.
//!
//! Void: enrolment tokens, spent or not, and enrolments that wait; sessions and API tokens of people; answers to
//! requests that may be sent again. A token of a foreign agent is one to enrol with until it is bound, and void till
//! then. Kept: agents with their certificates, tokens that foreign agents are bound to, users with their passwords,
//! policies, licences. Revisions and rollouts go on at the incarnation's own million, so that none ever has the
//! number of one that is lost. Versions that stand for agents are dropped and told. Rollouts that were under way are paused: nobody knows how they went on.

use super::RestoreError;
use super::redo::{Lost, Out};
use crate::audit_log::{Actor, Outgoing};
use crate::backup::make::OWN_KEYS;
use crate::fleet::record::{Hold, Life};
use crate::fleet::{AgentRecord, configs};
use crate::identity::ca::Ca;
use crate::identity::foreign::{self, ForeignTokenRecord};
use crate::identity::life::{self, CONTROLLER, Change};
use crate::identity::{pending, token};
use crate::incarnation::{self, StoredRestore, lost};
use crate::package::standing;
use crate::rollout::{self, HEADS, StoredRollout};
use crate::store::{self, Batch, Condition, MemoryStore, Store, StoreError};
use crate::{policy, user};
use jiff::Timestamp;
use muster_backup::Manifest;
use muster_planner::Phase;
use muster_proto::api::{AuditFork, RolloutNote};
use muster_shared::id::AgentId;
use muster_shared::incarnation::{Claim, Incarnation, LAST};
use std::collections::BTreeSet;

/// Revisions of incarnation n have the numbers above n of these.
const BLOCK: u64 = 1_000_000;
/// Most lines of what to do again that are stored; all of them are printed.
const MAX_STORED: usize = 2_000;

/// What is to be renewed, and how.
pub struct Plan<'a> {
    /// Now.
    pub now: Timestamp,
    /// What the backup says of itself.
    pub manifest: &'a Manifest,
    /// Number of the incarnation that was asked for.
    pub asked: Option<u64>,
    /// What was done after the backup.
    pub lost: Option<&'a Lost>,
    /// Where the audit log goes on: at the end of the backup, or of the export.
    pub fork: AuditFork,
    /// The authority that signs the incarnation.
    pub issuing: &'a Ca,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The new incarnation.
    pub incarnation: Incarnation,
    /// Agents that come back by themselves.
    pub agents: u64,
    /// Of the backup: agents that are refused because that was decided after it.
    pub shut_out: Vec<AgentId>,
    /// Enrolment tokens that are void now, and tokens of foreign agents that nobody was bound to.
    pub tokens: u64,
    /// Enrolments that waited and must ask again.
    pub waiting: u64,
    /// Sessions that are over.
    pub sessions: u64,
    /// API tokens that are void.
    pub api_tokens: u64,
    /// Rollouts that were under way and are paused.
    pub paused: Vec<u64>,
    /// Number of the last revision in the backup.
    pub last_revision: u64,
    /// Number after which revisions go on.
    pub revisions_from: u64,
}

/// Agents that a store knows.
///
/// # Errors
/// If a record cannot be read.
pub fn agents(store: &dyn Store) -> Result<BTreeSet<AgentId>, StoreError> {
    let records = store::scan_json::<AgentRecord>(store, crate::fleet::record::PREFIX)?;
    Ok(records.into_iter().map(|(_, record)| record.id).collect())
}

/// The number after which an incarnation counts on from `last`: above everything that any incarnation before gave.
#[must_use]
pub fn numbers_from(incarnation: u64, last: u64) -> u64 {
    incarnation.max(last / BLOCK + 1).saturating_mul(BLOCK)
}

/// Changes a restored store, which is in memory, to that of a new incarnation.
///
/// # Errors
/// If a value cannot be read, or the number that was asked for is too low.
pub async fn renew(store: &MemoryStore, plan: &Plan<'_>) -> Result<Renewed, RestoreError> {
    let mut batch = Batch::new();
    let before = store::get_json::<Claim>(store, incarnation::KEY)?.map(|claim| claim.incarnation.number);
    let before = before.unwrap_or(plan.manifest.incarnation.number);
    let known = plan.lost.and_then(|lost| lost.incarnation).unwrap_or(0).max(before);
    let number = number(plan.asked, known)?;
    let present = Incarnation { number, id: uuid::Uuid::new_v4() };
    let mut drop_all = |prefix: &str| -> Result<u64, StoreError> {
        let pairs = store.scan(prefix, None, usize::MAX)?;
        let count = pairs.len() as u64;
        for (key, _) in pairs {
            batch.delete(key, Condition::Any);
        }
        Ok(count)
    };
    let enrolment_tokens = drop_all(token::PREFIX)?;
    drop_all(token::USES)?;
    let waiting = drop_all(pending::PREFIX)?;
    let sessions = drop_all(user::SESSIONS)?;
    let api_tokens = drop_all(user::API_TOKENS)?;
    drop_all(crate::http::idempotency::PREFIX)?;
    drop_all(lost::PREFIX)?;
    for key in OWN_KEYS {
        batch.delete(key, Condition::Any);
    }
    let tokens = enrolment_tokens + drop_unbound(store, &mut batch)?;
    let last_revision: u64 = store::get_json(store, policy::LAST)?.unwrap_or(0);
    let revisions_from = numbers_from(number, last_revision);
    batch.put_json(policy::LAST, Condition::Any, &revisions_from);
    let configs: u64 = store::get_json(store, configs::LAST)?.unwrap_or(0);
    batch.put_json(configs::LAST, Condition::Any, &numbers_from(number, configs));
    // A number that was given after the backup is not given again: agents know what failed by it.
    let rollouts: u64 = store::get_json(store, rollout::LAST)?.unwrap_or(0);
    batch.put_json(rollout::LAST, Condition::Any, &numbers_from(number, rollouts));
    let standing = drop_standing(store, &mut batch)?;
    let paused = pause_rollouts(store, plan.now, &mut batch)?;
    let shut_out = shut_out(store, plan, &mut batch)?;
    batch.put_json(incarnation::KEY, Condition::Any, &incarnation::claim(present, plan.issuing)?);
    let mut redo: Vec<String> = paused
        .iter()
        .map(|id| format!("rollout {id} was under way and is paused: look at it, then resume or abort it"))
        .collect();
    redo.extend(standing);
    redo.extend(plan.lost.into_iter().flat_map(|lost| lost.redo.iter().cloned()));
    let more = redo.len().saturating_sub(MAX_STORED);
    redo.truncate(MAX_STORED);
    if more > 0 {
        redo.push(format!("{more} more, which stand in the audit log"));
    }
    let restored = StoredRestore {
        at: plan.now,
        taken_at: plan.manifest.taken_at,
        last_revision,
        revisions_from,
        redo,
        fork: Some(plan.fork.clone()),
    };
    batch.put_json(incarnation::RESTORED, Condition::Any, &restored);
    let here = std::net::IpAddr::from([127, 0, 0, 1]);
    Outgoing {
        at: plan.now,
        ..Outgoing::by_user(Actor::new("offline", here), "controller.restored", present.to_string())
    }
    .detail(format!(
        "from the backup of {} by {}, whose audit log ends at {}; revisions go on above {revisions_from}",
        plan.manifest.taken_at, plan.manifest.product, plan.manifest.audit.sequence
    ))
    .add_to(&mut batch);
    store.apply(batch).await?;
    Ok(Renewed {
        incarnation: present,
        agents: agents(store)?.len() as u64 - revoked(store)?,
        shut_out,
        tokens,
        waiting,
        sessions,
        api_tokens,
        paused,
        last_revision,
        revisions_from,
    })
}

/// The number of the new incarnation: what was asked for, or the one after the highest that is known.
fn number(asked: Option<u64>, known: u64) -> Result<u64, RestoreError> {
    let number = match asked {
        Some(asked) if asked <= known => return Err(RestoreError::Incarnation { asked, known }),
        Some(asked) => Some(asked),
        None => known.checked_add(1),
    };
    number.filter(|number| *number <= LAST).ok_or(RestoreError::LastIncarnation { known })
}

/// Deletes tokens of foreign agents that nobody is bound to.
fn drop_unbound(store: &dyn Store, batch: &mut Batch) -> Result<u64, StoreError> {
    let mut count = 0;
    for (key, token) in store::scan_json::<ForeignTokenRecord>(store, foreign::PREFIX)? {
        if token.agent.is_none() {
            batch.delete(key, Condition::Any);
            count += 1;
        }
    }
    Ok(count)
}

fn revoked(store: &dyn Store) -> Result<u64, StoreError> {
    let records = store::scan_json::<AgentRecord>(store, crate::fleet::record::PREFIX)?;
    Ok(records.iter().filter(|(_, record)| matches!(record.life, Life::Revoked(_))).count() as u64)
}

/// Versions that stood for agents: what was taken back after the backup would reach everybody at once.
fn drop_standing(store: &dyn Store, batch: &mut Batch) -> Result<Vec<String>, StoreError> {
    let mut redo = Vec::new();
    for standing in standing::load(store)? {
        batch.delete(standing.key(), Condition::Any);
        redo.push(format!(
            "muster-agent@{} stood for agents since rollout {}: roll it out again if it still shall",
            standing.version, standing.rollout
        ));
    }
    Ok(redo)
}

fn pause_rollouts(store: &dyn Store, now: Timestamp, batch: &mut Batch) -> Result<Vec<u64>, StoreError> {
    let mut paused = Vec::new();
    for (key, mut stored) in store::scan_json::<StoredRollout>(store, HEADS)? {
        if stored.rollout.phase != Phase::Running {
            continue;
        }
        let reason = "the controller was restored from a backup, and nobody knows how far it got since";
        if let Ok(step) = stored.rollout.pause(CONTROLLER, reason, now) {
            stored.log.extend(step.notes.into_iter().map(|text| RolloutNote { at: now, text }));
            batch.put_json(key, Condition::Any, &stored);
            paused.push(stored.id);
        }
    }
    Ok(paused)
}

/// Does again what kept agents out after the backup.
fn shut_out(store: &dyn Store, plan: &Plan<'_>, batch: &mut Batch) -> Result<Vec<AgentId>, StoreError> {
    let mut done = Vec::new();
    for decision in plan.lost.into_iter().flat_map(|lost| &lost.out) {
        let key = AgentRecord::key(decision.agent);
        if done.contains(&decision.agent) {
            continue;
        }
        let Some(record) = store::get_json::<AgentRecord>(store, &key)? else { continue };
        match decision.how {
            Out::Revoked => {
                let hold = Hold { at: decision.at, by: decision.by.clone(), reason: decision.reason.clone() };
                // Only what is revoked already cannot be revoked again, and stays so.
                if let Ok(life) = life::after(record.id, &record.life, Change::Revoke, hold) {
                    life::block(batch, &record, decision.at);
                    batch.put_json(key, Condition::Any, &AgentRecord { life, ..record });
                }
            }
            Out::Removed => life::add_removal(batch, &record),
            Out::Decommissioned => {
                life::block(batch, &record, decision.at);
                life::add_removal(batch, &record);
            }
        }
        done.push(decision.agent);
    }
    for id in plan.lost.into_iter().flat_map(|lost| &lost.tokens) {
        let key = ForeignTokenRecord::key(id);
        let Some(token) = store::get_json::<ForeignTokenRecord>(store, &key)? else { continue };
        batch.delete(key, Condition::Any);
        let Some(agent) = token.agent else { continue };
        if let Some(record) = store::get_json::<AgentRecord>(store, &AgentRecord::key(agent))? {
            life::add_removal(batch, &record);
        }
        if !done.contains(&agent) {
            done.push(agent);
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnations_go_up_to_the_last_and_no_further() {
        for (asked, known, expected) in [
            (None, 1, Some(2)),
            (Some(7), 1, Some(7)),
            (Some(1), 1, None),
            (None, LAST - 1, Some(LAST)),
            (None, LAST, None),
            (None, u64::MAX, None),
            (Some(LAST), 1, Some(LAST)),
            (Some(LAST + 1), 1, None),
        ] {
            assert_eq!(number(asked, known).ok(), expected, "{asked:?} {known}");
        }
        let low = number(Some(3), 3).unwrap_err().to_string();
        assert!(low.contains("incarnation 3 is not above 3"), "{low}");
        let high = number(Some(LAST + 1), 3).unwrap_err().to_string();
        assert!(high.contains("above 3 and at most 1000000"), "{high}");
    }

    #[test]
    fn numbers_never_meet_those_that_are_lost() {
        for (incarnation, last, from) in [
            (2, 0, 2_000_000),
            (2, 7, 2_000_000),
            (3, 2_000_041, 3_000_000),
            (9, 2_000_041, 9_000_000),
            (2, 2_500_000, 3_000_000),
            (2, 1_999_999, 2_000_000),
            (2, 2_000_000, 3_000_000),
        ] {
            assert_eq!(numbers_from(incarnation, last), from, "{incarnation} {last}");
            assert!(from > last);
        }
    }
}
