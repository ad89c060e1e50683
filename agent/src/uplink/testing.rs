//! A small OpAMP server over real TLS for the tests of uplink and enrolment: every message goes to the
//! test, which answers as it likes.

use super::tls::provider;
use super::transport::TransportKind;
use crate::enrol::{Identity, KeyRing};
use futures_util::{SinkExt as _, StreamExt as _};
use muster_proto::opamp::{AgentToServer, INCARNATION_HEADER, ServerToAgent, frame};
use muster_shared::id::AgentId;
use prost::Message as _;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, PublicKeyData as _,
};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, http};
use zeroize::Zeroizing;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A certification authority.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    pub(crate) spki_sha256: [u8; 32],
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key).unwrap();
        let spki_sha256 = muster_proto::session::fingerprint::spki_sha256(&key.subject_public_key_info());
        Self { certificate, issuer: Issuer::new(params, key), spki_sha256 }
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for `name`, expired or not, and its key; both PEM.
    pub(crate) fn issue(&self, name: &str, expired: bool) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        }
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Identity of an agent whose certificate is past two thirds of its life.
    pub(crate) fn due_identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["agent".to_owned()]).unwrap();
        // More than two thirds are over in 2026 already, and there is time left.
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = rcgen::date_time_ymd(2048, 1, 1);
        let cert_pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key_pem = Zeroizing::new(key.serialize_pem());
        Identity { key_pem, cert_pem, ..self.identity(false) }
    }

    /// The certificate that a request asks for.
    pub(crate) fn sign(&self, csr_pem: &str) -> String {
        CertificateSigningRequestParams::from_pem(csr_pem).unwrap().signed_by(&self.issuer).unwrap().pem()
    }

    /// Identity of an agent of this authority.
    pub(crate) fn identity(&self, expired: bool) -> Identity {
        let (cert_pem, key_pem) = self.issue("agent", expired);
        let agent = AgentId(uuid::Uuid::from_u128(0x019b_8d7a_2da8_7657_b52d_492a_9de3_3319));
        let urls = vec!["https://127.0.0.1:1".to_owned()];
        Identity { agent, key_pem: Zeroizing::new(key_pem), cert_pem, ca_pem: self.ca_pem(), urls }
    }

    /// Credentials of an agent of this authority; without a folder, so they cannot be renewed.
    pub(crate) fn agent_keys(&self, expired: bool) -> KeyRing {
        KeyRing::open(std::path::Path::new("/nonexistent"), self.identity(expired)).unwrap()
    }

    pub(crate) fn server_tls(&self) -> Arc<rustls::ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf.der().clone(), self.certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        Arc::new(config)
    }
}

/// What the test does with a connection or request.
pub(crate) enum Answer {
    Message(Box<ServerToAgent>),
    /// These bytes as they are: a binary frame, or the body of a response.
    Bytes(Vec<u8>),
    /// Over HTTP: these bytes compressed.
    Gzip(Vec<u8>),
    /// A text frame, which OpAMP does not know.
    Text,
    Close(u16),
    /// Over HTTP: this status with Retry-After.
    Status(u16, Option<&'static str>),
}

/// A message that arrived, and where its answer goes. Over a WebSocket further answers may follow.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) message: AgentToServer,
    pub(crate) bearer: Option<String>,
    /// The incarnation that the agent says it has met.
    pub(crate) incarnation: Option<String>,
    /// It came compressed.
    pub(crate) gzip: bool,
    answers: mpsc::Sender<Answer>,
}

impl Arrival {
    pub(crate) async fn answer(&self, answer: Answer) {
        self.answers.send(answer).await.unwrap();
    }

    /// Answers with a message to an agent that may have hung up meanwhile: it changes connections.
    pub(crate) async fn say_if_there(&self, message: ServerToAgent) {
        let instance_uid = self.message.instance_uid.clone();
        let answer = Answer::Message(Box::new(ServerToAgent { instance_uid, ..message }));
        // Nobody is there to hear it, which is what the name says.
        let _ = self.answers.send(answer).await;
    }

    /// Answers with a message to the agent.
    pub(crate) async fn say(&self, message: ServerToAgent) {
        let instance_uid = self.message.instance_uid.clone();
        self.answer(Answer::Message(Box::new(ServerToAgent { instance_uid, ..message }))).await;
    }
}

/// What the server saw.
pub(crate) enum Seen {
    Message(Box<Arrival>),
    /// The agent closed the WebSocket in good order.
    GoodClose,
    /// The connection is gone.
    Gone,
}

/// A refusal before the upgrade or instead of an answer: status, Retry-After, body.
pub(crate) type Refusal = Option<(u16, Option<&'static str>, &'static str)>;

/// The server.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: mpsc::Receiver<Seen>,
    refusal: Arc<Mutex<Refusal>>,
    incarnation: Arc<Mutex<Option<String>>>,
    drop_all: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(authority: &Authority, kind: TransportKind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let tls = TlsAcceptor::from(authority.server_tls());
        let (report, seen) = mpsc::channel(16);
        let refusal = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&refusal);
        let incarnation: Arc<Mutex<Option<String>>> = Arc::default();
        let shown = Arc::clone(&incarnation);
        let drop_all: Arc<Notify> = Arc::default();
        let dropping = Arc::clone(&drop_all);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let socket = tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((socket, _)) => socket,
                        Err(_) => return,
                    },
                    () = dropping.notified() => {
                        connections.abort_all();
                        continue;
                    }
                };
                let (tls, report, refusal) = (tls.clone(), report.clone(), Arc::clone(&shared));
                let shown = Arc::clone(&shown);
                connections.spawn(async move {
                    match tls.accept(socket).into_fallible().await {
                        Ok(stream) => match kind {
                            TransportKind::Websocket => websocket(stream, &report, &refusal, &shown).await,
                            TransportKind::Http => http_requests(stream, &report, &refusal, &shown).await,
                        },
                        Err((_, socket)) => linger(socket).await,
                    }
                    let _ = report.send(Seen::Gone).await;
                });
            }
        });
        Self { url, seen, refusal, incarnation, drop_all, task }
    }

    /// Drops all connections without a word.
    pub(crate) fn drop_connections(&self) {
        self.drop_all.notify_one();
    }

    /// Nothing but ends of connections is waiting now.
    pub(crate) fn only_ends(&mut self) -> bool {
        std::iter::from_fn(|| self.seen.try_recv().ok())
            .all(|seen| matches!(seen, Seen::GoodClose | Seen::Gone))
    }

    pub(crate) fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock().unwrap() = refusal;
    }

    /// Shows this incarnation with every answer from now on.
    pub(crate) fn show_incarnation(&self, claim: &muster_shared::incarnation::Claim) {
        *self.incarnation.lock().unwrap() = Some(claim.to_string());
    }

    pub(crate) async fn next(&mut self) -> Seen {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("something must come").unwrap()
    }

    /// The next message; ends of connections are skipped.
    pub(crate) async fn message(&mut self) -> Arrival {
        loop {
            if let Seen::Message(arrival) = self.next().await {
                return *arrival;
            }
        }
    }

    /// Nothing is waiting now.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.seen.try_recv().is_err()
    }
}

/// Reads on until the peer has taken the alert: closing with unread data would reset the connection.
async fn linger(mut socket: TcpStream) {
    let mut sink = [0_u8; 1024];
    while matches!(socket.read(&mut sink).await, Ok(read) if read > 0) {}
}

async fn websocket(
    stream: TlsStream<TcpStream>,
    report: &mpsc::Sender<Seen>,
    refusal: &Mutex<Refusal>,
    shown: &Mutex<Option<String>>,
) {
    let (mut bearer, mut incarnation) = (None, None);
    let shown = shown.lock().unwrap().clone();
    let refusal = *refusal.lock().unwrap();
    #[allow(clippy::result_large_err)]
    let callback = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let met = request.headers().get(INCARNATION_HEADER);
        incarnation = met.and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(shown) = &shown {
            response.headers_mut().insert(INCARNATION_HEADER, shown.parse().unwrap());
        }
        let value = request.headers().get(http::header::AUTHORIZATION);
        bearer = value.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some((status, retry_after, body)) = refusal else { return Ok(response) };
        let mut refused = http::Response::builder().status(status).header("Content-Length", body.len());
        if let Some(retry_after) = retry_after {
            refused = refused.header(http::header::RETRY_AFTER, retry_after);
        }
        Err(refused.body(Some(body.to_owned())).unwrap())
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, callback).await else { return };
    let (answers, mut to_send) = mpsc::channel::<Answer>(16);
    loop {
        tokio::select! {
            got = socket.next() => match got {
                Some(Ok(Message::Binary(bytes))) => {
                    let message = frame::decode(&bytes, frame::MAX_MESSAGE_BYTES).unwrap();
                    assert_eq!(bytes.first(), Some(&0), "trap 1: the header byte is sent");
                    let arrival = Arrival {
                        message,
                        bearer: bearer.clone(),
                        incarnation: incarnation.clone(),
                        gzip: false,
                        answers: answers.clone(),
                    };
                    if report.send(Seen::Message(Box::new(arrival))).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Close(_))) => {
                    let _ = report.send(Seen::GoodClose).await;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            Some(answer) = to_send.recv() => {
                let message = match answer {
                    Answer::Message(message) => {
                        Message::Binary(frame::encode(&*message, frame::MAX_MESSAGE_BYTES).unwrap().into())
                    }
                    Answer::Bytes(bytes) => Message::Binary(bytes.into()),
                    Answer::Text => Message::Text("hello".into()),
                    Answer::Close(code) => {
                        Message::Close(Some(CloseFrame { code: code.into(), reason: "agent revoked".into() }))
                    }
                    Answer::Status(..) | Answer::Gzip(_) => panic!("not inside a WebSocket"),
                };
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn http_requests(
    mut stream: TlsStream<TcpStream>,
    report: &mpsc::Sender<Seen>,
    refusal: &Mutex<Refusal>,
    shown: &Mutex<Option<String>>,
) {
    let mut input = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut input).await {
        assert!(head.starts_with("POST /v1/opamp HTTP/1.1"), "{head}");
        assert_eq!(field(&head, "content-type").as_deref(), Some("application/x-protobuf"));
        let refused = *refusal.lock().unwrap();
        let mut encoding = "";
        let gzip = field(&head, "content-encoding").as_deref() == Some("gzip");
        assert_eq!(field(&head, "accept-encoding").as_deref(), Some("gzip"));
        let body = if gzip { inflated(&body) } else { body };
        let (status, retry_after, out) = match refused {
            Some((status, retry_after, text)) => (status, retry_after, text.as_bytes().to_vec()),
            None => {
                let message = AgentToServer::decode(body.as_slice()).unwrap();
                let uid = uuid::Uuid::from_slice(&message.instance_uid).unwrap().to_string();
                assert_eq!(field(&head, "opamp-instance-uid"), Some(uid));
                let (answers, mut to_send) = mpsc::channel(1);
                let (bearer, incarnation) = (field(&head, "authorization"), field(&head, INCARNATION_HEADER));
                let arrival = Arrival { message, bearer, incarnation, gzip, answers };
                if report.send(Seen::Message(Box::new(arrival))).await.is_err() {
                    return;
                }
                match to_send.recv().await {
                    Some(Answer::Message(message)) => (200, None, message.encode_to_vec()),
                    Some(Answer::Bytes(bytes)) => (200, None, bytes),
                    Some(Answer::Gzip(bytes)) => {
                        encoding = "Content-Encoding: gzip\r\n";
                        (200, None, bytes)
                    }
                    Some(Answer::Status(status, retry_after)) => (status, retry_after, Vec::new()),
                    Some(Answer::Text | Answer::Close(_)) | None => return,
                }
            }
        };
        let mut head = format!("HTTP/1.1 {status} X\r\n{encoding}Content-Length: {}\r\n", out.len());
        if let Some(retry_after) = retry_after {
            head.push_str(&format!("Retry-After: {retry_after}\r\n"));
        }
        if let Some(shown) = &*shown.lock().unwrap() {
            head.push_str(&format!("{INCARNATION_HEADER}: {shown}\r\n"));
        }
        let all = [head.as_bytes(), b"\r\n", &out].concat();
        if stream.write_all(&all).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

fn inflated(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut out).unwrap();
    out
}

/// Bytes as gzip.
pub(crate) fn deflated(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, body).unwrap();
    encoder.finish().unwrap()
}

async fn request(stream: &mut TlsStream<TcpStream>, input: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(input[..end].to_vec()).unwrap();
            let length: usize = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
            if input.len() >= end + 4 + length {
                let body = input[end + 4..end + 4 + length].to_vec();
                input.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        let mut buffer = [0_u8; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => input.extend_from_slice(&buffer[..read]),
        }
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
