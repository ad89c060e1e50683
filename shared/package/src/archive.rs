//! Reading and writing of package files. See the crate's documentation for the layout.

use crate::keys::{MAX_SIGNATURE, SignatureError, Trust};
use crate::manifest::{MAX_MANIFEST, Manifest, ManifestError};
use crate::statement::{MAX_STATEMENT, StatementError};
use std::io::{self, Read, Write};
use tar::{Archive, Builder, EntryType, Header};

/// Entry of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// Entry of its signature.
pub const SIGNATURE: &str = "manifest.json.minisig";
/// Entry of a statement about keys.
pub const STATEMENT: &str = "statement.json";
/// Entries of its signatures.
pub const STATEMENT_SIGNATURES: [&str; 2] = ["statement.json.minisig.1", "statement.json.minisig.2"];
/// Entry of the files.
pub const PAYLOAD: &str = "payload.tar.gz";

/// Why a file is no package that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading or writing failed, or it ends too early.
    #[error("the package cannot be read to its end: it was cut off or changed on its way; fetch it again")]
    Io(#[from] io::Error),
    /// An entry that does not belong there.
    #[error("it is no package of Muster, or was changed: {0}")]
    Entry(String),
    /// No signature.
    #[error("the package is not signed; sign it with `muster-release sign`")]
    Unsigned,
    /// A signature that does not count.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A statement that does not count.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The payload is not the one of the manifest.
    #[error("the files of the package are not those that were signed: {0}; fetch it again")]
    Payload(String),
}

/// What stands before the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The manifest as it is signed.
    pub manifest: Vec<u8>,
    /// Its signature; absent in a package that was not signed yet.
    pub signature: Option<String>,
    /// A statement about keys, with its signatures.
    pub statement: Option<SignedStatement>,
}

/// A statement about keys, as it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    /// The text.
    pub text: Vec<u8>,
    /// Its signatures.
    pub signatures: Vec<String>,
}

/// A package whose signature counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub manifest: Manifest,
    /// What stands before the files, as it was signed.
    pub head: Head,
    /// It brought a statement about keys that was not known.
    pub statement_taken: bool,
}

impl Head {
    /// Checks statement and signature, and reads the manifest. What the statement says counts from here on.
    ///
    /// # Errors
    /// [`ArchiveError`]; `trust` then may have taken the statement all the same, which is signed by itself.
    pub fn verify(self, trust: &mut Trust) -> Result<Verified, ArchiveError> {
        let statement_taken = match &self.statement {
            Some(SignedStatement { text, signatures }) => {
                let signatures: Vec<&str> = signatures.iter().map(String::as_str).collect();
                trust.take(text, &signatures)?
            }
            None => false,
        };
        let signature = self.signature.as_deref().ok_or(ArchiveError::Unsigned)?;
        trust.verify(&self.manifest, signature)?;
        let manifest = Manifest::parse(&self.manifest)?;
        Ok(Verified { manifest, head: self, statement_taken })
    }
}

/// Reads a package: the head at once, then the payload through `payload`, which gets its reader and its size.
/// Nothing is decompressed here.
///
/// # Errors
/// [`ArchiveError`], also the ones of `payload`.
pub fn read<R: Read, T>(
    package: R,
    payload: impl FnOnce(Head, &mut dyn Read, u64) -> Result<T, ArchiveError>,
) -> Result<T, ArchiveError> {
    let mut archive = Archive::new(package);
    let mut head = Head { manifest: Vec::new(), signature: None, statement: None };
    // Raw: extensions of tar would be read whole before anybody sees that they are there.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(ArchiveError::Entry(format!("`{}` is no plain file", shown(&name))));
        }
        let size = entry.size();
        if head.manifest.is_empty() && name != MANIFEST {
            return Err(ArchiveError::Entry(format!(
                "it begins with `{}` instead of {MANIFEST}",
                shown(&name)
            )));
        }
        let mut take = |most: usize| -> Result<Vec<u8>, ArchiveError> {
            if size > most as u64 {
                return Err(ArchiveError::Entry(format!("its {name} has {size} bytes, more than {most}")));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if bytes.len() as u64 == size { Ok(bytes) } else { Err(cut_off()) }
        };
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| ArchiveError::Signature(SignatureError::Unreadable))
        };
        match (name.as_str(), &mut head.statement) {
            (MANIFEST, _) if head.manifest.is_empty() => head.manifest = take(MAX_MANIFEST)?,
            (SIGNATURE, _) if head.signature.is_none() => head.signature = Some(text(take(MAX_SIGNATURE)?)?),
            (STATEMENT, statement @ None) => {
                *statement = Some(SignedStatement { text: take(MAX_STATEMENT)?, signatures: Vec::new() });
            }
            (name, Some(statement))
                if STATEMENT_SIGNATURES.contains(&name)
                    && statement.signatures.len() < STATEMENT_SIGNATURES.len() =>
            {
                statement.signatures.push(text(take(MAX_SIGNATURE)?)?);
            }
            (PAYLOAD, _) => return payload(head, &mut entry, size),
            _ => return Err(ArchiveError::Entry(format!("`{}` does not belong there", shown(&name)))),
        }
    }
    Err(cut_off())
}

/// The head alone.
///
/// # Errors
/// [`ArchiveError`].
pub fn read_head(package: impl Read) -> Result<Head, ArchiveError> {
    read(package, |head, _, _| Ok(head))
}

/// Reads and verifies a whole package: its signature, and that its payload is the signed one. Nothing is unpacked.
///
/// # Errors
/// [`ArchiveError`].
pub fn verify(package: impl Read, trust: &mut Trust) -> Result<Verified, ArchiveError> {
    read(package, |head, payload, size| {
        let verified = head.verify(trust)?;
        let mut sink = io::sink();
        check_payload(&verified.manifest, payload, size, &mut sink)?;
        Ok(verified)
    })
}

/// Copies the payload to `out`, and says whether it was the signed one.
///
/// # Errors
/// [`ArchiveError::Payload`] if not, [`ArchiveError::Io`].
pub fn check_payload(
    manifest: &Manifest,
    payload: &mut dyn Read,
    size: u64,
    out: &mut dyn Write,
) -> Result<(), ArchiveError> {
    use sha2::Digest as _;
    if size != manifest.payload.size {
        let wanted = manifest.payload.size;
        return Err(ArchiveError::Payload(format!("{size} bytes instead of {wanted}")));
    }
    let (mut hasher, mut buffer, mut read) = (sha2::Sha256::new(), vec![0; 64 * 1024], 0_u64);
    loop {
        let count = payload.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count])?;
        read += count as u64;
    }
    if read != size {
        return Err(cut_off());
    }
    if faster_hex::hex_string(&hasher.finalize()) != manifest.payload.sha256 {
        return Err(ArchiveError::Payload("their digest is another one".to_owned()));
    }
    Ok(())
}

/// Writes a package.
///
/// # Errors
/// If `out` fails, or `payload` gives other than `size` bytes.
pub fn write(out: impl Write, head: &Head, payload: impl Read, size: u64) -> io::Result<()> {
    let mut builder = Builder::new(out);
    put(&mut builder, MANIFEST, head.manifest.as_slice(), head.manifest.len() as u64)?;
    if let Some(signature) = &head.signature {
        put(&mut builder, SIGNATURE, signature.as_bytes(), signature.len() as u64)?;
    }
    if let Some(SignedStatement { text, signatures }) = &head.statement {
        put(&mut builder, STATEMENT, text.as_slice(), text.len() as u64)?;
        for (name, signature) in STATEMENT_SIGNATURES.iter().zip(signatures) {
            put(&mut builder, name, signature.as_bytes(), signature.len() as u64)?;
        }
    }
    put(&mut builder, PAYLOAD, payload.take(size), size)?;
    builder.into_inner()?.flush()
}

/// The same input gives the same bytes: no times, no owners.
fn put(builder: &mut Builder<impl Write>, name: &str, content: impl Read, size: u64) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(EntryType::Regular);
    builder.append_data(&mut header, name, content)
}

fn cut_off() -> ArchiveError {
    ArchiveError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before its files"))
}

fn shown(name: &str) -> String {
    name.chars().take(80).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Signer, manifest, statement};

    fn package(head: &Head, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, head, payload, payload.len() as u64).unwrap();
        out
    }

    fn signed(signer: &Signer) -> (Head, Vec<u8>) {
        let payload = b"the files".repeat(1_000);
        let mut manifest = manifest("0.2.0");
        manifest.payload.sha256 = crate::sha256_hex(&payload);
        manifest.payload.size = payload.len() as u64;
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let signature = Some(signer.sign(&manifest));
        (Head { manifest, signature, statement: None }, payload)
    }

    fn told(package: &[u8], trust: &Trust) -> String {
        match verify(package, &mut trust.clone()) {
            Ok(verified) => verified.manifest.version.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_was_signed_is_taken_and_nothing_else() {
        let (signer, stranger) = (Signer::new(), Signer::new());
        let trust = Trust::of([signer.public.as_str()]);
        let (head, payload) = signed(&signer);
        let good = package(&head, &payload);
        assert_eq!(told(&good, &trust), "0.2.0");
        assert_eq!(good, package(&head, &payload), "the same input gives the same bytes");

        let unsigned = Head { signature: None, ..head.clone() };
        assert!(told(&package(&unsigned, &payload), &trust).contains("not signed"));
        let foreign = Head { signature: Some(stranger.sign(&head.manifest)), ..head.clone() };
        assert!(told(&package(&foreign, &payload), &trust).contains("fits none of the keys"));
        let mut other = payload.clone();
        other[5] ^= 1;
        assert!(told(&package(&head, &other), &trust).contains("digest is another one"));
        assert!(told(&package(&head, &payload[1..]), &trust).contains("8999 bytes instead of 9000"));
        // Cut anywhere, and with any byte turned: never taken. The end of the archive is not part of what is signed.
        for cut in (0..good.len() - 1_536).step_by(97) {
            assert_ne!(told(&good[..cut], &trust), "0.2.0", "cut at {cut}");
        }
        let manifest_at = 512;
        for at in (manifest_at..manifest_at + head.manifest.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_ne!(told(&bad, &trust), "0.2.0", "byte {at}");
        }
    }

    #[test]
    fn a_statement_in_a_package_counts_for_its_signature() {
        let (one, two, new) = (Signer::new(), Signer::new(), Signer::new());
        let trust = Trust::of([one.public.as_str(), &two.public]);
        let (head, payload) = signed(&new);
        assert!(told(&package(&head, &payload), &trust).contains("fits none"));
        let text = statement(1, &[&new.public], &[]);
        let both = vec![one.sign(&text), two.sign(&text)];
        let with = |signatures: Vec<String>| Head {
            statement: Some(SignedStatement { text: text.clone(), signatures }),
            ..head.clone()
        };
        assert_eq!(told(&package(&with(both.clone()), &payload), &trust), "0.2.0");
        assert!(told(&package(&with(both[..1].to_vec()), &payload), &trust).contains("signed by 1"));
    }

    type Entries<'e> = &'e [(&'e str, &'e [u8])];

    #[test]
    fn entries_that_do_not_belong_there_are_refused() {
        let signer = Signer::new();
        let trust = Trust::of([signer.public.as_str()]);
        let (head, payload) = signed(&signer);
        let build = |entries: &[(&str, &[u8])]| {
            let mut builder = Builder::new(Vec::new());
            for (name, content) in entries {
                put(&mut builder, name, *content, content.len() as u64).unwrap();
            }
            builder.into_inner().unwrap()
        };
        let signature = head.signature.clone().unwrap();
        let (manifest, signature) = (head.manifest.as_slice(), signature.as_bytes());
        let large = vec![b' '; MAX_MANIFEST + 1];
        let three = [(STATEMENT_SIGNATURES[0], signature); 3];
        let many = [&[(MANIFEST, manifest), (STATEMENT, manifest)][..], &three].concat();
        let cases: [(Entries, &str); 7] = [
            (&many, "does not belong"),
            (&[], "cut off"),
            (&[(PAYLOAD, &payload)], "instead of manifest.json"),
            (&[(MANIFEST, manifest), (MANIFEST, manifest)], "does not belong"),
            (&[(MANIFEST, manifest), ("bin/sh", b"x")], "does not belong"),
            (&[(MANIFEST, &large)], "more than"),
            (&[(MANIFEST, manifest), (SIGNATURE, signature)], "cut off"),
        ];
        for (entries, expected) in cases {
            let told = told(&build(entries), &trust);
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }

    #[test]
    fn extensions_of_tar_are_not_read() {
        let signer = Signer::new();
        let trust = Trust::of([signer.public.as_str()]);
        for kind in [EntryType::GNULongName, EntryType::XHeader, EntryType::Symlink, EntryType::GNUSparse] {
            let mut builder = Builder::new(Vec::new());
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            // What it claims is never made room for: the archive ends long before.
            header.set_size(400_000_000);
            header.set_path(MANIFEST).unwrap();
            header.set_cksum();
            builder.append(&header, &b"x"[..]).unwrap();
            let told = told(&builder.into_inner().unwrap(), &trust);
            assert!(told.contains("no plain file"), "{kind:?}: {told}");
        }
    }
}
