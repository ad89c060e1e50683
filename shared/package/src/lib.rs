//! Release packages of Muster: what is in them, whose signatures count, and which version may follow which.
//!
//! A **package** is one file, `NAME-VERSION-PLATFORM.muster`: an uncompressed tar archive with these entries in this
//! order (see [`archive`]):
//!
//! ```text
//! manifest.json          what is in it: name, version, platform, digests ([`manifest`])
//! manifest.json.minisig  detached minisign signature of the manifest, by a key that never touches a controller
//! statement.json         optional: which keys count from now on ([`statement`])
//! statement.json.minisig.1, .2
//! payload.tar.gz         the files; its digest stands in the manifest
//! ```
//! Everything that is signed hangs on the manifest: the digest of the payload, so that nothing of it is decompressed
//! before it is verified, and the digest of every file, so that what was unpacked can be verified again before each
//! start, without the archive. There is no expiry date: trust that runs out would stop agents.
//!
//! Everything here is a function of values and of readers: no file, clock or network is touched, so that agent,
//! launcher, controller and the vendor's tools judge by the same code.
#![forbid(unsafe_code)]

pub mod admit;
pub mod archive;
pub mod keys;
pub mod manifest;
pub mod progress;
pub mod slots;
pub mod statement;
pub mod steps;
pub mod unpacked;

pub use semver::{Version, VersionReq};

/// The package that upgrades agents.
pub const AGENT: &str = "muster-agent";

/// Platform of this build: `x86_64-linux`, `powerpc64-aix` (PASE).
#[must_use]
pub fn this_platform() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// SHA-256 of bytes in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    faster_hex::hex_string(&sha2::Sha256::digest(bytes))
}

/// Whether a text is a SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;
