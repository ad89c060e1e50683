//! `RESULT <name> <value>` lines: printed, and appended to `target/results.txt`, which `make test` prints
//! last.

use std::io::Write;
use std::path::PathBuf;

/// The workspace's target folder.
#[must_use]
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"),
    }
}

/// Prints and keeps one result.
pub fn result(name: &str, value: impl std::fmt::Display) {
    let line = format!("RESULT {name} {value}");
    println!("{line}");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(target_dir().join("results.txt"));
    match file.and_then(|mut file| writeln!(file, "{line}")) {
        Ok(()) => {}
        Err(error) => eprintln!("cannot append to target/results.txt: {error}"),
    }
}

/// Whether the full sizes of the issue are asked for (`make prove`).
#[must_use]
pub fn full_size() -> bool {
    std::env::var_os("MUSTER_PROVE").is_some_and(|value| value == "1")
}

/// Says that a story is left out for want of something.
///
/// # Panics
/// Where the full size is asked for: what is left out there would look like what was proven.
pub fn not_run(why: &str) {
    assert!(!full_size(), "not run, so not proven: {why}");
    eprintln!("not run: {why}");
}
