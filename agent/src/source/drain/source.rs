//! The source that reads the spool, whatever the partition does meanwhile.

use super::standing::Standing;
use super::task::Running;
use crate::source::record::{RecordBatch, RecordFacts};
use crate::source::{Gap, GapUnit, Read, Source, SourceError, Told};
use crate::spool::{ReadBack, Spool, SpoolEntry, SpoolError};
use compact_str::{CompactString, ToCompactString};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use muster_shared::cursor::{Cursor, SpoolCursor};
use muster_shared::event::Event;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// Most bytes that are read back at once.
const READ_BYTES: usize = 1024 * 1024;

/// Makes events of what lies in the spool.
pub trait Decode: std::fmt::Debug {
    /// Fills the cleared `event` with an entry: kind, name, time, severity and fields.
    fn fill(&self, entry: &SpoolEntry, event: &mut Event);
}

/// What begins to empty the queue when it may.
pub type Begin = Box<dyn FnOnce() -> Running>;

/// A source that empties a data queue into a spool and reads that.
pub struct Spooled {
    key: String,
    /// Front part of the ids of its events, up to the spool.
    prefix: Arc<str>,
    most: usize,
    spool: Arc<Spool>,
    id: CompactString,
    decode: Rc<dyn Decode>,
    standing: Rc<Standing>,
    begin: Option<Begin>,
    running: Option<Running>,
}

impl Spooled {
    /// A source named `key` of the partition `partition`. Without `begin` it only delivers what is there.
    #[must_use]
    pub fn new(
        key: String,
        partition: &str,
        most: usize,
        spool: Arc<Spool>,
        decode: Rc<dyn Decode>,
        standing: Rc<Standing>,
        begin: Option<Begin>,
    ) -> Self {
        let id = spool.id().to_compact_string();
        let prefix = Arc::from(format!("{partition}/{key}/{id}/"));
        Self { key, prefix, most: most.max(1), spool, id, decode, standing, begin, running: None }
    }

    fn at(&self, sequence: u64) -> Cursor {
        Cursor::Spool(SpoolCursor { spool: self.id.clone(), sequence })
    }

    /// Number in this spool that a cursor stands at.
    fn place(&self, cursor: &Option<Cursor>) -> Option<u64> {
        let here = cursor.as_ref().and_then(Cursor::spool).filter(|cursor| cursor.spool == self.id);
        here.map(|cursor| cursor.sequence)
    }

    fn gap(&self, reason: String, from: u64, to: Option<u64>) -> Gap {
        Gap { reason, receiver: format!("spool of {}", self.key), from, to, unit: GapUnit::Sequence }
    }

    async fn read_inner(&mut self, from: &SpoolCursor, until: Option<u64>) -> Result<Read, SourceError> {
        if self.standing.is_outdated() {
            return Err(SourceError::Renew("the facts of the partition have changed"));
        }
        if self.running.as_ref().is_some_and(Running::has_ended) {
            return Err(SourceError::Reply(
                "the task that empties the queue has ended; it is started again".to_owned(),
            ));
        }
        if from.spool != self.id {
            let reason = format!(
                "the spool {} that held it is gone from the agent's disk; what had been taken from the queue and not \
                 delivered is lost",
                from.spool
            );
            let next = self.at(self.spool.first() - 1);
            return Ok(Read::Gap { gap: self.gap(reason, from.sequence + 1, None), next });
        }
        let (spool, after) = (Arc::clone(&self.spool), from.sequence);
        let most = until.map_or(self.most, |until| {
            usize::try_from(until.saturating_sub(after)).unwrap_or(self.most).clamp(1, self.most)
        });
        let read = off_thread(move || spool.read(after, most, READ_BYTES)).await?;
        Ok(match read {
            ReadBack::Entries { entries, more } => {
                let Some(last) = entries.last().map(|entry| self.at(entry.sequence)) else {
                    return Ok(Read::Idle);
                };
                let records = Records {
                    entries,
                    prefix: Arc::clone(&self.prefix),
                    spool: self.id.clone(),
                    decode: Rc::clone(&self.decode),
                };
                Read::Records { records: Box::new(records), last, full: more, trouble: None }
            }
            ReadBack::Missing { to, reason } => {
                let gap = self.gap(reason.to_owned(), after + 1, Some(to));
                Read::Gap { gap, next: self.at(to) }
            }
            ReadBack::Ahead { last } => {
                let reason = "the spool lost its end on the agent's disk".to_owned();
                Read::Gap { gap: self.gap(reason, last + 1, Some(after)), next: self.at(last) }
            }
        })
    }
}

/// Runs what may wait for the disk where it holds up nobody.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| SourceError::Setup(error.to_string())),
        Err(panic) => Err(SourceError::Reply(format!("the spool failed: {panic}"))),
    }
}

impl Source for Spooled {
    fn key(&self) -> &str {
        &self.key
    }

    /// A place that is not known is the oldest one: what lies in the spool lies nowhere else.
    fn start(&mut self, _: bool) -> LocalBoxFuture<'_, Result<Cursor, SourceError>> {
        std::future::ready(Ok(self.at(self.spool.first() - 1))).boxed_local()
    }

    fn read<'a>(
        &'a mut self,
        from: &'a Cursor,
        until: Option<&'a Cursor>,
        _: bool,
    ) -> LocalBoxFuture<'a, Result<Read, SourceError>> {
        async move {
            let from = from
                .spool()
                .ok_or_else(|| SourceError::Reply("the stored place is not one in a spool".to_owned()))?;
            let until = until.and_then(Cursor::spool).filter(|until| until.spool == from.spool);
            self.read_inner(from, until.map(|until| until.sequence)).await
        }
        .boxed_local()
    }

    fn begin(&mut self) {
        self.running = self.begin.take().map(|begin| begin());
    }

    fn has_news(&mut self) -> bool {
        self.standing.take_news()
    }

    fn standing(&self, now_us: i64) -> Option<Told> {
        self.standing.told(now_us)
    }

    fn undelivered(&self, committed: &[Option<Cursor>]) -> u64 {
        let usage = self.spool.usage();
        let first = self.spool.first() - 1;
        let stands = |cursor: &Option<Cursor>| self.place(cursor).map_or(first, |place| place.max(first));
        committed.iter().map(|cursor| usage.last.saturating_sub(stands(cursor))).max().unwrap_or(0)
    }

    fn close(&mut self, limit: Duration) -> LocalBoxFuture<'_, bool> {
        async move {
            let Some(running) = self.running.as_mut() else { return true };
            let ended = running.stop(limit).await;
            if ended {
                self.running = None;
            }
            ended
        }
        .boxed_local()
    }

    /// What may still be in the queue is there for the agent that collects: nothing here has to be compared with it.
    fn settle(&mut self, committed: &[Option<Cursor>]) -> LocalBoxFuture<'_, ()> {
        let places: Option<Vec<u64>> = committed.iter().map(|cursor| self.place(cursor)).collect();
        let delivered = places.and_then(|places| places.into_iter().min());
        let spool = Arc::clone(&self.spool);
        async move {
            let Some(delivered) = delivered.filter(|delivered| *delivered >= spool.usage().last) else {
                return;
            };
            let settled = off_thread(move || {
                spool.mark()?;
                spool.finish(delivered)
            });
            if let Err(error) = settled.await {
                warn!(source = self.key, %error, "spool cannot be tidied up");
            }
        }
        .boxed_local()
    }
}

/// Entries of the spool as records.
#[derive(Debug)]
struct Records {
    entries: Vec<SpoolEntry>,
    prefix: Arc<str>,
    spool: CompactString,
    decode: Rc<dyn Decode>,
}

impl RecordBatch for Records {
    fn count(&self) -> usize {
        self.entries.len()
    }

    fn fill(&self, index: usize, event: &mut Event) -> RecordFacts {
        let entry = &self.entries[index];
        self.decode.fill(entry, event);
        event.id_prefix = Arc::clone(&self.prefix);
        event.sequence = entry.sequence;
        RecordFacts {
            bytes: entry.body.len(),
            sequence: entry.sequence,
            cursor: Some(Cursor::Spool(SpoolCursor { spool: self.spool.clone(), sequence: entry.sequence })),
        }
    }
}
