//! Reads the checked-in tables. A mistake in them is a mistake in the build, found by the first test that
//! decodes anything, hence the panics.

/// Where a row of a table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Read in the vendor's documentation.
    Documented,
    /// Follows from documented rows around it.
    Derived,
    /// Known by experience only; decoded, but the bytes are kept in `raw` as well.
    Unverified,
}

impl Source {
    /// Whether a decoder may rely on the row.
    #[must_use]
    pub fn trusted(self) -> bool {
        match self {
            Self::Documented | Self::Derived => true,
            Self::Unverified => false,
        }
    }

    /// Word in the tables and in the documentation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Derived => "derived",
            Self::Unverified => "unverified",
        }
    }

    pub(crate) fn parse(word: &str) -> Self {
        [Self::Documented, Self::Derived, Self::Unverified]
            .into_iter()
            .find(|source| source.as_str() == word)
            .unwrap_or_else(|| panic!("source {word} is unknown"))
    }
}

/// Row of `audit-types.csv`.
#[derive(Debug)]
pub(crate) struct TypeRow {
    /// `AF`, `J-RD` or `U-*`.
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) severity: u8,
    pub(crate) audited_by: &'static str,
    pub(crate) source: Source,
}

/// Row of `audit-fields.csv`.
#[derive(Debug)]
pub(crate) struct FieldRow {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    /// From the start of the entry data; `None` where the place is not known.
    pub(crate) offset: Option<u32>,
    pub(crate) length: u32,
    pub(crate) format: &'static str,
    /// Keyword; `-reserved`, `-length` and `-ccsid` for rows that are no fields; two keywords with `|`
    /// where the first is used only if the journal header has not filled it.
    pub(crate) field: &'static str,
    pub(crate) length_at: Option<u32>,
    pub(crate) ccsid_at: Option<u32>,
    pub(crate) source: Source,
}

/// Row of `audit-values.csv`.
#[derive(Debug)]
pub(crate) struct ValueRow {
    /// Entry types, separated by blanks.
    pub(crate) keys: &'static str,
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    pub(crate) meaning: &'static str,
    /// Only the documentation asks: a meaning does not change how bytes are kept.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(crate) source: Source,
}

/// Row of `audit-severities.csv`.
#[derive(Debug)]
pub(crate) struct SeverityRow {
    pub(crate) key: &'static str,
    pub(crate) severity: u8,
    pub(crate) when: &'static str,
}

pub(crate) fn type_rows() -> Vec<TypeRow> {
    rows(include_str!("../../data/audit-types.csv"), |r| TypeRow {
        key: keep(&r[0]),
        name: keep(&r[1]),
        severity: number(&r[2]).expect("a severity"),
        audited_by: keep(&r[3]),
        source: Source::parse(&r[4]),
    })
}

pub(crate) fn field_rows() -> Vec<FieldRow> {
    rows(include_str!("../../data/audit-fields.csv"), |r| FieldRow {
        key: keep(&r[0]),
        name: keep(&r[1]),
        offset: number(&r[2]),
        length: number(&r[3]).unwrap_or(0),
        format: keep(&r[4]),
        field: keep(&r[5]),
        length_at: number(&r[6]),
        ccsid_at: number(&r[7]),
        source: Source::parse(&r[8]),
    })
}

pub(crate) fn value_rows() -> Vec<ValueRow> {
    rows(include_str!("../../data/audit-values.csv"), |r| ValueRow {
        keys: keep(&r[0]),
        name: keep(&r[1]),
        value: keep(&r[2]),
        meaning: keep(&r[3]),
        source: Source::parse(&r[4]),
    })
}

pub(crate) fn severity_rows() -> Vec<SeverityRow> {
    rows(include_str!("../../data/audit-severities.csv"), |r| SeverityRow {
        key: keep(&r[0]),
        severity: number(&r[1]).expect("a severity"),
        when: keep(&r[2]),
    })
}

pub(crate) fn rows<T>(text: &str, row: impl Fn(&csv::StringRecord) -> T) -> Vec<T> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(|record| row(&record.expect("a table is well-formed"))).collect()
}

/// Texts of the tables live as long as the program: events refer to names and meanings by `&'static str`.
/// Each table is read once, so what is kept is bounded by its size.
pub(crate) fn keep(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    Some(text.parse().unwrap_or_else(|_| panic!("{text} is no number")))
}
