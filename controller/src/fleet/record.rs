//! What was decided about an agent: enrolment, labels, certificates. Written before it is acted on.

use jiff::Timestamp;
use muster_proto::api::Labels;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use muster_shared::policy::merge::selects;
use serde::{Deserialize, Serialize};

/// Prefix of the keys of public keys that are refused for good.
pub const BLOCKED_PREFIX: &str = "blocked/";
/// Prefix of the keys of records.
pub const PREFIX: &str = "agent/";

/// An enrolled agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Identity.
    pub id: AgentId,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// Id of the token that it used.
    pub token: String,
    /// Labels.
    pub labels: Labels,
    /// The certificate in use, or the first one, not used yet.
    pub certificate: Certificate,
    /// A renewed one that was not used yet; its first use retires the other.
    pub renewed: Option<Certificate>,
    /// Heartbeat interval that it was told, in seconds.
    pub heartbeat_seconds: u64,
    /// What was decided about it.
    #[serde(default)]
    pub life: Life,
    /// Its partition, from when it was first known; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionKey>,
    /// A person allowed it to share its partition with other agents.
    #[serde(default)]
    pub shares_partition: bool,
    /// Set if a person pinned it to the version that it ran then: it gets no packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Of a foreign OpAMP agent: id of the token that it shows with each connection, in place of a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<String>,
}

/// What was decided about an agent, beside its labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word")]
pub enum Life {
    /// It takes part.
    #[default]
    Active,
    /// It stays connected and goes on with the policy that it has, but gets nothing.
    Quarantined(Hold),
    /// Its certificates are refused.
    Revoked(Hold),
}

/// A decision against an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When.
    pub at: Timestamp,
    /// By whom: a user, or `controller`.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// That an agent gets no packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The version that it ran; empty if that was not known.
    pub version: String,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Certificate {
    /// Serial number in hex.
    pub serial: String,
    /// SHA-256 of the public key in hex.
    pub key_sha256: String,
    /// When it expires.
    pub not_after: Timestamp,
    /// A connection was made with it.
    pub used: bool,
    /// Its PEM text while it was not used yet: an agent that did not hear the answer is told the same again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// SHA-256 of the key of the authority that signed it, in hex; empty in records of the first release.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub authority: String,
}

impl Certificate {
    /// Of an agent that has none: no serial number, no key, never expired.
    #[must_use]
    pub fn none() -> Self {
        Self { not_after: Timestamp::MAX, used: true, ..Self::default() }
    }
}

/// What a certificate is to its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The one in use.
    Current,
    /// Issued, and this is its first use.
    FirstUse,
    /// Replaced by a newer one, or never issued to this agent.
    Unknown,
}

impl AgentRecord {
    /// Key in the store.
    #[must_use]
    pub fn key(id: AgentId) -> String {
        format!("{PREFIX}{id}")
    }

    /// The record of an agent that has just enrolled, without labels and certificate.
    #[must_use]
    pub fn fresh(id: AgentId, now: Timestamp) -> Self {
        Self {
            id,
            enrolled_at: now,
            token: String::new(),
            labels: Labels::new(),
            certificate: Certificate::default(),
            renewed: None,
            heartbeat_seconds: 0,
            life: Life::Active,
            partition: None,
            shares_partition: false,
            pin: None,
            foreign: None,
        }
    }

    /// Key in the store that tells of a public key that is refused for good.
    #[must_use]
    pub fn blocked_key(key_sha256: &str) -> String {
        format!("{BLOCKED_PREFIX}{key_sha256}")
    }

    /// The public keys that it has: of the certificate in use and of the one renewed; none if it is foreign.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        [Some(&self.certificate), self.renewed.as_ref()]
            .into_iter()
            .flatten()
            .map(|c| &c.key_sha256)
            .filter(|key| !key.is_empty())
    }

    /// Key in the store that holds a public key's owner.
    #[must_use]
    pub fn owner_key(key_sha256: &str) -> String {
        format!("key/{key_sha256}")
    }

    /// What a certificate with this serial number is.
    #[must_use]
    pub fn standing(&self, serial: &str) -> Standing {
        if self.certificate.serial == serial {
            if self.certificate.used { Standing::Current } else { Standing::FirstUse }
        } else if self.renewed.as_ref().is_some_and(|c| c.serial == serial) {
            Standing::FirstUse
        } else {
            Standing::Unknown
        }
    }

    /// The record after the first use of a certificate; tells the key that is retired by it, if any.
    #[must_use]
    pub fn after_first_use(&self, serial: &str) -> (Self, Option<String>) {
        let mut next = self.clone();
        let mut retired = None;
        if let Some(renewed) = next.renewed.take_if(|c| c.serial == serial) {
            let old = std::mem::replace(&mut next.certificate, renewed);
            retired = (old.key_sha256 != next.certificate.key_sha256).then_some(old.key_sha256);
        }
        next.certificate.used = true;
        next.certificate.pem = None;
        (next, retired)
    }

    /// A policy with this selector is for this agent. None is for a foreign one, whatever its labels.
    #[must_use]
    pub fn is_selected(&self, selector: &Labels) -> bool {
        self.foreign.is_none() && selects(selector, &self.labels)
    }

    /// True if the public key is one of this agent's.
    #[must_use]
    pub fn owns_key(&self, key_sha256: &str) -> bool {
        self.certificate.key_sha256 == key_sha256
            || self.renewed.as_ref().is_some_and(|c| c.key_sha256 == key_sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(serial: &str, used: bool) -> Certificate {
        Certificate {
            serial: serial.to_owned(),
            key_sha256: format!("key-{serial}"),
            not_after: Timestamp::UNIX_EPOCH,
            used,
            pem: None,
            authority: String::new(),
        }
    }

    #[test]
    fn a_renewed_certificate_retires_the_old_one_at_its_first_use() {
        let record = AgentRecord {
            certificate: certificate("1", true),
            renewed: Some(certificate("2", false)),
            ..AgentRecord::fresh(
                "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(),
                Timestamp::UNIX_EPOCH,
            )
        };
        let standings = ["1", "2", "3"].map(|s| record.standing(s));
        assert_eq!(standings, [Standing::Current, Standing::FirstUse, Standing::Unknown]);
        let (same, retired) = record.after_first_use("1");
        assert_eq!((same, retired), (record.clone(), None));
        let (next, retired) = record.after_first_use("2");
        assert_eq!(retired.as_deref(), Some("key-1"));
        let standings = ["1", "2"].map(|s| next.standing(s));
        assert_eq!(standings, [Standing::Unknown, Standing::Current]);
        assert!(next.owns_key("key-2") && !next.owns_key("key-1"));
    }
}
