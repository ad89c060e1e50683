//! The plain requests beside the WebSocket: GET /version, /source and /blob/TOKEN.

use tokio::time::Instant;

use super::Server;
use super::blob::Refused;
use super::handshake::{Login, credentials};

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    method: String,
    /// Path with its query.
    pub(super) path: String,
    headers: Vec<(String, String)>,
    /// Its bytes, the empty line at its end included.
    pub(super) length: usize,
}

impl Head {
    /// The head that `bytes` begin with, once it is whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let length = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(bytes.get(..length)?);
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self { method: method.to_owned(), path: path.to_owned(), headers, length })
    }

    /// Value of a header, whose name is in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Does it ask for the WebSocket?
    pub(super) fn is_upgrade(&self) -> bool {
        let below = self.path == "/db" || self.path.starts_with("/db/");
        below && self.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }

    /// Does the client want the connection to end after the answer?
    pub(super) fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"))
    }
}

struct Answer {
    status: &'static str,
    kind: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Self {
        Self { status, kind: "text/plain", body: body.as_bytes().to_vec() }
    }

    fn json(body: String) -> Self {
        Self { status: "200 OK", kind: "application/json", body: body.into_bytes() }
    }
}

/// The whole answer to a plain request.
pub(super) fn answer(head: &Head, server: &Server) -> Vec<u8> {
    let Answer { status, kind, mut body } = respond(head, server);
    let connection = if head.is_last() { "close" } else { "keep-alive" };
    let mut out = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    out.append(&mut body);
    out
}

fn respond(head: &Head, server: &Server) -> Answer {
    let plan = &server.world.scenario.server;
    let path = head.path.split('?').next().unwrap_or_default();
    if head.method != "GET" {
        return Answer::text("405 Method Not Allowed", "Method Not Allowed");
    }
    let token = path.strip_prefix("/blob/").or((path == "/blob").then_some(""));
    match (path, token) {
        ("/version", _) => Answer::json(format!("{{\"version\":\"{}\"}}", plan.version())),
        ("/source", _) if plan.tells_source() => Answer::json(
            "{\"install_location\":\"/QOpenSys/pkgs/lib/mapepire\",\
             \"jar_path\":\"/QOpenSys/pkgs/lib/mapepire/mapepire-server.jar\"}"
                .to_owned(),
        ),
        (_, Some(token)) if plan.manners().keeps_blobs => bytes(token, head, server),
        _ => Answer::text("404 Not Found", "Not Found"),
    }
}

fn bytes(token: &str, head: &Head, server: &Server) -> Answer {
    let login: Option<Login> = credentials(head.header("authorization"), true).ok();
    match server.blobs.fetch(token, login.as_ref(), Instant::now()) {
        Ok(body) => Answer { status: "200 OK", kind: "application/octet-stream", body },
        Err(Refused::NoToken) => Answer::text("400 Bad Request", "Token missing"),
        Err(Refused::Unauthorised) => Answer::text("401 Unauthorized", "Unauthorized"),
        Err(Refused::NotFound) => Answer::text("404 Not Found", "Not Found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = b"GET /db/x HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\nrest";
        assert_eq!(Head::read(&text[..20]), None);
        let head = Head::read(text).expect("a head");
        assert_eq!((head.path.as_str(), head.length), ("/db/x", text.len() - 4));
        assert!(head.is_upgrade() && !head.is_last());
        let head = Head::read(b"GET /dbx HTTP/1.1\r\nconnection: close\r\nupgrade: websocket\r\n\r\n")
            .expect("a head");
        assert!(!head.is_upgrade() && head.is_last());
    }
}
