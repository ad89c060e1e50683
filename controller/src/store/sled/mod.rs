//! The embedded store: sled, written and flushed by one thread, in groups, before any answer.
//!
//! sled buffers writes in the process, so a write that returned is not yet safe from `kill -9`. The thread
//! takes all batches that wait, writes them as one and flushes once: under load one flush serves thousands of
//! agents, and nobody who serves connections waits for the disk. When most of the file is dead the same thread
//! writes it anew ([`compaction`]).

mod compaction;
mod generation;

use self::compaction::{Compaction, Judge};
use self::generation::{Current, Generation, Home};
use super::group::Group;
use super::{Batch, Pair, Store, StoreError, Watchers};
use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, FutureExt};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{mpsc, oneshot, watch};

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
    shared: Arc<Shared>,
    writer: Mutex<Option<Writer>>,
}

/// What the writing thread shares with readers.
struct Shared {
    /// The generation that counts. Whoever reads keeps the one it began with.
    present: ArcSwap<Generation>,
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
        let home = Home::open(folder)?;
        let (current, generation) = home.open_current()?;
        let (requests, received) = mpsc::channel(MAX_WAITING);
        let shared = Arc::new(Shared {
            present: ArcSwap::from_pointee(generation),
            writing: Mutex::default(),
            watchers: Watchers::default(),
        });
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || WriteLoop::new(shared, home, current).run(received)
            })
            .map_err(|e| StoreError::Io { tried: "opened", source: e.into() })?;
        Ok(Self { shared, writer: Mutex::new(Some(Writer { requests, thread })) })
    }

    fn requests(&self) -> Result<mpsc::Sender<Request>, StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().map(|w| w.requests.clone()).ok_or(StoreError::Closed)
    }
}

/// The writing thread: writes what waits, group by group, and ends when the store is closed.
struct WriteLoop {
    shared: Arc<Shared>,
    home: Home,
    current: Current,
    judge: Judge,
    compaction: Option<Compaction>,
}

impl WriteLoop {
    fn new(shared: Arc<Shared>, home: Home, current: Current) -> Self {
        Self { shared, home, current, judge: Judge::new(current.live_bytes), compaction: None }
    }

    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(step) = self.next(&mut requests) {
            if let Some(first) = step {
                self.serve(first, &mut requests);
            }
            if self.compaction.is_some() {
                self.compact();
            }
        }
    }

    /// The next request; nothing if a compaction may go on meanwhile; none when the store is closed.
    fn next(&self, requests: &mut mpsc::Receiver<Request>) -> Option<Option<Request>> {
        if self.compaction.is_none() {
            return requests.blocking_recv().map(Some);
        }
        match requests.try_recv() {
            Ok(request) => Some(Some(request)),
            Err(TryRecvError::Empty) => Some(None),
            Err(TryRecvError::Disconnected) => None,
        }
    }

    /// Writes the first request and all that wait behind it as one group.
    fn serve(&mut self, first: Request, requests: &mut mpsc::Receiver<Request>) {
        let present = self.shared.present.load_full();
        let stored = |key: &str| present.tree.get(key).map_err(io("read"));
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
            return;
        }
        let result = write(&present.tree, &self.shared.writing, &group);
        if result.is_ok() {
            self.shared.watchers.nudge(group.keys());
            self.after_write(&present.tree, &group);
        }
        for done in waiting {
            answer(done, result.clone().map_err(io("written")));
        }
    }

    /// The compaction follows what was written, or begins if it is time for one.
    fn after_write(&mut self, tree: &::sled::Db, group: &Group) {
        let followed = match &self.compaction {
            Some(compaction) => compaction.follow(group),
            None if self.judge.is_due(group.bytes(), || tree.size_on_disk().ok()) => {
                Compaction::begin(&self.home, self.current.generation)
                    .map(|begun| self.compaction = Some(begun))
            }
            None => Ok(()),
        };
        if let Err(error) = followed {
            self.give_up(&error);
        }
    }

    /// The next slice of the compaction; after the last one the new generation counts.
    fn compact(&mut self) {
        let Some(mut compaction) = self.compaction.take() else { return };
        let present = self.shared.present.load_full();
        let finished = match compaction.copy_slice(&present.tree) {
            Ok(false) => {
                self.compaction = Some(compaction);
                return;
            }
            Ok(true) => compaction.finish(&self.home),
            Err(error) => Err(error),
        };
        match finished {
            Ok((current, generation)) => {
                tracing::debug!(
                    generation = current.generation,
                    live_bytes = current.live_bytes,
                    "store written anew"
                );
                {
                    let _writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
                    self.shared.present.store(generation);
                }
                present.abandon();
                self.current = current;
                self.judge = Judge::new(current.live_bytes);
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// The old generation goes on; what was written of the new one is deleted.
    fn give_up(&mut self, error: &StoreError) {
        self.compaction = None;
        self.judge.put_off(self.shared.present.load().tree.size_on_disk().unwrap_or(0));
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the store could not be written anew to free disk space; it goes on as it is and tries again later"
        );
    }
}

/// Whoever went away (its client hung up) needs no answer.
fn answer(done: oneshot::Sender<Result<(), StoreError>>, result: Result<(), StoreError>) {
    let _ = done.send(result);
}

fn batch_of<'a>(writes: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> ::sled::Batch {
    let mut batch = ::sled::Batch::default();
    for (key, value) in writes {
        match value {
            Some(value) => batch.insert(key.as_bytes(), value),
            None => batch.remove(key.as_bytes()),
        }
    }
    batch
}

fn write(tree: &::sled::Db, writing: &Mutex<()>, group: &Group) -> Result<(), ::sled::Error> {
    if group.is_empty() {
        return Ok(());
    }
    {
        let _writing = writing.lock().unwrap_or_else(PoisonError::into_inner);
        tree.apply_batch(batch_of(group.writes()))?;
    }
    tree.flush().map(|_| ())
}

impl Store for SledStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.shared.present.load().tree.get(key).map_err(io("read"))?.map(|v| v.to_vec()))
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let from = match after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            Some(_) | None => Bound::Included(prefix),
        };
        let present = self.shared.present.load_full();
        let mut found = Vec::new();
        for pair in present.tree.range::<&str, _>((from, Bound::Unbounded)) {
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
            while matches!(requests.try_send(Request::Close), Err(TrySendError::Full(_))) {
                std::thread::yield_now();
            }
            if thread.join().is_err() {
                tracing::error!("the store's thread panicked");
            }
            if let Err(error) = self.shared.present.load().tree.flush() {
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

#[cfg(test)]
mod tests;
