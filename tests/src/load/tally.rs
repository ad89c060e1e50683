//! Percentiles of durations: functions of values.

use std::time::Duration;

/// How a set of durations is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half of them are at most this.
    pub median: Duration,
    /// 99 of 100 are at most this.
    pub p99: Duration,
    /// 999 of 1,000 are at most this.
    pub p999: Duration,
    /// The longest.
    pub last: Duration,
}

impl Spread {
    /// Of these durations; all zero if there are none.
    #[must_use]
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |share: f64| {
            // The smallest value that is not below `share` of them.
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rank = (durations.len() as f64 * share).ceil() as usize;
            durations.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self {
            count: durations.len(),
            median: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            last: durations.last().copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let ms = Duration::from_millis;
        let spread = Spread::of((1..=1_000).rev().map(ms).collect());
        let expected = Spread { count: 1_000, median: ms(500), p99: ms(990), p999: ms(999), last: ms(1_000) };
        assert_eq!(spread, expected);
        let one = Spread::of(vec![ms(7)]);
        assert_eq!((one.median, one.p99, one.last), (ms(7), ms(7), ms(7)));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
