//! How the agent reaches its partition: a connection that runs SQL.
//!
//! Nothing above this module knows whether it is Mapepire or (later) ODBC. Rows come as terse JSON text
//! (an array of arrays in column order): that is what Mapepire sends, it can be parsed without copying,
//! and any other connection can write it.

mod error;
pub mod facts;
pub mod mapepire;
pub mod reconnect;
pub mod rows;

pub use error::{CertificateFault, HostError, SqlError};
pub use rows::Rows;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use std::time::Duration;

/// A value bound to a parameter marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// SQL NULL.
    Null,
    /// Text; numbers with more than 15 digits travel as text too.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Bytes, for a marker of a binary type: write `cast(? as varbinary(n))`, so that its type is certain.
    /// Where the bytes are known when the statement is written, [`binary_literal`] needs no marker at all.
    Bytes(Vec<u8>),
}

/// Bytes as an SQL expression of the type VARBINARY, the same on every server: `varbinary(X'C1C2')`.
#[must_use]
pub fn binary_literal(bytes: &[u8]) -> String {
    format!("varbinary(X'{}')", faster_hex::hex_string_upper(bytes))
}

/// A statement to be prepared once per connection and executed often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub u32);

/// A statement that [`Host::ask`] sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The answer to a statement that was sent ahead.
pub type Answer = (Ticket, Result<Rows, HostError>);

/// What a statement without a result did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Called {
    /// Rows that it changed; 0 for a CALL.
    pub updated: u64,
    /// Values of the OUT and INOUT parameters in their order, as text.
    pub outputs: Vec<Option<String>>,
}

/// A connection to a partition. Every call has the deadline given with it.
///
/// Bytes of a result are upper-case hex digits, whatever the server makes of them; where they are many,
/// `HEX(...)` in the statement is much the cheaper way.
///
/// After an error for which [`HostError::is_disconnected`] holds, the next call connects again (subject
/// to back-off, which is the caller's: a failed sign-on counts against the profile).
pub trait Host {
    /// The user profile that requests run under, in upper case: named in advice about authorities.
    fn user(&self) -> &str;

    /// Runs a statement once and returns all its rows (at most `max_rows`).
    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
        max_rows: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>>;

    /// Registers SQL text to be prepared at first use on each connection.
    fn statement(&mut self, sql: String) -> StatementId;

    /// Executes a registered statement and returns its rows. The statement must limit itself to `max_rows`
    /// (`FETCH FIRST n ROWS ONLY`): one row more is asked for, so that the server sees the end at once and
    /// leaves no cursor open.
    fn execute<'a>(
        &'a mut self,
        statement: StatementId,
        params: &'a [Param],
        max_rows: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>>;

    /// Sends the request of [`Host::execute`] without waiting, so that the partition works while the
    /// previous rows are decoded; [`Host::finish`] waits for it. At most one may be outstanding; any
    /// other call first waits for it and drops its rows.
    fn begin<'a>(
        &'a mut self,
        statement: StatementId,
        params: &'a [Param],
        max_rows: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<(), HostError>>;

    /// Waits for the reply of [`Host::begin`]; its deadline counts anew from here.
    fn finish(&mut self) -> LocalBoxFuture<'_, Result<Rows, HostError>>;

    /// Runs a statement that has no result (CALL, INSERT, UPDATE, DELETE), once and never again: after an
    /// error for which [`HostError::is_disconnected`] holds it may have been run or not. A CALL needs a
    /// placeholder for each OUT parameter.
    fn call<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Called, HostError>> {
        let _ = (sql, params, deadline);
        unable("run statements without a result")
    }

    /// Runs a statement and returns the first `block` rows of its result; while [`Rows::done`] is false,
    /// [`Host::more`] gives the next ones. However many rows share the value that the caller goes by, none is
    /// lost between two blocks, since it is one result. One is open at a time: the next `open` closes it.
    fn open<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
        block: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
        let _ = (sql, params, block, deadline);
        unable("read a result in blocks")
    }

    /// The next `block` rows of the result that is open; none, and `done`, when all were given. After an error
    /// the result is gone: open it again from the last row that was kept.
    fn more(&mut self, block: u32, deadline: Duration) -> LocalBoxFuture<'_, Result<Rows, HostError>> {
        let _ = (block, deadline);
        unable("read a result in blocks")
    }

    /// Sends a statement of at most `max_rows` rows without waiting; [`Host::answer`] gives the answer. Up
    /// to [`MOST_ASKED`] may be under way beside the other calls. The partition's job works on one
    /// statement at a time, so one that waits (RECEIVE_DATA_QUEUE with WAIT_TIME) belongs on a connection
    /// of its own. The deadline counts from here.
    fn ask<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
        max_rows: u32,
        deadline: Duration,
    ) -> LocalBoxFuture<'a, Result<Ticket, HostError>> {
        let _ = (sql, params, max_rows, deadline);
        unable("send statements ahead")
    }

    /// The next answer to what was asked, in the order in which the partition answers; None when nothing is
    /// under way. When the connection breaks, each statement under way gets that as its answer. A future
    /// that is dropped loses no answer.
    fn answer(&mut self) -> LocalBoxFuture<'_, Option<Answer>> {
        ready(None).boxed_local()
    }
}

/// Most statements that may be under way by [`Host::ask`].
pub const MOST_ASKED: usize = 16;

fn unable<'a, T: 'a>(what: &str) -> LocalBoxFuture<'a, Result<T, HostError>> {
    ready(Err(HostError::Config(format!("this kind of connection cannot {what}")))).boxed_local()
}

/// [`Host::query`] for a statement that only reads: newer servers keep bytes beside the answer, for one
/// fetch within a minute, and where that fails ([`HostError::is_expired`]) the statement is run once more.
/// Never for one that takes something away, such as RECEIVE_DATA_QUEUE without `REMOVE => 'NO'`.
///
/// # Errors
/// As [`Host::query`].
pub async fn query_bytes(
    host: &mut dyn Host,
    sql: &str,
    params: &[Param],
    max_rows: u32,
    deadline: Duration,
) -> Result<Rows, HostError> {
    match host.query(sql, params, max_rows, deadline).await {
        Err(error) if error.is_expired() => host.query(sql, params, max_rows, deadline).await,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_in_a_statement_as_hex_digits() {
        for (bytes, text) in [(&[][..], "varbinary(X'')"), (&[0, 0xAB, 0x7F][..], "varbinary(X'00AB7F')")] {
            assert_eq!(binary_literal(bytes), text);
        }
    }
}
