mod conformance;
mod hostile;
mod incarnation;
mod packages;
mod traps;

use super::*;
use crate::enrol::Identity;
use crate::health::ComponentHealth;
use crate::uplink::testing::{Answer, Arrival, Authority, Seen, Server};
use crate::uplink::{PolicyReport, PolicyVerdict};
use actix::Addr;
use futures_util::future::LocalBoxFuture;
use muster_proto::opamp::capability::ServerFlags;
use muster_proto::opamp::server_error_response::Details;
use muster_proto::opamp::{
    self, AgentDisconnect, ConnectionSettingsOffers, ConnectionSettingsStatuses, OpAmpConnectionSettings,
    RemoteConfigStatus, RemoteConfigStatuses, RetryInfo, ServerErrorResponse, ServerErrorResponseType,
    ServerToAgent, TlsConnectionSettings, attribute, config::policy_offer,
};
use muster_proto::session::rates::{RatesWatch, SourceRates};
use muster_shared::partition::Partition;
use std::cell::RefCell;
use tokio::sync::Notify;

const AGENT: AgentId = AgentId(Uuid::from_u128(0x019b_8d7a_2da8_7657_b52d_492a_9de3_3319));

/// Refuses a policy whose text says so, applies any other.
#[derive(Default)]
struct Policies {
    running: Rc<RefCell<Option<Vec<u8>>>>,
    offers: RefCell<Vec<PolicyOffer>>,
}

impl PolicyHandler for Policies {
    fn offer(&self, offer: PolicyOffer) -> LocalBoxFuture<'static, PolicyReport> {
        self.offers.borrow_mut().push(offer.clone());
        let running = Rc::clone(&self.running);
        Box::pin(async move {
            let verdict = if offer.body == b"bad" {
                PolicyVerdict::Failed("unknown destination nowhere".to_owned())
            } else {
                *running.borrow_mut() = Some(offer.body);
                PolicyVerdict::Applied
            };
            PolicyReport { last_offer: Some((offer.hash, verdict)), running: running.borrow().clone() }
        })
    }

    fn present(&self) -> LocalBoxFuture<'static, PolicyReport> {
        let report = PolicyReport { last_offer: None, running: self.running.borrow().clone() };
        Box::pin(async move { report })
    }
}

/// Remembers the last health and wakes whoever waits for one.
#[derive(Default)]
struct Sink {
    last: RefCell<Option<(HealthState, String)>>,
    changed: Notify,
}

impl HealthSink for Sink {
    fn report(&self, component: &str, state: HealthState, reason: &str) {
        if component == crate::enrol::renewal::COMPONENT {
            return;
        }
        assert_eq!(component, COMPONENT);
        *self.last.borrow_mut() = Some((state, reason.to_owned()));
        self.changed.notify_one();
    }
}

impl Sink {
    async fn until(&self, state: HealthState) -> String {
        self.next_of(&[state]).await.1
    }

    async fn next_of(&self, states: &[HealthState]) -> (HealthState, String) {
        let found = async {
            loop {
                if let Some((now, reason)) = &*self.last.borrow()
                    && states.contains(now)
                {
                    return (*now, reason.clone());
                }
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.expect("health must change")
    }
}

struct Setting {
    kind: TransportKind,
    uplink: Addr<Uplink>,
    policies: Rc<Policies>,
    sink: Rc<Sink>,
}

fn settings(urls: &[&str], kind: TransportKind, keys: KeyRing) -> UplinkSettings {
    UplinkSettings {
        agent: AGENT,
        boot: Uuid::from_u128(7),
        started: Timestamp::UNIX_EPOCH,
        facts: AgentFacts {
            version: "0.1.0".to_owned(),
            host_name: "host".to_owned(),
            os_type: "linux".to_owned(),
            ..AgentFacts::default()
        },
        endpoints: Endpoint::parse_all(urls).unwrap(),
        kind,
        keys,
        proxy: None,
        heartbeat: Duration::from_secs(600),
        deadlines: Deadlines::default(),
        kept: Kept::default(),
        keeper: Rc::new(Keeper::default()),
        met: None,
        incarnations: Rc::new(Incarnations::default()),
        restart: Arc::default(),
    }
}

/// Remembers what was kept; fails when it is told to.
#[derive(Default)]
struct Keeper {
    kept: RefCell<Vec<Kept>>,
    fails: bool,
}

impl KeepConnection for Keeper {
    fn keep(&self, kept: &Kept) -> Result<(), String> {
        self.kept.borrow_mut().push(kept.clone());
        if self.fails { Err("disk full".to_owned()) } else { Ok(()) }
    }
}

/// Remembers the incarnations that were kept.
#[derive(Default)]
struct Incarnations(RefCell<Vec<Claim>>);

impl KeepIncarnation for Incarnations {
    fn keep(&self, claim: &Claim) -> Result<(), String> {
        self.0.borrow_mut().push(claim.clone());
        Ok(())
    }
}

fn start(settings: UplinkSettings) -> Setting {
    start_with(settings, |uplink| uplink)
}

/// The same with something more in the uplink.
fn start_with(settings: UplinkSettings, more: impl FnOnce(Uplink) -> Uplink) -> Setting {
    let policies = Rc::new(Policies::default());
    let sink = Rc::new(Sink::default());
    let rates = || super::super::RatesSnapshot {
        sources: [("audit".to_owned(), SourceRates { received: 42, ..Default::default() })].into(),
        ..Default::default()
    };
    let kind = settings.kind;
    let uplink = more(Uplink::new(settings, policies.clone(), Box::new(rates), sink.clone())).start();
    Setting { kind, uplink, policies, sink }
}

/// Message: so much time has passed.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Later(Duration);

impl Handler<Later> for Uplink {
    type Result = ();

    fn handle(&mut self, Later(time): Later, _: &mut Self::Context) {
        self.clock = self.clock.checked_sub(time).expect("the machine is up for longer than that");
    }
}

async fn connected(kind: TransportKind) -> (Server, Setting, Arrival) {
    let authority = Authority::new();
    let mut server = Server::start(&authority, kind).await;
    let setting = start(settings(&[&server.url], kind, authority.agent_keys(false)));
    let first = server.message().await;
    (server, setting, first)
}

fn component(name: &str, state: HealthState, reason: &str) -> ComponentHealth {
    ComponentHealth { component: name.to_owned(), state, reason: reason.to_owned(), since_us: 1 }
}

fn hello() -> ServerToAgent {
    ServerToAgent { capabilities: 0x7, ..Default::default() }
}

fn policy_status(message: &AgentToServer) -> Option<(RemoteConfigStatuses, String)> {
    let status = message.remote_config_status.as_ref()?;
    Some((status.status(), status.error_message.clone()))
}

#[actix_rt::test]
async fn first_everything_then_only_what_changed() {
    let (mut server, setting, first) = connected(TransportKind::Websocket).await;
    let message = &first.message;
    assert_eq!(message.instance_uid, AGENT.0.as_bytes());
    assert_eq!((message.sequence_num, message.capabilities), (0, 0xbd07));
    let description = message.agent_description.as_ref().unwrap();
    assert_eq!(attribute::find(description, attribute::SERVICE_VERSION), Some("0.1.0"));
    assert_eq!(message.remote_config_status, Some(RemoteConfigStatus::default()));
    assert_eq!(message.custom_capabilities.as_ref().unwrap().capabilities, ["io.muster.rates/v1"]);
    assert!(message.health.as_ref().unwrap().healthy);
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;

    let gap = component("source/audit", HealthState::Degraded, "gap");
    let own = component(COMPONENT, HealthState::Healthy, "");
    setting.uplink.send(ReportHealth(vec![gap.clone(), own])).await.unwrap();
    // The same again is no news: the next message that comes is about the partition.
    setting.uplink.send(ReportHealth(vec![gap])).await.unwrap();
    let partition = Partition { system_name: "PROD01".to_owned(), ..Partition::default() };
    setting.uplink.send(DescribePartition(partition)).await.unwrap();
    let second = server.message().await.message;
    let health = second.health.as_ref().unwrap();
    assert_eq!(health.component_health_map.keys().collect::<Vec<_>>(), ["source/audit"]);
    assert_eq!(health.component_health_map["source/audit"].last_error, "gap");
    let expected = AgentToServer {
        instance_uid: AGENT.0.as_bytes().to_vec(),
        sequence_num: 1,
        capabilities: 0xbd07,
        health: second.health.clone(),
        ..Default::default()
    };
    assert_eq!(second, expected);
    let third = server.message().await;
    assert_eq!((third.message.sequence_num, &third.message.health), (2, &None));
    let description = third.message.agent_description.as_ref().unwrap();
    assert_eq!(attribute::find(description, attribute::IBMI_SYSTEM_NAME), Some("PROD01"));

    let full = ServerToAgent { flags: ServerFlags::REPORT_FULL_STATE.0, ..Default::default() };
    third.say(full).await;
    let again = server.message().await.message;
    assert_eq!(again.sequence_num, 3);
    assert!(
        again.agent_description.is_some() && again.health.is_some() && again.custom_capabilities.is_some()
    );
}

#[actix_rt::test]
async fn idle_answers_make_no_loop_and_strange_messages_change_nothing() {
    let (mut server, setting, first) = connected(TransportKind::Websocket).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    for _ in 0..100 {
        first.say(ServerToAgent::default()).await;
    }
    let stranger = ServerToAgent {
        instance_uid: vec![1; 16],
        remote_config: Some(policy_offer(b"x".to_vec())),
        ..Default::default()
    };
    first.answer(Answer::Message(Box::new(stranger))).await;
    first
        .say(ServerToAgent {
            custom_message: Some(CustomMessage {
                capability: "com.example/v1".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        })
        .await;
    // Whatever they caused would come before this.
    let audit = component("source/audit", HealthState::Healthy, "");
    first
        .say(ServerToAgent { remote_config: Some(policy_offer(b"good".to_vec())), ..Default::default() })
        .await;
    let next = server.message().await.message;
    assert_eq!(next.sequence_num, 1);
    assert_eq!(policy_status(&next), Some((RemoteConfigStatuses::Applying, String::new())));
    setting.uplink.send(ReportHealth(vec![audit])).await.unwrap();
    assert_eq!(setting.policies.offers.borrow().len(), 1);
}

async fn policy_story(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    let good = policy_offer(b"good".to_vec());
    first.say(ServerToAgent { remote_config: Some(good.clone()), ..hello() }).await;
    let applying = server.message().await;
    assert_eq!(policy_status(&applying.message), Some((RemoteConfigStatuses::Applying, String::new())));
    applying.say(ServerToAgent::default()).await;
    let applied = server.message().await;
    assert_eq!(policy_status(&applied.message), Some((RemoteConfigStatuses::Applied, String::new())));
    let status = applied.message.remote_config_status.as_ref().unwrap();
    assert_eq!(status.last_remote_config_hash, good.config_hash);
    let config = applied.message.effective_config.as_ref().unwrap().config_map.as_ref().unwrap();
    assert_eq!(config.config_map["policy"].body, b"good");

    // The same again is ignored, another one is tried.
    let bad = policy_offer(b"bad".to_vec());
    applied.say(ServerToAgent { remote_config: Some(bad.clone()), ..Default::default() }).await;
    let applying = server.message().await;
    applying.say(ServerToAgent { remote_config: Some(bad), ..Default::default() }).await;
    let failed = server.message().await;
    assert_eq!(
        policy_status(&failed.message),
        Some((RemoteConfigStatuses::Failed, "unknown destination nowhere".to_owned()))
    );
    assert_eq!(failed.message.effective_config, None, "the one before still runs");
    assert_eq!(setting.policies.offers.borrow().len(), 2);
    let mut foreign = policy_offer(b"x".to_vec());
    foreign.config.as_mut().unwrap().config_map.get_mut("policy").unwrap().content_type =
        "text/yaml".to_owned();
    failed.say(ServerToAgent { remote_config: Some(foreign), ..Default::default() }).await;
    let refused = server.message().await;
    let (status, text) = policy_status(&refused.message).unwrap();
    assert_eq!(status, RemoteConfigStatuses::Failed);
    assert!(text.contains("text/yaml"), "{text}");
    assert_eq!(setting.policies.offers.borrow().len(), 2);
}

#[actix_rt::test]
async fn policies_over_websocket() {
    policy_story(TransportKind::Websocket).await;
}

#[actix_rt::test]
async fn policies_over_http() {
    policy_story(TransportKind::Http).await;
}

async fn heartbeat_story(kind: TransportKind) {
    let authority = Authority::new();
    let mut server = Server::start(&authority, kind).await;
    let mut settings = settings(&[&server.url], kind, authority.agent_keys(false));
    settings.heartbeat = Duration::from_secs(1);
    let _setting = start(settings);
    let first = server.message().await;
    first.say(hello()).await;
    let beat = server.message().await;
    let expected = AgentToServer {
        instance_uid: AGENT.0.as_bytes().to_vec(),
        sequence_num: 1,
        capabilities: 0xbd07,
        ..Default::default()
    };
    assert_eq!(beat.message, expected, "no rates for a server that does not take them");
    let custom = CustomCapabilities { capabilities: vec![rates::CAPABILITY.to_owned()] };
    beat.say(ServerToAgent { custom_capabilities: Some(custom), ..Default::default() }).await;
    let beat = server.message().await;
    let Ok(RatesMessage::Report(report)) =
        RatesMessage::from_custom(beat.message.custom_message.as_ref().unwrap())
    else {
        panic!("{:?}", beat.message)
    };
    assert_eq!(report.boot_id, Uuid::from_u128(7).as_bytes());
    assert_eq!(report.sources["audit"].received, 42);
}

#[actix_rt::test]
async fn heartbeats_over_websocket() {
    heartbeat_story(TransportKind::Websocket).await;
}

#[actix_rt::test]
async fn heartbeats_over_http() {
    heartbeat_story(TransportKind::Http).await;
}

#[actix_rt::test]
async fn a_watch_quickens_the_rates() {
    let (mut server, _setting, first) = connected(TransportKind::Websocket).await;
    let custom = CustomCapabilities { capabilities: vec![rates::CAPABILITY.to_owned()] };
    let watch = RatesMessage::Watch(RatesWatch { interval_ms: 1_000, expires_after_ms: 60_000 });
    first
        .say(ServerToAgent {
            custom_capabilities: Some(custom),
            custom_message: Some(watch.to_custom()),
            ..hello()
        })
        .await;
    for sequence in 1..3 {
        let beat = server.message().await;
        assert_eq!(beat.message.sequence_num, sequence);
        assert!(beat.message.custom_message.is_some());
        beat.say(ServerToAgent::default()).await;
    }
}

#[actix_rt::test]
async fn connection_settings_are_judged() {
    let (mut server, setting, first) = connected(TransportKind::Websocket).await;
    let offer = |hash: u8, settings: OpAmpConnectionSettings| ServerToAgent {
        connection_settings: Some(ConnectionSettingsOffers {
            hash: vec![hash],
            opamp: Some(settings),
            ..Default::default()
        }),
        ..Default::default()
    };
    let slower = OpAmpConnectionSettings { heartbeat_interval_seconds: 77, ..Default::default() };
    first.say(offer(1, slower)).await;
    let status = server.message().await.message.connection_settings_status.unwrap();
    assert_eq!(
        (status.last_connection_settings_hash.as_slice(), status.status()),
        (&[1][..], ConnectionSettingsStatuses::Applied)
    );
    let state = setting.uplink.send(GetUplinkState).await.unwrap();
    assert_eq!(state.heartbeat, Duration::from_secs(77));
    let tls = Some(TlsConnectionSettings { insecure_skip_verify: true, ..Default::default() });
    first.say(offer(2, OpAmpConnectionSettings { tls, ..Default::default() })).await;
    let status = server.message().await.message.connection_settings_status.unwrap();
    assert_eq!(status.status(), ConnectionSettingsStatuses::Failed);
    assert!(status.error_message.contains("never switches"), "{}", status.error_message);
}

async fn goodbye_story(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    let gone = setting.uplink.send(Disconnect);
    let seen = async {
        let last = server.message().await;
        assert_eq!(last.message.agent_disconnect, Some(AgentDisconnect {}));
        assert_eq!(last.message.sequence_num, 1);
        if kind == TransportKind::Http {
            last.say(ServerToAgent::default()).await;
        }
        match (kind, server.next().await) {
            (TransportKind::Websocket, Seen::GoodClose) | (TransportKind::Http, Seen::Gone) => {}
            (
                TransportKind::Websocket | TransportKind::Http,
                Seen::Message(_) | Seen::GoodClose | Seen::Gone,
            ) => {
                panic!("the connection must end in good order")
            }
        }
    };
    let (gone, ()) = futures_util::join!(gone, seen);
    gone.unwrap();
    tokio::task::yield_now().await;
    assert!(!setting.uplink.connected(), "the actor has ended");
}

#[actix_rt::test]
async fn goodbye_over_websocket() {
    goodbye_story(TransportKind::Websocket).await;
}

#[actix_rt::test]
async fn goodbye_over_http() {
    goodbye_story(TransportKind::Http).await;
}

#[actix_rt::test]
async fn a_lost_connection_is_opened_again_with_everything() {
    let (mut server, setting, first) = connected(TransportKind::Websocket).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    first.answer(Answer::Close(1001)).await;
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.contains("closed the connection (1001"), "{text}");
    let again = server.message().await;
    assert_eq!(again.message.sequence_num, 1, "the numbers go on");
    assert!(again.message.agent_description.is_some());
}

#[actix_rt::test]
async fn a_busy_controller_is_obeyed() {
    let (server, setting, first) = connected(TransportKind::Websocket).await;
    let error = ServerErrorResponse {
        r#type: ServerErrorResponseType::Unavailable.into(),
        error_message: "too many agents".to_owned(),
        details: Some(Details::RetryInfo(RetryInfo { retry_after_nanoseconds: 1_500_000_000 })),
    };
    let before = Instant::now();
    first.say(ServerToAgent { error_response: Some(error), ..Default::default() }).await;
    let text = setting.sink.until(HealthState::Failed).await;
    assert_eq!(text, "the controller is busy: too many agents");
    server.refuse(Some((503, Some("2"), "later")));
    loop {
        let state = setting.uplink.send(GetUplinkState).await.unwrap().state;
        if let State::BackingOff { failure: Failure::Busy { retry_after: Some(asked), text }, .. } = state
            && asked == Duration::from_secs(2)
        {
            assert!(text.ends_with("is busy: later"), "{text}");
            break;
        }
        setting.sink.changed.notified().await;
    }
    assert!(before.elapsed() >= Duration::from_millis(1_500), "not before the time that was asked for");
}

async fn refusal_story(kind: TransportKind) {
    let authority = Authority::new();
    let server = Server::start(&authority, kind).await;
    server.refuse(Some((401, None, r#"{"title":"unauthorised","detail":"agent PROD01 was revoked"}"#)));
    let setting = start(settings(&[&server.url], kind, authority.agent_keys(false)));
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.contains("refuses this agent: agent PROD01 was revoked"), "{text}");
    assert!(text.contains("muster-agent enrol"), "{text}");
    let state = setting.uplink.send(GetUplinkState).await.unwrap().state;
    let State::BackingOff { failure: Failure::Refused(_), attempt: 1, .. } = state else {
        panic!("{state:?}")
    };
}

#[actix_rt::test]
async fn a_refusal_is_told_over_websocket() {
    refusal_story(TransportKind::Websocket).await;
}

#[actix_rt::test]
async fn a_refusal_is_told_over_http() {
    refusal_story(TransportKind::Http).await;
}

#[actix_rt::test]
async fn a_revoked_session_is_told() {
    let (_server, setting, first) = connected(TransportKind::Websocket).await;
    first.answer(Answer::Close(1008)).await;
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.contains("ended the session of this agent: agent revoked"), "{text}");
}

#[actix_rt::test]
async fn a_session_that_ends_after_an_error_is_told_by_the_error() {
    let (_server, setting, first) = connected(TransportKind::Websocket).await;
    let error = ServerErrorResponse {
        r#type: ServerErrorResponseType::BadRequest.into(),
        error_message: "this id belongs to another certificate".to_owned(),
        details: None,
    };
    first.say(ServerToAgent { error_response: Some(error), ..Default::default() }).await;
    first.answer(Answer::Close(1008)).await;
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.starts_with("the controller refuses this agent: this id belongs to another"), "{text}");
}

#[actix_rt::test]
async fn text_is_no_opamp() {
    let (_server, setting, first) = connected(TransportKind::Websocket).await;
    first.answer(Answer::Text).await;
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.contains("sends text, OpAMP is binary"), "{text}");
}

#[actix_rt::test]
async fn a_foreign_controller_is_not_trusted() {
    let (mine, other) = (Authority::new(), Authority::new());
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let mut server = Server::start(&other, kind).await;
        let setting = start(settings(&[&server.url], kind, mine.agent_keys(false)));
        let text = setting.sink.until(HealthState::Failed).await;
        assert!(text.contains("certificate of another authority"), "{text}");
        assert!(matches!(server.next().await, Seen::Gone), "nothing was said to it");
    }
}

#[actix_rt::test]
async fn an_expired_or_foreign_own_certificate_is_named() {
    let (mine, other) = (Authority::new(), Authority::new());
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let server = Server::start(&mine, kind).await;
        let setting = start(settings(&[&server.url], kind, mine.agent_keys(true)));
        let text = setting.sink.until(HealthState::Failed).await;
        assert!(text.contains("refuses this agent's certificate: it has expired"), "{text}");

        let identity = Identity { ca_pem: mine.ca_pem(), ..other.identity(false) };
        let keys = KeyRing::open(std::path::Path::new("/nonexistent"), identity).unwrap();
        let setting = start(settings(&[&server.url], kind, keys));
        let text = setting.sink.until(HealthState::Failed).await;
        assert!(text.contains("refuses this agent's certificate: another authority signed it"), "{text}");
    }
}

#[actix_rt::test]
async fn an_expiry_that_is_known_here_is_named_whatever_the_peer_says() {
    let authority = Authority::new();
    let server = Server::start(&authority, TransportKind::Websocket).await;
    let setting = start(settings(&[&server.url], TransportKind::Websocket, authority.agent_keys(true)));
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.starts_with("this agent's certificate expired at 2020-02-01T00:00:00Z"), "{text}");
}

#[actix_rt::test]
async fn the_next_controller_is_tried_at_once() {
    let authority = Authority::new();
    let mut server = Server::start(&authority, TransportKind::Websocket).await;
    // A port that was free a moment ago: nobody listens.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = [format!("https://{dead}"), server.url.clone()];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let setting = start(settings(&urls, TransportKind::Websocket, authority.agent_keys(false)));
    let first = server.message().await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    let state = setting.uplink.send(GetUplinkState).await.unwrap();
    assert!(matches!(state.state, State::Active { url: 1, attempt: 1, .. }), "{state:?}");
    assert_eq!(state.server, ServerCapabilities(0x7));
    assert!(server.is_quiet());
}

#[actix_rt::test]
async fn a_silent_controller_is_given_up() {
    let authority = Authority::new();
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let mut server = Server::start(&authority, kind).await;
        let mut settings = settings(&[&server.url], kind, authority.agent_keys(false));
        settings.deadlines.open = Duration::from_millis(200);
        settings.deadlines.answer = Duration::from_millis(100);
        // Over a slow machine TLS may take its time.
        if kind == TransportKind::Websocket {
            settings.deadlines.open = Duration::from_secs(10);
        }
        let setting = start(settings);
        let _unanswered = server.message().await;
        let text = setting.sink.until(HealthState::Failed).await;
        let expected = match kind {
            TransportKind::Websocket => "has not answered for 0.1 s",
            TransportKind::Http => "cannot be reached",
        };
        assert!(text.contains(expected), "{text}");
    }
}

#[actix_rt::test]
async fn http_statuses_of_overload() {
    let (_server, setting, first) = connected(TransportKind::Http).await;
    first.answer(Answer::Status(429, Some("3"))).await;
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.contains("is busy: HTTP status 429"), "{text}");
    let state = setting.uplink.send(GetUplinkState).await.unwrap().state;
    let State::BackingOff { failure: Failure::Busy { retry_after, .. }, .. } = state else {
        panic!("{state:?}")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(3)));
}

/// The certificate request in a message.
fn csr(message: &AgentToServer) -> Option<String> {
    let request = message.connection_settings_request.as_ref()?.opamp.as_ref()?;
    Some(String::from_utf8(request.certificate_request.as_ref()?.csr.clone()).unwrap())
}

fn issue(cert: String) -> ServerToAgent {
    let certificate = opamp::TlsCertificate { cert: cert.into_bytes(), ..Default::default() };
    let opamp = OpAmpConnectionSettings { certificate: Some(certificate), ..Default::default() };
    let offer = ConnectionSettingsOffers { hash: vec![7], opamp: Some(opamp), ..Default::default() };
    ServerToAgent { connection_settings: Some(offer), capabilities: 0x67, ..Default::default() }
}

fn settings_status(message: &AgentToServer) -> Option<(Vec<u8>, ConnectionSettingsStatuses)> {
    let status = message.connection_settings_status.as_ref()?;
    Some((status.last_connection_settings_hash.clone(), status.status()))
}

/// Renews with a certificate that `signer` makes; gives the outcome that is reported, and what is on disk then.
async fn renew(
    kind: TransportKind,
    trusted: &[&Authority],
    signer: usize,
) -> (ConnectionSettingsStatuses, bool) {
    let mut server = Server::start(trusted[0], kind).await;
    let dir = tempfile::tempdir().unwrap();
    let ca_pem = trusted.iter().map(|authority| authority.ca_pem()).collect();
    let identity = Identity { ca_pem, ..trusted[0].due_identity() };
    identity.store(dir.path()).unwrap();
    let before = identity.cert_pem.clone();
    let keys = KeyRing::open(dir.path(), identity).unwrap();
    let setting = start(settings(&[&server.url], kind, keys));
    let first = server.message().await;
    let request = csr(&first.message).expect("a renewal that is due is asked for at once");
    let cert = trusted[signer].sign(&request);
    first.say(issue(cert.clone())).await;
    let outcome = loop {
        let arrival = server.message().await;
        if let Some((hash, status)) = settings_status(&arrival.message) {
            assert_eq!(hash, [7]);
            break status;
        }
        arrival.say_if_there(hello()).await;
    };
    setting.sink.until(HealthState::Healthy).await;
    let kept = Identity::load(dir.path()).unwrap().cert_pem;
    assert!(kept == before || kept == cert);
    assert!(!dir.path().join("renewal").exists(), "the trial is over");
    (outcome, kept == cert)
}

#[actix_rt::test]
async fn a_renewed_certificate_that_works_is_kept() {
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let kept = renew(kind, &[&Authority::new()], 0).await;
        assert_eq!(kept, (ConnectionSettingsStatuses::Applied, true));
    }
}

#[actix_rt::test]
async fn a_renewed_certificate_that_is_refused_gives_way_to_the_old_one() {
    // The agent trusts a second authority that this controller does not know.
    let (mine, other) = (Authority::new(), Authority::new());
    for kind in [TransportKind::Websocket, TransportKind::Http] {
        let kept = renew(kind, &[&mine, &other], 1).await;
        assert_eq!(kept, (ConnectionSettingsStatuses::Failed, false));
    }
}

#[actix_rt::test]
async fn a_certificate_that_nobody_asked_for_is_refused() {
    let (mut server, _setting, first) = connected(TransportKind::Websocket).await;
    assert_eq!(csr(&first.message), None, "it is not due");
    first.say(issue("x".to_owned())).await;
    let reported = loop {
        let arrival = server.message().await;
        if let Some(status) = settings_status(&arrival.message) {
            break status;
        }
    };
    assert_eq!(reported, (vec![7], ConnectionSettingsStatuses::Failed));
}

#[actix_rt::test]
async fn an_authority_that_nobody_vouches_for_is_refused_with_its_offer() {
    let (mut server, _setting, first) = connected(TransportKind::Websocket).await;
    let tls = TlsConnectionSettings { ca_pem_contents: Authority::new().ca_pem(), ..Default::default() };
    let opamp =
        OpAmpConnectionSettings { tls: Some(tls), heartbeat_interval_seconds: 1, ..Default::default() };
    let offer = ConnectionSettingsOffers { hash: vec![9], opamp: Some(opamp), ..Default::default() };
    first.say(ServerToAgent { connection_settings: Some(offer), ..hello() }).await;
    let arrival = server.message().await;
    let status = arrival.message.connection_settings_status.as_ref().unwrap();
    assert_eq!(status.status(), ConnectionSettingsStatuses::Failed);
    assert!(status.error_message.contains("trusts only the authority"), "{}", status.error_message);
}
