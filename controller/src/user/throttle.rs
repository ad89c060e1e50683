//! How often a wrong password may be tried: per user and address, twice as long a wait after each failure; and per
//! address over all user names a budget that fills up slowly, so that nobody tries one password with every name.

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
/// Failures that an address has at hand over all user names: an office behind one address mistypes too.
const BUDGET: f64 = 30.0;
/// One more every so many seconds.
const REFILL_SECONDS: f64 = 20.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// What an address has left.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Budget {
    left: f64,
    at: Timestamp,
}

impl Budget {
    fn now(self, now: Timestamp) -> f64 {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        (self.left + passed / REFILL_SECONDS).min(BUDGET)
    }
}

/// Failures so far.
#[derive(Debug, Default)]
pub struct Throttle {
    pairs: HashMap<(String, IpAddr), Failures>,
    addresses: HashMap<IpAddr, Budget>,
}

impl Throttle {
    /// May try now, or how long to wait.
    ///
    /// # Errors
    /// The wait that is left.
    pub fn check(&self, user: &str, from: IpAddr, now: Timestamp) -> Result<(), Duration> {
        if let Some(budget) = self.addresses.get(&network(from)) {
            let left = budget.now(now);
            if left < 1.0 {
                return Err(Duration::from_secs_f64((1.0 - left) * REFILL_SECONDS));
            }
        }
        let Some(failures) = self.pairs.get(&key(user, from)) else { return Ok(()) };
        let until = failures.last + wait(failures.count);
        let left = until.duration_since(now);
        if left.is_positive() { Err(left.unsigned_abs()) } else { Ok(()) }
    }

    /// Another failure.
    pub fn failed(&mut self, user: &str, from: IpAddr, now: Timestamp) {
        self.spend(from, now);
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

    fn spend(&mut self, from: IpAddr, now: Timestamp) {
        if self.addresses.len() >= MAX_PAIRS {
            // Full again: as if never seen.
            self.addresses.retain(|_, b| b.now(now) < BUDGET);
        }
        if self.addresses.len() >= MAX_PAIRS
            && let Some(oldest) = self.addresses.iter().min_by_key(|(_, b)| b.at).map(|(k, _)| *k)
        {
            self.addresses.remove(&oldest);
        }
        let budget = self.addresses.entry(network(from)).or_insert(Budget { left: BUDGET, at: now });
        *budget = Budget { left: (budget.now(now) - 1.0).max(0.0), at: now };
    }

    /// The right password: what its try cost is given back.
    pub fn succeeded(&mut self, user: &str, from: IpAddr) {
        self.pairs.remove(&key(user, from));
        if let Some(budget) = self.addresses.get_mut(&network(from)) {
            budget.left = (budget.left + 1.0).min(BUDGET);
        }
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, which one host has to itself.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
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
    fn an_address_has_one_budget_over_all_names() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let (here, there) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut throttle = Throttle::default();
        let mut tries = 0;
        while throttle.check(&format!("u{tries}"), here, at(0)).is_ok() {
            throttle.failed(&format!("u{tries}"), here, at(0));
            tries += 1;
        }
        assert_eq!(tries, 30);
        assert_eq!(throttle.check("new", here, at(0)), Err(Duration::from_secs(20)));
        assert_eq!(throttle.check("new", here, at(15)), Err(Duration::from_secs(5)));
        assert_eq!(throttle.check("new", here, at(20)), Ok(()));
        assert_eq!(throttle.check("new", there, at(0)), Ok(()));
        // Signing in rightly costs nothing.
        for _ in 0..50 {
            throttle.failed("maria", there, at(0));
            throttle.succeeded("maria", there);
        }
        assert_eq!(throttle.check("new", there, at(0)), Ok(()));
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_has_one_budget() {
        let at = Timestamp::from_second(0).unwrap();
        let mut throttle = Throttle::default();
        for i in 0..30 {
            throttle.failed(&format!("u{i}"), format!("2001:db8::{i}").parse().unwrap(), at);
        }
        assert!(throttle.check("new", "2001:db8::ffff".parse().unwrap(), at).is_err());
        assert!(throttle.check("new", "2001:db8:0:1::1".parse().unwrap(), at).is_ok());
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::default();
        for i in 0..MAX_PAIRS + 10 {
            let from = std::net::Ipv4Addr::from_bits(u32::try_from(i).unwrap()).into();
            throttle.failed(&format!("u{i}"), from, Timestamp::from_second(1_000).unwrap());
        }
        assert!(throttle.pairs.len() <= MAX_PAIRS && throttle.addresses.len() <= MAX_PAIRS);
    }
}
