//! SAMPLE.EMPLOYEE and SAMPLE.DEPARTMENT: something for foreign clients to read. Names and numbers are our own.
//! SAMPLE.NOTES: something to write to, with a column of bytes.

use super::{Column, Table, column, required};
use crate::sql::{SqlType, Value};
use crate::time;

const FIRST: [&str; 42] = [
    "ADA", "BORIS", "CLARA", "DIETER", "ELENA", "FRANZ", "GRETA", "HUGO", "INES", "JOSEF", "KARLA", "LEO",
    "MIRA", "NILS", "OLGA", "PAUL", "QUIRIN", "ROSA", "SVEN", "TILDA", "ULLI", "VERA", "WIM", "XENIA",
    "YVES", "ZOE", "ALMA", "BRUNO", "CORA", "DARIO", "EDDA", "FELIX", "GIANNA", "HANNO", "IDA", "JANNIS",
    "KIRA", "LARS", "MONA", "NORA", "OTTO", "PIA",
];
const LAST: [&str; 14] = [
    "ADLER", "BACH", "CONRADI", "DORN", "EBERT", "FALK", "GRIMM", "HARTWIG", "IMHOF", "JUNG", "KELLER",
    "LORENZ", "MARX", "NEUER",
];
const JOBS: [&str; 7] = ["ANALYST", "CLERK", "DESIGNER", "FIELDREP", "MANAGER", "OPERATOR", "SALESREP"];
const DEPARTMENTS: [(&str, &str, &str); 14] = [
    ("A00", "GENERAL OFFICE", "A00"),
    ("B01", "PLANNING", "A00"),
    ("C01", "CUSTOMER CARE", "A00"),
    ("D01", "DEVELOPMENT", "A00"),
    ("D11", "PRODUCTION", "D01"),
    ("D21", "ADMINISTRATION", "D01"),
    ("E01", "SUPPORT", "A00"),
    ("E11", "OPERATIONS", "E01"),
    ("E21", "SOFTWARE", "E01"),
    ("F22", "BRANCH NORTH", "E01"),
    ("G22", "BRANCH EAST", "E01"),
    ("H22", "BRANCH SOUTH", "E01"),
    ("I22", "BRANCH WEST", "E01"),
    ("J22", "BRANCH CENTRE", "E01"),
];

const EMPLOYEE: [Column; 14] = [
    required("EMPNO", SqlType::Char(6)),
    required("FIRSTNME", SqlType::Varchar(12)),
    required("MIDINIT", SqlType::Char(1)),
    required("LASTNAME", SqlType::Varchar(15)),
    column("WORKDEPT", SqlType::Char(3)),
    column("PHONENO", SqlType::Char(4)),
    column("HIREDATE", SqlType::Date),
    column("JOB", SqlType::Char(8)),
    required("EDLEVEL", SqlType::Smallint),
    column("SEX", SqlType::Char(1)),
    column("BIRTHDATE", SqlType::Date),
    column("SALARY", SqlType::Decimal(9, 2)),
    column("BONUS", SqlType::Decimal(9, 2)),
    column("COMM", SqlType::Decimal(9, 2)),
];

const DEPARTMENT: [Column; 5] = [
    required("DEPTNO", SqlType::Char(3)),
    required("DEPTNAME", SqlType::Varchar(36)),
    column("MGRNO", SqlType::Char(6)),
    required("ADMRDEPT", SqlType::Char(3)),
    column("LOCATION", SqlType::Char(16)),
];

const NOTES: [Column; 3] = [
    required("ID", SqlType::Integer),
    column("TEXT", SqlType::Varchar(100)),
    column("DATA", SqlType::Varbinary(1_000)),
];

/// The table that can be written; empty at first.
pub(super) fn notes() -> Table {
    Table {
        schema: "SAMPLE",
        name: "NOTES",
        columns: NOTES.to_vec(),
        rows: |world, _| Ok(world.notes().clone()),
    }
}

pub(super) fn tables() -> Vec<Table> {
    vec![
        notes(),
        Table {
            schema: "SAMPLE",
            name: "EMPLOYEE",
            columns: EMPLOYEE.to_vec(),
            rows: |_, _| Ok((0..FIRST.len()).map(employee).collect()),
        },
        Table {
            schema: "SAMPLE",
            name: "DEPARTMENT",
            columns: DEPARTMENT.to_vec(),
            rows: |_, _| Ok((0..DEPARTMENTS.len()).map(department).collect()),
        },
    ]
}

fn employee(index: usize) -> Vec<Value> {
    let n = i64::try_from(index).unwrap_or(0);
    let day = |year: i64, month: i64| {
        Value::Date(time::day_number(year, u32::try_from(month).unwrap_or(1), 1) * time::DAY)
    };
    vec![
        Value::Text(format!("{:06}", (n + 1) * 10)),
        FIRST[index].into(),
        Value::Text(char::from(b'A' + u8::try_from(index % 26).unwrap_or(0)).to_string()),
        LAST[index * 5 % LAST.len()].into(),
        DEPARTMENTS[index % DEPARTMENTS.len()].0.into(),
        if index % 9 == 8 { Value::Null } else { Value::Text(format!("{:04}", 1000 + n * 37)) },
        day(1995 + n % 28, n % 12 + 1),
        Value::Text(format!("{:<8}", JOBS[index % JOBS.len()])),
        Value::Int(12 + n % 9),
        if index.is_multiple_of(2) { "F" } else { "M" }.into(),
        day(1960 + n % 40, (n + 5) % 12 + 1),
        Value::Dec(i128::from(3_000_000 + n * 91_250), 2),
        // Every second one has more than 500.
        Value::Dec(i128::from(if index.is_multiple_of(2) { 60_000 + n * 500 } else { 30_000 + n * 100 }), 2),
        Value::Dec(i128::from(120_000 + n * 3_000), 2),
    ]
}

fn department(index: usize) -> Vec<Value> {
    let (number, name, admin) = DEPARTMENTS[index];
    vec![
        number.into(),
        name.into(),
        if index % 5 == 3 { Value::Null } else { Value::Text(format!("{:06}", (index + 1) * 10)) },
        admin.into(),
        Value::Null,
    ]
}
