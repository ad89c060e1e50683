//! Keeps the connections of one agent from trying a rejected sign-on one after the other.
//!
//! Each rejected one counts towards QMAXSIGN. Whoever makes a connection waits its time out before the next
//! try; but connections that were good until then also sign on again by themselves after a timeout, all of
//! them at the same time where the partition hung. So they take turns, and the first one's rejection stands
//! for all.

use crate::host::HostError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

/// How long a rejection is taken for granted by a new connection. Shorter than the shortest wait after one
/// ([`crate::host::reconnect`]), so that it never adds to it.
const TAKEN_FOR_GRANTED: Duration = Duration::from_secs(55);

/// A sign-on that was rejected.
#[derive(Debug)]
struct Rejected {
    at: Instant,
    error: HostError,
}

/// What all connections with the same credentials know of rejected sign-ons. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct SignOns(Arc<Mutex<Option<Rejected>>>);

/// The right to sign on; others wait until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(OwnedMutexGuard<Option<Rejected>>);

impl SignOns {
    /// Waits for the turn to sign on. `again`: for a connection that had signed on before and does so by
    /// itself; it does not try what was rejected to another, however long ago.
    ///
    /// # Errors
    /// The rejection that another connection met; the server was not asked.
    pub(super) async fn enter(&self, again: bool, now: impl Fn() -> Instant) -> Result<Turn, HostError> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        match turn.as_ref() {
            Some(rejected) if again || now().duration_since(rejected.at) < TAKEN_FOR_GRANTED => {
                Err(rejected.error.clone())
            }
            Some(_) | None => Ok(Turn(turn)),
        }
    }
}

impl Turn {
    /// The server let it in.
    pub(super) fn accepted(mut self) {
        *self.0 = None;
    }

    /// The server refused; kept where a further try would count against the profile.
    pub(super) fn refused(mut self, error: HostError, now: Instant) -> HostError {
        if matches!(error, HostError::SignOn { .. }) {
            *self.0 = Some(Rejected { at: now, error: error.clone() });
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection() -> HostError {
        HostError::SignOn { address: "prod01:8076".into(), user: "MUSTER".into(), reason: "expired".into() }
    }

    #[tokio::test]
    async fn one_rejection_stands_for_all() {
        let began = Instant::now();
        let at = |seconds| move || began + Duration::from_secs(seconds);
        let all = SignOns::default();
        let turn = all.enter(false, at(0)).await.expect("the first");
        let other = all.clone();
        let waiting = other.enter(true, at(0));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "one at a time");
        assert_eq!(turn.refused(rejection(), began), rejection());
        assert_eq!(waiting.await.expect_err("known"), rejection());
        assert_eq!(all.enter(false, at(54)).await.expect_err("known"), rejection());
        assert_eq!(all.enter(true, at(3_600)).await.expect_err("nobody was asked"), rejection());
        // A new connection, which waited its time, tries; it is let in, and so are the others.
        all.enter(false, at(55)).await.expect("in time").accepted();
        assert!(all.enter(true, at(56)).await.is_ok());
    }

    #[tokio::test]
    async fn what_costs_no_sign_on_is_not_kept() {
        let all = SignOns::default();
        let rule = HostError::Rule { address: "a:1".into(), user: "Q".into(), reason: "line 2".into() };
        let turn = all.enter(false, Instant::now).await.expect("the first");
        let _ = turn.refused(rule, Instant::now());
        assert!(all.enter(true, Instant::now).await.is_ok());
    }
}
