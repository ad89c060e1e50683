//! Writing small files that must be whole or absent, readable by their owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file or folder that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be {tried}; check the permissions and the space of its folder")]
pub struct FileError {
    /// What was tried: `read`, `written` or `created`.
    pub tried: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// Names the file in an I/O error.
pub fn failed(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { tried, path, source }
}

/// Writes a file atomically (beside, synced, renamed) with the given mode.
///
/// # Errors
/// If its folder cannot be written.
pub fn write(path: &Path, mode: u32, content: &[u8]) -> Result<(), FileError> {
    let beside = path.with_extension("new");
    let attempt = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        match path.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    attempt().map_err(failed("written", path))
}
