//! The shell: asks the partition for rows and for its clock, and lets [`super::window`] decide.

use super::clock::{Clock, Moment};
use super::local::{local_text, shown};
use super::recent::Recent;
use super::row::{self, Row};
use super::window::{self, Range, Reply, RowKey, Taken};
use crate::host::{Host, HostError, Param, Rows, StatementId, facts};
use crate::source::{Gap, GapUnit, SourceError};
use muster_ibmi::timestamp;
use muster_shared::cursor::TimedCursor;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Longest wait for rows.
const READ_WAIT: Duration = Duration::from_secs(45);

/// Longest wait for anything else.
const ASK_WAIT: Duration = Duration::from_secs(30);

/// Fewest new rows wanted in one look.
pub const FEWEST_ROWS: u32 = 16;

/// Most rows asked for at once, seen ones included.
const MOST_ROWS: u32 = 1 << 20;

const SECOND_US: i64 = 1_000_000;
/// A reader that is behind asks for so much time at first, and for this much at least and at most: the history log is
/// read from the beginning to the end of what is asked for, whatever part of it is wanted.
const FIRST_SLICE_US: i64 = 600 * SECOND_US;
const SHORTEST_SLICE_US: i64 = SECOND_US;
const LONGEST_SLICE_US: i64 = 86_400 * SECOND_US;

/// Of the time, a reader keeps the partition busy for one part in this many at most.
const SHARE: u32 = 4;

/// The same, while its looks bring nothing.
const IDLE_SHARE: u32 = 20;

/// Most looks at what is there already when reading begins now.
const MOST_BEGINNINGS: usize = 64;

/// An answer that was late or too large is asked for again with less, so often.
const TRIES: u32 = 4;

/// What the agent's clock told once. From then on only time passes: somebody may set the agent's clock while it runs,
/// and it may be the partition's.
static BEGAN: LazyLock<(Instant, i64)> =
    LazyLock::new(|| (Instant::now(), jiff::Timestamp::now().as_microsecond()));

/// Longest rest between two looks.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The clock, and its distance from UTC.
const CLOCK: &str = "select current timestamp as NOW, current timezone as ZONE from SYSIBM.SYSDUMMY1";

/// How rows are asked for: what differs between the services.
pub trait Service {
    /// The statement for at most `rows` rows, by time.
    fn sql(&self, rows: u32) -> String;

    /// Its parameters, from the first and the last time.
    fn params(&self, first: String, last: String) -> Vec<Param>;

    /// Whether asking for less time costs the partition less.
    fn slices(&self) -> bool;

    /// Whether single rows are removed all day, in any order.
    fn is_weeded(&self) -> bool;

    /// What is read, for gaps: `QHST`, `QSYS/QSYSOPR`.
    fn object(&self) -> &str;

    /// Why rows may be gone, and what to do about it.
    fn why_gone(&self) -> &'static str;

    /// Turns an error of the partition into advice where advice can be given.
    fn explain(&self, error: HostError, user: &str) -> SourceError;
}

/// What one look brought.
#[derive(Debug)]
pub struct Looked {
    /// All rows of the reply, seen ones too.
    pub rows: Vec<Row>,
    /// What is to be done with them.
    pub taken: Taken,
    /// What time it was.
    pub now: Moment,
    /// Rows that were never read may have been removed; and the place behind that.
    pub gap: Option<(Gap, TimedCursor)>,
}

/// A connection to a service, and what is known of the partition's clock.
pub struct Poller {
    host: Box<dyn Host>,
    clock: Clock,
    recent: Recent,
    connected: Instant,
    /// Pause between two looks.
    interval: Duration,
    batch: u32,
    /// `batch` is halved this often.
    halvings: u32,
    slice_us: i64,
    /// A longer slice was too much.
    slice_most_us: i64,
    statements: Vec<(u32, StatementId)>,
    /// What the last two answers took.
    costs: [Duration; 2],
    /// The last look brought something.
    busy: bool,
}

impl Poller {
    /// On a connection of its own. `utc_offset_seconds` is that of the partition's facts.
    #[must_use]
    pub fn new(host: Box<dyn Host>, utc_offset_seconds: i32, batch: u32, interval: Duration) -> Self {
        Self {
            host,
            clock: Clock::new(utc_offset_seconds),
            recent: Recent::default(),
            connected: Instant::now(),
            interval,
            batch,
            halvings: 0,
            slice_us: FIRST_SLICE_US,
            slice_most_us: LONGEST_SLICE_US,
            statements: Vec::new(),
            costs: [Duration::ZERO; 2],
            busy: true,
        }
    }

    /// The connection, for other questions.
    pub fn host(&mut self) -> &mut dyn Host {
        &mut *self.host
    }

    /// UTC of a row's local time.
    #[must_use]
    pub fn utc_us(&self, at_us: i64, now: &Moment) -> i64 {
        self.clock.utc_us(at_us, now)
    }

    /// How long a reader lets the partition alone, by what answers take. One that was slow by chance does not
    /// count.
    #[must_use]
    pub fn rest(&self) -> Duration {
        let [last, before] = self.costs;
        let share = if self.busy { SHARE } else { IDLE_SHARE };
        (last.min(before) * (share - 1)).min(LONGEST_REST)
    }

    /// Whether the next look asks the clock as well; other things that are asked for now and then go along.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.clock.is_due(self.connected.elapsed())
    }

    /// What time it is at the partition.
    ///
    /// # Errors
    /// The partition cannot be asked, or does not tell.
    pub async fn moment(&mut self) -> Result<Moment, SourceError> {
        if self.is_due() {
            self.ask_clock().await?;
        }
        self.clock
            .moment(self.connected.elapsed(), utc_us())
            .ok_or_else(|| SourceError::Reply(no_clock("nothing")))
    }

    async fn ask_clock(&mut self) -> Result<(), SourceError> {
        let asked = self.connected.elapsed();
        let rows = self.host.query(CLOCK, &[], 1, ASK_WAIT).await?;
        let row = rows.texts().into_iter().next().unwrap_or_default();
        let mut cells = row.into_iter();
        let (now, zone) = (cells.next().flatten(), cells.next().flatten());
        let local = now.as_deref().and_then(|now| timestamp::local_micros(now.trim().as_bytes()));
        let local = local.ok_or_else(|| SourceError::Reply(no_clock(now.as_deref().unwrap_or("nothing"))))?;
        // It was read at some moment between question and answer.
        let half = (self.connected.elapsed() - asked) / 2;
        let offset = match zone.as_deref().and_then(facts::offset_of_timezone) {
            Some(offset) => Some(offset),
            None => facts::utc_offset(&mut *self.host).await?,
        };
        if self.clock.tell(asked + half, local, micros(half), offset) {
            warn!("the partition's clock was set back; rows of the time that comes twice are told apart");
            self.recent.set_back();
        }
        Ok(())
    }

    /// Reads what follows `from`, not beyond the place of a reader ahead.
    ///
    /// # Errors
    /// The partition cannot be asked, or its answer is an error.
    pub async fn look(
        &mut self,
        from: &TimedCursor,
        until: Option<&TimedCursor>,
        service: &dyn Service,
    ) -> Result<Looked, SourceError> {
        self.moment().await?;
        let now = self.clock.moment_at(self.connected.elapsed(), utc_us(), from);
        let now = now.ok_or_else(|| SourceError::Reply(no_clock("nothing")))?;
        let back = now.set_back_since(from);
        let until = window::to_join(from, until, back);
        let (reply, range, full) = self.fetch(from, until, &now, back.is_some(), service).await?;
        let rows = row::read(&reply, from.from_us);
        let keys: Vec<RowKey> = rows.iter().map(Row::row_key).collect();
        let reply = Reply { rows: &keys, full, range };
        let clock = &self.clock;
        let mut taken =
            window::absorb(from, until, reply, &now, &mut self.recent, |at| clock.utc_us(at, &now));
        if let Some(back) = back {
            info!(object = service.object(), back_us = back, "the clock was set back, looking back as far");
            taken.last = window::set_back(taken.last, from.looked_us, back);
        }
        self.busy = !taken.rows.is_empty();
        self.adapt(&reply);
        let since = self.lost_since(from, &taken, &now, back, service).await?;
        let gap = since
            .map(|since| (self.gap(from, since, &keys, &now, service), window::after_gap(from, &now, back)));
        Ok(Looked { rows, taken, now, gap })
    }

    /// The place where reading begins now.
    ///
    /// # Errors
    /// The partition cannot be asked, or its answer is an error.
    pub async fn begin(&mut self, service: &dyn Service) -> Result<TimedCursor, SourceError> {
        let now = self.moment().await?;
        let mut from = self.place_before(now.settled_us, &now);
        // One reply may not hold all that is there; each further one knows the rows of those before.
        for _ in 0..MOST_BEGINNINGS {
            let (reply, range, full) = self.fetch(&from, None, &now, false, service).await?;
            let keys: Vec<RowKey> = row::read(&reply, from.from_us).iter().map(Row::row_key).collect();
            let place = window::begin(&keys, range.from_us, &now, |at_us| self.clock.utc_us(at_us, &now));
            if !full || place == from {
                return Ok(place);
            }
            from = place;
        }
        Ok(from)
    }

    /// A place before the first row of a local time.
    ///
    /// # Errors
    /// The partition cannot be asked.
    pub async fn before(&mut self, local_us: i64) -> Result<TimedCursor, SourceError> {
        let now = self.moment().await?;
        Ok(self.place_before(local_us, &now))
    }

    fn place_before(&self, local_us: i64, now: &Moment) -> TimedCursor {
        window::before(local_us, now, |at_us| self.clock.utc_us(at_us, now))
    }

    /// A place before the first row of a moment in UTC. The partition may have had another offset from UTC then, so
    /// that it begins an hour earlier.
    ///
    /// # Errors
    /// The partition cannot be asked.
    pub async fn before_utc(&mut self, utc_us: i64) -> Result<TimedCursor, SourceError> {
        // Asks the clock, and with it the offset.
        self.moment().await?;
        self.before(self.clock.local_of(utc_us).saturating_sub(3_600 * SECOND_US)).await
    }

    /// Rows of the range from `from` on. When the answer is late or too large, again with less, as long as less can be
    /// asked for.
    async fn fetch(
        &mut self,
        from: &TimedCursor,
        until: Option<&TimedCursor>,
        now: &Moment,
        set_back: bool,
        service: &dyn Service,
    ) -> Result<(Rows, Range, bool), SourceError> {
        let mut tries = 0;
        let (mut asked, mut refused) = (None, None);
        loop {
            let slice = service.slices().then_some(self.slice_us);
            let batch = (self.batch >> self.halvings.min(16)).max(FEWEST_ROWS.min(self.batch));
            let range = window::range(from, until, now, slice, batch, set_back);
            let size = size_for(range.rows, batch);
            let less = asked.replace((range, size)) != Some((range, size));
            if let (false, Some(error)) = (less, refused.take()) {
                return Err(service.explain(error, self.host.user()));
            }
            let began = Instant::now();
            let result = self.ask(range, size, service).await;
            self.costs = [began.elapsed(), self.costs[0]];
            match result {
                Ok(rows) => {
                    let full = rows.len() >= size as usize;
                    return Ok((rows, range, full));
                }
                Err(error) if error.is_too_much() && tries < TRIES => {
                    tries += 1;
                    self.halvings = (self.halvings + 2).min(16);
                    if range.sliced {
                        self.slice_most_us = (self.slice_us / 2).max(SHORTEST_SLICE_US);
                    }
                    self.slice_us = (self.slice_us / 16).max(SHORTEST_SLICE_US);
                    warn!(object = service.object(), error = %error, "asking for less");
                    refused = Some(error);
                }
                Err(error) => return Err(service.explain(error, self.host.user())),
            }
        }
    }

    async fn ask(&mut self, range: Range, size: u32, service: &dyn Service) -> Result<Rows, HostError> {
        let statement = match self.statements.iter().find(|(known, _)| *known == size) {
            Some((_, statement)) => *statement,
            None => {
                let statement = self.host.statement(service.sql(size));
                self.statements.push((size, statement));
                statement
            }
        };
        let to = range.to_us.unwrap_or(i64::MAX);
        let params = service.params(local_text(range.from_us), local_text(to));
        self.host.execute(statement, &params, size, READ_WAIT).await
    }

    /// Makes the next looks larger or smaller, by what the last one was like.
    fn adapt(&mut self, reply: &Reply<'_>) {
        if reply.full {
            self.slice_us = (self.slice_us / 2).max(SHORTEST_SLICE_US);
        } else {
            self.halvings = self.halvings.saturating_sub(1);
            if !reply.range.more {
                // It has caught up.
                (self.slice_us, self.slice_most_us) = (FIRST_SLICE_US, LONGEST_SLICE_US);
            } else if reply.range.sliced && reply.rows.len() * 4 < self.batch as usize {
                self.slice_us = (self.slice_us * 2).min(self.slice_most_us);
            }
        }
    }

    /// The time since which rows may be missing, if that is so. Where single rows are removed all day, one that is
    /// older than all that vanished bears witness: who clears a queue, or wraps it, removes the older ones first.
    async fn lost_since(
        &mut self,
        from: &TimedCursor,
        taken: &Taken,
        now: &Moment,
        back: Option<i64>,
        service: &dyn Service,
    ) -> Result<Option<i64>, SourceError> {
        let pause = micros(self.interval.max(self.rest()));
        let Some(since) = window::lost_since(from, now, pause).filter(|_| taken.vanished) else {
            return Ok(None);
        };
        if service.is_weeded() && back.is_none() {
            let to_us = Some(from.from_us.saturating_sub(1));
            let older = Range { from_us: i64::MIN, to_us, rows: 1, more: false, sliced: false };
            match self.ask(older, 1, service).await {
                Ok(rows) if rows.is_empty() => {}
                Ok(_) => return Ok(None),
                Err(error) => return Err(service.explain(error, self.host.user())),
            }
        }
        Ok(Some(since))
    }

    /// Rows that stood for what was read are gone: what came before those that are there now may never have been read.
    fn gap(
        &self,
        from: &TimedCursor,
        since: i64,
        rows: &[RowKey],
        now: &Moment,
        service: &dyn Service,
    ) -> Gap {
        let first = rows.first().map_or(now.local_us, |row| row.at_us);
        let utc = |at_us: i64| u64::try_from(self.clock.utc_us(at_us, now)).unwrap_or(0);
        Gap {
            reason: format!(
                "messages from {} to {} (local time of the partition) may have been removed before they were read: those \
                 that were read last are gone, and it was not looked since {}; {}",
                shown(since),
                shown(first),
                shown(from.looked_us),
                service.why_gone()
            ),
            receiver: service.object().to_owned(),
            from: utc(since),
            to: Some(utc(first)),
            unit: GapUnit::Time,
        }
    }
}

/// The agent's clock, see [`BEGAN`].
fn utc_us() -> i64 {
    let (began, began_us) = *BEGAN;
    began_us.saturating_add(micros(began.elapsed()))
}

/// Sizes of statements are few, so that they are prepared once.
fn size_for(rows: u32, batch: u32) -> u32 {
    let mut size = batch.max(1);
    while size < rows && size < MOST_ROWS {
        size *= 2;
    }
    size
}

fn no_clock(told: &str) -> String {
    format!("the partition does not tell its time: `{CLOCK}` gave {told}")
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_come_in_few_sizes() {
        let sizes: Vec<u32> =
            [1, 1_000, 1_001, 2_500, 5_000, u32::MAX].map(|rows| size_for(rows, 1_000)).into();
        assert_eq!(sizes, [1_000, 1_000, 2_000, 4_000, 8_000, 1_024_000 * 2]);
    }
}
