//! Enrolment: a token and a key of the agent's own become a client certificate.
//!
//! The agent verifies the controller by the token's hash of the CA key, sends the token as bearer and a
//! certificate request (its key never leaves it), waits for the certificate, checks it and stores its
//! identity. Renewal later is the same exchange over the mutual connection; [`certificate_request`] and
//! [`check_certificate`] are what both need.

mod exchange;
pub mod expiry;
pub mod identity;
pub mod verify;

pub use exchange::certificate_request;
pub use identity::Identity;

use crate::uplink::describe::AgentFacts;
use crate::uplink::endpoint::{Endpoint, EndpointError};
use crate::uplink::failure::Failure;
use crate::uplink::tls;
use crate::uplink::transport::{Deadlines, TransportKind};
use exchange::{Answer, Exchange};
use identity::{IdentityError, PendingKey};
use jiff::Timestamp;
use muster_proto::opamp::TlsCertificate;
use muster_proto::session::EnrolmentToken;
use muster_proto::session::fingerprint::key_fingerprint;
use muster_shared::id::AgentId;
use rcgen::{KeyPair, PublicKeyData as _};
use std::path::Path;
use std::time::Duration;
use tracing::{info, warn};
use verify::PinnedCa;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// How an enrolment is done.
#[derive(Debug, Clone)]
pub struct EnrolOptions {
    /// What the agent tells of itself.
    pub facts: AgentFacts,
    /// Replace an identity that is already there: same agent id, new key.
    pub replace: bool,
    /// How messages travel.
    pub kind: TransportKind,
    /// How long to wait for the network.
    pub deadlines: Deadlines,
    /// How long to wait for the certificate once the controller has the request; approval may need a person.
    pub patience: Duration,
}

impl EnrolOptions {
    /// The usual: WebSocket, a minute's patience, nothing replaced.
    #[must_use]
    pub fn new(facts: AgentFacts) -> Self {
        Self {
            facts,
            replace: false,
            kind: TransportKind::Websocket,
            deadlines: Deadlines::default(),
            patience: Duration::from_secs(60),
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
    let pending = PendingKey::load_or_make(state_dir, keep, || Zeroizing::new(fresh.serialize_pem()))?;
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
        deadlines: options.deadlines,
        patience: options.patience,
    };
    let (controller, issued) = ask_in_turn(&exchange, &endpoints, &fingerprint).await?;
    let (cert_pem, ca_pem) = check_certificate(&issued, &pin, &key, now).map_err(EnrolError::Certificate)?;
    let urls = token.urls.clone();
    let identity = Identity { agent: pending.agent, key_pem: pending.key_pem, cert_pem, ca_pem, urls };
    identity.client_config().map_err(|_| EnrolError::Certificate("it does not fit the key"))?;
    identity.store(state_dir)?;
    PendingKey::forget(state_dir)?;
    Ok(Enrolled { agent: identity.agent, fingerprint, expires: identity.expires(), controller })
}

/// Asks one controller after the other until one issues or refuses.
async fn ask_in_turn(
    exchange: &Exchange<'_>,
    endpoints: &[Endpoint],
    fingerprint: &str,
) -> Result<(String, TlsCertificate), EnrolError> {
    let mut failures = Vec::new();
    for endpoint in endpoints {
        match exchange.ask(endpoint).await {
            Answer::Issued(issued) => return Ok((endpoint.to_string(), *issued)),
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

/// Checks an issued certificate: for this key, valid now, signed by the pinned CA. Gives the PEM of the
/// certificate and of the CA.
///
/// # Errors
/// What is wrong with it.
pub fn check_certificate(
    issued: &TlsCertificate,
    pin: &PinnedCa,
    key: &KeyPair,
    now: Timestamp,
) -> Result<(String, String), &'static str> {
    if !issued.private_key.is_empty() {
        return Err("it comes with a private key made elsewhere");
    }
    let cert_pem = String::from_utf8(issued.cert.clone()).map_err(|_| "it is no PEM text")?;
    let chain = tls::certificates(&cert_pem, "certificate").map_err(|_| "it is no PEM text")?;
    let (_, certificate) = X509Certificate::from_der(&chain[0]).map_err(|_| "it is no X.509 certificate")?;
    if certificate.public_key().raw != key.subject_public_key_info().as_slice() {
        return Err("it is for another key");
    }
    let ca_der = pinned_ca(&issued.ca_cert, pin)?;
    let (_, ca) = X509Certificate::from_der(&ca_der).map_err(|_| "its CA is no X.509 certificate")?;
    certificate
        .verify_signature(Some(ca.public_key()))
        .map_err(|_| "it is not signed by the authority that the token names")?;
    let validity = certificate.validity();
    if now.as_second() >= validity.not_after.timestamp() {
        return Err("it has already expired; check the clocks on both sides");
    }
    Ok((cert_pem, pem_text(&ca_der)))
}

/// The pinned CA among the offered ones, else the one that the server showed in the handshake.
fn pinned_ca(offered: &[u8], pin: &PinnedCa) -> Result<Vec<u8>, &'static str> {
    if !offered.is_empty() {
        return Pem::iter_from_buffer(offered)
            .filter_map(Result::ok)
            .map(|pem| pem.contents)
            .find(|der| pin.is_pinned(der))
            .ok_or("it comes with another authority than the one that the token names");
    }
    pin.seen().map(|der| der.to_vec()).ok_or("it comes without the authority that signed it")
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
