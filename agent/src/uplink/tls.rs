//! TLS towards the controller: its certificate is verified against the enrolled authority alone, never
//! against the system's roots; the agent shows its own certificate. TLS 1.2 or later.

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// What is wrong with stored or offered certificates and keys.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the text.
    #[error("{what} holds no certificate in PEM form")]
    NoCertificate {
        /// Which text.
        what: &'static str,
    },
    /// No private key in the text.
    #[error("the agent's key file holds no private key in PEM form")]
    NoKey,
    /// Certificate and key do not make a TLS configuration.
    #[error("certificate and key cannot be used for TLS")]
    Config(#[from] rustls::Error),
}

/// The provider of all cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificates in a PEM text, at least one.
///
/// # Errors
/// [`TlsError::NoCertificate`] names `what`.
pub fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(TlsError::NoCertificate { what }),
    }
}

/// TLS for the life of an enrolled agent: trust `ca_pem` alone, show certificate and key.
///
/// # Errors
/// When one of the texts is not what it should be.
pub fn mutual(ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem, "the controller's CA file")? {
        roots.add(certificate)?;
    }
    let chain = certificates(cert_pem, "the agent's certificate file")?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| TlsError::NoKey)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    // Every connection shows the certificate anew, so that a revocation is noticed at the next one.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
