//! The event: what every source is turned into and every destination formats.
//!
//! An [`Event`] is built to be used again and again by one pipeline: all its text lies in one buffer, a
//! field is a dictionary number and a range, and [`Event::clear`] keeps the allocations. A decoder
//! appends fields, the policy sets the severity, a format walks over [`Event::fields`].

mod controller;
mod dictionary;
mod exit;
pub mod field;
mod kind;
pub mod query;

pub use controller::{ACTIONS as CONTROLLER_ACTIONS, ControllerAction, controller_action, is_known_action};
pub use dictionary::{Dictionary, FieldDef, FieldType, dictionary};
pub use exit::{
    EXIT_PROGRAM_ADDED, EXIT_PROGRAM_CHANGED, EXIT_PROGRAM_FOREIGN, EXIT_PROGRAM_MISSING,
    EXIT_PROGRAM_REMOVED, EXIT_UNKNOWN, ExitAction, exit_action, exit_actions,
};
pub use kind::{AgentEvent, EventKind, MessageId, MessageOrigin, QueuedFormat, SourceKind};
pub use query::{EventQuery, QueryError};

use crate::severity::Severity;
use std::sync::Arc;

/// Number of a field in the [`Dictionary`]. The first ones are the constants of [`field`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

/// One value of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Which field of the dictionary this is.
    pub id: FieldId,
    /// What a coded value means (`A` → `not authorized to object`), where a table knows it.
    pub meaning: Option<&'static str>,
    start: u32,
    end: u32,
}

/// One of several values that are appended together, see [`Event::push_run`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which field of the dictionary this is.
    pub id: FieldId,
    /// What a coded value means.
    pub meaning: Option<&'static str>,
    /// First byte of the value in the common text.
    pub start: u32,
    /// Where it ends; behind `start`.
    pub end: u32,
}

/// One security event, normalised.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where it comes from and what type it has.
    pub kind: EventKind,
    /// When it happened: microseconds since 1970 UTC.
    pub time_us: i64,
    /// Policy may change it; the decoder sets the default of the entry type.
    pub severity: Severity,
    /// Fixed English text of the type, without data: `Authority failure`.
    pub name: &'static str,
    /// Front part of the stable id, the same for all entries of one receiver; see [`Event::write_id`].
    pub id_prefix: Arc<str>,
    /// Sequence number within the source (journal sequence number).
    pub sequence: u64,
    text: String,
    /// Blanks at the end of `text` that belong to no field, see [`Event::pad`].
    padding: usize,
    fields: Vec<Field>,
}

/// Blanks that [`Event::pad`] puts behind the text.
const PADDING: &str = "                                ";

impl Event {
    /// An empty event to be filled; `kind`, time, name and id must be set by the caller.
    #[must_use]
    pub fn new() -> Self {
        Self {
            kind: EventKind::Agent(AgentEvent::Heartbeat),
            time_us: 0,
            severity: Severity::LOWEST,
            name: "",
            id_prefix: Arc::from(""),
            sequence: 0,
            text: String::with_capacity(1024),
            padding: 0,
            fields: Vec::with_capacity(48),
        }
    }

    /// Removes all fields and keeps the buffers. The head (kind, time, id …) stays to be overwritten.
    pub fn clear(&mut self) {
        self.text.clear();
        self.padding = 0;
        self.fields.clear();
    }

    /// Says that the event is complete for now: [`Event::bytes_from`] gives at least 32 bytes from here on,
    /// so that a format can read the last values in blocks too. Fields may still be pushed, and end that.
    pub fn pad(&mut self) {
        if self.padding == 0 {
            self.text.push_str(PADDING);
            self.padding = PADDING.len();
        }
    }

    #[inline]
    fn unpad(&mut self) {
        if self.padding > 0 {
            self.text.truncate(self.text.len() - self.padding);
            self.padding = 0;
        }
    }

    /// Appends a field. An empty value is not stored: absent and empty mean the same to a SIEM.
    pub fn push(&mut self, id: FieldId, value: &str) {
        self.push_with(id, None, |text| text.push_str(value));
    }

    /// Appends a whole number.
    pub fn push_int(&mut self, id: FieldId, value: i64) {
        self.push_with(id, None, |text| text.push_str(itoa::Buffer::new().format(value)));
    }

    /// Appends a field whose text `write` adds to the end of the buffer, so that a decoder can convert
    /// straight into it. `write` must only append. A field that stays empty is not stored.
    pub fn push_with(&mut self, id: FieldId, meaning: Option<&'static str>, write: impl FnOnce(&mut String)) {
        self.unpad();
        let start = self.text.len();
        write(&mut self.text);
        let end = self.text.len();
        if end > start {
            // Event texts are bounded by the decoder (at most some 100 KiB), far below 4 GiB.
            self.fields.push(Field { id, meaning, start: start as u32, end: end as u32 });
        }
    }

    /// Appends several fields at once. `parts` tells where in `text` their values lie, between characters.
    pub fn push_run(&mut self, text: &str, parts: &[Part]) {
        self.unpad();
        // Event texts are bounded, as in `push_with`.
        let base = self.text.len() as u32;
        self.text.push_str(text);
        self.fields.extend(parts.iter().map(|part| Field {
            id: part.id,
            meaning: part.meaning,
            start: base + part.start,
            end: base + part.end,
        }));
    }

    /// Sets the meaning of the field pushed last, for decoders that know it only after the value.
    pub fn set_last_meaning(&mut self, meaning: Option<&'static str>) {
        if let Some(last) = self.fields.last_mut() {
            last.meaning = meaning;
        }
    }

    /// All fields in the order they were added.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Text of a field of this event.
    #[must_use]
    pub fn text(&self, field: &Field) -> &str {
        &self.text[field.start as usize..field.end as usize]
    }

    /// Bytes from the start of a field to the end of [`Event::all_text`] and what [`Event::pad`] put behind
    /// it, and how many of them are the field's: lets a reader load a block of a fixed size and mask it.
    #[must_use]
    #[inline]
    pub fn bytes_from(&self, field: &Field) -> (&[u8], usize) {
        (&self.text.as_bytes()[field.start as usize..], (field.end - field.start) as usize)
    }

    /// The text of all fields, one after the other: lets a format ask once whether any value holds a byte
    /// that needs escaping.
    #[must_use]
    pub fn all_text(&self) -> &str {
        &self.text[..self.text.len() - self.padding]
    }

    /// First value of a field, if the event has it.
    #[must_use]
    pub fn get(&self, id: FieldId) -> Option<&str> {
        self.fields.iter().find(|f| f.id == id).map(|f| self.text(f))
    }

    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.text.len() + size_of_val(self.fields.as_slice())
    }

    /// Appends the stable id: prefix + sequence. It names system, source, receiver with its attach time
    /// and sequence, so it is unique over re-created journals and a SIEM can drop doubles by it.
    pub fn write_id(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id_prefix.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(self.sequence).as_bytes());
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_order_and_empty_ones_are_left_out() {
        let mut event = Event::new();
        event.push(field::USER, "BOB");
        event.push(field::JOB_NAME, "");
        event.push_int(field::REMOTE_PORT, 8471);
        let seen: Vec<_> = event.fields().iter().map(|f| (f.id, event.text(f))).collect();
        assert_eq!(seen, [(field::USER, "BOB"), (field::REMOTE_PORT, "8471")]);
        assert_eq!(event.get(field::JOB_NAME), None);
        event.clear();
        assert!(event.fields().is_empty());
    }

    #[test]
    fn padding_is_part_of_no_text() {
        let mut event = Event::new();
        event.push(field::USER, "BOB");
        for round in 0..2 {
            event.pad();
            event.pad();
            assert_eq!(event.all_text(), ["BOB", "BOB8471"][round]);
            let last = *event.fields().last().unwrap();
            let (bytes, size) = event.bytes_from(&last);
            assert_eq!(&bytes[..size], event.text(&last).as_bytes());
            assert_eq!(bytes.len(), size + PADDING.len());
            if round == 0 {
                event.push_int(field::REMOTE_PORT, 8471);
                assert_eq!(event.all_text(), "BOB8471");
            }
        }
        event.clear();
        event.push_run("AB", &[Part { id: field::USER, meaning: None, start: 0, end: 2 }]);
        assert_eq!(event.all_text(), "AB");
    }

    #[test]
    fn the_id_is_prefix_and_sequence() {
        let mut event = Event::new();
        event.id_prefix = Arc::from("PROD01/QAUDJRN/QGPL.AUDRCV0001@1/");
        event.sequence = 42;
        let mut out = Vec::new();
        event.write_id(&mut out);
        assert_eq!(out, b"PROD01/QAUDJRN/QGPL.AUDRCV0001@1/42");
    }
}
