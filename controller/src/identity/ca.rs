//! The controller's certification authority: made at the first start, signs the controller's own
//! certificate and those of the agents.
//!
//! Of a certificate request only the key is taken; subject, use, serial number and validity are set here.
//! The controller's own key pair is made anew at every start and lives in memory only.

use super::file::{self, FileError};
use super::secret;
use jiff::Timestamp;
use muster_shared::id::AgentId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, SigningKey,
    SubjectPublicKeyInfo,
};
use rustls::SignatureScheme;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Life of the authority.
const CA_LIFE: Duration = DAY.saturating_mul(3653);
/// Life of the controller's own certificate; it is replaced at two thirds of it.
pub const SERVER_LIFE: Duration = DAY.saturating_mul(365);
/// Certificates begin a little in the past, for clocks that are slow: at most this long, and less where the life
/// is short, for an agent counts the share of it that is over.
const BACKDATE: Duration = Duration::from_secs(10 * 60);

/// Why the authority did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Its file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its file has other content than expected.
    #[error("{0} holds no key with its certificate; restore the data folder from a backup")]
    Damaged(String),
    /// A certificate could not be made.
    #[error("a certificate could not be signed")]
    Sign(#[source] rcgen::Error),
    /// The request of an agent cannot be used.
    #[error("the certificate request cannot be used: it must be PEM, signed by its own key")]
    Request(#[source] rcgen::Error),
    /// The certificate of an agent cannot be read.
    #[error("the request is longer than any certificate request")]
    RequestTooLong,
}

/// A certificate for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// PEM.
    pub pem: String,
    /// Serial number in hex.
    pub serial: String,
    /// SHA-256 of the public key (SPKI) in hex.
    pub key_sha256: String,
    /// When it expires.
    pub not_after: Timestamp,
    /// SHA-256 of the authority's key in hex.
    pub authority: String,
}

/// The key of a request that was signed by that very key.
pub struct CheckedRequest {
    csr: CertificateSigningRequestParams,
    /// SHA-256 of the public key (SPKI) in hex.
    pub key_sha256: String,
    /// Common name of the request's subject, if it has one.
    pub common_name: Option<String>,
}

/// A certificate with its key, for the TLS server.
pub struct ServerIdentity {
    /// The certificate.
    pub leaf: CertificateDer<'static>,
    /// Private key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

/// One authority: its key and certificate.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    key_pem: Zeroizing<String>,
    name: String,
    spki: Vec<u8>,
    spki_sha256: [u8; 32],
    not_after: Timestamp,
}

impl Ca {
    /// Reads the authority from its file, or makes it at the first start.
    ///
    /// # Errors
    /// If the file cannot be read or written, or is damaged.
    pub fn load_or_create(path: &Path, now: Timestamp) -> Result<Self, CaError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_pem(&Zeroizing::new(text))
                .ok_or_else(|| CaError::Damaged(path.display().to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let ca = Self::create(now)?;
                file::write(path, 0o600, ca.secret_text().as_bytes())?;
                Ok(ca)
            }
            Err(e) => Err(file::failed("read", path)(e).into()),
        }
    }

    /// A new authority.
    ///
    /// # Errors
    /// If its key or certificate cannot be made.
    pub fn create(now: Timestamp) -> Result<Self, CaError> {
        let key = KeyPair::generate().map_err(CaError::Sign)?;
        // The name carries random digits, so that two authorities are never taken for one.
        let name = format!("Muster CA {}", secret::hex(&secret::random_bytes::<4>()));
        let mut params = authority(&name);
        set_validity(&mut params, now, CA_LIFE);
        let certificate = params.self_signed(&key).map_err(CaError::Sign)?;
        let text = Zeroizing::new(format!("{}{}", certificate.pem(), key.serialize_pem()));
        Self::from_pem(&text).ok_or_else(|| CaError::Damaged("a new authority".to_owned()))
    }

    /// Reads certificate and key; whatever else is in the text is left out.
    #[must_use]
    pub fn from_pem(text: &str) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).ok()?;
        let key = KeyPair::try_from(&key).ok()?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let spki = key.subject_public_key_info();
        let (name, not_after) = {
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
            if parsed.public_key().raw != spki {
                return None;
            }
            let name = parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
            (name, Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()?)
        };
        let issuer = Issuer::from_ca_cert_der(&certificate, key).ok()?;
        let pem = text.split_inclusive("-----END CERTIFICATE-----").next()?.trim_start().to_owned() + "\n";
        let spki_sha256 = Sha256::digest(&spki).into();
        Some(Self { issuer, certificate, pem, key_pem, name, spki, spki_sha256, not_after })
    }

    /// Certificate and key, as the file holds them.
    #[must_use]
    pub fn secret_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}{}", self.pem, self.key_pem.as_str()))
    }

    /// A certificate by which this authority says that the other one's key is an authority's.
    ///
    /// # Errors
    /// If signing fails.
    pub fn vouch(&self, other: &Self, now: Timestamp) -> Result<CertificateDer<'static>, CaError> {
        let mut params = authority(&other.name);
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, CA_LIFE);
        let key = SubjectPublicKeyInfo::from_der(&other.spki).map_err(CaError::Sign)?;
        Ok(params.signed_by(&key, &self.issuer).map_err(CaError::Sign)?.der().clone())
    }

    /// A signature over a message.
    ///
    /// # Errors
    /// If signing fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        self.issuer.key().sign(message).map_err(CaError::Sign)
    }

    /// Whether a signature over a message is of this authority.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok((_, spki)) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&self.spki) else {
            return false;
        };
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let schemes = provider.signature_verification_algorithms.mapping.iter();
        let mut fitting = schemes.filter(|(scheme, _)| *scheme == SignatureScheme::ECDSA_NISTP256_SHA256);
        fitting.any(|(_, algorithms)| {
            let key = spki.subject_public_key.as_ref();
            algorithms.iter().any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
        })
    }

    /// When its own certificate expires.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Its subject.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate as DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the public key (SPKI): what enrolment tokens carry.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// A new key and certificate for the controller's own port.
    ///
    /// # Errors
    /// If a name is none, or signing fails.
    pub fn server_identity(&self, names: &[String], now: Timestamp) -> Result<ServerIdentity, CaError> {
        let key = KeyPair::generate().map_err(CaError::Sign)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(CaError::Sign)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Muster controller");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial());
        set_validity(&mut params, now, SERVER_LIFE);
        let leaf = params.signed_by(&key, &self.issuer).map_err(CaError::Sign)?;
        Ok(ServerIdentity {
            leaf: leaf.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    /// Checks that a PEM request was signed by its own key.
    ///
    /// # Errors
    /// If it cannot be read or the signature is wrong.
    pub fn check_request(pem: &[u8]) -> Result<CheckedRequest, CaError> {
        /// A request with an RSA-4096 key takes under 2 KB.
        const LONGEST: usize = 16 * 1024;
        if pem.len() > LONGEST {
            return Err(CaError::RequestTooLong);
        }
        let text = String::from_utf8_lossy(pem);
        let csr = CertificateSigningRequestParams::from_pem(&text).map_err(CaError::Request)?;
        let common_name = csr.params.distinguished_name.get(&DnType::CommonName).and_then(dn_text);
        let key_sha256 = secret::sha256_hex(&csr.public_key.subject_public_key_info());
        Ok(CheckedRequest { csr, key_sha256, common_name })
    }

    /// A client certificate for an agent: its id as the name, the request's key, nothing else of it.
    ///
    /// # Errors
    /// If signing fails.
    pub fn issue(
        &self,
        request: &CheckedRequest,
        agent: AgentId,
        life: Duration,
        now: Timestamp,
    ) -> Result<Issued, CaError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, agent.to_string());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let serial = serial();
        params.serial_number = Some(serial.clone());
        let not_after = set_validity(&mut params, now, life);
        let certificate = params.signed_by(&request.csr.public_key, &self.issuer).map_err(CaError::Sign)?;
        Ok(Issued {
            pem: certificate.pem(),
            serial: secret::hex(&serial.to_bytes()),
            key_sha256: request.key_sha256.clone(),
            not_after,
            authority: secret::hex(&self.spki_sha256),
        })
    }
}

/// What makes a certificate an authority's.
fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial());
    params
}

/// All certificates in a PEM text that can be read.
#[must_use]
pub fn certificates(text: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok).collect()
}

/// A certificate as PEM.
#[must_use]
pub fn pem_text(der: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

fn dn_text(value: &rcgen::DnValue) -> Option<String> {
    match value {
        rcgen::DnValue::Utf8String(s) => Some(s.clone()),
        rcgen::DnValue::PrintableString(s) => Some(s.as_str().to_owned()),
        _ => None, // foreign enum: the other encodings are not used for UUIDs
    }
}

/// 127 random bits: positive, unguessable, never the same twice.
fn serial() -> SerialNumber {
    let mut bytes = secret::random_bytes::<16>();
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// How long before its issue a certificate begins whose whole validity is so many seconds.
#[must_use]
pub fn backdated(validity: i64) -> i64 {
    let most = i64::try_from(BACKDATE.as_secs()).unwrap_or(i64::MAX);
    // A sixth of the life is a seventh of life and sixth together.
    most.min(validity / 7)
}

/// Sets both ends of the validity, to the second, and tells the later.
fn set_validity(params: &mut CertificateParams, now: Timestamp, life: Duration) -> Timestamp {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    params.not_before = epoch + now.saturating_sub(BACKDATE.min(life / 6));
    params.not_after = epoch + (now + life);
    Timestamp::from_second(i64::try_from((now + life).as_secs()).unwrap_or(i64::MAX))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::peer::Peer;

    fn request(key: &KeyPair, name: &str) -> String {
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn the_authority_is_kept_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let first = Ca::load_or_create(&path, Timestamp::now()).unwrap();
        let second = Ca::load_or_create(&path, Timestamp::now()).unwrap();
        assert_eq!(first.pem(), second.pem());
        assert_eq!(first.spki_sha256(), second.spki_sha256());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!first.pem().contains("PRIVATE"));
    }

    #[test]
    fn only_the_key_of_a_request_is_taken() {
        let now = Timestamp::now();
        let ca = Ca::create(now).unwrap();
        let key = KeyPair::generate().unwrap();
        let checked = Ca::check_request(request(&key, "somebody").as_bytes()).unwrap();
        assert_eq!(checked.common_name.as_deref(), Some("somebody"));
        assert_eq!(checked.key_sha256, secret::sha256_hex(&key.subject_public_key_info()));
        let agent: AgentId = "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap();
        let issued = ca.issue(&checked, agent, DAY * 7, now).unwrap();
        let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
        let peer = Peer::from_der(&der).unwrap();
        assert_eq!(peer.agent, agent);
        assert_eq!(peer.serial, issued.serial);
        assert_eq!(peer.key_sha256, issued.key_sha256);
        assert_eq!(peer.not_after, issued.not_after);
        assert_eq!(issued.not_after.as_second(), now.as_second() + 7 * 86_400);
        assert_eq!(peer.issued_at.as_second(), now.as_second());
        for life in [6, 7, 70, 3_599, 3_601] {
            let issued = ca.issue(&checked, agent, Duration::from_secs(life), now).unwrap();
            let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
            let told = Peer::from_der(&der).unwrap().issued_at.as_second();
            assert!((told - now.as_second()).abs() <= 1, "{life}: {told} {now}");
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert!(!parsed.is_ca());
        assert!(parsed.subject_alternative_name().unwrap().is_none());
    }

    #[test]
    fn only_its_own_signatures_count() {
        let (ca, other) = (Ca::create(Timestamp::now()).unwrap(), Ca::create(Timestamp::now()).unwrap());
        let signature = ca.sign(b"a statement").unwrap();
        assert!(ca.has_signed(b"a statement", &signature));
        assert!(!ca.has_signed(b"another one", &signature));
        assert!(!other.has_signed(b"a statement", &signature));
        for bad in [&b""[..], &signature[1..], &[0x30; 70]] {
            assert!(!ca.has_signed(b"a statement", bad));
        }
    }

    #[test]
    fn a_request_that_another_key_signed_is_refused() {
        let pem = request(&KeyPair::generate().unwrap(), "a");
        let mut der = pem_bytes(&pem);
        let last = der.len() - 1;
        der[last] ^= 1;
        let broken = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der)
        );
        for bad in [broken.as_bytes(), b"no request", &[b'x'; 20_000]] {
            assert!(matches!(Ca::check_request(bad), Err(CaError::Request(_) | CaError::RequestTooLong)));
        }
    }

    fn pem_bytes(pem: &str) -> Vec<u8> {
        let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap()
    }
}
