//! What the parts of the controller share.

use crate::audit_log::{AuditLog, Outgoing};
use crate::config::Config;
use crate::event_hub::EventHub;
use crate::fleet::Fleet;
use crate::gateway::overload::Gates;
use crate::http::idempotency::Answers;
use crate::http::metrics::MetricsCache;
use crate::identity::authority::Authority;
use crate::identity::pending::Pending;
use crate::identity::tls::{AgentVerifier, ServerCertificate};
use crate::policy::PolicyBook;
use crate::proposal::Proposals;
use crate::store::{Batch, SharedStore, StoreError};
use crate::user::Accounts;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The controller's state.
pub struct App {
    /// Settings.
    pub config: Config,
    /// URLs for enrolment tokens that name none.
    pub urls: Vec<String>,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Certification authority.
    pub authority: Authority,
    /// Verifies agents' certificates.
    pub verifier: Arc<AgentVerifier>,
    /// The certificate of the port.
    pub certificate: Arc<ServerCertificate>,
    /// Store.
    pub store: SharedStore,
    /// Agents.
    pub fleet: Fleet,
    /// Enrolments that wait for approval.
    pub pending: Pending,
    /// Policies.
    pub book: PolicyBook,
    /// People.
    pub accounts: Accounts,
    /// Questions to agents that wait for their answers.
    pub inspect: crate::inspect::Inspector,
    /// What agents did over the last day.
    pub history: crate::fleet::history::History,
    /// Audit log.
    pub audit: AuditLog,
    /// What waits for a second person, and the settings.
    pub proposals: Proposals,
    /// Which incarnation this is, and whether it still counts.
    pub incarnation: crate::incarnation::Incarnations,
    /// Backups.
    pub backups: crate::backup::Backups,
    /// The licence.
    pub licence: crate::licence::LicenceKeeper,
    /// Who collects what, where a partition has more than one agent.
    pub leases: crate::lease::Leases,
    /// Rollouts.
    pub rollouts: crate::rollout::Rollouts,
    /// Packages that agents are upgraded with.
    pub packages: crate::package::Packages,
    /// Answers to requests that may be sent again.
    pub answers: Answers,
    /// What changes, for whoever watches.
    pub events: EventHub,
    /// The last `/metrics`.
    pub metrics: MetricsCache,
    /// When it was started.
    pub started: Timestamp,
    /// It is shutting down.
    pub stopping: AtomicBool,
    /// Tells connections that have nothing to do to end.
    pub ending: tokio_util::sync::CancellationToken,
    /// Tasks of WebSockets.
    pub links: tokio_util::task::TaskTracker,
    /// Live WebSocket sessions.
    pub sessions: AtomicUsize,
    /// Most of them at a time.
    pub max_sessions: usize,
    /// Admission control.
    pub gates: Gates,
    /// Places for bodies of polls that are being read.
    pub bodies: tokio::sync::Semaphore,
}

impl App {
    /// Stores a batch together with its audit entry, and moves the entry to the log.
    ///
    /// # Errors
    /// If the batch was not stored; then nothing was.
    pub async fn commit(&self, mut batch: Batch, action: Outgoing) -> Result<(), StoreError> {
        action.add_to(&mut batch);
        self.store.apply(batch).await?;
        self.audit.drain().await;
        Ok(())
    }

    /// It is shutting down.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
