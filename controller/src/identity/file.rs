//! Writing small files that must be whole or absent, readable by their owner only.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
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
    // A name that nobody can foresee, and never one that is there: not a link that somebody laid out.
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}.new", super::secret::hex(&super::secret::random_bytes::<8>())));
    let beside = path.with_file_name(name);
    let attempt = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        match path.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    attempt().map_err(|error| {
        // Where it was not made there is nothing to remove.
        let _ = std::fs::remove_file(&beside);
        failed("written", path)(error)
    })
}

/// Makes a folder for its owner only, or takes away what others may do in the one that is there. Its parents
/// are made if they are missing.
///
/// # Errors
/// If it cannot be made, is no folder, or belongs to somebody else.
pub fn private_folder(path: &Path) -> Result<(), FileError> {
    let attempt = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "the data folder was open to others, closed");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    };
    attempt().map_err(failed("created", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn others_see_nothing_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/data");
        private_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700, "closed again");
        // What stands at the old, foreseeable name of the temporary file is not touched.
        let target = folder.join("target");
        std::os::unix::fs::symlink(&target, folder.join("ca.new")).unwrap();
        write(&folder.join("ca.pem"), 0o600, b"secret").unwrap();
        assert_eq!((mode(&folder.join("ca.pem")), target.exists()), (0o600, false));
        assert!(write(&folder.join("none/ca.pem"), 0o600, b"x").is_err());
        let left = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, 2, "the file and the link");
    }
}
