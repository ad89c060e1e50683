//! How often a wrong password may be tried: per user and address, twice as long a wait after each failure.

use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Failures without a wait: people mistype.
const FREE: u32 = 3;
/// Longest wait.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// A failure is forgotten after this.
const FORGET: SignedDuration = SignedDuration::from_mins(30);
/// Pairs of user and address remembered; the oldest give way.
const MAX_PAIRS: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Failures so far.
#[derive(Debug, Default)]
pub struct Throttle {
    pairs: HashMap<(String, IpAddr), Failures>,
}

impl Throttle {
    /// May try now, or how long to wait.
    ///
    /// # Errors
    /// The wait that is left.
    pub fn check(&self, user: &str, from: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let Some(failures) = self.pairs.get(&key(user, from)) else { return Ok(()) };
        let until = failures.last + wait(failures.count);
        let left = until.duration_since(now);
        if left.is_positive() { Err(left.unsigned_abs()) } else { Ok(()) }
    }

    /// Another failure.
    pub fn failed(&mut self, user: &str, from: IpAddr, now: Timestamp) {
        if self.pairs.len() >= MAX_PAIRS {
            self.pairs.retain(|_, f| now.duration_since(f.last) < FORGET);
        }
        if self.pairs.len() >= MAX_PAIRS
            && let Some(oldest) = self.pairs.iter().min_by_key(|(_, f)| f.last).map(|(k, _)| k.clone())
        {
            self.pairs.remove(&oldest);
        }
        let entry = self.pairs.entry(key(user, from)).or_insert(Failures { count: 0, last: now });
        let forgotten = now.duration_since(entry.last) >= FORGET;
        entry.count = if forgotten { 1 } else { entry.count.saturating_add(1) };
        entry.last = now;
    }

    /// The right password.
    pub fn succeeded(&mut self, user: &str, from: IpAddr) {
        self.pairs.remove(&key(user, from));
    }
}

fn key(user: &str, from: IpAddr) -> (String, IpAddr) {
    (crate::fleet::bounded(user, 64), from)
}

fn wait(count: u32) -> SignedDuration {
    match count.checked_sub(FREE) {
        None => SignedDuration::ZERO,
        Some(over) => SignedDuration::from_secs(1_i64 << over.min(20)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let (here, there) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut throttle = Throttle::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            throttle.failed("admin", here, at(0));
            waits.push(throttle.check("admin", here, at(0)).err().map_or(0, |d| d.as_secs()));
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(throttle.check("admin", here, at(299)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.check("admin", here, at(300)), Ok(()));
        assert_eq!(throttle.check("admin", there, at(0)), Ok(()), "another address is not locked out");
        throttle.failed("admin", here, at(4_000));
        assert_eq!(throttle.check("admin", here, at(4_000)), Ok(()), "old failures are forgotten");
        throttle.succeeded("admin", here);
        assert_eq!(throttle.check("admin", here, at(0)), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::default();
        let from = "10.0.0.1".parse().unwrap();
        for i in 0..MAX_PAIRS + 10 {
            throttle.failed(&format!("u{i}"), from, Timestamp::from_second(1_000).unwrap());
        }
        assert!(throttle.pairs.len() <= MAX_PAIRS);
    }
}
