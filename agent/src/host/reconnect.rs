//! How long to wait before the next try. Pure: failures and a random number in, a wait out.
//!
//! A rejected sign-on is its own matter: each one counts towards QMAXSIGN and may disable the profile, so
//! the waits are long and do not shrink because other errors happened between.

use std::time::Duration;

/// Waits after the first, second and third rejected sign-on in a row; then the last one for ever.
const SIGN_ON_WAITS: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
];

/// First wait after any other failure; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Longest wait after any other failure: a partition that comes back after an IPL is read again within a
/// minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// User or password rejected: the next try counts against the profile.
    SignOn,
    /// Anything else: network, certificate, timeout, SQL.
    Other,
}

/// Failures since the last success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconnect {
    sign_on: u32,
    other: u32,
}

impl Reconnect {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a failure and says how long to wait before the next try. `jitter` is a random number from
    /// 0.0 to 1.0, so that many agents do not come back at the same moment; it shortens waits by up to a
    /// quarter, except those after a rejected sign-on, which are only ever lengthened.
    #[must_use = "the next try must wait"]
    pub fn failed(&mut self, failure: Failure, jitter: f64) -> Duration {
        let jitter = jitter.clamp(0.0, 1.0);
        match failure {
            Failure::SignOn => {
                let wait = SIGN_ON_WAITS[(self.sign_on as usize).min(SIGN_ON_WAITS.len() - 1)];
                self.sign_on = self.sign_on.saturating_add(1);
                wait.mul_f64(1.0 + 0.1 * jitter)
            }
            Failure::Other => {
                let wait = FIRST_WAIT.saturating_mul(1 << self.other.min(6)).min(LONGEST_WAIT);
                self.other = self.other.saturating_add(1);
                wait.mul_f64(1.0 - 0.25 * jitter)
            }
        }
    }

    /// Notes that a request succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(failures: &[Failure], jitter: f64) -> Vec<f64> {
        let mut reconnect = Reconnect::default();
        failures.iter().map(|&failure| reconnect.failed(failure, jitter).as_secs_f64()).collect()
    }

    #[test]
    fn rejected_sign_ons_wait_long_and_longer() {
        assert_eq!(waits(&[Failure::SignOn; 5], 0.0), [60.0, 300.0, 900.0, 3600.0, 3600.0]);
        assert_eq!(waits(&[Failure::SignOn; 2], 1.0), [66.0, 330.0]);
    }

    #[test]
    fn other_failures_double_up_to_a_minute() {
        assert_eq!(waits(&[Failure::Other; 8], 0.0), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert_eq!(waits(&[Failure::Other; 2], 1.0), [0.75, 1.5]);
    }

    #[test]
    fn a_network_failure_between_does_not_shorten_the_next_sign_on_wait() {
        let failures = [Failure::SignOn, Failure::Other, Failure::SignOn, Failure::Other];
        assert_eq!(waits(&failures, 0.0), [60.0, 1.0, 300.0, 2.0]);
    }

    #[test]
    fn success_forgets_the_past() {
        let mut reconnect = Reconnect::default();
        for _ in 0..4 {
            let _ = reconnect.failed(Failure::SignOn, 0.0);
            let _ = reconnect.failed(Failure::Other, 0.0);
        }
        reconnect.succeeded();
        assert_eq!(reconnect.failed(Failure::SignOn, 0.0), Duration::from_secs(60));
        assert_eq!(reconnect.failed(Failure::Other, 0.0), Duration::from_secs(1));
    }
}
