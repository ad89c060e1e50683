//! Values for the tests of this crate.

use super::{PackageRecord, Retired};
use jiff::Timestamp;
use muster_package::manifest::{FORMAT, Manifest, Payload};
use muster_package::{AGENT, Version};

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A package for the platform `linux` that upgrades from `from`.
pub(crate) fn package(text: &str, from: &str) -> PackageRecord {
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        name: AGENT.to_owned(),
        version: version(text),
        platform: "linux".to_owned(),
        upgrade_from: from.parse().unwrap(),
        floor: version("0.1.0"),
        formats: Default::default(),
        payload: Payload { sha256: "0".repeat(64), size: 1 },
        files: Vec::new(),
        notes: String::new(),
        security: false,
    };
    PackageRecord {
        manifest,
        signature: "s".to_owned(),
        sha256: text.to_owned(),
        size: 1,
        uploaded_by: "admin".to_owned(),
        uploaded_at: Timestamp::UNIX_EPOCH,
        retired: None,
    }
}

pub(crate) fn retired(package: PackageRecord) -> PackageRecord {
    let by = Retired { by: "admin".to_owned(), at: Timestamp::UNIX_EPOCH, reason: String::new() };
    PackageRecord { retired: Some(by), ..package }
}
