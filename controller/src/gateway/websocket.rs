//! OpAMP over a WebSocket: one task per connection.

use super::MAX_AGENT_MESSAGE_BYTES;
use super::admission::{Admission, ENROL_ANEW, admit, revocation};
use super::claim::claim_socket;
use super::foreign::{self, By};
use super::liveness::{Due, Liveness};
use super::outbox::{Farewell, Outbox, Pending};
use super::overload::{Full, Place};
use super::process::{
    Channel, Verdict, lease_order, persist_last_seen, process, refusal, restart_command, says_nothing,
    warning,
};
use super::socket::{Broken, Heard, Socket};
use crate::app::App;
use crate::fleet::agent::CAPABILITIES;
use crate::fleet::link::Link;
use crate::http::detached;
use crate::http::error::ApiError;
use crate::identity::enrol::pace_offer;
use crate::identity::peer::ConnectionInfo;
use crate::incarnation;
use actix_codec::{Framed, FramedParts};
use actix_http::body::{BodySize, BoxBody, MessageBody as _};
use actix_http::ws::{CloseCode, HandshakeError, handshake_response, verify_handshake};
use actix_http::{ConnectionType, Request, RequestHead, Response, h1};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::http::header;
use actix_web::rt::net::TcpStream;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use bytes::{Bytes, BytesMut};
use futures_util::SinkExt as _;
use jiff::Timestamp;
use muster_proto::opamp::frame::{self, FrameError, MAX_MESSAGE_BYTES};
use muster_proto::opamp::{
    AgentToServer, DEFAULT_HEARTBEAT_SECONDS, INCARNATION_HEADER, PATH, ServerToAgent,
};
use muster_proto::session::inspect::InspectMessage;
use muster_proto::session::rates::RatesMessage;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

/// A peer that takes longer to read a message is dead.
const SEND_DEADLINE: Duration = Duration::from_secs(20);
/// A new agent that does not finish enrolling within this is shut out.
const ENROL_DEADLINE: Duration = Duration::from_secs(120);

/// URL that the agent dialled, as it will be offered.
pub(crate) fn endpoint(app: &App, head: &RequestHead, scheme: &str) -> String {
    let host = head.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(|a| a.as_str()));
    let host = host.map_or_else(|| app.address.to_string(), str::to_owned);
    format!("{scheme}://{host}{PATH}")
}

/// Answers a GET that is no upgrade: upgrades do not come this way.
///
/// # Errors
/// Always.
pub async fn no_upgrade(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let connection = crate::http::connection(&request)?;
    let _ = admission(&app, authorization(request.head()), &connection).await?;
    Err(ApiError::not_an_upgrade(&HandshakeError::NoWebsocketUpgrade))
}

fn authorization(head: &RequestHead) -> Option<String> {
    head.headers().get(header::AUTHORIZATION).and_then(|h| h.to_str().ok()).map(str::to_owned)
}

/// The highest incarnation of the controller that an agent says it has met.
pub(crate) fn met(head: &RequestHead) -> Option<String> {
    head.headers().get(INCARNATION_HEADER).and_then(|h| h.to_str().ok()).map(str::to_owned)
}

/// Whether what a peer of this authority has met proves that this controller was replaced; asked before it is
/// admitted.
pub(crate) async fn proven(
    app: &web::Data<App>,
    connection: &ConnectionInfo,
    met: Option<String>,
) -> Result<(), ApiError> {
    let Some(agent) = connection.peer.as_ref().map(|peer| peer.agent) else { return Ok(()) };
    incarnation::hear_proof(app, Some(agent), connection.address.ip(), met.as_deref()).await
}

/// Whether this controller is still the one for the agent.
pub(crate) async fn heard(
    app: &web::Data<App>,
    admission: &Admission,
    from: IpAddr,
    met: Option<String>,
) -> Result<(), ApiError> {
    let agent = match admission {
        Admission::Agent { id } | Admission::Renewing { id, .. } => Some(*id),
        Admission::Foreign { agent, .. } => *agent,
        Admission::Enrolling { .. } => None,
    };
    incarnation::hear(app, agent, from, met.as_deref()).await
}

/// Who asks, by certificate or token.
async fn admission(
    app: &web::Data<App>,
    authorization: Option<String>,
    connection: &ConnectionInfo,
) -> Result<Admission, ApiError> {
    let (app, connection) = (app.clone(), connection.clone());
    let from = connection.address;
    let admit = async move { admit(&app, &connection, authorization.as_deref(), Timestamp::now()).await };
    detached(admit).await.inspect_err(|e| {
        tracing::warn!(%from, reason = %e, "agent refused");
    })
}

/// The stream below a connection.
pub type Stream = TlsStream<TcpStream>;

/// Serves a connection that asks for an upgrade, to its end, in a task of its own: the one that it came in holds
/// what HTTP and the handshake needed, which is several times what a session needs for days.
pub fn serve(app: &web::Data<App>, request: Request, framed: Framed<Stream, h1::Codec>) {
    // Boxed before the task is made: what a future is called with stays in it to its end, as what is boxed does not.
    let opening = Box::pin(open(app.clone(), request, framed));
    actix_web::rt::spawn(app.links.track_future(session(opening)));
}

async fn session(opening: Pin<Box<impl Future<Output = Option<Box<Connection>>>>>) {
    let Some(mut link) = opening.await else { return };
    let end = link.serve().await;
    Box::pin(part(link, end)).await;
}

/// What a request says, without the buffers that it came in: thousands wait to be let in at the same time.
struct Asked {
    path: String,
    authorization: Option<String>,
    endpoint: String,
    connection: Option<ConnectionInfo>,
    /// The highest incarnation of the controller that the agent has met.
    met: Option<String>,
    /// The answer if it is let in.
    upgrade: Result<Response<()>, HandshakeError>,
}

impl Asked {
    fn of(app: &App, request: &Request) -> Self {
        let head = request.head();
        Self {
            path: head.uri.path().to_owned(),
            authorization: authorization(head),
            endpoint: endpoint(app, head, "wss"),
            connection: request.conn_data::<ConnectionInfo>().cloned(),
            met: met(head),
            upgrade: verify_handshake(head).map(|()| {
                let mut response = handshake_response(head);
                response.insert_header((INCARNATION_HEADER, app.incarnation.header()));
                response.finish().drop_body()
            }),
        }
    }
}

/// Upgrades; `None` if the connection was refused.
async fn open(
    app: web::Data<App>,
    request: Request,
    framed: Framed<Stream, h1::Codec>,
) -> Option<Box<Connection>> {
    let asked = Asked::of(&app, &request);
    drop(request);
    let mut parts = framed.into_parts();
    (parts.read_buf, parts.write_buf) = (BytesMut::from(&parts.read_buf[..]), BytesMut::new());
    let admitted = prepare(&app, asked).await;
    let mut framed = Framed::from_parts(parts);
    let Admitted { channel, address, arrival, upgrade } = match admitted {
        Ok(admitted) => admitted,
        Err(error) => {
            refuse(framed, &error).await;
            return None;
        }
    };
    let sent = framed.send((upgrade, BodySize::None).into());
    if !matches!(tokio::time::timeout(SEND_DEADLINE, sent).await, Ok(Ok(()))) {
        // It is gone before it began; the next connection of this agent finds that out by itself.
        tracing::debug!(from = %address, "agent went away during the upgrade");
    }
    let FramedParts { io, read_buf, .. } = framed.into_parts();
    let socket = Socket::new(io, &read_buf, MAX_AGENT_MESSAGE_BYTES);
    app.sessions.fetch_add(1, Ordering::Relaxed);
    tracing::info!(agent_id = channel.agent().map(tracing::field::display), from = %address, "agent connected");
    Some(Box::new(Connection { app, channel, address, socket, probes: Vec::new(), arrival }))
}

/// A connection that is let in.
struct Admitted {
    channel: Channel,
    address: SocketAddr,
    /// Held until its first report is answered.
    arrival: Option<Place>,
    upgrade: Response<()>,
}

/// Everything that is decided before the upgrade.
async fn prepare(app: &web::Data<App>, asked: Asked) -> Result<Admitted, ApiError> {
    let Asked { path, authorization, endpoint, connection, met, upgrade } = asked;
    if path != PATH {
        return Err(ApiError::not_found(format!("WebSockets are taken at {PATH} only")));
    }
    let connection = connection.ok_or_else(|| ApiError::unauthorised("no-connection", "TLS only"))?;
    let address = connection.address;
    if app.is_stopping() {
        return Err(ApiError::unavailable("the controller is shutting down", 2));
    }
    let places = app.sessions.load(Ordering::Relaxed);
    if places >= app.max_sessions {
        return Err(ApiError::unavailable("the controller has as many connections as it can hold", 10));
    }
    proven(app, &connection, met.clone()).await?;
    let admission = admission(app, authorization, &connection).await?;
    heard(app, &admission, address.ip(), met).await?;
    // Only what can be upgraded claims the identity.
    let upgrade = upgrade.map_err(|error| ApiError::not_an_upgrade(&error))?;
    // A place is held until the first report is answered; who enrols has one while its request is worked on.
    let arrival = match &admission {
        Admission::Agent { .. } | Admission::Foreign { .. } => {
            Some(app.gates.arriving.enter().map_err(overloaded)?)
        }
        Admission::Renewing { .. } | Admission::Enrolling { .. } => {
            let _free = app.gates.enrolling.enter().map_err(overloaded)?;
            None
        }
    };
    let claim = match &admission {
        Admission::Agent { id } | Admission::Foreign { agent: Some(id), .. } => {
            Some(claim_socket(app, *id, address).await?)
        }
        Admission::Renewing { .. } | Admission::Enrolling { .. } | Admission::Foreign { agent: None, .. } => {
            None
        }
    };
    let channel = Channel { admission, claim, from: address.ip(), endpoint };
    Ok(Admitted { channel, address, arrival, upgrade })
}

/// Answers with a problem and closes.
async fn refuse(mut framed: Framed<Stream, h1::Codec>, error: &ApiError) {
    let response: Response<BoxBody> = error.error_response().into();
    let (mut response, body) = response.into_parts();
    response.head_mut().set_connection_type(ConnectionType::Close);
    let body = body.try_into_bytes().unwrap_or_default();
    let write = async {
        // Written at once: clients look for the reason in what comes with the head.
        framed.feed((response, BodySize::Sized(body.len() as u64)).into()).await?;
        framed.feed(h1::Message::Chunk(Some(body))).await?;
        framed.send(h1::Message::Chunk(None)).await?;
        framed.into_parts().io.shutdown().await
    };
    // Who does not read why it is refused does without.
    let _ = tokio::time::timeout(SEND_DEADLINE, write).await;
}

/// Told before the upgrade, so that it costs as little as can be.
fn overloaded(full: Full) -> ApiError {
    ApiError::unavailable("many agents arrive at the same time", full.retry_after)
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
    socket: Socket<Stream>,
    probes: Vec<tokio::sync::oneshot::Sender<()>>,
    /// Held until its first report is answered.
    arrival: Option<Place>,
}

/// Ends a session.
async fn part(link: Box<Connection>, end: End) {
    let agent = link.channel.agent();
    let Connection { app, address, socket, channel: Channel { claim, .. }, .. } = *link;
    tracing::info!(agent_id = agent.map(tracing::field::display), from = %address, ?end, "agent disconnected");
    if let End::Close(code, why) = end {
        // A peer that does not take the close frame is gone: nothing is lost.
        let _ = tokio::time::timeout(SEND_DEADLINE, socket.close(code, why)).await;
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
    async fn serve(&mut self) -> End {
        let mut outbox = self.outbox();
        let heartbeat = Duration::from_secs(self.app.config.heartbeat_seconds.max(1));
        let mut claimed = self.channel.claim.is_some();
        let mut liveness = self.liveness(heartbeat);
        let wake = tokio::time::sleep_until(liveness.next());
        tokio::pin!(wake);
        loop {
            if self.channel.claim.is_some() && !claimed {
                // The first message of a foreign agent made it known.
                claimed = true;
                outbox = self.outbox();
                liveness = self.liveness(heartbeat);
                wake.as_mut().reset(liveness.next());
            }
            let step = tokio::select! {
                heard = self.socket.hear() => {
                    liveness.heard(Instant::now());
                    self.alive();
                    match heard {
                        Ok(heard) => Box::pin(self.hear(heard)).await,
                        Err(Broken::Lost) => Err(End::Gone),
                        Err(Broken::TooBig) => Err(End::Close(CloseCode::Size, TOO_BIG)),
                        Err(Broken::Protocol(_)) => {
                            Err(End::Close(CloseCode::Protocol, "this is no WebSocket frame"))
                        }
                    }
                }
                () = outbox.changed() => Box::pin(self.speak(outbox.take())).await,
                () = &mut wake => {
                    let due = liveness.due(Instant::now());
                    wake.as_mut().reset(liveness.next());
                    match due {
                        Due::Nothing => Ok(()),
                        Due::Ask => {
                            // One that says nothing holds up nobody who does.
                            self.arrival = None;
                            self.ping().await
                        }
                        Due::End => Err(End::Dead),
                    }
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Says who revoked the agent and why: a close frame has no room for it, and the next attempt is a minute away.
    async fn tell_revocation(&mut self) -> Result<(), End> {
        let Some(id) = self.channel.agent() else { return Ok(()) };
        let text = self.app.fleet.with(id, |agent| revocation(id, &agent.record.life, ENROL_ANEW)).flatten();
        match text {
            Some(text) => self.send(&refusal(&self.uid(), text)).await,
            None => Ok(()),
        }
    }

    fn outbox(&self) -> Arc<Outbox> {
        self.channel.claim.as_ref().map_or_else(Arc::<Outbox>::default, |c| Arc::clone(&c.outbox))
    }

    /// How long nothing may be heard. Foreign agents have a pace of their own; their sockets answer pings.
    fn liveness(&self, heartbeat: Duration) -> Liveness {
        let now = Instant::now();
        let default = Duration::from_secs(DEFAULT_HEARTBEAT_SECONDS);
        match (&self.channel.claim, &self.channel.admission) {
            (None, _) => Liveness::of_stranger(heartbeat, ENROL_DEADLINE, now),
            (Some(_), Admission::Foreign { .. }) => Liveness::of_agent(heartbeat.max(default), now),
            (Some(_), _) => Liveness::of_agent(heartbeat, now),
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

    async fn hear(&mut self, heard: Heard) -> Result<(), End> {
        match heard {
            Heard::Binary(bytes) => self.message(bytes).await,
            Heard::Text => Err(End::Close(CloseCode::Unsupported, "OpAMP messages are binary frames")),
            Heard::Ping(payload) => {
                let pong = self.socket.pong(payload);
                sent(tokio::time::timeout(SEND_DEADLINE, pong).await)
            }
            Heard::Pong => {
                self.note_pong();
                Ok(())
            }
            Heard::Close => Err(End::Close(CloseCode::Normal, "")),
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

    async fn message(&mut self, bytes: Bytes) -> Result<(), End> {
        let mut message = decode(&bytes)?;
        drop(bytes);
        let settled = match self.channel.admission {
            Admission::Foreign { .. } => {
                let settle =
                    foreign::settle(&self.app, &mut self.channel, By::Socket, self.address, &message);
                Box::pin(settle).await
            }
            Admission::Agent { .. } | Admission::Renewing { .. } | Admission::Enrolling { .. } => None,
        };
        let verdict = match settled {
            Some(verdict) => verdict,
            None => process(&self.app, &self.channel, &mut message).await,
        };
        let refused = matches!(verdict, Verdict::Refuse(_));
        self.send(&verdict.into_reply()).await?;
        self.arrival = None;
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
                let send = self.socket.binary(bytes);
                sent(tokio::time::timeout(SEND_DEADLINE, send).await)
            }
            Err(error) if reply.remote_config.is_some() => {
                // Too large because of the policy: the rest of the answer is not withheld for it.
                tracing::error!(%error, "policy too large to be offered");
                let rest = Box::new(ServerToAgent { remote_config: None, ..reply.clone() });
                Box::pin(self.send(&rest)).await
            }
            Err(error) => {
                tracing::error!(%error, "message to an agent not sent");
                Ok(())
            }
        }
    }

    async fn ping(&mut self) -> Result<(), End> {
        let ping = self.socket.ping();
        sent(tokio::time::timeout(SEND_DEADLINE, ping).await)
    }

    /// Sends what waits.
    async fn speak(&mut self, pending: Pending) -> Result<(), End> {
        let Pending { policy, settings, leases, watch, asks, restart, warning: text, probes, farewell } =
            pending;
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
            let now = Timestamp::now();
            let endpoint = &self.channel.endpoint;
            let offers = self
                .app
                .fleet
                .with_epoch(id, claim.epoch, |agent| (agent.offer(now), agent.offer_packages(endpoint, now)));
            (news.remote_config, news.packages_available) = offers.unwrap_or_default();
        }
        if settings {
            let (app, endpoint) = (&self.app, &self.channel.endpoint);
            news.connection_settings =
                Some(pace_offer(&app.authority.trust(), endpoint, app.config.heartbeat_seconds));
        }
        if !says_nothing(&news) {
            self.send(&news).await?;
        }
        if leases && let Some(order) = lease_order(&self.app, &self.channel) {
            let message = ServerToAgent {
                instance_uid: self.uid(),
                custom_message: Some(order),
                ..ServerToAgent::default()
            };
            self.send(&message).await?;
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
            Some(Farewell::Revoked) => {
                self.tell_revocation().await?;
                Err(End::Close(CloseCode::Policy, "the agent was revoked"))
            }
            Some(Farewell::Superseded) => {
                Err(End::Close(CloseCode::Away, "a restored controller has taken this one's place"))
            }
            Some(Farewell::Shutdown) => Err(End::Close(CloseCode::Away, "the controller is shutting down")),
        }
    }
}

/// Boxed: it is held while thousands wait for one flush of the store, and a future has room for its largest part
/// more than once.
fn decode(bytes: &[u8]) -> Result<Box<AgentToServer>, End> {
    match frame::decode(bytes, MAX_AGENT_MESSAGE_BYTES) {
        Ok(message) => Ok(Box::new(message)),
        Err(FrameError::TooBig { .. }) => Err(End::Close(CloseCode::Size, TOO_BIG)),
        Err(FrameError::Header | FrameError::Body(_)) => {
            Err(End::Close(CloseCode::Protocol, "this is no OpAMP message"))
        }
    }
}

const TOO_BIG: &str = "the message is larger than 1 MiB";

fn sent<T>(result: Result<std::io::Result<T>, tokio::time::error::Elapsed>) -> Result<(), End> {
    match result {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Dead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// A push has a message of every agent wait for the same flush: ten thousand times what one waits with.
    #[test]
    fn who_waits_for_a_flush_holds_little() {
        let hears = size(|(link, heard): (&'static mut Connection, Heard)| link.hear(heard));
        assert!(hears <= 1_024, "{hears} bytes");
    }

    /// An open connection costs this for days.
    #[test]
    fn a_session_does_not_keep_what_opened_it() {
        let opening = |(app, request, framed)| session(Box::pin(open(app, request, framed)));
        let bytes = size(opening);
        assert!(bytes <= 768, "{bytes} bytes");
    }
}
