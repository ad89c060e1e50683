//! What a load agent says of itself: the parts of a real one, in its sizes. Functions of its number.

use muster_agent::uplink::report::Parts;
use muster_proto::opamp::{
    AgentDescription, ComponentHealth, CustomCapabilities, CustomMessage, EffectiveConfig, attribute, config,
};
use muster_proto::session::rates::{self, DestinationRates, RatesMessage, RatesReport, SourceRates};
use uuid::Uuid;

/// Its sources, as the policy of [`policy`] names them.
pub const SOURCES: [&str; 3] = ["audit", "audit-payroll", "audit-archive"];
/// Its destination.
pub const DESTINATION: &str = "siem";
/// The other components of its health tree; 8 with sources and destination.
const PARTS: [&str; 4] = ["partition", "pipeline", "policy", "state"];
/// Size of the policy and of the effective configuration, in bytes.
pub const CONFIG_BYTES: usize = 4 * 1024;

/// Everything that agent `number` has to say when it connects: 10 attributes and 8 components.
#[must_use]
pub fn parts(number: usize, uid: Uuid, boot: Uuid, started_ns: u64) -> Parts {
    Parts {
        description: description(number, uid, boot),
        health: Some(health(0, started_ns)),
        effective_config: None,
        custom_capabilities: CustomCapabilities { capabilities: vec![rates::CAPABILITY.to_owned()] },
        ..Parts::default()
    }
}

/// Its system name.
#[must_use]
pub fn name(number: usize) -> String {
    format!("LPAR{number:05}")
}

fn description(number: usize, uid: Uuid, boot: Uuid) -> AgentDescription {
    let text = |key: &str, value: String| attribute::text(key, value);
    AgentDescription {
        identifying_attributes: vec![
            text(attribute::SERVICE_NAME, attribute::MUSTER_AGENT.to_owned()),
            text(attribute::SERVICE_INSTANCE_ID, uid.to_string()),
            text(attribute::SERVICE_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
            text(attribute::IBMI_SYSTEM_NAME, name(number)),
            text(attribute::IBMI_SERIAL_NUMBER, format!("78{number:05X}")),
            text(attribute::IBMI_PARTITION_ID, (number % 8 + 1).to_string()),
        ],
        non_identifying_attributes: vec![
            text(attribute::HOST_NAME, format!("lpar{number:05}.example.net")),
            text(attribute::OS_TYPE, "linux".to_owned()),
            text(attribute::BOOT_ID, boot.to_string()),
            text(
                attribute::IBMI_OS_RELEASE,
                (if number.is_multiple_of(3) { "V7R4M0" } else { "V7R5M0" }).to_owned(),
            ),
        ],
    }
}

/// Its health after `changes` changes: every second one is a failing destination.
#[must_use]
pub fn health(changes: u64, at_ns: u64) -> ComponentHealth {
    let sick = changes % 2 == 1;
    let node = |healthy: bool, error: &str| ComponentHealth {
        healthy,
        status: if healthy { "healthy" } else { "failed" }.to_owned(),
        last_error: error.to_owned(),
        start_time_unix_nano: at_ns,
        status_time_unix_nano: at_ns,
        ..ComponentHealth::default()
    };
    let sources = SOURCES.iter().map(|name| (format!("source/{name}"), node(true, "")));
    let others = PARTS.iter().map(|name| ((*name).to_owned(), node(true, "")));
    let error = "connection to siem.example.net:6514 refused; is the receiver running?";
    let destination = node(!sick, if sick { error } else { "" });
    let all = sources.chain(others).chain([(format!("destination/{DESTINATION}"), destination)]);
    ComponentHealth { component_health_map: all.collect(), ..node(!sick, "") }
}

/// What it runs: the policy that it was offered, word for word, as a real agent tells it.
#[must_use]
pub fn effective(body: &[u8]) -> EffectiveConfig {
    EffectiveConfig { config_map: Some(config::policy_map(body.to_vec())) }
}

/// Its counters after `seconds` of collecting.
#[must_use]
pub fn rates(number: usize, boot: Uuid, started_ms: u64, seconds: u64) -> CustomMessage {
    let source = |index: usize| {
        let received = seconds * (20 + (number as u64 + index as u64) % 40);
        SourceRates {
            received,
            bytes: received * 650,
            kept: received - received / 10,
            dropped: received / 10,
            dropped_by_rule: [("drop-000".to_owned(), received / 10)].into(),
            lag_ms: Some(700),
            last_event_unix_ms: Some(started_ms + seconds * 1_000),
            ..SourceRates::default()
        }
    };
    let sources: std::collections::BTreeMap<_, _> =
        SOURCES.iter().enumerate().map(|(index, name)| ((*name).to_owned(), source(index))).collect();
    let delivered = sources.values().map(|s| s.kept).sum();
    let destination = DestinationRates {
        delivered,
        bytes: delivered * 640,
        lag_ms: Some(900),
        ..DestinationRates::default()
    };
    RatesMessage::Report(RatesReport {
        boot_id: boot.as_bytes().to_vec(),
        time_unix_ms: started_ms + seconds * 1_000,
        started_unix_ms: started_ms,
        sources,
        destinations: [(DESTINATION.to_owned(), destination)].into(),
    })
    .to_custom()
}

/// A policy for the load agents whose effective form has [`CONFIG_BYTES`]; `variant` makes revisions differ.
#[must_use]
pub fn policy(variant: u64) -> String {
    let sources: String = SOURCES.iter().enumerate().map(|(index, name)| source(index, name)).collect();
    let rules: String = (0..RULES)
        .map(|rule| {
            format!(
                "    - {{name: drop-{rule:03}, match: {{entry_types: [ZR], users: [LOAD{variant:04}]}}, action: drop}}\n"
            )
        })
        .collect();
    format!(
        "api_version: muster/v1\nname: load\nspec:\n  sources:\n{sources}  rules:\n{rules}  destinations:\n    \
         {DESTINATION}:\n      transport: {{kind: tcp, address: \"siem.example.net:6514\"}}\n"
    )
}

fn source(index: usize, name: &str) -> String {
    // A journal is read by one source only.
    let journal = ["QSYS/QAUDJRN", "PAYROLL/QSQJRN", "ARCHIVE/QSQJRN"][index % 3];
    format!("    {name}: {{kind: audit_journal, journal: {journal}}}\n")
}

/// Rules that make the effective policy 4 KB.
const RULES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::merge::merge;
    use muster_shared::policy::{parse_document, validate_document};

    #[test]
    fn an_agent_has_the_sizes_that_the_figures_are_for() {
        let parts = parts(7, Uuid::from_u128(1), Uuid::from_u128(2), 3);
        let description = &parts.description;
        assert_eq!(
            description.identifying_attributes.len() + description.non_identifying_attributes.len(),
            10
        );
        let health = parts.health.unwrap();
        assert_eq!(health.component_health_map.len(), 8);
        assert_ne!(health, super::health(1, 3));
        let document = parse_document(&policy(3)).unwrap();
        assert_eq!(validate_document(&document).iter().filter(|p| p.is_error()).count(), 0);
        let merged = merge([&document], &Default::default(), 1).unwrap();
        let bytes = serde_json::to_vec(&merged.policy).unwrap().len();
        assert!((CONFIG_BYTES..CONFIG_BYTES + 256).contains(&bytes), "{bytes}");
    }
}
