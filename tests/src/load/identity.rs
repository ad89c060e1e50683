//! Keys, certificate requests and what TLS needs of them.

use anyhow::Context as _;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use uuid::Uuid;

/// What all agents of one process share for TLS, so that each costs little.
pub struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    anonymous: Arc<ClientConfig>,
}

impl Trust {
    /// Trusts the authority with this certificate.
    ///
    /// # Errors
    /// If it is no certificate.
    pub fn new(ca_pem: &str) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        let anonymous = Arc::new(Self::builder(&provider, &verifier)?.with_no_client_auth());
        Ok(Self { provider, verifier, anonymous })
    }

    fn builder(
        provider: &Arc<CryptoProvider>,
        verifier: &Arc<WebPkiServerVerifier>,
    ) -> anyhow::Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
        Ok(ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()?
            .with_webpki_verifier(Arc::clone(verifier)))
    }

    /// TLS without a certificate, for enrolling.
    #[must_use]
    pub fn anonymous(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.anonymous)
    }

    /// TLS of an agent with its certificate. No session is resumed: the controller offers none.
    ///
    /// # Errors
    /// If certificate and key do not fit.
    pub fn with_certificate(&self, pem: &[u8], key: &rcgen::KeyPair) -> anyhow::Result<Arc<ClientConfig>> {
        let chain = vec![CertificateDer::from_pem_slice(pem)?];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config =
            Self::builder(&self.provider, &self.verifier)?.with_client_auth_cert(chain, key.into())?;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// A new key with the request for a certificate on it, PEM.
///
/// # Errors
/// If the key cannot be made.
pub fn request(uid: Uuid) -> anyhow::Result<(rcgen::KeyPair, Vec<u8>)> {
    let key = rcgen::KeyPair::generate().context("no key could be made")?;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, uid.to_string());
    let request = params.serialize_request(&key)?.pem()?;
    Ok((key, request.into_bytes()))
}
