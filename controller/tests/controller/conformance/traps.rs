//! What is often got wrong, by the numbers of the guide to the protocol. 12 is tested in `muster-proto`; the agent's side
//! of the others in `muster-agent`.

use super::packages;
use super::wire::{Over, Wire};
use crate::common::*;
use muster_proto::api::{AgentView, PolicyPublished};
use muster_proto::opamp::{
    AgentDescription, AgentToServer, AnyValue, ArrayValue, ComponentHealth, KeyValue, RemoteConfigStatuses,
    ServerToAgent, any_value, attribute,
};
use prost::Message as _;

const BOTH: [Over; 2] = [Over::WebSocket, Over::Http];

#[tokio::test(flavor = "multi_thread")]
async fn trap_01_a_header_byte_on_websocket_and_none_on_http() {
    let site = Site::start().await;
    let mut wire = Wire::enrolled(&site, Over::WebSocket).await;
    // What the controller sends begins with the byte; `frame::decode` would do without it.
    use futures_util::{SinkExt, StreamExt};
    let mut socket = wire.agent.dial(None).await.unwrap();
    let bytes = [vec![0], wire.agent.full().encode_to_vec()].concat();
    socket.send(tokio_tungstenite::tungstenite::Message::Binary(bytes.into())).await.unwrap();
    let frame = socket.next().await.unwrap().unwrap().into_data();
    assert_eq!(frame[0], 0);
    ServerToAgent::decode(&frame[1..]).unwrap();
    drop(socket);
    let mut wire = Wire::enrolled(&site, Over::Http).await;
    let body = wire.agent.full().encode_to_vec();
    let answer = wire.request(body, &[]).await.bytes().await.unwrap();
    assert_eq!(answer[0], 0x0a, "the uid's field comes first, no header before it");
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_02_absent_is_unchanged_and_empty_is_cleared() {
    let site = Site::start().await;
    for over in BOTH {
        let mut wire = Wire::enrolled(&site, over).await;
        wire.report().await;
        let bare = AgentToServer { capabilities: 0, ..wire.agent.message() };
        wire.ask(&bare).await;
        let view: AgentView = wire.view(&site).await;
        assert_eq!((view.components.len(), view.summary.version.as_str()), (1, "0.1.0"), "{over:?}");
        let _: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
        assert!(wire.pushed().await.remote_config.is_some(), "{over:?}: its capabilities are not lost");
        let _: PolicyPublished = site.api.json("DELETE", "/policies/base", None, 200).await;
        assert!(wire.pushed().await.remote_config.is_some(), "{over:?}: nor is that it took the first");
        let empty = AgentToServer {
            agent_description: Some(AgentDescription::default()),
            health: Some(ComponentHealth { healthy: true, ..Default::default() }),
            ..wire.agent.message()
        };
        wire.ask(&empty).await;
        let view: AgentView = wire.view(&site).await;
        assert_eq!((view.components.len(), view.summary.version.as_str()), (0, ""), "{over:?}");
        for _ in 0..3 {
            assert_eq!(wire.beat().await.flags, 0, "{over:?}: it is not asked again for what it cleared");
        }
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_03_full_state_is_asked_once_and_only_when_something_is_missing() {
    let site = Site::start().await;
    for over in BOTH {
        let mut wire = Wire::enrolled(&site, over).await;
        wire.report().await;
        wire.reconnect();
        assert_eq!(wire.beat().await.flags, 0, "{over:?}: short after a reconnect, nothing missing");
        wire.agent.sequence += 1;
        assert_eq!(wire.beat().await.flags, 1, "{over:?}: a gap");
        assert_eq!(wire.beat().await.flags, 0, "{over:?}: asked already");
        // An agent that has no remote config may leave its status out whatever it declares.
        let full = AgentToServer { remote_config_status: None, ..wire.agent.full() };
        assert_eq!(wire.ask(&full).await.flags, 0, "{over:?}: this is the answer");
        assert_eq!(wire.beat().await.flags, 0, "{over:?}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_04_a_status_report_is_answered_once() {
    let site = Site::start().await;
    let mut wire = Wire::enrolled(&site, Over::WebSocket).await;
    let hash = wire.report().await.remote_config.unwrap().config_hash;
    let applied = wire.agent.status(&hash, RemoteConfigStatuses::Applied, "");
    wire.ask(&applied).await;
    for _ in 0..20 {
        let full = wire.agent.full();
        let full = AgentToServer { remote_config_status: applied.remote_config_status.clone(), ..full };
        wire.ask(&full).await;
    }
    // The next answer is to the next message: none was queued before it. A refused one tells itself apart.
    let marked = AgentToServer { instance_uid: vec![1; 15], ..AgentToServer::default() };
    assert!(error_text(&wire.ask(&marked).await).contains("15 bytes"));
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_05_configuration_is_compared_by_hash_and_hashed_in_order() {
    let site = Site::start().await;
    for over in BOTH {
        let mut wire = Wire::enrolled(&site, over).await;
        let hash = wire.report().await.remote_config.unwrap().config_hash;
        // APPLYING for ever is not a reason to send it again at once, and neither is FAILED.
        for word in [RemoteConfigStatuses::Applying, RemoteConfigStatuses::Failed] {
            let status = wire.agent.status(&hash, word, "");
            assert_eq!(wire.ask(&status).await.remote_config, None, "{over:?} {word:?}");
        }
        // APPLIED with another hash is one.
        wire.reconnect();
        let status = wire.agent.status(&[7; 32], RemoteConfigStatuses::Unset, "");
        let full = AgentToServer { remote_config_status: None, ..wire.agent.full() };
        let full = AgentToServer { remote_config_status: status.remote_config_status, ..full };
        wire.ask(&full).await;
        let mut other = Wire::enrolled(&site, over).await;
        assert_eq!(other.report().await.remote_config.unwrap().config_hash, hash, "{over:?}: the same files");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_06_sets_are_complete_and_another_try_has_another_hash() {
    for over in BOTH {
        packages::trap_06(over).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_07_every_offer_of_settings_names_the_heartbeat() {
    let site = Site::start().await;
    for over in BOTH {
        let token = site.token().await;
        let mut wire = Wire::new(TestAgent::new(site.addr(), site.ca()), over, Some(token.token));
        let request = wire.agent.with_csr();
        let certificate = wire.ask(&request).await;
        wire.agent.keep(&certificate);
        wire.bearer = None;
        wire.reconnect();
        let pace = wire.report().await;
        for reply in [certificate, pace] {
            let opamp = reply.connection_settings.unwrap().opamp.unwrap();
            assert_eq!(opamp.heartbeat_interval_seconds, 30, "{over:?}");
            assert!(!opamp.destination_endpoint.is_empty(), "{over:?}");
        }
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_08_an_error_stands_alone() {
    let site = Site::start().await;
    let _: PolicyPublished = site.api.yaml("/policies", POLICY, 201).await;
    for over in BOTH {
        let mut wire = Wire::enrolled(&site, over).await;
        let full = AgentToServer { instance_uid: vec![3; 16], ..wire.agent.full() };
        let reply = wire.ask(&full).await;
        let alone = ServerToAgent {
            instance_uid: vec![3; 16],
            error_response: reply.error_response.clone(),
            ..ServerToAgent::default()
        };
        assert!(reply.error_response.is_some());
        assert_eq!(reply, alone, "{over:?}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_09_the_old_certificate_is_good_until_the_new_one_is_used() {
    let site = Site::start().await;
    for over in BOTH {
        let mut wire = Wire::enrolled(&site, over).await;
        wire.report().await;
        let old = (wire.agent.key.clone(), wire.agent.certificate.clone());
        wire.agent.key = std::sync::Arc::new(rcgen::KeyPair::generate().unwrap());
        let request = wire.agent.with_csr();
        let reply = wire.ask(&request).await;
        let new = {
            wire.agent.keep(&reply);
            (wire.agent.key.clone(), wire.agent.certificate.clone())
        };
        // The agent crashed before it could use it.
        (wire.agent.key, wire.agent.certificate) = old.clone();
        wire.reconnect();
        assert_eq!(wire.report().await.error_response, None, "{over:?}: the old one");
        (wire.agent.key, wire.agent.certificate) = new;
        wire.reconnect();
        assert_eq!(wire.report().await.error_response, None, "{over:?}: the new one");
        (wire.agent.key, wire.agent.certificate) = old;
        let problem = wire.agent.dial(None).await.map(drop).unwrap_err();
        assert_eq!(problem.status, 401, "{over:?}: the old one is retired now");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_11_the_uid_is_the_certificates_and_not_what_the_agent_calls_itself() {
    let site = Site::start().await;
    for over in BOTH {
        let mut wire = Wire::enrolled(&site, over).await;
        let mut full = wire.agent.full();
        let description = full.agent_description.as_mut().unwrap();
        let claimed = attribute::text(attribute::SERVICE_INSTANCE_ID, uuid::Uuid::now_v7().to_string());
        description.identifying_attributes.push(claimed);
        wire.ask(&full).await;
        let view: AgentView = wire.view(&site).await;
        assert_eq!(view.summary.id.0, wire.agent.uid, "{over:?}");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_13_size_depth_and_number_are_bounded() {
    let site = Site::start().await;
    for over in BOTH {
        let mut wire = Wire::enrolled(&site, over).await;
        // As many attributes and components as fit, with long names.
        let attributes =
            (0..2_000).map(|n| attribute::text(&format!("{n}-{}", "k".repeat(100)), "v".repeat(100)));
        let children = (0..2_000).map(|n| {
            let health = ComponentHealth { last_error: "e".repeat(100), ..ComponentHealth::default() };
            (format!("{n}-{}", "c".repeat(100)), health)
        });
        let message = AgentToServer {
            agent_description: Some(AgentDescription {
                identifying_attributes: attributes.collect(),
                ..AgentDescription::default()
            }),
            health: Some(ComponentHealth {
                component_health_map: children.collect(),
                ..ComponentHealth::default()
            }),
            ..wire.agent.full()
        };
        assert_eq!(wire.ask(&message).await.error_response, None);
        let view: AgentView = wire.view(&site).await;
        assert!(view.attributes.len() <= 64 && view.components.len() <= 256, "{over:?}");
        // Deeper than any decoder should follow: refused, not a stack that overflows.
        let mut value = AnyValue { value: Some(any_value::Value::BoolValue(true)) };
        for _ in 0..200 {
            value =
                AnyValue { value: Some(any_value::Value::ArrayValue(ArrayValue { values: vec![value] })) };
        }
        let message = AgentToServer {
            agent_description: Some(AgentDescription {
                identifying_attributes: vec![KeyValue { key: "k".to_owned(), value: Some(value) }],
                ..AgentDescription::default()
            }),
            ..wire.agent.message()
        };
        wire.send(&message).await.is_refused(1002, 400);
        assert_eq!(wire.report().await.error_response, None, "{over:?}: the others go on");
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_14_no_uid_is_believed_that_the_credential_does_not_name() {
    let site = Site::start().await;
    let mut victim = Wire::enrolled(&site, Over::Http).await;
    victim.report().await;
    for over in BOTH {
        for mut wire in [Wire::enrolled(&site, over).await, Wire::foreign(&site, over).await] {
            let mut message = wire.agent.full();
            message.instance_uid = victim.agent.uid.as_bytes().to_vec();
            message.health = Some(health(false, "not mine"));
            error_text(&wire.ask(&message).await);
            assert!(victim.view(&site).await.summary.healthy, "{over:?}");
        }
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_15_a_slow_reader_gets_the_latest_of_each_kind() {
    let site = Site::start().await;
    // The agent does not look while policies are published one after the other.
    let mut wire = Wire::enrolled(&site, Over::Http).await;
    let first = wire.report().await.remote_config.unwrap().config_hash;
    let applied = wire.agent.status(&first, RemoteConfigStatuses::Applied, "");
    wire.ask(&applied).await;
    for n in 0..5 {
        let text = POLICY.replace("siem.example:514", &format!("siem.example:{}", 600 + n));
        let _: PolicyPublished = site.api.yaml("/policies", &text, 201).await;
    }
    let offer = wire.beat().await.remote_config.unwrap();
    let body = String::from_utf8(offer.config.unwrap().config_map["policy"].body.clone()).unwrap();
    assert!(body.contains("siem.example:604"), "{body}");
    let applied = wire.agent.status(&offer.config_hash, RemoteConfigStatuses::Applied, "");
    assert_eq!(wire.ask(&applied).await.remote_config, None, "the four before were never queued");
    site.running.stop().await;
}
