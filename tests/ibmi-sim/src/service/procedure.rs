//! Procedures that can be called.

use super::{command, send_data_queue};
use crate::sql::eval::Env;
use crate::sql::{SqlError, SqlType, Value};
use crate::world::World;

/// Which way a parameter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Into the procedure.
    In,
    /// Out of it.
    Out,
    /// Both.
    InOut,
}

impl Mode {
    /// As metadata has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "IN",
            Self::Out => "OUT",
            Self::InOut => "INOUT",
        }
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Name.
    pub name: &'static str,
    /// Which way it goes.
    pub mode: Mode,
    /// Type.
    pub kind: SqlType,
}

/// Runs a procedure on the values of its parameters, which it may change.
pub type Run = fn(&World, &Env, &mut [Value]) -> Result<(), SqlError>;

/// A procedure.
#[derive(Debug)]
pub struct Procedure {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    /// Parameters by position.
    pub parameters: &'static [Parameter],
    /// So many of them must be given; the others are NULL without.
    pub required: usize,
    /// What it does.
    pub run: Run,
}

pub(super) const fn parameter(name: &'static str, mode: Mode, kind: SqlType) -> Parameter {
    Parameter { name, mode, kind }
}

static PROCEDURES: &[Procedure] = &[
    Procedure {
        schema: "QSYS2",
        name: "QCMDEXC",
        parameters: &[parameter("COMMAND", Mode::In, SqlType::Varchar(32_702))],
        required: 1,
        run: |_, _, values| {
            let text = values.first().and_then(Value::text).unwrap_or_default();
            match command::run(&text).error {
                None => Ok(()),
                Some(error) => Err(error),
            }
        },
    },
    // How long a text is, how often it was called, and the text without blanks around it.
    Procedure {
        schema: "SAMPLE",
        name: "MEASURE",
        parameters: &[
            parameter("TEXT", Mode::InOut, SqlType::Varchar(100)),
            parameter("LENGTH", Mode::Out, SqlType::Integer),
            parameter("CALLS", Mode::InOut, SqlType::Decimal(21, 0)),
        ],
        required: 3,
        run: |_, _, values| {
            let [text, length, calls] = values else { return Ok(()) };
            let characters = text.text().map(|text| text.chars().count());
            *length = characters.map_or(Value::Null, |count| Value::Int(i64::try_from(count).unwrap_or(0)));
            if let Some((digits, 0)) = calls.number() {
                *calls = Value::Dec(digits + 1, 0);
            }
            Ok(())
        },
    },
];

/// The procedure of that name.
#[must_use]
pub fn procedure(schema: &str, name: &str) -> Option<&'static Procedure> {
    let mut all = PROCEDURES.iter().chain(&send_data_queue::PROCEDURES);
    all.find(|procedure| procedure.schema == schema && procedure.name == name)
}
