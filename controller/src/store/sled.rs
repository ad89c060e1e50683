//! The embedded store: sled, flushed in groups before any answer.
//!
//! sled buffers writes in the process, so a write that returned is not yet safe from `kill -9`. A single
//! flusher thread flushes for everybody who waits: under load one flush serves many batches.

use super::{Batch, Pair, Store, StoreError, Watchers};
use futures_util::future::{BoxFuture, FutureExt};
use std::ops::Bound;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{oneshot, watch};

/// Cache of sled in bytes: the state is small, and 2 MiB holds 11 MiB resident in all.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;

/// Batches that may wait for one flush; whoever comes then waits until it has begun, which takes no longer
/// than the flush before.
const MAX_WAITING: usize = 4_096;

/// Asks the flusher for a flush; answered when it is done.
type Waiter = oneshot::Sender<Result<(), ::sled::Error>>;

/// The store in a folder.
pub struct SledStore {
    tree: ::sled::Db,
    /// Held while a batch is checked and written, and while a snapshot is taken.
    writer: Mutex<()>,
    watchers: Watchers,
    flusher: Mutex<Option<Flusher>>,
}

struct Flusher {
    requests: SyncSender<Waiter>,
    thread: JoinHandle<()>,
}

fn io(tried: &'static str) -> impl Fn(::sled::Error) -> StoreError {
    move |source| StoreError::Io { tried, source }
}

impl SledStore {
    /// Opens the store in `folder`, or makes it.
    ///
    /// # Errors
    /// If the folder cannot be written or another controller has it open.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let tree = ::sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .mode(::sled::Mode::LowSpace)
            .flush_every_ms(Some(500))
            .open()
            .map_err(io("opened"))?;
        let (requests, received) = sync_channel(MAX_WAITING);
        let flushed = tree.clone();
        let thread = std::thread::Builder::new()
            .name("store-flush".to_owned())
            .spawn(move || flush_loop(&flushed, &received))
            .map_err(|e| StoreError::Io { tried: "opened", source: e.into() })?;
        Ok(Self {
            tree,
            writer: Mutex::new(()),
            watchers: Watchers::default(),
            flusher: Mutex::new(Some(Flusher { requests, thread })),
        })
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check_sizes()?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writes = ::sled::Batch::default();
        for w in &batch.writes {
            let present = self.tree.get(&w.key).map_err(io("read"))?;
            if !w.condition.holds(present.as_deref()) {
                return Err(StoreError::Conflict { key: w.key.clone() });
            }
            match &w.value {
                Some(value) => writes.insert(w.key.as_bytes(), value.as_slice()),
                None => writes.remove(w.key.as_bytes()),
            }
        }
        self.tree.apply_batch(writes).map_err(io("written"))
    }

    fn request_flush(&self) -> Result<oneshot::Receiver<Result<(), ::sled::Error>>, StoreError> {
        let (done, wait) = oneshot::channel();
        let flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        let flusher = flusher.as_ref().ok_or(StoreError::Closed)?;
        flusher.requests.send(done).map_err(|_| StoreError::Closed)?;
        Ok(wait)
    }
}

/// Flushes once for all who asked meanwhile; ends when the store is closed.
fn flush_loop(tree: &::sled::Db, requests: &Receiver<Waiter>) {
    while let Ok(first) = requests.recv() {
        let mut waiting = vec![first];
        waiting.extend(requests.try_iter());
        let result = tree.flush().map(|_| ());
        for waiter in waiting {
            // A waiter that went away (its client hung up) needs no answer.
            let _ = waiter.send(result.clone());
        }
    }
}

impl Store for SledStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tree.get(key).map_err(io("read"))?.map(|v| v.to_vec()))
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let from = match after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            Some(_) | None => Bound::Included(prefix),
        };
        let mut found = Vec::new();
        for pair in self.tree.range::<&str, _>((from, Bound::Unbounded)) {
            let (key, value) = pair.map_err(io("read"))?;
            if !key.starts_with(prefix.as_bytes()) || found.len() >= limit {
                break;
            }
            found.push((String::from_utf8_lossy(&key).into_owned(), value.to_vec()));
        }
        Ok(found)
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if batch.is_empty() {
                return Ok(());
            }
            let wait = {
                self.write(&batch)?;
                self.request_flush()?
            };
            wait.await.map_err(|_| StoreError::Closed)?.map_err(io("written"))?;
            self.watchers.nudge(&batch);
            Ok(())
        }
        .boxed()
    }

    fn snapshot(&self) -> Result<Vec<Pair>, StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.scan("", None, usize::MAX)
    }

    fn watch(&self, prefix: &str) -> watch::Receiver<u64> {
        self.watchers.watch(prefix)
    }

    fn close(&self) {
        let flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Flusher { requests, thread }) = flusher {
            drop(requests);
            if thread.join().is_err() {
                tracing::error!("the store's flusher panicked");
            }
            if let Err(error) = self.tree.flush() {
                tracing::error!(%error, "the store could not be flushed on closing");
            }
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
    }
}
