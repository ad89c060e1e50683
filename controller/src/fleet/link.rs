//! Whether an agent is there.
//!
//! Offline is: socket closed and not back in 5 s, or silence for 3 heartbeat intervals and 10 s. Offline
//! wins over everything else that is known of an agent.

use jiff::{SignedDuration, Timestamp};
use muster_proto::api::Connection;
use std::net::SocketAddr;

/// How long a closed socket is not yet "offline".
pub const RECONNECT_GRACE: SignedDuration = SignedDuration::from_secs(5);

/// How an agent is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Not since the controller started.
    Absent,
    /// By a WebSocket.
    Socket {
        /// The other end.
        address: SocketAddr,
    },
    /// By polling over HTTP.
    Polling {
        /// The other end.
        address: SocketAddr,
    },
    /// The socket was closed.
    Closed {
        /// When.
        at: Timestamp,
    },
}

/// Silence after which an agent is offline.
#[must_use]
pub fn silence_limit(heartbeat_seconds: u64) -> SignedDuration {
    let seconds = heartbeat_seconds.saturating_mul(3).saturating_add(10);
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Whether an agent is there.
#[must_use]
pub fn connection(
    link: Link,
    last_seen: Option<Timestamp>,
    heartbeat_seconds: u64,
    now: Timestamp,
) -> Connection {
    let Some(seen) = last_seen else { return Connection::NeverConnected };
    match link {
        Link::Absent => Connection::Offline,
        Link::Socket { .. } | Link::Polling { .. } => {
            if now.duration_since(seen) > silence_limit(heartbeat_seconds) {
                Connection::Offline
            } else {
                Connection::Connected
            }
        }
        Link::Closed { at } => {
            if now.duration_since(at) > RECONNECT_GRACE {
                Connection::Offline
            } else {
                Connection::Reconnecting
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_by_the_rule() {
        let at = |s: i64| Timestamp::from_second(1_000_000 + s).unwrap();
        let socket = Link::Socket { address: "127.0.0.1:1".parse().unwrap() };
        let polling = Link::Polling { address: "127.0.0.1:1".parse().unwrap() };
        let closed = Link::Closed { at: at(0) };
        let cases = [
            (Link::Absent, None, 0, Connection::NeverConnected),
            (Link::Absent, Some(at(0)), 0, Connection::Offline),
            (socket, Some(at(0)), 100, Connection::Connected),
            (socket, Some(at(0)), 101, Connection::Offline),
            (polling, Some(at(0)), 100, Connection::Connected),
            (polling, Some(at(0)), 101, Connection::Offline),
            (closed, Some(at(0)), 5, Connection::Reconnecting),
            (closed, Some(at(0)), 6, Connection::Offline),
        ];
        for (link, seen, now, expected) in cases {
            assert_eq!(connection(link, seen, 30, at(now)), expected, "{link:?} {now}");
        }
    }
}
