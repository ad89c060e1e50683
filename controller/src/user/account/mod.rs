//! Making, changing and deleting users. There is always an admin who may sign in.

use super::{ADMIN, Accounts, MAX_PASSWORD, MIN_PASSWORD, USERS, UserError, UserRecord, hash};
use crate::store::{self, Batch, Condition, StoreError};
use jiff::Timestamp;
use muster_proto::api::{Role, UserChange, UserView};
use zeroize::Zeroizing;

/// Users in all.
const MAX_USERS: usize = 1_000;
/// Actors of the audit log that are no users.
const RESERVED: [&str; 3] = ["controller", "offline", "agent"];

/// A change that is ready to be stored.
pub struct Changed {
    /// The user before; `None` for a new one.
    pub before: Option<UserRecord>,
    /// The user after; `None` for a deleted one.
    pub after: Option<UserRecord>,
    /// What stores it.
    pub batch: Batch,
}

fn key(name: &str) -> String {
    format!("{USERS}{name}")
}

fn check_name(name: &str) -> Result<(), UserError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(UserError::Invalid {
            code: "user-name",
            reason: "a user's name has 1 to 64 letters, digits or `-_.@`".to_owned(),
        });
    }
    if RESERVED.contains(&name) {
        return Err(UserError::Invalid {
            code: "user-name",
            reason: format!("`{name}` is what the audit log calls something else; take another name"),
        });
    }
    Ok(())
}

/// Refuses a password that is too short or too long.
pub(super) fn check_password(password: &str) -> Result<(), UserError> {
    if (MIN_PASSWORD..=MAX_PASSWORD).contains(&password.len()) { Ok(()) } else { Err(UserError::Weak) }
}

impl Accounts {
    fn users(&self) -> Result<Vec<UserRecord>, StoreError> {
        let users = store::scan_json::<UserRecord>(&*self.store, USERS)?;
        Ok(users.into_iter().map(|(_, u)| u).collect())
    }

    /// All users, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn list(&self, now: Timestamp) -> Result<Vec<UserView>, UserError> {
        let sessions = self.open_sessions(None, "", now)?;
        let count = |name: &str| sessions.iter().filter(|s| s.user == name).count() as u64;
        Ok(self.users()?.into_iter().map(|u| u.view(count(&u.name))).collect())
    }

    /// Held while users are read, changed and stored, so that two changes at one time cannot remove the last
    /// admin together.
    pub async fn changes(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changes.lock().await
    }

    /// A new user. The password is the user's own to change.
    ///
    /// # Errors
    /// If name or password cannot be used, or the name is taken.
    pub async fn create(
        &self,
        name: &str,
        role: Role,
        password: Zeroizing<String>,
        now: Timestamp,
    ) -> Result<Changed, UserError> {
        check_name(name)?;
        check_password(&password)?;
        let users = self.users()?;
        // `Admin` beside `admin` would mislead whoever reads the audit log.
        if users.iter().any(|u| u.name.eq_ignore_ascii_case(name)) {
            return Err(UserError::Taken(name.to_owned()));
        }
        if users.len() >= MAX_USERS {
            return Err(UserError::Invalid {
                code: "too-many-users",
                reason: format!("there are {MAX_USERS} users; delete some"),
            });
        }
        let record = UserRecord {
            name: name.to_owned(),
            password: self.hash(password).await?,
            initial: true,
            created_at: now,
            role,
            disabled: false,
            last_login: None,
        };
        let mut batch = Batch::new();
        batch.put_json(key(name), Condition::Absent, &record);
        Ok(Changed { before: None, after: Some(record), batch })
    }

    fn known(&self, name: &str) -> Result<UserRecord, UserError> {
        self.user(name)?.ok_or(UserError::Unknown("user"))
    }

    /// Refuses what would leave no admin who may sign in.
    fn keep_an_admin(&self, name: &str, after: Option<&UserRecord>) -> Result<(), UserError> {
        let able = |u: &UserRecord| u.role == Role::Admin && !u.disabled;
        let others = self.users()?.iter().any(|u| u.name != name && able(u));
        if others || after.is_some_and(able) { Ok(()) } else { Err(UserError::LastAdmin) }
    }

    /// Changes role or admission of a user; whoever may not sign in any more is signed out.
    ///
    /// # Errors
    /// If there is no such user, or it is the last admin.
    pub fn change(&self, name: &str, change: &UserChange) -> Result<Changed, UserError> {
        let before = self.known(name)?;
        let after = UserRecord {
            role: change.role.unwrap_or(before.role),
            disabled: change.disabled.unwrap_or(before.disabled),
            ..before.clone()
        };
        self.keep_an_admin(name, Some(&after))?;
        let mut batch = Batch::new();
        batch.put_json(key(name), Condition::Equals(store::encode(&before)), &after);
        if after.disabled {
            self.end_sessions_of(name, None, &mut batch)?;
        }
        Ok(Changed { before: Some(before), after: Some(after), batch })
    }

    /// Deletes a user with sessions and API tokens.
    ///
    /// # Errors
    /// If there is no such user, or it is the last admin.
    pub fn delete(&self, name: &str) -> Result<Changed, UserError> {
        let before = self.known(name)?;
        self.keep_an_admin(name, None)?;
        let mut batch = Batch::new();
        batch.delete(key(name), Condition::Equals(store::encode(&before)));
        self.end_sessions_of(name, None, &mut batch)?;
        self.revoke_tokens_of(name, &mut batch)?;
        Ok(Changed { before: Some(before), after: None, batch })
    }

    /// Gives a user another password, which is the user's own to change, and ends all sessions.
    ///
    /// # Errors
    /// If there is no such user or the password cannot be used.
    pub async fn reset_password(
        &self,
        name: &str,
        password: Zeroizing<String>,
    ) -> Result<Changed, UserError> {
        check_password(&password)?;
        let before = self.known(name)?;
        let after = UserRecord { password: self.hash(password).await?, initial: true, ..before.clone() };
        let mut batch = Batch::new();
        batch.put_json(key(name), Condition::Equals(store::encode(&before)), &after);
        self.end_sessions_of(name, None, &mut batch)?;
        Ok(Changed { before: Some(before), after: Some(after), batch })
    }

    /// What makes the user `admin`, or gives it another password, and ends its sessions. It is an admin again and
    /// may sign in, whatever it was. The password is to be shown before this is stored: one that is shown and not
    /// stored costs nothing, the other way round it is lost.
    ///
    /// # Errors
    /// If the store or hashing fails.
    pub fn set_admin(&self, password: &str, now: Timestamp) -> Result<Batch, UserError> {
        let before = self.user(ADMIN)?;
        let record = UserRecord {
            name: ADMIN.to_owned(),
            password: hash(password)?,
            initial: true,
            created_at: before.map_or(now, |b| b.created_at),
            role: Role::Admin,
            disabled: false,
            last_login: None,
        };
        let mut batch = Batch::new();
        batch.put_json(key(ADMIN), Condition::Any, &record);
        self.end_sessions_of(ADMIN, None, &mut batch)?;
        Ok(batch)
    }
}

#[cfg(test)]
mod tests;
