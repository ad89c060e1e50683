//! The part of Db2 for i that the simulated partition speaks: SELECT and VALUES over its services, INSERT and
//! DELETE on one sample table, CALL of a few procedures.
//!
//! Text is parsed by a parser crate ([`parse`]), compiled once against the catalogue ([`compile`]) and then
//! evaluated ([`eval`], [`cursor`]). What is not supported is refused with an SQL error, never guessed.

pub mod change;
pub mod compile;
pub mod cursor;
mod error;
pub mod eval;
pub mod parse;
pub mod value;

pub use compile::{Action, Query, compile, compile_action};
pub use cursor::Cursor;
pub use error::SqlError;
pub use value::{SqlType, Value};
