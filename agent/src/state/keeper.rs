//! Stores what the lanes have committed, in groups: one write for all lanes, a few times a second at most.

use super::chain;
use super::cursors::{Copies, CursorStore};
use crate::health::{HealthSink, HealthState};
use crate::lane::Lane;
use actix::prelude::*;
use muster_shared::cursor::{Cursor, CursorKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{error, info, warn};

/// Pause between two writes. A crash repeats at most what was committed in it; at 4 writes a second the
/// syncs cost an idle disk nothing.
pub const STORE_PAUSE: Duration = Duration::from_millis(250);

const COMPONENT: &str = "state/cursors";

/// The actor that stores cursors.
pub struct CursorKeeper {
    store: Arc<Mutex<CursorStore>>,
    lanes: Vec<Arc<Lane>>,
    health: Arc<dyn HealthSink + Send + Sync>,
    stored: BTreeMap<CursorKey, Cursor>,
    /// Lanes of the first policy with any: see [`super::Lost`].
    first_lanes: BTreeSet<CursorKey>,
    writing: bool,
    standing: HealthState,
}

/// What became of a write.
type Written = Result<Copies, Unwritten>;

/// Neither copy could be written.
struct Unwritten {
    reason: String,
    /// No cursor was ever stored, so a restart would be taken for a first start.
    never: bool,
}

impl CursorKeeper {
    /// A keeper for `lanes`. The store is shared, so that a supervisor can make a new keeper from it.
    #[must_use]
    pub fn new(
        store: Arc<Mutex<CursorStore>>,
        lanes: Vec<Arc<Lane>>,
        health: Arc<dyn HealthSink + Send + Sync>,
    ) -> Self {
        let mut keeper = Self {
            store,
            lanes: Vec::new(),
            health,
            stored: BTreeMap::new(),
            first_lanes: BTreeSet::new(),
            writing: false,
            standing: HealthState::Healthy,
        };
        keeper.watch(lanes);
        keeper
    }

    fn collect(&self) -> BTreeMap<CursorKey, Cursor> {
        self.lanes
            .iter()
            .filter_map(|lane| lane.committed().map(|cursor| (lane.key().clone(), cursor)))
            .collect()
    }

    fn watch(&mut self, lanes: Vec<Arc<Lane>>) {
        if self.first_lanes.is_empty() {
            self.first_lanes = lanes.iter().map(|lane| lane.key().clone()).collect();
        }
        self.lanes = lanes;
    }

    /// Writes `cursors` on a thread that may block.
    fn write(&self, cursors: BTreeMap<CursorKey, Cursor>) -> impl Future<Output = Written> + use<> {
        let store = Arc::clone(&self.store);
        let lanes = self.first_lanes.clone();
        async move {
            tokio::task::spawn_blocking(move || {
                // The store replaces its record only after a write, so a panic left it whole.
                let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
                store.settle_lost(&lanes);
                let saved = store.save(&cursors);
                saved.map_err(|error| Unwritten { reason: chain(&error), never: store.is_empty() })
            })
            .await
            .unwrap_or_else(|panic| {
                Err(Unwritten { reason: format!("storing cursors failed: {panic}"), never: false })
            })
        }
    }

    fn done(&mut self, cursors: BTreeMap<CursorKey, Cursor>, written: &Written) {
        let (state, text) = match written {
            Ok(Copies::Both) => (HealthState::Healthy, String::new()),
            Ok(Copies::One(reason)) => (
                HealthState::Degraded,
                format!(
                    "only one copy of the cursors can be stored; mend the other before both are lost: {reason}"
                ),
            ),
            Err(Unwritten { reason, never: false }) => {
                (HealthState::Failed, format!("{reason}; events go on, but a restart would send many again"))
            }
            Err(Unwritten { reason, never: true }) => (
                HealthState::Failed,
                format!(
                    "{reason}; no cursor was ever stored here: events go on, but a restart would begin where the \
                     policy says a first start begins, and skip what lies between"
                ),
            ),
        };
        if written.is_ok() {
            self.stored = cursors;
        }
        let before = std::mem::replace(&mut self.standing, state);
        match state {
            HealthState::Failed if before != state => error!(reason = text, "cursors cannot be stored"),
            HealthState::Degraded if before != state => warn!(reason = text, "one copy of the cursors fails"),
            HealthState::Healthy if before != state => info!("cursors are stored twice again"),
            HealthState::Healthy => return,
            HealthState::Starting
            | HealthState::Degraded
            | HealthState::Failed
            | HealthState::PlannedOutage => {}
        }
        self.health.report(COMPONENT, state, &text);
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.writing {
            return;
        }
        let cursors = self.collect();
        if cursors == self.stored {
            return;
        }
        self.writing = true;
        ctx.spawn(self.write(cursors.clone()).into_actor(self).map(move |result, keeper, _| {
            keeper.writing = false;
            keeper.done(cursors, &result);
        }));
    }
}

impl Actor for CursorKeeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(STORE_PAUSE, Self::tick);
    }
}

/// Replaces the lanes whose cursors are stored. What other lanes stored stays stored.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Watch(
    /// The lanes from now on.
    pub Vec<Arc<Lane>>,
);

impl Handler<Watch> for CursorKeeper {
    type Result = ();

    fn handle(&mut self, watch: Watch, _ctx: &mut Self::Context) {
        self.watch(watch.0);
    }
}

/// Result of [`Flush`]: an error text when the cursors could not be stored.
pub type Flushed = Result<(), String>;

/// Stores now what is committed, and answers when it is on disk. Used before an orderly end.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Flushed")]
pub struct Flush;

impl Handler<Flush> for CursorKeeper {
    type Result = ResponseActFuture<Self, Flushed>;

    fn handle(&mut self, _: Flush, _ctx: &mut Self::Context) -> Self::Result {
        let cursors = self.collect();
        Box::pin(self.write(cursors.clone()).into_actor(self).map(move |result, keeper, _| {
            keeper.done(cursors, &result);
            result.map(|_| ()).map_err(|unwritten| unwritten.reason)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;
    use muster_shared::cursor::{JournalCursor, ReceiverId};

    struct Silent;
    impl HealthSink for Silent {
        fn report(&self, _: &str, _: HealthState, _: &str) {}
    }

    #[actix::test]
    async fn what_is_committed_is_stored_without_being_asked_and_at_a_flush() {
        let folder = tempfile::tempdir().unwrap();
        let key = CursorKey { source: "audit".into(), destination: "siem".into() };
        let at = |sequence| {
            let receiver = ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 5 };
            Cursor::Journal(JournalCursor { receiver, sequence })
        };
        let dir = StateDir::open(folder.path()).unwrap();
        let lane = Arc::new(Lane::new(key.clone(), None));
        let store = Arc::new(Mutex::new(CursorStore::open(&dir).0));
        let keeper = CursorKeeper::new(Arc::clone(&store), vec![Arc::clone(&lane)], Arc::new(Silent)).start();
        lane.commit(0, at(7));
        let limit = std::time::Instant::now() + Duration::from_secs(10);
        while super::super::cursors::peek(folder.path()).is_none() {
            assert!(std::time::Instant::now() < limit, "nothing was stored");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        lane.commit(0, at(8));
        assert_eq!(keeper.send(Flush).await.unwrap(), Ok(()));
        drop(store);
        let record = super::super::cursors::peek(folder.path()).unwrap();
        assert_eq!(record.cursors.get(&key), Some(&at(8)));
        assert_eq!(record.counter, 2);
    }

    #[derive(Default)]
    struct Told(Mutex<Vec<(HealthState, String)>>);
    impl HealthSink for Told {
        fn report(&self, _: &str, state: HealthState, reason: &str) {
            self.0.lock().unwrap().push((state, reason.to_owned()));
        }
    }

    #[actix::test]
    async fn what_cannot_be_stored_is_told_by_what_a_restart_would_do() {
        let folder = tempfile::tempdir().unwrap();
        let at = |sequence| {
            let receiver = ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 5 };
            Cursor::Journal(JournalCursor { receiver, sequence })
        };
        let key = CursorKey { source: "audit".into(), destination: "siem".into() };
        let dir = StateDir::open(folder.path()).unwrap();
        let told: Arc<Told> = Arc::default();
        let store = Arc::new(Mutex::new(CursorStore::open(&dir).0));
        let mut keeper = CursorKeeper::new(store, Vec::new(), told.clone());
        let cursors = |sequence| BTreeMap::from([(key.clone(), at(sequence))]);
        // A folder where a file should be written: it can be neither created nor replaced, even by root.
        let block = |name: &str| std::fs::create_dir_all(folder.path().join(name).join("full")).unwrap();
        block("initialised.new");
        let result = keeper.write(cursors(1)).await;
        keeper.done(cursors(1), &result);
        std::fs::remove_dir_all(folder.path().join("initialised.new")).unwrap();
        block("cursors.new");
        let result = keeper.write(cursors(2)).await;
        keeper.done(cursors(2), &result);
        std::fs::remove_dir_all(folder.path().join("cursors.new")).unwrap();
        let result = keeper.write(cursors(3)).await;
        keeper.done(cursors(3), &result);
        let told = told.0.lock().unwrap();
        let states: Vec<HealthState> = told.iter().map(|(state, _)| *state).collect();
        assert_eq!(states, [HealthState::Failed, HealthState::Degraded, HealthState::Healthy]);
        assert!(told[0].1.contains("no cursor was ever stored here"), "{}", told[0].1);
        assert!(told[1].1.contains("only one copy"), "{}", told[1].1);
    }
}
