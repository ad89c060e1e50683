//! Builds the bytes of one entry and notes what went in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Encoded;
use super::text::{self, Charset};
use crate::ebcdic::Page;

/// Values by field name, as the layout tables name them; a missing one is written as blank or zero.
pub type Facts = BTreeMap<String, String>;

/// One field as a faithful reader must get it back: text without trailing blanks, numbers in plain decimal
/// digits, byte fields as upper-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PutField {
    /// Name in the layout tables.
    pub name: String,
    /// Value.
    pub text: String,
}

/// An entry being written.
#[derive(Debug)]
pub struct Record<'a> {
    page: &'static Page,
    facts: &'a Facts,
    bytes: Vec<u8>,
    fields: Vec<PutField>,
    /// The CCSID written last: that of the next text which has one.
    ccsid: i64,
}

impl<'a> Record<'a> {
    /// Starts with no bytes.
    #[must_use]
    pub fn new(page: &'static Page, facts: &'a Facts) -> Self {
        Self { page, facts, bytes: Vec::with_capacity(1024), fields: Vec::new(), ccsid: 0 }
    }

    /// Where the next field starts.
    #[must_use]
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// The finished entry.
    #[must_use]
    pub fn finish(self) -> Encoded {
        Encoded { data: self.bytes, fields: self.fields }
    }

    fn fact(&self, name: &str) -> &'a str {
        self.facts.get(name).map_or("", String::as_str)
    }

    fn note(&mut self, name: &str, text: String) {
        self.fields.push(PutField { name: name.to_owned(), text });
    }

    fn number(&self, name: &str) -> i64 {
        self.fact(name).trim().parse().unwrap_or(0)
    }

    /// EBCDIC text of a fixed width.
    pub fn text(&mut self, name: &str, width: usize) {
        let kept = self.page.put(self.fact(name), width, &mut self.bytes);
        self.note(name, kept);
    }

    /// Blanks that mean nothing.
    pub fn reserved(&mut self, width: usize) {
        self.bytes.resize(self.bytes.len() + width, crate::ebcdic::BLANK);
    }

    /// A signed big-endian number of `width` bytes (at most 8).
    pub fn binary(&mut self, name: &str, width: usize) {
        let number = self.number(name);
        let all = number.to_be_bytes();
        if width <= all.len() {
            self.bytes.extend_from_slice(&all[all.len() - width..]);
        } else {
            self.bytes.resize(self.bytes.len() + width - all.len(), 0);
            self.bytes.extend_from_slice(&all);
        }
        if name.contains("CCSID") {
            self.ccsid = number;
        }
        self.note(name, number.to_string());
    }

    /// Zoned decimal: one byte a digit.
    pub fn zoned(&mut self, name: &str, digits: usize) {
        let number = self.number(name).unsigned_abs();
        let text = format!("{number:0digits$}");
        let text = &text[text.len() - digits..];
        self.bytes.extend(text.bytes().map(|digit| 0xF0 | (digit & 0x0F)));
        self.note(name, trim_zeros(text));
    }

    /// Packed decimal: two digits a byte, the last half byte is the sign.
    pub fn packed(&mut self, name: &str, digits: usize) {
        let number = self.number(name).unsigned_abs();
        // The digits and the sign fill whole bytes, so an even number of digits gets a leading zero.
        let width = digits | 1;
        let padded = format!("{number:0width$}");
        let padded = &padded[padded.len() - width..];
        let mut nibbles: Vec<u8> = padded.bytes().map(|digit| digit & 0x0F).collect();
        nibbles.push(0x0F);
        self.bytes.extend(nibbles.chunks(2).map(|pair| (pair[0] << 4) | pair[1]));
        self.note(name, trim_zeros(padded));
    }

    /// Raw bytes, given as hex digits; the rest is zeros.
    pub fn hex(&mut self, name: &str, width: usize) {
        let digits: Vec<u8> =
            self.fact(name).bytes().filter_map(|byte| (byte as char).to_digit(16)).map(|d| d as u8).collect();
        let start = self.bytes.len();
        self.bytes.extend(digits.chunks_exact(2).take(width).map(|pair| (pair[0] << 4) | pair[1]));
        self.bytes.resize(start + width, 0);
        let mut text = String::with_capacity(width * 2);
        for byte in &self.bytes[start..] {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02X}");
        }
        self.note(name, text);
    }

    /// Text in the CCSID written last, UTF-16 where that is none; the rest is filling.
    pub fn unicode(&mut self, name: &str, width: usize) {
        let charset = Charset::of(self.ccsid).unwrap_or(Charset::Utf16);
        let (mut bytes, kept) = text::encode(charset, self.fact(name), width);
        bytes.resize(width, charset.filling());
        self.bytes.append(&mut bytes);
        self.note(name, kept);
    }

    /// Text behind a two-byte length, in the CCSID written last, the page where that is none; `width` counts both.
    pub fn varying(&mut self, name: &str, width: usize) {
        let room = width.saturating_sub(2);
        let charset = Charset::of(self.ccsid).unwrap_or(Charset::Page(self.page));
        let (mut bytes, kept) = text::encode(charset, self.fact(name), room);
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        bytes.resize(room, charset.filling());
        self.bytes.append(&mut bytes);
        self.note(name, kept.trim_end_matches(' ').to_owned());
    }

    /// Cuts back or pads with blanks to exactly this position, for a table whose rows leave holes.
    pub fn seek(&mut self, position: usize) {
        self.bytes.resize(position, crate::ebcdic::BLANK);
    }
}

fn trim_zeros(digits: &str) -> String {
    let rest = digits.trim_start_matches('0');
    if rest.is_empty() { "0".to_owned() } else { rest.to_owned() }
}
