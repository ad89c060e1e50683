//! From what was put in to what an event must hold, before any format has its say.

use super::input::{SECRET, Written};
use super::tables::{Row, Tables};
use ibmi_sim::PutEntry;
use std::collections::BTreeMap;

/// A field that the event must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) keyword: String,
    pub(super) value: String,
    pub(super) meaning: Option<String>,
}

fn fact(keyword: &str, value: impl Into<String>) -> Fact {
    Fact { keyword: keyword.to_owned(), value: value.into(), meaning: None }
}

/// Fields of the journal header and of the entry data, in the order in which repeated keys are numbered.
/// `written` is what a user-written entry says.
///
/// # Panics
/// When something was put in that no row of the layout explains.
pub(super) fn facts(tables: &Tables, entry: &PutEntry, written: Option<&Written>) -> Vec<Fact> {
    let mut facts = header(entry);
    if let Some(written) = written {
        facts.push(fact("message", &written.text));
        facts.extend(written.says.iter().map(|(keyword, value)| fact(keyword, *value)));
    }
    let mut left: Vec<_> = entry.fields.iter().filter(|_| entry.code != "U").collect();
    for row in tables.rows_of(entry) {
        let Some(position) = left.iter().position(|put| put.name == row.name) else {
            assert!(row.is_reserved(), "{} {} was not put in", entry.entry_type, row.name);
            continue;
        };
        let put = left.remove(position);
        let Some(mut keyword) = row.keyword() else { continue };
        if let Some((_, second)) = row.field.split_once('|')
            && entry.remote_address.is_some()
        {
            keyword = second;
        }
        let Some(value) = value(row, &put.text) else { continue };
        let meaning = match row.format.as_str() {
            "char" if row.field == "command" || row.is_number() => None,
            "char" | "packed" | "varchar" => {
                tables.meaning(&entry.entry_type, &row.name, &value).map(str::to_owned)
            }
            _ => None,
        };
        facts.push(Fact { keyword: keyword.to_owned(), value, meaning });
    }
    assert!(left.is_empty(), "{}: no row for {left:?}", entry.entry_type);
    facts.retain(|fact| !fact.value.is_empty());
    facts
}

fn header(entry: &PutEntry) -> Vec<Fact> {
    let port = entry.remote_port.filter(|port| *port != 0).map(|port| port.to_string());
    vec![
        fact("user", &entry.user),
        fact("job_name", &entry.job_name),
        fact("job_user", &entry.job_user),
        fact("job_number", &entry.job_number),
        fact("program", &entry.program),
        fact("program_library", &entry.program_library),
        fact("remote_address", entry.remote_address.clone().unwrap_or_default()),
        fact("remote_port", port.unwrap_or_default()),
    ]
}

/// What a faithful reader makes of the put text; none where the field says nothing.
fn value(row: &Row, put: &str) -> Option<String> {
    Some(match row.format.as_str() {
        "char" if row.field == "command" => put.replace(&format!("PASSWORD({SECRET})"), "PASSWORD(********)"),
        "char" if row.is_number() && !put.is_empty() => {
            put.parse::<i64>().unwrap_or_else(|_| panic!("{} holds {put:?}", row.name)).to_string()
        }
        "names" => {
            let all: Vec<char> = put.chars().collect();
            let names = all.chunks(10).map(|name| name.iter().collect::<String>().trim_end().to_owned());
            names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" ")
        }
        "hex" => (!put.bytes().all(|digit| digit == b'0')).then(|| put.to_owned())?,
        "bin" => (put != "0").then(|| put.to_owned())?,
        // Names made of digits keep all of them.
        "zoned" if !row.is_number() => format!("{put:0>width$}", width = row.length),
        "timestamp" if put.len() == 26 => {
            format!("{}T{}:{}:{}", &put[..10], &put[11..13], &put[14..16], &put[17..])
        }
        // Blanks at the end of a text are filling, in every encoding.
        _ => put.trim_end_matches(' ').to_owned(),
    })
}

/// `AF_A`: type, and the first byte where it is a code.
pub(super) fn event_id(tables: &Tables, entry: &PutEntry) -> String {
    if entry.code != "T" {
        return format!("{}_{}", entry.code, entry.entry_type);
    }
    let first = tables.rows(&entry.entry_type).first();
    let coded = first.filter(|row| row.offset == 0 && row.length == 1 && row.format == "char");
    match coded.and_then(|row| entry.field(&row.name)?.chars().next()) {
        Some(code) if code.is_ascii_alphanumeric() => format!("{}_{code}", entry.entry_type),
        Some(_) => format!("{}_x", entry.entry_type),
        None => entry.entry_type.clone(),
    }
}

/// Compares `raw` with the bytes of the entry: what no trusted row covers must be there, nothing else may be.
///
/// # Errors
/// The first difference.
pub(super) fn check_raw(tables: &Tables, entry: &PutEntry, raw: Option<&String>) -> Result<(), String> {
    let mut told = BTreeMap::new();
    for piece in raw.map(|raw| raw.split(',')).into_iter().flatten() {
        let (offset, digits) = piece.split_once(':').ok_or_else(|| format!("raw piece {piece:?}"))?;
        let offset: usize = offset.parse().map_err(|_| format!("raw piece {piece:?}"))?;
        for (position, pair) in digits.as_bytes().chunks(2).enumerate() {
            let pair = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
            let byte = u8::from_str_radix(pair, 16).map_err(|_| format!("raw digits {pair:?}"))?;
            if told.insert(offset + position, byte).is_some() {
                return Err(format!("raw has byte {} twice", offset + position));
            }
        }
    }
    let covers = |row: &&Row| row.trusted && row.field != "-reserved";
    let rows: Vec<&Row> = tables.rows_of(entry).iter().filter(covers).collect();
    let says_something = |byte: u8| byte != 0x40 && byte != 0;
    for (at, byte) in entry.data.iter().enumerate().filter(|_| entry.code != "U") {
        let covered = rows.iter().any(|row| (row.offset..row.offset + row.length).contains(&at));
        match told.remove(&at) {
            Some(raw) if raw != *byte => return Err(format!("raw has {raw:02X} for {byte:02X} at {at}")),
            Some(_) if covered => return Err(format!("raw repeats byte {at}, which a field holds")),
            None if !covered && says_something(*byte) => return Err(format!("byte {at} is nowhere")),
            Some(_) | None => {}
        }
    }
    if told.is_empty() { Ok(()) } else { Err(format!("raw has bytes that were not put in: {told:?}")) }
}
