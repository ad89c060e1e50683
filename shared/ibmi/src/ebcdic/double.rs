//! What pairs of bytes mean: the double-byte parts of the mixed pages.
//!
//! The tables are data (`double.csv`, written by `tools/ebcdic_mixed_tables` from ICU). Pages of one family share
//! them: 1390 is 930 and what it adds. A table is built when a page that has it is first asked for, takes
//! 72 KiB, and stays.

use std::sync::OnceLock;

/// Least and greatest byte of a pair; the blank is the only other one.
const FIRST: u8 = 0x41;
const LAST: u8 = 0xFE;
const SIDE: usize = (LAST - FIRST) as usize + 1;

/// Both bytes of the double-byte blank.
const BLANK: u8 = super::BLANK;
const IDEOGRAPHIC_SPACE: char = '\u{3000}';

/// Units of this value are pairs that the table does not assign.
const UNASSIGNED: u16 = 0xFFFD;

/// From here on units are places in [`DoubleBytes::others`]; no character is there, these are surrogates.
const OTHERS: u16 = 0xD800;
const MOST_OTHERS: usize = 0x800;

/// The tables that pages have, as their rows name them: the later ones over the earlier ones.
const TABLES: [&str; 8] = ["930", "930 1390", "933", "933 1364", "935", "935 1388", "937", "937 1371"];

static LOADED: [OnceLock<DoubleBytes>; TABLES.len()] = [const { OnceLock::new() }; TABLES.len()];

/// The double-byte part of a page.
#[derive(Debug)]
pub(super) struct DoubleBytes {
    /// By first and last byte.
    units: Box<[u16]>,
    /// Characters beyond the first 65,536, and the few pairs that are a letter and its mark.
    others: Vec<(char, Option<char>)>,
}

impl DoubleBytes {
    /// The tables of that name, built at the first call.
    pub(super) fn named(names: &str) -> &'static Self {
        let place = TABLES.iter().position(|known| *known == names);
        let place = place.expect("mixed.csv: the tables of a page are those of double.csv");
        LOADED[place].get_or_init(|| Self::build(names))
    }

    /// Appends what a pair means; false, with U+FFFD, if that is nothing.
    pub(super) fn push(&self, first: u8, last: u8, out: &mut String) -> bool {
        if (first, last) == (BLANK, BLANK) {
            out.push(IDEOGRAPHIC_SPACE);
            return true;
        }
        let unit = place(first, last).map_or(UNASSIGNED, |place| self.units[place]);
        match char::from_u32(u32::from(unit)) {
            Some(character) => out.push(character),
            None => {
                let (letter, mark) = self.others[usize::from(unit - OTHERS)];
                out.push(letter);
                out.extend(mark);
            }
        }
        unit != UNASSIGNED
    }

    fn build(names: &str) -> Self {
        let mut table = Self { units: vec![UNASSIGNED; SIDE * SIDE].into_boxed_slice(), others: Vec::new() };
        for name in names.split(' ') {
            let rows = include_str!("double.csv").lines().filter_map(|line| line.split_once(','));
            for (_, row) in rows.filter(|(table, _)| *table == name) {
                table.read(row);
            }
        }
        table
    }

    /// Reads a row: the first pair, then the meanings of the pairs from there on. A mistake in it is a mistake in
    /// the build, hence the panics, which the first test finds.
    fn read(&mut self, row: &str) {
        let (start, meanings) = row.split_once(',').expect("double.csv: a row has three columns");
        let [first, last] =
            u16::from_str_radix(start, 16).expect("double.csv: a pair is hexadecimal").to_be_bytes();
        let mut at = place(first, last).expect("double.csv: a row begins with a pair");
        for meaning in meanings.split(' ') {
            if meaning == "_" {
                at += 1;
            } else if let Some((from, to)) = meaning.split_once('-') {
                for character in point(from)..=point(to) {
                    at = self.put(at, character, None);
                }
            } else if let Some((letter, mark)) = meaning.split_once('+') {
                at = self.put(at, point(letter), Some(point(mark)));
            } else {
                at = self.put(at, point(meaning), None);
            }
        }
    }

    fn put(&mut self, at: usize, letter: char, mark: Option<char>) -> usize {
        self.units[at] = match (u16::try_from(u32::from(letter)), mark) {
            (Ok(unit), None) => unit,
            _ => {
                assert!(
                    self.others.len() < MOST_OTHERS,
                    "double.csv: more than {MOST_OTHERS} others in a table"
                );
                self.others.push((letter, mark));
                OTHERS + self.others.len() as u16 - 1
            }
        };
        at + 1
    }
}

fn place(first: u8, last: u8) -> Option<usize> {
    let within = |byte: u8| (FIRST..=LAST).contains(&byte).then(|| usize::from(byte - FIRST));
    Some(within(first)? * SIDE + within(last)?)
}

fn point(digits: &str) -> char {
    let point = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
    point.expect("double.csv: a code point is a hexadecimal number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(names: &str, pair: u16) -> (String, bool) {
        let [first, last] = pair.to_be_bytes();
        let mut out = String::new();
        let known = DoubleBytes::named(names).push(first, last, &mut out);
        (out, known)
    }

    #[test]
    fn pairs_mean_what_the_pages_are_known_for() {
        let cases = [
            ("930", 0x4562, "日"),
            ("930", 0x4566, "本"),
            ("930", 0x4040, "\u{3000}"),
            ("930 1390", 0x4562, "日"),
            ("933", 0xD065, "한"),
            ("933 1364", 0xD065, "한"),
            // The one pair that a newer page reads otherwise.
            ("935", 0x4345, "・"),
            ("935 1388", 0x4345, "·"),
            ("937 1371", 0x4040, "\u{3000}"),
        ];
        for (names, pair, expected) in cases {
            assert_eq!(meaning(names, pair), (expected.to_owned(), true), "{names} {pair:04X}");
        }
        for pair in [0x0000, 0x4041, 0x4140, 0x41FF, 0xFF41, 0xFEFE, 0xFFFF] {
            assert_eq!(meaning("930", pair), ("\u{FFFD}".to_owned(), false), "{pair:04X}");
        }
    }

    #[test]
    fn tables_have_as_many_characters_as_their_pages() {
        // Counted in ICU's converters.
        let expected = [11_634, 22_101, 10_756, 19_550, 9_355, 32_404, 20_263, 20_264];
        for (names, expected) in TABLES.iter().zip(expected) {
            let table = DoubleBytes::named(names);
            assert_eq!(table.units.iter().filter(|unit| **unit != UNASSIGNED).count(), expected, "{names}");
        }
        let others = &DoubleBytes::named("930 1390").others;
        assert_eq!(others.iter().filter(|(_, mark)| mark.is_some()).count(), 25);
        assert_eq!(
            others.iter().filter(|(letter, mark)| *letter > '\u{FFFF}' && mark.is_none()).count(),
            303
        );
    }
}
