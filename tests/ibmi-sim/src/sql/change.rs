//! Running a compiled statement that has no result.

use super::compile::{Action, Change, Expr};
use super::eval::{Env, NoRow, eval, truth};
use super::{SqlError, Value};
use crate::service::{self, Mode};
use crate::sql::eval;
use crate::world::World;

/// What a statement did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Done {
    /// Rows that it changed.
    pub updated: u64,
    /// Values of all arguments of a CALL afterwards.
    pub outputs: Vec<Value>,
}

/// Runs it.
///
/// # Errors
/// SQL errors; nothing is changed then.
pub fn run(action: &Action, world: &World, env: &Env) -> Result<Done, SqlError> {
    check_markers(action.markers.len(), env)?;
    match &action.change {
        Change::Insert(rows) => insert(rows, world, env),
        Change::Delete(filter) => delete(filter.as_ref(), world, env),
        Change::Call(procedure, arguments) => {
            // A placeholder of an OUT parameter is not looked at.
            let value = |(expr, mode): (&Expr, Mode)| match mode {
                Mode::Out => Ok(Value::Null),
                Mode::In | Mode::InOut => eval(expr, &NoRow, env),
            };
            let modes = procedure.parameters.iter().map(|parameter| parameter.mode);
            let mut values = arguments.iter().zip(modes).map(value).collect::<Result<Vec<_>, _>>()?;
            for (value, parameter) in values.iter_mut().zip(procedure.parameters) {
                *value = eval::cast(std::mem::replace(value, Value::Null), parameter.kind)?;
            }
            (procedure.run)(world, env, &mut values)?;
            Ok(Done { updated: 0, outputs: values })
        }
    }
}

/// As many values as markers.
///
/// # Errors
/// Those of the driver.
pub fn check_markers(markers: usize, env: &Env) -> Result<(), SqlError> {
    if env.markers.len() < markers {
        return Err(SqlError::driver(
            "07001",
            "The number of parameter values set or registered does not match the number of parameters.",
        ));
    }
    if env.markers.len() > markers {
        let text = format!("Descriptor index not valid. ({}>{})", markers + 1, markers);
        return Err(SqlError::driver("07009", &text));
    }
    Ok(())
}

fn insert(rows: &[Vec<Expr>], world: &World, env: &Env) -> Result<Done, SqlError> {
    let columns = &service::notes().columns;
    let mut new = Vec::new();
    for row in rows {
        let mut cells = Vec::new();
        for (expr, column) in row.iter().zip(columns) {
            let value = eval::cast(eval(expr, &NoRow, env)?, column.kind)?;
            if value == Value::Null && !column.nullable {
                let text = format!("Null values not allowed in column or variable {}.", column.name);
                return Err(SqlError::new(-407, "23502", text));
            }
            cells.push(value);
        }
        new.push(cells);
    }
    let updated = new.len() as u64;
    world.notes().append(&mut new);
    Ok(Done { updated, outputs: Vec::new() })
}

fn delete(filter: Option<&Expr>, world: &World, env: &Env) -> Result<Done, SqlError> {
    let mut notes = world.notes();
    let mut kept = Vec::new();
    for row in notes.iter() {
        let goes = match filter {
            None => true,
            Some(filter) => truth(&eval(filter, row, env)?) == Some(true),
        };
        if !goes {
            kept.push(row.clone());
        }
    }
    let updated = (notes.len() - kept.len()) as u64;
    *notes = kept;
    Ok(Done { updated, outputs: Vec::new() })
}
