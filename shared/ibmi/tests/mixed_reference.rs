//! Compares the mixed pages with two others who have them, every single byte and every pair: ICU (where they come
//! from) and glibc. Differences that are known stand with their reason in `tools/ebcdic_mixed_differences.csv`;
//! any other fails.

use muster_ibmi::ebcdic::{CodePage, SHIFT_IN, SHIFT_OUT, code_page, mixed_ccsids};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

/// What ends a frame: the line feed of all pages.
const LINE_FEED: u8 = 0x25;

/// Meaning of a single byte (0 to FF) or of a pair; empty where it has none.
type Meanings = BTreeMap<u16, String>;

/// CCSID, byte or pair → ours and theirs.
type Differences = BTreeMap<(u16, u16), (String, String)>;

/// What a converter is called, and how it is told to pass over what it cannot read.
fn uconv(converter: &str) -> (&'static str, Vec<String>) {
    ("uconv", ["-f", converter, "-t", "UTF-8", "--from-callback", "skip"].map(str::to_owned).to_vec())
}

fn iconv(arguments: &[&str]) -> (&'static str, Vec<String>) {
    ("iconv", arguments.iter().map(|argument| (*argument).to_owned()).collect())
}

/// Bytes and pairs that are asked for, each in a frame of its own. A second shift-in ends pairs even if the first was
/// taken for the last byte of one.
fn frames(page: &CodePage) -> Vec<(u16, Vec<u8>)> {
    let is_shift = |byte: u8| page.is_mixed() && matches!(byte, SHIFT_OUT | SHIFT_IN);
    let single = (0..=u8::MAX).filter(|byte| *byte != LINE_FEED && !is_shift(*byte));
    let mut frames: Vec<_> = single.map(|byte| (u16::from(byte), vec![byte])).collect();
    if page.is_mixed() {
        for pair in 0x0100..=u16::MAX {
            let [first, last] = pair.to_be_bytes();
            if !is_shift(first) {
                frames.push((pair, vec![SHIFT_OUT, first, last, SHIFT_IN, SHIFT_IN]));
            }
        }
    }
    frames
}

fn bytes_of(frames: &[(u16, Vec<u8>)]) -> Vec<u8> {
    frames.iter().flat_map(|(_, frame)| frame.iter().copied().chain([LINE_FEED])).collect()
}

/// What a frame became, line by line.
fn meanings(frames: &[(u16, Vec<u8>)], text: &str) -> Meanings {
    let lines: Vec<&str> = text.strip_suffix('\n').expect("a line feed at the end").split('\n').collect();
    assert_eq!(lines.len(), frames.len(), "each frame becomes a line");
    let meaning = |line: &str| line.replace('\u{FFFD}', "");
    frames.iter().zip(lines).map(|((code, _), line)| (*code, meaning(line))).collect()
}

fn ours(page: &CodePage, frames: &[(u16, Vec<u8>)]) -> Meanings {
    let mut text = String::new();
    for (_, frame) in frames {
        page.decode_into(frame, &mut text);
        text.push('\n');
    }
    meanings(frames, &text)
}

fn theirs((program, arguments): (&str, Vec<String>), package: &str, frames: &[(u16, Vec<u8>)]) -> Meanings {
    let text = run(program, package, &arguments, &bytes_of(frames));
    meanings(frames, &String::from_utf8(text).expect("UTF-8"))
}

fn note(page: &CodePage, ours: &Meanings, theirs: &Meanings, found: &mut Differences) {
    for (code, our) in ours {
        let their = &theirs[code];
        if our != their {
            found.insert((page.ccsid(), *code), (our.clone(), their.clone()));
        }
    }
}

#[test]
fn the_tables_are_those_of_icu() {
    let mut seen = Vec::new();
    for line in include_str!("../src/ebcdic/mixed.csv").lines().skip(1) {
        let columns: Vec<&str> = line.splitn(4, ',').collect();
        let page = code_page(columns[0].parse().unwrap()).unwrap();
        seen.push(page.ccsid());
        let mut frames = frames(page);
        // ICU says of some unassigned bytes that they are the substitute, 3F; and 1027 is a part of what is asked.
        let points: Vec<&str> = columns[3].split(' ').collect();
        let assigned = |code: u16| points.get(usize::from(code)).is_none_or(|point| *point != "FFFD");
        let part = page.ccsid() == 1027;
        frames.retain(|(code, _)| assigned(*code) && !(part && matches!(code, 0x0E | 0x0F)));
        let mut found = Differences::new();
        note(page, &ours(page, &frames), &theirs(uconv(columns[1]), "icu-devtools", &frames), &mut found);
        assert!(found.is_empty(), "run tools/ebcdic_mixed_tables: {found:X?}");
    }
    assert_eq!(seen, mixed_ccsids().collect::<Vec<_>>());
}

#[test]
fn differences_to_glibc_are_the_listed_ones() {
    let names =
        String::from_utf8(run("iconv", "libc-bin", &["-l".to_owned()], &[])).unwrap().replace('/', "");
    let names: BTreeSet<&str> = names.split_whitespace().collect();
    let (mut found, mut compared) = (Differences::new(), Vec::new());
    for ccsid in mixed_ccsids() {
        let name = format!("IBM{ccsid}");
        if !names.contains(name.as_str()) {
            continue;
        }
        compared.push(ccsid);
        let page = code_page(ccsid).unwrap();
        let frames = frames(page);
        let theirs = theirs(iconv(&["-c", "-f", &name, "-t", "UTF-8"]), "libc-bin", &frames);
        note(page, &ours(page, &frames), &theirs, &mut found);
    }
    assert_eq!(compared, [290, 930, 933, 935, 937, 939, 1364, 1371, 1388, 1390, 1399], "all but other names");
    assert_eq!(found, listed(), "found (left) and listed in tools/ebcdic_mixed_differences.csv (right)");
}

/// Rows `reference,ccsid,codes,ours,theirs,reason`; codes are bytes, pairs and ranges of them; ours and theirs are one
/// code point for all of them, or one for each.
fn listed() -> Differences {
    let mut listed = Differences::new();
    for line in include_str!("../tools/ebcdic_mixed_differences.csv").lines().skip(1) {
        let columns: Vec<&str> = line.splitn(6, ',').collect();
        assert_eq!(columns[0], "glibc", "{line}");
        assert!(!columns[5].is_empty(), "a reason in {line}");
        let number = |digits: &str| u16::from_str_radix(digits, 16).unwrap();
        let codes: Vec<u16> = columns[2]
            .split(' ')
            .map(|range| range.split_once('-').unwrap_or((range, range)))
            .flat_map(|(from, to)| number(from)..=number(to))
            .collect();
        let texts = |column: &str| -> Vec<String> {
            let texts: Vec<String> = column.split(' ').map(text_of).collect();
            let texts = if texts.len() == 1 { vec![texts[0].clone(); codes.len()] } else { texts };
            assert_eq!(texts.len(), codes.len(), "{line}");
            texts
        };
        for (code, both) in codes.iter().zip(texts(columns[3]).into_iter().zip(texts(columns[4]))) {
            listed.insert((columns[1].parse().unwrap(), *code), both);
        }
    }
    listed
}

fn text_of(digits: &str) -> String {
    match u32::from_str_radix(digits, 16).unwrap() {
        0xFFFD => String::new(),
        point => char::from_u32(point).unwrap().to_string(),
    }
}

/// Characters that glibc does not write as it reads them, in 930, 939 and 1371.
const NOT_WRITTEN_AS_READ: [&str; 2] = ["\\", "~"];

/// Texts that glibc writes in a page are read back as they were.
#[test]
fn texts_written_by_another_are_read_back() {
    let mut rng = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |most: usize| {
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        (rng % most as u64) as usize
    };
    for ccsid in [930, 933, 935, 937, 939, 1364, 1371, 1388, 1390, 1399] {
        let page = code_page(ccsid).unwrap();
        let all = ours(page, &frames(page));
        let (single, double): (Vec<_>, Vec<_>) = all
            .iter()
            .filter(|(_, text)| text.chars().all(|c| !c.is_control()))
            .partition(|(code, _)| **code < 0x100);
        let known = |list: Vec<(&u16, &String)>| -> Vec<String> {
            let texts: BTreeSet<&String> = list.into_iter().map(|(_, text)| text).collect();
            texts
                .into_iter()
                .filter(|text| !text.is_empty() && !NOT_WRITTEN_AS_READ.contains(&text.as_str()))
                .cloned()
                .collect()
        };
        let (single, double) = (known(single), known(double));
        assert!(single.len() > 90 && double.len() > 9_000, "{ccsid}");
        let lines: Vec<String> = (0..2_000)
            .map(|_| {
                let length = below(30);
                (0..length)
                    .map(|_| {
                        let list = if below(3) == 0 { &single } else { &double };
                        list[below(list.len())].as_str()
                    })
                    .collect()
            })
            .collect();
        let name = format!("IBM{ccsid}");
        let (program, arguments) = iconv(&["-f", "UTF-8", "-t", &name]);
        let bytes = run(program, "libc-bin", &arguments, (lines.join("\n") + "\n").as_bytes());
        let written: Vec<&[u8]> =
            bytes.strip_suffix(&[LINE_FEED]).unwrap().split(|b| *b == LINE_FEED).collect();
        assert_eq!(written.len(), lines.len());
        for (line, bytes) in lines.iter().zip(written) {
            let mut text = String::new();
            let clean = page.decode_into(bytes, &mut text);
            assert_eq!((&text, clean), (line, true), "{ccsid} {bytes:02X?}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the references are programs")]
/// Runs a program over `input`. A missing program, or one that fails altogether, fails the test.
fn run(program: &str, package: &str, arguments: &[String], input: &[u8]) -> Vec<u8> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}; apt-get install {package}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Written beside, since more than a pipe holds goes in and out.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that never reads (a list) may have closed it already.
    let _ = writer.join();
    // `iconv -c` ends with 1 when it passed over something.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{program} {arguments:?}: {}", output.status);
    output.stdout
}
