//! The repository of release packages: what agents are upgraded with.
//!
//! A package is one signed file ([`muster_package`]). It comes in pieces ([`upload`]), is verified as a whole, and only
//! then has a name: `packages/<sha256>.muster` in the data folder, and a record in the store that says what it is. The
//! controller holds no private key, so it can hand out nothing that the vendor did not sign; agents verify again.
//! Retired packages are not offered by new rollouts, but still served: to those that go back, and to rollouts under way.
//!
//! What agents are offered is worked out by [`decide`] and stored by [`driver`].
//!
//! Everything is bounded ([`PackageLimits`]): the size of a file, how many there are, what they take together, uploads
//! that are open, downloads ([`download`]) and their pace ([`pace`]). What a crash leaves without a record is removed at
//! the start. Backups hold the records and no files: after a restore a package is not there until it is uploaded again.

pub mod decide;
pub mod download;
pub mod driver;
mod files;
pub mod pace;
pub mod range;
pub mod standing;
pub mod upload;
mod verify;

pub use files::FileFault;
pub use verify::Refused;

use crate::identity::life::CONTROLLER;
use crate::store::{self, Batch, Condition, Store, StoreError};
use download::Downloads;
use files::Files;
use jiff::Timestamp;
use muster_package::Version;
use muster_package::keys::Trust;
use muster_package::manifest::Manifest;
use muster_proto::api::{HoldView, PackageView};
use serde::{Deserialize, Serialize};
use standing::Standing;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Prefix of the keys of packages.
pub const PREFIX: &str = "package/";
/// Key of the highest statement about the vendor's keys that a package brought.
const STATEMENT: &str = "package-statement";

/// How much the repository takes, and gives at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageLimits {
    /// Most packages, retired ones too.
    pub packages: usize,
    /// Most bytes on disk, of packages and of uploads as they were announced.
    pub bytes: u64,
    /// Most downloads at a time.
    pub downloads: usize,
    /// Bytes a second of all downloads together.
    pub bytes_per_second: u64,
}

impl Default for PackageLimits {
    fn default() -> Self {
        Self { packages: 200, bytes: 10_000_000_000, downloads: 50, bytes_per_second: 20_000_000 }
    }
}

/// A package as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// What is in it; its files are left out, which only agents need and find in the package itself.
    pub manifest: Manifest,
    /// The signature of the manifest.
    pub signature: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of the file.
    pub size: u64,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// When.
    pub uploaded_at: Timestamp,
    /// Set once it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
}

/// That a package was retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl PackageRecord {
    /// Key in the store.
    #[must_use]
    pub fn key(&self) -> String {
        key(&self.manifest.name, &self.manifest.version, &self.manifest.platform)
    }

    /// `muster-agent 0.2.0 for x86_64-linux`.
    #[must_use]
    pub fn title(&self) -> String {
        let Manifest { name, version, platform, .. } = &self.manifest;
        format!("{name} {version} for {platform}")
    }
}

fn key(name: &str, version: &Version, platform: &str) -> String {
    format!("{PREFIX}{name}/{version}/{platform}")
}

/// A statement about the vendor's keys, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredStatement {
    text: String,
    signatures: Vec<String>,
}

/// The repository.
pub struct Packages {
    limits: PackageLimits,
    files: Files,
    state: Mutex<State>,
    /// Held while a package is added or retired.
    changing: tokio::sync::Mutex<()>,
    writers: upload::Writers,
    /// Downloads under way.
    pub downloads: Arc<Downloads>,
}

struct State {
    /// By key.
    packages: BTreeMap<String, PackageRecord>,
    /// Whose signatures count.
    trust: Trust,
    /// What agents shall run when no rollout changes them.
    standings: Vec<Standing>,
}

impl Packages {
    /// Opens the repository in a folder, and removes what a crash left there without a record.
    ///
    /// # Errors
    /// If the folder or the store cannot be used.
    pub fn open(
        folder: &Path,
        store: &dyn Store,
        limits: PackageLimits,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let packages: BTreeMap<String, PackageRecord> =
            store::scan_json::<PackageRecord>(store, PREFIX)?.into_iter().collect();
        let files = Files::open(folder)?;
        let known = packages.values().map(|package| package.sha256.as_str()).collect();
        files.remove_strangers(&known)?;
        files.remove_dead_uploads(now)?;
        let trust = stored_trust(store)?;
        Ok(Self {
            limits,
            files,
            state: Mutex::new(State { packages, trust, standings: standing::load(store)? }),
            changing: tokio::sync::Mutex::default(),
            writers: upload::Writers::default(),
            downloads: Downloads::new(limits.downloads, limits.bytes_per_second),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All packages, by name, version as text, and platform.
    #[must_use]
    pub fn all(&self) -> Vec<PackageRecord> {
        self.state().packages.values().cloned().collect()
    }

    /// One of them.
    #[must_use]
    pub fn find(&self, name: &str, version: &Version, platform: &str) -> Option<PackageRecord> {
        self.state().packages.get(&key(name, version, platform)).cloned()
    }

    /// Where its file is.
    #[must_use]
    pub fn path(&self, package: &PackageRecord) -> PathBuf {
        self.files.package(&package.sha256)
    }

    /// The one with this file.
    #[must_use]
    pub fn find_file(&self, sha256: &str) -> Option<PackageRecord> {
        self.state().packages.values().find(|package| package.sha256 == sha256).cloned()
    }

    /// Whose signatures count.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.state().trust.clone()
    }

    /// As the interface shows it.
    #[must_use]
    pub fn view(&self, package: &PackageRecord) -> PackageView {
        let manifest = &package.manifest;
        PackageView {
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            platform: manifest.platform.clone(),
            sha256: package.sha256.clone(),
            size: package.size,
            upgrade_from: manifest.upgrade_from.to_string(),
            floor: manifest.floor.to_string(),
            notes: manifest.notes.clone(),
            security: manifest.security,
            uploaded_by: package.uploaded_by.clone(),
            uploaded_at: package.uploaded_at,
            present: self.files.package(&package.sha256).exists(),
            retired: package.retired.as_ref().map(|retired| HoldView {
                since: retired.at,
                by: retired.by.clone(),
                reason: retired.reason.clone(),
            }),
        }
    }

    /// What agents shall run when no rollout changes them.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.state().standings.clone()
    }

    /// Takes over standing targets that are stored.
    pub fn take_standings(&self, standings: Vec<Standing>) {
        self.state().standings = standings;
    }

    /// Waits for the right to add or retire a package.
    pub async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Takes over a record that is stored.
    pub fn take(&self, package: PackageRecord) {
        self.state().packages.insert(package.key(), package);
    }

    /// The package retired, and what stores it; none if it was retired before.
    #[must_use]
    pub fn retired(&self, package: &PackageRecord, by: Retired) -> Option<(PackageRecord, Batch)> {
        if package.retired.is_some() {
            return None;
        }
        let retired = PackageRecord { retired: Some(by), ..package.clone() };
        let mut batch = Batch::new();
        batch.put_json(retired.key(), Condition::Equals(store::encode(package)), &retired);
        Some((retired, batch))
    }

    /// Removes uploads that nobody goes on with.
    pub fn sweep(&self, now: Timestamp) {
        if let Err(error) = self.files.remove_dead_uploads(now) {
            tracing::warn!(error = &error as &dyn std::error::Error, "dead uploads of packages stay");
        }
    }
}

/// The shipped keys, and what the highest statement says of them.
fn stored_trust(store: &dyn Store) -> Result<Trust, StoreError> {
    let mut trust = Trust::shipped();
    if let Some(statement) = store::get_json::<StoredStatement>(store, STATEMENT)? {
        let signatures: Vec<&str> = statement.signatures.iter().map(String::as_str).collect();
        if let Err(error) = trust.take(statement.text.as_bytes(), &signatures) {
            // This release ships other keys than the one that took it. The next statement counts again.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                by = CONTROLLER,
                "the stored statement about the vendor's keys does not count"
            );
        }
    }
    Ok(trust)
}

/// Why the repository could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
