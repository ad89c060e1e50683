//! What waits to be sent to one agent: the latest of each kind, never a queue.
//!
//! Whoever has something for an agent leaves it here and goes on; a slow socket holds up nobody. The policy
//! itself is not kept here: the session sends the one that is wanted when it gets to it.

use muster_proto::session::inspect::InspectRequest;
use muster_proto::session::rates::RatesWatch;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Notify, oneshot};

/// Probes that may wait on one connection; more are answered as if the other end were silent.
const MAX_PROBES: usize = 4;

/// Questions that may wait for one agent.
const MAX_ASKS: usize = 32;

/// Why a session is ended from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The agent came back on another connection while this one was dead.
    Replaced,
    /// The agent was removed.
    Removed,
    /// The agent was revoked.
    Revoked,
    /// A restored controller has taken this one's place.
    Superseded,
    /// The controller stops.
    Shutdown,
}

/// What waits.
#[derive(Debug, Default)]
pub struct Pending {
    /// The wanted policy or package may have changed.
    pub policy: bool,
    /// Connection settings, such as the authorities to trust, changed.
    pub settings: bool,
    /// What it shall collect may have changed.
    pub leases: bool,
    /// Somebody looks at the rates.
    pub watch: Option<RatesWatch>,
    /// Questions, oldest first: the exception to "latest of each kind", for each has its own answer.
    pub asks: VecDeque<InspectRequest>,
    /// The agent shall restart.
    pub restart: bool,
    /// Something that the agent should say in its health and log.
    pub warning: Option<String>,
    /// Who wants to know whether the other end is alive.
    pub probes: Vec<oneshot::Sender<()>>,
    /// The session shall end.
    pub farewell: Option<Farewell>,
}

/// The outbox of one agent's connection.
#[derive(Debug, Default)]
pub struct Outbox {
    pending: Mutex<Pending>,
    notify: Notify,
}

impl Outbox {
    fn with<R>(&self, f: impl FnOnce(&mut Pending) -> R) -> R {
        let result = f(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.notify.notify_one();
        result
    }

    /// The wanted policy or package changed.
    pub fn policy_changed(&self) {
        self.with(|p| p.policy = true);
    }

    /// The connection settings changed.
    pub fn settings_changed(&self) {
        self.with(|p| p.settings = true);
    }

    /// What the agent shall collect may have changed.
    pub fn leases_changed(&self) {
        self.with(|p| p.leases = true);
    }

    /// Asks for faster reports.
    pub fn watch(&self, watch: RatesWatch) {
        self.with(|p| p.watch = Some(watch));
    }

    /// Asks the agent; false if too many questions wait for it already.
    #[must_use]
    pub fn ask(&self, request: InspectRequest) -> bool {
        self.with(|p| {
            let room = p.asks.len() < MAX_ASKS;
            if room {
                p.asks.push_back(request);
            }
            room
        })
    }

    /// Puts back what a poll had no room for; newer ones stay behind.
    pub fn put_back(&self, asks: VecDeque<InspectRequest>, watch: Option<RatesWatch>) {
        self.with(|p| {
            let newer = std::mem::replace(&mut p.asks, asks);
            p.asks.extend(newer);
            p.asks.truncate(MAX_ASKS);
            p.watch = p.watch.take().or(watch);
        });
    }

    /// Has the agent restart.
    pub fn restart(&self) {
        self.with(|p| p.restart = true);
    }

    /// Tells the agent something.
    pub fn warn(&self, text: String) {
        self.with(|p| p.warning = Some(text));
    }

    /// Ends the session.
    pub fn end(&self, farewell: Farewell) {
        self.with(|p| p.farewell = Some(farewell));
    }

    /// Resolves when the other end shows life; fails when the session ends.
    pub fn probe(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.with(|p| {
            if p.probes.len() < MAX_PROBES {
                p.probes.push(sender);
            }
        });
        receiver
    }

    /// Waits until there may be something.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }

    /// Takes everything that waits.
    pub fn take(&self) -> Pending {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
