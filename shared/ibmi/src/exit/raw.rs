//! The field `raw` of an exit record: what no row of the layout covers, or could not be read.
//!
//! It is a list of pieces `parameter.offset:hex`, joined by commas; parameters count from 1, offsets from 0. Blank and
//! zero bytes are left out, and after [`MAX_BYTES`] the list ends with `more:N`, as in audit entries.

use super::envelope::Envelope;
use crate::audit::mask;
use crate::audit::raw::{MAX_BYTES, next_piece, push_hex};
use crate::ebcdic::{CodePage, code_page};
use muster_shared::event::{Event, field};
use smallvec::SmallVec;
use std::ops::Range;

/// A page with letters, parentheses and quotes where nearly all pages have them.
const USUAL_CCSID: u16 = 37;

/// Asterisk: stands for each byte of a masked password.
const MASK: u8 = 0x5C;

/// Stretches of parameters that are shown elsewhere, or must not be.
#[derive(Debug, Default)]
pub(super) struct Covered(SmallVec<[(usize, Range<usize>); 16]>);

impl Covered {
    pub(super) fn add(&mut self, parameter: usize, stretch: Range<usize>) {
        if !stretch.is_empty() {
            self.0.push((parameter, stretch));
        }
    }

    /// What is not covered of a parameter of that length.
    fn holes(&self, parameter: usize, length: usize) -> SmallVec<[Range<usize>; 8]> {
        let mut mine: SmallVec<[Range<usize>; 16]> =
            self.0.iter().filter(|(of, _)| *of == parameter).map(|(_, stretch)| stretch.clone()).collect();
        mine.sort_by_key(|stretch| stretch.start);
        let mut holes = SmallVec::new();
        let mut at = 0;
        for stretch in mine {
            if stretch.start > at {
                holes.push(at..stretch.start.min(length));
            }
            at = at.max(stretch.end);
        }
        if at < length {
            holes.push(at..length);
        }
        holes
    }
}

/// Writes what is not covered, with the passwords of text in that page masked; returns how many bytes were kept or
/// counted.
pub(super) fn push(event: &mut Event, envelope: &Envelope<'_>, covered: &Covered, page: &CodePage) -> u32 {
    let mut kept = 0;
    let mut left_out = 0;
    event.push_with(field::RAW, None, |text| {
        let start = text.len();
        for (index, parameter) in envelope.parameters.iter().enumerate() {
            for hole in covered.holes(index + 1, parameter.bytes.len()) {
                let mut at = hole.start;
                while let Some((from, to)) = next_piece(parameter.bytes, at, hole.end) {
                    let room = (to - from).min(MAX_BYTES - kept);
                    kept += room;
                    left_out += to - from - room;
                    if room > 0 {
                        if text.len() > start {
                            text.push(',');
                        }
                        text.push_str(itoa::Buffer::new().format(index + 1));
                        text.push('.');
                        text.push_str(itoa::Buffer::new().format(from));
                        text.push(':');
                        piece(page, parameter.bytes, from..from + room, text);
                    }
                    at = to;
                }
            }
        }
        if left_out > 0 {
            text.push_str(",more:");
            text.push_str(itoa::Buffer::new().format(left_out));
        }
    });
    u32::try_from(kept + left_out).unwrap_or(u32::MAX)
}

fn piece(page: &CodePage, bytes: &[u8], stretch: Range<usize>, text: &mut String) {
    if !mask::may_hold_secrets(bytes, stretch.clone()) {
        return push_hex(&bytes[stretch], text);
    }
    // The CCSID that a job tells may not be that of the bytes, and small letters lie elsewhere in some pages.
    let usual = code_page(USUAL_CCSID).expect("tables.csv holds page 37");
    let mut secrets = mask::find_in_data(page, bytes);
    secrets.extend(mask::find_in_data(usual, bytes));
    secrets.sort_by_key(|secret| secret.start);
    let mut at = stretch.start;
    for secret in secrets {
        let from = secret.start.clamp(at, stretch.end);
        let to = secret.end.clamp(from, stretch.end);
        push_hex(&bytes[at..from], text);
        push_hex(&vec![MASK; to - from], text);
        at = to;
    }
    push_hex(&bytes[at..stretch.end], text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_what_nothing_covers() {
        let mut covered = Covered::default();
        for stretch in [4..6, 0..2, 5..9, 20..30] {
            covered.add(1, stretch);
        }
        covered.add(2, 0..100);
        assert_eq!(covered.holes(1, 12).as_slice(), [2..4, 9..12]);
        assert_eq!(covered.holes(1, 25).as_slice(), [2..4, 9..20]);
        assert!(covered.holes(2, 100).is_empty());
        assert_eq!(covered.holes(3, 1).as_slice(), std::slice::from_ref(&(0..1)));
        assert!(covered.holes(3, 0).is_empty());
    }
}
