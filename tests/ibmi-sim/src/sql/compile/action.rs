//! Statements that change something: INSERT and DELETE on the table that can be written, CALL of a few
//! procedures.

use sqlparser::ast::{
    self, FromTable, FunctionArg, FunctionArgExpr, FunctionArguments, SetExpr, Statement, TableObject,
};

use super::expression::{Expr, Scope, fold};
use super::markers::Kinds;
use super::{read_only, split_name};
use crate::service::{self, Procedure, Table};
use crate::sql::parse::Parsed;
use crate::sql::{SqlError, SqlType};

/// What is changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// Rows are added: an expression for each column of the table.
    Insert(Vec<Vec<Expr>>),
    /// Rows that meet a condition go.
    Delete(Option<Expr>),
    /// A procedure runs with these arguments.
    Call(&'static Procedure, Vec<Expr>),
}

/// A compiled statement without a result.
#[derive(Debug, Clone)]
pub struct Action {
    /// What it does.
    pub change: Change,
    /// Type of each parameter marker.
    pub markers: Vec<SqlType>,
}

/// Compiles a statement that has no result; none for one that has.
///
/// # Errors
/// SQL errors as Db2 words them.
pub fn compile_action(parsed: &Parsed, schema: &str) -> Result<Option<Action>, SqlError> {
    let change = match &parsed.statement {
        Statement::Insert(insert) => compile_insert(insert, schema)?,
        Statement::Delete(delete) => compile_delete(delete, schema)?,
        Statement::Call(function) => compile_call(function, schema)?,
        _ => return Ok(None),
    };
    let mut kinds = Kinds::new(parsed.markers);
    let columns = &service::notes().columns;
    match &change {
        Change::Insert(rows) => {
            for (expr, column) in rows.iter().flat_map(|row| row.iter().zip(columns)) {
                kinds.look(expr, columns);
                kinds.set(expr, column.kind);
            }
        }
        Change::Delete(filter) => filter.iter().for_each(|expr| kinds.look(expr, columns)),
        Change::Call(procedure, arguments) => {
            for (expr, parameter) in arguments.iter().zip(procedure.parameters) {
                kinds.look(expr, &[]);
                kinds.set(expr, parameter.kind);
            }
        }
    }
    Ok(Some(Action { change, markers: kinds.into_list() }))
}

/// The one table that can be written.
fn writable(name: &ast::ObjectName, schema: &str) -> Result<&'static Table, SqlError> {
    let (schema, name) = split_name(name, schema);
    let table = service::table(&schema, &name).ok_or_else(|| SqlError::not_found(&schema, &name, "*FILE"))?;
    let notes = service::notes();
    if (table.schema, table.name) == (notes.schema, notes.name) {
        Ok(table)
    } else {
        Err(read_only(&format!("{schema}.{name}")))
    }
}

fn compile_insert(insert: &ast::Insert, schema: &str) -> Result<Change, SqlError> {
    let TableObject::TableName(name) = &insert.table else {
        return Err(SqlError::unsupported("INSERT into a function"));
    };
    let table = writable(name, schema)?;
    let names: Vec<String> = if insert.columns.is_empty() {
        table.columns.iter().map(|column| column.name.to_owned()).collect()
    } else {
        insert.columns.iter().map(fold_name).collect()
    };
    let places: Vec<usize> = names
        .iter()
        .map(|name| {
            let at = table.columns.iter().position(|column| column.name == *name);
            at.ok_or_else(|| SqlError::no_column(name, table.name))
        })
        .collect::<Result<_, _>>()?;
    let values = match insert.source.as_deref().map(|query| query.body.as_ref()) {
        Some(SetExpr::Values(values)) => values,
        _ => return Err(SqlError::unsupported("INSERT without VALUES")),
    };
    let mut scope = Scope::none();
    let mut rows = Vec::new();
    for row in &values.rows {
        if row.len() != places.len() {
            return Err(SqlError::new(-117, "42802", "Statement contains wrong number of values."));
        }
        let mut cells = vec![Expr::Const(crate::sql::Value::Null); table.columns.len()];
        for (expr, place) in row.iter().zip(&places) {
            cells[*place] = scope.compile(expr)?;
        }
        rows.push(cells);
    }
    Ok(Change::Insert(rows))
}

fn fold_name(name: &ast::ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default()
}

fn compile_delete(delete: &ast::Delete, schema: &str) -> Result<Change, SqlError> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let table = match from.as_slice() {
        [ast::TableWithJoins { relation: ast::TableFactor::Table { name, .. }, joins }]
            if joins.is_empty() =>
        {
            writable(name, schema)?
        }
        _ => return Err(SqlError::unsupported("DELETE of several tables")),
    };
    let mut scope = Scope::of(table, None);
    Ok(Change::Delete(delete.selection.as_ref().map(|expr| scope.compile(expr)).transpose()?))
}

fn compile_call(function: &ast::Function, schema: &str) -> Result<Change, SqlError> {
    let (schema, name) = split_name(&function.name, schema);
    let no_match = || {
        let text = format!("Routine {name} in {schema} not found with specified parameters.");
        SqlError::new(-440, "42884", text)
    };
    let procedure = service::procedure(&schema, &name).ok_or_else(no_match)?;
    let FunctionArguments::List(list) = &function.args else { return Err(no_match()) };
    let mut scope = Scope::none();
    let mut arguments: Vec<Option<Expr>> = vec![None; procedure.parameters.len()];
    for (position, argument) in list.args.iter().enumerate() {
        let (position, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (position, value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                let name = fold(name);
                let at = procedure.parameters.iter().position(|parameter| parameter.name == name);
                (at.ok_or_else(no_match)?, value)
            }
            _ => return Err(no_match()),
        };
        *arguments.get_mut(position).ok_or_else(no_match)? = Some(scope.compile(value)?);
    }
    if arguments.iter().take(procedure.required).any(Option::is_none) {
        return Err(no_match());
    }
    let null = Expr::Const(crate::sql::Value::Null);
    let arguments = arguments.into_iter().map(|argument| argument.unwrap_or_else(|| null.clone())).collect();
    Ok(Change::Call(procedure, arguments))
}
