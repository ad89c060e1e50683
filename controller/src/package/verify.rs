//! Whether a file is the package that was announced, and whether the vendor signed it.

use super::{PackageRecord, Packages, STATEMENT, StoredStatement};
use crate::identity::secret::hex;
use crate::store::{Batch, Condition};
use jiff::Timestamp;
use muster_package::archive::{self, ArchiveError, SignedStatement, Verified};
use muster_package::keys::Trust;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It came other than it was announced.
    #[error(
        "the file has the SHA-256 {found}, and {announced} was announced: it was changed on its way; upload it again"
    )]
    Digest {
        /// What was announced.
        announced: String,
        /// What came.
        found: String,
    },
    /// It is no package, or not signed by somebody whose signature counts.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Another file of the same name, version and platform is there.
    #[error(
        "{title} is there already with another content (SHA-256 {present}); a version is never given twice: build and sign \
         it under another version"
    )]
    Other {
        /// Which.
        title: String,
        /// SHA-256 of the one that is there.
        present: String,
    },
}

impl Refused {
    /// The stable word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Digest { .. } => "package-digest",
            Self::Archive(ArchiveError::Unsigned) => "package-unsigned",
            Self::Archive(ArchiveError::Signature(_)) => "package-signature",
            Self::Archive(ArchiveError::Statement(_)) => "package-statement",
            Self::Archive(
                ArchiveError::Io(_)
                | ArchiveError::Entry(_)
                | ArchiveError::Manifest(_)
                | ArchiveError::Payload(_),
            ) => "package-damaged",
            Self::Other { .. } => "package-exists",
        }
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Reads a file once, to its end: its digest first of all, then what it is and who signed it.
pub(super) fn verify(path: &Path, announced: &str, trust: &mut Trust) -> Result<Verified, Refused> {
    let file = File::open(path).map_err(ArchiveError::Io)?;
    let mut reader = BufReader::new(Hashing { inner: file, hasher: Sha256::new() });
    let verified = archive::verify(&mut reader, trust);
    // What stands behind the files is not signed, but counts in the digest.
    io::copy(&mut reader, &mut io::sink()).map_err(ArchiveError::Io)?;
    let found = hex(&reader.into_inner().hasher.finalize());
    if found != announced {
        return Err(Refused::Digest { announced: announced.to_owned(), found });
    }
    Ok(verified?)
}

/// The record of a package that was verified.
pub(super) fn record(
    verified: &Verified,
    sha256: &str,
    size: u64,
    by: &str,
    now: Timestamp,
) -> PackageRecord {
    let mut manifest = verified.manifest.clone();
    manifest.files.clear();
    PackageRecord {
        manifest,
        signature: verified.head.signature.clone().unwrap_or_default(),
        sha256: sha256.to_owned(),
        size,
        uploaded_by: by.to_owned(),
        uploaded_at: now,
        retired: None,
    }
}

impl Packages {
    /// Stores the statement about keys that a package brought, if it is the highest one; the trust with it.
    pub(super) fn with_statement(&self, verified: &Verified, batch: &mut Batch) -> Option<Trust> {
        let SignedStatement { text, signatures } = verified.head.statement.as_ref()?;
        let mut trust = self.trust();
        let known: Vec<&str> = signatures.iter().map(String::as_str).collect();
        // It counted a moment ago; another one may have come since.
        if !trust.take(text, &known).unwrap_or(false) {
            return None;
        }
        // It was read as JSON, which is UTF-8.
        let text = String::from_utf8_lossy(text).into_owned();
        let stored = StoredStatement { text, signatures: signatures.clone() };
        batch.put_json(STATEMENT, Condition::Any, &stored);
        Some(trust)
    }
}
