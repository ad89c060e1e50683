//! The embedded store: sled, written and flushed by one thread, in groups, before any answer.
//!
//! sled buffers writes in the process, so a write that returned is not yet safe from `kill -9`. The thread
//! takes all batches that wait, writes them as one and flushes once: under load one flush serves thousands of
//! agents, and nobody who serves connections waits for the disk.

use super::group::Group;
use super::{Batch, Pair, Store, StoreError, Watchers};
use futures_util::future::{BoxFuture, FutureExt};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

/// Cache of sled in bytes: the state is small, and 2 MiB holds 11 MiB resident in all.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;

/// Batches that may wait to be written; whoever comes then waits for a place.
const MAX_WAITING: usize = 4_096;
/// Bytes that are written at once, about.
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// Asks the thread for something.
enum Request {
    /// Write a batch, and tell who waits for it.
    Write { batch: Batch, done: oneshot::Sender<Result<(), StoreError>> },
    /// Write what waits, and end.
    Close,
}

/// The store in a folder.
pub struct SledStore {
    tree: ::sled::Db,
    shared: Arc<Shared>,
    writer: Mutex<Option<Writer>>,
}

/// What the writing thread shares with readers.
#[derive(Default)]
struct Shared {
    /// Held while a group is written, and while a snapshot is taken.
    writing: Mutex<()>,
    watchers: Watchers,
}

struct Writer {
    requests: mpsc::Sender<Request>,
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
        let (requests, received) = mpsc::channel(MAX_WAITING);
        let shared = Arc::<Shared>::default();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn({
                let (tree, shared) = (tree.clone(), Arc::clone(&shared));
                move || write_loop(&tree, &shared, received)
            })
            .map_err(|e| StoreError::Io { tried: "opened", source: e.into() })?;
        Ok(Self { tree, shared, writer: Mutex::new(Some(Writer { requests, thread })) })
    }

    fn requests(&self) -> Result<mpsc::Sender<Request>, StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().map(|w| w.requests.clone()).ok_or(StoreError::Closed)
    }
}

/// Writes what waits, group by group; ends when the store is closed.
fn write_loop(tree: &::sled::Db, shared: &Shared, mut requests: mpsc::Receiver<Request>) {
    let stored = |key: &str| tree.get(key).map_err(io("read"));
    while let Some(first) = requests.blocking_recv() {
        let mut group = Group::default();
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Write { batch, done } => match group.add(batch, stored) {
                    Ok(()) => waiting.push(done),
                    Err(error) => answer(done, Err(error)),
                },
                Request::Close => requests.close(),
            }
            next = if group.bytes() < MAX_GROUP_BYTES { requests.try_recv().ok() } else { None };
        }
        if waiting.is_empty() {
            continue;
        }
        let result = write(tree, shared, &group);
        if result.is_ok() {
            shared.watchers.nudge(group.keys());
        }
        for done in waiting {
            answer(done, result.clone().map_err(io("written")));
        }
    }
}

/// Whoever went away (its client hung up) needs no answer.
fn answer(done: oneshot::Sender<Result<(), StoreError>>, result: Result<(), StoreError>) {
    let _ = done.send(result);
}

fn write(tree: &::sled::Db, shared: &Shared, group: &Group) -> Result<(), ::sled::Error> {
    if group.is_empty() {
        return Ok(());
    }
    let mut writes = ::sled::Batch::default();
    for (key, value) in group.writes() {
        match value {
            Some(value) => writes.insert(key.as_bytes(), value),
            None => writes.remove(key.as_bytes()),
        }
    }
    {
        let _writing = shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        tree.apply_batch(writes)?;
    }
    tree.flush().map(|_| ())
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
            let requests = self.requests()?;
            let (done, wait) = oneshot::channel();
            requests.send(Request::Write { batch, done }).await.map_err(|_| StoreError::Closed)?;
            wait.await.map_err(|_| StoreError::Closed)?
        }
        .boxed()
    }

    fn snapshot(&self) -> Result<Vec<Pair>, StoreError> {
        let _writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.scan("", None, usize::MAX)
    }

    fn watch(&self, prefix: &str) -> watch::Receiver<u64> {
        self.shared.watchers.watch(prefix)
    }

    fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Writer { requests, thread }) = writer {
            // The thread makes room; a task that waits for a place must not be needed for that.
            while matches!(requests.try_send(Request::Close), Err(mpsc::error::TrySendError::Full(_))) {
                std::thread::yield_now();
            }
            if thread.join().is_err() {
                tracing::error!("the store's thread panicked");
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
