//! Addresses of controllers, checked once.

use std::fmt;

/// Most controller URLs that an agent holds.
pub const MAX_ENDPOINTS: usize = 16;

/// A controller's OpAMP address: `https` with host, port and path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(reqwest::Url);

/// Why a text is no controller address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No URL.
    #[error("controller URL `{url}` is no URL: {reason}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Another scheme: there is no unencrypted connection to a controller.
    #[error("controller URL `{0}` must begin with https:// or wss://")]
    Scheme(String),
    /// User, query or fragment.
    #[error("controller URL `{0}` must consist of scheme, host, port and path only")]
    Parts(String),
    /// No URL at all, or too many.
    #[error("there must be 1 to {MAX_ENDPOINTS} controller URLs, not {0}")]
    Count(usize),
}

impl Endpoint {
    /// Reads `https://host[:port][/path]` (or `wss`); the port is 4320 and the path `/v1/opamp` unless given.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("wss://"))
            .ok_or_else(|| EndpointError::Scheme(text.to_owned()))?;
        // `reqwest::Url` drops a port that is the scheme's default, so 443 has to be seen before.
        let default_port = {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let after_v6 = authority.rsplit(']').next().unwrap_or_default();
            !after_v6.contains(':')
        };
        let bad = |reason: String| EndpointError::Url { url: text.to_owned(), reason };
        let mut url =
            reqwest::Url::parse(&format!("https://{rest}")).map_err(|error| bad(error.to_string()))?;
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(EndpointError::Parts(text.to_owned()));
        }
        if default_port && url.set_port(Some(muster_proto::opamp::DEFAULT_PORT)).is_err() {
            return Err(bad("it has no host".to_owned()));
        }
        if url.path() == "/" {
            url.set_path(muster_proto::opamp::PATH);
        }
        Ok(Self(url))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When one of them is no controller address, or their number is out of bounds.
    pub fn parse_all<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Self>, EndpointError> {
        if texts.is_empty() || texts.len() > MAX_ENDPOINTS {
            return Err(EndpointError::Count(texts.len()));
        }
        texts.iter().map(|text| Self::parse(text.as_ref())).collect()
    }

    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// Port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(muster_proto::opamp::DEFAULT_PORT)
    }

    /// The URL for plain HTTP.
    #[must_use]
    pub fn http_url(&self) -> &reqwest::Url {
        &self.0
    }

    /// The URL for a WebSocket.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        format!("wss{}", &self.0.as_str()["https".len()..])
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls() {
        let cases = [
            ("https://c.example", "https://c.example:4320/v1/opamp"),
            ("wss://c.example:443/", "https://c.example/v1/opamp"),
            (" https://10.0.0.1:9/x ", "https://10.0.0.1:9/x"),
            ("https://[::1]", "https://[::1]:4320/v1/opamp"),
            ("https://[::1]:5000", "https://[::1]:5000/v1/opamp"),
        ];
        for (text, expected) in cases {
            assert_eq!(Endpoint::parse(text).map(|url| url.to_string()), Ok(expected.to_owned()), "{text}");
        }
        let url = Endpoint::parse("https://[::1]:5000").unwrap();
        assert_eq!((url.host(), url.port()), ("::1", 5000));
        assert_eq!(url.websocket_url(), "wss://[::1]:5000/v1/opamp");
        assert_eq!(Endpoint::parse("wss://c:443").map(|url| url.port()), Ok(443));
    }

    #[test]
    fn bad_urls() {
        for text in ["http://c", "ws://c", "c:4320", ""] {
            assert_eq!(Endpoint::parse(text), Err(EndpointError::Scheme(text.to_owned())), "{text}");
        }
        for text in ["https://u:p@c", "https://c/?a=b", "https://c/#d"] {
            assert_eq!(Endpoint::parse(text), Err(EndpointError::Parts(text.to_owned())), "{text}");
        }
        for text in ["https://", "https://c:99999", "https://a b"] {
            assert!(matches!(Endpoint::parse(text), Err(EndpointError::Url { .. })), "{text}");
        }
        assert_eq!(Endpoint::parse_all::<&str>(&[]), Err(EndpointError::Count(0)));
        assert_eq!(Endpoint::parse_all(&["https://c"; 17]), Err(EndpointError::Count(17)));
    }
}
