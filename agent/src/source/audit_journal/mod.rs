//! The security audit journal, read through QSYS2.DISPLAY_JOURNAL.
//!
//! One receiver is read per call, from the last entry read on, which is then dropped again: so the starting
//! entry is sure to exist. While the attached receiver is read and nothing is new, a poll is this one
//! statement. The journal itself says where a receiver ends (entry J/NR); the catalogue of receivers is
//! asked at the start, at the end of a receiver, after an error, and now and then. [`chain`] decides on it.
//!
//! Promised: every entry of codes T and U is handed over, in order, or a [`Gap`](super::Gap) says which are
//! missing. Entry data travels without its trailing blanks, as the partition itself cut them.

mod advice;
pub mod chain;
pub mod config;
mod decode;
pub mod query;
mod receivers;

pub use config::{Settings, SettingsError, Start};
pub use decode::{EntryBatch, VisitStats};

use super::{Read, Source, SourceError};
use crate::host::{Host, HostError, Param, Rows, StatementId, facts};
use chain::{Catalogue, Step};
use compact_str::CompactString;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jiff::tz::{Offset, TimeZone};
use muster_shared::cursor::{Cursor, JournalCursor, ReceiverId};
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

/// Fewest rows of a call.
const FEWEST_ROWS: u32 = 16;

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

    /// The catalogue as last seen, or as of now.
    async fn catalogue(&mut self) -> Result<Catalogue, SourceError> {
        if let Some(catalogue) = &self.catalogue {
            return Ok(catalogue.clone());
        }
        // What was begun before knows less than this catalogue: a receiver that it shows as detached may have
        // got entries since, and must be read once more.
        self.prefetched = None;
        let catalogue = self.ask_catalogue().await.map_err(|error| match error {
            SourceError::Host(error) => self.explain(error),
            other => other,
        })?;
        self.asked_at = Instant::now();
        self.catalogue = Some(catalogue.clone());
        Ok(catalogue)
    }

    async fn ask_catalogue(&mut self) -> Result<Catalogue, SourceError> {
        if let Some(offset) = facts::utc_offset(self.host.as_mut()).await? {
            self.utc_offset_seconds = offset;
        }
        let journal = self.host.query(&query::journal(&self.settings), &[], 10, CATALOGUE_WAIT).await?;
        let sql = query::receivers(&self.settings);
        let list = self.host.query(&sql, &[], receivers::MOST, CATALOGUE_WAIT).await?;
        receivers::catalogue(&journal, &list)
    }

    fn statement(&mut self, rows: u32) -> StatementId {
        let ordered = self.ordered;
        if let Some((_, _, id)) = self.statements.iter().find(|known| (known.0, known.1) == (rows, ordered)) {
            return *id;
        }
        let id = self.host.statement(query::entries(&self.settings, rows, ordered));
        self.statements.push((rows, ordered, id));
        id
    }

    fn rows_wanted(&self) -> u32 {
        rows_at(self.settings.batch_rows, self.halvings)
    }

    /// Makes the next calls larger or smaller, by what the last reply was like.
    fn adapt(&mut self, asked: u32, reply: &Rows) {
        let size = reply.text.len();
        if size > REPLY_TARGET {
            self.halvings += u32::from(self.rows_wanted() > FEWEST_ROWS);
        } else if reply.len() as u32 >= asked && size.saturating_mul(2) <= REPLY_TARGET {
            self.halvings = self.halvings.saturating_sub(1);
        }
    }

    /// Rows of `receiver` from the entry `start` on, and how many were asked for. When the answer is late or
    /// too large, once more with a quarter of the rows.
    async fn fetch(
        &mut self,
        from: &JournalCursor,
        receiver: &ReceiverId,
        start: u64,
    ) -> Result<(Rows, u32), HostError> {
        let result = match self.prefetched.take() {
            Some(ahead) if ahead.from == *from => self.host.finish().await.map(|rows| (rows, ahead.rows)),
            _ => self.execute(receiver, start).await,
        };
        match result {
            Err(error) if error.is_too_much() && self.rows_wanted() > FEWEST_ROWS => {
                self.halvings += 2;
                warn!(source = self.key, rows = self.rows_wanted(), error = %error, "asking for fewer rows");
                self.execute(receiver, start).await
            }
            other => other,
        }
    }

    async fn execute(&mut self, receiver: &ReceiverId, start: u64) -> Result<(Rows, u32), HostError> {
        let rows = self.rows_wanted();
        let statement = self.statement(rows);
        let params = params(receiver, start);
        Ok((self.host.execute(statement, &params, rows, READ_WAIT).await?, rows))
    }

    /// Begins the call after `last`, so that the partition works while this batch is decoded.
    async fn prefetch(&mut self, last: &JournalCursor) {
        let rows = self.rows_wanted();
        let statement = self.statement(rows);
        let params = params(&last.receiver, last.sequence);
        match self.host.begin(statement, &params, rows, READ_WAIT).await {
            Ok(()) => self.prefetched = Some(Prefetched { from: last.clone(), rows }),
            // The next read meets the same trouble and reports it.
            Err(error) => debug!(source = self.key, error = %error, "prefetch failed"),
        }
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
            let catalogue = self.catalogue().await?;
            match chain::next(from, exhausted, &catalogue) {
                Step::Missing => return Err(self.setup(advice::journal_missing)),
                Step::NoReceivers => return Err(self.setup(advice::no_receivers)),
                Step::Detached => {
                    self.catalogue = None;
                    return Err(SourceError::Setup(advice::detached(&self.settings)));
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
                    if let Some(read) = self.entries(from, limit, rows, asked, prefetch).await? {
                        return Ok(read);
                    }
                    if self.catalogue.is_none() {
                        // Out of order: once more, sorted.
                        continue;
                    }
                    if !attached {
                        exhausted = true;
                    } else if self.asked_at.elapsed() < CATALOGUE_EVERY || fresh {
                        return Ok(Read::Idle);
                    } else {
                        self.catalogue = None;
                    }
                }
            }
        }
        Ok(Read::Idle)
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

    /// What a reply holds beyond `from`; None when there is nothing new.
    async fn entries(
        &mut self,
        from: &JournalCursor,
        limit: Option<u64>,
        mut rows: Rows,
        asked: u32,
        prefetch: bool,
    ) -> Result<Option<Read>, SourceError> {
        let full = rows.len() as u32 >= asked;
        let ends = rows.iter().next_back().is_some_and(decode::ends_receiver);
        let Some(found) = receivers::select(&mut rows, from.sequence, limit) else {
            if self.ordered {
                return Err(SourceError::Reply(format!(
                    "entries of receiver {}/{} come in no order, although it was asked for",
                    from.receiver.library, from.receiver.name
                )));
            }
            warn!(source = self.key, "entries come out of order, asking for them sorted from now on");
            self.ordered = true;
            self.catalogue = None;
            return Ok(None);
        };
        if rows.is_empty() {
            return Ok(None);
        }
        if ends && !found.cut {
            self.catalogue = None;
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
        let entries = EntryBatch::new(rows, self.utc_offset_seconds, long, from.sequence);
        Ok(Some(Read::Entries { entries, last: Cursor::Journal(last), full: full || found.cut || ends }))
    }

    /// The whole data of an entry that is longer than one slice.
    async fn long_entry(
        &mut self,
        receiver: &ReceiverId,
        sequence: u64,
        length: u64,
        first: Vec<u8>,
    ) -> Result<Vec<u8>, SourceError> {
        let slices = usize::try_from(length).unwrap_or(usize::MAX).div_ceil(query::SLICE);
        if slices > MOST_SLICES {
            warn!(
                source = self.key,
                sequence,
                length,
                slices = MOST_SLICES,
                "entry is absurdly long, reading its front"
            );
        }
        let mut data = first;
        let mut params = params(receiver, sequence);
        params.push(sequence_param(sequence));
        for number in 1..slices.min(MOST_SLICES) {
            let statement = self.slice_statement(number);
            let rows = self.host.execute(statement, &params, 1, READ_WAIT).await;
            let rows = rows.map_err(|error| self.explain(error))?;
            let mut slice = Vec::with_capacity(query::SLICE);
            for row in rows.iter() {
                if let Some(cell) = crate::host::rows::Cells::new(row).next() {
                    decode::unhex(cell, &mut slice);
                }
            }
            if !slice.is_empty() {
                // The slices before were cut at their blanks.
                data.resize(number * query::SLICE, 0x40);
                data.append(&mut slice);
            }
        }
        Ok(data)
    }

    fn slice_statement(&mut self, number: usize) -> StatementId {
        if let Some((_, id)) = self.slices.iter().find(|(known, _)| *known == number) {
            return *id;
        }
        let id = self.host.statement(query::slice(&self.settings, number));
        self.slices.push((number, id));
        id
    }

    async fn start_inner(&mut self, lost: bool) -> Result<JournalCursor, SourceError> {
        self.catalogue = None;
        let catalogue = self.catalogue().await?;
        if !catalogue.exists {
            return Err(self.setup(advice::journal_missing));
        }
        let Some(oldest) = catalogue.receivers.first() else {
            return Err(self.setup(advice::no_receivers));
        };
        match self.settings.start {
            // What was read before is unknown, so everything is read again: nothing is lost.
            _ if lost => Ok(chain::before(oldest)),
            Start::Oldest => Ok(chain::before(oldest)),
            Start::Now => match catalogue.current() {
                Some(current) => Ok(JournalCursor { receiver: current.id.clone(), sequence: current.last }),
                None => Err(SourceError::Setup(advice::detached(&self.settings))),
            },
            Start::At(time) => {
                let offset = Offset::from_seconds(self.utc_offset_seconds).unwrap_or(Offset::UTC);
                let local = time.to_zoned(TimeZone::fixed(offset)).datetime();
                self.start_at(&catalogue, local).await
            }
        }
    }

    /// The place before the first entry of `local` time or later.
    async fn start_at(
        &mut self,
        catalogue: &Catalogue,
        local: jiff::civil::DateTime,
    ) -> Result<JournalCursor, SourceError> {
        let Some(receiver) = receivers::holding(catalogue, local) else {
            return Err(self.setup(advice::no_receivers));
        };
        let text = local.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
        let mut params = params(&receiver.id, 0);
        params.remove(2);
        let sql = query::first_since(&self.settings, &text);
        let rows = self.host.query(&sql, &params, 1, READ_WAIT).await.map_err(|error| self.explain(error))?;
        let first = rows.iter().next().and_then(|row| {
            crate::host::rows::Cells::new(row).next().and_then(crate::host::rows::Cell::unsigned)
        });
        // Without such an entry the receiver's end is the place: what comes later is in the next one.
        let sequence = first.map_or(receiver.last, |first| first.saturating_sub(1));
        Ok(JournalCursor { receiver: receiver.id.clone(), sequence })
    }
}

/// Rows asked for after so many halvings.
fn rows_at(most: u32, halvings: u32) -> u32 {
    most.checked_shr(halvings).unwrap_or(0).max(FEWEST_ROWS.min(most))
}

/// Parameters that name one receiver from a sequence on.
fn params(receiver: &ReceiverId, start: u64) -> Vec<Param> {
    let text = |name: &CompactString| Param::Text(name.to_string());
    vec![
        text(&receiver.library),
        text(&receiver.name),
        sequence_param(start),
        text(&receiver.library),
        text(&receiver.name),
    ]
}

/// Sequence numbers are DECIMAL(21,0), longer than a JSON number holds exactly.
fn sequence_param(sequence: u64) -> Param {
    Param::Text(sequence.to_string())
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
            let Cursor::Journal(from) = from;
            let until = until.map(|Cursor::Journal(until)| until);
            self.read_inner(from, until, prefetch).await
        }
        .boxed_local()
    }
}
