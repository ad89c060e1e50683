//! One launcher for a state folder, and one agent.
//!
//! Two locks, for a launcher may be killed and its agent live on for a moment, until it notices that its standard input
//! has ended. `launcher.lock` is the launcher's own. `agent.lock` is inherited by every agent that it starts, so that it
//! is held as long as any of them lives, whoever its parent is now: the next launcher waits for that, and so no two agents
//! ever collect side by side.

use muster_package::slots::Layout;
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long an agent may take to notice that its launcher is gone, and to end in order. Twice what it has when it is asked
/// to.
const ORPHAN: Duration = Duration::from_secs(60);
/// The system tells nobody when a lock of a file is released, so it is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Why a lock is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another launcher runs.
    #[error(
        "another launcher runs with this state folder: {} is locked. Stop it first, or give this agent a state_dir of its own",
        .0.display()
    )]
    Launcher(PathBuf),
    /// An agent lives on.
    #[error(
        "an agent that an earlier launcher started does not end, though its launcher is gone: {} is still locked after \
         {} s. End that process; two agents must not run side by side", .0.display(), ORPHAN.as_secs()
    )]
    Agent(PathBuf),
    /// The file system refuses.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Locks the state folder for this launcher.
///
/// # Errors
/// [`LockError`].
pub fn launcher(layout: &Layout) -> Result<File, LockError> {
    let path = layout.root().join("launcher.lock");
    let file = open(&path)?;
    if try_lock(&file, &path)? { Ok(file) } else { Err(LockError::Launcher(path)) }
}

/// Waits until no agent of an earlier launcher lives, and locks the state folder for the agents of this one. While the
/// file is open every process that is started inherits the lock.
///
/// # Errors
/// [`LockError`].
pub async fn agents(layout: &Layout) -> Result<File, LockError> {
    let path = layout.root().join("agent.lock");
    let file = open(&path)?;
    let begun = Instant::now();
    let mut told = false;
    while !try_lock(&file, &path)? {
        if begun.elapsed() >= ORPHAN {
            return Err(LockError::Agent(path));
        }
        if !told {
            crate::say("an agent of an earlier launcher still runs: waiting for its end");
            told = true;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    let inherited = fcntl_setfd(&file, FdFlags::empty());
    inherited.map_err(|error| LockError::Io { path, source: error.into() })?;
    Ok(file)
}

fn open(path: &Path) -> Result<File, LockError> {
    let options = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    options.map_err(|source| LockError::Io { path: path.to_owned(), source })
}

fn try_lock(file: &File, path: &Path) -> Result<bool, LockError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        // Better without this protection than without an agent.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            crate::say(&format!(
                "{} cannot be locked: {error}; do not start a second launcher",
                path.display()
            ));
            Ok(true)
        }
        Err(TryLockError::Error(source)) => Err(LockError::Io { path: path.to_owned(), source }),
    }
}
