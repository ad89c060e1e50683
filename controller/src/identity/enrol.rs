//! Enrolment and renewal: a certificate request becomes a certificate, once and for the right agent.

use super::ca::{Ca, CaError, CheckedRequest, Issued};
use super::token::{TokenRecord, TokenRefusal};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::fleet::AgentRecord;
use crate::fleet::record::Certificate;
use crate::store::{self, Batch, Condition, StoreError};
use jiff::Timestamp;
use muster_proto::opamp::{AgentToServer, ConnectionSettingsOffers, OpAmpConnectionSettings, TlsCertificate};
use muster_shared::id::AgentId;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// The request itself, or signing.
    #[error(transparent)]
    Request(#[from] CaError),
    /// The request names another agent.
    #[error(
        "the certificate request names `{named}`, but the message comes from agent {agent}; make the request anew"
    )]
    OtherName {
        /// Name in the request.
        named: String,
        /// The sender.
        agent: AgentId,
    },
    /// The key belongs to somebody else.
    #[error(
        "the key of the certificate request belongs to another agent already: this is a copy of its state folder; delete it and enrol again, so that a new key is made"
    )]
    ForeignKey,
    /// The identity is taken.
    #[error(
        "agent {0} is enrolled already with another key; if it lost its key, remove it (`muster agents remove {0}`) and enrol it again"
    )]
    Taken(AgentId),
    /// The agent was removed.
    #[error("agent {0} is not enrolled here (any more); enrol it with a new token")]
    Removed(AgentId),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EnrolError {
    /// The agent did nothing wrong: it may try again.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Store(_) | Self::Request(CaError::Sign(_) | CaError::File(_) | CaError::Damaged(_)) => true,
            Self::Token(_)
            | Self::Request(CaError::Request(_) | CaError::RequestTooLong)
            | Self::OtherName { .. }
            | Self::ForeignKey
            | Self::Taken(_)
            | Self::Removed(_) => false,
        }
    }
}

/// The request in a message, if it has one.
#[must_use]
pub fn request_in(message: &AgentToServer) -> Option<&[u8]> {
    let request = message.connection_settings_request.as_ref()?.opamp.as_ref()?;
    request.certificate_request.as_ref().map(|r| r.csr.as_slice())
}

/// Enrols an agent with a token, or answers again to one that did not hear the first answer.
///
/// # Errors
/// Why not; nothing is changed then.
pub async fn enrol(
    app: &App,
    token_id: &str,
    agent: AgentId,
    csr: &[u8],
    from: IpAddr,
) -> Result<Issued, EnrolError> {
    let now = Timestamp::now();
    let request = checked(agent, csr)?;
    let _writes = app.fleet.record_writes().await;
    let token_key = TokenRecord::key(token_id);
    let token_bytes = app.store.get(&token_key)?.ok_or(TokenRefusal::Unknown)?;
    let token: TokenRecord = store::decode(&token_key, &token_bytes)?;
    if now >= token.expires_at {
        return Err(TokenRefusal::Expired { id: token.id, at: token.expires_at }.into());
    }
    let known = app.fleet.with(agent, |a| a.record.clone());
    if known.as_ref().is_some_and(|k| !k.owns_key(&request.key_sha256)) {
        // Tell the more helpful of the two: a token that is used up is the more frequent reason.
        token.used_by(agent, &request.key_sha256)?;
        return Err(EnrolError::Taken(agent));
    }
    let used = token.used_by(agent, &request.key_sha256)?;
    let issued = app.ca.issue(&request, agent, app.config.certificate_life, now)?;
    let fresh = AgentRecord {
        id: agent,
        enrolled_at: now,
        token: token.id.clone(),
        labels: token.labels.clone(),
        certificate: certificate(&issued),
        renewed: None,
        heartbeat_seconds: app.config.heartbeat_seconds,
    };
    let record = match known {
        Some(known) if known.certificate.used => AgentRecord { renewed: Some(certificate(&issued)), ..known },
        Some(known) => AgentRecord { certificate: certificate(&issued), renewed: None, ..known },
        None => fresh,
    };
    let mut batch = Batch::new();
    batch.put_json(&token_key, Condition::Equals(token_bytes), &used);
    put_key(app, &mut batch, agent, &request)?;
    batch.put_json(AgentRecord::key(agent), Condition::Any, &record);
    let action = Outgoing::by_agent("agent.enrol", agent, from)
        .detail(format!("token {}, key {}", token.id, request.key_sha256));
    app.commit(batch, action).await?;
    app.fleet.install(record, &app.book);
    tracing::info!(agent_id = %agent, token = %token.id, %from, "agent enrolled");
    Ok(issued)
}

/// Renews the certificate of an agent that proved its present key.
///
/// # Errors
/// Why not; nothing is changed then.
pub async fn renew(app: &App, agent: AgentId, csr: &[u8], from: IpAddr) -> Result<Issued, EnrolError> {
    let now = Timestamp::now();
    let request = checked(agent, csr)?;
    let _writes = app.fleet.record_writes().await;
    let known = app.fleet.with(agent, |a| a.record.clone()).ok_or(EnrolError::Removed(agent))?;
    let issued = app.ca.issue(&request, agent, app.config.certificate_life, now)?;
    let mut batch = Batch::new();
    // A renewal that was never used gives way to the newer one, and its key is free again.
    if let Some(unused) = &known.renewed
        && unused.key_sha256 != request.key_sha256
        && unused.key_sha256 != known.certificate.key_sha256
    {
        batch.delete(AgentRecord::owner_key(&unused.key_sha256), Condition::Any);
    }
    put_key(app, &mut batch, agent, &request)?;
    let record = AgentRecord {
        renewed: Some(certificate(&issued)),
        heartbeat_seconds: app.config.heartbeat_seconds,
        ..known
    };
    batch.put_json(AgentRecord::key(agent), Condition::Any, &record);
    let action = Outgoing::by_agent("agent.renew", agent, from).detail(format!("key {}", request.key_sha256));
    app.commit(batch, action).await?;
    app.fleet.install(record, &app.book);
    tracing::info!(agent_id = %agent, %from, "agent certificate renewed");
    Ok(issued)
}

fn checked(agent: AgentId, csr: &[u8]) -> Result<CheckedRequest, EnrolError> {
    let request = Ca::check_request(csr)?;
    // A request that names a uid must name the sender's; other names mean nothing here.
    let named = request.common_name.as_deref().and_then(|n| n.parse::<AgentId>().ok());
    match named {
        Some(named) if named != agent => Err(EnrolError::OtherName { named: named.to_string(), agent }),
        Some(_) | None => Ok(request),
    }
}

/// Notes the owner of the key; refuses a key that has another one.
fn put_key(app: &App, batch: &mut Batch, agent: AgentId, request: &CheckedRequest) -> Result<(), EnrolError> {
    let key = AgentRecord::owner_key(&request.key_sha256);
    match store::get_json::<AgentId>(&*app.store, &key)? {
        Some(owner) if owner != agent => Err(EnrolError::ForeignKey),
        Some(_) => Ok(()),
        None => {
            batch.put_json(key, Condition::Absent, &agent);
            Ok(())
        }
    }
}

fn certificate(issued: &Issued) -> Certificate {
    Certificate {
        serial: issued.serial.clone(),
        key_sha256: issued.key_sha256.clone(),
        not_after: issued.not_after,
        used: false,
    }
}

/// The offer that carries a certificate. It names the URL that the agent dialled, for that one works, and
/// leaves trust anchors and TLS versions to the agent, which refuses to have them changed from here.
#[must_use]
pub fn offer(ca: &Ca, issued: &Issued, endpoint: &str, heartbeat_seconds: u64) -> ConnectionSettingsOffers {
    let settings = OpAmpConnectionSettings {
        destination_endpoint: endpoint.to_owned(),
        certificate: Some(TlsCertificate {
            cert: issued.pem.clone().into_bytes(),
            private_key: Vec::new(),
            ca_cert: ca.pem().as_bytes().to_vec(),
        }),
        heartbeat_interval_seconds: heartbeat_seconds,
        ..OpAmpConnectionSettings::default()
    };
    // The serial number is new with every certificate, so every offer has a hash of its own.
    offered(settings, &[endpoint, &issued.serial, &heartbeat_seconds.to_string()])
}

/// The offer for an enrolled agent: how often it shall report. Agents keep that in memory only, so each
/// connection may need it.
#[must_use]
pub fn pace_offer(endpoint: &str, heartbeat_seconds: u64) -> ConnectionSettingsOffers {
    let settings = OpAmpConnectionSettings {
        destination_endpoint: endpoint.to_owned(),
        heartbeat_interval_seconds: heartbeat_seconds,
        ..OpAmpConnectionSettings::default()
    };
    offered(settings, &[endpoint, &heartbeat_seconds.to_string()])
}

/// An offer with the hash over what makes it different from others.
fn offered(settings: OpAmpConnectionSettings, parts: &[&str]) -> ConnectionSettingsOffers {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    ConnectionSettingsOffers {
        hash: hash.finalize().to_vec(),
        opamp: Some(settings),
        ..ConnectionSettingsOffers::default()
    }
}
