//! The page that is made from the tables, `docs/exit-layouts.md`, and what must agree with the tables: the sources and
//! commands below `deploy/ibmi/`. `MUSTER_WRITE_DOCS=1 cargo test -p muster-ibmi documents` writes the page anew.

use super::envelope::{HEAD, HEAD_LENGTH, HeadField, HeadForm, MAX_RECORD};
use super::layout::{formats, layout};
use super::tables::{field_rows, format_rows, function_rows, lists};
use muster_shared::event::{ExitAction, exit_action, exit_actions};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const PAGE_HEAD: &str = include_str!("exit-layouts.head.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[expect(
    clippy::disallowed_methods,
    reason = "reads files of the repository that must agree with the tables"
)]
fn file(name: &str) -> String {
    let path = root().join("deploy/ibmi").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "compares a file of the repository, and writes it if asked to")]
fn documents_are_fresh() {
    let path = root().join("docs/exit-layouts.md");
    let text = page();
    if std::env::var_os("MUSTER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/exit-layouts.md is stale; run MUSTER_WRITE_DOCS=1 cargo test -p muster-ibmi documents"
    );
}

fn page() -> String {
    let mut out = PAGE_HEAD.to_owned();
    record_table(&mut out);
    format_table(&mut out);
    function_table(&mut out);
    field_table(&mut out);
    out
}

fn record_table(out: &mut String) {
    out.push_str("## The record\n\nText is EBCDIC filled up with blanks, numbers are big-endian. Bytes between the fields are blank.\n\n");
    out.push_str("| offset | length | form | holds |\n|---|---|---|---|\n");
    for field in HEAD {
        let form = match field.form {
            HeadForm::Text => "text",
            HeadForm::Binary => "number",
        };
        writeln!(out, "| {} | {} | {form} | {} |", field.offset, field.length, field.name).unwrap();
    }
    writeln!(
        out,
        "\nFrom {HEAD_LENGTH} on follow the parameters of the exit point, in its order: number of bytes kept (4), number of \
         bytes that the parameter had (4), the bytes kept. Parameters that are answers, and those that may hold a password, \
         have no bytes. A record has at most {MAX_RECORD} bytes; a parameter that does not fit is cut and the record says so.\n"
    )
    .unwrap();
}

fn format_table(out: &mut String) {
    out.push_str("## Exit points and formats\n\n`program` is the program of `deploy/ibmi/` that is registered there.\n\n");
    out.push_str("| exit point | format | of | program | `raw` |\n|---|---|---|---|---|\n");
    for row in format_rows() {
        let mark = if row.source.trusted() { "" } else { " (layout unverified)" };
        let raw = if row.secrets { "no" } else { "yes" };
        let program = if row.program.is_empty() { "none" } else { row.program };
        writeln!(out, "| {} | {} | {}{mark} | {program} | {raw} |", row.exit_point, row.format, row.about)
            .unwrap();
    }
}

fn action(id: &str) -> &'static ExitAction {
    exit_action(id).unwrap_or_else(|| panic!("no action {id}"))
}

fn function_table(out: &mut String) {
    out.push_str("\n## Functions and events\n\nFunctions are shown as here. *Other* stands for functions that are not in the table, and for exit points without any.\n\n");
    out.push_str(
        "| exit point | function | meaning | event id | severity | event |\n|---|---|---|---|---|---|\n",
    );
    let mut told = BTreeSet::new();
    for format in format_rows() {
        if !told.insert(format.exit_point) {
            continue;
        }
        for row in function_rows().iter().filter(|row| lists(row.exit_points, format.exit_point)) {
            let mark = if row.source.trusted() { "" } else { " (unverified)" };
            let action = action(row.action);
            writeln!(
                out,
                "| {} | `{}` | {}{mark} | {} | {} | {} |",
                format.exit_point, row.function, row.word, action.id, action.severity, action.text
            )
            .unwrap();
        }
        let action = action(format.action);
        writeln!(
            out,
            "| {} | other | | {} | {} | {} |",
            format.exit_point, action.id, action.severity, action.text
        )
        .unwrap();
    }
    out.push_str("\nFunctions marked *unverified* stand in old header files and not in newer documentation; whether they ever reach an exit program is not known.\n");
    out.push_str(
        "\nEvents without an exit point of their own:\n\n| event id | severity | event |\n|---|---|---|\n",
    );
    let used: BTreeSet<&str> = function_rows()
        .iter()
        .map(|row| row.action)
        .chain(format_rows().iter().map(|row| row.action))
        .collect();
    for action in exit_actions().filter(|action| !used.contains(action.id)) {
        writeln!(out, "| {} | {} | {} |", action.id, action.severity, action.text).unwrap();
    }
}

fn field_table(out: &mut String) {
    out.push_str("\n## Fields\n\nLength `*` reaches to the end of the parameter, `@N` is told by the number at offset N, `#P` by parameter P.\n\n");
    out.push_str("| format | functions | parameter | offset | length | name | becomes |\n|---|---|---|---|---|---|---|\n");
    for format in format_rows() {
        let mine = |for_: &str| lists(for_, format.format) || lists(for_, format.exit_point);
        for row in field_rows().iter().filter(|row| mine(row.for_)) {
            let becomes = match row.kind {
                _ if !row.source.trusted() => "(unverified)".to_owned(),
                "covered" => "(read elsewhere)".to_owned(),
                "secret" => "(never shown)".to_owned(),
                "constant" => format!("`{}` = {}", row.field, row.argument),
                _ => row.field.split(' ').map(|keyword| format!("`{keyword}`")).collect::<Vec<_>>().join(" "),
            };
            let (offset, length) = if row.kind == "constant" {
                (String::new(), "")
            } else {
                (row.offset.to_string(), row.length)
            };
            writeln!(
                out,
                "| {} {} | {} | {} | {offset} | {length} | {} | {becomes} |",
                format.exit_point, format.format, row.functions, row.parameter, row.name
            )
            .unwrap();
        }
    }
}

#[test]
fn every_table_row_is_used_and_every_action_has_a_row() {
    let formats = format_rows();
    let known = |name: &str| formats.iter().any(|row| row.format == name || row.exit_point == name);
    for row in field_rows() {
        assert!(row.for_.split(' ').all(known), "{} {}", row.for_, row.name);
        for function in row.functions.split(' ').filter(|function| !function.is_empty()) {
            let has = |row: &super::tables::FunctionRow| row.function == function;
            assert!(function_rows().iter().any(has), "{function} of {}", row.name);
        }
    }
    for row in function_rows() {
        assert!(row.exit_points.split(' ').all(known), "{}", row.exit_points);
    }
    let mut places = BTreeSet::new();
    for row in &formats {
        assert!(places.insert((row.exit_point, row.format)), "{} stands twice", row.format);
        // Compiling panics on a word that no kind, field or action has.
        assert!(layout(row.exit_point, row.format).is_some());
    }
    let used: BTreeSet<&str> =
        function_rows().iter().map(|row| row.action).chain(formats.iter().map(|row| row.action)).collect();
    let unused: Vec<&str> = exit_actions().map(|action| action.id).filter(|id| !used.contains(id)).collect();
    assert_eq!(
        unused,
        [
            "EXIT_PROGRAM_ADDED",
            "EXIT_PROGRAM_REMOVED",
            "EXIT_PROGRAM_CHANGED",
            "EXIT_PROGRAM_FOREIGN",
            "EXIT_PROGRAM_MISSING",
            "EXIT_UNKNOWN"
        ]
    );
}

/// The layout block in the comment of the core program.
fn layout_of_source(source: &str) -> Vec<(usize, String, usize, String)> {
    let lines = source.lines().skip_while(|line| !line.starts_with("/*LAYOUT ")).skip(1);
    let lines = lines.take_while(|line| !line.starts_with("/*LAYOUT END"));
    let row = |line: &str| {
        let inner = line.trim_start_matches("/*").trim_end_matches("*/").trim();
        let mut words = inner.splitn(2, ' ');
        let offset = words.next().unwrap().parse().unwrap();
        let rest = words.next().unwrap().trim_start();
        let (form, rest) = rest.split_once(' ').unwrap();
        let (length, name) = rest.trim_start().split_once(' ').unwrap();
        (offset, form.to_owned(), length.parse().unwrap(), name.to_owned())
    };
    lines.map(row).collect()
}

#[test]
fn the_exit_program_writes_the_head_that_is_read() {
    let source = file("musterx.clle");
    let form = |field: &HeadField| match field.form {
        HeadForm::Text => "TEXT",
        HeadForm::Binary => "BINARY",
    };
    let expected: Vec<_> = HEAD
        .iter()
        .map(|field| (field.offset, form(field).to_owned(), field.length, field.name.to_owned()))
        .collect();
    assert_eq!(layout_of_source(&source), expected, "the comment of musterx.clle");
    // What the statements write, from 1 as CL counts.
    let written: BTreeSet<(usize, &str, usize)> = source
        .lines()
        .filter_map(|line| {
            let (_, target) = line.split_once("VAR(%")?;
            let (function, rest) = target.split_once("(&REC ")?;
            let (place, _) = rest.split_once(')')?;
            let (at, length) = place.split_once(' ')?;
            Some((at.parse::<usize>().ok()? - 1, function, length.parse().ok()?))
        })
        .collect();
    let wanted: BTreeSet<(usize, &str, usize)> = HEAD
        .iter()
        .map(|field| {
            let function = match field.form {
                HeadForm::Text => "SST",
                HeadForm::Binary => "BIN",
            };
            (field.offset, function, field.length)
        })
        .collect();
    assert_eq!(written, wanted, "the statements of musterx.clle");
    for needed in [
        format!("VAR(&NEXT) TYPE(*INT) LEN(4) VALUE({})", HEAD_LENGTH + 1),
        format!("VAR(%BIN(&REC 9 4)) VALUE({HEAD_LENGTH})"),
        "VAR(%BIN(&REC 7 2)) VALUE(1)".to_owned(),
        "VAR(%SST(&REC 1 6)) VALUE('MUSTRX')".to_owned(),
        format!("VAR(&REC) TYPE(*CHAR) LEN({MAX_RECORD})"),
        format!("VAR(&SIZE) TYPE(*INT) LEN(4) VALUE({MAX_RECORD})"),
    ] {
        assert!(source.contains(&needed), "musterx.clle has no {needed}");
    }
    assert!(file("install.cl").contains(&format!("MAXLEN({MAX_RECORD})")));
}

#[test]
fn every_program_is_there_registered_and_taken_off_again() {
    let (install, register, unregister) = (file("install.cl"), file("register.cl"), file("unregister.cl"));
    let mut programs: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for format in formats().into_iter().filter(|format| !format.program.is_empty()) {
        programs.entry(format.program).or_default().push(format);
    }
    for (program, formats) in programs {
        let source = file(&format!("{}.clle", program.to_lowercase()));
        assert!(install.contains(&format!("CRTBNDCL   PGM(MUSTER/{program})")), "{program}");
        for format in formats {
            let place = format!("EXITPNT({}) FORMAT({}) PGMNBR(4320)", format.exit_point, format.format);
            if format.exit_point == "DDMACC" {
                assert!(register.contains(&format!("CHGNETA    DDMACC(MUSTER/{program})")));
            } else {
                let added = format!("ADDEXITPGM {place} +\n             PGM(MUSTER/{program})");
                assert!(register.contains(&added), "{place}");
                assert!(unregister.contains(&format!("RMVEXITPGM {place}\n")), "{place}");
            }
            assert!(source.contains(&format!("VALUE('{}')", format.exit_point)), "{}", format.exit_point);
            // The host servers tell the format, of the others it stands in the source.
            assert!(source.contains(&format!("'{}'", format.format)), "{}", format.format);
        }
    }
}

/// What a source must not do: refuse, wait, ask, or fail.
#[test]
fn the_programs_answer_first_and_watch_for_every_error() {
    let answers: [(&str, Option<&str>); 11] = [
        ("musterxh", Some("VAR(&ANSWER) VALUE('1')")),
        ("musterxd", Some("VAR(&ANSWER) VALUE('1')")),
        ("musterxv", Some("VAR(&ALLOW) VALUE(1)")),
        ("musterxl", Some("VAR(&RETURN) VALUE(1)")),
        ("musterxi", Some("VAR(&ALLOW) VALUE('1')")),
        ("musterxt", None),
        ("musterxp", Some("VAR(&ANSWER) VALUE('0')")),
        ("musterxa", Some("VAR(&ANSWER) VALUE('0')")),
        ("musterxc", Some("VAR(&ANSWER) VALUE('0')")),
        ("musterxn", Some("VAR(&ANSWER) VALUE('0')")),
        ("musterxb", Some("VAR(&ANSWER) VALUE(1)")),
    ];
    for (name, answer) in answers {
        let source = file(&format!("{name}.clle"));
        assert!(source.lines().all(|line| line.len() <= 80 && line.is_ascii()), "{name}: a line is too long");
        let watch = "MONMSG     MSGID(CPF0000 MCH0000) EXEC(GOTO CMDLBL(END))\n";
        let after = source.split_once(watch).unwrap_or_else(|| panic!("{name} does not watch")).1;
        if let Some(answer) = answer {
            let first = after.lines().next().unwrap().trim();
            assert_eq!(first, format!("CHGVAR     {answer}"), "{name} answers first");
        }
        assert!(after.trim_end().ends_with("END:        RETURN\n             ENDPGM"), "{name}");
        assert_eq!(after.matches("CALL       PGM(").count(), 1, "{name} calls the core and nothing else");
    }
    // What may hold a password is not read at all.
    let logon = file("musterxl.clle");
    let body = logon.split_once("MONMSG").unwrap().1;
    for unread in ["&AUTH ", "&AUTH)", "&AUTHLEN", "&PASSWORD", "&PROFILE"] {
        assert!(!body.contains(unread), "musterxl.clle reads {unread}");
    }
    assert!(!file("musterxi.clle").split_once("MONMSG").unwrap().1.contains("&ENV"));
}
