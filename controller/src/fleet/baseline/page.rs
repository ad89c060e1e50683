//! What is known of all sources in one hour of the week: one file, read when the hour begins, written when it ends.

use super::judge::Past;
use muster_shared::id::AgentId;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"MUSTBSL1";
const ENTRY: usize = 16;
/// What was not seen for half a year is forgotten.
const MAX_AGE_WEEKS: u16 = 26;
/// Most sources of a page.
const MAX_ENTRIES: usize = 200_000;

/// A source of an agent: the front of a hash, for names are long and there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SourceKey(u64);

impl SourceKey {
    pub(super) fn new(agent: AgentId, source: &str) -> Self {
        let hash = Sha256::new().chain_update(agent.0.as_bytes()).chain_update(source.as_bytes()).finalize();
        let mut front = [0; 8];
        for (to, from) in front.iter_mut().zip(&hash[..]) {
            *to = *from;
        }
        Self(u64::from_le_bytes(front))
    }
}

/// One source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) past: Past,
    /// Week of the last change, counted since 1970.
    pub(super) week: u16,
}

/// All sources.
pub(super) type Page = HashMap<SourceKey, Entry>;

fn path(folder: &Path, hour_of_week: u32) -> PathBuf {
    folder.join(format!("{hour_of_week:03}.page"))
}

/// Reads a page. One that is missing or damaged is empty: it is learnt anew.
pub(super) fn load(folder: &Path, hour_of_week: u32) -> Page {
    let bytes = std::fs::read(path(folder, hour_of_week)).unwrap_or_default();
    let Some((body, crc)) = bytes.split_last_chunk::<4>() else { return Page::new() };
    let Some(entries) = body.strip_prefix(MAGIC) else { return Page::new() };
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        tracing::warn!(hour_of_week, "what was learnt of an hour is damaged and is learnt anew");
        return Page::new();
    }
    entries.chunks_exact(ENTRY).filter_map(read).collect()
}

fn read(bytes: &[u8]) -> Option<(SourceKey, Entry)> {
    let key = u64::from_le_bytes(bytes[..8].try_into().ok()?);
    let mean = f32::from_le_bytes(bytes[8..12].try_into().ok()?);
    let weeks = u16::from_le_bytes(bytes[12..14].try_into().ok()?);
    let week = u16::from_le_bytes(bytes[14..16].try_into().ok()?);
    let sane = mean.is_finite() && mean >= 0.0;
    sane.then_some((SourceKey(key), Entry { past: Past { mean, weeks }, week }))
}

/// Writes a page, whole or not at all; what is old is left out.
pub(super) fn save(folder: &Path, hour_of_week: u32, page: &Page, week: u16) -> io::Result<()> {
    let mut entries: Vec<_> =
        page.iter().filter(|(_, entry)| week.saturating_sub(entry.week) <= MAX_AGE_WEEKS).collect();
    entries.sort_unstable_by_key(|(key, entry)| (std::cmp::Reverse(entry.week), **key));
    entries.truncate(MAX_ENTRIES);
    let mut bytes = MAGIC.to_vec();
    for (key, entry) in entries {
        bytes.extend_from_slice(&key.0.to_le_bytes());
        bytes.extend_from_slice(&entry.past.mean.to_le_bytes());
        bytes.extend_from_slice(&entry.past.weeks.to_le_bytes());
        bytes.extend_from_slice(&entry.week.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    let path = path(folder, hour_of_week);
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, &bytes)?;
    std::fs::rename(&temporary, &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let agent = AgentId(uuid::Uuid::from_u128(7));
        let key = |source: &str| SourceKey::new(agent, source);
        assert_ne!(key("audit"), key("history"));
        let entry = |mean, week| Entry { past: Past { mean, weeks: 4 }, week };
        let page: Page = [
            (key("audit"), entry(1_200.5, 100)),
            (key("history"), entry(0.0, 99)),
            (key("old"), entry(1.0, 70)),
        ]
        .into();
        save(folder.path(), 167, &page, 100).unwrap();
        let read = load(folder.path(), 167);
        assert_eq!(
            (read.len(), read[&key("audit")], read[&key("history")].week),
            (2, page[&key("audit")], 99)
        );
        assert_eq!(load(folder.path(), 3), Page::new());
        let file = path(folder.path(), 167);
        let whole = std::fs::read(&file).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(load(folder.path(), 167), Page::new(), "{length}");
        }
        assert_eq!(whole.len(), 8 + 2 * ENTRY + 4);
    }
}
