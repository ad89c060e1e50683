//! How fast packages may leave the controller: one token bucket for all downloads together.

use std::time::{Duration, Instant};

/// Bytes that may leave at once after a time in which none did, as a time at the full pace: short, so that in any second
/// hardly more leaves than is allowed.
const BURST: Duration = Duration::from_millis(250);

/// The bucket; a value, the time is passed in.
///
/// Who takes bytes has them, and is told how long to wait until they may leave: those who come later wait longer, so
/// downloads share the pace in the order in which they ask. What they owe is bounded by one piece of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    per_second: f64,
    /// Bytes that may leave now; negative: bytes that were promised.
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(bytes_per_second: u64, now: Instant) -> Self {
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        let per_second = (bytes_per_second.max(1)) as f64;
        Self { per_second, level: per_second * BURST.as_secs_f64(), at: now }
    }

    /// Takes bytes; how long to wait before they are sent.
    pub fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let most = self.per_second * BURST.as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        let bytes = bytes as f64;
        self.level = (self.level + passed * self.per_second).min(most) - bytes;
        Duration::from_secs_f64((-self.level / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: usize = 64 * 1024;

    /// Bytes that left in each second, with `downloads` that take a piece as soon as the one before may leave.
    fn run(downloads: usize, per_second: u64, seconds: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut bucket = Bucket::new(per_second, start);
        let mut left = vec![0; usize::try_from(seconds).unwrap()];
        let mut ready = vec![start; downloads];
        loop {
            let (turn, now) = ready.iter().copied().enumerate().min_by_key(|(_, at)| *at).unwrap();
            let second = usize::try_from(now.duration_since(start).as_secs()).unwrap();
            if second >= left.len() {
                return left;
            }
            let leaves = now + bucket.take(PIECE, now);
            let second = usize::try_from(leaves.duration_since(start).as_secs()).unwrap();
            if let Some(bytes) = left.get_mut(second) {
                *bytes += PIECE as u64;
            }
            ready[turn] = leaves;
        }
    }

    #[test]
    fn the_limit_is_kept_by_any_number_of_downloads() {
        for downloads in [1, 7, 50] {
            let left = run(downloads, 20_000_000, 10);
            assert!(left[0] <= 25_100_000, "{downloads}: a burst of a quarter of a second: {left:?}");
            for second in &left[1..] {
                assert!((19_800_000..=20_200_000).contains(second), "{downloads}: {left:?}");
            }
        }
    }

    #[test]
    fn who_comes_after_a_rest_has_a_short_burst_and_no_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000, start);
        assert_eq!(bucket.take(250, start), Duration::ZERO);
        assert_eq!(bucket.take(1_000, start), Duration::from_secs(1));
        let later = start + Duration::from_secs(3_600);
        assert_eq!(bucket.take(250, later), Duration::ZERO);
        assert_eq!(bucket.take(500, later), Duration::from_millis(500));
        // A clock that does not move back.
        assert_eq!(bucket.take(0, start), Duration::from_millis(500));
    }
}
