//! The agent's credentials: the identity in use, and a renewed key and certificate on trial.
//!
//! A renewal stands in `renewal/` of the state folder: `key.pem` from the request on, `offer` (hash of the
//! offer) and `cert.pem` once it is issued: then it is a *candidate*. It is tried before it is kept; when it
//! has worked it replaces the identity as a whole, when the old one worked instead it is thrown away. Each
//! step is durable before the next, so a crash in between resumes where it was.

use super::anchor::{self, AnchorError};
use super::certificate;
use super::exchange::certificate_request;
use super::identity::{
    Identity, IdentityError, make_folder, read, remove_folder, rename, sync_folder, write,
};
use super::renewal::Validity;
use crate::uplink::tls::{self, TlsError};
use jiff::Timestamp;
use muster_proto::opamp::TlsCertificate;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::ClientConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

const RENEWAL: &str = "renewal";
const NEW: &str = "renewal.new";

/// Why a renewal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// State cannot be read or written.
    #[error("the renewed certificate cannot be kept")]
    Identity(#[from] IdentityError),
    /// Stored key or certificate cannot be used.
    #[error("the agent's key and certificate cannot be used")]
    Tls(#[from] TlsError),
    /// The key cannot be made or used.
    #[error("making the agent's next key failed: {0}")]
    Key(String),
    /// An offered authority.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// What the controller issued is not for this agent or not from its authority.
    #[error("the certificate that the controller issued cannot be used: {0}")]
    Certificate(&'static str),
}

/// Which credential a connection shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The one in use.
    Current,
    /// The renewed one, not used yet.
    Candidate,
}

/// A renewed certificate on trial.
struct Candidate {
    key_pem: Zeroizing<String>,
    cert_pem: String,
    /// Hash of the offer that brought it.
    offer: Vec<u8>,
    tls: Arc<ClientConfig>,
}

/// The credentials of an enrolled agent.
pub struct KeyRing {
    state_dir: PathBuf,
    identity: Identity,
    tls: Arc<ClientConfig>,
    candidate: Option<Candidate>,
}

impl KeyRing {
    /// The credentials in a state folder whose identity was read.
    ///
    /// # Errors
    /// When the identity cannot be used. A renewal that cannot be used is thrown away: there will be another.
    pub fn open(state_dir: &Path, identity: Identity) -> Result<Self, KeyRingError> {
        let tls = identity.client_config()?;
        remove_folder(&state_dir.join(NEW))?;
        let mut ring = Self { state_dir: state_dir.to_owned(), identity, tls, candidate: None };
        let folder = state_dir.join(RENEWAL);
        if folder.join("cert.pem").exists() {
            match ring.read_candidate(&folder) {
                // The crash came after it had replaced the identity.
                Ok(candidate) if candidate.cert_pem == ring.identity.cert_pem => ring.discard()?,
                Ok(candidate) => ring.candidate = Some(candidate),
                Err(error) => {
                    tracing::warn!(%error, "a renewed certificate cannot be used, thrown away");
                    ring.discard()?;
                }
            }
        }
        Ok(ring)
    }

    fn read_candidate(&self, folder: &Path) -> Result<Candidate, KeyRingError> {
        let key_pem = Zeroizing::new(read(&folder.join("key.pem"))?);
        let cert_pem = read(&folder.join("cert.pem"))?;
        let offer = read(&folder.join("offer"))?;
        let tls = tls::mutual(&self.identity.ca_pem, &cert_pem, &key_pem)?;
        Ok(Candidate { key_pem, cert_pem, offer: unhex(offer.trim()), tls })
    }

    /// The identity in use.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// TLS that shows one of the credentials; the current one where there is no candidate.
    #[must_use]
    pub fn tls(&self, shown: Shown) -> Arc<ClientConfig> {
        match (shown, &self.candidate) {
            (Shown::Candidate, Some(candidate)) => Arc::clone(&candidate.tls),
            (Shown::Candidate, None) | (Shown::Current, _) => Arc::clone(&self.tls),
        }
    }

    /// Validity of the certificate in use; `None` if it cannot be read.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        certificate::validity(&self.identity.cert_pem)
    }

    /// Hash of the offer that brought the candidate, if there is one.
    #[must_use]
    pub fn candidate(&self) -> Option<&[u8]> {
        self.candidate.as_ref().map(|candidate| candidate.offer.as_slice())
    }

    /// Whether there is a candidate that expired.
    #[must_use]
    pub fn candidate_expired(&self, now: Timestamp) -> bool {
        let validity = self.candidate.as_ref().and_then(|c| certificate::validity(&c.cert_pem));
        validity.is_some_and(|validity| now >= validity.until)
    }

    /// A certificate request for the next key. The key is made once a renewal: a request that is repeated
    /// shows the same one, so that the controller can answer alike.
    ///
    /// # Errors
    /// When the key cannot be kept.
    pub fn request(&self) -> Result<String, KeyRingError> {
        let key = self.next_key()?;
        certificate_request(self.identity.agent, &key).map_err(|error| KeyRingError::Key(error.to_string()))
    }

    fn next_key(&self) -> Result<KeyPair, KeyRingError> {
        let bad = |error: rcgen::Error| KeyRingError::Key(error.to_string());
        let folder = self.state_dir.join(RENEWAL);
        if folder.join("key.pem").exists() {
            let text = Zeroizing::new(read(&folder.join("key.pem"))?);
            return KeyPair::from_pem(&text).map_err(bad);
        }
        let key = KeyPair::generate().map_err(bad)?;
        let beside = self.state_dir.join(NEW);
        remove_folder(&beside)?;
        remove_folder(&folder)?;
        make_folder(&beside)?;
        write(&beside.join("key.pem"), &Zeroizing::new(key.serialize_pem()))?;
        sync_folder(&beside)?;
        rename(&beside, &folder)?;
        sync_folder(&self.state_dir)?;
        Ok(key)
    }

    /// Takes an issued certificate as candidate.
    ///
    /// # Errors
    /// When it is not for the requested key or not from the trusted authority, or cannot be kept.
    pub fn accept(
        &mut self,
        issued: &TlsCertificate,
        offer: &[u8],
        now: Timestamp,
    ) -> Result<(), KeyRingError> {
        let key = self.next_key()?;
        let anchors = tls::certificates(&self.identity.ca_pem, "the controller's CA file")?;
        let cert_pem = certificate::check(issued, &key.subject_public_key_info(), &anchors, now)
            .map_err(KeyRingError::Certificate)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let tls = tls::mutual(&self.identity.ca_pem, &cert_pem, &key_pem)?;
        let folder = self.state_dir.join(RENEWAL);
        for name in ["offer", "cert.pem", "cert.new"] {
            super::identity::remove_file(&folder.join(name))?;
        }
        write(&folder.join("offer"), &hex(offer))?;
        // With the certificate under its name, the candidate is whole.
        write(&folder.join("cert.new"), &cert_pem)?;
        rename(&folder.join("cert.new"), &folder.join("cert.pem"))?;
        sync_folder(&folder)?;
        self.candidate = Some(Candidate { key_pem, cert_pem, offer: offer.to_vec(), tls });
        Ok(())
    }

    /// Whether the certificate in use is from another authority than the first of those that are trusted, which
    /// is the one that the controller signs with now.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let chain = |pem: &str| tls::certificates(pem, "certificate").unwrap_or_default();
        match (chain(&self.identity.cert_pem).first(), chain(&self.identity.ca_pem).first()) {
            (Some(leaf), Some(anchor)) => match X509Certificate::from_der(leaf) {
                Ok((_, leaf)) => !certificate::signed_by(&leaf, anchor),
                Err(_) => false,
            },
            (Some(_), None) | (None, _) => false,
        }
    }

    /// Trusts the authorities of an offer, if those trusted now vouch for them; true if that changed anything.
    ///
    /// # Errors
    /// When one is foreign, or they cannot be kept.
    pub fn adopt(&mut self, offered_pem: &str) -> Result<bool, KeyRingError> {
        let trusted = tls::certificates(&self.identity.ca_pem, "the controller's CA file")?;
        let anchors = anchor::adopt(&trusted, offered_pem)?;
        if anchors == trusted {
            return Ok(false);
        }
        let identity = Identity {
            ca_pem: anchor::pem(&anchors),
            agent: self.identity.agent,
            key_pem: self.identity.key_pem.clone(),
            cert_pem: self.identity.cert_pem.clone(),
            urls: self.identity.urls.clone(),
        };
        let tls = identity.client_config()?;
        if let Some(candidate) = &mut self.candidate {
            candidate.tls = tls::mutual(&identity.ca_pem, &candidate.cert_pem, &candidate.key_pem)?;
        }
        identity.store(&self.state_dir)?;
        (self.tls, self.identity) = (tls, identity);
        Ok(true)
    }

    /// The candidate has worked: it replaces the credential in use.
    ///
    /// # Errors
    /// When it cannot be kept; both are still there then.
    pub fn promote(&mut self) -> Result<(), KeyRingError> {
        let Some(candidate) = &self.candidate else { return Ok(()) };
        let identity = Identity {
            agent: self.identity.agent,
            key_pem: candidate.key_pem.clone(),
            cert_pem: candidate.cert_pem.clone(),
            ca_pem: self.identity.ca_pem.clone(),
            urls: self.identity.urls.clone(),
        };
        identity.store(&self.state_dir)?;
        self.tls = Arc::clone(&candidate.tls);
        self.identity = identity;
        self.discard()
    }

    /// Forgets the renewal: the old credential stays.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&mut self) -> Result<(), KeyRingError> {
        self.candidate = None;
        Ok(Self::forget(&self.state_dir)?)
    }

    /// Removes what an earlier renewal left in a state folder.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(state_dir: &Path) -> Result<(), IdentityError> {
        remove_folder(&state_dir.join(RENEWAL))
    }
}

fn hex(bytes: &[u8]) -> String {
    faster_hex::hex_string(bytes)
}

/// An offer's hash; empty where the file is damaged, for then nobody is told of the outcome.
fn unhex(text: &str) -> Vec<u8> {
    let mut bytes = vec![0; text.len() / 2];
    match faster_hex::hex_decode(text.as_bytes(), &mut bytes) {
        Ok(_) => bytes,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::testing::Authority;

    struct Home {
        dir: tempfile::TempDir,
        authority: Authority,
    }

    impl Home {
        fn new() -> Self {
            let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
            authority.identity(false).store(dir.path()).unwrap();
            Self { dir, authority }
        }

        fn ring(&self) -> KeyRing {
            KeyRing::open(self.dir.path(), Identity::load(self.dir.path()).unwrap()).unwrap()
        }

        fn issued(&self, ring: &KeyRing) -> TlsCertificate {
            let cert = self.authority.sign(&ring.request().unwrap()).into_bytes();
            TlsCertificate { cert, ..TlsCertificate::default() }
        }

        fn renewal(&self) -> bool {
            self.dir.path().join(RENEWAL).exists()
        }
    }

    fn now() -> Timestamp {
        "2026-11-22T04:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_candidate_survives_a_crash_and_replaces_the_identity_when_it_worked() {
        let home = Home::new();
        let mut ring = home.ring();
        let before = (ring.identity().key_pem.to_string(), ring.identity().cert_pem.clone());
        // Signatures differ from request to request, the key in them does not.
        let asked = |ring: &KeyRing| {
            let request = rcgen::CertificateSigningRequestParams::from_pem(&ring.request().unwrap()).unwrap();
            request.public_key.der_bytes().to_vec()
        };
        assert_eq!(asked(&ring), asked(&home.ring()));
        let issued = home.issued(&ring);
        // Killed between request and answer: the key is the same one.
        drop(ring);
        ring = home.ring();
        ring.accept(&issued, &[1, 2], now()).unwrap();
        drop(ring);
        ring = home.ring();
        assert_eq!(ring.candidate(), Some(&[1, 2][..]));
        assert_eq!(ring.identity().cert_pem, before.1, "not kept before it has worked");
        ring.promote().unwrap();
        assert_eq!((ring.candidate(), home.renewal()), (None, false));
        let kept = Identity::load(home.dir.path()).unwrap();
        assert_eq!(kept.cert_pem.as_bytes(), issued.cert);
        assert_ne!(*kept.key_pem, before.0);
        assert_eq!(kept.agent, ring.identity().agent);
    }

    #[test]
    fn a_crash_after_the_replacement_leaves_nothing_to_try() {
        let home = Home::new();
        let mut ring = home.ring();
        let issued = home.issued(&ring);
        ring.accept(&issued, &[1], now()).unwrap();
        let kept = home.dir.path().join("kept");
        std::fs::rename(home.dir.path().join(RENEWAL), &kept).unwrap();
        ring.promote().unwrap();
        std::fs::rename(&kept, home.dir.path().join(RENEWAL)).unwrap();
        assert_eq!(home.ring().candidate(), None);
        assert!(!home.renewal());
    }

    #[test]
    fn a_candidate_that_did_not_work_is_forgotten_with_its_key() {
        let home = Home::new();
        let mut ring = home.ring();
        let issued = home.issued(&ring);
        ring.accept(&issued, &[1], now()).unwrap();
        ring.discard().unwrap();
        assert!(!home.renewal());
        let again = ring.accept(&issued, &[2], now()).unwrap_err();
        assert!(again.to_string().contains("it is for another key"), "{again}");
    }

    #[test]
    fn what_does_not_fit_is_no_candidate() {
        let home = Home::new();
        let mut ring = home.ring();
        let good = home.issued(&ring);
        let foreign = Authority::new().sign(&ring.request().unwrap()).into_bytes();
        let cases = [
            (TlsCertificate { private_key: vec![1], ..good.clone() }, "made elsewhere"),
            (TlsCertificate { cert: b"x".to_vec(), ..good.clone() }, "no PEM"),
            (TlsCertificate { cert: foreign, ..good.clone() }, "not signed by the authority"),
        ];
        for (issued, part) in cases {
            let error = ring.accept(&issued, &[1], now()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert_eq!(ring.candidate(), None);
        }
        ring.accept(&good, &[1], now()).unwrap();
        std::fs::write(home.dir.path().join("renewal/cert.pem"), "damaged").unwrap();
        assert_eq!(home.ring().candidate(), None, "a damaged candidate is thrown away");
        assert!(!home.renewal());
    }
}
