//! TLS of the one port: the controller's certificate, and client certificates that are optional in the
//! handshake.
//!
//! A client certificate of the authority that merely expired passes the handshake, because the route can
//! then answer in words (and let a known agent renew); a foreign one ends the handshake. There is no session
//! resumption: it would let a revoked client back in.

use super::ca::{Ca, CaError, SERVER_LIFE};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;
use std::time::Duration;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The controller's certificate.
    #[error(
        "the controller's certificate could not be made; are all names given by --name host names or IP addresses?"
    )]
    Certificate(#[from] CaError),
    /// rustls refused it.
    #[error("TLS could not be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn setup(e: impl std::error::Error + Send + Sync + 'static) -> TlsError {
    TlsError::Setup(Box::new(e))
}

/// The controller's certificate, replaced while connections come in.
#[derive(Debug)]
pub struct ServerCertificate {
    names: Vec<String>,
    current: ArcSwap<CertifiedKey>,
}

impl ServerCertificate {
    /// Makes the first one.
    ///
    /// # Errors
    /// If a name is neither host name nor IP address.
    pub fn new(ca: &Ca, names: Vec<String>, now: Timestamp) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Self::make(ca, &names, now)?);
        Ok(Self { names, current })
    }

    fn make(ca: &Ca, names: &[String], now: Timestamp) -> Result<CertifiedKey, TlsError> {
        let identity = ca.server_identity(names, now)?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&identity.key).map_err(setup)?;
        Ok(CertifiedKey::new(identity.chain, key))
    }

    /// Replaces it; connections that are open keep the old one.
    ///
    /// # Errors
    /// If signing fails; the old one stays.
    pub fn renew(&self, ca: &Ca, now: Timestamp) -> Result<(), TlsError> {
        self.current.store(Arc::new(Self::make(ca, &self.names, now)?));
        Ok(())
    }

    /// How long one is used: two thirds of its life.
    #[must_use]
    pub fn renewal_period() -> Duration {
        SERVER_LIFE * 2 / 3
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Server side TLS.
///
/// # Errors
/// If rustls refuses the authority's certificate.
pub fn server_config(ca: &Ca, certificate: Arc<ServerCertificate>) -> Result<ServerConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone()).map_err(setup)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(setup)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_client_cert_verifier(Arc::new(AgentVerifier { inner }))
        .with_cert_resolver(certificate);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Verifies against the authority, without regard to expiry.
#[derive(Debug)]
struct AgentVerifier {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for AgentVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verdict = self.inner.verify_client_cert(end_entity, intermediates, now);
        let verdict = match verdict {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => {
                // Expiry is found before the signature is looked at: verify as of its last second.
                let then = last_second(end_entity).unwrap_or(now);
                self.inner.verify_client_cert(end_entity, intermediates, then)
            }
            other => other,
        };
        if let Err(error) = &verdict {
            tracing::warn!(%error, "client certificate refused: it is not of this controller's authority");
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn last_second(der: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}
