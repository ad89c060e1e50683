//! Whether an unpacked package is, byte for byte, what was signed.
//!
//! The keys are compiled in, and this program belongs to root: who can write to the agent's state folder can make a version
//! not start, and cannot make a program start that was never signed. What is not covered is who already runs programs as the agent's user
//! and changes a file between this look and the start: that one has what it could win by it.

use crate::store::read_plain;
use muster_package::Version;
use muster_package::keys::Trust;
use muster_package::slots::{KeptStatement, Layout, MAX_FILE};
use muster_package::unpacked::{self, Folder, Kind, NotSigned};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Verifies the unpacked package of `version`, and gives the SHA-256 of its manifest. `accepted` is that of a manifest that
/// was verified and started before: it counts although its key was retired since.
///
/// # Errors
/// [`NotSigned`].
pub fn check(
    layout: &Layout,
    version: &Version,
    trust: &Trust,
    accepted: Option<&str>,
) -> Result<String, NotSigned> {
    let versions = OnDisk(layout.versions());
    match versions.kind("") {
        Ok(Kind::Folder) => (),
        Ok(Kind::File { .. } | Kind::Other) => {
            return Err(NotSigned::Unreadable(format!("{} is no folder", versions.0.display())));
        }
        Err(error) => return Err(NotSigned::Unreadable(format!("{}: {error}", versions.0.display()))),
    }
    let folder = OnDisk(layout.version(version));
    unpacked::examine(&folder, version, trust, accepted).map(|unpacked| unpacked.sha256)
}

/// A folder of this machine.
struct OnDisk(PathBuf);

impl OnDisk {
    fn at(&self, path: &str) -> PathBuf {
        // Joined, an empty path would end in a slash, which follows a link.
        if path.is_empty() { self.0.clone() } else { self.0.join(path) }
    }
}

impl Folder for OnDisk {
    fn kind(&self, path: &str) -> io::Result<Kind> {
        let found = std::fs::symlink_metadata(self.at(path))?;
        Ok(match (found.is_dir(), found.is_file()) {
            (true, _) => Kind::Folder,
            (false, true) => Kind::File { size: found.len() },
            (false, false) => Kind::Other,
        })
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.at(path))?))
    }
}

/// The keys that this build ships, with what the kept statement says of them. One that does not count is as none, which
/// the text says: without it the shipped keys still count.
#[must_use]
pub fn trust(layout: &Layout) -> (Trust, Option<String>) {
    let mut trust = Trust::shipped();
    let taken = read_plain(&layout.statement(), MAX_FILE).and_then(|bytes| {
        let Some(bytes) = bytes else { return Ok(()) };
        let kept: KeptStatement = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let signatures: Vec<&str> = kept.signatures.iter().map(String::as_str).collect();
        trust.take(kept.text.as_bytes(), &signatures).map(|_| ()).map_err(|error| error.to_string())
    });
    let note = taken.err().map(|why| format!("the kept statement about keys does not count: {why}"));
    (trust, note)
}

/// SHA-256 of a file in hexadecimal, and its size.
///
/// # Errors
/// As the system says.
pub fn digest(path: &Path) -> io::Result<(String, u64)> {
    unpacked::digest(&mut File::open(path)?)
}

#[cfg(test)]
mod tests;
