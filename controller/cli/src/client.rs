//! Speaks the controller's HTTP interface: one bounded request, one typed reply.

use crate::error::CliError;
use crate::trust::Authority;
use muster_proto::api::{
    NOTICE_HEADER, PACKAGE_CONTENT_TYPE, PROBLEM_CONTENT_TYPE, Page, Problem, UPLOAD_OFFSET_HEADER,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// Port of a controller where the URL names none.
pub(crate) const DEFAULT_PORT: u16 = 4320;
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The longest requests are publishing a policy for a large fleet and making a backup.
const PATIENCE: Duration = Duration::from_secs(60);
/// The whole audit log of years.
const LONG_PATIENCE: Duration = Duration::from_secs(3_600);
/// A piece of a package over a slow line, and the last one until the whole file is verified.
const PIECE_PATIENCE: Duration = Duration::from_secs(300);
/// Longest line of an answer in lines.
const LONGEST_LINE: usize = 1024 * 1024;
/// Longest reply that is read: the rates of 10,000 agents take some 10 MB.
const LONGEST_REPLY: usize = 64 * 1024 * 1024;
/// A live tail may go on for days.
const LONGEST_STREAM: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A stream that says nothing for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest server-sent event.
const LONGEST_EVENT: usize = 1024 * 1024;
/// Items asked for in one page.
const PAGE: &str = "1000";
/// Most pages of one list; ends the loop with a controller whose lists never end.
const MOST_PAGES: usize = 1_000;

/// Reads an address as people write it: `host`, `host:port` or `https://host:port`.
pub(crate) fn parse_url(text: &str) -> Result<Url, CliError> {
    let wrong = |why: &str| CliError::Usage(format!("`{text}` is no address of a controller: {why}"));
    let with_scheme = match text.split_once("://") {
        Some(("https", _)) => text.to_owned(),
        Some(_) => return Err(wrong("it must begin with https://")),
        None => format!("https://{text}"),
    };
    let mut url = Url::parse(&with_scheme).map_err(|e| wrong(&e.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("user and password do not belong there; use --user"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("write only https://host:port"));
    }
    if url.port().is_none() && !with_scheme.trim_end_matches('/').ends_with(":443") {
        // Cannot fail: https URLs have ports.
        let _ = url.set_port(Some(DEFAULT_PORT));
    }
    Ok(url)
}

/// What a request knows of the thing that it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known<'t> {
    /// It does not matter.
    Nothing,
    /// It must be new.
    Absent,
    /// It must still have this tag.
    Tag(&'t str),
}

/// A client of one controller.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    session: Option<Zeroizing<String>>,
    notice: Notice,
}

/// What the controller has to say to whoever works with it; the last word counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notice(Arc<Mutex<Option<String>>>);

impl Notice {
    fn hear(&self, response: &Response) {
        let text = response.headers().get(NOTICE_HEADER).and_then(|value| value.to_str().ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.map(str::to_owned);
    }

    /// What it said.
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Client {
    /// A client that trusts certificates of this authority only.
    pub(crate) fn new(base: Url, authority: &Authority, session: Option<String>) -> Result<Self, CliError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(authority.client_config()?)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            // A controller stands in the own network; a proxy for the web would not find it.
            .no_proxy()
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(PATIENCE)
            .build()
            .map_err(|e| CliError::Local(format!("TLS cannot be set up: {}", chain_text(&e))))?;
        Ok(Self { http, base, session: session.map(Zeroizing::new), notice: Notice::default() })
    }

    /// Keeps what the controller has to say there.
    pub(crate) fn with_notice(self, notice: Notice) -> Self {
        Self { notice, ..self }
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let request = self
            .http
            .request(method, self.url(path, query))
            .header(header::ACCEPT, format!("application/json, {PROBLEM_CONTENT_TYPE}"));
        match &self.session {
            Some(session) => request.bearer_auth(session.as_str()),
            None => request,
        }
    }

    /// `GET`.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, CliError> {
        let body = self.send(self.request(Method::GET, path, query)).await?;
        self.read(&body)
    }

    /// All items of a list, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Vec<T>, CliError> {
        self.list_with(path, &[]).await
    }

    /// All items of a list that a query chooses, page by page.
    pub(crate) async fn list_with<T: DeserializeOwned>(
        &self,
        path: &[&str],
        chosen: &[(&str, &str)],
    ) -> Result<Vec<T>, CliError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut query = vec![("limit", PAGE)];
            query.extend_from_slice(chosen);
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor));
            }
            let page: Page<T> = self.get(path, &query).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
        Err(self.odd("its list does not end"))
    }

    /// `POST` of a JSON body.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let body = self.send(self.request(Method::POST, path, &[]).json(body)).await?;
        self.read(&body)
    }

    /// `POST` of a JSON body, answered without content.
    pub(crate) async fn post_unanswered(&self, path: &[&str], body: &impl Serialize) -> Result<(), CliError> {
        self.send(self.request(Method::POST, path, &[]).json(body)).await.map(drop)
    }

    /// `POST` of a JSON body, answered with a file.
    pub(crate) async fn post_for_bytes(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<Vec<u8>, CliError> {
        self.send(self.request(Method::POST, path, &[]).json(body)).await
    }

    /// `GET` of server-sent events, for as long as the controller sends them.
    pub(crate) async fn stream(&self, path: &[&str], query: &[(&str, &str)]) -> Result<EventLines, CliError> {
        let request = self.request(Method::GET, path, query).timeout(LONGEST_STREAM);
        let response = request.send().await.map_err(|e| self.failed(&e))?;
        let status = response.status();
        if !status.is_success() {
            let body = self.body(response).await?;
            return Err(self.refused(status, &body));
        }
        Ok(EventLines { response, buffer: Vec::new(), base: self.base.to_string() })
    }

    /// Reads the data of a server-sent event.
    pub(crate) fn item<T: DeserializeOwned>(&self, data: &str) -> Result<T, CliError> {
        self.read(data.as_bytes())
    }

    /// `POST` of YAML text.
    pub(crate) async fn post_yaml<T: DeserializeOwned>(
        &self,
        path: &[&str],
        text: String,
    ) -> Result<T, CliError> {
        self.post_as("application/yaml", path, text).await
    }

    /// `POST` of plain text.
    pub(crate) async fn post_text<T: DeserializeOwned>(
        &self,
        path: &[&str],
        text: String,
    ) -> Result<T, CliError> {
        self.post_as("text/plain", path, text).await
    }

    async fn post_as<T: DeserializeOwned>(
        &self,
        kind: &str,
        path: &[&str],
        text: String,
    ) -> Result<T, CliError> {
        let request = self.request(Method::POST, path, &[]).header(header::CONTENT_TYPE, kind);
        let body = self.send(request.body(text)).await?;
        self.read(&body)
    }

    /// A request that says which version it knows; with YAML text, if there is any.
    pub(crate) async fn conditional(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        known: Known<'_>,
        yaml: Option<String>,
    ) -> Result<Vec<u8>, CliError> {
        let mut request = self.request(method, path, query);
        request = match known {
            Known::Nothing => request,
            Known::Absent => request.header(header::IF_NONE_MATCH, "*"),
            Known::Tag(tag) => request.header(header::IF_MATCH, format!("\"{tag}\"")),
        };
        if let Some(text) = yaml {
            request = request.header(header::CONTENT_TYPE, "application/yaml").body(text);
        }
        self.send(request).await
    }

    /// As [`Self::conditional`], with a JSON reply.
    pub(crate) async fn conditional_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        known: Known<'_>,
        yaml: Option<String>,
    ) -> Result<T, CliError> {
        let body = self.conditional(method, path, query, known, yaml).await?;
        self.read(&body)
    }

    /// `PUT` of a JSON body.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let body = self.send(self.request(Method::PUT, path, &[]).json(body)).await?;
        self.read(&body)
    }

    /// `PATCH` of a piece of a file that begins at `offset`.
    pub(crate) async fn patch_piece<T: DeserializeOwned>(
        &self,
        path: &[&str],
        offset: u64,
        piece: Vec<u8>,
    ) -> Result<T, CliError> {
        let request = self
            .request(Method::PATCH, path, &[])
            .header(header::CONTENT_TYPE, PACKAGE_CONTENT_TYPE)
            .header(UPLOAD_OFFSET_HEADER, offset)
            .timeout(PIECE_PATIENCE)
            .body(piece);
        let body = self.send(request).await?;
        self.read(&body)
    }

    /// `PATCH` of a JSON body, of the version that is there now: what somebody else changed between is not
    /// overwritten.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let tag = self.tag(path).await?;
        let mut request = self.request(Method::PATCH, path, &[]).json(body);
        if let Some(tag) = tag {
            request = request.header(header::IF_MATCH, tag);
        }
        let body = self.send(request).await?;
        self.read(&body)
    }

    /// The `ETag` of what is there.
    async fn tag(&self, path: &[&str]) -> Result<Option<header::HeaderValue>, CliError> {
        Ok(self.tagged(path).await?.1)
    }

    async fn tagged(&self, path: &[&str]) -> Result<(Vec<u8>, Option<header::HeaderValue>), CliError> {
        let response = self.request(Method::GET, path, &[]).send().await.map_err(|e| self.failed(&e))?;
        let (status, tag) = (response.status(), response.headers().get(header::ETAG).cloned());
        let body = self.body(response).await?;
        if status.is_success() { Ok((body, tag)) } else { Err(self.refused(status, &body)) }
    }

    /// `GET`, with the `ETag` of what is there.
    pub(crate) async fn get_tagged<T: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<(T, Option<header::HeaderValue>), CliError> {
        let (body, tag) = self.tagged(path).await?;
        Ok((self.read(&body)?, tag))
    }

    /// `PUT` of a JSON body in place of the version with this tag.
    pub(crate) async fn put_in_place<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
        tag: Option<header::HeaderValue>,
    ) -> Result<T, CliError> {
        let mut request = self.request(Method::PUT, path, &[]).json(body);
        if let Some(tag) = tag {
            request = request.header(header::IF_MATCH, tag);
        }
        let body = self.send(request).await?;
        self.read(&body)
    }

    /// `GET` of lines, each given to `each` as it comes, without its end: for answers of any length.
    pub(crate) async fn lines(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        mut each: impl FnMut(&[u8]) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let request = self.request(Method::GET, path, query).timeout(LONG_PATIENCE);
        let mut response = request.send().await.map_err(|e| self.failed(&e))?;
        let status = response.status();
        if !status.is_success() {
            let body = self.body(response).await?;
            return Err(self.refused(status, &body));
        }
        let mut rest: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(&e))? {
            rest.extend_from_slice(&chunk);
            let mut begin = 0;
            while let Some(end) = rest[begin..].iter().position(|b| *b == b'\n') {
                each(&rest[begin..begin + end])?;
                begin += end + 1;
            }
            rest.drain(..begin);
            if rest.len() > LONGEST_LINE {
                return Err(self.odd("a line of its answer is longer than 1 MiB"));
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(self.odd("its answer ended in the middle of a line")) }
    }

    /// `GET` of a file, each part of it given to `each` as it comes; tells its size.
    pub(crate) async fn download(
        &self,
        path: &[&str],
        mut each: impl FnMut(&[u8]) -> Result<(), CliError>,
    ) -> Result<u64, CliError> {
        let request = self.request(Method::GET, path, &[]).timeout(LONG_PATIENCE);
        let mut response = request.send().await.map_err(|e| self.failed(&e))?;
        self.notice.hear(&response);
        let (status, wanted) = (response.status(), response.content_length());
        if !status.is_success() {
            let body = self.body(response).await?;
            return Err(self.refused(status, &body));
        }
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(&e))? {
            bytes += chunk.len() as u64;
            each(&chunk)?;
        }
        match wanted {
            Some(wanted) if wanted != bytes => Err(self.odd("the file ended before its end")),
            Some(_) | None => Ok(bytes),
        }
    }

    /// `DELETE`, answered without content.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<(), CliError> {
        self.send(self.request(Method::DELETE, path, &[])).await.map(drop)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, CliError> {
        let response = request.send().await.map_err(|e| self.failed(&e))?;
        self.notice.hear(&response);
        let status = response.status();
        let body = self.body(response).await?;
        match serde_json::from_slice(&body) {
            Ok(proposal) if status == StatusCode::ACCEPTED => Err(CliError::Proposed(Box::new(proposal))),
            _ if status.is_success() => Ok(body),
            _ => Err(self.refused(status, &body)),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, CliError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(&e))? {
            if body.len() + chunk.len() > LONGEST_REPLY {
                return Err(self.odd("its answer is longer than 64 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CliError> {
        serde_json::from_slice(body).map_err(|e| self.odd(&e.to_string()))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> CliError {
        match serde_json::from_slice::<Problem>(body) {
            // What was answered counts, not what the body says about it.
            Ok(problem) => CliError::Controller(Box::new(Problem { status: status.as_u16(), ..problem })),
            Err(_) => self.odd(&format!("status {status} without an explanation")),
        }
    }

    pub(crate) fn odd(&self, reason: &str) -> CliError {
        CliError::Protocol { url: self.base.to_string(), reason: reason.to_owned() }
    }

    fn failed(&self, error: &reqwest::Error) -> CliError {
        let url = self.base.to_string();
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(fault)) => {
                CliError::Untrusted { url, reason: certificate_text(fault) }
            }
            _ if error.is_timeout() => CliError::Unreachable { url, reason: "no answer in time".to_owned() },
            _ => CliError::Unreachable { url, reason: chain_text(error) },
        }
    }
}

/// Server-sent events as they come.
pub(crate) struct EventLines {
    response: Response,
    buffer: Vec<u8>,
    base: String,
}

impl EventLines {
    /// The data of the next event; `None` when the controller has ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, CliError> {
        loop {
            if let Some(data) = take_event(&mut self.buffer) {
                return Ok(Some(data));
            }
            if self.buffer.len() > LONGEST_EVENT {
                let reason = "an event is longer than 1 MiB".to_owned();
                return Err(CliError::Protocol { url: self.base.clone(), reason });
            }
            // The controller says something every 15 s even if there is no event.
            let chunk = tokio::time::timeout(SILENCE, self.response.chunk()).await;
            let lost = |reason: String| CliError::Unreachable { url: self.base.clone(), reason };
            match chunk {
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(lost(chain_text(&error))),
                Err(_) => return Err(lost("it has been silent for a minute".to_owned())),
            }
        }
    }
}

/// Takes the first whole event with data off the buffer; comments go too.
fn take_event(buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let end = buffer.windows(2).position(|two| two == b"\n\n")?;
        let block: Vec<u8> = buffer.drain(..end + 2).collect();
        let text = String::from_utf8_lossy(&block);
        let data: Vec<&str> = text
            .lines()
            .filter_map(|l| l.strip_prefix("data:"))
            .map(|d| d.strip_prefix(' ').unwrap_or(d))
            .collect();
        if !data.is_empty() {
            return Some(data.join("\n"));
        }
    }
}

fn certificate_text(fault: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Fault;
    match fault {
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => format!(
            "its certificate is for another name ({fault})\n  \
             use a name that is in it, or start the controller with that name added"
        ),
        Fault::Expired
        | Fault::ExpiredContext { .. }
        | Fault::NotValidYet
        | Fault::NotValidYetContext { .. } => {
            format!(
                "its certificate is not valid now ({fault})\n  check the clocks of both hosts, then the controller's log"
            )
        }
        // A foreign enum that grows; whatever else it is, nobody vouches for the certificate.
        _ => format!(
            "its certificate does not come from the authority of this profile ({fault})\n  \
             if the controller was set up anew, log in again with --ca or --fingerprint"
        ),
    }
}

/// The TLS error somewhere below, if it was one.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next: Option<&'a (dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The innermost reason, which is the one that helps.
fn chain_text(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, url) in [
            ("c.example", "https://c.example:4320/"),
            ("c.example:9", "https://c.example:9/"),
            ("https://c.example", "https://c.example:4320/"),
            ("https://c.example:4320/", "https://c.example:4320/"),
            ("https://c.example:443", "https://c.example/"),
            ("127.0.0.1", "https://127.0.0.1:4320/"),
            ("[::1]:5", "https://[::1]:5/"),
        ] {
            assert_eq!(parse_url(text).unwrap().as_str(), url, "{text}");
        }
        for bad in
            ["http://c.example", "wss://c", "https://u:p@c", "https://c/api", "https://c?x=1", "", "a b"]
        {
            assert_eq!(parse_url(bad).unwrap_err().exit().code(), 2, "{bad}");
        }
    }

    fn client() -> Client {
        let authority = Authority::from_pem(crate::tests::CA.as_bytes()).unwrap();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::new(parse_url("c.example").unwrap(), &authority, Some("s3cret".into())).unwrap()
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        let url = client().url(&["agents", "../a b?c/d", "policy"], &[("cursor", "x&y=1")]);
        assert_eq!(
            url.as_str(),
            "https://c.example:4320/api/v1/agents/..%2Fa%20b%3Fc%2Fd/policy?cursor=x%26y%3D1"
        );
    }

    #[test]
    fn server_sent_events_are_cut_where_they_end() {
        let mut buffer =
            b": hello\n\nevent: x\ndata: {\"a\":1}\n\ndata: two\ndata: lines\n\ndata: not yet".to_vec();
        assert_eq!(take_event(&mut buffer).as_deref(), Some("{\"a\":1}"));
        assert_eq!(take_event(&mut buffer).as_deref(), Some("two\nlines"));
        assert_eq!(take_event(&mut buffer), None);
        assert_eq!(buffer, b"data: not yet");
    }

    #[test]
    fn an_answer_that_is_no_problem_is_told_as_such() {
        let error = client().refused(StatusCode::BAD_GATEWAY, b"<html>nginx</html>");
        assert_eq!(
            error.to_string(),
            "https://c.example:4320/ does not answer as a Muster controller of this release: \
             status 502 Bad Gateway without an explanation"
        );
        let body = br#"{"type":"urn:muster:problem:no-agent","title":"No such agent","status":404,"detail":"no agent PROD9"}"#;
        let error = client().refused(StatusCode::NOT_FOUND, body);
        assert_eq!((error.to_string().as_str(), error.exit().code()), ("no agent PROD9", 3));
    }

    #[test]
    fn a_tls_error_is_found_below_others() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = std::io::Error::other(std::io::Error::other(tls.clone()));
        assert_eq!(tls_error(&error), Some(&tls));
        assert_eq!(tls_error(&std::io::Error::other("x")), None);
    }
}
