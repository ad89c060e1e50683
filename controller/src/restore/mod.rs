//! `muster-controller restore`: a data folder out of a backup, as a new incarnation.
//!
//! Promises: either the folder holds everything that the backup held, changed as a new incarnation has to be
//! ([`renew`]), or nothing; a restore that was cut off is no data folder that a controller starts with. What was
//! done after the backup is lost with the old controller; an export of its audit log tells it ([`redo`]), and what
//! keeps somebody out is done again at once. The licence refuses none of it.

pub mod redo;
pub mod renew;

use crate::audit_log::{AuditError, AuditLog, HEAD, Head, OUTBOX, SEGMENT_BYTES};
use crate::event_hub::EventHub;
use crate::identity::authority::{self, Authority, AuthorityError};
use crate::identity::ca::CaError;
use crate::identity::file::{self, FileError, failed};
use crate::store::{Batch, Condition, MemoryStore, Pair, SharedStore, SledStore, Store, StoreError};
use jiff::Timestamp;
use muster_backup::{BackupError, Manifest, Part, Passphrase, Summary};
use muster_proto::api::AuditFork;
use muster_shared::incarnation::LAST;
use redo::{Export, ExportError, Lost};
use renew::Renewed;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stands in the folder while it is not whole.
const MARKER: &str = "restore-unfinished";
/// Pairs that are written at once.
const PAIRS_AT_ONCE: usize = 500;
/// What an empty folder may hold: the root of a file system has it.
const NOTHING: &str = "lost+found";

/// What to restore, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The backup.
    pub from: PathBuf,
    /// The data folder, which must be empty.
    pub data_dir: PathBuf,
    /// What the backup is encrypted to.
    pub passphrase: Passphrase,
    /// Export of the lost controller's audit log.
    pub audit_log: Option<PathBuf>,
    /// Number of the new incarnation, if not the next one.
    pub incarnation: Option<u64>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the backup held.
    pub manifest: Manifest,
    /// What became of it.
    pub renewed: Renewed,
    /// The check of the audit log in the backup.
    pub chain: String,
    /// What the export told; absent without one.
    pub lost: Option<Lost>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The folder is in use.
    #[error(
        "{0} is not empty; a backup is restored into an empty folder, so that nothing is mixed: name another one"
    )]
    NotEmpty(PathBuf),
    /// The backup.
    #[error("{path} cannot be restored")]
    Backup {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: BackupError,
    },
    /// It holds what this release has no place for.
    #[error(
        "the backup holds a file `{0}` that this release does not know; use the release that it was made with"
    )]
    UnknownFile(String),
    /// It holds no authority.
    #[error(
        "the backup holds no authority: agents could not come back to what would be restored; use another one"
    )]
    NoAuthority,
    /// The export.
    #[error("the export {path} cannot be used; nothing was restored")]
    Export {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ExportError,
    },
    /// The number.
    #[error(
        "incarnation {asked} is not above {known}, which agents may have met; leave --incarnation out or name a higher one"
    )]
    Incarnation {
        /// What was asked for.
        asked: u64,
        /// The highest that is known.
        known: u64,
    },
    /// The number is too high.
    #[error(
        "the number of an incarnation must be above {known} and at most {LAST}; name one with --incarnation"
    )]
    LastIncarnation {
        /// The highest that is known.
        known: u64,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The signature.
    #[error("the new incarnation could not be signed")]
    Sign(#[from] CaError),
}

/// A folder in which a restore was cut off.
#[derive(Debug, thiserror::Error)]
#[error("a restore into {0} was cut off: empty the folder and restore again")]
pub struct Unfinished(PathBuf);

/// Whether a controller may start with a folder.
///
/// # Errors
/// If a restore into it was cut off.
pub fn look(data_dir: &Path) -> Result<(), Unfinished> {
    match data_dir.join(MARKER).exists() {
        true => Err(Unfinished(data_dir.to_owned())),
        false => Ok(()),
    }
}

/// Restores a backup.
///
/// # Errors
/// Why not; the folder is as it was then.
pub async fn restore(options: &Options, now: Timestamp) -> Result<Report, RestoreError> {
    let folder = &options.data_dir;
    let existed = is_empty(folder)?;
    file::private_folder(folder)?;
    file::write(&folder.join(MARKER), 0o600, b"")?;
    let result = fill(options, now).await;
    match &result {
        Ok(_) => {
            let marker = folder.join(MARKER);
            std::fs::remove_file(&marker).map_err(failed("removed", &marker))?;
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("written", folder))?;
        }
        Err(_) => empty(folder, existed),
    }
    result
}

/// Whether the folder is there; an error if there is something in it.
fn is_empty(folder: &Path) -> Result<bool, RestoreError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(failed("read", folder))?,
    };
    for entry in entries {
        if entry.map_err(failed("read", folder))?.file_name() != NOTHING {
            return Err(RestoreError::NotEmpty(folder.to_owned()));
        }
    }
    Ok(true)
}

/// Takes away what was written into a folder that was empty. What cannot be removed keeps the mark beside it.
fn empty(folder: &Path, existed: bool) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut left = false;
    for entry in entries.flatten().filter(|e| e.file_name() != NOTHING && e.file_name() != MARKER) {
        let path = entry.path();
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        left |= removed.is_err();
    }
    if !left && std::fs::remove_file(folder.join(MARKER)).is_ok() && !existed {
        // Its parents may be older.
        let _ = std::fs::remove_dir(folder);
    }
}

async fn fill(options: &Options, now: Timestamp) -> Result<Report, RestoreError> {
    let folder = &options.data_dir;
    let (summary, pairs) = unpack(options)?;
    let Summary { manifest, chain } = summary;
    let export = match &options.audit_log {
        Some(path) => {
            let wrong = |source| RestoreError::Export { path: path.clone(), source };
            let export = redo::read(path, &manifest.audit).map_err(wrong)?;
            Some(export)
        }
        None => None,
    };
    let store = memory(pairs).await?;
    if let Some(export) = &export {
        // What waited in the backup and was logged since must not be logged again.
        let mut logged = Batch::new();
        for entry in &export.entries {
            logged.delete(format!("{OUTBOX}{}", entry.id), Condition::Any);
        }
        store.apply(logged).await?;
    }
    let known = renew::agents(&store)?;
    let lost = export.as_ref().map(|export| redo::judge(&export.entries, &known));
    let authority = Authority::load(folder, &store, now)?;
    let end = export.as_ref().map_or(&manifest.audit, |export| &export.end);
    let plan = renew::Plan {
        now,
        manifest: &manifest,
        asked: options.incarnation,
        lost: lost.as_ref(),
        fork: AuditFork { sequence: end.sequence, hash: end.hash.clone() },
        issuing: &authority.issuing(),
    };
    let renewed = renew::renew(&store, &plan).await?;
    let head = append(folder, &manifest, export.as_ref())?;
    let kept: SharedStore = Arc::new(SledStore::open(&folder.join("store"))?);
    let filled = write_store(&store, &kept, &head).await;
    let logged = match filled {
        // Entries that waited in the store, and that of the restore.
        Ok(()) => log(folder, &kept).await,
        Err(error) => Err(error.into()),
    };
    kept.close();
    logged?;
    let chain = match chain {
        Ok(verified) => format!("whole: {verified}"),
        Err(broken) => format!("not whole when the backup was made: {broken}"),
    };
    Ok(Report { manifest, renewed, chain, lost })
}

/// Reads the backup: files and segments into the folder, the pairs of the store into memory.
fn unpack(options: &Options) -> Result<(Summary, Vec<Pair>), RestoreError> {
    let path = &options.from;
    let file = File::open(path).map_err(failed("read", path))?;
    let audit = options.data_dir.join("audit");
    file::private_folder(&audit)?;
    let mut pairs = Vec::new();
    let mut unknown = None;
    let read = muster_backup::read(file, &options.passphrase, &mut |part| {
        let (path, content) = match &part {
            Part::Pair(_) => {
                if let Part::Pair(pair) = part {
                    pairs.push(pair);
                }
                return Ok(());
            }
            Part::File { name, content } if authority::FILES.contains(name) => {
                (options.data_dir.join(name), content.as_slice())
            }
            Part::File { name, .. } => {
                unknown = Some((*name).to_owned());
                return Err(io::Error::other("unknown file"));
            }
            Part::Segment { name, content } => (audit.join(name), content.as_slice()),
        };
        file::write(&path, 0o600, content).map_err(|error| error.source)
    });
    match (read, unknown) {
        (_, Some(name)) => Err(RestoreError::UnknownFile(name)),
        // Or one would be made.
        (Ok(_), None) if !options.data_dir.join(authority::FILES[0]).exists() => {
            Err(RestoreError::NoAuthority)
        }
        (Ok(summary), None) => Ok((summary, pairs)),
        (Err(source), None) => Err(RestoreError::Backup { path: path.clone(), source }),
    }
}

async fn memory(pairs: Vec<Pair>) -> Result<MemoryStore, StoreError> {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for (key, value) in pairs {
        batch.put(key, Condition::Any, value);
    }
    store.apply(batch).await?;
    Ok(store)
}

/// Takes over what the export has beyond the backup, so that the log goes on where the lost one ended; tells the
/// end.
fn append(folder: &Path, manifest: &Manifest, export: Option<&Export>) -> Result<Head, RestoreError> {
    let end = Head { sequence: manifest.audit.sequence, hash: manifest.audit.hash.clone() };
    let Some(export) = export.filter(|export| !export.lines.is_empty()) else { return Ok(end) };
    for (first, lines) in segments(manifest.audit.sequence + 1, &export.lines, SEGMENT_BYTES) {
        file::write(&folder.join("audit").join(format!("{first:020}.jsonl")), 0o600, &lines)?;
    }
    Ok(Head { sequence: export.end.sequence, hash: export.end.hash.clone() })
}

/// Lines as segments of about the size of the log's own, each with the sequence of its first line.
fn segments(mut next: u64, lines: &[u8], limit: u64) -> Vec<(u64, Vec<u8>)> {
    let mut segments: Vec<(u64, Vec<u8>)> = Vec::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        match segments.last_mut() {
            Some((_, segment)) if (segment.len() as u64) < limit => segment.extend_from_slice(line),
            Some(_) | None => segments.push((next, line.to_vec())),
        }
        next += 1;
    }
    segments
}

async fn write_store(from: &MemoryStore, to: &SharedStore, head: &Head) -> Result<(), StoreError> {
    let mut pairs = from.snapshot()?.into_iter().peekable();
    while pairs.peek().is_some() {
        let mut batch = Batch::new();
        for (key, value) in pairs.by_ref().take(PAIRS_AT_ONCE) {
            batch.put(key, Condition::Any, value);
        }
        to.apply(batch).await?;
    }
    let mut batch = Batch::new();
    batch.put_json(HEAD, Condition::Any, head);
    to.apply(batch).await
}

async fn log(folder: &Path, store: &SharedStore) -> Result<(), RestoreError> {
    let log = AuditLog::open(&folder.join("audit"), Arc::clone(store), EventHub::default())?;
    let writer = log.clone();
    let done = tokio::task::spawn_blocking(move || writer.drain_blocking()).await;
    let done = done.map_err(|_| StoreError::Closed)??;
    Ok(store.apply(done).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_one_ends() {
        let text = |s: &str| s.as_bytes().to_vec();
        assert_eq!(segments(7, b"", 4), []);
        assert_eq!(
            segments(7, b"aa\nbb\ncc\ndddd\ne\n", 4),
            [(7, text("aa\nbb\n")), (9, text("cc\ndddd\n")), (11, text("e\n"))]
        );
    }
}
