//! UDP: a connected socket, so that a receiver's "port unreachable" is seen.

use super::error::TransportError;
use super::tcp::lookup;
use crate::destination::config::Address;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;

/// Opens a socket towards the receiver. Nothing is sent, so a receiver that is down does not show here.
pub(super) async fn connect(address: &Address) -> Result<UdpSocket, TransportError> {
    let fail = |source| TransportError::Network { address: address.to_string(), source };
    let mut last = None;
    for peer in lookup(address).await? {
        let local: SocketAddr = match peer {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await.map_err(fail)?;
        match socket.connect(peer).await {
            Ok(()) => return Ok(socket),
            Err(error) => last = Some(fail(error)),
        }
    }
    Err(last.unwrap_or_else(|| TransportError::Lookup {
        host: address.host.clone(),
        reason: "it has no address".to_owned(),
    }))
}
