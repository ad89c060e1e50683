//! Values for the tests of this crate.

use crate::manifest::{FORMAT, FileEntry, FormatVersions, Formats, Manifest, Payload};
use minisign::KeyPair;
use std::io::Cursor;

pub(crate) struct Signer {
    pair: KeyPair,
    pub(crate) public: String,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let public = pair.pk.to_base64();
        Self { pair, public }
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        minisign::sign(None, &self.pair.sk, Cursor::new(bytes), None, None).unwrap().into_string()
    }
}

pub(crate) fn formats(read: &[u32], write: u32) -> Formats {
    [("cursor".to_owned(), FormatVersions { read: read.iter().copied().collect(), write })].into()
}

pub(crate) fn manifest(version: &str) -> Manifest {
    Manifest {
        format: FORMAT.to_owned(),
        name: crate::AGENT.to_owned(),
        version: version.parse().unwrap(),
        platform: "x86_64-linux".to_owned(),
        upgrade_from: ">=0.1.0".parse().unwrap(),
        floor: "0.1.0".parse().unwrap(),
        formats: formats(&[1], 1),
        payload: Payload { sha256: "0".repeat(64), size: 9 },
        files: vec![FileEntry {
            path: crate::slots::PROGRAM.to_owned(),
            sha256: "0".repeat(64),
            size: 9,
            executable: true,
        }],
        notes: String::new(),
        security: false,
    }
}

pub(crate) fn statement(number: u64, add: &[&str], retire: &[&str]) -> Vec<u8> {
    let value = serde_json::json!({
        "format": crate::statement::FORMAT, "number": number, "add": add, "retire": retire,
    });
    serde_json::to_vec(&value).unwrap()
}
