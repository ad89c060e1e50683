//! The simulator's own EBCDIC tables: text to bytes only, since a partition writes and a reader reads.
//!
//! The tables come from `data/ebcdic.csv`, written by `tools/make_ebcdic.py`, and for pages that mix single and double
//! bytes from `data/ebcdic-mixed.csv`, written by `tools/make_mixed.py`.

mod mixed;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// The blank, the same byte in each page.
pub const BLANK: u8 = 0x40;
/// What stands for a character that the page does not have.
const SUBSTITUTE: u8 = 0x3F;
/// What a reader gets back for that.
const SUBSTITUTED: char = '\u{1A}';

static PAGES: LazyLock<BTreeMap<u16, Page>> = LazyLock::new(|| {
    let lines = include_str!("../../data/ebcdic.csv").lines();
    let pages = lines.filter_map(|line| {
        let (ccsid, points) = line.split_once(',')?;
        Page::read(ccsid, points)
    });
    pages.map(|page| (page.ccsid, page)).collect()
});

/// One EBCDIC code page.
#[derive(Debug)]
pub struct Page {
    /// Its number.
    pub ccsid: u16,
    bytes: HashMap<char, u8>,
    /// Double bytes of a mixed page.
    double: Option<&'static mixed::Pairs>,
}

impl Page {
    /// The page of that number, if the simulator has it.
    #[must_use]
    pub fn of(ccsid: u16) -> Option<&'static Page> {
        PAGES.get(&ccsid).or_else(|| {
            mixed::numbers().find(|known| *known == ccsid).and_then(|ccsid| mixed::PAGES.get(&ccsid))
        })
    }

    /// Numbers of all pages.
    pub fn all() -> impl Iterator<Item = u16> {
        PAGES.keys().copied().chain(mixed::numbers())
    }

    fn read(ccsid: &str, points: &str) -> Option<Self> {
        let mut bytes = HashMap::new();
        for (byte, point) in (0_u8..=255).zip(points.split(' ')) {
            let char = u32::from_str_radix(point, 16).ok().and_then(char::from_u32)?;
            // A page may hold a character twice; the first byte is the one that is written.
            if char != '\u{FFFD}' && char != SUBSTITUTED {
                bytes.entry(char).or_insert(byte);
            }
        }
        Some(Page { ccsid: ccsid.parse().ok()?, bytes, double: None })
    }

    /// The bytes of a text, as many as it takes.
    fn write(&self, text: &str) -> mixed::Writer {
        let mut writer = mixed::Writer::default();
        for char in text.chars() {
            match (self.bytes.get(&char), self.double.and_then(|double| double.get(&char))) {
                (Some(byte), _) => writer.push(char, &[*byte]),
                (None, Some(pair)) => writer.push(char, pair),
                (None, None) => writer.push(SUBSTITUTED, &[SUBSTITUTE]),
            }
        }
        writer.finish()
    }

    /// Bytes that a text takes, with its shifts.
    #[must_use]
    pub fn length(&self, text: &str) -> usize {
        if self.double.is_none() { text.chars().count() } else { self.write(text).bytes.len() }
    }

    /// Appends exactly `width` bytes: the text, cut where it is longer, padded with blanks. Returns what a
    /// faithful reader gets back: trailing blanks gone, characters the page lacks as SUB (U+001A).
    ///
    /// Mixed text is cut like any other bytes, wherever that is: the shift-in may be missing, and of a pair only the
    /// first byte may be there, which a reader gets back as U+FFFD unless it is half a blank.
    pub fn put(&self, text: &str, width: usize, out: &mut Vec<u8>) -> String {
        let end = out.len() + width;
        let written = self.write(text);
        out.extend(written.bytes.iter().take(width));
        out.resize(end, BLANK);
        let mut kept = String::with_capacity(width.min(text.len()));
        for (char, first, behind) in written.places {
            if behind <= width {
                kept.push(char);
            } else if first < width && char != '\u{3000}' {
                kept.push('\u{FFFD}');
            }
        }
        let blanks: &[char] = if self.double.is_some() { &[' ', '\u{3000}'] } else { &[' '] };
        kept.truncate(kept.trim_end_matches(blanks).len());
        kept
    }

    /// The text of single bytes, as a column in the job's page shows it; U+FFFD where the page has no character.
    #[must_use]
    pub fn text(&self, bytes: &[u8]) -> String {
        let mut chars = ['\u{FFFD}'; 256];
        for (char, byte) in &self.bytes {
            chars[usize::from(*byte)] = *char;
        }
        bytes.iter().map(|byte| chars[usize::from(*byte)]).collect()
    }

    /// Can the page write all of this text?
    #[must_use]
    pub fn covers(&self, text: &str) -> bool {
        let double = |char: &char| self.double.is_some_and(|double| double.contains_key(char));
        text.chars().all(|char| self.bytes.contains_key(&char) || double(&char))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn national_characters_have_the_bytes_that_the_pages_are_known_for() {
        let cases: [(u16, &str, &[u8]); 8] = [
            (37, "AZ09 #@$", &[0xC1, 0xE9, 0xF0, 0xF9, 0x40, 0x7B, 0x7C, 0x5B]),
            (273, "ÄÖÜß§", &[0x4A, 0xE0, 0x5A, 0xA1, 0x7C]),
            (297, "éàç£", &[0xC0, 0x7C, 0xE0, 0x7B]),
            (500, "[]!", &[0x4A, 0x5A, 0x4F]),
            (870, "Łódź", &[0xBA, 0xCE, 0x84, 0xB7]),
            (1025, "Ю", &[0xB8]),
            (1140, "€", &[0x9F]),
            (1148, "€é", &[0x9F, 0x51]),
        ];
        for (page, text, bytes) in cases {
            let mut out = Vec::new();
            let kept = Page::of(page).expect("known").put(text, text.chars().count(), &mut out);
            assert_eq!((page, out.as_slice()), (page, bytes));
            assert_eq!(kept, text);
        }
    }

    #[test]
    fn text_is_cut_padded_and_substituted() {
        let page = Page::of(37).expect("known");
        let mut out = Vec::new();
        assert_eq!(page.put("ABC", 2, &mut out), "AB");
        assert_eq!(page.put("A Ж", 5, &mut out), "A \u{1A}");
        assert_eq!(out, [0xC1, 0xC2, 0xC1, 0x40, 0x3F, 0x40, 0x40]);
        assert!(!page.covers("Ж"));
        assert!(Page::of(1025).expect("known").covers("ЖУРНАЛ"));
        assert_eq!(Page::all().count(), 27 + 12);
    }

    #[test]
    fn double_bytes_stand_between_shifts() {
        let cases: [(u16, &str, &[u8]); 9] = [
            (939, "A日本B", b"\xC1\x0E\x45\x62\x45\x66\x0F\xC2"),
            (5035, "日a本", b"\x0E\x45\x62\x0F\x81\x0E\x45\x66\x0F"),
            (1399, "日€", b"\x0E\x45\x62\x0F\xE1"),
            (930, "ｱa$", b"\x81\x62\xE0"),
            (5026, "\u{3000}", b"\x0E\x40\x40\x0F"),
            (933, "한", b"\x0E\xD0\x65\x0F"),
            (1364, "한", b"\x0E\xD0\x65\x0F"),
            (1371, "€", b"\x9F"),
            (939, "ЖÜ", b"\x0E\x41\xC7\x0F\x3F"),
        ];
        for (ccsid, text, bytes) in cases {
            let page = Page::of(ccsid).expect("known");
            let mut out = Vec::new();
            page.put(text, page.length(text), &mut out);
            assert_eq!((ccsid, out.as_slice()), (ccsid, bytes), "{text}");
        }
        for (ccsid, text) in
            [(935, "数据库"), (1388, "数据库"), (937, "資料庫"), (1371, "資料庫"), (1390, "給与ﾃﾞｰﾀ")]
        {
            assert!(Page::of(ccsid).expect("known").covers(text), "{ccsid} {text}");
        }
        assert!(!Page::of(935).expect("known").covers("é한"));
    }

    #[test]
    fn mixed_text_is_cut_like_bytes() {
        let page = Page::of(939).expect("known");
        // Width and what a reader gets back of 0E 4562 4566 0F C1.
        let cases = [
            (9, "日本A"),
            (7, "日本A"),
            (6, "日本"),
            (5, "日本"),
            (4, "日\u{FFFD}"),
            (3, "日"),
            (1, ""),
            (0, ""),
        ];
        for (width, expected) in cases {
            let mut out = Vec::new();
            assert_eq!(page.put("日本A", width, &mut out), expected, "{width}");
            assert_eq!(out.len(), width);
        }
        let mut out = Vec::new();
        assert_eq!(page.put("日\u{3000}本", 4, &mut out), "日");
        assert_eq!(out, b"\x0E\x45\x62\x40");
        assert_eq!(page.put("日\u{3000} ", 20, &mut out), "日");
    }
}
