//! Sessions of people: kept as the SHA-256 of their token, which is made anew at every sign-in.

use super::{Accounts, UserError, UserRecord};
use crate::identity::secret;
use crate::store::{self, Batch, Condition, StoreError};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{Role, SessionView};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Prefix of the keys of sessions.
pub(crate) const SESSIONS: &str = "session/";
/// What the text of a session's token begins with.
pub const PREFIX: &str = "musters1.";
/// Life of a session.
const SESSION_LIFE: SignedDuration = SignedDuration::from_hours(12);
/// Sessions of all users together; the oldest give way.
const MAX_SESSIONS: usize = 1_000;
/// Sessions of one user; the oldest give way, so that one user cannot push out the others.
const MAX_OF_USER: usize = 50;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Id, by which it can be ended.
    #[serde(default)]
    pub id: String,
    /// Whose.
    pub user: String,
    /// When it was begun.
    #[serde(default)]
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Address that it was begun from.
    #[serde(default)]
    pub from: String,
    /// It is a browser's, sent as a cookie.
    #[serde(default)]
    pub cookie: bool,
}

impl SessionRecord {
    fn view(&self, own: &str) -> SessionView {
        SessionView {
            id: self.id.clone(),
            user: self.user.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            from: self.from.clone(),
            cookie: self.cookie,
            current: !own.is_empty() && self.id == own,
        }
    }
}

pub(super) fn session_key(token: &str) -> String {
    format!("{SESSIONS}{}", secret::sha256_hex(token.as_bytes()))
}

/// What a browser sends with a change, to show that it was its own page that asked: derived from the session's
/// token, so that it need not be stored, and useless for guessing it.
#[must_use]
pub fn csrf_token(token: &str) -> String {
    secret::sha256_hex(format!("muster csrf {token}").as_bytes())
}

impl Accounts {
    /// A new session of a user, with its token.
    pub(super) fn begin(
        &self,
        user: &UserRecord,
        from: IpAddr,
        cookie: bool,
        now: Timestamp,
    ) -> Result<(String, SessionRecord, Batch), StoreError> {
        let token = secret::random_text(PREFIX);
        let session = SessionRecord {
            id: uuid::Uuid::now_v7().to_string(),
            user: user.name.clone(),
            created_at: now,
            expires_at: now + SESSION_LIFE,
            from: from.to_string(),
            cookie,
        };
        let mut batch = self.surplus_sessions(&user.name, now)?;
        batch.put_json(session_key(&token), Condition::Absent, &session);
        Ok((token, session, batch))
    }

    fn sessions(&self) -> Result<Vec<(String, SessionRecord)>, StoreError> {
        store::scan_json(&*self.store, SESSIONS)
    }

    /// Deletes sessions that are over, and the oldest if there are too many.
    fn surplus_sessions(&self, user: &str, now: Timestamp) -> Result<Batch, StoreError> {
        let mut sessions = self.sessions()?;
        // Ids begin with the time and tell the order within a moment.
        sessions.sort_by(|(_, a), (_, b)| (a.expires_at, &a.id).cmp(&(b.expires_at, &b.id)));
        let mut batch = Batch::new();
        sessions.retain(|(key, session)| {
            let live = session.expires_at > now;
            if !live {
                batch.delete(key.as_str(), Condition::Any);
            }
            live
        });
        let mut all = sessions.len().saturating_sub(MAX_SESSIONS - 1);
        let own = sessions.iter().filter(|(_, s)| s.user == user).count();
        let mut own = own.saturating_sub(MAX_OF_USER - 1);
        for (key, session) in sessions {
            let of_user = session.user == user && own > 0;
            if of_user || all > 0 {
                batch.delete(key, Condition::Any);
                all = all.saturating_sub(1);
                own = own.saturating_sub(usize::from(session.user == user));
            }
        }
        Ok(batch)
    }

    /// The session of a token, and what its user may do now.
    ///
    /// # Errors
    /// If there is none (any more), or its user may not sign in.
    pub fn session(&self, token: &str, now: Timestamp) -> Result<(SessionRecord, Role), UserError> {
        let session = store::get_json::<SessionRecord>(&*self.store, &session_key(token))?;
        let session = session.filter(|s| s.expires_at > now).ok_or(UserError::NoSession)?;
        let user = self.user(&session.user)?.filter(|u| !u.disabled).ok_or(UserError::NoSession)?;
        Ok((session, user.role))
    }

    /// What ends a session.
    #[must_use]
    pub fn logout(token: &str) -> Batch {
        let mut batch = Batch::new();
        batch.delete(session_key(token), Condition::Any);
        batch
    }

    /// Open sessions, of one user or of all, the newest first. `own` is the id of the session that asks.
    ///
    /// # Errors
    /// If the store fails.
    pub fn open_sessions(
        &self,
        user: Option<&str>,
        own: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionView>, UserError> {
        let mut sessions = self.sessions()?;
        sessions.retain(|(_, s)| s.expires_at > now && user.is_none_or(|u| u == s.user));
        sessions.sort_by(|(_, a), (_, b)| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(sessions.iter().map(|(_, s)| s.view(own)).collect())
    }

    /// What ends the session with this id, and whose it is. `user` restricts it to this user's sessions.
    ///
    /// # Errors
    /// If there is none.
    pub fn end_session(&self, id: &str, user: Option<&str>) -> Result<(SessionRecord, Batch), UserError> {
        let found = self.sessions()?.into_iter().find(|(_, s)| s.id == id && !id.is_empty());
        let found = found.filter(|(_, s)| user.is_none_or(|u| u == s.user));
        let (key, session) = found.ok_or(UserError::Unknown("session"))?;
        let mut batch = Batch::new();
        batch.delete(key, Condition::Any);
        Ok((session, batch))
    }

    /// Adds to a batch what ends all sessions of a user but the one with the token `keep`.
    pub(super) fn end_sessions_of(
        &self,
        user: &str,
        keep: Option<&str>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let keep = keep.map(session_key);
        for (key, session) in self.sessions()? {
            if session.user == user && Some(&key) != keep.as_ref() {
                batch.delete(key, Condition::Any);
            }
        }
        Ok(())
    }
}
