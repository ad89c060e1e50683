//! The actor that keeps the connection to the controller: it carries out what [`State`] decides, says what
//! [`Reporter`] has to say when [`Pace`] asks for it, and hands offers on.

mod hear;
mod incarnation;
mod relocate;
mod renewal;

use crate::enrol::keyring::KeyRing;
use crate::health::{HealthSink, HealthState};
use crate::upgrade::{Access, PackageHandler, ReportPackages};
use crate::uplink::connection::{KeepConnection, Kept};
use crate::uplink::describe::{self, AgentFacts};
use crate::uplink::endpoint::Endpoint;
use crate::uplink::failure::Failure;
use crate::uplink::incarnation::KeepIncarnation;
use crate::uplink::pace::Pace;
use crate::uplink::report::{Extras, Parts, Reporter};
use crate::uplink::state::{Event, State, Step, Surroundings};
use crate::uplink::transport::proxy::Proxy;
use crate::uplink::transport::{self, Deadlines, Link, LinkEvent, LinkRequest, LinkTask, TransportKind};
use crate::uplink::{
    ClaimLeases, DescribePartition, Disconnect, GetUplinkState, InspectHandler, LeaseHandler, PolicyHandler,
    PolicyOffer, RatesProvider, ReportHealth, Say, UplinkState,
};
use actix::fut::ActorFutureExt;
use actix::{
    Actor, ActorContext, AsyncContext, Context, Handler, ResponseActFuture, SpawnHandle, StreamHandler,
    WrapFuture,
};
use futures_util::stream;
use jiff::Timestamp;
use muster_proto::opamp::capability::{AgentCapabilities, ServerCapabilities};
use muster_proto::opamp::{AgentToServer, CustomCapabilities, CustomMessage};
use muster_proto::session::rates::{self, RatesMessage, RatesReport};
use muster_proto::session::{inspect, lease};
use muster_shared::id::AgentId;
use muster_shared::incarnation::Claim;
use renewal::Renewal;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
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
        | AgentCapabilities::ACCEPTS_RESTART_COMMAND.0
        | AgentCapabilities::REPORTS_HEALTH.0
        | AgentCapabilities::REPORTS_REMOTE_CONFIG.0
        | AgentCapabilities::REPORTS_HEARTBEAT.0
        | AgentCapabilities::REPORTS_CONNECTION_SETTINGS_STATUS.0,
);

/// Bits of an agent that can be upgraded, beside [`CAPABILITIES`].
pub const PACKAGE_CAPABILITIES: AgentCapabilities =
    AgentCapabilities(AgentCapabilities::ACCEPTS_PACKAGES.0 | AgentCapabilities::REPORTS_PACKAGE_STATUSES.0);

/// Custom messages that wait to be sent, at most, and their bytes.
const MAX_SAYING: usize = 32;
const MAX_SAYING_BYTES: usize = 4 * 1024 * 1024;

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
    /// Trust and own certificates.
    pub keys: KeyRing,
    /// The way to the controllers, if not direct.
    pub proxy: Option<Proxy>,
    /// Pause between heartbeats until the controller sets one.
    pub heartbeat: Duration,
    /// How long to wait for what.
    pub deadlines: Deadlines,
    /// What the controller set of the connection before, and where that is kept.
    pub kept: Kept,
    /// Keeps what the controller sets of the connection.
    pub keeper: Rc<dyn KeepConnection>,
    /// The highest incarnation of the controller that was met before, and where that is kept.
    pub met: Option<Claim>,
    /// Keeps the highest incarnation of the controller.
    pub incarnations: Rc<dyn KeepIncarnation>,
    /// Told when the controller wants the agent to restart.
    pub restart: Arc<Notify>,
}

/// What the connected server declared.
#[derive(Debug, Default)]
struct Server {
    capabilities: ServerCapabilities,
    takes_rates: bool,
    takes_leases: bool,
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
    complaint: Option<String>,
    renewal: Renewal,
    inspect: Option<Rc<dyn InspectHandler>>,
    leases: Option<Rc<dyn LeaseHandler>>,
    packages: Option<Rc<dyn PackageHandler>>,
    /// The latest word on the leases that was not said yet.
    claim: Option<CustomMessage>,
    saying: VecDeque<CustomMessage>,
    /// What the controller set of the connection.
    kept: Kept,
    /// Addresses that are used now: one alone while it is tried.
    endpoints: Vec<Endpoint>,
    /// The highest incarnation of the controller that was met.
    met: Option<Claim>,
    /// When the last restart was asked for, or this process started.
    restarted: Duration,
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
        let kept = settings.kept.clone();
        // What was stored was checked when it was; the addresses of the enrolment are always good.
        let endpoints = kept.endpoints(&settings.endpoints).unwrap_or_else(|_| settings.endpoints.clone());
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
            complaint: None,
            kept,
            endpoints,
            met: settings.met.clone(),
            restarted: Duration::ZERO,
            renewal: Renewal::new(),
            inspect: None,
            leases: None,
            packages: None,
            claim: None,
            saying: VecDeque::new(),
            settings,
            policy,
            rates,
            sink,
        }
    }

    /// Answers the controller's questions by `handler`.
    #[must_use]
    pub fn with_inspect(mut self, handler: Rc<dyn InspectHandler>) -> Self {
        self.inspect = Some(handler);
        self.declare();
        self
    }

    /// Has the controller's leases handled by `handler`.
    #[must_use]
    pub fn with_leases(mut self, handler: Rc<dyn LeaseHandler>) -> Self {
        self.leases = Some(handler);
        self.declare();
        self
    }

    /// Has offered packages handled by `handler`.
    #[must_use]
    pub fn with_packages(mut self, handler: Rc<dyn PackageHandler>) -> Self {
        self.packages = Some(handler);
        self.reporter.declare(PACKAGE_CAPABILITIES);
        self
    }

    fn declare(&mut self) {
        let inspect = self.inspect.as_ref().map(|_| inspect::CAPABILITY);
        let leases = self.leases.as_ref().map(|_| lease::CAPABILITY);
        let capabilities = [Some(rates::CAPABILITY), inspect, leases].into_iter().flatten();
        let capabilities = capabilities.map(str::to_owned).collect();
        self.reporter.set_custom_capabilities(CustomCapabilities { capabilities });
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Lets the state machine decide, and does what it says.
    fn take(&mut self, event: Event, ctx: &mut Context<Self>) {
        let around = Surroundings { now: self.now(), jitter: rand::random(), urls: self.routes() };
        let before = self.state.clone();
        if let Event::Lost(failure) = &event
            && self.kept.candidate.is_some()
        {
            let reason = failure.to_string();
            self.go_back(&reason, ctx);
            return;
        }
        let (state, step) = std::mem::replace(&mut self.state, State::Stopped).step(event, around);
        self.state = state;
        if self.state != before {
            self.tell_health();
        }
        if let (State::Greeting { .. }, State::Active { url, .. }) = (&before, &self.state) {
            self.settle_trial(*url, ctx);
        }
        if self.state != before && matches!(self.state, State::Active { .. }) {
            // After the certificate's trial: the addresses count anew from here.
            self.keep_candidate();
        }
        match step {
            Step::Stay => {}
            Step::Connect(url) => self.connect(url, ctx),
            Step::Greet => {
                self.server = Server::default();
                self.complaint = None;
                self.pace.reset(self.now());
                self.reporter.say_all_again();
                self.last_full = Some(self.now());
                // Where the certificate expired, a request for the next one is all that is listened to.
                let connection_settings_request = self.request_in_greeting();
                self.send(Extras { connection_settings_request, ..Extras::default() }, ctx);
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
                info!(controller = %self.endpoints[self.route(*url).0], "connected to the controller");
                self.sink.report(COMPONENT, HealthState::Healthy, "");
                if let (Some(packages), Some(access)) = (&self.packages, self.access()) {
                    packages.connected(access);
                }
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

    /// How the connected controller is reached; none while there is none.
    pub(super) fn access(&self) -> Option<Access> {
        let State::Active { url, .. } = &self.state else { return None };
        let (url, shown) = self.route(*url);
        Some(Access {
            endpoint: self.endpoints[url].clone(),
            tls: self.settings.keys.tls(shown),
            proxy: self.settings.proxy.clone(),
        })
    }

    /// The failure's text; an expired certificate is named even where the peer only hung up.
    fn explain(&self, failure: &Failure) -> String {
        match self.settings.keys.validity().map(|validity| validity.until) {
            Some(expired) if expired <= Timestamp::now() => format!(
                "this agent's certificate expired at {expired}; it is renewed as soon as a controller is \
                 reached, up to 90 days later: check this host's clock; after that enrol it again \
                 (`muster-agent enrol --replace`) ({failure})"
            ),
            Some(_) | None => match failure {
                Failure::Refused(text) => format!(
                    "{text}; see `muster agents`, and enrol again with a new token if need be (`muster-agent \
                     enrol --replace`)"
                ),
                Failure::Unreachable(text)
                | Failure::Untrusted(text)
                | Failure::Protocol(text)
                | Failure::TooLarge(text)
                | Failure::Superseded(text)
                | Failure::Busy { text, .. } => text.clone(),
            },
        }
    }

    fn connect(&mut self, url: usize, ctx: &mut Context<Self>) {
        self.hang_up(ctx);
        self.drop_stale_candidate();
        let settings = &self.settings;
        let (url, shown) = self.route(url);
        let mut request =
            LinkRequest::new(self.endpoints[url].clone(), settings.kind, settings.keys.tls(shown));
        request.deadlines = settings.deadlines;
        request.incarnation.clone_from(&self.met);
        request.proxy.clone_from(&settings.proxy);
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
        if let Some(leases) = &self.leases {
            leases.disconnected();
        }
        if let Some(packages) = &self.packages {
            packages.disconnected();
        }
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
        let claims = self.claim.is_some() && self.server.takes_leases;
        let said = !self.saying.is_empty() || claims;
        if self.reporter.has_news() || now >= self.pace.next_due(now) || said {
            // Rates wait for what is being said: they are cumulative, and it is asked for.
            let rates = !said && self.server.takes_rates && self.pace.rates_due(now);
            let custom_message = match (rates, self.has_room()) {
                (true, _) => Some(self.rates_message()),
                (false, true) if claims => self.claim.take(),
                (false, true) => self.saying.pop_front(),
                (false, false) => None,
            };
            self.send_with(Extras { custom_message, ..Extras::default() }, rates, ctx);
        } else {
            self.await_due(ctx);
        }
    }

    /// A message that is made now can be sent.
    fn has_room(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.outbox.capacity() > 0)
    }

    /// Writes the next message if there is room. Without room nothing is lost: the news stay unsaid until
    /// [`LinkEvent::Written`] tells of room.
    fn send(&mut self, extras: Extras, ctx: &mut Context<Self>) {
        self.send_with(extras, false, ctx);
    }

    fn send_with(&mut self, extras: Extras, rates: bool, ctx: &mut Context<Self>) {
        let Some(Ok(room)) = self.open.as_ref().map(|open| open.outbox.clone().try_reserve_owned()) else {
            return;
        };
        // A server that takes no rates must not make them overdue for ever.
        let with_rates = rates || !self.server.takes_rates;
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
}

impl Actor for Uplink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sink.report(COMPONENT, HealthState::Starting, "connecting to the controller");
        let present = self.policy.present().into_actor(self).map(|report, act, ctx| {
            act.learn_policy(report);
            act.take(Event::Start, ctx);
            act.expect_new_authority();
            act.look_at_certificate(ctx);
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
            LinkEvent::Incarnation(claim) => self.meet(claim, ctx),
            LinkEvent::Opened => self.take(Event::Opened, ctx),
            LinkEvent::Written => self.flush(ctx),
            LinkEvent::Message(message) => self.hear(*message, ctx),
            LinkEvent::Closed(failure) => {
                self.hang_up(ctx);
                // A server that ends the session after an error said the reason in the error.
                let failure = match (failure, self.complaint.take()) {
                    (Failure::Refused(_), Some(complaint)) => {
                        Failure::Refused(format!("the controller refuses this agent: {complaint}"))
                    }
                    (failure, _) => failure,
                };
                if matches!(failure, Failure::TooLarge(_)) {
                    self.reporter.slim();
                }
                // The next address is tried at once, which would leave no trace of it.
                if let Failure::Superseded(reason) = &failure {
                    warn!(reason, "controller refused");
                }
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

impl Handler<ReportPackages> for Uplink {
    type Result = ();

    fn handle(&mut self, ReportPackages(statuses): ReportPackages, ctx: &mut Self::Context) {
        self.reporter.set_package_statuses(statuses);
        self.flush(ctx);
    }
}

impl Handler<Say> for Uplink {
    type Result = bool;

    fn handle(&mut self, Say(message): Say, ctx: &mut Self::Context) -> bool {
        let waiting: usize = self.saying.iter().map(|message| message.data.len()).sum();
        if self.saying.len() >= MAX_SAYING || waiting + message.data.len() > MAX_SAYING_BYTES {
            return false;
        }
        self.saying.push_back(message);
        self.flush(ctx);
        true
    }
}

impl Handler<ClaimLeases> for Uplink {
    type Result = ();

    fn handle(&mut self, ClaimLeases(message): ClaimLeases, ctx: &mut Self::Context) {
        self.claim = Some(message);
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
            certificate: self.certificate_state(),
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
        let open = self.open.take().filter(|_| reachable);
        let goodbye = self.reporter.next(Extras { goodbye: true, ..Extras::default() });
        self.take(Event::Stop, ctx);
        Box::pin(farewell(open, goodbye).into_actor(self).map(|(), _, ctx| ctx.stop()))
    }
}

/// Says goodbye over a connection and closes it in good order, if it can be done in time.
async fn farewell(open: Option<Open>, goodbye: AgentToServer) {
    let Some(Open { outbox, signals: _, task }) = open else { return };
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

fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
