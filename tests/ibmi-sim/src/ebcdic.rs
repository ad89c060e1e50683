//! The simulator's own EBCDIC tables: text to bytes only, since a partition writes and a reader reads.
//!
//! The tables come from `data/ebcdic.csv`, written by `tools/make_ebcdic.py`.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// The blank, the same byte in each page.
pub const BLANK: u8 = 0x40;
/// What stands for a character that the page does not have.
const SUBSTITUTE: u8 = 0x3F;

static PAGES: LazyLock<BTreeMap<u16, Page>> = LazyLock::new(|| {
    include_str!("../data/ebcdic.csv")
        .lines()
        .filter_map(|line| {
            let (page, points) = line.split_once(',')?;
            let ccsid = page.parse().ok()?;
            let mut bytes = HashMap::new();
            for (byte, point) in (0_u8..=255).zip(points.split(' ')) {
                let char = u32::from_str_radix(point, 16).ok().and_then(char::from_u32)?;
                // A page may hold a character twice; the first byte is the one that is written.
                if char != '\u{FFFD}' && char != '\u{1A}' {
                    bytes.entry(char).or_insert(byte);
                }
            }
            Some((ccsid, Page { ccsid, bytes }))
        })
        .collect()
});

/// One single-byte EBCDIC code page.
#[derive(Debug)]
pub struct Page {
    /// Its number.
    pub ccsid: u16,
    bytes: HashMap<char, u8>,
}

impl Page {
    /// The page of that number, if the simulator has it.
    #[must_use]
    pub fn of(ccsid: u16) -> Option<&'static Page> {
        PAGES.get(&ccsid)
    }

    /// Numbers of all pages.
    pub fn all() -> impl Iterator<Item = u16> {
        PAGES.keys().copied()
    }

    /// Appends exactly `width` bytes: the text, cut where it is longer, padded with blanks. Returns what a
    /// faithful reader gets back: trailing blanks gone, characters the page lacks as SUB (U+001A).
    pub fn put(&self, text: &str, width: usize, out: &mut Vec<u8>) -> String {
        let mut kept = String::with_capacity(width.min(text.len()));
        let end = out.len() + width;
        for char in text.chars().take(width) {
            match self.bytes.get(&char) {
                Some(byte) => {
                    out.push(*byte);
                    kept.push(char);
                }
                None => {
                    out.push(SUBSTITUTE);
                    kept.push('\u{1A}');
                }
            }
        }
        out.resize(end, BLANK);
        kept.truncate(kept.trim_end_matches(' ').len());
        kept
    }

    /// Can the page write all of this text?
    #[must_use]
    pub fn covers(&self, text: &str) -> bool {
        text.chars().all(|char| self.bytes.contains_key(&char))
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
        assert_eq!(Page::all().count(), 27);
    }
}
