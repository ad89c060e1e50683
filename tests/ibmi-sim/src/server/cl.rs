//! CL commands: their messages as rows of the job log.

use muster_proto::mapepire::{Column, Metadata, RequestFrame};

use super::statement::{Failure, Statements, push_done};
use crate::json;
use crate::service::command::{self, Message};
use crate::sql::eval::Env;
use crate::sql::{SqlType, Value};

/// Columns, in their order; some come twice.
const COLUMNS: [(&str, SqlType); 27] = [
    ("SUMMARY", SqlType::Varchar(1_100)),
    ("SEVERITY", SqlType::Smallint),
    ("MESSAGE_SECOND_LEVEL_TEXT", SqlType::Varchar(4_096)),
    ("MESSAGE_ID", SqlType::Varchar(7)),
    ("MESSAGE_TYPE", SqlType::Varchar(13)),
    ("MESSAGE_SUBTYPE", SqlType::Varchar(22)),
    ("SEVERITY", SqlType::Smallint),
    ("MESSAGE_TIMESTAMP", SqlType::Timestamp),
    ("FROM_LIBRARY", SqlType::Varchar(10)),
    ("FROM_PROGRAM", SqlType::Varchar(256)),
    ("FROM_MODULE", SqlType::Varchar(10)),
    ("FROM_PROCEDURE", SqlType::Varchar(4_096)),
    ("FROM_INSTRUCTION", SqlType::Varchar(10)),
    ("TO_LIBRARY", SqlType::Varchar(10)),
    ("TO_PROGRAM", SqlType::Varchar(10)),
    ("TO_MODULE", SqlType::Varchar(10)),
    ("TO_PROCEDURE", SqlType::Varchar(4_096)),
    ("TO_INSTRUCTION", SqlType::Varchar(10)),
    ("FROM_USER", SqlType::Varchar(10)),
    ("MESSAGE_LIBRARY", SqlType::Varchar(10)),
    ("MESSAGE_FILE", SqlType::Varchar(10)),
    ("MESSAGE_TOKEN_LENGTH", SqlType::Smallint),
    ("MESSAGE_TOKENS", SqlType::VarcharBit(4_096)),
    ("MESSAGE_TEXT", SqlType::Varchar(1_024)),
    ("MESSAGE_SECOND_LEVEL_TEXT", SqlType::Varchar(4_096)),
    ("MESSAGE_KEY", SqlType::Varbinary(4)),
    ("QUALIFIED_JOB_NAME", SqlType::Varchar(28)),
];

impl Statements {
    /// Runs a CL command.
    pub(super) fn cl(&self, frame: &RequestFrame) -> Result<String, Failure> {
        let env = self.env(Vec::new())?;
        let outcome = command::run(frame.cmd.as_deref().unwrap_or_default());
        let count = COLUMNS.len() - usize::from(!self.manners().names_job);
        let body = job_log(&outcome.messages, &COLUMNS[..count], &env, frame.terse.unwrap_or(false));
        match outcome.error {
            None => Ok(body),
            Some(error) => Err(Failure::Sql { body, error }),
        }
    }
}

fn job_log(messages: &[Message], columns: &[(&str, SqlType)], env: &Env, terse: bool) -> String {
    let described = columns
        .iter()
        .map(|(name, kind)| Column {
            name: (*name).to_owned(),
            kind: kind.name().to_owned(),
            display_size: kind.sizes().0,
            label: (*name).to_owned(),
            ..Column::default()
        })
        .collect::<Vec<_>>();
    let metadata = Metadata {
        column_count: columns.len(),
        job: env.job.clone(),
        columns: Some(described),
        parameters: None,
    };
    let mut out = format!(",\"metadata\":{},\"data\":[", json::frame(&metadata));
    for (number, message) in messages.iter().enumerate() {
        out.push_str(if number > 0 { "," } else { "" });
        out.push(if terse { '[' } else { '{' });
        for (index, (name, kind)) in columns.iter().enumerate() {
            // In an object two columns of one name are one.
            if !terse && columns[index + 1..].iter().any(|(later, _)| later == name) {
                continue;
            }
            if !out.ends_with(['[', '{']) {
                out.push(',');
            }
            if !terse {
                json::write_text(name, &mut out);
                out.push(':');
            }
            env.write_cell(&cell(name, message, number, env), *kind, &mut out);
        }
        out.push(if terse { ']' } else { '}' });
    }
    out.push(']');
    push_done(true, &mut out);
    out
}

fn cell(name: &str, message: &Message, number: usize, env: &Env) -> Value {
    let Message { id, kind, severity, text, tokens } = message;
    match name {
        "SUMMARY" => Value::Text(format!("{id} [{}]: {text}", &kind[..4])),
        "SEVERITY" => Value::Int(*severity),
        "MESSAGE_ID" => (*id).into(),
        "MESSAGE_TYPE" => (*kind).into(),
        "MESSAGE_TIMESTAMP" => Value::Timestamp(env.now),
        "FROM_LIBRARY" | "TO_LIBRARY" | "MESSAGE_LIBRARY" => "QSYS".into(),
        "FROM_PROGRAM" | "TO_PROGRAM" => "QCMD".into(),
        "FROM_USER" => env.user.as_str().into(),
        "MESSAGE_FILE" => "QCPFMSG".into(),
        "MESSAGE_TOKEN_LENGTH" => Value::Int(i64::try_from(tokens.len()).unwrap_or(0)),
        "MESSAGE_TOKENS" => Value::Bits(tokens.clone()),
        "MESSAGE_TEXT" => text.as_str().into(),
        "MESSAGE_KEY" => Value::Binary(u32::try_from(number + 1).unwrap_or(0).to_be_bytes().to_vec()),
        "QUALIFIED_JOB_NAME" => env.job.as_str().into(),
        _ => Value::Null,
    }
}
