//! What the exit program saw, turned into events, and the watch over what is registered at exit points.
//!
//! The exit program (`deploy/ibmi/`) hands on what it was called with and decides nothing. Here the record is taken
//! apart ([`envelope`]) and read by tables below `data/`: one row a format, a function, a field. An exit program is
//! called before the request is carried out, so an event says that something was asked for; `outcome` is `unknown`.
//!
//! # What is never shown
//!
//! Formats that carry passwords have no `raw`, rows of type `secret` are neither decoded nor part of `raw`, and the
//! bytes of formats that no table knows are counted and not shown. Passwords in commands and SQL are masked.

mod address;
mod decode;
#[cfg(test)]
mod documents;
pub mod envelope;
mod layout;
mod raw;
pub mod registry;
mod step;
mod tables;

pub use decode::ExitDecoder;
pub use layout::{FormatInfo, formats};

use envelope::EnvelopeError;

/// One entry of the exit program's data queue.
#[derive(Debug, Clone, Copy)]
pub struct ExitEntry<'a> {
    /// The bytes.
    pub data: &'a [u8],
    /// When it was put on the queue or taken from it, microseconds since 1970 UTC: the time of the event where the
    /// record has none that can be read.
    pub fallback_time_us: i64,
    /// Number of the entry within the source.
    pub sequence: u64,
}

/// What is to be said about a decoded entry, besides the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decoded {
    /// The entry is no record of the exit program. Its bytes are not shown.
    pub refused: Option<EnvelopeError>,
    /// Exit point and format have a table.
    pub known_format: bool,
    /// The record ends too early, tells a wrong length, or a length in it is more than there is.
    pub damaged: bool,
    /// The CCSID of the job has no table, so the partition's was used.
    pub ccsid_replaced: bool,
    /// Bytes that had to be kept in `raw`, blank ones not counted.
    pub raw_bytes: u32,
    /// Passwords that were masked.
    pub masked: u32,
}
