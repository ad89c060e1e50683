//! What administrators did: an append-only file, one JSON line an entry, each with the hash of the one
//! before, so that a change or a hole shows.
//!
//! An entry is stored in the same batch as the action itself (its outbox) and moved to the file afterwards,
//! so that neither is without the other whatever happens between. Entries have an id: one that is in the file
//! already is not written again after a crash.

use crate::identity::file::{FileError, failed};
use crate::identity::secret;
use crate::store::{self, Batch, Condition, SharedStore, StoreError};
use jiff::Timestamp;
use muster_proto::api::AuditEntry;
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Prefix of the keys of entries that are not in the file yet.
const OUTBOX: &str = "audit/";
/// Ids remembered for telling entries that are in the file already: more than can be in the outbox when the
/// program dies, for it is emptied after every action.
const RECENT: usize = 1_000;
/// Longest line that is read.
const MAX_LINE: u64 = 64 * 1024;

/// An entry on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// From where.
    pub from: String,
    /// What.
    pub action: String,
    /// On what.
    pub object: String,
    /// Further detail.
    pub detail: String,
}

impl Outgoing {
    /// By a user.
    #[must_use]
    pub fn by_user(user: &str, from: IpAddr, action: &str, object: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            actor: user.to_owned(),
            from: from.to_string(),
            action: action.to_owned(),
            object: object.into(),
            detail: String::new(),
        }
    }

    /// By an agent, on itself.
    #[must_use]
    pub fn by_agent(action: &str, agent: AgentId, from: IpAddr) -> Self {
        Self { actor: format!("agent {agent}"), ..Self::by_user("", from, action, agent.to_string()) }
    }

    /// With further detail.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: crate::fleet::bounded(&detail.into(), 4096), ..self }
    }

    /// Adds it to the batch of the action.
    pub fn add_to(&self, batch: &mut Batch) {
        batch.put_json(format!("{OUTBOX}{}", uuid::Uuid::now_v7()), Condition::Absent, self);
    }
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    entry: AuditEntry,
}

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The outbox.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The log.
#[derive(Clone)]
pub struct AuditLog {
    store: SharedStore,
    writer: Arc<Mutex<Writer>>,
}

struct Writer {
    path: PathBuf,
    file: File,
    /// Where each entry begins.
    offsets: Vec<u64>,
    end: u64,
    hash: String,
    recent: VecDeque<String>,
}

impl AuditLog {
    /// Opens the log, cuts off a line that a crash left unfinished, and checks the chain.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn open(path: &Path, store: SharedStore) -> Result<Self, AuditError> {
        let writer = Writer::open(path).map_err(failed("read", path))?;
        Ok(Self { store, writer: Arc::new(Mutex::new(writer)) })
    }

    /// Moves what waits in the outbox to the file. Blocks on the disk.
    ///
    /// # Errors
    /// If the file cannot be written; the entries stay in the outbox.
    pub fn drain_blocking(&self) -> Result<Batch, AuditError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = store::scan_json::<Outgoing>(&*self.store, OUTBOX)?;
        let path = writer.path.clone();
        let mut done = Batch::new();
        for (key, outgoing) in waiting {
            let id = key.trim_start_matches(OUTBOX).to_owned();
            if !writer.recent.contains(&id) {
                writer.append(id, outgoing).map_err(failed("written", &path))?;
            }
            done.delete(key, Condition::Any);
        }
        writer.file.sync_data().map_err(failed("written", &path))?;
        Ok(done)
    }

    /// Moves what waits in the outbox to the file.
    pub async fn drain(&self) {
        let log = self.clone();
        let result = tokio::task::spawn_blocking(move || log.drain_blocking()).await;
        let result = match result {
            Ok(Ok(done)) => self.store.apply(done).await.map_err(AuditError::from),
            Ok(Err(error)) => Err(error),
            Err(_) => return,
        };
        if let Err(error) = result {
            tracing::error!(error = &error as &dyn std::error::Error, "audit entries wait in the store");
        }
    }

    /// At most `limit` entries before `before`, newest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn page(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditEntry>, AuditError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = writer.offsets.len();
        let end = before.map_or(count, |b| usize::try_from(b.saturating_sub(1)).unwrap_or(0).min(count));
        let start = end.saturating_sub(limit);
        let mut entries = writer.read(start, end).map_err(failed("read", &writer.path))?;
        entries.reverse();
        Ok(entries)
    }
}

impl Writer {
    fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut writer = Self {
            path: path.to_owned(),
            file,
            offsets: Vec::new(),
            end: 0,
            hash: String::new(),
            recent: VecDeque::new(),
        };
        writer.replay()?;
        Ok(writer)
    }

    fn replay(&mut self) -> std::io::Result<()> {
        let mut reader = BufReader::new(self.file.try_clone()?);
        let mut text = Vec::new();
        loop {
            text.clear();
            let n = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut text)? as u64;
            if n == 0 || !text.ends_with(b"\n") {
                break;
            }
            self.offsets.push(self.end);
            self.end += n;
            match serde_json::from_slice::<Line>(&text) {
                Ok(line) => {
                    let expected = chain(&self.hash, &line.id, &line.entry);
                    if expected != line.entry.hash {
                        tracing::error!(
                            sequence = line.entry.sequence,
                            "the chain of the audit log is broken here: an entry was changed or removed"
                        );
                    }
                    self.hash = line.entry.hash;
                    self.remember(line.id);
                }
                Err(error) => tracing::error!(%error, "an entry of the audit log cannot be read"),
            }
        }
        self.file.set_len(self.end)
    }

    fn remember(&mut self, id: String) {
        self.recent.push_back(id);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    fn append(&mut self, id: String, out: Outgoing) -> std::io::Result<()> {
        let mut entry = AuditEntry {
            sequence: self.offsets.len() as u64 + 1,
            at: out.at,
            actor: out.actor,
            from: out.from,
            action: out.action,
            object: out.object,
            detail: out.detail,
            hash: String::new(),
        };
        entry.hash = chain(&self.hash, &id, &entry);
        let hash = entry.hash.clone();
        let mut text = store::encode(&Line { id: id.clone(), entry });
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            // Nothing but whole lines stays in the file.
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.offsets.push(self.end);
        self.end += text.len() as u64;
        self.hash = hash;
        self.remember(id);
        Ok(())
    }

    fn read(&self, start: usize, end: usize) -> std::io::Result<Vec<AuditEntry>> {
        let Some(&from) = self.offsets.get(start).filter(|_| start < end) else { return Ok(Vec::new()) };
        let to = self.offsets.get(end).copied().unwrap_or(self.end);
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(from))?;
        let reader = BufReader::new(file.take(to - from));
        let mut entries = Vec::new();
        for line in reader.lines() {
            if let Ok(line) = serde_json::from_str::<Line>(&line?) {
                entries.push(line.entry);
            }
        }
        Ok(entries)
    }
}

/// SHA-256 over the hash before and the entry without its own.
fn chain(before: &str, id: &str, entry: &AuditEntry) -> String {
    let bare = AuditEntry { hash: String::new(), ..entry.clone() };
    let mut bytes = before.as_bytes().to_vec();
    bytes.extend(store::encode(&Line { id: id.to_owned(), entry: bare }));
    secret::sha256_hex(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    async fn act(store: &SharedStore, log: &AuditLog, object: &str) {
        let mut batch = Batch::new();
        Outgoing::by_user("admin", "127.0.0.1".parse().unwrap(), "token.create", object).add_to(&mut batch);
        store.apply(batch).await.unwrap();
        log.drain().await;
    }

    #[tokio::test]
    async fn entries_are_chained_and_survive_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let store: SharedStore = Arc::new(MemoryStore::default());
        let log = AuditLog::open(&path, Arc::clone(&store)).unwrap();
        for object in ["a", "b", "c"] {
            act(&store, &log, object).await;
        }
        drop(log);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":\"half").unwrap();
        let log = AuditLog::open(&path, Arc::clone(&store)).unwrap();
        act(&store, &log, "d").await;
        let objects = |before, limit| {
            let page = log.page(before, limit).unwrap();
            page.into_iter().map(|e| (e.sequence, e.object)).collect::<Vec<_>>()
        };
        let pair = |n: u64, o: &str| (n, o.to_owned());
        assert_eq!(objects(None, 2), [pair(4, "d"), pair(3, "c")]);
        assert_eq!(objects(Some(3), 10), [pair(2, "b"), pair(1, "a")]);
        assert_eq!(objects(Some(1), 10), []);
        assert_eq!(store.snapshot().unwrap(), [], "the outbox is empty");

        let entries = log.page(None, 10).unwrap();
        let lines: Vec<Line> = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let mut hash = String::new();
        for line in &lines {
            assert_eq!(chain(&hash, &line.id, &line.entry), line.entry.hash);
            hash.clone_from(&line.entry.hash);
        }
        assert_eq!(entries[0].hash, hash);
    }

    #[tokio::test]
    async fn an_entry_that_is_in_the_file_already_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let store: SharedStore = Arc::new(MemoryStore::default());
        let log = AuditLog::open(&path, Arc::clone(&store)).unwrap();
        let mut batch = Batch::new();
        Outgoing::by_user("admin", "127.0.0.1".parse().unwrap(), "x", "y").add_to(&mut batch);
        store.apply(batch).await.unwrap();
        // Written, but the program dies before the outbox is emptied.
        let _lost = log.drain_blocking().unwrap();
        drop(log);
        let log = AuditLog::open(&path, Arc::clone(&store)).unwrap();
        log.drain().await;
        assert_eq!(log.page(None, 10).unwrap().len(), 1);
        assert_eq!(store.snapshot().unwrap(), []);
    }
}
