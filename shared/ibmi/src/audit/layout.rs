//! The layout of each entry type, built once from the tables.

use super::glance::Glance;
use super::severity::SeverityRule;
use super::step::{Kind, Meanings, Named, Step, Stretch};
use super::tables::{self, FieldRow, Source, TypeRow, ValueRow};
use muster_shared::event::{self, FieldId, FieldType, dictionary};
use muster_shared::severity::Severity;
use std::sync::LazyLock;

/// Entry types are letters and digits: 36 × 36 places.
const PLACES: usize = 36 * 36;

/// What is known of one entry type, for documentation and for lists to choose from.
#[derive(Debug, Clone, Copy)]
pub struct TypeInfo {
    /// `AF`; `J-RD` for entries of journal code J; `U-*` for all user-written ones.
    pub key: &'static str,
    /// What happened, as the event's name says it.
    pub name: &'static str,
    /// Severity unless a rule sets another one.
    pub severity: Severity,
    /// Audit values that make the system write the type, each with where that is known from.
    pub audited_by: &'static str,
    /// Where type and name are known from.
    pub source: Source,
}

/// All entry types that are known, in the order of the table.
#[must_use]
pub fn types() -> Vec<TypeInfo> {
    LAYOUTS.list.iter().map(|layout| layout.info).collect()
}

#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) info: TypeInfo,
    pub(crate) rules: Vec<SeverityRule>,
    /// By rising offset.
    pub(crate) steps: Vec<Step>,
    /// One for each step.
    pub(crate) glances: Vec<Glance>,
    /// What no trusted row covers, by rising offset; the last stretch has no end.
    pub(crate) uncovered: Vec<Stretch>,
    /// End of the last trusted row.
    pub(crate) trusted_end: u32,
    /// The first byte is the subtype.
    pub(crate) has_subtype: bool,
    /// The layout fills the object fields itself, so the header's object is not for them.
    pub(crate) names_object: bool,
}

#[derive(Debug)]
pub(crate) struct Layouts {
    list: Vec<Layout>,
    /// Index into `list` plus one, by [`place`]; 0 is unknown.
    audit: Vec<u16>,
    journal: Vec<u16>,
    user: Option<usize>,
    /// For types that are not known: no steps, everything uncovered.
    pub(crate) unknown: Layout,
}

/// The layouts of this build.
pub(crate) static LAYOUTS: LazyLock<Layouts> = LazyLock::new(build);

impl Layouts {
    /// Layout of a type, if it is known.
    pub(crate) fn find(&self, code: u8, entry_type: [u8; 2]) -> Option<&Layout> {
        let table = match code {
            b'T' => &self.audit,
            b'J' => &self.journal,
            b'U' => return self.user.map(|index| &self.list[index]),
            _ => return None,
        };
        let index = table[place(entry_type)?];
        self.list.get(usize::from(index).checked_sub(1)?)
    }
}

fn place(entry_type: [u8; 2]) -> Option<usize> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(usize::from(byte - b'0')),
        b'A'..=b'Z' => Some(usize::from(byte - b'A') + 10),
        _ => None,
    };
    Some(digit(entry_type[0])? * 36 + digit(entry_type[1])?)
}

fn build() -> Layouts {
    let (fields, values, severities) = (tables::field_rows(), tables::value_rows(), tables::severity_rows());
    let mut layouts = Layouts {
        list: Vec::new(),
        audit: vec![0; PLACES],
        journal: vec![0; PLACES],
        user: None,
        unknown: layout(&UNKNOWN, &[], &[]),
    };
    for (index, row) in tables::type_rows().iter().enumerate() {
        let own: Vec<&FieldRow> = fields.iter().filter(|field| field.key == row.key).collect();
        let own_values: Vec<&ValueRow> =
            values.iter().filter(|value| value.keys.split(' ').any(|key| key == row.key)).collect();
        let mut layout = layout(row, &own, &own_values);
        let rules = severities.iter().filter(|severity| severity.key == row.key);
        layout.rules = rules.map(|rule| SeverityRule::compile(rule.severity, rule.when, &own)).collect();
        layouts.list.push(layout);
        match row.key.split_once('-') {
            Some(("U", _)) => layouts.user = Some(index),
            Some((_, journal)) => layouts.journal[place_of(journal)] = index as u16 + 1,
            None => layouts.audit[place_of(row.key)] = index as u16 + 1,
        }
    }
    layouts
}

const UNKNOWN: TypeRow = TypeRow {
    key: "",
    name: "Unknown journal entry type",
    severity: 4,
    audited_by: "",
    source: Source::Unverified,
};

fn place_of(key: &str) -> usize {
    let entry_type = key.as_bytes().try_into().ok().and_then(place);
    entry_type.unwrap_or_else(|| panic!("audit-types.csv: {key} is no entry type"))
}

fn layout(row: &TypeRow, fields: &[&FieldRow], values: &[&ValueRow]) -> Layout {
    let mut steps: Vec<Step> = fields.iter().filter_map(|field| step(field, fields, values)).collect();
    steps.sort_by_key(|step| step.stretch.start);
    let glances = steps.iter().map(Glance::of).collect();
    let info = TypeInfo {
        key: row.key,
        name: row.name,
        severity: Severity::clamped(row.severity),
        audited_by: row.audited_by,
        source: row.source,
    };
    Layout {
        info,
        rules: Vec::new(),
        has_subtype: steps.first().is_some_and(|first| first.kind == Kind::Code && first.stretch.start == 0),
        names_object: steps.iter().any(|step| step.field == event::field::OBJECT_NAME),
        uncovered: uncovered(fields),
        trusted_end: fields
            .iter()
            .filter(|field| field.source.trusted())
            .filter_map(|f| end_of(f))
            .max()
            .unwrap_or(0),
        glances,
        steps,
    }
}

fn end_of(row: &FieldRow) -> Option<u32> {
    row.offset.map(|offset| offset + row.length)
}

/// Rows of reserved bytes cover nothing: what a newer release writes there must not get lost.
fn uncovered(fields: &[&FieldRow]) -> Vec<Stretch> {
    let covering =
        |row: &&&FieldRow| row.source.trusted() && row.field != "-reserved" && row.offset.is_some();
    let mut covered: Vec<Stretch> = fields
        .iter()
        .filter(covering)
        .filter_map(|row| Some(Stretch { start: row.offset?, end: end_of(row)? }))
        .collect();
    covered.sort_by_key(|stretch| stretch.start);
    let mut gaps = Vec::new();
    let mut at = 0;
    for stretch in covered {
        if stretch.start > at {
            gaps.push(Stretch { start: at, end: stretch.start });
        }
        at = at.max(stretch.end);
    }
    gaps.push(Stretch { start: at, end: u32::MAX });
    gaps
}

fn step(row: &FieldRow, fields: &[&FieldRow], values: &[&ValueRow]) -> Option<Step> {
    let stretch = Stretch { start: row.offset?, end: end_of(row)? };
    if row.field.is_empty() || row.field.starts_with('-') {
        return None;
    }
    let (first, second) = row.field.split_once('|').unwrap_or((row.field, row.field));
    let field = keyword(first, row);
    Some(Step {
        stretch,
        field,
        fallback: keyword(second, row),
        kind: kind(row, fields, field),
        trusted: row.source.trusted(),
        meanings: meanings(row, values),
    })
}

fn keyword(keyword: &str, row: &FieldRow) -> FieldId {
    let id = dictionary().find(keyword);
    id.unwrap_or_else(|| {
        panic!("audit-fields.csv: {} {}: no field {keyword} in the dictionary", row.key, row.name)
    })
}

fn kind(row: &FieldRow, fields: &[&FieldRow], field: FieldId) -> Kind {
    let whole_number = dictionary().get(field).field_type == FieldType::Integer;
    let named = |prefixed, utf16| {
        let (length_at, ccsid_at) = (row.length_at, row.ccsid_at);
        let length_trusted =
            fields.iter().any(|f| length_at.is_some() && f.offset == length_at && f.source.trusted());
        Kind::Named(Box::new(Named { prefixed, utf16, length_at, length_trusted, ccsid_at }))
    };
    match row.format {
        "char" if field == event::field::COMMAND => Kind::Command,
        "char" if row.length_at.is_some() || row.ccsid_at.is_some() => named(false, false),
        "char" if whole_number => Kind::Digits,
        "char" if row.length == 1 => Kind::Code,
        "char" => Kind::Text,
        "names" => Kind::Names,
        "hex" => Kind::Hex,
        "bin" => Kind::Binary,
        "zoned" if whole_number => Kind::Zoned,
        "zoned" => Kind::ZonedText,
        "packed" => Kind::Packed,
        "timestamp" => Kind::Timestamp,
        "varchar" => named(true, false),
        "unicode" => named(false, true),
        other => panic!("audit-fields.csv: {} {}: format {other} is unknown", row.key, row.name),
    }
}

fn meanings(row: &FieldRow, values: &[&ValueRow]) -> Option<Meanings> {
    let own = values.iter().filter(|value| value.name == row.name);
    let own: Vec<(&str, &'static str)> = own.map(|value| (value.value, value.meaning)).collect();
    if own.is_empty() { None } else { Some(Meanings::new(row.format, row.length, &own)) }
}
