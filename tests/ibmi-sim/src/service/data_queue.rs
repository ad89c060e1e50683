//! RECEIVE_DATA_QUEUE, DATA_QUEUE_ENTRIES and DATA_QUEUE_INFO.
//!
//! RECEIVE_DATA_QUEUE takes the entry away while the row is made: once for each time the statement runs, whatever its
//! select list or WHERE says. WAIT_TIME is taken as 0.

use super::function::{Parameter, Show, TableFunction, optional, required as needed};
use super::{Column, Table, column, required};
use crate::ebcdic::Page;
use crate::queue::{DataQueue, KeyOrder, QueueError, Queued, Sequence};
use crate::sql::eval::{Env, Row, View};
use crate::sql::{SqlError, SqlType, Value};
use crate::world::World;

const NAME10: SqlType = SqlType::Varchar(10);
const TEXT: SqlType = SqlType::Varchar(32_000);

const ENTRY: [Column; 8] = [
    column("ORDINAL_POSITION", SqlType::Integer),
    column("MESSAGE_DATA", TEXT),
    column("MESSAGE_DATA_UTF8", TEXT),
    column("MESSAGE_DATA_BINARY", SqlType::Blob(64_512)),
    column("KEY_DATA", SqlType::Varchar(256)),
    column("SENDER_JOB_NAME", SqlType::Varchar(28)),
    column("SENDER_CURRENT_USER", NAME10),
    column("MESSAGE_ENQUEUE_TIMESTAMP", SqlType::Timestamp),
];

const INFO: [Column; 10] = [
    required("DATA_QUEUE_LIBRARY", NAME10),
    required("DATA_QUEUE_NAME", NAME10),
    required("DATA_QUEUE_TYPE", SqlType::Varchar(8)),
    column("MAXIMUM_MESSAGE_LENGTH", SqlType::Integer),
    column("SEQUENCE", SqlType::Varchar(5)),
    column("KEY_LENGTH", SqlType::Integer),
    column("INCLUDE_SENDER_ID", SqlType::Varchar(3)),
    column("CURRENT_MESSAGES", SqlType::Integer),
    column("MAXIMUM_MESSAGES", SqlType::Integer),
    column("TEXT_DESCRIPTION", SqlType::Varchar(50)),
];

const RECEIVE: [Parameter; 6] = [
    needed("DATA_QUEUE"),
    optional("DATA_QUEUE_LIBRARY"),
    optional("REMOVE"),
    optional("WAIT_TIME"),
    optional("KEY_DATA"),
    optional("KEY_ORDER"),
];

const ENTRIES: [Parameter; 5] = [
    needed("DATA_QUEUE"),
    optional("DATA_QUEUE_LIBRARY"),
    optional("SELECTION_TYPE"),
    optional("KEY_DATA"),
    optional("KEY_ORDER"),
];

pub(super) fn functions() -> Vec<TableFunction> {
    vec![
        TableFunction {
            // An entry that is received tells no place and no time.
            table: table("RECEIVE_DATA_QUEUE", &ENTRY[1..7]),
            parameters: &RECEIVE,
            run: receive,
        },
        TableFunction { table: table("DATA_QUEUE_ENTRIES", &ENTRY), parameters: &ENTRIES, run: entries },
    ]
}

pub(super) fn tables() -> Vec<Table> {
    vec![Table {
        schema: "QSYS2",
        name: "DATA_QUEUE_INFO",
        columns: INFO.to_vec(),
        rows: |world, _| Ok(info(world)),
    }]
}

fn table(name: &'static str, columns: &[Column]) -> Table {
    Table { schema: "QSYS2", name, columns: columns.to_vec(), rows: |_, _| Ok(Vec::new()) }
}

fn info(world: &World) -> Vec<Vec<Value>> {
    let number = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let row = |queue: &DataQueue| {
        let plan = &queue.plan;
        vec![
            queue.library.as_str().into(),
            queue.name.as_str().into(),
            "STANDARD".into(),
            number(plan.max_length),
            plan.sequence.name().into(),
            if plan.sequence == Sequence::Keyed { number(plan.key_length) } else { Value::Null },
            if plan.sender_id { "YES" } else { "NO" }.into(),
            number(queue.entries().count()),
            number(plan.max_entries),
            Value::Null,
        ]
    };
    world.queues().visible().map(row).collect()
}

/// One entry as a row, from a column of [`ENTRY`] on.
struct EntryRow<'q> {
    entry: &'q Queued,
    ordinal: i64,
    page: &'static Page,
    first_column: usize,
}

impl Row for EntryRow<'_> {
    fn value(&self, column: usize) -> Value {
        let entry = self.entry;
        match column + self.first_column {
            0 => Value::Int(self.ordinal),
            1 => Value::Text(self.page.text(&entry.data)),
            2 => Value::Text(String::from_utf8_lossy(&entry.data).into_owned()),
            3 => Value::Binary(entry.data.clone()),
            4 if entry.key.is_empty() => Value::Null,
            4 => Value::Text(self.page.text(&entry.key)),
            5 => entry.job.clone().into(),
            6 => entry.user.clone().into(),
            7 => Value::Timestamp(entry.at),
            _ => Value::Null,
        }
    }

    fn bytes(&self, column: usize) -> Option<View<'_>> {
        match column + self.first_column {
            1 => Some(View { data: &self.entry.data, blanks: 0, bits: true }),
            3 => Some(View { data: &self.entry.data, blanks: 0, bits: false }),
            4 if !self.entry.key.is_empty() => Some(View { data: &self.entry.key, blanks: 0, bits: true }),
            _ => None,
        }
    }
}

impl From<QueueError> for SqlError {
    fn from(error: QueueError) -> Self {
        Self::service(&error.to_string())
    }
}

/// Text of an argument.
fn word(values: &[Value], at: usize) -> Option<String> {
    let text = values.get(at)?.text()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_uppercase())
}

pub(super) fn place(values: &[Value]) -> (String, String) {
    let library = word(values, 1).unwrap_or_else(|| "*LIBL".to_owned());
    (library, word(values, 0).unwrap_or_default())
}

/// Bytes of a key: those of a byte string, or text as the job writes it.
pub(super) fn bytes(value: &Value, page: &Page) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::Bits(bytes) | Value::Binary(bytes) => Some(bytes.clone()),
        other => {
            let text = other.text()?;
            let mut out = Vec::new();
            page.put(&text, page.length(&text), &mut out);
            Some(out)
        }
    }
}

fn wrong(parameter: &str) -> SqlError {
    SqlError::service(&format!("SQL0171: Argument {parameter} not valid."))
}

pub(super) fn key_order(values: &[Value], at: usize) -> Result<KeyOrder, SqlError> {
    match word(values, at) {
        None => Ok(KeyOrder::Equal),
        Some(word) => KeyOrder::parse(&word).ok_or_else(|| wrong("KEY_ORDER")),
    }
}

fn receive(world: &World, _: &Env, values: &[Value], show: &mut Show<'_>) -> Result<(), SqlError> {
    let (library, name) = place(values);
    let remove = match word(values, 2).as_deref() {
        None | Some("YES") => true,
        Some("NO") => false,
        Some(_) => return Err(wrong("REMOVE")),
    };
    let key = values.get(4).and_then(|key| bytes(key, world.page));
    let order = key_order(values, 5)?;
    let received = {
        let mut queues = world.queues();
        let queue = queues.named(&library, &name)?;
        let received = queue.receive(key.as_deref().map(|key| (key, order)), remove)?;
        if remove && received.is_some() {
            let (library, name) = (queue.library.clone(), queue.name.clone());
            queues.note_taken(&library, &name);
        }
        received
    };
    match received {
        Some(entry) => show(&EntryRow { entry: &entry, ordinal: 1, page: world.page, first_column: 1 }),
        None => Ok(()),
    }
}

fn entries(world: &World, _: &Env, values: &[Value], show: &mut Show<'_>) -> Result<(), SqlError> {
    let (library, name) = place(values);
    let key = values.get(3).and_then(|key| bytes(key, world.page));
    let order = key_order(values, 4)?;
    let found: Vec<Queued> = {
        let mut queues = world.queues();
        let queue = queues.named(&library, &name)?;
        match (word(values, 2).as_deref().unwrap_or("ALL"), key) {
            ("ALL", None) => queue.entries().cloned().collect(),
            ("FIRST", None) if queue.plan.sequence != Sequence::Keyed => {
                queue.entries().take(1).cloned().collect()
            }
            ("KEY", Some(key)) => queue.matching(&key, order)?.into_iter().cloned().collect(),
            ("ALL" | "FIRST" | "KEY", _) => return Err(wrong("KEY_DATA")),
            _ => return Err(wrong("SELECTION_TYPE")),
        }
    };
    for (entry, ordinal) in found.iter().zip(1..) {
        show(&EntryRow { entry, ordinal, page: world.page, first_column: 0 })?;
    }
    Ok(())
}
