//! When a silent connection is asked for a sign of life, and when it is given up: functions of the time.

use std::time::Duration;
use tokio::time::Instant;

/// An agent that reports at its heartbeat is never asked: how much later than that it is.
const ASK_LATER: Duration = Duration::from_secs(5);

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Ask it for a sign of life.
    Ask,
    /// Give it up.
    End,
}

/// The silence of one connection. Looked at only when its time comes, so that a message costs no timer.
#[derive(Debug, Clone, Copy)]
pub struct Liveness {
    heard: Instant,
    asked: Instant,
    ask_after: Duration,
    end_after: Duration,
    /// Signs of life put off the end.
    renewable: bool,
}

impl Liveness {
    /// Of an enrolled agent with this heartbeat: the end comes after three intervals and 10 s of silence.
    #[must_use]
    pub fn of_agent(heartbeat: Duration, now: Instant) -> Self {
        let end_after = heartbeat * 3 + Duration::from_secs(10);
        Self { heard: now, asked: now, ask_after: heartbeat + ASK_LATER, end_after, renewable: true }
    }

    /// Of one that enrols: it has so much time in all.
    #[must_use]
    pub fn of_stranger(heartbeat: Duration, limit: Duration, now: Instant) -> Self {
        Self { heard: now, asked: now, ask_after: heartbeat + ASK_LATER, end_after: limit, renewable: false }
    }

    /// A sign of life came.
    pub fn heard(&mut self, now: Instant) {
        if self.renewable {
            self.heard = now;
        }
        self.asked = now;
    }

    /// What is due now; asking is taken as done.
    #[must_use = "asking is taken as done"]
    pub fn due(&mut self, now: Instant) -> Due {
        if now >= self.heard + self.end_after {
            Due::End
        } else if now >= self.asked + self.ask_after {
            self.asked = now;
            Due::Ask
        } else {
            Due::Nothing
        }
    }

    /// When to look again at the latest.
    #[must_use]
    pub fn next(&self) -> Instant {
        (self.heard + self.end_after).min(self.asked + self.ask_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_asked_about_and_ended() {
        let start = Instant::now();
        let mut agent = Liveness::of_agent(secs(30), start);
        // Second, whether something was heard then, what is due.
        let table = [
            (30, true, Due::Nothing),
            (60, true, Due::Nothing),
            (94, false, Due::Nothing),
            (95, false, Due::Ask),
            (96, false, Due::Nothing),
            (130, false, Due::Ask),
            (140, true, Due::Nothing),
            (174, false, Due::Nothing),
            (175, false, Due::Ask),
            (239, false, Due::Ask),
            (240, false, Due::End),
        ];
        for (second, heard, due) in table {
            let now = start + secs(second);
            if heard {
                agent.heard(now);
            }
            assert_eq!(agent.due(now), due, "second {second}");
            assert!(due == Due::End || agent.next() > now, "second {second}");
        }
    }

    #[test]
    fn a_stranger_has_its_time_in_all() {
        let start = Instant::now();
        let mut stranger = Liveness::of_stranger(secs(30), secs(120), start);
        for second in [30, 60, 90, 119] {
            stranger.heard(start + secs(second));
            assert_eq!(stranger.due(start + secs(second)), Due::Nothing);
        }
        assert_eq!(stranger.next(), start + secs(120));
        assert_eq!(stranger.due(start + secs(120)), Due::End);
    }
}
