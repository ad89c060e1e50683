//! What changes, for whoever watches: a bounded ring that each watcher reads at its own pace.
//!
//! A watcher that is slower than the ring is told that it missed something; nobody waits for it, and nothing is
//! buffered per watcher. The ring survives no restart: its ids name the run of the program, so that a watcher
//! that comes back after one is told to read everything anew.

pub mod watcher;

use crate::identity::secret;
use muster_proto::api::{AuditEntry, PolicyEvent, ReloadEvent};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Events kept.
const KEPT: usize = 2_048;
/// Bytes of events kept.
const KEPT_BYTES: usize = 1024 * 1024;
/// How long somebody who begins to watch waits for the first look at the fleet.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// Watchers at one time.
pub const MAX_WATCHERS: usize = 200;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Position, from 1.
    pub number: u64,
    /// `audit`, `agent`, …
    pub kind: &'static str,
    /// JSON.
    pub data: Arc<str>,
}

#[derive(Default)]
struct Ring {
    /// Number of the last event.
    last: u64,
    bytes: usize,
    events: VecDeque<Event>,
}

struct Shared {
    run: String,
    ring: Mutex<Ring>,
    grown: watch::Sender<u64>,
    watchers: AtomicUsize,
    closed: AtomicBool,
    /// Asks for a look at the fleet.
    wanted: Notify,
    /// The fleet was looked at since somebody watches: from now on changes are seen.
    looked: watch::Sender<bool>,
}

/// The ring; clones share it.
#[derive(Clone)]
pub struct EventHub(Arc<Shared>);

/// Keeps a place among the watchers.
pub struct Place(EventHub);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a watcher gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// These events.
    Events(Vec<Event>),
    /// Something was missed; go on after the number.
    Missed {
        /// Number of the last event.
        last: u64,
        /// What to tell.
        reload: String,
    },
}

impl Default for EventHub {
    fn default() -> Self {
        Self(Arc::new(Shared {
            run: secret::hex(&secret::random_bytes::<6>()),
            ring: Mutex::default(),
            grown: watch::channel(0).0,
            watchers: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            wanted: Notify::new(),
            looked: watch::channel(false).0,
        }))
    }
}

impl EventHub {
    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event.
    pub fn push(&self, kind: &'static str, data: &impl Serialize) {
        // Bodies are plain structs with string keys: serde_json has no way to fail on them.
        let data: Arc<str> = serde_json::to_string(data).unwrap_or_default().into();
        let mut ring = self.ring();
        ring.last += 1;
        ring.bytes += data.len();
        let number = ring.last;
        ring.events.push_back(Event { number, kind, data });
        while ring.events.len() > KEPT || ring.bytes > KEPT_BYTES {
            let Some(old) = ring.events.pop_front() else { break };
            ring.bytes -= old.data.len();
        }
        drop(ring);
        self.0.grown.send_replace(number);
    }

    /// Adds what follows from an entry of the audit log.
    pub fn audit(&self, entry: &AuditEntry) {
        self.push("audit", entry);
        if entry.action.starts_with("policy.") {
            let event = PolicyEvent {
                at: entry.at,
                actor: entry.actor.clone(),
                action: entry.action.clone(),
                object: entry.object.clone(),
            };
            self.push("policy", &event);
        }
    }

    /// A place among the watchers, if there is one.
    #[must_use]
    pub fn enter(&self) -> Option<Place> {
        let count = self.0.watchers.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        (count < MAX_WATCHERS).then_some(place)
    }

    /// Waits until the fleet was looked at, so that no change after this is missed.
    pub async fn await_look(&self) {
        let mut looked = self.0.looked.subscribe();
        self.0.wanted.notify_one();
        // Without it, on a very busy machine, changes of the first moment are not told; everything else is.
        let _ = tokio::time::timeout(LONGEST_LOOK, looked.wait_for(|looked| *looked)).await;
    }

    /// Somebody watches.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.0.watchers.load(Ordering::Relaxed) > 0
    }

    /// The id of an event, for `Last-Event-ID`.
    #[must_use]
    pub fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.0.run)
    }

    /// Number of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.ring().last
    }

    /// Where a watcher goes on that saw the event with this id; `None` if that was another run of the program.
    #[must_use]
    pub fn number(&self, id: &str) -> Option<u64> {
        let (run, number) = id.split_once('-')?;
        if run == self.0.run { number.parse().ok().filter(|n| *n <= self.last()) } else { None }
    }

    /// At most `limit` events after a number.
    #[must_use]
    pub fn after(&self, number: u64, limit: usize) -> Next {
        let ring = self.ring();
        let oldest = ring.events.front().map_or(ring.last + 1, |e| e.number);
        if number + 1 < oldest {
            let last = ring.last;
            drop(ring);
            return self
                .missed(last, "events were missed, for more happened than is kept; read everything anew");
        }
        let skip = usize::try_from(number + 1 - oldest).unwrap_or(usize::MAX);
        Next::Events(ring.events.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Tells a watcher to read everything anew.
    #[must_use]
    pub fn missed(&self, last: u64, reason: &str) -> Next {
        let reload = ReloadEvent { reason: reason.to_owned() };
        Next::Missed { last, reload: serde_json::to_string(&reload).unwrap_or_default() }
    }

    /// Nudges when there are more events.
    #[must_use]
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.0.grown.subscribe()
    }

    /// Ends all watching.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.grown.send_modify(|_| {});
    }

    /// It was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_read_at_their_own_pace_and_are_told_what_they_missed() {
        let hub = EventHub::default();
        for i in 0..3 {
            hub.push("agent", &i);
        }
        let numbers = |next: Next| match next {
            Next::Events(events) => events.iter().map(|e| e.number).collect::<Vec<_>>(),
            Next::Missed { last, .. } => panic!("missed up to {last}"),
        };
        assert_eq!(numbers(hub.after(0, 10)), [1, 2, 3]);
        assert_eq!(numbers(hub.after(1, 1)), [2]);
        assert_eq!(numbers(hub.after(3, 10)), Vec::<u64>::new());
        assert_eq!(hub.number(&hub.id(2)), Some(2));
        assert_eq!(hub.number("000000000000-2"), None, "another run of the program");
        assert_eq!(hub.number(&hub.id(4)), None, "not yet");
        for i in 0..KEPT {
            hub.push("agent", &i);
        }
        let last = 3 + KEPT as u64;
        assert!(matches!(hub.after(2, 10), Next::Missed { last: l, .. } if l == last));
        assert_eq!(numbers(hub.after(3, 1)), [4]);
    }

    #[test]
    fn the_ring_is_bounded_in_bytes() {
        let hub = EventHub::default();
        for _ in 0..20 {
            hub.push("audit", &"x".repeat(100_000));
        }
        let ring = hub.ring();
        assert!(
            ring.bytes <= KEPT_BYTES && ring.events.len() == 10,
            "{} in {}",
            ring.bytes,
            ring.events.len()
        );
    }

    #[test]
    fn places_are_given_back() {
        let hub = EventHub::default();
        let places: Vec<_> = (0..MAX_WATCHERS).map(|_| hub.enter().unwrap()).collect();
        assert!(hub.enter().is_none());
        drop(places);
        assert!(!hub.is_watched());
        assert!(hub.enter().is_some());
    }
}
