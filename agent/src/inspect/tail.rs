//! Viewers of a live tail: what passes is offered to each, and each takes what it asked for, up to its limit.

use super::show::{self, Place};
use muster_shared::event::{Event, EventQuery};
use muster_shared::policy::CompiledPolicy;
use muster_shared::policy::replay::Fate;
use muster_shared::severity::Severity;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most viewers at a time.
pub(super) const MAX_VIEWERS: usize = 8;
/// Most bytes that wait for one viewer between two deliveries.
const MAX_PENDING: usize = muster_proto::session::inspect::MAX_PART;

/// Id of a viewer: of the request that began it.
pub(super) type ViewerId = [u8; muster_proto::session::inspect::ID_BYTES];

/// What a viewer got since the last delivery.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Events as JSON.
    pub(super) events: Vec<Vec<u8>>,
    /// Events that matched and were too many.
    pub(super) skipped: u64,
    /// Its time is over.
    pub(super) over: bool,
}

#[derive(Debug)]
struct State {
    until: Instant,
    window: Option<Instant>,
    in_window: u32,
    bytes: usize,
    taken: Taken,
}

/// Somebody who looks.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) id: ViewerId,
    place: Place,
    query: EventQuery,
    per_second: u32,
    state: Mutex<State>,
}

impl Viewer {
    pub(super) fn new(
        id: ViewerId,
        place: Place,
        query: EventQuery,
        per_second: u32,
        until: Instant,
    ) -> Self {
        let state = State { until, window: None, in_window: 0, bytes: 0, taken: Taken::default() };
        Self { id, place, query, per_second, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event if it matches; true if it is shown.
    pub(super) fn offer(
        &self,
        event: &Event,
        source: &str,
        decoded: Severity,
        fate: Fate,
        policy: &CompiledPolicy,
        now: Instant,
    ) -> bool {
        self.query.matches(event, source, show::is_dropped(fate))
            && self.take(now, || show::json(&show::view(event, &self.place, source, decoded, fate, policy)))
    }

    /// True if there was room for it.
    fn take(&self, now: Instant, json: impl FnOnce() -> Vec<u8>) -> bool {
        let mut state = self.lock();
        if state.window.is_none_or(|window| now.duration_since(window) >= Duration::from_secs(1)) {
            (state.window, state.in_window) = (Some(now), 0);
        }
        if state.in_window >= self.per_second || state.bytes >= MAX_PENDING {
            state.taken.skipped += 1;
            return false;
        }
        let json = json();
        state.in_window += 1;
        state.bytes += json.len();
        state.taken.events.push(json);
        true
    }

    /// Hands over what it got; `None` if there is nothing to tell.
    pub(super) fn deliver(&self, now: Instant) -> Option<Taken> {
        let mut state = self.lock();
        let over = state.until <= now;
        if state.taken == Taken::default() && !over {
            return None;
        }
        state.bytes = 0;
        Some(Taken { over, ..std::mem::take(&mut state.taken) })
    }

    /// What could not be delivered counts as skipped.
    pub(super) fn give_back(&self, taken: &Taken) {
        self.lock().taken.skipped += taken.skipped + taken.events.len() as u64;
    }
}

/// All viewers.
#[derive(Debug, Default)]
pub(super) struct Tails {
    any: AtomicBool,
    viewers: Mutex<Vec<Arc<Viewer>>>,
}

impl Tails {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Viewer>>> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody who looks; asked once a batch, and nearly always nobody.
    pub(super) fn viewers(&self) -> Vec<Arc<Viewer>> {
        if self.any.load(Ordering::Acquire) { self.lock().clone() } else { Vec::new() }
    }

    /// Prolongs a viewer; false if there is none with this id.
    pub(super) fn prolong(&self, id: ViewerId, until: Instant) -> bool {
        let viewers = self.lock();
        let viewer = viewers.iter().find(|viewer| viewer.id == id);
        viewer.map(|viewer| viewer.lock().until = until).is_some()
    }

    /// Adds a viewer; the number of viewers then, or `None` if there are too many.
    pub(super) fn add(&self, viewer: Viewer) -> Option<usize> {
        let mut viewers = self.lock();
        if viewers.len() >= MAX_VIEWERS {
            return None;
        }
        viewers.push(Arc::new(viewer));
        self.any.store(true, Ordering::Release);
        Some(viewers.len())
    }

    /// Takes a viewer away.
    pub(super) fn remove(&self, id: ViewerId) {
        let mut viewers = self.lock();
        viewers.retain(|viewer| viewer.id != id);
        self.any.store(!viewers.is_empty(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(id: u8, per_second: u32, until: Instant) -> Viewer {
        Viewer::new([id; 16], Place::default(), EventQuery::default(), per_second, until)
    }

    #[test]
    fn so_many_a_second_and_the_rest_is_counted() {
        let start = Instant::now();
        let viewer = viewer(1, 3, start + Duration::from_secs(60));
        for _ in 0..10 {
            viewer.take(start, || vec![b'x']);
        }
        let taken = viewer.deliver(start).unwrap();
        assert_eq!((taken.events.len(), taken.skipped, taken.over), (3, 7, false));
        assert_eq!(viewer.deliver(start), None, "nothing new");
        viewer.take(start + Duration::from_secs(1), || vec![b'x'; MAX_PENDING]);
        viewer.take(start + Duration::from_secs(1), || vec![b'x']);
        let taken = viewer.deliver(start).unwrap();
        assert_eq!((taken.events.len(), taken.skipped), (1, 1), "bytes are bounded too");
        viewer.give_back(&taken);
        assert_eq!(viewer.deliver(start).unwrap().skipped, 2);
        assert!(viewer.deliver(start + Duration::from_secs(60)).unwrap().over);
    }

    #[test]
    fn viewers_are_few_and_end() {
        let tails = Tails::default();
        let soon = Instant::now();
        assert!(tails.viewers().is_empty());
        for id in 0..MAX_VIEWERS as u8 {
            assert_eq!(tails.add(viewer(id, 1, soon)), Some(usize::from(id) + 1));
        }
        assert_eq!(tails.add(viewer(99, 1, soon)), None);
        assert!(tails.prolong([3; 16], soon + Duration::from_secs(5)));
        assert!(!tails.prolong([99; 16], soon));
        assert_eq!(tails.viewers()[3].deliver(soon), None, "prolonged");
        for id in 0..MAX_VIEWERS as u8 {
            tails.remove([id; 16]);
        }
        assert!(tails.viewers().is_empty() && !tails.any.load(Ordering::Acquire));
    }
}
