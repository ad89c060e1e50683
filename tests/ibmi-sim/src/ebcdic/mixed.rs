//! Double bytes of the simulator's own: text of a mixed page, with its shifts.
//!
//! The tables come from `data/ebcdic-mixed.csv`, written by `tools/make_mixed.py`.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use super::Page;

/// Begins double bytes.
const SHIFT_OUT: u8 = 0x0E;
/// Ends them.
const SHIFT_IN: u8 = 0x0F;
/// First of the last bytes of a row.
const FIRST: u8 = 0x41;
/// The double-byte blank.
const WIDE_BLANK: (char, [u8; 2]) = ('\u{3000}', [0x40, 0x40]);

const FILE: &str = include_str!("../../data/ebcdic-mixed.csv");

/// Bytes of each character of a table.
pub(super) type Pairs = HashMap<char, [u8; 2]>;

static TABLES: LazyLock<BTreeMap<&'static str, Pairs>> = LazyLock::new(|| {
    let mut tables: BTreeMap<&str, Pairs> = BTreeMap::new();
    for line in FILE.lines().filter_map(|line| line.strip_prefix("double,")) {
        let mut columns = line.splitn(3, ',');
        let (Some(table), Some(first), Some(text)) = (columns.next(), columns.next(), columns.next()) else {
            continue;
        };
        let Ok(first) = u8::from_str_radix(first, 16) else { continue };
        let pairs = tables.entry(table).or_insert_with(|| HashMap::from([WIDE_BLANK]));
        for (last, char) in (FIRST..=u8::MAX).zip(text.chars()).filter(|(_, char)| *char != ' ') {
            pairs.entry(char).or_insert([first, last]);
        }
    }
    tables
});

/// The pages, by number; their double bytes are read when one is first asked for.
pub(super) static PAGES: LazyLock<BTreeMap<u16, Page>> = LazyLock::new(|| {
    let rows = FILE.lines().filter_map(|line| line.strip_prefix("page,"));
    let pages = rows.filter_map(|line| {
        let (ccsid, rest) = line.split_once(',')?;
        let (table, points) = rest.split_once(',')?;
        Some(Page { double: Some(TABLES.get(table)?), ..Page::read(ccsid, points)? })
    });
    pages.map(|page| (page.ccsid, page)).collect()
});

/// Numbers of the pages, without reading what they hold.
pub(super) fn numbers() -> impl Iterator<Item = u16> {
    FILE.lines().filter_map(|line| line.strip_prefix("page,")?.split(',').next()?.parse().ok())
}

/// Text on its way into bytes.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    /// Each character with the places of its first byte and behind its last one.
    pub(super) places: Vec<(char, usize, usize)>,
    shifted: bool,
}

impl Writer {
    /// Single bytes or double bytes follow.
    fn shift(&mut self, shifted: bool) {
        if std::mem::replace(&mut self.shifted, shifted) != shifted {
            self.bytes.push(if shifted { SHIFT_OUT } else { SHIFT_IN });
        }
    }

    pub(super) fn push(&mut self, char: char, bytes: &[u8]) {
        self.shift(bytes.len() == 2);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.places.push((char, start, self.bytes.len()));
    }

    /// The whole text, its last double bytes ended.
    pub(super) fn finish(mut self) -> Self {
        self.shift(false);
        self
    }
}
