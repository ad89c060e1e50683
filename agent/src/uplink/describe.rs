//! The agent's description and health in OpAMP's terms: pure.

use super::failure::tidy;
use crate::health::{ComponentHealth, HealthState};
use muster_package::progress;
use muster_proto::opamp::{self, AgentDescription, attribute};
use muster_shared::id::AgentId;
use muster_shared::partition::Partition;
use muster_shared::policy::limits::LimitsSpec;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Most components that a report holds; more are counted in its text.
pub const MAX_COMPONENTS: usize = 500;

/// What the agent knows of itself when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentFacts {
    /// Release of the agent.
    pub version: String,
    /// Host that it runs on.
    pub host_name: String,
    /// Operating system that it runs on, e.g. `linux`.
    pub os_type: String,
    /// Platform that its packages are for, `x86_64-linux`.
    pub platform: String,
    /// Its partition, once known.
    pub partition: Option<Partition>,
    /// The limits of its configuration, which no policy can widen.
    pub limits: LimitsSpec,
    /// Names of the entries in its secrets folder; never more of them than the names.
    pub secrets: Vec<String>,
}

/// The description of an agent. `boot` is a random id of this process.
#[must_use]
pub fn description(agent: AgentId, boot: Uuid, facts: &AgentFacts) -> AgentDescription {
    let mut identifying = vec![
        attribute::text(attribute::SERVICE_NAME, attribute::MUSTER_AGENT),
        attribute::text(attribute::SERVICE_INSTANCE_ID, agent.to_string()),
        attribute::text(attribute::SERVICE_VERSION, &facts.version),
    ];
    let mut other = vec![
        attribute::text(attribute::HOST_NAME, &facts.host_name),
        attribute::text(attribute::OS_TYPE, &facts.os_type),
        attribute::text(attribute::PLATFORM, &facts.platform),
        attribute::text(attribute::BOOT_ID, boot.hyphenated().to_string()),
    ];
    if let Some(limits) = limits_text(&facts.limits) {
        other.push(attribute::text(attribute::LIMITS, limits));
    }
    if !facts.secrets.is_empty() {
        other.push(attribute::text(attribute::SECRETS, facts.secrets.join(",")));
    }
    if let Some(partition) = &facts.partition {
        identifying.extend([
            attribute::text(attribute::IBMI_SYSTEM_NAME, &partition.system_name),
            attribute::text(attribute::IBMI_SERIAL_NUMBER, &partition.serial_number),
            attribute::text(attribute::IBMI_PARTITION_ID, partition.partition_id.to_string()),
        ]);
        other.push(attribute::text(attribute::IBMI_OS_RELEASE, &partition.os_release));
        other.push(attribute::text(attribute::IBMI_UTC_OFFSET, partition.utc_offset_seconds.to_string()));
    }
    AgentDescription { identifying_attributes: identifying, non_identifying_attributes: other }
}

/// The limits as JSON, none where nothing is limited.
fn limits_text(limits: &LimitsSpec) -> Option<String> {
    if limits.is_empty() { None } else { serde_json::to_string(limits).ok() }
}

/// The health tree: the agent on top, its components below by name (`source/NAME`, `destination/NAME`).
/// `status` holds the state's word, `last_error` the reason. The agent is as well as its worst component.
#[must_use]
pub fn health(components: &[ComponentHealth], started_us: i64) -> opamp::ComponentHealth {
    let worst = components.iter().max_by_key(|component| rank(component.state));
    let state = worst.map_or(HealthState::Healthy, |component| component.state);
    let children: BTreeMap<_, _> = components
        .iter()
        .take(MAX_COMPONENTS)
        .map(|component| {
            let last_error = match component.state {
                HealthState::Healthy => String::new(),
                HealthState::Starting
                | HealthState::Degraded
                | HealthState::Failed
                | HealthState::PlannedOutage => tidy(&component.reason),
            };
            let health = opamp::ComponentHealth {
                healthy: rank(component.state) == 0,
                status: status(component),
                status_time_unix_nano: nanoseconds(component.since_us),
                last_error,
                ..Default::default()
            };
            (component.component.clone(), health)
        })
        .collect();
    let last_error = match (state, worst) {
        (HealthState::Healthy | HealthState::PlannedOutage, _) | (_, None) => String::new(),
        (HealthState::Starting | HealthState::Degraded | HealthState::Failed, Some(worst)) => {
            tidy(&format!("{}: {}", worst.component, worst.reason))
        }
    };
    opamp::ComponentHealth {
        healthy: rank(state) == 0,
        status: word(state).to_owned(),
        status_time_unix_nano: components.iter().map(|c| nanoseconds(c.since_us)).max().unwrap_or(0),
        start_time_unix_nano: nanoseconds(started_us),
        last_error,
        component_health_map: children,
        attributes: Vec::new(),
    }
}

/// The word of a component: the state's, and of an upgrade the step that it is at.
fn status(component: &ComponentHealth) -> String {
    if component.component == progress::COMPONENT {
        return tidy(&component.reason);
    }
    word(component.state).to_owned()
}

/// The word for a state in `status`, the same as in JSON.
#[must_use]
pub fn word(state: HealthState) -> &'static str {
    match state {
        HealthState::Starting => "starting",
        HealthState::Healthy => "healthy",
        HealthState::Degraded => "degraded",
        HealthState::Failed => "failed",
        HealthState::PlannedOutage => "planned_outage",
    }
}

fn rank(state: HealthState) -> u8 {
    match state {
        HealthState::Healthy | HealthState::PlannedOutage => 0,
        HealthState::Starting => 1,
        HealthState::Degraded => 2,
        HealthState::Failed => 3,
    }
}

fn nanoseconds(microseconds: i64) -> u64 {
    u64::try_from(microseconds).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, state: HealthState, reason: &str, since_us: i64) -> ComponentHealth {
        ComponentHealth { component: name.to_owned(), state, reason: reason.to_owned(), since_us }
    }

    #[test]
    fn the_worst_component_speaks_for_the_agent() {
        let tree = health(
            &[
                component("source/audit", HealthState::Degraded, "gap of 10 entries", 5),
                component("destination/siem", HealthState::Failed, "refused by 10.0.0.1:514", 7),
                component("destination/ok", HealthState::Healthy, "left over", 3),
            ],
            1,
        );
        assert_eq!((tree.healthy, tree.status.as_str()), (false, "failed"));
        assert_eq!(tree.last_error, "destination/siem: refused by 10.0.0.1:514");
        assert_eq!((tree.start_time_unix_nano, tree.status_time_unix_nano), (1_000, 7_000));
        let source = &tree.component_health_map["source/audit"];
        assert_eq!((source.healthy, source.status.as_str()), (false, "degraded"));
        assert_eq!(source.last_error, "gap of 10 entries");
        let ok = &tree.component_health_map["destination/ok"];
        assert_eq!((ok.healthy, ok.last_error.as_str()), (true, ""));
    }

    #[test]
    fn an_agent_without_components_is_well() {
        let tree = health(&[], 0);
        assert_eq!((tree.healthy, tree.status.as_str(), tree.last_error.as_str()), (true, "healthy", ""));
    }

    #[test]
    fn limits_and_names_of_secrets_are_told_where_there_are_any() {
        let told = |facts: &AgentFacts, key: &str| {
            let described = description(AgentId(Uuid::from_u128(1)), Uuid::from_u128(2), facts);
            attribute::find(&described, key).map(str::to_owned)
        };
        let mut facts = AgentFacts::default();
        assert_eq!((told(&facts, attribute::LIMITS), told(&facts, attribute::SECRETS)), (None, None));
        facts.limits.never_drop = vec!["AF".to_owned()];
        facts.secrets = vec!["qradar".to_owned(), "soc".to_owned()];
        assert_eq!(told(&facts, attribute::LIMITS).as_deref(), Some(r#"{"never_drop":["AF"]}"#));
        assert_eq!(told(&facts, attribute::SECRETS).as_deref(), Some("qradar,soc"));
    }

    #[test]
    fn the_partition_is_described_once_known() {
        let agent = AgentId(Uuid::from_u128(1));
        let mut facts = AgentFacts {
            version: "0.1.0".to_owned(),
            host_name: "h".to_owned(),
            os_type: "linux".to_owned(),
            ..AgentFacts::default()
        };
        let bare = description(agent, Uuid::from_u128(2), &facts);
        assert_eq!(attribute::find(&bare, attribute::IBMI_SYSTEM_NAME), None);
        assert_eq!(attribute::find(&bare, attribute::BOOT_ID), Some("00000000-0000-0000-0000-000000000002"));
        facts.partition = Some(Partition {
            system_name: "PROD01".to_owned(),
            serial_number: "78A1B2C".to_owned(),
            partition_id: 3,
            os_release: "V7R5M0".to_owned(),
            utc_offset_seconds: -3_600,
            ..Partition::default()
        });
        let full = description(agent, Uuid::from_u128(2), &facts);
        for (key, expected) in [
            (attribute::SERVICE_NAME, "io.muster.agent"),
            (attribute::SERVICE_INSTANCE_ID, "00000000-0000-0000-0000-000000000001"),
            (attribute::IBMI_SYSTEM_NAME, "PROD01"),
            (attribute::IBMI_SERIAL_NUMBER, "78A1B2C"),
            (attribute::IBMI_PARTITION_ID, "3"),
            (attribute::IBMI_OS_RELEASE, "V7R5M0"),
            (attribute::IBMI_UTC_OFFSET, "-3600"),
        ] {
            assert_eq!(attribute::find(&full, key), Some(expected), "{key}");
        }
    }
}
