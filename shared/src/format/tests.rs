//! Golden lines of every format, and readers of our own that must get back what was put in.

use super::*;
use crate::event::{AgentEvent, EventKind, FieldId, dictionary, field};
use crate::severity::Severity;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn partition() -> Partition {
    Partition {
        system_name: "PROD01".to_owned(),
        serial_number: "78A1B2C".to_owned(),
        partition_id: 3,
        partition_name: "prod".to_owned(),
        host_name: "prod01.example.com".to_owned(),
        os_release: "V7R5M0".to_owned(),
        ccsid: 37,
        utc_offset_seconds: -6 * 3600,
    }
}

fn context() -> FormatContext {
    FormatContext { partition: Arc::new(partition()), product_version: "0.1.0".to_owned() }
}

fn authority_failure() -> Event {
    let mut event = Event::new();
    event.kind = EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' };
    event.time_us = 1_767_225_599_123_456; // 2025-12-31T23:59:59.123456Z
    event.severity = Severity::clamped(7);
    event.name = "Authority failure";
    event.id_prefix = Arc::from("PROD01/QAUDJRN/QGPL.AUDRCV0001@1767222000000000/");
    event.sequence = 4711;
    event.push(field::USER, "BOB");
    event.push(field::JOB_NAME, "QZDASOINIT");
    event.push(field::JOB_USER, "QUSER");
    event.push(field::JOB_NUMBER, "123456");
    event.push(field::PROGRAM_NAME, "QZDASOINIT");
    event.push(field::PROGRAM_LIBRARY, "QSYS");
    event.push(field::REMOTE_ADDRESS, "192.0.2.17");
    event.push_int(field::REMOTE_PORT, 51023);
    event.push(field::OBJECT_NAME, "EMP");
    event.push(field::OBJECT_LIBRARY, "PAYROLL");
    event.push_with(field::OBJECT_TYPE, Some("file"), |text| text.push_str("*FILE"));
    event.push(field::REASON, "denied");
    event
}

/// Everything that needs care: delimiters, quotes, line ends, an IPv6 address, a host name where an address
/// belongs, repeated fields, text beyond ASCII.
fn nasty() -> Event {
    let mut event = authority_failure();
    event.clear();
    event.time_us = 1_704_164_645_000_042; // 2024-01-02T03:04:05.000042Z
    event.severity = Severity::HIGHEST;
    event.id_prefix = Arc::from("P/Q/");
    event.push(field::USER, r#"J=A|N^E"]\"#);
    event.push(field::REMOTE_ADDRESS, "2001:db8::1");
    event.push(field::REMOTE_ADDRESS, "PCBOB");
    event.push(field::REMOTE_PORT, "none");
    event.push(field::MESSAGE, "  first line\r\nsecond\tline é€  ");
    event.push(field::OBJECT_LIBRARY, "LIB1");
    event.push(field::OBJECT_LIBRARY, "LIB2");
    event.push(field::USER, "SECOND");
    event.push(field::USER, "THIRD");
    event
}

fn heartbeat() -> Event {
    let mut event = Event::new();
    event.kind = EventKind::Agent(AgentEvent::Heartbeat);
    event.time_us = 1_767_225_600_000_000;
    event.name = AgentEvent::Heartbeat.text();
    event.id_prefix = Arc::from("PROD01/agent/");
    event.sequence = 1;
    event.push(field::DESTINATION, "qradar");
    event.push_int(field::DELIVERED, 12);
    event
}

fn spec(kind: FormatKind, header: Option<Header>) -> FormatSpec {
    FormatSpec { kind, header, ..FormatSpec::default() }
}

fn line(spec: &FormatSpec, event: &Event) -> String {
    let mut out = Vec::new();
    Formatter::new(spec, &context()).unwrap().write(event, &mut out);
    String::from_utf8(out).unwrap()
}

const KINDS: [FormatKind; 4] = [FormatKind::Syslog, FormatKind::Cef, FormatKind::Leef1, FormatKind::Leef2];

/// What an application wrote as CEF into the journal.
fn application() -> Event {
    let mut event = heartbeat();
    event.clear();
    event.kind = EventKind::Audit { code: b'U', entry_type: *b"PY", subtype: 0 };
    event.name = "User journal entry";
    event.id_prefix = Arc::from("P/Q/");
    event.push(field::USER, "QTMHHTTP");
    let text = "CEF:0|Acme|Payroll|2.1|SAL-7|Salary changed|8|suser=bob orderNo=4711 order_no=12 vendor=X^Y cs1=a\\=b cs1Label=rule set";
    crate::payload::detect(text).push_into(&mut event);
    event
}

/// All golden lines: kind, header and event name the line.
fn golden() -> String {
    let mut text = String::new();
    for kind in KINDS {
        for header in [Header::Rfc3164, Header::Rfc5424] {
            for (name, event) in [
                ("authority failure", authority_failure()),
                ("nasty", nasty()),
                ("heartbeat", heartbeat()),
                ("application", application()),
            ] {
                let line = line(&spec(kind, Some(header)), &event).replace('\t', "<TAB>");
                text.push_str(&format!("# {kind:?} {header:?} {name}\n{line}\n"));
            }
        }
    }
    text
}

#[test]
fn golden_lines() {
    let (seen, expected) = (golden(), include_str!("golden.txt"));
    for (seen, wanted) in seen.lines().zip(expected.lines()) {
        assert_eq!(seen, wanted);
    }
    assert_eq!(seen.lines().count(), expected.lines().count(), "all lines as they are now:\n{seen}");
}

#[test]
fn options_change_what_they_say() {
    let event = heartbeat();
    let cef = FormatSpec { cef_space: true, utc: true, facility: Some(4), ..spec(FormatKind::Cef, None) };
    let start = "<38>Jan  1 00:00:00 prod01 CEF:0|Muster|IBM i|0.1.0|MUSTER_HEARTBEAT|Agent heartbeat|1| cat=agent rt=17672";
    assert!(line(&cef, &event).starts_with(start), "{}", line(&cef, &event));

    let unit = FormatSpec { leef_delimiter: Some('\u{1f}'), ..spec(FormatKind::Leef2, None) };
    assert!(line(&unit, &event).contains(
        "|MUSTER_HEARTBEAT|x1F|cat=agent\u{1f}sev=1\u{1f}eventName=Agent heartbeat\u{1f}devTime=1767225600000"
    ));

    let syslog = FormatSpec { bom: true, ..spec(FormatKind::Syslog, None) };
    assert!(line(&syslog, &event).ends_with("[meta sequenceId=\"1\"] \u{feff}Agent heartbeat"));
    let leef = FormatSpec { bom: true, ..spec(FormatKind::Leef2, Some(Header::Rfc5424)) };
    assert!(line(&leef, &event).contains(" MUSTER_HEARTBEAT - \u{feff}LEEF:2.0|"));
    let bsd = FormatSpec { bom: true, ..spec(FormatKind::Leef2, Some(Header::Rfc3164)) };
    assert!(!line(&bsd, &event).contains('\u{feff}'));
}

#[test]
fn impossible_options_are_refused() {
    let facility = FormatSpec { facility: Some(24), ..FormatSpec::default() };
    assert_eq!(Formatter::new(&facility, &context()).unwrap_err(), FormatError::Facility(24));
    for delimiter in ['|', '=', 'a', '0', ' ', '\n', '\r', '\0', '"', '\\', 'é'] {
        assert_eq!(check_delimiter(delimiter), Err(FormatError::Delimiter(delimiter)), "{delimiter:?}");
    }
    for delimiter in ['^', '\t', '\u{1}', '\u{1f}', '~', ';', '#', '\u{7f}'] {
        assert_eq!(check_delimiter(delimiter), Ok(delimiter as u8));
    }
}

#[test]
fn hosts_are_made_valid() {
    let cases = [
        ("prod01.example.com", "PROD01", "prod01", "prod01.example.com"),
        ("", "PROD01", "PROD01", "PROD01"),
        ("192.0.2.5", "PROD01", "192.0.2.5", "192.0.2.5"),
        ("2001:db8::5", "PROD01", "2001:db8::5", "2001:db8::5"),
        ("my host", "X", "my-host", "my-host"),
        ("PR#D$1", "X", "PR-D-1", "PR#D$1"),
        ("prüd", "X", "pr-d", "pr-d"),
        ("", "", "unknown", "-"),
    ];
    for (host_name, system_name, bsd, ietf) in cases {
        let partition = Partition {
            host_name: host_name.to_owned(),
            system_name: system_name.to_owned(),
            ..Partition::default()
        };
        let ctx = FormatContext { partition: Arc::new(partition), product_version: "1".to_owned() };
        for (header, expected, position) in [(Header::Rfc3164, bsd, 4), (Header::Rfc5424, ietf, 2)] {
            let mut out = Vec::new();
            Formatter::new(&spec(FormatKind::Syslog, Some(header)), &ctx)
                .unwrap()
                .write(&heartbeat(), &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.split(' ').nth(position), Some(expected), "{text}");
        }
    }
}

#[test]
fn times_that_cannot_be_written_are_left_out() {
    let mut event = heartbeat();
    event.time_us = i64::MIN;
    assert!(line(&spec(FormatKind::Syslog, None), &event).starts_with("<110>1 - prod01.example.com muster"));
    assert!(!line(&spec(FormatKind::Leef2, None), &event).contains("devTime"));
    assert!(line(&spec(FormatKind::Cef, None), &event).contains("|1|cat=agent externalId="));
}

#[test]
fn severities_reach_each_format() {
    for (severity, pri, sev) in
        [(1, 110, "1"), (4, 109, "4"), (7, 108, "7"), (8, 107, "8"), (9, 106, "9"), (10, 106, "10")]
    {
        let mut event = heartbeat();
        event.severity = Severity::clamped(severity);
        for kind in KINDS {
            assert!(line(&spec(kind, None), &event).starts_with(&format!("<{pri}>")), "{severity}");
        }
        assert!(line(&spec(FormatKind::Leef2, None), &event).contains(&format!("^sev={sev}^")));
        assert!(line(&spec(FormatKind::Cef, None), &event).contains(&format!("|{sev}|cat=")));
    }
}

#[test]
fn limits_cut_by_characters_and_are_counted() {
    let mut event = heartbeat();
    event.clear();
    event.push(field::USER, &"ü".repeat(1_100));
    event.push(field::RAW, &"F".repeat(5_000));
    for (kind, user, raw, truncations) in [
        (FormatKind::Syslog, 1_100, 5_000, 0),
        (FormatKind::Cef, 1_023, 4_000, 2),
        (FormatKind::Leef1, 255, 5_000, 1),
        (FormatKind::Leef2, 255, 5_000, 1),
    ] {
        let mut out = Vec::new();
        let mut formatter = Formatter::new(&spec(kind, None), &context()).unwrap();
        formatter.write(&event, &mut out);
        let text = String::from_utf8(out).unwrap();
        // Only the text for people in RFC 5424 repeats a value; it stands behind the last bracket.
        let data = text.split("] ").next().unwrap();
        assert_eq!(data.matches('ü').count(), user, "{kind:?}");
        assert!(data.contains(&"F".repeat(raw)) && !data.contains(&"F".repeat(raw + 1)), "{kind:?}");
        assert_eq!(formatter.counters().truncations, truncations, "{kind:?}");
    }
}

#[test]
fn substitutions_are_counted() {
    let mut formatter = Formatter::new(&spec(FormatKind::Leef2, None), &context()).unwrap();
    let mut event = heartbeat();
    event.push(field::MESSAGE, "a^b\nc\td");
    formatter.write(&event, &mut Vec::new());
    formatter.write(&event, &mut Vec::new());
    assert_eq!(formatter.counters(), FormatCounters { substitutions: 6, truncations: 0 });
}

#[test]
fn sequence_ids_count_up() {
    let mut formatter = Formatter::new(&spec(FormatKind::Syslog, None), &context()).unwrap();
    for expected in 1..4 {
        let mut out = Vec::new();
        formatter.write(&heartbeat(), &mut out);
        assert!(String::from_utf8(out).unwrap().contains(&format!("[meta sequenceId=\"{expected}\"]")));
    }
}

#[test]
fn every_key_is_one_that_its_format_allows() {
    let mut long = Vec::new();
    for row in dictionary().rows() {
        let alphanumeric = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric());
        for naming in [leef::naming(row), cef::naming(row)] {
            for key in [&naming.name, &naming.meaning, &naming.own] {
                assert!(alphanumeric(key), "{key} of {}", row.keyword);
            }
        }
        let naming = rfc5424::naming(row);
        for name in [&naming.name, &naming.meaning] {
            assert!((1..=30).contains(&name.len()), "{name} of {}", row.keyword);
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
        }
        long.push(naming.name);
    }
    let count = long.len();
    long.sort();
    long.dedup();
    assert_eq!(long.len(), count, "two keywords become the same name when shortened to 30 characters");
}

/// What a reader makes of a payload: pairs in their order.
type Pairs = Vec<(String, String)>;

/// Splits LEEF as QRadar does: header at pipes, attributes at the delimiter, each at its first `=`.
fn read_leef(text: &str, version: u8) -> Pairs {
    let payload = &text[text.find("LEEF:").unwrap()..];
    let mut parts = payload.splitn(if version == 1 { 6 } else { 7 }, '|');
    assert_eq!(parts.next().unwrap(), format!("LEEF:{version}.0"));
    assert_eq!((parts.next(), parts.next(), parts.next()), (Some("Muster"), Some("IBM i"), Some("0.1.0")));
    parts.next().unwrap();
    let delimiter = if version == 1 { "\t" } else { parts.next().unwrap() };
    parts
        .next()
        .unwrap()
        .split(delimiter)
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// Splits CEF: header at pipes without backslash; an extension key is the word before an `=` without
/// backslash, its value ends before the blank in front of the next key.
fn read_cef(text: &str) -> Pairs {
    let payload = &text[text.find("CEF:").unwrap()..];
    let unescaped = |text: &str, wanted: char| -> Vec<usize> {
        let mut found = Vec::new();
        let mut escaped = false;
        for (position, c) in text.char_indices() {
            if c == wanted && !escaped {
                found.push(position);
            }
            escaped = c == '\\' && !escaped;
        }
        found
    };
    let extension = &payload[unescaped(payload, '|')[6] + 1..];
    let equals = unescaped(extension, '=');
    let key_start = |end: usize| extension[..end].rfind(' ').map_or(0, |blank| blank + 1);
    let mut pairs = Vec::new();
    for (number, position) in equals.iter().enumerate() {
        let end = equals.get(number + 1).map_or(extension.len(), |next| key_start(*next) - 1);
        let mut value = String::new();
        let mut characters = extension[position + 1..end].chars();
        while let Some(c) = characters.next() {
            value.push(match (c, c == '\\') {
                (_, true) => match characters.next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    other => other,
                },
                (c, false) => c,
            });
        }
        pairs.push((extension[key_start(*position)..*position].to_owned(), value));
    }
    pairs
}

/// Reads ` key="value"` pairs, with backslash escapes, until something else comes; gives the rest too.
fn read_quoted(mut text: &str) -> (Pairs, &str) {
    let mut pairs = Vec::new();
    while let Some(rest) = text.strip_prefix(' ') {
        let Some((key, rest)) = rest.split_once("=\"") else { break };
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            let (position, c) = characters.next().unwrap();
            match c {
                '"' => break position + 1,
                '\\' => value.push(characters.next().unwrap().1),
                c => value.push(c),
            }
        };
        pairs.push((key.to_owned(), value));
        text = &rest[end..];
    }
    (pairs, text)
}

fn read(kind: FormatKind, header: Header, text: &str) -> Pairs {
    match (kind, header) {
        (FormatKind::Leef1, _) => read_leef(text, 1),
        (FormatKind::Leef2, _) => read_leef(text, 2),
        (FormatKind::Cef, _) => read_cef(text),
        (FormatKind::Syslog, Header::Rfc3164) => {
            let (pairs, rest) = read_quoted(text.split_once(" muster:").unwrap().1);
            assert_eq!(rest, "");
            pairs
        }
        (FormatKind::Syslog, Header::Rfc5424) => {
            let (pairs, rest) = read_quoted(text.split_once("[muster@32473").unwrap().1);
            assert!(rest.starts_with("][meta sequenceId=\"1\"] Authority failure"), "{rest}");
            pairs
        }
    }
}

fn is_pair(id: FieldId) -> bool {
    dictionary().get(id).keyword == "app_field"
}

/// What a value is expected to be after it was written and read.
fn arrives_as(kind: FormatKind, id: FieldId, value: &str) -> String {
    let row = dictionary().get(id);
    // The key of a pair is made of its front part.
    let value = value.split_once('=').filter(|_| is_pair(id)).map_or(value, |(_, value)| value);
    let space = |c: char| match kind {
        FormatKind::Cef => c.is_ascii_control() && c != '\n' && c != '\r',
        FormatKind::Leef2 => c.is_ascii_control() || c == '^',
        FormatKind::Leef1 | FormatKind::Syslog => c.is_ascii_control(),
    };
    let value: String = value.chars().map(|c| if space(c) { ' ' } else { c }).collect();
    let limit = match kind {
        FormatKind::Cef if row.cef_max > 0 => row.cef_max,
        FormatKind::Leef1 | FormatKind::Leef2 => leef::naming(row).limit,
        FormatKind::Cef | FormatKind::Syslog => 0,
    };
    let limit = if limit == 0 { usize::MAX } else { limit };
    if kind == FormatKind::Cef {
        let cut: String = value.trim_matches(' ').chars().take(limit).collect();
        return cut.trim_end_matches(' ').to_owned();
    }
    value.chars().take(limit).collect()
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[A-Z0-9]{1,10}",
        3 => r#"[|=^\\"\[\] a-z\n\r\t\x00\x7f]{0,24}"#,
        2 => any::<String>(),
        1 => "é{250,260}",
        1 => Just("192.0.2.1".to_owned()),
        1 => Just("2001:db8::1".to_owned()),
    ]
}

proptest! {
    #[test]
    fn readers_get_back_what_was_put_in(
        values in proptest::collection::vec((0_usize..dictionary().rows().len(), value(), any::<bool>()), 0..20)
    ) {
        let mut event = authority_failure();
        event.clear();
        for (row, text, coded) in &values {
            let id = FieldId(*row as u16);
            // A pair of an application has no meaning of ours.
            let meaning = (*coded && !is_pair(id)).then_some("a meaning = with \"care\"");
            event.push_with(id, meaning, |out| out.push_str(text));
        }
        for kind in KINDS {
            for header in [Header::Rfc3164, Header::Rfc5424] {
                let text = line(&spec(kind, Some(header)), &event);
                prop_assert!(!text.bytes().any(|b| (b < 0x20 && !(b == b'\t' && kind == FormatKind::Leef1)) || b == 0x7f));
                let pairs = read(kind, header, &text);
                let unique: BTreeMap<_, _> = pairs.iter().cloned().collect();
                prop_assert_eq!(unique.len(), pairs.len(), "a key stands twice: {}", text);
                let mut expected = Vec::new();
                for field in event.fields() {
                    let arrives = arrives_as(kind, field.id, event.text(field));
                    if arrives.is_empty() && (kind == FormatKind::Cef || is_pair(field.id)) {
                        continue;
                    }
                    expected.push(arrives);
                    expected.extend(field.meaning.map(str::to_owned));
                }
                let data_start = pairs.iter().position(|(k, _)| k == "osRelease" || k == "os_release").unwrap() + 1;
                let seen: Vec<String> = pairs[data_start..]
                    .iter()
                    .filter(|(key, _)| !key.ends_with("Label"))
                    .map(|(_, value)| value.clone())
                    .collect();
                prop_assert_eq!(seen, expected, "{}", text);
            }
        }
    }
}
