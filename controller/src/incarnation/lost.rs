//! What agents tell a restored controller of the one that was lost: revisions that they ran, certificates that it
//! renewed, and that they enrolled after the backup. Counted and listed; nothing of it is merged.

use super::StoredRestore;
use crate::app::App;
use crate::fleet::AgentRecord;
use crate::fleet::record::Certificate;
use crate::http::error::ApiError;
use crate::identity::peer::Peer;
use crate::store::{self, Batch, Condition, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{LostRevision, RestoredView};
use muster_shared::id::AgentId;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Prefix of all keys of this file.
pub const PREFIX: &str = "restored/";
/// Prefix of the keys of revisions that agents ran.
const RAN: &str = "restored/ran/";
/// Prefix of the keys of certificates that the lost controller renewed: when each was issued, in seconds.
const RENEWED: &str = "restored/renewed/";
/// Prefix of the keys of agents that enrolled after the backup.
const UNKNOWN: &str = "restored/unknown/";
/// Prefix of the keys of agents to which this incarnation has given a certificate.
const OWN: &str = "restored/own/";
/// How far the lost controller's clock may have been ahead of that of the host where it was restored.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Most agents that are named.
const MAX_NAMED: usize = 1_000;

/// As it is shown.
///
/// # Errors
/// If the store cannot be read.
pub(super) fn view(store: &dyn Store, restored: &StoredRestore) -> Result<RestoredView, StoreError> {
    let mut ran: BTreeMap<u64, u64> = BTreeMap::new();
    for (_, revision) in store::scan_json::<u64>(store, RAN)? {
        *ran.entry(revision).or_default() += 1;
    }
    let unknown = store.scan(UNKNOWN, None, MAX_NAMED)?;
    Ok(RestoredView {
        at: restored.at,
        taken_at: restored.taken_at,
        last_revision: restored.last_revision,
        redo: restored.redo.clone(),
        lost_revisions: ran.into_iter().map(|(revision, agents)| LostRevision { revision, agents }).collect(),
        unknown_agents: unknown
            .into_iter()
            .map(|(key, _)| key.trim_start_matches(UNKNOWN).to_owned())
            .collect(),
        renewed_agents: store.scan(RENEWED, None, usize::MAX)?.len() as u64,
    })
}

/// The number of a policy, which is all that is looked at.
#[derive(Deserialize)]
struct Numbered {
    revision: u64,
}

/// The revision of a policy that runs, if it is one of the lost controller.
fn lost_revision(restored: &StoredRestore, effective: &str) -> Option<u64> {
    let Numbered { revision } = serde_json::from_str(effective).ok()?;
    (revision > restored.last_revision && revision <= restored.revisions_from).then_some(revision)
}

/// Notes what an agent runs when it comes back.
pub async fn note_running(app: &App, agent: AgentId, effective: &str) {
    let Some(restored) = app.incarnation.restored() else { return };
    let Some(revision) = lost_revision(restored, effective) else { return };
    tracing::warn!(
        agent_id = %agent, revision, newest = restored.last_revision,
        "agent runs a policy that was published after the backup, and gets the one of the backup"
    );
    let mut batch = Batch::new();
    batch.put_json(format!("{RAN}{agent}"), Condition::Any, &revision);
    if let Err(error) = app.store.apply(batch).await {
        tracing::warn!(agent_id = %agent, %error, "not noted what the agent ran");
    }
}

/// Whether a certificate that the record does not know was issued by the lost controller, which is after the backup
/// and before the restore, and later than the one of its that was taken over before.
fn is_renewed(restored: &StoredRestore, taken_over: Option<i64>, issued_at: Timestamp) -> bool {
    let issued = issued_at.as_second();
    let end = restored.at.checked_add(SKEW).unwrap_or(Timestamp::MAX);
    // Certificates tell seconds.
    (restored.taken_at.as_second()..=end.as_second()).contains(&issued)
        && taken_over.is_none_or(|before| issued > before)
}

/// Adds to `batch` that this incarnation gives an agent a certificate: what the lost controller gave it counts
/// no more, or one that is retired would count again.
pub fn note_own(app: &App, batch: &mut Batch, agent: AgentId) {
    if app.incarnation.restored().is_some() {
        batch.put_json(format!("{OWN}{agent}"), Condition::Any, &Timestamp::now());
    }
}

fn has_own(app: &App, agent: AgentId) -> Result<bool, StoreError> {
    Ok(app.store.get(&format!("{OWN}{agent}"))?.is_some())
}

/// Takes over a certificate that the lost controller gave a known agent: its key was proven to that one, and the
/// authority vouches for it. False if it is none.
///
/// # Errors
/// If the store fails.
pub async fn take_over(app: &App, peer: &Peer) -> Result<bool, ApiError> {
    let Some(restored) = app.incarnation.restored() else { return Ok(false) };
    let key = format!("{RENEWED}{}", peer.agent);
    let _writes = app.fleet.record_writes().await;
    if has_own(app, peer.agent)? || !is_renewed(restored, store::get_json(&*app.store, &key)?, peer.issued_at)
    {
        return Ok(false);
    }
    let owner_key = AgentRecord::owner_key(&peer.key_sha256);
    let owner = store::get_json::<AgentId>(&*app.store, &owner_key)?;
    let blocked = app.store.get(&AgentRecord::blocked_key(&peer.key_sha256))?.is_some();
    if blocked || owner.is_some_and(|owner| owner != peer.agent) {
        return Ok(false);
    }
    let Some(record) = app.fleet.with(peer.agent, |agent| agent.record.clone()) else { return Ok(false) };
    let mut batch = Batch::new();
    for retired in record.keys().filter(|retired| **retired != peer.key_sha256) {
        batch.delete(AgentRecord::owner_key(retired), Condition::Any);
    }
    let certificate = Certificate {
        serial: peer.serial.clone(),
        key_sha256: peer.key_sha256.clone(),
        not_after: peer.not_after,
        used: true,
        ..Certificate::default()
    };
    let record = AgentRecord { certificate, renewed: None, ..record };
    batch.put_json(owner_key, Condition::Any, &peer.agent);
    batch.put_json(AgentRecord::key(peer.agent), Condition::Any, &record);
    batch.put_json(key, Condition::Any, &peer.issued_at.as_second());
    app.store.apply(batch).await?;
    app.fleet.install(record, &app.book);
    tracing::info!(agent_id = %peer.agent, "agent came back with a certificate of after the backup, taken over");
    Ok(true)
}

/// Notes an agent that is not known because it enrolled after the backup; tells whether that is so.
///
/// # Errors
/// If the store fails.
pub async fn note_unknown(app: &App, peer: &Peer) -> Result<bool, ApiError> {
    let Some(restored) = app.incarnation.restored() else { return Ok(false) };
    if has_own(app, peer.agent)? || !is_renewed(restored, None, peer.issued_at) {
        return Ok(false);
    }
    let key = format!("{UNKNOWN}{}", peer.agent);
    if app.store.get(&key)?.is_none() {
        tracing::warn!(agent_id = %peer.agent, "agent enrolled after the backup, it has to enrol again");
        let mut batch = Batch::new();
        batch.put_json(key, Condition::Any, &Timestamp::now());
        app.store.apply(batch).await?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored() -> StoredRestore {
        StoredRestore {
            at: Timestamp::from_second(2_000).unwrap(),
            taken_at: Timestamp::from_second(1_000).unwrap(),
            last_revision: 7,
            revisions_from: 2_000_000,
            redo: Vec::new(),
            fork: None,
        }
    }

    #[test]
    fn revisions_between_the_backup_and_the_restore_are_lost() {
        let policy = |revision: u64| format!("{{\"revision\":{revision},\"spec\":{{}}}}");
        for (revision, lost) in [(0, false), (7, false), (8, true), (2_000_000, true), (2_000_001, false)] {
            assert_eq!(lost_revision(&restored(), &policy(revision)).is_some(), lost, "{revision}");
        }
        assert_eq!(lost_revision(&restored(), "{}"), None);
        assert_eq!(lost_revision(&restored(), "no json"), None);
    }

    #[test]
    fn certificates_of_after_the_backup_count_each_newer_than_the_one_before() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (issued, taken_over, counts) in [
            (999, None, false),
            (1_000, None, true),
            (1_500, None, true),
            (1_500, Some(1_400), true),
            (1_500, Some(1_500), false),
            (1_400, Some(1_500), false),
            // Those of the restored controller itself, but for clocks that are not alike.
            (2_000, None, true),
            (2_300, None, true),
            (2_301, None, false),
            (9_000, Some(1_500), false),
        ] {
            assert_eq!(is_renewed(&restored(), taken_over, at(issued)), counts, "{issued} {taken_over:?}");
        }
    }
}
