//! The life of a destination: connect, run a session, wait, connect again, until it is stopped.

use super::actor::DestinationParts;
use super::backoff;
use super::config::DestinationConfig;
use super::heartbeat::Heartbeat;
use super::queue::Queue;
use super::session::Session;
use super::stats::Stats;
use super::transport::{self, Connection, TransportError};
use super::{Delivery, datagrams};
use crate::health::HealthState;
use crate::lane::Lane;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;
use tracing::{info, warn};

/// What actor and link share; both live in one thread.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) queue: RefCell<Queue>,
    pub(super) lanes: RefCell<Vec<Arc<Lane>>>,
    /// Written before anything that is queued; whoever waits is told when it is.
    pub(super) notices: RefCell<VecDeque<(Vec<u8>, oneshot::Sender<()>)>>,
    pub(super) wake: Notify,
    stop_at: Cell<Option<Instant>>,
    connected: Cell<bool>,
}

impl Shared {
    pub(super) fn stop_at(&self) -> Option<Instant> {
        self.stop_at.get()
    }

    /// Asks the link to end, at `at` the latest. Sources read no more for this destination.
    pub(super) fn stop(&self, at: Instant) {
        self.stop_at.set(Some(at));
        self.set_open(false);
        self.wake.notify_one();
    }

    /// Replaces the lanes; what was queued by a lane that is gone is still delivered.
    pub(super) fn set_lanes(&self, lanes: Vec<Arc<Lane>>) {
        let old = self.lanes.replace(lanes);
        for lane in &old {
            if !self.lanes.borrow().iter().any(|kept| Arc::ptr_eq(kept, lane)) {
                lane.set_open(false);
            }
        }
        self.set_open(self.connected.get() && self.stop_at().is_none());
    }

    fn set_open(&self, open: bool) {
        for lane in self.lanes.borrow().iter() {
            lane.set_open(open);
        }
    }

    fn connected(&self, connected: bool) {
        self.connected.set(connected);
        self.set_open(connected && self.stop_at().is_none());
    }

    /// What was queued or written and not committed is read again.
    fn rewind(&self) {
        self.queue.borrow_mut().clear();
        for lane in self.lanes.borrow().iter() {
            lane.rewind();
        }
    }
}

/// How a session ended.
pub(super) enum End {
    /// On purpose.
    Stopped,
    /// The connection is gone; `settled`: it had worked.
    Broken { reason: String, settled: bool },
}

/// Keeps one destination connected.
pub(super) struct Link {
    parts: DestinationParts,
    shared: Rc<Shared>,
    heartbeat: Heartbeat,
    /// The notice that is being written.
    notice: Option<oneshot::Sender<()>>,
    instance: u64,
}

impl Link {
    pub(super) fn new(parts: DestinationParts, shared: Rc<Shared>, now_us: i64) -> Self {
        let instance = parts.instance.fetch_add(1, Ordering::AcqRel) + 1;
        let heartbeat = Heartbeat::new(parts.config.heartbeat, now_us);
        // What an earlier actor of this destination left behind when it panicked is void.
        for lane in parts.lanes() {
            lane.set_open(false);
            lane.take_queued(usize::MAX);
            lane.rewind();
        }
        Self { parts, shared, heartbeat, notice: None, instance }
    }

    pub(super) fn config(&self) -> &DestinationConfig {
        &self.parts.config
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.parts.stats
    }

    pub(super) fn shared(&self) -> Rc<Shared> {
        Rc::clone(&self.shared)
    }

    /// Whether a newer actor serves this destination (this one was taken for frozen).
    pub(super) fn superseded(&self) -> bool {
        self.parts.instance.load(Ordering::Acquire) != self.instance
    }

    /// Reports health; what was cut or lost since the agent's start is never left unsaid.
    pub(super) fn report(&self, state: HealthState, reason: &str) {
        let noted;
        let reason = match self.losses() {
            "" => reason,
            note if reason.is_empty() => note,
            note => {
                noted = format!("{reason}; {note}");
                noted.as_str()
            }
        };
        self.parts.health.report(&self.config().component(), state, reason);
    }

    /// What was lost on the way; the counts are in `show-state` and in the rates.
    pub(super) fn losses(&self) -> &'static str {
        let cut = self.shared.lanes.borrow().iter().any(|lane| lane.truncated() > 0);
        let lost = self.stats().lost_datagrams.load(Ordering::Relaxed) > 0;
        match (cut, lost) {
            (false, false) => "",
            (true, false) => "events longer than a datagram were cut, use TCP or TLS (see show-state)",
            (false, true) => "datagrams were lost since the agent started (see show-state)",
            (true, true) => {
                "events longer than a datagram were cut and datagrams lost, use TCP or TLS (see show-state)"
            }
        }
    }

    pub(super) fn heartbeat_due(&self) -> Option<Instant> {
        self.heartbeat.due()
    }

    #[cfg(test)]
    pub(super) fn heartbeat_at(&mut self, now: Instant) {
        self.heartbeat.connected(now);
    }

    /// What goes out before events: a notice, else a heartbeat that is due. Called when what was given before is
    /// written.
    pub(super) fn word(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(written) = self.notice.take() {
            // An error means that nobody waits any more.
            let _ = written.send(());
        }
        let next = self.shared.notices.borrow_mut().pop_front();
        if let Some((bytes, written)) = next {
            self.notice = Some(written);
            Stats::add(&self.stats().bytes, bytes.len() as u64);
            return Some(bytes);
        }
        self.heartbeat(now)
    }

    /// The framed heartbeat, if one is due and can be made.
    fn heartbeat(&mut self, now: Instant) -> Option<Vec<u8>> {
        if !self.heartbeat.is_due(now) || self.shared.stop_at().is_some() {
            return None;
        }
        let Some(facts) = self.parts.facts.facts() else {
            self.heartbeat.later(now);
            return None;
        };
        let delivered = self.stats().delivered.load(Ordering::Relaxed);
        let time_us = jiff::Timestamp::now().as_microsecond();
        let bytes = self.heartbeat.write(&self.parts.config, &facts, delivered, now, time_us);
        if bytes.is_empty() {
            return None;
        }
        Stats::add(&self.stats().heartbeats, 1);
        Stats::add(&self.stats().bytes, bytes.len() as u64);
        Some(bytes)
    }

    pub(super) fn next_delivery(&self) -> Option<Delivery> {
        let mut queue = self.shared.queue.borrow_mut();
        let delivery = queue.pop();
        self.stats().queued_bytes.store(queue.bytes(), Ordering::Relaxed);
        delivery
    }

    /// Runs until the destination is stopped.
    pub(super) async fn run(mut self) {
        self.report(HealthState::Starting, "connecting");
        let mut failures = 0;
        loop {
            let pause = backoff::pause(failures, rand::random());
            if !self.wait(pause).await {
                return;
            }
            let connected = tokio::select! {
                connected = transport::connect(&self.parts.config) => connected,
                () = stopped(Rc::clone(&self.shared)) => return,
            };
            match connected {
                Ok(connection) => match self.session(connection).await {
                    End::Stopped => return,
                    End::Broken { reason, settled } => {
                        failures = if settled { 0 } else { failures + 1 };
                        self.broken(&reason, settled);
                    }
                },
                Err(error) => {
                    failures += 1;
                    self.failed(&error);
                }
            }
        }
    }

    async fn session(&mut self, connection: Connection) -> End {
        let now = Instant::now();
        info!(destination = self.config().name, address = %self.config().transport.address(), "destination connected");
        Stats::add(&self.stats().connections, 1);
        self.stats().connected.store(true, Ordering::Relaxed);
        self.heartbeat.connected(now);
        self.shared.connected(true);
        let end = match connection {
            Connection::Datagrams(socket) => datagrams::run(self, socket).await,
            Connection::Stream { stream, patience, held } => {
                Session::new(self, patience, held, now).run(stream).await
            }
        };
        self.shared.connected(false);
        self.stats().connected.store(false, Ordering::Relaxed);
        self.shared.rewind();
        self.notice = None;
        self.shared.notices.borrow_mut().clear();
        end
    }

    fn broken(&self, reason: &str, settled: bool) {
        Stats::add(&self.stats().breaks, 1);
        let text =
            format!("{} {}: {reason}", self.config().transport.kind(), self.config().transport.address());
        self.stats().set_error(&text);
        warn!(destination = self.config().name, reason, "destination connection broke");
        let state = if settled { HealthState::Degraded } else { HealthState::Failed };
        self.report(state, &text);
    }

    fn failed(&self, error: &TransportError) {
        let text = error.chain();
        self.stats().set_error(&text);
        warn!(destination = self.config().name, reason = text, "destination cannot be reached");
        self.report(HealthState::Failed, &text);
    }

    /// Waits; false when the destination is to stop.
    async fn wait(&self, pause: Duration) -> bool {
        if self.superseded() || self.shared.stop_at().is_some() {
            return false;
        }
        tokio::select! {
            () = sleep(pause) => !self.superseded() && self.shared.stop_at().is_none(),
            () = stopped(Rc::clone(&self.shared)) => false,
        }
    }
}

impl Drop for Link {
    /// Ended, on purpose or by a panic: sources must not go on sending to nobody.
    fn drop(&mut self) {
        if self.superseded() {
            return;
        }
        self.shared.connected(false);
        self.shared.rewind();
        self.stats().connected.store(false, Ordering::Relaxed);
        self.stats().queued_bytes.store(0, Ordering::Relaxed);
    }
}

/// Completes when the destination is to stop.
async fn stopped(shared: Rc<Shared>) {
    while shared.stop_at().is_none() {
        shared.wake.notified().await;
    }
}
