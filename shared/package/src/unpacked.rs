//! Whether an unpacked package is, byte for byte, what was signed: what is asked before each start of one of its programs,
//! by the launcher, and by the agent before a kept version checks itself.

use crate::archive::{MANIFEST, SIGNATURE};
use crate::keys::{MAX_SIGNATURE, SignatureError, Trust};
use crate::manifest::{FileEntry, MAX_MANIFEST, Manifest, ManifestError};
use crate::slots::PROGRAM;
use crate::{AGENT, Version, sha256_hex, this_platform};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A plain file.
    File {
        /// Bytes.
        size: u64,
    },
    /// A symbolic link, a pipe, or whatever else: opening it may wait for ever, or lead elsewhere.
    Other,
}

/// The folder of an unpacked package. A path is relative to it and has `/` between its parts; the empty one is the folder
/// itself.
pub trait Folder {
    /// What lies there, without following a link.
    ///
    /// # Errors
    /// As the system says.
    fn kind(&self, path: &str) -> io::Result<Kind>;

    /// Opens a file for reading; only called for what [`Folder::kind`] said to be one.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// Why a version is not started.
#[derive(Debug, thiserror::Error)]
pub enum NotSigned {
    /// A file is missing or cannot be read.
    #[error("its files cannot be verified: {0}")]
    Unreadable(String),
    /// Not signed by a key that counts.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A signed manifest of something else.
    #[error("its manifest is of {found}, and {wanted} was to be started")]
    Other {
        /// What it is of.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// A file is not the one that was signed.
    #[error("{path} is not the file that was signed: {problem}")]
    File {
        /// Its path in the package.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// A package that is what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// What is in it.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's text: what to keep so that it counts as accepted later.
    pub sha256: String,
}

/// Verifies an unpacked package of the agent for this platform. `accepted` is the SHA-256 of a manifest of this version
/// that was verified and started before ([`crate::slots::Launch::accepted`]): for that very manifest the signature of a
/// key counts that was retired since. None where it must be signed by a key that counts now.
///
/// # Errors
/// [`NotSigned`].
pub fn check(
    folder: &impl Folder,
    version: &Version,
    trust: &Trust,
    accepted: Option<&str>,
) -> Result<Manifest, NotSigned> {
    examine(folder, version, trust, accepted).map(|unpacked| unpacked.manifest)
}

/// As [`check`], and says which manifest it was.
///
/// # Errors
/// [`NotSigned`].
pub fn examine(
    folder: &impl Folder,
    version: &Version,
    trust: &Trust,
    accepted: Option<&str>,
) -> Result<Unpacked, NotSigned> {
    match folder
        .kind("")
        .map_err(|error| NotSigned::Unreadable(format!("the folder of {version}: {error}")))?
    {
        Kind::Folder => (),
        Kind::File { .. } | Kind::Other => {
            return Err(NotSigned::Unreadable(format!(
                "what should be the folder of {version} is no folder"
            )));
        }
    }
    let text = whole(folder, MANIFEST, MAX_MANIFEST)?;
    let signature = whole(folder, SIGNATURE, MAX_SIGNATURE)?;
    let signature = String::from_utf8(signature).map_err(|_| SignatureError::Unreadable)?;
    let sha256 = sha256_hex(&text);
    if accepted == Some(sha256.as_str()) {
        trust.verify_accepted(&text, &signature)?;
    } else {
        trust.verify(&text, &signature)?;
    }
    let manifest = Manifest::parse(&text)?;
    check_manifest(&manifest, version)?;
    manifest.files.iter().try_for_each(|file| {
        check_file(folder, file).map_err(|problem| NotSigned::File { path: file.path.clone(), problem })
    })?;
    Ok(Unpacked { manifest, sha256 })
}

fn check_manifest(manifest: &Manifest, version: &Version) -> Result<(), NotSigned> {
    let (found, wanted) = (
        format!("{} {} for {}", manifest.name, manifest.version, manifest.platform),
        format!("{AGENT} {version} for {}", this_platform()),
    );
    if found != wanted {
        return Err(NotSigned::Other { found, wanted });
    }
    if !manifest.file(PROGRAM).is_some_and(|file| file.executable) {
        let problem = "the package has no such program".to_owned();
        return Err(NotSigned::File { path: PROGRAM.to_owned(), problem });
    }
    Ok(())
}

fn check_file(folder: &impl Folder, file: &FileEntry) -> Result<(), String> {
    let told = |error: io::Error| error.to_string();
    for (end, _) in file.path.match_indices('/') {
        let above = &file.path[..end];
        match folder.kind(above).map_err(told)? {
            Kind::Folder => (),
            Kind::File { .. } | Kind::Other => return Err(format!("{above} is no folder")),
        }
    }
    match folder.kind(&file.path).map_err(told)? {
        // Before the digest: a file that was filled up must not keep the start waiting.
        Kind::File { size } if size != file.size => {
            return Err(format!("it has {size} bytes instead of {}", file.size));
        }
        Kind::File { .. } => (),
        Kind::Folder | Kind::Other => return Err("it is no plain file".to_owned()),
    }
    let reader = folder.open(&file.path).map_err(told)?;
    // One byte more, for one that grows meanwhile.
    let found = digest(&mut reader.take(file.size.saturating_add(1))).map_err(told)?;
    if found == (file.sha256.clone(), file.size) {
        Ok(())
    } else {
        Err("its digest is another one".to_owned())
    }
}

/// SHA-256 of all that can be read, in hexadecimal, and how much that was.
///
/// # Errors
/// As the reader says.
pub fn digest(reader: &mut dyn Read) -> io::Result<(String, u64)> {
    let (mut hasher, mut buffer, mut size) = (Sha256::new(), vec![0; 64 * 1024], 0_u64);
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok((faster_hex::hex_string(&hasher.finalize()), size));
        }
        hasher.update(&buffer[..count]);
        size = size.saturating_add(count as u64);
    }
}

fn whole(folder: &impl Folder, path: &str, most: usize) -> Result<Vec<u8>, NotSigned> {
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => NotSigned::Unreadable(format!("{path} is not there")),
        _ => NotSigned::Unreadable(format!("{path}: {error}")),
    };
    match folder.kind(path).map_err(told)? {
        Kind::File { .. } => (),
        Kind::Folder | Kind::Other => return Err(NotSigned::Unreadable(format!("{path} is no plain file"))),
    }
    let mut bytes = Vec::new();
    folder.open(path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes)).map_err(told)?;
    if bytes.len() > most {
        return Err(NotSigned::Unreadable(format!("{path} has more than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Signer, manifest, statement};
    use std::collections::BTreeMap;

    /// Files by their paths; what has no content is something else.
    struct Memory(BTreeMap<String, Option<Vec<u8>>>);

    impl Folder for Memory {
        fn kind(&self, path: &str) -> io::Result<Kind> {
            match self.0.get(path) {
                Some(Some(content)) => Ok(Kind::File { size: content.len() as u64 }),
                Some(None) => Ok(Kind::Other),
                None if matches!(path, "" | "bin") => Ok(Kind::Folder),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        }

        fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
            match self.0.get(path) {
                Some(Some(content)) => Ok(Box::new(content.as_slice())),
                Some(None) | None => Err(io::ErrorKind::NotFound.into()),
            }
        }
    }

    fn version() -> Version {
        Version::new(0, 2, 0)
    }

    /// An unpacked 0.2.0 that `signer` signed, and the digest of its manifest.
    fn unpacked(signer: &Signer) -> (Memory, String) {
        let mut manifest = manifest("0.2.0");
        manifest.platform = this_platform();
        manifest.files[0].sha256 = sha256_hex(b"program");
        manifest.files[0].size = 7;
        let text = serde_json::to_vec(&manifest).unwrap();
        let (sha256, signature) = (sha256_hex(&text), signer.sign(&text).into_bytes());
        let files = [(MANIFEST, text), (SIGNATURE, signature), (PROGRAM, b"program".to_vec())];
        (Memory(files.map(|(path, content)| (path.to_owned(), Some(content))).into()), sha256)
    }

    #[test]
    fn only_what_was_signed_is_what_was_signed() {
        let cases: [(&str, Option<&[u8]>, &str); 7] = [
            ("other", Some(b"x"), "yes"),
            (PROGRAM, Some(b"Program"), "its digest is another one"),
            (PROGRAM, Some(b"programs"), "it has 8 bytes instead of 7"),
            (PROGRAM, None, "it is no plain file"),
            ("bin", None, "bin is no folder"),
            ("", None, "no folder"),
            (SIGNATURE, None, "manifest.json.minisig is no plain file"),
        ];
        let signer = Signer::new();
        let trust = Trust::of([signer.public.as_str()]);
        for (path, content, expected) in cases {
            let (mut folder, _) = unpacked(&signer);
            folder.0.insert(path.to_owned(), content.map(<[u8]>::to_vec));
            let told = check(&folder, &version(), &trust, None);
            let told = told.map_or_else(|error| error.to_string(), |_| "yes".to_owned());
            assert!(told.contains(expected), "{path} {expected}: {told}");
        }
    }

    #[test]
    fn an_accepted_manifest_counts_by_a_key_that_was_retired_since() {
        let (one, two, three) = (Signer::new(), Signer::new(), Signer::new());
        let mut trust = Trust::of([one.public.as_str(), &two.public, &three.public]);
        let (mut folder, sha256) = unpacked(&one);
        let found = examine(&folder, &version(), &trust, None).unwrap();
        assert_eq!((found.sha256.as_str(), found.manifest.version), (sha256.as_str(), version()));
        let text = statement(1, &[], &[&one.public]);
        assert_eq!(trust.take(&text, &[&two.sign(&text), &three.sign(&text)]), Ok(true));
        let counts = |folder: &Memory, accepted| check(folder, &version(), &trust, accepted).is_ok();
        assert!(!counts(&folder, None));
        assert!(!counts(&folder, Some("another")));
        assert!(counts(&folder, Some(&sha256)));
        // By nobody that the vendor ever named, or with other files, it does not.
        let (strange, sha256_strange) = unpacked(&Signer::new());
        assert!(!counts(&strange, Some(&sha256_strange)));
        folder.0.insert(PROGRAM.to_owned(), Some(b"Program".to_vec()));
        assert!(!counts(&folder, Some(&sha256)));
    }
}
