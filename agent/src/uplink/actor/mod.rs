//! The actor that keeps the connection to the controller: it carries out what [`State`] decides, says what
//! [`Reporter`] has to say when [`Pace`] asks for it, and hands offers on.

use crate::health::{HealthSink, HealthState};
use crate::uplink::describe::{self, AgentFacts};
use crate::uplink::endpoint::Endpoint;
use crate::uplink::failure::{Failure, retry_after_nanoseconds, tidy};
use crate::uplink::offer;
use crate::uplink::pace::Pace;
use crate::uplink::report::{Extras, Parts, Reporter};
use crate::uplink::state::{Event, State, Step, Surroundings};
use crate::uplink::transport::{self, Deadlines, Link, LinkEvent, LinkRequest, LinkTask, TransportKind};
use crate::uplink::{
    DescribePartition, Disconnect, GetUplinkState, PolicyHandler, PolicyOffer, PolicyReport, PolicyVerdict,
    RatesProvider, ReportHealth, UplinkState,
};
use actix::fut::ActorFutureExt;
use actix::{
    Actor, ActorContext, AsyncContext, Context, Handler, ResponseActFuture, SpawnHandle, StreamHandler,
    WrapFuture,
};
use futures_util::stream;
use jiff::Timestamp;
use muster_proto::opamp::capability::{AgentCapabilities, ServerCapabilities, ServerFlags};
use muster_proto::opamp::config::{PolicyFileError, policy_body, policy_map};
use muster_proto::opamp::server_error_response::Details;
use muster_proto::opamp::{
    AgentRemoteConfig, AgentToServer, ConnectionSettingsOffers, ConnectionSettingsStatus,
    ConnectionSettingsStatuses, CustomCapabilities, CustomMessage, EffectiveConfig, RemoteConfigStatus,
    RemoteConfigStatuses, ServerErrorResponse, ServerErrorResponseType, ServerToAgent,
};
use muster_proto::session::rates::{self, RatesMessage, RatesReport};
use muster_shared::id::AgentId;
use rustls::ClientConfig;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use uuid::Uuid;

/// Name under which the uplink reports its own health; it is not sent to the controller, who knows.
pub const COMPONENT: &str = "uplink";

/// Bits of what this agent implements, and nothing more.
pub const CAPABILITIES: AgentCapabilities = AgentCapabilities(
    AgentCapabilities::REPORTS_STATUS.0
        | AgentCapabilities::ACCEPTS_REMOTE_CONFIG.0
        | AgentCapabilities::REPORTS_EFFECTIVE_CONFIG.0
        | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS.0
        | AgentCapabilities::REPORTS_HEALTH.0
        | AgentCapabilities::REPORTS_REMOTE_CONFIG.0
        | AgentCapabilities::REPORTS_HEARTBEAT.0
        | AgentCapabilities::REPORTS_CONNECTION_SETTINGS_STATUS.0,
);

/// A failed policy that is offered again within this time is not tried again: only an operator's wish
/// repeats an offer, a server that repeats it at once would loop.
const RETRY_FAILED_AFTER: Duration = Duration::from_secs(10);

/// Full reports are at least this far apart, whatever the server asks.
const FULL_STATE_PAUSE: Duration = Duration::from_secs(1);

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// What the uplink needs to know when it starts.
pub struct UplinkSettings {
    /// The agent.
    pub agent: AgentId,
    /// Random id of this process.
    pub boot: Uuid,
    /// When this process started.
    pub started: Timestamp,
    /// What the agent knows of itself.
    pub facts: AgentFacts,
    /// Controllers, at least one.
    pub endpoints: Vec<Endpoint>,
    /// How messages travel.
    pub kind: TransportKind,
    /// Trust and own certificate.
    pub tls: Arc<ClientConfig>,
    /// When the own certificate expires, for the health text.
    pub certificate_expires: Option<Timestamp>,
    /// Pause between heartbeats until the controller sets one.
    pub heartbeat: Duration,
    /// How long to wait for what.
    pub deadlines: Deadlines,
}

/// What the connected server declared.
#[derive(Debug, Default)]
struct Server {
    capabilities: ServerCapabilities,
    takes_rates: bool,
}

/// An open connection.
struct Open {
    outbox: mpsc::Sender<AgentToServer>,
    signals: SpawnHandle,
    task: LinkTask,
}

/// Offers of policy: which is the last, what is being applied, what waits.
#[derive(Default)]
struct Offers {
    last: Option<Vec<u8>>,
    judged_at: Option<Duration>,
    failed: bool,
    applying: bool,
    waiting: Option<PolicyOffer>,
}

/// What a connection tells, with the number of the connection: a late word of an old one is not heard.
struct Signal {
    epoch: u64,
    event: LinkEvent,
}

/// The actor.
pub struct Uplink {
    settings: UplinkSettings,
    policy: Rc<dyn PolicyHandler>,
    rates: RatesProvider,
    sink: Rc<dyn HealthSink>,
    reporter: Reporter,
    pace: Pace,
    state: State,
    clock: Instant,
    epoch: u64,
    open: Option<Open>,
    server: Server,
    offers: Offers,
    timer: Option<SpawnHandle>,
    last_full: Option<Duration>,
    full_waits: bool,
    last_settings_hash: Option<Vec<u8>>,
}

impl Uplink {
    /// An uplink that connects when it is started.
    #[must_use]
    pub fn new(
        settings: UplinkSettings,
        policy: Rc<dyn PolicyHandler>,
        rates: RatesProvider,
        sink: Rc<dyn HealthSink>,
    ) -> Self {
        let parts = Parts {
            description: describe::description(settings.agent, settings.boot, &settings.facts),
            health: Some(describe::health(&[], settings.started.as_microsecond())),
            custom_capabilities: CustomCapabilities { capabilities: vec![rates::CAPABILITY.to_owned()] },
            ..Parts::default()
        };
        let uid = settings.agent.0.into_bytes();
        Self {
            reporter: Reporter::new(uid, CAPABILITIES, parts),
            pace: Pace::new(settings.heartbeat, Duration::ZERO),
            state: State::Stopped,
            clock: Instant::now(),
            epoch: 0,
            open: None,
            server: Server::default(),
            offers: Offers::default(),
            timer: None,
            last_full: None,
            full_waits: false,
            last_settings_hash: None,
            settings,
            policy,
            rates,
            sink,
        }
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Lets the state machine decide, and does what it says.
    fn take(&mut self, event: Event, ctx: &mut Context<Self>) {
        let around =
            Surroundings { now: self.now(), jitter: rand::random(), urls: self.settings.endpoints.len() };
        let (state, step) = std::mem::replace(&mut self.state, State::Stopped).step(event, around);
        if state != self.state {
            self.state = state;
            self.tell_health();
        }
        match step {
            Step::Stay => {}
            Step::Connect(url) => self.connect(url, ctx),
            Step::Greet => {
                self.server = Server::default();
                self.pace.reset(self.now());
                self.reporter.say_all_again();
                self.last_full = Some(self.now());
                self.send(Extras::default(), ctx);
            }
            Step::WakeAt(at) => {
                let pause = at.saturating_sub(self.now());
                self.set_timer(pause, |act, ctx| act.take(Event::Woken, ctx), ctx);
            }
            Step::Close => self.hang_up(ctx),
        }
    }

    fn tell_health(&self) {
        match &self.state {
            State::Active { url, .. } => {
                info!(controller = %self.settings.endpoints[*url], "connected to the controller");
                self.sink.report(COMPONENT, HealthState::Healthy, "");
            }
            State::BackingOff { until, failure, .. } => {
                let reason = self.explain(failure);
                let wait_ms = until.saturating_sub(self.now()).as_millis();
                warn!(reason, wait_ms, "no connection to the controller");
                self.sink.report(COMPONENT, HealthState::Failed, &reason);
            }
            State::Stopped | State::Connecting { .. } | State::Greeting { .. } => {}
        }
    }

    /// The failure's text; an expired certificate is named even where the peer only hung up.
    fn explain(&self, failure: &Failure) -> String {
        match self.settings.certificate_expires {
            Some(expired) if expired <= Timestamp::now() => format!(
                "this agent's certificate expired at {expired}; check this host's clock, or enrol again with \
                 `muster-agent enrol --replace` ({failure})"
            ),
            Some(_) | None => match failure {
                Failure::Refused(text) => format!(
                    "{text}; see `muster agents`, and enrol again with a new token if need be (`muster-agent \
                     enrol --replace`)"
                ),
                Failure::Unreachable(text)
                | Failure::Untrusted(text)
                | Failure::Protocol(text)
                | Failure::Busy { text, .. } => text.clone(),
            },
        }
    }

    fn connect(&mut self, url: usize, ctx: &mut Context<Self>) {
        self.hang_up(ctx);
        let settings = &self.settings;
        let mut request =
            LinkRequest::new(settings.endpoints[url].clone(), settings.kind, settings.tls.clone());
        request.deadlines = settings.deadlines;
        debug!(controller = %request.endpoint, "connecting to the controller");
        let Link { outbox, events, task } = transport::open(request);
        self.epoch += 1;
        let epoch = self.epoch;
        let signals = stream::unfold(events, move |mut events| async move {
            events.recv().await.map(|event| (Signal { epoch, event }, events))
        });
        let signals = ctx.add_stream(signals);
        self.open = Some(Open { outbox, signals, task });
    }

    fn hang_up(&mut self, ctx: &mut Context<Self>) {
        if let Some(open) = self.open.take() {
            ctx.cancel_future(open.signals);
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
    }

    /// There is one timer: it wakes a waiting uplink or sends the next heartbeat, never both.
    fn set_timer(
        &mut self,
        pause: Duration,
        then: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(pause, |act, ctx| {
            act.timer = None;
            then(act, ctx);
        }));
    }

    /// Sends if there is news or a report is due, and sets the timer for the next one.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        match self.state {
            State::Greeting { .. } | State::Active { .. } => {}
            State::Stopped | State::Connecting { .. } | State::BackingOff { .. } => return,
        }
        let now = self.now();
        if self.reporter.has_news() || now >= self.pace.next_due(now) {
            let custom_message =
                (self.server.takes_rates && self.pace.rates_due(now)).then(|| self.rates_message());
            self.send(Extras { custom_message, ..Extras::default() }, ctx);
        } else {
            self.await_due(ctx);
        }
    }

    /// Writes the next message if there is room. Without room nothing is lost: the news stay unsaid until
    /// [`LinkEvent::Written`] tells of room.
    fn send(&mut self, extras: Extras, ctx: &mut Context<Self>) {
        let Some(Ok(room)) = self.open.as_ref().map(|open| open.outbox.clone().try_reserve_owned()) else {
            return;
        };
        // A server that takes no rates must not make them overdue for ever.
        let with_rates = extras.custom_message.is_some() || !self.server.takes_rates;
        room.send(self.reporter.next(extras));
        self.pace.sent(with_rates, self.now());
        self.await_due(ctx);
    }

    fn await_due(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        self.set_timer(self.pace.next_due(now).saturating_sub(now), Self::flush, ctx);
    }

    fn rates_message(&self) -> CustomMessage {
        let snapshot = (self.rates)();
        let report = RatesReport {
            boot_id: self.settings.boot.as_bytes().to_vec(),
            time_unix_ms: milliseconds(Timestamp::now()),
            started_unix_ms: milliseconds(self.settings.started),
            sources: snapshot.sources,
            destinations: snapshot.destinations,
        };
        RatesMessage::Report(report).to_custom()
    }

    fn hear(&mut self, message: ServerToAgent, ctx: &mut Context<Self>) {
        if !message.instance_uid.is_empty() && message.instance_uid != self.reporter.uid() {
            warn!("message from the controller is addressed to another agent, ignored");
            return;
        }
        if let Some(error) = &message.error_response {
            self.hear_error(error, ctx);
            return;
        }
        self.take(Event::Answered, ctx);
        if message.capabilities != 0 {
            self.server.capabilities = ServerCapabilities(message.capabilities);
        }
        if message.command.is_some() {
            warn!("command from the controller is not supported, ignored");
            return;
        }
        if let Some(custom) = &message.custom_capabilities {
            self.server.takes_rates = custom.capabilities.iter().any(|name| name == rates::CAPABILITY);
        }
        if ServerFlags(message.flags).has(ServerFlags::REPORT_FULL_STATE) {
            self.say_all_again(ctx);
        }
        if let Some(identification) = &message.agent_identification {
            self.rename(&identification.new_instance_uid);
        }
        if let Some(settings) = &message.connection_settings {
            self.hear_settings(settings);
        }
        if let Some(custom) = &message.custom_message {
            self.hear_custom(custom);
        }
        if let Some(offer) = &message.remote_config {
            self.hear_offer(offer, ctx);
        }
        self.flush(ctx);
    }

    fn hear_error(&mut self, error: &ServerErrorResponse, ctx: &mut Context<Self>) {
        let text = tidy(&error.error_message);
        match error.r#type() {
            ServerErrorResponseType::Unavailable => {
                let retry_after = match &error.details {
                    Some(Details::RetryInfo(info)) => {
                        Some(retry_after_nanoseconds(info.retry_after_nanoseconds))
                    }
                    None => None,
                };
                self.hang_up(ctx);
                let text = format!("the controller is busy: {text}");
                self.take(Event::Lost(Failure::Busy { retry_after, text }), ctx);
            }
            ServerErrorResponseType::BadRequest | ServerErrorResponseType::Unknown => {
                // Not to be repeated. The connection stays; if it gives no other answer, it is lost anyway.
                warn!(reason = text, "the controller does not accept a report");
                self.sink.report(
                    COMPONENT,
                    HealthState::Degraded,
                    &format!("the controller does not accept a report: {text}"),
                );
            }
        }
    }

    fn say_all_again(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let earliest = self.last_full.map_or(Duration::ZERO, |last| last + FULL_STATE_PAUSE);
        if now >= earliest {
            self.last_full = Some(now);
            self.reporter.say_all_again();
        } else if !self.full_waits {
            self.full_waits = true;
            ctx.run_later(earliest.saturating_sub(now), |act, ctx| {
                act.full_waits = false;
                act.last_full = Some(act.now());
                act.reporter.say_all_again();
                act.flush(ctx);
            });
        }
    }

    fn rename(&mut self, uid: &[u8]) {
        match Uuid::from_slice(uid) {
            Ok(uid) => {
                warn!(new_agent_id = %uid, "the controller gives this agent another id");
                self.settings.agent = AgentId(uid);
                self.reporter.set_uid(uid.into_bytes());
                self.describe();
            }
            Err(_) => {
                warn!(bytes = uid.len(), "the controller gives this agent an id of wrong length, ignored")
            }
        }
    }

    fn describe(&mut self) {
        let settings = &self.settings;
        let description = describe::description(settings.agent, settings.boot, &settings.facts);
        self.reporter.set_description(description);
    }

    fn hear_settings(&mut self, offered: &ConnectionSettingsOffers) {
        if self.last_settings_hash.as_ref() == Some(&offered.hash) {
            return;
        }
        self.last_settings_hash = Some(offered.hash.clone());
        let (status, error_message) = match offer::judge(offered, &self.settings.endpoints) {
            Ok(seconds) => {
                self.pace.set_heartbeat(seconds);
                (ConnectionSettingsStatuses::Applied, String::new())
            }
            Err(reason) => {
                warn!(reason, "connection settings from the controller refused");
                (ConnectionSettingsStatuses::Failed, reason)
            }
        };
        self.reporter.set_connection_settings_status(ConnectionSettingsStatus {
            last_connection_settings_hash: offered.hash.clone(),
            status: status.into(),
            error_message,
        });
    }

    fn hear_custom(&mut self, message: &CustomMessage) {
        match RatesMessage::from_custom(message) {
            Ok(RatesMessage::Watch(watch)) => self.pace.watch(&watch, self.now()),
            Ok(RatesMessage::Report(_)) => debug!("rates from the controller, ignored"),
            Err(error) => debug!(%error, "custom message ignored"),
        }
    }

    fn hear_offer(&mut self, offer: &AgentRemoteConfig, ctx: &mut Context<Self>) {
        let now = self.now();
        if self.offers.last.as_ref() == Some(&offer.config_hash) {
            let waited = self.offers.judged_at.is_none_or(|at| now >= at + RETRY_FAILED_AFTER);
            if self.offers.applying || !self.offers.failed || !waited {
                return;
            }
        }
        let hash = offer.config_hash.clone();
        match policy_body(offer) {
            Ok(body) => {
                let offer = PolicyOffer { hash: hash.clone(), body: body.to_vec() };
                self.offers.last = Some(hash.clone());
                self.offers.failed = false;
                self.set_policy_status(hash, RemoteConfigStatuses::Applying, String::new());
                if self.offers.applying {
                    self.offers.waiting = Some(offer);
                } else {
                    self.apply(offer, ctx);
                }
            }
            Err(PolicyFileError::NoHash) => warn!("policy without hash offered, ignored"),
            Err(
                error @ (PolicyFileError::Missing
                | PolicyFileError::Unknown(_)
                | PolicyFileError::ContentType(_)),
            ) => {
                self.offers.last = Some(hash.clone());
                self.offers.waiting = None;
                self.judged(true);
                self.set_policy_status(hash, RemoteConfigStatuses::Failed, error.to_string());
            }
        }
    }

    fn apply(&mut self, offer: PolicyOffer, ctx: &mut Context<Self>) {
        self.offers.applying = true;
        let answer = self.policy.offer(offer).into_actor(self).map(|report, act, ctx| {
            act.offers.applying = false;
            act.learn_policy(report);
            if let Some(next) = act.offers.waiting.take() {
                act.set_policy_status(next.hash.clone(), RemoteConfigStatuses::Applying, String::new());
                act.apply(next, ctx);
            }
            act.flush(ctx);
        });
        ctx.spawn(answer);
    }

    /// Takes over what runs and what became of the last offer.
    fn learn_policy(&mut self, report: PolicyReport) {
        if let Some(running) = report.running {
            self.reporter.set_effective_config(EffectiveConfig { config_map: Some(policy_map(running)) });
        }
        if let Some((hash, verdict)) = report.last_offer {
            let (status, text, failed) = match verdict {
                PolicyVerdict::Applied => (RemoteConfigStatuses::Applied, String::new(), false),
                PolicyVerdict::Failed(reason) => (RemoteConfigStatuses::Failed, reason, true),
            };
            if self.offers.last.is_none() || self.offers.last.as_ref() == Some(&hash) {
                self.offers.last = Some(hash.clone());
                self.judged(failed);
                self.set_policy_status(hash, status, text);
            }
        }
    }

    fn judged(&mut self, failed: bool) {
        self.offers.failed = failed;
        self.offers.judged_at = Some(self.now());
    }

    fn set_policy_status(&mut self, hash: Vec<u8>, status: RemoteConfigStatuses, error_message: String) {
        self.reporter.set_remote_config_status(RemoteConfigStatus {
            last_remote_config_hash: hash,
            status: status.into(),
            error_message,
        });
    }
}

impl Actor for Uplink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sink.report(COMPONENT, HealthState::Starting, "connecting to the controller");
        let present = self.policy.present().into_actor(self).map(|report, act, ctx| {
            act.learn_policy(report);
            act.take(Event::Start, ctx);
        });
        ctx.spawn(present);
    }
}

impl StreamHandler<Signal> for Uplink {
    fn handle(&mut self, signal: Signal, ctx: &mut Self::Context) {
        if signal.epoch != self.epoch || self.open.is_none() {
            return;
        }
        match signal.event {
            LinkEvent::Opened => self.take(Event::Opened, ctx),
            LinkEvent::Written => self.flush(ctx),
            LinkEvent::Message(message) => self.hear(*message, ctx),
            LinkEvent::Closed(failure) => {
                self.hang_up(ctx);
                self.take(Event::Lost(failure), ctx);
            }
        }
    }

    /// A connection's stream ended; the actor lives on.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<ReportHealth> for Uplink {
    type Result = ();

    fn handle(&mut self, ReportHealth(mut components): ReportHealth, ctx: &mut Self::Context) {
        components.retain(|component| component.component != COMPONENT);
        let started = self.settings.started.as_microsecond();
        self.reporter.set_health(describe::health(&components, started));
        self.flush(ctx);
    }
}

impl Handler<DescribePartition> for Uplink {
    type Result = ();

    fn handle(&mut self, DescribePartition(partition): DescribePartition, ctx: &mut Self::Context) {
        self.settings.facts.partition = Some(partition);
        self.describe();
        self.flush(ctx);
    }
}

impl Handler<GetUplinkState> for Uplink {
    type Result = UplinkState;

    fn handle(&mut self, _: GetUplinkState, _: &mut Self::Context) -> UplinkState {
        UplinkState {
            state: self.state.clone(),
            server: self.server.capabilities,
            heartbeat: self.pace.heartbeat(),
        }
    }
}

impl Handler<Disconnect> for Uplink {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Disconnect, ctx: &mut Self::Context) -> Self::Result {
        let reachable = match self.state {
            State::Greeting { .. } | State::Active { .. } => true,
            State::Stopped | State::Connecting { .. } | State::BackingOff { .. } => false,
        };
        // Taken before the state machine closes what is open: the goodbye needs it.
        let open = self.open.take();
        let goodbye = self.reporter.next(Extras { goodbye: true, ..Extras::default() });
        self.take(Event::Stop, ctx);
        let farewell = async move {
            if let Some(Open { outbox, signals: _, task }) = open
                && reachable
            {
                let said = async {
                    if outbox.send(goodbye).await.is_ok() {
                        drop(outbox);
                        task.finished().await;
                    }
                };
                if tokio::time::timeout(GOODBYE, said).await.is_err() {
                    debug!("the controller did not take the goodbye in time");
                }
            }
        };
        Box::pin(farewell.into_actor(self).map(|(), _, ctx| ctx.stop()))
    }
}

fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
