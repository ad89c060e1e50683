//! Rounds of a measurement that one thread makes.
//!
//! Rates are per second of processor time of this thread, so that what else runs does not count. On an idle
//! machine that is the same as a second of the clock.

use std::time::{Duration, Instant};

/// How long one round should take: long against the clock, short against the machine's moods.
const ROUND: Duration = Duration::from_millis(300);

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

/// Time that this thread has run, as the scheduler counts it; of the clock where it does not tell.
fn processor_time(clock: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next().and_then(|first| first.parse().ok()));
    nanoseconds.map_or_else(|| clock.elapsed(), Duration::from_nanos)
}

/// Measures `work`, each call of which does `things` things.
pub fn measure(things: usize, mut work: impl FnMut()) -> Rate {
    let clock = Instant::now();
    work();
    let once = clock.elapsed().max(Duration::from_nanos(1));
    let calls = (ROUND.as_nanos() / once.as_nanos()).max(1) as usize;
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = processor_time(clock);
            for _ in 0..calls {
                work();
            }
            (things * calls) as f64 / (processor_time(clock) - start).as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    Rate { median: rates[ROUNDS / 2], best: rates[ROUNDS - 1] }
}
