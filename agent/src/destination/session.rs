//! One connection of a stream transport, from open to break or stop.
//!
//! One loop does four things as they become possible: it writes what waits, reads (only to see the end, a
//! reset or an alert at once), commits what the replay window yields, and keeps time. It holds no event
//! beyond the delivery that it writes.

use super::link::{End, Link};
use super::transport::{ByteStream, Patience, explain};
use super::window::Window;
use super::writing::{LaneRef, Writing};
use crate::health::HealthState;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep_until, timeout};

/// A connection counts as working when it has lived this long: a receiver that refuses the client
/// certificate does so within it, after a handshake that looked well.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// A receiver that reads nothing for this long is reported.
const STALL_REPORT: Duration = Duration::from_secs(10);

/// Commits are gathered for this long.
const COMMIT_PAUSE: Duration = Duration::from_millis(20);

/// Longest wait for the end of a connection that is closed on purpose.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

// There is one at a time; a box would cost an allocation for each batch.
#[allow(clippy::large_enum_variant)]
enum Out {
    Delivery(Writing),
    Heartbeat { bytes: Vec<u8>, offset: usize },
}

/// State of one connection.
pub(super) struct Session<'l> {
    link: &'l mut Link,
    patience: Patience,
    window: Window<LaneRef>,
    out: Option<Out>,
    unflushed: bool,
    started: Instant,
    settled: bool,
    relaxed: bool,
    stall_reported: bool,
}

impl<'l> Session<'l> {
    pub(super) fn new(link: &'l mut Link, patience: Patience, held: u64, now: Instant) -> Self {
        let window = Window::new(link.config().hold(), held, now);
        Self {
            link,
            patience,
            window,
            out: None,
            unflushed: false,
            started: now,
            settled: false,
            relaxed: false,
            stall_reported: false,
        }
    }

    /// Runs until the connection breaks or the destination is stopped.
    pub(super) async fn run(mut self, stream: Box<dyn ByteStream>) -> End {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut heard = [0; 1024];
        let end = loop {
            if let Some(end) = self.look_after(Instant::now()) {
                break end;
            }
            let deadline = self.deadline(Instant::now()).into();
            let shared = self.link.shared();
            tokio::select! {
                biased;
                read = reader.read(&mut heard) => match read {
                    // Syslog receivers say nothing; what one says anyway is not for us.
                    Ok(count) if count > 0 => {}
                    Ok(_) => break self.broken("the receiver closed the connection; it may have been restarted".to_owned()),
                    Err(error) => break self.broken(explain(&error)),
                },
                written = poll_fn(|cx| self.poll_write(cx, Pin::new(&mut writer))) => {
                    if let Err(error) = written {
                        self.count_in_doubt();
                        break self.broken(explain(&error));
                    }
                }
                () = shared.wake.notified() => {}
                () = sleep_until(deadline) => {}
            }
        };
        match &end {
            End::Stopped => {
                // close_notify and FIN. The receiver's answer would not tell what its program has taken, so
                // what the window holds is not committed but sent again after the next start.
                let _ = timeout(CLOSE_LIMIT, writer.shutdown()).await;
            }
            End::Broken { .. } => {}
        }
        self.count_replayed();
        end
    }

    fn broken(&self, reason: String) -> End {
        End::Broken { reason, settled: self.settled }
    }

    /// Everything that becomes due as time passes. Returns the end when the destination is to stop.
    fn look_after(&mut self, now: Instant) -> Option<End> {
        for commit in self.window.due(now) {
            commit.lane.0.commit(commit.epoch, commit.cursor);
        }
        if !self.settled && now >= self.started + SETTLED {
            self.settled = true;
            self.link.report(HealthState::Healthy, "");
        }
        self.look_at_stall(now);
        if self.link.superseded() {
            return Some(End::Stopped);
        }
        let stop = self.link.shared().stop_at()?;
        let written = self.out.is_none() && !self.unflushed && self.link.shared().queue.borrow().is_empty();
        (written || now >= stop).then_some(End::Stopped)
    }

    fn look_at_stall(&mut self, now: Instant) {
        match self.window.stalled_since() {
            Some(since) => {
                let stalled = now.saturating_duration_since(since);
                if !self.relaxed && stalled >= self.patience.limit() {
                    self.relaxed = true;
                    self.patience.stalled();
                }
                if !self.stall_reported && stalled >= STALL_REPORT {
                    self.stall_reported = true;
                    self.link.report(
                        HealthState::Degraded,
                        "the receiver keeps the connection but reads nothing; check its load and its disk",
                    );
                }
            }
            None => {
                if std::mem::take(&mut self.relaxed) {
                    self.patience.resumed();
                }
                if std::mem::take(&mut self.stall_reported) {
                    self.link.report(HealthState::Healthy, "");
                }
            }
        }
    }

    /// When [`Session::look_after`] has to be called even if nothing else happens.
    fn deadline(&self, now: Instant) -> Instant {
        let stall = self.window.stalled_since().and_then(|since| {
            if !self.relaxed {
                Some(since + self.patience.limit())
            } else if !self.stall_reported {
                Some(since + STALL_REPORT)
            } else {
                None
            }
        });
        // Behind a delivery that is blocked, or while stopping, it cannot be written however due it is.
        let can_beat = self.out.is_none() && self.link.shared().stop_at().is_none();
        let heartbeat = self.link.heartbeat_due().filter(|_| can_beat);
        [
            self.window.next_due(now).map(|due| due.max(now + COMMIT_PAUSE)),
            (!self.settled).then_some(self.started + SETTLED),
            stall,
            heartbeat,
            self.link.shared().stop_at(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now + Duration::from_secs(60))
    }

    fn next_out(&mut self, now: Instant) -> Option<Out> {
        if let Some(bytes) = self.link.word(now) {
            return Some(Out::Heartbeat { bytes, offset: 0 });
        }
        self.link.next_delivery().map(|delivery| Out::Delivery(Writing::new(delivery)))
    }

    /// Writes what waits. Ready when one delivery is written, so that the loop looks after the rest.
    fn poll_write<W: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<()>> {
        let now = Instant::now();
        if self.out.is_none() {
            self.out = self.next_out(now);
        }
        let Some(out) = &mut self.out else {
            return self.poll_flush(cx, writer, now);
        };
        loop {
            let rest = match out {
                Out::Delivery(writing) => writing.rest(),
                Out::Heartbeat { bytes, offset } => &bytes[*offset..],
            };
            let written = if rest.is_empty() {
                0
            } else {
                match writer.as_mut().poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => written,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        self.window.stall(now);
                        return Poll::Pending;
                    }
                }
            };
            self.window.resume(now);
            self.unflushed = true;
            let done = match out {
                Out::Delivery(writing) => {
                    writing.wrote(written, &mut self.window, self.link.stats(), now);
                    writing.rest().is_empty()
                }
                Out::Heartbeat { bytes, offset } => {
                    *offset += written;
                    *offset == bytes.len()
                }
            };
            if done {
                self.out = None;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Nothing waits: pushes out what TLS holds back. Pending when there is nothing to do.
    fn poll_flush<W: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        writer: Pin<&mut W>,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        if !self.unflushed {
            return Poll::Pending;
        }
        match writer.poll_flush(cx) {
            Poll::Ready(result) => {
                self.window.resume(now);
                self.unflushed = false;
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.window.stall(now);
                Poll::Pending
            }
        }
    }

    /// A write that failed may have carried some of its messages all the same: TLS sends record by record and tells
    /// of none of them when a later one fails. They are sent again, so they count as that.
    fn count_in_doubt(&self) {
        if let Some(Out::Delivery(writing)) = &self.out {
            writing.count_in_doubt();
        }
    }

    fn count_replayed(&self) {
        for lane in self.link.shared().lanes.borrow().iter() {
            lane.count_replayed(self.window.uncommitted(&LaneRef(lane.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::actor::DestinationParts;
    use super::super::config::DestinationConfig;
    use super::super::heartbeat::{HeartbeatFacts, HeartbeatSource};
    use super::super::link::Shared;
    use super::*;
    use crate::health::HealthSink;
    use muster_shared::policy::model::{DestinationSpec, FormatSpec, TransportSpec};
    use std::rc::Rc;
    use std::sync::Arc;

    struct Nothing;
    impl HealthSink for Nothing {
        fn report(&self, _: &str, _: HealthState, _: &str) {}
    }
    impl HeartbeatSource for Nothing {
        fn facts(&self) -> Option<HeartbeatFacts> {
            None
        }
    }

    fn link() -> (Link, Rc<Shared>) {
        let spec = DestinationSpec {
            transport: TransportSpec::Tcp {
                address: "127.0.0.1:514".to_owned(),
                framing: muster_shared::policy::model::Framing::default(),
            },
            format: FormatSpec::default(),
            heartbeat_seconds: 300,
            replay_window_ms: 1_000,
            receiver_buffer_bytes: None,
        };
        let config = DestinationConfig::build("siem", &spec, std::path::Path::new("/s")).unwrap();
        let parts = DestinationParts::new(config, Vec::new(), Arc::new(Nothing), Arc::new(Nothing));
        let shared: Rc<Shared> = Rc::default();
        let link = Link::new(parts, Rc::clone(&shared), 0);
        (link, shared)
    }

    #[test]
    fn a_notice_goes_first_and_is_answered_when_it_is_written() {
        let (mut link, shared) = link();
        let (written, mut wait) = tokio::sync::oneshot::channel();
        shared.notices.borrow_mut().push_back((b"changed".to_vec(), written));
        let now = Instant::now();
        assert_eq!(link.word(now), Some(b"changed".to_vec()));
        assert!(wait.try_recv().is_err(), "handed out, not written");
        // Asked for the next one: the notice is written. No heartbeat: the partition is not known yet.
        assert_eq!(link.word(now), None);
        assert_eq!(wait.try_recv(), Ok(()));
    }

    #[test]
    fn a_heartbeat_that_cannot_be_written_wakes_nobody() {
        let (mut link, shared) = link();
        let start = Instant::now();
        link.heartbeat_at(start);
        let mut session = Session::new(&mut link, Patience::none(), u64::MAX, start);
        session.settled = true;
        let now = start + Duration::from_secs(5);
        assert_eq!(session.deadline(now), start, "due since the start: write it now");
        session.out = Some(Out::Heartbeat { bytes: vec![0], offset: 0 });
        assert!(session.deadline(now) > now, "the receiver takes nothing");
        session.out = None;
        shared.stop(now + Duration::from_secs(3));
        assert_eq!(session.deadline(now), now + Duration::from_secs(3), "stopping");
    }
}
