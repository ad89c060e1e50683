//! How soon an agent that ended by itself is started again, and when it does that too often: pure.

use std::time::Duration;

/// First pause; each end in a row doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause. A partition that is away for a night should not wait long for its agent afterwards.
const LONGEST: Duration = Duration::from_secs(30);
/// An agent that ran this long came up: what happened before its start does not count any more.
pub const SETTLED: Duration = Duration::from_secs(60);
/// Ends in a row, each within [`SETTLED`] of its start, after which the version before is a better choice. With the pauses
/// that is after half a minute at least, so that a disturbance of seconds is not taken for a broken version.
pub const LOOPING: u32 = 5;

/// The ends of the running version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    in_a_row: u32,
    crashes: u32,
}

impl Pace {
    /// Notes an end after the time that the agent ran, and says how long to wait before the next start. `crash`: it may be
    /// the version's fault.
    pub fn ended(&mut self, ran: Duration, crash: bool) -> Duration {
        if ran >= SETTLED {
            *self = Self::default();
        } else if crash {
            self.crashes = self.crashes.saturating_add(1);
        }
        let pause = FIRST.saturating_mul(1_u32.checked_shl(self.in_a_row).unwrap_or(u32::MAX)).min(LONGEST);
        self.in_a_row = self.in_a_row.saturating_add(1);
        pause
    }

    /// It ends again and again.
    #[must_use]
    pub fn is_looping(&self) -> bool {
        self.crashes >= LOOPING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_begin_anew_after_a_minute() {
        let mut pace = Pace::default();
        let short = Duration::from_secs(59);
        let pauses: Vec<u64> = (0..7).map(|_| pace.ended(short, true).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert!(pace.is_looping());
        assert_eq!(pace.ended(SETTLED, true), FIRST);
        assert!(!pace.is_looping());
        assert_eq!(pace.ended(short, true).as_secs(), 2);
        for _ in 0..100 {
            pace.ended(short, false);
        }
        assert!(!pace.is_looping(), "what is not the version's fault does not count");
        assert_eq!(pace.ended(short, false), LONGEST);
    }

    #[test]
    fn the_fifth_short_run_is_one_too_many() {
        let mut pace = Pace::default();
        for count in 1..=LOOPING {
            pace.ended(Duration::ZERO, true);
            assert_eq!(pace.is_looping(), count == LOOPING, "{count}");
        }
    }
}
