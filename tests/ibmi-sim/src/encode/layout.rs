//! The simulator's copy of the layout tables, read by its own code.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::record::Record;

/// How the bytes of a field are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// EBCDIC text, padded with blanks.
    Char,
    /// Signed big-endian.
    Bin,
    /// Zoned decimal.
    Zoned,
    /// Packed decimal.
    Packed,
    /// Raw bytes.
    Hex,
    /// UTF-16.
    Unicode,
    /// EBCDIC text behind a two-byte length.
    Varchar,
    /// `yyyy-mm-dd-hh.mm.ss.uuuuuu` as EBCDIC text.
    Timestamp,
}

/// One row of the layout table.
#[derive(Debug, Clone)]
pub struct Field {
    /// Name.
    pub name: String,
    /// First byte in the entry data; unknown for some fields, which are then never written.
    pub offset: Option<usize>,
    /// Bytes.
    pub length: usize,
    /// Kind of bytes.
    pub kind: FieldType,
    /// Digits of a decimal.
    pub digits: usize,
}

static LAYOUTS: LazyLock<BTreeMap<String, Vec<Field>>> = LazyLock::new(|| {
    let mut layouts: BTreeMap<String, Vec<Field>> = BTreeMap::new();
    for row in rows(include_str!("../../data/audit-entry-fields.csv")) {
        let (Some(entry_type), Some(name), Some(offset), Some(length), Some(kind)) =
            (row.get(0), row.get(2), row.get(3), row.get(4), row.get(5))
        else {
            continue;
        };
        let Ok(length) = length.parse() else { continue };
        let (word, digits) = kind.split_once('(').unwrap_or((kind, ""));
        let digits = digits.trim_end_matches(')').parse().unwrap_or(length);
        let kind = match word {
            "BIN" => FieldType::Bin,
            "ZONED" => FieldType::Zoned,
            "PACKED" => FieldType::Packed,
            "HEX" => FieldType::Hex,
            "UNICODE" => FieldType::Unicode,
            "VARCHAR" => FieldType::Varchar,
            "TIMESTAMP" => FieldType::Timestamp,
            _ => FieldType::Char,
        };
        layouts.entry(entry_type.to_owned()).or_default().push(Field {
            name: name.to_owned(),
            offset: offset.parse().ok(),
            length,
            kind,
            digits,
        });
    }
    layouts
});

static VALUES: LazyLock<BTreeMap<(String, String), Vec<String>>> = LazyLock::new(|| {
    let mut values: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in rows(include_str!("../../data/audit-entry-values.csv")) {
        if let (Some(entry_type), Some(field), Some(value)) = (row.get(0), row.get(1), row.get(2)) {
            let value = if value == "blank" { "" } else { value };
            values.entry((entry_type.to_owned(), field.to_owned())).or_default().push(value.to_owned());
        }
    }
    values
});

fn rows(text: &'static str) -> impl Iterator<Item = csv::StringRecord> {
    csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes())
        .into_records()
        .filter_map(Result::ok)
}

/// All entry types that the tables know.
#[cfg(test)]
pub fn types() -> impl Iterator<Item = &'static str> {
    LAYOUTS.keys().map(String::as_str)
}

/// The fields of a type, in the order of the table.
#[must_use]
pub fn layout(entry_type: &str) -> Option<&'static [Field]> {
    LAYOUTS.get(entry_type).map(Vec::as_slice)
}

/// The codes that a field may hold, where the tables list them.
#[must_use]
pub fn coded_values(entry_type: &str, field: &str) -> &'static [String] {
    VALUES.get(&(entry_type.to_owned(), field.to_owned())).map_or(&[], Vec::as_slice)
}

/// Is this row only filling?
#[must_use]
fn is_reserved(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("reserved")
}

/// Writes an entry from the table: rows in the order of their offsets, holes as blanks, a row that begins
/// inside an earlier one left out.
pub(super) fn write(entry_type: &str, record: &mut Record<'_>) -> Option<()> {
    let mut fields: Vec<(usize, &Field)> =
        layout(entry_type)?.iter().filter_map(|field| field.offset.map(|offset| (offset, field))).collect();
    fields.sort_by_key(|(offset, _)| *offset);
    let end = fields.iter().map(|(offset, field)| offset + field.length).max().unwrap_or(0);
    for (offset, field) in fields {
        if offset < record.position() {
            continue;
        }
        record.seek(offset);
        let (name, length) = (field.name.as_str(), field.length);
        if is_reserved(name) {
            record.reserved(length);
            continue;
        }
        match field.kind {
            FieldType::Char | FieldType::Timestamp => record.text(name, length),
            FieldType::Bin => record.binary(name, length),
            FieldType::Zoned => record.zoned(name, length),
            FieldType::Packed => record.packed(name, field.digits),
            FieldType::Hex => record.hex(name, length),
            FieldType::Unicode => record.unicode(name, length),
            FieldType::Varchar => record.varying(name, length),
        }
    }
    record.seek(end);
    Some(())
}
