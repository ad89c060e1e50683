//! Builds that behave badly on purpose, for the stories of upgrades. Compiled with the feature `bad-build` only, which
//! builds without debug assertions refuse; and even then only a program that asks for it ([`Program::misbehaving`])
//! looks for the file that says how.
//!
//! [`Program::misbehaving`]: crate::program::Program::misbehaving

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

#[cfg(not(debug_assertions))]
compile_error!("the feature bad-build is for tests: it is refused in release builds");

/// File beside the configuration that says which version misbehaves, and how: a word and what belongs to it.
pub const FILE: &str = "bad-build";

/// How a build misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// `crash-at-start`
    CrashAtStart,
    /// `never-healthy`: it runs, and does nothing.
    NeverHealthy,
    /// `dies-after SECONDS`: that long after it was healthy.
    DiesAfter(Duration),
    /// `breaks-source KIND`: sources of this kind cannot be set up.
    BreaksSource(String),
}

static KIND: OnceLock<Kind> = OnceLock::new();

/// Looks for the file beside the configuration; called when the agent runs, not when it checks itself.
pub fn begin(config: &Path, version: &str) {
    let file = config.parent().unwrap_or(Path::new(".")).join(FILE);
    let Ok(text) = std::fs::read_to_string(&file) else { return };
    let Some(how) = text.trim().strip_prefix(version) else { return };
    let kind = match how.split_whitespace().collect::<Vec<_>>()[..] {
        ["crash-at-start"] => Kind::CrashAtStart,
        ["never-healthy"] => Kind::NeverHealthy,
        ["dies-after", seconds] => Kind::DiesAfter(Duration::from_secs(seconds.parse().unwrap_or(0))),
        ["breaks-source", kind] => Kind::BreaksSource(kind.to_owned()),
        ref other => panic!("{}: {other:?} is no way to misbehave", file.display()),
    };
    match &kind {
        Kind::CrashAtStart => panic!("a bad build: it crashes at its start"),
        Kind::NeverHealthy => {
            tracing::error!("a bad build: it does nothing");
            // Ends with the launcher, as every agent does.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0);
        }
        Kind::DiesAfter(_) | Kind::BreaksSource(_) => {}
    }
    let _ = KIND.set(kind);
}

/// Changes on disk until this process kills itself; none: it does not.
static CHANGES_LEFT: Mutex<Option<u32>> = Mutex::new(None);

/// File beside the configuration with the number of the change on disk before which an agent of the lower version kills
/// itself, as `kill -9` would; it is removed at that moment.
pub const KILL_FILE: &str = "kill-at-change";

static KILL_AT: OnceLock<PathBuf> = OnceLock::new();

/// Looks whether this agent shall kill itself before a change that an upgrade makes on disk.
pub fn expect_kill(config: &Path) {
    let file = config.parent().unwrap_or(Path::new(".")).join(KILL_FILE);
    let left = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    *CHANGES_LEFT.lock().unwrap_or_else(PoisonError::into_inner) = left;
    let _ = KILL_AT.set(file);
}

/// Counts a change on disk that an upgrade is about to make.
pub fn count_change() {
    let mut left = CHANGES_LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    match left.as_mut() {
        None => {}
        Some(0) => {
            if let Some(file) = KILL_AT.get() {
                let _ = std::fs::remove_file(file);
            }
            // As hard as it gets without unsafe code: no destructor, no buffer is flushed.
            let _ = std::process::Command::new("kill").arg("-9").arg(std::process::id().to_string()).status();
        }
        Some(left) => *left -= 1,
    }
}

/// All works again that worked before.
pub fn healthy() {
    if let Some(Kind::DiesAfter(after)) = KIND.get() {
        let after = *after;
        std::thread::spawn(move || {
            std::thread::sleep(after);
            tracing::error!("a bad build: it dies");
            std::process::abort();
        });
    }
}

/// Whether sources of a kind can be set up.
///
/// # Errors
/// That this build breaks them.
pub fn source(kind: &str) -> Result<(), String> {
    match KIND.get() {
        Some(Kind::BreaksSource(broken)) if broken == kind => {
            Err(format!("a bad build: it breaks sources of kind {kind}"))
        }
        Some(Kind::BreaksSource(_) | Kind::CrashAtStart | Kind::NeverHealthy | Kind::DiesAfter(_)) | None => {
            Ok(())
        }
    }
}
