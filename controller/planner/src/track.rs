//! What becomes of one partition that was told of a change.

use crate::gate::{Before, fault};
use crate::state::State;
use crate::{Observation, Presence, Version, words};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::RolloutStrategy;

/// Where a partition goes from where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// It stays.
    Same,
    /// It goes there.
    To(State),
    /// It goes there, and people are told why.
    Told(State, String),
}

pub(crate) fn after(moment: Timestamp, seconds: u64) -> Timestamp {
    let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    moment.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// What becomes of a partition that has the change.
pub(crate) fn follow(
    state: &State,
    before: &mut Option<Before>,
    seen: &Observation,
    strategy: &RolloutStrategy,
    now: Timestamp,
) -> Next {
    if seen.presence == Presence::Gone {
        return Next::Told(State::Gone, format!("{} was removed from the fleet", seen.name));
    }
    match state {
        State::Offered { at } => offered(*at, before, seen, strategy, now),
        State::Proving { .. } => match unwell(before, seen, strategy) {
            None => Next::Same,
            Some(trouble) => sickened(trouble, "is unwell", seen, strategy, now),
        },
        State::Unwell { since, until, reason, away } => match unwell(before, seen, strategy) {
            None => {
                // Counted from here: while it was unwell it did something else than before.
                before.get_or_insert_default().counters = seen.counters;
                Next::To(State::Proving { since: now })
            }
            Some(Trouble::Final(reason)) => failed(seen, reason, now),
            Some(Trouble::Passing(_)) if seen.presence == Presence::PlannedOutage => Next::Same,
            // It is back: what it has to start again takes its time.
            Some(Trouble::Passing(why)) if *away && seen.presence == Presence::Present => {
                let until = after(now, strategy.deadline_seconds);
                Next::To(State::Unwell { reason: why, since: *since, until, away: false })
            }
            Some(Trouble::Passing(why)) if now >= *until => failed(seen, why, now),
            Some(Trouble::Passing(why)) if why == *reason => Next::Same,
            Some(Trouble::Passing(why)) => {
                let away = seen.presence != Presence::Present;
                Next::To(State::Unwell { reason: why, since: *since, until: *until, away })
            }
        },
        State::Proven { .. } => match unwell(&mut uncounted(before), seen, strategy) {
            // Who is away after it passed is no sign of the change.
            Some(Trouble::Passing(_)) if seen.presence != Presence::Present => Next::Same,
            None => Next::Same,
            Some(trouble) => sickened(trouble, "is unwell, after it had passed", seen, strategy, now),
        },
        State::Planned
        | State::Failed { .. }
        | State::Accepted { .. }
        | State::GoingBack { .. }
        | State::Back
        | State::Gone => Next::Same,
    }
}

/// How much a partition receives after it passed says nothing of the change.
fn uncounted(before: &Option<Before>) -> Option<Before> {
    before.clone().map(|before| Before { counters: None, ..before })
}

/// It was well with the change, and is not any more.
fn sickened(
    trouble: Trouble,
    how: &str,
    seen: &Observation,
    strategy: &RolloutStrategy,
    now: Timestamp,
) -> Next {
    match trouble {
        Trouble::Final(reason) => failed(seen, reason, now),
        Trouble::Passing(reason) => {
            let (until, away) = (after(now, patience(seen, strategy)), seen.presence != Presence::Present);
            let told = format!("{} {how}: {reason}", seen.name);
            Next::Told(State::Unwell { reason, since: now, until, away }, told)
        }
    }
}

/// Told, and not seen to run the change yet.
fn offered(
    at: Timestamp,
    before: &mut Option<Before>,
    seen: &Observation,
    strategy: &RolloutStrategy,
    now: Timestamp,
) -> Next {
    let until = after(at, strategy.deadline_seconds);
    let late = now >= until;
    let allowed = words::span(strategy.deadline_seconds);
    match (&seen.version, seen.presence) {
        (Version::Refused(why), _) => failed(seen, format!("it refused the change: {why}"), now),
        (Version::New, Presence::Present) => {
            // Counted from here: what it did while it changed over says nothing.
            before.get_or_insert_default().counters = seen.counters;
            match unwell(before, seen, strategy) {
                None => Next::To(State::Proving { since: now }),
                // What starts may need a while: it has the rest of its time.
                Some(trouble) => {
                    Next::To(State::Unwell { reason: trouble.text(), since: now, until, away: false })
                }
            }
        }
        // Whatever keeps it away, it was not the change.
        (Version::Old, Presence::Away | Presence::PlannedOutage | Presence::Held) if late => Next::Told(
            State::Planned,
            format!("{} went away before it took the change: it follows when it is back", seen.name),
        ),
        (_, Presence::PlannedOutage) => Next::Same,
        (_, Presence::Away | Presence::Held) if late => {
            failed(seen, format!("it went away while it changed over, and is not back after {allowed}"), now)
        }
        (_, _) if late => failed(seen, format!("it did not run the change within {allowed}"), now),
        (_, _) => Next::Same,
    }
}

enum Trouble {
    /// It may pass.
    Passing(String),
    /// It will not.
    Final(String),
}

impl Trouble {
    fn text(self) -> String {
        match self {
            Self::Passing(text) | Self::Final(text) => text,
        }
    }
}

/// What is wrong with a partition that ran the change.
fn unwell(before: &mut Option<Before>, seen: &Observation, strategy: &RolloutStrategy) -> Option<Trouble> {
    if let Some(before) = before
        && seen.presence != Presence::Present
    {
        // What it does not count while it is away says nothing.
        before.counters = None;
    }
    match (&seen.version, seen.presence) {
        (Version::Refused(why), _) => Some(Trouble::Final(format!("it refused the change: {why}"))),
        (_, Presence::Away) => Some(Trouble::Passing("it is away".to_owned())),
        (_, Presence::PlannedOutage) => Some(Trouble::Passing("its outage was announced".to_owned())),
        (_, Presence::Held) => Some(Trouble::Passing("it is quarantined".to_owned())),
        (Version::Old, _) => Some(Trouble::Passing("it runs something else again".to_owned())),
        (Version::Changing, _) => Some(Trouble::Passing("it is changing over again".to_owned())),
        (Version::New, Presence::Present | Presence::Gone) => {
            let before = before.get_or_insert_default();
            let trouble = fault(seen, before, &strategy.gates).map(Trouble::Passing);
            // Another process counts from nothing, as does one whose counters were not known before.
            if before.counters.map(|c| c.boot) != seen.counters.map(|c| c.boot) {
                before.counters = seen.counters;
            }
            trouble
        }
    }
}

/// How long it may be unwell: who is away needs the time that a restart takes.
fn patience(seen: &Observation, strategy: &RolloutStrategy) -> u64 {
    match seen.presence {
        Presence::Present | Presence::Gone => strategy.recovery_seconds,
        Presence::Away | Presence::PlannedOutage | Presence::Held => {
            strategy.recovery_seconds.max(strategy.deadline_seconds)
        }
    }
}

fn failed(seen: &Observation, reason: String, now: Timestamp) -> Next {
    let told = format!("{} failed: {reason}", seen.name);
    Next::Told(State::Failed { reason, at: now }, told)
}

/// What becomes of a partition that was told to go back.
pub(crate) fn follow_back(
    since: Timestamp,
    seen: &Observation,
    strategy: &RolloutStrategy,
    now: Timestamp,
) -> Next {
    let late = now >= after(since, strategy.deadline_seconds);
    match (&seen.version, seen.presence) {
        (_, Presence::Gone) => Next::To(State::Gone),
        (Version::Old, _) => Next::To(State::Back),
        // It runs the change further, and said why: nobody asks it again.
        (Version::Refused(why), _) => {
            Next::Told(State::Back, format!("{} did not go back: {why}", seen.name))
        }
        (_, Presence::Present) if late => {
            let allowed = words::span(strategy.deadline_seconds);
            Next::Told(State::Back, format!("{} did not say within {allowed} that it went back", seen.name))
        }
        (_, Presence::Away | Presence::PlannedOutage | Presence::Held) if late => {
            Next::Told(State::Back, format!("{} is away: it goes back when it returns", seen.name))
        }
        (Version::New | Version::Changing, _) => Next::Same,
    }
}
