//! Statements of one connection: prepared ones, open results, their replies without envelope.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_proto::mapepire::{Column, Metadata, ParameterMetadata, RequestFrame};
use serde_json::Value as Json;

use crate::json;
use crate::scenario::Generation;
use crate::sql::compile::Source;
use crate::sql::eval::Env;
use crate::sql::{Cursor, Query, SqlError, Value, compile, parse};
use crate::world::World;

/// Handles that one connection may hold.
const HANDLES: usize = 1_000;
const DEFAULT_ROWS: i64 = 1_000;
/// Room that a reply gets at once; a longer one grows.
const LARGEST: usize = 4 * 1024 * 1024;

/// A request failed.
pub(super) enum Failure {
    /// Not with an SQL error.
    Request(String),
    /// With an SQL error; `body` is what the reply has besides.
    Sql {
        /// Fields before the error.
        body: String,
        /// The error.
        error: SqlError,
    },
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Sql { body: String::new(), error }
    }
}

/// What a handle stands for.
struct Handle {
    query: Arc<Query>,
    open: Option<(Cursor, Env)>,
    terse: bool,
}

struct Connection {
    job: String,
    schema: String,
}

/// Statements of one socket.
pub(super) struct Statements {
    world: Arc<World>,
    user: String,
    connection: Mutex<Option<Connection>>,
    handles: Mutex<HashMap<String, Arc<Mutex<Handle>>>>,
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Statements {
    pub(super) fn new(world: Arc<World>, user: &str) -> Self {
        let user = user.to_uppercase();
        Self { world, user, connection: Mutex::new(None), handles: Mutex::new(HashMap::new()) }
    }

    /// Starts a new connection; the old one and its handles end.
    pub(super) fn connect(&self, props: &str) -> String {
        let libraries = props
            .split(';')
            .filter_map(|prop| prop.split_once('='))
            .find(|(key, _)| key.trim() == "libraries");
        let schema = libraries
            .and_then(|(_, list)| {
                list.split([',', ' ']).find(|name| !name.is_empty() && !name.starts_with('*'))
            })
            .map_or_else(|| self.user.clone(), str::to_uppercase);
        let job = self.world.new_job();
        lock(&self.handles).clear();
        *lock(&self.connection) = Some(Connection { job: job.clone(), schema });
        job
    }

    pub(super) fn disconnect(&self) {
        *lock(&self.connection) = None;
        lock(&self.handles).clear();
    }

    pub(super) fn job(&self) -> Option<String> {
        lock(&self.connection).as_ref().map(|connection| connection.job.clone())
    }

    fn env(&self, markers: Vec<Value>) -> Result<Env, SqlError> {
        let connection = lock(&self.connection);
        let not_connected = || SqlError { text: "Not connected".into(), state: None, code: 0 };
        let connection = connection.as_ref().ok_or_else(not_connected)?;
        Ok(Env {
            markers,
            now: self.world.now(),
            offset: self.world.offset(),
            user: self.user.clone(),
            schema: connection.schema.clone(),
            job: connection.job.clone(),
            server: self.world.scenario.system.host_name.to_uppercase(),
        })
    }

    fn compile(&self, frame: &RequestFrame) -> Result<Arc<Query>, SqlError> {
        let schema = self.env(Vec::new())?.schema;
        let parsed = parse::parse(frame.sql.as_deref().unwrap_or_default())?;
        compile(&parsed, &schema).map(Arc::new)
    }

    fn keep(&self, id: &str, handle: Handle) -> Result<(), Failure> {
        let mut handles = lock(&self.handles);
        if handles.len() >= HANDLES && !handles.contains_key(id) {
            return Err(SqlError::driver("HY014", "Limit on number of statements exceeded.").into());
        }
        handles.insert(id.to_owned(), Arc::new(Mutex::new(handle)));
        Ok(())
    }

    fn handle(&self, frame: &RequestFrame) -> Result<Arc<Mutex<Handle>>, Failure> {
        let id = frame
            .cont_id
            .as_deref()
            .ok_or_else(|| Failure::Request("Bad request: Correlation ID not specified".into()))?;
        let found = lock(&self.handles).get(id).cloned();
        found.ok_or_else(|| Failure::Request("Bad request: invalid correlation ID".into()))
    }

    pub(super) fn sql(&self, id: &str, frame: &RequestFrame) -> Result<String, Failure> {
        let query = self.compile(frame)?;
        let env = self.env(Vec::new())?;
        let mut cursor = Cursor::open(&query, &self.world, &env)?;
        let terse = frame.terse.unwrap_or(false);
        let mut out = self.head(&query, &env);
        out.push_str(",\"data\":");
        let done = cursor.fetch(&query, &self.world, &env, rows(frame), terse, &mut out)?;
        push_done(done, &mut out);
        self.keep(id, Handle { query, open: Some((cursor, env)), terse })?;
        Ok(out)
    }

    pub(super) fn prepare(&self, id: &str, frame: &RequestFrame) -> Result<String, Failure> {
        let query = self.compile(frame)?;
        let out = self.prepared(&query)?;
        self.keep(id, Handle { query, open: None, terse: frame.terse.unwrap_or(false) })?;
        Ok(out)
    }

    pub(super) fn prepare_execute(&self, id: &str, frame: &RequestFrame) -> Result<String, Failure> {
        let query = self.compile(frame)?;
        let prepared = self.prepared(&query)?;
        let terse = frame.terse.unwrap_or(false);
        let failed = |error: SqlError| Failure::Sql { body: prepared.clone(), error };
        let env = self.env(markers(frame, true)?).map_err(&failed)?;
        let mut cursor = Cursor::open(&query, &self.world, &env).map_err(&failed)?;
        let mut out = format!(",\"parameter_count\":{}", query.markers);
        out.push_str(",\"metadata\":");
        out.push_str(&json::frame(&self.metadata(&query, &env.job, true)));
        self.block(&query, &env, &mut cursor, frame, terse, &mut out).map_err(&failed)?;
        self.keep(id, Handle { query, open: Some((cursor, env)), terse })?;
        Ok(out)
    }

    pub(super) fn execute(&self, frame: &RequestFrame) -> Result<String, Failure> {
        let handle = self.handle(frame)?;
        let query = Arc::clone(&lock(&handle).query);
        let terse = frame.terse.unwrap_or(false);
        let env = self.env(markers(frame, false)?)?;
        let mut cursor = Cursor::open(&query, &self.world, &env)?;
        let mut out = String::with_capacity(rows(frame).saturating_mul(1_500).min(LARGEST));
        self.block(&query, &env, &mut cursor, frame, terse, &mut out)?;
        Ok(out)
    }

    /// has_results, update_count, data, output_parms, is_done.
    fn block(
        &self,
        query: &Query,
        env: &Env,
        cursor: &mut Cursor,
        frame: &RequestFrame,
        terse: bool,
        out: &mut String,
    ) -> Result<(), SqlError> {
        out.push_str(",\"has_results\":true,\"update_count\":-1,\"data\":");
        let done = cursor.fetch(query, &self.world, env, rows(frame), terse, out)?;
        out.push_str(",\"output_parms\":[");
        for index in 0..query.markers {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&format!(
                "{{\"index\":{},\"type\":\"VARCHAR\",\"precision\":32672,\"scale\":0,\"name\":null,\"ccsid\":1208}}",
                index + 1
            ));
        }
        out.push(']');
        push_done(done, out);
        Ok(())
    }

    pub(super) fn more(&self, frame: &RequestFrame) -> Result<String, Failure> {
        self.env(Vec::new())?;
        let handle = self.handle(frame)?;
        let mut handle = lock(&handle);
        let Handle { query, open, terse } = &mut *handle;
        let Some((cursor, env)) = open else { return Err(Failure::Request("Result set was null".into())) };
        let mut out = String::from(",\"data\":");
        let done = cursor.fetch(query, &self.world, env, rows(frame), *terse, &mut out)?;
        push_done(done, &mut out);
        Ok(out)
    }

    pub(super) fn close(&self, frame: &RequestFrame) -> Result<String, Failure> {
        self.handle(frame)?;
        lock(&self.handles).remove(frame.cont_id.as_deref().unwrap_or_default());
        Ok(String::new())
    }

    fn head(&self, query: &Query, env: &Env) -> String {
        let mut out = String::from(",\"has_results\":true,\"update_count\":-1,\"metadata\":");
        out.push_str(&json::frame(&self.metadata(query, &env.job, true)));
        out
    }

    fn prepared(&self, query: &Query) -> Result<String, SqlError> {
        let job = self.env(Vec::new())?.job;
        let full = self.world.scenario.server.generation == Generation::G1b;
        let mut metadata = self.metadata(query, &job, full);
        let parameter = ParameterMetadata {
            kind: "VARCHAR".into(),
            mode: "IN".into(),
            precision: 32_672,
            scale: 0,
            name: None,
        };
        metadata.parameters = Some(vec![parameter; query.markers]);
        Ok(format!(",\"parameter_count\":{},\"metadata\":{}", query.markers, json::frame(&metadata)))
    }

    fn metadata(&self, query: &Query, job: &str, full: bool) -> Metadata {
        let tables = self.world.scenario.server.generation == Generation::G1b;
        let table = match &query.source {
            Source::Table(table) => table.name,
            Source::One | Source::Journal(..) => "",
        };
        let columns = query
            .outputs
            .iter()
            .map(|output| {
                let (display_size, precision, scale) = output.kind.sizes();
                Column {
                    name: output.name.clone(),
                    kind: output.kind.name().to_owned(),
                    display_size,
                    label: output.name.clone(),
                    precision: full.then_some(precision),
                    scale: full.then_some(scale),
                    auto_increment: full.then_some(false),
                    nullable: full.then_some(u8::from(output.nullable)),
                    read_only: full.then_some(true),
                    writeable: full.then_some(false),
                    table: (full && tables).then(|| table.to_owned()),
                }
            })
            .collect::<Vec<_>>();
        Metadata {
            column_count: columns.len(),
            job: job.to_owned(),
            columns: Some(columns),
            parameters: None,
        }
    }

    /// Runs a CL command: a few are known, the others fail as unknown commands do.
    pub(super) fn cl(&self, frame: &RequestFrame) -> Result<String, Failure> {
        let env = self.env(Vec::new())?;
        let command = frame.cmd.as_deref().unwrap_or_default().trim().to_owned();
        let name = command.split([' ', '(']).next().unwrap_or_default().to_uppercase();
        let known = ["WRKACTJOB", "DSPJRN", "DSPLIBL", "CHGJOB", "DLYJOB", "SNDMSG", "DSPSYSSTS", "ADDLIBLE"];
        let mut messages = vec![("*NONE", "REQUEST", 0_i64, command.clone())];
        let failed = if known.contains(&name.as_str()) {
            messages.push(("CPC9801", "COMPLETION", 0, format!("Command {name} completed.")));
            false
        } else {
            messages.push((
                "CPD0030",
                "DIAGNOSTIC",
                30,
                format!("Command {name} in library *LIBL not found."),
            ));
            messages.push(("CPF0006", "ESCAPE", 30, "Errors occurred in command.".to_owned()));
            true
        };
        let out = self.job_log(&messages, &env, frame.terse.unwrap_or(false));
        if failed {
            let error = SqlError {
                text: "[CPF0006] Errors occurred in command.".into(),
                state: Some("38501"),
                code: -443,
            };
            return Err(Failure::Sql { body: out, error });
        }
        Ok(out)
    }

    fn job_log(&self, messages: &[(&str, &str, i64, String)], env: &Env, terse: bool) -> String {
        const TEXTS: [&str; 22] = [
            "SUMMARY",
            "SEVERITY",
            "MESSAGE_SECOND_LEVEL_TEXT",
            "MESSAGE_ID",
            "MESSAGE_TYPE",
            "MESSAGE_SUBTYPE",
            "SEVERITY",
            "MESSAGE_TIMESTAMP",
            "FROM_LIBRARY",
            "FROM_PROGRAM",
            "FROM_MODULE",
            "FROM_PROCEDURE",
            "FROM_INSTRUCTION",
            "TO_LIBRARY",
            "TO_PROGRAM",
            "TO_MODULE",
            "TO_PROCEDURE",
            "TO_INSTRUCTION",
            "FROM_USER",
            "MESSAGE_TEXT",
            "MESSAGE_SECOND_LEVEL_TEXT",
            "QUALIFIED_JOB_NAME",
        ];
        let count = TEXTS.len() - usize::from(self.world.scenario.server.generation == Generation::G1b);
        let names = &TEXTS[..count];
        let columns = names
            .iter()
            .map(|name| Column {
                name: (*name).to_owned(),
                kind: if *name == "SEVERITY" { "SMALLINT" } else { "VARCHAR" }.to_owned(),
                display_size: 1024,
                label: (*name).to_owned(),
                ..Column::default()
            })
            .collect::<Vec<_>>();
        let metadata =
            Metadata { column_count: count, job: env.job.clone(), columns: Some(columns), parameters: None };
        let mut out = format!(",\"metadata\":{},\"data\":[", json::frame(&metadata));
        for (number, (id, kind, severity, text)) in messages.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            out.push(if terse { '[' } else { '{' });
            for (index, name) in names.iter().enumerate() {
                if !terse && names[index + 1..].contains(name) {
                    continue;
                }
                if !out.ends_with(['[', '{']) {
                    out.push(',');
                }
                if !terse {
                    json::write_text(name, &mut out);
                    out.push(':');
                }
                match *name {
                    "SUMMARY" => json::write_text(&format!("{id} [{}]: {text}", &kind[..4]), &mut out),
                    "SEVERITY" => out.push_str(&severity.to_string()),
                    "MESSAGE_ID" => json::write_text(id, &mut out),
                    "MESSAGE_TYPE" => json::write_text(kind, &mut out),
                    "MESSAGE_TIMESTAMP" => json::write_text(&crate::time::timestamp(env.now), &mut out),
                    "FROM_LIBRARY" | "TO_LIBRARY" => json::write_text("QSYS", &mut out),
                    "FROM_PROGRAM" | "TO_PROGRAM" => json::write_text("QCMD", &mut out),
                    "FROM_USER" => json::write_text(&env.user, &mut out),
                    "MESSAGE_TEXT" => json::write_text(text, &mut out),
                    "QUALIFIED_JOB_NAME" => json::write_text(&env.job, &mut out),
                    _ => out.push_str("null"),
                }
            }
            out.push(if terse { ']' } else { '}' });
        }
        out.push(']');
        push_done(true, &mut out);
        out
    }
}

fn push_done(done: bool, out: &mut String) {
    out.push_str(if done { ",\"is_done\":true" } else { ",\"is_done\":false" });
}

fn rows(frame: &RequestFrame) -> usize {
    let wanted = match &frame.rows {
        Some(Json::Number(number)) => number.as_i64().unwrap_or(DEFAULT_ROWS),
        _ => DEFAULT_ROWS,
    };
    usize::try_from(wanted).unwrap_or(0)
}

/// Values for the markers, all through their text form; null stays NULL.
fn markers(frame: &RequestFrame, required: bool) -> Result<Vec<Value>, Failure> {
    let list = match &frame.parameters {
        Some(Json::Array(list)) => list,
        None | Some(Json::Null) if !required => return Ok(Vec::new()),
        None | Some(Json::Null) => {
            return Err(Failure::Request(
                "Internal Error: NullPointerException: Cannot invoke \"com.google.gson.JsonElement.getAsJsonArray()\" \
                 because the return value is null"
                    .into(),
            ));
        }
        Some(other) => return Err(Failure::Request(format!("Not a JSON Array: {other}"))),
    };
    list.iter()
        .map(|item| match item {
            Json::Null => Ok(Value::Null),
            Json::String(text) => Ok(Value::Text(text.clone())),
            Json::Number(number) => Ok(Value::Text(number.to_string())),
            Json::Bool(flag) => Ok(Value::Text(flag.to_string())),
            Json::Array(_) => Err(SqlError::unsupported("batch of parameters for a query").into()),
            Json::Object(_) => {
                Err(Failure::Request("Internal Error: UnsupportedOperationException: JsonObject".into()))
            }
        })
        .collect()
}
