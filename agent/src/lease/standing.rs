//! Pure: where the agent stands with one source, and what an order or the passing of time makes of it.
//!
//! ```text
//!            ┌────────── order: hold, sole ─────────┐
//!            │                                      ▼
//!   Asking ──┤ (no controller for a while)    Sole, Holding ──order: release──▸ Releasing ──▸ Released
//!            │                                   ▲   │                              │            │
//!            └── order: stand by ──▸ StandingBy ─┘   └──────── order: stand by ◂────┴────────────┘
//! ```
//!
//! Who collects goes on when no controller can be reached: a double is better than a loss. Who stands by goes on
//! standing by. A source that takes away what it reads is the exception at a start of the agent: who held it asks first,
//! since two that empty one queue take what the other one has written down; what is left in the queue is not lost.

use muster_proto::session::lease::{LeaseRole, SourceOrder};
use muster_shared::cursor::Cursor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// An agent that was never told begins without its controller after this long.
pub const ASK_LIMIT: Duration = Duration::from_secs(30);

/// What is under way when a lease is given back has less time than this to be delivered.
pub const RELEASING_LIMIT: Duration = Duration::from_secs(60);

/// An agent that gave a lease back and hears nothing more collects again after this long.
pub const RELEASED_LIMIT: Duration = Duration::from_secs(60);

/// What the agent does with a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Role {
    /// It was not told yet, and does not collect.
    Asking,
    /// It collects, and there is nobody else for it.
    Sole,
    /// It collects under a lease.
    Holding,
    /// Another agent collects.
    StandingBy {
        /// Its name.
        holder: String,
    },
    /// It reads no more; what is under way is being delivered.
    Releasing,
    /// It gave its lease back.
    Released,
}

/// Where the agent stands with a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it does.
    #[serde(flatten)]
    pub role: Role,
    /// Epoch of the lease that it knows of; 0 for none.
    pub epoch: u64,
    /// Where the holder before stood, by destination, until it is taken over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub carried: BTreeMap<String, Cursor>,
    /// Somebody collected before, and it is not known up to where.
    #[serde(default)]
    pub lost: bool,
    /// The agent held this when it stopped, and asks before it goes on: without an answer it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Since when, on the clock of the process.
    #[serde(skip)]
    pub since: Duration,
}

impl Standing {
    /// A source that the agent meets for the first time. One that it has collected before it goes on with.
    #[must_use]
    pub fn first(collected_before: bool, now: Duration) -> Self {
        let role = if collected_before { Role::Sole } else { Role::Asking };
        Self { role, epoch: 0, carried: BTreeMap::new(), lost: false, held: false, since: now }
    }

    /// It collects.
    #[must_use]
    pub fn collects(&self) -> bool {
        match self.role {
            Role::Sole | Role::Holding => true,
            Role::Asking | Role::StandingBy { .. } | Role::Releasing | Role::Released => false,
        }
    }

    /// After an order of the controller. One that was made before a later lease was known changes nothing.
    #[must_use]
    pub fn heard(&self, order: &SourceOrder, now: Duration) -> Self {
        if order.epoch < self.epoch && order.role() != LeaseRole::Sole {
            return self.clone();
        }
        match order.role() {
            LeaseRole::Unspecified => self.clone(),
            LeaseRole::Sole => self.collecting(Role::Sole, self.epoch.max(order.epoch), order, now),
            LeaseRole::Hold => self.collecting(Role::Holding, order.epoch, order, now),
            LeaseRole::StandBy => {
                let role = Role::StandingBy { holder: order.holder.clone() };
                if self.role == role && self.epoch == order.epoch {
                    return self.clone();
                }
                Self {
                    role,
                    epoch: order.epoch,
                    carried: BTreeMap::new(),
                    lost: false,
                    held: false,
                    since: now,
                }
            }
            LeaseRole::Release => match self.role {
                Role::Holding | Role::Sole => {
                    Self { role: Role::Releasing, epoch: order.epoch, since: now, ..self.clone() }
                }
                // It never began: what it gives back is where the holder before stood.
                Role::Asking | Role::StandingBy { .. } => {
                    let (carried, lost) = carried(order);
                    Self { role: Role::Released, epoch: order.epoch, carried, lost, held: false, since: now }
                }
                Role::Releasing | Role::Released => self.clone(),
            },
        }
    }

    /// It collects from now on. Where it did already, or has not handed over yet, its own cursors are the newest.
    fn collecting(&self, role: Role, epoch: u64, order: &SourceOrder, now: Duration) -> Self {
        let own = match self.role {
            Role::Sole | Role::Holding => true,
            // The same lease: the move was called off.
            Role::Releasing | Role::Released => self.epoch == epoch,
            Role::Asking => self.held && self.epoch == epoch,
            Role::StandingBy { .. } => false,
        };
        if own {
            let since = if self.role == role { self.since } else { now };
            return Self { role, epoch, since, held: false, ..self.clone() };
        }
        let (carried, lost) = carried(order);
        Self { role, epoch, carried, lost, held: false, since: now }
    }

    /// After time has passed. `unheard`: for how long nobody can have told the agent what to do, though it knows
    /// its partition. `others_stand_by`: another agent collects something of this partition.
    #[must_use]
    pub fn passed(&self, now: Duration, unheard: Option<Duration>, others_stand_by: bool) -> Self {
        let waited = now.saturating_sub(self.since);
        let unheard = unheard.is_some_and(|time| time >= ASK_LIMIT);
        match self.role {
            Role::Asking if unheard && self.held => {
                Self { role: Role::Holding, held: false, since: now, ..self.clone() }
            }
            Role::Asking if unheard && !others_stand_by => {
                Self { role: Role::Sole, since: now, ..self.clone() }
            }
            // Nobody is there who reads, or it hangs.
            Role::Releasing if waited >= RELEASING_LIMIT => self.given_back(now),
            Role::Released if waited >= RELEASED_LIMIT => {
                Self { role: Role::Holding, since: now, ..self.clone() }
            }
            Role::Asking
            | Role::Sole
            | Role::Holding
            | Role::StandingBy { .. }
            | Role::Releasing
            | Role::Released => self.clone(),
        }
    }

    /// The connected controller knows no leases: who was never told has nobody beside it.
    #[must_use]
    pub fn without_leases(&self, now: Duration) -> Self {
        match self.role {
            Role::Asking => Self { role: Role::Sole, held: false, since: now, ..self.clone() },
            Role::Sole | Role::Holding | Role::StandingBy { .. } | Role::Releasing | Role::Released => {
                self.clone()
            }
        }
    }

    /// What was under way is delivered, or will not be.
    #[must_use]
    pub fn given_back(&self, now: Duration) -> Self {
        match self.role {
            Role::Releasing => Self { role: Role::Released, since: now, ..self.clone() },
            Role::Asking | Role::Sole | Role::Holding | Role::StandingBy { .. } | Role::Released => {
                self.clone()
            }
        }
    }

    /// No policy of the agent has the source any more: should one again, the controller is asked first.
    #[must_use]
    pub fn dropped(&self, now: Duration) -> Self {
        match self.role {
            Role::Sole | Role::Holding | Role::Releasing => {
                Self { role: Role::Asking, since: now, ..self.clone() }
            }
            Role::Asking | Role::StandingBy { .. } | Role::Released => self.clone(),
        }
    }

    /// The agent reads another partition than before: what was said of the one counts no more.
    #[must_use]
    pub fn elsewhere(&self, now: Duration) -> Self {
        Self { role: Role::Asking, epoch: 0, carried: BTreeMap::new(), lost: false, held: false, since: now }
    }

    /// After a start of the agent: what it did last it does again, unless the source `takes_away` what it reads: then it
    /// asks first. What was being handed over the controller decides.
    #[must_use]
    pub fn restarted(self, takes_away: bool, now: Duration) -> Self {
        let held = self.held || (takes_away && self.role == Role::Holding);
        let role = match self.role {
            Role::Releasing => Role::Released,
            Role::Holding if takes_away => Role::Asking,
            role @ (Role::Asking | Role::Sole | Role::Holding | Role::StandingBy { .. } | Role::Released) => {
                role
            }
        };
        Self { role, held, since: now, ..self }
    }
}

/// What an order carries. A cursor that cannot be read is as good as none: there is one, but nobody knows where.
fn carried(order: &SourceOrder) -> (BTreeMap<String, Cursor>, bool) {
    let read = order.cursors.iter().filter_map(|(destination, json)| {
        let cursor = serde_json::from_slice::<Cursor>(json).ok()?;
        Some((destination.clone(), cursor))
    });
    let carried: BTreeMap<_, _> = read.collect();
    let lost = order.lost || carried.len() < order.cursors.len();
    (carried, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::cursor::LogCursor;

    const NOW: Duration = Duration::from_secs(1_000);

    fn at(sequence: u64) -> Cursor {
        Cursor::ControllerAudit(LogCursor { sequence, hash: "".into() })
    }

    fn standing(role: Role, epoch: u64) -> Standing {
        Standing { role, epoch, carried: BTreeMap::new(), lost: false, held: false, since: Duration::ZERO }
    }

    fn by(holder: &str) -> Role {
        Role::StandingBy { holder: holder.to_owned() }
    }

    fn order(role: LeaseRole, epoch: u64) -> SourceOrder {
        let json = serde_json::to_vec(&at(7)).unwrap();
        SourceOrder {
            source: "s".to_owned(),
            role: role.into(),
            epoch,
            cursors: [("siem".to_owned(), json)].into(),
            lost: false,
            holder: "B".to_owned(),
        }
    }

    #[test]
    fn orders_lead_from_role_to_role() {
        use LeaseRole::{Hold, Release, Sole, StandBy, Unspecified};
        // Role and epoch before, order, role and epoch after, whether the carried cursors are taken.
        let cases = [
            ((Role::Asking, 0), (Sole, 0), (Role::Sole, 0), true),
            ((Role::Asking, 0), (Hold, 3), (Role::Holding, 3), true),
            ((Role::Asking, 0), (StandBy, 3), (by("B"), 3), false),
            ((Role::Asking, 0), (Release, 3), (Role::Released, 3), true),
            ((by("A"), 2), (Release, 3), (Role::Released, 3), true),
            ((Role::Sole, 0), (Hold, 1), (Role::Holding, 1), false),
            ((Role::Sole, 0), (StandBy, 1), (by("B"), 1), false),
            ((Role::Holding, 2), (Hold, 2), (Role::Holding, 2), false),
            ((Role::Holding, 2), (Hold, 5), (Role::Holding, 5), false),
            ((Role::Holding, 2), (Sole, 0), (Role::Sole, 2), false),
            ((Role::Holding, 2), (StandBy, 3), (by("B"), 3), false),
            ((Role::Holding, 2), (Release, 2), (Role::Releasing, 2), false),
            ((Role::Holding, 2), (StandBy, 1), (Role::Holding, 2), false),
            ((Role::Holding, 2), (Release, 1), (Role::Holding, 2), false),
            ((Role::Holding, 2), (Unspecified, 9), (Role::Holding, 2), false),
            ((by("A"), 2), (StandBy, 2), (by("B"), 2), false),
            ((by("A"), 2), (Hold, 3), (Role::Holding, 3), true),
            ((by("A"), 2), (Hold, 1), (by("A"), 2), false),
            ((by("A"), 2), (Sole, 0), (Role::Sole, 2), true),
            ((Role::Releasing, 2), (Release, 2), (Role::Releasing, 2), false),
            ((Role::Releasing, 2), (Hold, 2), (Role::Holding, 2), false),
            ((Role::Released, 2), (Hold, 2), (Role::Holding, 2), false),
            ((Role::Released, 2), (Hold, 4), (Role::Holding, 4), true),
            ((Role::Released, 2), (StandBy, 3), (by("B"), 3), false),
        ];
        for ((role, epoch), (word, number), (then, after), carried) in cases {
            let text = format!("{role:?} {epoch}, {word:?} {number}");
            let next = standing(role, epoch).heard(&order(word, number), NOW);
            assert_eq!((&next.role, next.epoch), (&then, after), "{text}");
            let expected = if carried { [("siem".to_owned(), at(7))].into() } else { BTreeMap::new() };
            assert_eq!(next.carried, expected, "{text}");
        }
    }

    #[test]
    fn a_cursor_that_cannot_be_read_counts_as_lost() {
        let mut hold = order(LeaseRole::Hold, 3);
        hold.cursors.insert("other".to_owned(), br#"{"kind":"of the future"}"#.to_vec());
        let next = standing(by("A"), 2).heard(&hold, NOW);
        assert_eq!(next.carried.len(), 1);
        assert!(next.lost);
    }

    #[test]
    fn time_lets_nobody_wait_for_ever_but_who_stands_by() {
        let unheard = |role: Role, unheard: Option<Duration>, others: bool| {
            standing(role, 1).passed(Duration::from_secs(1_000_000), unheard, others).role
        };
        assert_eq!(unheard(Role::Asking, Some(ASK_LIMIT), false), Role::Sole);
        assert_eq!(unheard(Role::Asking, Some(ASK_LIMIT), true), Role::Asking);
        assert_eq!(unheard(Role::Asking, Some(ASK_LIMIT - Duration::from_secs(1)), false), Role::Asking);
        assert_eq!(unheard(Role::Asking, None, false), Role::Asking, "a controller is asked");
        let cases = [
            (Role::Released, RELEASED_LIMIT, false, Role::Holding),
            (Role::Released, RELEASED_LIMIT - Duration::from_secs(1), false, Role::Released),
            (by("B"), Duration::from_secs(1_000_000), false, by("B")),
            (Role::Releasing, RELEASING_LIMIT, false, Role::Released),
            (Role::Releasing, RELEASING_LIMIT - Duration::from_secs(1), false, Role::Releasing),
            (Role::Holding, Duration::from_secs(1_000_000), true, Role::Holding),
        ];
        for (role, waited, others, then) in cases {
            let text = format!("{role:?} {waited:?} {others}");
            assert_eq!(standing(role, 1).passed(waited, Some(waited), others).role, then, "{text}");
        }
        for (role, then) in [(Role::Asking, Role::Sole), (by("B"), by("B")), (Role::Released, Role::Released)]
        {
            assert_eq!(standing(role, 1).without_leases(NOW).role, then);
        }
        assert_eq!(standing(Role::Releasing, 1).given_back(NOW).role, Role::Released);
        assert_eq!(standing(Role::Holding, 1).given_back(NOW).role, Role::Holding);
        assert_eq!(standing(Role::Releasing, 1).restarted(true, NOW).role, Role::Released);
        for (role, then) in
            [(Role::Holding, Role::Asking), (Role::Released, Role::Released), (by("B"), by("B"))]
        {
            let dropped = standing(role, 4).dropped(NOW);
            assert_eq!((dropped.role, dropped.epoch), (then, 4));
        }
        assert_eq!(standing(by("B"), 4).elsewhere(NOW), Standing { since: NOW, ..standing(Role::Asking, 0) });
        assert_eq!(standing(by("B"), 1).restarted(true, NOW).role, by("B"));
    }

    #[test]
    fn who_held_what_it_takes_away_asks_before_it_goes_on() {
        assert_eq!(standing(Role::Holding, 4).restarted(false, NOW).role, Role::Holding);
        let again = standing(Role::Holding, 4).restarted(true, NOW).restarted(true, NOW);
        assert_eq!((&again.role, again.epoch, again.held), (&Role::Asking, 4, true));
        // The same lease: where it stands itself counts.
        let next = again.heard(&order(LeaseRole::Hold, 4), NOW);
        assert_eq!((next.role, next.carried.len(), next.held), (Role::Holding, 0, false));
        let next = again.heard(&order(LeaseRole::Hold, 6), NOW);
        assert_eq!((next.role, next.carried.len(), next.held), (Role::Holding, 1, false));
        let next = again.heard(&order(LeaseRole::StandBy, 5), NOW);
        assert_eq!((next.role, next.held), (by("B"), false));
        // Nobody answers: it goes on, whatever others do.
        let after = |unheard| again.passed(NOW, Some(unheard), true);
        assert_eq!(after(ASK_LIMIT - Duration::from_secs(1)), again);
        assert_eq!((after(ASK_LIMIT).role, after(ASK_LIMIT).epoch), (Role::Holding, 4));
    }

    #[test]
    fn what_is_stored_is_read() {
        for role in [Role::Asking, Role::Sole, Role::Holding, by("B"), Role::Releasing, Role::Released] {
            let mut before = standing(role, 9);
            before.carried.insert("siem".to_owned(), at(3));
            let text = serde_json::to_string(&before).unwrap();
            assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), before, "{text}");
        }
    }
}
