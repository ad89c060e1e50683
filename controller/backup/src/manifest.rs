//! The first entry of a backup: what the others are.

use jiff::Timestamp;
use muster_shared::incarnation::Incarnation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format that this release writes, and the highest that it reads.
pub const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of the format.
    pub format: u32,
    /// Program and version that wrote it.
    pub product: String,
    /// The moment that it holds.
    pub taken_at: Timestamp,
    /// The controller's incarnation.
    pub incarnation: Incarnation,
    /// Pairs of the store.
    pub pairs: u64,
    /// How many there are of what, for people.
    pub counts: BTreeMap<String, u64>,
    /// How far the audit log goes.
    pub audit: AuditHead,
    /// The entries that follow, in their order.
    pub entries: Vec<Entry>,
}

/// Where an audit log ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditHead {
    /// Sequence of the last entry; 0 if there is none.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

/// An entry of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
}

/// The format alone: all that can be relied on in a manifest of a later release.
#[derive(Debug, Deserialize)]
pub(crate) struct FormatOnly {
    pub(crate) format: u32,
}
