//! Evaluating compiled expressions over one row.

use std::sync::Arc;

use super::compile::{Call, Expr, Operator, Special};
use super::value::{decimal, hex, scaled};
use super::{SqlError, SqlType, Value};
use crate::json;
use crate::time;

/// Most bytes HEX takes.
pub const HEX_LIMIT: usize = 16_336;
/// Longest string that SUBSTR or CAST may make.
const LONGEST: usize = 2 * 1024 * 1024;

/// Keeps bytes beside a reply.
pub trait KeepBytes: std::fmt::Debug + Send + Sync {
    /// Where they can be fetched.
    fn keep(&self, bytes: &[u8]) -> String;
}

/// What an expression sees besides its row.
#[derive(Debug, Clone)]
pub struct Env {
    /// Where byte cells are kept; none writes them as hex digits.
    pub bytes: Option<Arc<dyn KeepBytes>>,
    /// Values of the parameter markers.
    pub markers: Vec<Value>,
    /// Local time, microseconds.
    pub now: i64,
    /// Local time minus UTC, microseconds.
    pub offset: i64,
    /// User.
    pub user: String,
    /// Default schema.
    pub schema: String,
    /// Server job.
    pub job: String,
    /// Name of the database.
    pub server: String,
}

impl Env {
    /// Appends a cell as JSON.
    pub fn write_cell(&self, value: &Value, kind: SqlType, out: &mut String) {
        match (value, &self.bytes) {
            (Value::Bits(bytes) | Value::Binary(bytes), Some(keeper)) => {
                out.push_str("{\"blob_url\":");
                json::write_text(&keeper.keep(bytes), out);
                out.push_str(&format!(",\"size\":{}}}", bytes.len()));
            }
            _ => value.write_json(kind, out),
        }
    }
}

/// A row that expressions read.
pub trait Row {
    /// Value of a column.
    fn value(&self, column: usize) -> Value;
    /// The bytes of a BLOB column without copying them; none for other columns and for NULL.
    fn bytes(&self, _column: usize) -> Option<View<'_>> {
        None
    }
}

/// A row of no columns.
#[derive(Debug)]
pub struct NoRow;

impl Row for NoRow {
    fn value(&self, _column: usize) -> Value {
        Value::Null
    }
}

impl Row for Vec<Value> {
    fn value(&self, column: usize) -> Value {
        self.get(column).cloned().unwrap_or(Value::Null)
    }
}

/// Bytes as they lie in a journal: the ones that are there, then so many X'40'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// Bytes.
    pub data: &'a [u8],
    /// Blanks after them.
    pub blanks: usize,
    /// FOR BIT DATA: RTRIM takes X'40' off; otherwise BINARY: X'00'.
    pub bits: bool,
}

impl View<'_> {
    /// Length with the blanks.
    #[must_use]
    pub fn length(&self) -> usize {
        self.data.len() + self.blanks
    }

    /// Appends its hex digits.
    pub fn write_hex(&self, out: &mut String) {
        super::value::push_hex(self.data, out);
        for _ in 0..self.blanks {
            out.push_str("40");
        }
    }
}

/// The bytes that a chain of SUBSTR, RTRIM and CAST over a BLOB column selects, without copying them. None
/// where the expression is of another kind or needs filling: then [`eval`] makes the bytes.
///
/// # Errors
/// As the functions themselves.
pub fn view<'a>(expr: &Expr, row: &'a dyn Row, env: &Env) -> Result<Option<View<'a>>, SqlError> {
    match expr {
        Expr::Column(column) => Ok(row.bytes(*column)),
        Expr::Cast(inner, SqlType::VarcharBit(length)) => Ok(view(inner, row, env)?.map(|view| {
            let cut = cut(view, 0, *length as usize).unwrap_or(view);
            View { bits: true, ..cut }
        })),
        Expr::Call(Call::Rtrim, arguments) => Ok(match arguments.first() {
            Some(inner) => view(inner, row, env)?.map(rtrim),
            None => None,
        }),
        Expr::Call(Call::Substr, arguments) => {
            let [inner, from, rest @ ..] = arguments.as_slice() else { return Ok(None) };
            let Some(inner) = view(inner, row, env)? else { return Ok(None) };
            let Some((start, length)) = range(from, rest.first(), inner.length(), row, env)? else {
                return Ok(None);
            };
            Ok(cut(inner, start, length))
        }
        _ => Ok(None),
    }
}

fn cut(view: View<'_>, start: usize, length: usize) -> Option<View<'_>> {
    let end = start.checked_add(length)?;
    if end > view.length() && (start > 0 || length < view.length()) {
        return None;
    }
    let end = end.min(view.length());
    let data = view.data.get(start.min(view.data.len())..end.min(view.data.len()))?;
    Some(View { data, blanks: end.saturating_sub(start) - data.len(), bits: view.bits })
}

fn rtrim(view: View<'_>) -> View<'_> {
    let strip = if view.bits { 0x40 } else { 0x00 };
    if view.blanks > 0 && strip != 0x40 {
        return view;
    }
    let kept = view.data.iter().rposition(|byte| *byte != strip).map_or(0, |last| last + 1);
    View { data: &view.data[..kept], blanks: 0, bits: view.bits }
}

/// Start (from 0) and length of a SUBSTR; none where an argument is NULL.
fn range(
    from: &Expr,
    length: Option<&Expr>,
    whole: usize,
    row: &dyn Row,
    env: &Env,
) -> Result<Option<(usize, usize)>, SqlError> {
    let wrong = || SqlError::new(-138, "22011", "Argument 2 or 3 of substringing function not valid.");
    let from = eval(from, row, env)?;
    if from == Value::Null {
        return Ok(None);
    }
    let start = from.integer().and_then(|n| usize::try_from(n - 1).ok()).ok_or_else(wrong)?;
    if start > whole {
        return Err(wrong());
    }
    let length = match length {
        None => whole - start,
        Some(expr) => match eval(expr, row, env)? {
            Value::Null => return Ok(None),
            value => value.integer().and_then(|n| usize::try_from(n).ok()).ok_or_else(wrong)?,
        },
    };
    if length > LONGEST { Err(wrong()) } else { Ok(Some((start, length))) }
}

/// Value of an expression over a row. Aggregates must have been replaced by their results before.
///
/// # Errors
/// SQL errors of the functions and operators.
pub fn eval(expr: &Expr, row: &dyn Row, env: &Env) -> Result<Value, SqlError> {
    Ok(match expr {
        Expr::Const(value) => value.clone(),
        Expr::Marker(index) => env.markers.get(*index).cloned().unwrap_or(Value::Null),
        Expr::Column(index) => row.value(*index),
        Expr::Special(special) => self::special(*special, env),
        Expr::Aggregate(_) => Value::Null,
        Expr::Not(inner) => match truth(&eval(inner, row, env)?) {
            Some(flag) => Value::Bool(!flag),
            None => Value::Null,
        },
        Expr::Negative(inner) => match eval(inner, row, env)? {
            Value::Null => Value::Null,
            Value::Double(number) => Value::Double(-number),
            value => {
                let (digits, scale) = value.number().ok_or_else(|| SqlError::argument("-"))?;
                number(-digits, scale)
            }
        },
        Expr::IsNull(inner, negated) => Value::Bool((eval(inner, row, env)? == Value::Null) != *negated),
        Expr::Binary(operator, left, right) => binary(*operator, left, right, row, env)?,
        Expr::In(inner, list, negated) => {
            let value = eval(inner, row, env)?;
            let mut found = false;
            for item in list {
                found |= value.compare(&eval(item, row, env)?) == Some(std::cmp::Ordering::Equal);
            }
            if value == Value::Null { Value::Null } else { Value::Bool(found != *negated) }
        }
        Expr::Like(inner, pattern, escape, negated) => {
            match (eval(inner, row, env)?.text(), eval(pattern, row, env)?.text()) {
                (Some(text), Some(pattern)) => Value::Bool(like(&text, &pattern, *escape) != *negated),
                _ => Value::Null,
            }
        }
        Expr::Case(branches, otherwise) => {
            for (condition, result) in branches {
                if truth(&eval(condition, row, env)?) == Some(true) {
                    return eval(result, row, env);
                }
            }
            match otherwise {
                Some(expr) => eval(expr, row, env)?,
                None => Value::Null,
            }
        }
        Expr::Call(call, arguments) => function(*call, arguments, row, env)?,
        Expr::Cast(inner, kind) => cast(eval(inner, row, env)?, *kind)?,
    })
}

/// Is a condition true? None for unknown.
#[must_use]
pub fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Int(number) => Some(*number != 0),
        _ => None,
    }
}

fn number(digits: i128, scale: u32) -> Value {
    match i64::try_from(digits) {
        Ok(whole) if scale == 0 => Value::Int(whole),
        _ => Value::Dec(digits, scale),
    }
}

fn special(special: Special, env: &Env) -> Value {
    match special {
        Special::Timestamp => Value::Timestamp(env.now),
        Special::Date => Value::Date(env.now.div_euclid(time::DAY) * time::DAY),
        Special::Time => Value::Time(env.now.rem_euclid(time::DAY)),
        Special::Timezone => {
            let minutes = env.offset / 60_000_000;
            Value::Dec(i128::from(minutes / 60 * 10_000 + minutes % 60 * 100), 0)
        }
        Special::Schema => Value::Text(env.schema.clone()),
        Special::Server => Value::Text(env.server.clone()),
        Special::User => Value::Text(env.user.clone()),
        Special::JobName => Value::Text(env.job.clone()),
    }
}

fn binary(
    operator: Operator,
    left: &Expr,
    right: &Expr,
    row: &dyn Row,
    env: &Env,
) -> Result<Value, SqlError> {
    use std::cmp::Ordering;
    let a = eval(left, row, env)?;
    let known = match operator {
        Operator::And if truth(&a) == Some(false) => return Ok(Value::Bool(false)),
        Operator::Or if truth(&a) == Some(true) => return Ok(Value::Bool(true)),
        _ => eval(right, row, env)?,
    };
    let b = known;
    let compared = |wanted: fn(Ordering) -> bool| -> Result<Value, SqlError> {
        if a == Value::Null || b == Value::Null {
            return Ok(Value::Null);
        }
        let order = a
            .compare(&b)
            .ok_or_else(|| SqlError::new(-401, "42818", "Comparison operator operands not compatible."))?;
        Ok(Value::Bool(wanted(order)))
    };
    match operator {
        Operator::Equal => compared(Ordering::is_eq),
        Operator::NotEqual => compared(Ordering::is_ne),
        Operator::Less => compared(Ordering::is_lt),
        Operator::LessEqual => compared(Ordering::is_le),
        Operator::Greater => compared(Ordering::is_gt),
        Operator::GreaterEqual => compared(Ordering::is_ge),
        Operator::And => Ok(match (truth(&a), truth(&b)) {
            (Some(true), Some(true)) => Value::Bool(true),
            (Some(false), _) | (_, Some(false)) => Value::Bool(false),
            _ => Value::Null,
        }),
        Operator::Or => Ok(match (truth(&a), truth(&b)) {
            (Some(true), _) | (_, Some(true)) => Value::Bool(true),
            (Some(false), Some(false)) => Value::Bool(false),
            _ => Value::Null,
        }),
        Operator::Concat => Ok(match (a.text(), b.text()) {
            (Some(a), Some(b)) => Value::Text(a + &b),
            _ => Value::Null,
        }),
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Divide => arithmetic(operator, &a, &b),
    }
}

fn arithmetic(operator: Operator, a: &Value, b: &Value) -> Result<Value, SqlError> {
    if *a == Value::Null || *b == Value::Null {
        return Ok(Value::Null);
    }
    let wrong = || SqlError::new(-402, "42819", "Arithmetic operand not numeric.");
    let overflow = || SqlError::new(-802, "22003", "Data conversion or data mapping error.");
    let ((a, s), (b, t)) = (a.number().ok_or_else(wrong)?, b.number().ok_or_else(wrong)?);
    let scale = s.max(t);
    let (x, y) = (scaled(a, s, scale).ok_or_else(overflow)?, scaled(b, t, scale).ok_or_else(overflow)?);
    match operator {
        Operator::Plus => x.checked_add(y).map(|sum| number(sum, scale)),
        Operator::Minus => x.checked_sub(y).map(|rest| number(rest, scale)),
        Operator::Times => a.checked_mul(b).map(|product| number(product, s + t)),
        _ if y == 0 => return Err(SqlError::new(-801, "22012", "Attempted division by zero.")),
        _ => x
            .checked_mul(10_i128.pow(scale))
            .and_then(|x| x.checked_div(y))
            .map(|result| number(result, scale)),
    }
    .ok_or_else(overflow)
}

fn function(call: Call, arguments: &[Expr], row: &dyn Row, env: &Env) -> Result<Value, SqlError> {
    let Some(first) = arguments.first() else { return Ok(Value::Null) };
    match call {
        Call::Hex => {
            let too_long =
                |length: usize| if length > HEX_LIMIT { Err(SqlError::argument("HEX")) } else { Ok(()) };
            if let Some(view) = view(first, row, env)? {
                too_long(view.length())?;
                let mut out = String::with_capacity(view.length() * 2);
                view.write_hex(&mut out);
                return Ok(Value::Text(out));
            }
            Ok(match eval(first, row, env)? {
                Value::Null => Value::Null,
                Value::Bits(bytes) | Value::Binary(bytes) => {
                    too_long(bytes.len())?;
                    Value::Text(hex(&bytes))
                }
                value => Value::Text(hex(value.text().unwrap_or_default().as_bytes())),
            })
        }
        Call::Length => {
            if let Some(view) = view(first, row, env)? {
                return Ok(Value::Int(i64::try_from(view.length()).unwrap_or(i64::MAX)));
            }
            Ok(match eval(first, row, env)? {
                Value::Null => Value::Null,
                Value::Bits(bytes) | Value::Binary(bytes) => {
                    Value::Int(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
                }
                Value::Int(_) => Value::Int(4),
                value => Value::Int(
                    i64::try_from(value.text().unwrap_or_default().chars().count()).unwrap_or(i64::MAX),
                ),
            })
        }
        Call::Substr => substr(arguments, row, env),
        Call::Rtrim | Call::Ltrim | Call::Trim => Ok(trim(call, eval(first, row, env)?)),
        Call::Upper => Ok(eval(first, row, env)?.text().map(|text| text.to_uppercase()).into()),
        Call::Lower => Ok(eval(first, row, env)?.text().map(|text| text.to_lowercase()).into()),
        Call::Coalesce => {
            for argument in arguments {
                let value = eval(argument, row, env)?;
                if value != Value::Null {
                    return Ok(value);
                }
            }
            Ok(Value::Null)
        }
        Call::Min | Call::Max => {
            let mut best: Option<Value> = None;
            for argument in arguments {
                let value = eval(argument, row, env)?;
                if value == Value::Null {
                    return Ok(Value::Null);
                }
                let better = match best.as_ref().map(|best| value.compare(best)) {
                    None => true,
                    Some(Some(order)) => (call == Call::Min) == order.is_lt() && order.is_ne(),
                    Some(None) => {
                        return Err(SqlError::argument(if call == Call::Min { "MIN" } else { "MAX" }));
                    }
                };
                if better {
                    best = Some(value);
                }
            }
            Ok(best.unwrap_or(Value::Null))
        }
        Call::Count | Call::Sum => Ok(Value::Null),
    }
}

fn substr(arguments: &[Expr], row: &dyn Row, env: &Env) -> Result<Value, SqlError> {
    let [first, from, rest @ ..] = arguments else { return Ok(Value::Null) };
    let value = eval(first, row, env)?;
    let bytes = |mut bytes: Vec<u8>, fill: u8| -> Result<Option<Vec<u8>>, SqlError> {
        let Some((start, length)) = range(from, rest.first(), bytes.len(), row, env)? else {
            return Ok(None);
        };
        bytes.drain(..start);
        bytes.resize(length, fill);
        Ok(Some(bytes))
    };
    Ok(match value {
        Value::Null => Value::Null,
        Value::Bits(all) => bytes(all, 0x40)?.map_or(Value::Null, Value::Bits),
        Value::Binary(all) => bytes(all, 0x00)?.map_or(Value::Null, Value::Binary),
        value => {
            let text = value.text().unwrap_or_default();
            let whole = text.chars().count();
            let Some((start, length)) = range(from, rest.first(), whole, row, env)? else {
                return Ok(Value::Null);
            };
            Value::Text(text.chars().skip(start).chain(std::iter::repeat(' ')).take(length).collect())
        }
    })
}

fn trim(call: Call, value: Value) -> Value {
    let (left, right) = (call != Call::Rtrim, call != Call::Ltrim);
    let strip = |bytes: Vec<u8>, fill: u8| -> Vec<u8> {
        let start = if left { bytes.iter().position(|byte| *byte != fill).unwrap_or(bytes.len()) } else { 0 };
        let end = if right {
            bytes.iter().rposition(|byte| *byte != fill).map_or(start, |last| last + 1)
        } else {
            bytes.len()
        };
        bytes.get(start..end).unwrap_or_default().to_vec()
    };
    match value {
        Value::Null => Value::Null,
        Value::Bits(bytes) => Value::Bits(strip(bytes, 0x40)),
        Value::Binary(bytes) => Value::Binary(strip(bytes, 0x00)),
        value => {
            let text = value.text().unwrap_or_default();
            let text = if left { text.trim_start_matches(' ') } else { &text };
            Value::Text(if right { text.trim_end_matches(' ') } else { text }.to_owned())
        }
    }
}

/// A value as that type.
///
/// # Errors
/// It does not read as one.
pub fn cast(value: Value, kind: SqlType) -> Result<Value, SqlError> {
    let wrong = || SqlError::new(-420, "22018", "Value for cast argument not valid.");
    if value == Value::Null {
        return Ok(Value::Null);
    }
    let whole = |value: &Value| value.integer().map(Value::Int).ok_or_else(wrong);
    Ok(match kind {
        SqlType::Char(length) => {
            let text = value.text().unwrap_or_default();
            Value::Text(
                text.chars().chain(std::iter::repeat(' ')).take((length as usize).min(LONGEST)).collect(),
            )
        }
        SqlType::Varchar(length) | SqlType::Vargraphic(length) => {
            Value::Text(value.text().unwrap_or_default().chars().take(length as usize).collect())
        }
        SqlType::VarcharBit(length) => {
            let mut bytes = to_bytes(value);
            bytes.truncate(length as usize);
            Value::Bits(bytes)
        }
        SqlType::Binary(length) | SqlType::Varbinary(length) | SqlType::Blob(length) => {
            let mut bytes = to_bytes(value);
            bytes.truncate(length as usize);
            Value::Binary(bytes)
        }
        SqlType::Smallint | SqlType::Integer | SqlType::Bigint => whole(&value)?,
        SqlType::Decimal(_, scale) => {
            let (digits, from) = value.number().ok_or_else(wrong)?;
            let digits = match scaled(digits, from, scale) {
                Some(digits) => digits,
                None => digits / 10_i128.checked_pow(from.saturating_sub(scale)).ok_or_else(wrong)?,
            };
            Value::Dec(digits, scale)
        }
        SqlType::Double => {
            let (digits, scale) = value.number().ok_or_else(wrong)?;
            Value::Double(decimal(digits, scale).parse().map_err(|_| wrong())?)
        }
        SqlType::Timestamp => match value {
            Value::Timestamp(at) | Value::Date(at) => Value::Timestamp(at),
            other => Value::Timestamp(other.text().as_deref().and_then(time::parse).ok_or_else(bad_time)?),
        },
        SqlType::Date => match value {
            Value::Timestamp(at) | Value::Date(at) => Value::Date(at.div_euclid(time::DAY) * time::DAY),
            other => {
                let at = other.text().as_deref().and_then(time::parse).ok_or_else(bad_time)?;
                Value::Date(at.div_euclid(time::DAY) * time::DAY)
            }
        },
        SqlType::Time => match value {
            Value::Timestamp(at) | Value::Time(at) => Value::Time(at.rem_euclid(time::DAY)),
            _ => return Err(bad_time()),
        },
        SqlType::Boolean => Value::Bool(truth(&value).ok_or_else(wrong)?),
    })
}

fn bad_time() -> SqlError {
    SqlError::new(-180, "22007", "Syntax of date, time, or timestamp value not valid.")
}

fn to_bytes(value: Value) -> Vec<u8> {
    match value {
        Value::Bits(bytes) | Value::Binary(bytes) => bytes,
        other => other.text().unwrap_or_default().into_bytes(),
    }
}

/// LIKE: `%` any characters, `_` one character.
fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut wanted: Vec<Option<char>> = Vec::new();
    let mut stars: Vec<usize> = Vec::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            _ if Some(char) == escape => wanted.extend(chars.next().map(Some)),
            '%' => stars.push(wanted.len()),
            '_' => wanted.push(None),
            other => wanted.push(Some(other)),
        }
    }
    let fits = |from: usize, part: &[Option<char>]| {
        text.get(from..from + part.len()).is_some_and(|text| {
            text.iter().zip(part).all(|(char, want)| want.is_none_or(|want| want == *char))
        })
    };
    let (Some(first), Some(last)) = (stars.first(), stars.last()) else {
        return text.len() == wanted.len() && fits(0, &wanted);
    };
    let (head, tail) = (&wanted[..*first], &wanted[*last..]);
    if !fits(0, head) || text.len() < head.len() + tail.len() || !fits(text.len() - tail.len(), tail) {
        return false;
    }
    let (mut at, end) = (head.len(), text.len() - tail.len());
    for pair in stars.windows(2) {
        let part = &wanted[pair[0]..pair[1]];
        match (at..=end.saturating_sub(part.len())).find(|from| from + part.len() <= end && fits(*from, part))
        {
            Some(from) => at = from + part.len(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_knows_its_wildcards() {
        for (text, pattern, escape, wanted) in [
            ("PAYROLL", "PAY%", None, true),
            ("PAYROLL", "%R%L", None, true),
            ("PAYROLL", "P_Y%", None, true),
            ("PAYROLL", "PAY", None, false),
            ("A%B", "A+%B", Some('+'), true),
            ("AXB", "A+%B", Some('+'), false),
            ("abab", "ab%ab", None, true),
            ("aba", "ab%ba", None, false),
        ] {
            assert_eq!(like(text, pattern, escape), wanted, "{text} {pattern}");
        }
    }

    #[test]
    fn views_cut_and_trim_as_the_functions_do() {
        let view = View { data: &[1, 0x40, 2], blanks: 3, bits: false };
        assert_eq!(cut(view, 1, 4), Some(View { data: &[0x40, 2], blanks: 2, bits: false }));
        assert_eq!(cut(view, 4, 1), Some(View { data: &[], blanks: 1, bits: false }));
        assert_eq!(cut(view, 1, 9), None);
        assert_eq!(rtrim(view), view);
        assert_eq!(rtrim(View { bits: true, ..view }).length(), 3);
    }
}
