//! The checklist: names as in the guide to the protocol. Overload (Unavailable, 429, 503) is
//! tested where it is made, by the tests of admission.

use super::packages;
use super::wire::{Heard, Over, Wire};
use crate::common::*;
use futures_util::future::LocalBoxFuture;
use muster_proto::api::{Connection, PolicyPublished, PolicyState};
use muster_proto::opamp::capability::{AgentCapabilities, AgentFlags, ServerFlags};
use muster_proto::opamp::{
    AgentDisconnect, AgentToServer, CertificateRequest, ConnectionSettingsRequest, ConnectionSettingsStatus,
    ConnectionSettingsStatuses, CustomMessage, OpAmpConnectionSettingsRequest, RemoteConfigStatuses,
    ServerToAgent, frame,
};
use prost::Message as _;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message as Frame;

pub type Case = for<'a> fn(&'a Site, Over) -> LocalBoxFuture<'a, ()>;

/// Names a case and boxes its future.
macro_rules! cases {
    ($($name:literal => $function:path,)*) => {
        pub const CASES: &[(&str, Case)] = &[$(($name, |site, over| Box::pin($function(site, over)))),*];
    };
}

cases! {
    "header byte absent" => header_absent,
    "header byte 0" => header_zero,
    "header non-canonical varint 0x80 0x00" => header_non_canonical,
    "header non-zero" => header_non_zero,
    "empty protobuf" => empty_protobuf,
    "text frame" => text_frame,
    "oversize plain" => oversize_plain,
    "oversize gzip-bombed" => oversize_gzip,
    "gzip in and out" => gzip_in_and_out,
    "unknown fields and bits" => unknown_fields_and_bits,
    "uid of 0, 15, 16, 26 bytes" => uid_lengths,
    "RequestInstanceUid" => request_instance_uid,
    "server-forced uid" => server_forced_uid,
    "duplicate uid on two sockets" => duplicate_uid,
    "sequence 0 first, gap, repeat, restart" => sequence,
    "short first message on a fresh node" => short_first_message,
    "full message with gap (no flag)" => full_message_with_gap,
    "no answer loop in 100 idle exchanges" => no_answer_loop,
    "config: offer, APPLYING, APPLIED, FAILED, same hash" => config_states,
    "config: agent rollback" => agent_rollback,
    "capability not declared (no offer made)" => capability_not_declared,
    "package set: add" => packages::add,
    "package set: change" => packages::change,
    "package set: remove" => packages::remove,
    "package set: fail" => packages::fail,
    "package set: downgrade" => packages::downgrade,
    "settings offer: good, unreachable, crash between" => settings_offer,
    "CSR: good, bad signature, wrong uid" => csr,
    "CSR: uid change" => csr_uid_change,
    "heartbeat interval change, 0" => heartbeat_interval,
    "agent_disconnect" => agent_disconnect,
    "close without it" => close_without_it,
    "401" => unauthorised,
    "two agents on one socket" => two_agents_on_one_socket,
    "command alone and with extras" => command_alone,
    "custom message, unknown capability" => unknown_custom_message,
}

fn is_full_state_asked(reply: &ServerToAgent) -> bool {
    ServerFlags(reply.flags).has(ServerFlags::REPORT_FULL_STATE)
}

fn full_bytes(wire: &mut Wire) -> Vec<u8> {
    wire.agent.full().encode_to_vec()
}

async fn header_absent(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let bytes = full_bytes(&mut wire);
    // Over HTTP this is the rule, over a WebSocket what very old peers do.
    assert_eq!(wire.bytes(bytes).await.message().error_response, None);
    assert_eq!(wire.view(site).await.summary.connection, Connection::Connected);
}

async fn header_zero(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let bytes = [vec![0], full_bytes(&mut wire)].concat();
    match over {
        Over::WebSocket => assert_eq!(wire.bytes(bytes).await.message().error_response, None),
        Over::Http => wire.bytes(bytes).await.is_refused(0, 400),
    }
}

async fn header_non_canonical(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let bytes = [vec![0x80, 0], full_bytes(&mut wire)].concat();
    match over {
        Over::WebSocket => assert_eq!(wire.bytes(bytes).await.message().error_response, None),
        Over::Http => wire.bytes(bytes).await.is_refused(0, 400),
    }
}

async fn header_non_zero(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    for header in [vec![5], vec![0x81, 0x00], vec![0xff; 10]] {
        let bytes = [header, full_bytes(&mut wire)].concat();
        wire.bytes(bytes).await.is_refused(1002, 400);
    }
    // A message without a header begins with 10 too. Whether what follows then reads as one, with an id that is too
    // short, is up to the agent's random id; it is refused either way.
    let bytes = [vec![10], full_bytes(&mut wire)].concat();
    match wire.bytes(bytes).await {
        Heard::Message(reply) => assert!(error_text(&reply).contains("10 bytes instead of 16"), "{reply:?}"),
        heard => heard.is_refused(1002, 400),
    }
}

async fn empty_protobuf(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    // Legal on the wire; but without a uid there is nobody to take anything from.
    let reply = wire.protobuf(Vec::new()).await.message();
    assert!(error_text(&reply).contains("0 bytes instead of 16"), "{reply:?}");
}

async fn text_frame(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    match over {
        Over::WebSocket => wire.frame(Frame::Text("hello".into())).await.is_refused(1003, 0),
        Over::Http => {
            let body = full_bytes(&mut wire);
            let response = wire.request(body, &[("content-type", "text/plain")]).await;
            // Both content types are there; the first counts, and it is the right one.
            assert_eq!(response.status(), 200);
            wire.bytes(b"hello".to_vec()).await.is_refused(0, 400);
        }
    }
}

async fn oversize_plain(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let big = vec![0; frame::MAX_MESSAGE_BYTES + 1];
    wire.protobuf(big).await.is_refused(1009, 413);
    // The agent itself is none the worse for it.
    assert_eq!(wire.report().await.error_response, None);
}

async fn oversize_gzip(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    match over {
        // Compression is not negotiated: there is nothing to inflate.
        Over::WebSocket => assert_eq!(wire.report().await.error_response, None),
        Over::Http => {
            let bomb = crate::polling::gzip_bomb();
            assert!(bomb.len() < 64 * 1024);
            wire.post(bomb, &[("content-encoding", "gzip")]).await.is_refused(0, 413);
        }
    }
}

async fn gzip_in_and_out(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    match over {
        Over::WebSocket => assert_eq!(wire.report().await.error_response, None),
        Over::Http => {
            let body = crate::polling::gzip_stored(&full_bytes(&mut wire));
            let headers = [("content-encoding", "gzip"), ("accept-encoding", "gzip")];
            let response = wire.request(body, &headers).await;
            assert_eq!(
                (response.status().as_u16(), &response.headers()["content-encoding"]),
                (200, &reqwest::header::HeaderValue::from_static("gzip"))
            );
            assert_eq!(response.bytes().await.unwrap()[..2], [0x1f, 0x8b]);
        }
    }
}

async fn unknown_fields_and_bits(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let full = AgentToServer { flags: 1 << 40, ..wire.agent.full() };
    let full = AgentToServer { capabilities: full.capabilities | 1 << 50, ..full };
    // Field 1000, text "new".
    let bytes = [full.encode_to_vec(), vec![0xc2, 0x3e, 3, b'n', b'e', b'w']].concat();
    let reply = wire.protobuf(bytes).await.message();
    assert_eq!((reply.error_response, reply.flags), (None, 0));
}

async fn uid_lengths(site: &Site, over: Over) {
    for length in [0, 15, 26] {
        let mut wire = Wire::enrolled(site, over).await;
        let message = AgentToServer { instance_uid: vec![b'A'; length], ..wire.agent.full() };
        let reply = wire.ask(&message).await;
        assert!(error_text(&reply).contains(&format!("{length} bytes instead of 16")), "{reply:?}");
        if over == Over::WebSocket {
            wire.next().await.is_refused(1008, 0);
        }
        assert_eq!(wire.report().await.error_response, None, "16 bytes");
    }
}

async fn request_instance_uid(site: &Site, over: Over) {
    let asking = |message: AgentToServer| AgentToServer {
        flags: AgentFlags::REQUEST_INSTANCE_UID.0,
        instance_uid: vec![9; 16],
        ..message
    };
    let given = |reply: &ServerToAgent| reply.agent_identification.clone().unwrap().new_instance_uid;
    // An enrolled agent is whom its certificate names.
    let mut wire = Wire::enrolled(site, over).await;
    let message = asking(wire.agent.full());
    assert_eq!(given(&wire.ask(&message).await), wire.agent.uid.as_bytes());
    assert_eq!(wire.report().await.error_response, None);
    // A new one gets a fresh uid, and its token is bound to that.
    let mut wire = Wire::foreign(site, over).await;
    let message = asking(wire.agent.full());
    let uid = given(&wire.ask(&message).await);
    assert_ne!(uid, vec![9; 16]);
    wire.agent.uid = uuid::Uuid::from_slice(&uid).unwrap();
    assert_eq!(wire.agent.uid.get_version_num(), 7);
    assert_eq!(wire.report().await.agent_identification, None);
    assert_eq!(wire.view(site).await.summary.connection, Connection::Connected);
}

async fn server_forced_uid(site: &Site, over: Over) {
    // A foreign agent that makes a new uid at each start is told the one that is its own.
    let mut wire = Wire::foreign(site, over).await;
    assert_eq!(wire.report().await.error_response, None);
    let own = wire.agent.uid;
    let goodbye = AgentToServer { agent_disconnect: Some(AgentDisconnect {}), ..wire.agent.message() };
    wire.ask(&goodbye).await;
    wire.reconnect();
    wire.agent.uid = uuid::Uuid::now_v7();
    wire.agent.sequence = 0;
    let reply = wire.report().await;
    assert_eq!(reply.instance_uid, wire.agent.uid.as_bytes(), "addressed to whom it calls itself");
    assert_eq!(reply.agent_identification.unwrap().new_instance_uid, own.as_bytes());
    assert_eq!(reply.remote_config, None, "nothing else is said to it");
    wire.agent.uid = own;
    let reply = wire.report().await;
    assert_eq!((reply.error_response, reply.agent_identification), (None, None));
}

async fn duplicate_uid(site: &Site, over: Over) {
    let mut first = Wire::enrolled(site, Over::WebSocket).await;
    first.report().await;
    let agent = TestAgent {
        ca: first.agent.ca.clone(),
        key: first.agent.key.clone(),
        certificate: first.agent.certificate.clone(),
        ..first.agent
    };
    let probed = tokio::spawn(async move {
        // Answers the probe while it waits for what it is told.
        let told = first.next().await.message();
        (first, told)
    });
    let mut second = Wire::new(agent, over, None);
    match over {
        Over::WebSocket => {
            let problem = second.agent.dial(None).await.map(drop).unwrap_err();
            assert_eq!((problem.status, problem.code()), (403, "identity-in-use"));
        }
        Over::Http => {
            let full = second.agent.full();
            second.send(&full).await.is_refused(0, 403);
        }
    }
    let (mut first, told) = probed.await.unwrap();
    assert!(error_text(&told).contains("second agent with this identity"), "{told:?}");
    assert_eq!(first.beat().await.error_response, None, "the first one stays");
}

async fn sequence(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    // 0 is no field 2 at all.
    wire.agent.sequence = 0;
    assert!(!is_full_state_asked(&wire.report().await));
    assert!(!is_full_state_asked(&wire.beat().await));
    wire.agent.sequence += 1;
    assert!(is_full_state_asked(&wire.beat().await), "a gap");
    assert!(!is_full_state_asked(&wire.report().await));
    wire.agent.sequence -= 1;
    assert!(!is_full_state_asked(&wire.beat().await), "a repeat is answered and is no gap");
    wire.agent.sequence = 0;
    assert!(is_full_state_asked(&wire.beat().await), "a restart");
}

async fn short_first_message(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    assert!(is_full_state_asked(&wire.beat().await));
    assert!(!is_full_state_asked(&wire.beat().await), "not again before it could answer");
    assert!(!is_full_state_asked(&wire.report().await));
    assert!(!is_full_state_asked(&wire.beat().await));
}

async fn full_message_with_gap(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    wire.report().await;
    wire.agent.sequence += 7;
    assert!(!is_full_state_asked(&wire.report().await));
    assert!(!is_full_state_asked(&wire.beat().await));
}

async fn no_answer_loop(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let hash = wire.report().await.remote_config.unwrap().config_hash;
    let applied = wire.agent.status(&hash, RemoteConfigStatuses::Applied, "");
    wire.ask(&applied).await;
    for _ in 0..100 {
        let reply = wire.beat().await;
        let nothing = ServerToAgent {
            instance_uid: wire.agent.uid.as_bytes().to_vec(),
            capabilities: reply.capabilities,
            ..ServerToAgent::default()
        };
        assert_eq!(reply, nothing);
    }
}

async fn publish(site: &Site, name: &str) -> PolicyPublished {
    let text = POLICY.replace("name: base", &format!("name: {name}"));
    site.api.yaml("/policies", &text, 201).await
}

/// A policy for everybody is published and removed again, so that the next case starts from none.
async fn unpublish(site: &Site, name: &str) {
    let _: PolicyPublished = site.api.json("DELETE", &format!("/policies/{name}"), None, 200).await;
}

async fn config_states(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let empty = wire.report().await.remote_config.unwrap().config_hash;
    let applied = wire.agent.status(&empty, RemoteConfigStatuses::Applied, "");
    assert_eq!(wire.ask(&applied).await.remote_config, None);
    let name = format!("states-{}", wire.over == Over::Http);
    publish(site, &name).await;
    let offer = wire.pushed().await.remote_config.unwrap();
    assert_ne!(offer.config_hash, empty);
    assert_eq!(wire.beat().await.remote_config, None, "not again while it has not answered");
    for (word, state) in [
        (RemoteConfigStatuses::Applying, PolicyState::Applying),
        (RemoteConfigStatuses::Applied, PolicyState::Applied),
        (RemoteConfigStatuses::Failed, PolicyState::Failed),
    ] {
        let status = wire.agent.status(&offer.config_hash, word, "no such journal");
        assert_eq!(wire.ask(&status).await.remote_config, None, "{word:?}: the same hash");
        assert_eq!(wire.beat().await.remote_config, None, "{word:?}");
        let view = wire.view(site).await;
        assert_eq!(view.summary.policy.state, state);
    }
    // The same again over a new connection: FAILED with the wanted hash is not tried again by itself.
    wire.reconnect();
    let failed = wire.agent.status(&offer.config_hash, RemoteConfigStatuses::Failed, "no such journal");
    let full = AgentToServer { sequence_num: failed.sequence_num, ..wire.agent.full() };
    let full = AgentToServer { remote_config_status: failed.remote_config_status, ..full };
    assert_eq!(wire.ask(&full).await.remote_config, None);
    unpublish(site, &name).await;
    assert!(wire.pushed().await.remote_config.is_some(), "a new revision is");
}

async fn agent_rollback(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let good = wire.report().await.remote_config.unwrap().config_hash;
    let applied = wire.agent.status(&good, RemoteConfigStatuses::Applied, "");
    wire.ask(&applied).await;
    let name = format!("rollback-{}", wire.over == Over::Http);
    publish(site, &name).await;
    let bad = wire.pushed().await.remote_config.unwrap().config_hash;
    let failed = wire.agent.status(&bad, RemoteConfigStatuses::Failed, "destination gone");
    wire.ask(&failed).await;
    // The agent goes back, and says that the old one runs: by the hash alone it would get the bad one again.
    let back = wire.agent.status(&good, RemoteConfigStatuses::Applied, "");
    assert_eq!(wire.ask(&back).await.remote_config, None);
    assert_eq!(wire.beat().await.remote_config, None);
    let view = wire.view(site).await;
    assert_eq!(view.summary.policy.state, PolicyState::Failed);
    assert_eq!(view.summary.policy.reason, "destination gone");
    unpublish(site, &name).await;
}

async fn capability_not_declared(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let bare = AgentCapabilities::REPORTS_STATUS.0;
    let message = AgentToServer { capabilities: bare, ..wire.agent.full() };
    let reply = wire.ask(&message).await;
    assert_eq!((reply.remote_config, reply.connection_settings), (None, None));
    let all = wire.agent.full();
    let reply = wire.ask(&all).await;
    assert!(reply.remote_config.is_some(), "declared while it was connected");
    assert!(reply.connection_settings.is_some());
}

async fn settings_offer(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let offer = wire.report().await.connection_settings.unwrap();
    let opamp = offer.opamp.clone().unwrap();
    let scheme = if over == Over::Http { "https://" } else { "wss://" };
    assert!(opamp.destination_endpoint.starts_with(scheme), "{}", opamp.destination_endpoint);
    let status = |word: ConnectionSettingsStatuses, message: AgentToServer| {
        let status = ConnectionSettingsStatus {
            last_connection_settings_hash: offer.hash.clone(),
            status: word.into(),
            error_message: "the address cannot be reached".to_owned(),
        };
        AgentToServer { connection_settings_status: Some(status), ..message }
    };
    // Good.
    let message = status(ConnectionSettingsStatuses::Applied, wire.agent.message());
    assert_eq!(wire.ask(&message).await.connection_settings, None);
    assert_eq!(wire.view(site).await.warnings, Vec::<String>::new());
    // Unreachable: told to people, not offered again.
    let message = status(ConnectionSettingsStatuses::Failed, wire.agent.message());
    assert_eq!(wire.ask(&message).await.connection_settings, None);
    let warnings = wire.view(site).await.warnings;
    assert_eq!(warnings, ["it refused connection settings: the address cannot be reached"]);
    // A crash between: the agent comes back without having said what became of the offer.
    wire.reconnect();
    wire.agent.sequence = 0;
    assert!(wire.report().await.connection_settings.is_some());
    // And one that says so in its first report is not offered them.
    wire.reconnect();
    wire.agent.sequence = 0;
    let message = status(ConnectionSettingsStatuses::Applied, wire.agent.full());
    assert_eq!(wire.ask(&message).await.connection_settings, None);
}

fn with_csr(message: AgentToServer, csr: Vec<u8>) -> AgentToServer {
    let request = OpAmpConnectionSettingsRequest { certificate_request: Some(CertificateRequest { csr }) };
    AgentToServer {
        connection_settings_request: Some(ConnectionSettingsRequest { opamp: Some(request) }),
        ..message
    }
}

async fn csr(site: &Site, over: Over) {
    let token = site.token().await;
    let agent = TestAgent::new(site.addr(), site.ca());
    let mut wire = Wire::new(agent, over, Some(token.token));
    // Another uid in the request than in the message.
    let own = wire.agent.uid;
    wire.agent.uid = uuid::Uuid::now_v7();
    let foreign = wire.agent.csr();
    wire.agent.uid = own;
    let message = with_csr(wire.agent.message(), foreign);
    let reply = wire.ask(&message).await;
    assert!(error_text(&reply).contains("names"), "{reply:?}");
    // A signature that is not by the key in it.
    let mut der = pem_content(&wire.agent.csr());
    *der.last_mut().unwrap() ^= 1;
    let message = with_csr(wire.agent.message(), pem_of(&der));
    error_text(&wire.ask(&message).await);
    let message = with_csr(wire.agent.message(), b"no request".to_vec());
    error_text(&wire.ask(&message).await);
    // A good one, and the same again: the answer may have been lost.
    for _ in 0..2 {
        let message = wire.agent.with_csr();
        let reply = wire.ask(&message).await;
        wire.agent.keep(&reply);
    }
    wire.bearer = None;
    wire.reconnect();
    assert_eq!(wire.report().await.error_response, None);
}

fn pem_content(pem: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = String::from_utf8(pem.to_vec()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
    base64::engine::general_purpose::STANDARD.decode(lines).unwrap()
}

fn pem_of(der: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let head = "-----BEGIN CERTIFICATE REQUEST-----";
    format!("{head}\n{text}\n{}\n", head.replace("BEGIN", "END")).into_bytes()
}

async fn csr_uid_change(site: &Site, over: Over) {
    // This controller gives no enrolled agent another uid, so the one case in which a request may name another
    // than the certificate does not arise, and every such request is refused.
    let mut wire = Wire::enrolled(site, over).await;
    wire.report().await;
    let own = wire.agent.uid;
    wire.agent.uid = uuid::Uuid::now_v7();
    let csr = wire.agent.csr();
    wire.agent.uid = own;
    let message = with_csr(wire.agent.message(), csr);
    let reply = wire.ask(&message).await;
    assert!(error_text(&reply).contains("make the request anew"), "{reply:?}");
    // Over WebSocket and HTTP alike the agent may go on.
    assert_eq!(wire.beat().await.error_response, None);
}

async fn heartbeat_interval(_: &Site, over: Over) {
    // Each offer of settings names the interval: without it some agents would stop their heartbeats. 0 in the
    // configuration is not "none".
    let mut hashes = Vec::new();
    for (set, expected) in [(0, 1), (7, 7)] {
        let site = Site::start_with(|c| c.heartbeat_seconds = set).await;
        let token = site.token().await;
        let mut wire = Wire::new(TestAgent::new(site.addr(), site.ca()), over, Some(token.token));
        let message = wire.agent.with_csr();
        let reply = wire.ask(&message).await;
        let opamp = reply.connection_settings.unwrap().opamp.unwrap();
        assert_eq!(opamp.heartbeat_interval_seconds, expected);
        wire.agent.certificate = Some(String::from_utf8(opamp.certificate.unwrap().cert).unwrap());
        wire.bearer = None;
        wire.reconnect();
        let offer = wire.report().await.connection_settings.unwrap();
        assert_eq!(offer.opamp.unwrap().heartbeat_interval_seconds, expected);
        hashes.push(offer.hash);
        site.running.stop().await;
    }
    assert_ne!(hashes[0], hashes[1], "another interval is another hash");
}

async fn agent_disconnect(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    wire.report().await;
    let goodbye = AgentToServer { agent_disconnect: Some(AgentDisconnect {}), ..wire.agent.message() };
    assert_eq!(wire.ask(&goodbye).await.error_response, None);
    if over == Over::WebSocket {
        assert!(matches!(wire.next().await, Heard::Closed(Some(1000))));
    }
    eventually("it is gone", async || {
        (wire.view(site).await.summary.connection == Connection::Reconnecting).then_some(())
    })
    .await;
    wire.agent.sequence = 0;
    assert_eq!(wire.report().await.error_response, None, "and may come back");
}

async fn close_without_it(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    wire.report().await;
    wire.vanish();
    match over {
        Over::WebSocket => {
            eventually("the loss is seen", async || {
                (wire.view(site).await.summary.connection == Connection::Reconnecting).then_some(())
            })
            .await;
        }
        // Between two polls nothing is connected: only silence tells, see the tests of `link`.
        Over::Http => assert_eq!(wire.view(site).await.summary.connection, Connection::Connected),
    }
    assert_eq!(wire.report().await.error_response, None);
}

async fn unauthorised(site: &Site, over: Over) {
    let mut wire = Wire::new(TestAgent::new(site.addr(), site.ca()), over, None);
    for bearer in [None, Some("musterf1.AAAA"), Some("muster1.AAAA"), Some("x")] {
        wire.bearer = bearer.map(str::to_owned);
        match over {
            Over::WebSocket => {
                let problem = wire.agent.dial(bearer).await.map(drop).unwrap_err();
                assert_eq!(problem.status, 401, "before the upgrade");
            }
            Over::Http => {
                let response = wire.request(Vec::new(), &[]).await;
                assert_eq!(response.status(), 401);
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
            }
        }
    }
}

async fn two_agents_on_one_socket(site: &Site, over: Over) {
    for foreign in [false, true] {
        let mut wire = match foreign {
            false => Wire::enrolled(site, over).await,
            true => Wire::foreign(site, over).await,
        };
        assert_eq!(wire.report().await.error_response, None);
        let own = wire.agent.uid;
        wire.agent.uid = uuid::Uuid::now_v7();
        let second = wire.agent.full();
        wire.agent.uid = own;
        let reply = wire.ask(&second).await;
        if foreign && over == Over::Http {
            // There is no connection to tell a second agent from the first after a restart: it is told who it is.
            let told = reply.agent_identification.unwrap().new_instance_uid;
            assert_eq!(told, own.as_bytes());
            assert_eq!(wire.view(site).await.warnings, Vec::<String>::new());
            wire.ask(&second).await;
            let warnings = wire.view(site).await.warnings;
            assert!(warnings[0].contains("shown under another instance uid"), "{warnings:?}");
            continue;
        }
        let text = error_text(&reply);
        let expected = if foreign { "a connection and a token of its own" } else { "is not the agent" };
        assert!(text.contains(expected), "{text}");
        if over == Over::WebSocket {
            wire.next().await.is_refused(1008, 0);
        }
        let (status, _, _) = site
            .api
            .raw("GET", &format!("/agents/{}", uuid::Uuid::from_slice(&second.instance_uid).unwrap()), None)
            .await;
        assert_eq!(status, 404, "nothing is taken from it");
    }
}

async fn command_alone(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    let accepts = AgentCapabilities::ACCEPTS_RESTART_COMMAND.0;
    let path = format!("/agents/{}/restart", wire.agent.uid);
    wire.report().await;
    let problem = site.api.problem("POST", &path, None).await;
    assert_eq!(problem.code(), "no-restart", "not declared");
    let full = wire.agent.full();
    let full = AgentToServer { capabilities: full.capabilities | accepts, ..full };
    wire.ask(&full).await;
    let (status, _, _) = site.api.raw("POST", &path, None).await;
    assert_eq!(status, 202);
    let expected = |wire: &Wire, reply: &ServerToAgent| {
        let alone = ServerToAgent {
            instance_uid: wire.agent.uid.as_bytes().to_vec(),
            capabilities: reply.capabilities,
            command: Some(muster_proto::opamp::ServerToAgentCommand { r#type: 0 }),
            ..ServerToAgent::default()
        };
        assert_eq!(*reply, alone);
    };
    let reply = wire.pushed().await;
    expected(&wire, &reply);
    // With something else to be said at the same time, it comes by itself all the same.
    if over == Over::Http {
        let beat = AgentToServer { capabilities: full.capabilities, ..wire.agent.message() };
        wire.ask(&beat).await;
        let (status, _, _) = site.api.raw("POST", &path, None).await;
        assert_eq!(status, 202);
        wire.agent.sequence += 5;
        let beat = AgentToServer { capabilities: full.capabilities, ..wire.agent.message() };
        let reply = wire.ask(&beat).await;
        assert!(is_full_state_asked(&reply) && reply.command.is_none(), "{reply:?}");
        let beat = AgentToServer { capabilities: full.capabilities, ..wire.agent.message() };
        let reply = wire.ask(&beat).await;
        expected(&wire, &reply);
    }
}

async fn unknown_custom_message(site: &Site, over: Over) {
    let mut wire = Wire::enrolled(site, over).await;
    wire.report().await;
    let custom = CustomMessage {
        capability: "com.example.strange/v9".to_owned(),
        r#type: "x".to_owned(),
        data: vec![0xff; 1_000],
    };
    let message = AgentToServer { custom_message: Some(custom), ..wire.agent.message() };
    let reply = wire.ask(&message).await;
    assert_eq!((reply.error_response, reply.custom_message, reply.flags), (None, None, 0));
    // A known capability with bytes that mean nothing.
    let custom = CustomMessage {
        capability: muster_proto::session::rates::CAPABILITY.to_owned(),
        r#type: "report".to_owned(),
        data: vec![0xff; 10],
    };
    let message = AgentToServer { custom_message: Some(custom), ..wire.agent.message() };
    assert_eq!(wire.ask(&message).await.error_response, None);
    tokio::time::timeout(Duration::from_secs(10), wire.beat()).await.unwrap();
}
