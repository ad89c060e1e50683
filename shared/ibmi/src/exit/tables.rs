//! Reads the checked-in tables of exit points. A mistake in them is a mistake in the build, found by the first test
//! that decodes anything.

use crate::audit::tables::{Source, keep, number, rows};

/// Row of `exit-formats.csv`.
#[derive(Debug)]
pub(super) struct FormatRow {
    pub(super) exit_point: &'static str,
    pub(super) format: &'static str,
    /// Event id where the function is not known, or where there is none.
    pub(super) action: &'static str,
    /// Parameter and offset of the function.
    pub(super) function: &'static str,
    /// How the function is written: `number`, `hex` or `name`.
    pub(super) kind: &'static str,
    /// May carry passwords.
    pub(super) secrets: bool,
    /// Program of `deploy/ibmi/` that is registered there.
    pub(super) program: &'static str,
    /// Only the documentation asks: rows of fields have a source of their own.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) source: Source,
    pub(super) about: &'static str,
}

/// Row of `exit-functions.csv`.
#[derive(Debug)]
pub(super) struct FunctionRow {
    /// Exit points, separated by blanks.
    pub(super) exit_points: &'static str,
    pub(super) function: &'static str,
    pub(super) word: &'static str,
    pub(super) action: &'static str,
    /// Only the documentation asks.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) source: Source,
}

/// Row of `exit-fields.csv`.
#[derive(Debug)]
pub(super) struct FieldRow {
    /// Formats or exit points, separated by blanks.
    pub(super) for_: &'static str,
    /// Functions, separated by blanks; empty for all.
    pub(super) functions: &'static str,
    pub(super) parameter: usize,
    pub(super) offset: usize,
    /// A number, `*` to the end, `@N` as the number at offset N says, `#P` as parameter P says.
    pub(super) length: &'static str,
    pub(super) kind: &'static str,
    /// Keyword; two for an address and its port.
    pub(super) field: &'static str,
    pub(super) argument: &'static str,
    pub(super) source: Source,
    /// Only the documentation asks.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) name: &'static str,
}

/// Row of `exit-values.csv`.
#[derive(Debug)]
pub(super) struct ValueRow {
    /// Formats, separated by blanks.
    pub(super) formats: &'static str,
    pub(super) field: &'static str,
    pub(super) value: &'static str,
    pub(super) meaning: &'static str,
}

pub(super) fn format_rows() -> Vec<FormatRow> {
    rows(include_str!("../../data/exit-formats.csv"), |r| FormatRow {
        exit_point: keep(&r[0]),
        format: keep(&r[1]),
        action: keep(&r[2]),
        function: keep(&r[3]),
        kind: keep(&r[4]),
        secrets: match &r[5] {
            "yes" => true,
            "no" => false,
            other => panic!("exit-formats.csv: {other} is neither yes nor no"),
        },
        program: keep(&r[6]),
        source: Source::parse(&r[7]),
        about: keep(&r[8]),
    })
}

pub(super) fn function_rows() -> Vec<FunctionRow> {
    rows(include_str!("../../data/exit-functions.csv"), |r| FunctionRow {
        exit_points: keep(&r[0]),
        function: keep(&r[1]),
        word: keep(&r[2]),
        action: keep(&r[3]),
        source: Source::parse(&r[4]),
    })
}

pub(super) fn field_rows() -> Vec<FieldRow> {
    rows(include_str!("../../data/exit-fields.csv"), |r| FieldRow {
        for_: keep(&r[0]),
        functions: keep(&r[1]),
        parameter: number(&r[2]).expect("exit-fields.csv: a parameter"),
        offset: number(&r[3]).expect("exit-fields.csv: an offset"),
        length: keep(&r[4]),
        kind: keep(&r[5]),
        field: keep(&r[6]),
        argument: keep(&r[7]),
        source: Source::parse(&r[8]),
        name: keep(&r[9]),
    })
}

pub(super) fn value_rows() -> Vec<ValueRow> {
    rows(include_str!("../../data/exit-values.csv"), |r| ValueRow {
        formats: keep(&r[0]),
        field: keep(&r[1]),
        value: keep(&r[2]),
        meaning: keep(&r[3]),
    })
}

/// Whether a list separated by blanks has this word.
pub(super) fn lists(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}
