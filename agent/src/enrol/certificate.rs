//! Whether an issued certificate may be kept: pure.

use crate::enrol::renewal::Validity;
use crate::uplink::tls;
use jiff::Timestamp;
use muster_proto::opamp::TlsCertificate;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Checks an issued certificate: for the key with this SubjectPublicKeyInfo, signed by one of `anchors`, not
/// expired, and without a key made elsewhere. Gives its PEM text.
///
/// # Errors
/// What is wrong with it.
pub fn check(
    issued: &TlsCertificate,
    spki: &[u8],
    anchors: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<String, &'static str> {
    if !issued.private_key.is_empty() {
        return Err("it comes with a private key made elsewhere");
    }
    let pem = String::from_utf8(issued.cert.clone()).map_err(|_| "it is no PEM text")?;
    let chain = tls::certificates(&pem, "certificate").map_err(|_| "it is no PEM text")?;
    let leaf = chain.first().ok_or("it is no PEM text")?;
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| "it is no X.509 certificate")?;
    if certificate.public_key().raw != spki {
        return Err("it is for another key");
    }
    if !anchors.iter().any(|anchor| signed_by(&certificate, anchor)) {
        return Err("it is not signed by the authority that this agent trusts");
    }
    if now.as_second() >= certificate.validity().not_after.timestamp() {
        return Err("it has already expired; check the clocks on both sides");
    }
    Ok(pem)
}

/// Whether `anchor` (DER) is an authority whose key signed the certificate.
#[must_use]
pub fn signed_by(certificate: &X509Certificate<'_>, anchor: &[u8]) -> bool {
    match X509Certificate::from_der(anchor) {
        Ok((_, anchor)) => anchor.is_ca() && certificate.verify_signature(Some(anchor.public_key())).is_ok(),
        Err(_) => false,
    }
}

/// From when until when the first certificate of a PEM text is valid; `None` if it cannot be read.
#[must_use]
pub fn validity(cert_pem: &str) -> Option<Validity> {
    let chain = tls::certificates(cert_pem, "the agent's certificate file").ok()?;
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    let time = |second: i64| Timestamp::from_second(second).ok();
    let validity = certificate.validity();
    Some(Validity {
        from: time(validity.not_before.timestamp())?,
        until: time(validity.not_after.timestamp())?,
    })
}
