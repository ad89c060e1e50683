//! One connection: TCP from one of several loopback addresses, TLS, upgrade; failures named as the agent
//! names them.

use futures_util::{SinkExt as _, StreamExt as _};
use muster_agent::uplink::failure::{Failure, classify, status};
use muster_proto::opamp::frame::{self, MAX_MESSAGE_BYTES};
use muster_proto::opamp::{AgentToServer, PATH, ServerToAgent};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

/// Loopback addresses that agents dial from: the ports of one do not suffice.
const SOURCES: usize = 8;
/// As the agent's: for TCP, TLS and upgrade together.
const OPEN: Duration = Duration::from_secs(15);
/// As the agent's: for writing one message.
const WRITE: Duration = Duration::from_secs(20);
/// Buffer of a connection; most messages are small.
const BUFFER: usize = 4 * 1024;

/// Where the controller is.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its address.
    pub address: SocketAddr,
    url: String,
}

impl Target {
    /// The controller's `https` address.
    #[must_use]
    pub fn https(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A controller at an address of this host.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, url: format!("wss://{address}{PATH}") }
    }
}

/// An open connection.
pub struct Socket {
    stream: WebSocketStream<TlsStream<TcpStream>>,
    url: String,
}

/// Dials as agent `number`.
///
/// # Errors
/// As the agent names them.
pub async fn dial(
    target: &Target,
    number: usize,
    tls: Arc<ClientConfig>,
    bearer: Option<&str>,
) -> Result<Socket, Failure> {
    match timeout(OPEN, open(target, number, tls, bearer)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Unreachable(format!("{} does not answer within {OPEN:?}", target.url))),
    }
}

async fn open(
    target: &Target,
    number: usize,
    tls: Arc<ClientConfig>,
    bearer: Option<&str>,
) -> Result<Socket, Failure> {
    let url = &target.url;
    let tcp = connect(target, number).await.map_err(|error| classify(url, &error))?;
    let name = ServerName::from(target.address.ip());
    let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(|error| classify(url, &error))?;
    let bad = |error: &dyn std::fmt::Display| Failure::Protocol(error.to_string());
    let mut request = url.as_str().into_client_request().map_err(|error| bad(&error))?;
    if let Some(token) = bearer {
        let value = format!("Bearer {token}").parse().map_err(|error| bad(&error))?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let refused = match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
        Ok((stream, _)) => return Ok(Socket { stream, url: url.clone() }),
        Err(tungstenite::Error::Http(response)) => response,
        Err(other) => return Err(failure(url, &other)),
    };
    // Of the reason only what came with the head is looked at.
    let (head, body) = refused.into_parts();
    let body = body.unwrap_or_default();
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    Err(status(url, head.status.as_u16(), retry_after, &body, jiff::Timestamp::now()))
}

/// Loopback address that agent `number` dials from.
pub(super) fn source(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, u8::try_from(number % SOURCES + 1).unwrap_or(1))
}

async fn connect(target: &Target, number: usize) -> std::io::Result<TcpStream> {
    let socket = match target.address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((source(number), 0)))?;
            socket
        }
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let stream = socket.connect(target.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Socket {
    /// Sends one message.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, message: &AgentToServer) -> Result<(), Failure> {
        let bytes = frame::encode(message, MAX_MESSAGE_BYTES)
            .map_err(|error| Failure::Protocol(error.to_string()))?;
        match timeout(WRITE, self.stream.send(Message::Binary(bytes.into()))).await {
            Ok(result) => result.map_err(|error| failure(&self.url, &error)),
            Err(_) => Err(Failure::Unreachable(format!("{} takes no data for {WRITE:?}", self.url))),
        }
    }

    /// The next message; pings are answered on the way.
    ///
    /// # Errors
    /// If the connection ended.
    pub async fn next(&mut self) -> Result<ServerToAgent, Failure> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    return frame::decode(&bytes, MAX_MESSAGE_BYTES)
                        .map_err(|error| Failure::Protocol(error.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    return Err(Failure::Protocol("OpAMP is binary".to_owned()));
                }
                Some(Ok(Message::Close(close))) => {
                    let policy = close.as_ref().is_some_and(|close| u16::from(close.code) == 1008);
                    let text = format!("closed by the controller: {close:?}");
                    return Err(if policy { Failure::Refused(text) } else { Failure::Unreachable(text) });
                }
                Some(Err(error)) => return Err(failure(&self.url, &error)),
                None => return Err(Failure::Unreachable("closed by the controller".to_owned())),
            }
        }
    }

    /// Says goodbye on the WebSocket; whether or not the peer still listens, this is the end.
    pub async fn close(mut self) {
        let _ = timeout(WRITE, self.stream.close(None)).await;
    }
}

fn failure(url: &str, error: &tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Io(error) => classify(url, error),
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Failure::Unreachable(format!("{url} closed the connection"))
        }
        other => Failure::Protocol(other.to_string()),
    }
}
