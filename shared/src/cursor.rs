//! Where a reader stands in a source.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

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

/// Position in a source, one variant per kind of source. Later sources add variants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cursor {
    /// A journal read through DISPLAY_JOURNAL.
    Journal(JournalCursor),
    /// The controller's audit log.
    ControllerAudit(LogCursor),
}

impl Cursor {
    /// The place in a journal, if it is one.
    #[must_use]
    pub fn journal(&self) -> Option<&JournalCursor> {
        match self {
            Self::Journal(cursor) => Some(cursor),
            Self::ControllerAudit(_) => None,
        }
    }

    /// The place in the controller's audit log, if it is one.
    #[must_use]
    pub fn log(&self) -> Option<&LogCursor> {
        match self {
            Self::Journal(_) => None,
            Self::ControllerAudit(cursor) => Some(cursor),
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
