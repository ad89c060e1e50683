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

/// Most rows that a [`Seen`] names one by one: 12 KB as text, which a lease still carries.
pub const MOST_SEEN: usize = 1_000;

/// A bookmark among rows that are ordered by time and by nothing else: several may carry the same time, and a row
/// may show up a little late. All times but one are microseconds since 1970 of the partition's *local* clock, as the
/// partition shows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimedCursor {
    /// Of the rows before this time nothing more is expected.
    pub from_us: i64,
    /// Up to where rows were looked at; none: to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through_us: Option<i64>,
    /// The clock was set back: rows from `from_us` to before this time, and not `through_us` yet, may have been handed
    /// over before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt_us: Option<i64>,
    /// Time of the newest row that was handed over, or of the place where reading began.
    pub at_us: i64,
    /// When it was looked last.
    pub looked_us: i64,
    /// The same moment by the agent's clock, microseconds since 1970 UTC: tells when the partition's clock was set.
    pub clock_us: i64,
    /// Grows with every row that is handed over.
    pub sequence: u64,
    /// Rows from `from_us` on that were handed over, or were there before reading began.
    #[serde(default, skip_serializing_if = "Seen::is_empty")]
    pub seen: Seen,
}

impl TimedCursor {
    /// A place before the first row of the local time `from_us`, looked at at `looked_us`, which is `clock_us` UTC.
    #[must_use]
    pub fn starting(from_us: i64, looked_us: i64, clock_us: i64) -> Self {
        Self {
            from_us,
            through_us: None,
            doubt_us: None,
            at_us: from_us,
            looked_us,
            clock_us,
            sequence: 0,
            seen: Seen::default(),
        }
    }

    /// What orders two places of one source: the later one is ahead.
    #[must_use]
    pub fn rank(&self) -> (u64, i64) {
        (self.sequence, self.clock_us)
    }
}

/// Rows of a [`TimedCursor`] that a look back from it may meet again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Hashes of 48 bits, sorted. A row that is there twice stands here twice.
    #[serde(default, with = "digits")]
    pub rows: Arc<[u64]>,
    /// Where too many rows carry one time to be named one by one: how many of the time `from_us`, the first ones.
    #[serde(default)]
    pub first: u32,
    /// The sum of their hashes.
    #[serde(default)]
    pub digest: u64,
}

impl Seen {
    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.first == 0
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() + self.first as usize
    }
}

/// Hashes as one text of hexadecimal digits, twelve each: a third of what a list of numbers takes.
mod digits {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use std::fmt::Write;
    use std::sync::Arc;

    const WIDTH: usize = 12;

    pub(super) fn serialize<S: Serializer>(rows: &Arc<[u64]>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(rows.len() * WIDTH);
        for row in rows.iter() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{row:0WIDTH$x}");
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u64]>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.len().is_multiple_of(WIDTH) {
            return Err(D::Error::custom("rows are not twelve digits each"));
        }
        let hash = |digits: &[u8]| {
            let digits =
                std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
            u64::from_str_radix(digits, 16).ok()
        };
        let rows: Option<Vec<u64>> = text.as_bytes().chunks(WIDTH).map(hash).collect();
        rows.map(Into::into)
            .ok_or_else(|| D::Error::custom("rows hold something that is no hexadecimal digit"))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_among_rows_comes_back_from_its_text_and_is_short() {
        let mut cursor = TimedCursor::starting(-5, 7, 9);
        for (rows, through_us) in [(vec![], None), (vec![0, 1, 0xFFFF_FFFF_FFFF], Some(3))] {
            cursor.seen = Seen { rows: rows.into(), first: 2, digest: u64::MAX };
            cursor.through_us = through_us;
            let text = serde_json::to_string(&Cursor::Timed(cursor.clone())).unwrap();
            assert_eq!(
                serde_json::from_str::<Cursor>(&text).unwrap(),
                Cursor::Timed(cursor.clone()),
                "{text}"
            );
        }
        cursor.seen =
            Seen { rows: vec![0xFFFF_FFFF_FFFF; MOST_SEEN].into(), first: u32::MAX, digest: u64::MAX };
        let longest = serde_json::to_string(&Cursor::Timed(cursor.clone())).unwrap().len();
        assert!(longest < 13 * 1024, "{longest}");
        for bad in ["00", "00000000000g", "+00000000000", "é00000000000"] {
            let text = format!(r#"{{"rows":"{bad}"}}"#);
            assert!(serde_json::from_str::<Seen>(&text).is_err(), "{bad}");
        }
    }
}
