//! Severities that depend on what an entry holds: rows of `audit-severities.csv`, compiled to comparisons of
//! bytes. All values are upper-case letters, digits and `*_#`, of which the tables use only those that lie
//! at the same place in every EBCDIC page.

use super::tables::FieldRow;
use crate::ebcdic::{self, trimmed};
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
    values: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    bytes: Vec<u8>,
    /// The value only has to begin so.
    prefix: bool,
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
        let values = values.split('|').map(Pattern::compile).collect();
        Self { start, end: offset + row.length as usize, negated, values }
    }

    fn holds(&self, data: &[u8]) -> bool {
        let end = self.end.min(data.len());
        let field = trimmed(data.get(self.start..end).unwrap_or_default());
        self.values.iter().any(|value| value.matches(field)) != self.negated
    }
}

impl Pattern {
    fn compile(value: &str) -> Self {
        if value == "blank" {
            return Self { bytes: Vec::new(), prefix: false };
        }
        // A `*` in front begins a special value such as *PUBLIC.
        let prefix = value.len() > 1 && value.ends_with('*');
        let text = if prefix { &value[..value.len() - 1] } else { value };
        Self { bytes: invariant_bytes(text), prefix }
    }

    fn matches(&self, field: &[u8]) -> bool {
        if self.prefix { field.starts_with(&self.bytes) } else { field == self.bytes }
    }
}

/// EBCDIC bytes of a text of the tables, the same in every page.
pub(crate) fn invariant_bytes(text: &str) -> Vec<u8> {
    let page = ebcdic::code_page(37).expect("page 37 is there");
    text.chars().map(|c| page.byte_of(c).unwrap_or_else(|| panic!("{text} has no EBCDIC form"))).collect()
}
