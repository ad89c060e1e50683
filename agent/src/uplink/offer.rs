//! Judges offered connection settings: pure.
//!
//! Taken is the heartbeat interval. Refused is what would weaken the agent or lead it away: verification
//! switched off, a private key made elsewhere, the system's authorities, an address that is not one of those it
//! enrolled with. A certificate is looked at by whoever asked for one, authorities by whoever trusts the present
//! ones.

use super::endpoint::Endpoint;
use muster_proto::opamp::ConnectionSettingsOffers;

/// What an offer that is not refused holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// Heartbeat interval in seconds; 0 for unchanged.
    pub heartbeat_seconds: u64,
    /// There is a certificate in it.
    pub certificate: bool,
    /// Authorities to trust, PEM; whether they may be is for the keys to say.
    pub authorities: Option<String>,
}

/// Takes what may be taken of an offer, or says why it is refused.
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
    if !settings.destination_endpoint.is_empty() {
        let same = Endpoint::parse(&settings.destination_endpoint).is_ok_and(|url| known.contains(&url));
        if !same {
            return Err(
                "the address is none of those that the agent enrolled with; enrol it again".to_owned()
            );
        }
    }
    Ok(Judged {
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
            ("nothing", ConnectionSettingsOffers::default(), Ok((0, false))),
            ("same address", endpoint("wss://c/v1/opamp"), Ok((15, false))),
            ("other address", endpoint("https://d:4320"), Err("none of those")),
            ("no address", endpoint("ftp://c"), Err("none of those")),
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
                Ok((0, false)),
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
                Ok((0, true)),
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
                (Ok(judged), Ok(expected)) => {
                    assert_eq!((judged.heartbeat_seconds, judged.certificate), expected, "{name}");
                }
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{name}: {reason}"),
                (got, expected) => panic!("{name}: {got:?}, expected {expected:?}"),
            }
        }
    }
}
