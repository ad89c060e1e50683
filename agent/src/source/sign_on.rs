//! Signing on to the partition, and how long to wait after something went wrong: the same for every connection.

use super::SourceError;
use crate::collector::{Closed, SignOnGate};
use crate::host::reconnect::{Failure, Reconnect};
use std::sync::Arc;
use std::time::Duration;

/// Pause after an error that only a person can mend (journal missing, no authority): they may be waiting for it.
pub const SETUP_RETRY: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug)]
pub enum Refused<E = SourceError> {
    /// A rejected sign-on has to be waited out.
    Closed(Closed),
    /// It failed.
    Failed(E),
}

/// The gate before every sign-on; none for what does not sign on.
#[derive(Debug, Clone)]
pub struct SignOn(pub Option<Arc<SignOnGate>>);

impl SignOn {
    /// Connects, when no rejected sign-on of this or another source has to be waited out.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn through<T>(
        &self,
        connect: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, Refused> {
        let Some(gate) = &self.0 else { return connect.await.map_err(Refused::Failed) };
        let _turn = gate.enter(now_ms).await.map_err(Refused::Closed)?;
        let result = connect.await;
        match &result {
            Ok(_) => gate.accepted(),
            // Counted while the turn is held, so that nobody tries again in between.
            Err(SourceError::Host(host)) if host.failure() == Failure::SignOn => {
                let reason = host.to_string();
                let wait = gate.rejected(&reason, now_ms(), rand::random::<f64>());
                return Err(Refused::Closed(Closed { wait, reason }));
            }
            Err(_) => {}
        }
        result.map_err(Refused::Failed)
    }

    /// How long to wait before the next try.
    pub fn wait_after(&self, error: &SourceError, backoff: &mut Reconnect) -> Duration {
        match error {
            SourceError::Host(host) => match host.failure() {
                Failure::SignOn => match &self.0 {
                    Some(gate) => gate.rejected(&host.to_string(), now_ms(), rand::random::<f64>()),
                    None => SETUP_RETRY,
                },
                Failure::Other => backoff.failed(Failure::Other, rand::random::<f64>()),
            },
            SourceError::Setup(_) | SourceError::Reply(_) => SETUP_RETRY,
            SourceError::Renew(_) => Duration::ZERO,
        }
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
