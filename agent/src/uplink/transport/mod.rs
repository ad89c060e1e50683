//! One connection to a controller, over WebSocket or plain HTTP, as a task with two bounded channels.
//!
//! The task opens the connection, carries messages both ways and ends with exactly one
//! [`LinkEvent::Closed`]. It decides nothing: waits, retries and what to say belong to the caller.
//! Dropping the [`Link`] ends the task.

mod http;
pub mod proxy;
mod websocket;

use super::endpoint::Endpoint;
use super::failure::Failure;
use muster_proto::opamp::frame::MAX_MESSAGE_BYTES;
use muster_proto::opamp::{AgentToServer, INCARNATION_HEADER, ServerToAgent};
use muster_shared::incarnation::Claim;
use proxy::Proxy;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// Messages waiting to be written: one being written and one behind it. Status is state, not a queue, so
/// whoever has more to say says the newest once there is room ([`LinkEvent::Written`]).
const OUTBOX: usize = 2;

/// Events waiting to be handled.
const INBOX: usize = 16;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportKind {
    /// A WebSocket: the controller reaches the agent at any time.
    #[default]
    Websocket,
    /// Plain HTTP: the agent polls.
    Http,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For TCP, TLS and upgrade together.
    pub open: Duration,
    /// For writing one message.
    pub write: Duration,
    /// For the answer that every message gets; without one the connection is given up.
    pub answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(15),
            write: Duration::from_secs(20),
            answer: Duration::from_secs(30),
        }
    }
}

/// What a connection needs to know.
#[derive(Clone)]
pub struct LinkRequest {
    /// Where to.
    pub endpoint: Endpoint,
    /// How messages travel.
    pub kind: TransportKind,
    /// Trust and own certificate.
    pub tls: Arc<ClientConfig>,
    /// The highest incarnation of the controller that this agent has met.
    pub incarnation: Option<Claim>,
    /// Enrolment token, sent as `Authorization: Bearer`.
    pub bearer: Option<Zeroizing<String>>,
    /// The way there, if not direct.
    pub proxy: Option<Proxy>,
    /// How long to wait.
    pub deadlines: Deadlines,
    /// Largest message in bytes, either way.
    pub max_message: usize,
}

impl LinkRequest {
    /// A request with the usual limits.
    #[must_use]
    pub fn new(endpoint: Endpoint, kind: TransportKind, tls: Arc<ClientConfig>) -> Self {
        let deadlines = Deadlines::default();
        Self {
            endpoint,
            kind,
            tls,
            incarnation: None,
            bearer: None,
            proxy: None,
            deadlines,
            max_message: MAX_MESSAGE_BYTES,
        }
    }
}

/// What a connection tells.
#[derive(Debug, PartialEq)]
pub enum LinkEvent {
    /// The controller shows its incarnation: before [`LinkEvent::Opened`], or before the message that came with it.
    Incarnation(Claim),
    /// Ready to carry messages.
    Opened,
    /// A message was written; there is room for another.
    Written,
    /// A message came.
    Message(Box<ServerToAgent>),
    /// The end; nothing follows.
    Closed(Failure),
}

/// A connection: its two channels and its task.
#[derive(Debug)]
pub struct Link {
    /// Messages to the controller.
    pub outbox: mpsc::Sender<AgentToServer>,
    /// What happens.
    pub events: mpsc::Receiver<LinkEvent>,
    /// Ends the task when dropped.
    pub task: LinkTask,
}

/// Ends a connection's task when dropped.
#[derive(Debug)]
pub struct LinkTask(JoinHandle<()>);

impl LinkTask {
    /// Waits until the connection is closed.
    pub async fn finished(mut self) {
        // A task that was aborted or panicked is finished too.
        let _ = (&mut self.0).await;
    }
}

impl Drop for LinkTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens a connection. Closing the outbox ends it in good order: what is in it is still written.
#[must_use]
pub fn open(request: LinkRequest) -> Link {
    let (outbox, to_send) = mpsc::channel(OUTBOX);
    let (report, events) = mpsc::channel(INBOX);
    let task = tokio::spawn(async move {
        let failure = match request.kind {
            TransportKind::Websocket => websocket::run(request, to_send, &report).await,
            TransportKind::Http => http::run(request, to_send, &report).await,
        };
        // A receiver that is gone does not want to know.
        let _ = report.send(LinkEvent::Closed(failure)).await;
    });
    Link { outbox, events, task: LinkTask(task) }
}

/// The incarnation that a controller shows; one that cannot be read is as if it showed none.
fn shown(headers: &reqwest::header::HeaderMap) -> Option<Claim> {
    headers.get(INCARNATION_HEADER)?.to_str().ok()?.parse().ok()
}

/// The end that the agent itself asked for.
fn closed_by_us(endpoint: &Endpoint) -> Failure {
    Failure::Unreachable(format!("connection to {endpoint} closed by this agent"))
}

/// The receiver of events is gone.
struct Abandoned;

async fn tell(report: &mpsc::Sender<LinkEvent>, event: LinkEvent) -> Result<(), Abandoned> {
    report.send(event).await.map_err(|_| Abandoned)
}
