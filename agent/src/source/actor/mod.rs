//! The one actor that runs any source.
//!
//! It keeps asking [`turn::next`] what to do, reads, hands the batch to the pipeline and the result to the
//! destinations. It never waits for a destination that is down: that one's lane is not ready, and the
//! others go on. Progress is stamped where a step completes, so that the supervisor can tell a hung
//! source from an idle one.

mod news;
mod stand_by;

use super::sign_on::{Refused, SignOn};
use super::turn::{self, LaneView, Turn};
use super::{Gap, Read, Source, SourceError, Told};
use crate::collector::Closed;
use crate::destination::Delivery;
use crate::health::{HealthSink, HealthState};
use crate::host::reconnect::Reconnect;
use crate::lane::Lane;
use crate::lease::Lease;
use crate::pipeline::{Pipeline, SourceCounters, Target};
use crate::state::{GapBook, GapNote};
use crate::supervisor::Progress;
use actix::prelude::*;
use arc_swap::ArcSwap;
use futures_util::future::LocalBoxFuture;
use muster_shared::cursor::Cursor;
use muster_shared::policy::CompiledPolicy;
use news::News;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Longest sleep of the loop: it stamps progress at least this often when there is nothing to do.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What a source began has this long to end when the loop stops.
const CLOSE_LIMIT: Duration = Duration::from_secs(4);

/// After a gap the source stays degraded this long, so that somebody sees it.
const GAP_SHOWN_US: i64 = 24 * 3600 * 1_000_000;

/// An answer that takes longer is worth a word; the read's own deadline comes later.
const SLOW_ANSWER: Duration = Duration::from_secs(10);

/// The partition is not asked while no destination takes anything; after this long that is said.
const BLOCKED_REPORT: Duration = Duration::from_secs(60);

/// So long a source stays degraded after an entry that came damaged.
const DAMAGE_SHOWN_US: i64 = 3600 * 1_000_000;

const WAITING: &str =
    "waiting for a destination: none takes events, so the partition is not asked meanwhile; see their health";

/// Makes the connection, the source on it and its pipeline. Called again after a failure to connect.
pub type Connect = Box<dyn FnMut() -> LocalBoxFuture<'static, Result<Connected, SourceError>>>;

/// Opens what an earlier turn of this agent left behind and nobody else can deliver; None if there is nothing.
pub type Leftover = Box<dyn FnMut() -> LocalBoxFuture<'static, Result<Option<Connected>, SourceError>>>;

/// Stores the lanes' cursors now and answers when they are on disk.
pub type Store = Box<dyn Fn() -> LocalBoxFuture<'static, Result<(), String>>>;

/// What [`Connect`] makes.
pub struct Connected {
    /// The source.
    pub source: Box<dyn Source>,
    /// The pipeline for what it reads.
    pub pipeline: Pipeline,
    /// What is only assumed of the partition and how to tell it, if anything: shown as degraded.
    pub assumed: Option<String>,
}

/// A lane and where its deliveries go.
#[derive(Clone)]
pub struct LaneSlot {
    /// The lane.
    pub lane: Arc<Lane>,
    /// Index of the destination in the compiled policy.
    pub destination: usize,
    /// The destination's mailbox.
    pub mailbox: Arc<Mailbox>,
    /// The cursor was lost, not never there: start at the oldest entry.
    pub lost: bool,
}

/// Where a destination's actor of the moment is reached: a restarted one has a new address.
#[derive(Default)]
pub struct Mailbox {
    recipient: std::sync::Mutex<Option<Recipient<Delivery>>>,
}

impl Mailbox {
    /// A new actor serves the destination.
    pub fn set(&self, recipient: Recipient<Delivery>) {
        *self.lock() = Some(recipient);
    }

    fn get(&self) -> Option<Recipient<Delivery>> {
        self.lock().clone()
    }

    // The value is replaced whole: a panic elsewhere cannot leave it half written.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Recipient<Delivery>>> {
        self.recipient.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// All that a source's actor needs.
pub struct SourceTask {
    /// Name in the policy.
    pub name: String,
    /// Makes connection, source and pipeline.
    pub connect: Connect,
    /// Makes first positions durable.
    pub store: Store,
    /// The gate before each sign-on to the partition.
    pub sign_on: SignOn,
    /// Whether [`SourceTask::connect`] signs on to the partition now.
    pub signs_on: Box<dyn Fn() -> bool>,
    /// It reads the partition.
    pub on_partition: bool,
    /// Opens what is left of an earlier turn, where that can be.
    pub leftover: Option<Leftover>,
    /// The right to collect.
    pub lease: Lease,
    /// Whether the agent knows which partition it reads.
    pub partition_known: Box<dyn Fn() -> bool>,
    /// The lanes.
    pub lanes: Vec<LaneSlot>,
    /// Wakes the loop when a lane changes; shared by the lanes.
    pub wake: Arc<Notify>,
    /// Policy in use; exchanged when only filters change.
    pub policy: Arc<ArcSwap<CompiledPolicy>>,
    /// Counters of the source.
    pub counters: Arc<SourceCounters>,
    /// Gaps that were met, over restarts.
    pub gaps: Arc<GapBook>,
    /// Where health goes.
    pub health: Arc<dyn HealthSink + Send + Sync>,
    /// Stamped at every completed step.
    pub progress: Progress,
    /// Cancelled to stop the loop.
    pub stop: CancellationToken,
    /// Cancelled when the loop has ended, however it ended.
    pub ended: CancellationToken,
    /// Pause between polls when idle.
    pub poll_interval: Duration,
    /// Entries asked for in one call: what a "full" reply means.
    pub batch_rows: usize,
}

/// Runs a [`SourceTask`] until it is stopped.
pub struct SourceActor {
    task: Option<SourceTask>,
}

impl SourceActor {
    /// Starts the actor on `arbiter`; `make` runs there, since sources are not moved between threads.
    pub fn start_on(
        arbiter: &ArbiterHandle,
        make: impl FnOnce() -> SourceTask + Send + 'static,
    ) -> Addr<Self> {
        Self::start_in_arbiter(arbiter, |_| Self { task: Some(make()) })
    }
}

impl Actor for SourceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(task) = self.task.take() else { return };
        let ended = task.ended.clone().drop_guard();
        let work = async move {
            let _ended = ended;
            Loop::new(task).run().await;
        };
        ctx.spawn(work.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

struct LaneTime {
    not_before: Duration,
    served: u64,
}

struct Loop {
    task: SourceTask,
    component: String,
    clock: Instant,
    times: Vec<LaneTime>,
    turn: u64,
    /// When the source last had something to do, once it has not.
    blocked_since: Option<Duration>,
    news: News,
    assumed: Option<String>,
    /// What the source says of itself.
    told: Option<Told>,
    /// It does not collect, and this is told instead.
    stands_by: Option<Told>,
    /// Cancelled when the loop is to stop, or may not collect any more.
    halt: CancellationToken,
    /// It has to be told when every lane has a place.
    owes_beginning: bool,
    /// What was read under a lease that is gone or wanted back, until it has ended what it began.
    closing: Option<Connected>,
}

impl Loop {
    fn new(task: SourceTask) -> Self {
        let times = task.lanes.iter().map(|_| LaneTime { not_before: Duration::ZERO, served: 0 }).collect();
        let component = format!("source/{}", task.name);
        let gap = task.gaps.last(&task.name).map(|gap| (gap.at_us.saturating_add(GAP_SHOWN_US), gap.text()));
        Self {
            halt: task.stop.clone(),
            owes_beginning: false,
            task,
            component,
            clock: Instant::now(),
            times,
            turn: 0,
            blocked_since: None,
            news: News { gap, trouble: None },
            assumed: None,
            told: None,
            stands_by: None,
            closing: None,
        }
    }

    async fn run(&mut self) {
        let mut backoff = Reconnect::new();
        self.task.health.report(&self.component, HealthState::Starting, "connecting to the partition");
        loop {
            if self.await_lease(&mut backoff).await.is_err() {
                return;
            }
            let (error, wait) = match self.connect_and_work(&mut backoff).await {
                Stop::Asked if self.task.stop.is_cancelled() => return,
                Stop::Asked => {
                    self.hand_over().await;
                    continue;
                }
                Stop::Closed(closed) => (closed.reason, closed.wait),
                Stop::Failed(SourceError::Renew(why)) => {
                    info!(source = self.task.name, why, "source is made anew");
                    continue;
                }
                Stop::Failed(error) => {
                    let wait = self.task.sign_on.wait_after(&error, &mut backoff);
                    (error.to_string(), wait)
                }
            };
            if self.rest(&error, wait).await.is_err() && self.task.stop.is_cancelled() {
                return;
            }
        }
    }

    /// Says why it cannot read, and waits.
    async fn rest(&self, error: &str, wait: Duration) -> Result<(), Stopped> {
        warn!(source = self.task.name, error, wait_ms = wait.as_millis() as u64, "source cannot read");
        let reason = format!("{error}; next try in {} s", wait.as_secs().max(1));
        self.task.health.report(&self.component, HealthState::Failed, &reason);
        self.sleep_stamping(wait).await
    }

    /// Makes the lanes' places durable; false if they are not.
    async fn store_positions(&self) -> bool {
        let stored = (self.task.store)().await;
        if let Err(reason) = &stored {
            warn!(source = self.task.name, reason, "positions are not stored");
        }
        stored.is_ok()
    }

    /// Connects, when no rejected sign-on of this or another source has to be waited out.
    async fn connect(&mut self) -> Result<Connected, Stop> {
        let signs_on = (self.task.signs_on)();
        let sign_on = if signs_on { self.task.sign_on.clone() } else { SignOn(None) };
        sign_on.through((self.task.connect)()).await.map_err(|refused| match refused {
            Refused::Closed(closed) => Stop::Closed(closed),
            Refused::Failed(error) => Stop::Failed(error),
        })
    }

    async fn connect_and_work(&mut self, backoff: &mut Reconnect) -> Stop {
        let stop = self.halt.clone();
        let mut connected = match unless(&stop, self.connect()).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(failed)) => return failed,
            Err(Stopped) => return Stop::Asked,
        };
        info!(source = self.task.name, "source started");
        self.assumed = connected.assumed.take();
        connected.source.begin();
        let ended = loop {
            self.task.progress.stamp();
            match self.step(&mut connected).await {
                Ok(()) => backoff.succeeded(),
                Err(stop) => break stop,
            }
        };
        self.told = None;
        if matches!(ended, Stop::Asked) && !self.task.stop.is_cancelled() {
            self.closing = Some(connected);
        } else {
            connected.source.close(CLOSE_LIMIT).await;
        }
        ended
    }

    /// One turn. Only waiting is cut short by a stop: a batch that was read is also delivered, so that
    /// the lanes' accounts stay right.
    async fn step(&mut self, connected: &mut Connected) -> Result<(), Stop> {
        let now = self.clock.elapsed();
        let stop = self.halt.clone();
        if stop.is_cancelled() {
            return Err(Stop::Asked);
        }
        self.told = connected.source.standing(jiff::Timestamp::now().as_microsecond());
        if connected.source.has_news() {
            self.times.iter_mut().for_each(|time| time.not_before = Duration::ZERO);
        }
        let (views, epochs) = self.views();
        match turn::next(&views, now) {
            Turn::Start(members) => unless(&stop, self.start(connected, &members)).await??,
            Turn::Read { members, from, until } => {
                self.turn += 1;
                for &member in &members {
                    self.times[member].served = self.turn;
                }
                let targets = self.targets(&members, &epochs);
                let prefetch = members.len() == self.task.lanes.len();
                let health = Arc::clone(&self.task.health);
                let reading = connected.source.read(&from, until.as_ref(), prefetch);
                let read = unless(&stop, told_when_slow(&*health, &self.component, reading)).await??;
                self.take(connected, read, &members, &targets, (&from, until.as_ref())).await;
                self.blocked_since = None;
            }
            Turn::Wait(at) => {
                self.report_healthy();
                unless(&stop, self.sleep_or_wake(at.saturating_sub(now).min(LONGEST_WAIT))).await?;
            }
            Turn::Blocked => {
                // Destinations report their own trouble; but nobody looks at the partition meanwhile.
                let since = *self.blocked_since.get_or_insert(now);
                self.task.counters.looked(false, jiff::Timestamp::now().as_microsecond());
                if now.saturating_sub(since) < BLOCKED_REPORT {
                    self.report_healthy();
                } else {
                    self.task.health.report(&self.component, HealthState::Degraded, WAITING);
                }
                unless(&stop, self.sleep_or_wake(LONGEST_WAIT)).await?;
            }
        }
        Ok(())
    }

    fn targets(&self, members: &[usize], epochs: &[u64]) -> Vec<Target> {
        let target = |&member: &usize| {
            let slot = &self.task.lanes[member];
            Target { lane: Arc::clone(&slot.lane), epoch: epochs[member], destination: slot.destination }
        };
        members.iter().map(target).collect()
    }

    fn views(&self) -> (Vec<LaneView>, Vec<u64>) {
        self.task
            .lanes
            .iter()
            .zip(&self.times)
            .map(|(slot, time)| {
                let (epoch, position) = slot.lane.position();
                let view = LaneView {
                    ready: slot.lane.ready(),
                    position,
                    not_before: time.not_before,
                    served: time.served,
                };
                (view, epoch)
            })
            .unzip()
    }

    async fn start(&mut self, connected: &mut Connected, members: &[usize]) -> Result<(), SourceError> {
        for &member in members {
            let slot = &self.task.lanes[member];
            let cursor = connected.source.start(slot.lost).await?;
            info!(source = self.task.name, destination = %slot.lane.key().destination, cursor = ?cursor, lost = slot.lost, "first read");
            slot.lane.initialise(cursor);
        }
        // Only a place that is on disk is a place: after a crash `now` would be a later one, and what lies
        // between would be skipped. When the disk fails, the keeper's health says what a restart would do.
        if self.store_positions().await {
            self.note_beginning();
        }
        Ok(())
    }

    /// Hands on what was read after `from` up to `bound` and moves the lanes.
    async fn take(
        &mut self,
        connected: &mut Connected,
        read: Read,
        members: &[usize],
        targets: &[Target],
        (from, bound): (&Cursor, Option<&Cursor>),
    ) {
        let policy = self.task.policy.load_full();
        if !Arc::ptr_eq(&policy, connected.pipeline.policy()) {
            connected.pipeline.set_policy(policy);
        }
        match read {
            Read::Entries { entries, last, full } => {
                let rows = entries.rows();
                let deliveries = connected.pipeline.process(&entries, &last, targets);
                drop(entries);
                self.deliver(deliveries, members, &last).await;
                self.looked(members, bound, false);
                self.pause(members, turn::pause(rows, self.task.batch_rows, full, self.task.poll_interval));
                self.report_healthy();
            }
            Read::Records { records, last, full, trouble } => {
                let count = records.count();
                let deliveries = connected.pipeline.process_records(&*records, &last, targets);
                drop(records);
                self.deliver(deliveries, members, &last).await;
                if count == 0 && !full {
                    self.tell_held_back(connected, &last, members, targets).await;
                }
                self.looked(members, bound, !full);
                let pause = turn::pause(count, self.task.batch_rows, full, self.task.poll_interval);
                let rest = if full { Duration::ZERO } else { connected.source.rest() };
                self.pause(members, pause.max(rest));
                if let Some(trouble) = trouble {
                    warn!(source = self.task.name, trouble, "something is wrong with what was read");
                    let until = jiff::Timestamp::now().as_microsecond().saturating_add(GAP_SHOWN_US);
                    self.news.trouble = Some((until, trouble));
                }
                self.report_healthy();
            }
            Read::Gap { gap, next } => {
                let now_us = jiff::Timestamp::now().as_microsecond();
                let deliveries = connected.pipeline.gap(&gap, &next, targets, now_us);
                self.note_gap(&gap, now_us);
                self.deliver(deliveries, members, &next).await;
            }
            Read::Moved(next) => {
                debug!(source = self.task.name, cursor = ?next, "cursor moved");
                self.deliver(Pipeline::moved(&next, targets), members, &next).await;
            }
            Read::Idle => {
                self.tell_held_back(connected, from, members, targets).await;
                self.looked(members, bound, true);
                self.pause(members, self.task.poll_interval.max(connected.source.rest()));
                self.report_healthy();
            }
        }
    }

    /// Nothing follows `at`: throttles have to tell what they held back all the same.
    async fn tell_held_back(
        &mut self,
        connected: &mut Connected,
        at: &Cursor,
        members: &[usize],
        targets: &[Target],
    ) {
        let now_us = jiff::Timestamp::now().as_microsecond();
        if let Some(deliveries) = connected.pipeline.idle(at, targets, now_us) {
            self.deliver(deliveries, members, at).await;
        }
    }

    async fn deliver(&mut self, deliveries: Vec<Delivery>, members: &[usize], next: &Cursor) {
        for (delivery, &member) in deliveries.into_iter().zip(members) {
            let slot = &self.task.lanes[member];
            let epoch = delivery.epoch;
            let bytes = delivery.bytes.len();
            slot.lane.add_queued(bytes);
            // Waits when the mailbox is full. A destination that is gone is being restarted by the
            // supervisor, with its lanes rewound: what it did not take is read again.
            let sent = match slot.mailbox.get() {
                Some(mailbox) => mailbox.send(delivery).await.is_ok(),
                None => false,
            };
            if !sent {
                slot.lane.take_queued(bytes);
                slot.lane.set_open(false);
                slot.lane.rewind();
                continue;
            }
            slot.lane.advance(epoch, next.clone());
        }
    }

    fn pause(&mut self, members: &[usize], pause: Duration) {
        let at = self.clock.elapsed() + pause;
        for &member in members {
            self.times[member].not_before = at;
        }
    }

    /// Lag is told from what the last look found. A read that was bounded by a lane ahead says nothing of the
    /// end.
    fn looked(&self, members: &[usize], bound: Option<&Cursor>, found_end: bool) {
        let failed = self.told.as_ref().is_some_and(|told| told.state == HealthState::Failed);
        let at_end = found_end && bound.is_none() && !failed;
        let now_us = jiff::Timestamp::now().as_microsecond();
        for &member in members {
            self.task.lanes[member].lane.looked(at_end, now_us);
        }
        if bound.is_none() {
            self.task.counters.looked(at_end, now_us);
        }
    }

    fn note_gap(&mut self, gap: &Gap, now_us: i64) {
        let note = GapNote {
            at_us: now_us,
            receiver: gap.receiver.clone(),
            from: gap.from,
            to: gap.to,
            unit: gap.unit,
            reason: gap.reason.clone(),
        };
        let text = note.text();
        // It is reported again until each destination has it, and counted once.
        if self.task.gaps.note(&self.task.name, note) {
            self.task.counters.gaps.fetch_add(1, Ordering::Relaxed);
            warn!(
                source = self.task.name,
                receiver = gap.receiver,
                from = gap.from,
                to = gap.to,
                reason = gap.reason,
                "entries lost before they could be read"
            );
            self.news.gap = Some((now_us.saturating_add(GAP_SHOWN_US), text));
        }
        self.report_healthy();
    }

    /// Healthy, or degraded while something that was met is still news or something is only assumed of the partition.
    fn report_healthy(&mut self) {
        let now_us = jiff::Timestamp::now().as_microsecond();
        let mut reasons = self.news.reasons(now_us);
        let damage = self.task.counters.damage_since(now_us.saturating_sub(DAMAGE_SHOWN_US));
        reasons.extend(damage.map(|damage| damage.text()));
        let told = self.stands_by.as_ref().or(self.told.as_ref());
        let (state, reason) = news::health(told, reasons, self.assumed.as_deref());
        self.task.health.report(&self.component, state, &reason);
    }

    async fn sleep_or_wake(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.task.wake.notified() => {}
        }
    }

    async fn sleep_stamping(&self, wait: Duration) -> Result<(), Stopped> {
        let end = Instant::now() + wait;
        while Instant::now() < end {
            self.task.progress.stamp();
            let nap = tokio::time::sleep_until(end.min(Instant::now() + LONGEST_WAIT));
            unless(&self.halt, nap).await?;
        }
        Ok(())
    }
}

/// Why the loop does not go on with this connection.
enum Stop {
    /// It was asked to.
    Asked,
    /// A rejected sign-on has to be waited out.
    Closed(Closed),
    /// Reading failed.
    Failed(SourceError),
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

/// Does the work, and says so when the partition takes long to answer.
async fn told_when_slow<T>(
    health: &(dyn HealthSink + Send + Sync),
    component: &str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(SLOW_ANSWER, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            let reason = format!(
                "the partition has not answered for {} s; if this goes on, look at the Mapepire server's job \
                 (WRKACTJOB) and at the load of the partition",
                SLOW_ANSWER.as_secs()
            );
            health.report(component, HealthState::Degraded, &reason);
            work.await
        }
    }
}

/// The source was asked to stop.
struct Stopped;

impl From<Stopped> for Stop {
    fn from(_: Stopped) -> Self {
        Self::Asked
    }
}

/// Waits for `work`, but not longer than until the token is cancelled.
async fn unless<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Result<T, Stopped> {
    tokio::select! {
        () = stop.cancelled() => Err(Stopped),
        done = work => Ok(done),
    }
}
