//! Reads the fields of one request into an event.

use super::address;
use super::envelope::Envelope;
use super::layout::{FunctionKind, FunctionPlace, Kind, Length, Step};
use super::raw::Covered;
use crate::audit::mask;
use crate::audit::raw::push_hex;
use crate::blank::{is_empty, trimmed};
use crate::number::binary;
use crate::text::Encoding;
use muster_shared::event::{Event, FieldId, dictionary, field};
use std::ops::Range;
use std::sync::LazyLock;

/// Most bytes of one text; a record is not longer.
const MAX_TEXT: usize = 32 * 1024;

/// Most files of an open that are named.
const MAX_FILES: usize = 64;

/// Bytes of a file of an open that are read.
const FILE_ENTRY: usize = 44;

/// EBCDIC 1 and 0.
const YES: u8 = 0xF1;
const NO: u8 = 0xF0;

/// What opening a file at the file server may ask for, one mark each.
const ACCESS: [&str; 4] = ["read", "write", "read/write", "delete"];

/// What a database file may be opened for, one mark each.
const OPENING: [&str; 4] = ["input", "output", "update", "delete"];

/// Fields that the files of an open become.
struct FileFields {
    member: FieldId,
    options: FieldId,
    others: FieldId,
}

static FILE_FIELDS: LazyLock<FileFields> = LazyLock::new(|| {
    let field = |keyword| dictionary().find(keyword).expect("dictionary.csv has the fields of an open");
    FileFields { member: field("member"), options: field("open_options"), others: field("opened_files") }
});

/// One request while it is read.
#[derive(Debug)]
pub(super) struct Reader<'e, 'd> {
    pub(super) envelope: &'e Envelope<'d>,
    /// How text without a CCSID of its own is read.
    pub(super) encoding: Encoding,
    pub(super) covered: Covered,
    /// A length in the request is more than there is, and the exit program has not said that it cut something.
    pub(super) damaged: bool,
    pub(super) masked: u32,
}

impl Reader<'_, '_> {
    /// The function, as it is shown.
    pub(super) fn function(&self, place: FunctionPlace) -> Option<String> {
        let bytes = self.envelope.parameter(place.parameter).get(place.offset..)?;
        match place.kind {
            FunctionKind::Number => Some(binary(bytes.get(..4)?)?.to_string()),
            FunctionKind::Hex => {
                let bytes: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
                Some(format!("{:04X}", u32::from_be_bytes(bytes)))
            }
            FunctionKind::Name => {
                let name = self.text(&bytes[..bytes.len().min(10)]).0;
                (!name.is_empty()).then_some(name)
            }
        }
    }

    /// Reads one field.
    pub(super) fn step(&mut self, step: &Step, event: &mut Event) {
        if let Kind::Constant(field, text) = step.kind {
            return event.push(field, text);
        }
        let stretch = self.stretch(step);
        let envelope = self.envelope;
        let bytes = &envelope.parameter(step.parameter)[stretch.clone()];
        if self.value(step, bytes, event) {
            self.covered.add(step.parameter, stretch);
        }
    }

    /// The bytes of a field that are there.
    fn stretch(&mut self, step: &Step) -> Range<usize> {
        let parameter = self.envelope.parameter(step.parameter);
        let start = step.offset.min(parameter.len());
        let there = parameter.len() - start;
        let told = match step.length {
            Length::Fixed(length) => return start..start + length.min(there),
            Length::Rest => None,
            Length::At(offset) => parameter.get(offset..offset + 4).and_then(binary),
            Length::Parameter(number) => binary(self.envelope.parameter(number)),
        };
        let Some(told) = told else { return start..parameter.len() };
        let told = if matches!(step.kind, Kind::Names(_)) { told.saturating_mul(10) } else { told };
        let length = usize::try_from(told).unwrap_or(usize::MAX);
        if length > there && !self.envelope.cut {
            self.damaged = true;
        }
        start..start + length.min(there)
    }

    /// Pushes the value of a field; false if the bytes belong in `raw`.
    fn value(&mut self, step: &Step, bytes: &[u8], event: &mut Event) -> bool {
        match step.kind {
            Kind::Constant(..) | Kind::Covered | Kind::Secret => true,
            Kind::Text(field) => self.push_text(field, bytes, step, event),
            Kind::Command(field, ccsid_at) => {
                self.push_command(field, bytes, ccsid_at, step, event);
                // Never in `raw`, where a password in UTF-8 or UTF-16 would not be found.
                true
            }
            Kind::Utf16(field) => {
                let mut clean = true;
                event.push_with(field, None, |out| {
                    clean = Encoding::Utf16.decode_trimmed_into(&bytes[..bytes.len().min(MAX_TEXT)], out);
                });
                clean
            }
            Kind::Number(field) => push_number(field, bytes, step, event),
            Kind::Hex(field) => {
                if !is_empty(bytes) {
                    event.push_with(field, None, |out| push_hex(bytes, out));
                }
                true
            }
            Kind::Names(field) => {
                let names: Vec<String> =
                    bytes.chunks(10).map(|name| self.text(name).0).filter(|name| !name.is_empty()).collect();
                event.push(field, &names.join(" "));
                true
            }
            Kind::Access(field) => push_marks(field, bytes, &ACCESS, event),
            Kind::Address(field) => {
                let (text, clean) = self.text(bytes);
                match address::parse(&text) {
                    Some(address) => event.push(field, &address.to_string()),
                    None => event.push(field, &text),
                }
                clean
            }
            Kind::Socket(address_field, port_field) => {
                let known = match step.length {
                    Length::At(_) => address::by_length(bytes),
                    Length::Fixed(_) | Length::Rest | Length::Parameter(_) => address::by_family(bytes),
                };
                let Some((address, port)) = known else { return is_empty(bytes) };
                event.push(address_field, &address.to_string());
                if port != 0 {
                    event.push_int(port_field, i64::from(port));
                }
                true
            }
            Kind::Files => self.files(step, event),
        }
    }

    /// Text without the blanks at its end, and whether all of it could be read.
    pub(super) fn text(&self, bytes: &[u8]) -> (String, bool) {
        let mut out = String::new();
        let clean = self.encoding.decode_trimmed_into(&bytes[..bytes.len().min(MAX_TEXT)], &mut out);
        (out, clean)
    }

    fn push_text(&self, field: FieldId, bytes: &[u8], step: &Step, event: &mut Event) -> bool {
        if is_empty(bytes) {
            return true;
        }
        let (text, clean) = self.text(bytes);
        let meaning = step.values.iter().find(|(value, _)| *value == text).map(|(_, meaning)| *meaning);
        event.push_with(field, meaning, |out| out.push_str(&text));
        clean
    }

    fn push_command(
        &mut self,
        field: FieldId,
        bytes: &[u8],
        ccsid_at: Option<usize>,
        step: &Step,
        event: &mut Event,
    ) {
        // 0 means the CCSID of the job, and a CCSID without a table is read so too.
        let own = ccsid_at
            .and_then(|at| self.envelope.parameter(step.parameter).get(at..at + 4).and_then(binary))
            .and_then(|ccsid| u16::try_from(ccsid).ok())
            .and_then(Encoding::of);
        let mut text = String::new();
        let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
        own.unwrap_or(self.encoding).decode_trimmed_into(bytes, &mut text);
        let (text, count) = mask::masked(text);
        self.masked += count;
        event.push(field, &text);
    }

    /// The first file that was asked for becomes the object, the others are named behind it.
    fn files(&mut self, step: &Step, event: &mut Event) -> bool {
        let parameter = self.envelope.parameter(step.parameter);
        let number = |at: usize| {
            let value = parameter.get(at..at + 4).and_then(binary)?;
            usize::try_from(value).ok()
        };
        let (Some(start), Some(count), Some(size)) = (number(12), number(16), number(20)) else {
            return true;
        };
        if size < FILE_ENTRY || start > parameter.len() {
            self.damaged |= count > 0;
            return true;
        }
        let entries: Vec<&[u8]> = parameter[start..]
            .chunks(size)
            .take(count.min(MAX_FILES))
            .filter(|e| e.len() >= FILE_ENTRY)
            .collect();
        self.damaged |= entries.len() < count && count <= MAX_FILES && !self.envelope.cut;
        let end = start.saturating_add(count.saturating_mul(size)).min(parameter.len());
        self.covered.add(step.parameter, start..end);
        let is_asked = |entry: &&[u8]| binary(&entry[36..40]) == Some(0);
        let first = entries.iter().position(is_asked).unwrap_or(0);
        let Some(entry) = entries.get(first) else { return true };
        let fields = &*FILE_FIELDS;
        event.push(field::OBJECT_NAME, &self.text(&entry[..10]).0);
        event.push(field::OBJECT_LIBRARY, &self.text(&entry[10..20]).0);
        event.push(field::OBJECT_TYPE, "*FILE");
        event.push(fields.member, &self.text(&entry[20..30]).0);
        push_marks(fields.options, &entry[40..44], &OPENING, event);
        let others = entries.iter().enumerate().filter(|(index, _)| *index != first);
        let name = |entry: &[u8]| {
            let [file, library, member] = [0, 10, 20].map(|at| self.text(&entry[at..at + 10]).0);
            if member.is_empty() {
                format!("{library}/{file}")
            } else {
                format!("{library}/{file}({member})")
            }
        };
        let names: Vec<String> = others.map(|(_, entry)| name(entry)).collect();
        event.push(fields.others, &names.join(", "));
        true
    }
}

/// A number; zero is what unused fields hold and is left out.
fn push_number(field: FieldId, bytes: &[u8], step: &Step, event: &mut Event) -> bool {
    let Length::Fixed(length) = step.length else { return false };
    if is_empty(bytes) {
        return true;
    }
    let Some(value) = binary(bytes).filter(|_| bytes.len() == length) else { return false };
    event.push_int(field, value);
    let text = value.to_string();
    event.set_last_meaning(step.values.iter().find(|(value, _)| *value == text).map(|(_, meaning)| *meaning));
    true
}

/// Marks of one character each, 1 for yes and 0 for no, as the words they stand for.
fn push_marks(field: FieldId, bytes: &[u8], words: &[&str; 4], event: &mut Event) -> bool {
    let bytes = trimmed(bytes);
    if !bytes.iter().all(|byte| matches!(*byte, YES | NO)) {
        return false;
    }
    let said: Vec<&str> =
        bytes.iter().zip(words).filter(|(byte, _)| **byte == YES).map(|(_, word)| *word).collect();
    event.push(field, &said.join(", "));
    true
}
