//! The last good policy and the last refusal on disk, in `policy/` of the state folder.
//!
//! A file is written beside its place, synced, and renamed. The policy before is kept as `previous.json`,
//! for the case that the disk loses the current one. Contents carry a checksum; what does not match is not
//! believed.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tracing::warn;

const FOLDER: &str = "policy";
const CURRENT: &str = "current.json";
const PREVIOUS: &str = "previous.json";
const STAGED: &str = "staged.json";
const REFUSED: &str = "refused.json";

/// Version of the files.
const VERSION: u32 = 1;

/// A policy as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// The controller's hash of it.
    pub hash: Vec<u8>,
    /// JSON of an `EffectivePolicy`.
    pub body: Vec<u8>,
}

/// A refused offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRefusal {
    /// The controller's hash of it.
    pub hash: Vec<u8>,
    /// Why.
    pub reason: String,
}

/// Why a policy cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path} failed: {source}")]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct PolicyStore {
    folder: PathBuf,
}

/// A policy that is durably written but not yet in its place.
#[derive(Debug)]
#[must_use = "a staged policy takes effect only when it is committed"]
pub struct Staged(());

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    version: u32,
    hash: String,
    sha256: String,
    body: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalFile {
    version: u32,
    hash: String,
    reason: String,
}

impl PolicyStore {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let folder = state_dir.join(FOLDER);
        fs::create_dir_all(&folder).map_err(failed("making", &folder))?;
        Ok(Self { folder })
    }

    /// The folder as it is, to be read only: nothing is made, so that anybody may look.
    #[must_use]
    pub fn look(state_dir: &Path) -> Self {
        Self { folder: state_dir.join(FOLDER) }
    }

    /// The last good policy: the current one, or the one before if the current one is lost or damaged.
    #[must_use]
    pub fn load(&self) -> Option<StoredPolicy> {
        [CURRENT, PREVIOUS].iter().find_map(|name| {
            let path = self.folder.join(name);
            let found = read::<PolicyFile>(&path)?;
            let policy = believe(found);
            if policy.is_none() {
                warn!(path = %path.display(), "stored policy is damaged, ignored");
            }
            policy
        })
    }

    /// The last refusal, if no policy was applied since.
    #[must_use]
    pub fn load_refusal(&self) -> Option<StoredRefusal> {
        let file = read::<RefusalFile>(&self.folder.join(REFUSED))?;
        Some(StoredRefusal { hash: unhex(&file.hash)?, reason: file.reason })
    }

    /// Writes a policy durably beside its place.
    ///
    /// # Errors
    /// When it cannot be written; nothing changed then.
    pub fn stage(&self, policy: &StoredPolicy) -> Result<Staged, StoreError> {
        let body = String::from_utf8_lossy(&policy.body).into_owned();
        let sha256 = faster_hex::hex_string(&Sha256::digest(body.as_bytes()));
        let hash = faster_hex::hex_string(&policy.hash);
        self.write(STAGED, &PolicyFile { version: VERSION, hash, sha256, body })?;
        Ok(Staged(()))
    }

    /// Puts the staged policy in its place; from now on it is the last good one, and no refusal stands.
    ///
    /// # Errors
    /// When files cannot be renamed; the policy before is still the last good one then.
    pub fn commit(&self, _: Staged) -> Result<(), StoreError> {
        let (current, previous) = (self.folder.join(CURRENT), self.folder.join(PREVIOUS));
        if current.exists() {
            // A link, not a rename: there is a current policy at every moment.
            remove(&previous)?;
            fs::hard_link(&current, &previous).map_err(failed("linking", &previous))?;
        }
        let staged = self.folder.join(STAGED);
        fs::rename(&staged, &current).map_err(failed("renaming", &staged))?;
        remove(&self.folder.join(REFUSED))?;
        self.sync()
    }

    /// Remembers a refusal.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember_refusal(&self, refusal: &StoredRefusal) -> Result<(), StoreError> {
        const NEW: &str = "refused.new.json";
        let hash = faster_hex::hex_string(&refusal.hash);
        self.write(NEW, &RefusalFile { version: VERSION, hash, reason: refusal.reason.clone() })?;
        let new = self.folder.join(NEW);
        fs::rename(&new, self.folder.join(REFUSED)).map_err(failed("renaming", &new))?;
        self.sync()
    }

    fn write<T: Serialize>(&self, name: &str, content: &T) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        let json =
            serde_json::to_vec_pretty(content).map_err(io::Error::from).map_err(failed("writing", &path))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("creating", &path))?;
        file.write_all(&json).and_then(|()| file.sync_all()).map_err(failed("writing", &path))
    }

    fn sync(&self) -> Result<(), StoreError> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing", &self.folder))
    }
}

fn believe(file: PolicyFile) -> Option<StoredPolicy> {
    let sha256 = faster_hex::hex_string(&Sha256::digest(file.body.as_bytes()));
    let whole = file.version == VERSION && file.sha256 == sha256;
    whole.then(|| unhex(&file.hash).map(|hash| StoredPolicy { hash, body: file.body.into_bytes() })).flatten()
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!(path = %path.display(), %error, "stored policy cannot be read");
            return None;
        }
    };
    match serde_json::from_slice(&bytes) {
        Ok(content) => Some(content),
        Err(error) => {
            warn!(path = %path.display(), %error, "stored policy is damaged, ignored");
            None
        }
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError { action, path: path.to_owned(), source }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0; text.len() / 2];
    faster_hex::hex_decode(text.as_bytes(), &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(number: u8) -> StoredPolicy {
        StoredPolicy { hash: vec![number; 32], body: format!("{{\"revision\":{number}}}").into_bytes() }
    }

    fn store() -> (tempfile::TempDir, PolicyStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = PolicyStore::open(dir.path()).unwrap();
        (dir, store)
    }

    fn put(store: &PolicyStore, number: u8) {
        let staged = store.stage(&policy(number)).unwrap();
        store.commit(staged).unwrap();
    }

    #[test]
    fn looking_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(PolicyStore::look(dir.path()).load(), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        put(&PolicyStore::open(dir.path()).unwrap(), 1);
        assert_eq!(PolicyStore::look(dir.path()).load(), Some(policy(1)));
    }

    /// The bytes of format 1, which the version before an upgrade and the one after it both read. Others need a new number
    /// for `policy` in [`crate::upgrade::formats`].
    #[test]
    fn the_bytes_of_a_policy_and_of_a_refusal() {
        let (dir, store) = store();
        let body = br#"{"revision":7,"name":"fleet"}"#.to_vec();
        let policy = StoredPolicy { hash: vec![7; 32], body };
        let refusal = StoredRefusal { hash: vec![9; 32], reason: "no such destination".to_owned() };
        let golden = [
            ("policy/current.json", include_str!("golden/current.v1.json")),
            ("policy/refused.json", include_str!("golden/refused.v1.json")),
        ];
        let staged = store.stage(&policy).unwrap();
        store.commit(staged).unwrap();
        store.remember_refusal(&refusal).unwrap();
        for (name, text) in golden {
            assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), text, "{name} as it is written");
            fs::write(dir.path().join(name), text).unwrap();
        }
        assert_eq!((store.load(), store.load_refusal()), (Some(policy), Some(refusal)));
    }

    #[test]
    fn staged_is_not_current() {
        let (dir, store) = store();
        assert_eq!(store.load(), None);
        put(&store, 1);
        let staged = store.stage(&policy(2)).unwrap();
        assert_eq!(PolicyStore::open(dir.path()).unwrap().load(), Some(policy(1)));
        store.commit(staged).unwrap();
        assert_eq!(PolicyStore::open(dir.path()).unwrap().load(), Some(policy(2)));
    }

    #[test]
    fn a_damaged_policy_gives_way_to_the_one_before() {
        let (dir, store) = store();
        put(&store, 1);
        put(&store, 2);
        let current = dir.path().join("policy/current.json");
        let text = fs::read_to_string(&current).unwrap();
        for damage in [text.replace("revision", "revisioM"), text[..text.len() / 2].to_owned(), String::new()]
        {
            fs::write(&current, damage).unwrap();
            assert_eq!(store.load(), Some(policy(1)));
        }
        fs::remove_file(&current).unwrap();
        assert_eq!(store.load(), Some(policy(1)));
    }

    #[test]
    fn a_refusal_stands_until_a_policy_is_applied() {
        let (_dir, store) = store();
        let refusal = StoredRefusal { hash: vec![9; 32], reason: "no such destination".to_owned() };
        store.remember_refusal(&refusal).unwrap();
        assert_eq!(store.load_refusal(), Some(refusal));
        put(&store, 1);
        assert_eq!(store.load_refusal(), None);
    }

    #[test]
    fn an_odd_hash_is_kept_as_it_is() {
        let (_dir, store) = store();
        let odd = StoredPolicy { hash: Vec::new(), body: b"{}".to_vec() };
        let staged = store.stage(&odd).unwrap();
        store.commit(staged).unwrap();
        assert_eq!(store.load(), Some(odd));
    }
}
