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
use std::time::Instant;
use tail::{Tails, Viewer};

/// Most bytes that all sources together keep of recent events.
const RECENT_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes that one source keeps.
const RECENT_BYTES_OF_ONE: usize = 1024 * 1024;
/// What is kept of events that a tail showed, as a part of that.
const SHOWN_PART: usize = 4;

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
            watch.shown().set_limit(bytes / SHOWN_PART);
        }
        let watch = Arc::new(SourceWatch {
            name: name.to_owned(),
            ring: Mutex::new(Ring::new(bytes)),
            shown: Mutex::new(Ring::new(bytes / SHOWN_PART)),
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
    /// What a tail showed: a busy source pushes it out of the ring within a second, and who saw it may ask for more.
    shown: Mutex<Ring>,
    tails: Arc<Tails>,
}

impl SourceWatch {
    fn name(&self) -> &str {
        &self.name
    }

    fn shown(&self) -> MutexGuard<'_, Ring> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at a batch of at most `rows` entries that are there at `now`.
    #[must_use]
    pub fn batch(&self, rows: usize, now: Instant) -> Look<'_> {
        let mut ring = self.ring();
        let taken = ring.allowance(rows, now);
        let viewers = self.tails.viewers();
        let shown = (!viewers.is_empty()).then(|| self.shown());
        Look { source: &self.name, now, ring, skip: rows - taken, viewers, shown }
    }
}

/// A look at one batch; what it holds is released at the end of the batch.
pub struct Look<'w> {
    source: &'w str,
    now: Instant,
    ring: MutexGuard<'w, Ring>,
    skip: usize,
    viewers: Vec<Arc<Viewer>>,
    /// There where somebody looks.
    shown: Option<MutexGuard<'w, Ring>>,
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
        if self.offer(event, decoded, fate, policy)
            && let Some(shown) = &mut self.shown
        {
            shown.push(entry, &event.id_prefix);
        }
    }

    /// Sees an event that another source made with this severity, and what became of it by the policy, which changes
    /// nothing else.
    pub fn event(&mut self, event: &Event, decoded: Severity, fate: Fate, policy: &CompiledPolicy) {
        let as_decoded = || {
            let mut copy = event.clone();
            copy.severity = decoded;
            copy
        };
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.ring.push_event(as_decoded());
        }
        if self.offer(event, decoded, fate, policy)
            && let Some(shown) = &mut self.shown
        {
            shown.push_event(as_decoded());
        }
    }

    /// True if somebody is shown it.
    fn offer(&self, event: &Event, decoded: Severity, fate: Fate, policy: &CompiledPolicy) -> bool {
        let offered = |viewer: &Viewer| viewer.offer(event, self.source, decoded, fate, policy, self.now);
        // Each of them is offered it, also after one has taken it.
        self.viewers.iter().filter(|viewer| offered(viewer)).count() > 0
    }
}
