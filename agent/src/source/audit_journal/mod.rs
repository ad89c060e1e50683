//! The security audit journal, read through QSYS2.DISPLAY_JOURNAL.
//!
//! One receiver is read per call, from the last entry read on, which is then dropped again: so the starting
//! entry is sure to exist. While the attached receiver is read and nothing is new, a poll is this one
//! statement. The journal itself says where a receiver ends (entry J/NR); the catalogue of receivers is
//! asked at the start, at the end of a receiver, after an error, and now and then. [`chain`] decides on it.
//!
//! Promised: every entry of codes T, U and J is handed over, in order, or a [`Gap`](super::Gap) says which are
//! missing. Entry data travels without its trailing blanks, as the partition itself cut them.

mod advice;
pub mod chain;
pub mod config;
mod decode;
mod fetch;
pub mod query;
mod receivers;
mod start;
#[cfg(test)]
mod tests;

use config::FEWEST_ROWS;
pub use config::{Settings, SettingsError};
pub use decode::{EntryBatch, VisitStats};

use super::{Read, Source, SourceError};
use crate::host::{Host, HostError, Rows, StatementId};
use chain::{After, Catalogue, Empty, Step};
use fetch::rows_at;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use muster_shared::cursor::{Cursor, JournalCursor};
use muster_shared::policy::model::AuditJournalSpec;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// Longest wait for entries. Seeking in a receiver of many million entries takes the partition some time.
const READ_WAIT: Duration = Duration::from_secs(45);

/// Longest wait for the catalogue.
const CATALOGUE_WAIT: Duration = Duration::from_secs(30);

/// While idle the catalogue is asked this often, in case the end of a receiver was not seen.
const CATALOGUE_EVERY: Duration = Duration::from_secs(15);

/// Rows of the first call on a connection; more once replies are seen to stay small.
const FIRST_ROWS: u32 = 500;

/// Replies are kept below this size.
const REPLY_TARGET: usize = 8 * 1024 * 1024;

/// Most slices of one entry: 1 MiB. Audit entries reach some 20 KB; entries that users write could be
/// larger, and what lies beyond is told by the entry's length.
const MOST_SLICES: usize = 64;

/// Steps within one read: move on, look again, read.
const MOST_STEPS: usize = 6;

/// The source. See the module.
pub struct AuditJournal {
    key: String,
    settings: Settings,
    host: Box<dyn Host>,
    utc_offset_seconds: i32,
    /// What the partition's catalogue showed; None: ask again before the next read.
    catalogue: Option<Catalogue>,
    asked_at: Instant,
    /// Rows asked for: `batch_rows` halved this often.
    halvings: u32,
    /// Entries came out of order once: sort them from now on.
    ordered: bool,
    statements: Vec<(u32, bool, StatementId)>,
    slices: Vec<(usize, StatementId)>,
    prefetched: Option<Prefetched>,
    /// The last entry handed over and its time as the partition wrote it; it is met again at the beginning
    /// of the next reply, and must be the same then.
    seen: Option<(JournalCursor, String)>,
}

/// What [`AuditJournal::entries`] found in a reply.
// There is one at a time; a box would cost an allocation for each reply.
#[allow(clippy::large_enum_variant)]
enum Found {
    /// Something new.
    New(Read),
    /// Nothing new; `cut`: there are rows, all beyond the limit.
    Nothing { cut: bool },
    /// Rows out of order, for the first time.
    Disorder,
}

/// A call that was begun ahead of time.
struct Prefetched {
    from: JournalCursor,
    rows: u32,
}

impl AuditJournal {
    /// A source on a connection of its own. `utc_offset_seconds` is that of
    /// [`Partition`](muster_shared::partition::Partition); it is asked for again with the catalogue.
    ///
    /// # Errors
    /// [`SourceError::Setup`] for settings that cannot work.
    pub fn new(
        spec: &AuditJournalSpec,
        host: Box<dyn Host>,
        utc_offset_seconds: i32,
    ) -> Result<Self, SourceError> {
        let settings = Settings::new(spec).map_err(|error| SourceError::Setup(error.to_string()))?;
        let mut halvings = 0;
        while rows_at(settings.batch_rows, halvings) > FIRST_ROWS {
            halvings += 1;
        }
        Ok(Self {
            key: format!("audit_journal:{}/{}", settings.library, settings.journal),
            settings,
            host,
            utc_offset_seconds,
            catalogue: None,
            asked_at: Instant::now(),
            halvings,
            ordered: false,
            statements: Vec::new(),
            slices: Vec::new(),
            prefetched: None,
            seen: None,
        })
    }

    fn explain(&self, error: HostError) -> SourceError {
        advice::explain(error, &self.settings, self.host.user())
    }

    async fn read_inner(
        &mut self,
        from: &JournalCursor,
        until: Option<&JournalCursor>,
        prefetch: bool,
    ) -> Result<Read, SourceError> {
        let limit = until.filter(|until| until.receiver == from.receiver).map(|until| until.sequence);
        if limit.is_some_and(|limit| limit <= from.sequence) {
            return Ok(Read::Idle);
        }
        let mut exhausted = false;
        let mut failed_before = false;
        for _ in 0..MOST_STEPS {
            let fresh = self.catalogue.is_none();
            match chain::next(from, exhausted, self.catalogue().await?) {
                Step::Missing => return Err(self.setup(advice::journal_missing)),
                Step::NoReceivers => return Err(self.setup(advice::no_receivers)),
                step @ (Step::Detached | Step::Unseen { .. }) => {
                    self.catalogue = None;
                    return Err(advice::nothing_follows(&step, &self.settings, self.host.user()));
                }
                Step::Move(next) => {
                    info!(source = self.key, receiver = %next.receiver.name, "next receiver");
                    return Ok(Read::Moved(Cursor::Journal(next)));
                }
                Step::Gap { .. } if !fresh && !exhausted => {
                    // A gap is told only on what the partition shows now.
                    self.catalogue = None;
                }
                Step::Gap { gap, next } => return Ok(Read::Gap { gap, next: Cursor::Journal(next) }),
                Step::Read { receiver, start, attached } => {
                    let (rows, asked) = match self.fetch(from, &receiver, start).await {
                        Ok(fetched) => fetched,
                        Err(error) if error.sql().is_some() && !(fresh || failed_before) => {
                            // The receiver may have been deleted meanwhile: look, then try once more.
                            debug!(source = self.key, error = %error, "reading failed, asking the catalogue");
                            failed_before = true;
                            self.catalogue = None;
                            continue;
                        }
                        Err(error) => {
                            self.catalogue = None;
                            return Err(self.explain(error));
                        }
                    };
                    if self.is_replaced(from, &rows) {
                        warn!(source = self.key, receiver = %receiver.name, "last entry read is another one now");
                        self.catalogue = None;
                        continue;
                    }
                    self.adapt(asked, &rows);
                    let full = rows.len() as u32 >= asked;
                    let cut = match self.entries(from, limit, rows, full, prefetch).await? {
                        Found::New(read) => return Ok(read),
                        // Once more, sorted.
                        Found::Disorder => continue,
                        Found::Nothing { cut } => cut,
                    };
                    match chain::after(&self.empty(from, limit, full, cut, attached, fresh)) {
                        After::Pass(sequence) => {
                            let receiver = from.receiver.clone();
                            return Ok(Read::Moved(Cursor::Journal(JournalCursor { receiver, sequence })));
                        }
                        After::Idle => return Ok(Read::Idle),
                        After::Look => self.catalogue = None,
                        After::Exhausted => exhausted = true,
                        After::Nonsense => return Err(advice::not_from(from, asked)),
                    }
                }
            }
        }
        Ok(Read::Idle)
    }

    /// What is known of a reply without anything new.
    fn empty(
        &self,
        from: &JournalCursor,
        limit: Option<u64>,
        full: bool,
        cut: bool,
        attached: bool,
        fresh: bool,
    ) -> Empty {
        // The call began after the catalogue was asked, also a prefetched one.
        let known = self.catalogue.as_ref().and_then(|catalogue| catalogue.receiver(&from.receiver));
        Empty {
            from: from.sequence,
            limit,
            cut,
            full,
            attached,
            known_last: known.map_or(0, |receiver| receiver.last),
            recent: fresh || self.asked_at.elapsed() < CATALOGUE_EVERY,
        }
    }

    /// Whether the entry at `from` is no longer the one that was read: the receiver was created anew under
    /// its old name while entries were read from it. Says so once; the catalogue decides.
    fn is_replaced(&mut self, from: &JournalCursor, rows: &Rows) -> bool {
        let replaced = match (&self.seen, rows.iter().next()) {
            (Some((cursor, time)), Some(row)) if cursor == from => {
                decode::sequence(row) == Some(from.sequence) && decode::time(row).as_ref() != Some(time)
            }
            _ => false,
        };
        if replaced {
            self.seen = None;
        }
        replaced
    }

    fn setup(&mut self, advice: fn(&Settings, &str) -> String) -> SourceError {
        self.catalogue = None;
        SourceError::Setup(advice(&self.settings, self.host.user()))
    }

    /// What a reply holds beyond `from`.
    async fn entries(
        &mut self,
        from: &JournalCursor,
        limit: Option<u64>,
        mut rows: Rows,
        full: bool,
        prefetch: bool,
    ) -> Result<Found, SourceError> {
        let ends = rows.iter().next_back().is_some_and(decode::ends_receiver);
        let Some(found) = receivers::batch(&mut rows, from.sequence, limit) else {
            if self.ordered {
                return Err(SourceError::Reply(format!(
                    "entries of receiver {}/{} come in no order, although it was asked for",
                    from.receiver.library, from.receiver.name
                )));
            }
            warn!(source = self.key, "entries come out of order, asking for them sorted from now on");
            self.ordered = true;
            self.catalogue = None;
            return Ok(Found::Disorder);
        };
        if rows.is_empty() {
            return Ok(Found::Nothing { cut: found.cut });
        }
        if ends && !found.cut {
            self.catalogue = None;
        } else if let Some(catalogue) = &mut self.catalogue {
            // Else the next read would find itself beyond the end of the receiver.
            catalogue.reached(&from.receiver, found.last);
        }
        let mut long = Vec::with_capacity(found.long.len());
        for (row, length, sequence) in found.long {
            let first = decode::first_slice(&rows.text[rows.index[row].clone()]);
            let data = self.long_entry(&from.receiver, sequence, length, first).await?;
            long.push((sequence, data));
        }
        let last = JournalCursor { receiver: from.receiver.clone(), sequence: found.last };
        self.seen = rows.iter().next_back().and_then(decode::time).map(|time| (last.clone(), time));
        if prefetch && full && !found.cut && !ends {
            self.prefetch(&last).await;
        }
        let entries = EntryBatch::new(rows, self.utc_offset_seconds, long, from.sequence)
            .without_end(self.settings.leaves_out_end());
        let full = full || found.cut || ends;
        Ok(Found::New(Read::Entries { entries, last: Cursor::Journal(last), full }))
    }
}

impl Source for AuditJournal {
    fn key(&self) -> &str {
        &self.key
    }

    fn start(&mut self, lost: bool) -> LocalBoxFuture<'_, Result<Cursor, SourceError>> {
        async move { Ok(Cursor::Journal(self.start_inner(lost).await?)) }.boxed_local()
    }

    fn read<'a>(
        &'a mut self,
        from: &'a Cursor,
        until: Option<&'a Cursor>,
        prefetch: bool,
    ) -> LocalBoxFuture<'a, Result<Read, SourceError>> {
        async move {
            let from = from.journal().ok_or_else(|| {
                SourceError::Reply(
                    "the stored place is not one in a journal; remove the state folder's cursors".to_owned(),
                )
            })?;
            self.read_inner(from, until.and_then(Cursor::journal), prefetch).await
        }
        .boxed_local()
    }
}
