//! What is refused before anybody has proved who asks: in the log, but never so often that the log is flooded.
//!
//! Anybody who reaches the port can be refused as often as they like, and every entry is kept for good. So the
//! first refusal of a kind from an address is an entry at once; the next ones are counted, and one entry tells how
//! many when the pause is over. The pause begins with a minute and doubles up to an hour while it goes on. Over all
//! addresses together there is a budget of entries; beyond it, refusals of addresses that were not seen before are
//! counted together, as from many addresses. What is left out is counted.
//!
//! Decisions only: the time is passed in, and whoever asks writes the entries.

use super::{Actor, Outgoing};
use crate::user::network;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::net::IpAddr;

/// The first pause after an entry.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// The longest: who tries for days is 24 entries a day.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// Addresses remembered, each with a kind.
const MAX_PLACES: usize = 10_000;
/// Entries at hand over all addresses.
const BUDGET: u32 = 60;
/// One more every so many seconds: 8,640 a day at most, some megabytes.
const REFILL_SECONDS: f64 = 10.0;
/// Entries with which the program ends at most.
const MAX_REST: usize = 100;
/// Who is refused without a name.
const UNKNOWN: &str = "unknown";

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An enrolment token, or the request of an agent that came with one.
    EnrolmentToken,
    /// The token of a foreign agent.
    ForeignToken,
    /// An API token.
    ApiToken,
    /// A change that another site's page asked a browser for.
    Csrf,
}

impl Kind {
    fn action(self) -> &'static str {
        match self {
            Self::EnrolmentToken => "refused.enrolment-token",
            Self::ForeignToken => "refused.foreign-token",
            Self::ApiToken => "refused.api-token",
            Self::Csrf => "refused.csrf",
        }
    }
}

/// One refusal; never with a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused.
    pub kind: Kind,
    /// From where.
    pub from: IpAddr,
    /// Whose session or API token it was, as far as that is known.
    pub user: Option<String>,
    /// Id of the token, or the path that was asked for; empty if it is not known.
    pub object: String,
    /// Why.
    pub reason: String,
}

impl Refusal {
    /// The entry; `counted` tells how many others there were since when, and that they came from many addresses
    /// where that is not `near`.
    fn entry(&self, near: bool, counted: Option<(u64, Timestamp)>, now: Timestamp) -> Outgoing {
        let name = self.user.as_deref().unwrap_or(UNKNOWN);
        let token = (self.kind == Kind::ApiToken && self.user.is_some()).then_some(self.object.as_str());
        let actor = Actor { name, from: self.from, token };
        let reason = &self.reason;
        let detail = match (counted, near) {
            (None, true) => reason.clone(),
            (None, false) => format!("from many addresses, the first {}: {reason}", self.from),
            (Some((n, since)), true) => format!("{n} more since {since:.0}, the last: {reason}"),
            (Some((n, since)), false) => {
                format!("{n} more from many addresses since {since:.0}, the last {}: {reason}", self.from)
            }
        };
        let entry = Outgoing::by_user(actor, self.kind.action(), self.object.as_str()).detail(detail);
        let from = if near { entry.from } else { String::new() };
        Outgoing { at: now, from, ..entry }
    }
}

/// Where refusals of a kind come from: an address, or so many that they are not told apart.
type Place = (Option<IpAddr>, Kind);

/// What is remembered of a place.
#[derive(Debug)]
struct Pause {
    /// The last entry.
    since: Timestamp,
    length: SignedDuration,
    /// Refusals since then.
    counted: u64,
    /// The last of them.
    last: Refusal,
}

impl Pause {
    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) >= self.length
    }

    /// The entry for what was counted; the next pause is longer.
    fn told(&mut self, near: bool, now: Timestamp) -> Outgoing {
        let entry = self.last.entry(near, Some((self.counted, self.since)), now);
        self.again(now);
        entry
    }

    fn again(&mut self, now: Timestamp) {
        (self.since, self.counted) = (now, 0);
        self.length = (self.length * 2).min(LONGEST_PAUSE);
    }
}

/// Refusals so far.
#[derive(Debug)]
pub struct Refusals {
    places: HashMap<Place, Pause>,
    left: f64,
    at: Timestamp,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { places: HashMap::new(), left: f64::from(BUDGET), at: Timestamp::UNIX_EPOCH }
    }
}

impl Refusals {
    /// Takes a refusal: the entry, if there is to be one now.
    pub fn note(&mut self, refusal: Refusal, now: Timestamp) -> Option<Outgoing> {
        let place = (Some(network(refusal.from)), refusal.kind);
        let is_over = self.places.get(&place).map(|pause| pause.counted == 0 && pause.is_over(now));
        match is_over {
            Some(true) if self.spend(now) => {
                let entry = refusal.entry(true, None, now);
                self.places.entry(place).and_modify(|pause| pause.again(now));
                Some(entry)
            }
            Some(_) => {
                self.count(place, refusal);
                None
            }
            None if self.places.len() < MAX_PLACES && self.spend(now) => {
                Some(self.begin(place, refusal, now))
            }
            None => {
                let many = (None, refusal.kind);
                if !self.places.contains_key(&many) {
                    return Some(self.begin(many, refusal, now));
                }
                self.count(many, refusal);
                None
            }
        }
    }

    fn begin(&mut self, place: Place, refusal: Refusal, now: Timestamp) -> Outgoing {
        let entry = refusal.entry(place.0.is_some(), None, now);
        self.places.insert(place, Pause { since: now, length: FIRST_PAUSE, counted: 0, last: refusal });
        entry
    }

    fn count(&mut self, place: Place, refusal: Refusal) {
        if let Some(pause) = self.places.get_mut(&place) {
            pause.counted = pause.counted.saturating_add(1);
            pause.last = refusal;
        }
    }

    /// The entries for what was counted in pauses that are over; asked every few seconds. Forgets who has been
    /// quiet for the longest pause.
    pub fn due(&mut self, now: Timestamp) -> Vec<Outgoing> {
        let quiet = |p: &Pause| p.counted == 0 && now.duration_since(p.since) >= p.length + LONGEST_PAUSE;
        self.places.retain(|_, pause| !quiet(pause));
        let over = |p: &Pause| p.counted > 0 && p.is_over(now);
        let mut due: Vec<Place> = self.places.iter().filter(|(_, p)| over(p)).map(|(at, _)| *at).collect();
        // The one that waits longest comes first, for the budget may not do for all.
        due.sort_by_key(|place| self.places.get(place).map(|p| p.since + p.length));
        let mut entries = Vec::new();
        for place in due {
            if place.0.is_some() && !self.spend(now) {
                continue;
            }
            entries.extend(self.places.get_mut(&place).map(|pause| pause.told(place.0.is_some(), now)));
        }
        entries
    }

    /// All that was counted, whether its pause is over or not: before the program ends.
    pub fn rest(&mut self, now: Timestamp) -> Vec<Outgoing> {
        let counted = self.places.iter_mut().filter(|(_, pause)| pause.counted > 0);
        let told = counted.map(|((address, _), pause)| pause.told(address.is_some(), now));
        told.take(MAX_REST).collect()
    }

    /// Takes one entry out of the budget, if there is one.
    fn spend(&mut self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.left = (self.left + passed / REFILL_SECONDS).min(f64::from(BUDGET));
        self.at = now;
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn refusal(kind: Kind, from: &str) -> Refusal {
        let reason = "it is used up".to_owned();
        Refusal { kind, from: from.parse().unwrap(), user: None, object: "id".to_owned(), reason }
    }

    /// Notes one each second, as long as told, and looks what is due as often: when there were entries, and what
    /// they say.
    fn flood(refusals: &mut Refusals, seconds: i64) -> Vec<(i64, String)> {
        let mut entries = Vec::new();
        for second in 0..seconds {
            let noted = refusals.note(refusal(Kind::EnrolmentToken, "10.0.0.1"), at(second));
            let due = refusals.due(at(second));
            entries.extend(noted.into_iter().chain(due).map(|entry| (second, entry.detail)));
        }
        entries
    }

    #[test]
    fn a_flood_is_an_entry_at_once_and_ever_rarer_counts() {
        let mut refusals = Refusals::default();
        let entries = flood(&mut refusals, 24 * 3_600);
        let times: Vec<i64> = entries.iter().map(|(second, _)| *second).collect();
        assert_eq!(&times[..6], [0, 60, 180, 420, 900, 1_860]);
        assert_eq!(times.len(), 29, "then one an hour");
        assert_eq!(entries[0].1, "it is used up");
        assert_eq!(entries[1].1, "60 more since 1970-01-12T13:46:40Z, the last: it is used up");
        let counted = |text: &str| text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0_u64);
        let told: u64 = entries.iter().map(|(_, text)| counted(text)).sum();
        let rest = refusals.rest(at(24 * 3_600));
        assert_eq!(told + 1 + counted(&rest[0].detail), 24 * 3_600, "every one is counted");
        assert_eq!(refusals.rest(at(24 * 3_600)), []);
    }

    #[test]
    fn kinds_and_addresses_are_told_apart_and_a_network_of_one_host_is_not() {
        let mut refusals = Refusals::default();
        let mut note = |kind, from| refusals.note(refusal(kind, from), at(0)).map(|e| (e.action, e.from));
        let told = |action: &str, from: &str| Some((action.to_owned(), from.to_owned()));
        assert_eq!(note(Kind::EnrolmentToken, "10.0.0.1"), told("refused.enrolment-token", "10.0.0.1"));
        assert_eq!(note(Kind::EnrolmentToken, "10.0.0.1"), None);
        assert_eq!(note(Kind::ApiToken, "10.0.0.1"), told("refused.api-token", "10.0.0.1"));
        assert_eq!(note(Kind::EnrolmentToken, "10.0.0.2"), told("refused.enrolment-token", "10.0.0.2"));
        assert_eq!(note(Kind::Csrf, "2001:db8::1"), told("refused.csrf", "2001:db8::1"));
        assert_eq!(note(Kind::Csrf, "2001:db8::2"), None);
    }

    #[test]
    fn who_is_quiet_is_told_at_once_again() {
        let mut refusals = Refusals::default();
        let one = || refusal(Kind::ApiToken, "10.0.0.1");
        let texts = [0, 61, 62, 4_000, 20_000].map(|second| {
            let entry = refusals.note(one(), at(second)).map(|entry| entry.detail);
            entry
                .into_iter()
                .chain(refusals.due(at(second)).into_iter().map(|e| e.detail))
                .collect::<Vec<_>>()
        });
        let plain = "it is used up";
        let late = "2 more since 1970-01-12T13:47:41Z, the last: it is used up";
        assert_eq!(texts, [vec![plain], vec![plain], vec![], vec![late], vec![plain]]);
        assert_eq!(refusals.due(at(40_000)), []);
        assert!(refusals.places.is_empty(), "nothing is remembered for ever");
    }

    #[test]
    fn many_addresses_share_a_budget_and_are_counted() {
        let mut refusals = Refusals::default();
        let from = |i: u32| std::net::Ipv4Addr::from_bits(i).to_string();
        let first: Vec<Outgoing> =
            (0..20_000).filter_map(|i| refusals.note(refusal(Kind::Csrf, &from(i)), at(0))).collect();
        assert_eq!(first.len(), 61, "the budget, and one for all others");
        let last = first.last().unwrap();
        assert_eq!((last.from.as_str(), last.actor.as_str()), ("", "unknown"));
        assert_eq!(last.detail, "from many addresses, the first 0.0.0.60: it is used up");
        let due: Vec<String> = refusals.due(at(60)).into_iter().map(|entry| entry.detail).collect();
        assert_eq!(
            due,
            ["19939 more from many addresses since 1970-01-12T13:46:40Z, the last 0.0.78.31: it is used up"]
        );
        // Over a day from ever new addresses: as the budget is filled up again, and memory is bounded.
        let mut count = 0;
        for second in 61..86_400_u32 {
            let noted = refusals.note(refusal(Kind::Csrf, &from(100_000 + second)), at(second.into()));
            count += usize::from(noted.is_some()) + refusals.due(at(second.into())).len();
        }
        assert!((8_000..9_000).contains(&count), "{count}");
        assert!(refusals.places.len() <= MAX_PLACES + 4);
    }

    #[test]
    fn the_owner_of_an_expired_api_token_is_named_and_so_is_the_token() {
        let known = Refusal { user: Some("maria".to_owned()), ..refusal(Kind::ApiToken, "10.0.0.1") };
        let entry = known.entry(true, None, at(0));
        assert_eq!((entry.actor.as_str(), entry.token.as_deref(), entry.at), ("maria", Some("id"), at(0)));
        let csrf = Refusal { kind: Kind::Csrf, ..known };
        assert_eq!(csrf.entry(true, None, at(0)).token, None, "a person's browser");
    }
}
