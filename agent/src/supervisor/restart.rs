//! Pure: whether and when a child that ended is started again.

use std::collections::VecDeque;
use std::time::Duration;

/// Why a child is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Its mailbox is closed without having been asked to: it panicked or stopped by itself.
    Died,
    /// It lives but has completed no step for too long.
    Frozen,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Start a new one at this time.
    At(Duration),
    /// Start a new one at this time, and say that it keeps failing: somebody must look.
    Failing(Duration),
}

/// Exits within this time count together.
const WINDOW: Duration = Duration::from_secs(600);
/// From this many exits within the window on, the child counts as failing. Collection never stops for
/// good: a failing child is still tried again, at the longest pause.
const FAILING_AFTER: usize = 5;
/// First pause; doubled with each further exit in the window.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Exits of one child.
#[derive(Debug, Clone, Default)]
pub struct History {
    exits: VecDeque<Duration>,
    /// Deaths since the start.
    pub died: u64,
    /// Freezes since the start.
    pub frozen: u64,
}

impl History {
    /// Records an exit at `now` and decides.
    pub fn decide(&mut self, exit: Exit, now: Duration) -> Restart {
        match exit {
            Exit::Died => self.died += 1,
            Exit::Frozen => self.frozen += 1,
        }
        self.exits.push_back(now);
        while self.exits.front().is_some_and(|at| now.saturating_sub(*at) > WINDOW) {
            self.exits.pop_front();
        }
        let earlier = self.exits.len() - 1;
        // 2^9 times 200 ms is beyond the longest pause already.
        let pause = FIRST_PAUSE.saturating_mul(1 << earlier.min(9)).min(LONGEST_PAUSE);
        let at = now + pause;
        if self.exits.len() >= FAILING_AFTER { Restart::Failing(at) } else { Restart::At(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_a_child_that_keeps_failing_is_named() {
        let mut history = History::default();
        let seconds = Duration::from_secs;
        let decided: Vec<Restart> = (0..6).map(|n| history.decide(Exit::Died, seconds(n))).collect();
        let millis = |n, ms| seconds(n) + Duration::from_millis(ms);
        assert_eq!(
            decided,
            [
                Restart::At(millis(0, 200)),
                Restart::At(millis(1, 400)),
                Restart::At(millis(2, 800)),
                Restart::At(millis(3, 1600)),
                Restart::Failing(millis(4, 3200)),
                Restart::Failing(millis(5, 6400)),
            ]
        );
        assert_eq!((history.died, history.frozen), (6, 0));
    }

    #[test]
    fn old_exits_are_forgotten_and_the_pause_is_capped() {
        let mut history = History::default();
        for n in 0..20 {
            history.decide(Exit::Frozen, Duration::from_secs(n));
        }
        let now = Duration::from_secs(20);
        assert_eq!(history.decide(Exit::Frozen, now), Restart::Failing(now + LONGEST_PAUSE));
        let later = now + WINDOW + WINDOW;
        assert_eq!(history.decide(Exit::Died, later), Restart::At(later + FIRST_PAUSE));
    }
}
