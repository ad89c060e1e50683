//! The statements that may still run in the partition, in memory and in a note beside the spool. [`Shadows`] says what
//! follows from them.

use super::entry::Entry;
use super::query::Order;
use super::shadow::{Now, Shadows};
use super::source::off_thread;
use crate::source::SourceError;
use crate::spool::SpoolError;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// Name of the note in the spool's folder.
const NOTE: &str = "under-way.json";

/// A note is never so long.
const MAX_NOTE: u64 = 4 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub struct UnderWay {
    path: PathBuf,
    shadows: Shadows,
    /// Of the time before the start: what is in the spool and not known to be out of the queue.
    in_doubt: Vec<Entry>,
}

impl UnderWay {
    /// Beside the spool in this folder, which has these entries that may still be in the queue.
    #[must_use]
    pub fn new(folder: &Path, in_doubt: Vec<Entry>) -> Self {
        Self { path: folder.join(NOTE), shadows: Shadows::default(), in_doubt }
    }

    /// Finds out what the agent left behind when it stopped.
    ///
    /// # Errors
    /// When the note cannot be written anew; what is in doubt is known then all the same.
    pub async fn load(&mut self) -> Result<(), SourceError> {
        let in_doubt = std::mem::take(&mut self.in_doubt);
        let path = self.path.clone();
        // One that cannot be read is as good as none.
        let note = off_thread(move || Ok(read(&path).unwrap_or_default())).await?;
        match Shadows::from_note(&note, now()) {
            Some(shadows) => self.shadows = shadows,
            None if in_doubt.is_empty() => {}
            None => {
                self.shadows.cast(&in_doubt, now());
                // As old as it is, should the agent be killed again and again.
                self.note(&[]).await?;
            }
        }
        Ok(())
    }

    /// Notes that these entries are about to be taken out, before the statement is sent. The note is not synced: it is for
    /// an agent that is killed. A host that loses power needs longer to come back than a statement lives.
    ///
    /// # Errors
    /// When the note cannot be written: then the statement must not be sent.
    pub async fn note(&self, about_to: &[Entry]) -> Result<(), SourceError> {
        let note = self.shadows.note(about_to, now());
        let path = self.path.clone();
        off_thread(move || write(&path, &note).map_err(SpoolError::io("write", &path))).await
    }

    /// Nobody knows whether the statement that takes these out has run, or will.
    ///
    /// # Errors
    /// When the note cannot be written anew; it is known in memory all the same.
    pub async fn lost_sight_of(&mut self, entries: &[Entry]) -> Result<(), SourceError> {
        self.shadows.cast(entries, now());
        self.note(&[]).await
    }

    /// An orderly end: the note goes, unless a statement may still run.
    pub async fn finish(&self) {
        if self.shadows.count() == 0 {
            let path = self.path.clone();
            // One that stays makes the next start more careful than it need be.
            let _ = off_thread(move || Ok(std::fs::remove_file(&path))).await;
        }
    }

    /// Forgets statements that can run no more; true if there were any.
    pub fn pass(&mut self) -> bool {
        self.shadows.pass(Instant::now())
    }

    /// How many entries such statements may take.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shadows.count()
    }

    /// See [`Shadows::spare`].
    #[must_use]
    pub fn spare(&self, wanted: Vec<Entry>, order: Order) -> Vec<Entry> {
        self.shadows.spare(wanted, order)
    }
}

fn now() -> Now {
    Now { instant: Instant::now(), utc_ms: jiff::Timestamp::now().as_millisecond() }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut note = Vec::new();
    std::fs::File::open(path)?.take(MAX_NOTE).read_to_end(&mut note)?;
    Ok(note)
}

/// In place: it needs no room on a disk that is full. What a kill leaves half done is no JSON.
fn write(path: &Path, note: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(note)?;
    file.set_len(note.len() as u64)
}
