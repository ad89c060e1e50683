//! What is registered at exit points, and what changed since the last look.
//!
//! A security exit program that is removed or replaced is an alert of its own, whoever wrote it. The rows come from
//! `QSYS2.EXIT_POINT_INFO` and `QSYS2.EXIT_PROGRAM_INFO`; here they are compared, nothing is asked.

use super::layout::formats;
use muster_shared::event::{
    EXIT_PROGRAM_ADDED, EXIT_PROGRAM_CHANGED, EXIT_PROGRAM_FOREIGN, EXIT_PROGRAM_MISSING,
    EXIT_PROGRAM_REMOVED, Event, EventKind, ExitAction, FieldId, dictionary, field,
};
use muster_shared::policy::pattern::ObjectPattern;
use muster_shared::severity::Severity;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Most exit points that are kept; a system has some four hundred.
const MAX_POINTS: usize = 4_096;
/// Most programs that are kept.
const MAX_PROGRAMS: usize = 4_096;
/// Most characters of a text or of program data that are kept.
const MAX_TEXT: usize = 512;

/// Row of `EXIT_POINT_INFO`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point {
    /// Name of the exit point.
    pub exit_point: String,
    /// Its format.
    pub format: String,
}

/// Row of `EXIT_PROGRAM_INFO`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Program {
    /// Name of the exit point.
    pub exit_point: String,
    /// Its format.
    pub format: String,
    /// Order among the programs of the exit point.
    pub number: i64,
    /// Library of the program.
    pub library: String,
    /// Name of the program.
    pub name: String,
    /// Text description.
    pub text: String,
    /// Program data, hexadecimal.
    pub data: String,
}

/// What was registered at one time. The default is "nothing is known", as before the first look.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    known: bool,
    points: Vec<Point>,
    programs: Vec<Program>,
    /// Programs beyond the bound: what is missing here may be among them.
    left_out: usize,
}

/// Which programs belong at exit points, and where they are looked for.
#[derive(Debug, Clone)]
pub struct OurPrograms {
    patterns: Vec<ObjectPattern>,
    watched: BTreeSet<String>,
    expected: BTreeSet<String>,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A program is registered that was not: one of ours, or one at an exit point that is not watched.
    Added,
    /// A program is registered no more.
    Removed,
    /// Another program stands in its place, or it has other settings.
    Changed,
    /// A program that is not ours is registered at a watched exit point.
    Foreign,
    /// None of ours is registered where one is expected.
    Missing,
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub change: Change,
    /// Name of the exit point.
    pub exit_point: String,
    /// Its format.
    pub format: String,
    /// The program before; for [`Change::Removed`] and [`Change::Changed`].
    pub before: Option<Program>,
    /// The program now; for [`Change::Added`], [`Change::Changed`] and [`Change::Foreign`].
    pub now: Option<Program>,
}

impl Snapshot {
    /// What was found. Names are taken without the blanks around them, texts are cut to a bound.
    #[must_use]
    pub fn new(points: impl IntoIterator<Item = Point>, programs: impl IntoIterator<Item = Program>) -> Self {
        let mut points: Vec<Point> = points
            .into_iter()
            .map(|point| Point { exit_point: trimmed(&point.exit_point), format: trimmed(&point.format) })
            .collect();
        points.sort();
        points.dedup();
        points.truncate(MAX_POINTS);
        let mut programs: Vec<Program> = programs.into_iter().map(Program::bounded).collect();
        programs.sort();
        programs.dedup();
        let left_out = programs.len().saturating_sub(MAX_PROGRAMS);
        programs.truncate(MAX_PROGRAMS);
        Self { known: true, points, programs, left_out }
    }

    /// Whether anything was looked at.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// The programs, by exit point, format and number.
    #[must_use]
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Watched exit points of the partition at which none of our programs is registered.
    #[must_use]
    pub fn unguarded<'s>(&'s self, ours: &OurPrograms) -> Vec<&'s str> {
        let points: BTreeSet<&str> = self.points.iter().map(|point| point.exit_point.as_str()).collect();
        let guarded = |point: &&str| self.programs.iter().any(|p| p.exit_point == **point && ours.has(p));
        points.into_iter().filter(|point| ours.watched.contains(*point) && !guarded(point)).collect()
    }
}

impl Program {
    fn bounded(self) -> Self {
        Self {
            exit_point: trimmed(&self.exit_point),
            format: trimmed(&self.format),
            number: self.number,
            library: trimmed(&self.library),
            name: trimmed(&self.name),
            text: trimmed(&self.text),
            data: trimmed(&self.data),
        }
    }

    fn place(&self) -> (&str, &str, i64) {
        (&self.exit_point, &self.format, self.number)
    }

    fn is_same_program(&self, other: &Self) -> bool {
        (&self.exit_point, &self.format, &self.library, &self.name)
            == (&other.exit_point, &other.format, &other.library, &other.name)
    }

    /// `LIBRARY/NAME`.
    fn qualified(&self) -> String {
        format!("{}/{}", self.library, self.name)
    }
}

fn trimmed(text: &str) -> String {
    text.trim().chars().take(MAX_TEXT).collect()
}

impl OurPrograms {
    /// Programs that match one of the patterns belong there. Watched are the exit points whose formats have a layout.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = ObjectPattern>) -> Self {
        let watched = formats().iter().map(|format| format.exit_point.to_owned()).collect();
        Self { patterns: patterns.into_iter().collect(), watched, expected: BTreeSet::new() }
    }

    /// One of our programs is expected at these exit points as well.
    #[must_use]
    pub fn expected_at(mut self, exit_points: impl IntoIterator<Item = String>) -> Self {
        self.expected.extend(exit_points);
        self
    }

    /// Whether a program is one of them.
    #[must_use]
    pub fn has(&self, program: &Program) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern.library.matches(&program.library) && pattern.name.matches(&program.name))
    }

    fn is_foreign(&self, program: &Program) -> bool {
        self.watched.contains(&program.exit_point) && !self.has(program)
    }
}

/// What changed between two looks. Before the first look nothing is known: then only what should not be so is told,
/// that is foreign programs and missing ones.
#[must_use]
pub fn diff(before: &Snapshot, now: &Snapshot, ours: &OurPrograms) -> Vec<Finding> {
    let old: BTreeMap<_, &Program> =
        before.programs.iter().map(|program| (program.place(), program)).collect();
    let new: BTreeMap<_, &Program> = now.programs.iter().map(|program| (program.place(), program)).collect();
    let mut gone: Vec<&Program> =
        before.programs.iter().filter(|program| !new.contains_key(&program.place())).collect();
    let mut findings = Vec::new();
    for program in &now.programs {
        match old.get(&program.place()) {
            Some(was) if *was == program => {}
            Some(was) => findings.push(Finding::of(Change::Changed, Some(was), Some(program))),
            None => {
                // The same program under another number has only moved.
                let moved = gone.iter().position(|was| was.is_same_program(program));
                match moved.map(|index| gone.remove(index)) {
                    Some(was) => findings.push(Finding::of(Change::Changed, Some(was), Some(program))),
                    None if ours.is_foreign(program) => {
                        findings.push(Finding::of(Change::Foreign, None, Some(program)));
                    }
                    None if before.known => findings.push(Finding::of(Change::Added, None, Some(program))),
                    None => {}
                }
            }
        }
    }
    if now.known && now.left_out == 0 {
        findings.extend(gone.into_iter().map(|was| Finding::of(Change::Removed, Some(was), None)));
    }
    if !before.known {
        findings.extend(missing(now, ours));
    }
    findings
}

fn missing(now: &Snapshot, ours: &OurPrograms) -> Vec<Finding> {
    let expected = |point: &&Point| ours.expected.contains(&point.exit_point);
    let mut told = BTreeSet::new();
    let points = now.points.iter().filter(expected).filter(|point| {
        let has_one = now.programs.iter().any(|p| p.exit_point == point.exit_point && ours.has(p));
        // An exit point with several formats is told once.
        !has_one && told.insert(point.exit_point.as_str())
    });
    points
        .map(|point| Finding {
            change: Change::Missing,
            exit_point: point.exit_point.clone(),
            format: point.format.clone(),
            before: None,
            now: None,
        })
        .collect()
}

/// Fields that no constant names.
struct Fields {
    program: FieldId,
    number: FieldId,
    attribute: FieldId,
    old: FieldId,
    new: FieldId,
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let find = |keyword| dictionary().find(keyword).expect("dictionary.csv has the fields of exit programs");
    Fields {
        program: find("exit_program"),
        number: find("exit_program_number"),
        attribute: find("attribute"),
        old: find("old_value"),
        new: find("new_value"),
    }
});

impl Finding {
    fn of(change: Change, before: Option<&Program>, now: Option<&Program>) -> Self {
        let (exit_point, format) = now
            .or(before)
            .map(|program| (program.exit_point.clone(), program.format.clone()))
            .unwrap_or_default();
        Self { change, exit_point, format, before: before.cloned(), now: now.cloned() }
    }

    /// The row of the event.
    #[must_use]
    pub fn action(&self) -> &'static ExitAction {
        match self.change {
            Change::Added => &EXIT_PROGRAM_ADDED,
            Change::Removed => &EXIT_PROGRAM_REMOVED,
            Change::Changed => &EXIT_PROGRAM_CHANGED,
            Change::Foreign => &EXIT_PROGRAM_FOREIGN,
            Change::Missing => &EXIT_PROGRAM_MISSING,
        }
    }

    /// Makes it the event, found at `at_us` (microseconds since 1970 UTC). Sequence and id are the caller's.
    pub fn fill(&self, at_us: i64, event: &mut Event) {
        let action = self.action();
        event.clear();
        event.kind = EventKind::Exit(action);
        event.name = action.text;
        event.severity = Severity::clamped(action.severity);
        event.time_us = at_us;
        event.push(field::EXIT_POINT, &self.exit_point);
        event.push(field::EXIT_FORMAT, &self.format);
        if let Some(program) = self.now.as_ref().or(self.before.as_ref()) {
            event.push(FIELDS.program, &program.qualified());
            event.push_int(FIELDS.number, program.number);
            event.push(field::MESSAGE, &program.text);
        }
        if let (Some(before), Some(now)) = (&self.before, &self.now) {
            for (attribute, old, new) in [
                ("program", before.qualified(), now.qualified()),
                ("number", before.number.to_string(), now.number.to_string()),
                ("text", before.text.clone(), now.text.clone()),
                ("data", before.data.clone(), now.data.clone()),
            ] {
                if old != new {
                    event.push(FIELDS.attribute, attribute);
                    event.push(FIELDS.old, &old);
                    event.push(FIELDS.new, &new);
                }
            }
        }
        event.pad();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn program(exit_point: &str, number: i64, object: &str) -> Program {
        let (library, name) = object.split_once('/').unwrap();
        let [exit_point, format, library, name] = [exit_point, "VLRQ0100", library, name].map(str::to_owned);
        Program { exit_point, format, number, library, name, text: String::new(), data: String::new() }
    }

    fn snapshot(programs: &[Program]) -> Snapshot {
        let points = [
            ("QIBM_QTMF_SERVER_REQ", "VLRQ0100"),
            ("QIBM_QZDA_NDB1", "ZDAD0100"),
            ("QIBM_QZDA_NDB1", "ZDAD0200"),
        ];
        let point = |(exit_point, format): (&str, &str)| Point {
            exit_point: exit_point.to_owned(),
            format: format.to_owned(),
        };
        Snapshot::new(points.map(point), programs.to_vec())
    }

    fn ours() -> OurPrograms {
        OurPrograms::new([ObjectPattern::parse("MUSTER/*ALL").unwrap()])
    }

    const FTP: &str = "QIBM_QTMF_SERVER_REQ";
    const OTHER: &str = "QIBM_QWC_QSTGLOWACN";

    fn found(before: &Snapshot, now: &Snapshot) -> Vec<String> {
        let say = |finding: &Finding| {
            let name = |program: &Option<Program>| {
                program.as_ref().map_or("-".to_owned(), |p| format!("{}#{}", p.qualified(), p.number))
            };
            let Finding { change, exit_point, .. } = finding;
            format!("{change:?} {exit_point} {} {}", name(&finding.before), name(&finding.now))
        };
        diff(before, now, &ours()).iter().map(say).collect()
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let mine = program(FTP, 4320, "MUSTER/MUSTERXV");
        let theirs = program(FTP, 1, "VENDOR/EXIT");
        let elsewhere = program(OTHER, 1, "VENDOR/LOW");
        let with_data = Program { data: "C1C2".to_owned(), ..mine.clone() };
        let cases: [(&[Program], &[Program], &[&str]); 9] = [
            (&[], &[], &[]),
            (&[], std::slice::from_ref(&mine), &["Added QIBM_QTMF_SERVER_REQ - MUSTER/MUSTERXV#4320"]),
            (std::slice::from_ref(&mine), std::slice::from_ref(&mine), &[]),
            (std::slice::from_ref(&mine), &[], &["Removed QIBM_QTMF_SERVER_REQ MUSTER/MUSTERXV#4320 -"]),
            (
                std::slice::from_ref(&mine),
                &[mine.clone(), theirs.clone()],
                &["Foreign QIBM_QTMF_SERVER_REQ - VENDOR/EXIT#1"],
            ),
            (&[], std::slice::from_ref(&elsewhere), &["Added QIBM_QWC_QSTGLOWACN - VENDOR/LOW#1"]),
            (
                std::slice::from_ref(&mine),
                std::slice::from_ref(&with_data),
                &["Changed QIBM_QTMF_SERVER_REQ MUSTER/MUSTERXV#4320 MUSTER/MUSTERXV#4320"],
            ),
            (
                &[program(FTP, 1, "MUSTER/MUSTERXV")],
                std::slice::from_ref(&theirs),
                &["Changed QIBM_QTMF_SERVER_REQ MUSTER/MUSTERXV#1 VENDOR/EXIT#1"],
            ),
            (
                &[program(FTP, 1, "MUSTER/MUSTERXV")],
                std::slice::from_ref(&mine),
                &["Changed QIBM_QTMF_SERVER_REQ MUSTER/MUSTERXV#1 MUSTER/MUSTERXV#4320"],
            ),
        ];
        for (before, now, expected) in cases {
            assert_eq!(found(&snapshot(before), &snapshot(now)), expected);
        }
    }

    #[test]
    fn the_first_look_tells_only_what_should_not_be_so() {
        let now = snapshot(&[
            program(FTP, 4320, "MUSTER/MUSTERXV"),
            program(FTP, 1, "VENDOR/EXIT"),
            program(OTHER, 1, "VENDOR/LOW"),
        ]);
        let nothing = Snapshot::default();
        assert!(!nothing.is_known() && now.is_known());
        assert_eq!(found(&nothing, &now), ["Foreign QIBM_QTMF_SERVER_REQ - VENDOR/EXIT#1"]);
        assert_eq!(found(&now, &Snapshot::default()), [""; 0], "a look that failed removes nothing");
        let expecting = ours().expected_at(["QIBM_QZDA_NDB1", FTP, "QIBM_NO_SUCH"].map(str::to_owned));
        let missing = diff(&nothing, &now, &expecting);
        let told: Vec<_> = missing.iter().map(|f| (f.change, f.exit_point.as_str())).collect();
        assert_eq!(told, [(Change::Foreign, FTP), (Change::Missing, "QIBM_QZDA_NDB1")]);
        assert_eq!(now.unguarded(&ours()), ["QIBM_QZDA_NDB1"]);
    }

    #[test]
    fn findings_become_events() {
        let before = program(FTP, 1, "MUSTER/MUSTERXV");
        let now = Program { text: "Vendor".to_owned(), ..program(FTP, 1, "VENDOR/EXIT") };
        let finding = &diff(&snapshot(&[before]), &snapshot(&[now]), &ours())[0];
        let mut event = Event::new();
        finding.fill(42, &mut event);
        let keyword = |field: &muster_shared::event::Field| dictionary().get(field.id).keyword.as_str();
        let fields: Vec<_> = event.fields().iter().map(|f| (keyword(f), event.text(f))).collect();
        assert_eq!(
            fields,
            [
                ("exit_point", FTP),
                ("exit_format", "VLRQ0100"),
                ("exit_program", "VENDOR/EXIT"),
                ("exit_program_number", "1"),
                ("message", "Vendor"),
                ("attribute", "program"),
                ("old_value", "MUSTER/MUSTERXV"),
                ("new_value", "VENDOR/EXIT"),
                ("attribute", "text"),
                ("new_value", "Vendor"),
            ]
        );
        assert_eq!(
            (event.kind, event.severity.get(), event.time_us),
            (EventKind::Exit(&EXIT_PROGRAM_CHANGED), 8, 42)
        );
    }

    #[test]
    fn snapshots_are_bounded_and_survive_storage() {
        let many = (0..MAX_PROGRAMS as i64 + 5).map(|number| program(FTP, number, "A/B"));
        let snapshot = Snapshot::new([], many);
        assert_eq!((snapshot.programs().len(), snapshot.left_out), (MAX_PROGRAMS, 5));
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
        // What is beyond the bound is not told as removed.
        let smaller = Snapshot { programs: Vec::new(), ..snapshot.clone() };
        assert_eq!(diff(&snapshot, &smaller, &ours()), []);
        let long = Program { text: " x".repeat(600), ..program(" P ", 1, " L / N ") };
        let kept = &Snapshot::new([], [long]).programs()[0].clone();
        assert_eq!(
            (kept.exit_point.as_str(), kept.qualified().as_str(), kept.text.len()),
            ("P", "L/N", MAX_TEXT)
        );
    }

    fn programs() -> impl Strategy<Value = Vec<Program>> {
        let one = (0..3_usize, 0..3_i64, 0..3_usize).prop_map(|(point, number, object)| {
            program([FTP, OTHER, "QIBM_QZDA_NDB1"][point], number, ["MUSTER/A", "VENDOR/B", "X/C"][object])
        });
        // A number stands once at a format of an exit point.
        proptest::collection::vec(one, 0..8).prop_map(|programs| {
            let by_place: BTreeMap<_, _> =
                programs.into_iter().map(|p| ((p.exit_point.clone(), p.number), p)).collect();
            by_place.into_values().collect()
        })
    }

    proptest! {
        #[test]
        fn nothing_changed_is_nothing_told_and_a_change_is(before in programs(), now in programs()) {
            let (before, now) = (snapshot(&before), snapshot(&now));
            prop_assert_eq!(diff(&now, &now, &ours()), []);
            let findings = diff(&before, &now, &ours());
            prop_assert_eq!(findings.is_empty(), before.programs == now.programs);
            // Every program that differs is in a finding.
            for program in &now.programs {
                let told = findings.iter().any(|finding| finding.now.as_ref() == Some(program));
                prop_assert_eq!(told, !before.programs.contains(program));
            }
        }
    }
}
