//! Entries of the security audit journal (QAUDJRN) turned into events.
//!
//! What lies where in an entry is data: the tables below `data/`, read once into a flat list of steps per
//! entry type. An entry is never lost and never makes the decoder fail: what no trusted row of a table
//! covers, and what a row could not read, travels as hexadecimal digits in the field `raw`
//! (`docs/audit-layouts.md` says how it is written).

mod decode;
#[cfg(test)]
mod documents;
mod glance;
mod layout;
pub(crate) mod mask;
pub(crate) mod raw;
mod run;
mod severity;
pub(crate) mod step;
pub(crate) mod tables;
mod user;

pub use decode::AuditDecoder;
pub use layout::{TypeInfo, types};

/// One journal entry as the journal's SQL service returns it, still undecoded.
#[derive(Debug, Clone, Copy)]
pub struct JournalEntry<'a> {
    /// Journal code: `T` audit, `U` user-written, `J` the journal's own.
    pub code: u8,
    /// Entry type, two upper-case letters or digits.
    pub entry_type: [u8; 2],
    /// Journal sequence number.
    pub sequence: u64,
    /// Microseconds since 1970 UTC.
    pub time_us: i64,
    /// Effective user profile.
    pub user: &'a str,
    /// Name of the job that caused the entry.
    pub job_name: &'a str,
    /// Its user.
    pub job_user: &'a str,
    /// Its number, with leading zeros.
    pub job_number: &'a str,
    /// Program that caused the entry.
    pub program: &'a str,
    /// Library of that program.
    pub program_library: &'a str,
    /// Address of the remote system; empty if the journal does not record it.
    pub remote_address: &'a str,
    /// Port of the remote system.
    pub remote_port: Option<u32>,
    /// Object of the header: name, library and member of ten characters each, or empty.
    pub object: &'a str,
    /// Entry-specific data, or the front part of it if the rest was proven blank.
    pub data: &'a [u8],
    /// Length of the whole entry-specific data.
    pub data_length: u32,
}

/// What is to be said about a decoded entry, besides the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decoded {
    /// The entry type has a layout or at least a name. Unknown ones travel in `raw` as a whole.
    pub known_type: bool,
    /// The data ends before the last trusted row of the layout. Older releases write shorter entries.
    pub short: bool,
    /// Bytes that had to be kept in `raw`, blank ones not counted.
    pub raw_bytes: u32,
    /// Passwords that were masked.
    pub masked: u32,
}
