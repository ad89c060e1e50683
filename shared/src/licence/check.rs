//! What follows from licences: a function of the files, the partitions and the time.
//!
//! Collection never stops. After the evaluation, the end of the last licence, or the first day with more partitions than
//! seats there are 30 days of grace; then new partitions, publishing and new rollouts are refused, and nothing else: what
//! goes back to what was there before, and a package that the vendor signed as a security fix, pass.

use super::Licence;
use super::dates::{begin, day, days, days_left, end};
use crate::partition::PartitionKey;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Days without any file, with every function.
const EVALUATION_DAYS: i64 = 60;
/// Of those, the last ones with a warning: from day 46 on.
const EVALUATION_WARNING_DAYS: i64 = 15;
/// Days before its end from which a licence warns.
const WARNING_DAYS: i64 = 60;
/// Days after which something is refused.
const GRACE_DAYS: i64 = 30;
/// How far a clock may be behind what it showed before without a word: daylight saving done wrong, and then some.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(3);

/// What is judged.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The installed licences.
    pub licences: &'a [Licence],
    /// When the evaluation began: the first start of the controller.
    pub began: Timestamp,
    /// The latest time that was ever seen: a clock that is set back brings no days back.
    pub latest: Timestamp,
    /// The time now.
    pub now: Timestamp,
    /// Since when more partitions are collected from than there are seats, or others than are named; `None` if not.
    pub over_since: Option<Timestamp>,
    /// The partitions that are collected from.
    pub partitions: &'a BTreeSet<PartitionKey>,
    /// Agents whose partition is not known: each counts as one.
    pub unknown: usize,
    /// Pairs of partitions that the operator declared.
    pub pairs: &'a [(PartitionKey, PartitionKey)],
}

/// What is refused after the grace, and what never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Everything.
    Everything,
    /// No new partitions, no publishing, no new rollouts.
    NoChanges,
}

/// Where the licence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Standing {
    /// No file yet; every function.
    Evaluation,
    /// In force.
    Licensed,
    /// Over, or over-used, and nothing is refused yet.
    Grace,
    /// Changes are refused. Collection goes on.
    Restricted,
}

/// Why there is a grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grace {
    /// The evaluation is over.
    Evaluation,
    /// The last licence is over.
    Expired,
    /// More partitions than seats, or others than are named.
    OverUsed,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceState {
    /// Where it stands.
    pub standing: Standing,
    /// The licence that counts: the position of it among those that were given.
    pub counts: Option<usize>,
    /// Seats in use.
    pub used: u32,
    /// Seats; `None` while there is no licence, which is as many as you like.
    pub seats: Option<u32>,
    /// Pairs that are counted once.
    pub pairs: u32,
    /// More than licensed now: since when has to be remembered.
    pub over_used: bool,
    /// When the next thing happens by itself.
    pub next: Option<Timestamp>,
    /// What is to be said: nothing while all is well.
    pub warnings: Vec<String>,
    /// What is so, and what happens next and when, in one line.
    pub says: String,
}

impl LicenceState {
    /// What may be done.
    #[must_use]
    pub fn allowed(&self) -> Allowed {
        match self.standing {
            Standing::Evaluation | Standing::Licensed | Standing::Grace => Allowed::Everything,
            Standing::Restricted => Allowed::NoChanges,
        }
    }
}

/// Judges.
#[must_use]
pub fn judge(facts: &Facts<'_>) -> LicenceState {
    let now = facts.now.max(facts.latest);
    let counts = counting(facts.licences, now);
    let licence = counts.and_then(|position| facts.licences.get(position));
    let (used, pairs) = seats_used(facts, licence.map_or(0, |l| l.ha_pairs));
    let mut state = LicenceState {
        standing: Standing::Licensed,
        counts,
        used,
        seats: licence.map(|l| l.seats),
        pairs,
        over_used: false,
        next: None,
        warnings: Vec::new(),
        says: String::new(),
    };
    match licence {
        None => evaluation(facts.began, now, &mut state),
        Some(licence) => licensed(facts, licence, now, &mut state),
    }
    if facts.latest.duration_since(facts.now) > CLOCK_SLACK {
        state.warnings.push(format!(
            "the controller's clock was set back: it showed {} before; licences are judged by that until it is there \
             again, so set it right",
            facts.latest.strftime("%Y-%m-%d %H:%M UTC")
        ));
    }
    state
}

/// The licence that counts: of those in force the one that ends last, else the one that ended last, else the next one.
fn counting(licences: &[Licence], now: Timestamp) -> Option<usize> {
    let all = licences.iter().enumerate();
    let begun = all.filter(|(_, l)| begin(l.valid_from) <= now);
    // One in force ends after every one that is over.
    begun.max_by_key(|(_, l)| (l.valid_until, l.valid_from, l.seats)).map(|(position, _)| position)
}

/// Seats in use, and the pairs of which one half takes none.
fn seats_used(facts: &Facts<'_>, most: u32) -> (u32, u32) {
    let both =
        |(a, b): &&(PartitionKey, PartitionKey)| facts.partitions.contains(a) && facts.partitions.contains(b);
    let pairs = facts.pairs.iter().filter(both).count().min(most as usize);
    let all = facts.partitions.len() + facts.unknown;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (count(all - pairs), count(pairs))
}

fn evaluation(began: Timestamp, now: Timestamp, state: &mut LicenceState) {
    let over = days(began, EVALUATION_DAYS);
    if now < over {
        state.standing = Standing::Evaluation;
        let warns = days(over, -EVALUATION_WARNING_DAYS);
        state.next = Some(if now < warns { warns } else { over });
        state.says = format!(
            "evaluation with every function until {} ({} days); then 30 days of grace begin",
            day(over),
            days_left(now, over)
        );
        if now >= warns {
            state.warnings.push(format!(
                "the evaluation ends on {} ({} days): install a licence with `muster licence install FILE`",
                day(over),
                days_left(now, over)
            ));
        }
        return;
    }
    grace(Grace::Evaluation, over, now, state);
}

fn licensed(facts: &Facts<'_>, licence: &Licence, now: Timestamp, state: &mut LicenceState) {
    let over = end(licence.valid_until);
    if now >= over {
        grace(Grace::Expired, over, now, state);
        return;
    }
    let strangers: Vec<&PartitionKey> = match licence.partitions.is_empty() {
        true => Vec::new(),
        false => facts.partitions.difference(&licence.partitions).collect(),
    };
    state.over_used = state.used > licence.seats || !strangers.is_empty();
    state.next = Some(over);
    state.says = format!(
        "licence {} for {}: {} of {} seats in use, until {}",
        licence.id, licence.customer, state.used, licence.seats, licence.valid_until
    );
    // A licence that follows without a gap ends the matter.
    let follows = facts.licences.iter().any(|l| begin(l.valid_from) <= over && end(l.valid_until) > over);
    if now >= days(over, -WARNING_DAYS) && !follows {
        state.warnings.push(format!(
            "licence {} ends on {} ({} days); then 30 days of grace begin: install the next one with `muster licence \
             install FILE`",
            licence.id,
            licence.valid_until,
            days_left(now, over)
        ));
    }
    if state.over_used {
        // The first moment of it is this one, as long as nobody wrote another down.
        let since = facts.over_since.unwrap_or(now);
        if let Some(stranger) = strangers.first() {
            state.warnings.push(format!(
                "{} partitions are not in the licence, such as {stranger}: remove their agents or have them added",
                strangers.len()
            ));
        }
        grace(Grace::OverUsed, since, now, state);
    }
}

/// 30 days in which nothing is refused, and what comes then.
fn grace(why: Grace, since: Timestamp, now: Timestamp, state: &mut LicenceState) {
    let ends = days(since, GRACE_DAYS);
    let cause = match why {
        Grace::Evaluation => format!("the evaluation ended on {}", day(since)),
        Grace::Expired => format!("the licence ended with {}", day(days(since, -1))),
        Grace::OverUsed if state.used <= state.seats.unwrap_or(0) => {
            format!("partitions that the licence does not name are collected from (since {})", day(since))
        }
        Grace::OverUsed => format!(
            "{} partitions are collected from, licensed are {} seats (since {})",
            state.used,
            state.seats.unwrap_or(0),
            day(since)
        ),
    };
    if now < ends {
        state.standing = Standing::Grace;
        state.next = Some(state.next.filter(|next| *next > now).map_or(ends, |next| next.min(ends)));
        state.says = format!(
            "{cause}. Nothing is refused until {} ({} days); from then on new partitions, publishing and new rollouts are. \
             Collection never stops. `muster licence install FILE` mends it at once",
            day(ends),
            days_left(now, ends)
        );
    } else {
        state.standing = Standing::Restricted;
        state.says = format!(
            "{cause}, and the grace on {}. New partitions, publishing and new rollouts are refused; collection, renewal, \
             reverting and everything under way go on. `muster licence install FILE` mends it at once",
            day(ends)
        );
    }
    state.warnings.push(state.says.clone());
}
