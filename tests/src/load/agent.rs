//! One load agent: a light task that follows the agent's state machine.

use super::content;
use super::dial::{Socket, Target, dial};
use super::identity::{self, Trust};
use super::swarm::{Counts, Told};
use anyhow::Context as _;
use muster_agent::uplink::actor::CAPABILITIES;
use muster_agent::uplink::failure::{Failure, retry_after_nanoseconds};
use muster_agent::uplink::pace::Pace;
use muster_agent::uplink::report::{Extras, Reporter};
use muster_agent::uplink::state::{Event, State, Step, Surroundings};
use muster_proto::opamp::capability::{AgentCapabilities, ServerFlags};
use muster_proto::opamp::config::policy_body;
use muster_proto::opamp::server_error_response::Details;
use muster_proto::opamp::{
    AgentRemoteConfig, AgentToServer, CertificateRequest, ConnectionSettingsOffers,
    ConnectionSettingsRequest, ConnectionSettingsStatus, ConnectionSettingsStatuses,
    OpAmpConnectionSettingsRequest, RemoteConfigStatus, RemoteConfigStatuses, ServerErrorResponseType,
    ServerToAgent,
};
use muster_proto::session::rates::RatesMessage;
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use uuid::Uuid;

/// How long an answer may take before the connection is given up, as in the agent.
const ANSWER: Duration = Duration::from_secs(30);
/// Pause between heartbeats until the controller sets one.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What an agent is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Its health changes.
    ChangeHealth,
    /// It renews its certificate, and comes back with the new one.
    Renew,
    /// It says goodbye and comes back.
    Reconnect,
}

/// An enrolled agent that is not connected.
pub struct Enrolled {
    /// Its number: name and address follow from it.
    pub number: usize,
    /// Its identity.
    pub uid: Uuid,
    tls: Arc<ClientConfig>,
}

impl Enrolled {
    /// A client for the agents' side of the controller, from the agent's own address.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn client(&self) -> anyhow::Result<reqwest::Client> {
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let from = super::dial::source(self.number);
        Ok(reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .local_address(std::net::IpAddr::from(from))
            .no_proxy()
            .read_timeout(ANSWER)
            .build()?)
    }
}

/// Enrols agent `number` with a token: key, request, certificate.
///
/// # Errors
/// If it is refused.
pub async fn enrol(
    target: &Target,
    trust: &Trust,
    token: &str,
    number: usize,
) -> Result<Enrolled, EnrolFailure> {
    let uid = Uuid::now_v7();
    let (key, csr) = identity::request(uid)?;
    let mut socket = dial(target, number, trust.anonymous(), Some(token)).await?;
    let mut reporter = Reporter::new(
        uid.into_bytes(),
        AgentCapabilities::REPORTS_STATUS | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS,
        content::parts(number, uid, Uuid::new_v4(), now_ns()),
    );
    socket.send(&reporter.next(asking_for(csr))).await?;
    let late = || Failure::Unreachable("the certificate request is not answered".to_owned());
    let certificate = timeout(ANSWER, async {
        loop {
            let message = socket.next().await?;
            if let Some(error) = failed(&message) {
                return Err(error);
            }
            if let Some(pem) = certificate_in(&message) {
                return Ok(pem);
            }
        }
    });
    let pem = certificate.await.map_err(|_| late())??;
    socket.close().await;
    Ok(Enrolled { number, uid, tls: trust.with_certificate(&pem, &key)? })
}

/// Why an agent was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolFailure {
    /// The controller, or the way to it.
    #[error(transparent)]
    Uplink(#[from] Failure),
    /// This side.
    #[error(transparent)]
    Here(#[from] anyhow::Error),
}

fn asking_for(csr: Vec<u8>) -> Extras {
    let request = OpAmpConnectionSettingsRequest { certificate_request: Some(CertificateRequest { csr }) };
    Extras {
        connection_settings_request: Some(ConnectionSettingsRequest { opamp: Some(request) }),
        ..Extras::default()
    }
}

fn certificate_in(message: &ServerToAgent) -> Option<Vec<u8>> {
    let certificate = message.connection_settings.as_ref()?.opamp.as_ref()?.certificate.as_ref()?;
    (!certificate.cert.is_empty()).then(|| certificate.cert.clone())
}

fn failed(message: &ServerToAgent) -> Option<Failure> {
    let error = message.error_response.as_ref()?;
    let text = error.error_message.clone();
    match (error.r#type(), &error.details) {
        (ServerErrorResponseType::Unavailable, Some(Details::RetryInfo(info))) => Some(Failure::Busy {
            retry_after: Some(retry_after_nanoseconds(info.retry_after_nanoseconds)),
            text,
        }),
        (ServerErrorResponseType::Unavailable, None) => Some(Failure::Busy { retry_after: None, text }),
        (ServerErrorResponseType::BadRequest, _) => Some(Failure::Refused(text)),
        // Something that people should read: nothing is to be repeated.
        (ServerErrorResponseType::Unknown, _) => None,
    }
}

fn now_ns() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0)
}

/// What waits for an answer of the controller before it counts as done.
struct Awaited {
    hash: Vec<u8>,
    body: Vec<u8>,
    /// Answers still to come until that one.
    answers: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Applying,
    Applied,
}

/// A running agent.
pub(super) struct Agent {
    number: usize,
    uid: Uuid,
    boot: Uuid,
    tls: Arc<ClientConfig>,
    trust: Arc<Trust>,
    target: Target,
    counts: Arc<Counts>,
    orders: mpsc::Receiver<Order>,
    reporter: Reporter,
    pace: Pace,
    state: State,
    clock: Instant,
    started_ms: u64,
    health_changes: u64,
    socket: Option<Socket>,
    unanswered: u32,
    awaited: Option<Awaited>,
    renewing: Option<rcgen::KeyPair>,
    /// It was told to renew, and has not done so yet.
    renewal_due: bool,
}

impl Agent {
    pub(super) fn new(
        enrolled: Enrolled,
        trust: Arc<Trust>,
        target: Target,
        counts: Arc<Counts>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        let Enrolled { number, uid, tls } = enrolled;
        let boot = Uuid::new_v4();
        let parts = content::parts(number, uid, boot, now_ns());
        Self {
            number,
            uid,
            boot,
            tls,
            trust,
            target,
            counts,
            orders,
            reporter: Reporter::new(uid.into_bytes(), CAPABILITIES, parts),
            pace: Pace::new(HEARTBEAT, Duration::ZERO),
            state: State::Stopped,
            clock: Instant::now(),
            started_ms: now_ns() / 1_000_000,
            health_changes: 0,
            socket: None,
            unanswered: 0,
            awaited: None,
            renewing: None,
            renewal_due: false,
        }
    }

    /// Lives until its orders end.
    pub(super) async fn run(mut self) {
        let mut event = Event::Start;
        loop {
            let step = self.step(event);
            event = match step {
                Step::Connect(_) => {
                    match dial(&self.target, self.number, Arc::clone(&self.tls), None).await {
                        Ok(socket) => {
                            self.socket = Some(socket);
                            Event::Opened
                        }
                        Err(failure) => Event::Lost(failure),
                    }
                }
                Step::Greet => Event::Lost(self.converse().await),
                Step::WakeAt(at) => {
                    tokio::time::sleep(at.saturating_sub(self.clock.elapsed())).await;
                    Event::Woken
                }
                Step::Stay | Step::Close => return,
            };
            if self.orders.is_closed() {
                return;
            }
        }
    }

    fn step(&mut self, event: Event) -> Step {
        if let Event::Lost(failure) = &event {
            self.counts.lost(failure);
        }
        let around = Surroundings { now: self.clock.elapsed(), jitter: rand::random(), urls: 1 };
        let before = std::mem::replace(&mut self.state, State::Stopped);
        let was_active = matches!(before, State::Active { .. });
        let (state, step) = before.step(event, around);
        let is_active = matches!(state, State::Active { .. });
        self.state = state;
        match (was_active, is_active) {
            (false, true) => self.counts.answered(),
            (true, false) => {
                self.counts.active.fetch_sub(1, Ordering::Relaxed);
            }
            (true, true) | (false, false) => {}
        }
        step
    }

    /// Talks until the connection ends, and says why it did.
    async fn converse(&mut self) -> Failure {
        self.pace.reset(self.clock.elapsed());
        self.reporter.say_all_again();
        (self.unanswered, self.awaited, self.renewing) = (0, None, None);
        let Some(mut socket) = self.socket.take() else {
            return Failure::Protocol("no connection is open".to_owned());
        };
        let failure = match self.say(&mut socket, Extras::default()).await {
            Ok(()) => self.talk(&mut socket).await,
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Unreachable(ref text) if text == LEAVING) {
            socket.close().await;
        }
        failure
    }

    async fn talk(&mut self, socket: &mut Socket) -> Failure {
        loop {
            let due = self.pace.next_due(self.clock.elapsed());
            let at = tokio::time::Instant::from_std(self.clock + due);
            let result = tokio::select! {
                message = socket.next() => match message {
                    Ok(message) => self.hear(message, socket).await,
                    Err(failure) => Err(failure),
                },
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order, socket).await,
                    None => Err(Failure::Unreachable(LEAVING.to_owned())),
                },
                () = sleep_until(at) => self.say(socket, Extras::default()).await,
            };
            if let Err(failure) = result {
                return failure;
            }
        }
    }

    /// Sends what there is to say, with rates when they are due.
    async fn say(&mut self, socket: &mut Socket, mut extras: Extras) -> Result<(), Failure> {
        let now = self.clock.elapsed();
        let rates = self.pace.rates_due(now);
        if rates {
            let report = content::rates(self.number, self.boot, self.started_ms, now.as_secs());
            extras.custom_message = Some(report);
        }
        let message: AgentToServer = self.reporter.next(extras);
        socket.send(&message).await?;
        self.unanswered += 1;
        self.pace.sent(rates, now);
        Ok(())
    }

    async fn hear(&mut self, message: ServerToAgent, socket: &mut Socket) -> Result<(), Failure> {
        if matches!(self.state, State::Greeting { .. }) && message.error_response.is_none() {
            let _ = self.step(Event::Answered);
        }
        if let Some(failure) = failed(&message) {
            return Err(failure);
        }
        self.answered();
        if let Some(RatesMessage::Watch(watch)) =
            message.custom_message.as_ref().and_then(|m| RatesMessage::from_custom(m).ok())
        {
            self.pace.watch(&watch, self.clock.elapsed());
        }
        if let Some(settings) = &message.connection_settings {
            self.take_settings(settings)?;
        }
        if message.flags & ServerFlags::REPORT_FULL_STATE.0 != 0 {
            self.counts.full_states.fetch_add(1, Ordering::Relaxed);
            self.reporter.say_all_again();
        }
        if let Some(offer) = &message.remote_config {
            self.take_offer(offer)?;
        }
        self.go_on();
        if self.renewal_due && self.renewing.is_none() {
            // The controller asked for patience the first time.
            self.renew(socket).await?;
        }
        if self.reporter.has_news() { self.say(socket, Extras::default()).await } else { Ok(()) }
    }

    /// One answer came. A message that comes while none is awaited was sent by the controller unasked.
    fn answered(&mut self) {
        if self.unanswered > 0 {
            self.unanswered -= 1;
            if let Some(awaited) = &mut self.awaited {
                awaited.answers = awaited.answers.saturating_sub(1);
            }
        }
    }

    fn take_offer(&mut self, offer: &AgentRemoteConfig) -> Result<(), Failure> {
        let body = policy_body(offer).map_err(|error| Failure::Protocol(error.to_string()))?.to_vec();
        let hash = offer.config_hash.clone();
        self.tell_status(&hash, RemoteConfigStatuses::Applying);
        self.awaited = Some(Awaited { hash, body, answers: self.unanswered + 1, stage: Stage::Applying });
        Ok(())
    }

    fn tell_status(&mut self, hash: &[u8], status: RemoteConfigStatuses) {
        self.reporter.set_remote_config_status(RemoteConfigStatus {
            last_remote_config_hash: hash.to_vec(),
            status: status.into(),
            error_message: String::new(),
        });
    }

    /// The next stage of applying, if the controller answered the one before.
    fn go_on(&mut self) {
        let Some(mut awaited) = self.awaited.take_if(|a| a.answers == 0) else { return };
        match awaited.stage {
            Stage::Applying => {
                self.reporter.set_effective_config(content::effective(&awaited.body));
                self.tell_status(&awaited.hash, RemoteConfigStatuses::Applied);
                awaited.stage = Stage::Applied;
                awaited.answers = self.unanswered + 1;
                self.awaited = Some(awaited);
            }
            Stage::Applied => {
                self.counts.told(Told { number: self.number, hash: awaited.hash, at: Instant::now() });
            }
        }
    }

    fn take_settings(&mut self, offer: &ConnectionSettingsOffers) -> Result<(), Failure> {
        let Some(settings) = &offer.opamp else { return Ok(()) };
        self.pace.set_heartbeat(settings.heartbeat_interval_seconds);
        self.reporter.set_connection_settings_status(ConnectionSettingsStatus {
            last_connection_settings_hash: offer.hash.clone(),
            status: ConnectionSettingsStatuses::Applied.into(),
            error_message: String::new(),
        });
        let certificate = settings.certificate.as_ref().filter(|c| !c.cert.is_empty());
        if let (Some(certificate), Some(key)) = (certificate, self.renewing.take()) {
            let tls = self.trust.with_certificate(&certificate.cert, &key);
            self.tls = tls.map_err(|error| Failure::Protocol(error.to_string()))?;
            self.counts.renewed.fetch_add(1, Ordering::Relaxed);
            self.renewal_due = false;
            // The new certificate is taken by using it.
            return Err(Failure::Unreachable(LEAVING.to_owned()));
        }
        Ok(())
    }

    async fn renew(&mut self, socket: &mut Socket) -> Result<(), Failure> {
        let (key, csr) = identity::request(self.uid)
            .context("renewal")
            .map_err(|error| Failure::Protocol(error.to_string()))?;
        self.renewing = Some(key);
        self.say(socket, asking_for(csr)).await
    }

    async fn obey(&mut self, order: Order, socket: &mut Socket) -> Result<(), Failure> {
        match order {
            Order::ChangeHealth => {
                self.health_changes += 1;
                self.reporter.set_health(content::health(self.health_changes, now_ns()));
                self.say(socket, Extras::default()).await
            }
            Order::Renew => {
                self.renewal_due = true;
                self.renew(socket).await
            }
            Order::Reconnect => {
                self.say(socket, Extras { goodbye: true, ..Extras::default() }).await?;
                Err(Failure::Unreachable(LEAVING.to_owned()))
            }
        }
    }
}

/// Why a connection ended that this side ended.
const LEAVING: &str = "closed by this agent";
