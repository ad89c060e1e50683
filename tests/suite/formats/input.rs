//! What is put into the journal: every entry type that has a layout, several times, with every code that a
//! field may hold, texts full of what formats must escape or replace, and everyday traffic.

use super::tables::{Row, Tables};
use ibmi_sim::InjectSpec;
use muster_tests::partition::Partition;
use std::collections::BTreeMap;

/// A password that no message may show.
pub(super) const SECRET: &str = "GEHEIM1";

/// Entries of each story, without the journal's own.
pub(super) const EVENTS: usize = 1_000;

/// What a user-written entry says.
pub(super) struct Written {
    /// Its text.
    pub(super) text: String,
    /// What follows from it besides the message: keyword and value.
    pub(super) says: Vec<(&'static str, &'static str)>,
    /// Severity that the text gives.
    pub(super) severity: Option<u8>,
}

/// A code page and what only it can say.
pub(super) struct Tongue {
    pub(super) ccsid: u16,
    pub(super) national: &'static str,
    pub(super) user: &'static str,
}

/// Writes all entries. Gives what the user-written ones say by sequence number.
pub(super) fn put(partition: &Partition, tables: &Tables, tongue: &Tongue) -> BTreeMap<u64, Written> {
    let mut count = 0;
    let mut inject = |spec: &InjectSpec| {
        count += 1;
        partition.inject(spec).unwrap_or_else(|error| panic!("{} is written: {error}", spec.entry_type))
    };
    for entry_type in tables.types() {
        let rows = tables.rows(entry_type);
        let most_codes = rows.iter().map(|row| tables.codes(entry_type, &row.name).len()).max().unwrap_or(0);
        for variant in 0..most_codes.clamp(4, 13) {
            inject(&spec(tables, tongue, entry_type, variant));
        }
    }
    let written = user_written(tongue);
    let texts = written.into_iter().map(|(spec, written)| (inject(&spec), written)).collect();
    assert!((500..900).contains(&count), "{count} entries of all types leave no room for everyday ones");
    assert_eq!(partition.append_mix(EVENTS - count), EVENTS - count);
    texts
}

fn head(tongue: &Tongue, entry_type: &str, variant: usize) -> InjectSpec {
    let user = if variant.is_multiple_of(2) { tongue.user } else { "BOB" };
    let mut spec = InjectSpec::new(entry_type, user);
    spec.job = format!("{:06}/{user}/NIGHT{variant}", 4_711 + variant);
    spec.program = "PAYROLL/PAY100".to_owned();
    spec.remote_address = match variant % 4 {
        0 => None,
        1 => Some("2001:db8:20::17".to_owned()),
        _ => Some(format!("10.20.1.{variant}")),
    };
    spec.remote_port = Some(40_000 + variant as u16);
    spec
}

fn spec(tables: &Tables, tongue: &Tongue, entry_type: &str, variant: usize) -> InjectSpec {
    let rows = tables.rows(entry_type);
    let mut spec = head(tongue, entry_type, variant);
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_reserved()) {
        if let Some(value) = value(tables, tongue, entry_type, row, index, variant) {
            spec.fields.insert(row.name.clone(), value);
        }
    }
    // Lengths and CCSIDs tell the truth about the text that they belong to.
    for row in rows.iter().filter(|row| matches!(row.format.as_str(), "unicode" | "varchar" | "char")) {
        let text = spec.fields.get(&row.name).cloned().unwrap_or_default();
        let text: String = text.chars().take(text_room(row)).collect();
        let at = |offset: Option<usize>| rows.iter().find(|other| Some(other.offset) == offset);
        if let Some(length) = at(row.length_at) {
            let bytes =
                if row.format == "unicode" { text.encode_utf16().count() * 2 } else { text.chars().count() };
            spec.fields.insert(length.name.clone(), bytes.to_string());
        }
        if let Some(ccsid) = at(row.ccsid_at) {
            let own = if variant.is_multiple_of(2) { tongue.ccsid } else { 0 };
            let number = if row.format == "unicode" { 1_200 } else { own };
            spec.fields.insert(ccsid.name.clone(), number.to_string());
        }
    }
    spec
}

fn text_room(row: &Row) -> usize {
    match row.format.as_str() {
        "unicode" => row.length / 2,
        "varchar" => row.length - 2,
        _ => row.length,
    }
}

fn value(
    tables: &Tables,
    tongue: &Tongue,
    entry_type: &str,
    row: &Row,
    index: usize,
    variant: usize,
) -> Option<String> {
    let codes = tables.codes(entry_type, &row.name);
    let code = codes.get(variant % codes.len().max(1)).filter(|_| variant < codes.len() || row.offset == 0);
    if let Some(code) = code {
        return Some((*code).to_owned());
    }
    let turn = variant + index;
    let number = (variant * 311 + index * 17) % 10_000;
    Some(match row.format.as_str() {
        "hex" if turn % 3 == 2 => return None,
        "hex" => format!("{:02X}", turn + 1).repeat(row.length),
        "bin" if turn % 3 == 2 => "0".to_owned(),
        "bin" if turn % 7 == 6 => format!("-{}", number + 1),
        "bin" | "zoned" | "packed" => number.to_string(),
        "timestamp" => "2026-11-22-10.11.12.000013".to_owned(),
        "names" => format!("GRP1      {:<10}LAST", tongue.user),
        "char" if row.field == "command" => command(tongue, turn),
        "char" if row.field.starts_with("remote_address") => {
            ["10.9.8.7", "2001:db8:9::1", "NOADDRESS", ""][turn % 4].to_owned()
        }
        "char" if row.is_number() => format!("{:05}", number % 65_536),
        "char" if row.length == 1 => ["Y", "N", "", "4"][turn % 4].to_owned(),
        _ => text(tongue, row, turn),
    })
}

fn text(tongue: &Tongue, row: &Row, turn: usize) -> String {
    let room = text_room(row);
    match turn % 5 {
        0 => String::new(),
        1 => tongue.national.chars().cycle().take(room).collect::<String>().trim_end().to_owned(),
        2 => ["a=b|c^d", "x\"y]z\\", " in b=c x= "][turn % 3].to_owned(),
        3 if row.format == "unicode" => "Ω/ночь/日本 👩‍💻 \u{1F511}".to_owned(),
        3 => "W".repeat(room.min(1_500)),
        _ => format!("V{turn}"),
    }
}

fn command(tongue: &Tongue, turn: usize) -> String {
    match turn % 4 {
        0 => format!("CHGUSRPRF USRPRF({}) PASSWORD({SECRET}) STATUS(*ENABLED)", tongue.user),
        1 => format!("SNDMSG MSG('{} a=b^c|d') TOUSR(BOB)", tongue.national),
        2 => "CHGUSRPRF USRPRF(BOB) PASSWORD(*NONE)".to_owned(),
        _ => "WRKACTJOB".to_owned(),
    }
}

fn user_written(tongue: &Tongue) -> Vec<(InjectSpec, Written)> {
    let plain =
        ["PAYROLL CLOSED".to_owned(), format!("{} user=BOB ^ | \" ]", tongue.national), "W".repeat(1_100)];
    let plain = plain.map(|text| Written { text, says: Vec::new(), severity: None });
    let specs = plain.into_iter().chain(formatted()).enumerate().map(|(variant, written)| {
        let mut spec = head(tongue, "00", variant).with("data", &written.text);
        spec.code = "U".to_owned();
        (spec, written)
    });
    specs.collect()
}

/// Texts in a format of their own, of jobs that came over the network and of one that did not.
fn formatted() -> [Written; 3] {
    let header = |format: &'static str, severity: &'static str| {
        vec![
            ("app_format", format),
            ("app_vendor", "Acme"),
            ("app_product", "Payroll"),
            ("app_version", "2.1"),
            ("app_event_id", "SAL-7"),
            ("app_name", "Salary changed"),
            ("app_severity", severity),
            ("app_user", "ann"),
        ]
    };
    let with = |mut says: Vec<(&'static str, &'static str)>, more: &[(&'static str, &'static str)]| {
        says.extend_from_slice(more);
        says
    };
    [
        Written {
            text: "CEF:0|Acme|Payroll|2.1|SAL-7|Salary changed|9|suser=ann duser=carol order-no=12 vendor=x a=1 a=2"
                .to_owned(),
            says: with(
                header("cef", "9"),
                &[
                    ("target_user", "carol"),
                    ("app_field", "order-no=12"),
                    ("app_field", "vendor=x"),
                    ("app_field", "a=1"),
                    ("app_field", "a=2"),
                ],
            ),
            severity: Some(9),
        },
        Written {
            text: "LEEF:2.0|Acme|Payroll|2.1|SAL-7|;|eventName=Salary changed;sev=2;usrName=ann;note=a b".to_owned(),
            says: with(header("leef", "2"), &[("app_field", "note=a b")]),
            severity: Some(2),
        },
        Written {
            text: "app_vendor=Acme app_product=Payroll app_version=2.1 event_id=SAL-7 event_name=\"Salary changed\" \
                   severity=5 user=ann order=12"
                .to_owned(),
            says: with(header("key_value", "5"), &[("app_field", "order=12")]),
            severity: Some(5),
        },
    ]
}
