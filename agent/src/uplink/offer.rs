//! Judges offered connection settings: pure.
//!
//! Taken is the heartbeat interval. Refused is what would weaken the agent or lead it away: verification
//! switched off, a private key made elsewhere, another authority, an address that is not one of those it
//! enrolled with, and a new certificate without a request for one.

use super::endpoint::Endpoint;
use muster_proto::opamp::ConnectionSettingsOffers;

/// Takes the heartbeat interval in seconds (0: unchanged), or says why the offer is refused.
///
/// # Errors
/// The reason, for the controller and its operator.
pub fn judge(offer: &ConnectionSettingsOffers, known: &[Endpoint]) -> Result<u64, String> {
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
        return Ok(0);
    };
    if let Some(tls) = &settings.tls {
        if tls.insecure_skip_verify {
            return Err("the agent never switches certificate verification off".to_owned());
        }
        if tls.include_system_ca_certs_pool || !tls.ca_pem_contents.is_empty() {
            return Err("the agent trusts only the authority that it enrolled with".to_owned());
        }
        if !tls.min_version.is_empty() || !tls.max_version.is_empty() || !tls.cipher_suites.is_empty() {
            return Err("the agent chooses TLS versions and ciphers itself".to_owned());
        }
    }
    if let Some(certificate) = &settings.certificate {
        if !certificate.private_key.is_empty() {
            return Err("the agent makes its own key and takes none from elsewhere".to_owned());
        }
        if !certificate.cert.is_empty() || !certificate.ca_cert.is_empty() {
            return Err("the agent has not asked for a certificate".to_owned());
        }
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
    Ok(settings.heartbeat_interval_seconds)
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
            ("nothing", ConnectionSettingsOffers::default(), Ok(0)),
            ("same address", endpoint("wss://c/v1/opamp"), Ok(15)),
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
                "other authority",
                with_tls(TlsConnectionSettings { ca_pem_contents: "x".to_owned(), ..Default::default() }),
                Err("only the authority"),
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
                "unasked certificate",
                with_certificate(TlsCertificate { cert: vec![1], ..Default::default() }),
                Err("not asked"),
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
                (Ok(seconds), Ok(expected)) => assert_eq!(seconds, expected, "{name}"),
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{name}: {reason}"),
                (got, expected) => panic!("{name}: {got:?}, expected {expected:?}"),
            }
        }
    }
}
