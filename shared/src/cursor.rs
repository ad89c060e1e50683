//! Where a reader stands in a source.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Identity of one journal receiver. The attach time tells a re-created receiver of the same name (after
/// a restore, or a re-created journal) from the one that was read before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReceiverId {
    /// Library of the receiver.
    pub library: CompactString,
    /// Name of the receiver, e.g. `AUDRCV0001`.
    pub name: CompactString,
    /// ATTACH_TIMESTAMP in microseconds since 1970 of the partition's *local* clock, exactly as the
    /// catalogue shows it: it identifies, it is never used as a time.
    pub attached_us: i64,
}

/// A journal bookmark: the last entry that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JournalCursor {
    /// The receiver of that entry.
    pub receiver: ReceiverId,
    /// Its sequence number; 0 means "before the first entry of the receiver".
    pub sequence: u64,
}

/// A bookmark in a log whose entries are numbered without a hole and chained by hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogCursor {
    /// Number of the last entry that was handed over; 0 means "before the first".
    pub sequence: u64,
    /// Hash of that entry in hex; empty before the first.
    pub hash: CompactString,
}

/// A bookmark among rows that are ordered by time and by nothing else: several may carry the same time, and a row
/// may show up a little late.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimedCursor {
    /// Time of the newest row that was handed over, in microseconds since 1970 of the partition's *local* clock, as
    /// the partition shows it.
    pub at_us: i64,
    /// Rows handed over that a look back from `at_us` may meet again: their time and a hash of their content, in
    /// order. A row that is there twice stands here twice.
    pub seen: Arc<[SeenRow]>,
}

/// A row of a [`TimedCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeenRow {
    /// Its time, as [`TimedCursor::at_us`].
    pub at_us: i64,
    /// Hash of what tells it from others.
    pub hash: u64,
}

/// A bookmark in the agent's own spool of what it took out of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpoolCursor {
    /// Made with the spool: tells it from another one that was begun anew and numbers its entries alike.
    pub spool: CompactString,
    /// Number of the last entry that was handed over; 0 means "before the first".
    pub sequence: u64,
}

/// Position in a source, one variant per way of telling it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cursor {
    /// A journal read through DISPLAY_JOURNAL.
    Journal(JournalCursor),
    /// The controller's audit log.
    ControllerAudit(LogCursor),
    /// The history log or a message queue.
    Timed(TimedCursor),
    /// What was taken out of a data queue.
    Spool(SpoolCursor),
}

impl Cursor {
    /// The place in a journal, if it is one.
    #[must_use]
    pub fn journal(&self) -> Option<&JournalCursor> {
        match self {
            Self::Journal(cursor) => Some(cursor),
            Self::ControllerAudit(_) | Self::Timed(_) | Self::Spool(_) => None,
        }
    }

    /// The place in the controller's audit log, if it is one.
    #[must_use]
    pub fn log(&self) -> Option<&LogCursor> {
        match self {
            Self::Journal(_) | Self::Timed(_) | Self::Spool(_) => None,
            Self::ControllerAudit(cursor) => Some(cursor),
        }
    }

    /// The place among rows ordered by time, if it is one.
    #[must_use]
    pub fn timed(&self) -> Option<&TimedCursor> {
        match self {
            Self::Journal(_) | Self::ControllerAudit(_) | Self::Spool(_) => None,
            Self::Timed(cursor) => Some(cursor),
        }
    }

    /// The place in a spool, if it is one.
    #[must_use]
    pub fn spool(&self) -> Option<&SpoolCursor> {
        match self {
            Self::Journal(_) | Self::ControllerAudit(_) | Self::Timed(_) => None,
            Self::Spool(cursor) => Some(cursor),
        }
    }
}

/// Key under which a cursor is kept: which object of which kind is read, and for which destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CursorKey {
    /// Kind and object, e.g. `audit_journal:QSYS/QAUDJRN`.
    pub source: CompactString,
    /// Name of the destination in the policy.
    pub destination: CompactString,
}
