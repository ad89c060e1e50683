//! Text in the CCSID that a field before it names.

use crate::ebcdic::{BLANK, Page};

/// How text becomes bytes.
#[derive(Debug, Clone, Copy)]
pub enum Charset {
    /// UTF-16, big-endian.
    Utf16,
    /// UTF-8.
    Utf8,
    /// An EBCDIC page.
    Page(&'static Page),
}

impl Charset {
    /// That of a CCSID; none for 0, 65535 and those that the simulator does not know.
    #[must_use]
    pub fn of(ccsid: i64) -> Option<Self> {
        match ccsid {
            1_200 | 13_488 | 61_952 => Some(Self::Utf16),
            1_208 => Some(Self::Utf8),
            _ => u16::try_from(ccsid).ok().and_then(Page::of).map(Self::Page),
        }
    }

    /// What fills the rest of a fixed field.
    #[must_use]
    pub fn filling(self) -> u8 {
        match self {
            Self::Utf16 | Self::Utf8 => 0,
            Self::Page(_) => BLANK,
        }
    }
}

/// As much of a text as fits into `room` bytes, no character cut, and that text.
#[must_use]
pub fn encode(charset: Charset, text: &str, room: usize) -> (Vec<u8>, String) {
    let mut bytes = Vec::new();
    if let Charset::Page(page) = charset {
        let width = page.length(text).min(room);
        let mut kept = page.put(text, width, &mut bytes);
        // A text may end with blanks of its own.
        kept.extend(std::iter::repeat_n(' ', width.saturating_sub(page.length(&kept))));
        return (bytes, kept);
    }
    let mut kept = String::new();
    for char in text.chars() {
        let (mut units, mut octets) = ([0_u16; 2], [0_u8; 4]);
        let more: Vec<u8> = match charset {
            Charset::Utf8 => char.encode_utf8(&mut octets).as_bytes().to_vec(),
            Charset::Utf16 | Charset::Page(_) => {
                char.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()).collect()
            }
        };
        if bytes.len() + more.len() > room {
            break;
        }
        bytes.extend(more);
        kept.push(char);
    }
    (bytes, kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ccsid_has_its_bytes() {
        let cases: [(i64, &str, usize, &[u8], &str); 7] = [
            (1_200, "aß", 8, &[0, 0x61, 0, 0xDF], "aß"),
            (13_488, "a😀b", 5, &[0, 0x61], "a"),
            (1_208, "aß", 8, &[0x61, 0xC3, 0x9F], "aß"),
            (1_208, "aß", 2, &[0x61], "a"),
            (273, "aß", 8, &[0x81, 0xA1], "aß"),
            (37, "a ", 8, &[0x81, 0x40], "a "),
            (37, "abc", 2, &[0x81, 0x82], "ab"),
        ];
        for (ccsid, text, room, bytes, kept) in cases {
            let charset = Charset::of(ccsid).expect("known");
            assert_eq!(encode(charset, text, room), (bytes.to_vec(), kept.to_owned()), "{ccsid} {text}");
        }
        for ccsid in [0, -1, 65_535, 27] {
            assert!(Charset::of(ccsid).is_none(), "{ccsid}");
        }
    }
}
