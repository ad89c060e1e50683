//! Compares the code pages with three others who have them: ICU (where they come from), glibc and Python.
//! Differences that are known stand with their reason in `tools/ebcdic_differences.csv`; any other fails.

#[path = "common/reference.rs"]
mod reference;

use muster_ibmi::ebcdic::{CodePage, code_pages};
use std::collections::BTreeMap;

/// Reference, CCSID, byte → what that reference says.
type Differences = BTreeMap<(&'static str, u16, u8), u32>;

/// Bytes that a reference leaves unassigned.
const UNASSIGNED: u32 = 0xFFFD;

#[test]
fn the_tables_are_those_of_icu() {
    let table = include_str!("../src/ebcdic/tables.csv");
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let points: Vec<u32> = columns[2].split(' ').map(|p| u32::from_str_radix(p, 16).unwrap()).collect();
        let arguments = ["-f", columns[1], "-t", "UTF-32BE", "--from-callback", "substitute"];
        let assigned: Vec<u8> = (0..=255).filter(|b| points[usize::from(*b)] != UNASSIGNED).collect();
        let seen = run("uconv", "icu-devtools", &arguments, &assigned).expect("uconv knows the page");
        let expected: Vec<u32> = assigned.iter().map(|b| points[usize::from(*b)]).collect();
        assert_eq!(
            code_points(&seen),
            expected,
            "run tools/ebcdic_tables: CCSID {} differs from ICU",
            columns[0]
        );
    }
}

#[test]
fn differences_to_glibc_and_python_are_the_listed_ones() {
    let mut found = Differences::new();
    let mut compared = Vec::new();
    compare_with_glibc(&mut found, &mut compared);
    compare_with_python(&mut found, &mut compared);
    let mut listed = Differences::new();
    for line in include_str!("../tools/ebcdic_differences.csv").lines().skip(1) {
        let columns: Vec<&str> = line.splitn(6, ',').collect();
        let reference = if columns[0] == "glibc" { "glibc" } else { "python" };
        let ccsid: u16 = columns[1].parse().unwrap();
        let byte = u8::from_str_radix(columns[2], 16).unwrap();
        let ours = muster_ibmi::ebcdic::code_page(ccsid).unwrap().char_of(byte) as u32;
        assert_eq!(u32::from_str_radix(columns[3], 16).unwrap(), ours, "ours in {line}");
        assert!(!columns[5].is_empty(), "a reason in {line}");
        listed.insert((reference, ccsid, byte), u32::from_str_radix(columns[4], 16).unwrap());
    }
    assert_eq!(found, listed, "found (left) and listed in tools/ebcdic_differences.csv (right)");
    assert_eq!(compared.iter().filter(|(reference, _)| *reference == "glibc").count(), 26, "all but 838");
    assert_eq!(compared.iter().filter(|(reference, _)| *reference == "python").count(), 7, "{compared:?}");
}

fn compare_with_glibc(found: &mut Differences, compared: &mut Vec<(&'static str, u16)>) {
    let list = run("iconv", "libc-bin", &["-l"], &[]).expect("iconv -l");
    let list = String::from_utf8(list).unwrap().replace('/', "");
    let names: Vec<&str> = list.split_whitespace().collect();
    for page in code_pages() {
        let ccsid = page.ccsid();
        let wanted = [format!("IBM{ccsid:03}"), format!("IBM{ccsid}"), format!("CP{ccsid}")];
        let Some(name) = wanted.iter().find(|name| names.contains(&name.as_str())) else { continue };
        compared.push(("glibc", ccsid));
        let arguments = ["-f", name, "-t", "UTF-32BE"];
        let convert = |bytes: &[u8]| run("iconv", "libc-bin", &arguments, bytes).map(|out| code_points(&out));
        let all: Vec<u8> = (0..=255).collect();
        let points = convert(&all).filter(|points| points.len() == 256);
        let points = points.unwrap_or_else(|| {
            all.iter()
                .map(|b| convert(&[*b]).and_then(|p| p.first().copied()).unwrap_or(UNASSIGNED))
                .collect()
        });
        note("glibc", page, &points, found);
    }
}

fn compare_with_python(found: &mut Differences, compared: &mut Vec<(&'static str, u16)>) {
    const SCRIPT: &str = r#"
import codecs, sys
for ccsid in sys.argv[1:]:
    for name in ("cp%03d" % int(ccsid), "cp" + ccsid):
        try:
            codecs.lookup(name)
        except LookupError:
            continue
        text = bytes(range(256)).decode(name, errors="replace")
        print(ccsid, *("%X" % ord(c) for c in text))
        break
"#;
    let ccsids: Vec<String> = code_pages().map(|page| page.ccsid().to_string()).collect();
    let mut arguments = vec!["-c", SCRIPT];
    arguments.extend(ccsids.iter().map(String::as_str));
    let out = run("python3", "python3", &arguments, &[]).expect("python3 runs the script");
    for line in String::from_utf8(out).unwrap().lines() {
        let mut columns = line.split(' ');
        let page = muster_ibmi::ebcdic::code_page(columns.next().unwrap().parse().unwrap()).unwrap();
        compared.push(("python", page.ccsid()));
        let points: Vec<u32> = columns.map(|p| u32::from_str_radix(p, 16).unwrap()).collect();
        note("python", page, &points, found);
    }
}

fn note(reference: &'static str, page: &CodePage, points: &[u32], found: &mut Differences) {
    assert_eq!(points.len(), 256, "{reference} {}", page.ccsid());
    for byte in 0..=255_u8 {
        let theirs = points[usize::from(byte)];
        if theirs != page.char_of(byte) as u32 {
            found.insert((reference, page.ccsid(), byte), theirs);
        }
    }
}

fn code_points(utf32: &[u8]) -> Vec<u32> {
    utf32.chunks_exact(4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]])).collect()
}

/// What the program writes; `None` if it refuses the input.
fn run(program: &str, package: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let output = reference::run(program, package, arguments, input);
    output.status.success().then_some(output.stdout)
}
