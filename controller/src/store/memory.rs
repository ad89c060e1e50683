//! A store in memory: for tests, and for what is worked out before it is stored.

use super::{Batch, Pair, Store, StoreError, Watchers};
use futures_util::future::{BoxFuture, FutureExt, ready};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Forgets everything when it is dropped.
#[derive(Default)]
pub struct MemoryStore {
    map: Mutex<BTreeMap<String, Vec<u8>>>,
    watchers: Watchers,
}

impl MemoryStore {
    fn apply_now(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check_sizes()?;
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        for w in &batch.writes {
            if !w.condition.holds(map.get(&w.key).map(Vec::as_slice)) {
                return Err(StoreError::Conflict { key: w.key.clone() });
            }
        }
        for w in &batch.writes {
            match &w.value {
                Some(value) => map.insert(w.key.clone(), value.clone()),
                None => map.remove(&w.key),
            };
        }
        drop(map);
        self.watchers.nudge(batch.keys());
        Ok(())
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let from = match after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            Some(_) | None => Bound::Included(prefix),
        };
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(map
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(k, _)| k.starts_with(prefix))
            .take(limit)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect())
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(self.apply_now(&batch)).boxed()
    }

    fn snapshot(&self) -> Result<Vec<Pair>, StoreError> {
        self.scan("", None, usize::MAX)
    }

    fn watch(&self, prefix: &str) -> watch::Receiver<u64> {
        self.watchers.watch(prefix)
    }

    fn close(&self) {}
}
