//! A destination's settings, checked: built from the policy's [`DestinationSpec`] without any I/O, into a
//! type that cannot be wrong. Whether the receiver can be reached is health, not configuration.

use super::frame::{DEFAULT_DATAGRAM, Frame, Framer};
use muster_shared::policy::model::{DestinationSpec, FormatSpec, Framing, TransportSpec};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest replay window: beyond it [`super::window::MAX_BYTES`] or the receiver's own time-outs rule.
const LONGEST_WINDOW: Duration = Duration::from_secs(600);

/// Smallest receive buffer that is believed.
const LEAST_BUFFER: u64 = 64 * 1024;

/// A destination's settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not `host:port`.
    #[error(
        "destination {destination}: address {address:?} is not host:port; write for example siem.example.com:6514 or [2001:db8::5]:6514"
    )]
    Address {
        /// Name of the destination.
        destination: String,
        /// What was given.
        address: String,
    },
    /// Not a name that a certificate can carry.
    #[error(
        "destination {destination}: {name:?} is no host name or address that a certificate can carry; set server_name to the name in the receiver's certificate"
    )]
    ServerName {
        /// Name of the destination.
        destination: String,
        /// What was given.
        name: String,
    },
    /// `ca_pem` holds no certificate.
    #[error(
        "destination {destination}: ca_pem holds no usable certificate ({reason}); paste the PEM text of the certification authority, from BEGIN CERTIFICATE to END CERTIFICATE"
    )]
    CaPem {
        /// Name of the destination.
        destination: String,
        /// Why not.
        reason: String,
    },
    /// A name of a secret that could leave the secrets folder.
    #[error(
        "destination {destination}: client_certificate {name:?} must be the plain name of an entry of the agent's secrets folder: letters, digits, '-', '_' and '.', not starting with '.'"
    )]
    SecretName {
        /// Name of the destination.
        destination: String,
        /// What was given.
        name: String,
    },
    /// The replay window is not usable.
    #[error("destination {destination}: replay_window_ms {given} is not between 0 and {}", LONGEST_WINDOW.as_millis())]
    Window {
        /// Name of the destination.
        destination: String,
        /// What was given.
        given: u64,
    },
}

/// Host and port of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name, IPv4 or IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let usable = !host.is_empty() && host.len() <= 255 && host.chars().all(|c| c.is_ascii_graphic());
        usable.then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Files of a client certificate, read again at each connect so that a renewed one is picked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// TLS settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Name that the receiver's certificate must carry.
    pub server_name: ServerName<'static>,
    /// Certification authorities to trust; None: the system's.
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// What to present.
    pub client_certificate: Option<ClientCertificate>,
}

/// How the receiver is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams, best effort.
    Udp {
        /// Receiver.
        address: Address,
        /// Longest datagram; longer messages are cut.
        max_datagram: usize,
    },
    /// A plain byte stream.
    Tcp {
        /// Receiver.
        address: Address,
        /// How messages are told apart.
        framing: Framing,
    },
    /// A byte stream in TLS.
    Tls {
        /// Receiver.
        address: Address,
        /// How messages are told apart.
        framing: Framing,
        /// Whom to trust and what to present.
        tls: Box<TlsSettings>,
    },
}

impl Transport {
    /// The receiver.
    #[must_use]
    pub fn address(&self) -> &Address {
        match self {
            Self::Udp { address, .. } | Self::Tcp { address, .. } | Self::Tls { address, .. } => address,
        }
    }

    /// Word for messages and logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Udp { .. } => "UDP",
            Self::Tcp { .. } => "TCP",
            Self::Tls { .. } => "TLS",
        }
    }
}

/// Checked settings of one destination.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationConfig {
    /// Name in the policy.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// How an event is written.
    pub format: FormatSpec,
    /// Pause between heartbeats; None sends none.
    pub heartbeat: Option<Duration>,
    /// Length of the replay window.
    pub replay_window: Duration,
    /// Most bytes that the receiver's kernel keeps unread for one connection, where the policy knows it.
    pub receiver_buffer: Option<u64>,
}

impl DestinationConfig {
    /// Checks a destination of the policy. `secrets` is the agent's local secrets folder.
    ///
    /// # Errors
    /// Names the setting that cannot be used and what would be right.
    pub fn build(name: &str, spec: &DestinationSpec, secrets: &Path) -> Result<Self, ConfigError> {
        let replay_window = Duration::from_millis(spec.replay_window_ms);
        if replay_window > LONGEST_WINDOW {
            return Err(ConfigError::Window { destination: name.to_owned(), given: spec.replay_window_ms });
        }
        let transport = match &spec.transport {
            TransportSpec::Udp { address } => {
                Transport::Udp { address: parse_address(name, address)?, max_datagram: DEFAULT_DATAGRAM }
            }
            TransportSpec::Tcp { address, framing } => {
                Transport::Tcp { address: parse_address(name, address)?, framing: *framing }
            }
            TransportSpec::Tls { address, framing, server_name, ca_pem, client_certificate } => {
                let address = parse_address(name, address)?;
                let tls = TlsSettings {
                    server_name: parse_server_name(name, server_name.as_deref().unwrap_or(&address.host))?,
                    roots: ca_pem.as_deref().map(|pem| parse_roots(name, pem)).transpose()?,
                    client_certificate: client_certificate
                        .as_deref()
                        .map(|entry| client_certificate_files(name, entry, secrets))
                        .transpose()?,
                };
                Transport::Tls { address, framing: *framing, tls: Box::new(tls) }
            }
        };
        let heartbeat = (spec.heartbeat_seconds > 0).then(|| Duration::from_secs(spec.heartbeat_seconds));
        Ok(Self {
            name: name.to_owned(),
            transport,
            format: spec.format.clone(),
            heartbeat,
            replay_window,
            // More than the window's own limit changes nothing, and less than a segment is no buffer.
            receiver_buffer: spec
                .receiver_buffer_bytes
                .map(|bytes| bytes.clamp(LEAST_BUFFER, super::window::MAX_BYTES)),
        })
    }

    /// How long what was written is held back before it counts as delivered. The replay window bounds what
    /// a crash sends again, so the pause between two stores of the committed cursors counts towards it;
    /// half of the window is held in any case.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.replay_window.saturating_sub(crate::state::STORE_PAUSE).max(self.replay_window / 2)
    }

    /// How messages for this destination are framed.
    #[must_use]
    pub fn frame(&self) -> Frame {
        match &self.transport {
            Transport::Udp { max_datagram, .. } => Frame::Datagram(*max_datagram),
            Transport::Tcp { framing, .. } | Transport::Tls { framing, .. } => Frame::from(*framing),
        }
    }

    /// A framer for this destination.
    #[must_use]
    pub fn framer(&self) -> Framer {
        Framer::new(self.frame())
    }

    /// Component name in health reports.
    #[must_use]
    pub fn component(&self) -> String {
        format!("destination/{}", self.name)
    }
}

fn parse_address(destination: &str, text: &str) -> Result<Address, ConfigError> {
    Address::parse(text)
        .ok_or_else(|| ConfigError::Address { destination: destination.to_owned(), address: text.to_owned() })
}

fn parse_server_name(destination: &str, name: &str) -> Result<ServerName<'static>, ConfigError> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| ConfigError::ServerName { destination: destination.to_owned(), name: name.to_owned() })
}

fn parse_roots(destination: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let fail = |reason: String| ConfigError::CaPem { destination: destination.to_owned(), reason };
    let roots: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| fail(error.to_string()))?;
    if roots.is_empty() {
        return Err(fail("no BEGIN CERTIFICATE line".to_owned()));
    }
    let mut store = rustls::RootCertStore::empty();
    for root in &roots {
        store.add(root.clone()).map_err(|error| fail(error.to_string()))?;
    }
    Ok(roots)
}

fn client_certificate_files(
    destination: &str,
    entry: &str,
    secrets: &Path,
) -> Result<ClientCertificate, ConfigError> {
    let plain = entry.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if entry.is_empty() || entry.len() > 64 || entry.starts_with('.') || !plain {
        return Err(ConfigError::SecretName { destination: destination.to_owned(), name: entry.to_owned() });
    }
    Ok(ClientCertificate {
        certificate: secrets.join(format!("{entry}.crt")),
        key: secrets.join(format!("{entry}.key")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(transport: TransportSpec) -> DestinationSpec {
        DestinationSpec {
            transport,
            format: FormatSpec::default(),
            heartbeat_seconds: 0,
            replay_window_ms: 1_000,
            receiver_buffer_bytes: None,
        }
    }

    fn tls(address: &str) -> TransportSpec {
        TransportSpec::Tls {
            address: address.to_owned(),
            framing: Framing::OctetCounting,
            server_name: None,
            ca_pem: None,
            client_certificate: None,
        }
    }

    #[test]
    fn addresses() {
        let cases = [
            ("siem:514", Some(("siem", 514))),
            ("10.0.0.1:6514", Some(("10.0.0.1", 6514))),
            ("[2001:db8::5]:601", Some(("2001:db8::5", 601))),
            ("2001:db8::5:601", None),
            ("siem", None),
            ("siem:0", None),
            ("siem:99999", None),
            (":514", None),
            ("si em:514", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(host, port)| Address { host: host.to_owned(), port });
            assert_eq!(Address::parse(text), expected, "{text}");
            if let Some(address) = expected {
                assert_eq!(address.to_string(), text);
            }
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let secrets = Path::new("/etc/muster/secrets");
        let build = |transport| DestinationConfig::build("qradar", &spec(transport), secrets).unwrap_err();
        let mut bad_ca = tls("siem:6514");
        if let TransportSpec::Tls { ca_pem, .. } = &mut bad_ca {
            *ca_pem = Some("nothing".to_owned());
        }
        assert!(
            build(bad_ca).to_string().starts_with("destination qradar: ca_pem holds no usable certificate")
        );
        let mut bad_secret = tls("siem:6514");
        if let TransportSpec::Tls { client_certificate, .. } = &mut bad_secret {
            *client_certificate = Some("../../etc/passwd".to_owned());
        }
        assert!(matches!(build(bad_secret), ConfigError::SecretName { .. }));
        assert!(matches!(build(tls("siem")), ConfigError::Address { .. }));
        assert!(matches!(build(tls("under_score!:1")), ConfigError::ServerName { .. }));
    }

    #[test]
    fn a_client_certificate_is_two_files_of_the_secrets_folder() {
        let mut transport = tls("siem:6514");
        if let TransportSpec::Tls { client_certificate, .. } = &mut transport {
            *client_certificate = Some("siem-2026".to_owned());
        }
        let config = DestinationConfig::build("q", &spec(transport), Path::new("/s")).unwrap();
        let Transport::Tls { tls, .. } = &config.transport else { panic!("{config:?}") };
        assert_eq!(
            tls.client_certificate,
            Some(ClientCertificate {
                certificate: "/s/siem-2026.crt".into(),
                key: "/s/siem-2026.key".into()
            })
        );
        assert_eq!(config.frame(), Frame::OctetCounting);
        assert_eq!(config.heartbeat, None);
    }
}
