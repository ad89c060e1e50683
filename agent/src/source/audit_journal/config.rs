//! Settings of the source, checked: what the policy says turned into values that cannot be wrong.

use super::query::END_OF_RECEIVER;
use crate::source::settings::{Start, is_name};
use compact_str::CompactString;
use muster_shared::policy::model::AuditJournalSpec;
use std::time::Duration;

/// Most rows asked for in one call.
const MOST_ROWS: u32 = 5_000;

/// Fewest rows asked for in one call. Each call begins with the last entry read, so that one row would bring
/// nothing new.
pub(super) const FEWEST_ROWS: u32 = 16;

/// Shortest pause between polls: polling DISPLAY_JOURNAL more often than once a second can disturb the
/// partition.
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Library of the journal.
    pub library: CompactString,
    /// Name of the journal.
    pub journal: CompactString,
    /// Where the first read begins.
    pub start: Start,
    /// Entry types to fetch, of whatever journal code; empty for all.
    pub entry_types: Vec<CompactString>,
    /// Pause between polls when idle.
    pub poll_interval: Duration,
    /// Most rows asked for in one call.
    pub batch_rows: u32,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The journal.
    #[error(
        "journal `{0}`: write LIBRARY/NAME, each 1 to 10 of A-Z 0-9 $ # @ _ and not beginning with a digit"
    )]
    Journal(String),
    /// The start.
    #[error("start `{0}`: write `now`, `oldest` or a time such as 2026-03-01T00:00:00Z")]
    Start(String),
    /// An entry type.
    #[error("entry type `{0}`: write two capital letters or digits, such as AF")]
    EntryType(String),
    /// The batch size.
    #[error("batch_rows {0}: write a number from 16 to 5000")]
    BatchRows(u32),
}

impl Settings {
    /// Checks what the policy says.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn new(spec: &AuditJournalSpec) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Journal(spec.journal.clone());
        let (library, journal) = spec.journal.split_once('/').ok_or_else(wrong)?;
        if !is_name(library) || !is_name(journal) {
            return Err(wrong());
        }
        let start = spec.start.parse().map_err(|_| SettingsError::Start(spec.start.clone()))?;
        if let Some(wrong) = spec.entry_types.iter().find(|name| !is_entry_type(name)) {
            return Err(SettingsError::EntryType(wrong.clone()));
        }
        if !(FEWEST_ROWS..=MOST_ROWS).contains(&spec.batch_rows) {
            return Err(SettingsError::BatchRows(spec.batch_rows));
        }
        Ok(Self {
            library: library.into(),
            journal: journal.into(),
            start,
            entry_types: spec.entry_types.iter().map(Into::into).collect(),
            poll_interval: Duration::from_millis(spec.poll_interval_ms).max(SHORTEST_POLL),
            batch_rows: spec.batch_rows,
        })
    }

    /// Whether the journal's note that a receiver ends is fetched for the agent's own sake only: types are listed,
    /// and it is none of them.
    #[must_use]
    pub fn leaves_out_end(&self) -> bool {
        !self.entry_types.is_empty() && !self.entry_types.iter().any(|name| name == END_OF_RECEIVER)
    }
}

fn is_entry_type(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl FnOnce(&mut AuditJournalSpec)) -> Result<Settings, SettingsError> {
        let mut spec = AuditJournalSpec::default();
        change(&mut spec);
        Settings::new(&spec)
    }

    #[test]
    fn the_defaults_are_the_audit_journal_from_now_on() {
        let settings = spec(|_| {}).expect("the defaults");
        assert_eq!((settings.library.as_str(), settings.journal.as_str()), ("QSYS", "QAUDJRN"));
        assert_eq!((settings.start, settings.batch_rows), (Start::Now, 2_000));
    }

    #[test]
    fn what_could_break_the_sql_is_refused() {
        for journal in ["QAUDJRN", "QSYS/", "QSYS/Q'X", "qsys/qaudjrn", "QSYS/ELEVENCHARS", "QSYS/1A"] {
            let result = spec(|spec| spec.journal = journal.into());
            assert_eq!(result, Err(SettingsError::Journal(journal.into())));
        }
        for name in ["AFX", "A", "a1", "','"] {
            let result = spec(|spec| spec.entry_types = vec![name.into()]);
            assert_eq!(result, Err(SettingsError::EntryType(name.into())));
        }
        assert_eq!(
            spec(|spec| spec.start = "yesterday".into()),
            Err(SettingsError::Start("yesterday".into()))
        );
        for rows in [0, 1, 15, 5_001] {
            assert_eq!(spec(|spec| spec.batch_rows = rows), Err(SettingsError::BatchRows(rows)));
        }
    }

    #[test]
    fn polls_are_gentle_whatever_is_asked_for() {
        let settings = spec(|spec| spec.poll_interval_ms = 10).expect("a short pause");
        assert_eq!(settings.poll_interval, Duration::from_secs(1));
    }
}
