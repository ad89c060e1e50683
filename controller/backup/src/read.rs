//! Reading a backup: wholly, or not at all.

use crate::archive::{Digesting, Kind, MANIFEST, from_line};
use crate::manifest::{FORMAT, FormatOnly, Manifest};
use crate::{Pair, Passphrase};
use age::scrypt::Identity;
use age::{DecryptError, Decryptor};
use flate2::read::GzDecoder;
use muster_shared::audit_chain::{Broken, Verified, Verifier};
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use zeroize::Zeroizing;

/// What every file in the age format begins with.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// Most work that a file may ask for to try a passphrase: 1 GiB of memory and some seconds.
const MAX_WORK_FACTOR: u8 = 20;
/// Largest manifest: that of some ten thousand segments.
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Longest line of the store: a value of 4 MiB in base64, and its key.
const MAX_LINE: usize = 6 * 1024 * 1024;
/// Largest file.
const MAX_FILE: u64 = 1024 * 1024;
/// Largest segment: the controller closes one at 1 MiB.
const MAX_SEGMENT: u64 = 16 * 1024 * 1024;
/// What may follow the last entry: the archive's own end.
const MAX_END: u64 = 64 * 1024;

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file.
    #[error("the backup cannot be read: {0}; check the disk and the permissions of the file")]
    Io(io::Error),
    /// Something else.
    #[error("this is no backup of a Muster controller: {0}; name a file that ends in .muster-backup")]
    NoBackup(&'static str),
    /// The passphrase.
    #[error(
        "the passphrase does not fit this backup: use the one that the controller had when the backup was made (a \
         backup whose first lines were altered looks the same)"
    )]
    WrongPassphrase,
    /// The end is missing.
    #[error(
        "the backup is not whole: it was cut short, or its last part was altered; copy it again from where it was \
         made, or use another one"
    )]
    Cut,
    /// Somebody or something changed it.
    #[error(
        "the backup was altered after it was written; copy it again from where it was made, or use another one"
    )]
    Altered,
    /// Of a later release.
    #[error(
        "the backup has format {0}, and this release reads up to {FORMAT}; use the release that it was made with, or \
         a later one"
    )]
    Newer(u32),
    /// The inside does not fit its manifest, although nobody altered it.
    #[error("the backup contradicts itself: {0}; use another one, and report this as a fault of Muster")]
    Contradiction(String),
    /// Whoever took the parts could not.
    #[error(
        "what the backup holds cannot be put in its place: {0}; check the space and the permissions there"
    )]
    Sink(io::Error),
}

/// A part of a backup.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A pair of the store.
    Pair(Pair),
    /// A file of the data folder.
    File {
        /// Its name there.
        name: &'a str,
        /// Its content, which may be a key.
        content: Zeroizing<Vec<u8>>,
    },
    /// A segment of the audit log.
    Segment {
        /// Its name in the log's folder.
        name: &'a str,
        /// Its content.
        content: Vec<u8>,
    },
}

/// What a backup that was read wholly holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its manifest.
    pub manifest: Manifest,
    /// The check of the audit log's chain. A log that was broken when the backup was made is so in it, too.
    pub chain: Result<Verified, Broken>,
}

/// Reads a backup to its end without keeping anything of it.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn verify(input: impl Read, passphrase: &Passphrase) -> Result<Summary, BackupError> {
    read(input, passphrase, &mut |_| Ok(()))
}

/// Reads a backup and hands its parts to `each`. What was handed over counts only if this ends well: the last byte
/// may show that the file was cut.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn read(
    input: impl Read,
    passphrase: &Passphrase,
    each: &mut dyn FnMut(Part<'_>) -> io::Result<()>,
) -> Result<Summary, BackupError> {
    let watch = Watch::default();
    let input = Watched { inner: input, watch: watch.clone() };
    let mut input = BufReader::new(input);
    if !begins_with(&mut input, MAGIC).map_err(BackupError::Io)? {
        return Err(BackupError::NoBackup("it is not in the age format"));
    }
    let decryptor = Decryptor::new_buffered(input).map_err(|error| header(error, &watch))?;
    if !decryptor.is_scrypt() {
        return Err(BackupError::NoBackup("it is encrypted to a key and not to a passphrase"));
    }
    let mut identity = Identity::new(passphrase.0.clone());
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let plain = decryptor
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .map_err(|error| header(error, &watch))?;
    Inside { watch, summary: None }.read(GzDecoder::new(plain), each)
}

/// What is known of the input when something fails behind it.
#[derive(Clone, Default)]
struct Watch(Rc<Cell<Seen>>);

#[derive(Clone, Copy, Default)]
struct Seen {
    ended: bool,
    failed: bool,
}

/// Notes the end and failures of the input, which libraries between hide.
struct Watched<R> {
    inner: R,
    watch: Watch,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(out);
        let mut seen = self.watch.0.get();
        match &result {
            Ok(0) if !out.is_empty() => seen.ended = true,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => seen.failed = true,
            Ok(_) | Err(_) => {}
        }
        self.watch.0.set(seen);
        result
    }
}

impl Watch {
    /// What an error behind the decryption means: the content is authentic, so only the file can be at fault.
    fn explain(&self, error: io::Error) -> BackupError {
        match self.0.get() {
            Seen { failed: true, .. } => BackupError::Io(error),
            Seen { ended: true, .. } => BackupError::Cut,
            Seen { .. } => BackupError::Altered,
        }
    }
}

/// Tells without consuming; a shorter input does not begin so.
fn begins_with(input: &mut impl BufRead, magic: &[u8]) -> io::Result<bool> {
    // One read gives the whole beginning of a file, and of a slice; a pipe that gives less is no place for backups.
    Ok(input.fill_buf()?.starts_with(magic))
}

fn header(error: DecryptError, watch: &Watch) -> BackupError {
    match error {
        DecryptError::Io(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::Cut,
            _ => watch.explain(error),
        },
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed | DecryptError::NoMatchingKeys => {
            BackupError::WrongPassphrase
        }
        DecryptError::ExcessiveWork { .. } => {
            BackupError::NoBackup("its encryption asks for more work than any backup does")
        }
        // A foreign enum: the header is not as it was written.
        _ => match watch.0.get().ended {
            true => BackupError::Cut,
            false => BackupError::Altered,
        },
    }
}

/// The archive that was decrypted.
struct Inside {
    watch: Watch,
    summary: Option<Summary>,
}

impl Inside {
    fn read(
        mut self,
        plain: impl Read,
        each: &mut dyn FnMut(Part<'_>) -> io::Result<()>,
    ) -> Result<Summary, BackupError> {
        let mut archive = tar::Archive::new(plain);
        let watch = self.watch.clone();
        let failed = |error| watch.explain(error);
        let mut verifier = Verifier::default();
        let mut broken = None;
        let mut position = 0;
        for entry in archive.entries().map_err(failed)?.raw(true) {
            let mut entry = entry.map_err(failed)?;
            let name = entry.path_bytes().into_owned();
            let name = String::from_utf8(name).map_err(|_| contradiction("an entry has no name"))?;
            if !entry.header().entry_type().is_file() {
                return Err(contradiction(&format!("{name} is no file")));
            }
            let bytes = entry.size();
            let Some(summary) = &self.summary else {
                let manifest = self.manifest(&name, bytes, &mut entry)?;
                self.summary = Some(Summary { manifest, chain: Ok(Verified::default()) });
                continue;
            };
            let Some(listed) = summary.manifest.entries.get(position) else {
                return Err(contradiction(&format!("{name} is not in the manifest")));
            };
            position += 1;
            if (listed.name.as_str(), listed.bytes) != (name.as_str(), bytes) {
                return Err(contradiction(&format!("{name} is not the {} of the manifest", listed.name)));
            }
            let mut digest = Digesting::new(&mut entry);
            match Kind::of(&name) {
                None => return Err(contradiction(&format!("{name} has no place"))),
                Some(Kind::Store) => {
                    let pairs = self.store(&mut digest, each)?;
                    if pairs != summary.manifest.pairs {
                        let wanted = summary.manifest.pairs;
                        return Err(contradiction(&format!("{pairs} pairs instead of {wanted}")));
                    }
                }
                Some(Kind::File(file)) => {
                    let content = Zeroizing::new(self.whole(&mut digest, &name, bytes, MAX_FILE)?);
                    each(Part::File { name: file, content }).map_err(BackupError::Sink)?;
                }
                Some(Kind::Segment(segment)) => {
                    let content = self.whole(&mut digest, &name, bytes, MAX_SEGMENT)?;
                    for line in content.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                        if broken.is_none() {
                            broken = verifier.next(line).err();
                        }
                    }
                    each(Part::Segment { name: segment, content }).map_err(BackupError::Sink)?;
                }
            }
            let (_, sha256) = digest.finish();
            if sha256 != listed.sha256 {
                return Err(contradiction(&format!("{name} has another digest than the manifest says")));
            }
        }
        let summary = self.summary.ok_or(BackupError::NoBackup("it is encrypted, but empty"))?;
        if let Some(missing) = summary.manifest.entries.get(position) {
            return Err(contradiction(&format!("{} is missing", missing.name)));
        }
        // The last chunk tells whether the file was cut.
        let mut end = archive.into_inner().take(MAX_END + 1);
        let rest = io::copy(&mut end, &mut io::sink()).map_err(failed)?;
        if rest > MAX_END {
            return Err(contradiction("there is more after its end"));
        }
        let verified = verifier.verified();
        let head = &summary.manifest.audit;
        let chain = match broken {
            Some(broken) => Err(broken),
            None if (verified.last, &verified.hash) != (head.sequence, &head.hash) => {
                return Err(contradiction("its audit log ends elsewhere than the manifest says"));
            }
            None => Ok(verified.clone()),
        };
        Ok(Summary { chain, ..summary })
    }

    fn manifest(&self, name: &str, bytes: u64, entry: &mut impl Read) -> Result<Manifest, BackupError> {
        if name != MANIFEST {
            return Err(BackupError::NoBackup("it is an archive without a manifest"));
        }
        let text = self.whole(entry, name, bytes, MAX_MANIFEST)?;
        let unreadable = |_| contradiction("its manifest cannot be read");
        let FormatOnly { format } = serde_json::from_slice(&text).map_err(unreadable)?;
        if format > FORMAT {
            return Err(BackupError::Newer(format));
        }
        serde_json::from_slice(&text).map_err(unreadable)
    }

    /// The pairs of the store; their number.
    fn store(
        &self,
        entry: &mut impl Read,
        each: &mut dyn FnMut(Part<'_>) -> io::Result<()>,
    ) -> Result<u64, BackupError> {
        let mut lines = BufReader::new(entry);
        let (mut pairs, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let limit = MAX_LINE as u64;
            let read = (&mut lines).take(limit).read_until(b'\n', &mut line);
            if read.map_err(|error| self.watch.explain(error))? == 0 {
                return Ok(pairs);
            }
            let pair = line.strip_suffix(b"\n").and_then(from_line);
            let pair = pair.ok_or_else(|| contradiction("a pair of the store cannot be read"))?;
            pairs += 1;
            each(Part::Pair(pair)).map_err(BackupError::Sink)?;
        }
    }

    /// A whole entry, if it is not larger than may be.
    fn whole(
        &self,
        entry: &mut impl Read,
        name: &str,
        bytes: u64,
        limit: u64,
    ) -> Result<Vec<u8>, BackupError> {
        if bytes > limit {
            return Err(contradiction(&format!("{name} has {bytes} bytes, which is more than it can have")));
        }
        let mut content = Vec::new();
        entry.take(limit).read_to_end(&mut content).map_err(|error| self.watch.explain(error))?;
        Ok(content)
    }
}

fn contradiction(what: &str) -> BackupError {
    BackupError::Contradiction(what.to_owned())
}
