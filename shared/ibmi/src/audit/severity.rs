//! Severities that depend on what an entry holds: rows of `audit-severities.csv`, compiled to comparisons of
//! bytes. All values are upper-case letters, digits and `*_#`, of which the tables use only those that lie
//! at the same place in every EBCDIC page.

use super::tables::FieldRow;
use crate::blank::{is_empty_byte, trimmed};
use crate::ebcdic;
use muster_shared::severity::Severity;

/// Sets a severity when all its conditions hold.
#[derive(Debug)]
pub(crate) struct SeverityRule {
    severity: Severity,
    conditions: Vec<Condition>,
}

/// `field = one of` or `field != one of`.
#[derive(Debug)]
struct Condition {
    start: usize,
    end: usize,
    negated: bool,
    /// Values that the whole field has to be, sorted; an empty one stands for an empty field.
    values: Vec<Vec<u8>>,
    /// Values that the field only has to begin with.
    prefixes: Vec<Vec<u8>>,
    /// For a field of one byte: one bit for each byte that is a value.
    bytes: [u64; 4],
}

impl SeverityRule {
    /// Compiles `Field=A|B & Other field!=Y`; `blank` stands for an empty field, a `*` at the end of a value
    /// for any rest.
    pub(crate) fn compile(severity: u8, when: &str, fields: &[&FieldRow]) -> Self {
        let conditions = when.split(" & ").map(|condition| Condition::compile(condition, fields)).collect();
        Self { severity: Severity::clamped(severity), conditions }
    }

    /// The severity, if the rule speaks about this data.
    pub(crate) fn severity_of(&self, data: &[u8]) -> Option<Severity> {
        self.conditions.iter().all(|condition| condition.holds(data)).then_some(self.severity)
    }
}

impl Condition {
    fn compile(text: &str, fields: &[&FieldRow]) -> Self {
        let (name, values) = text.split_once('=').expect("a condition has an equals sign");
        let negated = name.ends_with('!');
        let name = name.trim_end_matches('!');
        let row = fields.iter().find(|row| row.name == name && row.offset.is_some());
        let row = row.unwrap_or_else(|| panic!("audit-severities.csv: no field {name}"));
        let offset = row.offset.expect("checked above") as usize;
        let start = offset + if row.format == "varchar" { 2 } else { 0 };
        // A `*` in front begins a special value such as *PUBLIC; one at the end stands for any rest.
        let is_prefix = |value: &&str| value.len() > 1 && value.ends_with('*');
        let (prefixes, values): (Vec<&str>, Vec<&str>) = values.split('|').partition(is_prefix);
        let bytes = |value: &str| if value == "blank" { Vec::new() } else { invariant_bytes(value) };
        let mut values: Vec<Vec<u8>> = values.into_iter().map(bytes).collect();
        values.sort();
        let prefixes =
            prefixes.into_iter().map(|prefix| invariant_bytes(&prefix[..prefix.len() - 1])).collect();
        let mut bytes = [0; 4];
        for byte in values.iter().filter_map(|value| value.first()) {
            bytes[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        Self { start, end: offset + row.length as usize, negated, values, prefixes, bytes }
    }

    fn holds(&self, data: &[u8]) -> bool {
        if self.end - self.start == 1
            && let Some(byte) = data.get(self.start).filter(|byte| !is_empty_byte(**byte))
        {
            return (self.bytes[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1) != self.negated;
        }
        let end = self.end.min(data.len());
        let field = trimmed(data.get(self.start..end).unwrap_or_default());
        let found = self.values.binary_search_by(|value| value.as_slice().cmp(field)).is_ok()
            || self.prefixes.iter().any(|prefix| field.starts_with(prefix));
        found != self.negated
    }
}

/// EBCDIC bytes of a text of the tables, the same in every page.
pub(crate) fn invariant_bytes(text: &str) -> Vec<u8> {
    let page = ebcdic::code_page(37).expect("page 37 is there");
    text.chars().map(|c| page.byte_of(c).unwrap_or_else(|| panic!("{text} has no EBCDIC form"))).collect()
}
