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

use futures_util::future::LocalBoxFuture;
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
}

/// A statement to be prepared once per connection and executed often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub u32);

/// A connection to a partition. One request at a time; every call has the deadline given with it.
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
}
