//! OpAMP over a WebSocket: one task per connection.

use super::MAX_AGENT_MESSAGE_BYTES;
use super::admission::{Admission, admit};
use super::claim::{Claim, claim_socket};
use super::foreign::{self, By};
use super::outbox::{Farewell, Outbox, Pending};
use super::process::{Channel, Verdict, persist, persist_last_seen, process, restart_command, warning};
use crate::app::App;
use crate::fleet::agent::CAPABILITIES;
use crate::fleet::link::Link;
use crate::http::detached;
use crate::http::error::ApiError;
use crate::identity::enrol::pace_offer;
use crate::identity::peer::ConnectionInfo;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError, Session};
use jiff::Timestamp;
use muster_proto::opamp::frame::{self, FrameError, MAX_MESSAGE_BYTES};
use muster_proto::opamp::{DEFAULT_HEARTBEAT_SECONDS, PATH, ServerToAgent};
use muster_proto::session::inspect::InspectMessage;
use muster_proto::session::rates::RatesMessage;
use muster_shared::id::AgentId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A peer that takes longer to read a message is dead.
const SEND_DEADLINE: Duration = Duration::from_secs(20);
/// A new agent that does not finish enrolling within this is shut out.
const ENROL_DEADLINE: Duration = Duration::from_secs(120);

/// URL that the agent dialled, as it will be offered.
pub(crate) fn endpoint(app: &App, request: &HttpRequest, scheme: &str) -> String {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|a| a.as_str()));
    let host = host.map_or_else(|| app.address.to_string(), str::to_owned);
    format!("{scheme}://{host}{PATH}")
}

/// Upgrades a request.
///
/// # Errors
/// A problem if the agent is not admitted, or the request is no upgrade.
pub async fn upgrade(
    app: web::Data<App>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let connection = crate::http::connection(&request)?;
    if app.is_stopping() {
        return Err(ApiError::unavailable("the controller is shutting down", 2));
    }
    let places = app.sessions.load(Ordering::Relaxed);
    if places >= super::MAX_SESSIONS {
        return Err(ApiError::unavailable("the controller has as many connections as it can hold", 10));
    }
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
    let authorization = authorization.map(str::to_owned);
    let admission = {
        let (app, connection) = (app.clone(), connection.clone());
        let admit = async move { admit(&app, &connection, authorization.as_deref(), Timestamp::now()).await };
        detached(admit).await
    };
    let admission = admission.inspect_err(|e| {
        tracing::warn!(from = %connection.address, reason = %e, "agent refused");
    })?;
    // Only what can be upgraded claims the identity.
    let (response, session, stream) = actix_ws::handle(&request, body).map_err(ApiError::not_an_upgrade)?;
    let claim = match &admission {
        Admission::Agent { id } | Admission::Foreign { agent: Some(id), .. } => {
            Some(claim_socket(&app, *id, connection.address).await?)
        }
        Admission::Renewing { .. } | Admission::Enrolling { .. } | Admission::Foreign { agent: None, .. } => {
            None
        }
    };
    let endpoint = endpoint(&app, &request, "wss");
    let channel = Channel { admission, claim, from: connection.address.ip(), endpoint };
    let stream = stream
        .max_frame_size(MAX_AGENT_MESSAGE_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MAX_AGENT_MESSAGE_BYTES);
    actix_web::rt::spawn(run(app, channel, connection, session, stream));
    Ok(response)
}

/// How a session ended.
#[derive(Debug)]
enum End {
    /// The other end went away.
    Gone,
    /// It is silent or does not read.
    Dead,
    /// This end closes, with a reason.
    Close(CloseCode, &'static str),
}

/// The session of one connection.
struct Connection {
    app: web::Data<App>,
    channel: Channel,
    address: SocketAddr,
    session: Session,
    probes: Vec<tokio::sync::oneshot::Sender<()>>,
}

async fn run(
    app: web::Data<App>,
    channel: Channel,
    connection: ConnectionInfo,
    session: Session,
    stream: AggregatedMessageStream,
) {
    app.sessions.fetch_add(1, Ordering::Relaxed);
    let agent = channel.agent();
    let address = connection.address;
    let mut link = Connection { app: app.clone(), channel, address, session, probes: Vec::new() };
    tracing::info!(agent_id = agent.map(tracing::field::display), from = %connection.address, "agent connected");
    let end = link.serve(stream).await;
    let agent = link.channel.agent();
    tracing::info!(agent_id = agent.map(tracing::field::display), from = %connection.address, ?end, "agent disconnected");
    let Connection { session, channel: Channel { claim, .. }, .. } = link;
    if let End::Close(code, why) = end {
        // A peer that does not take the close frame is gone: nothing is lost.
        let reason = CloseReason { code, description: Some(why.to_owned()) };
        let _ = tokio::time::timeout(SEND_DEADLINE, session.close(Some(reason))).await;
    }
    if let (Some(id), Some(claim)) = (agent, claim) {
        let at = Timestamp::now();
        let own = app.fleet.with_epoch(id, claim.epoch, |agent| agent.link = Link::Closed { at });
        if own.is_some() {
            persist_last_seen(&app, id).await;
        }
    }
    app.sessions.fetch_sub(1, Ordering::Relaxed);
}

impl Connection {
    async fn serve(&mut self, mut stream: AggregatedMessageStream) -> End {
        let mut outbox = self.outbox();
        let heartbeat = Duration::from_secs(self.app.config.heartbeat_seconds.max(1));
        let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + heartbeat, heartbeat);
        let mut claimed = self.channel.claim.is_some();
        let mut silence = self.silence(heartbeat);
        let mut deadline = tokio::time::Instant::now() + silence;
        loop {
            if self.channel.claim.is_some() && !claimed {
                // The first message of a foreign agent made it known.
                claimed = true;
                outbox = self.outbox();
                silence = self.silence(heartbeat);
            }
            let step = tokio::select! {
                frame = stream.recv() => {
                    // A new agent has its time in all, an enrolled one from its last sign of life.
                    if self.channel.claim.is_some() {
                        deadline = tokio::time::Instant::now() + silence;
                    }
                    self.alive();
                    match frame {
                        None => Err(End::Gone),
                        Some(Ok(frame)) => self.hear(frame).await,
                        Some(Err(error)) => Err(protocol_end(&error)),
                    }
                }
                () = outbox.changed() => self.speak(outbox.take()).await,
                _ = ping.tick() => self.ping().await,
                () = tokio::time::sleep_until(deadline) => Err(End::Dead),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn outbox(&self) -> Arc<Outbox> {
        self.channel.claim.as_ref().map_or_else(Arc::<Outbox>::default, |c| Arc::clone(&c.outbox))
    }

    /// How long nothing may be heard. Foreign agents have a pace of their own; their sockets answer pings.
    fn silence(&self, heartbeat: Duration) -> Duration {
        let default = Duration::from_secs(DEFAULT_HEARTBEAT_SECONDS);
        match (&self.channel.claim, &self.channel.admission) {
            (None, _) => ENROL_DEADLINE,
            (Some(_), Admission::Foreign { .. }) => heartbeat.max(default) * 3 + Duration::from_secs(10),
            (Some(_), _) => heartbeat * 3 + Duration::from_secs(10),
        }
    }

    fn uid(&self) -> Vec<u8> {
        self.channel.agent().map(|id| id.0.as_bytes().to_vec()).unwrap_or_default()
    }

    fn alive(&mut self) {
        for probe in self.probes.drain(..) {
            // Whoever asked may have given up.
            let _ = probe.send(());
        }
    }

    async fn hear(&mut self, frame: AggregatedMessage) -> Result<(), End> {
        match frame {
            AggregatedMessage::Binary(bytes) => self.message(&bytes).await,
            AggregatedMessage::Text(_) => {
                Err(End::Close(CloseCode::Unsupported, "OpAMP messages are binary frames"))
            }
            AggregatedMessage::Ping(payload) => {
                let pong = self.session.pong(&payload);
                sent(tokio::time::timeout(SEND_DEADLINE, pong).await)
            }
            AggregatedMessage::Pong(_) => {
                self.note_pong();
                Ok(())
            }
            AggregatedMessage::Close(_) => Err(End::Close(CloseCode::Normal, "")),
        }
    }

    /// An agent that has no heartbeats is alive as long as its socket answers.
    fn note_pong(&self) {
        use muster_proto::opamp::capability::AgentCapabilities;
        if let (Some(id), Some(claim)) = (self.channel.agent(), &self.channel.claim) {
            self.app.fleet.with_epoch(id, claim.epoch, |agent| {
                let capabilities = AgentCapabilities(agent.observed.capabilities);
                if agent.last_seen.is_some() && !capabilities.has(AgentCapabilities::REPORTS_HEARTBEAT) {
                    agent.last_seen = Some(Timestamp::now());
                }
            });
        }
    }

    async fn message(&mut self, bytes: &[u8]) -> Result<(), End> {
        let message = match frame::decode(bytes, MAX_AGENT_MESSAGE_BYTES) {
            Ok(message) => message,
            Err(FrameError::TooBig { .. }) => return Err(End::Close(CloseCode::Size, TOO_BIG)),
            Err(FrameError::Header | FrameError::Body(_)) => {
                return Err(End::Close(CloseCode::Protocol, "this is no OpAMP message"));
            }
        };
        let settled = foreign::settle(&self.app, &mut self.channel, By::Socket, self.address, &message).await;
        let verdict = match settled {
            Some(verdict) => verdict,
            None => process(&self.app, &self.channel, &message).await,
        };
        let refused = matches!(verdict, Verdict::Refuse(_));
        self.send(&verdict.into_reply()).await?;
        if refused {
            return Err(End::Close(CloseCode::Policy, "refused; the reason was sent before"));
        }
        if message.agent_disconnect.is_some() {
            return Err(End::Close(CloseCode::Normal, ""));
        }
        Ok(())
    }

    async fn send(&mut self, reply: &ServerToAgent) -> Result<(), End> {
        match frame::encode(reply, MAX_MESSAGE_BYTES) {
            Ok(bytes) => {
                let send = self.session.binary(bytes);
                sent(tokio::time::timeout(SEND_DEADLINE, send).await)
            }
            Err(error) if reply.remote_config.is_some() => {
                // Too large because of the policy: the rest of the answer is not withheld for it.
                tracing::error!(%error, "policy too large to be offered");
                let rest = ServerToAgent { remote_config: None, ..reply.clone() };
                Box::pin(self.send(&rest)).await
            }
            Err(error) => {
                tracing::error!(%error, "message to an agent not sent");
                Ok(())
            }
        }
    }

    async fn ping(&mut self) -> Result<(), End> {
        let ping = self.session.ping(b"");
        sent(tokio::time::timeout(SEND_DEADLINE, ping).await)
    }

    /// Sends what waits.
    async fn speak(&mut self, pending: Pending) -> Result<(), End> {
        let Pending { policy, settings, watch, asks, restart, warning: text, probes, farewell } = pending;
        if !probes.is_empty() {
            // Those who asked before and gave up are forgotten, so that this does not grow.
            self.probes.retain(|p| !p.is_closed());
            self.probes.extend(probes);
            self.ping().await?;
        }
        if let Some(text) = text {
            let uid = self.uid();
            self.send(&warning(&uid, text)).await?;
        }
        let mut news = ServerToAgent {
            instance_uid: self.uid(),
            capabilities: CAPABILITIES.0,
            custom_message: watch.map(|w| RatesMessage::Watch(w).to_custom()),
            ..ServerToAgent::default()
        };
        if policy && let (Some(id), Some(claim)) = (self.channel.agent(), &self.channel.claim) {
            news.remote_config = offer_now(&self.app, id, claim).await;
        }
        if settings {
            let (app, endpoint) = (&self.app, &self.channel.endpoint);
            news.connection_settings =
                Some(pace_offer(&app.authority.trust(), endpoint, app.config.heartbeat_seconds));
        }
        if news.remote_config.is_some() || news.custom_message.is_some() || news.connection_settings.is_some()
        {
            self.send(&news).await?;
        }
        for ask in asks {
            let question = ServerToAgent {
                instance_uid: self.uid(),
                custom_message: Some(InspectMessage::Request(ask).to_custom()),
                ..ServerToAgent::default()
            };
            self.send(&question).await?;
        }
        if restart {
            self.send(&restart_command(&self.uid())).await?;
        }
        match farewell {
            None => Ok(()),
            Some(Farewell::Replaced) => Err(End::Close(CloseCode::Normal, "replaced by a newer connection")),
            Some(Farewell::Removed) => Err(End::Close(CloseCode::Policy, "the agent was removed")),
            Some(Farewell::Revoked) => Err(End::Close(CloseCode::Policy, "the agent was revoked")),
            Some(Farewell::Shutdown) => Err(End::Close(CloseCode::Away, "the controller is shutting down")),
        }
    }
}

/// The wanted policy if it is to be offered; what was offered is durable before it is sent.
async fn offer_now(app: &App, id: AgentId, claim: &Claim) -> Option<muster_proto::opamp::AgentRemoteConfig> {
    let now = Timestamp::now();
    let offer = app.fleet.with_epoch(id, claim.epoch, |agent| {
        let offer = agent.offer(now)?;
        agent.note_change();
        Some(offer)
    })??;
    match persist(app, id, true, None).await {
        Ok(()) => Some(offer),
        Err(error) => {
            tracing::error!(agent_id = %id, %error, "policy not offered: it could not be noted");
            None
        }
    }
}

const TOO_BIG: &str = "the message is larger than 1 MiB";

fn protocol_end(error: &ProtocolError) -> End {
    match error {
        ProtocolError::Overflow => End::Close(CloseCode::Size, TOO_BIG),
        // This is how the stream tells that fragments together are too large; a peer that went away without
        // a word has the same kind of error around an error of the payload.
        ProtocolError::Io(e) if e.kind() == std::io::ErrorKind::Other && !is_lost(e) => {
            End::Close(CloseCode::Size, TOO_BIG)
        }
        ProtocolError::Io(_) => End::Gone,
        _ => End::Close(CloseCode::Protocol, "this is no WebSocket frame"), // foreign enum
    }
}

/// The connection was lost, not misused.
fn is_lost(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<actix_web::error::PayloadError>())
}

fn sent<T>(result: Result<Result<T, actix_ws::Closed>, tokio::time::error::Elapsed>) -> Result<(), End> {
    match result {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(actix_ws::Closed)) => Err(End::Gone),
        Err(_) => Err(End::Dead),
    }
}
