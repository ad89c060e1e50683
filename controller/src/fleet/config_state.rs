//! Where an agent stands with its remote configuration, as far as it said so; kept over restarts of the
//! controller, apart from the rest: a policy for the whole fleet changes this of every agent, and nothing else.

use super::bounded;
use super::effective::TextId;
use jiff::Timestamp;
use muster_proto::opamp::RemoteConfigStatus;
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};

/// What an agent said of its configuration, and what it was offered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigState {
    /// Its last word; absent if nothing.
    pub report: Option<ConfigReport>,
    /// The last hash that it ran, with its revision.
    pub running: Option<Offer>,
    /// The hash that it refused, and why: not offered again.
    pub refused: Option<Refusal>,
    /// What was offered lately: tells revisions of hashes.
    pub offers: Vec<Offer>,
    /// What it runs, as it told it: the text is stored apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<TextId>,
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

/// Offers remembered: the one that runs is kept apart, and an agent goes back one step.
const MAX_OFFERS: usize = 4;

impl ConfigState {
    /// Key in the store.
    #[must_use]
    pub fn key(id: AgentId) -> String {
        format!("config-state/{id}")
    }

    /// Takes what an agent says of its configuration. True if that has to be stored: that it is changing over has
    /// not, for it says so again when it comes back, and soon it says how that ended.
    pub fn take(&mut self, status: &RemoteConfigStatus, now: Timestamp) -> bool {
        let before = self.clone();
        self.follow(status, now);
        let changing = self.report.as_ref().is_some_and(|r| r.word == ConfigWord::Applying);
        let report = if changing { &self.report } else { &before.report };
        Self { report: report.clone(), ..before } != *self
    }

    fn follow(&mut self, status: &RemoteConfigStatus, now: Timestamp) {
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
            (self.report, self.refused) = (None, None);
            return;
        }
        let same = self.report.as_ref().filter(|c| c.hash == hash && c.word == word);
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
        self.report = Some(ConfigReport { hash, word, since });
    }

    /// What the agent gave up by itself: it was changing over to the last offer and now says that it runs an
    /// older one. By the hash alone it would be offered the same again, for ever.
    fn rolled_back_from(&self, applied: &str) -> Option<Refusal> {
        let tried = self.report.as_ref().filter(|c| c.word == ConfigWord::Applying && c.hash != applied)?;
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
}
