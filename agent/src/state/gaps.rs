//! Gaps that the sources met: for their health over restarts and changes of policy, and to count each once.

use super::write_atomic;
use crate::source::GapUnit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tracing::warn;

/// Name of the file in the state directory.
const FILE: &str = "gaps.json";

/// Gaps kept per source: enough to know again those of a journal in trouble.
const MAX_GAPS: usize = 32;

/// Sources kept; a policy has a few.
const MAX_SOURCES: usize = 64;

/// A gap as it was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapNote {
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
    /// Receiver in which the loss begins, `LIBRARY/NAME`; or the log or queue that was read.
    pub receiver: String,
    /// First sequence number lost, or time.
    pub from: u64,
    /// Last one, if known.
    pub to: Option<u64>,
    /// What `from` and `to` are.
    #[serde(default)]
    pub unit: GapUnit,
    /// Why.
    pub reason: String,
}

impl GapNote {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { receiver, reason, .. } = self;
        let range = match (self.unit, self.to) {
            (GapUnit::Sequence, Some(to)) => format!("{} to {to}", self.from),
            (GapUnit::Sequence, None) => format!("from {} on", self.from),
            (GapUnit::Time, _) => return format!("entries of {receiver} may be lost: {reason}"),
        };
        // A receiver is one object; anything else that has entries is told in words.
        let (kind, advice) = match receiver.contains(' ') {
            false => ("receiver ", "; keep receivers longer than the agent may be down"),
            true => ("", ""),
        };
        format!("entries lost: sequence {range} of {kind}{receiver}: {reason}{advice}")
    }
}

/// The gaps of all sources, by name of the source, oldest first.
#[derive(Debug)]
pub struct GapBook {
    file: PathBuf,
    gaps: Mutex<BTreeMap<String, Vec<GapNote>>>,
}

impl GapBook {
    /// The book as the last run left it; empty where there is none.
    #[must_use]
    pub fn load(state_dir: &Path) -> Self {
        let file = state_dir.join(FILE);
        let gaps = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self { file, gaps: Mutex::new(gaps.unwrap_or_default()) }
    }

    /// All of them, by name of the source.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Vec<GapNote>> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest gap of a source.
    #[must_use]
    pub fn last(&self, source: &str) -> Option<GapNote> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).get(source)?.last().cloned()
    }

    /// Takes a gap. False when the same one (receiver and first sequence number) was taken before.
    pub fn note(&self, source: &str, gap: GapNote) -> bool {
        let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        if !gaps.contains_key(source) && gaps.len() >= MAX_SOURCES {
            gaps.pop_first();
        }
        let of = gaps.entry(source.to_owned()).or_default();
        if of.iter().any(|known| known.receiver == gap.receiver && known.from == gap.from) {
            return false;
        }
        of.push(gap);
        if of.len() > MAX_GAPS {
            of.remove(0);
        }
        let text = serde_json::to_vec(&*gaps).unwrap_or_default();
        drop(gaps);
        if let Err(error) = write_atomic(&self.file, &text) {
            warn!(%error, "gap cannot be kept; after a restart the source's health will not tell it");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_news_once_and_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let gap = |from| GapNote {
            at_us: 5,
            receiver: "QGPL/R1".to_owned(),
            from,
            to: Some(9),
            unit: GapUnit::Sequence,
            reason: "receiver deleted".to_owned(),
        };
        let book = GapBook::load(folder.path());
        assert!(book.note("audit", gap(3)));
        assert!(!book.note("audit", GapNote { at_us: 6, ..gap(3) }), "a second destination");
        let book = GapBook::load(folder.path());
        assert_eq!(book.last("audit"), Some(gap(3)));
        assert!(!book.note("audit", gap(3)));
        assert!(book.note("audit", gap(10)));
        assert_eq!(book.last("audit"), Some(gap(10)));
        assert_eq!(book.last("other"), None);
        assert!(
            gap(3).text().starts_with("entries lost: sequence 3 to 9 of receiver QGPL/R1: receiver deleted;")
        );
        let spool = GapNote {
            receiver: "spool of data_queue:A/B".to_owned(),
            to: None,
            reason: "it is gone".to_owned(),
            ..gap(4)
        };
        assert_eq!(spool.text(), "entries lost: sequence from 4 on of spool of data_queue:A/B: it is gone");
        let timed = GapNote { receiver: "QHST".to_owned(), unit: GapUnit::Time, ..gap(3) };
        assert_eq!(timed.text(), "entries of QHST may be lost: receiver deleted");
    }
}
