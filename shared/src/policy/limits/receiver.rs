//! Receivers that events may be sent to.

use super::LimitError;
use crate::policy::validate::check_host;
use ipnet::IpNet;
use std::net::IpAddr;

/// An allowed receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receiver {
    /// `udp`, `tcp` or `tls`; any if absent.
    kind: Option<String>,
    host: Host,
    /// First and last port.
    ports: (u16, u16),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Name(String),
    /// Names that end so, with the dot.
    Below(String),
    Net(IpNet),
}

impl Receiver {
    pub(super) fn parse(text: &str) -> Result<Self, LimitError> {
        let wrong = |reason| LimitError::Destination { pattern: text.to_owned(), reason };
        let (kind, rest) = match text.trim().split_once("://") {
            None => (None, text.trim()),
            Some((kind @ ("udp" | "tcp" | "tls"), rest)) => (Some(kind.to_owned()), rest),
            Some(_) => return Err(wrong("begins with another transport than udp, tcp or tls")),
        };
        let (host, ports) = match (rest.strip_prefix('['), rest.rsplit_once(':')) {
            (Some(inner), _) => {
                let (host, tail) =
                    inner.split_once(']').ok_or_else(|| wrong("opens a bracket and does not close it"))?;
                // `[2001:db8::]/32` or `[2001:db8::/32]`, with or without a port.
                let (length, port) = tail.split_once(':').map_or((tail, None), |(l, p)| (l, Some(p)));
                (format!("{host}{length}"), port)
            }
            (None, Some((host, port))) if !host.contains(':') => (host.to_owned(), Some(port)),
            (None, _) => (rest.to_owned(), None),
        };
        let ports = ports
            .map_or(Some((1, u16::MAX)), ports_of)
            .ok_or_else(|| wrong("has no port, range of ports or * after its colon"))?;
        Ok(Self { kind, host: Host::parse(&host).map_err(wrong)?, ports })
    }

    pub(super) fn covers(&self, kind: &str, address: &str) -> bool {
        let Some((host, port)) = address.rsplit_once(':') else { return false };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().unwrap_or(0_u16);
        self.kind.as_ref().is_none_or(|k| k == kind)
            && (self.ports.0..=self.ports.1).contains(&port)
            && self.host.covers(host)
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return check_host(domain).map(|()| Self::Below(format!(".{}", bare(domain))));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(address)));
        }
        if text.contains('*') {
            return Err("has a star in the wrong place; only *.DOMAIN and * stand for several hosts");
        }
        check_host(&text).map(|()| Self::Name(bare(&text).to_owned()))
    }

    fn covers(&self, host: &str) -> bool {
        let lower = host.to_ascii_lowercase();
        let name = bare(&lower);
        match self {
            Self::Any => true,
            Self::Name(exact) => name == exact,
            Self::Below(tail) => name.len() > tail.len() && name.ends_with(tail.as_str()),
            Self::Net(net) => name.parse::<IpAddr>().is_ok_and(|address| net.contains(&address)),
        }
    }
}

/// A host name without the dot that marks it as complete.
fn bare(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn ports_of(text: &str) -> Option<(u16, u16)> {
    if text == "*" {
        return Some((1, u16::MAX));
    }
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
}
