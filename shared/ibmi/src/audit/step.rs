//! One step of a layout: where a value lies, how it is read and which field it becomes.

use super::mask;
use super::severity::invariant_bytes;
use crate::blank::{is_empty, is_empty_byte, trimmed};
use crate::ebcdic::{BLANK, CodePage};
use crate::text::Encoding;
use crate::{number, timestamp};
use muster_shared::event::{Event, FieldId, field};
use smallvec::SmallVec;
use std::ops::Range;

/// Bytes of the longest ID: that of a file.
const LONGEST_ID: usize = 16;

/// Bytes from `start` up to before `end`, counted from the start of the entry data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) stretch: Stretch,
    pub(crate) field: FieldId,
    /// Used instead of `field` if the journal header has filled that already.
    pub(crate) fallback: FieldId,
    pub(crate) kind: Kind,
    /// The row may be relied on, so its bytes are not repeated in `raw`.
    pub(crate) trusted: bool,
    pub(crate) meanings: Option<Meanings>,
}

/// How a value is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One character.
    Code,
    /// Text filled up with blanks.
    Text,
    /// Text of a command, in which passwords are masked.
    Command,
    /// Names of ten characters each.
    Names,
    /// Digits that are a number.
    Digits,
    /// Bytes that are no text.
    Hex,
    /// Big-endian number. Zero is what unused fields hold and is left out.
    Binary,
    /// Zoned decimal that is a number.
    Zoned,
    /// Zoned decimal that is a name, with all its digits (job numbers, times).
    ZonedText,
    /// Packed decimal.
    Packed,
    /// Time stamp, local time of the partition.
    Timestamp,
    /// Text with a length or a CCSID of its own.
    Named(Box<Named>),
}

/// Where the length and the CCSID of a text lie.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The first two bytes of the area are the length.
    pub(crate) prefixed: bool,
    /// Text without CCSID is UTF-16, not the partition's.
    pub(crate) utf16: bool,
    pub(crate) length_at: Option<u32>,
    /// The row of the length may be relied on.
    pub(crate) length_trusted: bool,
    pub(crate) ccsid_at: Option<u32>,
}

/// Meanings of coded values.
#[derive(Debug)]
pub(crate) enum Meanings {
    /// By the byte of a one-character code: index into the texts plus one.
    Byte { index: Box<[u8; 256]>, texts: Vec<&'static str> },
    /// By the number.
    Number(Vec<Option<&'static str>>),
    /// By the bytes without trailing blanks, sorted.
    Text(Vec<(Vec<u8>, &'static str)>),
}

impl Meanings {
    pub(crate) fn new(format: &str, length: u32, values: &[(&str, &'static str)]) -> Self {
        if format == "packed" {
            let mut numbers = Vec::new();
            for (value, meaning) in values {
                let number: usize = value.parse().expect("audit-values.csv: values of a number are numbers");
                numbers.resize(numbers.len().max(number + 1), None);
                numbers[number] = Some(*meaning);
            }
            return Self::Number(numbers);
        }
        if length == 1 {
            let mut index = Box::new([0; 256]);
            for (position, (value, _)) in values.iter().enumerate() {
                let byte = invariant_bytes(value)[0];
                index[usize::from(byte)] = u8::try_from(position + 1).expect("fewer than 256 values");
            }
            return Self::Byte { index, texts: values.iter().map(|(_, meaning)| *meaning).collect() };
        }
        let mut texts: Vec<_> = values.iter().map(|(value, text)| (invariant_bytes(value), *text)).collect();
        texts.sort();
        Self::Text(texts)
    }

    pub(super) fn of_byte(&self, byte: u8) -> Option<&'static str> {
        let Self::Byte { index, texts } = self else { return None };
        texts.get(usize::from(index[usize::from(byte)]).checked_sub(1)?).copied()
    }

    pub(super) fn of_number(&self, number: i64) -> Option<&'static str> {
        let Self::Number(numbers) = self else { return None };
        numbers.get(usize::try_from(number).ok()?).copied().flatten()
    }

    pub(super) fn of_text(&self, bytes: &[u8]) -> Option<&'static str> {
        let Self::Text(texts) = self else { return None };
        let found = texts.binary_search_by(|(value, _)| value.as_slice().cmp(bytes)).ok()?;
        Some(texts[found].1)
    }
}

/// The entry that steps run over, and what they have to report besides fields.
pub(crate) struct Run<'a> {
    pub(crate) page: &'static CodePage,
    pub(crate) data: &'a [u8],
    /// Length of the whole data; what lies between is blank.
    pub(crate) full_length: usize,
    /// The header has filled the remote address.
    pub(crate) has_address: bool,
    /// Trusted stretches that could not be read and so belong in `raw`.
    pub(crate) unread: SmallVec<[Stretch; 4]>,
    pub(crate) masked: u32,
}

impl Kind {
    /// Blanks at the end of the bytes make no difference, so those that were not fetched need not be put back: a
    /// command has room for 6,000.
    fn is_trimmed(&self) -> bool {
        matches!(self, Self::Code | Self::Text | Self::Command | Self::Names | Self::Timestamp)
    }
}

impl Step {
    /// The number that the bytes of a field hold.
    #[inline]
    pub(super) fn number(&self, bytes: &[u8]) -> Option<i64> {
        match self.kind {
            Kind::Binary => number::binary(bytes),
            Kind::Packed => number::packed(bytes),
            Kind::Digits => number::zoned(trimmed(bytes)),
            _ => number::zoned(bytes),
        }
    }
}

impl Run<'_> {
    /// Runs one step. `scratch` holds a value that reaches into the blank bytes left unfetched.
    pub(crate) fn step(&mut self, step: &Step, event: &mut Event, scratch: &mut Vec<u8>) {
        let start = step.stretch.start as usize;
        let end = step.stretch.end as usize;
        let bytes = if end <= self.data.len() {
            &self.data[start..end]
        } else if step.kind.is_trimmed() {
            self.data.get(start..).unwrap_or_default()
        } else {
            let rest = self.data.get(start..).unwrap_or_default();
            let length = end.min(self.full_length.max(self.data.len())) - start;
            scratch.clear();
            scratch.extend_from_slice(rest);
            scratch.resize(length, BLANK);
            scratch
        };
        let whole = bytes.len() == end - start;
        let field =
            if self.has_address && step.field == field::REMOTE_ADDRESS { step.fallback } else { step.field };
        if !self.value(step, field, bytes, whole, event) && step.trusted {
            self.unread.push(step.stretch);
        }
    }

    /// Pushes the value of a field; false if the bytes could not be read as what they should be.
    fn value(&mut self, step: &Step, field: FieldId, bytes: &[u8], whole: bool, event: &mut Event) -> bool {
        let page = self.page;
        let mut clean = true;
        match &step.kind {
            Kind::Code => {
                let byte = bytes.first().copied().unwrap_or(BLANK);
                let character = page.char_of(byte);
                if !is_empty_byte(byte) {
                    let meaning = step.meanings.as_ref().and_then(|meanings| meanings.of_byte(byte));
                    event.push_with(field, meaning, |text| text.push(character));
                }
                character != char::REPLACEMENT_CHARACTER
            }
            Kind::Text => {
                let bytes = trimmed(bytes);
                if !bytes.is_empty() {
                    let meaning = step.meanings.as_ref().and_then(|meanings| meanings.of_text(bytes));
                    event.push_with(field, meaning, |text| clean = page.decode_trimmed_into(bytes, text));
                }
                clean
            }
            Kind::Named(named) => self.named(step, named, field, bytes, event),
            Kind::Command => {
                let (bytes, mut masked) = (trimmed(bytes), 0);
                event.push_with(field, None, |text| (masked, clean) = mask::decode_masked(page, bytes, text));
                self.masked += masked;
                clean
            }
            Kind::Names => {
                event.push_with(field, None, |text| clean = names(page, bytes, text));
                clean
            }
            Kind::Timestamp => {
                event.push_with(field, None, |text| clean = iso_time(page, trimmed(bytes), text));
                clean
            }
            Kind::Hex => {
                let filled = trimmed(bytes);
                if whole && !filled.is_empty() {
                    // IDs have a fixed length and may end with zeros; what is longer is data in a larger area.
                    let shown = if bytes.len() > LONGEST_ID { filled } else { bytes };
                    event.push_with(field, None, |text| super::raw::push_hex(shown, text));
                }
                whole || filled.is_empty()
            }
            Kind::Digits | Kind::Binary | Kind::Zoned | Kind::ZonedText | Kind::Packed => {
                if is_empty(bytes) {
                    return true;
                }
                whole && number_into(step, field, bytes, event)
            }
        }
    }

    fn named(&mut self, step: &Step, named: &Named, field: FieldId, area: &[u8], event: &mut Event) -> bool {
        let capacity = (step.stretch.end - step.stretch.start) as usize;
        let told = named.length_at.and_then(|at| self.length_at(at, named.length_trusted));
        let Some(body) = body(named.prefixed, told, area, capacity) else { return true };
        let rest = body.end;
        let bytes = &area[body];
        let default = if named.utf16 { Encoding::Utf16 } else { Encoding::Ebcdic(self.page) };
        let ccsid = named.ccsid_at.and_then(|at| self.binary_at(at, 4));
        let Some(encoding) = Encoding::named(ccsid, default) else { return is_empty(bytes) };
        // Coded values are the same bytes in every EBCDIC page.
        let is_ebcdic = matches!(encoding, Encoding::Ebcdic(_));
        let meanings = step.meanings.as_ref().filter(|_| is_ebcdic);
        let meaning = meanings.and_then(|meanings| meanings.of_text(trimmed(bytes)));
        let mut clean = true;
        event.push_with(field, meaning, |text| clean = encoding.decode_trimmed_into(bytes, text));
        if clean && step.trusted && !is_empty(&area[rest..]) {
            self.unread.push(Stretch { start: step.stretch.start + rest as u32, end: step.stretch.end });
        }
        clean
    }

    /// A length row; one that cannot be a length is kept in `raw`.
    fn length_at(&mut self, at: u32, trusted: bool) -> Option<usize> {
        let length = usize::try_from(self.binary_at(at, 2)?).ok();
        if length.is_none() && trusted {
            self.unread.push(Stretch { start: at, end: at + 2 });
        }
        length
    }

    /// Number of a length or CCSID row; `None` where it is missing or blank.
    fn binary_at(&self, at: u32, length: usize) -> Option<i64> {
        let at = at as usize;
        let bytes = self.data.get(at..at + length)?;
        if bytes.iter().all(|byte| *byte == BLANK) { None } else { number::binary(bytes) }
    }
}

/// Place of the text in its area; `None` if there is none. A length that cannot be true is not believed: then
/// the whole area is the text.
fn body(prefixed: bool, told: Option<usize>, area: &[u8], capacity: usize) -> Option<Range<usize>> {
    if is_empty(area) {
        return None;
    }
    if prefixed && area.len() >= 2 {
        let length = usize::from(u16::from_be_bytes([area[0], area[1]]));
        if length <= capacity - 2 {
            return Some(2..area.len().min(2 + length));
        }
    }
    match told {
        Some(length) if length > 0 && length <= capacity => Some(0..area.len().min(length)),
        _ => Some(0..area.len()),
    }
}

fn number_into(step: &Step, field: FieldId, bytes: &[u8], event: &mut Event) -> bool {
    match step.number(bytes) {
        None => false,
        Some(value) if step.kind == Kind::ZonedText && value >= 0 => {
            event.push_with(field, None, |text| {
                text.extend(bytes.iter().map(|b| char::from((b & 0x0F) + b'0')))
            });
            true
        }
        Some(value) => {
            event.push_int(field, value);
            event.set_last_meaning(step.meanings.as_ref().and_then(|meanings| meanings.of_number(value)));
            true
        }
    }
}

/// Names of ten bytes, written with one blank between them; false if something could not be read.
fn names(page: &CodePage, bytes: &[u8], text: &mut String) -> bool {
    let (start, mut clean) = (text.len(), true);
    for name in bytes.chunks(10).map(trimmed).filter(|name| !name.is_empty()) {
        if text.len() > start {
            text.push(' ');
        }
        clean &= page.decode_into(name, text);
    }
    clean
}

/// `yyyy-mm-dd-hh.mm.ss.uuuuuu` as `yyyy-mm-ddThh:mm:ss.uuuuuu`; what is no time stays as it is. False if
/// something could not be read.
fn iso_time(page: &CodePage, bytes: &[u8], text: &mut String) -> bool {
    let is_time = timestamp::local_micros_ebcdic(bytes).is_some();
    let start = text.len();
    let clean = page.decode_into(bytes, text);
    if is_time {
        for (position, sign) in [(10, "T"), (13, ":"), (16, ":")] {
            text.replace_range(start + position..start + position + 1, sign);
        }
    }
    clean
}
