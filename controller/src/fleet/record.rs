//! What was decided about an agent: enrolment, labels, certificates. Written before it is acted on.

use jiff::Timestamp;
use muster_proto::api::Labels;
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};

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
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Serial number in hex.
    pub serial: String,
    /// SHA-256 of the public key in hex.
    pub key_sha256: String,
    /// When it expires.
    pub not_after: Timestamp,
    /// A connection was made with it.
    pub used: bool,
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
        (next, retired)
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
        }
    }

    #[test]
    fn a_renewed_certificate_retires_the_old_one_at_its_first_use() {
        let record = AgentRecord {
            id: "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(),
            enrolled_at: Timestamp::UNIX_EPOCH,
            token: String::new(),
            labels: Labels::new(),
            certificate: certificate("1", true),
            renewed: Some(certificate("2", false)),
            heartbeat_seconds: 30,
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
