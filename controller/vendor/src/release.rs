//! Making, signing and checking of release packages.

use anyhow::{Context as _, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use minisign::SecretKey;
use muster_package::archive::{self, Head, SignedStatement, Verified};
use muster_package::keys::Trust;
use muster_package::manifest::{FORMAT, FileEntry, Formats, Manifest, Payload};
use muster_package::slots::PROGRAM;
use muster_package::statement::{self, Statement};
use muster_package::{Version, VersionReq, sha256_hex};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufReader, BufWriter, Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a program says of itself: the output of `muster-agent about`.
#[derive(Debug, Clone, Deserialize)]
pub struct About {
    /// Name of the package.
    pub name: String,
    /// Version.
    pub version: Version,
    /// Platform.
    pub platform: String,
    /// Formats of what it keeps on disk.
    pub formats: Formats,
}

impl About {
    /// Asks a program that runs here.
    ///
    /// # Errors
    /// If it does not start, or says something else.
    pub fn ask(program: &Path) -> anyhow::Result<Self> {
        let output = Command::new(program).arg("about").output().with_context(|| {
            format!(
                "{} cannot be started here; for another platform run `{PROGRAM} about` there and give its output by \
                 --about",
                program.display()
            )
        })?;
        ensure!(output.status.success(), "`{} about` ends with {}", program.display(), output.status);
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`{} about` says something else than expected", program.display()))
    }
}

/// What a package is made of.
pub struct Recipe {
    /// The program.
    pub program: PathBuf,
    /// What it says of itself.
    pub about: About,
    /// Versions that may be upgraded directly.
    pub upgrade_from: VersionReq,
    /// See [`Manifest::floor`].
    pub floor: Version,
    /// One line for people.
    pub notes: String,
    /// It mends a hole; see [`Manifest::security`].
    pub security: bool,
    /// Further files: path in the package, file here.
    pub files: Vec<(String, PathBuf)>,
    /// A statement about keys that goes with it.
    pub statement: Option<SignedStatement>,
}

/// Makes a package that is not signed yet; the same input gives the same bytes.
///
/// # Errors
/// If a file cannot be read or written, or the package would make no sense.
pub fn build(recipe: &Recipe, folder: &Path) -> anyhow::Result<PathBuf> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    let mut files = Vec::new();
    let program = [(PROGRAM.to_owned(), recipe.program.clone())];
    for (position, (path, from)) in program.iter().chain(&recipe.files).enumerate() {
        let content = std::fs::read(from).with_context(|| format!("{} cannot be read", from.display()))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, path, content.as_slice())?;
        files.push(FileEntry {
            path: path.clone(),
            sha256: sha256_hex(&content),
            size: content.len() as u64,
            executable: position == 0,
        });
    }
    let payload = builder.into_inner()?.finish()?;
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        name: recipe.about.name.clone(),
        version: recipe.about.version.clone(),
        platform: recipe.about.platform.clone(),
        upgrade_from: recipe.upgrade_from.clone(),
        floor: recipe.floor.clone(),
        formats: recipe.about.formats.clone(),
        payload: Payload { sha256: sha256_hex(&payload), size: payload.len() as u64 },
        files,
        notes: recipe.notes.clone(),
        security: recipe.security,
    };
    let text = serde_json::to_vec_pretty(&manifest)?;
    Manifest::parse(&text)?;
    let path = folder.join(manifest.file_name());
    let head = Head { manifest: text, signature: None, statement: recipe.statement.clone() };
    put(&path, &head, &payload)?;
    Ok(path)
}

/// Writes a package in place of what is there, as a whole or not at all.
fn put(path: &Path, head: &Head, payload: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_extension("muster.new");
    let wrote = || -> anyhow::Result<()> {
        let mut out = BufWriter::new(File::create(&beside)?);
        archive::write(&mut out, head, Cursor::new(payload), payload.len() as u64)?;
        out.into_inner()?.sync_all()?;
        Ok(std::fs::rename(&beside, path)?)
    };
    wrote().with_context(|| format!("{} cannot be written", path.display()))
}

/// Head and payload of a package, signed or not.
fn take(path: &Path) -> anyhow::Result<(Head, Vec<u8>)> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    archive::read(BufReader::new(file), |head, payload, _| {
        let mut bytes = Vec::new();
        payload.read_to_end(&mut bytes)?;
        Ok((head, bytes))
    })
    .with_context(|| path.display().to_string())
}

/// Signs a package in place, also one that was signed already.
///
/// # Errors
/// If it cannot be read or written, or makes no sense.
pub fn sign(path: &Path, key: &SecretKey) -> anyhow::Result<Manifest> {
    let (head, payload) = take(path)?;
    let manifest = Manifest::parse(&head.manifest).with_context(|| path.display().to_string())?;
    ensure!(
        sha256_hex(&payload) == manifest.payload.sha256,
        "{}: its files are not those of its manifest; build it again",
        path.display()
    );
    let comment = format!("{} {} {}", manifest.name, manifest.version, manifest.platform);
    let signature = crate::sign(key, &head.manifest, &comment)?;
    put(path, &Head { signature: Some(signature), ..head }, &payload)?;
    Ok(manifest)
}

/// Puts a signature into a package that was made elsewhere over its manifest, by `minisign -S` or a hardware key.
///
/// # Errors
/// If it cannot be read or written.
pub fn attach(path: &Path, signature: &str) -> anyhow::Result<()> {
    let (head, payload) = take(path)?;
    put(path, &Head { signature: Some(signature.to_owned()), ..head }, &payload)
}

/// The manifest of a package, as it is to be signed.
///
/// # Errors
/// If it cannot be read.
pub fn manifest(path: &Path) -> anyhow::Result<Vec<u8>> {
    Ok(take(path)?.0.manifest)
}

/// Checks a package against the keys that this build ships, or others.
///
/// # Errors
/// Why it does not count.
pub fn verify(path: &Path, keys: &[String]) -> anyhow::Result<Verified> {
    let mut trust =
        if keys.is_empty() { Trust::shipped() } else { Trust::of(keys.iter().map(String::as_str)) };
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    archive::verify(BufReader::new(file), &mut trust).with_context(|| path.display().to_string())
}

/// Signs a statement about keys by two keys, and writes it and its signatures into a folder.
///
/// # Errors
/// If it makes no sense, or a file cannot be written.
pub fn make_statement(statement: &Statement, keys: &[SecretKey], folder: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(statement)?;
    Statement::parse(&text)?;
    if keys.len() != statement::SIGNATURES {
        bail!("a statement is signed by {} keys; give --key as often", statement::SIGNATURES);
    }
    let put = |name: &str, content: &[u8]| -> anyhow::Result<()> {
        let path = folder.join(name);
        let mut file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        file.write_all(content).with_context(|| format!("{} cannot be written", path.display()))
    };
    put(archive::STATEMENT, &text)?;
    for (name, key) in archive::STATEMENT_SIGNATURES.iter().zip(keys) {
        let comment = format!("statement {}", statement.number);
        put(name, crate::sign(key, &text, &comment)?.as_bytes())?;
    }
    Ok(())
}

/// Reads what [`make_statement`] wrote.
///
/// # Errors
/// If a file cannot be read.
pub fn read_statement(folder: &Path) -> anyhow::Result<SignedStatement> {
    let text = crate::read(&folder.join(archive::STATEMENT))?.into_bytes();
    let signature = |name: &&str| crate::read(&folder.join(name));
    let signatures = archive::STATEMENT_SIGNATURES.iter().map(signature).collect::<anyhow::Result<_>>()?;
    Ok(SignedStatement { text, signatures })
}
