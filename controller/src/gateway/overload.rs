//! Admission control: how many may be let in at the same time, and when the others shall come back.
//!
//! A [`Gate`] stands before each thing that costs much when a whole fleet wants it at once: arriving, enrolling,
//! reporting the full state. Who finds it full is told a time that follows from the queue and from how fast it
//! drains, so that a fleet returns as fast as it can be served and no faster. The agents spread themselves
//! around that time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shortest and longest time that anybody is told to wait, in seconds. The protocol recommends 30 s at least,
/// which is too coarse for a fleet that shall be back within 15 s.
const BOUNDS: (f64, f64) = (1.0, 10.0);
/// Completions a second that are assumed before any were measured.
const ASSUMED: f64 = 500.0;
/// Rates are measured over spans of at least this.
const SPAN: Duration = Duration::from_millis(250);

/// How many may be let in at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Agents that connected and whose first report is not answered yet.
    pub arriving: usize,
    /// Agents that enrol or renew.
    pub enrolling: usize,
    /// Full reports of connected agents that are being stored.
    pub reporting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // Each holds a message of its agent, some 10 KB: together they stay far below the memory of the fleet.
        Self { arriving: 4_096, enrolling: 512, reporting: 4_096 }
    }
}

/// Seconds after which to come back, 1 to 10: when the queue will have drained at the present rate, as far as
/// that is known.
#[must_use]
pub fn retry_after(waiting: usize, per_second: Option<f64>) -> u64 {
    let per_second = per_second.unwrap_or(ASSUMED);
    #[allow(clippy::cast_precision_loss)] // a few thousand
    let seconds = if per_second > 0.0 { waiting as f64 / per_second } else { BOUNDS.1 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded
    let whole = seconds.clamp(BOUNDS.0, BOUNDS.1).ceil() as u64;
    whole
}

/// How fast a queue drains: completions over the last span and the present one. A value; the time is passed in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drain {
    began: Instant,
    done: u32,
    before: Option<f64>,
}

impl Drain {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { began: now, done: 0, before: None }
    }

    /// One more is done.
    pub fn done(&mut self, now: Instant) {
        self.done = self.done.saturating_add(1);
        self.turn(now);
    }

    fn turn(&mut self, now: Instant) {
        let span = now.saturating_duration_since(self.began);
        if span >= SPAN {
            let rate = f64::from(self.done) / span.as_secs_f64();
            // The newest span counts half: a stall shows soon, a single slow one hardly.
            self.before = Some(self.before.map_or(rate, |before| (before + rate) / 2.0));
            (self.began, self.done) = (now, 0);
        }
    }

    /// Completions a second; none before the first span is over.
    #[must_use]
    pub fn per_second(&mut self, now: Instant) -> Option<f64> {
        self.turn(now);
        self.before
    }
}

/// One gate.
#[derive(Debug)]
pub struct Gate {
    limit: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    count: usize,
    drain: Drain,
}

/// The gate is full: come back after so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Seconds, 1 to 10.
    pub retry_after: u64,
}

impl Full {
    /// As the protocol's messages tell it.
    #[must_use]
    pub fn nanoseconds(self) -> u64 {
        self.retry_after * 1_000_000_000
    }
}

/// A place inside a gate; given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<Gate>);

impl Gate {
    /// A gate that lets `limit` in at a time.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        let inside = Mutex::new(Inside { count: 0, drain: Drain::new(Instant::now()) });
        Arc::new(Self { limit, inside })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place inside.
    ///
    /// # Errors
    /// When to come back, if there is none.
    pub fn enter(self: &Arc<Self>) -> Result<Place, Full> {
        let mut inside = self.lock();
        if inside.count >= self.limit {
            let per_second = inside.drain.per_second(Instant::now());
            return Err(Full { retry_after: retry_after(inside.count, per_second) });
        }
        inside.count += 1;
        Ok(Place(Arc::clone(self)))
    }

    /// How many are inside.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().count
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.0.lock();
        inside.count -= 1;
        inside.drain.done(Instant::now());
    }
}

/// All gates of a controller.
#[derive(Debug)]
pub struct Gates {
    /// Before [`Limits::arriving`].
    pub arriving: Arc<Gate>,
    /// Before [`Limits::enrolling`].
    pub enrolling: Arc<Gate>,
    /// Before [`Limits::reporting`].
    pub reporting: Arc<Gate>,
}

impl Gates {
    /// Gates with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            arriving: Gate::new(limits.arriving),
            enrolling: Gate::new(limits.enrolling),
            reporting: Gate::new(limits.reporting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_from_queue_and_rate() {
        let cases = [
            (0, Some(100.0), 1),
            (50, Some(100.0), 1),
            (100, Some(100.0), 1),
            (101, Some(100.0), 2),
            (450, Some(100.0), 5),
            (1_000, Some(100.0), 10),
            (100_000, Some(100.0), 10),
            (10, Some(0.0), 10),
            (4_096, Some(f64::INFINITY), 1),
            (400, None, 1),
            (4_096, None, 9),
        ];
        for (waiting, per_second, expected) in cases {
            assert_eq!(retry_after(waiting, per_second), expected, "{waiting} at {per_second:?}");
        }
    }

    #[test]
    fn the_rate_is_that_of_late() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut drain = Drain::new(start);
        assert_eq!(drain.per_second(at(100)), None);
        for i in 0..100 {
            drain.done(at(i * 10));
        }
        let steady = drain.per_second(at(1_000)).unwrap();
        assert!((90.0..115.0).contains(&steady), "{steady}");
        // Nothing more comes out: the rate falls with every look.
        let stalled = drain.per_second(at(3_000)).unwrap();
        assert!(stalled < steady * 0.6, "{stalled}");
        assert!(drain.per_second(at(6_000)).unwrap() < stalled * 0.6);
    }

    #[test]
    fn a_full_gate_opens_when_somebody_leaves() {
        let gate = Gate::new(2);
        let (first, _second) = (gate.enter().unwrap(), gate.enter().unwrap());
        let full = gate.enter().unwrap_err();
        assert!((1..=10).contains(&full.retry_after));
        assert_eq!(full.nanoseconds(), full.retry_after * 1_000_000_000);
        drop(first);
        assert_eq!(gate.count(), 1);
        assert!(gate.enter().is_ok());
        assert!(Gate::new(0).enter().is_err());
    }
}
