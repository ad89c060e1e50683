//! Stores what the lanes have committed, in groups: one write for all lanes, a few times a second at most.

use super::cursors::CursorStore;
use crate::health::{HealthSink, HealthState};
use crate::lane::Lane;
use actix::prelude::*;
use muster_shared::cursor::{Cursor, CursorKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::error;

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
    writing: bool,
    failed: bool,
}

impl CursorKeeper {
    /// A keeper for `lanes`. The store is shared, so that a supervisor can make a new keeper from it.
    #[must_use]
    pub fn new(
        store: Arc<Mutex<CursorStore>>,
        lanes: Vec<Arc<Lane>>,
        health: Arc<dyn HealthSink + Send + Sync>,
    ) -> Self {
        Self { store, lanes, health, stored: BTreeMap::new(), writing: false, failed: false }
    }

    fn collect(&self) -> BTreeMap<CursorKey, Cursor> {
        self.lanes
            .iter()
            .filter_map(|lane| lane.committed().map(|cursor| (lane.key().clone(), cursor)))
            .collect()
    }

    /// Writes `cursors` on a thread that may block.
    fn write(
        &self,
        cursors: BTreeMap<CursorKey, Cursor>,
    ) -> impl Future<Output = Result<(), String>> + use<> {
        let complete = !self.lanes.is_empty() && cursors.len() == self.lanes.len();
        let store = Arc::clone(&self.store);
        async move {
            tokio::task::spawn_blocking(move || {
                // The store replaces its record only after a write, so a panic left it whole.
                let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
                store.save(&cursors, complete).map_err(|error| chain(&error))
            })
            .await
            .unwrap_or_else(|panic| Err(format!("storing cursors failed: {panic}")))
        }
    }

    fn done(&mut self, cursors: BTreeMap<CursorKey, Cursor>, result: &Result<(), String>) {
        match result {
            Ok(()) => {
                self.stored = cursors;
                if std::mem::take(&mut self.failed) {
                    self.health.report(COMPONENT, HealthState::Healthy, "");
                }
            }
            Err(reason) => {
                if !std::mem::replace(&mut self.failed, true) {
                    error!(reason, "cursors cannot be stored");
                }
                let text = format!("{reason}; events go on, but a restart would send many again");
                self.health.report(COMPONENT, HealthState::Failed, &text);
            }
        }
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
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
        self.lanes = watch.0;
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
            result
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Found, StateDir};
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
        assert_eq!(Found::Cursor(at(8)), Found::Cursor(record.cursors[&key].clone()));
    }
}
