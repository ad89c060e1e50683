//! People: accounts, passwords (argon2id) and sessions. Session tokens are stored as SHA-256 and survive a
//! restart; a look-up by hash takes the same time whatever is presented.

mod throttle;

pub use throttle::Throttle;

use crate::identity::secret;
use crate::store::{self, Batch, Condition, SharedStore, StoreError};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::Role;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Prefix of the keys of users.
const USERS: &str = "user/";
/// Prefix of the keys of sessions.
const SESSIONS: &str = "session/";
/// Life of a session.
const SESSION_LIFE: SignedDuration = SignedDuration::from_hours(12);
/// Sessions of all users together; the oldest give way.
const MAX_SESSIONS: usize = 1_000;
/// Shortest password that is taken.
const MIN_PASSWORD: usize = 12;
/// Longest password that is looked at.
const MAX_PASSWORD: usize = 1_024;
/// Passwords hashed at one time: each takes 19 MiB and a core for some 20 ms.
const HASHING: usize = 2;

/// The first user.
pub const ADMIN: &str = "admin";

/// A user.
#[derive(Clone, Serialize, Deserialize)]
pub struct UserRecord {
    /// Name.
    pub name: String,
    /// argon2id in PHC form.
    pub password: String,
    /// The password is the one-time password of the first start.
    pub initial: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the user may do. A user from before there were roles is the admin.
    #[serde(default = "admin")]
    pub role: Role,
}

fn admin() -> Role {
    Role::Admin
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Whose.
    pub user: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// User or password; which of them is not told.
    #[error("user name or password is wrong")]
    Wrong,
    /// Too many failures.
    #[error("too many wrong passwords; wait {} s and try again", .0.as_secs().max(1))]
    Throttled(Duration),
    /// A new password that is not taken.
    #[error(
        "the new password must have {MIN_PASSWORD} to {MAX_PASSWORD} bytes and differ from the present one"
    )]
    Weak,
    /// The session.
    #[error("the session has ended or never was; sign in with `muster login`")]
    NoSession,
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
    hashing: Semaphore,
    /// Hash of a password that nobody knows: checked when the user does not exist, so that this takes as
    /// long as a wrong password.
    nobody: String,
}

/// A one-time password.
#[must_use]
pub fn one_time_password() -> Zeroizing<String> {
    Zeroizing::new(secret::random_text("")[..24].to_owned())
}

fn hash(password: &str) -> Result<String, UserError> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|_| UserError::Hash)?;
    Ok(hash.to_string())
}

fn verify(password: &str, phc: &str) -> bool {
    PasswordHash::new(phc)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

fn session_key(token: &str) -> String {
    format!("{SESSIONS}{}", secret::sha256_hex(token.as_bytes()))
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
            hashing: Semaphore::new(HASHING),
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

    /// What makes the user `admin`, or gives it another password, and ends its sessions. The password is to be
    /// shown before this is stored: one that is shown and not stored costs nothing, the other way round it is
    /// lost.
    ///
    /// # Errors
    /// If the store or hashing fails.
    pub fn set_admin(&self, password: &str, now: Timestamp) -> Result<Batch, UserError> {
        let record = UserRecord {
            name: ADMIN.to_owned(),
            password: hash(password)?,
            initial: true,
            created_at: now,
            role: Role::Admin,
        };
        let mut batch = Batch::new();
        batch.put_json(format!("{USERS}{ADMIN}"), Condition::Any, &record);
        for (key, session) in store::scan_json::<SessionRecord>(&*self.store, SESSIONS)? {
            if session.user == ADMIN {
                batch.delete(key, Condition::Any);
            }
        }
        Ok(batch)
    }

    async fn matches(&self, password: Zeroizing<String>, phc: String) -> bool {
        let Ok(_permit) = self.hashing.acquire().await else { return false };
        let check = tokio::task::spawn_blocking(move || verify(&password, &phc));
        check.await.unwrap_or(false)
    }

    /// Exchanges user and password for a session; tells its token and whether the password is the initial
    /// one.
    ///
    /// # Errors
    /// If they are wrong, or were wrong too often from this address.
    pub async fn login(
        &self,
        user: &str,
        password: Zeroizing<String>,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<(String, SessionRecord, bool), UserError> {
        let throttle = || self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle().check(user, from, now).map_err(UserError::Throttled)?;
        // Counted before the check, so that tries at the same time do not slip through together.
        throttle().failed(user, from, now);
        let record = self.user(user)?;
        let phc = record.as_ref().map_or_else(|| self.nobody.clone(), |r| r.password.clone());
        let right = password.len() <= MAX_PASSWORD && self.matches(password, phc).await;
        let (true, Some(record)) = (right, record) else {
            return Err(UserError::Wrong);
        };
        throttle().succeeded(user, from);
        let token = secret::random_text("musters1.");
        let session = SessionRecord { user: record.name, expires_at: now + SESSION_LIFE };
        let mut batch = self.expired_sessions(now)?;
        batch.put_json(session_key(&token), Condition::Absent, &session);
        self.store.apply(batch).await?;
        Ok((token, session, record.initial))
    }

    /// Deletes sessions that are over, and the oldest if there are too many.
    fn expired_sessions(&self, now: Timestamp) -> Result<Batch, StoreError> {
        let mut sessions = store::scan_json::<SessionRecord>(&*self.store, SESSIONS)?;
        sessions.sort_by_key(|(_, s)| s.expires_at);
        let surplus = sessions.len().saturating_sub(MAX_SESSIONS - 1);
        let mut batch = Batch::new();
        for (i, (key, session)) in sessions.into_iter().enumerate() {
            if i < surplus || session.expires_at <= now {
                batch.delete(key, Condition::Any);
            }
        }
        Ok(batch)
    }

    /// The session of a token, and what its user may do now.
    ///
    /// # Errors
    /// If there is none (any more).
    pub fn session(&self, token: &str, now: Timestamp) -> Result<(SessionRecord, Role), UserError> {
        let session = store::get_json::<SessionRecord>(&*self.store, &session_key(token))?;
        let session = session.filter(|s| s.expires_at > now).ok_or(UserError::NoSession)?;
        let user = self.user(&session.user)?.ok_or(UserError::NoSession)?;
        Ok((session, user.role))
    }

    /// A user.
    ///
    /// # Errors
    /// If the store fails.
    pub fn user(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        // Names beyond the limit exist nowhere.
        if name.len() > 64 { Ok(None) } else { store::get_json(&*self.store, &format!("{USERS}{name}")) }
    }

    /// What ends a session.
    #[must_use]
    pub fn logout(token: &str) -> Batch {
        let mut batch = Batch::new();
        batch.delete(session_key(token), Condition::Any);
        batch
    }

    /// What changes a password and ends the user's other sessions.
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
        {
            let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
            throttle.check(&record.name, from, now).map_err(UserError::Throttled)?;
            throttle.failed(&record.name, from, now);
        }
        if new.len() < MIN_PASSWORD || new.len() > MAX_PASSWORD || new == current {
            return Err(UserError::Weak);
        }
        if !self.matches(current, record.password.clone()).await {
            return Err(UserError::Wrong);
        }
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(&record.name, from);
        let password =
            tokio::task::spawn_blocking(move || hash(&new)).await.map_err(|_| UserError::Hash)??;
        let mut batch = Batch::new();
        let present = store::encode(&record);
        let changed = UserRecord { password, initial: false, ..record };
        batch.put_json(format!("{USERS}{}", changed.name), Condition::Equals(present), &changed);
        let own = session_key(token);
        for (key, other) in store::scan_json::<SessionRecord>(&*self.store, SESSIONS)? {
            if other.user == changed.name && key != own {
                batch.delete(key, Condition::Any);
            }
        }
        Ok(batch)
    }
}
