//! The product's tables, read by code of this story: which field an entry's row becomes, what a code means,
//! which severity follows.

use ibmi_sim::PutEntry;
use muster_shared::event::{FieldType, dictionary};
use std::collections::BTreeMap;

/// One row of the layouts.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) format: String,
    /// Keyword, two with `|`, or a word that begins with `-`.
    pub(super) field: String,
    pub(super) length_at: Option<usize>,
    pub(super) ccsid_at: Option<usize>,
    /// Its bytes are not repeated in `raw`.
    pub(super) trusted: bool,
}

impl Row {
    pub(super) fn is_reserved(&self) -> bool {
        self.name.to_ascii_lowercase().starts_with("reserved")
    }

    /// The first keyword; none for rows that are no fields.
    pub(super) fn keyword(&self) -> Option<&str> {
        let first = self.field.split('|').next()?;
        (!first.is_empty() && !first.starts_with('-')).then_some(first)
    }

    /// The dictionary says that the field is a whole number.
    pub(super) fn is_number(&self) -> bool {
        let row = self.keyword().and_then(|keyword| dictionary().find(keyword));
        row.is_some_and(|id| dictionary().get(id).field_type == FieldType::Integer)
    }
}

struct Rule {
    entry_type: String,
    severity: u8,
    when: String,
}

pub(super) struct Tables {
    rows: BTreeMap<String, Vec<Row>>,
    /// (type, field) → value → meaning.
    meanings: BTreeMap<(String, String), BTreeMap<String, String>>,
    /// Key → name and severity.
    types: BTreeMap<String, (String, u8)>,
    rules: Vec<Rule>,
}

fn records(text: &str) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(text.as_bytes()).into_records().map(|record| record.expect("a table")).collect()
}

impl Tables {
    pub(super) fn read() -> Self {
        let mut tables = Self {
            rows: BTreeMap::new(),
            meanings: BTreeMap::new(),
            types: BTreeMap::new(),
            rules: Vec::new(),
        };
        for r in records(include_str!("../../../shared/ibmi/data/audit-fields.csv")) {
            let rows = tables.rows.entry(r[0].to_owned()).or_default();
            let (Ok(offset), Ok(length)) = (r[2].parse(), r[3].parse()) else { continue };
            rows.push(Row {
                name: r[1].to_owned(),
                offset,
                length,
                format: r[4].to_owned(),
                field: r[5].to_owned(),
                length_at: r[6].parse().ok(),
                ccsid_at: r[7].parse().ok(),
                trusted: matches!(&r[8], "documented" | "derived"),
            });
        }
        for rows in tables.rows.values_mut() {
            rows.sort_by_key(|row| row.offset);
        }
        for r in records(include_str!("../../../shared/ibmi/data/audit-values.csv")) {
            for entry_type in r[0].split(' ') {
                let of = tables.meanings.entry((entry_type.to_owned(), r[1].to_owned())).or_default();
                of.insert(r[2].to_owned(), r[3].to_owned());
            }
        }
        for r in records(include_str!("../../../shared/ibmi/data/audit-types.csv")) {
            tables.types.insert(r[0].to_owned(), (r[1].to_owned(), r[2].parse().expect("a severity")));
        }
        for r in records(include_str!("../../../shared/ibmi/data/audit-severities.csv")) {
            let severity = r[1].parse().expect("a severity");
            tables.rules.push(Rule { entry_type: r[0].to_owned(), severity, when: r[2].to_owned() });
        }
        tables
    }

    /// Audit entry types that have a layout.
    pub(super) fn types(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str).filter(|key| key.len() == 2)
    }

    /// Rows of a type by rising offset.
    pub(super) fn rows(&self, entry_type: &str) -> &[Row] {
        self.rows.get(entry_type).map_or(&[], Vec::as_slice)
    }

    /// Codes that a field may hold.
    pub(super) fn codes(&self, entry_type: &str, field: &str) -> Vec<&str> {
        let of = self.meanings.get(&(entry_type.to_owned(), field.to_owned()));
        of.into_iter().flat_map(|of| of.keys().map(String::as_str)).collect()
    }

    /// What a value means.
    pub(super) fn meaning(&self, entry_type: &str, field: &str, value: &str) -> Option<&str> {
        let of = self.meanings.get(&(entry_type.to_owned(), field.to_owned()))?;
        of.get(value).map(String::as_str)
    }

    /// Rows of an entry's type; none for user-written ones.
    pub(super) fn rows_of(&self, entry: &PutEntry) -> &[Row] {
        match entry.code.as_str() {
            "T" => self.rows(&entry.entry_type),
            "J" => self.rows(&format!("J-{}", entry.entry_type)),
            _ => &[],
        }
    }

    /// What the type is called.
    pub(super) fn name(&self, entry: &PutEntry) -> &str {
        &self.of_type(entry).0
    }

    fn of_type(&self, entry: &PutEntry) -> &(String, u8) {
        let key = match entry.code.as_str() {
            "T" => entry.entry_type.clone(),
            "U" => "U-*".to_owned(),
            code => format!("{code}-{}", entry.entry_type),
        };
        self.types.get(&key).unwrap_or_else(|| panic!("no name for {key}"))
    }

    /// 1 to 10: the highest of the rules that hold, or else the type's.
    pub(super) fn severity(&self, entry: &PutEntry) -> u8 {
        let own = self.rules.iter().filter(|rule| entry.code == "T" && rule.entry_type == entry.entry_type);
        let holds = |rule: &&Rule| rule.when.split(" & ").all(|condition| holds(condition, entry));
        own.filter(holds).map(|rule| rule.severity).max().unwrap_or(self.of_type(entry).1)
    }
}

/// `Field=A|B*|blank`, `Field!=A`.
fn holds(condition: &str, entry: &PutEntry) -> bool {
    let (name, values) = condition.split_once('=').expect("a condition");
    let (name, negated) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let value = entry.field(name).unwrap_or_else(|| panic!("{} has no {name}", entry.entry_type));
    let is = |wanted: &str| match wanted.strip_suffix('*') {
        Some(front) if !front.is_empty() => value.starts_with(front),
        _ => value == if wanted == "blank" { "" } else { wanted },
    };
    values.split('|').any(is) != negated
}
