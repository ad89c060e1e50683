//! People: accounts, passwords (argon2id), sessions and API tokens. Tokens are stored as SHA-256 and survive a
//! restart; a look-up by hash takes the same time whatever is presented.

mod account;
mod api_token;
mod hashing;
mod session;
mod throttle;

pub use account::Changed;
pub(crate) use api_token::TOKENS as API_TOKENS;
pub use api_token::{ApiTokenRecord, PREFIX as API_TOKEN_PREFIX, effective};
pub(crate) use session::SESSIONS;
pub use session::{SessionRecord, csrf_token};
pub use throttle::Throttle;
pub(crate) use throttle::network;

use crate::identity::secret;
use crate::store::{self, Batch, Condition, SharedStore, StoreError};
use hashing::{Hashing, hash};
use jiff::Timestamp;
use muster_proto::api::{Role, Scope, UserView};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// Prefix of the keys of users.
pub(crate) const USERS: &str = "user/";
/// Shortest password that is taken.
const MIN_PASSWORD: usize = 12;
/// Longest password that is looked at.
const MAX_PASSWORD: usize = 1_024;

/// The first user.
pub const ADMIN: &str = "admin";

/// A user.
#[derive(Clone, Serialize, Deserialize)]
pub struct UserRecord {
    /// Name.
    pub name: String,
    /// argon2id in PHC form.
    pub password: String,
    /// The password was given by somebody else and not changed since.
    pub initial: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the user may do. A user from before there were roles is the admin.
    #[serde(default = "admin")]
    pub role: Role,
    /// May not sign in.
    #[serde(default)]
    pub disabled: bool,
    /// When the user last signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login: Option<Timestamp>,
}

fn admin() -> Role {
    Role::Admin
}

impl UserRecord {
    /// What is told of the user, who has so many open sessions.
    #[must_use]
    pub fn view(&self, sessions: u64) -> UserView {
        UserView {
            name: self.name.clone(),
            role: self.role,
            disabled: self.disabled,
            password_is_initial: self.initial,
            created_at: self.created_at,
            last_login: self.last_login,
            sessions,
        }
    }
}

/// Why somebody was not let in, or a user not changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// User or password; which of them is not told.
    #[error("user name or password is wrong")]
    Wrong,
    /// Too many failures.
    #[error("too many wrong passwords; wait {} s and try again", .0.as_secs_f64().ceil().max(1.0))]
    Throttled(Duration),
    /// Too many at one time.
    #[error("too many people sign in at this moment; try again in a second")]
    Busy,
    /// A new password that is not taken.
    #[error(
        "the new password must have {MIN_PASSWORD} to {MAX_PASSWORD} bytes and differ from the present one"
    )]
    Weak,
    /// The session.
    #[error("the session has ended or never was; sign in with `muster login`")]
    NoSession,
    /// The API token.
    #[error(
        "the API token has expired, was revoked or never was; make another with `muster api-token create`"
    )]
    NoToken,
    /// Something named is not there.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// A user's name.
    #[error("there is a user `{0}` already (upper and lower case count as the same)")]
    Taken(String),
    /// Nobody could administer any more.
    #[error("this is the last admin who may sign in; make another one first")]
    LastAdmin,
    /// A scope beyond the user's role.
    #[error("a token of scope {scope} may do more than you, who are {role}")]
    ScopeTooLarge {
        /// Scope asked for.
        scope: Scope,
        /// Role of the user.
        role: Role,
    },
    /// A value of a request.
    #[error("{reason}")]
    Invalid {
        /// Code of the problem.
        code: &'static str,
        /// What to give instead.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Hashing.
    #[error("the password could not be hashed")]
    Hash,
}

/// All users.
pub struct Accounts {
    store: SharedStore,
    throttle: Mutex<Throttle>,
    hashing: Hashing,
    changes: tokio::sync::Mutex<()>,
    /// Hash of a password that nobody knows: checked when the user does not exist, so that this takes as
    /// long as a wrong password.
    nobody: String,
}

/// Who signed in.
pub struct SignedIn {
    /// Text of the session's token.
    pub token: String,
    /// The session.
    pub session: SessionRecord,
    /// The user.
    pub user: UserRecord,
}

/// A one-time password.
#[must_use]
pub fn one_time_password() -> Zeroizing<String> {
    Zeroizing::new(secret::random_text("")[..24].to_owned())
}

impl Accounts {
    /// Accounts in a store.
    ///
    /// # Errors
    /// If hashing fails.
    pub fn new(store: SharedStore) -> Result<Self, UserError> {
        Ok(Self {
            store,
            throttle: Mutex::default(),
            hashing: Hashing::default(),
            changes: tokio::sync::Mutex::default(),
            nobody: hash(&secret::random_text(""))?,
        })
    }

    /// True if there is no user yet.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_empty(&self) -> Result<bool, UserError> {
        Ok(self.store.scan(USERS, None, 1)?.is_empty())
    }

    /// The hash of a new password.
    async fn hash(&self, password: Zeroizing<String>) -> Result<String, UserError> {
        self.hashing.hash(password).await
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a try before it is checked, so that tries at the same time do not slip through together.
    fn begin_try(&self, user: &str, from: IpAddr, now: Timestamp) -> Result<(), UserError> {
        let mut throttle = self.throttle();
        throttle.check(user, from, now).map_err(UserError::Throttled)?;
        throttle.failed(user, from, now);
        Ok(())
    }

    /// Exchanges user and password for a session, always a new one. `old` is the token of a session that the same
    /// browser had before: it ends.
    ///
    /// # Errors
    /// If they are wrong, or were wrong too often from this address.
    pub async fn login(
        &self,
        user: &str,
        password: Zeroizing<String>,
        from: IpAddr,
        kind: LoginKind<'_>,
        now: Timestamp,
    ) -> Result<SignedIn, UserError> {
        self.begin_try(user, from, now)?;
        let record = self.user(user)?;
        let phc = record.as_ref().map_or_else(|| self.nobody.clone(), |r| r.password.clone());
        let right = password.len() <= MAX_PASSWORD && self.hashing.matches(password, phc).await?;
        // Whoever is disabled is told the same as somebody with a wrong password.
        let (true, Some(record)) = (right, record.filter(|r| !r.disabled)) else {
            return Err(UserError::Wrong);
        };
        self.throttle().succeeded(user, from);
        let _changes = self.changes().await;
        // Read again: meanwhile the password may have been changed, the user disabled or deleted.
        let present = self.user(user)?.filter(|r| r.password == record.password && !r.disabled);
        let present = present.ok_or(UserError::Wrong)?;
        let cookie = matches!(kind, LoginKind::Cookie { .. });
        let (token, session, mut batch) = self.begin(&present, from, cookie, now)?;
        if let LoginKind::Cookie { old: Some(old) } = kind {
            batch.delete(session::session_key(old), Condition::Any);
        }
        let record = UserRecord { last_login: Some(now), ..present.clone() };
        let key = format!("{USERS}{}", record.name);
        batch.put_json(key, Condition::Equals(store::encode(&present)), &record);
        self.store.apply(batch).await?;
        Ok(SignedIn { token, session, user: record })
    }

    /// A user.
    ///
    /// # Errors
    /// If the store fails.
    pub fn user(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        // Names beyond the limit exist nowhere.
        if name.len() > 64 { Ok(None) } else { store::get_json(&*self.store, &format!("{USERS}{name}")) }
    }

    /// What changes the password of a session's user and ends the user's other sessions.
    ///
    /// # Errors
    /// If the present password is wrong (counted like a wrong login) or the new one too weak.
    pub async fn change_password(
        &self,
        token: &str,
        current: Zeroizing<String>,
        new: Zeroizing<String>,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Batch, UserError> {
        let (session, _) = self.session(token, now)?;
        let record = self.user(&session.user)?.ok_or(UserError::NoSession)?;
        self.begin_try(&record.name, from, now)?;
        if new == current {
            return Err(UserError::Weak);
        }
        account::check_password(&new)?;
        if !self.hashing.matches(current, record.password.clone()).await? {
            return Err(UserError::Wrong);
        }
        self.throttle().succeeded(&record.name, from);
        let password = self.hash(new).await?;
        let mut batch = Batch::new();
        let present = store::encode(&record);
        let changed = UserRecord { password, initial: false, ..record };
        batch.put_json(format!("{USERS}{}", changed.name), Condition::Equals(present), &changed);
        self.end_sessions_of(&changed.name, Some(token), &mut batch)?;
        Ok(batch)
    }
}

/// What kind of session a sign-in begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginKind<'a> {
    /// Its token is told, to be sent as `Authorization: Bearer`.
    Bearer,
    /// Its token is a cookie.
    Cookie {
        /// Token of the session that the browser had before.
        old: Option<&'a str>,
    },
}
