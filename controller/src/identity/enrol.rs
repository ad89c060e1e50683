//! Enrolment and renewal: a certificate request becomes a certificate, once and for the right agent.

use super::authority::Trust;
use super::ca::{Ca, CaError, CheckedRequest, Issued};
use super::decide::{Applicant, Decision, Ground, Refusal, decide};
use super::pending::{PendingRecord, Verdict};
use super::token::{Enrolled, TokenRecord, TokenRefusal};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::fleet::AgentRecord;
use crate::fleet::observed::Observed;
use crate::fleet::record::{Certificate, Life};
use crate::incarnation::lost;
use crate::licence::NotLicensed;
use crate::store::{self, Batch, Condition, StoreError};
use jiff::Timestamp;
use muster_proto::opamp::{
    AgentToServer, ConnectionSettingsOffers, OpAmpConnectionSettings, TlsCertificate, TlsConnectionSettings,
};
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::time::Duration;

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token or the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
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
    /// A person has to look first. The agent is not answered, so that it goes on asking.
    #[error("the enrolment waits for approval")]
    Waiting,
    /// More wait than can be kept.
    #[error("too many enrolments wait for approval; see `muster agents pending`")]
    Full,
    /// The agent was removed.
    #[error("agent {0} is not enrolled here (any more); enrol it with a new token")]
    Removed(AgentId),
    /// The agent is quarantined.
    #[error("agent {0} is quarantined and gets no certificate; see `muster agents show {0}`")]
    Quarantined(AgentId),
    /// It has just got one.
    #[error("this agent's certificate was renewed a moment ago; another key is taken a little later")]
    TooSoon,
    /// The licence.
    #[error(transparent)]
    NotLicensed(#[from] NotLicensed),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EnrolError {
    /// The agent did nothing wrong: it may try again.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Store(_)
            | Self::TooSoon
            | Self::Full
            | Self::Request(CaError::Sign(_) | CaError::File(_) | CaError::Damaged(_)) => true,
            Self::Refused(_)
            | Self::NotLicensed(_)
            | Self::Request(CaError::Request(_) | CaError::RequestTooLong)
            | Self::OtherName { .. }
            | Self::Waiting
            | Self::Removed(_)
            | Self::Quarantined(_) => false,
        }
    }
}

/// The request in a message, if it has one.
#[must_use]
pub fn request_in(message: &AgentToServer) -> Option<&[u8]> {
    let request = message.connection_settings_request.as_ref()?.opamp.as_ref()?;
    request.certificate_request.as_ref().map(|r| r.csr.as_slice())
}

/// An agent that asks to enrol, as its message tells.
#[derive(Debug, Clone)]
pub struct Application {
    /// The id that it uses.
    pub agent: AgentId,
    /// Its certificate request.
    pub csr: Vec<u8>,
    /// Its partition, as it says.
    pub partition: Option<PartitionKey>,
    /// Name for people, as it says.
    pub name: String,
}

impl Application {
    /// What a message asks for, if it has a certificate request.
    #[must_use]
    pub fn from_message(agent: AgentId, message: &AgentToServer) -> Option<Self> {
        let csr = request_in(message)?.to_vec();
        let mut said = Observed::default();
        said.take(message, Timestamp::UNIX_EPOCH);
        Some(Self { agent, csr, partition: said.partition(), name: said.name(agent) })
    }
}

/// Enrols an agent with a token, answers again to one that did not hear the first answer, or has it wait for
/// approval.
///
/// # Errors
/// Why it gets no certificate (now).
pub async fn enrol(
    app: &App,
    token_id: &str,
    application: &Application,
    from: IpAddr,
) -> Result<Issued, EnrolError> {
    let now = Timestamp::now();
    let agent = application.agent;
    let request = checked(agent, &application.csr)?;
    let _writes = app.fleet.record_writes().await;
    let token_key = TokenRecord::key(token_id);
    let token_bytes = app.store.get(&token_key)?.ok_or(Refusal::Token(TokenRefusal::Unknown))?;
    let token: TokenRecord = store::decode(&token_key, &token_bytes)?;
    if now >= token.expires_at {
        return Err(Refusal::Token(TokenRefusal::Expired { id: token.id, at: token.expires_at }).into());
    }
    let use_key = TokenRecord::use_key(&token.id, agent);
    let before = store::get_json::<Enrolled>(&*app.store, &use_key)?;
    let known = app.fleet.with(agent, |a| a.record.clone());
    let pending = app.pending.get(&request.key_sha256);
    // An agent tells what has not changed only once.
    let partition = application.partition.clone().or_else(|| pending.as_ref()?.partition.clone());
    let applicant = Applicant { agent, key_sha256: request.key_sha256.clone(), partition };
    let neighbours = applicant.partition.as_ref().map(|p| app.fleet.neighbours(p, agent)).unwrap_or_default();
    if known.is_none() {
        app.licence.permits_partition(&app.fleet, applicant.partition.as_ref())?;
    }
    let ground = Ground {
        token: &token,
        used_before: before.as_ref(),
        token_waiting: app.pending.waiting_with(&token.id),
        known: known.as_ref(),
        neighbours: &neighbours,
        key_owner: store::get_json(&*app.store, &AgentRecord::owner_key(&request.key_sha256))?,
        key_blocked: app.store.get(&AgentRecord::blocked_key(&request.key_sha256))?.is_some(),
        pending: pending.as_ref(),
    };
    let (replaces, shares) = match decide(&applicant, ground)? {
        Decision::Issue { replaces, shares } => (replaces, shares),
        Decision::Wait(reasons) => {
            wait(app, &token, application, &request.key_sha256, reasons, from, now).await?;
            return Err(EnrolError::Waiting);
        }
    };
    let told = known
        .as_ref()
        .filter(|_| !replaces)
        .and_then(|k| again(app, &k.certificate, &request.key_sha256, now));
    if let Some(issued) = told {
        return Ok(issued);
    }
    let used = token.used_by(before.as_ref(), &request.key_sha256).map_err(Refusal::Token)?;
    let issued = app.authority.issuing().issue(&request, agent, app.config.certificate_life, now)?;
    let mut batch = Batch::new();
    let record = enrolled(app, &token, &applicant, known, &issued, replaces, shares, now);
    batch.put_json(&token_key, Condition::Equals(token_bytes), &used);
    batch.put_json(use_key, Condition::Any, &Enrolled { key_sha256: request.key_sha256.clone() });
    put_key(app, &mut batch, agent, &request)?;
    batch.put_json(AgentRecord::key(agent), Condition::Any, &record);
    lost::note_own(app, &mut batch, agent);
    batch.delete(PendingRecord::key(&request.key_sha256), Condition::Any);
    let what = if replaces { "agent.re-enrol" } else { "agent.enrol" };
    let action = Outgoing::by_agent(what, agent, from)
        .detail(format!("token {}, key {}", token.id, request.key_sha256));
    app.commit(batch, action).await?;
    app.pending.forget([&request.key_sha256]);
    app.fleet.install(record, &app.book);
    tracing::info!(agent_id = %agent, token = %token.id, %from, replaces, "agent enrolled");
    Ok(issued)
}

/// The record after an enrolment.
#[allow(clippy::too_many_arguments)] // values of one moment, used here only
fn enrolled(
    app: &App,
    token: &TokenRecord,
    applicant: &Applicant,
    known: Option<AgentRecord>,
    issued: &Issued,
    replaces: bool,
    shares: bool,
    now: Timestamp,
) -> AgentRecord {
    let heartbeat_seconds = app.config.heartbeat_seconds;
    let Some(known) = known else {
        return AgentRecord {
            token: token.id.clone(),
            labels: token.labels.clone(),
            certificate: certificate(issued),
            heartbeat_seconds,
            partition: applicant.partition.clone(),
            shares_partition: shares,
            ..AgentRecord::fresh(applicant.agent, now)
        };
    };
    let mut record = AgentRecord { heartbeat_seconds, ..known };
    let held = record.life != Life::Active;
    if replaces {
        // Labels were set by a person; the token's come on top.
        record.labels.extend(token.labels.clone());
        record.token.clone_from(&token.id);
        record.partition = applicant.partition.clone().or(record.partition);
        record.shares_partition |= shares;
        record.life = Life::Active;
    }
    if record.certificate.used && !held {
        // The one before is retired by the first use of the new one.
        record.renewed = Some(certificate(issued));
    } else {
        (record.certificate, record.renewed) = (certificate(issued), None);
    }
    record
}

/// Notes that an agent waits for approval.
async fn wait(
    app: &App,
    token: &TokenRecord,
    application: &Application,
    key_sha256: &str,
    reasons: Vec<String>,
    from: IpAddr,
    now: Timestamp,
) -> Result<(), EnrolError> {
    if let Some(noted) = app.pending.get(key_sha256) {
        app.pending.asked(key_sha256, now);
        return wait_on(app, noted, application, reasons, from, now).await;
    }
    let mut batch = Batch::new();
    let (over, room) = app.pending.make_room(&mut batch, now);
    if !room {
        return Err(EnrolError::Full);
    }
    let record = PendingRecord {
        key_sha256: key_sha256.to_owned(),
        agent: application.agent,
        token: token.id.clone(),
        reasons,
        partition: application.partition.clone(),
        name: application.name.clone(),
        from: from.to_string(),
        since: now,
        verdict: Verdict::Waiting,
    };
    batch.put_json(PendingRecord::key(key_sha256), Condition::Any, &record);
    let action = Outgoing::by_agent("agent.pending", application.agent, from).detail(format!(
        "key {key_sha256}, token {}: {}",
        token.id,
        record.reasons.join("; ")
    ));
    app.commit(batch, action).await?;
    app.pending.forget(&over);
    app.pending.install(record, now);
    tracing::info!(agent_id = %application.agent, key_sha256, %from, "enrolment waits for approval");
    Ok(())
}

/// Notes what an agent that waits says now, if that is something else: a person decides on what is shown. What was
/// approved before is to be looked at again.
async fn wait_on(
    app: &App,
    noted: PendingRecord,
    application: &Application,
    reasons: Vec<String>,
    from: IpAddr,
    now: Timestamp,
) -> Result<(), EnrolError> {
    let record = PendingRecord {
        partition: application.partition.clone().or_else(|| noted.partition.clone()),
        reasons,
        verdict: Verdict::Waiting,
        ..noted.clone()
    };
    if record == noted {
        return Ok(());
    }
    let again = matches!(noted.verdict, Verdict::Approved { .. });
    let mut batch = Batch::new();
    batch.put_json(PendingRecord::key(&record.key_sha256), Condition::Any, &record);
    let action = Outgoing::by_agent("agent.pending", record.agent, from).detail(format!(
        "key {}, {}: {}",
        record.key_sha256,
        if again { "not what was approved" } else { "tells something else" },
        record.reasons.join("; ")
    ));
    app.commit(batch, action).await?;
    tracing::info!(agent_id = %record.agent, key_sha256 = record.key_sha256, %from, again, "enrolment waits on");
    app.pending.install(record, now);
    Ok(())
}

/// Renews the certificate of an agent that proved its present key. `expired` tells when that certificate
/// expired, if it did.
///
/// # Errors
/// Why not; nothing is changed then.
pub async fn renew(
    app: &App,
    agent: AgentId,
    csr: &[u8],
    from: IpAddr,
    expired: Option<Timestamp>,
) -> Result<Issued, EnrolError> {
    let now = Timestamp::now();
    let request = checked(agent, csr)?;
    let _writes = app.fleet.record_writes().await;
    let known = app.fleet.with(agent, |a| (a.record.clone(), a.renewed_at));
    let (known, last) = known.ok_or(EnrolError::Removed(agent))?;
    match &known.life {
        Life::Active => {}
        Life::Quarantined(_) => return Err(EnrolError::Quarantined(agent)),
        Life::Revoked(_) => return Err(EnrolError::Removed(agent)),
    }
    if let Some(issued) = known.renewed.as_ref().and_then(|c| again(app, c, &request.key_sha256, now)) {
        return Ok(issued);
    }
    if last.is_some_and(|last| now.duration_since(last).unsigned_abs() < pause(app)) {
        return Err(EnrolError::TooSoon);
    }
    let issued = app.authority.issuing().issue(&request, agent, app.config.certificate_life, now)?;
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
    lost::note_own(app, &mut batch, agent);
    let with = expired.map(|at| format!(", by a certificate that expired at {at}")).unwrap_or_default();
    let action =
        Outgoing::by_agent("agent.renew", agent, from).detail(format!("key {}{with}", request.key_sha256));
    app.commit(batch, action).await?;
    app.fleet.install(record, &app.book);
    app.fleet.with(agent, |a| a.renewed_at = Some(now));
    tracing::info!(agent_id = %agent, %from, expired = expired.is_some(), "agent certificate renewed");
    Ok(issued)
}

/// Shortest time between two renewals of one agent with different keys.
fn pause(app: &App) -> Duration {
    (app.config.certificate_life / 100).min(Duration::from_secs(30))
}

/// What was issued for this key already and not used yet: whoever did not hear it is told the same.
fn again(app: &App, certificate: &Certificate, key_sha256: &str, now: Timestamp) -> Option<Issued> {
    let pem = certificate.pem.clone()?;
    let left = certificate.not_after.duration_since(now);
    let same = certificate.key_sha256 == key_sha256
        && left.is_positive()
        && left.unsigned_abs() > app.config.certificate_life / 2;
    same.then(|| Issued {
        pem,
        serial: certificate.serial.clone(),
        key_sha256: certificate.key_sha256.clone(),
        not_after: certificate.not_after,
        authority: certificate.authority.clone(),
    })
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
        Some(owner) if owner != agent => Err(Refusal::ForeignKey.into()),
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
        pem: Some(issued.pem.clone()),
        authority: issued.authority.clone(),
    }
}

/// The offer that carries a certificate. It names the URL that the agent dialled, for that one works.
#[must_use]
pub fn offer(
    trust: &Trust,
    issued: &Issued,
    endpoint: &str,
    heartbeat_seconds: u64,
) -> ConnectionSettingsOffers {
    let bundle = trust.bundle();
    let certificate = TlsCertificate {
        cert: issued.pem.clone().into_bytes(),
        private_key: Vec::new(),
        ca_cert: bundle.clone().into_bytes(),
    };
    let settings = OpAmpConnectionSettings {
        certificate: Some(certificate),
        ..settings(endpoint, heartbeat_seconds, &bundle)
    };
    // The serial number is new with every certificate, so every offer has a hash of its own.
    offered(settings, &[endpoint, &issued.serial, &heartbeat_seconds.to_string(), &bundle])
}

/// The offer for an enrolled agent: how often it shall report, and which authorities to trust. Agents keep the
/// first in memory only, so each connection may need it.
#[must_use]
pub fn pace_offer(trust: &Trust, endpoint: &str, heartbeat_seconds: u64) -> ConnectionSettingsOffers {
    let bundle = trust.bundle();
    let settings = settings(endpoint, heartbeat_seconds, &bundle);
    offered(settings, &[endpoint, &heartbeat_seconds.to_string(), &bundle])
}

fn settings(endpoint: &str, heartbeat_seconds: u64, bundle: &str) -> OpAmpConnectionSettings {
    // TLS versions and ciphers are left to the agent, which refuses to have them changed from here.
    let tls =
        TlsConnectionSettings { ca_pem_contents: bundle.to_owned(), ..TlsConnectionSettings::default() };
    OpAmpConnectionSettings {
        destination_endpoint: endpoint.to_owned(),
        heartbeat_interval_seconds: heartbeat_seconds,
        tls: Some(tls),
        ..OpAmpConnectionSettings::default()
    }
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
