//! The hash chain of the controller's audit log: how an entry is linked to the one before, and how that is
//! checked. The controller writes with it; the command line verifies with it.
//!
//! A line of the log, in its files and in exports alike, is `{"hash":"…","entry":{…}}`, with no other white space
//! or order. The hash is the SHA-256, in hex, over the hash of the line before and the entry's bytes as they stand
//! there. So a reader that does not know a field of an entry checks it all the same.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;

/// What the first entry is linked to.
pub const GENESIS: &str = "";

const HEAD: &[u8] = b"{\"hash\":\"";
const MIDDLE: &[u8] = b"\",\"entry\":";
const HASH_DIGITS: usize = 64;

/// The hash and the entry's bytes of a line.
#[must_use]
pub fn split(line: &[u8]) -> Option<(&str, &[u8])> {
    let rest = line.strip_prefix(HEAD)?;
    let (hash, rest) = rest.split_at_checked(HASH_DIGITS)?;
    let entry = rest.strip_prefix(MIDDLE)?.strip_suffix(b"}")?;
    Some((std::str::from_utf8(hash).ok()?, entry))
}

/// The part of an entry that the chain itself looks at.
#[derive(Debug, Deserialize)]
struct Numbered {
    sequence: u64,
}

/// The hash of an entry that follows on `before`.
#[must_use]
pub fn link(before: &str, entry: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(before.as_bytes());
    hasher.update(entry);
    faster_hex::hex_string(&hasher.finalize())
}

/// A line, without a line end, from an entry's JSON. The entry must be JSON without line ends.
#[must_use]
pub fn line(before: &str, entry: &[u8]) -> (String, Vec<u8>) {
    let hash = link(before, entry);
    let mut text = format!("{{\"hash\":\"{hash}\",\"entry\":").into_bytes();
    text.extend_from_slice(entry);
    text.push(b'}');
    (hash, text)
}

/// Why a log is not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not a line of the log.
    #[error("line {line} is no entry of an audit log: {reason}")]
    Unreadable {
        /// Number in the input, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The hash does not match.
    #[error(
        "the chain is broken at sequence {sequence} (line {line}): this entry or the one before was changed after it was written"
    )]
    Changed {
        /// Number in the input, from 1.
        line: u64,
        /// Of the entry.
        sequence: u64,
    },
    /// An entry is missing.
    #[error("sequence {expected} is missing before {found} (line {line}): entries were removed or reordered")]
    Missing {
        /// Number in the input, from 1.
        line: u64,
        /// Which should be there.
        expected: u64,
        /// Which is.
        found: u64,
    },
}

/// Where a check stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Entries looked at.
    pub entries: u64,
    /// Sequence of the first.
    pub first: u64,
    /// Sequence of the last.
    pub last: u64,
    /// Hash of the last.
    pub hash: String,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.entries == 0 {
            return write!(f, "no entries");
        }
        write!(f, "{} entries, {} to {}, last hash {}", self.entries, self.first, self.last, self.hash)
    }
}

/// Checks lines one after the other. A log that does not begin at sequence 1 (an export of a part) is checked
/// from its second line on: what its first is linked to is not there.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    line: u64,
    so_far: Verified,
}

impl Verifier {
    /// A check that begins after what is known to be right: `sequence` and `hash` of the last good entry.
    #[must_use]
    pub fn after(sequence: u64, hash: impl Into<String>) -> Self {
        let so_far = Verified { entries: 0, first: 0, last: sequence, hash: hash.into() };
        Self { line: 0, so_far }
    }

    /// The next line.
    ///
    /// # Errors
    /// The first thing that is wrong; later lines cannot be judged.
    pub fn next(&mut self, text: &[u8]) -> Result<(), Broken> {
        self.line += 1;
        let line = self.line;
        let unreadable = |reason: String| Broken::Unreadable { line, reason };
        let (hash, entry) = split(text).ok_or_else(|| {
            unreadable("it does not have the form {\"hash\":\"…\",\"entry\":{…}}".to_owned())
        })?;
        let Numbered { sequence } = serde_json::from_slice(entry).map_err(|e| unreadable(e.to_string()))?;
        let begins = self.so_far.entries == 0 && self.so_far.last == 0;
        let part = begins && sequence != 1;
        if !part && sequence != self.so_far.last + 1 {
            return Err(Broken::Missing { line, expected: self.so_far.last + 1, found: sequence });
        }
        if !part && link(&self.so_far.hash, entry) != hash {
            return Err(Broken::Changed { line, sequence });
        }
        let first = if self.so_far.entries == 0 { sequence } else { self.so_far.first };
        self.so_far =
            Verified { entries: self.so_far.entries + 1, first, last: sequence, hash: hash.to_owned() };
        Ok(())
    }

    /// What was checked so far.
    #[must_use]
    pub fn verified(&self) -> &Verified {
        &self.so_far
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(n: u64) -> Vec<Vec<u8>> {
        let mut hash = GENESIS.to_owned();
        let entry =
            |i: u64| format!("{{\"sequence\":{i},\"actor\":\"admin\",\"new field\":[{i}]}}").into_bytes();
        (1..=n)
            .map(|i| {
                let (next, text) = line(&hash, &entry(i));
                hash = next;
                text
            })
            .collect()
    }

    fn check(lines: &[Vec<u8>]) -> Result<Verified, Broken> {
        let mut verifier = Verifier::default();
        lines.iter().try_for_each(|l| verifier.next(l))?;
        Ok(verifier.verified().clone())
    }

    #[test]
    fn a_whole_log_and_its_parts_are_right() {
        let lines = log(5);
        let whole = check(&lines).unwrap();
        assert_eq!((whole.entries, whole.first, whole.last), (5, 1, 5));
        let part = check(&lines[2..]).unwrap();
        assert_eq!((part.entries, part.first, part.last, &part.hash), (3, 3, 5, &whole.hash));
        let mut on = Verifier::after(2, check(&lines[..2]).unwrap().hash);
        lines[2..].iter().try_for_each(|l| on.next(l)).unwrap();
        assert_eq!(on.verified().hash, whole.hash);
        assert_eq!(check(&[]).unwrap(), Verified::default());
    }

    #[test]
    fn what_was_done_to_a_log_is_told() {
        let lines = log(5);
        let mut removed = lines.clone();
        removed.remove(2);
        assert_eq!(check(&removed).unwrap_err(), Broken::Missing { line: 3, expected: 3, found: 4 });
        let mut swapped = lines.clone();
        swapped.swap(2, 3);
        assert_eq!(check(&swapped).unwrap_err(), Broken::Missing { line: 3, expected: 3, found: 4 });
        let mut other = lines.clone();
        other[3] = String::from_utf8(lines[3].clone()).unwrap().replace("admin", "maria").into_bytes();
        assert_eq!(check(&other).unwrap_err(), Broken::Changed { line: 4, sequence: 4 });
        // With its hash made right again, the next one tells.
        let (_, forged) = line("", b"{\"sequence\":1,\"actor\":\"maria\"}");
        let mut other = lines.clone();
        other[0] = forged;
        assert_eq!(check(&other).unwrap_err(), Broken::Changed { line: 2, sequence: 2 });
        let mut on = Verifier::after(1, "00");
        assert_eq!(on.next(&lines[1]).unwrap_err(), Broken::Changed { line: 1, sequence: 2 });
    }

    proptest! {
        #[test]
        fn any_byte_that_changes_is_noticed(at in 0usize..4, byte in any::<prop::sample::Index>(), new in 0x20u8..0x7f) {
            let mut lines = log(4);
            let i = byte.index(lines[at].len());
            prop_assume!(lines[at][i] != new);
            lines[at][i] = new;
            prop_assert!(check(&lines).is_err());
        }

        #[test]
        fn rubbish_is_refused_not_panicked_at(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Verifier::default().next(&text);
        }
    }
}
