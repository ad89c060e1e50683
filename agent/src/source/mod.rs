//! Sources: what is read from a partition.
//!
//! A source is plain: it has a connection, is told where to read from and returns a batch; it never sees
//! an actor. One generic actor runs any source, keeps the lanes and paces the polls.

pub mod actor;
pub mod audit_journal;
pub mod controller_audit;
pub mod data_queue;
pub mod drain;
pub mod exit_point;
pub mod history_log;
pub mod message_queue;
pub mod record;
pub mod settings;
pub mod sign_on;
pub mod timed;
pub mod turn;

use crate::health::HealthState;
use crate::host::HostError;
use futures_util::future::LocalBoxFuture;
use muster_ibmi::audit::JournalEntry;
use muster_shared::cursor::Cursor;
use record::RecordBatch;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something went wrong while reading.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The partition could not be asked.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The partition answered, and the answer says that this cannot work until somebody acts (journal
    /// missing, no authority). The text says what was tried and what to do.
    #[error("{0}")]
    Setup(String),
    /// The answer makes no sense; the text says which part of which reply.
    #[error("{0}")]
    Reply(String),
    /// Nothing is wrong, but the source has to be made anew; the text says why.
    #[error("{0}")]
    Renew(&'static str),
}

/// What a [`Gap`] is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapUnit {
    /// Sequence numbers, without a hole between them.
    #[default]
    Sequence,
    /// Microseconds since 1970 UTC: how many entries that is nobody knows.
    Time,
}

/// A range of entries that was gone before it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Why: receiver deleted, sequence reset, journal re-created …
    pub reason: String,
    /// Receiver in which the loss begins, `LIBRARY/NAME`; or the log or queue that is read.
    pub receiver: String,
    /// First sequence number lost, or the time since which it is not known.
    pub from: u64,
    /// Last sequence number lost or time, if it can be known.
    pub to: Option<u64>,
    /// What `from` and `to` are.
    pub unit: GapUnit,
}

/// One step of reading.
#[derive(Debug)]
pub enum Read {
    /// Rows to be decoded; `last` is the cursor after them. `full`: more are waiting.
    Entries {
        /// The entries.
        entries: audit_journal::EntryBatch,
        /// Cursor after the last entry.
        last: Cursor,
        /// Whether the partition has more right now.
        full: bool,
    },
    /// Records that become events one by one; `last` is the cursor after them. `full`: more are waiting.
    Records {
        /// The records.
        records: Box<dyn RecordBatch>,
        /// Cursor after the last record.
        last: Cursor,
        /// Whether the source has more right now.
        full: bool,
        /// What is wrong with what was read, for the health of the source.
        trouble: Option<String>,
    },
    /// Entries were lost; reading goes on at `next`. Reported as an event to every destination before
    /// anything later, and repeated until the destination has it, since it is tied to the cursor.
    Gap {
        /// What is missing.
        gap: Gap,
        /// Where reading goes on.
        next: Cursor,
    },
    /// Nothing to report, but the cursor moves (next receiver of the chain).
    Moved(Cursor),
    /// Nothing new.
    Idle,
}

/// What a source tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How it is.
    pub state: HealthState,
    /// Why, and what to do.
    pub reason: String,
}

/// A source of events of one partition.
pub trait Source {
    /// Kind and object, as in [`muster_shared::cursor::CursorKey`]: `audit_journal:QSYS/QAUDJRN`.
    fn key(&self) -> &str;

    /// Where a lane without any cursor begins: by the configured start, or (`lost` cursors) at the oldest.
    fn start(&mut self, lost: bool) -> LocalBoxFuture<'_, Result<Cursor, SourceError>>;

    /// Reads what follows `from`, not beyond `until` if given. When `prefetch` is set the source may
    /// already ask for what comes after the returned entries.
    fn read<'a>(
        &'a mut self,
        from: &'a Cursor,
        until: Option<&'a Cursor>,
        prefetch: bool,
    ) -> LocalBoxFuture<'a, Result<Read, SourceError>>;

    /// It may collect from now on, until it is closed: for a source that works beside being read.
    fn begin(&mut self) {}

    /// Whether something came since this was last asked, so that reading is worth it before the next poll is due.
    fn has_news(&mut self) -> bool {
        false
    }

    /// What is to be said of it at `now_us` (microseconds since 1970 UTC), beside what reading it tells.
    fn standing(&self, now_us: i64) -> Option<Told> {
        let _ = now_us;
        None
    }

    /// Entries that are here and nowhere else any more, and that a destination whose committed cursor is among
    /// `committed` does not have.
    fn undelivered(&self, committed: &[Option<Cursor>]) -> u64 {
        let _ = committed;
        0
    }

    /// Ends what [`Source::begin`] began, and waits until it has ended, at most for `limit`. False if it has not: then
    /// this can be asked again.
    fn close(&mut self, limit: Duration) -> LocalBoxFuture<'_, bool> {
        let _ = limit;
        Box::pin(std::future::ready(true))
    }

    /// Another agent collects, and nothing of what is here is undelivered by these `committed` cursors, which are
    /// stored: lets go of what was only kept to go on here.
    fn settle(&mut self, committed: &[Option<Cursor>]) -> LocalBoxFuture<'_, ()> {
        let _ = committed;
        Box::pin(std::future::ready(()))
    }

    /// The least pause before the partition is asked again while nothing is known to wait there.
    fn rest(&self) -> Duration {
        Duration::ZERO
    }
}

/// Visitor of decoded rows: the pipeline.
pub type EntryVisitor<'v> = dyn FnMut(&JournalEntry<'_>) + 'v;
