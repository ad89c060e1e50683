//! A controller in this process, a small OpAMP client and an API client for the tests.
#![allow(dead_code, unreachable_pub, missing_docs)]

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use muster_controller::{Config, Running, serve};
use muster_proto::api::{LoginReply, LoginRequest, Problem, TokenCreated, TokenRequest};
use muster_proto::opamp::capability::AgentCapabilities;
use muster_proto::opamp::{
    AgentDescription, AgentToServer, CertificateRequest, ComponentHealth, ConnectionSettingsRequest,
    CustomCapabilities, EffectiveConfig, OpAmpConnectionSettingsRequest, RemoteConfigStatus,
    RemoteConfigStatuses, ServerToAgent, attribute, config, frame,
};
use muster_proto::session::rates;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async};

pub const DEADLINE: Duration = Duration::from_secs(20);

pub type Socket = WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>;

/// Waits until `probe` tells something.
pub async fn eventually<T, F: AsyncFnMut() -> Option<T>>(what: &str, mut probe: F) -> T {
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// A controller of its own, with the admin signed in.
pub struct Site {
    pub running: Running,
    pub api: Api,
    pub dir: tempfile::TempDir,
}

impl Site {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("data"));
        config.probe = Duration::from_millis(500);
        change(&mut config);
        let running = serve(config).await.unwrap();
        let password = running.admin_password.as_ref().expect("the first start makes a password").to_string();
        let mut api = Api::new(running.addr, &running.ca_pem);
        api.login(&password).await;
        Self { running, api, dir }
    }

    /// The same controller after a stop and a start; its port is another one.
    pub async fn restarted(self) -> Self {
        self.restarted_with(|_| {}).await
    }

    pub async fn restarted_with(self, change: impl Fn(&mut Config)) -> Self {
        let Self { running, api, dir } = self;
        let token = api.token.clone();
        running.stop().await;
        // What still holds the store ends a moment later.
        let running = eventually("the controller starts again", async || {
            let mut config = Config::new(dir.path().join("data"));
            config.probe = Duration::from_millis(500);
            change(&mut config);
            serve(config).await.ok()
        })
        .await;
        let api = Api { token, ..Api::new(running.addr, &running.ca_pem) };
        Self { running, api, dir }
    }

    pub fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    pub fn ca(&self) -> &str {
        &self.running.ca_pem
    }

    pub async fn token(&self) -> TokenCreated {
        self.api.post("/tokens", &TokenRequest::default(), 201).await
    }

    /// An enrolled agent that is not connected.
    pub async fn agent(&self) -> TestAgent {
        let token = self.token().await;
        let mut agent = TestAgent::new(self.addr(), self.ca());
        agent.enrol(&token.token).await;
        agent
    }
}

pub fn tls(ca_pem: &str, identity: Option<(&str, &rcgen::KeyPair)>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some((pem, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
            let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    }
}

/// The API as a client sees it.
#[derive(Clone)]
pub struct Api {
    base: String,
    client: reqwest::Client,
    pub token: Option<String>,
}

impl Api {
    pub fn new(addr: SocketAddr, ca_pem: &str) -> Self {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(ca_pem, None))
            .timeout(DEADLINE)
            .build()
            .unwrap();
        Self { base: format!("https://{addr}"), client, token: None }
    }

    pub async fn login(&mut self, password: &str) {
        let request = LoginRequest { user: "admin".into(), password: password.into() };
        let reply: LoginReply = self.post("/login", &request, 200).await;
        self.token = Some(reply.token);
    }

    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> (u16, Vec<u8>, reqwest::header::HeaderMap) {
        // Two slashes: below the root, not below the interface.
        let url = match path.strip_prefix("//") {
            Some(root) => format!("{}/{root}", self.base),
            None => format!("{}/api/v1{path}", self.base),
        };
        let mut request = self.client.request(method.parse().unwrap(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, response.bytes().await.unwrap().to_vec(), headers)
    }

    /// The status of a request that may find nobody.
    pub async fn try_post(&self, path: &str, body: Vec<u8>) -> Option<u16> {
        let mut request = self.client.post(format!("{}/api/v1{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let request = request.header("content-type", "application/json").body(body);
        Some(request.send().await.ok()?.status().as_u16())
    }

    /// The answer of a request that may find nobody.
    pub async fn try_get(&self, path: &str) -> Option<serde_json::Value> {
        let response = self.request("GET", path, &[]).send().await.ok()?;
        response.json().await.ok()
    }

    /// All items of a list.
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> Vec<T> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let cursor = next.map(|c| format!("&cursor={c}")).unwrap_or_default();
            let page: muster_proto::api::Page<T> = self.get(&format!("{path}?limit=1000{cursor}")).await;
            items.extend(page.items);
            match page.next {
                Some(cursor) => next = Some(cursor),
                None => return items,
            }
        }
    }

    /// A request with YAML text and further headers.
    pub async fn raw_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, Vec<u8>, reqwest::header::HeaderMap) {
        let url = format!("{}/api/v1{path}", self.base);
        let mut request = self.client.request(method.parse().unwrap(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("content-type", "application/yaml").body(body.to_owned());
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, response.bytes().await.unwrap().to_vec(), headers)
    }

    pub async fn yaml_put<T: DeserializeOwned>(&self, path: &str, text: &str, status: u16) -> T {
        self.json("PUT", path, Some(("application/yaml", text.as_bytes().to_vec())), status).await
    }

    /// A request with headers of its own; `/x` is below the interface, `//x` below the root.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let url = match path.strip_prefix("//") {
            Some(root) => format!("{}/{root}", self.base),
            None => format!("{}/api/v1{path}", self.base),
        };
        let request = self.client.request(method.parse().unwrap(), url);
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The same controller with another token, or none.
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    pub async fn json<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        status: u16,
    ) -> T {
        let (got, bytes, _) = self.raw(method, path, body).await;
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(got, status, "{method} {path}: {text}");
        serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{method} {path}: {e}: {text}"))
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.json("GET", path, None, 200).await
    }

    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B, status: u16) -> T {
        let body = ("application/json", serde_json::to_vec(body).unwrap());
        self.json("POST", path, Some(body), status).await
    }

    pub async fn yaml<T: DeserializeOwned>(&self, path: &str, text: &str, status: u16) -> T {
        self.json("POST", path, Some(("application/yaml", text.as_bytes().to_vec())), status).await
    }

    pub async fn problem(&self, method: &str, path: &str, body: Option<(&str, Vec<u8>)>) -> Problem {
        let (status, bytes, headers) = self.raw(method, path, body).await;
        assert_eq!(headers["content-type"], "application/problem+json", "{method} {path}");
        let problem: Problem = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(problem.status, status);
        assert!(!problem.detail.is_empty());
        problem
    }
}

/// A small OpAMP agent.
pub struct TestAgent {
    pub addr: SocketAddr,
    pub ca: String,
    pub uid: uuid::Uuid,
    pub key: Arc<rcgen::KeyPair>,
    pub certificate: Option<String>,
    pub sequence: u64,
}

impl TestAgent {
    pub fn new(addr: SocketAddr, ca: &str) -> Self {
        Self {
            addr,
            ca: ca.to_owned(),
            uid: uuid::Uuid::now_v7(),
            key: Arc::new(rcgen::KeyPair::generate().unwrap()),
            certificate: None,
            sequence: 0,
        }
    }

    pub fn tls(&self) -> rustls::ClientConfig {
        tls(&self.ca, self.certificate.as_deref().map(|pem| (pem, &*self.key)))
    }

    /// Dials; the error of a refused upgrade is the problem in its body.
    pub async fn dial(&self, bearer: Option<&str>) -> Result<Socket, Problem> {
        let tcp = TcpStream::connect(self.addr).await.unwrap();
        let name = ServerName::from(self.addr.ip());
        let stream = TlsConnector::from(Arc::new(self.tls())).connect(name, tcp).await.unwrap();
        let mut request = format!("wss://{}/v1/opamp", self.addr).into_client_request().unwrap();
        if let Some(token) = bearer {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(WsError::Http(response)) => {
                let body = response.body().as_ref().expect("a refusal has a body");
                let problem: Problem = serde_json::from_slice(body).unwrap();
                assert_eq!(problem.status, response.status().as_u16());
                Err(problem)
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub fn csr(&self) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, self.uid.to_string());
        params.serialize_request(&*self.key).unwrap().pem().unwrap().into_bytes()
    }

    pub fn message(&mut self) -> AgentToServer {
        let message = AgentToServer {
            instance_uid: self.uid.as_bytes().to_vec(),
            sequence_num: self.sequence,
            capabilities: CAPABILITIES.0,
            ..AgentToServer::default()
        };
        self.sequence += 1;
        message
    }

    pub fn with_csr(&mut self) -> AgentToServer {
        let request = CertificateRequest { csr: self.csr() };
        let opamp = OpAmpConnectionSettingsRequest { certificate_request: Some(request) };
        AgentToServer {
            connection_settings_request: Some(ConnectionSettingsRequest { opamp: Some(opamp) }),
            ..self.message()
        }
    }

    /// A report with everything in it.
    pub fn full(&mut self) -> AgentToServer {
        AgentToServer {
            agent_description: Some(AgentDescription {
                identifying_attributes: vec![
                    attribute::text(attribute::SERVICE_NAME, attribute::MUSTER_AGENT),
                    attribute::text(attribute::SERVICE_VERSION, "0.1.0"),
                ],
                non_identifying_attributes: vec![
                    attribute::text(attribute::IBMI_SYSTEM_NAME, "PROD01"),
                    attribute::text(attribute::IBMI_OS_RELEASE, "V7R5M0"),
                ],
            }),
            health: Some(health(true, "")),
            effective_config: Some(EffectiveConfig { config_map: Some(config::policy_map(b"{}".to_vec())) }),
            remote_config_status: Some(RemoteConfigStatus::default()),
            custom_capabilities: Some(CustomCapabilities {
                capabilities: vec![rates::CAPABILITY.to_owned()],
            }),
            ..self.message()
        }
    }

    /// Enrols over a WebSocket and keeps the certificate.
    pub async fn enrol(&mut self, token: &str) -> ServerToAgent {
        let mut socket = self.dial(Some(token)).await.unwrap();
        let request = self.with_csr();
        let reply = ask(&mut socket, &request).await;
        self.keep(&reply);
        reply
    }

    /// Keeps the certificate in an answer.
    pub fn keep(&mut self, reply: &ServerToAgent) {
        let settings = reply.connection_settings.as_ref().unwrap_or_else(|| panic!("no offer in {reply:?}"));
        let opamp = settings.opamp.as_ref().unwrap();
        assert_eq!(opamp.heartbeat_interval_seconds, 30);
        assert!(opamp.destination_endpoint.contains("s://"));
        let certificate = opamp.certificate.as_ref().unwrap();
        assert_eq!(certificate.ca_cert, self.ca.as_bytes());
        assert!(certificate.private_key.is_empty());
        self.certificate = Some(String::from_utf8(certificate.cert.clone()).unwrap());
    }

    /// Connects with the certificate and sends a full report.
    pub async fn connect(&mut self) -> (Socket, ServerToAgent) {
        let mut socket = self.dial(None).await.unwrap();
        let report = self.full();
        let reply = ask(&mut socket, &report).await;
        (socket, reply)
    }

    pub fn status(&mut self, hash: &[u8], status: RemoteConfigStatuses, error: &str) -> AgentToServer {
        AgentToServer {
            remote_config_status: Some(RemoteConfigStatus {
                last_remote_config_hash: hash.to_vec(),
                status: status.into(),
                error_message: error.to_owned(),
            }),
            ..self.message()
        }
    }
}

pub const CAPABILITIES: AgentCapabilities = AgentCapabilities(
    AgentCapabilities::REPORTS_STATUS.0
        | AgentCapabilities::ACCEPTS_REMOTE_CONFIG.0
        | AgentCapabilities::REPORTS_EFFECTIVE_CONFIG.0
        | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS.0
        | AgentCapabilities::REPORTS_HEALTH.0
        | AgentCapabilities::REPORTS_REMOTE_CONFIG.0
        | AgentCapabilities::REPORTS_HEARTBEAT.0,
);

pub fn health(healthy: bool, error: &str) -> ComponentHealth {
    let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap();
    let source = ComponentHealth {
        healthy,
        last_error: error.to_owned(),
        status: if healthy { "running" } else { "failed" }.to_owned(),
        status_time_unix_nano: now,
        ..ComponentHealth::default()
    };
    let component_health_map: BTreeMap<_, _> = [("source/audit".to_owned(), source)].into();
    ComponentHealth { healthy, component_health_map, ..ComponentHealth::default() }
}

pub async fn send(socket: &mut Socket, message: &AgentToServer) {
    let bytes = frame::encode(message, frame::MAX_MESSAGE_BYTES).unwrap();
    socket.send(Frame::Binary(bytes.into())).await.unwrap();
}

/// The next message of the controller; pings are answered on the way.
pub async fn next(socket: &mut Socket) -> ServerToAgent {
    match next_or_close(socket).await {
        Ok(message) => message,
        Err(code) => panic!("closed with {code:?}"),
    }
}

/// The next message, or the code of the close frame.
pub async fn next_or_close(socket: &mut Socket) -> Result<ServerToAgent, Option<u16>> {
    let wait = async {
        loop {
            match socket.next().await {
                Some(Ok(Frame::Binary(bytes))) => {
                    return Ok(frame::decode(&bytes, frame::MAX_MESSAGE_BYTES).unwrap());
                }
                Some(Ok(Frame::Close(close))) => return Err(close.map(|c| c.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the controller is silent")
}

pub async fn ask(socket: &mut Socket, message: &AgentToServer) -> ServerToAgent {
    send(socket, message).await;
    next(socket).await
}

/// Text of an error answer.
pub fn error_text(reply: &ServerToAgent) -> String {
    reply.error_response.as_ref().unwrap_or_else(|| panic!("no error in {reply:?}")).error_message.clone()
}

pub const POLICY: &str = "\
api_version: muster/v1
name: base
spec:
  sources:
    audit:
      kind: audit_journal
  rules:
    - name: no-zr
      match:
        entry_types: [ZR]
      action: drop
  destinations:
    siem:
      transport:
        kind: tcp
        address: siem.example:514
";
