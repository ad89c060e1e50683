//! Enrolment: a token and a key of the agent's own become a client certificate.
//!
//! The agent verifies the controller by the token's hash of the CA key, sends the token as bearer and a
//! certificate request (its key never leaves it), waits for the certificate, checks it and stores its
//! identity. Renewal later is the same exchange over the mutual connection ([`keyring`], [`renewal`]);
//! [`certificate_request`] and [`certificate::check`] are what both need.

pub mod anchor;
pub mod certificate;
mod exchange;
pub mod identity;
pub mod keyring;
pub mod renewal;
pub mod verify;

pub use exchange::certificate_request;
pub use identity::Identity;
pub use keyring::KeyRing;

use crate::uplink::connection::ConnectionFile;
use crate::uplink::describe::AgentFacts;
use crate::uplink::endpoint::{Endpoint, EndpointError};
use crate::uplink::failure::Failure;
use crate::uplink::incarnation::IncarnationFile;
use crate::uplink::tls;
use crate::uplink::transport::proxy::Proxy;
use crate::uplink::transport::{Deadlines, TransportKind};
use exchange::{Answer, Exchange};
use identity::{IdentityError, PendingKey};
use jiff::Timestamp;
use muster_proto::opamp::TlsCertificate;
use muster_proto::session::EnrolmentToken;
use muster_proto::session::fingerprint::key_fingerprint;
use muster_shared::id::AgentId;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::CertificateDer;
use std::path::Path;
use std::time::Duration;
use tracing::{info, warn};
use verify::PinnedCa;
use zeroize::Zeroizing;

/// How an enrolment is done.
#[derive(Clone)]
pub struct EnrolOptions {
    /// What the agent tells of itself.
    pub facts: AgentFacts,
    /// Replace an identity that is already there: same agent id, new key.
    pub replace: bool,
    /// How messages travel.
    pub kind: TransportKind,
    /// The way to the controllers, if not direct.
    pub proxy: Option<Proxy>,
    /// How long to wait for the network.
    pub deadlines: Deadlines,
    /// How long to wait for the certificate once the controller has the request; approval may need a person.
    pub patience: Duration,
    /// Told the key's fingerprint when the controller has the request and a person has to approve it.
    pub on_waiting: fn(&str),
}

impl EnrolOptions {
    /// The usual: WebSocket, an hour's patience, nothing replaced.
    #[must_use]
    pub fn new(facts: AgentFacts) -> Self {
        Self {
            facts,
            replace: false,
            kind: TransportKind::Websocket,
            proxy: None,
            deadlines: Deadlines::default(),
            patience: Duration::from_secs(3_600),
            on_waiting: |_| {},
        }
    }
}

/// What came of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The agent's id.
    pub agent: AgentId,
    /// Fingerprint of its public key, as the controller shows it too.
    pub fingerprint: String,
    /// When the certificate expires.
    pub expires: Option<Timestamp>,
    /// The controller that answered.
    pub controller: String,
}

/// Why an enrolment failed, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// There is an identity already.
    #[error(
        "this agent is already enrolled as {0}; run it with `muster-agent run`, or enrol anew with `--replace`"
    )]
    AlreadyEnrolled(AgentId),
    /// The token's URLs are no addresses.
    #[error("the token cannot be used")]
    Endpoint(#[from] EndpointError),
    /// State cannot be read or written.
    #[error("the agent's identity cannot be kept")]
    Identity(#[from] IdentityError),
    /// The key cannot be made or used.
    #[error("making the agent's key failed: {0}")]
    Key(String),
    /// The controller says no.
    #[error("the controller refuses this enrolment: {reason}. (Key of this agent: {fingerprint})")]
    Refused {
        /// What it says.
        reason: String,
        /// Fingerprint of the key.
        fingerprint: String,
    },
    /// The controller has the request and has not answered it.
    #[error(
        "the controller has not issued a certificate within {seconds} s; if it waits for approval, have the \
         key {fingerprint} approved and run this command again with the same token"
    )]
    Unanswered {
        /// How long was waited.
        seconds: u64,
        /// Fingerprint of the key.
        fingerprint: String,
    },
    /// No controller of the token could be talked to.
    #[error("no controller of the token could be reached: {0}")]
    Unreachable(String),
    /// What the controller issued is not for this agent or not from its CA.
    #[error("the certificate that the controller issued cannot be used: {0}")]
    Certificate(&'static str),
}

/// Enrols the agent whose state is in `state_dir`. Trying again after a failure uses the same key.
///
/// # Errors
/// See [`EnrolError`]; each says what to do. Nothing that was there before is changed by a failure.
pub async fn enrol(
    token: &EnrolmentToken,
    state_dir: &Path,
    options: &EnrolOptions,
    now: Timestamp,
) -> Result<Enrolled, EnrolError> {
    let keep = match Identity::exists(state_dir).then(|| Identity::load(state_dir)) {
        Some(Ok(present)) if !options.replace => return Err(EnrolError::AlreadyEnrolled(present.agent)),
        Some(Ok(present)) => Some(present.agent),
        Some(Err(error)) if !options.replace => return Err(error.into()),
        Some(Err(_)) | None => None,
    };
    let endpoints = Endpoint::parse_all(&token.urls)?;
    let fresh = KeyPair::generate().map_err(|error| EnrolError::Key(error.to_string()))?;
    let mut pending = PendingKey::load_or_make(state_dir, keep, || Zeroizing::new(fresh.serialize_pem()))?;
    let key = KeyPair::from_pem(&pending.key_pem).map_err(|error| EnrolError::Key(error.to_string()))?;
    let fingerprint = key_fingerprint(&key.subject_public_key_info());
    info!(agent_id = %pending.agent, key_fingerprint = fingerprint, "enrolling");

    let pin = PinnedCa::new(token.ca_spki_sha256);
    let exchange = Exchange {
        agent: pending.agent,
        facts: &options.facts,
        tls: pin.client_config().map_err(|error| EnrolError::Key(error.to_string()))?,
        bearer: Zeroizing::new(token.format()),
        csr: certificate_request(pending.agent, &key).map_err(|error| EnrolError::Key(error.to_string()))?,
        kind: options.kind,
        proxy: options.proxy.clone(),
        deadlines: options.deadlines,
        patience: options.patience,
        on_waiting: &|| (options.on_waiting)(&fingerprint),
    };
    let (controller, issued) = match ask_in_turn(&exchange, &endpoints, &fingerprint).await? {
        Reply::Issued(controller, issued) => (controller, issued),
        Reply::Renamed(id) => {
            // The id that the controller gives is the agent's from now on: kept before it is used.
            info!(agent_id = %id, "the controller gives this agent another id");
            pending = PendingKey { agent: id, ..pending };
            pending.rename(state_dir)?;
            let csr = certificate_request(id, &key).map_err(|error| EnrolError::Key(error.to_string()))?;
            let exchange = Exchange { agent: id, csr, ..exchange };
            match ask_in_turn(&exchange, &endpoints, &fingerprint).await? {
                Reply::Issued(controller, issued) => (controller, issued),
                Reply::Renamed(_) => {
                    let reason = "it gives the agent one id after the other".to_owned();
                    return Err(EnrolError::Refused { reason, fingerprint });
                }
            }
        }
    };
    let (cert_pem, ca_pem) = check_certificate(&issued, &pin, &key, now).map_err(EnrolError::Certificate)?;
    let urls = token.urls.clone();
    let identity = Identity { agent: pending.agent, key_pem: pending.key_pem, cert_pem, ca_pem, urls };
    identity.client_config().map_err(|_| EnrolError::Certificate("it does not fit the key"))?;
    identity.store(state_dir)?;
    // A renewal of the identity before this one.
    KeyRing::forget(state_dir)?;
    PendingKey::forget(state_dir)?;
    // Addresses that the controller before had set are not those of this enrolment.
    if let Err(error) = ConnectionFile::new(state_dir).forget() {
        warn!(%error, "connection settings of the enrolment before cannot be removed");
    }
    if let Err(error) = IncarnationFile::new(state_dir).forget() {
        warn!(%error, "the incarnation of the controller before cannot be removed");
    }
    Ok(Enrolled { agent: identity.agent, fingerprint, expires: identity.expires(), controller })
}

/// What a controller said.
enum Reply {
    /// Which one, and the certificate.
    Issued(String, TlsCertificate),
    /// The agent gets another id.
    Renamed(AgentId),
}

/// Asks one controller after the other until one issues or refuses.
async fn ask_in_turn(
    exchange: &Exchange<'_>,
    endpoints: &[Endpoint],
    fingerprint: &str,
) -> Result<Reply, EnrolError> {
    let mut failures = Vec::new();
    for endpoint in endpoints {
        match exchange.ask(endpoint).await {
            Answer::Issued(issued) => return Ok(Reply::Issued(endpoint.to_string(), *issued)),
            Answer::Renamed(id) => return Ok(Reply::Renamed(id)),
            Answer::Unanswered => {
                return Err(EnrolError::Unanswered {
                    seconds: exchange.patience.as_secs(),
                    fingerprint: fingerprint.to_owned(),
                });
            }
            Answer::Failed(Failure::Refused(reason)) => {
                return Err(EnrolError::Refused { reason, fingerprint: fingerprint.to_owned() });
            }
            Answer::Failed(failure) => {
                warn!(controller = %endpoint, reason = %failure, "controller of the token does not help");
                failures.push(failure.to_string());
            }
        }
    }
    Err(EnrolError::Unreachable(failures.join("; ")))
}

/// Checks an issued certificate against the pinned CA and those for which it vouches. Gives the PEM of the
/// certificate and of the authorities to trust.
///
/// # Errors
/// What is wrong with it.
pub fn check_certificate(
    issued: &TlsCertificate,
    pin: &PinnedCa,
    key: &KeyPair,
    now: Timestamp,
) -> Result<(String, String), &'static str> {
    let anchors = anchors(&issued.ca_cert, pin)?;
    let cert_pem = certificate::check(issued, &key.subject_public_key_info(), &anchors, now)?;
    Ok((cert_pem, anchor::pem(&anchors)))
}

/// The offered authorities if the pinned one is among them and vouches for the others, else the one that the
/// server showed in the handshake.
fn anchors(offered: &[u8], pin: &PinnedCa) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    const FOREIGN: &str = "it comes with another authority than the one that the token names";
    if offered.is_empty() {
        let seen = pin.seen().ok_or("it comes without the authority that signed it")?;
        return Ok(vec![seen.clone()]);
    }
    let text = std::str::from_utf8(offered).map_err(|_| FOREIGN)?;
    let all = tls::certificates(text, "offer").map_err(|_| FOREIGN)?;
    let pinned: Vec<_> = all.into_iter().filter(|der| pin.is_pinned(der)).collect();
    anchor::adopt(&pinned, text).map_err(|_| FOREIGN)
}

fn pem_text(der: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests;
