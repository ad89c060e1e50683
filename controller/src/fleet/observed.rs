//! What an agent last said of itself; kept over restarts of the controller.

use super::bounded;
use super::effective::TextId;
use super::health::{self, Health};
use jiff::Timestamp;
use muster_proto::api::ComponentView;
use muster_proto::opamp::{
    AgentDescription, AgentToServer, AnyValue, ConnectionSettingsStatuses, RemoteConfigStatus, any_value,
    attribute,
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
    /// What it said of its configuration; absent if nothing.
    pub config: Option<ConfigReport>,
    /// The last hash that it ran, with its revision.
    pub running: Option<Offer>,
    /// The hash that it refused, and why: not offered again.
    pub refused: Option<Refusal>,
    /// What was offered lately: tells revisions of hashes.
    pub offers: Vec<Offer>,
    /// What it runs, as it told it: the text is stored apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<TextId>,
    /// Custom capabilities that it declared.
    #[serde(default)]
    pub custom: Vec<String>,
    /// Why it refused the connection settings that it was last offered; empty if it did not.
    #[serde(default)]
    pub settings_refused: String,
    /// When it was last heard. Stored seldom: with the next change, and when it leaves.
    pub last_seen: Option<Timestamp>,
}

/// A configuration that was offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Hash in hex.
    pub hash: String,
    /// Revision in it.
    pub revision: u64,
}

/// A configuration that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Hash in hex.
    pub hash: String,
    /// Why.
    pub reason: String,
}

/// What an agent said of its remote configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReport {
    /// Hash in hex.
    pub hash: String,
    /// Its word.
    pub word: ConfigWord,
    /// Since when it says so.
    pub since: Timestamp,
}

/// Words for the state of a remote configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigWord {
    /// Nothing yet.
    Unset,
    /// Changing over.
    Applying,
    /// Runs.
    Applied,
    /// Refused.
    Failed,
}

/// Offers remembered.
const MAX_OFFERS: usize = 8;

impl Observed {
    /// Key in the store.
    #[must_use]
    pub fn key(id: AgentId) -> String {
        format!("{PREFIX}{id}")
    }

    /// Whether this has to be stored where `before` is. That an agent is changing over is not: it says so again
    /// when it comes back, and soon it says how that ended.
    #[must_use]
    pub fn is_news_after(&self, mut before: Self) -> bool {
        if self.config.as_ref().is_some_and(|c| c.word == ConfigWord::Applying) {
            before.config.clone_from(&self.config);
        }
        before != *self
    }

    /// Nothing was ever said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// Takes what a message says; absent parts stay as they were.
    pub fn take(&mut self, message: &AgentToServer, now: Timestamp) {
        if message.capabilities != 0 {
            self.capabilities = message.capabilities;
        }
        if let Some(description) = &message.agent_description {
            self.attributes = attributes(description);
        }
        if let Some(tree) = &message.health {
            let Health { healthy, reason, mut components } = health::flatten(tree);
            health::settle_since(&self.components, &mut components, now);
            (self.healthy, self.reason, self.components) = (healthy, reason, components);
        }
        if let Some(status) = &message.remote_config_status {
            self.take_config_status(status, now);
        }
        if let Some(custom) = &message.custom_capabilities {
            let known = custom.capabilities.iter().take(MAX_CUSTOM);
            self.custom = known.map(|name| bounded(name, 128)).collect();
        }
        if let Some(status) = &message.connection_settings_status {
            self.settings_refused = match status.status() {
                ConnectionSettingsStatuses::Failed => bounded(&status.error_message, 512),
                ConnectionSettingsStatuses::Unset
                | ConnectionSettingsStatuses::Applied
                | ConnectionSettingsStatuses::Applying => String::new(),
            };
        }
    }

    fn take_config_status(&mut self, status: &RemoteConfigStatus, now: Timestamp) {
        use muster_proto::opamp::RemoteConfigStatuses as Wire;
        let hash = crate::identity::secret::hex(
            &status.last_remote_config_hash[..status.last_remote_config_hash.len().min(64)],
        );
        let word = match Wire::try_from(status.status) {
            Ok(Wire::Applied) => ConfigWord::Applied,
            Ok(Wire::Applying) => ConfigWord::Applying,
            Ok(Wire::Failed) => ConfigWord::Failed,
            Ok(Wire::Unset) | Err(_) => ConfigWord::Unset,
        };
        if hash.is_empty() && word == ConfigWord::Unset {
            // It knows of no configuration (any more): what it refused before may be tried again.
            (self.config, self.refused) = (None, None);
            return;
        }
        let same = self.config.as_ref().filter(|c| c.hash == hash && c.word == word);
        let since = same.map_or(now, |c| c.since);
        match word {
            ConfigWord::Applied => {
                let revision = self.offers.iter().find(|o| o.hash == hash).map_or(0, |o| o.revision);
                if self.running.as_ref().is_none_or(|r| r.hash != hash) {
                    self.running = Some(Offer { hash: hash.clone(), revision });
                }
                if let Some(left) = self.rolled_back_from(&hash) {
                    self.refused = Some(left);
                }
                // A roll back to the old configuration keeps the refusal of the new one.
                if self.refused.as_ref().is_some_and(|r| r.hash == hash) {
                    self.refused = None;
                }
            }
            ConfigWord::Failed => {
                let reason = bounded(&status.error_message, 2048);
                self.refused = Some(Refusal { hash: hash.clone(), reason });
            }
            ConfigWord::Unset | ConfigWord::Applying => {}
        }
        self.config = Some(ConfigReport { hash, word, since });
    }

    /// What the agent gave up by itself: it was changing over to the last offer and now says that it runs an
    /// older one. By the hash alone it would be offered the same again, for ever.
    fn rolled_back_from(&self, applied: &str) -> Option<Refusal> {
        let tried = self.config.as_ref().filter(|c| c.word == ConfigWord::Applying && c.hash != applied)?;
        let older = self.offers.iter().any(|o| o.hash == applied);
        let last = self.offers.last().is_some_and(|o| o.hash == tried.hash);
        (older && last).then(|| Refusal {
            hash: tried.hash.clone(),
            reason: "the agent went back to the configuration before without saying why".to_owned(),
        })
    }

    /// Remembers an offer.
    pub fn offered(&mut self, hash: &str, revision: u64) {
        self.offers.retain(|o| o.hash != hash);
        self.offers.push(Offer { hash: hash.to_owned(), revision });
        if self.offers.len() > MAX_OFFERS {
            self.offers.remove(0);
        }
    }

    /// Its partition, as it says; `None` where it does not know.
    #[must_use]
    pub fn partition(&self) -> Option<PartitionKey> {
        let serial = self.attributes.get(attribute::IBMI_SERIAL_NUMBER)?;
        PartitionKey::new(serial, self.attributes.get(attribute::IBMI_PARTITION_ID)?.parse().ok()?)
    }

    /// Name for people: system name, else host name, else the id.
    #[must_use]
    pub fn name(&self, id: AgentId) -> String {
        [attribute::IBMI_SYSTEM_NAME, attribute::HOST_NAME]
            .iter()
            .find_map(|key| self.attributes.get(*key).filter(|v| !v.is_empty()))
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }
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
