//! Text that mixes single and double bytes.
//!
//! Shift-out begins pairs of bytes, shift-in ends them. Fields of a fixed length may cut such text anywhere, so nothing
//! of this is relied on:
//!
//! | what is there | what it is read as | all could be read |
//! |---|---|---|
//! | the text ends before shift-in | pairs up to the end | yes |
//! | half a pair, at the end or before a shift | U+FFFD | no |
//! | a pair or a single byte that the page does not assign | U+FFFD | no |
//! | shift-in without shift-out, or shift-out twice | nothing | no |
//!
//! "No" makes the caller keep the bytes as well.

use super::CodePage;
use super::double::DoubleBytes;
use memchr::memchr2;

/// Begins pairs of bytes.
pub const SHIFT_OUT: u8 = 0x0E;

/// Ends pairs of bytes.
pub const SHIFT_IN: u8 = 0x0F;

/// Stands for a byte that is no ASCII character.
const NOT_ASCII: u8 = super::NOT_ASCII;

/// A part of mixed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    /// Single bytes, none of them a shift.
    Single(&'a [u8]),
    Pair(u8, u8),
    /// The first byte of a pair that was cut.
    Half,
    /// A shift that begins or ends pairs.
    Shift,
    /// A shift to where the text is already.
    Stray,
}

/// Takes mixed text apart. Each piece is as long as the step that `at` makes.
struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
    shifted: bool,
}

impl<'a> Pieces<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, shifted: false }
    }

    fn shift(&mut self, to: u8) -> Piece<'a> {
        self.at += 1;
        let shifted = to == SHIFT_OUT;
        if std::mem::replace(&mut self.shifted, shifted) == shifted { Piece::Stray } else { Piece::Shift }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = &self.bytes[self.at..];
        let first = *rest.first()?;
        if is_shift(first) {
            return Some(self.shift(first));
        }
        if !self.shifted {
            let length = memchr2(SHIFT_OUT, SHIFT_IN, rest).unwrap_or(rest.len());
            self.at += length;
            return Some(Piece::Single(&rest[..length]));
        }
        Some(match rest.get(1) {
            // Text that goes wrong here goes on right behind the shift.
            None | Some(&(SHIFT_OUT | SHIFT_IN)) => {
                self.at += 1;
                Piece::Half
            }
            Some(last) => {
                self.at += 2;
                Piece::Pair(first, *last)
            }
        })
    }
}

fn is_shift(byte: u8) -> bool {
    matches!(byte, SHIFT_OUT | SHIFT_IN)
}

/// Appends the text of `bytes`; false if something in it could not be read.
pub(super) fn decode(page: &CodePage, double: &DoubleBytes, bytes: &[u8], out: &mut String) -> bool {
    let mut clean = true;
    for piece in Pieces::new(bytes) {
        clean &= match piece {
            Piece::Single(bytes) => page.decode_single(bytes, out),
            Piece::Pair(first, last) => double.push(first, last, out),
            Piece::Half => {
                out.push(char::REPLACEMENT_CHARACTER);
                false
            }
            Piece::Shift => true,
            Piece::Stray => false,
        };
    }
    clean
}

/// The front part of at most `most` bytes that cuts no pair.
pub(super) fn front(bytes: &[u8], most: usize) -> &[u8] {
    let mut pieces = Pieces::new(bytes);
    let mut end = 0;
    while let Some(piece) = pieces.next() {
        if pieces.at > most {
            return match piece {
                Piece::Single(_) => &bytes[..most],
                Piece::Pair(..) | Piece::Half | Piece::Shift | Piece::Stray => &bytes[..end],
            };
        }
        end = pieces.at;
    }
    bytes
}

/// One ASCII character a byte, by the table of the page; pairs and shifts are none.
pub(super) fn outline(ascii: &[u8; 256], bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut pieces = Pieces::new(bytes);
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Single(bytes) => out.extend(bytes.iter().map(|byte| ascii[usize::from(*byte)])),
            Piece::Pair(..) | Piece::Half | Piece::Shift | Piece::Stray => out.resize(pieces.at, NOT_ASCII),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::code_page;
    use super::*;
    use proptest::prelude::*;

    fn decode(ccsid: u16, bytes: &[u8]) -> (String, bool) {
        let mut out = String::new();
        let clean = code_page(ccsid).expect("a page").decode_into(bytes, &mut out);
        (out, clean)
    }

    fn trimmed(ccsid: u16, bytes: &[u8]) -> (String, bool) {
        let mut out = String::from("before\u{3000}");
        let clean = code_page(ccsid).expect("a page").decode_trimmed_into(bytes, &mut out);
        (out.strip_prefix("before\u{3000}").expect("what was there stays").to_owned(), clean)
    }

    #[test]
    fn mixed_text_is_read() {
        let cases: [(u16, &[u8], &str); 9] = [
            (939, b"\xC1\x0E\x45\x62\x45\x66\x0F\xC2", "A日本B"),
            (5035, b"\x0E\x45\x62\x0F\x81", "日a"),
            // Small letters of the Katakana pages are elsewhere; half-width Katakana is a single byte.
            (930, b"\x0E\x45\x62\x0F\x62\x81", "日aｱ"),
            (5026, b"\x62\x63\xE0", "ab$"),
            (1390, b"\xE1\x0E\x45\x62\x0F", "€日"),
            (1399, b"\xE1\x0E\x45\x62\x0F", "€日"),
            (933, b"\x0E\xD0\x65\x0F\x40\xD2", "한 K"),
            (935, b"\x0E\x0F\xC1", "A"),
            (1371, b"\x9F", "€"),
        ];
        for (ccsid, bytes, expected) in cases {
            assert_eq!(decode(ccsid, bytes), (expected.to_owned(), true), "{ccsid} {bytes:02X?}");
        }
    }

    #[test]
    fn text_that_was_cut_keeps_what_is_whole() {
        let cases: [(&[u8], &str, bool); 14] = [
            // The end is missing.
            (b"\x0E\x45\x62\x45\x66", "日本", true),
            (b"\xC1\x0E", "A", true),
            (b"\x0E\x45\x62\x45", "日\u{FFFD}", false),
            (b"\x0E\x45", "\u{FFFD}", false),
            // Half a pair inside goes no further than the shift.
            (b"\x0E\x45\x0F\xC1", "\u{FFFD}A", false),
            (b"\x0E\x45\x0E\x45\x62\x0F\xC1", "\u{FFFD}日A", false),
            // The beginning is missing.
            (b"\x0F\xC1", "A", false),
            (b"\xC1\x0F\x0F\xC2", "AB", false),
            // Begun twice.
            (b"\x0E\x0E\x45\x62\x0F\xC1", "日A", false),
            // Pairs that mean nothing stay pairs.
            (b"\x0E\xFE\xFE\x45\x62\x0F", "\u{FFFD}日", false),
            (b"\x0E\x15\x25\x45\x62\x0F\xC1", "\u{FFFD}日A", false),
            (b"\x0E\x40\xC1\x45\x62\x0F", "\u{FFFD}日", false),
            // A single byte that means nothing.
            (b"\xC1\xFA\xC2", "A\u{FFFD}B", false),
            (b"", "", true),
        ];
        for (bytes, expected, clean) in cases {
            assert_eq!(decode(939, bytes), (expected.to_owned(), clean), "{bytes:02X?}");
        }
    }

    #[test]
    fn what_only_fills_a_field_goes() {
        let cases: [(&[u8], &str, bool); 9] = [
            (b"\x0E\x45\x62\x0F\x40\x40\x40", "日", true),
            (b"\x0E\x45\x62\x40\x40\x40\x40\x0F", "日", true),
            (b"\x0E\x45\x62\x40\x40\x0F\x40\x40\x00", "日", true),
            (b"\x0E\x45\x62\x40\x40\x40\x40", "日", true),
            // Cut within a blank: half of it is no loss.
            (b"\x0E\x45\x62\x40", "日", true),
            (b"\xC1\x40\x0E\x40\x40\x0F", "A", true),
            (b"\x0E\x40\x40\x0F", "", true),
            (b"\x40\x40", "", true),
            (b"\x0E\x40\x40\x45\x62\x0F\x40", "\u{3000}日", true),
        ];
        for (bytes, expected, clean) in cases {
            assert_eq!(trimmed(939, bytes), (expected.to_owned(), clean), "{bytes:02X?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let bytes = b"\xC1\xC2\x0E\x45\x62\x45\x66\x0F\xC3\xC4";
        let lengths: Vec<usize> = (0..12).map(|most| front(bytes, most).len()).collect();
        assert_eq!(lengths, [0, 1, 2, 3, 3, 5, 5, 7, 8, 9, 10, 10]);
    }

    #[test]
    fn an_outline_shows_single_bytes_only() {
        let page = code_page(939).expect("a page");
        // Both bytes of the pair are a parenthesis as single ones.
        let shown = outline(page.ascii(), b"\xC1\x4D\x0E\x5D\x5D\x0F\x5D\x0F\x0E\x5D");
        assert_eq!(shown, b"A(\xFF\xFF\xFF\xFF)\xFF\xFF\xFF");
    }

    fn mixed_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            2 => Just(SHIFT_OUT), 2 => Just(SHIFT_IN), 2 => Just(0x40_u8), 6 => 0x41_u8..=0xFE, 1 => any::<u8>(),
        ];
        proptest::collection::vec(byte, 0..120)
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in mixed_bytes(), most in 0..130_usize) {
            for ccsid in super::super::mixed_ccsids() {
                let (text, clean) = decode(ccsid, &bytes);
                let mixed = code_page(ccsid).expect("a page").is_mixed();
                let stray = mixed && Pieces::new(&bytes).any(|piece| piece == Piece::Stray);
                prop_assert_eq!(clean, !text.contains('\u{FFFD}') && !stray);
                prop_assert!(text.chars().count() <= 2 * bytes.len());
                trimmed(ccsid, &bytes);
            }
            let page = code_page(939).expect("a page");
            prop_assert_eq!(outline(page.ascii(), &bytes).len(), bytes.len());
            prop_assert!(front(&bytes, most).len() <= most && bytes.starts_with(front(&bytes, most)));
        }

        /// Pieces are the bytes, in order, and nothing else.
        #[test]
        fn no_byte_is_passed_over(bytes in mixed_bytes()) {
            let (mut pieces, mut before, mut seen) = (Pieces::new(&bytes), 0, Vec::new());
            while let Some(piece) = pieces.next() {
                prop_assert!(pieces.at > before);
                match piece {
                    Piece::Single(single) => seen.extend_from_slice(single),
                    Piece::Pair(first, last) => seen.extend([first, last]),
                    Piece::Half | Piece::Shift | Piece::Stray => seen.push(bytes[before]),
                }
                prop_assert_eq!(seen.len(), pieces.at);
                before = pieces.at;
            }
            prop_assert_eq!(seen, bytes);
        }

        /// A cut never spoils what is before it.
        #[test]
        fn a_cut_text_begins_like_the_whole_one(bytes in mixed_bytes(), most in 0..130_usize) {
            let (whole, _) = decode(939, &bytes);
            let (cut, _) = decode(939, front(&bytes, most));
            prop_assert!(whole.starts_with(&cut), "{whole:?} {cut:?}");
            let (cut, _) = decode(939, &bytes[..most.min(bytes.len())]);
            let cut = cut.strip_suffix('\u{FFFD}').unwrap_or(&cut);
            prop_assert!(whole.starts_with(cut), "{whole:?} {cut:?}");
        }
    }
}
