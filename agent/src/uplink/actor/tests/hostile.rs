//! Whatever a controller sends: nothing panics, nothing grows, and the agent goes on.

use super::*;
use crate::uplink::offer;
use muster_proto::opamp::config::policy_body;
use muster_proto::opamp::frame::decode_plain;
use muster_proto::opamp::{
    AgentConfigFile, AgentConfigMap, AgentIdentification, AgentRemoteConfig, Header, Headers,
    PackageAvailable, PackagesAvailable, TlsCertificate,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use prost::Message as _;

fn settings_offer() -> impl Strategy<Value = OpAmpConnectionSettings> {
    ((".{0,60}", any::<u64>(), any::<bool>()), vec(any::<u8>(), 0..40), vec((".{0,9}", ".{0,9}"), 0..4))
        .prop_map(|((destination_endpoint, heartbeat_interval_seconds, skip), bytes, headers)| {
            OpAmpConnectionSettings {
                destination_endpoint,
                heartbeat_interval_seconds,
                tls: skip.then(|| TlsConnectionSettings { insecure_skip_verify: true, ..Default::default() }),
                certificate: (bytes.len() > 20).then(|| TlsCertificate { cert: bytes, ..Default::default() }),
                headers: Some(Headers {
                    headers: headers.into_iter().map(|(key, value)| Header { key, value }).collect(),
                }),
                ..Default::default()
            }
        })
}

fn message() -> impl Strategy<Value = ServerToAgent> {
    let files = vec((".{0,9}", vec(any::<u8>(), 0..200), ".{0,20}"), 0..4).prop_map(|files| AgentConfigMap {
        config_map: files
            .into_iter()
            .map(|(name, body, content_type)| (name, AgentConfigFile { body, content_type }))
            .collect(),
    });
    let config = (files, vec(any::<u8>(), 0..100))
        .prop_map(|(config, config_hash)| AgentRemoteConfig { config: Some(config), config_hash });
    let packages = vec(".{0,9}", 0..50).prop_map(|names| PackagesAvailable {
        packages: names.into_iter().map(|name| (name, PackageAvailable::default())).collect(),
        all_packages_hash: vec![1],
    });
    let custom = (".{0,30}", ".{0,9}", vec(any::<u8>(), 0..200));
    (
        (any::<u64>(), any::<u64>()),
        proptest::option::of(config),
        proptest::option::of((settings_offer(), vec(any::<u8>(), 0..100))),
        proptest::option::of(packages),
        proptest::option::of(vec(any::<u8>(), 0..30)),
        (any::<bool>(), custom, vec(".{0,30}", 0..50)),
    )
        .prop_map(
            |(
                (flags, capabilities),
                remote_config,
                settings,
                packages_available,
                uid,
                (rates, custom, names),
            )| {
                let (capability, r#type, data) = custom;
                let capability = if rates { rates::CAPABILITY.to_owned() } else { capability };
                ServerToAgent {
                    flags,
                    capabilities,
                    remote_config,
                    packages_available,
                    connection_settings: settings.map(|(opamp, hash)| ConnectionSettingsOffers {
                        hash,
                        opamp: Some(opamp),
                        ..Default::default()
                    }),
                    agent_identification: uid
                        .map(|new_instance_uid| AgentIdentification { new_instance_uid }),
                    custom_capabilities: Some(CustomCapabilities { capabilities: names }),
                    custom_message: Some(CustomMessage { capability, r#type, data }),
                    ..Default::default()
                }
            },
        )
}

/// The message with some bytes changed, if it is still one.
fn changed(message: &ServerToAgent, changes: &[(prop::sample::Index, u8)]) -> Option<ServerToAgent> {
    let mut bytes = message.encode_to_vec();
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    decode_plain(&bytes, 1_000_000).ok()
}

proptest! {
    #[test]
    fn any_offer_is_judged(
        message in message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let known = Endpoint::parse_all(&["https://c"]).unwrap();
        for message in [Some(message.clone()), changed(&message, &changes)].into_iter().flatten() {
            if let Some(offered) = &message.connection_settings {
                let judged = offer::judge(offered, &known);
                // What is taken has an address that can be dialled, and none of what weakens the agent.
                let tls = offered.opamp.as_ref().and_then(|opamp| opamp.tls.as_ref());
                prop_assert!(judged.is_err() || tls.is_none_or(|tls| !tls.insecure_skip_verify));
            }
            if let Some(config) = &message.remote_config {
                let _ = policy_body(config);
            }
            if let Some(custom) = &message.custom_message {
                let _ = RatesMessage::from_custom(custom);
            }
        }
    }
}

/// What the agent says is its own, and small.
fn check(seen: &Seen) {
    if let Seen::Message(arrival) = seen {
        assert!(arrival.message.encoded_len() < 64 * 1024, "what is echoed is bounded");
        assert_eq!(arrival.message.instance_uid, AGENT.0.as_bytes());
    }
}

/// Two hundred of them on one connection; afterwards the agent takes a policy as if nothing had been.
#[actix_rt::test]
async fn an_agent_survives_a_hostile_controller() {
    let (mut server, setting, first) = connected(TransportKind::Websocket).await;
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    let mut runner = TestRunner::deterministic();
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let mut sent = 0;
    while sent < 200 {
        let made = message().new_tree(&mut runner).unwrap().current();
        let bytes = changes.new_tree(&mut runner).unwrap().current();
        let Some(mut hostile) = changed(&made, &bytes) else { continue };
        // These end the connection in good order, which is tested elsewhere.
        hostile.error_response = None;
        hostile.command = None;
        if let Some(opamp) = hostile.connection_settings.as_mut().and_then(|offer| offer.opamp.as_mut()) {
            opamp.destination_endpoint.clear();
        }
        // What the agent answers is taken meanwhile: the server waits for whoever reads it.
        let mut saying = std::pin::pin!(first.say(hostile));
        loop {
            tokio::select! {
                () = &mut saying => break,
                seen = server.next() => check(&seen),
            }
        }
        sent += 1;
    }
    let good = policy_offer(b"good".to_vec());
    first.say(ServerToAgent { remote_config: Some(good.clone()), ..hello() }).await;
    loop {
        let seen = server.next().await;
        check(&seen);
        let Seen::Message(arrival) = seen else { panic!("the connection must stay") };
        let status = arrival.message.remote_config_status.unwrap_or_default();
        if status.last_remote_config_hash == good.config_hash
            && status.status() == RemoteConfigStatuses::Applied
        {
            break;
        }
    }
}
