//! Decoding of IBM i bytes, without any I/O: EBCDIC and Unicode text, decimals, time stamps, and the entries
//! of the security audit journal.
//!
//! Input is never trusted. Whatever the bytes are, a decoder returns, keeps what it cannot read as
//! hexadecimal digits, and does not panic.

#![forbid(unsafe_code)]

pub mod audit;
pub mod blank;
pub mod ebcdic;
pub mod number;
pub mod text;
pub mod timestamp;
