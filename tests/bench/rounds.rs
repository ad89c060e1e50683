//! Rounds of a measurement that one thread makes.

use std::time::{Duration, Instant};

/// How long one round should take: long against the clock, short against the machine's moods.
const ROUND: Duration = Duration::from_millis(150);

/// Rounds of one measurement.
const ROUNDS: usize = 25;

/// What the rounds gave.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Things a second in the median round.
    pub median: f64,
    /// Things a second in the best round.
    pub best: f64,
}

impl Rate {
    /// Nanoseconds a thing in the median round.
    pub fn nanoseconds(self) -> f64 {
        1e9 / self.median
    }
}

/// Measures `work`, each call of which does `things` things.
pub fn measure(things: usize, mut work: impl FnMut()) -> Rate {
    let start = Instant::now();
    work();
    let once = start.elapsed().max(Duration::from_nanos(1));
    let calls = (ROUND.as_nanos() / once.as_nanos()).max(1) as usize;
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                work();
            }
            (things * calls) as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    Rate { median: rates[ROUNDS / 2], best: rates[ROUNDS - 1] }
}
