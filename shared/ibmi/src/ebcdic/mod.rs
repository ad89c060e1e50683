//! EBCDIC code pages: single-byte ones, and those that mix single and double bytes.
//!
//! The tables are data, written by `tools/ebcdic_tables` and `tools/ebcdic_mixed_tables` from ICU. Single-byte
//! pages are parsed at the first use of any; a mixed page when it is first asked for, so that an agent which never
//! meets one pays nothing for it.
//!
//! A byte or pair that a page does not assign decodes to U+FFFD; a control character decodes to itself and is
//! escaped by the format that writes it. How mixed text is read, cut-off text above all, stands in `mixed.rs`.

mod double;
mod mixed;
mod table;

pub use mixed::{SHIFT_IN, SHIFT_OUT};
pub use table::{ccsids, code_page, code_pages, mixed_ccsids};

use crate::blank::trimmed;
use double::DoubleBytes;

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
    /// The ASCII character of a byte; [`NOT_ASCII`] where it has none. The shifts of a mixed page have none.
    ascii: [u8; 256],
    chars: [char; 256],
    /// Some bytes are not assigned.
    has_gaps: bool,
    /// The double bytes of a mixed page.
    double: Option<&'static DoubleBytes>,
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

    /// Whether the page mixes single and double bytes.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.double.is_some()
    }

    /// Whether small letters are where nearly all pages have them. The Katakana pages have theirs elsewhere.
    #[must_use]
    pub(crate) fn has_usual_small_letters(&self) -> bool {
        self.chars[0x81] == 'a'
    }

    /// Appends the text of `bytes`, blanks included. Returns false if something in it could not be read, so that
    /// the caller can keep the bytes as well; what of it was a character then is U+FFFD.
    pub fn decode_into(&self, bytes: &[u8], out: &mut String) -> bool {
        if let Some(double) = self.double {
            return mixed::decode(self, double, bytes, out);
        }
        self.decode_single(bytes, out)
    }

    /// [`CodePage::decode_into`] for single bytes.
    #[inline]
    fn decode_single(&self, bytes: &[u8], out: &mut String) -> bool {
        // Most fields are names of ten characters.
        if bytes.len() <= SHORT {
            return self.decode_step::<SHORT>(bytes, out);
        }
        bytes.chunks(STEP).fold(true, |clean, chunk| self.decode_step::<STEP>(chunk, out) & clean)
    }

    /// Appends at most `N` bytes: as a whole if all of them are ASCII, else one by one.
    fn decode_step<const N: usize>(&self, bytes: &[u8], out: &mut String) -> bool {
        let mut buffer = [0_u8; N];
        let mut seen = 0;
        for (to, from) in buffer.iter_mut().zip(bytes) {
            *to = self.ascii[usize::from(*from)];
            seen |= *to;
        }
        match std::str::from_utf8(&buffer[..bytes.len()]) {
            Ok(text) if seen < 0x80 => {
                out.push_str(text);
                true
            }
            _ => {
                out.extend(bytes.iter().map(|byte| self.char_of(*byte)));
                !self.has_gaps || bytes.iter().all(|byte| self.char_of(*byte) != char::REPLACEMENT_CHARACTER)
            }
        }
    }

    /// Appends the text of `bytes` without the blanks and NULs at its end, which only fill a fixed field; in a mixed
    /// page without the double-byte blanks too. Returns as [`CodePage::decode_into`] does.
    pub fn decode_trimmed_into(&self, bytes: &[u8], out: &mut String) -> bool {
        let start = out.len();
        let clean = self.decode_into(trimmed(bytes), out);
        if self.is_mixed() {
            let kept = out[start..].trim_end_matches([' ', '\0', '\u{3000}']).len();
            out.truncate(start + kept);
        }
        clean
    }

    /// Whether all of it is text that can be shown.
    #[must_use]
    pub fn is_printable(&self, bytes: &[u8]) -> bool {
        let shows = |character: char| !character.is_control() && character != char::REPLACEMENT_CHARACTER;
        if self.is_mixed() {
            let mut text = String::with_capacity(bytes.len());
            return self.decode_into(bytes, &mut text) && text.chars().all(shows);
        }
        bytes.iter().all(|byte| shows(self.char_of(*byte)))
    }

    /// The front part of at most `most` bytes that ends between two characters.
    #[must_use]
    pub fn front<'b>(&self, bytes: &'b [u8], most: usize) -> &'b [u8] {
        if self.is_mixed() { mixed::front(bytes, most) } else { &bytes[..bytes.len().min(most)] }
    }

    /// One ASCII character a byte; 0x80 and more where it has none. What is a double byte in a mixed page has none.
    #[must_use]
    pub(crate) fn outline(&self, bytes: &[u8]) -> Vec<u8> {
        if self.is_mixed() { mixed::outline(&self.ascii, bytes) } else { self.single_outline(bytes) }
    }

    /// [`CodePage::outline`] as if there were no double bytes, for data in which a shift may be anything.
    #[must_use]
    pub(crate) fn single_outline(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|byte| self.ascii[usize::from(*byte)]).collect()
    }
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
    fn mixed_pages_are_there_with_their_single_byte_parts() {
        let expected =
            [290, 930, 933, 935, 937, 939, 1027, 1364, 1371, 1388, 1390, 1399, 5026, 5035, 5123, 8482];
        assert_eq!(mixed_ccsids().collect::<Vec<_>>(), expected);
        for ccsid in expected {
            let page = code_page(ccsid).unwrap();
            assert_eq!(page.ccsid(), ccsid);
            assert_eq!(page.is_mixed(), ![290, 1027, 5123, 8482].contains(&ccsid), "{ccsid}");
            assert_eq!(
                page.has_usual_small_letters(),
                ![290, 930, 1390, 5026, 8482].contains(&ccsid),
                "{ccsid}"
            );
            let shift = if page.is_mixed() { '\u{FFFD}' } else { '\u{E}' };
            assert_eq!(
                (page.char_of(SHIFT_OUT), page.ascii_of(SHIFT_OUT)),
                (shift, u8::try_from(shift).ok())
            );
        }
        assert_eq!(ccsids().count(), 27 + expected.len());
    }

    #[test]
    fn what_is_not_assigned_is_told() {
        let mut out = String::new();
        // 875 leaves DC unassigned; 273 assigns all bytes.
        assert!(code_page(273).unwrap().decode_into(&[0xC1, 0xDC, 0x0E], &mut out));
        assert!(!code_page(875).unwrap().decode_into(&[0xC1, 0xDC], &mut out));
        assert!(!code_page(875).unwrap().decode_into(&[[0xC1; 70].as_slice(), &[0xDC]].concat(), &mut out));
        assert!(code_page(875).unwrap().decode_into(&[0xC1, 0xDD], &mut out));
        assert!(out.ends_with("A\u{FFFD}A\u{387}"), "{out:?}");
    }

    #[test]
    fn text_that_can_be_shown() {
        let printable = |ccsid: u16, bytes: &[u8]| code_page(ccsid).unwrap().is_printable(bytes);
        assert!(printable(37, &[0xC1, 0x40]) && printable(939, b"\xC1\x0E\x45\x62\x0F"));
        for (ccsid, bytes) in [
            (37, &b"\xC1\x0E"[..]),
            (875, b"\xDC"),
            (939, b"\xC1\x15"),
            (939, b"\x0E\x45\x0F"),
            (939, b"\x0F"),
        ] {
            assert!(!printable(ccsid, bytes), "{ccsid} {bytes:02X?}");
        }
        assert_eq!(code_page(37).unwrap().front(b"\x0E\x45\x62", 2), b"\x0E\x45");
        assert_eq!(code_page(939).unwrap().front(b"\x0E\x45\x62", 2), b"\x0E");
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
        for ccsid in ccsids() {
            assert_eq!(decode(ccsid, &bytes), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
            assert_eq!(decode(ccsid, &[0x4D, 0x5C, 0x5D, 0x7D, 0x7E, 0x61, 0x6D]), "(*)'=/_");
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
