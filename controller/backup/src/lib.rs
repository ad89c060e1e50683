//! The file of a controller's backup: what the controller writes, and the controller and the command line read.
//!
//! A backup is one file: a gzipped tar archive, encrypted to a passphrase in the age format (scrypt). So what
//! it holds can be had with the programs `age`, `gzip` and `tar` alone should it come to that. The archive has, in
//! this order and nothing else:
//!
//! | entry | what |
//! | --- | --- |
//! | `manifest.json` | [`Manifest`]: format, when, of whom, how much, and size and SHA-256 of every entry below |
//! | `store.jsonl` | every pair of the store, one JSON line each: `{"key":"…","value":"…"}`, the value in base64 |
//! | `files/NAME` | the files of the data folder that are not in the store: keys and certificates of the authority |
//! | `audit/SEQUENCE.jsonl` | the segments of the audit log, each named after its first entry |
//!
//! Promises: what is read is what was written, whole, or an error that says which of the two it is not
//! ([`BackupError`]); no size in a file is believed before it is bounded; nothing panics on any bytes. Knows nothing
//! of what the pairs mean.
#![forbid(unsafe_code)]

mod archive;
mod manifest;
mod passphrase;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use manifest::{AuditHead, Entry, FORMAT, Manifest};
pub use passphrase::{Passphrase, PassphraseError};
pub use read::{BackupError, Part, Summary, read, verify};
pub use write::{Content, Facts, WORK_FACTOR, Walk, write};

/// A key of the store with its value.
pub type Pair = (String, Vec<u8>);

/// End of the name of a backup's file.
pub const EXTENSION: &str = "muster-backup";
