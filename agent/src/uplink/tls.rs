//! TLS towards the controller: its certificate is verified against the enrolled authority alone, never
//! against the system's roots; the agent shows its own certificate. TLS 1.2 or later.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
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

/// Verifies by the usual rules against some authorities, and tells the server their names: a controller that has a
/// certificate of the company's for people shows agents its own.
#[derive(Debug)]
struct Anchored {
    inner: Arc<WebPkiServerVerifier>,
    names: Vec<DistinguishedName>,
}

impl Anchored {
    fn new(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let names = roots.subjects();
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self { inner, names })
    }
}

impl ServerCertVerifier for Anchored {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.names)
    }
}

/// A distinguished name that consists of a common name of at most 100 bytes.
#[must_use]
pub fn common_name(text: &str) -> DistinguishedName {
    // DER of SET { SEQUENCE { OID 2.5.4.3, UTF8String } }; all lengths are below 128.
    let text = &text.as_bytes()[..text.len().min(100)];
    let length = |n: usize| u8::try_from(n).unwrap_or(127);
    let mut der = vec![0x31, length(text.len() + 9), 0x30, length(text.len() + 7)];
    der.extend([0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, length(text.len())]);
    der.extend(text);
    DistinguishedName::in_sequence(&der)
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
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anchored::new(roots)?))
        .with_client_auth_cert(chain, key)?;
    // Every connection shows the certificate anew, so that a revocation is noticed at the next one.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer, X509Name};

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let text = muster_proto::session::fingerprint::pinned_name(&[0xab; 32]);
        let name = common_name(&text);
        let (rest, parsed) = X509Name::from_der(name.as_ref()).unwrap();
        assert!(rest.is_empty());
        assert_eq!(parsed.iter_common_name().next().unwrap().as_str().unwrap(), text);
    }
}
