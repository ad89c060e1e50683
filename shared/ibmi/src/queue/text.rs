//! The text of an entry: nobody tells its code page, and some entries are no text at all.

use crate::blank::trimmed;
use crate::text::Encoding;

/// Where more than one character in so many cannot be printed, the bytes are taken for no text.
const NO_TEXT: usize = 4;

/// What the bytes say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text {
    /// The characters, without blanks and NULs at the end.
    pub text: String,
    /// Characters that cannot be printed, or bytes that are none.
    pub unprintable: usize,
    /// The bytes are no text.
    pub binary: bool,
}

/// Reads `bytes` in the page `ccsid`. Where the page was only `assumed`, bytes that can be no EBCDIC text but are UTF-8
/// are read as that: what programs in PASE and SEND_DATA_QUEUE_UTF8 write.
pub(super) fn read(bytes: &[u8], ccsid: u16, assumed: bool) -> Text {
    let encoding = if assumed && is_utf8(bytes) { Some(Encoding::Utf8) } else { Encoding::of(ccsid) };
    let Some(encoding) = encoding else {
        return Text { binary: !trimmed(bytes).is_empty(), ..Text::default() };
    };
    let mut text = String::with_capacity(bytes.len());
    let whole = encoding.decode_trimmed_into(bytes, &mut text);
    // What cannot be read shows as U+FFFD, as a rule.
    let unprintable = text.chars().filter(|c| !is_printable(*c)).count().max(usize::from(!whole));
    let binary = unprintable * NO_TEXT > text.chars().count();
    Text { text, unprintable, binary }
}

/// Line ends and tabs are part of a text: X'15' is U+0085 in most pages.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{85}') || !(c.is_control() || c == char::REPLACEMENT_CHARACTER)
}

/// UTF-8 without control characters, with a byte that EBCDIC pages have control characters for: blank, digits and
/// punctuation of ASCII.
fn is_utf8(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ' | 0x40)).map_or(0, |last| last + 1);
    let bytes = &bytes[..end];
    let tells = bytes.iter().any(|byte| (0x20..0x40).contains(byte));
    tells && std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_printable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_that_is_named_is_believed_and_an_assumed_one_looked_at() {
        type Case = (&'static [u8], u16, bool, &'static str, usize, bool);
        let cases: [Case; 11] = [
            (&[0xC8, 0x89, 0x40, 0x40], 37, true, "Hi", 0, false),
            (b"order=1 user=BOB", 37, true, "order=1 user=BOB", 0, false),
            ("gr\u{fc}n 7".as_bytes(), 37, true, "gr\u{fc}n 7", 0, false),
            // Read as it was named, though it looks like ASCII.
            (b"A B", 37, false, "\u{a0}\u{80}\u{e2}", 1, true),
            (&[0x7C, 0xC1], 297, false, "\u{e0}A", 0, false),
            (&[0xC1, 0x15, 0xC2, 0x05, 0x25], 37, true, "A\u{85}B\t\n", 0, false),
            (&[0xC1, 0xC2, 0xC3, 0xC4, 0x02], 37, true, "ABCD\u{2}", 1, false),
            (&[0x01, 0x02, 0x03, 0xC1], 37, true, "\u{1}\u{2}\u{3}A", 3, true),
            (b"a\xFFb", 1208, false, "a\u{FFFD}b", 1, true),
            (&[0xC1], 65_535, false, "", 0, true),
            (&[0x40, 0x00], 65_535, false, "", 0, false),
        ];
        for (bytes, ccsid, assumed, text, unprintable, binary) in cases {
            let found = read(bytes, ccsid, assumed);
            let expected = Text { text: text.to_owned(), unprintable, binary };
            assert_eq!(found, expected, "{bytes:02X?} in {ccsid}");
        }
    }
}
