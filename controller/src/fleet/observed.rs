//! What an agent last said of itself; kept over restarts of the controller.

use super::bounded;
use super::health::{self, Health};
use jiff::Timestamp;
use muster_proto::api::ComponentView;
use muster_proto::opamp::{
    AgentDescription, AgentToServer, AnyValue, ConnectionSettingsStatuses, any_value, attribute,
};
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Prefix of the keys of what agents said.
pub const PREFIX: &str = "observed/";
/// Attributes kept of one agent.
const MAX_ATTRIBUTES: usize = 64;
/// Custom capabilities kept of one agent.
const MAX_CUSTOM: usize = 32;
/// Longest effective configuration that is kept, in bytes.
const MAX_EFFECTIVE: usize = 512 * 1024;

/// What an agent last said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// OpAMP capability bits.
    pub capabilities: u64,
    /// Healthy, as it said.
    pub healthy: bool,
    /// First reason why not.
    pub reason: String,
    /// Its components.
    pub components: Vec<ComponentView>,
    /// Custom capabilities that it declared.
    #[serde(default)]
    pub custom: Vec<String>,
    /// Why it refused the connection settings that it was last offered; empty if it did not.
    #[serde(default)]
    pub settings_refused: String,
    /// When it was last heard. Stored seldom: with the next change, and when it leaves.
    pub last_seen: Option<Timestamp>,
}

impl Observed {
    /// Key in the store.
    #[must_use]
    pub fn key(id: AgentId) -> String {
        format!("{PREFIX}{id}")
    }

    /// Nothing was ever said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The version that it runs, as far as it is known and one.
    #[must_use]
    pub fn version(&self) -> Option<muster_package::Version> {
        self.attributes.get(attribute::SERVICE_VERSION)?.parse().ok()
    }

    /// Takes what a message says of the agent itself; absent parts stay as they were. True if that is news, which
    /// has to be stored.
    pub fn take(&mut self, message: &AgentToServer, now: Timestamp) -> bool {
        let mut news = message.capabilities != 0 && set(&mut self.capabilities, message.capabilities);
        if let Some(description) = &message.agent_description {
            news |= set(&mut self.attributes, attributes(description));
        }
        if let Some(tree) = &message.health {
            let Health { healthy, reason, mut components } = health::flatten(tree);
            health::settle_since(&self.components, &mut components, now);
            news |= set(&mut self.healthy, healthy);
            news |= set(&mut self.reason, reason);
            news |= set(&mut self.components, components);
        }
        if let Some(custom) = &message.custom_capabilities {
            let known = custom.capabilities.iter().take(MAX_CUSTOM);
            news |= set(&mut self.custom, known.map(|name| bounded(name, 128)).collect());
        }
        if let Some(status) = &message.connection_settings_status {
            let refused = match status.status() {
                ConnectionSettingsStatuses::Failed => bounded(&status.error_message, 512),
                ConnectionSettingsStatuses::Unset
                | ConnectionSettingsStatuses::Applied
                | ConnectionSettingsStatuses::Applying => String::new(),
            };
            news |= set(&mut self.settings_refused, refused);
        }
        news
    }

    /// Its partition, as it says; `None` where it does not know.
    #[must_use]
    pub fn partition(&self) -> Option<PartitionKey> {
        let serial = self.attributes.get(attribute::IBMI_SERIAL_NUMBER)?;
        PartitionKey::new(serial, self.attributes.get(attribute::IBMI_PARTITION_ID)?.parse().ok()?)
    }

    /// Name for people, as it told it: system name, else host name.
    #[must_use]
    pub fn told_name(&self) -> Option<&str> {
        let told = |key: &&str| self.attributes.get(*key).map(String::as_str).filter(|name| !name.is_empty());
        [attribute::IBMI_SYSTEM_NAME, attribute::HOST_NAME].iter().find_map(told)
    }

    /// Name for people: what it told, else the id.
    #[must_use]
    pub fn name(&self, id: AgentId) -> String {
        self.told_name().map_or_else(|| id.to_string(), str::to_owned)
    }
}

/// Sets a value; true if it was another one.
fn set<T: PartialEq>(slot: &mut T, value: T) -> bool {
    let other = *slot != value;
    *slot = value;
    other
}

/// The effective configuration in a message, as one text.
#[must_use]
pub fn effective_text(message: &AgentToServer) -> Option<String> {
    let files = &message.effective_config.as_ref()?.config_map.as_ref()?.config_map;
    let mut text = String::new();
    for (name, file) in files {
        if files.len() > 1 {
            text.push_str(&format!("# {name}\n"));
        }
        text.push_str(&String::from_utf8_lossy(&file.body));
        if files.len() > 1 {
            text.push('\n');
        }
        if text.len() > MAX_EFFECTIVE {
            return Some(bounded(&text, MAX_EFFECTIVE));
        }
    }
    Some(text)
}

fn attributes(description: &AgentDescription) -> BTreeMap<String, String> {
    let all = description.identifying_attributes.iter().chain(&description.non_identifying_attributes);
    // Lists of ours are longer than what describes a host.
    let longest = |key: &str| if matches!(key, attribute::LIMITS | attribute::SECRETS) { 8_192 } else { 512 };
    all.take(MAX_ATTRIBUTES)
        .filter_map(|kv| Some((bounded(&kv.key, 128), bounded(&text(kv.value.as_ref()?)?, longest(&kv.key)))))
        .collect()
}

fn text(value: &AnyValue) -> Option<String> {
    match value.value.as_ref()? {
        any_value::Value::StringValue(s) => Some(s.clone()),
        any_value::Value::BoolValue(b) => Some(b.to_string()),
        any_value::Value::IntValue(i) => Some(i.to_string()),
        any_value::Value::DoubleValue(d) => Some(d.to_string()),
        any_value::Value::BytesValue(b) => Some(crate::identity::secret::hex(&b[..b.len().min(64)])),
        any_value::Value::ArrayValue(_) | any_value::Value::KvlistValue(_) => None,
    }
}
