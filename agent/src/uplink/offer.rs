//! Judges offered connection settings: pure.
//!
//! Taken are the heartbeat interval and another address of the controller, which is tried before it is kept
//! and must show a certificate of the authorities that the agent trusts. Refused is what would weaken the
//! agent: verification switched off, a private key made elsewhere, the system's authorities, a way through a
//! proxy, and headers. A certificate is looked at by whoever asked for one, authorities by whoever trusts the
//! present ones.

use super::endpoint::Endpoint;
use muster_proto::opamp::ConnectionSettingsOffers;

/// Longest address that is looked at, in bytes.
const MAX_ADDRESS: usize = 512;

/// What an offer that is not refused holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// An address that is not known yet, to be tried.
    pub address: Option<Endpoint>,
    /// Heartbeat interval in seconds; 0 for unchanged.
    pub heartbeat_seconds: u64,
    /// There is a certificate in it.
    pub certificate: bool,
    /// Authorities to trust, PEM; whether they may be is for the keys to say.
    pub authorities: Option<String>,
}

/// Takes what may be taken of an offer, or says why it is refused. `known` are the addresses that need not be
/// tried.
///
/// # Errors
/// The reason, for the controller and its operator.
pub fn judge(offer: &ConnectionSettingsOffers, known: &[Endpoint]) -> Result<Judged, String> {
    let others = [
        ("own_metrics", offer.own_metrics.is_some()),
        ("own_traces", offer.own_traces.is_some()),
        ("own_logs", offer.own_logs.is_some()),
        ("other_connections", !offer.other_connections.is_empty()),
    ];
    if let Some((name, _)) = others.iter().find(|(_, present)| *present) {
        return Err(format!("the agent has not declared that it takes `{name}`"));
    }
    let Some(settings) = &offer.opamp else {
        return Ok(Judged::default());
    };
    if let Some(tls) = &settings.tls {
        if tls.insecure_skip_verify {
            return Err("the agent never switches certificate verification off".to_owned());
        }
        if tls.include_system_ca_certs_pool {
            return Err("the agent trusts only the authority that it enrolled with".to_owned());
        }
        if !tls.min_version.is_empty() || !tls.max_version.is_empty() || !tls.cipher_suites.is_empty() {
            return Err("the agent chooses TLS versions and ciphers itself".to_owned());
        }
    }
    let certificate = settings.certificate.as_ref();
    if certificate.is_some_and(|certificate| !certificate.private_key.is_empty()) {
        return Err("the agent makes its own key and takes none from elsewhere".to_owned());
    }
    if settings.proxy.is_some()
        || settings.headers.as_ref().is_some_and(|headers| !headers.headers.is_empty())
    {
        return Err("the agent takes neither a proxy nor headers from the controller".to_owned());
    }
    // An offer without an address is read as "the same": some controllers send only what changed.
    let address = match settings.destination_endpoint.as_str() {
        "" => None,
        text if text.len() > MAX_ADDRESS => return Err("the address is too long".to_owned()),
        text => Some(Endpoint::parse(text).map_err(|error| error.to_string())?),
    };
    Ok(Judged {
        address: address.filter(|address| !known.contains(address)),
        heartbeat_seconds: settings.heartbeat_interval_seconds,
        certificate: certificate.is_some_and(|certificate| !certificate.cert.is_empty()),
        authorities: settings
            .tls
            .as_ref()
            .map(|tls| tls.ca_pem_contents.clone())
            .filter(|pem| !pem.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::opamp::{
        Header, Headers, OpAmpConnectionSettings, TelemetryConnectionSettings, TlsCertificate,
        TlsConnectionSettings,
    };

    fn offer(settings: OpAmpConnectionSettings) -> ConnectionSettingsOffers {
        ConnectionSettingsOffers { hash: vec![1], opamp: Some(settings), ..Default::default() }
    }

    fn with_tls(tls: TlsConnectionSettings) -> ConnectionSettingsOffers {
        offer(OpAmpConnectionSettings { tls: Some(tls), ..Default::default() })
    }

    fn with_certificate(certificate: TlsCertificate) -> ConnectionSettingsOffers {
        offer(OpAmpConnectionSettings { certificate: Some(certificate), ..Default::default() })
    }

    #[test]
    fn offers() {
        let known = Endpoint::parse_all(&["https://c:4320"]).unwrap();
        let endpoint = |url: &str| {
            offer(OpAmpConnectionSettings {
                destination_endpoint: url.to_owned(),
                heartbeat_interval_seconds: 15,
                ..Default::default()
            })
        };
        let headers = Headers { headers: vec![Header::default()] };
        let metrics = Some(TelemetryConnectionSettings::default());
        let cases = [
            ("nothing", ConnectionSettingsOffers::default(), Ok((None, 0, false))),
            ("same address", endpoint("wss://c/v1/opamp"), Ok((None, 15, false))),
            ("other address", endpoint("https://d:4320"), Ok((Some("https://d:4320/v1/opamp"), 15, false))),
            ("unencrypted", endpoint("ws://c"), Err("must begin with https")),
            ("no address", endpoint("ftp://c"), Err("must begin with https")),
            ("with a password", endpoint("https://u:p@c"), Err("scheme, host, port and path only")),
            ("endless", endpoint(&format!("https://{}", "d".repeat(600))), Err("too long")),
            (
                "proxy",
                offer(OpAmpConnectionSettings { proxy: Some(Default::default()), ..Default::default() }),
                Err("neither a proxy"),
            ),
            (
                "no verification",
                with_tls(TlsConnectionSettings { insecure_skip_verify: true, ..Default::default() }),
                Err("never switches"),
            ),
            (
                "system roots",
                with_tls(TlsConnectionSettings { include_system_ca_certs_pool: true, ..Default::default() }),
                Err("only the authority"),
            ),
            (
                "authorities",
                with_tls(TlsConnectionSettings { ca_pem_contents: "x".to_owned(), ..Default::default() }),
                Ok((None, 0, false)),
            ),
            (
                "old TLS",
                with_tls(TlsConnectionSettings { max_version: "1.1".to_owned(), ..Default::default() }),
                Err("itself"),
            ),
            (
                "foreign key",
                with_certificate(TlsCertificate { private_key: vec![1], ..Default::default() }),
                Err("its own key"),
            ),
            (
                "certificate",
                with_certificate(TlsCertificate { cert: vec![1], ..Default::default() }),
                Ok((None, 0, true)),
            ),
            (
                "headers",
                offer(OpAmpConnectionSettings { headers: Some(headers), ..Default::default() }),
                Err("headers"),
            ),
            (
                "metrics",
                ConnectionSettingsOffers { own_metrics: metrics, ..Default::default() },
                Err("`own_metrics`"),
            ),
        ];
        for (name, offer, expected) in cases {
            match (judge(&offer, &known), expected) {
                (Ok(judged), Ok((address, seconds, certificate))) => {
                    let got = judged.address.as_ref().map(ToString::to_string);
                    let got = (got.as_deref(), judged.heartbeat_seconds, judged.certificate);
                    assert_eq!(got, (address, seconds, certificate), "{name}");
                }
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{name}: {reason}"),
                (got, expected) => panic!("{name}: {got:?}, expected {expected:?}"),
            }
        }
    }
}
