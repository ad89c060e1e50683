//! Single-byte EBCDIC code pages.
//!
//! The tables are data (`tables.csv`, written by `tools/ebcdic_tables` from ICU) and are parsed once. A byte
//! that a page does not assign decodes to U+FFFD; a control character decodes to itself and is escaped by
//! the format that writes it. Mixed single and double byte pages are not here.

use crate::blank::trimmed;
use std::sync::LazyLock;

/// CCSID that says "do not convert": the bytes are no text of a known page.
pub const CCSID_HEX: u16 = 65_535;

/// The blank of all EBCDIC pages.
pub const BLANK: u8 = 0x40;

/// Length of a short field.
const SHORT: usize = 16;

/// Bytes that one step of [`CodePage::decode_into`] translates.
const STEP: usize = 64;

/// One code page, by its CCSID.
#[derive(Debug)]
pub struct CodePage {
    ccsid: u16,
    /// The ASCII character of a byte; [`NOT_ASCII`] where it has none.
    ascii: [u8; 256],
    chars: [char; 256],
}

/// Marks a byte in [`CodePage::ascii`] that decodes to something outside of ASCII.
const NOT_ASCII: u8 = 0xFF;

impl CodePage {
    /// Number of the page.
    #[must_use]
    pub fn ccsid(&self) -> u16 {
        self.ccsid
    }

    /// What one byte means; U+FFFD if the page does not assign it.
    #[must_use]
    pub fn char_of(&self, byte: u8) -> char {
        self.chars[usize::from(byte)]
    }

    /// The ASCII character of a byte, if it has one.
    #[inline]
    pub(crate) fn ascii_of(&self, byte: u8) -> Option<u8> {
        Some(self.ascii[usize::from(byte)]).filter(u8::is_ascii)
    }

    /// The ASCII character of each byte; 0x80 and more where it has none.
    #[inline]
    pub(crate) fn ascii(&self) -> &[u8; 256] {
        &self.ascii
    }

    /// The byte of an ASCII character, for example to search in undecoded bytes.
    #[must_use]
    pub fn byte_of(&self, character: char) -> Option<u8> {
        (0..=u8::MAX).find(|byte| self.chars[usize::from(*byte)] == character)
    }

    /// Appends the text of `bytes`, blanks included.
    pub fn decode_into(&self, bytes: &[u8], out: &mut String) {
        // Most fields are names of ten characters.
        if bytes.len() <= SHORT {
            return self.decode_step::<SHORT>(bytes, out);
        }
        for chunk in bytes.chunks(STEP) {
            self.decode_step::<STEP>(chunk, out);
        }
    }

    /// Appends at most `N` bytes: as a whole if all of them are ASCII, else one by one.
    fn decode_step<const N: usize>(&self, bytes: &[u8], out: &mut String) {
        let mut buffer = [0_u8; N];
        let mut seen = 0;
        for (to, from) in buffer.iter_mut().zip(bytes) {
            *to = self.ascii[usize::from(*from)];
            seen |= *to;
        }
        match std::str::from_utf8(&buffer[..bytes.len()]) {
            Ok(text) if seen < 0x80 => out.push_str(text),
            _ => out.extend(bytes.iter().map(|byte| self.chars[usize::from(*byte)])),
        }
    }

    /// Appends the text of `bytes` without the blanks and NULs at its end, which only fill a fixed field.
    pub fn decode_trimmed_into(&self, bytes: &[u8], out: &mut String) {
        self.decode_into(trimmed(bytes), out);
    }
}

/// The page of a CCSID; `None` for 65535 ([`CCSID_HEX`]) and for pages that are not single-byte EBCDIC.
#[must_use]
pub fn code_page(ccsid: u16) -> Option<&'static CodePage> {
    PAGES.iter().find(|page| page.ccsid == ccsid)
}

/// All pages, by rising CCSID.
pub fn code_pages() -> impl Iterator<Item = &'static CodePage> {
    PAGES.iter()
}

static PAGES: LazyLock<Vec<CodePage>> = LazyLock::new(|| parse(include_str!("tables.csv")));

/// Parses the checked-in table. A mistake in it is a mistake in the build, hence the panics, which the
/// first test finds.
fn parse(text: &str) -> Vec<CodePage> {
    text.lines().skip(1).map(parse_page).collect()
}

fn parse_page(line: &str) -> CodePage {
    let mut columns = line.splitn(3, ',');
    let ccsid = columns.next().and_then(|c| c.parse().ok()).expect("tables.csv: a row starts with a CCSID");
    let points = columns.nth(1).expect("tables.csv: a row has three columns");
    let mut page = CodePage { ccsid, ascii: [NOT_ASCII; 256], chars: [char::REPLACEMENT_CHARACTER; 256] };
    let mut count = 0;
    for (byte, point) in points.split(' ').enumerate() {
        let point = u32::from_str_radix(point, 16).ok().and_then(char::from_u32);
        let point = point.expect("tables.csv: a code point is a hexadecimal number");
        page.chars[byte] = point;
        if point.is_ascii() {
            page.ascii[byte] = point as u8;
        }
        count += 1;
    }
    assert_eq!(count, 256, "tables.csv: page {ccsid} has 256 code points");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(ccsid: u16, bytes: &[u8]) -> String {
        let mut out = String::new();
        code_page(ccsid).unwrap().decode_trimmed_into(bytes, &mut out);
        out
    }

    #[test]
    fn all_pages_are_there() {
        let expected = [
            37, 273, 277, 278, 280, 284, 285, 297, 420, 424, 500, 838, 870, 871, 875, 1025, 1026, 1140, 1141,
            1142, 1143, 1144, 1145, 1146, 1147, 1148, 1149,
        ];
        assert_eq!(code_pages().map(CodePage::ccsid).collect::<Vec<_>>(), expected);
        assert!(code_page(CCSID_HEX).is_none());
    }

    #[test]
    fn national_characters_differ_by_page() {
        // The same three bytes are @ { } in the United States and à é è in France.
        assert_eq!(decode(37, &[0x7C, 0xC0, 0xD0]), "@{}");
        assert_eq!(decode(297, &[0x7C, 0xC0, 0xD0]), "àéè");
        assert_eq!(decode(273, &[0x7C, 0xC0, 0xD0, 0x6A, 0xA1]), "§äüöß");
        assert_eq!(decode(1140, &[0x9F]), "€");
        assert_eq!(decode(37, &[0x9F]), "¤");
        assert_eq!(decode(1025, &[0xDD]), "Я");
    }

    #[test]
    fn blanks_and_nuls_at_the_end_go_and_others_stay() {
        assert_eq!(decode(37, b"\xC1\x40\xC2\x40\x00\x40"), "A B");
        assert_eq!(decode(37, b"\x40\x40\x40"), "");
        assert_eq!(decode(37, b"\x40\xC1"), " A");
    }

    #[test]
    fn invariant_characters_are_the_same_in_every_page() {
        let bytes: Vec<u8> = (0xC1..=0xC9).chain(0xD1..=0xD9).chain(0xE2..=0xE9).chain(0xF0..=0xF9).collect();
        for page in code_pages() {
            assert_eq!(decode(page.ccsid(), &bytes), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
            assert_eq!(decode(page.ccsid(), &[0x4D, 0x5C, 0x5D, 0x7D, 0x61, 0x6D]), "(*)'/_");
        }
    }

    #[test]
    fn long_texts_are_the_sum_of_their_bytes() {
        for page in code_pages() {
            let bytes: Vec<u8> = (0..=255).chain(0..=255).collect();
            let mut out = String::new();
            page.decode_into(&bytes, &mut out);
            assert_eq!(out, bytes.iter().map(|b| page.char_of(*b)).collect::<String>());
        }
    }
}
