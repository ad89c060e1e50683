//! What is put into the journal: every entry type that has a layout, several times, with every code that a
//! field may hold, texts full of what formats must escape or replace, and everyday traffic.

use super::tables::{Row, Tables};
use ibmi_sim::InjectSpec;
use muster_tests::partition::Partition;
use std::collections::BTreeMap;

/// A password that no message may show.
pub(super) const SECRET: &str = "GEHEIM1";

/// Entries of each story.
pub(super) const EVENTS: usize = 1_000;

/// A code page and what only it can say.
pub(super) struct Tongue {
    pub(super) ccsid: u16,
    pub(super) national: &'static str,
    pub(super) user: &'static str,
}

/// Writes all entries. Gives the texts of the user-written ones by sequence number.
pub(super) fn put(partition: &Partition, tables: &Tables, tongue: &Tongue) -> BTreeMap<u64, String> {
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
    let texts = written.into_iter().map(|(spec, text)| (inject(&spec), text)).collect();
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

fn user_written(tongue: &Tongue) -> Vec<(InjectSpec, String)> {
    let texts =
        ["PAYROLL CLOSED".to_owned(), format!("{} user=BOB ^ | \" ]", tongue.national), "W".repeat(1_100)];
    let specs = texts.into_iter().enumerate().map(|(variant, text)| {
        let mut spec = head(tongue, "00", variant).with("data", &text);
        spec.code = "U".to_owned();
        (spec, text)
    });
    specs.collect()
}
