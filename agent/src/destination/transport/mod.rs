//! Transports: UDP, TCP and TLS. They connect within a deadline and say what to do when they cannot; what
//! is written, and what a break means, is decided above them.

mod error;
mod tcp;
mod tls;
mod udp;

pub use error::{TransportError, explain};

use super::config::{DestinationConfig, Transport};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UdpSocket;

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> ByteStream for T {}

/// How long the kernel may hold bytes that the receiver's host does not acknowledge.
#[derive(Debug)]
pub struct Patience {
    socket: Option<socket2::Socket>,
    calm: Duration,
}

/// The patience with a receiver that does not read. While writes are blocked the replay window stands
/// still, so nothing is at risk; after this time the connection is given up, in case the network between
/// is dead rather than the receiver slow.
const STALLED_PATIENCE: Duration = Duration::from_secs(60);

impl Patience {
    /// Unacknowledged bytes must break the connection *before* the replay window commits them: two
    /// thirds of the window, within what a lossy network needs and an operator accepts.
    fn calm(replay_window: Duration) -> Duration {
        (replay_window * 2 / 3).clamp(Duration::from_millis(500), Duration::from_secs(20))
    }

    fn new(socket: &impl std::os::fd::AsFd, hold: Duration) -> Self {
        let calm = Self::calm(hold);
        // Without a second handle the time-out set at connect stays: safe, only less patient.
        let patience = Self { socket: socket2::SockRef::from(socket).try_clone().ok(), calm };
        patience.set(calm);
        patience
    }

    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { socket: None, calm: Self::calm(Duration::ZERO) }
    }

    /// How long a write may be blocked before [`Patience::stalled`] is called for.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.calm / 4
    }

    /// Writes are blocked: the receiver may be slow.
    pub fn stalled(&self) {
        self.set(STALLED_PATIENCE);
    }

    /// Writing goes on.
    pub fn resumed(&self) {
        self.set(self.calm);
    }

    #[cfg(target_os = "linux")]
    fn set(&self, timeout: Duration) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.set_tcp_user_timeout(Some(timeout))
        {
            tracing::debug!(%error, "cannot set the user timeout of a connection");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn set(&self, _timeout: Duration) {
        let _ = &self.socket;
    }
}

/// A connection to a receiver.
pub enum Connection {
    /// Datagrams.
    Datagrams(UdpSocket),
    /// A stream, plain or in TLS.
    Stream {
        /// The stream.
        stream: Box<dyn ByteStream>,
        /// How long its kernel waits.
        patience: Patience,
        /// Most bytes that both kernels hold; more than the replay window's own limit where that is not known.
        held: u64,
    },
}

/// Connects to the receiver.
///
/// # Errors
/// [`TransportError`], whose text says what was tried, why it failed and what to do.
pub async fn connect(config: &DestinationConfig) -> Result<Connection, TransportError> {
    let hold = config.hold();
    match &config.transport {
        Transport::Udp { address, .. } => udp::connect(address).await.map(Connection::Datagrams),
        Transport::Tcp { address, .. } => {
            let stream = tcp::connect(address).await?;
            let held = tcp::held(&stream, config.receiver_buffer);
            let patience = Patience::new(&stream, hold);
            Ok(Connection::Stream { stream: Box::new(stream), patience, held })
        }
        Transport::Tls { address, tls, .. } => {
            let trust = tls::client_config(tls).await?;
            let stream = tcp::connect(address).await?;
            let held = tcp::held(&stream, config.receiver_buffer);
            let patience = Patience::new(&stream, hold);
            let stream = tls::handshake(address, tls, trust, stream).await?;
            Ok(Connection::Stream { stream: Box::new(stream), patience, held })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unacknowledged_bytes_break_the_connection_before_they_are_committed() {
        for (window, calm) in [(30_000, 20_000), (600_000, 20_000), (6_000, 4_000), (1_000, 666), (0, 500)] {
            assert_eq!(Patience::calm(Duration::from_millis(window)).as_millis(), calm, "{window}");
        }
    }
}
