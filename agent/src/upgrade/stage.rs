//! Verifies a fetched package and unpacks it beside the running version.
//!
//! Nothing of it can run before all of it is right: the files are written without the right to run, into a folder
//! whose name no launcher looks at; the folder gets its name last.

use super::disk::{Disk, RESERVE, free_bytes, replace};
use flate2::read::GzDecoder;
use muster_package::admit::{Floor, Host, NotAdmitted, admit};
use muster_package::archive::{self, ArchiveError, Head, MANIFEST, SIGNATURE, SignedStatement};
use muster_package::keys::Trust;
use muster_package::manifest::{FileEntry, MAX_MANIFEST, Manifest};
use muster_package::slots::{KeptStatement, Layout};
use muster_package::unpacked::{self, Folder, Kind, NotSigned};
use semver::Version;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

/// Why a package is not installed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// It cannot be read, or is not what was signed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It may not be installed here.
    #[error(transparent)]
    NotAdmitted(Box<NotAdmitted>),
    /// The controller offered something else.
    #[error("the controller offered {offered}, and the package is of {found}")]
    Other {
        /// What was offered.
        offered: Version,
        /// What it is.
        found: Version,
    },
    /// Not the bytes that were offered.
    #[error(
        "the fetched package has another digest than the offered one: it is fetched again with the next offer"
    )]
    Digest,
    /// A file of it is not the signed one.
    #[error("the file {0} of the package is not the one that was signed")]
    File(String),
    /// The disk is too full.
    #[error(
        "{free} bytes are free on the disk of the agent's state folder, {needed} are needed: upgrades leave some for \
         cursors and spools; make room"
    )]
    NoRoom {
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// It cannot be written.
    #[error("cannot {attempt} {}; check that the disk of the agent's state folder is not full", path.display())]
    Io {
        /// What was tried.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StageError {
    move |source| StageError::Io { attempt, path: path.to_owned(), source }
}

/// What is checked against what.
pub struct Stage<'s> {
    /// Where things are.
    pub layout: &'s Layout,
    /// Writes.
    pub disk: &'s dyn Disk,
    /// What runs here.
    pub host: &'s Host,
}

impl Stage<'_> {
    /// Verifies the file `part` that was offered as `version` with the digest `sha256`, and says what is in it. A
    /// statement about keys that came with it counts from here on, and is stored.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn verify(
        &self,
        part: &Path,
        sha256: &str,
        version: &Version,
        trust: &mut Trust,
    ) -> Result<Manifest, StageError> {
        if digest(part).map_err(failed("read", part))? != sha256 {
            return Err(StageError::Digest);
        }
        let verified = archive::verify(open(part)?, trust)?;
        if verified.manifest.version != *version {
            return Err(StageError::Other { offered: version.clone(), found: verified.manifest.version });
        }
        if let Some(statement) = verified.head.statement.as_ref().filter(|_| verified.statement_taken) {
            self.keep_statement(statement)?;
        }
        admit(&verified.manifest, self.host, trust).map_err(|why| StageError::NotAdmitted(Box::new(why)))?;
        Ok(verified.manifest)
    }

    fn keep_statement(&self, statement: &SignedStatement) -> Result<(), StageError> {
        let path = self.layout.statement();
        let kept = KeptStatement {
            text: String::from_utf8_lossy(&statement.text).into_owned(),
            signatures: statement.signatures.clone(),
        };
        let text = serde_json::to_vec(&kept).map_err(io::Error::other).map_err(failed("write", &path))?;
        replace(self.disk, &path, &text).map_err(failed("write", &path))
    }

    /// Unpacks what [`Stage::verify`] verified. When this returns, the version can be run, also after a power cut.
    ///
    /// # Errors
    /// [`StageError`]; what was unpacked is removed then.
    pub fn unpack(&self, part: &Path, manifest: &Manifest) -> Result<(), StageError> {
        let versions = self.layout.versions();
        let folder = versions.join(format!("{NEW}{}", manifest.version));
        let place = self.layout.version(&manifest.version);
        self.disk.remove(&folder).map_err(failed("remove", &folder))?;
        if let Some(free) = free_bytes(part)
            && free < manifest.unpacked_size() + RESERVE
        {
            return Err(StageError::NoRoom { needed: manifest.unpacked_size() + RESERVE, free });
        }
        let unpacked = self.unpack_into(part, manifest, &folder).and_then(|()| {
            self.disk.remove(&place).map_err(failed("remove", &place))?;
            self.disk.rename(&folder, &place).map_err(failed("rename", &folder))?;
            self.disk.sync_dir(&versions).map_err(failed("sync", &versions))
        });
        if unpacked.is_err() {
            // What failed is told; what is left over is removed at the next start, too.
            let _ = self.disk.remove(&folder);
        }
        unpacked
    }

    fn unpack_into(&self, part: &Path, manifest: &Manifest, folder: &Path) -> Result<(), StageError> {
        let mut folders = BTreeSet::from([folder.to_owned()]);
        self.disk.make_dir(folder).map_err(failed("make", folder))?;
        let head = archive::read(open(part)?, |head, payload, _| {
            let unpacked = self.unpack_files(payload, manifest, folder, &mut folders);
            Ok(unpacked.map(|()| head))
        })??;
        let Head { manifest: text, signature, statement: _ } = head;
        self.put(&folder.join(MANIFEST), &text)?;
        self.put(&folder.join(SIGNATURE), signature.unwrap_or_default().as_bytes())?;
        for file in manifest.files.iter().filter(|file| file.executable) {
            let path = folder.join(&file.path);
            self.disk.make_executable(&path).map_err(failed("make executable", &path))?;
        }
        for path in folders.iter().rev() {
            self.disk.sync_dir(path).map_err(failed("sync", path))?;
        }
        Ok(())
    }

    fn unpack_files(
        &self,
        payload: &mut dyn Read,
        manifest: &Manifest,
        folder: &Path,
        folders: &mut BTreeSet<PathBuf>,
    ) -> Result<(), StageError> {
        let read = |error: io::Error| StageError::Archive(ArchiveError::Io(error));
        let mut archive = tar::Archive::new(GzDecoder::new(payload));
        let mut missing: BTreeSet<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
        for entry in archive.entries().map_err(read)? {
            let mut entry = entry.map_err(read)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let plain = entry.header().entry_type() == tar::EntryType::Regular;
            let Some(file) = manifest.file(&name).filter(|file| plain && missing.remove(file.path.as_str()))
            else {
                return Err(StageError::File(name.chars().take(80).collect()));
            };
            let path = folder.join(&file.path);
            if let Some(above) = path.parent().filter(|above| folders.insert((*above).to_owned())) {
                self.disk.make_dir(above).map_err(failed("make", above))?;
            }
            self.unpack_file(&mut entry, file, &path)?;
        }
        match missing.first() {
            Some(name) => Err(StageError::File((*name).to_owned())),
            None => Ok(()),
        }
    }

    fn unpack_file(&self, from: &mut dyn Read, file: &FileEntry, path: &Path) -> Result<(), StageError> {
        let mut out = self.disk.open(path, false).map_err(failed("make", path))?;
        let (mut hasher, mut buffer, mut size) = (Sha256::new(), vec![0; 64 * 1024], 0_u64);
        loop {
            let count = from.read(&mut buffer).map_err(ArchiveError::Io)?;
            if count == 0 {
                break;
            }
            size += count as u64;
            if size > file.size {
                return Err(StageError::File(file.path.clone()));
            }
            hasher.update(&buffer[..count]);
            out.write_all(&buffer[..count]).map_err(failed("write", path))?;
        }
        if size != file.size || faster_hex::hex_string(&hasher.finalize()) != file.sha256 {
            return Err(StageError::File(file.path.clone()));
        }
        out.sync().map_err(failed("sync", path))
    }

    fn put(&self, path: &Path, content: &[u8]) -> Result<(), StageError> {
        let mut out = self.disk.open(path, false).map_err(failed("make", path))?;
        out.write_all(content).map_err(failed("write", path))?;
        out.sync().map_err(failed("sync", path))
    }
}

/// Beginning of the name of a folder that is being unpacked into.
pub const NEW: &str = ".new-";

fn open(part: &Path) -> Result<BufReader<File>, StageError> {
    File::open(part).map(BufReader::new).map_err(failed("read", part))
}

/// Where the file with this digest is fetched to.
#[must_use]
pub fn part(layout: &Layout, digest: &str) -> PathBuf {
    layout.downloads().join(format!("{digest}.part"))
}

/// Removes downloads but the one of `digest`.
///
/// # Errors
/// As the system says.
pub fn forget_downloads(layout: &Layout, disk: &dyn Disk, digest: &str) -> io::Result<()> {
    let keep = part(layout, digest);
    let Ok(found) = std::fs::read_dir(layout.downloads()) else { return Ok(()) };
    for entry in found.flatten().filter(|entry| entry.path() != keep) {
        disk.remove(&entry.path())?;
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(faster_hex::hex_string(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// The statement about keys that is kept, taken into `trust`. One that does not count is as none: without it less is
/// trusted, never more.
pub fn recall_statement(layout: &Layout, trust: &mut Trust) {
    let Ok(text) = std::fs::read(layout.statement()) else { return };
    let taken = serde_json::from_slice::<KeptStatement>(&text).map_err(|e| e.to_string()).and_then(|kept| {
        let signatures: Vec<&str> = kept.signatures.iter().map(String::as_str).collect();
        trust.take(kept.text.as_bytes(), &signatures).map_err(|e| e.to_string())
    });
    if let Err(error) = taken {
        tracing::warn!(error, "the kept statement about keys does not count");
    }
}

/// Manifests of the versions that lie unpacked here and that were signed by a key of the vendor, be it retired since.
#[must_use]
pub fn kept(layout: &Layout, trust: &Trust) -> Vec<Manifest> {
    let Ok(found) = std::fs::read_dir(layout.versions()) else { return Vec::new() };
    let manifest = |folder: PathBuf| {
        let mut text = Vec::new();
        let file = File::open(folder.join(MANIFEST)).ok()?;
        file.take(MAX_MANIFEST as u64 + 1).read_to_end(&mut text).ok()?;
        let signature = std::fs::read_to_string(folder.join(SIGNATURE)).ok()?;
        trust.verify_accepted(&text, &signature).ok()?;
        let manifest = Manifest::parse(&text).ok()?;
        (folder.file_name()?.to_str()? == manifest.version.to_string()).then_some(manifest)
    };
    found.flatten().filter_map(|entry| manifest(entry.path())).collect()
}

/// Verifies all of an unpacked version before any of it is run. `accepted`: digest of its manifest, if it ran before.
///
/// # Errors
/// What is not as it was signed.
pub fn verify_unpacked(
    layout: &Layout,
    version: &Version,
    trust: &Trust,
    accepted: Option<&str>,
) -> Result<(), NotSigned> {
    unpacked::check(&OnDisk(layout.version(version)), version, trust, accepted).map(|_| ())
}

/// A folder of this machine.
struct OnDisk(PathBuf);

impl OnDisk {
    fn at(&self, path: &str) -> PathBuf {
        // Joined, an empty path would end in a slash, which follows a link.
        if path.is_empty() { self.0.clone() } else { self.0.join(path) }
    }
}

impl Folder for OnDisk {
    fn kind(&self, path: &str) -> io::Result<Kind> {
        let found = std::fs::symlink_metadata(self.at(path))?;
        Ok(match (found.is_dir(), found.is_file()) {
            (true, _) => Kind::Folder,
            (false, true) => Kind::File { size: found.len() },
            (false, false) => Kind::Other,
        })
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.at(path))?))
    }
}

/// The floor as the kept versions and the book know it.
#[must_use]
pub fn floor(running: &Version, known: Option<&Floor>, kept: &[Manifest]) -> Floor {
    let begin = known.cloned().unwrap_or_else(|| Floor::none(running));
    kept.iter().fold(begin, |floor, manifest| floor.raised(manifest))
}

/// Removes what is left over of earlier tries: versions that are not in `keep`, and downloads but the one of `digest`.
///
/// # Errors
/// As the system says.
pub fn tidy_up(
    layout: &Layout,
    disk: &dyn Disk,
    keep: &BTreeSet<Version>,
    digest: Option<&str>,
) -> io::Result<()> {
    let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
    match digest {
        Some(digest) => forget_downloads(layout, disk, digest)?,
        None => disk.remove(&layout.downloads())?,
    }
    let Ok(found) = std::fs::read_dir(layout.versions()) else { return Ok(()) };
    for entry in found.flatten() {
        if !entry.file_name().to_str().is_some_and(|name| keep.iter().any(|kept| kept == name)) {
            disk.remove(&entry.path())?;
        }
    }
    Ok(())
}
