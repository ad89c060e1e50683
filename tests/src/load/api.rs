//! The controller's API as a program uses it.

use anyhow::{Context as _, ensure};
use muster_proto::api::{
    FleetView, LoginReply, LoginRequest, Page, PasswordChange, PolicyPublished, PolicyStatus, RolloutRequest,
    RolloutView, TokenCreated, TokenRequest,
};
use reqwest::{Method, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// A client that is signed in.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    session: String,
}

impl Api {
    /// Signs in.
    ///
    /// # Errors
    /// If the controller does not answer or refuses.
    pub async fn login(
        address: SocketAddr,
        ca_pem: &str,
        user: &str,
        password: &str,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // As every HTTP client does.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(DEADLINE).build()?;
        let mut api = Self { client, base: format!("https://{address}/api/v1"), session: String::new() };
        let request = LoginRequest { user: user.to_owned(), password: password.to_owned() };
        let reply: LoginReply = api.send(Method::POST, "/login", Some(json(&request)?)).await?;
        api.session = reply.token;
        Ok(api)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> anyhow::Result<T> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if !self.session.is_empty() {
            request = request.bearer_auth(&self.session);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        ensure!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).with_context(|| format!("{path} answers something else"))
    }

    /// Gives the user of the session another password; the session stays.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn change_password(&self, current: &str, new: &str) -> anyhow::Result<()> {
        let change = PasswordChange { current: current.to_owned(), new: new.to_owned() };
        let (kind, body) = json(&change)?;
        let url = format!("{}/password", self.base);
        let request =
            self.client.post(url).bearer_auth(&self.session).header("content-type", kind).body(body);
        request.send().await?.error_for_status().context("the password is not changed")?;
        Ok(())
    }

    /// What `/metrics` says.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let url = format!("{}/metrics", self.base.trim_end_matches("/api/v1"));
        Ok(self.client.get(url).bearer_auth(&self.session).send().await?.error_for_status()?.text().await?)
    }

    /// The answer to a GET, however large; and how long it took.
    ///
    /// # Errors
    /// If there is none, or another status than 200.
    pub async fn timed_get(&self, path: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let response =
            self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.session).send().await?;
        let status = response.status();
        let _ = response.bytes().await?;
        ensure!(status == StatusCode::OK, "{path}: {status}");
        Ok(began.elapsed())
    }

    /// A token that lets `uses` agents in.
    ///
    /// # Errors
    /// If the controller makes none.
    pub async fn token(&self, uses: u32) -> anyhow::Result<String> {
        let request = TokenRequest { uses: Some(uses), ..TokenRequest::default() };
        let made: TokenCreated = self.send(Method::POST, "/tokens", Some(json(&request)?)).await?;
        Ok(made.token)
    }

    /// The fleet at a glance.
    ///
    /// # Errors
    /// If the controller does not tell.
    pub async fn fleet(&self) -> anyhow::Result<FleetView> {
        self.send(Method::GET, "/fleet", None).await
    }

    /// Publishes a policy.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn publish(&self, text: &str) -> anyhow::Result<PolicyPublished> {
        self.send(Method::POST, "/policies", Some(("application/yaml", text.as_bytes().to_vec()))).await
    }

    /// How far a policy got.
    ///
    /// # Errors
    /// If there is none.
    pub async fn policy_status(&self, name: &str) -> anyhow::Result<PolicyStatus> {
        self.send(Method::GET, &format!("/policies/{name}/status"), None).await
    }

    /// Starts a rollout.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn start_rollout(&self, request: &RolloutRequest) -> anyhow::Result<RolloutView> {
        self.send(Method::POST, "/rollouts", Some(json(request)?)).await
    }

    /// A rollout, as it is told.
    ///
    /// # Errors
    /// If there is none.
    pub async fn rollout(&self, id: u64) -> anyhow::Result<RolloutView> {
        self.send(Method::GET, &format!("/rollouts/{id}"), None).await
    }

    /// Every agent, as it is told, in the order of ids.
    ///
    /// # Errors
    /// If the controller does not tell.
    pub async fn agents(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let mut all = Vec::new();
        let mut path = "/agents?limit=1000".to_owned();
        loop {
            let Page { items, next } = self.send::<Page<serde_json::Value>>(Method::GET, &path, None).await?;
            all.extend(items);
            match next {
                Some(cursor) => path = format!("/agents?limit=1000&cursor={cursor}"),
                None => return Ok(all),
            }
        }
    }

    /// One agent, as it is told.
    ///
    /// # Errors
    /// If the controller does not tell.
    pub async fn agent(&self, id: &str) -> anyhow::Result<serde_json::Value> {
        self.send(Method::GET, &format!("/agents/{id}"), None).await
    }
}

fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<(&'static str, Vec<u8>)> {
    Ok(("application/json", serde_json::to_vec(value)?))
}
