//! Pure: whose turn it is to be read for.
//!
//! All lanes of a source that stand at the same place are read for together. A lane that lags (its
//! receiver was down) is read for on its own, in turn with the others, and never past the next lane
//! ahead of it, so that it joins that lane when it has caught up.

use muster_shared::cursor::Cursor;
use std::time::Duration;

/// What is known of one lane when the next step is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneView {
    /// The destination is connected and has room.
    pub ready: bool,
    /// Where it stands; None before the source's start was decided.
    pub position: Option<Cursor>,
    /// Not to be polled before this time (it was idle), on the loop's own clock.
    pub not_before: Duration,
    /// Number of the turn in which it was last served; the smallest goes first.
    pub served: u64,
}

/// The next thing to do.
// There is one at a time; a box would cost an allocation for each look.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Decide where these lanes start.
    Start(Vec<usize>),
    /// Read after `from`, not beyond `until`, for these lanes.
    Read {
        /// Indexes of the lanes.
        members: Vec<usize>,
        /// Their common position.
        from: Cursor,
        /// Position of the next lane ahead, if any.
        until: Option<Cursor>,
    },
    /// Nothing to read before this time, unless a lane changes.
    Wait(Duration),
    /// No lane is ready: wait for one.
    Blocked,
}

/// Chooses the next step at time `now`.
#[must_use]
pub fn next(lanes: &[LaneView], now: Duration) -> Turn {
    let unstarted: Vec<usize> = positions(lanes, |lane| lane.position.is_none());
    if !unstarted.is_empty() {
        return Turn::Start(unstarted);
    }
    let Some(first) = lanes
        .iter()
        .enumerate()
        .filter(|(_, lane)| lane.ready && lane.not_before <= now)
        .min_by_key(|(_, lane)| lane.served)
        .map(|(index, _)| index)
    else {
        return match lanes.iter().filter(|lane| lane.ready).map(|lane| lane.not_before).min() {
            Some(at) => Turn::Wait(at),
            None => Turn::Blocked,
        };
    };
    let Some(from) = lanes[first].position.clone() else {
        return Turn::Start(vec![first]);
    };
    let members = positions(lanes, |lane| lane.ready && lane.position.as_ref() == Some(&from));
    let until = lanes
        .iter()
        .filter_map(|lane| lane.position.as_ref())
        .filter(|position| is_ahead(position, &from))
        .min_by_key(|position| sequence(position))
        .cloned();
    Turn::Read { members, from, until }
}

fn positions(lanes: &[LaneView], test: impl Fn(&LaneView) -> bool) -> Vec<usize> {
    lanes.iter().enumerate().filter(|(_, lane)| test(lane)).map(|(index, _)| index).collect()
}

/// Whether `a` lies after `b` in the same receiver. Across receivers no bound is needed: a read never
/// leaves its receiver, so lanes can join at the start of the next one.
fn is_ahead(a: &Cursor, b: &Cursor) -> bool {
    match (a, b) {
        (Cursor::Journal(a), Cursor::Journal(b)) => a.receiver == b.receiver && a.sequence > b.sequence,
        (Cursor::ControllerAudit(a), Cursor::ControllerAudit(b)) => a.sequence > b.sequence,
        (Cursor::Timed(a), Cursor::Timed(b)) => a.rank() > b.rank(),
        (Cursor::Spool(a), Cursor::Spool(b)) => a.spool == b.spool && a.sequence > b.sequence,
        // The lanes of one source are of one kind.
        (Cursor::Journal(_) | Cursor::ControllerAudit(_) | Cursor::Timed(_) | Cursor::Spool(_), _) => false,
    }
}

/// A number that grows within what can be compared.
fn sequence(cursor: &Cursor) -> u64 {
    match cursor {
        Cursor::Journal(cursor) => cursor.sequence,
        Cursor::ControllerAudit(cursor) => cursor.sequence,
        Cursor::Timed(cursor) => cursor.sequence,
        Cursor::Spool(cursor) => cursor.sequence,
    }
}

/// Pause before the next poll of a lane that got `rows` of at most `asked` entries.
///
/// A full reply means a backlog: go on at once. A reply at least an eighth full means steady traffic: a
/// quarter of the interval keeps the lag and the replay window small. Otherwise the whole interval; IBM
/// warns that sub-second polling of DISPLAY_JOURNAL can disturb the system.
#[must_use]
pub fn pause(rows: usize, asked: usize, full: bool, interval: Duration) -> Duration {
    if full || rows >= asked {
        Duration::ZERO
    } else if rows > 0 && rows * 8 >= asked {
        interval / 4
    } else {
        interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::cursor::{JournalCursor, ReceiverId};

    fn at(sequence: u64) -> Cursor {
        Cursor::Journal(JournalCursor {
            receiver: ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 1 },
            sequence,
        })
    }

    fn lane(ready: bool, position: u64, not_before: u64, served: u64) -> LaneView {
        LaneView { ready, position: Some(at(position)), not_before: Duration::from_secs(not_before), served }
    }

    const NOW: Duration = Duration::from_secs(10);

    #[test]
    fn lanes_at_one_place_are_read_together() {
        let lanes = [lane(true, 5, 0, 1), lane(true, 5, 0, 2)];
        assert_eq!(next(&lanes, NOW), Turn::Read { members: vec![0, 1], from: at(5), until: None });
    }

    #[test]
    fn a_lagging_lane_takes_turns_and_stops_at_the_next_one_ahead() {
        let lanes = [lane(true, 100, 0, 7), lane(true, 5, 0, 3), lane(true, 200, 0, 8)];
        assert_eq!(next(&lanes, NOW), Turn::Read { members: vec![1], from: at(5), until: Some(at(100)) });
        let lanes = [lane(true, 100, 0, 7), lane(true, 50, 0, 9), lane(true, 200, 0, 8)];
        assert_eq!(next(&lanes, NOW), Turn::Read { members: vec![0], from: at(100), until: Some(at(200)) });
    }

    #[test]
    fn a_lane_that_is_not_ready_holds_up_nobody() {
        let lanes = [lane(false, 5, 0, 0), lane(true, 9, 0, 4)];
        assert_eq!(next(&lanes, NOW), Turn::Read { members: vec![1], from: at(9), until: None });
        assert_eq!(next(&[lane(false, 5, 0, 0)], NOW), Turn::Blocked);
    }

    #[test]
    fn idle_lanes_wait_and_new_lanes_start_first() {
        let lanes = [lane(true, 5, 12, 0), lane(true, 5, 11, 0)];
        assert_eq!(next(&lanes, NOW), Turn::Wait(Duration::from_secs(11)));
        let fresh = LaneView { ready: false, position: None, not_before: Duration::ZERO, served: 0 };
        assert_eq!(next(&[lane(true, 5, 0, 0), fresh], NOW), Turn::Start(vec![1]));
    }

    #[test]
    fn the_pause_follows_the_backlog() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(2000, 2000, true, second), Duration::ZERO);
        assert_eq!(pause(1250, 2000, false, second), second / 4);
        assert_eq!(pause(249, 2000, false, second), second);
        assert_eq!(pause(0, 2000, false, second), second);
    }
}
