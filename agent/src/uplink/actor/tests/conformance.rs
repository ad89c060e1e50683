//! OpAMP conformance of the agent: one table of cases, names as in the guide to the protocol, each over both
//! transports against a scripted server. What only a server can get wrong is in the controller's table.

use super::{packages, *};
use crate::uplink::connection::Candidate;
use crate::uplink::testing::deflated;
use muster_proto::opamp::{AgentIdentification, CommandType, ServerToAgentCommand};
use prost::Message as _;

type Case = fn(TransportKind) -> LocalBoxFuture<'static, ()>;

macro_rules! cases {
    ($($name:literal => $function:path,)*) => {
        const CASES: &[(&str, Case)] = &[$(($name, |kind| Box::pin($function(kind)))),*];
    };
}

cases! {
    "header byte absent" => header_absent,
    "header byte 0" => header_zero,
    "header non-canonical varint 0x80 0x00" => header_non_canonical,
    "header non-zero" => header_non_zero,
    "empty protobuf" => empty_protobuf,
    "text frame" => text_frame,
    "oversize plain and gzip-bombed (413, 1009)" => oversize,
    "gzip in and out" => gzip_in_and_out,
    "unknown fields and bits" => unknown_fields_and_bits,
    "uid of another agent" => another_uid,
    "RequestInstanceUid" => never_asks_for_a_uid,
    "server-forced uid" => forced_uid,
    "sequence 0 first, restart of the server" => sequence,
    "short first message on a fresh node" => full_state_on_request,
    "no answer loop in 100 idle exchanges" => no_answer_loop,
    "config: offer, APPLYING, APPLIED, FAILED, same hash" => config,
    "config: hash of a hostile size" => oversized_hash,
    "package set: add" => packages::add,
    "package set: change" => packages::change,
    "package set: remove" => packages::remove,
    "package set: fail" => packages::fail,
    "package set: downgrade" => packages::downgrade,
    "settings offer: good" => settings_good,
    "settings offer: unreachable" => settings_unreachable,
    "settings offer: crash between" => settings_crash,
    "settings offer: nowhere to keep it" => settings_not_kept,
    "settings offer: refused" => settings_refused,
    "heartbeat interval change, 0" => heartbeat_interval,
    "agent_disconnect" => agent_disconnect,
    "close without it" => close_without_it,
    "Unavailable with retry_info" => unavailable_with,
    "Unavailable without retry_info" => unavailable_without,
    "429/503 Retry-After as seconds and as date" => retry_after,
    "401" => unauthorised,
    "413 is not sent again" => too_large,
    "command alone and with extras" => command,
    "custom message, unknown capability" => custom_message,
}

async fn run(kind: TransportKind) {
    for (name, case) in CASES {
        // The last name in a failed test's output is the case that failed.
        eprintln!("{kind:?}: {name}");
        case(kind).await;
    }
}

#[actix_rt::test]
async fn the_checklist_over_websocket() {
    run(TransportKind::Websocket).await;
}

#[actix_rt::test]
async fn the_checklist_over_http() {
    run(TransportKind::Http).await;
}

/// The answer to a first report, addressed, as protobuf.
fn greeting() -> Vec<u8> {
    ServerToAgent { instance_uid: AGENT.0.as_bytes().to_vec(), ..hello() }.encode_to_vec()
}

async fn answered_with(kind: TransportKind, bytes: Vec<u8>) -> (Server, Setting, HealthState, String) {
    let (server, setting, first) = connected(kind).await;
    setting.sink.until(HealthState::Starting).await;
    first.answer(Answer::Bytes(bytes)).await;
    let (state, reason) = setting.sink.next_of(&[HealthState::Healthy, HealthState::Failed]).await;
    (server, setting, state, reason)
}

async fn is_taken(kind: TransportKind, bytes: Vec<u8>) {
    let (_server, _setting, state, reason) = answered_with(kind, bytes).await;
    assert_eq!(state, HealthState::Healthy, "{reason}");
}

async fn is_refused(kind: TransportKind, bytes: Vec<u8>, why: &str) {
    let (_server, _setting, state, reason) = answered_with(kind, bytes).await;
    assert_eq!(state, HealthState::Failed);
    assert!(reason.contains(why), "{reason}");
}

async fn header_absent(kind: TransportKind) {
    is_taken(kind, greeting()).await;
}

async fn header_zero(kind: TransportKind) {
    let bytes = [vec![0], greeting()].concat();
    match kind {
        TransportKind::Websocket => is_taken(kind, bytes).await,
        TransportKind::Http => is_refused(kind, bytes, "does not decode").await,
    }
}

async fn header_non_canonical(kind: TransportKind) {
    let bytes = [vec![0x80, 0], greeting()].concat();
    match kind {
        TransportKind::Websocket => is_taken(kind, bytes).await,
        TransportKind::Http => is_refused(kind, bytes, "does not decode").await,
    }
}

async fn header_non_zero(kind: TransportKind) {
    let why = match kind {
        TransportKind::Websocket => "header that is not 0",
        TransportKind::Http => "does not decode",
    };
    is_refused(kind, [vec![0x81, 0], greeting()].concat(), why).await;
}

async fn empty_protobuf(kind: TransportKind) {
    let bytes = match kind {
        TransportKind::Websocket => vec![0],
        TransportKind::Http => Vec::new(),
    };
    is_taken(kind, bytes).await;
}

async fn text_frame(kind: TransportKind) {
    match kind {
        TransportKind::Websocket => {
            let (_server, setting, first) = connected(kind).await;
            first.answer(Answer::Text).await;
            let text = setting.sink.until(HealthState::Failed).await;
            assert!(text.contains("sends text"), "{text}");
        }
        TransportKind::Http => is_refused(kind, b"hello".to_vec(), "does not decode").await,
    }
}

async fn oversize(kind: TransportKind) {
    let (_server, setting, first) = connected(kind).await;
    let large = vec![0; muster_proto::opamp::frame::MAX_MESSAGE_BYTES + 1];
    match kind {
        TransportKind::Websocket => first.answer(Answer::Bytes(large)).await,
        TransportKind::Http => {
            let bomb = deflated(&large);
            assert!(bomb.len() < 10_000);
            first.answer(Answer::Gzip(bomb)).await;
        }
    }
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.contains("at most") || text.contains("too long") || text.contains("too large"), "{text}");
}

async fn gzip_in_and_out(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    assert!(!first.gzip, "a small report is not worth it");
    match kind {
        TransportKind::Websocket => first.say(hello()).await,
        TransportKind::Http => first.answer(Answer::Gzip(deflated(&greeting()))).await,
    }
    setting.sink.until(HealthState::Healthy).await;
    let long = component("source/audit", HealthState::Degraded, &"no journal ".repeat(80));
    setting.uplink.send(ReportHealth(vec![long])).await.unwrap();
    let report = server.message().await;
    assert_eq!(report.gzip, kind == TransportKind::Http);
    if kind == TransportKind::Http {
        report.answer(Answer::Gzip(b"no gzip at all".to_vec())).await;
        let text = setting.sink.until(HealthState::Failed).await;
        assert!(text.contains("damaged gzip"), "{text}");
    }
}

async fn unknown_fields_and_bits(kind: TransportKind) {
    let message = ServerToAgent {
        instance_uid: AGENT.0.as_bytes().to_vec(),
        capabilities: 0x7 | 1 << 50,
        flags: 1 << 40,
        ..Default::default()
    };
    // Field 1000, text "new".
    let bytes = [message.encode_to_vec(), vec![0xc2, 0x3e, 3, b'n', b'e', b'w']].concat();
    is_taken(kind, bytes).await;
}

/// Nothing that was said before caused a message: the next one is what this policy brings.
async fn nothing_came(server: &mut Server, last: &Arrival, sequence: u64) -> Arrival {
    last.say(ServerToAgent { remote_config: Some(policy_offer(b"good".to_vec())), ..hello() }).await;
    let next = server.message().await;
    assert_eq!(next.message.sequence_num, sequence);
    assert_eq!(policy_status(&next.message), Some((RemoteConfigStatuses::Applying, String::new())));
    next
}

/// Over HTTP an answer ends the exchange: news bring the next one.
async fn next_exchange(server: &mut Server, setting: &Setting, last: Arrival, news: &str) -> Arrival {
    match setting.kind {
        TransportKind::Websocket => last,
        TransportKind::Http => {
            let health = component("source/audit", HealthState::Degraded, news);
            setting.uplink.send(ReportHealth(vec![health])).await.unwrap();
            server.message().await
        }
    }
}

async fn another_uid(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    let stranger = ServerToAgent {
        instance_uid: vec![1; 16],
        remote_config: Some(policy_offer(b"not for us".to_vec())),
        ..hello()
    };
    first.answer(Answer::Message(Box::new(stranger))).await;
    let last = next_exchange(&mut server, &setting, first, "one").await;
    let sequence = last.message.sequence_num + 1;
    nothing_came(&mut server, &last, sequence).await;
    assert_eq!(setting.policies.offers.borrow().len(), 1);
}

async fn never_asks_for_a_uid(kind: TransportKind) {
    let (_server, _setting, first) = connected(kind).await;
    assert_eq!(first.message.flags, 0, "it makes its own");
    assert_eq!(first.message.instance_uid.len(), 16);
}

async fn forced_uid(kind: TransportKind) {
    for new_instance_uid in [vec![9; 16], vec![9; 15], Vec::new()] {
        let (mut server, setting, first) = connected(kind).await;
        let identification = AgentIdentification { new_instance_uid };
        first.say(ServerToAgent { agent_identification: Some(identification), ..hello() }).await;
        let text = setting.sink.until(HealthState::Degraded).await;
        assert!(text.contains("its id is in its certificate"), "{text}");
        let last = next_exchange(&mut server, &setting, first, "one").await;
        let sequence = last.message.sequence_num + 1;
        let next = nothing_came(&mut server, &last, sequence).await;
        assert_eq!(next.message.instance_uid, AGENT.0.as_bytes(), "it stays whom its certificate names");
    }
}

async fn sequence(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    assert_eq!(first.message.sequence_num, 0);
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    let health = component("source/audit", HealthState::Degraded, "x");
    setting.uplink.send(ReportHealth(vec![health])).await.unwrap();
    let second = server.message().await;
    assert_eq!(second.message.sequence_num, 1);
    match kind {
        TransportKind::Websocket => second.answer(Answer::Close(1001)).await,
        TransportKind::Http => second.answer(Answer::Status(502, None)).await,
    }
    let third = server.message().await;
    assert_eq!(third.message.sequence_num, 2, "the numbers go on");
    assert!(third.message.agent_description.is_some());
}

async fn full_state_on_request(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    let health = component("source/audit", HealthState::Degraded, "x");
    setting.uplink.send(ReportHealth(vec![health])).await.unwrap();
    let short = server.message().await;
    assert_eq!(short.message.agent_description, None);
    short.say(ServerToAgent { flags: ServerFlags::REPORT_FULL_STATE.0, ..Default::default() }).await;
    let full = server.message().await.message;
    assert!(full.agent_description.is_some() && full.health.is_some());
    assert!(full.remote_config_status.is_some() && full.custom_capabilities.is_some());
}

async fn no_answer_loop(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    match kind {
        TransportKind::Websocket => {
            for _ in 0..100 {
                first.say(ServerToAgent::default()).await;
            }
            nothing_came(&mut server, &first, 1).await;
        }
        // Each answer would bring the next request, were there a loop.
        TransportKind::Http => {
            for n in 1..101 {
                let last = next_exchange(&mut server, &setting, first.clone(), &n.to_string()).await;
                assert_eq!(last.message.sequence_num, n);
                last.say(ServerToAgent::default()).await;
            }
            assert!(server.is_quiet());
        }
    }
}

async fn config(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    let (good, bad) = (policy_offer(b"good".to_vec()), policy_offer(b"bad".to_vec()));
    let mut last = first;
    for (offer, end) in [(&good, RemoteConfigStatuses::Applied), (&bad, RemoteConfigStatuses::Failed)] {
        last.say(ServerToAgent { remote_config: Some(offer.clone()), ..hello() }).await;
        let applying = server.message().await;
        let status = applying.message.remote_config_status.as_ref().unwrap();
        assert_eq!(status.status(), RemoteConfigStatuses::Applying);
        assert_eq!(status.last_remote_config_hash, offer.config_hash);
        // The same hash while it is being applied, and FAILED or not: once.
        applying.say(ServerToAgent { remote_config: Some(offer.clone()), ..hello() }).await;
        last = server.message().await;
        let status = last.message.remote_config_status.as_ref().unwrap();
        assert_eq!((status.status(), &status.last_remote_config_hash), (end, &offer.config_hash));
    }
    last.say(ServerToAgent { remote_config: Some(bad), ..hello() }).await;
    let last = next_exchange(&mut server, &setting, last, "later").await;
    last.say(ServerToAgent { remote_config: Some(policy_offer(b"third".to_vec())), ..hello() }).await;
    let third = server.message().await;
    assert_eq!(policy_status(&third.message), Some((RemoteConfigStatuses::Applying, String::new())));
    assert_eq!(setting.policies.offers.borrow().len(), 3);
}

async fn oversized_hash(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    let huge = opamp::AgentRemoteConfig { config_hash: vec![7; 1_000_000], ..policy_offer(b"good".to_vec()) };
    let settings = ConnectionSettingsOffers { hash: vec![7; 1_000_000], ..Default::default() };
    first
        .say(ServerToAgent { remote_config: Some(huge), connection_settings: Some(settings), ..hello() })
        .await;
    let last = next_exchange(&mut server, &setting, first, "one").await;
    let sequence = last.message.sequence_num + 1;
    nothing_came(&mut server, &last, sequence).await;
    assert_eq!(setting.policies.offers.borrow().len(), 1, "an echo of a megabyte in each report is refused");
}

fn move_to(url: &str) -> ServerToAgent {
    let settings = OpAmpConnectionSettings {
        destination_endpoint: url.replace("https://", "wss://"),
        heartbeat_interval_seconds: 77,
        ..Default::default()
    };
    let offer = ConnectionSettingsOffers { hash: vec![4, 2], opamp: Some(settings), ..Default::default() };
    ServerToAgent { connection_settings: Some(offer), ..hello() }
}

fn settings_status(message: &AgentToServer) -> Option<(ConnectionSettingsStatuses, String)> {
    let status = message.connection_settings_status.as_ref()?;
    assert_eq!(status.last_connection_settings_hash, [4, 2]);
    Some((status.status(), status.error_message.clone()))
}

struct Moving {
    old: Server,
    new: Server,
    setting: Setting,
    keeper: Rc<Keeper>,
    first: Arrival,
}

/// An agent of one authority with two controllers.
async fn moving(kind: TransportKind, kept: Kept, fails: bool) -> Moving {
    let authority = Authority::new();
    let mut old = Server::start(&authority, kind).await;
    let mut new = Server::start(&authority, kind).await;
    let keeper = Rc::new(Keeper { fails, ..Keeper::default() });
    let mut settings = settings(&[&old.url], kind, authority.agent_keys(false));
    settings.kept = match &kept.candidate {
        Some(candidate) => {
            let candidate = Candidate { url: url_of(&new), replaces: url_of(&old), ..candidate.clone() };
            kept.trying(candidate)
        }
        None => kept,
    };
    let resumes = settings.kept.candidate.is_some();
    settings.keeper = keeper.clone();
    let setting = start(settings);
    let first = if resumes { new.message().await } else { old.message().await };
    Moving { old, new, setting, keeper, first }
}

fn url_of(server: &Server) -> String {
    Endpoint::parse(&server.url).unwrap().to_string()
}

async fn settings_good(kind: TransportKind) {
    let Moving { mut old, mut new, setting, keeper, first } = moving(kind, Kept::default(), false).await;
    first.say(move_to(&new.url)).await;
    // The last report to the old one says what is being done, and goodbye.
    let goodbye = old.message().await;
    assert_eq!(
        settings_status(&goodbye.message),
        Some((ConnectionSettingsStatuses::Applying, String::new()))
    );
    assert!(goodbye.message.agent_disconnect.is_some());
    if kind == TransportKind::Http {
        goodbye.say(ServerToAgent::default()).await;
    }
    let there = new.message().await;
    assert!(there.message.agent_description.is_some());
    let url = url_of(&new);
    assert_eq!(keeper.kept.borrow()[0].candidate.as_ref().unwrap().url, url, "stored before it is tried");
    there.say(hello()).await;
    let told = new.message().await;
    assert_eq!(settings_status(&told.message), Some((ConnectionSettingsStatuses::Applied, String::new())));
    assert_eq!(*keeper.kept.borrow().last().unwrap(), Kept { urls: vec![url], candidate: None });
    let state = setting.uplink.send(GetUplinkState).await.unwrap();
    assert_eq!(state.heartbeat, Duration::from_secs(77));
    assert!(matches!(state.state, State::Active { url: 0, .. }), "{state:?}");
}

async fn settings_unreachable(kind: TransportKind) {
    let Moving { mut old, new, setting: _setting, keeper, first } =
        moving(kind, Kept::default(), false).await;
    new.refuse(Some((503, Some("3600"), "not here")));
    first.say(move_to(&new.url)).await;
    let goodbye = old.message().await;
    if kind == TransportKind::Http {
        goodbye.say(ServerToAgent::default()).await;
    }
    // Back at once: no wait that somebody else asked for.
    let back = old.message().await;
    let (status, reason) = settings_status(&back.message).unwrap();
    assert_eq!(status, ConnectionSettingsStatuses::Failed);
    assert!(reason.contains("given up") && reason.contains("not here"), "{reason}");
    assert_eq!(*keeper.kept.borrow().last().unwrap(), Kept::default());
    // The same offer again is not tried again.
    back.say(move_to(&new.url)).await;
    let again = next_exchange(&mut old, &_setting, back, "one").await;
    let sequence = again.message.sequence_num + 1;
    nothing_came(&mut old, &again, sequence).await;
}

async fn settings_crash(kind: TransportKind) {
    let candidate =
        Candidate { url: String::new(), replaces: String::new(), hash: vec![4, 2], heartbeat_seconds: 77 };
    let kept = Kept { urls: Vec::new(), candidate: Some(candidate) };
    // Started anew with a candidate in its folder, it goes there first.
    let Moving { mut new, keeper, first, setting: _setting, .. } = moving(kind, kept, false).await;
    first.say(hello()).await;
    let told = new.message().await;
    assert_eq!(settings_status(&told.message), Some((ConnectionSettingsStatuses::Applied, String::new())));
    assert_eq!(keeper.kept.borrow().last().unwrap().urls, [url_of(&new)]);
}

async fn settings_not_kept(kind: TransportKind) {
    let Moving { mut old, new, first, setting: _setting, .. } = moving(kind, Kept::default(), true).await;
    first.say(move_to(&new.url)).await;
    let told = old.message().await;
    let (status, reason) = settings_status(&told.message).unwrap();
    assert_eq!((status, reason.as_str()), (ConnectionSettingsStatuses::Failed, "disk full"));
    assert_eq!(told.message.agent_disconnect, None, "it does not leave");
}

async fn settings_refused(kind: TransportKind) {
    let (mut server, setting, mut last) = connected(kind).await;
    let certificate =
        |certificate| OpAmpConnectionSettings { certificate: Some(certificate), ..Default::default() };
    let with_tls = |tls| OpAmpConnectionSettings { tls: Some(tls), ..Default::default() };
    let cases = [
        with_tls(TlsConnectionSettings { insecure_skip_verify: true, ..Default::default() }),
        with_tls(TlsConnectionSettings { ca_pem_contents: "another".to_owned(), ..Default::default() }),
        certificate(opamp::TlsCertificate { private_key: vec![1], ..Default::default() }),
        OpAmpConnectionSettings { proxy: Some(Default::default()), ..Default::default() },
        OpAmpConnectionSettings { destination_endpoint: "ws://plain".to_owned(), ..Default::default() },
    ];
    for (n, settings) in cases.into_iter().enumerate() {
        let hash = vec![u8::try_from(n).unwrap()];
        let offer =
            ConnectionSettingsOffers { hash: hash.clone(), opamp: Some(settings), ..Default::default() };
        last.say(ServerToAgent { connection_settings: Some(offer), ..hello() }).await;
        last = server.message().await;
        let status = last.message.connection_settings_status.as_ref().unwrap();
        assert_eq!(
            (status.status(), &status.last_connection_settings_hash),
            (ConnectionSettingsStatuses::Failed, &hash)
        );
        assert!(!status.error_message.is_empty());
    }
    let state = setting.uplink.send(GetUplinkState).await.unwrap();
    assert_eq!(state.heartbeat, Duration::from_secs(600));
}

async fn heartbeat_interval(kind: TransportKind) {
    let (mut server, setting, mut last) = connected(kind).await;
    for (seconds, expected) in [(5, 5), (0, 5)] {
        let settings = OpAmpConnectionSettings { heartbeat_interval_seconds: seconds, ..Default::default() };
        let hash = vec![u8::try_from(seconds).unwrap()];
        let offer = ConnectionSettingsOffers { hash, opamp: Some(settings), ..Default::default() };
        last.say(ServerToAgent { connection_settings: Some(offer), ..hello() }).await;
        last = server.message().await;
        let status = last.message.connection_settings_status.as_ref().unwrap();
        assert_eq!(status.status(), ConnectionSettingsStatuses::Applied);
        let state = setting.uplink.send(GetUplinkState).await.unwrap();
        assert_eq!(state.heartbeat, Duration::from_secs(expected), "0 is \"unchanged\", not \"never\"");
    }
}

async fn agent_disconnect(kind: TransportKind) {
    goodbye_story(kind).await;
}

async fn close_without_it(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    server.drop_connections();
    if kind == TransportKind::Http {
        let health = component("source/audit", HealthState::Degraded, "x");
        setting.uplink.send(ReportHealth(vec![health])).await.unwrap();
    }
    let again = server.message().await;
    again.say(hello()).await;
    assert_eq!(again.message.agent_disconnect, None);
}

fn busy(details: Option<Details>) -> ServerToAgent {
    let error = ServerErrorResponse {
        r#type: ServerErrorResponseType::Unavailable.into(),
        error_message: "too many agents".to_owned(),
        details,
    };
    ServerToAgent { error_response: Some(error), ..Default::default() }
}

async fn failure(setting: &Setting) -> (Option<Duration>, Duration) {
    let state = setting.uplink.send(GetUplinkState).await.unwrap().state;
    let State::BackingOff { failure: Failure::Busy { retry_after, .. }, until, .. } = state else {
        panic!("{state:?}")
    };
    (retry_after, until)
}

async fn unavailable_with(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    // Nanoseconds, not seconds.
    let info = Details::RetryInfo(RetryInfo { retry_after_nanoseconds: 90_000_000_000 });
    first.say(busy(Some(info))).await;
    setting.sink.until(HealthState::Failed).await;
    let (asked, until) = failure(&setting).await;
    assert_eq!(asked, Some(Duration::from_secs(90)));
    assert!(until >= Duration::from_secs(90), "{until:?}");
    // It has left, and says nothing while it waits.
    assert!(matches!(server.next().await, Seen::GoodClose | Seen::Gone));
    let health = component("source/audit", HealthState::Degraded, "x");
    setting.uplink.send(ReportHealth(vec![health])).await.unwrap();
    assert!(server.only_ends());
}

async fn unavailable_without(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    first.say(busy(None)).await;
    setting.sink.until(HealthState::Failed).await;
    assert_eq!(failure(&setting).await.0, None);
    // Its own waits, which begin short.
    server.message().await.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
}

async fn retry_after(kind: TransportKind) {
    let date = (Timestamp::now() + jiff::SignedDuration::from_secs(300)).to_zoned(jiff::tz::TimeZone::UTC);
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let cases: [(u16, &'static str, Duration); 4] = [
        (429, "7", Duration::from_secs(7)),
        (503, "200", Duration::from_secs(200)),
        (429, date.leak(), Duration::from_secs(300)),
        (503, "Mon, 01 Jan 2024 00:00:00 GMT", Duration::ZERO),
    ];
    for (code, value, expected) in cases {
        let authority = Authority::new();
        let server = Server::start(&authority, kind).await;
        server.refuse(Some((code, Some(value), "later")));
        let setting = start(settings(&[&server.url], kind, authority.agent_keys(false)));
        setting.sink.until(HealthState::Failed).await;
        let asked = failure(&setting).await.0.unwrap();
        let off = asked.abs_diff(expected);
        assert!(off <= Duration::from_secs(20), "{code} {value}: {asked:?}");
    }
}

async fn unauthorised(kind: TransportKind) {
    refusal_story(kind).await;
}

async fn too_large(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    let good = policy_offer(b"good".to_vec());
    first.say(ServerToAgent { remote_config: Some(good), ..hello() }).await;
    let applying = server.message().await;
    applying.say(hello()).await;
    let applied = server.message().await;
    assert!(applied.message.effective_config.is_some());
    match kind {
        TransportKind::Websocket => applied.answer(Answer::Close(1009)).await,
        TransportKind::Http => applied.answer(Answer::Status(413, None)).await,
    }
    let text = setting.sink.until(HealthState::Failed).await;
    assert!(text.contains("too large"), "{text}");
    let slim = server.message().await.message;
    let files = slim.effective_config.unwrap().config_map.unwrap().config_map;
    assert_eq!(files.keys().collect::<Vec<_>>(), [""], "not the body that was refused");
}

async fn command(kind: TransportKind) {
    let authority = Authority::new();
    let mut server = Server::start(&authority, kind).await;
    let mut settings = settings(&[&server.url], kind, authority.agent_keys(false));
    let restart: Arc<Notify> = Arc::default();
    settings.restart = restart.clone();
    let setting = start(settings);
    let mut last = server.message().await;
    let told = |r#type: i32, extras: bool| ServerToAgent {
        command: Some(ServerToAgentCommand { r#type }),
        remote_config: extras.then(|| policy_offer(b"ignored".to_vec())),
        ..hello()
    };
    let heard = async |expected: bool| {
        let waited = tokio::time::timeout(Duration::from_millis(100), restart.notified()).await;
        assert_eq!(waited.is_ok(), expected);
    };
    // So soon after the start of the process nobody can have a reason.
    let steps = [
        (told(CommandType::Restart.into(), false), Duration::ZERO, false),
        (told(7, false), Duration::from_secs(60), false),
        (told(CommandType::Restart.into(), true), Duration::from_secs(60), true),
        (told(CommandType::Restart.into(), false), Duration::from_secs(1), false),
    ];
    for (n, (message, later, expected)) in steps.into_iter().enumerate() {
        setting.uplink.send(Later(later)).await.unwrap();
        last.say(message).await;
        last = next_exchange(&mut server, &setting, last, &format!("step {n}")).await;
        heard(expected).await;
    }
    let sequence = last.message.sequence_num + 1;
    nothing_came(&mut server, &last, sequence).await;
    assert_eq!(setting.policies.offers.borrow().len(), 1, "what came with the command was not looked at");
}

async fn custom_message(kind: TransportKind) {
    let (mut server, setting, first) = connected(kind).await;
    let strange = CustomMessage {
        capability: "com.example.strange/v9".to_owned(),
        r#type: "x".to_owned(),
        data: vec![0xff; 1_000],
    };
    first.say(ServerToAgent { custom_message: Some(strange), ..hello() }).await;
    let damaged = CustomMessage {
        capability: rates::CAPABILITY.to_owned(),
        r#type: "watch".to_owned(),
        data: vec![0xff; 10],
    };
    let last = next_exchange(&mut server, &setting, first, "one").await;
    last.say(ServerToAgent { custom_message: Some(damaged), ..hello() }).await;
    let last = next_exchange(&mut server, &setting, last, "two").await;
    let sequence = last.message.sequence_num + 1;
    nothing_came(&mut server, &last, sequence).await;
}
