//! TLS handshakes, in two lanes.
//!
//! A fleet that returns at once wants thousands of handshakes, and each costs half a millisecond of a processor.
//! Only some are under way at a time, in the order in which they came; people and programs have a lane of their
//! own, so that nobody who looks at the fleet waits behind all of it. A connection takes a place only when its
//! first message has come, so one that says nothing holds up nobody.

use super::websocket::Stream;
use actix_http::Protocol;
use actix_http::error::DispatchError;
use actix_tls::accept::TlsError;
use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

/// Handshakes of agents under way at a time on a thread.
const AGENTS: usize = 48;
/// The same of people and programs at the interface.
const PEOPLE: usize = 16;
/// The first message must be in by then.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// Who waited this long has given up.
const QUEUE_DEADLINE: Duration = Duration::from_secs(15);
/// The other end must have done its part by then.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(3);

/// What a handshake gives to the HTTP server.
pub type Accepted = (Stream, Protocol, Option<SocketAddr>);
/// Why there is none.
pub type Refused = TlsError<io::Error, DispatchError>;

/// The lanes of one thread.
#[derive(Debug)]
pub struct Lanes {
    agents: Semaphore,
    people: Semaphore,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { agents: Semaphore::new(AGENTS), people: Semaphore::new(PEOPLE) }
    }
}

/// HTTP clients name the protocols that they speak; OpAMP agents on WebSockets do not.
fn is_http_client(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut names| names.any(|name| name == b"h2" || name == b"http/1.1"))
}

/// Shakes hands on a connection that was accepted.
///
/// # Errors
/// If the other end is too slow, or does not speak TLS as it must.
pub async fn shake(tcp: TcpStream, tls: Arc<ServerConfig>, lanes: Rc<Lanes>) -> Result<Accepted, Refused> {
    let peer = tcp.peer_addr().ok();
    // Messages are small and wanted at once. Without it they are only later.
    let _ = tcp.set_nodelay(true);
    let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp);
    let start =
        timeout(HELLO_DEADLINE, hello).await.map_err(|_| TlsError::Timeout)?.map_err(TlsError::Tls)?;
    let lane = if is_http_client(&start.client_hello()) { &lanes.people } else { &lanes.agents };
    // The semaphores are never closed.
    let place = timeout(QUEUE_DEADLINE, lane.acquire()).await.map_err(|_| TlsError::Timeout)?.ok();
    let stream = timeout(HANDSHAKE_DEADLINE, start.into_stream(tls))
        .await
        .map_err(|_| TlsError::Timeout)?
        .map_err(TlsError::Tls)?;
    drop(place);
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        Some(_) | None => Protocol::Http1,
    };
    Ok((stream.into(), protocol, peer))
}
