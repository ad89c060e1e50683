//! Which controller to trust: by its authority, given as a file or by fingerprint, or confirmed by a person.
//!
//! Looking at an unknown controller's certificates ends in the handshake, before anything is sent; every
//! other connection is verified against the chosen authority, name included. There is no insecure switch.

use crate::error::CliError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest wait for the connection and for each step of the handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// An authority's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    der: CertificateDer<'static>,
}

impl Authority {
    /// The first certificate of a PEM text.
    pub(crate) fn from_pem(text: &[u8]) -> Option<Self> {
        CertificateDer::from_pem_slice(text).ok().map(|der| Self { der })
    }

    /// As PEM.
    pub(crate) fn pem(&self) -> String {
        let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
        let body = STANDARD.encode(&self.der);
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(64));
            text.push_str(line);
            text.push('\n');
            rest = more;
        }
        text.push_str("-----END CERTIFICATE-----\n");
        text
    }

    /// SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it.
    pub(crate) fn fingerprint(&self) -> String {
        let digest = Sha256::digest(&self.der);
        digest.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
    }

    /// Whether a fingerprint that a person wrote (hex, colons allowed) is that of this certificate or of its
    /// public key, which enrolment tokens carry.
    fn has_fingerprint(&self, wanted: &[u8; 32]) -> bool {
        let of_certificate: [u8; 32] = Sha256::digest(&self.der).into();
        let of_key: Option<[u8; 32]> = x509_parser::parse_x509_certificate(&self.der)
            .ok()
            .map(|(_, certificate)| Sha256::digest(certificate.public_key().raw).into());
        of_certificate == *wanted || of_key == Some(*wanted)
    }

    /// Certificates signed by it are trusted by the TLS of this configuration, and no others.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, CliError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).map_err(|error| {
            CliError::Local(format!(
                "the authority's certificate cannot be used: {error}; log in again with --ca"
            ))
        })?;
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        // The controller serves whoever names the protocol beside its agents, not among them.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Reads `AB:CD:…` or `abcd…`.
pub(crate) fn parse_fingerprint(text: &str) -> Result<[u8; 32], CliError> {
    let wrong = || {
        CliError::Usage(format!(
            "`{text}` is no SHA-256 fingerprint: write 64 hexadecimal digits, colons allowed"
        ))
    };
    let digits: Vec<u32> = text
        .trim()
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    if digits.len() != 64 {
        return Err(wrong());
    }
    let mut bytes = [0u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::try_from(pair[0] << 4 | pair[1]).unwrap_or(0); // two hex digits are at most 255
    }
    Ok(bytes)
}

/// The certificate with this fingerprint among those the controller shows.
pub(crate) fn choose(
    chain: &[CertificateDer<'static>],
    wanted: &[u8; 32],
    url: &str,
) -> Result<Authority, CliError> {
    let all = || chain.iter().map(|der| Authority { der: der.clone() });
    all().find(|authority| authority.has_fingerprint(wanted)).ok_or_else(|| CliError::Untrusted {
        url: url.to_owned(),
        reason: format!(
            "it shows an authority with another fingerprint{}\n  \
             somebody may be in between; get the right one from the controller's host (file ca.crt)",
            all().next_back().map(|a| format!(", {}", a.fingerprint())).unwrap_or_default()
        ),
    })
}

/// The authority at the end of what the controller shows.
pub(crate) fn last(chain: &[CertificateDer<'static>], url: &str) -> Result<Authority, CliError> {
    chain.last().map(|der| Authority { der: der.clone() }).ok_or_else(|| CliError::Untrusted {
        url: url.to_owned(),
        reason: "it shows no certificate".to_owned(),
    })
}

/// Looks at the certificates of an unknown controller. The handshake is broken off; nothing is sent.
pub(crate) fn look(url: &Url) -> Result<Vec<CertificateDer<'static>>, CliError> {
    let unreachable = |reason: String| CliError::Unreachable { url: url.to_string(), reason };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(4320);
    let name = ServerName::try_from(host.clone())
        .map_err(|_| CliError::Usage(format!("`{host}` is no host name or address")))?;
    let addresses: Vec<_> =
        (host.as_str(), port).to_socket_addrs().map_err(|e| unreachable(e.to_string()))?.collect();
    let mut failure = format!("{host} has no address");
    let mut stream = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(error) => failure = error.to_string(),
        }
    }
    let mut stream = stream.ok_or_else(|| unreachable(failure))?;
    let timeouts =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    timeouts.map_err(|e| unreachable(e.to_string()))?;
    let onlooker = Arc::new(Onlooker::default());
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&onlooker) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(|e| unreachable(e.to_string()))?;
    let ended = connection.complete_io(&mut stream);
    let chain = onlooker.seen.lock().map(|mut seen| std::mem::take(&mut *seen)).unwrap_or_default();
    match (chain.is_empty(), ended) {
        (false, _) => Ok(chain),
        (true, Err(error)) => Err(unreachable(format!("no TLS there: {error}"))),
        (true, Ok(_)) => Err(unreachable("it shows no certificate".to_owned())),
    }
}

/// Notes the certificates and then refuses them, so that the handshake can never complete.
#[derive(Debug, Default)]
struct Onlooker {
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen =
                std::iter::once(end_entity).chain(intermediates).map(|c| c.clone().into_owned()).collect();
        }
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_survives_pem() {
        let authority = Authority { der: CertificateDer::from(vec![7u8; 100]) };
        assert_eq!(Authority::from_pem(authority.pem().as_bytes()), Some(authority));
    }

    #[test]
    fn fingerprints_are_read_with_and_without_colons() {
        let plain = "00ff".repeat(16);
        let with_colons: String = plain
            .as_bytes()
            .chunks(2)
            .map(|c| String::from_utf8_lossy(c).to_uppercase())
            .collect::<Vec<_>>()
            .join(":");
        let bytes = parse_fingerprint(&plain).unwrap();
        assert_eq!(&bytes[..4], &[0, 255, 0, 255]);
        assert_eq!(parse_fingerprint(&with_colons).unwrap(), bytes);
        for bad in ["", "00", &"0g".repeat(32), &"00".repeat(33)] {
            assert_eq!(parse_fingerprint(bad).unwrap_err().exit().code(), 2);
        }
    }

    #[test]
    fn the_wrong_fingerprint_is_refused_with_the_one_seen() {
        let chain = vec![CertificateDer::from(vec![1u8; 10]), CertificateDer::from(vec![2u8; 10])];
        let right: [u8; 32] = Sha256::digest([2u8; 10]).into();
        assert_eq!(choose(&chain, &right, "https://c").unwrap(), last(&chain, "https://c").unwrap());
        let error = choose(&chain, &[0; 32], "https://c").unwrap_err();
        assert_eq!(error.exit().code(), 5);
        assert!(error.to_string().contains(&last(&chain, "https://c").unwrap().fingerprint()), "{error}");
    }
}
