//! When a certificate is renewed, and how the agent's health tells of it: pure.
//!
//! At two thirds of its life, spread over a tenth of it so that agents which enrolled together do not renew
//! together. A renewal that fails is tried again with long, spread pauses; from five sixths of the life on
//! a person hears of it.

use crate::health::HealthState;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Name under which the certificate's health is reported.
pub const COMPONENT: &str = "certificate";

/// Shortest and longest pause between two requests for one renewal.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// Longest time over which a fleet spreads the renewals that a new authority makes necessary.
const ROLL_OVER_SPREAD: Duration = Duration::from_secs(600);

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub from: Timestamp,
    /// Last second.
    pub until: Timestamp,
}

impl Validity {
    fn life(&self) -> Duration {
        Duration::try_from(self.until.duration_since(self.from)).unwrap_or(Duration::ZERO)
    }

    fn at(&self, share: f64) -> Timestamp {
        let into = SignedDuration::try_from(self.life().mul_f64(share)).unwrap_or(SignedDuration::ZERO);
        self.from.checked_add(into).unwrap_or(Timestamp::MAX)
    }

    /// When to renew; `jitter` is a random number from 0 to below 1, drawn once a certificate.
    #[must_use]
    pub fn renew_at(&self, jitter: f64) -> Timestamp {
        self.at(2.0 / 3.0 + (jitter - 0.5) / 10.0)
    }

    /// How long to wait before a renewal is asked for again: a twentieth of the life, within bounds, half to
    /// one and a half times.
    #[must_use]
    pub fn pause(&self, jitter: f64) -> Duration {
        (self.life() / 20).clamp(PAUSES.0, PAUSES.1).mul_f64(0.5 + jitter)
    }

    /// When to renew because the authority was replaced: soon, and spread.
    #[must_use]
    pub fn renew_for_new_authority(&self, now: Timestamp, jitter: f64) -> Timestamp {
        let spread = (self.life() / 20).min(ROLL_OVER_SPREAD).mul_f64(jitter);
        let spread = SignedDuration::try_from(spread).unwrap_or(SignedDuration::ZERO);
        now.checked_add(spread).unwrap_or(now)
    }

    /// Health of a certificate with this validity. `problem` is why the last renewal did not succeed.
    #[must_use]
    pub fn health(&self, now: Timestamp, problem: Option<&str>) -> (HealthState, String) {
        let why = problem.map(|text| format!(" ({text})")).unwrap_or_default();
        let until = self.until;
        if now >= until {
            let text = format!(
                "the agent's certificate expired at {until}; the agent renews it by itself as soon as it \
                 reaches its controller, up to 90 days later{why}"
            );
            (HealthState::Failed, text)
        } else if now >= self.at(5.0 / 6.0) {
            let text = format!("the agent's certificate expires at {until} and is not renewed yet{why}");
            (HealthState::Degraded, text)
        } else {
            (HealthState::Healthy, String::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    const WEEK: i64 = 7 * 86_400;

    fn week() -> Validity {
        Validity { from: at(0), until: at(WEEK) }
    }

    #[test]
    fn renewed_around_two_thirds_of_the_life() {
        let due = |jitter| week().renew_at(jitter).as_second() - at(0).as_second();
        assert_eq!(due(0.5), WEEK * 2 / 3);
        assert_eq!(due(0.0), WEEK * 37 / 60);
        assert!(due(0.999) < WEEK * 43 / 60 && due(0.999) > WEEK * 7 / 10);
        let empty = Validity { from: at(5), until: at(5) };
        assert_eq!(empty.renew_at(0.5), at(5));
        let backwards = Validity { from: at(5), until: at(1) };
        assert_eq!(backwards.renew_at(0.5), at(5));
    }

    #[test]
    fn pauses_are_long_and_spread() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(week().pause(0.5), hour);
        assert_eq!(week().pause(0.0), hour / 2);
        let short = Validity { from: at(0), until: at(10) };
        assert_eq!(short.pause(0.5), Duration::from_secs(1));
    }

    #[test]
    fn a_new_authority_is_answered_within_minutes() {
        let due = |v: Validity, jitter| v.renew_for_new_authority(at(50), jitter);
        assert_eq!(due(week(), 0.0), at(50));
        assert_eq!(due(week(), 0.5), at(50 + 300));
        assert_eq!(due(Validity { from: at(0), until: at(100) }, 1.0), at(55));
    }

    #[test]
    fn a_person_hears_of_it_when_renewing_fails() {
        for (now, problem, state, part) in [
            (0, None, HealthState::Healthy, ""),
            (WEEK * 5 / 6 - 1, Some("x"), HealthState::Healthy, ""),
            (WEEK * 5 / 6 + 1, Some("it is busy"), HealthState::Degraded, "not renewed yet (it is busy)"),
            (WEEK - 1, None, HealthState::Degraded, "is not renewed yet"),
            (WEEK, None, HealthState::Failed, "renews it by itself"),
        ] {
            let (got, reason) = week().health(at(now), problem);
            assert_eq!(got, state, "{now}");
            assert!(reason.contains(part), "{reason}");
        }
    }
}
