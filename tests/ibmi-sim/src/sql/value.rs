//! Values and types.

use std::cmp::Ordering;
use std::fmt::Write as _;

use crate::json;
use crate::time;

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    /// CHAR(n).
    Char(u32),
    /// VARCHAR(n).
    Varchar(u32),
    /// VARGRAPHIC(n) CCSID 1200.
    Vargraphic(u32),
    /// VARCHAR(n) FOR BIT DATA.
    VarcharBit(u32),
    /// BINARY(n).
    Binary(u32),
    /// VARBINARY(n).
    Varbinary(u32),
    /// BLOB(n).
    Blob(u32),
    /// SMALLINT.
    Smallint,
    /// INTEGER.
    Integer,
    /// BIGINT.
    Bigint,
    /// DECIMAL(p, s).
    Decimal(u32, u32),
    /// DOUBLE.
    Double,
    /// TIMESTAMP(6).
    Timestamp,
    /// DATE.
    Date,
    /// TIME.
    Time,
    /// BOOLEAN.
    Boolean,
}

impl SqlType {
    /// The driver's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Char(_) => "CHAR",
            Self::Varchar(_) => "VARCHAR",
            Self::Vargraphic(_) => "VARGRAPHIC",
            Self::VarcharBit(_) => "VARCHAR () FOR BIT DATA",
            Self::Binary(_) => "BINARY",
            Self::Varbinary(_) => "VARBINARY",
            Self::Blob(_) => "BLOB",
            Self::Smallint => "SMALLINT",
            Self::Integer => "INTEGER",
            Self::Bigint => "BIGINT",
            Self::Decimal(..) => "DECIMAL",
            Self::Double => "DOUBLE",
            Self::Timestamp => "TIMESTAMP",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::Boolean => "BOOLEAN",
        }
    }

    /// Display size, precision and scale as the driver tells them.
    #[must_use]
    pub fn sizes(self) -> (u32, u32, u32) {
        match self {
            Self::Char(n)
            | Self::Varchar(n)
            | Self::Vargraphic(n)
            | Self::VarcharBit(n)
            | Self::Binary(n)
            | Self::Varbinary(n)
            | Self::Blob(n) => (n, n, 0),
            Self::Smallint => (6, 5, 0),
            Self::Integer => (11, 10, 0),
            Self::Bigint => (20, 19, 0),
            Self::Decimal(p, s) => (p + 2, p, s),
            Self::Double => (22, 53, 0),
            Self::Timestamp => (26, 26, 6),
            Self::Date => (10, 10, 0),
            Self::Time => (8, 8, 0),
            Self::Boolean => (5, 1, 0),
        }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// True or false.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Decimal: digits and scale.
    Dec(i128, u32),
    /// Floating point.
    Double(f64),
    /// Character string.
    Text(String),
    /// Byte string whose filling is X'40' (FOR BIT DATA).
    Bits(Vec<u8>),
    /// Byte string whose filling is X'00' (BINARY, BLOB).
    Binary(Vec<u8>),
    /// Local microseconds since 1970.
    Timestamp(i64),
    /// Local microseconds of midnight.
    Date(i64),
    /// Microseconds since midnight.
    Time(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl Value {
    /// A DECIMAL(21,0).
    #[must_use]
    pub fn sequence(number: u64) -> Self {
        Self::Dec(i128::from(number), 0)
    }

    /// Its text, as a CAST to VARCHAR gives it; none for NULL.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(flag) => if *flag { "TRUE" } else { "FALSE" }.to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Dec(digits, scale) => decimal(*digits, *scale),
            Self::Double(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Bits(bytes) | Self::Binary(bytes) => hex(bytes),
            Self::Timestamp(at) => time::timestamp(*at),
            Self::Date(at) => {
                let mut out = String::new();
                time::write_date(*at, &mut out);
                out
            }
            Self::Time(at) => {
                let mut out = String::new();
                time::write_time(*at, '.', &mut out);
                out
            }
        })
    }

    /// Its number, where it is one or reads as one.
    #[must_use]
    pub fn number(&self) -> Option<(i128, u32)> {
        match self {
            Self::Int(number) => Some((i128::from(*number), 0)),
            Self::Dec(digits, scale) => Some((*digits, *scale)),
            Self::Text(text) => parse_decimal(text),
            Self::Bool(flag) => Some((i128::from(*flag), 0)),
            _ => None,
        }
    }

    /// Its whole part.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        let (digits, scale) = self.number()?;
        i64::try_from(digits / 10_i128.checked_pow(scale)?).ok()
    }

    /// Order of two values of comparable kinds; none where one is NULL or they do not compare. Trailing
    /// blanks of text do not matter.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::Text(a), Self::Text(b)) => Some(a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))),
            (Self::Bits(a) | Self::Binary(a), Self::Bits(b) | Self::Binary(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a) | Self::Date(a), Self::Timestamp(b) | Self::Date(b))
            | (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a) | Self::Date(a), Self::Text(b)) => Some(a.cmp(&time::parse(b)?)),
            (Self::Text(a), Self::Timestamp(b) | Self::Date(b)) => Some(time::parse(a)?.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            _ => {
                let ((a, s), (b, t)) = (self.number()?, other.number()?);
                let scale = s.max(t);
                Some(scaled(a, s, scale)?.cmp(&scaled(b, t, scale)?))
            }
        }
    }

    /// Appends it as JSON, as the column type wants it.
    pub fn write_json(&self, kind: SqlType, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Int(number) => {
                if let SqlType::Decimal(_, scale @ 1..) = kind {
                    let digits = scaled(i128::from(*number), 0, scale).unwrap_or_default();
                    out.push_str(&decimal(digits, scale));
                } else {
                    let _ = write!(out, "{number}");
                }
            }
            Self::Dec(digits, scale) => out.push_str(&decimal(*digits, *scale)),
            Self::Double(number) => {
                let _ = write!(out, "{number:?}");
            }
            Self::Text(text) => {
                let text = if matches!(kind, SqlType::Char(_)) { text.trim_end_matches(' ') } else { text };
                json::write_text(text, out);
            }
            Self::Bits(bytes) | Self::Binary(bytes) => {
                out.push('"');
                push_hex(bytes, out);
                out.push('"');
            }
            Self::Timestamp(_) | Self::Date(_) | Self::Time(_) => {
                out.push('"');
                out.push_str(&self.text().unwrap_or_default());
                out.push('"');
            }
        }
    }
}

/// Digits with their decimal point.
#[must_use]
pub fn decimal(digits: i128, scale: u32) -> String {
    if scale == 0 {
        return digits.to_string();
    }
    let width = scale as usize + 1;
    let all = format!("{:0width$}", digits.unsigned_abs());
    let (whole, part) = all.split_at(all.len() - scale as usize);
    format!("{}{whole}.{part}", if digits < 0 { "-" } else { "" })
}

/// Digits brought to a larger scale.
#[must_use]
pub fn scaled(digits: i128, from: u32, to: u32) -> Option<i128> {
    digits.checked_mul(10_i128.checked_pow(to.checked_sub(from)?)?)
}

/// Reads a decimal number.
#[must_use]
pub fn parse_decimal(text: &str) -> Option<(i128, u32)> {
    let text = text.trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    Some((format!("{whole}{part}").parse().ok()?, u32::try_from(part.len()).ok()?))
}

/// Appends upper-case hex digits.
pub fn push_hex(bytes: &[u8], out: &mut String) {
    let mut buffer = [0_u8; 1024];
    for chunk in bytes.chunks(512) {
        if let Ok(digits) = faster_hex::hex_encode_upper(chunk, &mut buffer) {
            out.push_str(digits);
        }
    }
}

/// Upper-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    push_hex(bytes, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_driver_writes_them() {
        let cases = [
            (Value::from("EMP       "), SqlType::Char(10), "\"EMP\""),
            (Value::from("EMP  "), SqlType::Varchar(10), "\"EMP  \""),
            (Value::Dec(12_345_678_901_234_567_890, 0), SqlType::Decimal(21, 0), "12345678901234567890"),
            (Value::Dec(150, 2), SqlType::Decimal(9, 2), "1.50"),
            (Value::Dec(-5, 2), SqlType::Decimal(9, 2), "-0.05"),
            (Value::Int(3), SqlType::Decimal(9, 2), "3.00"),
            (Value::Bits(vec![0xC1, 0x40]), SqlType::VarcharBit(9), "\"C140\""),
            (Value::Timestamp(13), SqlType::Timestamp, "\"1970-01-01 00:00:00.000013\""),
            (Value::Null, SqlType::Integer, "null"),
        ];
        for (value, kind, text) in cases {
            let mut out = String::new();
            value.write_json(kind, &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn comparison_knows_blanks_scales_and_times() {
        assert_eq!(Value::from("A ").compare(&Value::from("A")), Some(Ordering::Equal));
        assert_eq!(Value::Dec(150, 2).compare(&Value::from("1.5")), Some(Ordering::Equal));
        assert_eq!(Value::Int(2).compare(&Value::Dec(15, 1)), Some(Ordering::Greater));
        assert_eq!(
            Value::Timestamp(0).compare(&Value::from("1970-01-01-00.00.00.000001")),
            Some(Ordering::Less)
        );
        assert_eq!(Value::Null.compare(&Value::Int(1)), None);
    }
}
