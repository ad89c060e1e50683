//! What the client certificate of a connection says.

use super::{ca, secret};
use jiff::Timestamp;
use muster_shared::id::AgentId;
use rustls_pki_types::CertificateDer;
use std::net::SocketAddr;

/// A client certificate that the TLS layer verified against the authority. It may have expired: what that
/// means is decided per route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The agent that it names.
    pub agent: AgentId,
    /// Serial number in hex.
    pub serial: String,
    /// SHA-256 of the public key (SPKI) in hex.
    pub key_sha256: String,
    /// When it expires.
    pub not_after: Timestamp,
    /// When it was issued, to the second.
    pub issued_at: Timestamp,
}

impl Peer {
    /// Reads a certificate; `None` if it names no agent.
    #[must_use]
    pub fn from_der(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
        let validity = certificate.validity();
        let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Some(Self {
            agent: name.parse().ok()?,
            serial: secret::hex(certificate.raw_serial()),
            key_sha256: secret::sha256_hex(certificate.public_key().raw),
            not_after: Timestamp::from_second(until).ok()?,
            issued_at: Timestamp::from_second(from + ca::backdated(until - from)).ok()?,
        })
    }
}

/// Attached to every connection when it is accepted.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// The other end.
    pub address: SocketAddr,
    /// Its certificate, if it has one that names an agent.
    pub peer: Option<Peer>,
}
