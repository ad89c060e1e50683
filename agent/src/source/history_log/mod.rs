//! The history log QHST, read through QSYS2.HISTORY_LOG_INFO.
//!
//! The service reads the files of the log from the beginning to the end of the time that is asked for, so little time
//! is asked for: some seconds while the reader is up to date, slices while it is behind. Which rows are new is decided
//! as [`timed`](super::timed) says; that the files of the log are switched changes nothing, since rows are asked for by
//! time. Nothing is copied: the log itself is the buffer.

mod query;

use super::settings::{NoStart, Start};
use super::timed::poller::{Looked, Poller, Service};
use super::timed::records::{Records, Shared};
use super::{Read, Source, SourceError};
use crate::host::{Host, HostError, Param};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use muster_ibmi::message::MessageDecoder;
use muster_shared::cursor::{Cursor, TimedCursor};
use muster_shared::event::MessageOrigin;
use muster_shared::partition::Partition;
use muster_shared::policy::model::{HISTORY_LOG_KEY, HistoryLogSpec};
use std::rc::Rc;
use std::time::Duration;

/// The log, in gaps.
const OBJECT: &str = "QHST";

/// Longest wait for the oldest message.
const OLDEST_WAIT: Duration = Duration::from_secs(45);

/// Checked settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Where the first read begins.
    pub start: Start,
    /// New rows wanted in one look.
    pub batch_rows: u32,
    /// Pause between two looks.
    pub interval: Duration,
}

impl Settings {
    /// Checks what the policy says.
    ///
    /// # Errors
    /// When the start is none.
    pub fn new(spec: &HistoryLogSpec) -> Result<Self, NoStart> {
        Ok(Self {
            start: spec.start.parse()?,
            batch_rows: spec.batch_rows.clamp(16, 5_000),
            interval: Duration::from_millis(spec.poll_interval_ms),
        })
    }
}

/// The service, for the poller.
#[derive(Debug, Clone, Copy)]
struct HistoryLogInfo;

impl Service for HistoryLogInfo {
    fn sql(&self, rows: u32) -> String {
        query::messages(rows)
    }

    fn params(&self, first: String, last: String) -> Vec<Param> {
        vec![Param::Text(first.clone()), Param::Text(last), Param::Text(first)]
    }

    fn slices(&self) -> bool {
        true
    }

    /// The log loses whole files.
    fn is_weeded(&self) -> bool {
        false
    }

    fn object(&self) -> &str {
        OBJECT
    }

    fn why_gone(&self) -> &'static str {
        "keep the files of the history log (QSYS/QHST*) longer than the agent may be down (QHSTLOGSIZ, GO CLEANUP)"
    }

    fn explain(&self, error: HostError, user: &str) -> SourceError {
        match error.sql() {
            Some(sql) if sql.not_authorized() => SourceError::Setup(format!(
                "{user} may not read the history log: {}. QSYS2.HISTORY_LOG_INFO is open to everybody as shipped; look \
                 for a changed public authority: DSPOBJAUT OBJ(QSYS2/QDBSSUDF2) OBJTYPE(*SRVPGM) and WRKOBJ QSYS/QHST*",
                sql.message
            )),
            Some(sql) if sql.is_lack() => SourceError::Setup(format!(
                "the partition lacks the SQL service that reading the history log needs ({}); IBM i 7.3 or later with a \
                 current Db2 PTF group is needed",
                sql.message
            )),
            _ => SourceError::Host(error),
        }
    }
}

/// The source. See the module.
pub struct HistoryLog {
    settings: Settings,
    poller: Poller,
    shared: Rc<Shared>,
}

impl HistoryLog {
    /// A source on a connection of its own.
    ///
    /// # Errors
    /// [`SourceError::Setup`] for settings that cannot work.
    pub fn new(
        spec: &HistoryLogSpec,
        host: Box<dyn Host>,
        partition: &Partition,
    ) -> Result<Self, SourceError> {
        let settings = Settings::new(spec).map_err(|error| SourceError::Setup(error.to_string()))?;
        let shared = Shared {
            decoder: MessageDecoder::new(partition.ccsid),
            origin: MessageOrigin::HistoryLog,
            queue: String::new(),
            prefix: format!("{}/{HISTORY_LOG_KEY}/", partition.key()),
        };
        let poller = Poller::new(host, partition.utc_offset_seconds, settings.batch_rows, settings.interval);
        Ok(Self { settings, poller, shared: Rc::new(shared) })
    }

    async fn start_inner(&mut self, lost: bool) -> Result<TimedCursor, SourceError> {
        match self.settings.start {
            Start::Now if !lost => self.poller.begin(&HistoryLogInfo).await,
            Start::At(time) if !lost => self.poller.before_utc(time.as_microsecond()).await,
            // What was read before is unknown, so everything is read again: nothing is lost.
            Start::Now | Start::At(_) | Start::Oldest => {
                let user = self.poller.host().user().to_owned();
                let rows = self.poller.host().query(query::OLDEST, &[], 1, OLDEST_WAIT).await;
                let rows = rows.map_err(|error| HistoryLogInfo.explain(error, &user))?;
                match super::timed::row::read(&rows, 0).first() {
                    Some(oldest) => self.poller.before(oldest.at_us).await,
                    None => self.poller.begin(&HistoryLogInfo).await,
                }
            }
        }
    }

    async fn read_inner(
        &mut self,
        from: &TimedCursor,
        until: Option<&TimedCursor>,
    ) -> Result<Read, SourceError> {
        let Looked { rows, taken, now, gap } = self.poller.look(from, until, &HistoryLogInfo).await?;
        if let Some((gap, next)) = gap {
            return Ok(Read::Gap { gap, next: Cursor::Timed(next) });
        }
        if taken.rows.is_empty() {
            return Ok(super::timed::nothing_new(taken, from));
        }
        let utc = |at_us: i64| self.poller.utc_us(at_us, &now);
        let records = Records::new(Rc::clone(&self.shared), rows, taken.rows, |_| None, utc);
        let trouble = records.trouble();
        let last = Cursor::Timed(taken.last);
        Ok(Read::Records { records: Box::new(records), last, full: taken.more, trouble })
    }
}

impl Source for HistoryLog {
    fn key(&self) -> &str {
        HISTORY_LOG_KEY
    }

    fn start(&mut self, lost: bool) -> LocalBoxFuture<'_, Result<Cursor, SourceError>> {
        async move { Ok(Cursor::Timed(self.start_inner(lost).await?)) }.boxed_local()
    }

    fn read<'a>(
        &'a mut self,
        from: &'a Cursor,
        until: Option<&'a Cursor>,
        _: bool,
    ) -> LocalBoxFuture<'a, Result<Read, SourceError>> {
        async move {
            let from = super::timed::place(from, "the history log")?;
            self.read_inner(from, until.and_then(Cursor::timed)).await
        }
        .boxed_local()
    }

    fn rest(&self) -> Duration {
        self.poller.rest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SqlError;

    #[test]
    fn settings() {
        let spec = |start: &str| HistoryLogSpec { start: start.to_owned(), ..HistoryLogSpec::default() };
        let interval = Duration::from_secs(1);
        let expected = Settings { start: Start::Now, batch_rows: 1_000, interval };
        assert_eq!(Settings::new(&spec("now")), Ok(expected));
        assert_eq!(Settings::new(&spec("oldest")).map(|settings| settings.start), Ok(Start::Oldest));
        assert!(Settings::new(&spec("soon")).is_err());
    }

    #[test]
    fn a_missing_service_and_a_lack_of_authority_are_told_apart() {
        let told = |code, message: &str| {
            let error = SqlError { code, state: String::new(), message: message.to_owned() };
            HistoryLogInfo.explain(HostError::Sql(error), "MUSTER").to_string()
        };
        assert!(told(-204, "HISTORY_LOG_INFO in QSYS2 type *N not found.").contains("PTF"));
        assert!(
            told(-551, "Not authorized to object QHST26330A.")
                .starts_with("MUSTER may not read the history log")
        );
        assert!(told(-901, "System error.").starts_with("the partition answered SQLCODE -901"));
    }
}
