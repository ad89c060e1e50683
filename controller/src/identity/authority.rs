//! The authority over time: one certification authority, or two while the old one is being replaced.
//!
//! A roll-over has two steps. *Begin*: the next authority is made; it and the present one sign each other's
//! keys; agents' certificates come from the next one, those of both are accepted, and every agent is offered
//! both as anchors, vouched for by the one that it knows. The controller's own port goes on with the present
//! one, which all agents know. *Finish*: the old one is dropped.
//!
//! What counts is one entry in the store, written together with the audit entry; files come before it (begin) or
//! after it (finish), and what a crash left between is completed or thrown away at the start.

use super::ca::{Ca, CaError};
use super::file::{self, FileError, failed};
use super::secret;
use crate::store::{self, Store, StoreError};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Key and certificate of the authority.
const FILE: &str = "ca.pem";
/// The same of the next one, with the certificates by which each vouches for the other.
const NEXT_FILE: &str = "ca-next.pem";
/// Certificates alone, for people and other programs.
const PUBLIC_FILE: &str = "ca.crt";
/// What a backup holds of them; the public file is made from these.
pub const FILES: [&str; 2] = [FILE, NEXT_FILE];
/// Key in the store of what counts.
pub const STATE: &str = "ca/state";

/// What counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredState {
    /// SHA-256 of the key of the authority in use, or being replaced, in hex.
    pub present: String,
    /// The same of the next one, during a roll-over.
    pub next: Option<String>,
    /// When this state began.
    pub since: Timestamp,
    /// By whom.
    pub by: String,
}

/// Why the authority could not be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files and store do not fit.
    #[error(
        "{0} does not hold the authority that the store names; restore the whole data folder from one backup"
    )]
    Mismatch(String),
}

/// The authorities of the moment.
pub struct Trust {
    /// Signs agents' certificates.
    pub issuing: Arc<Ca>,
    /// The one being replaced: signs the controller's own certificate until it is dropped.
    pub previous: Option<Arc<Ca>>,
    /// When the roll-over began.
    pub since: Option<Timestamp>,
    /// The next one's key signed by the previous, and the other way round.
    crosses: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// The one that signs the controller's own certificate.
    #[must_use]
    pub fn serving(&self) -> &Arc<Ca> {
        self.previous.as_ref().unwrap_or(&self.issuing)
    }

    /// Both, the issuing one first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Ca>> {
        std::iter::once(&self.issuing).chain(&self.previous)
    }

    /// What agents are offered as anchors: the issuing one first, then the previous one, then what vouches.
    #[must_use]
    pub fn bundle(&self) -> String {
        let mut text: String = self.all().map(|ca| ca.pem()).collect();
        for cross in &self.crosses {
            text.push_str(&super::ca::pem_text(cross));
        }
        text
    }

    /// What the server sends after its own certificate: all authorities and what joins them, so that whoever
    /// trusts either of them can verify it.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        let serving = self.serving().certificate().clone();
        let others = self.all().map(|ca| ca.certificate().clone()).filter(|der| *der != serving);
        std::iter::once(serving.clone()).chain(self.crosses.iter().cloned()).chain(others).collect()
    }
}

/// The authority of a controller, replaced while it runs.
pub struct Authority {
    folder: PathBuf,
    trust: ArcSwap<Trust>,
    /// Held over a step of a roll-over.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl Authority {
    /// Reads the authority, or makes it at the first start; completes what a crash cut short.
    ///
    /// # Errors
    /// If the data folder cannot be used, or its parts do not fit.
    pub fn load(folder: &Path, store: &dyn Store, now: Timestamp) -> Result<Self, AuthorityError> {
        let state = store::get_json::<StoredState>(store, STATE)?;
        let (path, next_path) = (folder.join(FILE), folder.join(NEXT_FILE));
        let next = read(&next_path)?;
        let is = |ca: &Ca, wanted: &str| secret::hex(&ca.spki_sha256()) == wanted;
        let trust = match (&state, next) {
            (None, next) => {
                if next.is_some() {
                    remove(&next_path)?;
                }
                single(Ca::load_or_create(&path, now)?, None)
            }
            (Some(StoredState { present, next: None, .. }), next) => {
                // A roll-over that was begun and never counted, or finished and not yet moved into place.
                match next {
                    Some(text) if is(&parse(&text, &next_path)?, present) => {
                        let ca = parse(&text, &next_path)?;
                        file::write(&path, 0o600, ca.secret_text().as_bytes())?;
                        remove(&next_path)?;
                    }
                    Some(_) => remove(&next_path)?,
                    None => {}
                }
                let ca = Ca::load_or_create(&path, now)?;
                if !is(&ca, present) {
                    return Err(AuthorityError::Mismatch(path.display().to_string()));
                }
                single(ca, None)
            }
            (Some(StoredState { present, next: Some(wanted), since, .. }), text) => {
                let mismatch = |path: &Path| AuthorityError::Mismatch(path.display().to_string());
                let text = text.ok_or_else(|| mismatch(&next_path))?;
                let (issuing, previous) = (parse(&text, &next_path)?, Ca::load_or_create(&path, now)?);
                if !is(&issuing, wanted) {
                    return Err(mismatch(&next_path));
                }
                if !is(&previous, present) {
                    return Err(mismatch(&path));
                }
                overlap(issuing, previous, &text, *since)
            }
        };
        let authority = Self {
            folder: folder.to_owned(),
            trust: ArcSwap::from_pointee(trust),
            turn: tokio::sync::Mutex::default(),
        };
        authority.write_public()?;
        Ok(authority)
    }

    /// The authorities of the moment.
    #[must_use]
    pub fn trust(&self) -> Arc<Trust> {
        self.trust.load_full()
    }

    /// The one that signs agents' certificates.
    #[must_use]
    pub fn issuing(&self) -> Arc<Ca> {
        Arc::clone(&self.trust.load().issuing)
    }

    fn write_public(&self) -> Result<(), FileError> {
        let trust = self.trust.load();
        // Who trusts what stands here must be able to verify the port: the serving one comes first.
        let mut text = trust.serving().pem().to_owned();
        if trust.previous.is_some() {
            text.push_str(trust.issuing.pem());
        }
        file::write(&self.folder.join(PUBLIC_FILE), 0o644, text.as_bytes())
    }

    /// Makes the next authority and writes its file, which counts for nothing yet.
    ///
    /// # Errors
    /// If it cannot be made or written.
    pub(crate) fn prepare(&self, now: Timestamp) -> Result<Trust, AuthorityError> {
        let previous = Arc::clone(&self.trust.load().issuing);
        let next = Ca::create(now)?;
        let crosses = [previous.vouch(&next, now)?, next.vouch(&previous, now)?];
        let mut text = next.secret_text();
        for cross in &crosses {
            text.push_str(&super::ca::pem_text(cross));
        }
        file::write(&self.folder.join(NEXT_FILE), 0o600, text.as_bytes())?;
        Ok(Trust {
            issuing: Arc::new(next),
            previous: Some(previous),
            since: Some(now),
            crosses: crosses.into(),
        })
    }

    /// Takes over what counts now.
    ///
    /// # Errors
    /// If the public file cannot be written; the rest is taken over.
    pub(crate) fn begin(&self, trust: Trust) -> Result<(), FileError> {
        self.trust.store(Arc::new(trust));
        self.write_public()
    }

    /// Drops the previous authority, after that counts. Files follow.
    ///
    /// # Errors
    /// If files cannot be written; the next start writes them.
    pub(crate) fn finish(&self) -> Result<(), FileError> {
        let issuing = Arc::clone(&self.trust.load().issuing);
        let text = issuing.secret_text();
        self.trust.store(Arc::new(Trust { issuing, previous: None, since: None, crosses: Vec::new() }));
        file::write(&self.folder.join(FILE), 0o600, text.as_bytes())?;
        remove(&self.folder.join(NEXT_FILE))?;
        self.write_public()
    }
}

fn single(ca: Ca, since: Option<Timestamp>) -> Trust {
    Trust { issuing: Arc::new(ca), previous: None, since, crosses: Vec::new() }
}

fn overlap(issuing: Ca, previous: Ca, text: &str, since: Timestamp) -> Trust {
    let crosses = super::ca::certificates(text).into_iter().skip(1).collect();
    Trust { issuing: Arc::new(issuing), previous: Some(Arc::new(previous)), since: Some(since), crosses }
}

fn parse(text: &str, path: &Path) -> Result<Ca, CaError> {
    Ca::from_pem(text).ok_or_else(|| CaError::Damaged(path.display().to_string()))
}

fn read(path: &Path) -> Result<Option<String>, FileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path)(e)),
    }
}

fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("removed", path)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, Condition, MemoryStore};

    fn now() -> Timestamp {
        "2026-11-22T04:00:00Z".parse().unwrap()
    }

    fn state(present: &Ca, next: Option<&Ca>) -> StoredState {
        let hex = |ca: &Ca| secret::hex(&ca.spki_sha256());
        StoredState { present: hex(present), next: next.map(hex), since: now(), by: "admin".to_owned() }
    }

    async fn count(store: &MemoryStore, state: &StoredState) {
        let mut batch = Batch::new();
        batch.put_json(STATE, Condition::Any, state);
        store.apply(batch).await.unwrap();
    }

    #[tokio::test]
    async fn each_point_of_a_crash_is_before_or_after() {
        let dir = tempfile::tempdir().unwrap();
        let store = MemoryStore::default();
        let load = || Authority::load(dir.path(), &store, now()).unwrap();
        let pem = |a: &Authority| a.trust().bundle();
        let first = load();
        let old = first.issuing();
        // Killed after the file and before it counts: nothing has happened.
        let prepared = first.prepare(now()).unwrap();
        assert!(dir.path().join(NEXT_FILE).exists());
        assert_eq!(pem(&load()), pem(&first));
        assert!(!dir.path().join(NEXT_FILE).exists());
        drop(prepared);
        // Killed after it counts: both are there, as they were made.
        let prepared = first.prepare(now()).unwrap();
        let next = Arc::clone(&prepared.issuing);
        count(&store, &state(&old, Some(&next))).await;
        let second = load();
        assert_eq!(pem(&second), prepared.bundle());
        assert_eq!(second.trust().serving().pem(), old.pem());
        assert_eq!(second.trust().since, Some(now()));
        // Killed after the end counts, before the files follow.
        count(&store, &state(&next, None)).await;
        let third = load();
        assert_eq!(pem(&third), next.pem());
        assert!(!dir.path().join(NEXT_FILE).exists());
        assert_eq!(pem(&load()), next.pem());
        // Without a crash.
        second.finish().unwrap();
        assert_eq!(pem(&load()), next.pem());
        assert_eq!(std::fs::read_to_string(dir.path().join(PUBLIC_FILE)).unwrap(), next.pem());
    }

    #[tokio::test]
    async fn a_folder_of_two_backups_is_not_started_with() {
        let dir = tempfile::tempdir().unwrap();
        let store = MemoryStore::default();
        let first = Authority::load(dir.path(), &store, now()).unwrap();
        let other = Ca::create(now()).unwrap();
        count(&store, &state(&other, None)).await;
        let result = Authority::load(dir.path(), &store, now());
        assert!(matches!(result, Err(AuthorityError::Mismatch(_))));
        count(&store, &state(&first.issuing(), Some(&other))).await;
        assert!(matches!(Authority::load(dir.path(), &store, now()), Err(AuthorityError::Mismatch(_))));
    }
}
