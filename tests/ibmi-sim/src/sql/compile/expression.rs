//! Expressions: names resolved, functions known, constants read.

use sqlparser::ast::{
    self, BinaryOperator, DataType, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator,
};

use super::Output;
use crate::service::Table;
use crate::sql::value::parse_decimal;
use crate::sql::{SqlError, SqlType, Value};

/// Operators of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// AND
    And,
    /// OR
    Or,
    /// =
    Equal,
    /// <>
    NotEqual,
    /// <
    Less,
    /// <=
    LessEqual,
    /// >
    Greater,
    /// >=
    GreaterEqual,
    /// +
    Plus,
    /// -
    Minus,
    /// *
    Times,
    /// /
    Divide,
    /// ||
    Concat,
}

/// Functions, aggregates among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// HEX
    Hex,
    /// SUBSTR
    Substr,
    /// LENGTH
    Length,
    /// RTRIM
    Rtrim,
    /// LTRIM
    Ltrim,
    /// TRIM
    Trim,
    /// UPPER
    Upper,
    /// LOWER
    Lower,
    /// MIN: scalar with two or more arguments, else aggregate
    Min,
    /// MAX: scalar with two or more arguments, else aggregate
    Max,
    /// COALESCE
    Coalesce,
    /// COUNT
    Count,
    /// SUM
    Sum,
}

/// Special registers and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// CURRENT TIMESTAMP
    Timestamp,
    /// CURRENT DATE
    Date,
    /// CURRENT TIME
    Time,
    /// CURRENT TIMEZONE: DECIMAL(6,0) hhmmss
    Timezone,
    /// CURRENT SCHEMA
    Schema,
    /// CURRENT SERVER
    Server,
    /// USER
    User,
    /// JOB_NAME
    JobName,
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub enum Expr {
    /// A constant.
    Const(Value),
    /// Parameter marker, counted from 0.
    Marker(usize),
    /// Column of the source.
    Column(usize),
    /// Special register.
    Special(Special),
    /// Result of an aggregate.
    Aggregate(usize),
    /// NOT
    Not(Box<Expr>),
    /// Unary minus
    Negative(Box<Expr>),
    /// IS NULL, or IS NOT NULL where true.
    IsNull(Box<Expr>, bool),
    /// Two operands.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// IN, or NOT IN where true.
    In(Box<Expr>, Vec<Expr>, bool),
    /// LIKE with its escape character, or NOT LIKE where true.
    Like(Box<Expr>, Box<Expr>, Option<char>, bool),
    /// CASE
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    /// A function.
    Call(Call, Vec<Expr>),
    /// CAST
    Cast(Box<Expr>, SqlType),
}

/// An identifier as the catalogue has it: upper case unless quoted.
pub(super) fn fold(name: &ast::Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_uppercase() }
}

/// What names mean at one place of a statement.
pub(super) struct Scope {
    table: Option<&'static Table>,
    alias: Option<String>,
    any_alias: bool,
    aggregates: Vec<(Call, Option<Expr>)>,
}

impl Scope {
    pub(super) fn none() -> Self {
        Self { table: None, alias: None, any_alias: false, aggregates: Vec::new() }
    }

    pub(super) fn of(table: &'static Table, alias: Option<String>) -> Self {
        Self { table: Some(table), alias, any_alias: false, aggregates: Vec::new() }
    }

    pub(super) fn accept_any_alias(&mut self) {
        self.any_alias = true;
    }

    pub(super) fn take_aggregates(&mut self) -> Vec<(Call, Option<Expr>)> {
        std::mem::take(&mut self.aggregates)
    }

    pub(super) fn output(
        &mut self,
        expr: &ast::Expr,
        name: Option<String>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), SqlError> {
        let expr = self.compile(expr)?;
        let nullable = match (&expr, self.table) {
            (Expr::Column(index), Some(table)) => {
                table.columns.get(*index).is_none_or(|column| column.nullable)
            }
            (Expr::Const(value), _) => *value == Value::Null,
            _ => true,
        };
        let name = name.unwrap_or_else(|| format!("{:05}", outputs.len() + 1));
        outputs.push(Output { name, kind: self.kind(&expr), nullable, expr });
        Ok(())
    }

    fn column(&self, qualifier: Option<String>, name: &str) -> Result<Expr, SqlError> {
        let special = |name: &str| {
            Some(match name {
                "CURRENT_TIMESTAMP" => Special::Timestamp,
                "CURRENT_DATE" => Special::Date,
                "CURRENT_TIME" => Special::Time,
                "CURRENT_TIMEZONE" => Special::Timezone,
                "CURRENT_SCHEMA" => Special::Schema,
                "CURRENT_SERVER" => Special::Server,
                "USER" | "SESSION_USER" => Special::User,
                "JOB_NAME" => Special::JobName,
                _ => return None,
            })
        };
        if let Some(table) = self.table {
            let fits = match (&qualifier, &self.alias) {
                (None, _) => true,
                _ if self.any_alias => true,
                (Some(qualifier), Some(alias)) => qualifier == alias,
                (Some(qualifier), None) => qualifier == table.name,
            };
            if !fits {
                return Err(SqlError::no_column(name, &qualifier.unwrap_or_default()));
            }
            if let Some(index) = table.columns.iter().position(|column| column.name == name) {
                return Ok(Expr::Column(index));
            }
        }
        match special(name) {
            Some(special) if qualifier.is_none() => Ok(Expr::Special(special)),
            _ => Err(SqlError::no_column(name, self.table.map_or("*N", |table| table.name))),
        }
    }

    /// Compiles an expression.
    pub(super) fn compile(&mut self, expr: &ast::Expr) -> Result<Expr, SqlError> {
        Ok(match expr {
            ast::Expr::Identifier(name) => self.column(None, &fold(name))?,
            ast::Expr::CompoundIdentifier(names) => {
                let name = names.last().map(fold).unwrap_or_default();
                let qualifier = names.len().checked_sub(2).and_then(|at| names.get(at)).map(fold);
                self.column(qualifier, &name)?
            }
            ast::Expr::Nested(inner) => self.compile(inner)?,
            ast::Expr::Value(value) => constant(&value.value)?,
            ast::Expr::TypedString(typed) => {
                let value = constant(&typed.value.value)?;
                Expr::Cast(Box::new(value), data_type(&typed.data_type)?)
            }
            ast::Expr::IsNull(inner) => Expr::IsNull(Box::new(self.compile(inner)?), false),
            ast::Expr::IsNotNull(inner) => Expr::IsNull(Box::new(self.compile(inner)?), true),
            ast::Expr::UnaryOp { op, expr } => {
                let inner = Box::new(self.compile(expr)?);
                match op {
                    UnaryOperator::Not => Expr::Not(inner),
                    UnaryOperator::Minus => Expr::Negative(inner),
                    UnaryOperator::Plus => *inner,
                    _ => return Err(SqlError::syntax(&op.to_string(), "<IDENTIFIER>")),
                }
            }
            ast::Expr::BinaryOp { left, op, right } => {
                let op = operator(op)?;
                Expr::Binary(op, Box::new(self.compile(left)?), Box::new(self.compile(right)?))
            }
            ast::Expr::Between { expr, negated, low, high } => {
                let value = self.compile(expr)?;
                let low = Expr::Binary(
                    Operator::GreaterEqual,
                    Box::new(value.clone()),
                    Box::new(self.compile(low)?),
                );
                let high = Expr::Binary(Operator::LessEqual, Box::new(value), Box::new(self.compile(high)?));
                let both = Expr::Binary(Operator::And, Box::new(low), Box::new(high));
                if *negated { Expr::Not(Box::new(both)) } else { both }
            }
            ast::Expr::InList { expr, list, negated } => {
                let list = list.iter().map(|item| self.compile(item)).collect::<Result<_, _>>()?;
                Expr::In(Box::new(self.compile(expr)?), list, *negated)
            }
            ast::Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                let escape = match escape_char.as_deref() {
                    None => None,
                    Some(ast::Expr::Value(value)) => match &value.value {
                        ast::Value::SingleQuotedString(text) => text.chars().next(),
                        _ => return Err(SqlError::argument("LIKE")),
                    },
                    Some(_) => return Err(SqlError::argument("LIKE")),
                };
                Expr::Like(Box::new(self.compile(expr)?), Box::new(self.compile(pattern)?), escape, *negated)
            }
            ast::Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())?
            }
            ast::Expr::Cast { expr, data_type: kind, .. } => {
                Expr::Cast(Box::new(self.compile(expr)?), data_type(kind)?)
            }
            ast::Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut arguments = vec![self.compile(expr)?];
                for part in [substring_from, substring_for].into_iter().flatten() {
                    arguments.push(self.compile(part)?);
                }
                Expr::Call(Call::Substr, arguments)
            }
            ast::Expr::Trim { trim_where, trim_what: None, expr, .. } => {
                let call = match trim_where {
                    None | Some(ast::TrimWhereField::Both) => Call::Trim,
                    Some(ast::TrimWhereField::Leading) => Call::Ltrim,
                    Some(ast::TrimWhereField::Trailing) => Call::Rtrim,
                };
                Expr::Call(call, vec![self.compile(expr)?])
            }
            ast::Expr::Function(function) => self.function(function)?,
            other => return Err(SqlError::unsupported(&other.to_string())),
        })
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Expr, SqlError> {
        let operand = operand.map(|expr| self.compile(expr)).transpose()?;
        let mut branches = Vec::with_capacity(conditions.len());
        for when in conditions {
            let condition = self.compile(&when.condition)?;
            let condition = match &operand {
                Some(operand) => {
                    Expr::Binary(Operator::Equal, Box::new(operand.clone()), Box::new(condition))
                }
                None => condition,
            };
            branches.push((condition, self.compile(&when.result)?));
        }
        let otherwise = otherwise.map(|expr| self.compile(expr)).transpose()?.map(Box::new);
        Ok(Expr::Case(branches, otherwise))
    }

    fn function(&mut self, function: &ast::Function) -> Result<Expr, SqlError> {
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
        let FunctionArguments::List(list) = &function.args else { return self.column(None, &name) };
        let wildcard = matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        let mut arguments = Vec::new();
        for argument in &list.args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => arguments.push(self.compile(expr)?),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {}
                _ => return Err(SqlError::unsupported("named argument of a scalar function")),
            }
        }
        let call = match name.as_str() {
            "HEX" => Call::Hex,
            "SUBSTR" | "SUBSTRING" => Call::Substr,
            "LENGTH" => Call::Length,
            "RTRIM" | "STRIP" => Call::Rtrim,
            "LTRIM" => Call::Ltrim,
            "UPPER" | "UCASE" => Call::Upper,
            "LOWER" | "LCASE" => Call::Lower,
            "MIN" => Call::Min,
            "MAX" => Call::Max,
            "COALESCE" | "IFNULL" | "VALUE" => Call::Coalesce,
            "COUNT" => Call::Count,
            "SUM" => Call::Sum,
            "CONCAT" if arguments.len() == 2 => {
                let right = Box::new(arguments.remove(1));
                return Ok(Expr::Binary(Operator::Concat, Box::new(arguments.remove(0)), right));
            }
            "VARCHAR" | "CHAR" => return one(arguments, &name, SqlType::Varchar(32_672)),
            "VARBINARY" | "BINARY" => return one(arguments, &name, SqlType::Varbinary(32_740)),
            "INTEGER" | "INT" => return one(arguments, &name, SqlType::Integer),
            "BIGINT" => return one(arguments, &name, SqlType::Bigint),
            "TIMESTAMP" => return one(arguments, &name, SqlType::Timestamp),
            "DATE" => return one(arguments, &name, SqlType::Date),
            _ => return Err(SqlError::not_found("*LIBL", &name, "*N")),
        };
        let aggregate = match call {
            Call::Count | Call::Sum => true,
            Call::Min | Call::Max => arguments.len() == 1,
            _ => false,
        };
        if aggregate {
            if arguments.len() > 1 || (arguments.is_empty() && !(wildcard && call == Call::Count)) {
                return Err(wrong_count(&name));
            }
            self.aggregates.push((call, arguments.pop()));
            return Ok(Expr::Aggregate(self.aggregates.len() - 1));
        }
        let count = match call {
            Call::Substr => 2..=3,
            Call::Min | Call::Max | Call::Coalesce => 2..=100,
            _ => 1..=1,
        };
        if count.contains(&arguments.len()) {
            Ok(Expr::Call(call, arguments))
        } else {
            Err(wrong_count(&name))
        }
    }

    /// The type of what an expression yields.
    pub(super) fn kind(&self, expr: &Expr) -> SqlType {
        match expr {
            Expr::Const(value) => match value {
                Value::Int(_) => SqlType::Integer,
                Value::Dec(_, scale) => SqlType::Decimal(31, *scale),
                Value::Text(text) => {
                    SqlType::Varchar(u32::try_from(text.chars().count()).unwrap_or(1).max(1))
                }
                Value::Bits(bytes) => SqlType::VarcharBit(u32::try_from(bytes.len()).unwrap_or(1).max(1)),
                Value::Binary(bytes) => SqlType::Varbinary(u32::try_from(bytes.len()).unwrap_or(1).max(1)),
                _ => SqlType::Varchar(1),
            },
            Expr::Column(index) => self
                .table
                .and_then(|table| table.columns.get(*index))
                .map_or(SqlType::Varchar(1), |column| column.kind),
            Expr::Special(special) => match special {
                Special::Timestamp => SqlType::Timestamp,
                Special::Date => SqlType::Date,
                Special::Time => SqlType::Time,
                Special::Timezone => SqlType::Decimal(6, 0),
                Special::Schema | Special::User => SqlType::Varchar(128),
                Special::Server => SqlType::Varchar(18),
                Special::JobName => SqlType::Varchar(28),
            },
            Expr::Aggregate(index) => match self.aggregates.get(*index) {
                Some((Call::Count, _)) | None => SqlType::Integer,
                Some((_, Some(inner))) => self.kind(inner),
                Some((_, None)) => SqlType::Integer,
            },
            Expr::Marker(_) => SqlType::Varchar(32_672),
            Expr::Not(_) | Expr::IsNull(..) | Expr::In(..) | Expr::Like(..) => SqlType::Boolean,
            Expr::Negative(inner) => self.kind(inner),
            Expr::Binary(operator, left, right) => match operator {
                Operator::Plus | Operator::Minus | Operator::Times | Operator::Divide => {
                    wider(self.kind(left), self.kind(right))
                }
                Operator::Concat => {
                    SqlType::Varchar((self.kind(left).sizes().0 + self.kind(right).sizes().0).min(32_672))
                }
                _ => SqlType::Boolean,
            },
            Expr::Case(branches, otherwise) => branches
                .iter()
                .map(|(_, result)| result)
                .chain(otherwise.as_deref())
                .find(|result| !matches!(result, Expr::Const(Value::Null)))
                .map_or(SqlType::Varchar(1), |result| self.kind(result)),
            Expr::Call(call, arguments) => {
                let first = arguments.first().map_or(SqlType::Varchar(1), |argument| self.kind(argument));
                match call {
                    Call::Hex => SqlType::Varchar((first.sizes().0.saturating_mul(2)).clamp(2, 32_672)),
                    Call::Length | Call::Count => SqlType::Integer,
                    Call::Substr | Call::Rtrim | Call::Ltrim | Call::Trim => match first {
                        SqlType::Char(n) => SqlType::Varchar(n),
                        other => other,
                    },
                    Call::Upper | Call::Lower | Call::Min | Call::Max | Call::Coalesce | Call::Sum => first,
                }
            }
            Expr::Cast(_, kind) => *kind,
        }
    }
}

fn wrong_count(name: &str) -> SqlError {
    SqlError::new(-170, "42605", format!("Number of arguments for function {name} not valid."))
}

fn one(mut arguments: Vec<Expr>, name: &str, kind: SqlType) -> Result<Expr, SqlError> {
    match arguments.len() {
        1 => Ok(Expr::Cast(Box::new(arguments.remove(0)), kind)),
        _ => Err(wrong_count(name)),
    }
}

fn wider(left: SqlType, right: SqlType) -> SqlType {
    let scale = |kind: SqlType| kind.sizes().2;
    match (left, right) {
        (SqlType::Decimal(..), _) | (_, SqlType::Decimal(..)) => {
            SqlType::Decimal(31, scale(left).max(scale(right)))
        }
        (SqlType::Timestamp, _) => SqlType::Timestamp,
        (SqlType::Bigint, _) | (_, SqlType::Bigint) => SqlType::Bigint,
        _ => SqlType::Integer,
    }
}

fn constant(value: &ast::Value) -> Result<Expr, SqlError> {
    Ok(match value {
        ast::Value::Null => Expr::Const(Value::Null),
        ast::Value::Boolean(flag) => Expr::Const(Value::Bool(*flag)),
        ast::Value::SingleQuotedString(text) => Expr::Const(Value::Text(text.clone())),
        ast::Value::HexStringLiteral(digits) => {
            let mut bytes = vec![0; digits.len() / 2];
            faster_hex::hex_decode(digits.as_bytes(), &mut bytes).map_err(|_| {
                SqlError::new(-110, "42606", "Hexadecimal constant beginning with X not valid.")
            })?;
            Expr::Const(Value::Bits(bytes))
        }
        ast::Value::Number(number, _) => {
            let text = number.to_string();
            match (text.parse::<i64>(), parse_decimal(&text)) {
                (Ok(number), _) => Expr::Const(Value::Int(number)),
                (Err(_), Some((digits, scale))) => Expr::Const(Value::Dec(digits, scale)),
                (Err(_), None) => {
                    return Err(SqlError::new(-103, "42604", format!("Numeric constant {text} not valid.")));
                }
            }
        }
        ast::Value::Placeholder(name) => {
            let number: usize = name.trim_start_matches('?').parse().unwrap_or(1);
            Expr::Marker(number.saturating_sub(1))
        }
        other => return Err(SqlError::syntax(&other.to_string(), "<IDENTIFIER>")),
    })
}

fn operator(operator: &BinaryOperator) -> Result<Operator, SqlError> {
    Ok(match operator {
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Lt => Operator::Less,
        BinaryOperator::LtEq => Operator::LessEqual,
        BinaryOperator::Gt => Operator::Greater,
        BinaryOperator::GtEq => Operator::GreaterEqual,
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Times,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::StringConcat => Operator::Concat,
        other => return Err(SqlError::syntax(&other.to_string(), "= < > <> AND OR")),
    })
}

fn data_type(kind: &DataType) -> Result<SqlType, SqlError> {
    let length = |length: &Option<ast::CharacterLength>| match length {
        Some(ast::CharacterLength::IntegerLength { length, .. }) => {
            u32::try_from(*length).unwrap_or(u32::MAX)
        }
        _ => 1,
    };
    Ok(match kind {
        DataType::Char(n) | DataType::Character(n) => SqlType::Char(length(n)),
        DataType::Varchar(n) | DataType::CharVarying(n) | DataType::CharacterVarying(n) => {
            SqlType::Varchar(length(n))
        }
        DataType::Varbinary(Some(ast::BinaryLength::IntegerLength { length })) => {
            SqlType::Varbinary(u32::try_from(*length).unwrap_or(u32::MAX))
        }
        DataType::Blob(n) => SqlType::Blob(n.and_then(|n| u32::try_from(n).ok()).unwrap_or(1_048_576)),
        DataType::SmallInt(_) => SqlType::Smallint,
        DataType::Int(_) | DataType::Integer(_) => SqlType::Integer,
        DataType::BigInt(_) => SqlType::Bigint,
        DataType::Decimal(info) | DataType::Dec(info) | DataType::Numeric(info) => match info {
            ast::ExactNumberInfo::None => SqlType::Decimal(5, 0),
            ast::ExactNumberInfo::Precision(p) => SqlType::Decimal(u32::try_from(*p).unwrap_or(63), 0),
            ast::ExactNumberInfo::PrecisionAndScale(p, s) => {
                SqlType::Decimal(u32::try_from(*p).unwrap_or(63), u32::try_from(*s).unwrap_or(0))
            }
        },
        DataType::Timestamp(..) => SqlType::Timestamp,
        DataType::Date => SqlType::Date,
        DataType::Time(..) => SqlType::Time,
        DataType::Double(_) | DataType::DoublePrecision => SqlType::Double,
        DataType::Boolean => SqlType::Boolean,
        DataType::Custom(name, modifiers) if name.to_string().eq_ignore_ascii_case("BITDATA") => {
            SqlType::VarcharBit(modifiers.first().and_then(|n| n.parse().ok()).unwrap_or(1))
        }
        other => return Err(SqlError::syntax(&other.to_string(), "CHAR VARCHAR INTEGER DECIMAL")),
    })
}
