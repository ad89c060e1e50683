//! Whether the certificate that a Mapepire server shows is the right one.
//!
//! Most servers show a certificate that they made themselves, without any authority, so there are two ways:
//! an own authority (PEM), checked as usual with name and time; or a pin, the SHA-256 of the server's
//! certificate, which stands for itself: neither name nor time nor signer matter then. There is no way
//! to switch the check off.

use crate::host::CertificateFault;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};

/// How a server's certificate is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// PEM text of the authorities that may have signed it.
    Authorities(String),
    /// SHA-256 of the server's certificate (DER).
    Pin([u8; 32]),
}

impl Trust {
    /// A pin from 64 hex digits, in any case, with or without colons between the bytes.
    #[must_use]
    pub fn pin(hex: &str) -> Option<Self> {
        let digits: String = hex.trim().chars().filter(|c| *c != ':').collect();
        let mut pin = [0; 32];
        (digits.len() == 64).then_some(())?;
        faster_hex::hex_decode(digits.as_bytes(), &mut pin).ok()?;
        Some(Self::Pin(pin))
    }
}

/// SHA-256 of a certificate in the form that [`Trust::pin`] reads.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    faster_hex::hex_string(&Sha256::digest(certificate))
}

/// TLS settings for a server, and the memory of what it showed last.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

impl Tls {
    /// # Errors
    /// The PEM text holds no usable authority; the text says so.
    pub(super) fn new(trust: &Trust) -> Result<Self, String> {
        let provider = CryptoProvider::get_default()
            .cloned()
            .unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let check = match trust {
            Trust::Pin(pin) => Check::Pin(*pin),
            Trust::Authorities(pem) => Check::Authorities(authorities(pem, &provider)?),
        };
        let verifier = Arc::new(Verifier { check, provider: Arc::clone(&provider), shown: Mutex::new(None) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous() // The verifier below is stricter than the default one, not laxer.
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), verifier })
    }

    /// Fingerprint of the certificate that the server showed last.
    pub(super) fn shown(&self) -> Option<String> {
        self.verifier.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is wrong with a certificate, in this project's words.
pub(super) fn fault(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => CertificateFault::Foreign,
        CertificateError::ApplicationVerificationFailure => CertificateFault::PinMismatch,
        other => CertificateFault::Other(other.to_string()),
    }
}

fn authorities(pem: &str, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the authorities are no PEM text: {error}"))?;
        roots.add(certificate).map_err(|error| format!("an authority cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("the PEM text holds no certificate of an authority".to_owned());
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())
}

#[derive(Debug)]
enum Check {
    Authorities(Arc<WebPkiServerVerifier>),
    Pin([u8; 32]),
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
    shown: Mutex<Option<String>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint(end_entity));
        match &self.check {
            Check::Authorities(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            Check::Pin(pin) if Sha256::digest(end_entity)[..] == pin[..] => {
                Ok(ServerCertVerified::assertion())
            }
            Check::Pin(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_64_hex_digits_in_any_dress() {
        let plain = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        let colons = plain
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect::<Vec<_>>()
            .join(":");
        let expected = Trust::pin(plain).expect("64 digits");
        assert_eq!(Trust::pin(&colons), Some(expected.clone()));
        let Trust::Pin(bytes) = expected else { panic!("a pin") };
        assert_eq!(bytes[..3], [0x00, 0x11, 0x22]);
        for wrong in ["", "0011", &plain[1..], &format!("{plain}00"), &plain.replace('a', "g")] {
            assert_eq!(Trust::pin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn authorities_must_be_certificates() {
        for pem in ["", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = Tls::new(&Trust::Authorities(pem.to_owned())).expect_err("no authority");
            assert!(error.contains("authorit"), "{error}");
        }
    }
}
