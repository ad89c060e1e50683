//! Enrolment tokens as the controller keeps them: the hash of the secret, never the secret.

use super::secret;
use jiff::Timestamp;
use muster_proto::api::{Labels, TokenView};
use muster_proto::session::EnrolmentToken;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// Prefix of the keys of tokens.
pub const PREFIX: &str = "token/";
/// Prefix of the keys of uses of tokens.
pub const USES: &str = "token-use/";

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Id, part of the token's text.
    pub id: String,
    /// SHA-256 of the secret in hex.
    pub secret_sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many agents may enrol with it.
    pub uses: u32,
    /// How many did. Who it was is stored under [`TokenRecord::use_key`], so that a token of thousands stays
    /// small.
    #[serde(default)]
    pub used: u32,
    /// Labels that its agents get.
    pub labels: Labels,
    /// URLs that it carries.
    pub urls: Vec<String>,
    /// One line for people.
    pub note: String,
    /// Each agent waits for approval.
    #[serde(default)]
    pub approve: bool,
    /// The partition that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionKey>,
    /// SHA-256 of the key of the authority that it pins, in hex; absent in tokens of the first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// A use of a token by one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// SHA-256 of its public key in hex.
    pub key_sha256: String,
}

/// Why a token does not let an agent in. Each text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Not made here, or deleted.
    #[error(
        "this controller does not know the enrolment token: it was deleted or made by another controller; make one with `muster token create`"
    )]
    Unknown,
    /// Over.
    #[error("enrolment token {id} expired at {at}; make a new one with `muster token create`")]
    Expired {
        /// The token.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// As many agents as it allows enrolled with it.
    #[error(
        "enrolment token {id} is used up ({uses} of {uses} agents enrolled with it); make a new one with `muster token create`"
    )]
    UsedUp {
        /// The token.
        id: String,
        /// How many it allows.
        uses: u32,
    },
}

impl TokenRefusal {
    /// Code of the problem.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "token-unknown",
            Self::Expired { .. } => "token-expired",
            Self::UsedUp { .. } => "token-used-up",
        }
    }
}

impl TokenRecord {
    /// Key in the store.
    #[must_use]
    pub fn key(id: &str) -> String {
        format!("{PREFIX}{id}")
    }

    /// Prefix of the keys in the store of all uses of a token.
    #[must_use]
    pub fn use_prefix(id: &str) -> String {
        format!("{USES}{id}/")
    }

    /// Key in the store of the use by an agent.
    #[must_use]
    pub fn use_key(id: &str, agent: AgentId) -> String {
        format!("{}{agent}", Self::use_prefix(id))
    }

    /// Checks secret and expiry.
    ///
    /// # Errors
    /// Why it does not let anybody in.
    pub fn check(&self, token: &EnrolmentToken, now: Timestamp) -> Result<(), TokenRefusal> {
        let presented = secret::hex(&token.secret_hash());
        if !bool::from(presented.as_bytes().ct_eq(self.secret_sha256.as_bytes())) {
            return Err(TokenRefusal::Unknown);
        }
        if now >= self.expires_at {
            return Err(TokenRefusal::Expired { id: self.id.clone(), at: self.expires_at });
        }
        Ok(())
    }

    /// The token after an agent with this key enrolled with it, where `before` is what is stored of an earlier
    /// use by the same agent. An agent that repeats its request with the same key (it never saw the answer) does
    /// not use it twice.
    ///
    /// # Errors
    /// If it is used up.
    pub fn used_by(&self, before: Option<&Enrolled>, key_sha256: &str) -> Result<Self, TokenRefusal> {
        if before.is_some_and(|use_| use_.key_sha256 == key_sha256) {
            return Ok(self.clone());
        }
        if self.is_used_up() {
            return Err(TokenRefusal::UsedUp { id: self.id.clone(), uses: self.uses });
        }
        Ok(Self { used: self.used + 1, ..self.clone() })
    }

    /// As many agents as it allows enrolled with it.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.used >= self.uses
    }

    /// What may be shown, given the keys of the authorities in use: a token that pins another one is void.
    #[must_use]
    pub fn view_under(&self, authorities: &[String]) -> TokenView {
        let void = self.authority.as_ref().is_some_and(|pinned| !authorities.contains(pinned));
        TokenView { void, ..self.view() }
    }

    /// What may be shown.
    #[must_use]
    pub fn view(&self) -> TokenView {
        TokenView {
            id: self.id.clone(),
            created_at: self.created_at,
            created_by: self.created_by.clone(),
            expires_at: self.expires_at,
            uses: self.uses,
            used: self.used,
            labels: self.labels.clone(),
            urls: self.urls.clone(),
            note: self.note.clone(),
            approve: self.approve,
            partition: self.partition.clone(),
            void: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_once_per_key() {
        let token = EnrolmentToken {
            urls: vec!["https://h:1".to_owned()],
            ca_spki_sha256: [0; 32],
            id: uuid::Uuid::from_u128(7),
            secret: [1; 32],
        };
        let at = |s| Timestamp::from_second(s).unwrap();
        let record = TokenRecord {
            id: token.id.to_string(),
            secret_sha256: secret::hex(&token.secret_hash()),
            created_at: at(0),
            created_by: "admin".to_owned(),
            expires_at: at(100),
            uses: 1,
            used: 0,
            labels: Labels::new(),
            urls: vec![],
            note: String::new(),
            approve: false,
            partition: None,
            authority: None,
        };
        assert_eq!(record.check(&token, at(99)), Ok(()));
        assert_eq!(
            record.check(&token, at(100)),
            Err(TokenRefusal::Expired { id: record.id.clone(), at: at(100) })
        );
        let wrong = EnrolmentToken { secret: [2; 32], ..token };
        assert_eq!(record.check(&wrong, at(0)), Err(TokenRefusal::Unknown));

        let used = record.used_by(None, "k").unwrap();
        assert!(used.is_used_up());
        let first = Enrolled { key_sha256: "k".to_owned() };
        assert_eq!(used.used_by(Some(&first), "k"), Ok(used.clone()));
        let refusal = TokenRefusal::UsedUp { id: record.id.clone(), uses: 1 };
        assert_eq!(used.used_by(Some(&first), "other key"), Err(refusal.clone()));
        assert_eq!(used.used_by(None, "k"), Err(refusal));
    }
}
