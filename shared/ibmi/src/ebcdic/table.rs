//! Reads the tables of pages: all single-byte ones together, each mixed one by itself when it is asked for.

use super::double::DoubleBytes;
use super::{CodePage, NOT_ASCII};
use std::sync::{LazyLock, OnceLock};

/// The pages of `mixed.csv`: mixed ones, and single-byte pages that are parts of them.
const MIXED: [u16; 16] =
    [290, 930, 933, 935, 937, 939, 1027, 1364, 1371, 1388, 1390, 1399, 5026, 5035, 5123, 8482];

static PAGES: LazyLock<Vec<CodePage>> = LazyLock::new(|| parse(include_str!("tables.csv")));
static LOADED: [OnceLock<CodePage>; MIXED.len()] = [const { OnceLock::new() }; MIXED.len()];

/// The page of a CCSID; `None` for 65535 ([`super::CCSID_HEX`]) and for pages that are not EBCDIC or have no table.
#[must_use]
pub fn code_page(ccsid: u16) -> Option<&'static CodePage> {
    if let Some(page) = PAGES.iter().find(|page| page.ccsid == ccsid) {
        return Some(page);
    }
    let place = MIXED.iter().position(|known| *known == ccsid)?;
    Some(LOADED[place].get_or_init(|| mixed_page(ccsid)))
}

/// The single-byte pages that are parsed together, by rising CCSID.
pub fn code_pages() -> impl Iterator<Item = &'static CodePage> {
    PAGES.iter()
}

/// CCSIDs of the mixed pages and of single-byte pages that are parts of them, by rising number. None of them is
/// loaded by this.
pub fn mixed_ccsids() -> impl Iterator<Item = u16> {
    MIXED.into_iter()
}

/// CCSIDs of all pages, in no order.
pub fn ccsids() -> impl Iterator<Item = u16> {
    code_pages().map(CodePage::ccsid).chain(mixed_ccsids())
}

/// Parses the checked-in table. A mistake in it is a mistake in the build, hence the panics, which the
/// first test finds.
fn parse(text: &str) -> Vec<CodePage> {
    let rows = text.lines().skip(1).map(|line| {
        let mut columns = line.splitn(3, ',');
        let ccsid =
            columns.next().and_then(|c| c.parse().ok()).expect("tables.csv: a row starts with a CCSID");
        page(ccsid, columns.nth(1).expect("tables.csv: a row has three columns"), None)
    });
    rows.collect()
}

fn mixed_page(ccsid: u16) -> CodePage {
    let rows = include_str!("mixed.csv").lines().map(|line| line.splitn(4, ',').collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row[0].parse() == Ok(ccsid));
    let row = row.expect("mixed.csv: each page of the list has a row");
    let double = Some(row[2]).filter(|names| !names.is_empty()).map(DoubleBytes::named);
    page(ccsid, row[3], double)
}

fn page(ccsid: u16, points: &str, double: Option<&'static DoubleBytes>) -> CodePage {
    let mut page = CodePage {
        ccsid,
        ascii: [NOT_ASCII; 256],
        chars: [char::REPLACEMENT_CHARACTER; 256],
        has_gaps: false,
        double,
    };
    let mut count = 0;
    for (byte, point) in points.split(' ').enumerate() {
        let point = u32::from_str_radix(point, 16).ok().and_then(char::from_u32);
        let point = point.expect("a table of single bytes has hexadecimal code points");
        page.chars[byte] = point;
        if point.is_ascii() {
            page.ascii[byte] = point as u8;
        }
        count += 1;
    }
    assert_eq!(count, 256, "page {ccsid} has 256 code points");
    page.has_gaps = page.chars.contains(&char::REPLACEMENT_CHARACTER);
    page
}
