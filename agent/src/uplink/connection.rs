//! What the controller set of the connection: where to connect, tried before it is kept. The decisions are
//! pure; the file is written before anything is acted on, so that a crash resumes at the same place.
//!
//! An offered address is stored as candidate, then the agent leaves the present controller and connects to
//! it. Once the controller there has answered, the address replaces the one through which it was offered. If
//! the one attempt fails, the agent goes back to what it had and says why.

use super::endpoint::{Endpoint, EndpointError};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// File in the state folder.
const FILE: &str = "connection.json";

/// What was set, in whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Addresses in place of those of the enrolment; empty while nothing was set.
    pub urls: Vec<String>,
    /// An address that is being tried.
    pub candidate: Option<Candidate>,
}

/// An address that is being tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The address.
    pub url: String,
    /// The address through which it was offered, and which it replaces.
    pub replaces: String,
    /// Hash of the offer.
    pub hash: Vec<u8>,
    /// Heartbeat of the offer in seconds.
    pub heartbeat_seconds: u64,
}

/// Keeps it over restarts.
pub trait KeepConnection {
    /// Stores it durably.
    ///
    /// # Errors
    /// Why not; then nothing may be acted on.
    fn keep(&self, kept: &Kept) -> Result<(), String>;
}

impl Kept {
    /// The addresses to use: the candidate alone while it is tried, else what was set, else `enrolled`.
    ///
    /// # Errors
    /// When one of them is no address.
    pub fn endpoints(&self, enrolled: &[Endpoint]) -> Result<Vec<Endpoint>, EndpointError> {
        match &self.candidate {
            Some(candidate) => Endpoint::parse_all(&[&candidate.url]),
            None => self.settled(enrolled),
        }
    }

    /// The addresses without the candidate.
    ///
    /// # Errors
    /// When one of them is no address.
    pub fn settled(&self, enrolled: &[Endpoint]) -> Result<Vec<Endpoint>, EndpointError> {
        if self.urls.is_empty() { Ok(enrolled.to_vec()) } else { Endpoint::parse_all(&self.urls) }
    }

    /// With an address to be tried.
    #[must_use]
    pub fn trying(&self, candidate: Candidate) -> Self {
        Self { candidate: Some(candidate), ..self.clone() }
    }

    /// The candidate was good: it stands where the address stood through which it was offered.
    #[must_use]
    pub fn kept(&self, enrolled: &[Endpoint]) -> Self {
        let Some(candidate) = &self.candidate else { return self.clone() };
        let mut urls = self.urls.clone();
        if urls.is_empty() {
            urls = enrolled.iter().map(Endpoint::to_string).collect();
        }
        match urls.iter_mut().find(|url| **url == candidate.replaces) {
            Some(place) => place.clone_from(&candidate.url),
            None => urls.insert(0, candidate.url.clone()),
        }
        urls.truncate(super::endpoint::MAX_ENDPOINTS);
        Self { urls, candidate: None }
    }

    /// The candidate was not good.
    #[must_use]
    pub fn reverted(&self) -> Self {
        Self { candidate: None, ..self.clone() }
    }
}

/// The file.
#[derive(Debug, Clone)]
pub struct ConnectionFile {
    folder: PathBuf,
}

impl ConnectionFile {
    /// In this state folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.to_owned() }
    }

    /// Reads it; one that is not there or damaged is as if nothing had been set.
    #[must_use]
    pub fn load(&self) -> Kept {
        let path = self.folder.join(FILE);
        let kept = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Kept>(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(error.to_string()),
        };
        match kept {
            Ok(kept) if kept.endpoints(&[]).is_ok() => kept,
            Ok(_) => Kept::default(),
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "connection settings cannot be read, those of the enrolment are used");
                Kept::default()
            }
        }
    }

    /// Forgets what was set: a new enrolment brings its own addresses.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        write_whole(&self.folder, FILE, &serde_json::to_vec(kept)?)
    }
}

/// Writes a file of the state folder durably, wholly or not at all.
pub(super) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}

impl KeepConnection for ConnectionFile {
    fn keep(&self, kept: &Kept) -> Result<(), String> {
        self.write(kept).map_err(|error| format!("connection settings cannot be stored: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate() -> Candidate {
        Candidate {
            url: "https://new:4320/v1/opamp".to_owned(),
            replaces: "https://b:4320/v1/opamp".to_owned(),
            hash: vec![7],
            heartbeat_seconds: 30,
        }
    }

    fn texts(endpoints: Result<Vec<Endpoint>, EndpointError>) -> Vec<String> {
        endpoints.unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_candidate_is_tried_alone_and_replaces_the_one_that_offered_it() {
        let enrolled = Endpoint::parse_all(&["https://a", "https://b"]).unwrap();
        let none = Kept::default();
        assert_eq!(texts(none.endpoints(&enrolled)), ["https://a:4320/v1/opamp", "https://b:4320/v1/opamp"]);
        let trying = none.trying(candidate());
        assert_eq!(texts(trying.endpoints(&enrolled)), ["https://new:4320/v1/opamp"]);
        assert_eq!(trying.reverted(), none);
        let kept = trying.kept(&enrolled);
        assert_eq!(
            texts(kept.endpoints(&enrolled)),
            ["https://a:4320/v1/opamp", "https://new:4320/v1/opamp"]
        );
        // One whose place is gone comes first.
        let again = kept.trying(Candidate { url: "https://x:4320/v1/opamp".to_owned(), ..candidate() });
        assert_eq!(texts(again.kept(&enrolled).endpoints(&enrolled))[0], "https://x:4320/v1/opamp");
    }

    #[test]
    fn a_crash_between_resumes_with_the_candidate() {
        let folder = tempfile::tempdir().unwrap();
        let file = ConnectionFile::new(folder.path());
        assert_eq!(file.load(), Kept::default());
        let trying = Kept::default().trying(candidate());
        file.keep(&trying).unwrap();
        assert_eq!(file.load(), trying);
        fs::write(folder.path().join(FILE), b"{\"urls\":[\"ftp://x\"]}").unwrap();
        assert_eq!(file.load(), Kept::default(), "what cannot be used is not");
        file.forget().unwrap();
        file.forget().unwrap();
        assert_eq!(file.load(), Kept::default());
        assert!(ConnectionFile::new(Path::new("/nonexistent")).keep(&trying).is_err());
    }
}
