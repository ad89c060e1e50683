//! The highest incarnation of the controller that this agent has met, kept over restarts: a controller that was
//! replaced by a restored one, and comes back, is refused before anything is reported to it.

use super::connection::write_whole;
use muster_shared::incarnation::Claim;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// File in the state folder.
const FILE: &str = "incarnation.json";

/// Keeps it over restarts.
pub trait KeepIncarnation {
    /// Stores it durably.
    ///
    /// # Errors
    /// Why not.
    fn keep(&self, claim: &Claim) -> Result<(), String>;
}

/// The file.
#[derive(Debug, Clone)]
pub struct IncarnationFile {
    folder: PathBuf,
}

impl IncarnationFile {
    /// In this state folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.to_owned() }
    }

    /// Reads it; one that is not there or damaged is as if no controller had been met.
    #[must_use]
    pub fn load(&self) -> Option<Claim> {
        let path = self.folder.join(FILE);
        let read = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        read.unwrap_or_else(|reason| {
            tracing::warn!(path = %path.display(), reason, "the incarnation of the controller cannot be read, the next one that is met counts");
            None
        })
    }

    /// Forgets it: a new enrolment may be at another controller.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl KeepIncarnation for IncarnationFile {
    fn keep(&self, claim: &Claim) -> Result<(), String> {
        let written = serde_json::to_vec(claim)
            .map_err(io::Error::from)
            .and_then(|bytes| write_whole(&self.folder, FILE, &bytes));
        written.map_err(|error| format!("the incarnation of the controller cannot be stored: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::incarnation::Incarnation;

    #[test]
    fn it_is_kept_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = IncarnationFile::new(folder.path());
        assert_eq!(file.load(), None);
        let incarnation = Incarnation { number: 2, id: uuid::Uuid::from_u128(9) };
        let claim = Claim { incarnation, signature: "3044".to_owned() };
        file.keep(&claim).unwrap();
        assert_eq!(IncarnationFile::new(folder.path()).load(), Some(claim.clone()));
        fs::write(folder.path().join(FILE), b"{\"number\":").unwrap();
        assert_eq!(file.load(), None, "what cannot be used is not");
        file.keep(&claim).unwrap();
        file.forget().unwrap();
        file.forget().unwrap();
        assert_eq!(file.load(), None);
        assert!(IncarnationFile::new(Path::new("/nonexistent")).keep(&claim).is_err());
    }
}
