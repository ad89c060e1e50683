//! OpAMP over a WebSocket.

use super::{Abandoned, LinkEvent, LinkRequest, closed_by_us, shown, tell};
use crate::uplink::endpoint::Endpoint;
use crate::uplink::failure::{Failure, classify, status, tidy};
use futures_util::{SinkExt, StreamExt};
use muster_proto::opamp::{AgentToServer, INCARNATION_HEADER, frame};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{self, Message};

/// Most bytes of a refusal's body that are read.
const MAX_REFUSAL_BODY: usize = 8 * 1024;

/// Runs one connection to its end.
pub(super) async fn run(
    request: LinkRequest,
    to_send: mpsc::Receiver<AgentToServer>,
    report: &mpsc::Sender<LinkEvent>,
) -> Failure {
    let endpoint = request.endpoint.clone();
    let deadline = Instant::now() + request.deadlines.open;
    let late = || {
        let seconds = request.deadlines.open.as_secs_f32();
        Failure::Unreachable(format!("controller at {endpoint} does not answer within {seconds} s"))
    };
    let mut stream = match tokio::time::timeout_at(deadline, connect(&request)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(failure)) => return failure,
        Err(_) => return late(),
    };
    let upgrade = match upgrade_request(&request) {
        Ok(upgrade) => upgrade,
        Err(failure) => return failure,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(request.max_message))
        .max_frame_size(Some(request.max_message));
    let shake = tokio_tungstenite::client_async_with_config(upgrade, &mut stream, Some(config));
    let error = match tokio::time::timeout_at(deadline, shake).await {
        Ok(Ok((socket, response))) => {
            if let Some(claim) = shown(response.headers())
                && tell(report, LinkEvent::Incarnation(claim)).await.is_err()
            {
                return closed_by_us(&endpoint);
            }
            return match carry(socket, &request, to_send, report).await {
                Ok(failure) => failure,
                Err(Abandoned) => closed_by_us(&endpoint),
            };
        }
        Ok(Err(error)) => error,
        Err(_) => return late(),
    };
    match error {
        tungstenite::Error::Http(response) => {
            match tokio::time::timeout_at(deadline, refusal(&endpoint, *response, &mut stream)).await {
                Ok(failure) => failure,
                Err(_) => late(),
            }
        }
        other => socket_failure(&endpoint, &other),
    }
}

async fn connect(request: &LinkRequest) -> Result<TlsStream<TcpStream>, Failure> {
    let endpoint = &request.endpoint;
    let url = endpoint.to_string();
    let name = ServerName::try_from(endpoint.host().to_owned())
        .map_err(|_| Failure::Protocol(format!("`{}` is no host name", endpoint.host())))?;
    let tcp = match &request.proxy {
        Some(proxy) => proxy.tunnel(endpoint).await?,
        None => TcpStream::connect((endpoint.host(), endpoint.port()))
            .await
            .map_err(|error| classify(&url, &error))?,
    };
    // Reports are small and wanted at once.
    tcp.set_nodelay(true).map_err(|error| classify(&url, &error))?;
    TlsConnector::from(request.tls.clone()).connect(name, tcp).await.map_err(|error| classify(&url, &error))
}

fn upgrade_request(request: &LinkRequest) -> Result<Request, Failure> {
    let url = request.endpoint.websocket_url();
    let bad = |reason: String| Failure::Protocol(format!("no request can be made for {url}: {reason}"));
    let mut upgrade = url.as_str().into_client_request().map_err(|error| bad(error.to_string()))?;
    if let Some(token) = &request.bearer {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_str()))
            .map_err(|_| bad("the token has characters that a header cannot hold".to_owned()))?;
        value.set_sensitive(true);
        upgrade.headers_mut().insert(header::AUTHORIZATION, value);
    }
    // Digits and hex: always a header's value.
    if let Some(value) = request.incarnation.as_ref().and_then(|c| HeaderValue::try_from(c.to_string()).ok())
    {
        upgrade.headers_mut().insert(INCARNATION_HEADER, value);
    }
    Ok(upgrade)
}

/// A refused upgrade: the library hands over what it had read; the rest of the reason is fetched here.
async fn refusal<S: AsyncRead + Unpin>(
    endpoint: &Endpoint,
    response: tungstenite::http::Response<Option<Vec<u8>>>,
    stream: &mut S,
) -> Failure {
    let (head, body) = response.into_parts();
    let mut body = body.unwrap_or_default();
    let text = |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let announced = text(header::CONTENT_LENGTH).and_then(|length| length.trim().parse::<usize>().ok());
    let wanted = announced.unwrap_or(body.len()).min(MAX_REFUSAL_BODY);
    let mut buffer = [0_u8; 1024];
    while body.len() < wanted {
        // The status says enough if the rest does not come.
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => body.extend_from_slice(&buffer[..read]),
        }
    }
    body.truncate(MAX_REFUSAL_BODY);
    let retry_after = text(header::RETRY_AFTER);
    status(&endpoint.to_string(), head.status.as_u16(), retry_after, &body, jiff::Timestamp::now())
}

/// Carries messages until the end, and says why it came.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    request: &LinkRequest,
    mut to_send: mpsc::Receiver<AgentToServer>,
    report: &mpsc::Sender<LinkEvent>,
) -> Result<Failure, Abandoned> {
    let endpoint = &request.endpoint;
    let mut unanswered_since: Option<Instant> = None;
    tell(report, LinkEvent::Opened).await?;
    loop {
        let give_up = unanswered_since.map(|since| since + request.deadlines.answer);
        tokio::select! {
            message = to_send.recv() => match message {
                Some(message) => {
                    if let Err(failure) = write(&mut socket, request, &message).await {
                        return Ok(failure);
                    }
                    unanswered_since.get_or_insert_with(Instant::now);
                    tell(report, LinkEvent::Written).await?;
                }
                None => {
                    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                    // Whether or not the peer still listens, this is the end.
                    let _ = timeout(request.deadlines.write, socket.close(Some(goodbye))).await;
                    return Ok(closed_by_us(endpoint));
                }
            },
            frame = socket.next() => match frame {
                Some(Ok(Message::Binary(bytes))) => {
                    unanswered_since = None;
                    match frame::decode(&bytes, request.max_message) {
                        Ok(message) => tell(report, LinkEvent::Message(Box::new(message))).await?,
                        Err(error) => return Ok(misspoken(endpoint, &error)),
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    return Ok(Failure::Protocol(format!("controller at {endpoint} sends text, OpAMP is binary")));
                }
                Some(Ok(Message::Close(close))) => return Ok(closed_by_peer(endpoint, close.as_ref())),
                Some(Err(error)) => return Ok(socket_failure(endpoint, &error)),
                None => return Ok(closed_by_peer(endpoint, None)),
            },
            () = sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => {
                let seconds = request.deadlines.answer.as_secs_f32();
                return Ok(Failure::Unreachable(
                    format!("controller at {endpoint} has not answered for {seconds} s")));
            }
        }
    }
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    request: &LinkRequest,
    message: &AgentToServer,
) -> Result<(), Failure> {
    let endpoint = &request.endpoint;
    let bytes = frame::encode(message, request.max_message).map_err(|error| misspoken(endpoint, &error))?;
    match timeout(request.deadlines.write, socket.send(Message::Binary(bytes.into()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(socket_failure(endpoint, &error)),
        Err(_) => {
            let seconds = request.deadlines.write.as_secs_f32();
            Err(Failure::Unreachable(format!("controller at {endpoint} takes no data for {seconds} s")))
        }
    }
}

fn misspoken(endpoint: &Endpoint, error: &frame::FrameError) -> Failure {
    Failure::Protocol(format!("controller at {endpoint}: {error}"))
}

fn closed_by_peer(endpoint: &Endpoint, close: Option<&CloseFrame>) -> Failure {
    let reason = close.map(|close| tidy(close.reason.as_str())).unwrap_or_default();
    match close.map(|close| close.code) {
        // 1008 "policy violation": the peer ends a session that it no longer accepts, as after a revocation.
        Some(CloseCode::Policy) => {
            Failure::Refused(format!("controller at {endpoint} ended the session of this agent: {reason}"))
        }
        Some(CloseCode::Size) => Failure::TooLarge(format!(
            "controller at {endpoint} finds a report of this agent too large: {reason}"
        )),
        Some(code) => {
            let code = u16::from(code);
            Failure::Unreachable(format!("controller at {endpoint} closed the connection ({code} {reason})"))
        }
        None => Failure::Unreachable(format!("controller at {endpoint} closed the connection")),
    }
}

fn socket_failure(endpoint: &Endpoint, error: &tungstenite::Error) -> Failure {
    let url = endpoint.to_string();
    match error {
        tungstenite::Error::Io(error) => classify(&url, error),
        tungstenite::Error::Http(response) => status(
            &url,
            response.status().as_u16(),
            None,
            response.body().as_deref().unwrap_or_default(),
            jiff::Timestamp::now(),
        ),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            closed_by_peer(endpoint, None)
        }
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            closed_by_peer(endpoint, None)
        }
        other => Failure::Protocol(format!("controller at {url}: {}", tidy(&other.to_string()))),
    }
}
