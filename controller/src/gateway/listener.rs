//! TLS handshakes, and who is at the other end of a connection that was accepted.
//!
//! A fleet that returns at once wants thousands of handshakes, and each costs half a millisecond of a processor.
//! Only some are under way at a time, in the order in which they came. A connection takes a place only when its
//! first message has come, so one that says nothing holds up nobody.

use super::websocket::Stream;
use actix_http::Protocol;
use actix_http::error::DispatchError;
use actix_tls::accept::TlsError;
use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Handshakes of agents under way at a time on a thread.
pub const AGENTS: usize = 48;
/// The same of people and programs at the interface.
pub const PEOPLE: usize = 16;
/// The first message must be in by then.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// A first message that came in part is looked at again after this, then after twice as long each time: the socket
/// tells only that there is something.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Longest pause between two looks: thousands who send half a message shall not keep the thread busy.
const LONGEST_PAUSE: Duration = Duration::from_millis(640);
/// Longest first message: a TLS record and its header.
const HELLO: usize = 5 + 16 * 1024;
/// Who waited this long has given up.
pub const QUEUE_DEADLINE: Duration = Duration::from_secs(15);
/// The other end must have done its part by then.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(3);

thread_local! {
    static SHARED: RefCell<Box<[u8; HELLO]>> = RefCell::new(Box::new([0; HELLO]));
}

/// What a handshake gives to the HTTP server.
pub type Accepted = (Stream, Protocol, Option<SocketAddr>);
/// Why there is none.
pub type Refused = TlsError<io::Error, DispatchError>;

/// HTTP clients name the protocols that they speak; OpAMP agents do not.
fn names_http(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut names| names.any(|name| name == b"h2" || name == b"http/1.1"))
}

/// What the beginning of a connection says: whether it is an HTTP client; `None` if more has to come. What is no
/// TLS is none: the handshake finds that out and says so.
fn read_hello(begin: &[u8]) -> Option<bool> {
    let mut acceptor = Acceptor::default();
    let mut rest = begin;
    while !rest.is_empty() {
        if acceptor.read_tls(&mut rest).is_err() {
            return Some(false);
        }
    }
    match acceptor.accept() {
        Ok(Some(accepted)) => Some(names_http(&accepted.client_hello())),
        Ok(None) if begin.len() < HELLO => None,
        Ok(None) | Err(_) => Some(false),
    }
}

/// Looks at what came so far of the first message of a connection that does not block; it stays unread. Whether it is
/// an HTTP client's; `None` if more has to come.
///
/// # Errors
/// If the connection broke.
pub fn look(tcp: &std::net::TcpStream) -> io::Result<Option<bool>> {
    SHARED.with_borrow_mut(|shared| match tcp.peek(&mut shared[..]) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(length) => Ok(read_hello(&shared[..length])),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    })
}

/// Waits for the first message of a connection, which stays unread.
///
/// # Errors
/// If it does not come, or the connection breaks.
pub async fn is_http_client(tcp: &TcpStream) -> Result<bool, Refused> {
    let look = async {
        let mut pause = LOOK_AGAIN;
        loop {
            let seen = poll_fn(|context| {
                SHARED.with_borrow_mut(|shared| {
                    let mut begin = ReadBuf::new(&mut shared[..]);
                    ready!(tcp.poll_peek(context, &mut begin))?;
                    // The end of the connection is for the handshake to tell.
                    let gone = begin.filled().is_empty();
                    io::Result::Ok(if gone { Some(false) } else { read_hello(begin.filled()) }).into()
                })
            });
            if let Some(http) = seen.await? {
                return io::Result::Ok(http);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    timeout(HELLO_DEADLINE, look).await.map_err(|_| TlsError::Timeout)?.map_err(TlsError::Tls)
}

/// Shakes hands on a connection whose first message is there.
///
/// # Errors
/// If the other end is too slow, or does not speak TLS as it must.
pub async fn shake(tcp: TcpStream, tls: Arc<ServerConfig>, places: &Semaphore) -> Result<Accepted, Refused> {
    let peer = tcp.peer_addr().ok();
    // Messages are small and wanted at once. Without it they are only later.
    let _ = tcp.set_nodelay(true);
    // The semaphore is never closed.
    let place = timeout(QUEUE_DEADLINE, places.acquire()).await.map_err(|_| TlsError::Timeout)?.ok();
    let stream = timeout(HANDSHAKE_DEADLINE, TlsAcceptor::from(tls).accept(tcp))
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    fn hello(protocols: &[&[u8]]) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let mut client =
            ClientConnection::new(Arc::new(config), "muster.example".try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_first_message_tells_who_comes() {
        let cases: [(&[&[u8]], bool); 4] =
            [(&[], false), (&[b"http/1.1"], true), (&[b"h2", b"http/1.1"], true), (&[b"mqtt"], false)];
        for (protocols, http) in cases {
            let whole = hello(protocols);
            assert_eq!(read_hello(&whole), Some(http), "{protocols:?}");
            for length in 1..whole.len() {
                assert_eq!(read_hello(&whole[..length]), None, "{length} of {}", whole.len());
            }
        }
    }

    #[test]
    fn what_is_no_tls_is_left_to_the_handshake() {
        assert_eq!(read_hello(b"GET / HTTP/1.1\r\nHost: controller\r\n\r\n"), Some(false));
        // A record that never ends.
        let mut endless = vec![0; HELLO];
        endless[..5].copy_from_slice(&[22, 3, 1, 0x40, 0]);
        assert_eq!(read_hello(&endless), Some(false));
    }
}
