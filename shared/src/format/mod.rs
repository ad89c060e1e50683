//! Formats: an [`Event`] becomes the bytes that a SIEM reads.
//!
//! A [`Formatter`] belongs to one destination and one partition. It knows in advance everything that does
//! not vary with the event (keys, host, product), so writing an event is a walk over its fields that copies
//! runs of bytes and allocates nothing.
//!
//! Promises: every message is valid UTF-8 without a control byte other than a delimiter that was asked for,
//! hence without line feed and NUL, so it fits any framing; no key stands twice in a message; what a reader of the format
//! splits back is what was put in, except for what [`FormatCounters`] counts. Refuses: nothing at run time;
//! a value that a format cannot hold is replaced or cut, and counted. `docs/formats.md` is the page for users.

mod cef;
mod clock;
mod escape;
mod head;
mod header;
mod key;
mod leef;
mod meaning;
mod rfc3164;
mod rfc5424;
mod sink;

#[cfg(test)]
mod tests;

use crate::event::Event;
use crate::partition::Partition;
use crate::policy::model::{FormatKind, FormatSpec, Header};
use std::sync::Arc;

/// Vendor in CEF and LEEF headers. QRadar's log source type hangs on vendor and product: never change them.
pub const VENDOR: &str = "Muster";
/// Product in CEF and LEEF headers.
pub const PRODUCT: &str = "IBM i";
/// APP-NAME of RFC 5424 and TAG of RFC 3164.
pub const APP_NAME: &str = "muster";
/// Private enterprise number of our structured data id. 32473 is the number that RFC 5612 sets aside for
/// examples; it stands here until an own number is registered with IANA.
pub const ENTERPRISE_NUMBER: u32 = 32473;
/// Syslog facility where the policy sets none: log audit.
pub const DEFAULT_FACILITY: u8 = 13;
/// LEEF 2.0 delimiter where the policy sets none: it survives relays that rewrite control bytes.
pub const DEFAULT_DELIMITER: char = '^';

/// What every message of one partition carries.
#[derive(Debug, Clone)]
pub struct FormatContext {
    /// The partition that events come from.
    pub partition: Arc<Partition>,
    /// Version of this product, for CEF and LEEF headers.
    pub product_version: String,
}

/// Why a format cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Syslog knows 24 facilities.
    #[error("facility {0} is outside 0 to 23")]
    Facility(u8),
    /// A delimiter that readers of LEEF 2.0 cannot split by.
    #[error(
        "{0:?} cannot separate LEEF attributes; use ASCII punctuation other than | = \\ and quotes, or a control character other than NUL, LF and CR"
    )]
    Delimiter(char),
}

/// What a formatter had to change in values, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FormatCounters {
    /// Bytes replaced by a space because the format cannot hold them: control bytes, and in LEEF the delimiter.
    pub substitutions: u64,
    /// Values cut because the format limits their length.
    pub truncations: u64,
}

/// The header that a format uses: the one of the policy, or the one that readers of the payload expect.
#[must_use]
pub fn effective_header(spec: &FormatSpec) -> Header {
    spec.header.unwrap_or(match spec.kind {
        FormatKind::Syslog => Header::Rfc5424,
        FormatKind::Cef | FormatKind::Leef1 | FormatKind::Leef2 => Header::Rfc3164,
    })
}

/// Checks a LEEF 2.0 delimiter: one ASCII character that no key holds and that readers take literally.
///
/// # Errors
/// [`FormatError::Delimiter`].
pub fn check_delimiter(delimiter: char) -> Result<u8, FormatError> {
    let refused = matches!(delimiter, '|' | '=' | '\\' | '"' | '\'' | '\0' | '\n' | '\r');
    if !refused && (delimiter.is_ascii_punctuation() || delimiter.is_ascii_control()) {
        // ASCII, so one byte.
        Ok(delimiter as u8)
    } else {
        Err(FormatError::Delimiter(delimiter))
    }
}

/// Writes events in the format of one destination.
#[derive(Debug)]
pub struct Formatter {
    header: header::HeaderWriter,
    payload: Payload,
    blocks: head::BlockCache,
    sink: sink::Sink,
    counters: FormatCounters,
}

#[derive(Debug)]
enum Payload {
    StructuredData(rfc5424::StructuredDataWriter),
    Pairs(rfc3164::PairWriter),
    Cef(cef::CefWriter),
    Leef(leef::LeefWriter),
}

impl Formatter {
    /// Prepares a format for one partition.
    ///
    /// # Errors
    /// [`FormatError`] where the policy asks for something impossible; `validate` finds the same earlier.
    pub fn new(spec: &FormatSpec, ctx: &FormatContext) -> Result<Self, FormatError> {
        let facility = spec.facility.unwrap_or(DEFAULT_FACILITY);
        if facility > 23 {
            return Err(FormatError::Facility(facility));
        }
        let delimiter = check_delimiter(spec.leef_delimiter.unwrap_or(DEFAULT_DELIMITER))?;
        let kind = effective_header(spec);
        let payload = match (spec.kind, kind) {
            (FormatKind::Syslog, Header::Rfc5424) => {
                Payload::StructuredData(rfc5424::StructuredDataWriter::new(ctx, spec.bom))
            }
            (FormatKind::Syslog, Header::Rfc3164) => Payload::Pairs(rfc3164::PairWriter::new(ctx)),
            (FormatKind::Cef, _) => Payload::Cef(cef::CefWriter::new(ctx, spec.cef_space)),
            (FormatKind::Leef1, _) => Payload::Leef(leef::LeefWriter::version_1(ctx)),
            (FormatKind::Leef2, _) => Payload::Leef(leef::LeefWriter::version_2(ctx, delimiter)),
        };
        // LEEF asks for three digits behind the second; everybody else may have what the journal gives.
        let milliseconds = matches!(spec.kind, FormatKind::Leef1 | FormatKind::Leef2);
        let bom = spec.bom && kind == Header::Rfc5424 && spec.kind != FormatKind::Syslog;
        let style = header::HeaderStyle {
            kind,
            facility,
            utc: spec.utc,
            milliseconds,
            nil_data: spec.kind != FormatKind::Syslog,
            bom,
        };
        Ok(Self {
            header: header::HeaderWriter::new(&style, &ctx.partition),
            payload,
            blocks: head::BlockCache::new(),
            sink: sink::Sink::new(),
            counters: FormatCounters::default(),
        })
    }

    /// Appends one complete message, header and payload, without transport framing.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        let Self { header, payload, blocks, sink, counters } = self;
        sink.clear();
        header.put_start(event, sink);
        sink.put(blocks.get(event, |block| {
            header.write_end(event, block);
            match &*payload {
                Payload::StructuredData(writer) => writer.write_block(event, block),
                Payload::Pairs(writer) => writer.write_block(event, block),
                Payload::Cef(writer) => writer.write_block(event, block),
                Payload::Leef(writer) => writer.write_block(event, block),
            }
        }));
        match payload {
            Payload::StructuredData(writer) => writer.put(event, sink, counters),
            Payload::Pairs(writer) => writer.put(event, sink, counters),
            Payload::Cef(writer) => writer.put(event, sink, counters),
            Payload::Leef(writer) => writer.put(event, sink, counters),
        }
        out.extend_from_slice(sink.as_bytes());
    }

    /// What had to be changed in values so far.
    #[must_use]
    pub const fn counters(&self) -> FormatCounters {
        self.counters
    }
}

/// Facts about the partition that every message carries, by keyword; what is not known is left out.
fn partition_facts(partition: &Partition) -> Vec<(&'static str, String)> {
    let id = if partition.partition_id == 0 { String::new() } else { partition.partition_id.to_string() };
    [
        ("system_name", partition.system_name.clone()),
        ("serial_number", partition.serial_number.clone()),
        ("partition_id", id),
        ("os_release", partition.os_release.clone()),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .collect()
}
