//! The agent's identity on disk: `identity/` in the state folder, replaced as a whole or not at all.
//!
//! Files: `agent-id`, `key.pem` (mode 0600), `cert.pem`, `ca.pem`, `urls` (one a line). While an enrolment
//! runs, id and key stand in `enrolment.pending/`: a repeated attempt shows the controller the same key, so
//! that a lost answer does not cost a token.

use crate::uplink::endpoint::{Endpoint, EndpointError};
use crate::uplink::tls::{self, TlsError};
use jiff::Timestamp;
use muster_proto::session::fingerprint::spki_sha256;
use muster_shared::id::AgentId;
use rustls::ClientConfig;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

const IDENTITY: &str = "identity";
const NEW: &str = "identity.new";
const READY: &str = "identity.ready";
const OLD: &str = "identity.old";
const PENDING: &str = "enrolment.pending";

/// What an enrolled agent is and holds.
pub struct Identity {
    /// The agent's id for its whole life.
    pub agent: AgentId,
    /// Private key, PEM.
    pub key_pem: Zeroizing<String>,
    /// Client certificate chain, PEM.
    pub cert_pem: String,
    /// The controller's CA, PEM.
    pub ca_pem: String,
    /// Controllers.
    pub urls: Vec<String>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("agent", &self.agent)
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// An identity that an enrolment is about to get.
pub struct PendingKey {
    /// The agent's id.
    pub agent: AgentId,
    /// Private key, PEM.
    pub key_pem: Zeroizing<String>,
}

/// Why an identity cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is none.
    #[error("this agent is not enrolled: {path} does not exist; run `muster-agent enrol` with a token")]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{action} {path} failed")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{path} is damaged ({reason}); restore the folder from a backup or enrol again")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Identity {
    /// Reads the identity of the agent whose state is in `state_dir`; finishes a replacement that a crash
    /// cut short.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(state_dir: &Path) -> Result<Self, IdentityError> {
        finish_replacement(state_dir)?;
        let folder = state_dir.join(IDENTITY);
        if !folder.exists() {
            return Err(IdentityError::Missing { path: folder });
        }
        let urls: Vec<String> = read(&folder.join("urls"))?.lines().map(str::to_owned).collect();
        Endpoint::parse_all(&urls).map_err(|error| damaged(&folder.join("urls"), error.to_string()))?;
        Ok(Self {
            agent: read_agent_id(&folder.join("agent-id"))?,
            key_pem: Zeroizing::new(read(&folder.join("key.pem"))?),
            cert_pem: read(&folder.join("cert.pem"))?,
            ca_pem: read(&folder.join("ca.pem"))?,
            urls,
        })
    }

    /// Whether there is one.
    #[must_use]
    pub fn exists(state_dir: &Path) -> bool {
        state_dir.join(IDENTITY).exists() || state_dir.join(READY).exists()
    }

    /// Writes the identity durably: after a crash there is the old one or this one, whole.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn store(&self, state_dir: &Path) -> Result<(), IdentityError> {
        let folder = state_dir.join(NEW);
        remove_folder(&folder)?;
        make_folder(&folder)?;
        write(&folder.join("agent-id"), &format!("{}\n", self.agent))?;
        write(&folder.join("key.pem"), &self.key_pem)?;
        write(&folder.join("cert.pem"), &self.cert_pem)?;
        write(&folder.join("ca.pem"), &self.ca_pem)?;
        write(&folder.join("urls"), &(self.urls.join("\n") + "\n"))?;
        sync_folder(&folder)?;
        let ready = state_dir.join(READY);
        remove_folder(&ready)?;
        rename(&folder, &ready)?;
        sync_folder(state_dir)?;
        finish_replacement(state_dir)
    }

    /// The controllers' addresses.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, EndpointError> {
        Endpoint::parse_all(&self.urls)
    }

    /// TLS with this identity, trusting the enrolled CA alone.
    ///
    /// # Errors
    /// When key or certificates are damaged.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        tls::mutual(&self.ca_pem, &self.cert_pem, &self.key_pem)
    }

    /// Names the controller's authority: the front of the hash of its public key, in hex.
    ///
    /// # Errors
    /// When its certificate is damaged.
    pub fn authority(&self) -> Result<String, TlsError> {
        let chain = tls::certificates(&self.ca_pem, "the controller's CA file")?;
        let der = chain.first().map(|der| der.as_ref()).unwrap_or_default();
        let key = X509Certificate::from_der(der).map(|(_, ca)| spki_sha256(ca.public_key().raw));
        // A certificate that TLS could not use is named by nothing; it fails there.
        Ok(faster_hex::hex_string(&key.unwrap_or_default()[..8]))
    }

    /// When the certificate expires; `None` if it cannot be read.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        super::certificate::validity(&self.cert_pem).map(|validity| validity.until)
    }
}

impl PendingKey {
    /// The key of an enrolment that has begun, or a new one made by `make_key` (PEM). A new key goes with
    /// the id `keep`, or with a new id.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn load_or_make(
        state_dir: &Path,
        keep: Option<AgentId>,
        make_key: impl FnOnce() -> Zeroizing<String>,
    ) -> Result<Self, IdentityError> {
        let folder = state_dir.join(PENDING);
        if folder.join("agent-id").exists() {
            return Ok(Self {
                agent: read_agent_id(&folder.join("agent-id"))?,
                key_pem: Zeroizing::new(read(&folder.join("key.pem"))?),
            });
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(io_error("making", state_dir))?;
        remove_folder(&folder)?;
        make_folder(&folder)?;
        let agent = keep.unwrap_or_else(|| AgentId(Uuid::now_v7()));
        let key_pem = make_key();
        // The id is written last: with it, the folder is whole.
        write(&folder.join("key.pem"), &key_pem)?;
        write(&folder.join("agent-id"), &format!("{agent}\n"))?;
        sync_folder(&folder)?;
        sync_folder(state_dir)?;
        Ok(Self { agent, key_pem })
    }

    /// Keeps another id for the same key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn rename(&self, state_dir: &Path) -> Result<(), IdentityError> {
        let folder = state_dir.join(PENDING);
        let new = folder.join("agent-id.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("removing", &new)(error));
            }
            Ok(()) | Err(_) => {}
        }
        write(&new, &format!("{}\n", self.agent))?;
        rename(&new, &folder.join("agent-id"))?;
        sync_folder(&folder)
    }

    /// Forgets the pending key, after its identity was stored or refused for good.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn forget(state_dir: &Path) -> Result<(), IdentityError> {
        remove_folder(&state_dir.join(PENDING))
    }
}

/// Puts a complete new identity in its place. Repeatable at any point where a crash may cut it short.
fn finish_replacement(state_dir: &Path) -> Result<(), IdentityError> {
    let (ready, current, old) = (state_dir.join(READY), state_dir.join(IDENTITY), state_dir.join(OLD));
    if ready.exists() {
        if current.exists() {
            remove_folder(&old)?;
            rename(&current, &old)?;
        }
        rename(&ready, &current)?;
        sync_folder(state_dir)?;
    }
    if old.exists() && current.exists() {
        remove_folder(&old)?;
    }
    Ok(())
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> IdentityError + 'a {
    move |source| IdentityError::Io { action, path: path.to_owned(), source }
}

fn damaged(path: &Path, reason: String) -> IdentityError {
    IdentityError::Damaged { path: path.to_owned(), reason }
}

pub(super) fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(io_error("reading", path))
}

fn read_agent_id(path: &Path) -> Result<AgentId, IdentityError> {
    read(path)?.trim().parse().map_err(|error: uuid::Error| damaged(path, error.to_string()))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), IdentityError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("creating", path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error("writing", path))
}

pub(super) fn make_folder(path: &Path) -> Result<(), IdentityError> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(io_error("making", path))
}

pub(super) fn remove_folder(path: &Path) -> Result<(), IdentityError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("removing", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn remove_file(path: &Path) -> Result<(), IdentityError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("removing", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), IdentityError> {
    fs::rename(from, to).map_err(io_error("renaming", from))
}

pub(super) fn sync_folder(path: &Path) -> Result<(), IdentityError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("syncing", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn identity(cert: &str) -> Identity {
        Identity {
            agent: AgentId(Uuid::from_u128(7)),
            key_pem: Zeroizing::new("key".to_owned()),
            cert_pem: cert.to_owned(),
            ca_pem: "ca".to_owned(),
            urls: vec!["https://a:4320".to_owned(), "https://b:4320".to_owned()],
        }
    }

    fn cert(dir: &Path) -> String {
        Identity::load(dir).unwrap().cert_pem
    }

    #[test]
    fn stored_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(IdentityError::Missing { .. })));
        identity("one").store(dir.path()).unwrap();
        let read = Identity::load(dir.path()).unwrap();
        assert_eq!(
            (read.agent, read.key_pem.as_str(), read.ca_pem.as_str()),
            (AgentId(Uuid::from_u128(7)), "key", "ca")
        );
        assert_eq!(read.urls, ["https://a:4320", "https://b:4320"]);
        let mode = fs::metadata(dir.path().join("identity/key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        identity("two").store(dir.path()).unwrap();
        assert_eq!(cert(dir.path()), "two");
        assert!(!dir.path().join(OLD).exists(), "the old key is gone");
        assert!(!format!("{read:?}").contains("key\""));
    }

    #[test]
    fn a_replacement_cut_short_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        identity("one").store(dir.path()).unwrap();
        // Killed before the new folder was whole.
        fs::create_dir(dir.path().join(NEW)).unwrap();
        assert_eq!(cert(dir.path()), "one");
        // Killed with the new one whole and the old one still in place.
        let other = tempfile::tempdir().unwrap();
        identity("two").store(other.path()).unwrap();
        fs::rename(other.path().join(IDENTITY), dir.path().join(READY)).unwrap();
        assert_eq!(cert(dir.path()), "two");
        // Killed between the two renames.
        fs::rename(dir.path().join(IDENTITY), dir.path().join(OLD)).unwrap();
        identity("three").store(other.path()).unwrap();
        fs::rename(other.path().join(IDENTITY), dir.path().join(READY)).unwrap();
        assert!(Identity::exists(dir.path()));
        assert_eq!(cert(dir.path()), "three");
        assert!(!dir.path().join(OLD).exists());
    }

    #[test]
    fn damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        identity("one").store(dir.path()).unwrap();
        fs::write(dir.path().join("identity/agent-id"), "nobody").unwrap();
        let error = Identity::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("agent-id is damaged"), "{error}");
    }

    #[test]
    fn a_pending_key_survives_until_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let make = |text: &'static str| move || Zeroizing::new(text.to_owned());
        let first = PendingKey::load_or_make(dir.path(), None, make("a")).unwrap();
        let again = PendingKey::load_or_make(dir.path(), None, make("b")).unwrap();
        assert_eq!((again.agent, again.key_pem.as_str()), (first.agent, "a"));
        assert_eq!(first.agent.0.get_version_num(), 7);
        let renamed = PendingKey { agent: AgentId(Uuid::from_u128(8)), ..again };
        renamed.rename(dir.path()).unwrap();
        renamed.rename(dir.path()).unwrap();
        let again = PendingKey::load_or_make(dir.path(), None, make("b")).unwrap();
        assert_eq!((again.agent, again.key_pem.as_str()), (renamed.agent, "a"), "the key stays");
        PendingKey::forget(dir.path()).unwrap();
        let keep = AgentId(Uuid::from_u128(9));
        let next = PendingKey::load_or_make(dir.path(), Some(keep), make("c")).unwrap();
        assert_eq!((next.agent, next.key_pem.as_str()), (keep, "c"));
    }
}
