//! Writing a file so that a crash leaves the old or the new content, never a mixture.

use super::StateError;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Replaces the file at `path`: writes beside it, syncs, renames, syncs the folder. The file is readable
/// by its owner only.
///
/// # Errors
/// [`StateError::Io`] with the step that failed; the old content then is still there.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(beside).map_err(StateError::io("create", beside))?;
    file.write_all(content).map_err(StateError::io("write", beside))?;
    file.sync_all().map_err(StateError::io("sync", beside))?;
    std::fs::rename(beside, path).map_err(StateError::io("replace", path))?;
    // Without this a power failure may bring the old name back.
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StateError::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursors");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let missing = folder.path().join("none/cursors");
        assert!(matches!(write_atomic(&missing, b"x"), Err(StateError::Io { attempt: "create", .. })));
    }
}
