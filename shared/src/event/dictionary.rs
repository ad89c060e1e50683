//! The field dictionary: for each field its keyword and its names in ECS, LEEF and CEF. It is data
//! (`dictionary.csv`), one row a field, so that a new source adds rows, not code.

use super::FieldId;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What values a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// An IPv4 or IPv6 address; anything else is not written to a key that allows addresses only.
    Address,
    /// Upper-case hexadecimal digits.
    Hex,
}

/// One row of the dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDef {
    /// Number of the row.
    pub id: FieldId,
    /// Keyword of `key=value` formats, lower case with underscores.
    pub keyword: String,
    /// Name in Elastic Common Schema; own fields live below `ibmi.`.
    pub ecs: String,
    /// Key in LEEF: a predefined one or our own, never a predefined one with another meaning.
    pub leef: String,
    /// Key in CEF.
    pub cef: String,
    /// CEF label of a custom string (`cs1` → `cs1Label=…`); empty for other keys.
    pub cef_label: String,
    /// Most characters that the CEF key may hold; 0 means no limit.
    pub cef_max: usize,
    /// What it holds.
    pub field_type: FieldType,
    /// One line for `docs/fields.md`.
    pub description: String,
}

/// All fields.
#[derive(Debug)]
pub struct Dictionary {
    rows: Vec<FieldDef>,
    by_keyword: HashMap<String, FieldId>,
}

impl Dictionary {
    /// The row of a field. Every [`FieldId`] that exists was given out by this dictionary.
    #[must_use]
    pub fn get(&self, id: FieldId) -> &FieldDef {
        &self.rows[id.0 as usize]
    }

    /// Field of a keyword.
    #[must_use]
    pub fn find(&self, keyword: &str) -> Option<FieldId> {
        self.by_keyword.get(keyword).copied()
    }

    /// All rows by number.
    #[must_use]
    pub fn rows(&self) -> &[FieldDef] {
        &self.rows
    }
}

/// The dictionary of this build.
#[must_use]
pub fn dictionary() -> &'static Dictionary {
    static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| parse(include_str!("dictionary.csv")));
    &DICTIONARY
}

/// Parses the checked-in table. A mistake in it is a mistake in the build, found by the first test that
/// uses it, hence the panics.
fn parse(text: &str) -> Dictionary {
    let mut rows = Vec::new();
    let mut by_keyword = HashMap::new();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    for (number, record) in reader.records().enumerate() {
        let record = record.expect("dictionary.csv is well-formed");
        let id = FieldId(u16::try_from(number).expect("fewer than 65,536 fields"));
        let row = FieldDef {
            id,
            keyword: record[0].to_owned(),
            ecs: record[1].to_owned(),
            leef: record[2].to_owned(),
            cef: record[3].to_owned(),
            cef_label: record[4].to_owned(),
            cef_max: record[5].parse().expect("cef_max is a number"),
            field_type: match &record[6] {
                "text" => FieldType::Text,
                "integer" => FieldType::Integer,
                "address" => FieldType::Address,
                "hex" => FieldType::Hex,
                other => panic!("field type {other} of {} is unknown", &record[0]),
            },
            description: record[7].to_owned(),
        };
        assert!(by_keyword.insert(row.keyword.clone(), id).is_none(), "keyword {} stands twice", row.keyword);
        rows.push(row);
    }
    Dictionary { rows, by_keyword }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::field;

    #[test]
    fn named_fields_are_the_first_rows() {
        for (position, (id, keyword)) in field::NAMED.iter().enumerate() {
            assert_eq!(id.0 as usize, position);
            assert_eq!(dictionary().get(*id).keyword, *keyword);
        }
    }
}
