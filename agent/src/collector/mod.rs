//! The collector: the supervising actor that runs a policy.
//!
//! It owns sources, destinations and the lanes between them, replaces children that die or freeze, stores
//! committed cursors, and changes from one policy to the next. What does not change goes on: a policy
//! that differs only in filters, routes and severities is exchanged under running sources; a destination
//! whose settings stay keeps its connection.

mod facts;
mod gate;
mod launch;
mod outage;
mod running;
mod sources;
mod spooled;

pub use facts::FactsBook;
pub use gate::{Closed, Credentials, SignOnGate};
pub use launch::Environment;
pub(crate) use outage::COMMAND_ENTRY;
pub use outage::OutageWatch;
pub use running::prepare;
pub use sources::connect_source_once;

use crate::health::HealthSink;
use crate::policy::PolicyChange;
use crate::state::Flush;
use crate::status::{CursorStatus, DestinationStatus, SourceStatus};
use crate::supervisor::Children;
use actix::prelude::*;
use running::{Prepared, Running};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Pause between two rounds of supervision.
const SUPERVISE_EVERY: Duration = Duration::from_secs(1);

/// Runs a policy; see the module.
pub struct Collector {
    env: Arc<Environment>,
    clock: Instant,
    children: Children,
    running: Running,
    /// A change of policy is under way: supervision and the next change wait for it.
    changing: bool,
}

/// Longest time for telling the present destinations of a change.
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(2);

/// Runs this checked policy instead of the present one. Answers when every actor of it is started, or with the
/// reason why it cannot run; then the present one goes on.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), String>")]
pub struct Apply(pub PolicyChange);

/// Stops everything: sources first, then destinations, which flush what they hold. Stores the cursors.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown;

/// Asks for what `show-state` shows.
#[derive(Debug, Message)]
#[rtype(result = "Overview")]
pub struct GetOverview;

/// Answer to [`GetOverview`].
#[derive(Debug, Default, MessageResponse)]
pub struct Overview {
    /// Revision in force.
    pub revision: u64,
    /// Sources by name.
    pub sources: BTreeMap<String, SourceStatus>,
    /// Destinations by name.
    pub destinations: BTreeMap<String, DestinationStatus>,
    /// Cursors by lane.
    pub cursors: Vec<CursorStatus>,
}

impl Collector {
    /// A collector without a policy.
    #[must_use]
    pub fn new(env: Arc<Environment>) -> Self {
        let running = Running::new(&env);
        Self { env, clock: Instant::now(), children: Children::default(), running, changing: false }
    }

    fn supervise(&mut self) {
        if !self.changing {
            let health: &dyn HealthSink = self.env.health.as_ref();
            self.children.check(self.clock.elapsed(), health);
        }
    }

    /// Exchanges filters, or stops what the new policy does not keep and starts the rest.
    fn change(&mut self, prepared: Prepared) -> ResponseActFuture<Self, Result<(), String>> {
        if self.running.exchange_filters(&self.env, &prepared) {
            info!(revision = prepared.policy.revision, "policy in force, filters exchanged");
            self.changing = false;
            return Box::pin(fut::ready(Ok(())));
        }
        let stopped = self.running.stop_for(&mut self.children, &prepared);
        Box::pin(stopped.into_actor(self).map(|(), collector, _| {
            collector.go_on(prepared);
            collector.changing = false;
            Ok(())
        }))
    }

    /// Second half of a change: everything that has to stop is stopped.
    fn go_on(&mut self, prepared: Prepared) {
        let revision = prepared.policy.revision;
        self.running.start(&self.env, &mut self.children, prepared);
        info!(revision, "policy in force");
    }
}

impl Actor for Collector {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SUPERVISE_EVERY, |collector, _| collector.supervise());
    }
}

impl Handler<Apply> for Collector {
    type Result = ResponseActFuture<Self, Result<(), String>>;

    fn handle(&mut self, Apply(change): Apply, _: &mut Self::Context) -> Self::Result {
        if self.changing {
            let busy = "another change of policy is under way; this one must be offered again".to_owned();
            return Box::pin(fut::ready(Err(busy)));
        }
        let prepared = match prepare(&self.env, &change) {
            Ok(prepared) => prepared,
            Err(reason) => return Box::pin(fut::ready(Err(reason))),
        };
        self.changing = true;
        let announced = self.running.announce(prepared.policy.revision, &change.narrows);
        let announced = async move {
            if tokio::time::timeout(ANNOUNCE_LIMIT, announced).await.is_err() {
                warn!("not every destination could be told of the change of policy in time");
            }
        };
        Box::pin(announced.into_actor(self).then(|(), collector, _| collector.change(prepared)))
    }
}

impl Handler<Shutdown> for Collector {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) -> Self::Result {
        self.changing = true;
        let stopped = self.running.stop_all(&mut self.children);
        let keeper = self.running.keeper();
        let stored = async move {
            stopped.await;
            match keeper.send(Flush).await {
                Ok(Ok(())) => info!("collection stopped, cursors stored"),
                Ok(Err(error)) => {
                    warn!(error, "collection stopped, cursors not stored: events will be sent again")
                }
                Err(_) => warn!("collection stopped, the keeper of cursors had ended before"),
            }
        };
        Box::pin(stored.into_actor(self))
    }
}

impl Handler<GetOverview> for Collector {
    type Result = Overview;

    fn handle(&mut self, _: GetOverview, _: &mut Self::Context) -> Overview {
        self.running.overview(&self.env)
    }
}
