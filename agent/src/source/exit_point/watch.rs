//! Reads what is registered at exit points every so often, and tells what changed.
//!
//! The last state lies beside the spool. It is replaced only after what changed is on disk in the spool: a crash in
//! between finds the change again, and knows by the spool's own entries that it was told.

use super::config::Settings;
use super::finding::{FINDING, Found};
use crate::host::{Host, HostError, Rows};
use crate::source::drain::beside::{Beside, Findings};
use crate::spool::SpoolEntry;
use crate::state::{StateError, write_atomic};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use muster_ibmi::exit::registry::{Finding, OurPrograms, Point, Program, Snapshot, diff};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// Name of the file beside the spool.
const FILE: &str = "registry.json";

/// Longest wait for one of the views.
const WAIT: Duration = Duration::from_secs(60);

/// That no earlier state was known is told for so long.
const UNKNOWN_SHOWN_US: i64 = 3600 * 1_000_000;

/// Most rows of a view; a system has some four hundred exit points.
const MOST: u32 = 10_000;

const POINTS: &str = "select EXIT_POINT_NAME, EXIT_POINT_FORMAT from QSYS2.EXIT_POINT_INFO";

/// Program data is a string of bytes on some levels and missing on others: it is asked for apart.
const PROGRAMS: &str = "select EXIT_POINT_NAME, EXIT_POINT_FORMAT, EXIT_PROGRAM_NUMBER, EXIT_PROGRAM_LIBRARY, \
                        EXIT_PROGRAM, TEXT_DESCRIPTION, hex(EXIT_PROGRAM_DATA) from QSYS2.EXIT_PROGRAM_INFO";

const PROGRAMS_WITHOUT_DATA: &str = "select EXIT_POINT_NAME, EXIT_POINT_FORMAT, EXIT_PROGRAM_NUMBER, \
                                     EXIT_PROGRAM_LIBRARY, EXIT_PROGRAM, TEXT_DESCRIPTION from QSYS2.EXIT_PROGRAM_INFO";

/// What is registered, as the views tell it.
///
/// # Errors
/// The partition could not be asked.
pub async fn registry_rows(host: &mut dyn Host) -> Result<Snapshot, HostError> {
    let points = host.query(POINTS, &[], MOST, WAIT).await?;
    let programs = match host.query(PROGRAMS, &[], MOST, WAIT).await {
        Err(HostError::Sql(error)) if error.is_lack() || error.state == "42815" => {
            host.query(PROGRAMS_WITHOUT_DATA, &[], MOST, WAIT).await?
        }
        other => other?,
    };
    Ok(snapshot(&points, &programs))
}

fn snapshot(points: &Rows, programs: &Rows) -> Snapshot {
    let text = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    let point = |row: Vec<Option<String>>| Point { exit_point: text(&row, 0), format: text(&row, 1) };
    let program = |row: Vec<Option<String>>| Program {
        exit_point: text(&row, 0),
        format: text(&row, 1),
        number: text(&row, 2).trim().parse().unwrap_or(0),
        library: text(&row, 3),
        name: text(&row, 4),
        text: text(&row, 5),
        data: text(&row, 6),
    };
    Snapshot::new(points.texts().into_iter().map(point), programs.texts().into_iter().map(program))
}

/// What lies beside the spool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct State {
    /// Number of the last look that brought something new.
    look: u64,
    snapshot: Snapshot,
}

/// See the module.
pub struct Registry {
    file: PathBuf,
    ours: OurPrograms,
    every: Duration,
    before: State,
    /// What the last look found, until it is in the spool.
    pending: Option<Snapshot>,
    /// Findings that are in the spool though they are newer than `before`.
    told: Vec<Finding>,
    concern: Option<String>,
    /// Somebody watched before, and what was seen then is not known here.
    watched_before: bool,
    /// The first look without an earlier state.
    unknown_at: Option<i64>,
    due: Option<Instant>,
}

impl Registry {
    /// A watch whose state lies in `folder`, the spool's. `recent`: the newest entries of the spool; `watched_before`:
    /// another agent had this watch at some time, so that a removal may lie behind.
    #[must_use]
    pub fn new(settings: &Settings, folder: &Path, recent: &[SpoolEntry], mut watched_before: bool) -> Self {
        let file = folder.join(FILE);
        let before: State = match std::fs::read(&file).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(before)) => before,
            Ok(Err(error)) => {
                // As before the first look: only what should not be so is told.
                warn!(%error, file = %file.display(), "what was registered at exit points is not known any more");
                watched_before = true;
                State::default()
            }
            Err(_) => State::default(),
        };
        let told = recent
            .iter()
            .filter(|entry| entry.kind == FINDING)
            .filter_map(|entry| Found::decode(&entry.body))
            .filter(|found| found.look > before.look)
            .map(|found| found.finding)
            .collect();
        let ours = OurPrograms::new(settings.programs.iter().cloned());
        Self {
            file,
            ours,
            every: settings.watch_interval,
            before,
            pending: None,
            told,
            concern: None,
            watched_before,
            unknown_at: None,
            due: None,
        }
    }

    /// What changed since the last look that was kept, without what was told already.
    fn compare(&mut self, now: Snapshot, at_us: i64) -> Findings {
        let look = self.before.look + 1;
        let mut found = diff(&self.before.snapshot, &now, &self.ours);
        for told in &self.told {
            if let Some(again) = found.iter().position(|finding| finding == told) {
                found.remove(again);
            }
        }
        if self.watched_before && !self.before.snapshot.is_known() {
            self.unknown_at.get_or_insert(at_us);
        }
        self.concern = self.worry(&now, at_us);
        self.pending = Some(now);
        found.into_iter().map(|finding| (FINDING, Found { look, at_us, finding }.encode())).collect()
    }
}

impl Registry {
    fn worry(&self, now: &Snapshot, at_us: i64) -> Option<String> {
        if !now.is_known() {
            return None;
        }
        if !now.programs().iter().any(|program| self.ours.has(program)) {
            return Some(
                "no exit program that the policy's `programs` names is registered at any exit point, so none records requests"
                    .to_owned(),
            );
        }
        let unguarded = now.unguarded(&self.ours);
        let told = self.unknown_at.is_some_and(|since| at_us < since.saturating_add(UNKNOWN_SHOWN_US));
        (told && !unguarded.is_empty()).then(|| {
            format!(
                "no earlier state is known, so a removal before this agent took over is no event; these watched exit points \
                 have none of our programs: {}",
                unguarded.join(", ")
            )
        })
    }
}

impl Beside for Registry {
    fn what(&self) -> &'static str {
        "the registry of exit programs (QSYS2.EXIT_POINT_INFO, QSYS2.EXIT_PROGRAM_INFO)"
    }

    fn concern(&self) -> Option<&str> {
        self.concern.as_deref()
    }

    fn look<'a>(
        &'a mut self,
        host: &'a mut dyn Host,
        now_us: i64,
    ) -> LocalBoxFuture<'a, Result<Option<Findings>, HostError>> {
        async move {
            if self.due.is_some_and(|due| Instant::now() < due) {
                return Ok(None);
            }
            self.due = Some(Instant::now() + self.every);
            let now = registry_rows(host).await?;
            Ok(Some(self.compare(now, now_us)))
        }
        .boxed_local()
    }

    fn kept(&mut self) -> Result<(), StateError> {
        let Some(now) = self.pending.take() else { return Ok(()) };
        self.told.clear();
        if now != self.before.snapshot {
            let state = State { look: self.before.look + 1, snapshot: now };
            write_atomic(&self.file, &serde_json::to_vec(&state).unwrap_or_default())?;
            self.before = state;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_ibmi::exit::registry::Change;
    use muster_shared::policy::model::ExitPointSpec;

    const POINT: &str = "QIBM_QZRC_RMT";

    fn rows(text: &str) -> Rows {
        Rows::from_json(text.as_bytes().to_vec()).unwrap()
    }

    fn registered(programs: &[(&str, &str)]) -> Snapshot {
        let rows_text: Vec<String> = programs
            .iter()
            .zip(1..)
            .map(|((library, name), number)| {
                format!(r#"["{POINT} ","CZRC0100",{number},"{library}","{name}","text",null]"#)
            })
            .collect();
        snapshot(&rows(&format!(r#"[["{POINT}","CZRC0100"]]"#)), &rows(&format!("[{}]", rows_text.join(","))))
    }

    fn changes(findings: &Findings) -> Vec<Change> {
        let found = findings.iter().map(|(kind, body)| {
            assert_eq!(*kind, FINDING);
            Found::decode(body).unwrap().finding.change
        });
        found.collect()
    }

    fn watch(folder: &Path, recent: &[SpoolEntry]) -> Registry {
        Registry::new(&Settings::new(&ExitPointSpec::default()).unwrap(), folder, recent, false)
    }

    #[test]
    fn a_change_is_told_once_also_over_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = watch(folder.path(), &[]);
        assert_eq!(registry.compare(registered(&[("MUSTER", "EXIT")]), 1), vec![], "the first look");
        registry.kept().unwrap();
        // Removed; the agent is killed after the spool has it and before the state is written.
        let found = registry.compare(registered(&[]), 2);
        assert_eq!(changes(&found), [Change::Removed]);
        let kept: Vec<SpoolEntry> =
            found.into_iter().map(|(kind, body)| SpoolEntry { sequence: 1, kind, body }).collect();
        let mut registry = watch(folder.path(), &kept);
        assert_eq!(registry.compare(registered(&[]), 3), vec![], "told already");
        registry.kept().unwrap();
        // What the spool has from before that is not taken for something new.
        let mut registry = watch(folder.path(), &kept);
        assert_eq!(registry.compare(registered(&[("MUSTER", "EXIT")]), 4).len(), 1);
        registry.kept().unwrap();
        let mut registry = watch(folder.path(), &kept);
        assert_eq!(changes(&registry.compare(registered(&[]), 4)), [Change::Removed]);
        registry.kept().unwrap();
        // Killed before the spool had it.
        let mut registry = watch(folder.path(), &kept);
        assert_eq!(changes(&registry.compare(registered(&[("VENDOR", "X")]), 4)), [Change::Foreign]);
        let mut registry = watch(folder.path(), &[]);
        assert_eq!(changes(&registry.compare(registered(&[("VENDOR", "X")]), 5)), [Change::Foreign]);
        registry.kept().unwrap();
        assert_eq!(registry.compare(registered(&[("VENDOR", "X")]), 6), vec![]);
        assert!(registry.concern().is_some_and(|text| text.contains("none records requests")));
        registry.compare(registered(&[("VENDOR", "X"), ("MUSTER", "EXIT")]), 6);
        assert_eq!(registry.concern(), None);
    }

    #[test]
    fn who_takes_over_tells_where_none_of_our_programs_is() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new(&ExitPointSpec::default()).unwrap();
        let looked = |watched_before: bool, at_us: i64| {
            let mut registry = Registry::new(&settings, folder.path(), &[], watched_before);
            let points = [[POINT, "CZRC0100"], ["QIBM_QZDA_SQL2", "ZDAQ0200"], ["QIBM_ELSE", "X"]];
            let points = rows(&serde_json::to_string(&points).unwrap());
            let programs = rows(&format!(r#"[["{POINT}","CZRC0100",1,"MUSTER","EXIT","text",null]]"#));
            registry.compare(snapshot(&points, &programs), 1);
            registry.compare(snapshot(&points, &programs), at_us);
            registry.concern().map(str::to_owned)
        };
        assert_eq!(looked(false, 2), None, "a new agent");
        let told = looked(true, 2).unwrap();
        assert!(told.ends_with("have none of our programs: QIBM_QZDA_SQL2"), "{told}");
        assert_eq!(looked(true, 1 + UNKNOWN_SHOWN_US), None, "for a while");
    }

    #[test]
    fn a_damaged_state_is_a_first_look() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"{").unwrap();
        let mut registry = watch(folder.path(), &[]);
        let found = registry.compare(registered(&[("MUSTER", "EXIT"), ("VENDOR", "X")]), 1);
        assert_eq!(changes(&found), [Change::Foreign]);
    }
}
