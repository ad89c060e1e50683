//! Why a connection to the controller failed, in words that say what to do.

use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError};
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

/// Longest text of a peer that is repeated, in characters; long enough for advice with commands in it.
const MAX_PEER_TEXT: usize = 1_000;

/// Longest wait that a controller may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// Why an attempt failed or a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody there, connection lost, deadline passed.
    #[error("{0}")]
    Unreachable(String),
    /// The controller's certificate is not to be trusted.
    #[error("{0}")]
    Untrusted(String),
    /// The controller does not accept this agent.
    #[error("{0}")]
    Refused(String),
    /// A restored controller has taken this one's place.
    #[error("{0}")]
    Superseded(String),
    /// The controller is overloaded and asks for patience.
    #[error("{text}")]
    Busy {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What it says.
        text: String,
    },
    /// The controller finds a report too large: the same must not be sent again.
    #[error("{0}")]
    TooLarge(String),
    /// The peer does not speak as it should.
    #[error("{0}")]
    Protocol(String),
}

/// Names the failure that an I/O or HTTP error stands for.
#[must_use]
pub fn classify(url: &str, error: &(dyn Error + 'static)) -> Failure {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(reason)) => Failure::Untrusted(untrusted(url, reason)),
        Some(rustls::Error::AlertReceived(alert)) => alerted(url, *alert),
        Some(other) => Failure::Protocol(format!("TLS with the controller at {url} failed: {other}")),
        None if hung_up(error) => Failure::Unreachable(format!(
            "controller at {url} hung up ({}); if this goes on, it may not accept this agent's certificate",
            chain(error)
        )),
        None => Failure::Unreachable(format!("controller at {url} cannot be reached: {}", chain(error))),
    }
}

/// Names the failure that an HTTP status other than success stands for.
#[must_use]
pub fn status(url: &str, code: u16, retry_after: Option<&str>, body: &[u8], now: Timestamp) -> Failure {
    let said = problem_text(body);
    let said = if said.is_empty() { format!("HTTP status {code}") } else { said };
    match code {
        401 | 403 => Failure::Refused(format!("controller at {url} refuses this agent: {said}")),
        410 => Failure::Superseded(format!("controller at {url} is not in charge any more: {said}")),
        429 | 503 => Failure::Busy {
            retry_after: retry_after.and_then(|value| parse_retry_after(value, now)),
            text: format!("controller at {url} is busy: {said}"),
        },
        413 => Failure::TooLarge(format!("controller at {url} finds the agent's report too large: {said}")),
        _ => Failure::Protocol(format!(
            "controller at {url} answers HTTP {code} ({said}): is this the address of a Muster controller?"
        )),
    }
}

/// What a problem body (RFC 9457) or a plain text says, on one line, shortened, without control characters.
#[must_use]
pub fn problem_text(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(json) => ["detail", "title"]
            .iter()
            .find_map(|key| json.get(key).and_then(serde_json::Value::as_str).map(str::to_owned))
            .unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    tidy(&text)
}

/// A peer's text on one line, shortened, without control characters.
#[must_use]
pub fn tidy(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MAX_PEER_TEXT).collect::<String>().trim().to_owned()
}

/// `Retry-After` as seconds or as HTTP date.
fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let asked = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
        }
    };
    Some(asked.min(MAX_RETRY_AFTER))
}

/// A wait that a message asks for, bounded.
#[must_use]
pub fn retry_after_nanoseconds(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds).min(MAX_RETRY_AFTER)
}

fn untrusted(url: &str, reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "controller at {url} shows a certificate of another authority than the one this agent enrolled \
             with; if the controller was set up anew, enrol this agent again"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of the controller at {url} has expired; check the clocks on both sides")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
            "the certificate of the controller at {url} is not valid yet; check the clocks on both sides"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "the certificate of the controller at {url} is for another name; use a name or address that the \
             controller was set up with"
        ),
        CertificateError::Other(reason) => {
            format!("the certificate of the controller at {url} is not accepted: {}", reason.0)
        }
        other => format!("the certificate of the controller at {url} is not accepted: {other}"),
    }
}

fn alerted(url: &str, alert: AlertDescription) -> Failure {
    let refused =
        |why: &str| Failure::Refused(format!("controller at {url} refuses this agent's certificate: {why}"));
    match alert {
        AlertDescription::CertificateExpired => refused("it has expired"),
        AlertDescription::CertificateRevoked => refused("it was revoked"),
        // The second comes when the authority has the same name but another key: a controller set up anew.
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            refused("another authority signed it")
        }
        AlertDescription::CertificateRequired
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => refused("it is unknown or not valid there"),
        other => Failure::Protocol(format!("controller at {url} ended TLS with alert {other:?}")),
    }
}

/// The TLS error inside an error, however deep libraries wrapped it.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An io::Error's `source` skips the error that it wraps.
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = tls_error(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The peer ended the connection without a word. In TLS 1.3 a refused client certificate can look like
/// this: the reset that follows the alert may overtake it.
fn hung_up(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            let kind = io.kind();
            return [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof]
                .contains(&kind);
        }
        next = error.source();
    }
    false
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    tidy(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    const URL: &str = "https://c:4320/v1/opamp";

    fn now() -> Timestamp {
        "2026-11-22T04:00:00Z".parse().unwrap()
    }

    #[test]
    fn tls_errors_are_found_inside_io_errors() {
        let wrap = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let double =
            io::Error::other(wrap(rustls::Error::AlertReceived(AlertDescription::CertificateExpired)));
        assert!(matches!(classify(URL, &double), Failure::Refused(text) if text.contains("it has expired")));
        let foreign = wrap(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(
            matches!(classify(URL, &foreign), Failure::Untrusted(text) if text.contains("another authority"))
        );
        let revoked = wrap(rustls::Error::AlertReceived(AlertDescription::CertificateRevoked));
        assert!(matches!(classify(URL, &revoked), Failure::Refused(text) if text.contains("was revoked")));
        let plain = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let reset = io::Error::from(ErrorKind::ConnectionReset);
        assert!(matches!(classify(URL, &reset), Failure::Unreachable(text) if text.contains("hung up")));
        assert_eq!(
            classify(URL, &plain),
            Failure::Unreachable(format!("controller at {URL} cannot be reached: connection refused"))
        );
    }

    #[test]
    fn statuses() {
        let problem = br#"{"type":"about:blank","title":"unauthorised","detail":"agent was revoked"}"#;
        assert!(
            matches!(status(URL, 401, None, problem, now()), Failure::Refused(text) if text.contains("agent was revoked"))
        );
        assert!(
            matches!(status(URL, 410, None, problem, now()), Failure::Superseded(text) if text.contains("not in charge"))
        );
        let busy = |retry: Option<&str>| match status(URL, 503, retry, b"", now()) {
            Failure::Busy { retry_after, .. } => retry_after,
            other => panic!("503 is busy, not {other:?}"),
        };
        assert!(matches!(status(URL, 413, None, b"", now()), Failure::TooLarge(_)));
        assert_eq!(busy(Some("7")), Some(Duration::from_secs(7)));
        assert_eq!(busy(Some("99999999")), Some(Duration::from_secs(3_600)));
        assert_eq!(busy(Some("soon")), None);
        assert_eq!(busy(None), None);
        assert_eq!(busy(Some("Sun, 22 Nov 2026 04:00:09 GMT")), Some(Duration::from_secs(9)));
        assert_eq!(busy(Some("Sun, 22 Nov 2026 03:00:00 GMT")), Some(Duration::ZERO));
        assert!(matches!(status(URL, 404, None, b"no\nsuch\x07page", now()), Failure::Protocol(text)
            if text.contains("no such page")));
    }

    #[test]
    fn a_peer_cannot_flood_the_log() {
        assert_eq!(problem_text(&[b'x'; 10_000]).len(), 1_000);
    }
}
