//! The two files between agent and launcher, and their folder.

use crate::decide::Found;
use muster_package::slots::{FORMAT, Launch, Layout, MAX_FILE, Order};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What failed on which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}, which must be possible for the launcher's user, on a disk that is not full", path.display())]
pub struct StoreError {
    /// What was tried.
    attempt: &'static str,
    /// On what.
    path: PathBuf,
    /// Why it failed.
    source: io::Error,
}

impl StoreError {
    fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { attempt, path, source }
    }
}

/// Makes the folder, for its owner alone.
///
/// # Errors
/// [`StoreError`].
pub fn prepare(layout: &Layout) -> Result<(), StoreError> {
    let root = layout.root();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(StoreError::io("make the folder", root))?;
    std::fs::set_permissions(root, Permissions::from_mode(0o700)).map_err(StoreError::io("protect", root))
}

/// What the launcher ran and why. Where that is not known the installed program runs, and the text says so.
#[must_use]
pub fn launch(layout: &Layout) -> (Launch, Option<String>) {
    let path = layout.launch();
    let fresh = Launch { format: FORMAT, ..Launch::default() };
    match read(&path) {
        Ok(Some(launch)) => (launch, None),
        Ok(None) => (fresh, Some("nothing was run here before: the installed version runs".to_owned())),
        Err(why) => {
            let note = format!("{} cannot be read, so the installed version runs: {why}", path.display());
            (fresh, Some(note))
        }
    }
}

/// The agent's order.
#[must_use]
pub fn order(layout: &Layout) -> Found {
    match read::<Order>(&layout.order()) {
        Ok(Some(order)) => Found::Order(Box::new(order)),
        Ok(None) => Found::Nothing,
        Err(why) => Found::Unreadable(why),
    }
}

/// Stores what the launcher runs.
///
/// # Errors
/// [`StoreError`]; what was stored before is there then.
pub fn keep(layout: &Layout, launch: &Launch) -> Result<(), StoreError> {
    let path = layout.launch();
    let text = serde_json::to_vec_pretty(launch).map_err(io::Error::from);
    replace(&path, &text.map_err(StoreError::io("write", &path))?)
}

/// Removes the order.
///
/// # Errors
/// [`StoreError`].
pub fn remove_order(layout: &Layout) -> Result<(), StoreError> {
    let path = layout.order();
    match std::fs::remove_file(&path) {
        Ok(()) => sync_folder(layout.root()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("remove", &path)(error)),
    }
}

/// The content of a plain file of at most `most` bytes; none if there is no such file.
///
/// # Errors
/// Why it is not to be had.
pub fn read_plain(path: &Path, most: u64) -> Result<Option<Vec<u8>>, String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(error)),
        // Opening something else may wait for ever, or lead elsewhere.
        Ok(found) if !found.is_file() => return Err(format!("{} is no plain file", path.display())),
        Ok(_) => (),
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(told)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > most {
        return Err(format!("{} has more than {most} bytes", path.display()));
    }
    Ok(Some(bytes))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    #[derive(Deserialize)]
    struct Form {
        format: u32,
    }
    let Some(bytes) = read_plain(path, MAX_FILE)? else { return Ok(None) };
    let form: Form = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if form.format != FORMAT {
        return Err(format!("it has the form {}, known here is {FORMAT}", form.format));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string())
}

/// Writes beside, syncs, renames, syncs the folder: a power cut leaves the old or the new content.
fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let beside = path.with_extension("json.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(StoreError::io("create", &beside))?;
    file.write_all(content).map_err(StoreError::io("write", &beside))?;
    file.sync_all().map_err(StoreError::io("sync", &beside))?;
    std::fs::rename(&beside, path).map_err(StoreError::io("replace", path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_package::slots::Slot;

    fn host() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("state"));
        prepare(&layout).unwrap();
        (folder, layout)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_stored_is_read_again_by_its_owner_alone() {
        let (_folder, layout) = host();
        let stored = Launch {
            format: FORMAT,
            current: Slot::Package { version: "0.2.0".parse().unwrap() },
            installed_sha256: "00".to_owned(),
            ..Launch::default()
        };
        assert_eq!(launch(&layout).0, Launch { format: FORMAT, ..Launch::default() });
        keep(&layout, &Launch { format: FORMAT, ..Launch::default() }).unwrap();
        keep(&layout, &stored).unwrap();
        assert_eq!(launch(&layout), (stored, None));
        assert_eq!((mode(layout.root()), mode(&layout.launch())), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(layout.root()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_believed_means_the_installed_program() {
        let (_folder, layout) = host();
        let large = format!("{{\"format\":1,\"x\":\"{}\"}}", "x".repeat(300_000));
        let cases = [
            ("", "EOF"),
            ("{\"format\":1,", "EOF"),
            ("{\"format\":2}", "it has the form 2"),
            ("{\"format\":1,\"current\":{\"kind\":\"package\",\"version\":\"..\"}}", "version"),
            (large.as_str(), "more than"),
        ];
        for (text, expected) in cases {
            for path in [layout.launch(), layout.order()] {
                std::fs::write(path, text).unwrap();
            }
            let (read, note) = launch(&layout);
            assert_eq!(read.current, Slot::Installed);
            assert!(note.as_ref().is_some_and(|note| note.contains(expected)), "{expected}: {note:?}");
            assert!(matches!(order(&layout), Found::Unreadable(_)), "{expected}");
        }
        remove_order(&layout).unwrap();
        remove_order(&layout).unwrap();
        assert_eq!(order(&layout), Found::Nothing);
        std::os::unix::fs::symlink(layout.launch(), layout.order()).unwrap();
        assert!(matches!(order(&layout), Found::Unreadable(why) if why.contains("no plain file")));
    }

    #[test]
    fn what_failed_is_said() {
        let (_folder, layout) = host();
        std::fs::create_dir(layout.launch()).unwrap();
        let error = keep(&layout, &Launch::default()).unwrap_err().to_string();
        assert!(error.starts_with("cannot replace ") && error.contains("launch.json"), "{error}");
    }
}
