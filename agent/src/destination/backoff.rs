//! How long to wait before the next try to connect. Pure: the random share is an argument.

use std::time::Duration;

/// First pause after the retry that comes at once.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause before jitter is taken off.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Pause before the next try after `failures` tries in a row that came to nothing. `share` (0..1) is the
/// jitter: it takes up to half of the pause away, at the cap as well, so that a fleet whose receiver
/// was away for long does not come back as one.
#[must_use]
pub fn pause(failures: u32, share: f64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let base = FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(LONGEST_PAUSE);
    base.mul_f64(1.0 - share.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_then_doubling_to_the_cap_with_jitter_everywhere() {
        let cases = [
            (0, 0, 0),
            (1, 500, 250),
            (2, 1_000, 500),
            (3, 2_000, 1_000),
            (7, 30_000, 15_000),
            (900, 30_000, 15_000),
        ];
        for (failures, longest, shortest) in cases {
            assert_eq!(pause(failures, 0.0), Duration::from_millis(longest), "{failures}");
            assert_eq!(pause(failures, 1.0), Duration::from_millis(shortest), "{failures}");
        }
    }
}
