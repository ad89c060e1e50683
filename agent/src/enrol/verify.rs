//! Verifies the controller before the agent has its CA certificate: the token names the CA's public key.
//!
//! The server must send its CA certificate along. The one whose key has the hash of the token becomes the
//! only trust anchor, and the server's certificate is then verified against it by the usual rules: chain,
//! validity, host name. Whoever lacks the CA's private key cannot pass.

use crate::uplink::tls::{common_name, provider};
use muster_proto::session::fingerprint::{pinned_name, spki_sha256};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, OnceLock};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The server's chain has no CA with the key that the token names.
#[derive(Debug, thiserror::Error)]
#[error(
    "it does not come from the authority that the token names; check that the token was made by this \
     controller, and that nothing stands in between"
)]
struct PinMismatch;

/// Trusts one CA key.
#[derive(Debug)]
pub struct PinnedCa {
    spki_sha256: [u8; 32],
    provider: Arc<rustls::crypto::CryptoProvider>,
    seen: OnceLock<CertificateDer<'static>>,
    names: [DistinguishedName; 1],
}

impl PinnedCa {
    /// Trusts the CA whose SubjectPublicKeyInfo has this SHA-256.
    #[must_use]
    pub fn new(spki_sha256: [u8; 32]) -> Arc<Self> {
        let names = [common_name(&pinned_name(&spki_sha256))];
        Arc::new(Self { spki_sha256, provider: provider(), seen: OnceLock::new(), names })
    }

    /// The CA certificate of a server that passed.
    #[must_use]
    pub fn seen(&self) -> Option<&CertificateDer<'static>> {
        self.seen.get()
    }

    /// Whether a certificate is that CA.
    #[must_use]
    pub fn is_pinned(&self, certificate: &[u8]) -> bool {
        match X509Certificate::from_der(certificate) {
            Ok((_, parsed)) => parsed.is_ca() && spki_sha256(parsed.public_key().raw) == self.spki_sha256,
            Err(_) => false,
        }
    }

    /// TLS without client certificate, 1.2 or later.
    ///
    /// # Errors
    /// When the provider supports no protocol version.
    pub fn client_config(self: &Arc<Self>) -> Result<Arc<ClientConfig>, rustls::Error> {
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self.clone())
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(ca) = intermediates.iter().find(|certificate| self.is_pinned(certificate)) else {
            let reason = CertificateError::Other(OtherError(Arc::new(PinMismatch)));
            return Err(rustls::Error::InvalidCertificate(reason));
        };
        let ca = ca.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let verified =
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        // Another connection may have been first; it saw the same key.
        let _ = self.seen.set(ca);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.names)
    }
}
