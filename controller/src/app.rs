//! What the parts of the controller share.

use crate::audit_log::{AuditLog, Outgoing, Refusal, Refusals};
use crate::config::Config;
use crate::event_hub::EventHub;
use crate::fleet::Fleet;
use crate::gateway::overload::Gates;
use crate::http::idempotency::Answers;
use crate::http::metrics::MetricsCache;
use crate::identity::authority::Authority;
use crate::identity::expiry::Kept;
use crate::identity::pending::Pending;
use crate::identity::tls::{AgentVerifier, ServerCertificate};
use crate::policy::PolicyBook;
use crate::proposal::Proposals;
use crate::store::{Batch, SharedStore, StoreError};
use crate::user::Accounts;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// What was refused to nobody in particular, before and beside the entries of it.
    pub refusals: Mutex<Refusals>,
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
    /// The certificates that a person has to replace, and when they expire.
    #[must_use]
    pub fn kept_certificates(&self) -> Vec<(Kept, Timestamp)> {
        let authority = self.authority.issuing().not_after();
        let company = self.certificate.company_expires().map(|end| (Kept::Company, end));
        std::iter::once((Kept::Authority, authority)).chain(company).collect()
    }

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

    /// Puts a refusal of somebody unknown into the audit log, or counts it if there were many of late.
    pub async fn refused(&self, refusal: Refusal, now: Timestamp) {
        let entry = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).note(refusal, now);
        self.note(entry).await;
    }

    /// Puts what was counted into the audit log, as far as it is time for that; all of it at the end.
    pub async fn tell_refusals(&self, now: Timestamp, end: bool) {
        let entries = {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            if end { refusals.rest(now) } else { refusals.due(now) }
        };
        self.note(entries).await;
    }

    /// Entries of what changed nothing: whoever is refused is refused, also if that cannot be written down.
    async fn note(&self, entries: impl IntoIterator<Item = Outgoing>) {
        let mut batch = Batch::new();
        let mut count = 0;
        for entry in entries {
            entry.add_to(&mut batch);
            count += 1;
        }
        if count == 0 {
            return;
        }
        match self.store.apply(batch).await {
            Ok(()) => self.audit.drain().await,
            Err(error) => {
                tracing::error!(
                    count,
                    error = &error as &dyn std::error::Error,
                    "refusals not in the audit log"
                );
            }
        }
    }

    /// It is shutting down.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
