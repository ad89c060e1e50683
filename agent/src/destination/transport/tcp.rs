//! TCP: several addresses, a deadline for each, and the options that make a dead peer show.

use super::error::TransportError;
use crate::destination::config::Address;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for the name service.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// Longest wait for one address. Three lost SYN packets (1 + 2 + 4 s) end within it.
const CONNECT_LIMIT: Duration = Duration::from_secs(8);

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// An idle connection is probed after this time, below the minutes after which firewalls forget it.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// Bytes that the kernel takes beyond what it may send now. Small, so that a receiver that stops reading
/// soon shows as a blocked write; large enough for one write to overlap the next.
#[cfg(target_os = "linux")]
const UNSENT_LIMIT: u32 = 256 * 1024;

/// What is on its way beside the two kernels' buffers: TLS keeps up to 64 KiB that it may not write yet, and a
/// kernel takes a last write whole.
const BETWEEN: u64 = 128 * 1024;

/// Most bytes that both kernels hold of what was written, when the receiver's keeps `receiver_buffer` unread at
/// most. This side's buffer, which would grow to megabytes, is set to the same: more cannot be on its way to good
/// use. `u64::MAX` if either is not known.
pub(super) fn held(stream: &TcpStream, receiver_buffer: Option<u64>) -> u64 {
    let Some(theirs) = receiver_buffer else { return u64::MAX };
    let socket = SockRef::from(stream);
    let ours = usize::try_from(theirs)
        .map_err(io::Error::other)
        .and_then(|size| socket.set_send_buffer_size(size))
        .and_then(|()| socket.send_buffer_size());
    match ours {
        // A size set by hand is not changed by the kernel any more.
        Ok(ours) => theirs + ours as u64 + BETWEEN,
        Err(error) => {
            tracing::debug!(%error, "cannot set the send buffer of a connection");
            u64::MAX
        }
    }
}

/// Addresses of a receiver.
pub(super) async fn lookup(address: &Address) -> Result<Vec<SocketAddr>, TransportError> {
    let fail = |reason: String| TransportError::Lookup { host: address.host.clone(), reason };
    let found = timeout(LOOKUP_LIMIT, tokio::net::lookup_host((address.host.as_str(), address.port)))
        .await
        .map_err(|_| fail(format!("no answer within {} s", LOOKUP_LIMIT.as_secs())))?
        .map_err(|error| fail(error.to_string()))?;
    let found: Vec<_> = found.take(MAX_ADDRESSES).collect();
    if found.is_empty() {
        return Err(fail("it has no address".to_owned()));
    }
    Ok(found)
}

/// Connects to the first address that answers.
pub(super) async fn connect(address: &Address) -> Result<TcpStream, TransportError> {
    let mut last = None;
    for peer in lookup(address).await? {
        match timeout(CONNECT_LIMIT, TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => {
                set_options(&stream)
                    .map_err(|source| TransportError::Network { address: address.to_string(), source })?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(network_error(address, peer, error)),
            Err(_) => {
                last = Some(TransportError::NoAnswer { address: shown(address, peer), after: CONNECT_LIMIT });
            }
        }
    }
    // `lookup` never returns an empty list.
    Err(last.unwrap_or_else(|| TransportError::Lookup {
        host: address.host.clone(),
        reason: "it has no address".to_owned(),
    }))
}

/// The name as configured, with the address that it led to where that is not the same.
fn shown(address: &Address, peer: SocketAddr) -> String {
    let name = address.to_string();
    if name == peer.to_string() { name } else { format!("{name} ({})", peer.ip()) }
}

fn network_error(address: &Address, peer: SocketAddr, source: io::Error) -> TransportError {
    let address = shown(address, peer);
    match source.kind() {
        io::ErrorKind::ConnectionRefused => TransportError::Refused { address },
        io::ErrorKind::TimedOut => TransportError::NoAnswer { address, after: CONNECT_LIMIT },
        _ => TransportError::Network { address, source },
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Deliveries are written whole; waiting for more to fill a segment only delays the last events.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_LIMIT)?;
    Ok(())
}
