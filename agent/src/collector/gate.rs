//! The one gate before every sign-on to the partition.
//!
//! Each rejected sign-on counts towards QMAXSIGN and may disable the profile. So all sources of the agent
//! share one count and one waiting time, a change of policy does not reset them, and they are kept on disk:
//! an agent that a service manager starts again and again waits as one that runs. A changed password file
//! (or another user or host) is a new matter and may be tried at once.

use crate::host::reconnect::{Failure, Reconnect};
use crate::state::write_atomic;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::warn;

/// Name of the file in the state directory.
const FILE: &str = "sign_on.json";

/// Longest wait that is believed, whatever the clock did meanwhile.
const LONGEST: Duration = Duration::from_secs(66 * 60);

/// Most rejections that are replayed from disk: beyond, the wait is the longest anyhow.
const MAX_REPLAYED: u32 = 16;

/// What the sign-on is made with, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Host of the partition.
    pub host: String,
    /// User profile.
    pub user: String,
    /// When the password file was last changed, microseconds since 1970 UTC.
    pub password_stamp: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rejected {
    credentials: Credentials,
    count: u32,
    not_before_ms: i64,
    reason: String,
}

#[derive(Debug, Default)]
struct Standing {
    reconnect: Reconnect,
    rejected: Option<Rejected>,
}

/// See the module.
#[derive(Debug)]
pub struct SignOnGate {
    credentials: Credentials,
    file: PathBuf,
    standing: Mutex<Standing>,
    /// Held while a source signs on: with a wrong password the others must not try at the same time.
    turn: tokio::sync::Mutex<()>,
}

/// Why nobody may sign on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// For how long.
    pub wait: Duration,
    /// Why the last sign-on was rejected.
    pub reason: String,
}

impl SignOnGate {
    /// The gate as the last run of the agent left it.
    #[must_use]
    pub fn load(state_dir: &Path, credentials: Credentials) -> Self {
        let file = state_dir.join(FILE);
        let kept = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Rejected>(&text).ok());
        let mut standing = Standing::default();
        if let Some(rejected) = kept.filter(|rejected| rejected.credentials == credentials) {
            for _ in 0..rejected.count.min(MAX_REPLAYED) {
                let _ = standing.reconnect.failed(Failure::SignOn, 0.0);
            }
            standing.rejected = Some(rejected);
        }
        Self { credentials, file, standing: Mutex::new(standing), turn: tokio::sync::Mutex::new(()) }
    }

    // Plain values, replaced whole: usable after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to sign on; to be held until [`SignOnGate::accepted`] or [`SignOnGate::rejected`].
    ///
    /// # Errors
    /// [`Closed`] while a rejection has to be waited out, at `now_ms` milliseconds since 1970 UTC.
    pub async fn enter(&self, now_ms: impl Fn() -> i64) -> Result<tokio::sync::MutexGuard<'_, ()>, Closed> {
        let turn = self.turn.lock().await;
        match self.closed(now_ms()) {
            Some(closed) => Err(closed),
            None => Ok(turn),
        }
    }

    fn closed(&self, now_ms: i64) -> Option<Closed> {
        let standing = self.lock();
        let rejected = standing.rejected.as_ref()?;
        let left = u64::try_from(rejected.not_before_ms.saturating_sub(now_ms)).ok().filter(|ms| *ms > 0)?;
        Some(Closed { wait: Duration::from_millis(left).min(LONGEST), reason: rejected.reason.clone() })
    }

    /// The partition rejected user or password. Says how long nobody may try again. While the gate is closed
    /// it is the rejection that closed it, as another source was told of it, and not counted twice.
    pub fn rejected(&self, reason: &str, now_ms: i64, jitter: f64) -> Duration {
        if let Some(closed) = self.closed(now_ms) {
            return closed.wait;
        }
        let mut standing = self.lock();
        let wait = standing.reconnect.failed(Failure::SignOn, jitter);
        let count = standing.rejected.as_ref().map_or(0, |before| before.count).saturating_add(1);
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let rejected = Rejected {
            credentials: self.credentials.clone(),
            count,
            not_before_ms: now_ms.saturating_add(wait_ms),
            reason: reason.to_owned(),
        };
        let text = serde_json::to_vec(&rejected).unwrap_or_default();
        standing.rejected = Some(rejected);
        drop(standing);
        if let Err(error) = write_atomic(&self.file, &text) {
            warn!(%error, "rejected sign-on cannot be kept; a restart of the agent would try again at once");
        }
        wait
    }

    /// The partition let the agent in.
    pub fn accepted(&self) {
        let before = std::mem::take(&mut *self.lock());
        if before.rejected.is_some()
            && let Err(error) = std::fs::remove_file(&self.file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!(%error, file = %self.file.display(), "file of rejected sign-ons cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(password_stamp: i64) -> Credentials {
        Credentials { host: "prod01".to_owned(), user: "MUSTER".to_owned(), password_stamp }
    }

    #[tokio::test]
    async fn a_rejection_closes_the_gate_for_all_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let gate = SignOnGate::load(folder.path(), credentials(1));
        assert!(gate.enter(|| 0).await.is_ok());
        assert_eq!(gate.rejected("wrong password", 0, 0.0), Duration::from_secs(60));
        let closed =
            |seconds| Closed { wait: Duration::from_secs(seconds), reason: "wrong password".to_owned() };
        assert_eq!(gate.enter(|| 1_000).await.unwrap_err(), closed(59));
        // A service manager starts the agent again.
        let gate = SignOnGate::load(folder.path(), credentials(1));
        assert_eq!(gate.enter(|| 2_000).await.unwrap_err(), closed(58));
        assert!(gate.enter(|| 60_000).await.is_ok());
        assert_eq!(gate.rejected("wrong password", 60_000, 0.0), Duration::from_secs(300));
        let gate = SignOnGate::load(folder.path(), credentials(1));
        assert_eq!(gate.rejected("wrong password", 360_000, 0.0), Duration::from_secs(900));
        // The clock went back by a day: the wait stays within reason.
        assert_eq!(gate.enter(|| -86_400_000).await.unwrap_err().wait, LONGEST);
        // Somebody put another password into the file.
        let changed = SignOnGate::load(folder.path(), credentials(2));
        assert!(changed.enter(|| 360_001).await.is_ok());
    }

    #[tokio::test]
    async fn what_several_sources_are_told_of_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let gate = SignOnGate::load(folder.path(), credentials(1));
        assert_eq!(gate.rejected("password expired", 0, 0.0), Duration::from_secs(60));
        for now_ms in [0, 1_000, 59_000] {
            let left = Duration::from_secs(60) - Duration::from_millis(now_ms as u64);
            assert_eq!(gate.rejected("password expired", now_ms, 0.0), left, "another source, {now_ms}");
        }
        assert_eq!(gate.rejected("password expired", 60_000, 0.0), Duration::from_secs(300), "a second try");
    }

    #[tokio::test]
    async fn success_forgets_and_only_one_tries_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let gate = SignOnGate::load(folder.path(), credentials(1));
        gate.rejected("wrong password", 0, 0.0);
        let turn = gate.enter(|| 60_000).await.unwrap();
        let second = gate.enter(|| 60_000);
        tokio::pin!(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending(), "another source waits for the outcome");
        gate.accepted();
        drop(turn);
        assert!(second.await.is_ok());
        assert_eq!(gate.rejected("wrong password", 60_000, 0.0), Duration::from_secs(60), "counted anew");
        gate.accepted();
        assert!(SignOnGate::load(folder.path(), credentials(1)).enter(|| 0).await.is_ok());
    }
}
