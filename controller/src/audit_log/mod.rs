//! What administrators did: append-only segments, one JSON line an entry, each with the hash over the one before,
//! so that a change or a hole shows ([`muster_shared::audit_chain`]).
//!
//! An entry is stored in the same batch as the action itself (its outbox) and moved to the file afterwards,
//! so that neither is without the other whatever happens between. Entries have an id: one that is in the file
//! already is not written again after a crash. The store remembers how far the log was, so that a tail that was
//! cut off shows too.

mod outgoing;
mod refusal;
mod search;
mod segment;
mod verify;

pub(crate) use outgoing::OUTBOX;
pub use outgoing::{Actor, Outgoing};
pub use refusal::{Kind, Refusal, Refusals};
pub use search::Search;

use crate::event_hub::EventHub;
use crate::identity::file::{FileError, failed};
use crate::store::{self, Batch, Condition, Pair, SharedStore, StoreError};
use muster_proto::api::{AgentAuditPage, AuditEntry};
pub(crate) use segment::SEGMENT_BYTES;
use segment::{Line, Reader, Segments};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Key of how far the log was.
pub(crate) const HEAD: &str = "audit-head";
/// Ids remembered for telling entries that are in the file already: more than can be in the outbox when the
/// program dies, for it is emptied after every action.
const RECENT: usize = 1_000;
/// About the size of a page for an agent, in bytes.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// How far the log was when the store last knew.
#[derive(Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) sequence: u64,
    pub(crate) hash: String,
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
    folder: PathBuf,
    events: EventHub,
    writer: Arc<Mutex<Writer>>,
    /// The last check of the whole log, and where the log ended then.
    checked: Arc<tokio::sync::Mutex<verify::Checked>>,
}

struct Writer {
    segments: Segments,
    recent: VecDeque<String>,
}

impl AuditLog {
    /// Opens the log in a folder, cuts off a line that a crash left unfinished, and checks the end of the chain.
    /// New entries are told to `events`.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(folder: &Path, store: SharedStore, events: EventHub) -> Result<Self, AuditError> {
        Self::open_with(folder, store, events, SEGMENT_BYTES)
    }

    fn open_with(
        folder: &Path,
        store: SharedStore,
        events: EventHub,
        segment_bytes: u64,
    ) -> Result<Self, AuditError> {
        let (segments, lines) = Segments::open(folder, segment_bytes).map_err(failed("read", folder))?;
        let mut writer = Writer { segments, recent: VecDeque::new() };
        for line in lines {
            if let Some(entry) = entry(&line) {
                writer.remember(entry.id);
            }
        }
        if let Some(head) = store::get_json::<Head>(&*store, HEAD)? {
            let last = writer.segments.last;
            if last < head.sequence {
                tracing::error!(last, expected = head.sequence, "the end of the audit log was cut off");
            } else if last == head.sequence && writer.segments.hash != head.hash {
                tracing::error!(last, "the last entry of the audit log was changed");
            }
        }
        Ok(Self {
            store,
            folder: folder.to_owned(),
            events,
            writer: Arc::new(Mutex::new(writer)),
            checked: Arc::default(),
        })
    }

    /// Moves what waits in the outbox to the file. Blocks on the disk.
    ///
    /// # Errors
    /// If the file cannot be written; the entries stay in the outbox.
    pub fn drain_blocking(&self) -> Result<Batch, AuditError> {
        let mut writer = self.writer();
        let waiting = store::scan_json::<Outgoing>(&*self.store, OUTBOX)?;
        let mut done = Batch::new();
        let mut written = Vec::new();
        for (key, outgoing) in waiting {
            let id = key.trim_start_matches(OUTBOX).to_owned();
            if !writer.recent.contains(&id) {
                written.push(writer.append(id, outgoing).map_err(failed("written", &self.folder))?);
            }
            done.delete(key, Condition::Any);
        }
        if !written.is_empty() {
            writer.segments.sync().map_err(failed("written", &self.folder))?;
            let head = Head { sequence: writer.segments.last, hash: writer.segments.hash.clone() };
            done.put_json(HEAD, Condition::Any, &head);
        }
        for entry in &written {
            self.events.audit(entry);
        }
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

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> Reader {
        self.writer().segments.reader()
    }

    /// Sequence of the last entry; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.reader().last
    }

    /// Whole lines after the sequence `after`, up to and including `until`, at most a segment at a time, and the
    /// sequence of the last of them; `None` when there are no more. Blocks on the disk.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub fn export(&self, after: u64, until: u64) -> Result<Option<(Vec<u8>, u64)>, AuditError> {
        let reader = self.reader();
        let next = (after + 1).max(reader.first());
        if next > until.min(reader.last) {
            return Ok(None);
        }
        let (first, lines) = reader.around(next).map_err(failed("read", &self.folder))?;
        let mut text = Vec::new();
        let mut sequence = after;
        for (i, line) in lines.iter().enumerate() {
            let this = first + i as u64;
            if this < next || this > until {
                continue;
            }
            text.extend_from_slice(format!("{{\"hash\":\"{}\",\"entry\":", line.hash).as_bytes());
            text.extend_from_slice(&line.entry);
            text.extend_from_slice(b"}\n");
            sequence = this;
        }
        Ok((sequence > after).then_some((text, sequence)))
    }

    /// Where the log ended when these pairs of the store were written.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn stored_head(pairs: &[Pair]) -> Result<u64, StoreError> {
        match pairs.iter().find(|(key, _)| key == HEAD) {
            Some((key, value)) => Ok(store::decode::<Head>(key, value)?.sequence),
            None => Ok(0),
        }
    }

    /// Gives the whole log up to and including `until` to `each`, a segment at a time, with the sequence of the
    /// first entry of each. Blocks on the disk.
    ///
    /// # Errors
    /// If a segment cannot be read, or `each` fails.
    pub fn each_segment(
        &self,
        until: u64,
        each: &mut dyn FnMut(u64, &[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let first = self.reader().first();
        let mut after = 0;
        while let Some((text, last)) = self.export(after, until).map_err(std::io::Error::other)? {
            each((after + 1).max(first), &text)?;
            after = last;
        }
        Ok(())
    }

    /// At most `limit` lines after the sequence `after`, and where the log ends; fewer when they are long. Blocks
    /// on the disk.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub fn following(&self, after: u64, limit: usize) -> Result<AgentAuditPage, AuditError> {
        let (last, hash) = {
            let writer = self.writer();
            (writer.segments.last, writer.segments.hash.clone())
        };
        let mut page = AgentAuditPage { newest: last, newest_hash: hash, ..AgentAuditPage::default() };
        let (mut after, mut bytes) = (after.min(last), 0);
        while page.lines.len() < limit && bytes < PAGE_BYTES {
            let Some((text, sequence)) = self.export(after, last)? else { break };
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                if page.lines.len() == limit || bytes >= PAGE_BYTES {
                    break;
                }
                bytes += line.len();
                page.lines.push(String::from_utf8_lossy(line).into_owned());
            }
            after = sequence;
        }
        Ok(page)
    }
}

fn entry(line: &Line) -> Option<AuditEntry> {
    let entry: AuditEntry = serde_json::from_slice(&line.entry).ok()?;
    Some(AuditEntry { hash: line.hash.clone(), ..entry })
}

impl Writer {
    fn remember(&mut self, id: String) {
        self.recent.push_back(id);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    fn append(&mut self, id: String, out: Outgoing) -> std::io::Result<AuditEntry> {
        let entry = AuditEntry {
            sequence: self.segments.last + 1,
            id: id.clone(),
            at: out.at,
            actor: out.actor,
            from: out.from,
            token: out.token,
            action: out.action,
            object: out.object,
            detail: out.detail,
            before: out.before,
            after: out.after,
            hash: String::new(),
        };
        self.segments.append(&store::encode(&entry))?;
        self.remember(id);
        Ok(AuditEntry { hash: self.segments.hash.clone(), ..entry })
    }
}

#[cfg(test)]
mod tests;
