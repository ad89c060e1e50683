//! Statements of one connection: prepared ones, open results, their replies without envelope.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_proto::mapepire::{Column, Metadata, ParameterMetadata, RequestFrame};
use serde_json::Value as Json;

use super::parameters::{self, Given};
use crate::json;
use crate::scenario::Manners;
use crate::service::Mode;
use crate::sql::change::{self, Done};
use crate::sql::compile::Source;
use crate::sql::eval::{Env, KeepBytes};
use crate::sql::{Action, Cursor, Query, SqlError, SqlType, Value, compile, compile_action, parse};
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

/// A compiled statement.
#[derive(Clone)]
enum Plan {
    /// One with a result.
    Query(Arc<Query>),
    /// One without.
    Action(Arc<Action>),
}

/// What is open of a result.
struct Open {
    query: Arc<Query>,
    cursor: Cursor,
    env: Env,
}

/// What a handle stands for.
struct Handle {
    plan: Plan,
    open: Option<Open>,
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
    /// Where byte cells are kept, by servers that do so.
    keeper: Option<Arc<dyn KeepBytes>>,
    connection: Mutex<Option<Connection>>,
    handles: Mutex<HashMap<String, Arc<Mutex<Handle>>>>,
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Statements {
    pub(super) fn new(world: Arc<World>, user: &str, keeper: Option<Arc<dyn KeepBytes>>) -> Self {
        let user = user.to_uppercase();
        Self { world, user, keeper, connection: Mutex::new(None), handles: Mutex::new(HashMap::new()) }
    }

    pub(super) fn manners(&self) -> Manners {
        self.world.scenario.server.manners()
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

    pub(super) fn env(&self, markers: Vec<Value>) -> Result<Env, SqlError> {
        let connection = lock(&self.connection);
        let not_connected = || SqlError { text: "Not connected".into(), state: None, code: 0 };
        let connection = connection.as_ref().ok_or_else(not_connected)?;
        Ok(Env {
            bytes: self.keeper.clone(),
            markers,
            now: self.world.now(),
            offset: self.world.offset(),
            user: self.user.clone(),
            schema: connection.schema.clone(),
            job: connection.job.clone(),
            server: self.world.scenario.system.host_name.to_uppercase(),
        })
    }

    fn compile(&self, frame: &RequestFrame) -> Result<Plan, SqlError> {
        let schema = self.env(Vec::new())?.schema;
        let parsed = parse::parse(frame.sql.as_deref().unwrap_or_default())?;
        if let Some(action) = compile_action(&parsed, &schema)? {
            return Ok(Plan::Action(Arc::new(action)));
        }
        compile(&parsed, &schema).map(|query| Plan::Query(Arc::new(query)))
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
        let plan = self.compile(frame)?;
        let env = self.env(Vec::new())?;
        let terse = frame.terse.unwrap_or(false);
        let query = match &plan {
            Plan::Query(query) => Arc::clone(query),
            Plan::Action(action) => {
                let done = change::run(action, &self.world, &env)?;
                self.keep(id, Handle { plan, open: None, terse })?;
                return Ok(format!(",\"has_results\":false,\"update_count\":{}", done.updated));
            }
        };
        let mut cursor = Cursor::open(&query, &self.world, &env)?;
        let mut out = String::from(",\"has_results\":true,\"update_count\":-1,\"metadata\":");
        out.push_str(&json::frame(&self.metadata(&query, &env.job, true)));
        out.push_str(",\"data\":");
        let done = cursor.fetch(&query, &self.world, &env, rows(frame), terse, &mut out)?;
        push_done(done, &mut out);
        self.keep(id, Handle { plan, open: Some(Open { query, cursor, env }), terse })?;
        Ok(out)
    }

    pub(super) fn prepare(&self, id: &str, frame: &RequestFrame) -> Result<String, Failure> {
        let plan = self.compile(frame)?;
        let out = self.prepared(&plan)?;
        self.keep(id, Handle { plan, open: None, terse: frame.terse.unwrap_or(false) })?;
        Ok(out)
    }

    pub(super) fn prepare_execute(&self, id: &str, frame: &RequestFrame) -> Result<String, Failure> {
        let plan = self.compile(frame)?;
        let prepared = self.prepared(&plan)?;
        let terse = frame.terse.unwrap_or(false);
        let failed = |failure: Failure| match failure {
            Failure::Sql { error, .. } => Failure::Sql { body: prepared.clone(), error },
            request @ Failure::Request(_) => request,
        };
        let (block, open) = self.execute_plan(&plan, frame, true).map_err(failed)?;
        let mut out = match &open {
            None => prepared,
            // With a result the metadata is that of the result.
            Some(Open { query, env, .. }) => format!(
                ",\"parameter_count\":{},\"metadata\":{}",
                query.markers,
                json::frame(&self.metadata(query, &env.job, true))
            ),
        };
        out.push_str(&block);
        self.keep(id, Handle { plan, open, terse })?;
        Ok(out)
    }

    pub(super) fn execute(&self, frame: &RequestFrame) -> Result<String, Failure> {
        let handle = self.handle(frame)?;
        let plan = lock(&handle).plan.clone();
        Ok(self.execute_plan(&plan, frame, false)?.0)
    }

    /// [batch_added], has_results, update_count, data, output_parms, is_done; and the result, if there is one.
    fn execute_plan(
        &self,
        plan: &Plan,
        frame: &RequestFrame,
        required: bool,
    ) -> Result<(String, Option<Open>), Failure> {
        let given = parameters::given(frame, required)?;
        let kinds = marker_kinds(plan);
        let bind = |values| parameters::bind(values, &kinds, self.manners().keeps_blobs);
        let (query, values) = match (plan, given) {
            (Plan::Query(query), Given::One(values)) => (query, bind(values)?),
            (Plan::Query(_), Given::Batch(_)) => {
                return Err(SqlError::unsupported("batch of parameters for a query").into());
            }
            (Plan::Action(action), Given::One(values)) => {
                let env = self.env(bind(values)?)?;
                let done = change::run(action, &self.world, &env)?;
                return Ok((changed(None, &done, action, &env), None));
            }
            (Plan::Action(action), Given::Batch(batch)) => {
                let (mut sum, count) = (Done::default(), batch.len());
                for values in batch {
                    let env = self.env(bind(values)?)?;
                    sum.updated += change::run(action, &self.world, &env)?.updated;
                }
                return Ok((changed(Some(count), &sum, action, &self.env(Vec::new())?), None));
            }
        };
        let env = self.env(values)?;
        let mut cursor = Cursor::open(query, &self.world, &env)?;
        let mut out = String::with_capacity(rows(frame).saturating_mul(1_500).min(LARGEST));
        out.push_str(",\"has_results\":true,\"update_count\":-1,\"data\":");
        let terse = frame.terse.unwrap_or(false);
        let done = cursor.fetch(query, &self.world, &env, rows(frame), terse, &mut out)?;
        push_outputs(kinds.iter().map(|kind| (*kind, None)), &env, &mut out);
        push_done(done, &mut out);
        Ok((out, Some(Open { query: Arc::clone(query), cursor, env })))
    }

    pub(super) fn more(&self, frame: &RequestFrame) -> Result<String, Failure> {
        self.env(Vec::new())?;
        let handle = self.handle(frame)?;
        let mut handle = lock(&handle);
        let Handle { open, terse, .. } = &mut *handle;
        let Some(Open { query, cursor, env }) = open else {
            return Err(Failure::Request("Result set was null".into()));
        };
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

    fn prepared(&self, plan: &Plan) -> Result<String, SqlError> {
        let job = self.env(Vec::new())?.job;
        let full = self.manners().describes_prepared;
        let mut metadata = match plan {
            Plan::Query(query) => self.metadata(query, &job, full),
            Plan::Action(_) => Metadata { column_count: 0, job, columns: None, parameters: None },
        };
        let kinds = marker_kinds(plan);
        let modes = parameters::modes(plan_action(plan), kinds.len());
        let parameter = |(kind, mode): (&SqlType, Mode)| {
            let (_, precision, scale) = kind.sizes();
            let (kind, mode) = (kind.name().to_owned(), mode.name().to_owned());
            ParameterMetadata { kind, mode, precision, scale, name: None }
        };
        metadata.parameters = Some(kinds.iter().zip(modes).map(parameter).collect());
        Ok(format!(",\"parameter_count\":{},\"metadata\":{}", kinds.len(), json::frame(&metadata)))
    }

    fn metadata(&self, query: &Query, job: &str, full: bool) -> Metadata {
        let tables = self.manners().names_table;
        let table = match &query.source {
            Source::Table(table) => table.name,
            Source::One | Source::Journal(..) | Source::Function(..) => "",
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
}

fn plan_action(plan: &Plan) -> Option<&Action> {
    match plan {
        Plan::Query(_) => None,
        Plan::Action(action) => Some(action),
    }
}

fn marker_kinds(plan: &Plan) -> Vec<SqlType> {
    match plan {
        Plan::Query(query) => query.marker_kinds(),
        Plan::Action(action) => action.markers.clone(),
    }
}

/// What a statement without a result answers.
fn changed(batch: Option<usize>, done: &Done, action: &Action, env: &Env) -> String {
    let mut out = batch.map_or_else(String::new, |count| format!(",\"batch_added\":{count}"));
    out.push_str(&format!(",\"has_results\":false,\"update_count\":{},\"data\":[]", done.updated));
    let outputs = parameters::outputs(action, &done.outputs);
    push_outputs(outputs.into_iter(), env, &mut out);
    push_done(true, &mut out);
    out
}

/// Describes each parameter; those that give something back have a value.
fn push_outputs(parameters: impl Iterator<Item = (SqlType, Option<Value>)>, env: &Env, out: &mut String) {
    out.push_str(",\"output_parms\":[");
    for (index, (kind, value)) in parameters.enumerate() {
        let (_, precision, scale) = kind.sizes();
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&format!("{{\"index\":{},\"type\":", index + 1));
        json::write_text(kind.name(), out);
        out.push_str(&format!(",\"precision\":{precision},\"scale\":{scale},\"name\":null,\"ccsid\":1208"));
        if let Some(value) = value {
            out.push_str(",\"value\":");
            match value {
                // Trimmed on both sides.
                Value::Text(text) => json::write_text(text.trim(), out),
                other => env.write_cell(&other, kind, out),
            }
        }
        out.push('}');
    }
    out.push(']');
}

pub(super) fn push_done(done: bool, out: &mut String) {
    out.push_str(if done { ",\"is_done\":true" } else { ",\"is_done\":false" });
}

fn rows(frame: &RequestFrame) -> usize {
    let wanted = match &frame.rows {
        Some(Json::Number(number)) => number.as_i64().unwrap_or(DEFAULT_ROWS),
        _ => DEFAULT_ROWS,
    };
    usize::try_from(wanted).unwrap_or(0)
}
