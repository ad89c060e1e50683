//! EXIT_POINT_INFO and EXIT_PROGRAM_INFO: exit points and the programs registered there.

use super::{Column, Table, column, required};
use crate::registry::POINTS;
use crate::sql::{SqlType, Value};
use crate::world::World;

const NAME20: SqlType = SqlType::Varchar(20);
const NAME10: SqlType = SqlType::Varchar(10);

const POINT_INFO: [Column; 8] = [
    required("EXIT_POINT_NAME", NAME20),
    required("EXIT_POINT_FORMAT", SqlType::Char(8)),
    required("REGISTERED", SqlType::Varchar(3)),
    required("ALLOW_DEREGISTRATION", SqlType::Varchar(3)),
    required("ALLOW_CHANGE", SqlType::Varchar(3)),
    required("EXIT_PROGRAMS", SqlType::Integer),
    column("MAXIMUM_EXIT_PROGRAMS", SqlType::Integer),
    column("TEXT_DESCRIPTION", SqlType::Varchar(132)),
];

const PROGRAM_INFO: [Column; 9] = [
    required("EXIT_POINT_NAME", NAME20),
    required("EXIT_POINT_FORMAT", SqlType::Char(8)),
    required("REGISTERED", SqlType::Varchar(3)),
    required("COMPLETE", SqlType::Varchar(3)),
    required("EXIT_PROGRAM_NUMBER", SqlType::Integer),
    required("EXIT_PROGRAM_LIBRARY", NAME10),
    required("EXIT_PROGRAM", NAME10),
    column("TEXT_DESCRIPTION", SqlType::Varchar(50)),
    column("EXIT_PROGRAM_DATA", SqlType::Varbinary(2048)),
];

pub(super) fn tables() -> Vec<Table> {
    vec![
        Table {
            schema: "QSYS2",
            name: "EXIT_POINT_INFO",
            columns: POINT_INFO.to_vec(),
            rows: |world, _| Ok(point_rows(world)),
        },
        Table {
            schema: "QSYS2",
            name: "EXIT_PROGRAM_INFO",
            columns: PROGRAM_INFO.to_vec(),
            rows: |world, _| Ok(program_rows(world)),
        },
    ]
}

fn number(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn point_rows(world: &World) -> Vec<Vec<Value>> {
    let registry = world.registry();
    POINTS
        .iter()
        .map(|point| {
            vec![
                point.name.into(),
                point.format.into(),
                "YES".into(),
                "NO".into(),
                "NO".into(),
                number(registry.count(point)),
                point.most.map_or(Value::Null, number),
                point.text.into(),
            ]
        })
        .collect()
}

fn program_rows(world: &World) -> Vec<Vec<Value>> {
    let registry = world.registry();
    registry
        .programs()
        .iter()
        .map(|program| {
            let (library, name) = program.program.split_once('/').unwrap_or(("", &program.program));
            let text = if program.text.is_empty() { Value::Null } else { program.text.as_str().into() };
            vec![
                program.exit_point.as_str().into(),
                program.format.as_str().into(),
                "YES".into(),
                "YES".into(),
                Value::Int(program.number),
                library.into(),
                name.into(),
                text,
                Value::Null,
            ]
        })
        .collect()
}
