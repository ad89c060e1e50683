//! What the history log and message queues have in common: rows that are ordered by time and by nothing else.
//!
//! Several rows may carry one time, a row may show up some seconds after its time, rows may be gone when they are asked
//! for, and the clock that gives the times is set back once a year or when somebody corrects it. So a reader asks again
//! for the last seconds, knows the rows that it has handed over by their hashes, and says what it cannot know.
//! [`window`] decides, on values alone; [`poller`] asks.
//!
//! Promised: a row that a look can show is handed over, and once. It is handed over twice only when the clock was set
//! back while the agent did not run, or further back than [`recent`] remembers rows; its event then has the id that it
//! had before. It is lost only where the partition removed it before a look (a gap tells, as far as it can be known),
//! or showed it later than [`clock::LATE_US`] after its time.

pub mod clock;
pub mod local;
pub mod poller;
pub mod recent;
pub mod records;
pub mod row;
pub mod window;

use super::{Read, SourceError};
use muster_shared::cursor::{Cursor, TimedCursor};
use window::Taken;

/// The place that a cursor stands for.
pub(super) fn place<'c>(cursor: &'c Cursor, what: &str) -> Result<&'c TimedCursor, SourceError> {
    cursor.timed().ok_or_else(|| {
        SourceError::Reply(format!(
            "the stored place is not one in {what}; remove the state folder's cursors"
        ))
    })
}

/// What a look without a new row means.
pub(super) fn nothing_new(taken: Taken, from: &TimedCursor) -> Read {
    if taken.moved_from(from) { Read::Moved(Cursor::Timed(taken.last)) } else { Read::Idle }
}
