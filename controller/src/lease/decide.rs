//! Pure: who collects a source of a partition that has more than one agent for it.
//!
//! Times are on the controller's clock, from its start: a wall clock that somebody sets moves no lease.

use jiff::Timestamp;
use muster_proto::session::lease::TTL;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// Prefix of the keys of leases.
pub const PREFIX: &str = "lease/";

/// After a start of the controller, or when it stood still, no lease lapses for this long, so that its own absence is
/// held against nobody.
pub const START_GRACE: Duration = TTL.saturating_add(Duration::from_secs(15));

/// A holder that does not give back its lease within this time keeps it. A replay window is 30 s.
pub const MOVE_LIMIT: Duration = Duration::from_secs(60);

/// A lease as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The partition.
    pub partition: PartitionKey,
    /// Kind and object, such as `audit_journal:QSYS/QAUDJRN`.
    pub source: String,
    /// Grows with every change of the holder.
    pub epoch: u64,
    /// Who collects.
    pub holder: AgentId,
    /// Since when.
    pub since: Timestamp,
    /// What is under way.
    pub phase: Phase,
    /// Where the holder stood when that was last stored, by destination; as the agents say it.
    pub cursors: BTreeMap<String, Value>,
    /// Somebody collected before this holder, and where that one stood was never known here.
    #[serde(default)]
    pub lost: bool,
}

impl LeaseRecord {
    /// Key in the store.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{PREFIX}{}/{}", self.partition, self.source)
    }
}

/// What is under way with a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// Nothing.
    Held,
    /// The holder was asked to give it back.
    Moving {
        /// For whom.
        to: AgentId,
        /// Who wanted it.
        by: String,
    },
}

/// An agent of the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub id: AgentId,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// It is connected and was heard.
    pub there: bool,
    /// The source stands in the policy that it should run.
    pub wants: bool,
    /// What it last said of the source, over this connection or an earlier one.
    pub said: Option<Said>,
}

/// What an agent says of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// Epoch of the lease that it knows.
    pub epoch: u64,
    /// It collects.
    pub collecting: bool,
    /// It gave the lease of this epoch back.
    pub released: bool,
}

/// What is seen of a lease.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Now.
    pub now: Duration,
    /// When the holder last renewed, or the lease changed, whichever was later.
    pub renewed: Duration,
    /// When the phase began.
    pub phase_since: Duration,
    /// Nothing lapses before.
    pub grace: Duration,
    /// Agents of the partition.
    pub members: &'a [Member],
}

/// Why a lease changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is a second agent now.
    Created,
    /// An agent knows a later lease than the controller: this controller was restored from a backup.
    Adopted,
    /// The holder did not renew.
    Lapsed {
        /// Who that was.
        from: AgentId,
    },
    /// The holder is no agent of the partition any more, or its policy has not got the source.
    Left {
        /// Who that was.
        from: AgentId,
    },
    /// The holder gave it back.
    Moved {
        /// Who that was.
        from: AgentId,
    },
    /// A move came to nothing, and why.
    GivenUp(&'static str),
}

fn lapsed(seen: &Seen<'_>) -> bool {
    seen.now >= seen.grace && seen.now.saturating_sub(seen.renewed) > TTL
}

/// The best of these for taking over: who is there, then who was enrolled first.
fn best<'a>(members: impl Iterator<Item = &'a Member>) -> Option<&'a Member> {
    members.min_by_key(|member| (!member.there, member.enrolled_at, member.id))
}

/// The lease as it has to be from now on, and why; nothing if it stays as it is.
#[must_use]
pub fn decide(
    key: (&PartitionKey, &str),
    lease: Option<&LeaseRecord>,
    seen: &Seen<'_>,
    at: Timestamp,
) -> Option<(LeaseRecord, Why)> {
    let said = |member: &Member| member.said.unwrap_or_default();
    let known = seen.members.iter().map(|member| said(member).epoch).max().unwrap_or(0);
    let wanting = || seen.members.iter().filter(|member| member.wants);
    let Some(lease) = lease else {
        if wanting().count() < 2 {
            return None;
        }
        // Who collects goes on: under the latest lease, if two do.
        let collecting = wanting().filter(|m| said(m).collecting);
        let first = collecting.max_by_key(|m| (said(m).epoch, Reverse((m.enrolled_at, m.id))));
        let oldest = wanting().min_by_key(|m| (m.enrolled_at, m.id));
        let record = LeaseRecord {
            partition: key.0.clone(),
            source: key.1.to_owned(),
            epoch: known.saturating_add(1),
            holder: first.or(oldest)?.id,
            since: at,
            phase: Phase::Held,
            cursors: BTreeMap::new(),
            lost: false,
        };
        return Some((record, Why::Created));
    };
    let held = |holder: AgentId, epoch: u64| LeaseRecord {
        epoch,
        holder,
        since: at,
        phase: Phase::Held,
        ..lease.clone()
    };
    // Nobody handed it over: without a cursor it is not known how far the one before came.
    let inherited = |heir: AgentId| {
        let record = held(heir, lease.epoch.saturating_add(1));
        LeaseRecord { lost: record.lost || record.cursors.is_empty(), ..record }
    };
    if known > lease.epoch {
        let latest = wanting().filter(|m| said(m).collecting && said(m).epoch == known);
        let holder = match best(latest) {
            Some(member) => member.id,
            // Who collects may only not have come back yet.
            None if seen.now < seen.grace => return None,
            None => lease.holder,
        };
        return Some((held(holder, known.saturating_add(1)), Why::Adopted));
    }
    let others = || wanting().filter(|m| m.id != lease.holder);
    let from = lease.holder;
    if !wanting().any(|m| m.id == lease.holder) {
        return Some((inherited(best(others())?.id), Why::Left { from }));
    }
    let heir = |first: Option<AgentId>| {
        let there = || others().filter(|m| m.there);
        there().find(|m| Some(m.id) == first).or_else(|| best(there()))
    };
    match &lease.phase {
        Phase::Held => {
            let heir = heir(None).filter(|_| lapsed(seen))?;
            Some((inherited(heir.id), Why::Lapsed { from }))
        }
        Phase::Moving { to, .. } => {
            let released = seen
                .members
                .iter()
                .any(|m| m.id == lease.holder && said(m).released && said(m).epoch == lease.epoch);
            let stay = |why| {
                let record = LeaseRecord { phase: Phase::Held, ..lease.clone() };
                Some((record, Why::GivenUp(why)))
            };
            let target = others().find(|m| m.id == *to);
            match target {
                Some(target) if released => {
                    Some((held(target.id, lease.epoch.saturating_add(1)), Why::Moved { from }))
                }
                _ if lapsed(seen) && heir(Some(*to)).is_some() => {
                    let heir = heir(Some(*to))?;
                    Some((inherited(heir.id), Why::Lapsed { from }))
                }
                None => stay("the agent that was to take it over is none of the partition's any more"),
                Some(_) if seen.now.saturating_sub(seen.phase_since) > MOVE_LIMIT => {
                    stay("the holder did not give it back in time")
                }
                Some(_) => None,
            }
        }
    }
}

/// The lease with the move that somebody wants.
///
/// # Errors
/// Why it cannot be moved there.
pub fn order_move(lease: &LeaseRecord, to: &Member, by: &str) -> Result<LeaseRecord, &'static str> {
    if to.id == lease.holder {
        return Err("it has this lease already");
    }
    if !to.wants {
        return Err("its policy has not got this source: give it the labels that select the policy");
    }
    if !to.there {
        return Err("it is not connected");
    }
    if let Phase::Moving { .. } = lease.phase {
        return Err("the lease is being moved already: wait for that to end");
    }
    let phase = Phase::Moving { to: to.id, by: by.to_owned() };
    Ok(LeaseRecord { phase, ..lease.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn id(n: u128) -> AgentId {
        AgentId(uuid::Uuid::from_u128(n))
    }

    fn key() -> PartitionKey {
        "78A1B2C-3".parse().unwrap()
    }

    /// Agent `n`, enrolled in that order, there and with the source in its policy.
    fn member(n: u128, said: Option<(u64, char)>) -> Member {
        let said = said.map(|(epoch, what)| Said { epoch, collecting: what == 'c', released: what == 'r' });
        let enrolled_at = Timestamp::from_second(i64::try_from(n).unwrap()).unwrap();
        Member { id: id(n), enrolled_at, there: true, wants: true, said }
    }

    fn away(member: Member) -> Member {
        Member { there: false, ..member }
    }

    fn without(member: Member) -> Member {
        Member { wants: false, ..member }
    }

    fn lease(epoch: u64, holder: u128, to: Option<u128>) -> LeaseRecord {
        let phase = to.map_or(Phase::Held, |to| Phase::Moving { to: id(to), by: "anna".to_owned() });
        LeaseRecord {
            partition: key(),
            source: "s".to_owned(),
            epoch,
            holder: id(holder),
            since: AT,
            phase,
            cursors: BTreeMap::from([("siem".to_owned(), Value::from(7))]),
            lost: false,
        }
    }

    /// Epoch, holder and reason of what was decided.
    type Shown = Option<(u64, u128, &'static str)>;

    fn shown(decided: Option<(LeaseRecord, Why)>) -> Shown {
        decided.map(|(record, why)| {
            let word = match why {
                Why::Created => "created",
                Why::Adopted => "adopted",
                Why::Lapsed { .. } => "lapsed",
                Why::Left { .. } => "left",
                Why::Moved { .. } => "moved",
                Why::GivenUp(_) => "given up",
            };
            assert_eq!(record.phase, Phase::Held);
            (record.epoch, record.holder.0.as_u128(), word)
        })
    }

    #[test]
    fn a_second_agent_makes_a_lease() {
        let (a, b) = (|said| member(1, said), |said| member(2, said));
        let cases: Vec<(&str, Vec<Member>, Shown)> = vec![
            ("one agent", vec![a(Some((0, 'c')))], None),
            ("the other has not got the source", vec![a(Some((0, 'c'))), without(b(None))], None),
            ("who collects goes on", vec![a(None), b(Some((0, 'c')))], Some((1, 2, "created"))),
            ("two do: the first", vec![b(Some((0, 'c'))), a(Some((0, 'c')))], Some((1, 1, "created"))),
            ("two do: the later lease", vec![a(Some((3, 'c'))), b(Some((4, 'c')))], Some((5, 2, "created"))),
            ("nobody does: the first", vec![b(Some((0, '-'))), away(a(None))], Some((1, 1, "created"))),
        ];
        for (name, members, expected) in cases {
            let now = Duration::ZERO;
            let seen = Seen { now, renewed: now, phase_since: now, grace: START_GRACE, members: &members };
            assert_eq!(shown(decide((&key(), "s"), None, &seen, AT)), expected, "{name}");
        }
    }

    #[test]
    fn a_lease_goes_to_whoever_is_there_when_its_holder_is_not() {
        let a = || member(1, Some((5, 'c')));
        let b = || member(2, Some((5, '-')));
        let c = || member(3, Some((5, '-')));
        let second = Duration::from_secs(1);
        let late = TTL + second;
        /// Name, agents, silence of the holder, whom a move is for, what is decided.
        type Case = (&'static str, Vec<Member>, Duration, Option<u128>, Shown);
        let cases: Vec<Case> = vec![
            ("renewed", vec![a(), b()], TTL, None, None),
            ("not renewed", vec![away(a()), b(), c()], late, None, Some((6, 2, "lapsed"))),
            ("connected and silent", vec![a(), b()], late, None, Some((6, 2, "lapsed"))),
            ("the next is away, too", vec![away(a()), away(b()), c()], late, None, Some((6, 3, "lapsed"))),
            ("nobody is there", vec![away(a()), away(b())], late, None, None),
            ("nobody else has the source", vec![away(a()), without(b())], late, None, None),
            ("the holder was removed", vec![b()], second, None, Some((6, 2, "left"))),
            ("its policy changed", vec![without(a()), away(b())], second, None, Some((6, 2, "left"))),
            ("all were removed", vec![], second, None, None),
            ("a move waits", vec![a(), b()], second, Some(2), None),
            ("given back", vec![member(1, Some((5, 'r'))), b()], second, Some(2), Some((6, 2, "moved"))),
            ("an older one was given back", vec![member(1, Some((4, 'r'))), b()], second, Some(2), None),
            ("the holder dies meanwhile", vec![away(a()), b(), c()], late, Some(3), Some((6, 3, "lapsed"))),
            ("both do", vec![away(a()), b(), away(c())], late, Some(3), Some((6, 2, "lapsed"))),
            ("the target was removed", vec![a(), c()], second, Some(2), Some((5, 1, "given up"))),
            (
                "a later lease is known",
                vec![a(), member(2, Some((9, 'c')))],
                second,
                None,
                Some((10, 2, "adopted")),
            ),
            (
                "and its holder is gone",
                vec![a(), member(2, Some((9, '-')))],
                second,
                None,
                Some((10, 1, "adopted")),
            ),
        ];
        for (name, members, silent, to, expected) in cases {
            let now = Duration::from_secs(1_000);
            let seen = Seen {
                now,
                renewed: now - silent,
                phase_since: now - second,
                grace: START_GRACE,
                members: &members,
            };
            let decided = decide((&key(), "s"), Some(&lease(5, 1, to)), &seen, AT);
            if let Some((record, _)) = &decided {
                assert_eq!(record.cursors, lease(5, 1, to).cursors, "{name}");
            }
            assert_eq!(shown(decided), expected, "{name}");
        }
    }

    #[test]
    fn a_holder_that_never_said_where_it_stood_leaves_that_open() {
        let now = Duration::from_secs(1_000);
        let lost = |to: Option<u128>, members: &[Member]| {
            let seen = Seen { now, renewed: Duration::ZERO, phase_since: now, grace: START_GRACE, members };
            let silent = LeaseRecord { cursors: BTreeMap::new(), ..lease(5, 1, to) };
            decide((&key(), "s"), Some(&silent), &seen, AT).map(|(record, _)| record.lost)
        };
        assert_eq!(lost(None, &[away(member(1, None)), member(2, None)]), Some(true));
        assert_eq!(lost(None, &[member(2, None)]), Some(true));
        assert_eq!(
            lost(Some(2), &[member(1, Some((5, 'r'))), member(2, None)]),
            Some(false),
            "it never began"
        );
    }

    #[test]
    fn a_restored_controller_waits_for_whoever_collects() {
        let ahead = |said| member(2, Some((9, said)));
        let at = |now: Duration, members: &[Member]| {
            let seen = Seen {
                now,
                renewed: Duration::ZERO,
                phase_since: Duration::ZERO,
                grace: START_GRACE,
                members,
            };
            shown(decide((&key(), "s"), Some(&lease(5, 1, None)), &seen, AT))
        };
        let soon = Duration::from_secs(1);
        assert_eq!(at(soon, &[member(1, Some((5, '-'))), ahead('-')]), None);
        assert_eq!(at(soon, &[member(1, Some((5, '-'))), ahead('c')]), Some((10, 2, "adopted")));
        assert_eq!(at(START_GRACE, &[member(1, Some((5, '-'))), ahead('-')]), Some((10, 1, "adopted")));
    }

    #[test]
    fn nothing_lapses_after_a_start_and_a_move_does_not_wait_for_ever() {
        let members = [away(member(1, None)), member(2, None)];
        let at = |now: Duration| {
            let seen = Seen {
                now,
                renewed: Duration::ZERO,
                phase_since: Duration::ZERO,
                grace: START_GRACE,
                members: &members,
            };
            shown(decide((&key(), "s"), Some(&lease(5, 1, None)), &seen, AT))
        };
        assert_eq!(at(START_GRACE - Duration::from_secs(1)), None);
        assert_eq!(at(START_GRACE), Some((6, 2, "lapsed")));

        let members = [member(1, Some((5, 'c'))), member(2, None)];
        let after = |waited: Duration| {
            let now = Duration::from_secs(1_000);
            let seen =
                Seen { now, renewed: now, phase_since: now - waited, grace: START_GRACE, members: &members };
            shown(decide((&key(), "s"), Some(&lease(5, 1, Some(2))), &seen, AT))
        };
        assert_eq!(after(MOVE_LIMIT), None);
        assert_eq!(after(MOVE_LIMIT + Duration::from_secs(1)), Some((5, 1, "given up")));
    }

    #[test]
    fn a_move_needs_an_agent_that_can_collect() {
        let held = lease(5, 1, None);
        let moved = order_move(&held, &member(2, None), "anna").unwrap();
        assert_eq!((moved.epoch, moved.holder), (5, id(1)));
        assert_eq!(moved.phase, Phase::Moving { to: id(2), by: "anna".to_owned() });
        for (name, lease, to) in [
            ("has it", held.clone(), member(1, None)),
            ("away", held.clone(), away(member(2, None))),
            ("no such source", held, without(member(2, None))),
            ("being moved", moved, member(3, None)),
        ] {
            assert!(order_move(&lease, &to, "anna").is_err(), "{name}");
        }
    }
}
