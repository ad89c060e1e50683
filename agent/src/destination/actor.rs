//! The actor of one destination. It is thin: messages go into the queue, the [`Link`] does the rest.
//!
//! A panic in the link ends the actor, as any panic does; the supervisor makes a new one from the same
//! [`DestinationParts`], and the lanes say where to go on.

use super::Delivery;
use super::config::DestinationConfig;
use super::heartbeat::{self, HeartbeatSource};
use super::link::{Link, Shared};
use super::stats::Stats;
use crate::health::HealthSink;
use crate::lane::Lane;
use actix::prelude::*;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Messages that may wait in the mailbox. They are taken out at once; what they bring is bounded by the
/// lanes' credit.
const MAILBOX: usize = 16;

/// Time to write what is queued when a destination is stopped.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What a destination is made of. Clones share lanes, figures and identity, so a supervisor's factory
/// keeps one and makes every new actor from it.
#[derive(Clone)]
pub struct DestinationParts {
    pub(super) config: Arc<DestinationConfig>,
    lanes: Arc<Mutex<Vec<Arc<Lane>>>>,
    pub(super) health: Arc<dyn HealthSink + Send + Sync>,
    pub(super) facts: Arc<dyn HeartbeatSource>,
    pub(super) stats: Arc<Stats>,
    pub(super) instance: Arc<AtomicU64>,
}

impl DestinationParts {
    /// The parts of a destination with these lanes.
    #[must_use]
    pub fn new(
        config: DestinationConfig,
        lanes: Vec<Arc<Lane>>,
        health: Arc<dyn HealthSink + Send + Sync>,
        facts: Arc<dyn HeartbeatSource>,
    ) -> Self {
        Self {
            config: Arc::new(config),
            lanes: Arc::new(Mutex::new(lanes)),
            health,
            facts,
            stats: Arc::default(),
            instance: Arc::default(),
        }
    }

    pub(super) fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_lanes(&self, lanes: &[Arc<Lane>]) {
        *self.lanes.lock().unwrap_or_else(PoisonError::into_inner) = lanes.to_vec();
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &Arc<DestinationConfig> {
        &self.config
    }

    /// Its figures, valid over restarts of the actor.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }
}

/// Starts destinations.
#[derive(Debug, Clone, Copy)]
pub struct Destination;

impl Destination {
    /// Starts an actor for the parts in the current arbiter. Its lanes are rewound and open once the
    /// receiver is reached.
    #[must_use]
    pub fn start(parts: DestinationParts) -> Addr<DestinationActor> {
        DestinationActor::new(parts).start()
    }

    /// Starts an actor for the parts in `arbiter`.
    #[must_use]
    pub fn start_in(parts: DestinationParts, arbiter: &ArbiterHandle) -> Addr<DestinationActor> {
        DestinationActor::start_in_arbiter(arbiter, |_| DestinationActor::new(parts))
    }
}

/// The actor; made anew for each (re)start.
pub struct DestinationActor {
    parts: DestinationParts,
    shared: Rc<Shared>,
    stopping: Vec<oneshot::Sender<()>>,
    ended: bool,
}

impl DestinationActor {
    /// An actor for these parts; takes over from any earlier one.
    #[must_use]
    pub fn new(parts: DestinationParts) -> Self {
        Self { parts, shared: Rc::default(), stopping: Vec::new(), ended: false }
    }
}

impl Actor for DestinationActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.set_lanes(self.parts.lanes());
        let link =
            Link::new(self.parts.clone(), Rc::clone(&self.shared), jiff::Timestamp::now().as_microsecond());
        ctx.spawn(link.run().into_actor(self).map(|(), actor, ctx| {
            actor.ended = true;
            for waiting in actor.stopping.drain(..) {
                let _ = waiting.send(());
            }
            ctx.stop();
        }));
    }
}

impl Handler<Delivery> for DestinationActor {
    type Result = ();

    fn handle(&mut self, delivery: Delivery, _ctx: &mut Self::Context) {
        let mut queue = self.shared.queue.borrow_mut();
        queue.push(delivery);
        self.parts.stats.queued_bytes.store(queue.bytes(), Ordering::Relaxed);
        drop(queue);
        self.shared.wake.notify_one();
    }
}

/// Write what is queued, but not longer than `limit`, close the connection, end. Answered when ended. What
/// the replay window still holds is sent again after the next start.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// Longest time for what is queued; [`STOP_LIMIT`] is a good one.
    pub limit: Duration,
}

impl Handler<Stop> for DestinationActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, stop: Stop, _ctx: &mut Self::Context) -> Self::Result {
        self.shared.stop(Instant::now() + stop.limit);
        let (ended, wait) = oneshot::channel();
        if !self.ended {
            self.stopping.push(ended);
        }
        // An error means that the actor is gone: what was asked for.
        Box::pin(async move {
            let _ = wait.await;
        })
    }
}

/// Replaces the lanes (sources were added or removed by a policy).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetLanes(
    /// The lanes from now on.
    pub Vec<Arc<Lane>>,
);

impl Handler<SetLanes> for DestinationActor {
    type Result = ();

    fn handle(&mut self, lanes: SetLanes, _ctx: &mut Self::Context) {
        self.parts.set_lanes(&lanes.0);
        self.shared.set_lanes(lanes.0);
    }
}

/// Tells the receiver of a change of policy that may show it less. Answered when it is written, or at once
/// while the receiver cannot be reached; the sender sets the deadline.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Announce {
    /// Revision that comes.
    pub policy_revision: u64,
    /// What it takes away.
    pub reason: String,
}

impl Handler<Announce> for DestinationActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, announce: Announce, _ctx: &mut Self::Context) -> Self::Result {
        let facts = self.parts.facts.facts();
        let connected = self.parts.stats.connected.load(Ordering::Relaxed);
        let Some(facts) = facts.filter(|_| connected) else {
            return Box::pin(async {});
        };
        let time_us = jiff::Timestamp::now().as_microsecond();
        let bytes = heartbeat::policy_changed(
            &self.parts.config,
            &facts,
            announce.policy_revision,
            &announce.reason,
            time_us,
        );
        let (written, wait) = oneshot::channel();
        self.shared.notices.borrow_mut().push_back((bytes, written));
        self.shared.wake.notify_one();
        // An error means that the connection broke or the actor ended.
        Box::pin(async move {
            let _ = wait.await;
        })
    }
}
