//! The files of the log: a folder of segments, each named after the sequence of its first entry and at most
//! some size. Opening reads the last two only; reading finds the segment by its name.

use muster_shared::audit_chain::{self, GENESIS, Verifier};
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A segment is closed when it is larger than this.
pub(crate) const SEGMENT_BYTES: u64 = 1024 * 1024;
/// Longest line that is read.
const MAX_LINE: u64 = 256 * 1024;

/// The folder with its segments.
pub(super) struct Segments {
    folder: PathBuf,
    limit: u64,
    /// Sequence of the first entry of each, rising.
    firsts: Vec<u64>,
    /// The last one, open for appending; `None` before the first entry.
    file: Option<File>,
    /// Size of the last one.
    size: u64,
    /// Sequence of the last entry; 0 if there is none.
    pub(super) last: u64,
    /// Its hash.
    pub(super) hash: String,
}

/// A line as it stands in the files.
pub(super) struct Line {
    pub(super) hash: String,
    pub(super) entry: Vec<u8>,
}

impl Line {
    /// The whole line, without its end.
    pub(super) fn text(&self) -> Vec<u8> {
        [format!("{{\"hash\":\"{}\",\"entry\":", self.hash).as_bytes(), self.entry.as_slice(), b"}"].concat()
    }
}

#[derive(Deserialize)]
struct Numbered {
    sequence: u64,
}

impl Segments {
    /// Opens the folder, cuts off a line that a crash left unfinished, checks the chain of the last two segments
    /// and tells their lines.
    pub(super) fn open(folder: &Path, limit: u64) -> std::io::Result<(Self, Vec<Line>)> {
        std::fs::create_dir_all(folder)?;
        let mut firsts: Vec<u64> = std::fs::read_dir(folder)?
            .filter_map(|entry| number(&entry.ok()?.file_name().into_string().ok()?))
            .collect();
        firsts.sort_unstable();
        let mut segments = Self {
            folder: folder.to_owned(),
            limit,
            firsts,
            file: None,
            size: 0,
            last: 0,
            hash: GENESIS.to_owned(),
        };
        segments.drop_empty_tail()?;
        let from = segments.firsts.len().saturating_sub(2);
        let mut lines = Vec::new();
        for i in from..segments.firsts.len() {
            lines.extend(lines_of(&segments.path(i))?);
        }
        segments.check(&lines);
        if let Some(i) = segments.firsts.len().checked_sub(1) {
            segments.file = Some(append_to(&segments.path(i))?);
            segments.size = std::fs::metadata(segments.path(i))?.len();
        }
        Ok((segments, lines))
    }

    /// Cuts torn lines; a segment without a whole line is removed.
    fn drop_empty_tail(&mut self) -> std::io::Result<()> {
        while let Some(i) = self.firsts.len().checked_sub(1) {
            let path = self.path(i);
            let whole = whole_bytes(&path)?;
            if whole > 0 {
                return OpenOptions::new().write(true).open(&path)?.set_len(whole);
            }
            std::fs::remove_file(&path)?;
            self.firsts.pop();
        }
        Ok(())
    }

    /// Notes where the chain ends, and logs where it is broken: the controller goes on, for an audit log that
    /// stops somebody's work would be a weapon.
    fn check(&mut self, lines: &[Line]) {
        let mut verifier = Verifier::default();
        for line in lines {
            let sequence = serde_json::from_slice::<Numbered>(&line.entry).map_or(0, |n| n.sequence);
            if let Err(error) = verifier.next(&line.text()) {
                tracing::error!(error = &error as &dyn std::error::Error, "the audit log was tampered with");
                verifier = Verifier::after(sequence, line.hash.clone());
            }
            (self.last, self.hash) = (sequence, line.hash.clone());
        }
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{:020}.jsonl", self.firsts[index]))
    }

    /// Appends an entry, whose JSON has the sequence `self.last + 1`.
    pub(super) fn append(&mut self, entry: &[u8]) -> std::io::Result<()> {
        if self.file.is_none() || self.size >= self.limit {
            if let Some(file) = &self.file {
                file.sync_data()?;
            }
            self.firsts.push(self.last + 1);
            let path = self.path(self.firsts.len() - 1);
            match append_to(&path) {
                Ok(file) => (self.file, self.size) = (Some(file), 0),
                Err(error) => {
                    self.firsts.pop();
                    return Err(error);
                }
            }
            // The new name must be as durable as what is written below it.
            File::open(&self.folder)?.sync_all()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let (hash, mut text) = audit_chain::line(&self.hash, entry);
        text.push(b'\n');
        if let Err(error) = file.write_all(&text) {
            // Nothing but whole lines stays in the file.
            file.set_len(self.size)?;
            return Err(error);
        }
        self.size += text.len() as u64;
        self.last += 1;
        self.hash = hash;
        Ok(())
    }

    /// Makes what was appended durable.
    pub(super) fn sync(&self) -> std::io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// Where to read.
    pub(super) fn reader(&self) -> Reader {
        Reader {
            paths: (0..self.firsts.len()).map(|i| (self.firsts[i], self.path(i))).collect(),
            last: self.last,
        }
    }
}

/// Reads without holding up the writer: the list of segments at one moment.
pub(super) struct Reader {
    paths: Vec<(u64, PathBuf)>,
    /// Sequence of the last entry at that moment.
    pub(super) last: u64,
}

impl Reader {
    /// Sequence of the first entry there is; 1 where there is none.
    pub(super) fn first(&self) -> u64 {
        self.paths.first().map_or(1, |(first, _)| *first)
    }

    /// The lines of every segment, oldest first; the last may hold some that are newer than this moment. One that was
    /// taken away since has none.
    pub(super) fn all(&self) -> impl Iterator<Item = std::io::Result<Vec<Line>>> {
        self.paths.iter().map(|(_, path)| match lines_of(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        })
    }

    /// The lines of the segment that holds `sequence`, with the sequence of its first line.
    pub(super) fn around(&self, sequence: u64) -> std::io::Result<(u64, Vec<Line>)> {
        let after = self.paths.partition_point(|(first, _)| *first <= sequence);
        let Some((first, path)) = after.checked_sub(1).map(|i| &self.paths[i]) else {
            return Ok((sequence, Vec::new()));
        };
        let mut lines = lines_of(path)?;
        // What was written since belongs to another moment.
        let until = usize::try_from((self.last + 1).saturating_sub(*first)).unwrap_or(usize::MAX);
        lines.truncate(until);
        Ok((*first, lines))
    }
}

fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".jsonl").filter(|digits| digits.len() == 20)?.parse().ok()
}

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Length of the whole lines at the beginning of a file.
fn whole_bytes(path: &Path) -> std::io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut whole, mut text) = (0, Vec::new());
    loop {
        text.clear();
        let n = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut text)? as u64;
        if n == 0 || !text.ends_with(b"\n") {
            return Ok(whole);
        }
        whole += n;
    }
}

fn lines_of(path: &Path) -> std::io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for text in BufReader::new(File::open(path)?).split(b'\n') {
        let text = text?;
        // A line that cannot be read leaves a hole, which the chain tells; the last may be on its way.
        if let Some((hash, entry)) = audit_chain::split(&text) {
            lines.push(Line { hash: hash.to_owned(), entry: entry.to_vec() });
        }
    }
    Ok(lines)
}
