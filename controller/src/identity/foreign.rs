//! Foreign OpAMP agents: their tokens, and how one is bound to the agent that first uses it.
//!
//! The token is the agent's whole credential, shown with each connection. At its first use it is bound to one
//! instance uid, for ever; there is no certificate, no approval and no renewal. Deleting the token, or
//! removing the agent, ends it.

use super::secret;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::fleet::AgentRecord;
use crate::fleet::record::Certificate;
use crate::store::{self, Batch, Condition, StoreError};
use jiff::Timestamp;
use muster_proto::api::{ForeignTokenView, Labels};
use muster_proto::session::ForeignToken;
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Prefix of the keys of these tokens.
pub const PREFIX: &str = "foreign-token/";

/// A token as it is stored: the hash of the secret, never the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignTokenRecord {
    /// Id, part of the token's text.
    pub id: String,
    /// SHA-256 of the secret in hex.
    pub secret_sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it stops working if nobody has used it.
    pub expires_at: Timestamp,
    /// Labels that its agent gets.
    pub labels: Labels,
    /// One line for people.
    pub note: String,
    /// The agent that it is bound to.
    pub agent: Option<AgentId>,
}

/// Why a token does not let an agent in. Each text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignRefusal {
    /// Not made here, or deleted.
    #[error(
        "this controller does not know the token of this foreign agent: it was deleted, its agent was removed, or another controller made it; make one with `muster token create --foreign`"
    )]
    Unknown,
    /// Nobody used it in time.
    #[error(
        "token {id} was not used before it expired at {at}; make a new one with `muster token create --foreign`"
    )]
    Expired {
        /// The token.
        id: String,
        /// When.
        at: Timestamp,
    },
}

impl ForeignRefusal {
    /// Code of the problem.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "token-unknown",
            Self::Expired { .. } => "token-expired",
        }
    }
}

/// Why an agent was not bound to its token.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The token.
    #[error(transparent)]
    Token(#[from] ForeignRefusal),
    /// The identity is another agent's.
    #[error(
        "instance_uid {0} is known as another agent's; have this one make an instance uid of its own, or ask for one (flag RequestInstanceUid)"
    )]
    Taken(AgentId),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ForeignTokenRecord {
    /// Key in the store.
    #[must_use]
    pub fn key(id: &str) -> String {
        format!("{PREFIX}{id}")
    }

    /// Checks the secret, and the expiry of one that nobody used.
    ///
    /// # Errors
    /// Why it does not let anybody in.
    pub fn check(&self, token: &ForeignToken, now: Timestamp) -> Result<(), ForeignRefusal> {
        let presented = secret::hex(&token.secret_hash());
        if !bool::from(presented.as_bytes().ct_eq(self.secret_sha256.as_bytes())) {
            return Err(ForeignRefusal::Unknown);
        }
        self.check_use(now)
    }

    fn check_use(&self, now: Timestamp) -> Result<(), ForeignRefusal> {
        if self.agent.is_none() && now >= self.expires_at {
            return Err(ForeignRefusal::Expired { id: self.id.clone(), at: self.expires_at });
        }
        Ok(())
    }

    /// What may be shown.
    #[must_use]
    pub fn view(&self) -> ForeignTokenView {
        ForeignTokenView {
            id: self.id.clone(),
            created_at: self.created_at,
            created_by: self.created_by.clone(),
            expires_at: self.expires_at,
            agent: self.agent,
            labels: self.labels.clone(),
            note: self.note.clone(),
        }
    }

    /// The record of the agent that is bound to it.
    fn record(&self, agent: AgentId, heartbeat_seconds: u64, now: Timestamp) -> AgentRecord {
        AgentRecord {
            token: self.id.clone(),
            labels: self.labels.clone(),
            certificate: Certificate::none(),
            heartbeat_seconds,
            foreign: Some(self.id.clone()),
            ..AgentRecord::fresh(agent, now)
        }
    }
}

/// A token by its id.
///
/// # Errors
/// If the store cannot be read.
pub fn stored(app: &App, id: &str) -> Result<Option<ForeignTokenRecord>, StoreError> {
    store::get_json(&*app.store, &ForeignTokenRecord::key(id))
}

/// Binds a token to the agent that first uses it and makes the agent known. Tells which agent the token is
/// bound to: another one if somebody was quicker.
///
/// # Errors
/// Why not; nothing is changed then.
pub async fn bind(app: &App, token_id: &str, agent: AgentId, from: IpAddr) -> Result<AgentId, BindError> {
    let now = Timestamp::now();
    let _writes = app.fleet.record_writes().await;
    let token = stored(app, token_id)?.ok_or(ForeignRefusal::Unknown)?;
    token.check_use(now)?;
    if let Some(bound) = token.agent {
        return Ok(bound);
    }
    if app.fleet.with(agent, |_| ()).is_some() {
        return Err(BindError::Taken(agent));
    }
    let record = token.record(agent, app.config.heartbeat_seconds, now);
    let bound = ForeignTokenRecord { agent: Some(agent), ..token };
    let mut batch = Batch::new();
    batch.put_json(ForeignTokenRecord::key(token_id), Condition::Any, &bound);
    batch.put_json(AgentRecord::key(agent), Condition::Absent, &record);
    let action =
        Outgoing::by_agent("agent.bind", agent, from).detail(format!("foreign agent, token {token_id}"));
    app.commit(batch, action).await?;
    app.fleet.install(record, &app.book);
    tracing::info!(agent_id = %agent, token = token_id, %from, "foreign agent bound to its token");
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_expires_only_unused() {
        let token = ForeignToken { id: uuid::Uuid::from_u128(1), secret: [7; 32] };
        let at = |second| Timestamp::from_second(second).unwrap();
        let record = ForeignTokenRecord {
            id: token.id.to_string(),
            secret_sha256: secret::hex(&token.secret_hash()),
            created_at: at(0),
            created_by: "admin".to_owned(),
            expires_at: at(100),
            labels: Labels::new(),
            note: String::new(),
            agent: None,
        };
        assert_eq!(record.check(&token, at(99)), Ok(()));
        assert_eq!(record.check(&token, at(100)).unwrap_err().code(), "token-expired");
        let bound = ForeignTokenRecord { agent: Some(AgentId(uuid::Uuid::from_u128(2))), ..record };
        assert_eq!(bound.check(&token, at(1_000_000)), Ok(()));
        let wrong = ForeignToken { secret: [8; 32], ..token };
        assert_eq!(bound.check(&wrong, at(0)), Err(ForeignRefusal::Unknown));
    }
}
