//! Which entries somebody asks for.

use super::segment::Reader;
use super::{AuditError, AuditLog, entry};
use crate::identity::file::failed;
use jiff::Timestamp;
use muster_proto::api::{AuditEntry, AuditQuery};

/// Entries looked at for one answer; the rest is found by the next page.
const MAX_LOOKED_AT: u64 = 50_000;

/// What to look for; everything given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Exactly this actor.
    pub actor: Option<String>,
    /// Exactly this API token, by its id.
    pub token: Option<String>,
    /// This action, or all that begin with it and a dot: `token` finds `token.create`.
    pub action: Option<String>,
    /// Exactly this object, or all of it that begin with it and an `@`: `base` finds `base@3`.
    pub object: Option<String>,
    /// Words in lower case, each of which is found somewhere in the entry.
    pub words: Vec<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl From<&AuditQuery> for Search {
    fn from(query: &AuditQuery) -> Self {
        Self {
            actor: query.actor.clone(),
            token: query.token.clone(),
            action: query.action.clone(),
            object: query.object.clone(),
            words: query
                .search
                .iter()
                .flat_map(|text| text.split_whitespace())
                .map(str::to_lowercase)
                .collect(),
            since: query.since,
            until: query.until,
        }
    }
}

impl Search {
    /// Whether an entry is one of those looked for.
    #[must_use]
    pub fn finds(&self, entry: &AuditEntry) -> bool {
        let begins = |text: &str, wanted: &Option<String>, separator: char| {
            wanted.as_deref().is_none_or(|wanted| {
                text.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
            })
        };
        // What costs most comes last.
        self.actor.as_deref().is_none_or(|actor| actor == entry.actor)
            && (self.token.is_none() || self.token == entry.token)
            && begins(&entry.action, &self.action, '.')
            && begins(&entry.object, &self.object, '@')
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
            && self.finds_words(entry)
    }

    fn finds_words(&self, entry: &AuditEntry) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let values = [&entry.before, &entry.after].map(|value| value.as_ref().map(ToString::to_string));
        let texts = [&entry.actor, &entry.from, &entry.action, &entry.object, &entry.detail];
        let others = entry.token.iter().chain(values.iter().flatten());
        let all: Vec<&str> = texts.into_iter().chain(others).map(String::as_str).collect();
        let text = all.join("\n").to_lowercase();
        self.words.iter().all(|word| text.contains(word.as_str()))
    }
}

/// Entries found, and where the next page begins; `None` on the last.
pub type Found = (Vec<AuditEntry>, Option<u64>);

impl AuditLog {
    /// At most `limit` entries before the sequence `before`, newest first. Blocks on the disk.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub fn newest(&self, search: &Search, before: Option<u64>, limit: usize) -> Result<Found, AuditError> {
        let reader = self.reader();
        let mut found = Vec::new();
        let mut at = before.unwrap_or(u64::MAX).min(reader.last + 1).saturating_sub(1);
        let lowest = at.saturating_sub(MAX_LOOKED_AT);
        while at >= reader.first() && at > lowest {
            let (first, entries) = self.segment(&reader, at)?;
            for entry in entries.into_iter().rev().filter(|e| e.sequence <= at) {
                if found.len() == limit {
                    return Ok((found, Some(entry.sequence + 1)));
                }
                if search.finds(&entry) {
                    found.push(entry);
                }
            }
            at = first.saturating_sub(1);
        }
        let next = (at >= reader.first()).then_some(at + 1);
        Ok((found, next))
    }

    /// At most `limit` entries after the sequence `after`, oldest first. Blocks on the disk.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub fn oldest(&self, search: &Search, after: u64, limit: usize) -> Result<Found, AuditError> {
        let reader = self.reader();
        let mut found = Vec::new();
        let mut at = after.saturating_add(1).max(reader.first());
        let highest = at.saturating_add(MAX_LOOKED_AT);
        while at <= reader.last && at < highest {
            let (_, entries) = self.segment(&reader, at)?;
            let mut last = at;
            for entry in entries.into_iter().filter(|e| e.sequence >= at) {
                if found.len() == limit {
                    return Ok((found, Some(entry.sequence - 1)));
                }
                last = entry.sequence;
                if search.finds(&entry) {
                    found.push(entry);
                }
            }
            at = last + 1;
        }
        let next = (at <= reader.last).then_some(at - 1);
        Ok((found, next))
    }

    fn segment(&self, reader: &Reader, sequence: u64) -> Result<(u64, Vec<AuditEntry>), AuditError> {
        let (first, lines) = reader.around(sequence).map_err(failed("read", &self.folder))?;
        Ok((first, lines.iter().filter_map(entry).collect()))
    }
}
