//! Text with the CCSID that its data names: EBCDIC pages, UTF-16 (1200, 13488, 61952) and UTF-8 (1208).

use crate::ebcdic::{self, CCSID_HEX, CodePage};

/// How the bytes of a text field are to be read.
#[derive(Debug, Clone, Copy)]
pub enum Encoding {
    /// An EBCDIC page, single-byte or mixed.
    Ebcdic(&'static CodePage),
    /// UTF-16 or UCS-2, big-endian.
    Utf16,
    /// UTF-8.
    Utf8,
}

impl Encoding {
    /// Encoding of a CCSID; `None` if it is 65535 (no conversion) or not known here.
    #[must_use]
    pub fn of(ccsid: u16) -> Option<Self> {
        match ccsid {
            1200 | 13_488 | 61_952 => Some(Self::Utf16),
            1208 => Some(Self::Utf8),
            _ => ebcdic::code_page(ccsid).map(Self::Ebcdic),
        }
    }

    /// Encoding of a text that comes with a CCSID. None, 0 and 65535 (no conversion) name none, so `default` is taken:
    /// that of the job or partition it comes from. `None` for any other CCSID that is not known here.
    #[must_use]
    pub fn named(ccsid: Option<i64>, default: Self) -> Option<Self> {
        match u16::try_from(ccsid.unwrap_or(0)) {
            Ok(0 | CCSID_HEX) => Some(default),
            Ok(ccsid) => Self::of(ccsid),
            Err(_) => None,
        }
    }

    /// Appends the text of `bytes` without the blanks and NULs at its end. Returns false if something in it
    /// could not be read and became U+FFFD, so that the caller can keep the bytes as well.
    pub fn decode_trimmed_into(self, bytes: &[u8], out: &mut String) -> bool {
        match self {
            Self::Ebcdic(page) => page.decode_trimmed_into(bytes, out),
            Self::Utf16 => utf16_into(bytes, out),
            Self::Utf8 => {
                let end = bytes.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
                utf8_into(&bytes[..end], out)
            }
        }
    }
}

/// Ends at the last unit that is no NUL, no blank and no pair of EBCDIC blanks.
fn utf16_into(bytes: &[u8], out: &mut String) -> bool {
    let whole = bytes.len().is_multiple_of(2);
    let units = || bytes.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let end = units().rposition(|unit| !matches!(unit, 0 | 0x0020 | 0x4040)).map_or(0, |last| last + 1);
    let mut clean = whole;
    for character in char::decode_utf16(units().take(end)) {
        clean &= character.is_ok();
        out.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    clean
}

fn utf8_into(bytes: &[u8], out: &mut String) -> bool {
    let mut clean = true;
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
            clean = false;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(ccsid: u16, bytes: &[u8]) -> (String, bool) {
        let mut out = String::new();
        let clean = Encoding::of(ccsid).unwrap().decode_trimmed_into(bytes, &mut out);
        (out, clean)
    }

    #[test]
    fn known_encodings() {
        assert_eq!(decode(1200, &[0, b'a', 0xD8, 0x3D, 0xDE, 0x00, 0, 0]), ("a😀".into(), true));
        assert_eq!(decode(13_488, &[0, b'a', 0xD8, 0x3D, 0, 0x20]), ("a\u{FFFD}".into(), false));
        assert_eq!(decode(1200, &[0, b'a', 0x40, 0x40, 0x40]), ("a".into(), false));
        assert_eq!(decode(1208, "grün \0".as_bytes()), ("grün".into(), true));
        assert_eq!(decode(1208, b"a\xFFb"), ("a\u{FFFD}b".into(), false));
        assert_eq!(decode(273, &[0xC0, 0x40]), ("ä".into(), true));
        assert_eq!(decode(5035, b"\x0E\x45\x62\x0F\x40"), ("日".into(), true));
        assert_eq!(decode(5035, b"\x0E\x45\x62\x45"), ("日\u{FFFD}".into(), false));
        assert_eq!(decode(424, b"\x41\xFF"), ("א\u{9F}".into(), true));
        assert_eq!(decode(424, b"\x41\x70\x51"), ("א\u{FFFD}י".into(), false));
        for ccsid in [0, 65_535, 300, 819] {
            assert!(Encoding::of(ccsid).is_none(), "{ccsid}");
        }
    }

    #[test]
    fn a_text_that_names_no_encoding_has_that_of_where_it_comes_from() {
        let french = Encoding::of(297).unwrap();
        let read = |ccsid| {
            let mut out = String::new();
            Encoding::named(ccsid, french)?.decode_trimmed_into(&[0xC0, 0x40], &mut out);
            Some(out)
        };
        for ccsid in [None, Some(0), Some(65_535)] {
            assert_eq!(read(ccsid).as_deref(), Some("é"), "{ccsid:?}");
        }
        assert_eq!(read(Some(273)).as_deref(), Some("ä"));
        assert_eq!(read(Some(13_488)).as_deref(), Some("\u{C040}"));
        for ccsid in [Some(819), Some(-1), Some(65_536 + 37), Some(i64::MIN)] {
            assert_eq!(read(ccsid), None, "{ccsid:?}");
        }
    }

    proptest! {
        #[test]
        fn texts_come_back(text in "\\PC{0,40}[a-z]") {
            let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            prop_assert_eq!(decode(1200, &utf16), (text.clone(), true));
            prop_assert_eq!(decode(1208, text.as_bytes()), (text, true));
        }

        #[test]
        fn ebcdic_texts_come_back(bytes in proptest::collection::vec(0x41_u8..=0xFE, 1..40)) {
            for page in ebcdic::code_pages() {
                let (text, _) = decode(page.ccsid(), &bytes);
                let back: Vec<u8> = text.chars().map(|c| page.byte_of(c).unwrap()).collect();
                prop_assert_eq!(back.len(), bytes.len());
                prop_assert_eq!(decode(page.ccsid(), &back).0, text);
            }
        }

        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            for ccsid in [37, 420, 930, 1371, 1399, 1200, 1208] {
                decode(ccsid, &bytes);
            }
        }
    }
}
