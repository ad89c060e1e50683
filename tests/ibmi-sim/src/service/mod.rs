//! The catalogue: tables, views and table functions, with their columns and rows, and procedures.

mod catalogue;
pub mod command;
mod data_queue;
pub mod display_journal;
mod exits;
mod function;
mod messages;
mod procedure;
mod sample;
mod send_data_queue;
mod system;

use std::sync::LazyLock;

pub use procedure::{Mode, Procedure, procedure};

use crate::sql::{SqlError, SqlType, Value};
use crate::world::World;
pub use display_journal::PARAMETERS as JOURNAL_PARAMETERS;
pub use function::{TableFunction, function};

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub kind: SqlType,
    /// May it be NULL?
    pub nullable: bool,
}

/// Makes the rows of a table.
pub type RowMaker = fn(&World, user: &str) -> Result<Vec<Vec<Value>>, SqlError>;

/// A table, view or table function.
#[derive(Debug)]
pub struct Table {
    /// Schema.
    pub schema: &'static str,
    /// Name.
    pub name: &'static str,
    /// Columns.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: RowMaker,
}

/// A nullable column.
const fn column(name: &'static str, kind: SqlType) -> Column {
    Column { name, kind, nullable: true }
}

/// A column that is never NULL.
const fn required(name: &'static str, kind: SqlType) -> Column {
    Column { name, kind, nullable: false }
}

static JOURNAL: LazyLock<Table> = LazyLock::new(|| Table {
    schema: "QSYS2",
    name: "DISPLAY_JOURNAL",
    columns: display_journal::columns(),
    rows: |_, _| Ok(Vec::new()),
});

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    let mut tables = Vec::new();
    tables.extend(system::tables());
    tables.extend(catalogue::tables());
    tables.extend(exits::tables());
    tables.extend(data_queue::tables());
    tables.extend(messages::tables());
    tables.extend(sample::tables());
    tables
});

/// The table of that name.
#[must_use]
pub fn table(schema: &str, name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.schema == schema && table.name == name)
}

/// All tables and views.
#[must_use]
pub fn all_tables() -> &'static [Table] {
    &TABLES
}

static NOTES: LazyLock<Table> = LazyLock::new(sample::notes);

/// SAMPLE.NOTES, the one table that can be written.
#[must_use]
pub fn notes() -> &'static Table {
    &NOTES
}

/// QSYS2.DISPLAY_JOURNAL.
#[must_use]
pub fn journal_table() -> &'static Table {
    &JOURNAL
}
