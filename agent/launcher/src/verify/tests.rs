//! Folders that are not what was signed, each in its own way.

use super::*;
use minisign::KeyPair;
use muster_package::archive::{MANIFEST, SIGNATURE};
use muster_package::manifest::{FORMAT, FileEntry, Manifest, Payload};
use muster_package::slots::PROGRAM;
use muster_package::{AGENT, this_platform};
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::symlink;

struct Host {
    folder: tempfile::TempDir,
    layout: Layout,
    pair: KeyPair,
}

impl Host {
    /// With an unpacked and signed 0.2.0.
    fn new(change: impl FnOnce(&mut Manifest)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let host = Self { layout, pair: KeyPair::generate_unencrypted_keypair().unwrap(), folder };
        let (program, licence) = (b"the program".as_slice(), b"the licence".as_slice());
        let entry = |path: &str, content: &[u8], executable| FileEntry {
            path: path.to_owned(),
            sha256: muster_package::sha256_hex(content),
            size: content.len() as u64,
            executable,
        };
        let mut manifest = Manifest {
            format: FORMAT.to_owned(),
            name: AGENT.to_owned(),
            version: version(),
            platform: this_platform(),
            upgrade_from: ">=0.1".parse().unwrap(),
            floor: "0.1.0".parse().unwrap(),
            formats: Default::default(),
            payload: Payload { sha256: "0".repeat(64), size: 1 },
            files: vec![entry(PROGRAM, program, true), entry("LICENSE", licence, false)],
            notes: String::new(),
            security: false,
        };
        change(&mut manifest);
        fs::create_dir_all(host.at("bin")).unwrap();
        fs::write(host.at(PROGRAM), program).unwrap();
        fs::write(host.at("LICENSE"), licence).unwrap();
        host.sign(&serde_json::to_vec(&manifest).unwrap());
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.layout.version(&version()).join(path)
    }

    fn sign(&self, manifest: &[u8]) {
        let signature = minisign::sign(None, &self.pair.sk, Cursor::new(manifest), None, None).unwrap();
        fs::write(self.at(MANIFEST), manifest).unwrap();
        fs::write(self.at(SIGNATURE), signature.into_string()).unwrap();
    }

    fn told(&self) -> String {
        let key = self.pair.pk.to_base64();
        match check(&self.layout, &version(), &Trust::of([key.as_str()]), None) {
            Ok(_) => "yes".to_owned(),
            Err(why) => why.to_string(),
        }
    }
}

fn version() -> Version {
    Version::new(0, 2, 0)
}

type Harm = fn(&Host);
type Change = fn(&mut Manifest);

#[test]
fn only_what_was_signed_is_started() {
    let cases: [(&str, Harm); 14] = [
        ("yes", |_| ()),
        // What else lies there is not looked at, and nothing looks for it.
        ("yes", |host| fs::write(host.at("notes"), "x").unwrap()),
        ("manifest.json is not there", |host| fs::remove_file(host.at(MANIFEST)).unwrap()),
        ("manifest.json.minisig is not there", |host| fs::remove_file(host.at(SIGNATURE)).unwrap()),
        ("fits none of the keys", |host| {
            let text = fs::read_to_string(host.at(MANIFEST)).unwrap();
            fs::write(host.at(MANIFEST), text.replace("0.1.0", "0.0.1")).unwrap();
        }),
        ("should be the signature is none", |host| fs::write(host.at(SIGNATURE), "x").unwrap()),
        ("should be the signature is none", |host| fs::write(host.at(SIGNATURE), b"\xff").unwrap()),
        ("bin/muster-agent is not the file that was signed: its digest is another", |host| {
            fs::write(host.at(PROGRAM), b"the Program").unwrap();
        }),
        ("it has 12 bytes instead of 11", |host| fs::write(host.at("LICENSE"), b"the licence!").unwrap()),
        ("LICENSE is not the file that was signed: No such file", |host| {
            fs::remove_file(host.at("LICENSE")).unwrap();
        }),
        ("it is no plain file", |host| {
            let elsewhere = host.folder.path().join("same");
            fs::rename(host.at(PROGRAM), &elsewhere).unwrap();
            symlink(elsewhere, host.at(PROGRAM)).unwrap();
        }),
        ("bin is no folder", |host| {
            let elsewhere = host.folder.path().join("bin");
            fs::rename(host.at("bin"), &elsewhere).unwrap();
            symlink(elsewhere, host.at("bin")).unwrap();
        }),
        ("the folder of 0.2.0 is no folder", |host| {
            let elsewhere = host.folder.path().join("other");
            fs::rename(host.at(""), &elsewhere).unwrap();
            symlink(elsewhere, host.layout.version(&version())).unwrap();
        }),
        ("its files cannot be verified", |host| fs::remove_dir_all(host.layout.versions()).unwrap()),
    ];
    for (expected, harm) in cases {
        let host = Host::new(|_| ());
        harm(&host);
        let told = host.told();
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn a_signed_manifest_of_something_else_is_not_enough() {
    let cases: [(&str, Change); 5] = [
        ("is of muster-agent 0.1.5 for", |m| m.version = Version::new(0, 1, 5)),
        ("is of muster-controller 0.2.0 for", |m| m.name = "muster-controller".to_owned()),
        ("for sparc-vms, and muster-agent 0.2.0", |m| m.platform = "sparc-vms".to_owned()),
        ("the package has no such program", |m| m.files[0].executable = false),
        ("a newer release made it", |m| m.format = "muster/package-v9".to_owned()),
    ];
    for (expected, change) in cases {
        let told = Host::new(change).told();
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn a_statement_counts_if_two_shipped_keys_signed_it() {
    let host = Host::new(|_| ());
    let key = |text: &str| {
        minisign::SecretKeyBox::from_string(text).unwrap().into_unencrypted_secret_key().unwrap()
    };
    let keys = [
        key(include_str!("../../../../controller/vendor/keys/release-dev-1.key")),
        key(include_str!("../../../../controller/vendor/keys/release-dev-2.key")),
    ];
    let added = host.pair.pk.to_base64();
    let text = serde_json::json!({
        "format": muster_package::statement::FORMAT, "number": 1, "add": [added],
    })
    .to_string();
    let sign = |key| minisign::sign(None, key, Cursor::new(&text), None, None).unwrap().into_string();
    let both: Vec<String> = keys.iter().map(sign).collect();
    let kept = |signatures: &[String]| {
        let kept = KeptStatement { text: text.clone(), signatures: signatures.to_vec() };
        serde_json::to_vec(&kept).unwrap()
    };
    let cases =
        [(kept(&both), true, ""), (kept(&both[..1]), false, "signed by 1"), (b"{".to_vec(), false, "EOF")];
    for (bytes, counts, expected) in cases {
        fs::write(host.layout.statement(), bytes).unwrap();
        let (trust, note) = trust(&host.layout);
        assert_eq!(check(&host.layout, &version(), &trust, None).is_ok(), counts, "{expected}");
        assert!(note.unwrap_or_default().contains(expected), "{expected}");
    }
}
