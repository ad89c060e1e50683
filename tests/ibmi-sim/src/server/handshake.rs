//! Between TLS and WebSocket: GET /version, the authorisation rules, the upgrade.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Longest request head.
const HEAD: usize = 16 * 1024;

/// User and password of the upgrade request.
#[derive(Clone)]
pub(super) struct Login {
    /// Profile.
    pub(super) user: String,
    /// Password.
    pub(super) password: String,
}

/// A stream whose first bytes were read already.
pub(super) struct Peeked {
    head: Vec<u8>,
    at: usize,
    inner: TlsStream<TcpStream>,
}

impl AsyncRead for Peeked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at < self.head.len() {
            let count = (self.head.len() - self.at).min(buf.remaining());
            buf.put_slice(&self.head[self.at..self.at + count]);
            self.at += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Peeked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Answers a plain request, or opens the WebSocket.
pub(super) async fn open(
    mut stream: TlsStream<TcpStream>,
    version: &str,
) -> Result<Option<(WebSocketStream<Peeked>, Login)>, Error> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let path = line.split(' ').nth(1).unwrap_or_default();
    let upgrade = String::from_utf8_lossy(&head).to_ascii_lowercase().contains("upgrade: websocket");
    if !upgrade || !(path == "/db" || path.starts_with("/db/")) {
        let reply = plain(&line, version);
        stream.write_all(reply.as_bytes()).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    let mut login = None;
    let config = WebSocketConfig::default()
        .max_message_size(Some(muster_proto::mapepire::MAX_REQUEST_BYTES))
        .max_frame_size(Some(muster_proto::mapepire::MAX_REQUEST_BYTES))
        .write_buffer_size(0);
    let stream = Peeked { head, at: 0, inner: stream };
    let socket = {
        // The callback's error type is the crate's and large; it is made once per refused connection.
        #[allow(clippy::result_large_err)]
        let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            match credentials(
                request.headers().get("authorization").map(|value| value.to_str().unwrap_or_default()),
            ) {
                Ok(found) => {
                    login = Some(found);
                    Ok(response)
                }
                Err(reason) => {
                    let mut refusal = ErrorResponse::new(Some(reason.to_owned()));
                    *refusal.status_mut() = StatusCode::FORBIDDEN;
                    Err(refusal)
                }
            }
        };
        tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config)).await?
    };
    Ok(login.map(|login| (socket, login)))
}

/// Credentials of a Basic header, by the rules of servers up to 2.3.5. They are not checked here.
fn credentials(header: Option<&str>) -> Result<Login, &'static str> {
    let header = header.ok_or("Authorization header missing")?;
    const INVALID: &str = "Invalid Authorization header";
    let encoded = header.strip_prefix("Basic ").ok_or(INVALID)?;
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| INVALID)?;
    let text = String::from_utf8(decoded).map_err(|_| INVALID)?;
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [user, password] if !user.is_empty() && !password.is_empty() && !user.contains('*') => {
            // A semicolon ends the password: the server builds a connection string from it.
            let password = password.split(';').next().unwrap_or_default().to_owned();
            Ok(Login { user: (*user).to_owned(), password })
        }
        _ => Err(INVALID),
    }
}

fn plain(line: &str, version: &str) -> String {
    let (status, kind, body) = if line.starts_with("GET /version ") {
        ("200 OK", "application/json", format!("{{\"version\":\"{version}\"}}"))
    } else {
        ("404 Not Found", "text/plain", "Not Found".to_owned())
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn only_a_whole_basic_header_passes() {
        let login = credentials(Some(&basic("BOB:secret;x"))).map(|login| (login.user, login.password));
        assert_eq!(login, Ok(("BOB".into(), "secret".into())));
        for (header, reason) in [
            (None, "Authorization header missing"),
            (Some("Bearer x".to_owned()), "Invalid Authorization header"),
            (Some(basic("BOB")), "Invalid Authorization header"),
            (Some(basic("BOB:a:b")), "Invalid Authorization header"),
            (Some(basic("B*:a")), "Invalid Authorization header"),
            (Some(basic(":a")), "Invalid Authorization header"),
        ] {
            assert_eq!(credentials(header.as_deref()).map(|_| ()), Err(reason));
        }
    }
}
