//! The way to a controller through an HTTP proxy (CONNECT): the proxy sees the controller's name and port, and
//! nothing of what is said, for TLS goes end to end.

use crate::uplink::endpoint::Endpoint;
use crate::uplink::failure::{Failure, classify, tidy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::error::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// Most bytes of a proxy's answer that are read.
const MAX_ANSWER: usize = 8 * 1024;

/// A proxy, and what it wants to know of who uses it.
#[derive(Clone)]
pub struct Proxy {
    url: reqwest::Url,
    sign_on: Option<(String, Zeroizing<String>)>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Reads `http://host[:port]` (port 8080 unless given), with user and password if it wants them.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn parse(text: &str, sign_on: Option<(String, Zeroizing<String>)>) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is no proxy: {why}; write http://HOST:PORT");
        let rest = text.trim().strip_prefix("http://").ok_or_else(|| wrong("it must begin with http://"))?;
        let mut url = reqwest::Url::parse(text.trim()).map_err(|error| wrong(&error.to_string()))?;
        let after_v6 = rest.rsplit(']').next().unwrap_or_default();
        // The URL type drops the scheme's own port, so it has to be looked for before.
        if !after_v6.trim_end_matches('/').contains(':') && url.set_port(Some(8080)).is_err() {
            return Err(wrong("it has no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "the proxy's URL holds a user or password; set proxy_user and proxy_password_file".into()
            );
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has more than a host and a port"));
        }
        Ok(Self { url, sign_on })
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// `host:port`, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or(8080);
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    /// The same for the HTTP client.
    ///
    /// # Errors
    /// When the client does not take it.
    pub fn for_client(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        let proxy = reqwest::Proxy::all(self.url.clone())?;
        Ok(match &self.sign_on {
            Some((user, password)) => proxy.basic_auth(user, password),
            None => proxy,
        })
    }

    /// A tunnel to the controller.
    ///
    /// # Errors
    /// Whether the proxy refused, or did not reach the controller, and what to do.
    pub(super) async fn tunnel(&self, endpoint: &Endpoint) -> Result<TcpStream, Failure> {
        let port = self.url.port_or_known_default().unwrap_or(8080);
        let mut tcp = TcpStream::connect((self.host(), port)).await.map_err(|e| self.unreachable(&e))?;
        let host = if endpoint.host().contains(':') {
            format!("[{}]", endpoint.host())
        } else {
            endpoint.host().to_owned()
        };
        let target = format!("{host}:{}", endpoint.port());
        let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
        if let Some((user, password)) = &self.sign_on {
            let pair = Zeroizing::new(format!("{user}:{}", password.as_str()));
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(&Zeroizing::new(STANDARD.encode(pair.as_bytes())));
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        tcp.write_all(request.as_bytes()).await.map_err(|e| self.unreachable(&e))?;
        let head = self.head(&mut tcp).await?;
        match status_code(&head) {
            Some(200..=299) => Ok(tcp),
            Some(code) => Err(self.refused(endpoint, code)),
            None => Err(Failure::Protocol(format!("proxy {} does not answer as an HTTP proxy", self.name()))),
        }
    }

    /// The head of the answer, byte by byte: what follows it belongs to TLS.
    async fn head(&self, tcp: &mut TcpStream) -> Result<Vec<u8>, Failure> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = tcp.read_u8().await.map_err(|e| self.unreachable(&e))?;
            head.push(byte);
            if head.len() > MAX_ANSWER {
                return Err(Failure::Protocol(format!("proxy {} answers without end", self.name())));
            }
        }
        Ok(head)
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        Failure::Unreachable(format!(
            "proxy {} cannot be reached: {}; see [controller] proxy in the agent's configuration",
            self.name(),
            tidy(&error.to_string())
        ))
    }

    fn refused(&self, endpoint: &Endpoint, code: u16) -> Failure {
        let (proxy, target) = (self.name(), format!("{}:{}", endpoint.host(), endpoint.port()));
        Failure::Unreachable(match code {
            407 => format!(
                "proxy {proxy} wants another user or password (HTTP 407); see proxy_user and proxy_password_file \
                 in [controller]"
            ),
            502..=504 => format!("proxy {proxy} does not reach the controller at {target} (HTTP {code})"),
            _ => format!(
                "proxy {proxy} refuses connections to the controller at {target} (HTTP {code}); have it allowed \
                 there"
            ),
        })
    }

    /// Tells a failure of the proxy from one of the controller, where the HTTP client talked to both.
    pub(super) fn classify(&self, endpoint: &Endpoint, error: &reqwest::Error) -> Failure {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(this) = cause {
            let text = this.to_string();
            // The client tells its reasons in words only.
            if text.contains("proxy authorization required") {
                return self.refused(endpoint, 407);
            }
            if let Some(why) = text.strip_prefix("tunnel error: ") {
                return Failure::Unreachable(format!(
                    "proxy {} makes no connection to the controller at {}:{} ({}); have it allowed there, and \
                     see [controller] proxy in the agent's configuration",
                    self.name(),
                    endpoint.host(),
                    endpoint.port(),
                    tidy(why)
                ));
            }
            cause = this.source();
        }
        classify(&endpoint.to_string(), error)
    }
}

/// The code in `HTTP/1.1 200 …`.
fn status_code(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let mut words = line.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        for (text, name) in [
            ("http://proxy", "proxy:8080"),
            ("http://proxy:3128/", "proxy:3128"),
            ("http://proxy:80", "proxy:80"),
            ("http://[::1]:3128", "[::1]:3128"),
            ("http://[::1]", "[::1]:8080"),
        ] {
            assert_eq!(Proxy::parse(text, None).unwrap().name(), name, "{text}");
        }
        for (text, part) in [
            ("proxy:3128", "must begin with http://"),
            ("https://proxy", "must begin with http://"),
            ("http://u:p@proxy", "proxy_password_file"),
            ("http://proxy/x", "more than a host"),
        ] {
            let error = Proxy::parse(text, None).unwrap_err();
            assert!(error.contains(part) && !error.contains("p@"), "{error}");
        }
    }

    #[test]
    fn answers() {
        for (head, code) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407 x\r\nA: b\r\n\r\n", Some(407)),
            ("SSH-2.0\r\n\r\n", None),
            ("HTTP/1.1\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(status_code(head.as_bytes()), code, "{head}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let sign_on = Some(("u".to_owned(), Zeroizing::new("hunter2".to_owned())));
        let shown = format!("{:?}", Proxy::parse("http://p", sign_on).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
