//! Writing a backup.

use crate::archive::{Digesting, FILES, MANIFEST, STORE, segment_name, to_line};
use crate::manifest::{AuditHead, Entry, FORMAT, Manifest};
use crate::{Pair, Passphrase};
use age::scrypt::Recipient;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use muster_shared::audit_chain;
use muster_shared::incarnation::Incarnation;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// Costs of guessing a passphrase: scrypt with N = 2^17 takes 128 MiB and half a second.
pub const WORK_FACTOR: u8 = 17;

/// What the manifest says beside what is counted on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Program and version.
    pub product: String,
    /// The moment that the content is of.
    pub taken_at: Timestamp,
    /// The controller's incarnation.
    pub incarnation: Incarnation,
    /// How many there are of what.
    pub counts: BTreeMap<String, u64>,
}

/// Gives the segments of the audit log to `each`, oldest first, whole lines, at most some MiB at a time, with
/// the sequence of the first entry of each. Called twice, it gives the same.
pub type Walk<'a> = dyn Fn(&mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> + 'a;

/// What goes into a backup.
pub struct Content<'a> {
    /// Every pair of the store, of one moment.
    pub pairs: &'a [Pair],
    /// Files of the data folder, with their names.
    pub files: &'a [(String, Zeroizing<Vec<u8>>)],
    /// The audit log up to that moment.
    pub audit: &'a Walk<'a>,
}

#[derive(Deserialize)]
struct Numbered {
    sequence: u64,
}

/// Writes a backup to its end; `out` is not flushed to the disk here. `work_factor` is [`WORK_FACTOR`] outside of
/// tests.
///
/// # Errors
/// If `out` or the content cannot be used.
pub fn write(
    out: impl Write,
    passphrase: &Passphrase,
    work_factor: u8,
    facts: Facts,
    content: &Content<'_>,
) -> io::Result<Manifest> {
    let manifest = manifest(facts, content)?;
    let mut recipient = Recipient::new(passphrase.0.clone());
    recipient.set_work_factor(work_factor);
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(io::Error::other)?;
    let encrypted = encryptor.wrap_output(out)?;
    let mut archive = tar::Builder::new(GzEncoder::new(encrypted, Compression::fast()));
    let seconds = u64::try_from(manifest.taken_at.as_second()).unwrap_or(0);
    let mut append = |name: &str, bytes: u64, from: &mut dyn Read| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        archive.append_data(&mut header, name, from)
    };
    let text = serde_json::to_vec(&manifest)?;
    append(MANIFEST, text.len() as u64, &mut text.as_slice())?;
    let mut listed = manifest.entries.iter();
    // What was measured is what is written: another size would be seen in the archive, another content in its digest.
    let mut next = || listed.next().ok_or_else(|| io::Error::other("the content grew while it was written"));
    let store = next()?;
    append(&store.name, store.bytes, &mut Lines::new(content.pairs))?;
    for (_, bytes) in content.files {
        append(&next()?.name, bytes.len() as u64, &mut bytes.as_slice())?;
    }
    (content.audit)(&mut |_, mut text| append(&next()?.name, text.len() as u64, &mut text))?;
    archive.into_inner()?.finish()?.finish()?.flush()?;
    Ok(manifest)
}

/// Measures the content.
fn manifest(facts: Facts, content: &Content<'_>) -> io::Result<Manifest> {
    let measured = |name: String, from: &mut dyn Read| {
        let mut digest = Digesting::new(io::sink());
        io::copy(from, &mut digest)?;
        let (bytes, sha256) = digest.finish();
        io::Result::Ok(Entry { name, bytes, sha256 })
    };
    let mut entries = vec![measured(STORE.to_owned(), &mut Lines::new(content.pairs))?];
    for (name, bytes) in content.files {
        entries.push(measured(format!("{FILES}{name}"), &mut bytes.as_slice())?);
    }
    let mut audit = AuditHead::default();
    (content.audit)(&mut |first, mut text| {
        let last = text.split(|b| *b == b'\n').rfind(|line| !line.is_empty());
        let last = last.and_then(audit_chain::split).and_then(|(hash, entry)| {
            let Numbered { sequence } = serde_json::from_slice(entry).ok()?;
            Some(AuditHead { sequence, hash: hash.to_owned() })
        });
        audit = last.ok_or_else(|| io::Error::other("a segment of the audit log has no last entry"))?;
        entries.push(measured(segment_name(first), &mut text)?);
        Ok(())
    })?;
    Ok(Manifest {
        format: FORMAT,
        product: facts.product,
        taken_at: facts.taken_at,
        incarnation: facts.incarnation,
        pairs: content.pairs.len() as u64,
        counts: facts.counts,
        audit,
        entries,
    })
}

/// The pairs as lines, one at a time: the store of a large fleet is not held twice.
struct Lines<'a> {
    pairs: std::slice::Iter<'a, Pair>,
    line: Vec<u8>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn new(pairs: &'a [Pair]) -> Self {
        Self { pairs: pairs.iter(), line: Vec::new(), at: 0 }
    }
}

impl Read for Lines<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.line.len() {
            let Some((key, value)) = self.pairs.next() else { return Ok(0) };
            self.line = to_line(key, value)?;
            self.at = 0;
        }
        let count = out.len().min(self.line.len() - self.at);
        out[..count].copy_from_slice(&self.line[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
