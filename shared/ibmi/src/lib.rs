//! Decoding of IBM i bytes, without any I/O: EBCDIC and Unicode text, decimals, time stamps, the entries of the
//! security audit journal and of data queues, messages, and what an exit program was called with.
//!
//! Input is never trusted. Whatever the bytes are, a decoder returns, keeps what it cannot read as
//! hexadecimal digits, and does not panic.

#![forbid(unsafe_code)]

pub mod audit;
pub mod blank;
pub mod ebcdic;
pub mod exit;
pub mod message;
pub mod number;
pub mod queue;
pub mod text;
pub mod timestamp;
