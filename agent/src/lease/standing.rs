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
//! standing by.

use muster_proto::session::lease::{LeaseRole, SourceOrder};
use muster_shared::cursor::Cursor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// An agent that was never told begins without its controller after this long.
pub const ASK_LIMIT: Duration = Duration::from_secs(30);

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
    /// Since when, on the clock of the process.
    #[serde(skip)]
    pub since: Duration,
}

impl Standing {
    /// A source that the agent meets for the first time. One that it has collected before it goes on with.
    #[must_use]
    pub fn first(collected_before: bool, now: Duration) -> Self {
        let role = if collected_before { Role::Sole } else { Role::Asking };
        Self { role, epoch: 0, carried: BTreeMap::new(), lost: false, since: now }
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
                Self { role, epoch: order.epoch, carried: BTreeMap::new(), lost: false, since: now }
            }
            LeaseRole::Release => match self.role {
                Role::Holding | Role::Sole => {
                    Self { role: Role::Releasing, epoch: order.epoch, since: now, ..self.clone() }
                }
                Role::Asking | Role::StandingBy { .. } => {
                    Self { role: Role::Released, epoch: order.epoch, since: now, ..self.clone() }
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
            Role::Asking | Role::StandingBy { .. } => false,
        };
        if own {
            let since = if self.role == role { self.since } else { now };
            return Self { role, epoch, since, ..self.clone() };
        }
        let carried = order.cursors.iter().filter_map(|(destination, json)| {
            let cursor = serde_json::from_slice::<Cursor>(json).ok()?;
            Some((destination.clone(), cursor))
        });
        // A cursor that cannot be read is as good as none: there is one, but nobody knows where.
        let carried: BTreeMap<_, _> = carried.collect();
        let lost = order.lost || carried.len() < order.cursors.len();
        Self { role, epoch, carried, lost, since: now }
    }

    /// After time has passed. `others_stand_by`: another agent collects something of this partition.
    #[must_use]
    pub fn passed(&self, now: Duration, others_stand_by: bool) -> Self {
        let waited = now.saturating_sub(self.since);
        match self.role {
            Role::Asking if waited >= ASK_LIMIT && !others_stand_by => {
                Self { role: Role::Sole, since: now, ..self.clone() }
            }
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
            Role::Asking => Self { role: Role::Sole, since: now, ..self.clone() },
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

    /// After a start of the agent: what it did last it does again. What was being handed over the controller
    /// decides.
    #[must_use]
    pub fn restarted(self, now: Duration) -> Self {
        let role = match self.role {
            Role::Releasing => Role::Released,
            role @ (Role::Asking | Role::Sole | Role::Holding | Role::StandingBy { .. } | Role::Released) => {
                role
            }
        };
        Self { role, since: now, ..self }
    }
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
        Standing { role, epoch, carried: BTreeMap::new(), lost: false, since: Duration::ZERO }
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
            ((Role::Asking, 0), (Release, 3), (Role::Released, 3), false),
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
        let cases = [
            (Role::Asking, ASK_LIMIT, false, Role::Sole),
            (Role::Asking, ASK_LIMIT, true, Role::Asking),
            (Role::Asking, ASK_LIMIT - Duration::from_secs(1), false, Role::Asking),
            (Role::Released, RELEASED_LIMIT, false, Role::Holding),
            (Role::Released, RELEASED_LIMIT - Duration::from_secs(1), false, Role::Released),
            (by("B"), Duration::from_secs(1_000_000), false, by("B")),
            (Role::Releasing, Duration::from_secs(1_000_000), false, Role::Releasing),
            (Role::Holding, Duration::from_secs(1_000_000), true, Role::Holding),
        ];
        for (role, waited, others, then) in cases {
            let text = format!("{role:?} {waited:?} {others}");
            assert_eq!(standing(role, 1).passed(waited, others).role, then, "{text}");
        }
        for (role, then) in [(Role::Asking, Role::Sole), (by("B"), by("B")), (Role::Released, Role::Released)]
        {
            assert_eq!(standing(role, 1).without_leases(NOW).role, then);
        }
        assert_eq!(standing(Role::Releasing, 1).given_back(NOW).role, Role::Released);
        assert_eq!(standing(Role::Holding, 1).given_back(NOW).role, Role::Holding);
        assert_eq!(standing(Role::Releasing, 1).restarted(NOW).role, Role::Released);
        assert_eq!(standing(by("B"), 1).restarted(NOW).role, by("B"));
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
