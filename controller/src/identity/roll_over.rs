//! The steps of a roll-over of the authority, and how far it has got.

use super::authority::{self, AuthorityError, StoredState, Trust};
use super::secret;
use super::tls::TlsError;
use crate::app::App;
use crate::audit_log::{Actor, Outgoing};
use crate::fleet::record::{AgentRecord, Life};
use crate::store::{Batch, Condition, StoreError};
use jiff::Timestamp;
use muster_proto::api::{AuthorityView, CaFinish, CaView};
use std::sync::Arc;

/// Most names of agents that are told.
const MAX_NAMES: usize = 20;

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RollOverError {
    /// It was begun before.
    #[error("a roll-over is under way since {0}; finish it with `muster ca roll-over --finish`")]
    UnderWay(Timestamp),
    /// There is none.
    #[error("no roll-over is under way; begin one with `muster ca roll-over`")]
    NotUnderWay,
    /// Another one is.
    #[error("another roll-over is under way than the one named; see `muster ca show`")]
    Other,
    /// Agents would be lost.
    #[error(
        "{0} agent(s) do not have a certificate of the new authority yet and would have to enrol anew; wait for them, decommission them, or finish with --force"
    )]
    Unfinished(usize),
    /// Certificates or files.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether an agent is done with the authority whose key has this hash: pure.
fn is_done(record: &AgentRecord, authority: &str) -> bool {
    // A foreign agent has no certificate.
    if record.foreign.is_some() {
        return true;
    }
    match record.life {
        // It has nothing to lose.
        Life::Revoked(_) => true,
        Life::Active | Life::Quarantined(_) => {
            record.certificate.used && record.certificate.authority == authority
        }
    }
}

/// What is known of the authority and its roll-over.
#[must_use]
pub fn view(app: &App) -> CaView {
    let trust = app.authority.trust();
    let issuing = secret::hex(&trust.issuing.spki_sha256());
    let mut remaining = Vec::new();
    let mut agents = 0;
    if trust.previous.is_some() {
        app.fleet.each(|agent| {
            agents += 1;
            if !is_done(&agent.record, &issuing) {
                remaining.push(agent.observed.name(agent.record.id));
            }
        });
    }
    let left = remaining.len();
    remaining.truncate(MAX_NAMES);
    let show = |ca: &super::ca::Ca| AuthorityView {
        name: ca.name().to_owned(),
        key_sha256: secret::hex(&ca.spki_sha256()),
        certificate_sha256: secret::sha256_hex(ca.certificate()),
        expires_at: ca.not_after(),
    };
    CaView {
        issuing: show(&trust.issuing),
        previous: trust.previous.as_deref().map(show),
        since: trust.since,
        agents,
        remaining: left as u64,
        remaining_names: remaining,
    }
}

fn stored(present: &Trust, next: Option<&Trust>, now: Timestamp, by: &str) -> StoredState {
    let hex = |trust: &Trust| secret::hex(&trust.issuing.spki_sha256());
    StoredState { present: hex(present), next: next.map(hex), since: now, by: by.to_owned() }
}

/// Begins a roll-over.
///
/// # Errors
/// If one is under way, or something cannot be written; then nothing has changed.
pub async fn begin(app: &App, actor: Actor<'_>, reason: &str) -> Result<CaView, RollOverError> {
    let _turn = app.authority.turn.lock().await;
    let present = app.authority.trust();
    if let (Some(_), Some(since)) = (&present.previous, present.since) {
        return Err(RollOverError::UnderWay(since));
    }
    let now = Timestamp::now();
    let next = app.authority.prepare(now)?;
    let mut batch = Batch::new();
    batch.put_json(authority::STATE, Condition::Any, &stored(&present, Some(&next), now, actor.name));
    let object = secret::hex(&next.issuing.spki_sha256());
    let entry = Outgoing::by_user(actor, "ca.roll-over", object).detail(reason);
    app.commit(batch, entry).await?;
    // It counts: what follows is repeated by the next start if it fails here.
    app.authority.begin(next).map_err(AuthorityError::from)?;
    take_over(app)?;
    tracing::info!(by = actor.name, "roll-over of the authority begun");
    Ok(view(app))
}

/// Drops the old authority, if it is the roll-over that `wanted` names. Without `force` only when every agent has a
/// certificate of the new one.
///
/// # Errors
/// If none is under way, agents would be lost, or something cannot be written.
pub async fn finish(app: &App, wanted: &CaFinish, actor: Actor<'_>) -> Result<CaView, RollOverError> {
    let _turn = app.authority.turn.lock().await;
    let present = app.authority.trust();
    if present.previous.is_none() {
        return Err(RollOverError::NotUnderWay);
    }
    if !wanted.issuing.eq_ignore_ascii_case(&secret::hex(&present.issuing.spki_sha256())) {
        return Err(RollOverError::Other);
    }
    let left = view(app).remaining;
    if left > 0 && !wanted.force {
        return Err(RollOverError::Unfinished(usize::try_from(left).unwrap_or(usize::MAX)));
    }
    let mut batch = Batch::new();
    let now = Timestamp::now();
    batch.put_json(authority::STATE, Condition::Any, &stored(&present, None, now, actor.name));
    let object = secret::hex(&present.issuing.spki_sha256());
    let entry = Outgoing::by_user(actor, "ca.roll-over.finish", object)
        .detail(format!("{left} agent(s) left behind"));
    app.commit(batch, entry).await?;
    app.authority.finish().map_err(AuthorityError::from)?;
    take_over(app)?;
    tracing::info!(by = actor.name, left, "roll-over of the authority finished");
    Ok(view(app))
}

/// Has TLS and the agents follow.
fn take_over(app: &App) -> Result<(), TlsError> {
    let trust: Arc<Trust> = app.authority.trust();
    app.verifier.reload(&trust)?;
    app.certificate.renew(&trust, Timestamp::now())?;
    // Foreign agents are offered no settings.
    app.fleet.each(|agent| {
        if agent.record.foreign.is_none() {
            agent.outbox.settings_changed();
        }
    });
    Ok(())
}
