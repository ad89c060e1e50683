//! Socket addresses as IBM i hands them to exit programs: `sockaddr_in` of 16 bytes and `sockaddr_in6` of 28. Both
//! have the port at offset 2; whether the first two bytes are a family, or a length and a family, makes no difference.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of a `sockaddr_in`.
const IPV4: usize = 16;
/// Length of a `sockaddr_in6`.
const IPV6: usize = 28;
/// `AF_INET`, in the second byte either way.
const AF_INET: u8 = 2;

/// Address and port of a structure whose length tells what it is.
pub(super) fn by_length(bytes: &[u8]) -> Option<(IpAddr, u16)> {
    match bytes.len() {
        IPV4 => ipv4(bytes),
        IPV6 => {
            let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some((unmapped(Ipv6Addr::from(address)), port(bytes)?))
        }
        _ => None,
    }
}

/// Address and port of a structure in an area of another size. Only IPv4 is known to be written there.
pub(super) fn by_family(bytes: &[u8]) -> Option<(IpAddr, u16)> {
    if *bytes.get(1)? != AF_INET {
        return None;
    }
    ipv4(bytes)
}

/// An address as text; blank is none. IPv4 in the form of IPv6 is told as IPv4.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    match text.trim().parse().ok()? {
        IpAddr::V6(address) => Some(unmapped(address)),
        address @ IpAddr::V4(_) => Some(address),
    }
}

fn ipv4(bytes: &[u8]) -> Option<(IpAddr, u16)> {
    let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    Some((IpAddr::V4(Ipv4Addr::from(address)), port(bytes)?))
}

fn port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))
}

/// A program that listens for both kinds sees IPv4 clients as `::ffff:192.0.2.1`.
fn unmapped(address: Ipv6Addr) -> IpAddr {
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_told_by_length() {
        let mut v4 = [0; 16];
        v4[..8].copy_from_slice(&[0, 2, 0x1F, 0x90, 192, 0, 2, 7]);
        assert_eq!(by_length(&v4), Some(("192.0.2.7".parse().unwrap(), 8080)));
        v4[0] = 16;
        assert_eq!(by_length(&v4), Some(("192.0.2.7".parse().unwrap(), 8080)));
        let mut v6 = [0; 28];
        v6[..4].copy_from_slice(&[28, 24, 0, 22]);
        v6[8..24].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(by_length(&v6), Some(("2001:db8::7".parse().unwrap(), 22)));
        v6[8..24].copy_from_slice(&"::ffff:192.0.2.7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(by_length(&v6), Some(("192.0.2.7".parse().unwrap(), 22)));
        for length in [0, 1, 15, 20, 27, 29] {
            assert_eq!(by_length(&vec![2; length]), None, "{length}");
        }
    }

    #[test]
    fn an_area_of_another_size_is_read_if_its_family_is_known() {
        let mut area = [0; 20];
        area[..8].copy_from_slice(&[16, 2, 0, 23, 192, 0, 2, 8]);
        assert_eq!(by_family(&area), Some(("192.0.2.8".parse().unwrap(), 23)));
        area[1] = 24;
        assert_eq!(by_family(&area), None);
        assert_eq!(by_family(&[16, 2, 0, 23, 192, 0, 2]), None);
        assert_eq!(by_family(&[]), None);
    }

    #[test]
    fn texts_are_addresses_or_not() {
        assert_eq!(parse(" 192.0.2.9 "), Some("192.0.2.9".parse().unwrap()));
        assert_eq!(parse("::ffff:192.0.2.9"), Some("192.0.2.9".parse().unwrap()));
        assert_eq!(parse("2001:db8::9"), Some("2001:db8::9".parse().unwrap()));
        assert_eq!(parse("host.example"), None);
        assert_eq!(parse(""), None);
    }
}
