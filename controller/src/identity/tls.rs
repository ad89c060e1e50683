//! TLS of the one port: the controller's certificate, and client certificates that are optional in the
//! handshake.
//!
//! A client certificate of the authority that merely expired passes the handshake, because the route can
//! then answer in words (and let a known agent renew); a foreign one ends the handshake. There is no session
//! resumption: it would let a revoked client back in.

use super::authority::Trust;
use super::ca::{CaError, SERVER_LIFE};
use super::file::{FileError, failed};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use muster_proto::session::fingerprint::pinned_name;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Name};
use zeroize::Zeroizing;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The controller's certificate.
    #[error(
        "the controller's certificate could not be made; are all names given by --name host names or IP addresses?"
    )]
    Certificate(#[from] CaError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in a file.
    #[error("the certificate {path} given by --tls-cert and --tls-key cannot be used: {why}")]
    Files {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// rustls refused it.
    #[error("TLS could not be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn setup(e: impl std::error::Error + Send + Sync + 'static) -> TlsError {
    TlsError::Setup(Box::new(e))
}

/// The certificates of the port, replaced while connections come in: the controller's own, which agents verify by
/// the authority that they enrolled with, and one of the company's for everybody else, if there is one.
#[derive(Debug)]
pub struct ServerCertificate {
    names: Vec<String>,
    own: ArcSwap<Own>,
    company: Option<Company>,
}

/// The controller's own certificate, and the names of the authorities by which it can be verified.
#[derive(Debug)]
struct Own {
    key: Arc<CertifiedKey>,
    authorities: Vec<String>,
}

/// A certificate of the company's, in files.
#[derive(Debug)]
struct Company {
    files: CertificateFiles,
    stamp: Mutex<Option<Stamp>>,
    shown: ArcSwap<Shown>,
}

/// What is in the files.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    not_after: Timestamp,
}

/// When the files were changed, and how long they are.
type Stamp = [(Option<SystemTime>, u64); 2];

/// Where a certificate of the company's is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM of the certificate and of those between it and its authority.
    pub certificate: PathBuf,
    /// PEM of its private key.
    pub key: PathBuf,
}

impl CertificateFiles {
    fn stamp(&self) -> Stamp {
        let of = |path: &Path| match std::fs::metadata(path) {
            Ok(found) => (found.modified().ok(), found.len()),
            Err(_) => (None, 0),
        };
        [of(&self.certificate), of(&self.key)]
    }

    fn load(&self) -> Result<Shown, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(failed("read", path));
        let wrong = |why: &str| TlsError::Files { path: self.certificate.clone(), why: why.to_owned() };
        let (certificate, key) = (read(&self.certificate)?, Zeroizing::new(read(&self.key)?));
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate).filter_map(Result::ok).collect();
        if chain.is_empty() {
            return Err(wrong("it holds no certificate in PEM form"));
        }
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::Files {
            path: self.key.clone(),
            why: "it holds no key in PEM form".into(),
        })?;
        let (_, leaf) =
            x509_parser::parse_x509_certificate(&chain[0]).map_err(|error| wrong(&error.to_string()))?;
        let end = leaf.validity().not_after.timestamp();
        let not_after = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| wrong(&error.to_string()))?;
        Ok(Shown { key: Arc::new(key), not_after })
    }
}

impl ServerCertificate {
    /// Makes the first one, and reads the company's.
    ///
    /// # Errors
    /// If a name is neither host name nor IP address, or the files cannot be used.
    pub fn new(
        trust: &Trust,
        names: Vec<String>,
        company: Option<CertificateFiles>,
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let own = ArcSwap::from_pointee(Self::make(trust, &names, now)?);
        let company = match company {
            Some(files) => {
                let stamp = Mutex::new(Some(files.stamp()));
                Some(Company { shown: ArcSwap::from_pointee(files.load()?), stamp, files })
            }
            None => None,
        };
        Ok(Self { names, own, company })
    }

    fn make(trust: &Trust, names: &[String], now: Timestamp) -> Result<Own, TlsError> {
        let identity = trust.serving().server_identity(names, now)?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&identity.key).map_err(setup)?;
        // The authorities follow: agents pin the key of one of them.
        let chain = std::iter::once(identity.leaf).chain(trust.chain()).collect();
        let authorities = trust.all().flat_map(|ca| [ca.name().to_owned(), pinned_name(&ca.spki_sha256())]);
        Ok(Own { key: Arc::new(CertifiedKey::new(chain, key)), authorities: authorities.collect() })
    }

    /// Replaces the controller's own; connections that are open keep the old one.
    ///
    /// # Errors
    /// If signing fails; the old one stays.
    pub fn renew(&self, trust: &Trust, now: Timestamp) -> Result<(), TlsError> {
        self.own.store(Arc::new(Self::make(trust, &self.names, now)?));
        Ok(())
    }

    /// Reads the company's certificate again, if its files changed or it is `forced`; tells whether it did.
    ///
    /// # Errors
    /// If the files cannot be used; the old one stays.
    pub fn reload(&self, forced: bool) -> Result<bool, TlsError> {
        let Some(company) = &self.company else { return Ok(false) };
        let now = company.files.stamp();
        let mut stamp = company.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if !forced && *stamp == Some(now) {
            return Ok(false);
        }
        // What cannot be used is complained of once, not at each look.
        *stamp = Some(now);
        company.shown.store(Arc::new(company.files.load()?));
        Ok(true)
    }

    /// When the company's expires; `None` without one.
    #[must_use]
    pub fn company_expires(&self) -> Option<Timestamp> {
        self.company.as_ref().map(|company| company.shown.load().not_after)
    }

    /// How long the controller's own one is used: two thirds of its life.
    #[must_use]
    pub fn renewal_period() -> Duration {
        SERVER_LIFE * 2 / 3
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let own = self.own.load();
        match &self.company {
            Some(company) if !names_one_of(hello.certificate_authorities(), &own.authorities) => {
                Some(Arc::clone(&company.shown.load().key))
            }
            Some(_) | None => Some(Arc::clone(&own.key)),
        }
    }
}

/// Whether a client that says whom it trusts named one of these authorities.
fn names_one_of(said: Option<&[DistinguishedName]>, authorities: &[String]) -> bool {
    said.unwrap_or_default().iter().any(|name| {
        let Ok((_, parsed)) = X509Name::from_der(name.as_ref()) else { return false };
        let mut names = parsed.iter_common_name().filter_map(|name| name.as_str().ok());
        names.any(|name| authorities.iter().any(|authority| authority == name))
    })
}

/// Server side TLS.
///
/// # Errors
/// If rustls refuses it.
pub fn server_config(
    verifier: Arc<AgentVerifier>,
    certificate: Arc<ServerCertificate>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Verifies against the authorities of the moment, without regard to expiry.
#[derive(Debug)]
pub struct AgentVerifier {
    inner: Arc<ArcSwap<Inner>>,
    /// Those whose authorities are named.
    named: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner(Arc<dyn ClientCertVerifier>);

impl AgentVerifier {
    /// Accepts what these authorities signed.
    ///
    /// # Errors
    /// If rustls refuses an authority's certificate.
    pub fn new(trust: &Trust) -> Result<Self, TlsError> {
        Ok(Self { inner: Arc::new(ArcSwap::from_pointee(Self::make(trust)?)), named: None })
    }

    /// The same, naming the authorities of this moment to the other end.
    ///
    /// A browser asks its user for a certificate wherever a server takes one. It offers those of the authorities that
    /// the server names, and all that it has if there are no names: nobody who has certificates for other things
    /// shall be asked for one here.
    #[must_use]
    pub fn naming_authorities(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), named: Some(self.inner.load_full()) }
    }

    /// Replaces the authorities; connections that are open stay.
    ///
    /// # Errors
    /// If rustls refuses an authority's certificate; the old ones stay.
    pub fn reload(&self, trust: &Trust) -> Result<(), TlsError> {
        self.inner.store(Arc::new(Self::make(trust)?));
        Ok(())
    }

    fn make(trust: &Trust) -> Result<Inner, TlsError> {
        let mut roots = RootCertStore::empty();
        for ca in trust.all() {
            roots.add(ca.certificate().clone()).map_err(setup)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(setup)?;
        Ok(Inner(inner))
    }
}

impl ClientCertVerifier for AgentVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None for agents: each has one certificate and shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.named.as_ref().map_or(&[], |named| named.0.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let inner = &self.inner.load().0;
        let verdict = inner.verify_client_cert(end_entity, intermediates, now);
        let verdict = match verdict {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => {
                // Expiry is found before the signature is looked at: verify as of its last second.
                let then = last_second(end_entity).unwrap_or(now);
                inner.verify_client_cert(end_entity, intermediates, then)
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
        self.inner.load().0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.load().0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.load().0.supported_verify_schemes()
    }
}

fn last_second(der: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}
