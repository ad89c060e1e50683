//! Errors in the words of Db2 for i.

/// An SQL error: text, SQLSTATE and SQLCODE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SqlError {
    /// `[SQLnnnn] text`.
    pub text: String,
    /// SQLSTATE; none for errors that the server makes itself.
    pub state: Option<&'static str>,
    /// SQLCODE.
    pub code: i64,
}

impl SqlError {
    /// An error with that SQLCODE.
    #[must_use]
    pub fn new(code: i64, state: &'static str, text: impl AsRef<str>) -> Self {
        let number = code.unsigned_abs();
        Self { text: format!("[SQL{number:04}] {}", text.as_ref()), state: Some(state), code }
    }

    /// An error of the driver, which has no message number.
    #[must_use]
    pub fn driver(state: &'static str, text: &str) -> Self {
        Self { text: text.to_owned(), state: Some(state), code: -99_999 }
    }

    /// Table or function not there.
    #[must_use]
    pub fn not_found(schema: &str, name: &str, kind: &str) -> Self {
        Self::new(-204, "42704", format!("{name} in {schema} type {kind} not found."))
    }

    /// Column not there.
    #[must_use]
    pub fn no_column(name: &str, table: &str) -> Self {
        Self::new(-206, "42703", format!("Column or global variable {name} not found in {table}."))
    }

    /// Wrong word.
    #[must_use]
    pub fn syntax(token: &str, valid: &str) -> Self {
        Self::new(-104, "42601", format!("Token {token} was not valid. Valid tokens: {valid}."))
    }

    /// Allowed in Db2, not here.
    #[must_use]
    pub fn unsupported(what: &str) -> Self {
        Self::new(-255, "42999", format!("Function not supported for query: {what}."))
    }

    /// No authority.
    #[must_use]
    pub fn not_authorized(schema: &str, name: &str, kind: &str) -> Self {
        Self::new(-551, "42501", format!("Not authorized to object {name} in {schema} type {kind}."))
    }

    /// A service failed with that message.
    #[must_use]
    pub fn service(message: &str) -> Self {
        Self::new(-443, "38501", message)
    }

    /// Operand or argument of a wrong kind.
    #[must_use]
    pub fn argument(function: &str) -> Self {
        Self::new(-171, "42815", format!("Argument 01 of function {function} not valid."))
    }
}
