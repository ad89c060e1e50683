//! API tokens: what programs present instead of a session. Each acts as its user, within its scope, and is kept
//! as the SHA-256 of its text.

use super::{Accounts, UserError};
use crate::identity::secret;
use crate::store::{self, Batch, Condition, StoreError};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{ApiTokenRequest, ApiTokenView, Role, Scope};
use serde::{Deserialize, Serialize};

/// Prefix of the keys of API tokens.
pub(crate) const TOKENS: &str = "api-token/";
/// What the text of an API token begins with.
pub const PREFIX: &str = "mustera1.";
/// Life unless asked otherwise, in seconds: 90 days.
const DEFAULT_SECONDS: u64 = 90 * 24 * 60 * 60;
/// Longest life, in seconds: 366 days.
const MAX_SECONDS: u64 = 366 * 24 * 60 * 60;
/// Tokens of all users together.
const MAX_TOKENS: usize = 1_000;
/// Longest note, in bytes.
const MAX_NOTE: usize = 200;

/// An API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiTokenRecord {
    /// Id, by which it can be revoked.
    pub id: String,
    /// Whose.
    pub user: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// For people.
    pub note: String,
}

impl ApiTokenRecord {
    /// What is told of it.
    #[must_use]
    pub fn view(&self) -> ApiTokenView {
        ApiTokenView {
            id: self.id.clone(),
            user: self.user.clone(),
            scope: self.scope,
            created_at: self.created_at,
            expires_at: self.expires_at,
            note: self.note.clone(),
        }
    }
}

fn key(token: &str) -> String {
    format!("{TOKENS}{}", secret::sha256_hex(token.as_bytes()))
}

/// What a token of this scope lets a user of this role do: the lesser of the two; nothing but `/metrics` for the
/// scope of that name.
#[must_use]
pub fn effective(role: Role, scope: Scope) -> Option<Role> {
    scope.role().map(|r| r.min(role))
}

impl Accounts {
    fn api_tokens(&self) -> Result<Vec<(String, ApiTokenRecord)>, StoreError> {
        store::scan_json(&*self.store, TOKENS)
    }

    /// A new token of a user, with its text.
    ///
    /// # Errors
    /// If the request asks for more than the user may do, or there are too many.
    pub fn make_api_token(
        &self,
        user: &str,
        role: Role,
        request: &ApiTokenRequest,
        now: Timestamp,
    ) -> Result<(String, ApiTokenRecord, Batch), UserError> {
        if request.scope.role().is_some_and(|r| r > role) {
            return Err(UserError::ScopeTooLarge { scope: request.scope, role });
        }
        let seconds = request.expires_in_seconds.unwrap_or(DEFAULT_SECONDS);
        if seconds == 0 || seconds > MAX_SECONDS {
            return Err(UserError::Invalid {
                code: "expiry",
                reason: format!("expires_in_seconds must be 1 to {MAX_SECONDS} (366 days)"),
            });
        }
        if request.note.len() > MAX_NOTE || request.note.chars().any(char::is_control) {
            return Err(UserError::Invalid {
                code: "note",
                reason: format!("note must be one line of at most {MAX_NOTE} bytes"),
            });
        }
        let mut batch = Batch::new();
        let mut left = 0;
        for (key, token) in self.api_tokens()? {
            if token.expires_at <= now {
                batch.delete(key, Condition::Any);
            } else {
                left += 1;
            }
        }
        if left >= MAX_TOKENS {
            return Err(UserError::Invalid {
                code: "too-many-tokens",
                reason: format!("there are {MAX_TOKENS} API tokens; revoke some"),
            });
        }
        let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let record = ApiTokenRecord {
            id: uuid::Uuid::now_v7().to_string(),
            user: user.to_owned(),
            scope: request.scope,
            created_at: now,
            expires_at: now + life,
            note: request.note.clone(),
        };
        let text = secret::random_text(PREFIX);
        batch.put_json(key(&text), Condition::Absent, &record);
        Ok((text, record, batch))
    }

    /// The token with this text, and the role of its user now.
    ///
    /// # Errors
    /// If there is none (any more), or its user may not sign in.
    pub fn api_token(&self, text: &str, now: Timestamp) -> Result<(ApiTokenRecord, Role), UserError> {
        let token = store::get_json::<ApiTokenRecord>(&*self.store, &key(text))?;
        let token = token.filter(|t| t.expires_at > now).ok_or(UserError::NoToken)?;
        let user = self.user(&token.user)?.filter(|u| !u.disabled).ok_or(UserError::NoToken)?;
        Ok((token, user.role))
    }

    /// Why a token lets nobody in, for people who look after the controller, and the token where it is known still.
    ///
    /// # Errors
    /// If the store fails.
    pub fn why_no_api_token(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<(Option<ApiTokenRecord>, String), StoreError> {
        let Some(token) = store::get_json::<ApiTokenRecord>(&*self.store, &key(text))? else {
            let reason =
                "there is no such API token: it was revoked, expired long ago, or was never made here";
            return Ok((None, reason.to_owned()));
        };
        let reason = if token.expires_at <= now {
            format!("the API token expired at {}", token.expires_at)
        } else {
            format!("the user {} of the API token is disabled or was deleted", token.user)
        };
        Ok((Some(token), reason))
    }

    /// Tokens that work, of one user or of all, by id.
    ///
    /// # Errors
    /// If the store fails.
    pub fn list_api_tokens(
        &self,
        user: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<ApiTokenView>, UserError> {
        let mut tokens = self.api_tokens()?;
        tokens.retain(|(_, t)| t.expires_at > now && user.is_none_or(|u| u == t.user));
        let mut views: Vec<_> = tokens.iter().map(|(_, t)| t.view()).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(views)
    }

    /// What revokes the token with this id. `user` restricts it to this user's tokens.
    ///
    /// # Errors
    /// If there is none.
    pub fn revoke_api_token(
        &self,
        id: &str,
        user: Option<&str>,
    ) -> Result<(ApiTokenRecord, Batch), UserError> {
        let found = self.api_tokens()?.into_iter().find(|(_, t)| t.id == id);
        let found = found.filter(|(_, t)| user.is_none_or(|u| u == t.user));
        let (key, token) = found.ok_or(UserError::Unknown("API token"))?;
        let mut batch = Batch::new();
        batch.delete(key, Condition::Any);
        Ok((token, batch))
    }

    /// Adds to a batch what revokes all tokens of a user.
    pub(super) fn revoke_tokens_of(&self, user: &str, batch: &mut Batch) -> Result<(), StoreError> {
        for (key, token) in self.api_tokens()? {
            if token.user == user {
                batch.delete(key, Condition::Any);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_does_more_than_its_user() {
        use Role::{Admin, Approver, Operator, Viewer};
        let lesser = |scope: Scope| [Viewer, Operator, Approver, Admin].map(|role| effective(role, scope));
        assert_eq!(lesser(Scope::Metrics), [None; 4]);
        assert_eq!(lesser(Scope::Read), [Some(Viewer); 4]);
        assert_eq!(lesser(Scope::Operate), [Some(Viewer), Some(Operator), Some(Operator), Some(Operator)]);
        assert_eq!(lesser(Scope::Admin), [Some(Viewer), Some(Operator), Some(Approver), Some(Admin)]);
    }
}
