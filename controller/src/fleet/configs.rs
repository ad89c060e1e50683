//! Configurations of foreign OpAMP agents: plain files that an operator sets for one agent or for all with
//! certain labels. They are offered as they are; nothing is merged into them.

use super::AgentRecord;
use crate::identity::secret;
use crate::policy::assign::Desired;
use crate::store::{self, Store, StoreError};
use jiff::Timestamp;
use muster_proto::api::{ConfigFile, ConfigTarget, ConfigView, Labels};
use muster_proto::opamp::config::config_hash;
use muster_proto::opamp::{AgentConfigFile, AgentConfigMap, AgentRemoteConfig};
use muster_shared::id::{AgentId, Revision};
use muster_shared::policy::merge::selects;
use muster_shared::policy::model::EffectivePolicy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Prefix of the keys of configurations.
pub const PREFIX: &str = "foreign-config/";
/// Key of the last number given.
pub const LAST: &str = "foreign-config-last";
/// Most configurations.
pub const MAX_CONFIGS: usize = 1_000;
/// Most bytes of the files of one, names and all.
pub const MAX_BYTES: usize = 256 * 1024;
/// Most files of one.
pub const MAX_FILES: usize = 64;

/// A configuration as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredConfig {
    /// Whom it is for.
    pub target: ConfigTarget,
    /// Its number.
    pub revision: u64,
    /// When it was set.
    pub set_at: Timestamp,
    /// By whom.
    pub set_by: String,
    /// The files.
    pub files: BTreeMap<String, ConfigFile>,
}

impl StoredConfig {
    /// Key in the store: one configuration a target.
    #[must_use]
    pub fn key(target: &ConfigTarget) -> String {
        match target {
            ConfigTarget::Agent(agent) => format!("{PREFIX}agent/{agent}"),
            ConfigTarget::Selector(labels) => format!("{PREFIX}labels/{}", label_text(labels)),
        }
    }

    /// As it is offered.
    #[must_use]
    pub fn offer(&self) -> AgentRemoteConfig {
        let file = |file: &ConfigFile| AgentConfigFile {
            body: file.body.clone().into_bytes(),
            content_type: file.content_type.clone(),
        };
        let config_map = self.files.iter().map(|(name, content)| (name.clone(), file(content))).collect();
        let config = AgentConfigMap { config_map };
        AgentRemoteConfig { config_hash: config_hash(&config).to_vec(), config: Some(config) }
    }

    /// As it is shown.
    #[must_use]
    pub fn view(&self) -> ConfigView {
        ConfigView {
            target: self.target.clone(),
            revision: Revision(self.revision),
            set_at: self.set_at,
            set_by: self.set_by.clone(),
            hash: secret::hex(&self.offer().config_hash),
            files: self.files.clone(),
        }
    }

    fn desired(&self) -> Desired {
        let offer = self.offer();
        Desired {
            policy: EffectivePolicy { revision: self.revision, ..EffectivePolicy::default() },
            documents: vec![format!("{}@{}", self.name(), self.revision)],
            hash: secret::hex(&offer.config_hash),
            offer,
        }
    }

    /// Whom it is for, as one word.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.target {
            ConfigTarget::Agent(agent) => agent.to_string(),
            ConfigTarget::Selector(labels) if labels.is_empty() => "all".to_owned(),
            ConfigTarget::Selector(labels) => label_text(labels),
        }
    }
}

fn label_text(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// All configurations, ready to be offered.
#[derive(Debug, Default)]
pub struct ConfigBook {
    agents: BTreeMap<AgentId, Arc<Desired>>,
    selectors: BTreeMap<Labels, Arc<Desired>>,
}

impl ConfigBook {
    /// Reads all from the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let mut book = Self::default();
        for (_, stored) in store::scan_json::<StoredConfig>(store, PREFIX)? {
            book.set(&stored);
        }
        Ok(book)
    }

    /// Takes over a configuration that is stored.
    pub fn set(&mut self, stored: &StoredConfig) {
        let desired = Arc::new(stored.desired());
        match &stored.target {
            ConfigTarget::Agent(agent) => self.agents.insert(*agent, desired),
            ConfigTarget::Selector(labels) => self.selectors.insert(labels.clone(), desired),
        };
    }

    /// Forgets one.
    pub fn remove(&mut self, target: &ConfigTarget) {
        match target {
            ConfigTarget::Agent(agent) => self.agents.remove(agent),
            ConfigTarget::Selector(labels) => self.selectors.remove(labels),
        };
    }

    /// What a foreign agent should run: its own configuration, else the one whose selector asks for most,
    /// else the newest of those; without any, nothing.
    #[must_use]
    pub fn desired(&self, record: &AgentRecord) -> Arc<Desired> {
        let own = self.agents.get(&record.id);
        let by_labels = || {
            let fitting = self.selectors.iter().filter(|(selector, _)| selects(selector, &record.labels));
            fitting
                .max_by_key(|(selector, desired)| (selector.len(), desired.policy.revision))
                .map(|(_, d)| d)
        };
        own.or_else(by_labels).cloned().unwrap_or_else(nothing)
    }
}

/// No configuration: nothing is offered.
fn nothing() -> Arc<Desired> {
    Arc::new(Desired {
        policy: EffectivePolicy::default(),
        documents: Vec::new(),
        offer: AgentRemoteConfig::default(),
        hash: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::record::Certificate;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn config(target: ConfigTarget, revision: u64) -> StoredConfig {
        let file = ConfigFile { body: format!("r: {revision}"), content_type: "text/yaml".to_owned() };
        StoredConfig {
            target,
            revision,
            set_at: Timestamp::UNIX_EPOCH,
            set_by: "admin".to_owned(),
            files: [(String::new(), file)].into(),
        }
    }

    #[test]
    fn the_most_particular_configuration_wins() {
        let id: AgentId = "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap();
        let record = AgentRecord {
            labels: labels(&[("env", "prod"), ("site", "east")]),
            certificate: Certificate::none(),
            foreign: Some("t".to_owned()),
            ..AgentRecord::fresh(id, Timestamp::UNIX_EPOCH)
        };
        let mut book = ConfigBook::default();
        let revision = |book: &ConfigBook| book.desired(&record).policy.revision;
        assert_eq!((revision(&book), book.desired(&record).hash.as_str()), (0, ""));
        let selector = |pairs: &[(&str, &str)]| ConfigTarget::Selector(labels(pairs));
        let steps = [
            (selector(&[]), 1, 1),
            (selector(&[("env", "prod")]), 2, 2),
            (selector(&[]), 3, 2),
            (selector(&[("site", "east")]), 4, 4),
            (selector(&[("env", "test"), ("site", "east")]), 5, 4),
            (ConfigTarget::Agent(id), 6, 6),
            (selector(&[("env", "prod"), ("site", "east")]), 7, 6),
        ];
        for (target, number, expected) in steps {
            book.set(&config(target, number));
            assert_eq!(revision(&book), expected, "after {number}");
        }
        book.remove(&ConfigTarget::Agent(id));
        assert_eq!(revision(&book), 7);
        assert_eq!(book.desired(&record).documents, ["env=prod,site=east@7"]);
    }

    #[test]
    fn the_hash_is_over_the_files_alone() {
        let one = config(ConfigTarget::Selector(labels(&[])), 1);
        let other = StoredConfig { revision: 2, set_by: "x".to_owned(), ..one.clone() };
        assert_eq!(one.view().hash, other.view().hash);
        assert_ne!(one.view().hash, config(one.target.clone(), 2).view().hash);
    }
}
