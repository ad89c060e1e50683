//! Table functions whose rows are made when the statement runs.

use std::sync::LazyLock;

use super::{Table, data_queue, messages};
use crate::sql::eval::{Env, Row};
use crate::sql::{SqlError, Value};
use crate::world::World;

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Name.
    pub name: &'static str,
    /// Must it be given?
    pub required: bool,
}

/// A parameter that must be given.
#[must_use]
pub const fn required(name: &'static str) -> Parameter {
    Parameter { name, required: true }
}

/// A parameter with a default.
#[must_use]
pub const fn optional(name: &'static str) -> Parameter {
    Parameter { name, required: false }
}

/// Takes the rows one by one.
pub type Show<'s> = dyn FnMut(&dyn Row) -> Result<(), SqlError> + 's;

/// Makes the rows, from the values of the parameters by position; NULL for what is not given.
pub type Run = fn(&World, &Env, &[Value], &mut Show<'_>) -> Result<(), SqlError>;

/// A table function.
#[derive(Debug)]
pub struct TableFunction {
    /// Its schema, name and columns.
    pub table: Table,
    /// Parameters by position.
    pub parameters: &'static [Parameter],
    /// What it does.
    pub run: Run,
}

static FUNCTIONS: LazyLock<Vec<TableFunction>> = LazyLock::new(|| {
    let mut all = data_queue::functions();
    all.extend(messages::functions());
    all
});

/// The function of that name.
#[must_use]
pub fn function(schema: &str, name: &str) -> Option<&'static TableFunction> {
    FUNCTIONS.iter().find(|function| function.table.schema == schema && function.table.name == name)
}

/// All of them.
#[must_use]
pub fn all_functions() -> &'static [TableFunction] {
    &FUNCTIONS
}
