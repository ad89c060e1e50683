//! The controller's audit log: what administrators did reaches the SIEM by way of this agent.
//!
//! The log is read over the agent's own mutual TLS, page by page; its entries are numbered without a hole and
//! chained by hashes, and the cursor holds number and hash of the last one. So a log that was changed, cut or
//! replaced on the controller's host shows here, whatever the controller says: as an event of its own and in
//! the source's health. Nothing is kept on the agent: the log itself is the buffer.

mod config;
mod decode;
mod query;

pub use config::{Settings, SettingsError, Start};
pub use query::{Controllers, PageError, Pages};

use super::{Read, Source, SourceError};
use decode::{Taken, take};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use muster_shared::cursor::{Cursor, LogCursor};

/// Kind and object of the source: there is one log.
pub use muster_shared::policy::model::CONTROLLER_AUDIT_KEY as KEY;

/// Entries asked for at once.
pub const PAGE: u32 = 500;

/// The source. See the module.
pub struct ControllerAudit {
    settings: Settings,
    pages: Box<dyn Pages>,
    /// Front part of the ids of its events: names the controller's authority, so that two agents that read one
    /// log give an entry the same id.
    prefix: String,
    /// Hash of the fork of a restored log to which this source went back; once, or a log that was changed beyond it
    /// would be read again and again.
    went_back: Option<String>,
}

impl ControllerAudit {
    /// A source that reads from `pages`. `authority` names the controller's certification authority.
    #[must_use]
    pub fn new(settings: Settings, pages: Box<dyn Pages>, authority: &str) -> Self {
        Self { settings, pages, prefix: format!("controller/{authority}/audit/"), went_back: None }
    }

    async fn read_inner(&mut self, from: &LogCursor, until: Option<u64>) -> Result<Read, SourceError> {
        let limit = until.map_or(PAGE, |until| {
            u32::try_from(until.saturating_sub(from.sequence)).unwrap_or(PAGE).clamp(1, PAGE)
        });
        let mut page = self.pages.page(from.sequence, limit).await.map_err(explain)?;
        page.fork.take_if(|fork| self.went_back.as_ref() == Some(&fork.hash));
        let (newest, fork) = (page.newest, page.fork.clone());
        let read = match take(page, from, until, &self.prefix, self.pages.controller()) {
            Taken::Nothing => Read::Idle,
            Taken::Cut(gap, next) => {
                if let Some(fork) = fork.filter(|fork| fork.hash == next.hash.as_str()) {
                    self.went_back = Some(fork.hash);
                }
                Read::Gap { gap, next: Cursor::ControllerAudit(next) }
            }
            Taken::Records(records) => {
                let full = records.last.sequence < newest;
                let last = Cursor::ControllerAudit(records.last.clone());
                let trouble = records.trouble.clone();
                Read::Records { records: Box::new(records), last, full, trouble }
            }
        };
        Ok(read)
    }
}

fn explain(error: PageError) -> SourceError {
    match error {
        PageError::Unreachable(_) => SourceError::Reply(error.to_string()),
        PageError::Refused(_) => SourceError::Setup(error.to_string()),
    }
}

impl Source for ControllerAudit {
    fn key(&self) -> &str {
        KEY
    }

    fn start(&mut self, lost: bool) -> LocalBoxFuture<'_, Result<Cursor, SourceError>> {
        async move {
            let cursor = match self.settings.start {
                Start::Now if !lost => {
                    let page = self.pages.page(u64::MAX, 0).await.map_err(explain)?;
                    LogCursor { sequence: page.newest, hash: page.newest_hash.as_str().into() }
                }
                Start::Now | Start::Oldest => LogCursor { sequence: 0, hash: "".into() },
            };
            Ok(Cursor::ControllerAudit(cursor))
        }
        .boxed_local()
    }

    fn read<'a>(
        &'a mut self,
        from: &'a Cursor,
        until: Option<&'a Cursor>,
        _: bool,
    ) -> LocalBoxFuture<'a, Result<Read, SourceError>> {
        async move {
            let from = from.log().ok_or_else(|| {
                SourceError::Reply("the stored place is not one in the controller's audit log".to_owned())
            })?;
            let until = until.and_then(Cursor::log).map(|until| until.sequence);
            self.read_inner(from, until).await
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use decode::tests::{Line, forked, log, page};
    use muster_proto::api::{AgentAuditPage, AuditFork};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    /// A log in memory.
    struct Made(Rc<RefCell<Result<Vec<Line>, PageError>>>);

    impl Pages for Made {
        fn page(&mut self, after: u64, limit: u32) -> LocalBoxFuture<'_, Result<AgentAuditPage, PageError>> {
            let answer = self.0.borrow().clone().map(|log| {
                let mut page = page(&log, usize::try_from(after).unwrap_or(usize::MAX));
                page.lines.truncate(limit as usize);
                page
            });
            Box::pin(async move { answer })
        }

        fn controller(&self) -> &str {
            "controller"
        }
    }

    type Shared = Rc<RefCell<Result<Vec<Line>, PageError>>>;

    fn source(count: u64, start: Start) -> (ControllerAudit, Shared) {
        let shared = Rc::new(RefCell::new(Ok(log(count))));
        let settings = Settings { start, poll_interval: Duration::from_secs(1) };
        (ControllerAudit::new(settings, Box::new(Made(shared.clone())), "ca"), shared)
    }

    #[tokio::test]
    async fn it_reads_in_pages_to_the_end() {
        let (mut source, shared) = source(u64::from(PAGE) + 3, Start::Oldest);
        let mut cursor = source.start(false).await.unwrap();
        let mut counts = Vec::new();
        loop {
            match source.read(&cursor, None, true).await.unwrap() {
                Read::Records { records, last, full, trouble } => {
                    counts.push((records.count(), full));
                    assert_eq!(trouble, None);
                    cursor = last;
                }
                Read::Idle => break,
                Read::Gap { .. } | Read::Moved(_) | Read::Entries { .. } => panic!("records expected"),
            }
        }
        assert_eq!(counts, [(500, true), (3, false)]);
        // Cut on the controller's host.
        shared.borrow_mut().as_mut().unwrap().truncate(10);
        let Read::Gap { gap, next } = source.read(&cursor, None, true).await.unwrap() else {
            panic!("a gap expected")
        };
        assert_eq!((gap.from, gap.to, next.log().unwrap().sequence), (11, Some(503), 10));
    }

    #[tokio::test]
    async fn it_goes_back_to_the_fork_of_a_restored_log_once() {
        struct Forked(Vec<Line>, AuditFork);
        impl Pages for Forked {
            fn page(&mut self, after: u64, _: u32) -> LocalBoxFuture<'_, Result<AgentAuditPage, PageError>> {
                let fork = Some(self.1.clone());
                let page = page(&self.0, usize::try_from(after).unwrap_or(usize::MAX));
                Box::pin(async move { Ok(AgentAuditPage { fork, ..page }) })
            }

            fn controller(&self) -> &str {
                "controller"
            }
        }
        let lost = log(6);
        let (restored, fork) = forked(&lost, 3, 5);
        let settings = Settings { start: Start::Oldest, poll_interval: Duration::from_secs(1) };
        let mut source = ControllerAudit::new(settings, Box::new(Forked(restored, fork)), "ca");
        let read = decode::tests::page(&lost, 0);
        let beyond =
            |hash: &str| Cursor::ControllerAudit(LogCursor { sequence: read.newest, hash: hash.into() });
        let mut places = Vec::new();
        for hash in [read.newest_hash.as_str(), "another"] {
            let Read::Gap { next, .. } = source.read(&beyond(hash), None, true).await.unwrap() else {
                panic!("a gap expected")
            };
            places.push(next.log().unwrap().sequence);
        }
        assert_eq!(places, [3, 5], "to the fork once, then to the end");
    }

    #[tokio::test]
    async fn it_starts_where_it_is_told_and_loses_nothing_with_its_cursors() {
        for (start, lost, expected) in
            [(Start::Now, false, 7), (Start::Now, true, 0), (Start::Oldest, false, 0)]
        {
            let (mut source, _) = source(7, start);
            let cursor = source.start(lost).await.unwrap();
            assert_eq!(cursor.log().unwrap().sequence, expected, "{start:?} {lost}");
            let read = source.read(&cursor, None, true).await.unwrap();
            assert_eq!(matches!(read, Read::Idle), expected == 7, "{start:?} {lost}");
        }
    }

    #[tokio::test]
    async fn a_controller_that_refuses_is_a_matter_for_people() {
        let (mut source, shared) = source(1, Start::Oldest);
        let cursor = source.start(false).await.unwrap();
        *shared.borrow_mut() = Err(PageError::Refused("no such source".to_owned()));
        let error = source.read(&cursor, None, true).await.map(|_| ()).unwrap_err();
        assert!(matches!(&error, SourceError::Setup(text) if text.contains("no such source")), "{error}");
        *shared.borrow_mut() = Err(PageError::Unreachable("refused".to_owned()));
        let error = source.read(&cursor, None, true).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, SourceError::Reply(_)), "{error}");
    }
}
