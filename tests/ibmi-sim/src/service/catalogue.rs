//! SYSPARMS, SYSCOLUMNS2, SYSCOLUMNS, SYSTABLES: what there is to ask for.

use super::display_journal;
use super::function::all_functions;
use super::{Column, Table, all_tables, column, journal_table, required};
use crate::sql::{SqlType, Value};

const NAME: SqlType = SqlType::Varchar(128);

const SYSPARMS: [Column; 12] = [
    required("SPECIFIC_SCHEMA", NAME),
    required("SPECIFIC_NAME", NAME),
    required("ORDINAL_POSITION", SqlType::Integer),
    column("PARAMETER_MODE", SqlType::Varchar(5)),
    column("PARAMETER_NAME", NAME),
    required("DATA_TYPE", NAME),
    column("NUMERIC_SCALE", SqlType::Integer),
    column("NUMERIC_PRECISION", SqlType::Integer),
    column("CCSID", SqlType::Integer),
    column("CHARACTER_MAXIMUM_LENGTH", SqlType::Integer),
    required("ROW_TYPE", SqlType::Char(1)),
    required("IS_NULLABLE", SqlType::Varchar(3)),
];

const SYSCOLUMNS: [Column; 14] = [
    required("SYSTEM_TABLE_SCHEMA", SqlType::Char(10)),
    required("SYSTEM_TABLE_NAME", SqlType::Char(10)),
    required("TABLE_SCHEMA", NAME),
    required("TABLE_NAME", NAME),
    required("COLUMN_NAME", NAME),
    required("SYSTEM_COLUMN_NAME", SqlType::Char(10)),
    required("ORDINAL_POSITION", SqlType::Integer),
    required("DATA_TYPE", SqlType::Varchar(8)),
    required("LENGTH", SqlType::Integer),
    column("NUMERIC_SCALE", SqlType::Integer),
    column("NUMERIC_PRECISION", SqlType::Integer),
    column("CCSID", SqlType::Integer),
    required("IS_NULLABLE", SqlType::Char(1)),
    column("CHARACTER_OCTET_LENGTH", SqlType::Integer),
];

const SYSTABLES: [Column; 5] = [
    required("TABLE_SCHEMA", NAME),
    required("TABLE_NAME", NAME),
    required("TABLE_TYPE", SqlType::Char(1)),
    required("SYSTEM_TABLE_SCHEMA", SqlType::Char(10)),
    required("SYSTEM_TABLE_NAME", SqlType::Char(10)),
];

pub(super) fn tables() -> Vec<Table> {
    let columns = |name| Table {
        schema: "QSYS2",
        name,
        columns: SYSCOLUMNS.to_vec(),
        rows: |world, _| Ok(column_rows(i64::from(world.page.ccsid))),
    };
    vec![
        Table {
            schema: "QSYS2",
            name: "SYSPARMS",
            columns: SYSPARMS.to_vec(),
            rows: |world, _| Ok(parameter_rows(i64::from(world.page.ccsid))),
        },
        columns("SYSCOLUMNS"),
        columns("SYSCOLUMNS2"),
        Table {
            schema: "QSYS2",
            name: "SYSTABLES",
            columns: SYSTABLES.to_vec(),
            rows: |_, _| {
                Ok(all_tables()
                    .iter()
                    .map(|table| {
                        let kind = if table.schema == "SAMPLE" { "T" } else { "V" };
                        let short = Value::Text(table.name.chars().take(10).collect());
                        vec![table.schema.into(), table.name.into(), kind.into(), table.schema.into(), short]
                    })
                    .collect())
            },
        },
        Table {
            schema: "SYSIBM",
            name: "SYSDUMMY1",
            columns: vec![required("IBMREQD", SqlType::Char(1))],
            rows: |_, _| Ok(vec![vec!["Y".into()]]),
        },
    ]
}

/// Length, digits, scale and CCSID of a type, NULL where it has none.
fn shape(kind: SqlType, ccsid: i64) -> (Value, Value, Value, Value) {
    let (_, precision, scale) = kind.sizes();
    let (precision, scale) = (Value::Int(i64::from(precision)), Value::Int(i64::from(scale)));
    match kind {
        SqlType::Char(_) | SqlType::Varchar(_) => (precision, Value::Null, Value::Null, Value::Int(ccsid)),
        SqlType::Vargraphic(_) => (precision, Value::Null, Value::Null, Value::Int(1_200)),
        SqlType::VarcharBit(_) | SqlType::Binary(_) | SqlType::Varbinary(_) | SqlType::Blob(_) => {
            (precision, Value::Null, Value::Null, Value::Int(65_535))
        }
        SqlType::Smallint | SqlType::Integer | SqlType::Bigint | SqlType::Decimal(..) | SqlType::Double => {
            (Value::Null, precision, scale, Value::Null)
        }
        SqlType::Timestamp | SqlType::Date | SqlType::Time | SqlType::Boolean => {
            (Value::Null, Value::Null, Value::Null, Value::Null)
        }
    }
}

fn type_name(kind: SqlType) -> &'static str {
    match kind {
        SqlType::Char(_) => "CHARACTER",
        SqlType::Varchar(_) | SqlType::VarcharBit(_) => "CHARACTER VARYING",
        SqlType::Vargraphic(_) => "GRAPHIC VARYING",
        SqlType::Varbinary(_) => "BINARY VARYING",
        SqlType::Blob(_) => "BINARY LARGE OBJECT",
        other => other.name(),
    }
}

fn parameter_rows(ccsid: i64) -> Vec<Vec<Value>> {
    let row = |of: &Table, position: usize, name: &'static str, kind: SqlType, result: bool| {
        let (length, precision, scale, ccsid) = shape(kind, ccsid);
        vec![
            of.schema.into(),
            of.name.into(),
            Value::Int(i64::try_from(position + 1).unwrap_or(0)),
            if result { "OUT" } else { "IN" }.into(),
            name.into(),
            type_name(kind).into(),
            scale,
            precision,
            ccsid,
            length,
            if result { "R" } else { "P" }.into(),
            "YES".into(),
        ]
    };
    let parameters = display_journal::PARAMETERS.iter().enumerate().map(|(at, name)| {
        let kind = match *name {
            "STARTING_TIMESTAMP" | "ENDING_TIMESTAMP" => SqlType::Timestamp,
            "STARTING_SEQUENCE" | "ENDING_SEQUENCE" | "COMMIT_CYCLE" => SqlType::Decimal(21, 0),
            "EOF_DELAY" => SqlType::Integer,
            "JOURNAL_CODES" | "JOURNAL_ENTRY_TYPES" => SqlType::Varchar(1500),
            _ => SqlType::Varchar(128),
        };
        row(journal_table(), at, name, kind, false)
    });
    let start = display_journal::PARAMETERS.len();
    let results = journal_table()
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| row(journal_table(), start + at, column.name, column.kind, true));
    let mut rows: Vec<Vec<Value>> = parameters.chain(results).collect();
    for function in all_functions() {
        let (of, start) = (&function.table, function.parameters.len());
        let parameters = function.parameters.iter().enumerate();
        rows.extend(parameters.map(|(at, parameter)| {
            let kind = match parameter.name {
                "START_TIME" | "END_TIME" => SqlType::Timestamp,
                "WAIT_TIME" => SqlType::Integer,
                _ => SqlType::Varchar(128),
            };
            row(of, at, parameter.name, kind, false)
        }));
        let results = of.columns.iter().enumerate();
        rows.extend(results.map(|(at, column)| row(of, start + at, column.name, column.kind, true)));
    }
    rows
}

fn column_rows(ccsid: i64) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for table in all_tables() {
        for (position, column) in table.columns.iter().enumerate() {
            let (length, precision, scale, ccsid) = shape(column.kind, ccsid);
            let octets = length.clone();
            let stored =
                if length == Value::Null { Value::Int(i64::from(column.kind.sizes().1)) } else { length };
            let short = |name: &str| Value::Text(name.chars().take(10).collect());
            let data_type = match column.kind {
                SqlType::Varchar(_) | SqlType::VarcharBit(_) => "VARCHAR",
                SqlType::Vargraphic(_) => "VARG",
                SqlType::Timestamp => "TIMESTMP",
                SqlType::Varbinary(_) => "VARBIN",
                other => other.name(),
            };
            rows.push(vec![
                table.schema.into(),
                short(table.name),
                table.schema.into(),
                table.name.into(),
                column.name.into(),
                short(column.name),
                Value::Int(i64::try_from(position + 1).unwrap_or(0)),
                data_type.into(),
                stored,
                scale,
                precision,
                ccsid,
                if column.nullable { "Y" } else { "N" }.into(),
                octets,
            ]);
        }
    }
    rows
}
