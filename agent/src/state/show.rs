//! What `muster-agent show-state` shows: read without disturbing an agent that runs.

use super::cursors::{MARKER, peek};
use super::{LOCK, StateError};
use muster_shared::cursor::{Cursor, CursorKey};
use serde::Serialize;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// One stored cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownCursor {
    /// Source and destination.
    #[serde(flatten)]
    pub key: CursorKey,
    /// Where it stands.
    pub cursor: Cursor,
}

/// The state folder at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownState {
    /// The folder.
    pub folder: PathBuf,
    /// Process number of the agent that uses it; None: none does.
    pub running: Option<u32>,
    /// Whether cursors were ever stored here.
    pub initialised: bool,
    /// Number of the last write; None when the cursor file is absent or damaged.
    pub writes: Option<u64>,
    /// Whether missing cursors count as lost.
    pub lost: bool,
    /// The cursors, by source and destination.
    pub cursors: Vec<ShownCursor>,
}

/// Reads the state folder.
///
/// # Errors
/// [`StateError::Io`] when the folder is not there or its lock cannot be asked.
pub fn show(folder: &Path) -> Result<ShownState, StateError> {
    std::fs::metadata(folder).map_err(StateError::io("read", folder))?;
    let record = peek(folder);
    let initialised = folder.join(MARKER).exists();
    Ok(ShownState {
        folder: folder.to_owned(),
        running: running(folder)?,
        initialised,
        writes: record.as_ref().map(|record| record.counter),
        lost: record.as_ref().map_or(initialised, |record| record.lost),
        cursors: record
            .map(|record| record.cursors)
            .unwrap_or_default()
            .into_iter()
            .map(|(key, cursor)| ShownCursor { key, cursor })
            .collect(),
    })
}

/// Process number of the agent that holds the lock, 0 where it cannot be read.
fn running(folder: &Path) -> Result<Option<u32>, StateError> {
    let path = folder.join(LOCK);
    let mut lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::io("open", &path)(error)),
    };
    // A shared lock: two people may look at the same time.
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(super::read_process(&mut lock).unwrap_or(0))),
        Err(TryLockError::Error(error)) => Err(StateError::io("ask the lock", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{CursorStore, StateDir};
    use muster_shared::cursor::{JournalCursor, ReceiverId};

    #[test]
    fn shows_cursors_while_an_agent_runs_and_after() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::open(folder.path()).unwrap();
        let (mut store, _) = CursorStore::open(&dir);
        let key = CursorKey { source: "audit_journal:QSYS/QAUDJRN".into(), destination: "siem".into() };
        let receiver = ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us: 5 };
        let cursor = Cursor::Journal(JournalCursor { receiver, sequence: 9 });
        store.save(&[(key.clone(), cursor.clone())].into(), true).unwrap();
        let shown = show(folder.path()).unwrap();
        assert_eq!(shown.running, Some(std::process::id()));
        assert_eq!(shown.cursors, [ShownCursor { key, cursor }]);
        assert_eq!((shown.initialised, shown.writes, shown.lost), (true, Some(1), false));
        drop(store);
        drop(dir);
        assert_eq!(show(folder.path()).unwrap().running, None);
        assert!(show(&folder.path().join("none")).is_err());
    }
}
