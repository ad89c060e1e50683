//! `host:port` as text. Whether somebody listens there is not a question of the policy.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Checks `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
///
/// # Errors
/// What is wrong, as the end of a sentence that began with the text.
pub fn check_address(address: &str) -> Result<(), &'static str> {
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err("has no port; write host:port, for example siem.example.com:6514");
    };
    if !port.bytes().all(|b| b.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|p| p > 0) {
        return Err("has no port from 1 to 65535 after its last colon");
    }
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("opens a bracket and does not close it")?;
        return inner.parse::<Ipv6Addr>().map(|_| ()).map_err(|_| "has no IPv6 address in its brackets");
    }
    if host.contains(':') {
        return Err("has several colons; write an IPv6 address in brackets, [2001:db8::1]:6514");
    }
    check_host(host)
}

/// Checks a host name or an address without port.
///
/// # Errors
/// What is wrong, as the end of a sentence that began with the text.
pub fn check_host(host: &str) -> Result<(), &'static str> {
    if host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    if host.is_empty() {
        return Err("has no host");
    }
    if host.len() > 253 {
        return Err("is longer than the 253 characters of a host name");
    }
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("looks like an IPv4 address and is none");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.strip_suffix('.').unwrap_or(host).split('.').all(label) {
        Ok(())
    } else {
        Err("is no host name; its parts hold letters, digits and `-`, separated by single dots")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in [
            "siem:514",
            "siem.example.com:6514",
            "10.0.0.1:1",
            "[2001:db8::1]:65535",
            "a_b-c.d.:9",
            "localhost:0514",
        ] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for (bad, reason) in [
            ("siem", "has no port; write host:port, for example siem.example.com:6514"),
            ("siem:", "has no port from 1 to 65535 after its last colon"),
            ("siem:0", "has no port from 1 to 65535 after its last colon"),
            ("siem:65536", "has no port from 1 to 65535 after its last colon"),
            ("siem:+5", "has no port from 1 to 65535 after its last colon"),
            (":514", "has no host"),
            ("2001:db8::1:514", "has several colons; write an IPv6 address in brackets, [2001:db8::1]:6514"),
            ("[2001:db8::1:514", "opens a bracket and does not close it"),
            ("[10.0.0.1]:514", "has no IPv6 address in its brackets"),
            ("10.0.0.256:514", "looks like an IPv4 address and is none"),
            ("a..b:514", "is no host name; its parts hold letters, digits and `-`, separated by single dots"),
            ("https://siem:514", "has several colons; write an IPv6 address in brackets, [2001:db8::1]:6514"),
            ("a b:514", "is no host name; its parts hold letters, digits and `-`, separated by single dots"),
        ] {
            assert_eq!(check_address(bad), Err(reason), "{bad}");
        }
    }
}
