//! SEND_DATA_QUEUE, its variants for UTF-8 and bytes, and CLEAR_DATA_QUEUE.

use super::data_queue::{bytes, key_order, place};
use super::procedure::{Mode, Parameter, Procedure, parameter};
use crate::queue::Sent;
use crate::sql::eval::Env;
use crate::sql::{SqlError, SqlType, Value};
use crate::world::World;

const NAME: SqlType = SqlType::Varchar(10);
const KEY: Parameter = parameter("KEY_DATA", Mode::In, SqlType::Varchar(256));

const fn send(data: SqlType, key: SqlType) -> [Parameter; 4] {
    [
        parameter("MESSAGE_DATA", Mode::In, data),
        parameter("DATA_QUEUE", Mode::In, NAME),
        parameter("DATA_QUEUE_LIBRARY", Mode::In, NAME),
        parameter("KEY_DATA", Mode::In, key),
    ]
}

static TEXT: [Parameter; 4] = send(SqlType::Varchar(32_000), SqlType::Varchar(256));
static BINARY: [Parameter; 4] = send(SqlType::Blob(64_512), SqlType::Varbinary(256));
static CLEAR: [Parameter; 4] = [
    parameter("DATA_QUEUE", Mode::In, NAME),
    parameter("DATA_QUEUE_LIBRARY", Mode::In, NAME),
    KEY,
    parameter("KEY_ORDER", Mode::In, SqlType::Varchar(2)),
];

const fn procedure(
    name: &'static str,
    parameters: &'static [Parameter],
    required: usize,
    run: super::procedure::Run,
) -> Procedure {
    Procedure { schema: "QSYS2", name, parameters, required, run }
}

pub(super) static PROCEDURES: [Procedure; 4] = [
    procedure("SEND_DATA_QUEUE", &TEXT, 2, |world, env, values| put(world, env, values, in_page)),
    procedure("SEND_DATA_QUEUE_UTF8", &TEXT, 2, |world, env, values| put(world, env, values, in_utf8)),
    procedure("SEND_DATA_QUEUE_BINARY", &BINARY, 2, |world, env, values| put(world, env, values, in_page)),
    procedure("CLEAR_DATA_QUEUE", &CLEAR, 1, |world, _, values| {
        let key = values.get(2).and_then(|key| bytes(key, world.page));
        let order = key_order(values, 3)?;
        let (library, name) = place(values);
        let mut queues = world.queues();
        queues.named(&library, &name)?.clear(key.as_deref().map(|key| (key, order)))?;
        Ok(())
    }),
];

/// Bytes of text as a job writes it; bytes stay what they are.
fn in_page(world: &World, value: &Value) -> Option<Vec<u8>> {
    bytes(value, world.page)
}

fn in_utf8(_: &World, value: &Value) -> Option<Vec<u8>> {
    value.text().map(|text| text.as_bytes().to_vec())
}

fn put(
    world: &World,
    env: &Env,
    values: &[Value],
    write: fn(&World, &Value) -> Option<Vec<u8>>,
) -> Result<(), SqlError> {
    let (library, name) = place(values.get(1..).unwrap_or_default());
    let part = |at: usize| values.get(at).and_then(|value| write(world, value)).unwrap_or_default();
    let sent = Sent { data: part(0), key: part(3), job: env.job.clone(), user: env.user.clone() };
    let at = world.now();
    world.queues().named(&library, &name)?.send(sent, at)?;
    Ok(())
}
