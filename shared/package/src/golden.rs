//! What agents, launchers and packages of every version have in common, byte for byte as format 1 writes it. A launcher that
//! was installed long ago reads these files of a new agent, and a version that is gone back to those of the one after it:
//! what has other bytes needs a new number ([`crate::slots::FORMAT`], [`crate::manifest::FORMAT`]) and code that reads both.

use crate::manifest::{FileEntry, FormatVersions, Manifest, Payload};
use crate::slots::{Launch, Order, Origin, Outcome, OutcomeResult, Probation, Slot, Trial};
use semver::Version;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn package(text: &str) -> Slot {
    Slot::Package { version: version(text) }
}

fn order() -> Order {
    Order {
        format: 1,
        offer: "5f0a".to_owned(),
        to: package("0.2.0"),
        to_version: version("0.2.0"),
        from_version: version("0.1.0"),
        worked: vec!["source/audit".to_owned(), "destination/siem".to_owned()],
        connected: true,
        healthy_seconds: 180,
        connected_seconds: 1_800,
        probation_seconds: 600,
    }
}

/// One in which nothing is left out.
fn launch() -> Launch {
    let origin = |offer: &str, of: &str| Some(Origin { offer: offer.to_owned(), version: version(of) });
    let probation = Probation { previous: Some(package("0.0.9")), origin: origin("4e09", "0.0.9") };
    Launch {
        format: 1,
        current: package("0.2.0"),
        previous: Some(Slot::Installed),
        trial: Some(Trial {
            order: order(),
            starts: 2,
            healthy: true,
            connected: false,
            probation: Some(probation),
        }),
        last: Some(Outcome {
            offer: "5f0a".to_owned(),
            version: version("0.2.0"),
            result: OutcomeResult::RolledBack,
            reason: "it ended after 3 s".to_owned(),
        }),
        installed_sha256: "ab".repeat(32),
        origin: origin("5f0a", "0.2.0"),
        accepted: [(version("0.2.0"), "cd".repeat(32))].into(),
    }
}

fn manifest() -> Manifest {
    let only = |name: &str| (name.to_owned(), FormatVersions { read: [1].into(), write: 1 });
    Manifest {
        format: "muster/package-v1".to_owned(),
        name: "muster-agent".to_owned(),
        version: version("0.2.0"),
        platform: "x86_64-linux".to_owned(),
        upgrade_from: ">=0.1.0, <0.3.0".parse().unwrap(),
        floor: version("0.1.0"),
        formats: ["cursor", "spool", "policy"].map(only).into(),
        payload: Payload { sha256: "ab".repeat(32), size: 1_000 },
        files: vec![FileEntry {
            path: "bin/muster-agent".to_owned(),
            sha256: "cd".repeat(32),
            size: 3_000,
            executable: true,
        }],
        notes: "mends a hole".to_owned(),
        security: true,
    }
}

/// The text is read as the value, and the value is written as the text.
fn is_golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str, value: &T) {
    assert_eq!(&serde_json::from_str::<T>(text).unwrap(), value);
    assert_eq!(serde_json::to_string_pretty(value).unwrap(), text);
}

#[test]
fn orders_and_what_is_launched() {
    is_golden(include_str!("golden/order.v1.json"), &order());
    is_golden(include_str!("golden/launch.v1.json"), &launch());
    is_golden(include_str!("golden/launch-fresh.v1.json"), &Launch { format: 1, ..Launch::default() });
}

#[test]
fn the_words_of_orders_and_outcomes() {
    for (result, word) in [
        (OutcomeResult::Confirmed, "\"confirmed\""),
        (OutcomeResult::RolledBack, "\"rolled_back\""),
        (OutcomeResult::Refused, "\"refused\""),
    ] {
        is_golden(word, &result);
    }
}

#[test]
fn manifests() {
    let text = include_str!("golden/manifest.v1.json");
    is_golden(text, &manifest());
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest()));
}
