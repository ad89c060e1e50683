//! When the next heartbeat and the next rates are due: pure.

use muster_proto::session::rates::RatesWatch;
use std::time::Duration;

/// Shortest and longest heartbeat that a controller may set.
const HEARTBEAT_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// Pace of reports. Times are on any monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    heartbeat: Duration,
    watch: Option<Watch>,
    last_sent: Duration,
    last_rates: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Watch {
    interval: Duration,
    until: Duration,
}

impl Pace {
    /// A pace with this time between heartbeats.
    #[must_use]
    pub fn new(heartbeat: Duration, now: Duration) -> Self {
        Self { heartbeat: bounded(heartbeat), watch: None, last_sent: now, last_rates: now }
    }

    /// The controller sets the heartbeat. 0 stands for "not set" and changes nothing: an agent of ours
    /// always has a pulse.
    pub fn set_heartbeat(&mut self, seconds: u64) {
        if seconds > 0 {
            self.heartbeat = bounded(Duration::from_secs(seconds));
        }
    }

    /// The time between heartbeats.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// Somebody looks (or stopped looking).
    pub fn watch(&mut self, watch: &RatesWatch, now: Duration) {
        self.watch = watch.bounded().map(|(interval, expiry)| Watch { interval, until: now + expiry });
    }

    /// A new connection: nobody there has asked for anything yet.
    pub fn reset(&mut self, now: Duration) {
        self.watch = None;
        self.last_sent = now;
        self.last_rates = now;
    }

    /// A message was sent, with or without rates.
    pub fn sent(&mut self, with_rates: bool, now: Duration) {
        self.last_sent = now;
        if with_rates {
            self.last_rates = now;
        }
    }

    /// Rates should ride on a message sent now.
    #[must_use]
    pub fn rates_due(&self, now: Duration) -> bool {
        now >= self.last_rates + self.rates_interval(now)
    }

    /// When to send something even without news: the heartbeat counted from the last message, or the next
    /// rates.
    #[must_use]
    pub fn next_due(&self, now: Duration) -> Duration {
        (self.last_sent + self.heartbeat).min(self.last_rates + self.rates_interval(now))
    }

    fn rates_interval(&self, now: Duration) -> Duration {
        match self.watch {
            Some(watch) if now < watch.until => watch.interval.min(self.heartbeat),
            Some(_) | None => self.heartbeat,
        }
    }
}

fn bounded(heartbeat: Duration) -> Duration {
    heartbeat.clamp(HEARTBEAT_BOUNDS.0, HEARTBEAT_BOUNDS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn heartbeat_counts_from_the_last_message() {
        let mut pace = Pace::new(secs(30), secs(0));
        assert_eq!(pace.next_due(secs(0)), secs(30));
        pace.sent(true, secs(10));
        assert_eq!(pace.next_due(secs(10)), secs(40));
        pace.sent(false, secs(35));
        assert_eq!(pace.next_due(secs(35)), secs(40), "news do not put off the rates");
        assert!(!pace.rates_due(secs(39)));
        assert!(pace.rates_due(secs(40)));
    }

    #[test]
    fn a_watch_quickens_and_expires() {
        let mut pace = Pace::new(secs(30), secs(0));
        pace.watch(&RatesWatch { interval_ms: 1_000, expires_after_ms: 5_000 }, secs(100));
        pace.sent(true, secs(100));
        assert_eq!(pace.next_due(secs(100)), secs(101));
        pace.sent(true, secs(105));
        assert_eq!(pace.next_due(secs(105)), secs(135), "expired");
        pace.watch(&RatesWatch { interval_ms: 1_000, expires_after_ms: 5_000 }, secs(106));
        pace.watch(&RatesWatch { interval_ms: 0, expires_after_ms: 0 }, secs(107));
        assert_eq!(pace.next_due(secs(107)), secs(135), "ended");
        pace.watch(&RatesWatch { interval_ms: 1_000, expires_after_ms: 5_000 }, secs(108));
        pace.reset(secs(109));
        assert_eq!(pace.next_due(secs(109)), secs(139), "a new connection");
    }

    #[test]
    fn heartbeats_stay_within_bounds() {
        let mut pace = Pace::new(secs(0), secs(0));
        assert_eq!(pace.heartbeat(), secs(1));
        for (asked, expected) in [(7, 7), (0, 7), (100_000, 600)] {
            pace.set_heartbeat(asked);
            assert_eq!(pace.heartbeat(), secs(expected), "{asked}");
        }
    }
}
