//! Settings of sources.

use super::super::filter::EntryType;
use super::super::model::{AuditJournalSpec, SourceSpec};
use super::super::pattern::{NamePattern, ObjectPattern};
use super::Check;
use crate::event::SourceKind;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Pauses between polls, in milliseconds: the partition is asked once a second at most while nothing happens.
const POLL_MS: RangeInclusive<u64> = 1_000..=3_600_000;
/// Rows of one call.
const BATCH_ROWS: RangeInclusive<u32> = 16..=5_000;
/// MiB of a spool.
const SPOOL_MB: RangeInclusive<u32> = 1..=65_536;
/// Pauses between looks at what is registered, in seconds.
const WATCH_SECONDS: RangeInclusive<u64> = 10..=86_400;
/// Most patterns of exit programs.
const MAX_PROGRAMS: usize = 100;

impl Check {
    /// Two sources on one object would share its cursors: what one has delivered the other would skip. Two that
    /// empty one queue would each get a part of it.
    pub(super) fn read_once<'n>(
        &mut self,
        path: &str,
        name: &'n str,
        source: &SourceSpec,
        objects: &mut BTreeMap<String, (SourceKind, &'n str)>,
    ) {
        let (field, object, key) = match source {
            SourceSpec::AuditJournal(spec) => (".journal", spec.journal.to_uppercase(), source.key()),
            SourceSpec::HistoryLog(_) => ("", "the history log".to_owned(), source.key()),
            SourceSpec::MessageQueue(spec) => (".queue", spec.queue.to_uppercase(), source.key()),
            SourceSpec::DataQueue(spec) => emptied(&spec.queue),
            SourceSpec::ExitPoint(spec) => emptied(&spec.queue),
            SourceSpec::ControllerAudit(_) => ("", "the controller's audit log".to_owned(), source.key()),
        };
        match objects.get(&key) {
            Some((kind, first)) if *kind == source.kind() => self.error(
                format!("{path}{field}"),
                format!("{object} is read by source `{first}` already, and `{name}` would share its cursors; keep one of the two, with the entry types of both"),
            ),
            Some((_, first)) => self.error(
                format!("{path}{field}"),
                format!("{object} is emptied by source `{first}` already, so each of the two would get a part of it; give `{name}` a queue of its own"),
            ),
            None => {
                objects.insert(key, (source.kind(), name));
            }
        }
    }

    pub(super) fn source(&mut self, path: &str, source: &SourceSpec) {
        match source {
            SourceSpec::AuditJournal(spec) => {
                self.journal(path, spec);
                self.polling(path, spec.poll_interval_ms, Some(spec.batch_rows));
            }
            SourceSpec::HistoryLog(spec) => {
                self.start(path, &spec.start);
                self.polling(path, spec.poll_interval_ms, Some(spec.batch_rows));
            }
            SourceSpec::MessageQueue(spec) => {
                self.object(path, "queue", &spec.queue, "message queue", "QSYS/QSYSOPR");
                self.start(path, &spec.start);
                self.polling(path, spec.poll_interval_ms, Some(spec.batch_rows));
            }
            SourceSpec::DataQueue(spec) => {
                self.object(path, "queue", &spec.queue, "data queue", "PAYROLL/EVENTS");
                self.polling(path, spec.poll_interval_ms, Some(spec.batch_rows));
                self.spool(path, spec.spool_mb);
                if spec.ccsid == Some(0) {
                    self.error(
                        format!("{path}.ccsid"),
                        "0 is no code page; leave it out for the partition's".to_owned(),
                    );
                }
            }
            SourceSpec::ExitPoint(spec) => {
                self.object(path, "queue", &spec.queue, "data queue", "MUSTER/EXITQ");
                self.polling(path, spec.poll_interval_ms, Some(spec.batch_rows));
                self.spool(path, spec.spool_mb);
                self.programs(path, &spec.programs);
                self.within(path, "watch_seconds", spec.watch_seconds, WATCH_SECONDS);
            }
            SourceSpec::ControllerAudit(spec) => {
                if !matches!(spec.start.as_str(), "now" | "oldest") {
                    self.error(
                        format!("{path}.start"),
                        format!(
                            "`{}` is no start of the controller's audit log; write now or oldest",
                            spec.start
                        ),
                    );
                }
                self.polling(path, spec.poll_interval_ms, None);
            }
        }
    }

    fn journal(&mut self, path: &str, spec: &AuditJournalSpec) {
        self.object(path, "journal", &spec.journal, "journal", "QSYS/QAUDJRN");
        self.start(path, &spec.start);
        for (position, text) in spec.entry_types.iter().enumerate() {
            match EntryType::parse(text) {
                Ok(entry) if entry.subtype.is_some() || entry.code != b'T' => self.error(
                    format!("{path}.entry_types[{position}]"),
                    format!("`{text}`: a source fetches whole types of audit entries (AF); leave subtypes and codes to rules"),
                ),
                Ok(_) => {}
                Err(error) => self.error(format!("{path}.entry_types[{position}]"), error.to_string()),
            }
        }
    }

    /// One object, written LIBRARY/NAME.
    fn object(&mut self, path: &str, field: &str, text: &str, what: &str, example: &str) {
        let exact = |text: &str| matches!(NamePattern::parse(text), Ok(NamePattern::Exact(_)));
        if !text.split_once('/').is_some_and(|(library, name)| exact(library) && exact(name)) {
            self.error(
                format!("{path}.{field}"),
                format!("`{text}` is no {what}; write LIBRARY/NAME, for example {example}"),
            );
        }
    }

    fn start(&mut self, path: &str, start: &str) {
        if !matches!(start, "now" | "oldest") && start.parse::<jiff::Timestamp>().is_err() {
            self.error(
                format!("{path}.start"),
                format!("`{start}` is no start; write now, oldest, or a time such as 2026-01-31T00:00:00Z"),
            );
        }
    }

    fn polling(&mut self, path: &str, poll_interval_ms: u64, batch_rows: Option<u32>) {
        if !POLL_MS.contains(&poll_interval_ms) {
            self.error(
                format!("{path}.poll_interval_ms"),
                format!(
                    "{poll_interval_ms} is outside {} to {}; what is idle is asked once a second at most",
                    POLL_MS.start(),
                    POLL_MS.end()
                ),
            );
        }
        if let Some(rows) = batch_rows {
            self.within(path, "batch_rows", rows, BATCH_ROWS);
        }
    }

    fn spool(&mut self, path: &str, spool_mb: u32) {
        self.within(path, "spool_mb", spool_mb, SPOOL_MB);
    }

    fn within<N: PartialOrd + std::fmt::Display>(
        &mut self,
        path: &str,
        field: &str,
        value: N,
        range: RangeInclusive<N>,
    ) {
        if !range.contains(&value) {
            self.error(
                format!("{path}.{field}"),
                format!("{value} is outside {} to {}", range.start(), range.end()),
            );
        }
    }

    fn programs(&mut self, path: &str, programs: &[String]) {
        if programs.len() > MAX_PROGRAMS {
            self.error(
                format!("{path}.programs"),
                format!("{} patterns are too many, at most {MAX_PROGRAMS} are possible", programs.len()),
            );
        }
        for (position, text) in programs.iter().enumerate() {
            if let Err(error) = ObjectPattern::parse(text) {
                self.error(format!("{path}.programs[{position}]"), error.to_string());
            }
        }
    }
}

/// Two kinds of source empty data queues: for both it is the queue that counts.
fn emptied(queue: &str) -> (&'static str, String, String) {
    let queue = queue.to_uppercase();
    let key = format!("emptied:{queue}");
    (".queue", queue, key)
}
