//! The tables of exit points, put together: one layout a format of an exit point.

use super::tables::{FieldRow, FormatRow, field_rows, format_rows, function_rows, lists, value_rows};
use muster_shared::event::{ExitAction, FieldId, dictionary, exit_action};
use smallvec::SmallVec;
use std::sync::LazyLock;

/// How one format of one exit point is read.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) exit_point: &'static str,
    pub(super) format: &'static str,
    /// Where there is no function, or one that no row knows.
    pub(super) action: &'static ExitAction,
    pub(super) function: Option<FunctionPlace>,
    /// The format may carry passwords, so it has no `raw`.
    pub(super) secrets: bool,
    pub(super) functions: Vec<Function>,
    pub(super) steps: Vec<Step>,
}

/// Where the function lies, and how it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct FunctionPlace {
    pub(super) parameter: usize,
    pub(super) offset: usize,
    pub(super) kind: FunctionKind,
}

/// How a function is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FunctionKind {
    /// Four bytes, shown as a decimal number.
    Number,
    /// Four bytes, shown as at least four hexadecimal digits.
    Hex,
    /// A name of ten characters.
    Name,
}

/// A function that a server has.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) code: &'static str,
    pub(super) word: &'static str,
    pub(super) action: &'static ExitAction,
}

/// One field: where it lies, how it is read, what it becomes.
#[derive(Debug)]
pub(super) struct Step {
    /// Functions that have the field; empty for all.
    pub(super) functions: SmallVec<[&'static str; 2]>,
    pub(super) parameter: usize,
    pub(super) offset: usize,
    pub(super) length: Length,
    pub(super) kind: Kind,
    pub(super) values: Vec<(&'static str, &'static str)>,
}

/// How long a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// So many bytes.
    Fixed(usize),
    /// To the end of the parameter.
    Rest,
    /// As the number at this offset of the same parameter says.
    At(usize),
    /// As this parameter says.
    Parameter(usize),
}

/// How a field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text in the CCSID of the job.
    Text(FieldId),
    /// Text with passwords masked, in the CCSID of the job or in the one at an offset.
    Command(FieldId, Option<usize>),
    /// UTF-16.
    Utf16(FieldId),
    /// Big-endian number; zero is left out.
    Number(FieldId),
    /// Bytes that are no text.
    Hex(FieldId),
    /// Names of ten characters; the length is their number.
    Names(FieldId),
    /// Four marks: read, write, read/write, delete.
    Access(FieldId),
    /// Text of an IP address.
    Address(FieldId),
    /// `sockaddr_in` or `sockaddr_in6`: address and port.
    Socket(FieldId, FieldId),
    /// The files of an open.
    Files,
    /// Says something that the format alone tells.
    Constant(FieldId, &'static str),
    /// Read elsewhere, or of no interest.
    Covered,
    /// May hold a password: neither shown nor part of `raw`.
    Secret,
}

/// What there is to know about a format, for the documentation and for what is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatInfo {
    /// Exit point.
    pub exit_point: &'static str,
    /// Format.
    pub format: &'static str,
    /// What the exit point is of.
    pub about: &'static str,
    /// Program of `deploy/ibmi/` that is registered there; empty if none is.
    pub program: &'static str,
    /// May carry passwords, so its bytes are never shown.
    pub secrets: bool,
}

/// All formats that have a layout.
#[must_use]
pub fn formats() -> Vec<FormatInfo> {
    let info = |row: FormatRow| FormatInfo {
        exit_point: row.exit_point,
        format: row.format,
        about: row.about,
        program: row.program,
        secrets: row.secrets,
    };
    format_rows().into_iter().map(info).collect()
}

static LAYOUTS: LazyLock<Vec<Layout>> = LazyLock::new(|| {
    let fields = field_rows();
    format_rows().iter().map(|row| Layout::compile(row, &fields)).collect()
});

/// Layout of a format of an exit point.
pub(super) fn layout(exit_point: &str, format: &str) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| layout.exit_point == exit_point && layout.format == format)
}

fn action(id: &str) -> &'static ExitAction {
    exit_action(id).unwrap_or_else(|| panic!("no exit action {id}"))
}

fn field(keyword: &str) -> FieldId {
    dictionary().find(keyword).unwrap_or_else(|| panic!("exit-fields.csv: no field {keyword}"))
}

impl Layout {
    fn compile(row: &FormatRow, fields: &[FieldRow]) -> Self {
        let functions = function_rows()
            .into_iter()
            .filter(|function| lists(function.exit_points, row.exit_point))
            .map(|function| Function {
                code: function.function,
                word: function.word,
                action: action(function.action),
            })
            .collect();
        let mine = |field: &&FieldRow| {
            // Rows that are not verified are not decoded; their bytes stay in `raw`.
            field.source.trusted() && (lists(field.for_, row.format) || lists(field.for_, row.exit_point))
        };
        let steps = fields.iter().filter(mine).map(|field| Step::compile(field, row.format)).collect();
        Self {
            exit_point: row.exit_point,
            format: row.format,
            action: action(row.action),
            function: FunctionPlace::compile(row),
            secrets: row.secrets,
            functions,
            steps,
        }
    }

    /// The row of a function, as it is shown.
    pub(super) fn function(&self, code: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.code == code)
    }
}

impl FunctionPlace {
    fn compile(row: &FormatRow) -> Option<Self> {
        let (parameter, offset) = row.function.split_once('.')?;
        let kind = match row.kind {
            "number" => FunctionKind::Number,
            "hex" => FunctionKind::Hex,
            "name" => FunctionKind::Name,
            other => panic!("exit-formats.csv: {other} is no kind of function"),
        };
        Some(Self { parameter: place(parameter), offset: place(offset), kind })
    }
}

impl Step {
    fn compile(row: &FieldRow, format: &str) -> Self {
        let values = value_rows()
            .into_iter()
            .filter(|value| lists(value.formats, format) && value.field == row.field)
            .map(|value| (value.value, value.meaning))
            .collect();
        Self {
            functions: row.functions.split(' ').filter(|function| !function.is_empty()).collect(),
            parameter: row.parameter,
            offset: row.offset,
            length: Length::compile(row.length),
            kind: Kind::compile(row),
            values,
        }
    }

    /// Whether requests of this function have the field.
    pub(super) fn is_of(&self, function: &str) -> bool {
        self.functions.is_empty() || self.functions.contains(&function)
    }
}

impl Length {
    fn compile(text: &str) -> Self {
        match text.split_at(1) {
            ("*", "") => Self::Rest,
            ("@", offset) => Self::At(place(offset)),
            ("#", parameter) => Self::Parameter(place(parameter)),
            _ => Self::Fixed(place(text)),
        }
    }
}

impl Kind {
    fn compile(row: &FieldRow) -> Self {
        let one = || field(row.field);
        match row.kind {
            "text" => Self::Text(one()),
            "command" => Self::Command(one(), row.argument.strip_prefix("ccsid@").map(place)),
            "utf16" => Self::Utf16(one()),
            "number" => Self::Number(one()),
            "hex" => Self::Hex(one()),
            "names" => Self::Names(one()),
            "access" => Self::Access(one()),
            "address" => Self::Address(one()),
            "socket" => {
                let (address, port) = row.field.split_once(' ').expect("exit-fields.csv: address and port");
                Self::Socket(field(address), field(port))
            }
            "files" => Self::Files,
            "constant" => Self::Constant(one(), row.argument),
            "covered" => Self::Covered,
            "secret" => Self::Secret,
            other => panic!("exit-fields.csv: {other} is no type"),
        }
    }
}

fn place(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("exit tables: {text} is no place"))
}
