//! How long the agent's certificate still lives, as health: pure.
//!
//! This release does not renew certificates by itself, so a person has to hear of the end in time.

use crate::health::HealthState;
use jiff::{SignedDuration, Timestamp};

/// Name under which it is reported.
pub const COMPONENT: &str = "certificate";

/// How long before the end the agent begins to warn.
const WARN_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Health of a certificate that expires at `expires`.
#[must_use]
pub fn health(expires: Timestamp, now: Timestamp) -> (HealthState, String) {
    let left = expires.duration_since(now);
    let advice = "remove the agent at the controller (`muster agents remove`), enrol it with a new token \
                  (`muster-agent enrol --replace`) and restart it: it keeps its id and goes on where it was";
    if left.is_negative() || left.is_zero() {
        (HealthState::Failed, format!("the agent's certificate expired at {expires}; {advice}"))
    } else if left <= WARN_BEFORE {
        let days = left.as_hours() / 24;
        (
            HealthState::Degraded,
            format!("the agent's certificate expires in {days} days, at {expires}; {advice}"),
        )
    } else {
        (HealthState::Healthy, String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_from_thirty_days_before_the_end() {
        let now: Timestamp = "2026-11-22T04:00:00Z".parse().unwrap();
        for (expires, state, part) in [
            ("2027-11-22T04:00:00Z", HealthState::Healthy, ""),
            ("2026-12-22T04:00:01Z", HealthState::Healthy, ""),
            ("2026-12-22T04:00:00Z", HealthState::Degraded, "expires in 30 days, at 2026-12-22T04:00:00Z"),
            ("2026-11-22T05:00:00Z", HealthState::Degraded, "expires in 0 days"),
            ("2026-11-22T04:00:00Z", HealthState::Failed, "expired at 2026-11-22T04:00:00Z"),
        ] {
            let (got, reason) = health(expires.parse().unwrap(), now);
            assert_eq!(got, state, "{expires}");
            assert!(reason.contains(part), "{reason}");
        }
    }
}
