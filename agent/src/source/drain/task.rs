//! The task that empties a queue: look, keep, take out, compare.
//!
//! It has a connection of its own and goes on while no destination takes anything, until the spool is full; then the
//! queue is left alone. It stops before something is kept, or after what was kept is taken out: what lay in both places
//! would be taken a second time by another agent. The one exception is what has to stay in the queue because a statement
//! may still run whose answer nobody reads (see [`super::shadow`]).

use super::beside::Beside;
use super::entry::{ENTRY, Entry};
use super::ledger::{Got, Ledger};
use super::query::{self, AT_ONCE, Order, QueueName, Seen, Shape};
use super::source::off_thread;
use super::standing::{Note, Standing};
use super::under_way::UnderWay;
use crate::health::HealthState;
use crate::host::facts::{self, Facts};
use crate::host::reconnect::Reconnect;
use crate::host::{Host, HostError, StatementId};
use crate::source::sign_on::{Refused, SignOn};
use crate::source::{SourceError, Told};
use crate::spool::{Spool, SpoolEntry};
use futures_util::future::LocalBoxFuture;
use muster_shared::partition::Partition;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Longest wait for one statement.
const WAIT: Duration = Duration::from_secs(30);

/// The partition's offset from UTC is asked for so often: it changes twice a year.
const OFFSET_EVERY: Duration = Duration::from_secs(300);

/// What stays in the queue may make a look so many times as large as it is at most: a reply has at most 16 MiB.
const HELD_REPLIES: u32 = 2;

/// Pause while the spool is full.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// An entry of this size at least must fit, or the queue is not even looked at.
const SMALL: usize = 512;

/// So often in a row may nothing come out that was seen and is still there.
const STUCK_ROUNDS: u32 = 2;

/// Makes a connection, and reads the partition's facts over it.
pub type Dial = Box<dyn FnMut() -> LocalBoxFuture<'static, Result<(Box<dyn Host>, Facts), SourceError>>>;

/// Up to which number every destination has the entries of this spool; None while one of them has no place yet.
pub type Delivered = Box<dyn Fn() -> Option<u64>>;

/// Stores the places of the destinations and answers when they are on disk.
pub type Store = Box<dyn Fn() -> LocalBoxFuture<'static, Result<(), String>>>;

/// All that the task needs.
pub struct Drain {
    /// Name of the source, for the log.
    pub source: String,
    /// The queue.
    pub queue: QueueName,
    /// Pause between looks at a queue that is empty.
    pub poll_interval: Duration,
    /// Most entries that are taken in one go.
    pub batch_rows: u32,
    /// Where they are kept.
    pub spool: Arc<Spool>,
    /// Entries of the spool that may still be in the queue.
    pub unmarked: Vec<SpoolEntry>,
    /// Makes connections.
    pub dial: Dial,
    /// A connection that is there already.
    pub first: Option<(Box<dyn Host>, Facts)>,
    /// Asked before each sign-on.
    pub sign_on: SignOn,
    /// The facts by which events are made; others make the source outdated.
    pub partition: Partition,
    /// Takes facts that were read.
    pub learn: Box<dyn Fn(Partition)>,
    /// What is looked at beside the queue, if anything.
    pub beside: Option<Box<dyn Beside>>,
    /// See [`Delivered`].
    pub delivered: Delivered,
    /// See [`Store`].
    pub store: Store,
    /// Where its health goes.
    pub standing: Rc<Standing>,
}

/// The task at work; stopped when dropped.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Whether it has ended by itself, which it never should.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Stops it and waits until it has let go of the spool, at most so long. False if it has not: it goes on until what
    /// it has kept is out of the queue, and can be waited for again.
    pub async fn stop(&mut self, limit: Duration) -> bool {
        self.stop.cancel();
        let stopped = self.task.is_finished() || tokio::time::timeout(limit, &mut self.task).await.is_ok();
        if !stopped {
            warn!("the task that empties a queue does not stop in time");
        }
        stopped
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Drain {
    /// Starts it on this thread.
    #[must_use]
    pub fn start(self) -> Running {
        let stop = CancellationToken::new();
        let task = tokio::task::spawn_local(Task::new(self, stop.clone()).run());
        Running { stop, task }
    }
}

/// It was told to stop.
struct Stopped;

/// Why a connection is not used any further.
enum End {
    Stopped,
    Failed(SourceError),
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<SourceError> for End {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

impl From<HostError> for End {
    fn from(error: HostError) -> Self {
        Self::Failed(error.into())
    }
}

struct Task {
    drain: Drain,
    stop: CancellationToken,
    ledger: Ledger,
    under_way: UnderWay,
    /// Came out of the queue and is not on disk yet: nothing else is done before it is.
    unkept: Vec<Entry>,
    backoff: Reconnect,
    /// The queue was described anew because entries did not fit, and they still do not.
    described_anew: bool,
    /// Rounds in which nothing came out of what is there.
    stuck: u32,
}

/// A connection and what was prepared on it.
struct Link {
    host: Box<dyn Host>,
    offset_seconds: i32,
    offset_read: Instant,
    known: Option<Known>,
}

/// What is known of the queue while it is emptied.
#[derive(Clone)]
struct Known {
    shape: Shape,
    rows: u32,
    ordered: bool,
    look: StatementId,
    take: [StatementId; AT_ONCE.len()],
}

/// How a round ended.
enum Round {
    /// There may be more.
    More,
    /// Nothing else is there.
    Empty,
    /// The spool has no room.
    Full,
    /// Entries are there and do not come out: so many.
    Stuck(usize),
}

impl Task {
    fn new(mut drain: Drain, stop: CancellationToken) -> Self {
        let mut ledger = Ledger::default();
        let unmarked = std::mem::take(&mut drain.unmarked);
        let entries: Vec<(u64, Entry)> = unmarked
            .iter()
            .filter(|entry| entry.kind == ENTRY)
            .filter_map(|entry| Some((entry.sequence, Entry::decode(&entry.body)?)))
            .collect();
        ledger.keep(entries.iter().map(|(number, entry)| (*number, entry)));
        let in_doubt = entries.into_iter().map(|(_, entry)| entry).collect();
        let under_way = UnderWay::new(drain.spool.folder(), in_doubt);
        Self {
            drain,
            stop,
            ledger,
            under_way,
            unkept: Vec::new(),
            backoff: Reconnect::new(),
            described_anew: false,
            stuck: 0,
        }
    }

    async fn run(mut self) {
        self.work().await;
        if let Err(error) = self.keep_unkept().await {
            let count = self.unkept.len();
            tracing::error!(
                source = self.drain.source, %error, count,
                "entries that came out of the queue cannot be kept, and are lost when the agent stops"
            );
            let reason = format!(
                "{count} entries of data queue {} came out of the queue and cannot be written to the agent's disk; they \
                 are lost when the agent stops: {error}",
                self.drain.queue
            );
            self.drain.standing.set_fault(Some(Told { state: HealthState::Failed, reason }));
        }
        self.under_way.finish().await;
        // A spool without entries is no spool that somebody has to look after.
        if let Some(delivered) = (self.drain.delivered)()
            && (self.drain.store)().await.is_ok()
        {
            let spool = Arc::clone(&self.drain.spool);
            if let Err(error) = off_thread(move || spool.finish(delivered)).await {
                warn!(source = self.drain.source, %error, "spool cannot be tidied up");
            }
        }
    }

    async fn work(&mut self) {
        if let Err(error) = self.under_way.load().await {
            self.warn_unnoted(&error);
        }
        if self.under_way.count() > 0 {
            let count = self.under_way.count();
            info!(
                source = self.drain.source,
                count, "a statement of before may still run; so many entries stay in the queue for 30 s"
            );
        }
        loop {
            let (reason, wait) = match self.connect_and_empty().await {
                Ok(()) | Err(Refused::Failed(End::Stopped)) => return,
                Err(Refused::Closed(closed)) => (closed.reason, closed.wait),
                Err(Refused::Failed(End::Failed(error))) => {
                    let wait = self.drain.sign_on.wait_after(&error, &mut self.backoff);
                    (error.to_string(), wait)
                }
            };
            warn!(source = self.drain.source, reason, "queue cannot be emptied");
            self.fail(&reason, wait);
            if self.until_stopped(tokio::time::sleep(wait)).await.is_err() {
                return;
            }
            // What lies in memory alone does not wait for the partition.
            if let Err(error) = self.keep_unkept().await {
                warn!(source = self.drain.source, %error, "entries that came out of the queue cannot be kept");
            }
        }
    }

    fn warn_unnoted(&self, error: &SourceError) {
        warn!(source = self.drain.source, %error, "what may still leave the queue cannot be noted");
    }

    fn fail(&self, reason: &str, wait: Duration) {
        let reason = format!("{reason}; next try in {} s", wait.as_secs().max(1));
        self.drain.standing.set_fault(Some(Told { state: HealthState::Failed, reason }));
    }

    /// Waits for `work`, but not longer than until the task has to stop.
    async fn until_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => Err(Stopped),
            done = work => Ok(done),
        }
    }

    async fn connect_and_empty(&mut self) -> Result<(), Refused<End>> {
        let first = self.drain.first.take();
        let (host, facts) = match first {
            Some(connected) => connected,
            None => {
                let dialled = self.drain.sign_on.through((self.drain.dial)());
                let stop = self.stop.clone();
                let dialled = tokio::select! {
                    () = stop.cancelled() => return Err(Refused::Failed(End::Stopped)),
                    dialled = dialled => dialled,
                };
                dialled.map_err(|refused| match refused {
                    Refused::Closed(closed) => Refused::Closed(closed),
                    Refused::Failed(error) => Refused::Failed(End::Failed(error)),
                })?
            }
        };
        self.drain.standing.set(Note::Assumed, facts.assumed);
        let offset_seconds = facts.partition.utc_offset_seconds;
        self.take_facts(facts.partition);
        let mut link = Link { host, offset_seconds, offset_read: Instant::now(), known: None };
        loop {
            match self.empty(&mut link).await {
                // Only the queue is in trouble: the connection is good.
                Err(End::Failed(error @ SourceError::Setup(_))) => {
                    let wait = self.drain.sign_on.wait_after(&error, &mut self.backoff);
                    warn!(source = self.drain.source, reason = %error, "queue cannot be emptied");
                    self.fail(&error.to_string(), wait);
                    self.pause(wait).await.map_err(|stopped| Refused::Failed(stopped.into()))?;
                }
                Err(end) => return Err(Refused::Failed(end)),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn take_facts(&self, partition: Partition) {
        if partition != self.drain.partition {
            info!(source = self.drain.source, "facts of the partition have changed");
            self.drain.standing.set_renew();
        }
        (self.drain.learn)(partition);
    }

    async fn pause(&self, wait: Duration) -> Result<(), Stopped> {
        self.until_stopped(tokio::time::sleep(wait)).await
    }

    /// Empties the queue until something is wrong.
    async fn empty(&mut self, link: &mut Link) -> Result<(), End> {
        // Also where there is no queue: whoever removes the exit program may remove it too.
        self.look_beside(link).await?;
        self.describe(link).await?;
        loop {
            self.keep_unkept().await?;
            self.look_beside(link).await?;
            self.ask_offset(link).await?;
            let round = self.round(link).await?;
            self.tidy().await;
            match round {
                Round::More => {
                    self.drain.standing.set_fault(None);
                    // Others on this thread have their turn.
                    tokio::task::yield_now().await;
                }
                Round::Empty => {
                    self.drain.standing.set_fault(None);
                    self.pause(self.drain.poll_interval).await?;
                }
                Round::Full => {
                    self.tell_full();
                    self.pause(self.drain.poll_interval.max(FULL_PAUSE)).await?;
                }
                Round::Stuck(count) => {
                    self.tell_stuck(count);
                    self.pause(self.drain.poll_interval.max(FULL_PAUSE)).await?;
                }
            }
            self.backoff.succeeded();
        }
    }

    fn tell_full(&self) {
        let usage = self.drain.spool.usage();
        let delivered = (self.drain.delivered)().unwrap_or(0);
        let reason = format!(
            "the spool is full ({} of {} MiB): {} entries wait for a destination, and the queue is left alone until some \
             of them are delivered; see the health of the destinations, or give the source a larger spool_mb",
            usage.bytes.div_ceil(1024 * 1024),
            usage.limit / (1024 * 1024),
            usage.last.saturating_sub(delivered)
        );
        self.drain.standing.set_fault(Some(Told { state: HealthState::Degraded, reason }));
    }

    fn tell_stuck(&self, count: usize) {
        let queue = &self.drain.queue;
        let reason = format!(
            "data queue {queue} can be looked at but not emptied: QSYS2.RECEIVE_DATA_QUEUE gives none of {count} entries that \
             QSYS2.DATA_QUEUE_ENTRIES shows. They are in the spool and are delivered, but stay in the queue until it is \
             full; try `select * from table(QSYS2.RECEIVE_DATA_QUEUE(DATA_QUEUE => '{}', DATA_QUEUE_LIBRARY => '{}', REMOVE \
             => 'NO'))` under the agent's profile, and bring the Db2 PTF group up to date",
            queue.name, queue.library
        );
        warn!(source = self.drain.source, %queue, count, "nothing comes out of the queue");
        self.drain.standing.set_fault(Some(Told { state: HealthState::Failed, reason }));
    }

    async fn query(&self, link: &mut Link, sql: &str) -> Result<crate::host::Rows, End> {
        let answer = link.host.query(sql, &[], 2, WAIT);
        let rows = self.until_stopped(answer).await?;
        rows.map_err(|error| self.explain(error, link.host.user()))
    }

    fn explain(&self, error: HostError, user: &str) -> End {
        match query::advice(&error, &self.drain.queue, user) {
            Some(advice) => End::Failed(SourceError::Setup(advice)),
            // An SQL error leaves the connection as it is.
            None if error.sql().is_some() => End::Failed(SourceError::Setup(error.to_string())),
            None => End::Failed(error.into()),
        }
    }

    /// Asks what the queue is, and prepares the statements for it.
    async fn describe(&self, link: &mut Link) -> Result<(), End> {
        let queue = &self.drain.queue;
        let rows = self.query(link, &query::describe(queue)).await?;
        let shape = query::shape(&rows).map_err(|reason| {
            SourceError::Setup(format!("data queue {queue} cannot be emptied: {reason}"))
        })?;
        let Some(shape) = shape else {
            return Err(SourceError::Setup(query::missing(queue, link.host.user())).into());
        };
        let order = (shape.order == Order::Lifo).then(|| {
            format!(
                "data queue {queue} is last in, first out: an entry that comes while others are taken out leaves before \
                 them, and a crash in that moment loses it; create it anew with SEQ(*FIFO)"
            )
        });
        self.drain.standing.set(Note::Order, order);
        if link.known.as_ref().is_none_or(|known| known.shape != shape) {
            info!(source = self.drain.source, %queue, ?shape, "queue found");
            link.known = Some(self.prepare(link, shape, false));
        }
        Ok(())
    }

    fn prepare(&self, link: &mut Link, shape: Shape, ordered: bool) -> Known {
        let queue = &self.drain.queue;
        // What stays in the queue for a while is seen at each look and must not fill it.
        let held = u32::try_from(self.under_way.count()).unwrap_or(u32::MAX);
        let rows = shape.rows(self.drain.batch_rows) + held.min(HELD_REPLIES * shape.rows(u32::MAX));
        let look = link.host.statement(query::look(queue, &shape, rows, ordered));
        let take = AT_ONCE.map(|count| link.host.statement(query::take(queue, &shape, count)));
        Known { shape, rows, ordered, look, take }
    }

    async fn ask_offset(&self, link: &mut Link) -> Result<(), End> {
        if link.offset_read.elapsed() < OFFSET_EVERY {
            return Ok(());
        }
        let offset = self.until_stopped(facts::utc_offset(&mut *link.host)).await??;
        link.offset_read = Instant::now();
        if let Some(offset) = offset.filter(|offset| *offset != link.offset_seconds) {
            link.offset_seconds = offset;
            self.take_facts(Partition { utc_offset_seconds: offset, ..self.drain.partition.clone() });
        }
        Ok(())
    }

    /// What is looked at beside the queue must not hold it up.
    async fn look_beside(&mut self, link: &mut Link) -> Result<(), End> {
        let stop = self.stop.clone();
        let Some(beside) = self.drain.beside.as_mut() else { return Ok(()) };
        let looked = tokio::select! {
            () = stop.cancelled() => return Err(End::Stopped),
            looked = beside.look(&mut *link.host, jiff::Timestamp::now().as_microsecond()) => looked,
        };
        let found = match looked {
            Ok(found) => found,
            Err(error) if error.sql().is_some() => {
                let text = format!("{} cannot be read: {error}", beside.what());
                warn!(source = self.drain.source, reason = text, "look beside the queue failed");
                self.drain.standing.set(Note::Beside, Some(text));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Some(found) = found else { return Ok(()) };
        self.drain.standing.set(Note::Beside, beside.concern().map(str::to_owned));
        if self.drain.spool.fitting(found.iter().map(|(_, body)| body.len())) < found.len() {
            // It is found again at the next look.
            return Ok(());
        }
        if !found.is_empty() {
            self.append(found, false).await?;
        }
        match self.drain.beside.as_mut().map(|beside| beside.kept()) {
            Some(Err(error)) => Err(SourceError::Setup(error.to_string()).into()),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Keeps a batch on disk, and says that it can be read. `beyond`: whether or not there is room.
    /// Gives the number of the last one.
    async fn append(&self, batch: Vec<(u8, Vec<u8>)>, beyond: bool) -> Result<u64, SourceError> {
        let spool = Arc::clone(&self.drain.spool);
        let last = off_thread(move || {
            let batch: Vec<(u8, &[u8])> = batch.iter().map(|(kind, body)| (*kind, body.as_slice())).collect();
            if beyond { spool.append_beyond(&batch) } else { spool.append(&batch) }
        })
        .await?;
        self.drain.standing.set_news();
        Ok(last)
    }

    /// Keeps what came out of the queue and was not kept before.
    async fn keep_unkept(&mut self) -> Result<(), SourceError> {
        if self.unkept.is_empty() {
            return Ok(());
        }
        self.append(self.unkept.iter().map(|entry| (ENTRY, entry.encode())).collect(), true).await?;
        self.unkept.clear();
        Ok(())
    }

    /// One look at the front of the queue, and what follows from it.
    async fn round(&mut self, link: &mut Link) -> Result<Round, End> {
        if self.drain.spool.fitting([SMALL]) == 0 && self.ledger.is_clear() {
            return Ok(Round::Full);
        }
        if self.under_way.pass()
            && let Some(known) = link.known.take()
        {
            link.known = Some(self.prepare(link, known.shape, known.ordered));
        }
        let Some(known) = link.known.clone() else { return Ok(Round::Empty) };
        let now_us = jiff::Timestamp::now().as_microsecond();
        let answer = link.host.execute(known.look, &[], known.rows, WAIT);
        let answer = self.until_stopped(answer).await?;
        let rows = answer.map_err(|error| self.explain(error, link.host.user()))?;
        let seen = query::seen(&rows, link.offset_seconds, now_us);
        if !known.ordered && !query::in_order(&seen) {
            warn!(
                source = self.drain.source,
                "entries do not come in order; they are sorted by the partition from now on"
            );
            link.known = Some(self.prepare(link, known.shape, true));
            return Ok(Round::More);
        }
        if self.outgrown(&seen) {
            info!(
                source = self.drain.source,
                "entries are longer than the queue was found to have; it is looked at anew"
            );
            self.describe(link).await?;
            return Ok(Round::More);
        }
        if self.stop.is_cancelled() {
            return Err(End::Stopped);
        }
        let whole = rows.len() < known.rows as usize;
        self.note_flaws(&seen, now_us);
        let entries: Vec<Entry> = seen.into_iter().map(|seen| seen.entry).collect();
        let (known_ones, taken_by_others) = self.ledger.look(&entries, known.shape.order, whole);
        self.note_others(taken_by_others, now_us);
        let met = known_ones.contains(&true);
        let (kept, full) = self.keep(entries, &known_ones, known.shape.order).await?;
        let barred = full && kept.is_empty();
        let wanted = self.under_way.spare(kept, known.shape.order);
        let taken = self.take_out(link, &known, &wanted).await;
        // Also what was taken before something broke.
        let spool = Arc::clone(&self.drain.spool);
        let out = self.ledger.oldest().map_or(u64::MAX, |oldest| oldest - 1);
        off_thread(move || spool.mark_to(out)).await?;
        let got = taken?;
        if barred {
            self.make_room().await?;
        }
        if self.stop.is_cancelled() {
            return Err(End::Stopped);
        }
        // Where they were gone when they were asked for, another reader was quicker.
        self.stuck = match (got, wanted.is_empty()) {
            (0, false) if met || self.stuck == 0 => self.stuck + 1,
            _ => 0,
        };
        Ok(if self.stuck >= STUCK_ROUNDS {
            Round::Stuck(wanted.len())
        } else if full {
            Round::Full
        } else if whole || got == 0 {
            // Where nothing comes out that is to be seen, asking faster is of no use.
            Round::Empty
        } else {
            Round::More
        })
    }

    /// In a queue that is not first in first out, an entry that was kept may wait behind others which the spool has no room
    /// for. So that it does not hold up everything for good, the spool need not know what is delivered any more; the
    /// ledger still does, until the agent stops.
    async fn make_room(&self) -> Result<(), End> {
        let Some(delivered) = (self.drain.delivered)() else { return Ok(()) };
        let spool = Arc::clone(&self.drain.spool);
        Ok(off_thread(move || spool.mark_to(delivered)).await?)
    }

    /// Whether entries came shorter than they are, as those of a queue do that was created anew for longer ones: what is
    /// asked for has to be what it has. True once, until a look without such entries.
    fn outgrown(&mut self, seen: &[Seen]) -> bool {
        let short = seen.iter().any(|seen| {
            let entry = &seen.entry;
            entry.declared != u32::MAX && entry.declared as usize > entry.data.len()
        });
        let first = short && !self.described_anew;
        self.described_anew = short;
        first
    }

    /// Keeps what is not kept yet, as much as there is room for. Gives what is to be taken out: what is kept, up to the
    /// first entry that is not; of a keyed queue all that is kept, since each is taken by its key.
    async fn keep(
        &mut self,
        entries: Vec<Entry>,
        known: &[bool],
        order: Order,
    ) -> Result<(Vec<Entry>, bool), End> {
        let bodies: Vec<Vec<u8>> = entries
            .iter()
            .zip(known)
            .filter(|(_, known)| !**known)
            .map(|(entry, _)| entry.encode())
            .collect();
        let room = self.drain.spool.fitting(bodies.iter().map(Vec::len));
        let mut fresh = 0;
        let kept: Vec<bool> = known
            .iter()
            .map(|known| {
                fresh += usize::from(!*known);
                *known || fresh <= room
            })
            .collect();
        if room > 0 {
            let batch: Vec<(u8, Vec<u8>)> = bodies.into_iter().take(room).map(|body| (ENTRY, body)).collect();
            let count = batch.len() as u64;
            let last = self.append(batch, false).await?;
            let fresh = entries.iter().zip(known).filter(|(_, known)| !**known).map(|(entry, _)| entry);
            self.ledger.keep((last + 1 - count..).zip(fresh.take(room)));
        }
        let full = kept.contains(&false);
        let wanted = match order {
            Order::Fifo | Order::Lifo => {
                let end = kept.iter().position(|kept| !*kept).unwrap_or(kept.len());
                entries.into_iter().take(end).collect()
            }
            Order::Keyed => {
                // Of entries with the same key the first one comes out: none behind one that is not kept.
                let mut left: HashSet<Vec<u8>> = HashSet::new();
                let is_out = |(entry, kept): (Entry, &bool)| {
                    if !*kept {
                        left.insert(entry.key);
                        return None;
                    }
                    (!left.contains(&entry.key)).then_some(entry)
                };
                entries.into_iter().zip(&kept).filter_map(is_out).collect()
            }
        };
        Ok((wanted, full))
    }

    /// Takes out as many entries as are wanted, and compares. Gives how many came.
    async fn take_out(&mut self, link: &mut Link, known: &Known, wanted: &[Entry]) -> Result<usize, End> {
        self.ledger.want(wanted);
        let (mut left, mut came) = (wanted, 0);
        while !left.is_empty() {
            let (step, count) = AT_ONCE
                .iter()
                .zip(known.take)
                .find(|(count, _)| **count <= left.len())
                .map_or((known.take[AT_ONCE.len() - 1], 1), |(count, step)| (step, *count));
            let (now, rest) = left.split_at(count);
            left = rest;
            self.under_way.note(now).await?;
            // No answer may be lost by being dropped half-way: what it holds is in the queue no more.
            let rows = match known.shape.order {
                Order::Fifo | Order::Lifo => link.host.execute(step, &[], count as u32, WAIT).await,
                Order::Keyed => {
                    let keys: Vec<&[u8]> = now.iter().map(|entry| entry.key.as_slice()).collect();
                    let sql = query::take_keys(&self.drain.queue, &known.shape, &keys);
                    link.host.query(&sql, &[], count as u32 + 1, WAIT).await
                }
            };
            if rows.as_ref().is_err_and(|error| error.sql().is_none())
                && let Err(error) = self.under_way.lost_sight_of(now).await
            {
                self.warn_unnoted(&error);
            }
            let rows = rows.map_err(|error| self.explain(error, link.host.user()))?;
            let now_us = jiff::Timestamp::now().as_microsecond();
            let got = query::seen(&rows, link.offset_seconds, now_us);
            self.note_flaws(&got, now_us);
            came += got.len();
            for seen in got {
                match self.ledger.got(&seen.entry) {
                    Got::Kept => {}
                    Got::Foreign => self.unkept.push(seen.entry),
                }
            }
            if !self.unkept.is_empty() {
                let count = self.unkept.len();
                debug!(source = self.drain.source, count, "entries came that were not looked at");
                if known.shape.order != Order::Lifo {
                    self.note_others(count as u64, now_us);
                }
                self.keep_unkept().await?;
            }
        }
        // Where a statement of before may still run, it is no other reader that takes what is kept.
        if self.under_way.count() == 0 {
            self.ledger.answered();
        }
        Ok(came)
    }

    fn note_flaws(&self, seen: &[Seen], now_us: i64) {
        let count = seen.iter().filter(|seen| seen.flawed).count();
        if count > 0 {
            warn!(source = self.drain.source, count, "entries came incomplete from the partition");
            let text = format!(
                "{count} entries of data queue {} came longer or shorter than the partition said; they are delivered as \
                 they came",
                self.drain.queue
            );
            self.drain.standing.note(Note::Flawed, now_us, text);
        }
    }

    fn note_others(&self, count: u64, now_us: i64) {
        if count > 0 {
            warn!(source = self.drain.source, count, "another program takes entries out of the queue");
            let text = format!(
                "another program takes entries out of data queue {}; what it takes before the agent has looked does not \
                 arrive: let the agent be the only one that reads it",
                self.drain.queue
            );
            self.drain.standing.note(Note::OtherReader, now_us, text);
        }
    }

    /// Deletes what every destination has, once that is stored.
    async fn tidy(&self) {
        let Some(delivered) = (self.drain.delivered)() else { return };
        if !self.drain.spool.can_trim(delivered) {
            return;
        }
        if let Err(reason) = (self.drain.store)().await {
            warn!(
                source = self.drain.source,
                reason, "positions are not stored, so the spool keeps what is delivered"
            );
            return;
        }
        let spool = Arc::clone(&self.drain.spool);
        if let Err(error) = off_thread(move || spool.trim(delivered)).await {
            warn!(source = self.drain.source, %error, "spool cannot be tidied up");
        }
    }
}
