//! Names and lines of the archive, and a digest on the way.

use crate::Pair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const STORE: &str = "store.jsonl";
pub(crate) const FILES: &str = "files/";
pub(crate) const AUDIT: &str = "audit/";

/// The name of a segment whose first entry has this sequence.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{AUDIT}{first:020}.jsonl")
}

/// What an entry is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'n> {
    /// The store.
    Store,
    /// A file of the data folder, by its name there.
    File(&'n str),
    /// A segment of the audit log, by its name in the log's folder.
    Segment(&'n str),
}

impl<'n> Kind<'n> {
    /// Only names that cannot lead anywhere else.
    pub(crate) fn of(name: &'n str) -> Option<Self> {
        let plain = |name: &str| {
            !name.is_empty()
                && name.len() <= 64
                && !name.starts_with('.')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        };
        if name == STORE {
            return Some(Self::Store);
        }
        if let Some(file) = name.strip_prefix(FILES) {
            return plain(file).then_some(Self::File(file));
        }
        let segment = name.strip_prefix(AUDIT)?;
        let digits = segment.strip_suffix(".jsonl")?;
        (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(Self::Segment(segment))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    value: String,
}

/// A pair as a line, with its end.
pub(crate) fn to_line(key: &str, value: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(&Line { key: key.to_owned(), value: STANDARD.encode(value) })?;
    text.push(b'\n');
    Ok(text)
}

/// A line as a pair.
pub(crate) fn from_line(text: &[u8]) -> Option<Pair> {
    let line: Line = serde_json::from_slice(text).ok()?;
    Some((line.key, STANDARD.decode(line.value).ok()?))
}

/// Counts and digests what passes.
pub(crate) struct Digesting<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Digesting<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// How many bytes passed, and their SHA-256 in hex.
    pub(crate) fn finish(self) -> (u64, String) {
        (self.bytes, faster_hex::hex_string(&self.hash.finalize()))
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.hash.update(&bytes[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        assert_eq!(Kind::of("store.jsonl"), Some(Kind::Store));
        assert_eq!(Kind::of("files/ca.pem"), Some(Kind::File("ca.pem")));
        let segment = segment_name(7);
        assert_eq!(Kind::of(&segment), Some(Kind::Segment("00000000000000000007.jsonl")));
        let long = format!("files/{}", "x".repeat(65));
        for bad in [
            "",
            "files/",
            "files/..",
            "files/../ca.pem",
            "files/a/b",
            "files/.hidden",
            "/files/ca.pem",
            "store",
            "audit/7.jsonl",
            "audit/0000000000000000000x.jsonl",
            "audit/../00000000000000000007.jsonl",
            "other/x",
            "files/a\0b",
            &long,
        ] {
            assert_eq!(Kind::of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn pairs_survive_as_lines() {
        for (key, value) in [("a", &b""[..]), ("k/ä \"\n", b"{\"x\":1}"), ("p", &[0, 255, 10, 13])] {
            let line = to_line(key, value).unwrap();
            assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
            assert_eq!(from_line(line.trim_ascii_end()), Some((key.to_owned(), value.to_vec())));
        }
        for bad in [&b""[..], b"{}", b"{\"key\":1,\"value\":\"\"}", b"{\"key\":\"a\",\"value\":\"!\"}"] {
            assert_eq!(from_line(bad), None);
        }
    }
}
