//! HISTORY_LOG_INFO, MESSAGE_QUEUE_INFO (function and view) and OBJECT_STATISTICS as far as it tells message queues.

use super::function::{Parameter, Show, TableFunction, optional, required as needed};
use super::{Column, Table, column};
use crate::message::{Queue, Sent};
use crate::sql::eval::Env;
use crate::sql::{SqlError, SqlType, Value};
use crate::time;
use crate::world::World;

const NAME10: SqlType = SqlType::Varchar(10);
const JOB: SqlType = SqlType::Varchar(28);

const HISTORY: [Column; 21] = [
    column("ORDINAL_POSITION", SqlType::Integer),
    column("MESSAGE_ID", SqlType::Varchar(7)),
    column("MESSAGE_TYPE", SqlType::Varchar(13)),
    column("MESSAGE_SUBTYPE", SqlType::Varchar(22)),
    column("SEVERITY", SqlType::Smallint),
    column("MESSAGE_TIMESTAMP", SqlType::Timestamp),
    column("FROM_USER", NAME10),
    column("FROM_JOB", JOB),
    column("FROM_JOB_NAME", NAME10),
    column("FROM_JOB_USER", NAME10),
    column("FROM_JOB_NUMBER", SqlType::Varchar(6)),
    column("FROM_PROGRAM", NAME10),
    column("MESSAGE_LIBRARY", NAME10),
    column("MESSAGE_FILE", NAME10),
    column("MESSAGE_TOKENS", SqlType::VarcharBit(4096)),
    column("MESSAGE_TEXT", SqlType::Vargraphic(1024)),
    column("MESSAGE_SECOND_LEVEL_TEXT", SqlType::Vargraphic(4096)),
    column("SYSLOG_EVENT", SqlType::Varchar(2048)),
    column("SYSLOG_FACILITY", SqlType::Integer),
    column("SYSLOG_SEVERITY", SqlType::Integer),
    column("SYSLOG_PRIORITY", SqlType::Integer),
];

const HISTORY_PARAMETERS: [Parameter; 4] =
    [optional("START_TIME"), optional("END_TIME"), optional("GENERATE_SYSLOG"), optional("EOF_DELAY")];

const QUEUE: [Column; 17] = [
    column("MESSAGE_QUEUE_LIBRARY", NAME10),
    column("MESSAGE_QUEUE_NAME", NAME10),
    column("MESSAGE_ID", SqlType::Varchar(7)),
    column("MESSAGE_TYPE", SqlType::Varchar(13)),
    column("MESSAGE_SUBTYPE", SqlType::Varchar(22)),
    column("MESSAGE_TEXT", SqlType::Vargraphic(1024)),
    column("SEVERITY", SqlType::Smallint),
    column("MESSAGE_TIMESTAMP", SqlType::Timestamp),
    column("MESSAGE_KEY", SqlType::Binary(4)),
    column("ASSOCIATED_MESSAGE_KEY", SqlType::Binary(4)),
    column("FROM_USER", NAME10),
    column("FROM_JOB", JOB),
    column("FROM_PROGRAM", NAME10),
    column("MESSAGE_FILE_LIBRARY", NAME10),
    column("MESSAGE_FILE_NAME", NAME10),
    column("MESSAGE_TOKENS", SqlType::VarcharBit(4096)),
    column("MESSAGE_SECOND_LEVEL_TEXT", SqlType::Vargraphic(4096)),
];

const QUEUE_PARAMETERS: [Parameter; 4] = [
    optional("QUEUE_LIBRARY"),
    optional("QUEUE_NAME"),
    optional("MESSAGE_FILTER"),
    optional("SEVERITY_FILTER"),
];

const OBJECTS: [Column; 6] = [
    column("OBJNAME", NAME10),
    column("OBJTYPE", SqlType::Varchar(8)),
    column("OBJOWNER", NAME10),
    column("OBJCREATED", SqlType::Timestamp),
    column("OBJTEXT", SqlType::Varchar(50)),
    column("OBJLIB", NAME10),
];

const OBJECT_PARAMETERS: [Parameter; 3] =
    [needed("OBJECT_SCHEMA"), needed("OBJTYPELIST"), optional("OBJECT_NAME")];

pub(super) fn functions() -> Vec<TableFunction> {
    let table = |name, columns: &[Column]| Table {
        schema: "QSYS2",
        name,
        columns: columns.to_vec(),
        rows: |_, _| Ok(Vec::new()),
    };
    vec![
        TableFunction {
            table: table("HISTORY_LOG_INFO", &HISTORY),
            parameters: &HISTORY_PARAMETERS,
            run: history,
        },
        TableFunction {
            table: table("MESSAGE_QUEUE_INFO", &QUEUE),
            parameters: &QUEUE_PARAMETERS,
            run: queue,
        },
        TableFunction {
            table: table("OBJECT_STATISTICS", &OBJECTS),
            parameters: &OBJECT_PARAMETERS,
            run: objects,
        },
    ]
}

pub(super) fn tables() -> Vec<Table> {
    vec![Table {
        schema: "QSYS2",
        name: "MESSAGE_QUEUE_INFO",
        columns: QUEUE.to_vec(),
        rows: |world, user| {
            // The view leaves out what the caller may not see.
            if !world.reads_queues(user) {
                return Ok(Vec::new());
            }
            let (messages, now) = (world.messages(), time::now_utc());
            let rows = messages.queues().flat_map(|((library, name), queue)| {
                visible(queue, now).map(move |sent| queue_row(library, name, sent))
            });
            Ok(rows.collect())
        },
    }]
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.text().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn history(world: &World, env: &Env, values: &[Value], show: &mut Show<'_>) -> Result<(), SqlError> {
    if world.faults().history_refused {
        return Err(SqlError::not_authorized("QSYS", "QHST*", "*FILE"));
    }
    let wrong = || SqlError::new(-180, "22007", "Syntax of date, time, or timestamp value not valid.");
    let at =
        |index: usize| text(values.get(index)).map(|text| time::parse(&text).ok_or_else(wrong)).transpose();
    let yesterday = (env.now.div_euclid(time::DAY) - 1) * time::DAY;
    let (start, end) = (at(0)?.unwrap_or(yesterday), at(1)?.unwrap_or(i64::MAX));
    let (messages, now) = (world.messages(), time::now_utc());
    let mut position = 0;
    for sent in messages.files().flat_map(|file| &file.messages) {
        if sent.visible_at > now || sent.at < start || sent.at > end {
            continue;
        }
        position += 1;
        show(&history_row(position, sent))?;
    }
    Ok(())
}

fn history_row(position: i64, sent: &Sent) -> Vec<Value> {
    let mut job = sent.job.split('/');
    let (number, user, name) = (job.next(), job.next(), job.next());
    let part = |part: Option<&str>| part.map_or(Value::Null, Value::from);
    vec![
        Value::Int(position),
        sent.id.clone().into(),
        sent.kind.as_str().into(),
        sent.subtype.clone().into(),
        Value::Int(sent.severity),
        Value::Timestamp(sent.at),
        sent.user.as_str().into(),
        sent.job.as_str().into(),
        part(name),
        part(user),
        part(number),
        sent.program.as_str().into(),
        file(sent, "QSYS"),
        file(sent, "QCPFMSG"),
        tokens(sent),
        sent.text.as_str().into(),
        sent.detail.clone().into(),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
    ]
}

/// An impromptu message is of no file.
fn file(sent: &Sent, name: &'static str) -> Value {
    if sent.id.is_some() { name.into() } else { Value::Null }
}

fn tokens(sent: &Sent) -> Value {
    if sent.tokens.is_empty() { Value::Null } else { Value::Bits(sent.tokens.clone()) }
}

fn queue(world: &World, env: &Env, values: &[Value], show: &mut Show<'_>) -> Result<(), SqlError> {
    let library = text(values.first()).unwrap_or_else(|| "QSYS".to_owned());
    let name = text(values.get(1)).unwrap_or_else(|| "QSYSOPR".to_owned());
    let filter = text(values.get(2)).unwrap_or_else(|| "ALL".to_owned());
    let severity = values.get(3).and_then(Value::integer).unwrap_or(0);
    let (messages, now) = (world.messages(), time::now_utc());
    let Some(found) = messages.queue(&library, &name) else {
        return Err(SqlError::service(&format!("CPF2403: Message queue {name} in {library} not found.")));
    };
    if !world.reads_queues(&env.user) {
        return Err(SqlError::not_authorized(&library, &name, "*MSGQ"));
    }
    let wanted = |word: &str| filter.split(' ').any(|part| part == "ALL" || part == word);
    for sent in visible(found, now).filter(|sent| sent.severity >= severity) {
        let word = match sent.kind.as_str() {
            "INQUIRY" => "INQUIRY",
            "SENDER" => "SENDER",
            _ => "COMPLETE",
        };
        if wanted(word) {
            show(&queue_row(&library, &name, sent))?;
        }
    }
    Ok(())
}

fn visible(queue: &Queue, now: i64) -> impl Iterator<Item = &Sent> {
    queue.messages.iter().filter(move |sent| sent.visible_at <= now)
}

fn queue_row(library: &str, name: &str, sent: &Sent) -> Vec<Value> {
    let key = |key: Option<u32>| key.map_or(Value::Null, |key| Value::Binary(key.to_be_bytes().to_vec()));
    vec![
        library.into(),
        name.into(),
        sent.id.clone().into(),
        sent.kind.as_str().into(),
        sent.subtype.clone().into(),
        sent.text.as_str().into(),
        Value::Int(sent.severity),
        Value::Timestamp(sent.at),
        key(sent.key),
        key(sent.answers),
        sent.user.as_str().into(),
        sent.job.as_str().into(),
        sent.program.as_str().into(),
        file(sent, "QSYS"),
        file(sent, "QCPFMSG"),
        tokens(sent),
        sent.detail.clone().into(),
    ]
}

fn objects(world: &World, _: &Env, values: &[Value], show: &mut Show<'_>) -> Result<(), SqlError> {
    let (library, kinds) =
        (text(values.first()).unwrap_or_default(), text(values.get(1)).unwrap_or_default());
    let wanted = text(values.get(2)).filter(|name| name != "*ALL");
    let shows = |kind: &str, name: &str| {
        (kinds == "*ALL" || kinds.split([' ', ',']).any(|word| word == kind))
            && wanted.as_ref().is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(front) => name.starts_with(front),
                None => wanted == name,
            })
    };
    let row = |kind: &'static str, name: &str, created: i64| {
        vec![
            name.into(),
            kind.into(),
            "QSYS".into(),
            Value::Timestamp(created),
            Value::Null,
            library.as_str().into(),
        ]
    };
    let messages = world.messages();
    for ((of, name), _) in messages.queues() {
        if *of == library && shows("*MSGQ", name) {
            show(&row("*MSGQ", name, 0))?;
        }
    }
    for file in messages.files() {
        if library == "QSYS" && shows("*FILE", &file.name) {
            show(&row("*FILE", &file.name, file.created))?;
        }
    }
    Ok(())
}
