//! Asks the controller for its audit log, over the agent's own mutual TLS.

use crate::enrol::Identity;
use crate::uplink::connection::ConnectionFile;
use crate::uplink::endpoint::Endpoint;
use crate::uplink::failure::problem_text;
use crate::uplink::incarnation::IncarnationFile;
use crate::uplink::transport::proxy::Proxy;
use futures_util::future::LocalBoxFuture;
use muster_proto::api::AgentAuditPage;
use muster_proto::opamp::INCARNATION_HEADER;
use muster_shared::incarnation::{Claim, judge};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest answer: the controller ends a page at 2 MiB, and quotes are doubled in it.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives pages of the log; the controller, or a made-up one in tests.
pub trait Pages {
    /// At most `limit` entries after `after`.
    fn page(&mut self, after: u64, limit: u32) -> LocalBoxFuture<'_, Result<AgentAuditPage, PageError>>;

    /// Name of the controller for the events.
    fn controller(&self) -> &str;
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// No controller answers; it will again.
    #[error("the audit log cannot be read from the controller: {0}")]
    Unreachable(String),
    /// The controller does not give it to this agent.
    #[error("the controller does not give its audit log to this agent: {0}")]
    Refused(String),
}

/// The controllers of the agent, asked in turn until one answers.
pub struct Controllers {
    state_dir: PathBuf,
    proxy: Option<Proxy>,
    client: reqwest::Client,
    endpoints: Vec<Endpoint>,
    /// Certificate and trust that the client has: the agent renews them while it runs.
    shown: (String, String),
}

impl Controllers {
    /// With the agent's identity in its state folder.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(state_dir: &Path, proxy: Option<Proxy>) -> Result<Self, PageError> {
        let identity = identity(state_dir)?;
        let (client, endpoints) = dialling(state_dir, &identity, proxy.as_ref())?;
        let shown = (identity.cert_pem, identity.ca_pem);
        Ok(Self { state_dir: state_dir.to_owned(), proxy, client, endpoints, shown })
    }

    /// Takes over what became of the agent's identity since.
    fn refresh(&mut self) -> Result<(), PageError> {
        let identity = identity(&self.state_dir)?;
        if (&identity.cert_pem, &identity.ca_pem) == (&self.shown.0, &self.shown.1) {
            return Ok(());
        }
        (self.client, self.endpoints) = dialling(&self.state_dir, &identity, self.proxy.as_ref())?;
        self.shown = (identity.cert_pem, identity.ca_pem);
        Ok(())
    }

    async fn ask(&self, endpoint: &Endpoint, after: u64, limit: u32) -> Result<AgentAuditPage, PageError> {
        let mut url = endpoint.http_url().clone();
        url.set_path("/api/v1/agent/audit");
        url.query_pairs_mut()
            .append_pair("after", &after.to_string())
            .append_pair("limit", &limit.to_string());
        let unreachable = |error: reqwest::Error| PageError::Unreachable(error.without_url().to_string());
        let met = IncarnationFile::new(&self.state_dir).load();
        let mut request = self.client.get(url);
        if let Some(met) = &met {
            request = request.header(INCARNATION_HEADER, met.to_string());
        }
        let mut response = request.send().await.map_err(unreachable)?;
        // The log of a controller that was replaced would look like one that was cut.
        let shown = response.headers().get(INCARNATION_HEADER).and_then(|value| value.to_str().ok());
        if let (Some(met), Some(Ok(shown))) = (&met, shown.map(str::parse::<Claim>)) {
            judge(Some(&met.incarnation), &shown.incarnation)
                .map_err(|reason| PageError::Unreachable(format!("{endpoint} is refused: {reason}")))?;
        }
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(PageError::Unreachable(format!("{endpoint} answers more than {MAX_BODY} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            let said = problem_text(&body);
            return Err(match status.as_u16() {
                401 | 403 => PageError::Refused(said),
                code => PageError::Unreachable(format!("{endpoint} answers HTTP {code} ({said})")),
            });
        }
        serde_json::from_slice(&body)
            .map_err(|error| PageError::Unreachable(format!("{endpoint} answers no audit log: {error}")))
    }
}

fn identity(state_dir: &Path) -> Result<Identity, PageError> {
    Identity::load(state_dir).map_err(unusable)
}

fn unusable(error: impl std::fmt::Display) -> PageError {
    PageError::Refused(error.to_string())
}

fn dialling(
    state_dir: &Path,
    identity: &Identity,
    proxy: Option<&Proxy>,
) -> Result<(reqwest::Client, Vec<Endpoint>), PageError> {
    let tls = identity.client_config().map_err(unusable)?;
    let enrolled = identity.endpoints().map_err(unusable)?;
    let endpoints = ConnectionFile::new(state_dir).load().settled(&enrolled).map_err(unusable)?;
    let builder = match proxy {
        Some(proxy) => reqwest::Client::builder().proxy(proxy.for_client().map_err(unusable)?),
        None => reqwest::Client::builder().no_proxy(),
    };
    let client = builder
        .tls_backend_preconfigured((*tls).clone())
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(unusable)?;
    Ok((client, endpoints))
}

impl Pages for Controllers {
    fn page(&mut self, after: u64, limit: u32) -> LocalBoxFuture<'_, Result<AgentAuditPage, PageError>> {
        Box::pin(async move {
            self.refresh()?;
            let mut last = PageError::Unreachable("the agent knows of none".to_owned());
            for at in 0..self.endpoints.len() {
                match self.ask(&self.endpoints[at], after, limit).await {
                    Ok(page) => {
                        // The one that answers is asked first from now on.
                        self.endpoints.swap(0, at);
                        return Ok(page);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }

    fn controller(&self) -> &str {
        self.endpoints.first().map_or("", Endpoint::host)
    }
}
