//! Between TLS and WebSocket: plain requests, the authorisation rules, the upgrade.

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

use super::http::{self, Head};
use super::{HANDSHAKE, Server};

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

impl Login {
    /// The same user with the same password.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.user.eq_ignore_ascii_case(&other.user) && self.password == other.password
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
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

/// Answers plain requests until the client goes, or opens the WebSocket.
pub(super) async fn open(
    mut stream: TlsStream<TcpStream>,
    server: &Server,
) -> Result<Option<(WebSocketStream<Peeked>, Login)>, Error> {
    let mut read = Vec::with_capacity(1024);
    loop {
        let Some(head) = next_head(&mut stream, &mut read).await? else { return Ok(None) };
        if head.is_upgrade() {
            return upgrade(Peeked { head: read, at: 0, inner: stream }, server).await;
        }
        read.drain(..head.length);
        stream.write_all(&http::answer(&head, server)).await?;
        if head.is_last() {
            stream.shutdown().await?;
            return Ok(None);
        }
    }
}

/// The next head, whose bytes stay in `read`; none when the client goes or takes too long.
async fn next_head(stream: &mut TlsStream<TcpStream>, read: &mut Vec<u8>) -> Result<Option<Head>, Error> {
    loop {
        if let Some(head) = Head::read(read) {
            return Ok(Some(head));
        }
        if read.len() > HEAD {
            return Ok(None);
        }
        match tokio::time::timeout(HANDSHAKE, stream.read_buf(read)).await {
            Ok(Ok(0)) | Err(_) => return Ok(None),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error.into()),
        }
    }
}

async fn upgrade(stream: Peeked, server: &Server) -> Result<Option<(WebSocketStream<Peeked>, Login)>, Error> {
    let plan = &server.world.scenario.server;
    let mut login = None;
    let config = WebSocketConfig::default()
        .max_message_size(Some(plan.message_limit()))
        .max_frame_size(Some(plan.message_limit()))
        .write_buffer_size(0);
    let socket = {
        // The callback's error type is the crate's and large; it is made once per refused connection.
        #[allow(clippy::result_large_err)]
        let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let header = request.headers().get("authorization");
            let header = header.map(|value| value.to_str().unwrap_or_default());
            match credentials(header, plan.manners().takes_colon) {
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

/// Credentials of a Basic header, which are not checked here. `colon`: the password may have one.
pub(super) fn credentials(header: Option<&str>, colon: bool) -> Result<Login, &'static str> {
    let header = header.ok_or("Authorization header missing")?;
    const INVALID: &str = "Invalid Authorization header";
    let encoded = header.strip_prefix("Basic ").ok_or(INVALID)?;
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| INVALID)?;
    let text = String::from_utf8(decoded).map_err(|_| INVALID)?;
    let (user, password) = text.split_once(':').ok_or(INVALID)?;
    let malformed = user.is_empty() || password.is_empty() || user.contains('*');
    if malformed || (password.contains(':') && !colon) {
        return Err(INVALID);
    }
    // A semicolon ends the password: the server builds a connection string from it.
    let password = password.split(';').next().unwrap_or_default().to_owned();
    Ok(Login { user: user.to_owned(), password })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn only_a_whole_basic_header_passes() {
        let login = |header: Option<&str>, colon| {
            credentials(header, colon).map(|login| (login.user, login.password))
        };
        let good = |user: &str, password: &str| Ok((user.to_owned(), password.to_owned()));
        assert_eq!(login(Some(&basic("BOB:secret;x")), false), good("BOB", "secret"));
        let colons = basic("BOB:a:b:");
        assert_eq!(login(Some(&colons), false), Err("Invalid Authorization header"));
        assert_eq!(login(Some(&colons), true), good("BOB", "a:b:"));
        for (header, reason) in [
            (None, "Authorization header missing"),
            (Some("Bearer x".to_owned()), "Invalid Authorization header"),
            (Some(basic("BOB")), "Invalid Authorization header"),
            (Some(basic("B*:a")), "Invalid Authorization header"),
            (Some(basic(":a")), "Invalid Authorization header"),
            (Some(basic("BOB:")), "Invalid Authorization header"),
        ] {
            for colon in [false, true] {
                assert_eq!(login(header.as_deref(), colon), Err(reason));
            }
        }
    }
}
