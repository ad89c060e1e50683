//! A message queue (QSYSOPR, QSYSMSG or any named one), read through QSYS2.MESSAGE_QUEUE_INFO.
//!
//! Reading changes nothing in the queue: messages stay, new ones stay new. Which rows are new is decided as
//! [`timed`](super::timed) says. Operators remove messages all day, so a message that vanished is nothing to tell of;
//! only where the reader was away and all that it knew is gone, a gap says what may never have been read.
//!
//! A reply is a message of its own that names the key of its inquiry. The inquiry is looked up among those that were
//! seen of late, else in the queue.

mod advice;
mod inquiry;
mod query;

use super::settings::{NoStart, Start, is_name};
use super::timed::poller::{Looked, Poller, Service};
use super::timed::records::{Asked, Records, Shared};
use super::timed::row::Row;
use super::timed::window::TakenRow;
use super::{Read, Source, SourceError};
use crate::host::{Host, HostError, Param};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use inquiry::Inquiries;
use muster_ibmi::message::MessageDecoder;
use muster_shared::cursor::{Cursor, TimedCursor};
use muster_shared::event::MessageOrigin;
use muster_shared::partition::Partition;
use muster_shared::policy::model::{MessageQueueSpec, SourceSpec};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tracing::{debug, warn};

/// Longest wait for anything but messages.
const ASK_WAIT: Duration = Duration::from_secs(30);

/// Most inquiries that are looked up in the queue for one reply of the partition.
const MOST_LOOK_UPS: usize = 20;

/// Most messages that their keys may bring.
const MOST_FOUND: u32 = 200;

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Library of the queue.
    pub library: String,
    /// Its name.
    pub name: String,
    /// Where the first read begins.
    pub start: Start,
    /// New rows wanted in one look.
    pub batch_rows: u32,
    /// Pause between two looks.
    pub interval: Duration,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The queue.
    #[error(
        "queue `{0}`: write LIBRARY/NAME, each 1 to 10 of A-Z 0-9 $ # @ _ and not beginning with a digit"
    )]
    Queue(String),
    /// The start.
    #[error(transparent)]
    Start(#[from] NoStart),
}

impl Settings {
    /// Checks what the policy says.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn new(spec: &MessageQueueSpec) -> Result<Self, SettingsError> {
        let queue = spec.queue.to_uppercase();
        let wrong = || SettingsError::Queue(spec.queue.clone());
        let (library, name) = queue.split_once('/').ok_or_else(wrong)?;
        if !is_name(library) || !is_name(name) {
            return Err(wrong());
        }
        Ok(Self {
            library: library.to_owned(),
            name: name.to_owned(),
            start: spec.start.parse()?,
            batch_rows: spec.batch_rows.clamp(16, 5_000),
            interval: Duration::from_millis(spec.poll_interval_ms),
        })
    }

    /// Whether it is the optional queue for what is critical.
    #[must_use]
    pub fn is_critical_queue(&self) -> bool {
        self.library == "QSYS" && self.name == "QSYSMSG"
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.library, self.name)
    }
}

/// The service, for the poller.
struct MessageQueueInfo {
    settings: Settings,
    object: String,
    /// Columns that this level has.
    columns: Vec<String>,
}

impl Service for MessageQueueInfo {
    fn sql(&self, rows: u32) -> String {
        query::messages(&self.settings, &self.columns, rows)
    }

    fn params(&self, first: String, last: String) -> Vec<Param> {
        vec![Param::Text(first), Param::Text(last)]
    }

    /// The whole queue is looked through, whatever time is asked for.
    fn slices(&self) -> bool {
        false
    }

    /// By operators.
    fn is_weeded(&self) -> bool {
        true
    }

    fn object(&self) -> &str {
        &self.object
    }

    fn why_gone(&self) -> &'static str {
        "the queue was cleared, wrapped or created anew; what the history log holds of it is read by a source of its own"
    }

    fn explain(&self, error: HostError, user: &str) -> SourceError {
        advice::explain(error, &self.settings, user)
    }
}

/// The source. See the module.
pub struct MessageQueue {
    key: String,
    service: MessageQueueInfo,
    /// The columns of this level are known.
    columns_known: bool,
    poller: Poller,
    shared: Rc<Shared>,
    inquiries: Inquiries,
}

impl MessageQueue {
    /// A source on a connection of its own.
    ///
    /// # Errors
    /// [`SourceError::Setup`] for settings that cannot work.
    pub fn new(
        spec: &MessageQueueSpec,
        host: Box<dyn Host>,
        partition: &Partition,
    ) -> Result<Self, SourceError> {
        let settings = Settings::new(spec).map_err(|error| SourceError::Setup(error.to_string()))?;
        let key = SourceSpec::MessageQueue(spec.clone()).key();
        let shared = Shared {
            decoder: MessageDecoder::new(partition.ccsid),
            origin: MessageOrigin::Queue,
            queue: settings.to_string(),
            prefix: format!("{}/{key}/", partition.key()),
        };
        let poller = Poller::new(host, partition.utc_offset_seconds, settings.batch_rows, settings.interval);
        Ok(Self {
            key,
            service: MessageQueueInfo { object: settings.to_string(), settings, columns: Vec::new() },
            columns_known: false,
            poller,
            shared: Rc::new(shared),
            inquiries: Inquiries::default(),
        })
    }

    /// A level without a column is met by asking the catalogue, not by trial and error.
    async fn learn_columns(&mut self) -> Result<(), SourceError> {
        if self.columns_known {
            return Ok(());
        }
        match self.poller.host().query(query::COLUMNS, &[], 200, ASK_WAIT).await {
            Ok(rows) => {
                let names = rows.texts().into_iter().filter_map(|row| row.into_iter().next().flatten());
                self.service.columns = names.map(|name| name.trim().to_owned()).collect();
            }
            Err(HostError::Sql(error)) if error.is_lack() => {
                warn!(source = self.key, error = error.message, "columns of the service are not told");
            }
            Err(error) => return Err(error.into()),
        }
        self.columns_known = true;
        Ok(())
    }

    /// A queue that shows nothing may be empty, or not be there.
    async fn check_exists(&mut self) -> Result<(), SourceError> {
        let sql = query::exists(&self.service.settings);
        match self.poller.host().query(&sql, &[], 1, ASK_WAIT).await {
            Ok(rows) if rows.is_empty() => {
                let user = self.poller.host().user().to_owned();
                Err(SourceError::Setup(advice::missing(&self.service.settings, &user)))
            }
            Ok(_) => Ok(()),
            Err(HostError::Sql(error)) => {
                // The queue itself gave no error: it is taken to be there.
                debug!(source = self.key, error = error.message, "whether the queue exists is not told");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn start_inner(&mut self, lost: bool) -> Result<TimedCursor, SourceError> {
        self.learn_columns().await?;
        // Also asks the queue, so that what is wrong with it shows at once.
        let now = self.poller.begin(&self.service).await?;
        if now.seen.is_empty() {
            self.check_exists().await?;
        }
        match self.service.settings.start {
            Start::Now if !lost => Ok(now),
            Start::At(time) if !lost => self.poller.before_utc(time.as_microsecond()).await,
            // What was read before is unknown, so everything is read again: nothing is lost.
            Start::Now | Start::At(_) | Start::Oldest => self.poller.before(0).await,
        }
    }

    async fn read_inner(
        &mut self,
        from: &TimedCursor,
        until: Option<&TimedCursor>,
    ) -> Result<Read, SourceError> {
        self.learn_columns().await?;
        let now_and_then = self.poller.is_due();
        let Looked { rows, taken, now, gap } = self.poller.look(from, until, &self.service).await?;
        if rows.is_empty() && (now_and_then || taken.vanished) {
            self.check_exists().await?;
        }
        if let Some((gap, next)) = gap {
            return Ok(Read::Gap { gap, next: Cursor::Timed(next) });
        }
        self.inquiries.note(&rows);
        if taken.rows.is_empty() {
            return Ok(super::timed::nothing_new(taken, from));
        }
        self.look_up_inquiries(&rows, &taken.rows).await;
        let utc = |at_us: i64| self.poller.utc_us(at_us, &now);
        let answers = |row: &Row| {
            let is_reply = row.kind == "REPLY" && !row.linked.is_empty();
            is_reply.then(|| self.inquiries.find(&row.linked).cloned().unwrap_or_default())
        };
        let records = Records::new(Rc::clone(&self.shared), rows, taken.rows, answers, utc);
        let trouble = records.trouble();
        let last = Cursor::Timed(taken.last);
        Ok(Read::Records { records: Box::new(records), last, full: taken.more, trouble })
    }

    /// Asks the queue for inquiries of replies that were not seen of late.
    async fn look_up_inquiries(&mut self, rows: &[Row], taken: &[TakenRow]) {
        let replies = taken.iter().map(|taken| &rows[taken.index]).filter(|row| row.kind == "REPLY");
        let mut unknown: Vec<&str> = Vec::new();
        for row in replies.filter(|row| !row.linked.is_empty()) {
            let key = row.linked.as_str();
            if self.inquiries.find(key).is_none() && !unknown.contains(&key) {
                unknown.push(key);
            }
        }
        unknown.truncate(MOST_LOOK_UPS);
        if unknown.is_empty() {
            return;
        }
        let sql = query::by_keys(&self.service.settings, unknown.len());
        let params: Vec<Param> = unknown.iter().map(|key| Param::Text((*key).to_owned())).collect();
        // What is found more than once (a key that came again) is told by the last one; what is not found is kept as
        // not known, so that it is not asked for at each look.
        for key in &unknown {
            self.inquiries.keep((*key).to_owned(), Asked::default());
        }
        match self.poller.host().query(&sql, &params, MOST_FOUND, ASK_WAIT).await {
            Ok(rows) => {
                for row in rows.texts() {
                    let mut cells = row.into_iter();
                    let mut text =
                        || cells.next().flatten().map(|text| text.trim_end().to_owned()).unwrap_or_default();
                    let (key, asked) = (text(), Asked { id: text(), text: text() });
                    self.inquiries.keep(key, asked);
                }
            }
            Err(error) => {
                // The replies are worth more than the texts of their inquiries.
                warn!(source = self.key, error = %error, "inquiries of replies cannot be looked up");
            }
        }
    }
}

impl Source for MessageQueue {
    fn key(&self) -> &str {
        &self.key
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
            let from = super::timed::place(from, "a message queue")?;
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

    #[test]
    fn settings() {
        let spec = |queue: &str, start: &str| MessageQueueSpec {
            queue: queue.to_owned(),
            start: start.to_owned(),
            ..MessageQueueSpec::default()
        };
        let settings = Settings::new(&spec("qsys/qsysmsg", "oldest")).unwrap();
        assert_eq!((settings.to_string(), settings.start), ("QSYS/QSYSMSG".to_owned(), Start::Oldest));
        assert!(settings.is_critical_queue());
        assert!(!Settings::new(&MessageQueueSpec::default()).unwrap().is_critical_queue());
        for queue in ["QSYSOPR", "QSYS/", "QSYS/Q'X", "QSYS/ELEVENCHARS", "*LIBL/Q", "QSYS/1A"] {
            assert_eq!(Settings::new(&spec(queue, "now")), Err(SettingsError::Queue(queue.to_owned())));
        }
        assert!(matches!(Settings::new(&spec("A/B", "soon")), Err(SettingsError::Start(_))));
    }
}
