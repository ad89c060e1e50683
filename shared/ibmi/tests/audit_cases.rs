//! Entries built byte by byte and the exact event that each must become: at least one for every entry type and
//! every subtype code. The cases are the text files of `audit_cases`; the bytes are put together here, by a small
//! encoder that knows nothing of the product's tables.
//!
//! A case is a block of lines:
//!
//! ```text
//! # what it shows
//! entry T AF 300            journal code, type, length of the data (where it is left out: the end of the bytes)
//! ccsid 273                 of the partition, else 37
//! with remote_address ::1   a fact of the journal's header that is not the usual one
//! fetched 40                only so many bytes were fetched, the rest was proven blank
//!     0 e  A                at this offset, text in EBCDIC page 37 (`\t` is a tab)
//!    29 x  00030F           hexadecimal digits
//!    37 b4 1200             a big-endian number of so many bytes
//!    50 z  000042           zoned digits
//!    74 u  größe            UTF-16
//!    74 8  größe            UTF-8
//!   100 u*3 ab              three times
//! event AF_A 7 Authority failure
//!     subtype = A (not authorized to object)
//! ```
//!
//! Bytes that no line sets are blank. `event` gives id, severity, the word `short` if the data ends before the
//! layout, and the name; the fields of the event follow in their order, without those of the usual header.

use muster_ibmi::audit::{AuditDecoder, JournalEntry, types};
use muster_shared::event::{Event, dictionary};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// A case as written.
#[derive(Default)]
struct Case {
    title: String,
    code: u8,
    entry_type: [u8; 2],
    ccsid: u16,
    remote_address: String,
    remote_port: Option<u32>,
    object: String,
    data: Vec<u8>,
    length: Option<usize>,
    fetched: Option<usize>,
    expected: String,
}

/// Letters, digits and signs of EBCDIC page 37, from the printed table.
fn ebcdic(c: char) -> u8 {
    let run = |first: char, start: u8| start + (c as u8 - first as u8);
    match c {
        'a'..='i' => run('a', 0x81),
        'j'..='r' => run('j', 0x91),
        's'..='z' => run('s', 0xA2),
        'A'..='I' => run('A', 0xC1),
        'J'..='R' => run('J', 0xD1),
        'S'..='Z' => run('S', 0xE2),
        '0'..='9' => run('0', 0xF0),
        _ => {
            let signs = [
                (' ', 0x40),
                ('.', 0x4B),
                ('<', 0x4C),
                ('(', 0x4D),
                ('+', 0x4E),
                ('|', 0x4F),
                ('&', 0x50),
                ('!', 0x5A),
                ('$', 0x5B),
                ('*', 0x5C),
                (')', 0x5D),
                (';', 0x5E),
                ('-', 0x60),
                ('/', 0x61),
                (',', 0x6B),
                ('%', 0x6C),
                ('_', 0x6D),
                ('>', 0x6E),
                ('?', 0x6F),
                (':', 0x7A),
                ('#', 0x7B),
                ('@', 0x7C),
                ('\'', 0x7D),
                ('=', 0x7E),
                ('"', 0x7F),
                ('^', 0xB0),
                ('[', 0xBA),
                (']', 0xBB),
                ('{', 0xC0),
                ('}', 0xD0),
                ('\\', 0xE0),
                ('\t', 0x05),
                ('\n', 0x25),
            ];
            let found = signs.iter().find(|(sign, _)| *sign == c);
            found.unwrap_or_else(|| panic!("page 37 by hand has no {c:?}")).1
        }
    }
}

/// Bytes of one line: `kind` is the letter with its count, `text` what follows.
fn bytes(kind: &str, text: &str) -> Vec<u8> {
    let (letter, times) = kind.split_once('*').unwrap_or((kind, "1"));
    let plain = text.replace("\\t", "\t").replace("\\n", "\n");
    let one: Vec<u8> = match letter {
        "e" => plain.chars().map(ebcdic).collect(),
        "z" => text.bytes().map(|digit| 0xF0 | (digit & 0x0F)).collect(),
        "u" => plain.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "8" => plain.into_bytes(),
        "x" => (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal digits"))
            .collect(),
        number => {
            let width: usize =
                number.strip_prefix('b').and_then(|w| w.parse().ok()).expect("a kind of bytes");
            text.parse::<i64>().expect("a number").to_be_bytes()[8 - width..].to_vec()
        }
    };
    one.repeat(times.parse().expect("a count"))
}

impl Case {
    fn parse(block: &str) -> Self {
        let mut case = Self { ccsid: 37, ..Self::default() };
        let (input, expected) = block.split_once("\nevent ").unwrap_or_else(|| panic!("no event in {block}"));
        case.expected = format!("event {}\n", expected.trim_end());
        for line in input.lines() {
            // Blanks at the end of a text count.
            let line = line.trim_start();
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "#" => case.title = rest.to_owned(),
                "entry" => {
                    let words: Vec<&str> = rest.split(' ').collect();
                    case.code = words[0].as_bytes()[0];
                    case.entry_type = words[1].as_bytes().try_into().expect("two characters");
                    case.length = words.get(2).map(|length| length.parse().expect("a length"));
                }
                "ccsid" => case.ccsid = rest.parse().expect("a CCSID"),
                "fetched" => case.fetched = Some(rest.parse().expect("a number of bytes")),
                "with" => {
                    let (name, value) = rest.split_once(' ').expect("a fact and its value");
                    match name {
                        "remote_address" => case.remote_address = value.to_owned(),
                        "remote_port" => case.remote_port = Some(value.parse().expect("a port")),
                        "object" => case.object = value.to_owned(),
                        _ => panic!("no fact {name}"),
                    }
                }
                offset => {
                    let at: usize = offset.parse().unwrap_or_else(|_| panic!("{line:?}"));
                    let (kind, text) = rest.split_once(' ').expect("a kind of bytes");
                    // Letters are padded to two places.
                    let text = if kind.len() == 1 { text.strip_prefix(' ').unwrap_or(text) } else { text };
                    let bytes = bytes(kind, text);
                    case.data.resize(case.data.len().max(at + bytes.len()), 0x40);
                    case.data[at..at + bytes.len()].copy_from_slice(&bytes);
                }
            }
        }
        let end = case.data.len();
        let length = case.length.unwrap_or(end);
        assert!(length >= end, "{}: the bytes end at {end}", case.title);
        case.data.resize(length, 0x40);
        case
    }

    /// The event as the case would write it.
    fn seen(&self) -> String {
        let fetched = self.fetched.unwrap_or(self.data.len());
        assert!(self.data[fetched..].iter().all(|byte| *byte == 0x40), "{}: more than blanks", self.title);
        let entry = JournalEntry {
            code: self.code,
            entry_type: self.entry_type,
            sequence: 4711,
            time_us: 1_767_225_600_000_000,
            user: "BOB",
            job_name: "QPADEV0001",
            job_user: "BOB",
            job_number: "012345",
            program: "QCMD",
            program_library: "QSYS",
            remote_address: &self.remote_address,
            remote_port: self.remote_port,
            object: &self.object,
            data: &self.data[..fetched],
            data_length: self.data.len() as u32,
        };
        let mut event = Event::new();
        let decoded = AuditDecoder::new(self.ccsid).decode(&entry, &mut event);
        let mut id = Vec::new();
        event.kind.write_event_id(&mut id);
        let id = String::from_utf8(id).expect("ASCII");
        let short = if decoded.short { " short" } else { "" };
        let mut seen = format!("event {id} {}{short} {}\n", event.severity.get(), event.name);
        let mut fields = event.fields().iter().map(|field| (field, event.text(field)));
        for (keyword, value) in HEADER {
            let field =
                fields.next().map(|(field, text)| (dictionary().get(field.id).keyword.as_str(), text));
            assert_eq!(field, Some((keyword, value)), "{}", self.title);
        }
        for (field, text) in fields {
            let keyword = &dictionary().get(field.id).keyword;
            let meaning = field.meaning.map_or(String::new(), |meaning| format!(" ({meaning})"));
            let text = text.replace('\t', "\\t").replace('\n', "\\n");
            // Writing into a String cannot fail.
            let _ = writeln!(seen, "    {keyword} = {text}{meaning}");
        }
        assert_eq!((event.sequence, event.time_us), (4711, 1_767_225_600_000_000), "{}", self.title);
        seen
    }
}

const HEADER: [(&str, &str); 6] = [
    ("user", "BOB"),
    ("job_name", "QPADEV0001"),
    ("job_user", "BOB"),
    ("job_number", "012345"),
    ("program", "QCMD"),
    ("program_library", "QSYS"),
];

#[expect(clippy::disallowed_methods, reason = "the cases are files")]
fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit_cases");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of cases");
        cases.extend(text.split("\n\n").filter(|block| !block.trim().is_empty()).map(Case::parse));
    }
    cases
}

#[test]
fn each_entry_becomes_its_event() {
    let mut wrong = Vec::new();
    for case in cases() {
        let seen = case.seen();
        if seen != case.expected {
            wrong.push(format!("# {}\nexpected {}seen     {seen}", case.title, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Types without a documented layout, whose subtype codes no table places.
const WITHOUT_ROWS: [&str; 6] = ["M0", "M6", "M8", "X1", "X2", "C3"];

#[test]
fn every_type_and_every_subtype_code_has_a_case() {
    let cases = cases();
    let seen: BTreeSet<String> =
        cases.iter().map(|case| case.expected.split(' ').nth(1).unwrap_or_default().to_owned()).collect();
    let fields = csv::Reader::from_reader(include_str!("../data/audit-fields.csv").as_bytes())
        .into_records()
        .map(|row| row.expect("a row"))
        .filter(|row| &row[2] == "0" && &row[5] == "subtype")
        .map(|row| (row[0].to_owned(), row[1].to_owned()))
        .collect::<Vec<_>>();
    let mut missing = Vec::new();
    for row in csv::Reader::from_reader(include_str!("../data/audit-values.csv").as_bytes()).into_records() {
        let row = row.expect("a row");
        for key in row[0].split(' ') {
            let id = format!("{key}_{}", &row[2]);
            if fields.iter().any(|(of, name)| of == key && *name == row[1]) && !seen.contains(&id) {
                missing.push(id);
            }
        }
    }
    for info in types() {
        let key = info.key.replace('-', "_");
        let is_there = |id: &String| match key.strip_suffix('*') {
            Some(front) => id.starts_with(front),
            None => *id == key || id.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('_')),
        };
        if !seen.iter().any(is_there) {
            missing.push(key);
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(cases.len() > 350, "{}", cases.len());
    for key in WITHOUT_ROWS {
        assert!(
            cases.iter().any(|case| case.entry_type == key.as_bytes() && case.expected.contains("raw = 0:")),
            "{key}"
        );
    }
}
