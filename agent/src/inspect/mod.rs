//! Looking into a running agent from the controller: recent events, preview of a policy over them, live tail,
//! diagnostics bundle.
//!
//! Each pipeline shows what passes through it to its [`SourceWatch`], which keeps the last events in the compact
//! form in which they came ([`record`]) and hands those that a viewer asked for to the viewer ([`tail`]). Requests
//! are answered by the [`Inspector`], away from the threads that collect.
//!
//! Promises: memory is bounded whatever is asked; collection never waits for a viewer; nothing that is shown holds
//! a password. Refuses: everything, where the local configuration says so (`[inspect] enabled = false`).

mod answer;
mod bundle;
pub mod log;
mod record;
mod redact;
mod show;
mod tail;

pub use answer::Inspector;

use muster_ibmi::audit::JournalEntry;
use muster_shared::event::Event;
use muster_shared::policy::CompiledPolicy;
use muster_shared::policy::model::EffectivePolicy;
use muster_shared::policy::replay::Fate;
use muster_shared::severity::Severity;
use record::Ring;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tail::{Tails, Viewer};

/// Most bytes that all sources together keep of recent events.
const RECENT_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes that one source keeps.
const RECENT_BYTES_OF_ONE: usize = 1024 * 1024;

/// What is watched in this agent.
#[derive(Debug, Default)]
pub struct Watches {
    sources: Mutex<BTreeMap<String, Arc<SourceWatch>>>,
    tails: Arc<Tails>,
    policy: Mutex<Option<InForce>>,
}

/// The policy in force.
#[derive(Debug, Clone)]
struct InForce {
    compiled: Arc<CompiledPolicy>,
    effective: Arc<EffectivePolicy>,
}

impl Watches {
    // Maps of shared values: usable after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<SourceWatch>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch of a source; made at first use.
    pub fn source(&self, name: &str) -> Arc<SourceWatch> {
        let mut sources = self.lock();
        if let Some(watch) = sources.get(name) {
            return Arc::clone(watch);
        }
        let bytes = RECENT_BYTES_OF_ONE.min(RECENT_BYTES / (sources.len() + 1));
        for watch in sources.values() {
            watch.ring().set_limit(bytes);
        }
        let watch = Arc::new(SourceWatch {
            name: name.to_owned(),
            ring: Mutex::new(Ring::new(bytes)),
            tails: Arc::clone(&self.tails),
        });
        sources.insert(name.to_owned(), Arc::clone(&watch));
        watch
    }

    /// Takes over the policy in force, and forgets the sources that it does not name.
    pub fn adopt(&self, effective: &EffectivePolicy, compiled: &Arc<CompiledPolicy>) {
        self.lock().retain(|name, _| effective.spec.sources.contains_key(name));
        let in_force = InForce { compiled: Arc::clone(compiled), effective: Arc::new(effective.clone()) };
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = Some(in_force);
    }

    fn in_force(&self) -> Option<InForce> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn policy(&self) -> Option<Arc<CompiledPolicy>> {
        self.in_force().map(|policy| policy.compiled)
    }

    /// The policy in force as JSON.
    fn policy_text(&self) -> Option<String> {
        serde_json::to_string(&*self.in_force()?.effective).ok()
    }

    fn all(&self) -> Vec<Arc<SourceWatch>> {
        self.lock().values().cloned().collect()
    }

    fn tails(&self) -> &Arc<Tails> {
        &self.tails
    }
}

/// What is seen of one source.
#[derive(Debug)]
pub struct SourceWatch {
    name: String,
    ring: Mutex<Ring>,
    tails: Arc<Tails>,
}

impl SourceWatch {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at a batch of at most `rows` entries.
    #[must_use]
    pub fn batch(&self, rows: usize) -> Look<'_> {
        let mut ring = self.ring();
        let taken = ring.allowance(rows, std::time::Instant::now());
        Look { source: &self.name, ring, skip: rows - taken, viewers: self.tails.viewers() }
    }
}

/// A look at one batch; what it holds is released at the end of the batch.
pub struct Look<'w> {
    source: &'w str,
    ring: MutexGuard<'w, Ring>,
    skip: usize,
    viewers: Vec<Arc<Viewer>>,
}

impl Look<'_> {
    /// Sees one entry, what was made of it with which severity, and what became of it by the policy.
    #[inline]
    pub fn entry(
        &mut self,
        entry: &JournalEntry<'_>,
        event: &Event,
        decoded: Severity,
        fate: Fate,
        policy: &CompiledPolicy,
    ) {
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.ring.push(entry, &event.id_prefix);
        }
        self.offer(event, decoded, fate, policy);
    }

    /// A copy of an event that another source made, if it is one of those to be kept. Policy sets its severity next.
    pub fn copy(&mut self, event: &Event) -> Option<Event> {
        let kept = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        kept.then(|| event.clone())
    }

    /// Sees an event, its copy from before with its severity of then, and what became of it by the policy.
    pub fn event(
        &mut self,
        copy: Option<Event>,
        event: &Event,
        decoded: Severity,
        fate: Fate,
        policy: &CompiledPolicy,
    ) {
        if let Some(copy) = copy {
            self.ring.push_event(copy);
        }
        self.offer(event, decoded, fate, policy);
    }

    fn offer(&self, event: &Event, decoded: Severity, fate: Fate, policy: &CompiledPolicy) {
        for viewer in &self.viewers {
            viewer.offer(event, self.source, decoded, fate, policy);
        }
    }
}
