//! Backups that are written, cut, altered and made up.

use super::*;
use crate::archive::{MANIFEST, STORE};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use muster_shared::audit_chain;
use muster_shared::incarnation::Incarnation;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// Quick to try: a passphrase of a test needs no protection.
const QUICK: u8 = 2;

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery").unwrap()
}

fn facts() -> Facts {
    Facts {
        product: "muster-controller 0.0.0".to_owned(),
        taken_at: "2026-11-26T04:00:00Z".parse::<Timestamp>().unwrap(),
        incarnation: Incarnation { number: 1, id: uuid::Uuid::from_u128(7) },
        counts: BTreeMap::from([("agents".to_owned(), 2)]),
    }
}

/// Text that no compression makes small.
fn noise(length: usize, mut seed: u32) -> Vec<u8> {
    (0..length)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .collect()
}

/// Segments of an audit log of `count` entries, `each` to a segment.
fn segments(count: u64, each: u64) -> Vec<(u64, Vec<u8>)> {
    let mut hash = audit_chain::GENESIS.to_owned();
    let mut segments: Vec<(u64, Vec<u8>)> = Vec::new();
    for sequence in 1..=count {
        let (next, mut line) = audit_chain::line(&hash, format!("{{\"sequence\":{sequence}}}").as_bytes());
        hash = next;
        line.push(b'\n');
        if (sequence - 1) % each == 0 {
            segments.push((sequence, Vec::new()));
        }
        segments.last_mut().unwrap().1.extend(line);
    }
    segments
}

fn pairs() -> Vec<Pair> {
    let mut pairs: Vec<Pair> = (0..200).map(|n| (format!("agent/{n:03}"), noise(300, n))).collect();
    pairs.push(("empty".to_owned(), Vec::new()));
    pairs.push(("large".to_owned(), noise(100_000, 9)));
    pairs
}

fn files() -> Vec<(String, Zeroizing<Vec<u8>>)> {
    vec![("ca.pem".to_owned(), Zeroizing::new(b"a key".to_vec()))]
}

fn write_with(segments: &[(u64, Vec<u8>)]) -> (Vec<u8>, Manifest) {
    let walk = |each: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>| {
        segments.iter().try_for_each(|(first, text)| each(*first, text))
    };
    let (pairs, files) = (pairs(), files());
    let content = Content { pairs: &pairs, files: &files, audit: &walk };
    let mut out = Vec::new();
    let manifest = write(&mut out, &passphrase(), QUICK, facts(), &content).unwrap();
    (out, manifest)
}

/// A backup of some 170 KB: three chunks of the encryption.
fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| write_with(&segments(10, 4)).0)
}

#[derive(Default, PartialEq, Debug)]
struct Got {
    pairs: Vec<Pair>,
    files: Vec<(String, Vec<u8>)>,
    segments: Vec<(String, Vec<u8>)>,
}

fn read_all(bytes: &[u8]) -> Result<(Summary, Got), BackupError> {
    let mut got = Got::default();
    let summary = read(bytes, &passphrase(), &mut |part| {
        match part {
            Part::Pair(pair) => got.pairs.push(pair),
            Part::File { name, content } => got.files.push((name.to_owned(), content.to_vec())),
            Part::Segment { name, content } => got.segments.push((name.to_owned(), content)),
        }
        Ok(())
    })?;
    Ok((summary, got))
}

#[test]
fn what_is_written_is_read() {
    let log = segments(10, 4);
    let (bytes, manifest) = write_with(&log);
    let (summary, got) = read_all(&bytes).unwrap();
    assert_eq!(summary.manifest, manifest);
    assert_eq!(got.pairs, pairs());
    assert_eq!(got.files, [("ca.pem".to_owned(), b"a key".to_vec())]);
    let named = |(first, text): &(u64, Vec<u8>)| (format!("{first:020}.jsonl"), text.clone());
    assert_eq!(got.segments, log.iter().map(named).collect::<Vec<_>>());
    let verified = summary.chain.unwrap();
    assert_eq!((verified.entries, verified.last, manifest.audit.sequence), (10, 10, 10));
    assert_eq!((manifest.format, manifest.pairs, manifest.entries.len()), (FORMAT, 202, 5));
    assert_eq!(verify(&bytes[..], &passphrase()).unwrap().manifest, manifest);
    // Nothing of it can be read without the passphrase.
    assert!(!bytes.windows(5).any(|w| w == b"a key" || w == b"agent"));
}

#[test]
fn a_log_that_was_broken_is_told_and_the_backup_is_good() {
    let mut log = segments(10, 4);
    log.remove(1);
    let (summary, _) = read_all(&write_with(&log).0).unwrap();
    assert!(summary.chain.unwrap_err().to_string().contains("sequence 5 is missing before 9"));
    // Old segments may have been taken away, and a new controller has none.
    let (summary, _) = read_all(&write_with(&segments(10, 4)[1..]).0).unwrap();
    assert_eq!(summary.chain.unwrap().first, 5);
    assert_eq!(read_all(&write_with(&[]).0).unwrap().0.chain.unwrap().entries, 0);
}

#[test]
fn another_passphrase_is_told() {
    let other = Passphrase::new("incorrect horse battery").unwrap();
    let error = verify(sample(), &other).unwrap_err();
    assert!(matches!(error, BackupError::WrongPassphrase), "{error:?}");
    assert!(error.to_string().contains("use the one that the controller had"), "{error}");
}

#[test]
fn a_backup_that_was_cut_anywhere_is_told() {
    let bytes = sample();
    assert!(bytes.len() > 150_000);
    let places = (22..400).chain((0..bytes.len()).step_by(1024).skip(1)).chain(bytes.len() - 40..bytes.len());
    for at in places {
        match read_all(&bytes[..at]) {
            Err(BackupError::Cut) => {}
            other => panic!("cut at {at}: {other:?}"),
        }
    }
    for at in 0..22 {
        assert!(matches!(read_all(&bytes[..at]), Err(BackupError::NoBackup(_))), "cut at {at}");
    }
}

#[test]
fn a_backup_with_any_byte_flipped_is_told() {
    let whole = sample();
    for at in (0..400).chain((400..whole.len()).step_by(1_997)).chain(whole.len() - 20..whole.len()) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= if at % 2 == 0 { 1 } else { 0x80 };
        match read_all(&bytes) {
            Err(BackupError::Altered | BackupError::Cut | BackupError::WrongPassphrase) => {}
            // Its first lines tell what it is, and how much work it asks for.
            Err(BackupError::NoBackup(_)) if at < 200 => {}
            other => panic!("byte {at}: {:?}", other.map(|(summary, _)| summary)),
        }
    }
    // In the middle of the file it is not taken for one that was cut.
    let mut bytes = whole.to_vec();
    bytes[1_000] ^= 1;
    assert!(matches!(read_all(&bytes), Err(BackupError::Altered)));
    bytes = whole.to_vec();
    bytes.extend(b"more");
    assert!(read_all(&bytes).is_err());
}

#[test]
fn what_is_something_else_is_told() {
    for other in [&b""[..], b"PK\x03\x04", &noise(5_000, 1), b"{\"hash\":\"x\"}\n"] {
        assert!(matches!(read_all(other), Err(BackupError::NoBackup(_))));
    }
}

/// An encrypted archive of these entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(passphrase().0);
    recipient.set_work_factor(QUICK);
    let encryptor =
        age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
    let mut out = Vec::new();
    let encrypted = encryptor.wrap_output(&mut out).unwrap();
    let mut archive = tar::Builder::new(GzEncoder::new(encrypted, Compression::fast()));
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap().finish().unwrap();
    out
}

/// A manifest that lists these entries, changed by `change`.
fn manifest_of(entries: &[(&str, &[u8])], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    use sha2::Digest;
    let entry = |(name, content): &(&str, &[u8])| Entry {
        name: (*name).to_owned(),
        bytes: content.len() as u64,
        sha256: faster_hex::hex_string(&sha2::Sha256::digest(content)),
    };
    let manifest = Manifest {
        format: FORMAT,
        product: "test".to_owned(),
        taken_at: Timestamp::UNIX_EPOCH,
        incarnation: facts().incarnation,
        pairs: 1,
        counts: BTreeMap::new(),
        audit: AuditHead::default(),
        entries: entries.iter().map(entry).collect(),
    };
    let mut value = serde_json::to_value(manifest).unwrap();
    change(&mut value);
    serde_json::to_vec(&value).unwrap()
}

#[test]
fn a_newer_format_is_told_whatever_else_it_has() {
    let text = br#"{"format":2,"content":"of a kind that nobody knows yet"}"#;
    let error = read_all(&archive(&[(MANIFEST, text), ("new.bin", b"x")])).unwrap_err();
    assert!(matches!(error, BackupError::Newer(2)), "{error:?}");
    assert!(error.to_string().contains("this release reads up to 1"), "{error}");
}

#[test]
fn archives_that_contradict_themselves_are_told() {
    let store: &[u8] = b"{\"key\":\"a\",\"value\":\"YQ==\"}\n";
    let good = [(STORE, store)];
    let plain = manifest_of(&good, |_| {});
    assert_eq!(read_all(&archive(&[(MANIFEST, &plain), (STORE, store)])).unwrap().1.pairs.len(), 1);
    let changed = |change: fn(&mut serde_json::Value)| manifest_of(&good, change);
    let huge = changed(|m| m["entries"][0]["bytes"] = serde_json::json!(u64::MAX));
    let digest = changed(|m| m["entries"][0]["sha256"] = serde_json::json!("00"));
    let pairs = changed(|m| m["pairs"] = serde_json::json!(2));
    let head = changed(|m| m["audit"]["sequence"] = serde_json::json!(3));
    let fields = changed(|m| m["entries"] = serde_json::json!("none"));
    let escape = [("files/..", store)];
    let long = noise(2 * 1024 * 1024, 3);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("without a manifest", archive(&good)),
        ("empty", archive(&[])),
        ("cannot be read", archive(&[(MANIFEST, b"no json"), (STORE, store)])),
        ("cannot be read", archive(&[(MANIFEST, &fields), (STORE, store)])),
        ("is missing", archive(&[(MANIFEST, &plain)])),
        ("is not in the manifest", archive(&[(MANIFEST, &plain), (STORE, store), ("files/ca.pem", b"x")])),
        ("is not the store.jsonl of the manifest", archive(&[(MANIFEST, &huge), (STORE, store)])),
        ("another digest", archive(&[(MANIFEST, &digest), (STORE, store)])),
        ("1 pairs instead of 2", archive(&[(MANIFEST, &pairs), (STORE, store)])),
        ("ends elsewhere", archive(&[(MANIFEST, &head), (STORE, store)])),
        (
            "a pair of the store cannot be read",
            archive(&[(MANIFEST, &manifest_of(&[(STORE, b"x\n")], |_| {})), (STORE, b"x\n")]),
        ),
        (
            "more than it can have",
            archive(&[(MANIFEST, &manifest_of(&[("files/x", &long)], |_| {})), ("files/x", &long)]),
        ),
    ];
    for (part, bytes) in cases {
        let error = read_all(&bytes).unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    // A name with a way out is refused by the archive's own writer, so it stands in the manifest only.
    let manifest = manifest_of(&escape, |_| {});
    assert!(read_all(&archive(&[(MANIFEST, &manifest), (STORE, store)])).is_err());
}

#[test]
fn the_other_end_is_told_apart() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let half = io::Read::chain(&sample()[..100_000], Broken);
    let error = verify(half, &passphrase()).unwrap_err();
    assert!(matches!(error, BackupError::Io(_)), "{error:?}");
    let full = read(sample(), &passphrase(), &mut |_| Err(io::Error::other("no space left")));
    assert!(matches!(full, Err(BackupError::Sink(_))));
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no space left"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let content = Content { pairs: &pairs(), files: &files(), audit: &|_| Ok(()) };
    assert!(write(Full, &passphrase(), QUICK, facts(), &content).is_err());
}
