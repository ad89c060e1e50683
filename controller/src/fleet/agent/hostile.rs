//! Whatever an agent sends: nothing panics, and what is kept of it is bounded.

use super::tests::agent;
use crate::fleet::observed::effective_text;
use crate::fleet::redact::redact;
use jiff::Timestamp;
use muster_proto::opamp::frame::decode_plain;
use muster_proto::opamp::{
    AgentConfigFile, AgentConfigMap, AgentDescription, AgentToServer, AnyValue, ArrayValue, ComponentHealth,
    ConnectionSettingsStatus, CustomCapabilities, EffectiveConfig, KeyValue, KeyValueList,
    RemoteConfigStatus, any_value::Value,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost::Message as _;

/// What may be kept of one agent, as it is stored: components are the most of it.
const MOST_KEPT: usize = 512 * 1024;

fn value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        ".{0,40}".prop_map(Value::StringValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        vec(any::<u8>(), 0..100).prop_map(Value::BytesValue),
    ];
    let leaf = leaf.prop_map(|value| AnyValue { value: Some(value) });
    leaf.prop_recursive(30, 200, 4, |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values }));
        let map = vec((".{0,10}", inner), 0..4).prop_map(|pairs| {
            let values = pairs.into_iter().map(|(key, value)| KeyValue { key, value: Some(value) });
            Value::KvlistValue(KeyValueList { values: values.collect() })
        });
        prop_oneof![list, map].prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn description() -> impl Strategy<Value = AgentDescription> {
    vec((".{0,300}", value()), 0..100).prop_map(|pairs| AgentDescription {
        identifying_attributes: pairs
            .into_iter()
            .map(|(key, value)| KeyValue { key, value: Some(value) })
            .collect(),
        non_identifying_attributes: Vec::new(),
    })
}

fn health() -> impl Strategy<Value = ComponentHealth> {
    let leaf = (any::<bool>(), ".{0,80}", any::<u64>()).prop_map(|(healthy, text, time)| ComponentHealth {
        healthy,
        last_error: text.repeat(40),
        status: text,
        status_time_unix_nano: time,
        ..ComponentHealth::default()
    });
    leaf.prop_recursive(20, 400, 20, |inner| {
        btree_map(".{0,30}", inner, 0..20).prop_map(|component_health_map| ComponentHealth {
            component_health_map,
            ..ComponentHealth::default()
        })
    })
}

fn message() -> impl Strategy<Value = AgentToServer> {
    let config = btree_map(".{0,300}", vec(any::<u8>(), 0..3_000), 0..20).prop_map(|files| EffectiveConfig {
        config_map: Some(AgentConfigMap {
            config_map: files
                .into_iter()
                .map(|(name, body)| (name, AgentConfigFile { body, content_type: String::new() }))
                .collect(),
        }),
    });
    let statuses = (vec(any::<u8>(), 0..200), any::<i32>(), ".{0,50}");
    let custom = vec(".{0,200}", 0..60).prop_map(|capabilities| CustomCapabilities { capabilities });
    (
        (any::<u64>(), any::<u64>(), any::<u64>()),
        proptest::option::of(description()),
        proptest::option::of(health()),
        proptest::option::of(config),
        proptest::option::of(statuses),
        proptest::option::of(custom),
    )
        .prop_map(
            |((sequence_num, capabilities, flags), description, health, config, status, custom)| {
                let (hash, word, text) = status.clone().unwrap_or_default();
                AgentToServer {
                    instance_uid: vec![7; 16],
                    sequence_num,
                    capabilities,
                    flags,
                    agent_description: description,
                    health,
                    effective_config: config,
                    remote_config_status: status.is_some().then(|| RemoteConfigStatus {
                        last_remote_config_hash: hash.clone(),
                        status: word,
                        error_message: text.repeat(200),
                    }),
                    connection_settings_status: status.is_some().then(|| ConnectionSettingsStatus {
                        last_connection_settings_hash: hash,
                        status: word,
                        error_message: text.repeat(200),
                    }),
                    custom_capabilities: custom,
                    ..AgentToServer::default()
                }
            },
        )
}

fn taken(messages: &[AgentToServer]) -> usize {
    let mut agent = agent();
    let now = Timestamp::from_second(1_000_000).unwrap();
    for message in messages {
        let received = agent.receive(message, now);
        assert!(received.reply.encoded_len() < 64 * 1024);
        if let Some(text) = effective_text(message) {
            assert!(text.len() <= 512 * 1024);
            assert!(redact(&text).len() <= 1024 * 1024);
        }
    }
    serde_json::to_vec(&agent.observed).unwrap().len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_message_is_taken_and_bounded(messages in vec(message(), 1..4)) {
        prop_assert!(taken(&messages) < MOST_KEPT);
    }

    #[test]
    fn any_change_of_bytes_is_survived(
        message in message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = message.encode_to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(message) = decode_plain::<AgentToServer>(&bytes, 1024 * 1024) {
            prop_assert!(taken(&[message]) < MOST_KEPT);
        }
    }
}

#[test]
fn the_largest_message_there_can_be_is_bounded() {
    // A megabyte of the smallest components, of the smallest attributes, and of one deep tree.
    let component = |n: usize| (n.to_string(), ComponentHealth::default());
    let wide = ComponentHealth {
        component_health_map: (0..100_000).map(component).collect(),
        ..ComponentHealth::default()
    };
    let attribute = |n: usize| KeyValue { key: n.to_string(), value: Some(AnyValue::default()) };
    let many = AgentDescription {
        identifying_attributes: (0..100_000).map(attribute).collect(),
        non_identifying_attributes: Vec::new(),
    };
    let mut deep = ComponentHealth::default();
    for _ in 0..45 {
        deep = ComponentHealth {
            component_health_map: [("x".repeat(1_000), deep)].into(),
            ..ComponentHealth::default()
        };
    }
    for message in [
        AgentToServer { health: Some(wide), ..AgentToServer::default() },
        AgentToServer { agent_description: Some(many), ..AgentToServer::default() },
        AgentToServer { health: Some(deep), ..AgentToServer::default() },
    ] {
        assert!(taken(&[message]) < MOST_KEPT);
    }
}
