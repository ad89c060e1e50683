//! Which sources this agent collects, where its partition has more than one agent.
//!
//! The controller gives each (partition, source) to one agent at a time; the others stand by and go on where it
//! stopped. What to do with a source is decided in [`standing`]; the [`LeaseBook`] keeps it over restarts, tells
//! the loops that read ([`Lease`]), and makes what the agent says to the controller. A stand-alone agent has
//! everything for itself.

mod keeper;
pub mod standing;

pub use keeper::run;

use crate::lane::Lane;
use crate::state::write_atomic;
use muster_proto::session::lease::{LeaseClaim, LeaseOrder, MAX_CURSORS, SourceClaim};
use muster_shared::cursor::Cursor;
use muster_shared::event::SourceKind;
use serde::{Deserialize, Serialize};
use standing::{Role, Standing};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Name of the file in the state directory.
const FILE: &str = "leases.json";

/// Shortest and longest pause between renewals that a controller may ask for.
const RENEW_BOUNDS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Sources that are remembered though no policy names them any more.
const MAX_UNWANTED: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct LeaseBook {
    state: Mutex<State>,
    /// There is something to say to the controller.
    changed: Notify,
    /// None: a stand-alone agent.
    file: Option<PathBuf>,
    clock: Instant,
}

#[derive(Debug, Default)]
struct State {
    sources: BTreeMap<String, Entry>,
    lanes: Vec<Arc<Lane>>,
    renew: Option<Duration>,
    /// Which partition the standings are of, once that is known.
    partition: Option<String>,
    /// A controller that knows leases is connected.
    coordinated: bool,
    /// Since when nobody can tell the agent what to do, though it knows its partition.
    unheard_since: Option<Duration>,
}

/// What is kept over restarts.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept<'a> {
    #[serde(default)]
    partition: Option<String>,
    sources: BTreeMap<Cow<'a, str>, Cow<'a, Standing>>,
}

/// Which partition the agent reads, as far as it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It was not reached yet.
    Unknown,
    /// This one.
    Known(String),
    /// One without a serial number.
    Nameless,
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    /// Name in the policy.
    name: String,
    /// The policy in force has it.
    wanted: bool,
    /// Cancelled when the loop that reads has to stop.
    turn: Option<CancellationToken>,
    /// Epoch for the events.
    epoch: Arc<AtomicU64>,
    moved: watch::Sender<()>,
}

impl Entry {
    fn new(standing: Standing, name: &str) -> Self {
        Self {
            epoch: Arc::new(AtomicU64::new(standing.epoch)),
            standing,
            name: name.to_owned(),
            wanted: false,
            turn: None,
            moved: watch::Sender::new(()),
        }
    }

    /// Takes over what was decided; true if that is news.
    fn take_up(&mut self, source: &str, next: Standing) -> bool {
        if next == self.standing {
            return false;
        }
        if next.role != self.standing.role {
            info!(source, role = ?next.role, epoch = next.epoch, "lease");
        }
        self.epoch.store(next.epoch, Ordering::Relaxed);
        self.standing = next;
        if !self.standing.collects()
            && let Some(turn) = self.turn.take()
        {
            turn.cancel();
        }
        self.moved.send_replace(());
        true
    }
}

/// Whether a source of this key takes away what it reads.
fn takes_away(source: &str) -> bool {
    let kind = source.split(':').next().unwrap_or_default();
    [SourceKind::DataQueue, SourceKind::ExitPoint].iter().any(|known| known.as_str() == kind)
}

/// The right to collect, while it lasts.
#[derive(Debug)]
pub struct Grant {
    /// Cancelled when it ends, and when the source is to stop.
    pub turn: CancellationToken,
    /// Where the holder before stood, by destination.
    pub carried: BTreeMap<String, Cursor>,
    /// Without a cursor, begin at the oldest entry.
    pub lost: bool,
}

impl LeaseBook {
    /// The book of an agent without a controller.
    #[must_use]
    pub fn alone() -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), file: None, clock: Instant::now() }
    }

    /// The book of an enrolled agent, as it was when the agent stopped.
    #[must_use]
    pub fn load(state_dir: &Path) -> Self {
        let file = state_dir.join(FILE);
        let text = std::fs::read(&file).unwrap_or_default();
        let kept = match serde_json::from_slice::<Kept<'_>>(&text) {
            Ok(kept) => kept,
            Err(error) => {
                if !text.is_empty() {
                    warn!(%error, file = %file.display(), "unreadable, the controller is asked again");
                }
                Kept::default()
            }
        };
        let sources = kept.sources.into_iter().map(|(source, standing)| {
            let standing = standing.into_owned().restarted(takes_away(&source), Duration::ZERO);
            let entry = Entry::new(standing, "");
            (source.into_owned(), entry)
        });
        let state = State { sources: sources.collect(), partition: kept.partition, ..State::default() };
        Self { state: Mutex::new(state), changed: Notify::new(), file: Some(file), clock: Instant::now() }
    }

    // Each change is made whole before the lock is left: usable after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// A policy is in force with these sources, by key their names, and these lanes.
    pub fn set_sources(&self, sources: &BTreeMap<String, String>, lanes: Vec<Arc<Lane>>) {
        let now = self.now();
        let mut state = self.lock();
        for (source, name) in sources {
            let collected =
                lanes.iter().any(|l| l.key().source == source.as_str() && l.committed().is_some());
            let entry = state.sources.entry(source.clone()).or_insert_with(|| {
                let alone = self.file.is_none();
                Entry::new(Standing::first(collected || alone, now), name)
            });
            entry.name.clone_from(name);
        }
        for (source, entry) in &mut state.sources {
            entry.wanted = sources.contains_key(source);
            if !entry.wanted {
                let next = entry.standing.dropped(now);
                entry.take_up(source, next);
            }
        }
        let unwanted: Vec<String> =
            state.sources.iter().filter(|(_, e)| !e.wanted).map(|(source, _)| source.clone()).collect();
        for source in unwanted.iter().skip(MAX_UNWANTED) {
            state.sources.remove(source);
        }
        state.lanes = lanes;
        self.store(&state);
        drop(state);
        self.changed.notify_one();
    }

    /// Changes every source by `next`, and keeps what came of it.
    fn change(&self, next: impl Fn(&str, &Standing, bool) -> Option<Standing>) {
        let mut state = self.lock();
        let stand_by =
            state.sources.values().any(|e| e.wanted && matches!(e.standing.role, Role::StandingBy { .. }));
        let mut changed = false;
        for (source, entry) in &mut state.sources {
            if let Some(next) = next(source, &entry.standing, stand_by) {
                changed |= entry.take_up(source, next);
            }
        }
        if changed {
            self.store(&state);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// What the controller orders.
    pub fn hear(&self, order: &LeaseOrder) {
        let now = self.now();
        {
            let mut state = self.lock();
            let renew = (order.renew_ms > 0)
                .then(|| Duration::from_millis(order.renew_ms.into()).clamp(RENEW_BOUNDS.0, RENEW_BOUNDS.1));
            if state.renew != renew {
                state.renew = renew;
                self.changed.notify_one();
            }
        }
        self.change(|source, standing, _| {
            order.sources.iter().find(|o| o.source == source).map(|order| standing.heard(order, now))
        });
    }

    /// Something that the agent says with its claims changed.
    pub fn nudge(&self) {
        self.changed.notify_one();
    }

    /// A controller is connected; it knows leases or not.
    pub fn connected(&self, knows_leases: bool) {
        self.lock().coordinated = knows_leases;
        if knows_leases {
            self.changed.notify_one();
        } else {
            let now = self.now();
            self.change(|_, standing, _| Some(standing.without_leases(now)));
        }
    }

    /// The connection to the controller ended.
    pub fn disconnected(&self) {
        self.lock().coordinated = false;
    }

    /// Lets time pass at this place.
    fn passed(&self, place: &Place) {
        let now = self.now();
        let (unheard, moved) = {
            let mut state = self.lock();
            let alone = !state.coordinated && *place != Place::Unknown;
            state.unheard_since = alone.then(|| state.unheard_since.unwrap_or(now));
            let moved = match place {
                Place::Known(key) if state.partition.as_ref() != Some(key) => {
                    state.partition.replace(key.clone()).is_some()
                }
                Place::Unknown | Place::Known(_) | Place::Nameless => false,
            };
            (state.unheard_since.map(|since| now.saturating_sub(since)), moved)
        };
        if moved {
            warn!(?place, "the agent reads another partition than before; its leases are asked for anew");
            self.change(|_, standing, _| Some(standing.elsewhere(now)));
        }
        self.change(|_, standing, stand_by| Some(standing.passed(now, unheard, stand_by)));
    }

    fn renew_every(&self) -> Option<Duration> {
        self.lock().renew
    }

    /// Something waits for a word of the controller.
    fn waits(&self) -> bool {
        let waits = |role: &Role| matches!(role, Role::Asking | Role::Released);
        self.lock().sources.values().any(|entry| entry.wanted && waits(&entry.standing.role))
    }

    /// What the agent says of its sources.
    #[must_use]
    pub fn claim(&self, place: &Place) -> LeaseClaim {
        let state = self.lock();
        let renewing = state.renew.is_some();
        let sources = state.sources.iter().filter(|(_, entry)| entry.wanted).map(|(source, entry)| {
            let standing = &entry.standing;
            let (collecting, released) = (standing.collects(), standing.role == Role::Released);
            let tells = released || (renewing && (collecting || standing.role == Role::Releasing));
            let lanes = state.lanes.iter().filter(|lane| tells && lane.key().source == source.as_str());
            let cursors = lanes.filter_map(|lane| {
                // Plain enums with string keys always become JSON.
                let json = serde_json::to_vec(&lane.committed()?).ok()?;
                Some((lane.key().destination.to_string(), json))
            });
            // What was not taken over yet is where a next holder would go on.
            let carried = standing.carried.iter().filter(|_| tells).filter_map(|(destination, cursor)| {
                Some((destination.clone(), serde_json::to_vec(cursor).ok()?))
            });
            let cursors: BTreeMap<String, Vec<u8>> = cursors.take(MAX_CURSORS).collect();
            let room = MAX_CURSORS - cursors.len();
            SourceClaim {
                source: source.clone(),
                name: entry.name.clone(),
                epoch: standing.epoch,
                collecting,
                released,
                cursors: cursors.into_iter().chain(carried.take(room)).collect(),
            }
        });
        LeaseClaim {
            sources: sources.collect(),
            partition_known: *place != Place::Unknown,
            partition: match place {
                Place::Known(key) => key.clone(),
                Place::Unknown | Place::Nameless => String::new(),
            },
            renew_ms: state.renew.map_or(0, |every| u32::try_from(every.as_millis()).unwrap_or(u32::MAX)),
        }
    }

    /// Everything that the policy wants is collected by another agent.
    #[must_use]
    pub fn stands_by(&self) -> bool {
        let state = self.lock();
        let mut wanted = state.sources.values().filter(|entry| entry.wanted).peekable();
        wanted.peek().is_some() && wanted.all(|entry| !entry.standing.collects())
    }

    /// What the loop of a source needs.
    #[must_use]
    pub fn lease(self: &Arc<Self>, source: &str) -> Lease {
        Lease { book: Arc::clone(self), source: source.to_owned() }
    }

    /// Epoch for the events of a source; 0 without a lease.
    #[must_use]
    pub fn epoch(&self, source: &str) -> Arc<AtomicU64> {
        self.lock().sources.get(source).map(|entry| Arc::clone(&entry.epoch)).unwrap_or_default()
    }

    fn store(&self, state: &State) {
        let Some(file) = &self.file else { return };
        let sources = state.sources.iter();
        let sources = sources.map(|(source, entry)| (source.as_str().into(), Cow::Borrowed(&entry.standing)));
        let kept = Kept { partition: state.partition.clone(), sources: sources.collect() };
        // Plain structs with string keys always become JSON.
        let text = serde_json::to_vec(&kept).unwrap_or_default();
        if let Err(error) = write_atomic(file, &text) {
            warn!(
                error = &error as &dyn std::error::Error,
                "leases cannot be kept; after a restart the agent would go on with those of before"
            );
        }
    }
}

/// A source's view of its lease.
#[derive(Debug)]
pub struct Lease {
    book: Arc<LeaseBook>,
    source: String,
}

/// Changes of a role.
#[derive(Debug)]
pub struct Moves(Option<watch::Receiver<()>>);

impl Moves {
    /// Completes when the role changed since the last time.
    pub async fn next(&mut self) {
        let changed = match &mut self.0 {
            Some(moved) => moved.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            // A source that nobody coordinates, or whose book is gone with the agent.
            std::future::pending::<()>().await;
        }
    }
}

impl Lease {
    /// What the agent does with the source now.
    #[must_use]
    pub fn role(&self) -> Role {
        self.book.lock().sources.get(&self.source).map_or(Role::Sole, |entry| entry.standing.role.clone())
    }

    /// The right to collect, if the agent has it now. Its turn ends with `stop`, too.
    #[must_use]
    pub fn grant(&self, stop: &CancellationToken) -> Option<Grant> {
        let mut state = self.book.lock();
        let Some(entry) = state.sources.get_mut(&self.source) else {
            // A source that no policy announced, as in tests of one: nobody coordinates it.
            return Some(Grant { turn: stop.child_token(), carried: BTreeMap::new(), lost: false });
        };
        if !entry.standing.collects() {
            return None;
        }
        let turn = stop.child_token();
        entry.turn = Some(turn.clone());
        Some(Grant { turn, carried: entry.standing.carried.clone(), lost: entry.standing.lost })
    }

    /// Tells of changes of the role from now on.
    #[must_use]
    pub fn moves(&self) -> Moves {
        Moves(self.book.lock().sources.get(&self.source).map(|entry| entry.moved.subscribe()))
    }

    /// The carried cursors are stored as the source's own.
    pub fn taken_over(&self) {
        self.with(|standing| Standing { carried: BTreeMap::new(), ..standing.clone() });
    }

    /// Every destination has a cursor of its own, stored: where somebody stood before matters no more.
    pub fn begun(&self) {
        self.with(|standing| Standing { lost: false, ..standing.clone() });
    }

    /// What was under way is delivered, or will not be.
    pub fn give_back(&self) {
        let now = self.book.now();
        self.with(|standing| standing.given_back(now));
    }

    fn with(&self, next: impl Fn(&Standing) -> Standing) {
        self.book.change(|source, standing, _| (source == self.source).then(|| next(standing)));
    }
}

#[cfg(test)]
mod tests;
