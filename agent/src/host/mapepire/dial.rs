//! From an address to an open WebSocket: name, TCP, TLS, upgrade. Every stage that fails says which it was.

use super::MapepireConfig;
use super::trust::{Tls, fault};
use crate::host::HostError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use muster_proto::mapepire::PATH;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, http::Request};
use zeroize::Zeroizing;

/// An open WebSocket to a server.
pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Largest reply that is read. Batches are sized for 8 MiB, so twice that is never reached in order.
pub(super) const MAX_REPLY: usize = 16 * 1024 * 1024;

/// Longest wait for each stage: name, TCP, TLS, upgrade.
pub(super) const STAGE: Duration = Duration::from_secs(10);

/// A silent peer is found out after 30 s and 3 probes: soon enough, and it costs nothing.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// What the peer did not acknowledge for so long is never delivered: less than the shortest wait for a statement that
/// changes something, so that no statement runs that was given up.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(25);

/// Opens the WebSocket with the profile's credentials. The server looks at them only at `connect`.
pub(super) async fn dial(config: &MapepireConfig, tls: &Tls) -> Result<Socket, HostError> {
    let stream = tcp(config).await?;
    let stream = secure(config, tls, stream).await?;
    upgrade(config, stream).await
}

async fn tcp(config: &MapepireConfig) -> Result<TcpStream, HostError> {
    let address = &config.address;
    let unknown = |reason: String| HostError::UnknownHost { address: address.clone(), reason };
    let found: Vec<_> = match timeout(STAGE, lookup_host((config.host(), config.port()?))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(unknown(error.to_string())),
        Err(_) => return Err(unknown("no answer from the resolver".to_owned())),
    };
    let mut refused = None;
    for peer in found {
        let reason = match timeout(STAGE, TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => {
                keep_alive(&stream);
                return Ok(stream);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", STAGE.as_secs()),
        };
        refused = Some(format!("{peer}: {reason}"));
    }
    match refused {
        Some(reason) => Err(HostError::Refused { address: address.clone(), reason }),
        None => Err(unknown("it has no address".to_owned())),
    }
}

/// Small requests go out at once, and a peer that vanished is noticed even while nothing is asked.
///
/// A statement that the agent gave up must not arrive later, when nobody compares its answer any more: closing, also by
/// the end of the process, discards what was not sent, and what is not acknowledged is not sent again for ever. A
/// system that refuses these settings still works, so errors are ignored.
fn keep_alive(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY).with_retries(3);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_linger(Some(Duration::ZERO));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
}

async fn secure(
    config: &MapepireConfig,
    tls: &Tls,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, HostError> {
    let address = &config.address;
    let name = ServerName::try_from(config.host().to_owned())
        .map_err(|_| HostError::Config(format!("`{}` is no host name", config.host())))?;
    let connecting = TlsConnector::from(std::sync::Arc::clone(&tls.config)).connect(name, stream);
    let error = match timeout(STAGE, connecting).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => error,
        Err(_) => {
            let reason = format!("no answer within {} s", STAGE.as_secs());
            return Err(HostError::Tls { address: address.clone(), reason });
        }
    };
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Err(match (cause, tls.shown()) {
        (Some(rustls::Error::InvalidCertificate(error)), Some(fingerprint)) => {
            HostError::Certificate { address: address.clone(), fault: fault(error), fingerprint }
        }
        _ => HostError::Tls { address: address.clone(), reason: error.to_string() },
    })
}

async fn upgrade(config: &MapepireConfig, stream: TlsStream<TcpStream>) -> Result<Socket, HostError> {
    let limits = WebSocketConfig::default()
        .read_buffer_size(64 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(MAX_REPLY))
        .max_frame_size(Some(MAX_REPLY));
    let upgrading = tokio_tungstenite::client_async_with_config(request(config)?, stream, Some(limits));
    let address = config.address.clone();
    match timeout(STAGE, upgrading).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(WsError::Http(response))) => {
            let status = response.status().as_u16();
            let hint = match status {
                401 | 403 => {
                    "the server does not accept the form of the credentials: servers up to 2.3.5 take no `:` \
                     in a password, none takes `*` in a user name"
                }
                404 => "the port is that of another web server; Mapepire listens on 8076 by default",
                _ => "check that this is the port of a Mapepire server",
            };
            Err(HostError::Upgrade { address, status, hint })
        }
        Ok(Err(error)) => Err(HostError::NotMapepire {
            address,
            reason: format!("no WebSocket: {error}"),
            excerpt: String::new(),
        }),
        Err(_) => Err(HostError::Timeout {
            address,
            what: "WebSocket upgrade".to_owned(),
            seconds: STAGE.as_secs(),
        }),
    }
}

fn request(config: &MapepireConfig) -> Result<Request<()>, HostError> {
    let mut request = format!("wss://{}{PATH}", config.address)
        .into_client_request()
        .map_err(|error| HostError::Config(format!("`{}` is no address: {error}", config.address)))?;
    request.headers_mut().insert(AUTHORIZATION, basic(config)?);
    Ok(request)
}

/// User and password as a header.
pub(super) fn basic(config: &MapepireConfig) -> Result<HeaderValue, HostError> {
    let plain = Zeroizing::new(format!("{}:{}", config.user, config.password.expose()));
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(plain.as_bytes()));
    let basic = Zeroizing::new(format!("Basic {}", *encoded));
    let mut value = HeaderValue::from_str(&basic)
        .map_err(|_| HostError::Config("user or password cannot be sent in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_was_given_up_is_not_delivered_later() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        keep_alive(&stream);
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
        // More than the buffers of both sides hold: the rest waits in this one when it is closed.
        let chunk = vec![7; 64 * 1024];
        let mut written = 0;
        while let Ok(Ok(())) = timeout(Duration::from_millis(200), stream.writable()).await {
            match stream.try_write(&chunk) {
                Ok(count) => written += count,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
        drop(stream);
        let mut read = 0;
        let mut buffer = vec![0; 64 * 1024];
        let end = loop {
            match peer.read(&mut buffer).await {
                Ok(0) => break None,
                Ok(count) => read += count,
                Err(error) => break Some(error.kind()),
            }
        };
        assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset));
        assert!(read < written, "{read} of {written} arrived");
    }
}
