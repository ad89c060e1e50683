//! Running a compiled query: rows straight into the reply's text.

use std::collections::VecDeque;

use super::change::check_markers;
use super::compile::{Call, Expr, Output, Query, Source};
use super::eval::{Env, HEX_LIMIT, NoRow, Row, eval, truth, view};
use super::{SqlError, Value};
use crate::json;
use crate::service::display_journal::{EntryRow, Walk};
use crate::world::World;

/// An open result.
#[derive(Debug)]
pub struct Cursor {
    state: State,
    ended: bool,
}

#[derive(Debug)]
enum State {
    /// Rows that are there already.
    Rows(VecDeque<Vec<Value>>),
    /// Rows that are read when they are asked for.
    Walk { walk: Box<Walk>, left: Option<u64>, skip: u64 },
}

impl Cursor {
    /// Runs the query as far as it must be: all of it where rows are sorted, counted or few.
    ///
    /// # Errors
    /// SQL errors.
    pub fn open(query: &Query, world: &World, env: &Env) -> Result<Self, SqlError> {
        check_markers(query.markers, env)?;
        let (limit, skip) =
            (count(query.limit.as_ref(), env)?, count(query.offset.as_ref(), env)?.unwrap_or(0));
        let plain = query.order.is_empty() && query.aggregates.is_empty() && !query.distinct;
        let lazy = plain && query.union.is_empty();
        if let (Source::Journal(_, arguments), true) = (&query.source, lazy) {
            let walk = Box::new(Walk::open(world, &env.user, arguments, env)?);
            return Ok(Self { state: State::Walk { walk, left: limit, skip }, ended: false });
        }
        let mut rows = all_rows(query, world, env)?;
        rows.drain(..usize::try_from(skip).unwrap_or(usize::MAX).min(rows.len()));
        if let Some(limit) = limit {
            rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(Self { state: State::Rows(rows.into()), ended: false })
    }

    /// Appends up to `wanted` rows as a JSON array and says whether the end was seen: a block of exactly
    /// `wanted` rows never sees it.
    ///
    /// # Errors
    /// SQL errors while rows are made.
    pub fn fetch(
        &mut self,
        query: &Query,
        world: &World,
        env: &Env,
        wanted: usize,
        terse: bool,
        out: &mut String,
    ) -> Result<bool, SqlError> {
        out.push('[');
        let mut written = 0_usize;
        if wanted > 0 && !self.ended {
            match &mut self.state {
                State::Rows(rows) => {
                    while written < wanted {
                        let Some(row) = rows.pop_front() else {
                            self.ended = true;
                            break;
                        };
                        start_row(&mut written, terse, out);
                        for (index, (output, value)) in query.outputs.iter().zip(&row).enumerate() {
                            if !terse && hidden(query, index) {
                                continue;
                            }
                            start_cell(usize::from(!out.ends_with(['[', '{'])), output, terse, out);
                            env.write_cell(value, output.kind, out);
                        }
                        out.push(if terse { ']' } else { '}' });
                    }
                }
                State::Walk { walk, left, skip } => {
                    let mut exhausted = *left == Some(0);
                    if !exhausted {
                        let end = walk.each(world, |row| {
                            if !passes(query, row, env)? {
                                return Ok(true);
                            }
                            if *skip > 0 {
                                *skip -= 1;
                                return Ok(true);
                            }
                            start_row(&mut written, terse, out);
                            write_entry(query, row, env, terse, out)?;
                            if let Some(left) = left {
                                *left -= 1;
                            }
                            Ok(written < wanted && *left != Some(0))
                        })?;
                        exhausted = end || *left == Some(0);
                    }
                    self.ended = exhausted && written < wanted;
                }
            }
        }
        out.push(']');
        Ok(self.ended)
    }
}

fn start_row(written: &mut usize, terse: bool, out: &mut String) {
    if *written > 0 {
        out.push(',');
    }
    *written += 1;
    out.push(if terse { '[' } else { '{' });
}

/// Two columns of one name collapse into the later one in object rows, as in a map.
fn hidden(query: &Query, index: usize) -> bool {
    query.outputs[index + 1..].iter().any(|later| later.name == query.outputs[index].name)
}

fn start_cell(index: usize, output: &Output, terse: bool, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
    if !terse {
        json::write_text(&output.name, out);
        out.push(':');
    }
}

/// Writes the cells of one entry. Plain columns, LENGTH and HEX of the data go straight into the text.
fn write_entry(
    query: &Query,
    row: &EntryRow<'_>,
    env: &Env,
    terse: bool,
    out: &mut String,
) -> Result<(), SqlError> {
    for (index, output) in query.outputs.iter().enumerate() {
        if !terse && hidden(query, index) {
            continue;
        }
        start_cell(usize::from(!out.ends_with(['[', '{'])), output, terse, out);
        match &output.expr {
            Expr::Column(column) if row.write_fast(*column, out) => continue,
            Expr::Call(Call::Hex, arguments) => {
                if let Some(view) =
                    arguments.first().map(|inner| view(inner, row, env)).transpose()?.flatten()
                {
                    if view.length() > HEX_LIMIT {
                        return Err(SqlError::argument("HEX"));
                    }
                    out.push('"');
                    view.write_hex(out);
                    out.push('"');
                    continue;
                }
            }
            _ => {}
        }
        env.write_cell(&eval(&output.expr, row, env)?, output.kind, out);
    }
    out.push(if terse { ']' } else { '}' });
    Ok(())
}

fn count(expr: Option<&Expr>, env: &Env) -> Result<Option<u64>, SqlError> {
    let Some(expr) = expr else { return Ok(None) };
    let value = eval(expr, &NoRow, env)?;
    let number = value.integer().and_then(|number| u64::try_from(number).ok());
    number.map(Some).ok_or_else(|| SqlError::new(-802, "22003", "Data conversion or data mapping error."))
}

fn passes(query: &Query, row: &dyn Row, env: &Env) -> Result<bool, SqlError> {
    match &query.filter {
        None => Ok(true),
        Some(filter) => Ok(truth(&eval(filter, row, env)?) == Some(true)),
    }
}

/// All rows of the result, sorted, before OFFSET and FETCH FIRST.
fn all_rows(query: &Query, world: &World, env: &Env) -> Result<Vec<Vec<Value>>, SqlError> {
    let mut collected = Collector {
        query,
        env,
        rows: Vec::new(),
        sums: vec![None; query.aggregates.len()],
        counts: vec![0; query.aggregates.len()],
    };
    match &query.source {
        Source::One => {
            for row in &query.values {
                let row = row.iter().map(|expr| eval(expr, &NoRow, env)).collect::<Result<_, _>>()?;
                collected.rows.push((Vec::new(), row));
            }
        }
        Source::Table(table) => {
            for row in (table.rows)(world, &env.user)? {
                collected.take(&row)?;
            }
        }
        Source::Journal(_, arguments) => {
            let mut walk = Walk::open(world, &env.user, arguments, env)?;
            walk.each(world, |row| collected.take(row).map(|()| true))?;
        }
        Source::Function(function, arguments) => {
            let value = |argument: &Option<Expr>| {
                argument.as_ref().map_or(Ok(Value::Null), |expr| eval(expr, &NoRow, env))
            };
            let values: Vec<Value> = arguments.iter().map(value).collect::<Result<_, _>>()?;
            (function.run)(world, env, &values, &mut |row| collected.take(row))?;
        }
    }
    let mut rows = collected.finish()?;
    for part in &query.union {
        rows.extend(all_rows(part, world, env)?);
    }
    Ok(rows)
}

struct Collector<'a> {
    query: &'a Query,
    env: &'a Env,
    rows: Vec<(Vec<Value>, Vec<Value>)>,
    sums: Vec<Option<Value>>,
    counts: Vec<i64>,
}

impl Collector<'_> {
    fn take(&mut self, row: &dyn Row) -> Result<(), SqlError> {
        if !passes(self.query, row, self.env)? {
            return Ok(());
        }
        if self.query.aggregates.is_empty() {
            let keys = self
                .query
                .order
                .iter()
                .map(|(expr, _)| eval(expr, row, self.env))
                .collect::<Result<_, _>>()?;
            let values = self
                .query
                .outputs
                .iter()
                .map(|output| eval(&output.expr, row, self.env))
                .collect::<Result<_, _>>()?;
            self.rows.push((keys, values));
            return Ok(());
        }
        for (index, (call, inner)) in self.query.aggregates.iter().enumerate() {
            let Some(inner) = inner else {
                self.counts[index] += 1;
                continue;
            };
            let value = eval(inner, row, self.env)?;
            if value == Value::Null {
                continue;
            }
            self.counts[index] += 1;
            let sum = &mut self.sums[index];
            let better = match (sum.as_ref(), call) {
                (None, _) => Some(value),
                (Some(old), Call::Min) => {
                    (value.compare(old).is_some_and(|order| order.is_lt())).then_some(value)
                }
                (Some(old), Call::Max) => {
                    (value.compare(old).is_some_and(|order| order.is_gt())).then_some(value)
                }
                (Some(old), Call::Sum) => {
                    let add = Expr::Binary(
                        super::compile::Operator::Plus,
                        Box::new(Expr::Const(old.clone())),
                        Box::new(Expr::Const(value)),
                    );
                    Some(eval(&add, &NoRow, self.env)?)
                }
                (Some(_), _) => None,
            };
            if better.is_some() {
                *sum = better;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Vec<Value>>, SqlError> {
        if !self.query.aggregates.is_empty() {
            let results: Vec<Value> = self
                .query
                .aggregates
                .iter()
                .enumerate()
                .map(|(index, (call, _))| match call {
                    Call::Count => Value::Int(self.counts[index]),
                    _ => self.sums[index].take().unwrap_or(Value::Null),
                })
                .collect();
            let row = self
                .query
                .outputs
                .iter()
                .map(|output| eval(&with_results(&output.expr, &results)?, &NoRow, self.env))
                .collect::<Result<_, _>>()?;
            return Ok(vec![row]);
        }
        let order = &self.query.order;
        self.rows.sort_by(|(a, _), (b, _)| {
            for ((a, b), (_, descending)) in a.iter().zip(b).zip(order) {
                // NULL sorts as the highest value.
                let by = match (a, b) {
                    (Value::Null, Value::Null) => std::cmp::Ordering::Equal,
                    (Value::Null, _) => std::cmp::Ordering::Greater,
                    (_, Value::Null) => std::cmp::Ordering::Less,
                    _ => a.compare(b).unwrap_or(std::cmp::Ordering::Equal),
                };
                let by = if *descending { by.reverse() } else { by };
                if by.is_ne() {
                    return by;
                }
            }
            std::cmp::Ordering::Equal
        });
        let mut rows: Vec<Vec<Value>> = self.rows.into_iter().map(|(_, row)| row).collect();
        if self.query.distinct {
            let mut kept: Vec<Vec<Value>> = Vec::new();
            for row in rows {
                if !kept.contains(&row) {
                    kept.push(row);
                }
            }
            rows = kept;
        }
        Ok(rows)
    }
}

/// Puts the results of the aggregates in; a column beside them needs GROUP BY, which there is not.
fn with_results(expr: &Expr, results: &[Value]) -> Result<Expr, SqlError> {
    let one = |expr: &Expr| with_results(expr, results).map(Box::new);
    Ok(match expr {
        Expr::Aggregate(index) => Expr::Const(results.get(*index).cloned().unwrap_or(Value::Null)),
        Expr::Column(_) => {
            return Err(SqlError::new(-122, "42803", "Column or expression in SELECT list not valid."));
        }
        Expr::Const(_) | Expr::Marker(_) | Expr::Special(_) => expr.clone(),
        Expr::Not(inner) => Expr::Not(one(inner)?),
        Expr::Negative(inner) => Expr::Negative(one(inner)?),
        Expr::IsNull(inner, negated) => Expr::IsNull(one(inner)?, *negated),
        Expr::Binary(operator, left, right) => Expr::Binary(*operator, one(left)?, one(right)?),
        Expr::In(inner, list, negated) => {
            let list = list.iter().map(|item| with_results(item, results)).collect::<Result<_, _>>()?;
            Expr::In(one(inner)?, list, *negated)
        }
        Expr::Like(inner, pattern, escape, negated) => {
            Expr::Like(one(inner)?, one(pattern)?, *escape, *negated)
        }
        Expr::Case(branches, otherwise) => {
            let branches = branches
                .iter()
                .map(|(when, then)| Ok((with_results(when, results)?, with_results(then, results)?)))
                .collect::<Result<_, SqlError>>()?;
            Expr::Case(branches, otherwise.as_deref().map(one).transpose()?)
        }
        Expr::Call(call, arguments) => {
            let arguments =
                arguments.iter().map(|item| with_results(item, results)).collect::<Result<_, _>>()?;
            Expr::Call(*call, arguments)
        }
        Expr::Cast(inner, kind) => Expr::Cast(one(inner)?, *kind),
    })
}
