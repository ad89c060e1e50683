//! Why a receiver cannot be reached, in words that say what to do.

use rustls::{AlertDescription, CertificateError, Error as TlsError};
use rustls_pki_types::UnixTime;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A receiver cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The name has no address.
    #[error(
        "cannot find the address of {host}: {reason}; check the host name in the destination's address, and the name service of the agent's host"
    )]
    Lookup {
        /// Host name.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// Nobody listens.
    #[error(
        "{address} refused the connection; check that the receiver runs and listens on that port, and that no firewall rejects it"
    )]
    Refused {
        /// Host and port.
        address: String,
    },
    /// No answer.
    #[error("{address} did not answer within {} s; check the route and the firewalls between agent and receiver", after.as_secs())]
    NoAnswer {
        /// Host and port.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// Any other failure of the network.
    #[error("cannot connect to {address}")]
    Network {
        /// Host and port.
        address: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake did not end.
    #[error("{address} accepted the connection but did not finish the TLS handshake within {} s; check that this port speaks TLS", after.as_secs())]
    HandshakeTimeout {
        /// Host and port.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// The TLS handshake failed.
    #[error("TLS with {address} failed: {reason}")]
    Tls {
        /// Host and port.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The client certificate cannot be used.
    #[error("cannot use the client certificate file {}: {reason}", path.display())]
    ClientCertificate {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The system trusts nobody.
    #[error(
        "the system's list of trusted certification authorities is empty; set ca_pem in the destination, or install the package ca-certificates"
    )]
    NoRoots,
    /// The TLS library refused the settings.
    #[error("cannot set up TLS: {0}")]
    Setup(#[source] TlsError),
}

impl TransportError {
    /// The text with all its causes, for health and logs.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Words for a failure of a connection that was working, or of a handshake.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return explain_tls(tls);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the receiver closed the connection without ending TLS; it may have been restarted, or it does not \
             speak TLS on this port"
                .to_owned()
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the receiver reset the connection; it may have been restarted".to_owned()
        }
        io::ErrorKind::TimedOut => {
            "the receiver's host no longer acknowledges what is sent; check the network and the receiver".to_owned()
        }
        _ => error.to_string(),
    }
}

fn explain_tls(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(reason) => explain_certificate(reason),
        TlsError::AlertReceived(alert) => explain_alert(*alert),
        TlsError::InvalidMessage(_) => {
            "the answer is no TLS; check that this port speaks TLS, or use the tcp transport".to_owned()
        }
        TlsError::PeerIncompatible(reason) => format!(
            "receiver and agent have no TLS version or cipher in common ({reason:?}); the receiver must offer TLS 1.2 \
             or later"
        ),
        other => other.to_string(),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => {
            "the receiver's certificate has expired; renew it there (and check the clock of the agent's host)"
                .to_owned()
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the receiver's certificate expired at {}; renew it there (the agent's clock says {})",
            utc(*not_after),
            utc(*time)
        ),
        CertificateError::NotValidYet => {
            "the receiver's certificate is not valid yet; check the clock of the agent's host".to_owned()
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the receiver's certificate is valid from {} on, and the agent's clock says {}; check the clocks",
            utc(*not_before),
            utc(*time)
        ),
        CertificateError::UnknownIssuer => {
            "the receiver's certificate is signed by a certification authority that is not trusted; put the \
             authority that signed it into ca_pem of the destination"
                .to_owned()
        }
        CertificateError::NotValidForName => {
            "the receiver's certificate is for another name; set server_name to a name that it carries"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the receiver's certificate is not for {} but for {}; set server_name to a name that it carries, or issue \
             one for this name",
            expected.to_str(),
            if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") }
        ),
        CertificateError::Revoked => {
            "the receiver's certificate is revoked; issue a new one there".to_owned()
        }
        other => format!("the receiver's certificate is not acceptable: {other}"),
    }
}

fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the receiver asks for a client certificate; set client_certificate in the destination".to_owned()
        }
        AlertDescription::CertificateExpired => {
            "the receiver says that the agent's client certificate has expired; renew it in the secrets folder".to_owned()
        }
        AlertDescription::CertificateRevoked => {
            "the receiver says that the agent's client certificate is revoked; put a new one into the secrets folder"
                .to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::DecryptError => format!(
            "the receiver refused the agent's client certificate ({alert:?}); present one (client_certificate) that \
             is signed by an authority which the receiver trusts, and check the names that it permits"
        ),
        AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => format!(
            "the receiver refused the handshake ({alert:?}); it may want a client certificate, or another version of TLS"
        ),
        other => format!("the receiver ended TLS with the alert {other:?}"),
    }
}

fn utc(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| format!("second {seconds}"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::ServerName;

    #[test]
    fn causes_are_named_with_what_to_do() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let tls = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let certificate = |error| tls(TlsError::InvalidCertificate(error));
        let cases = [
            (
                certificate(CertificateError::ExpiredContext { time: at(86_400), not_after: at(3_600) }),
                "expired at 1970-01-01T01:00:00Z; renew it there (the agent's clock says 1970-01-02T00:00:00Z)",
            ),
            (
                certificate(CertificateError::NotValidForNameContext {
                    expected: ServerName::try_from("siem.example").unwrap(),
                    presented: vec!["a.example".to_owned(), "b.example".to_owned()],
                }),
                "not for siem.example but for a.example, b.example; set server_name",
            ),
            (certificate(CertificateError::UnknownIssuer), "put the authority that signed it into ca_pem"),
            (tls(TlsError::AlertReceived(AlertDescription::CertificateRequired)), "set client_certificate"),
            (
                tls(TlsError::AlertReceived(AlertDescription::UnknownCA)),
                "refused the agent's client certificate (UnknownCA)",
            ),
            (io::Error::from(io::ErrorKind::TimedOut), "no longer acknowledges"),
        ];
        for (error, part) in cases {
            let text = explain(&error);
            assert!(text.contains(part), "{text}");
        }
    }
}
