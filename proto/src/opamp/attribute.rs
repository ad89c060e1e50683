//! Names of the attributes in an agent's description, and how they are read and written.

use super::{AgentDescription, AnyValue, KeyValue, any_value};

/// Identifying: what kind of agent, `io.muster.agent` for ours ([`MUSTER_AGENT`]).
pub const SERVICE_NAME: &str = "service.name";
/// Identifying: the instance uid in canonical text.
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
/// Identifying: release of the agent.
pub const SERVICE_VERSION: &str = "service.version";
/// Host that the agent runs on.
pub const HOST_NAME: &str = "host.name";
/// Operating system that the agent runs on, `linux` or `os400`.
pub const OS_TYPE: &str = "os.type";
/// System name of the partition.
pub const IBMI_SYSTEM_NAME: &str = "ibmi.system_name";
/// Serial number of the partition's machine.
pub const IBMI_SERIAL_NUMBER: &str = "ibmi.serial_number";
/// Number of the partition.
pub const IBMI_PARTITION_ID: &str = "ibmi.partition_id";
/// Release of the partition's operating system, e.g. `V7R5M0`.
pub const IBMI_OS_RELEASE: &str = "ibmi.os_release";
/// The partition's present offset from UTC in seconds, east of Greenwich positive.
pub const IBMI_UTC_OFFSET: &str = "ibmi.utc_offset_seconds";
/// Platform that the agent's packages are for: `x86_64-linux`, `powerpc64-aix`.
pub const PLATFORM: &str = "muster.platform";
/// Random id of the agent's process, canonical UUID text: two of them alive under one uid are a clone.
pub const BOOT_ID: &str = "muster.boot_id";
/// Limits of the agent's local configuration: JSON of `muster_shared::policy::limits::LimitsSpec`.
pub const LIMITS: &str = "muster.limits";
/// Names of the entries in the agent's local secrets folder, separated by commas.
pub const SECRETS: &str = "muster.secrets";

/// [`SERVICE_NAME`] of Muster's own agent.
pub const MUSTER_AGENT: &str = "io.muster.agent";

/// A text attribute.
#[must_use]
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) }),
    }
}

/// The text of an attribute, wherever it stands in the description; `None` if absent or no text.
#[must_use]
pub fn find<'a>(description: &'a AgentDescription, key: &str) -> Option<&'a str> {
    let all = description.identifying_attributes.iter().chain(description.non_identifying_attributes.iter());
    all.filter(|attribute| attribute.key == key).find_map(|attribute| {
        match attribute.value.as_ref()?.value.as_ref()? {
            any_value::Value::StringValue(text) => Some(text.as_str()),
            any_value::Value::BoolValue(_)
            | any_value::Value::IntValue(_)
            | any_value::Value::DoubleValue(_)
            | any_value::Value::ArrayValue(_)
            | any_value::Value::KvlistValue(_)
            | any_value::Value::BytesValue(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_text_in_both_lists() {
        let description = AgentDescription {
            identifying_attributes: vec![text(SERVICE_NAME, MUSTER_AGENT)],
            non_identifying_attributes: vec![
                KeyValue { key: OS_TYPE.to_owned(), value: None },
                text(IBMI_SYSTEM_NAME, "PROD01"),
            ],
        };
        assert_eq!(find(&description, SERVICE_NAME), Some("io.muster.agent"));
        assert_eq!(find(&description, IBMI_SYSTEM_NAME), Some("PROD01"));
        assert_eq!(find(&description, OS_TYPE), None);
        assert_eq!(find(&description, HOST_NAME), None);
    }
}
