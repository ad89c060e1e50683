//! The field `raw`: the bytes of an entry that no trusted row covers, or that could not be read.
//!
//! It is a list of pieces `offset:hex`, joined by commas; the offset counts from the start of the entry data,
//! the digits are upper case. Blank (0x40) and zero bytes between pieces are left out. After
//! [`MAX_BYTES`] the list ends with `more:N`, N being the bytes that were left out.

use super::mask;
use super::step::Stretch;
use crate::blank::{first_filled, is_empty_byte};
use crate::ebcdic::CodePage;
use muster_shared::event::{Event, field};

/// Most bytes that one event keeps; twice as many digits.
pub(crate) const MAX_BYTES: usize = 8 * 1024;

/// Bytes from here on are counted but not written. Only user-written entries are that long.
const MAX_OFFSET: usize = 4 * MAX_BYTES;

/// Blank bytes that a piece may hold in its middle; a new piece costs about as much.
const GAP: usize = 3;

/// Digit pairs written at a time.
const STEP: usize = 64;

/// Asterisk: stands for each byte of a masked password.
const MASK: u8 = 0x5C;

/// Writes the bytes of all stretches into the field; returns how many bytes were kept or counted.
pub(crate) fn push_raw(
    event: &mut Event,
    page: &CodePage,
    data: &[u8],
    stretches: impl Iterator<Item = Stretch>,
) -> u32 {
    let mut writer = Writer { page, data, secrets: None, kept: 0, left_out: 0 };
    // Nothing is stored if nothing is written.
    event.push_with(field::RAW, None, |text| {
        let start = text.len();
        for stretch in stretches {
            let end = (stretch.end as usize).min(data.len());
            let mut at = stretch.start as usize;
            while let Some((from, to)) = next_piece(data, at, end) {
                writer.piece(from, to, start, text);
                at = to;
            }
        }
        if writer.left_out > 0 {
            text.push_str(",more:");
            text.push_str(itoa::Buffer::new().format(writer.left_out));
        }
    });
    u32::try_from(writer.kept + writer.left_out).unwrap_or(u32::MAX)
}

struct Writer<'a> {
    page: &'a CodePage,
    data: &'a [u8],
    /// Found only when a piece looks as if it could hold one.
    secrets: Option<mask::Secrets>,
    kept: usize,
    left_out: usize,
}

impl Writer<'_> {
    fn piece(&mut self, from: usize, to: usize, start: usize, text: &mut String) {
        let room = (MAX_BYTES - self.kept).min(MAX_OFFSET.saturating_sub(from));
        let kept = (to - from).min(room);
        self.kept += kept;
        self.left_out += to - from - kept;
        if kept == 0 {
            return;
        }
        if text.len() > start {
            text.push(',');
        }
        text.push_str(itoa::Buffer::new().format(from));
        text.push(':');
        let to = from + kept;
        if self.secrets.is_none() && mask::may_hold_secrets(self.data, from..to) {
            self.secrets = Some(mask::find_in_data(self.page, &self.data[..self.data.len().min(MAX_OFFSET)]));
        }
        let Some(secrets) = self.secrets.as_ref().filter(|secrets| !secrets.is_empty()) else {
            push_hex(&self.data[from..to], text);
            return;
        };
        for at in from..to {
            // They are sorted: the first that ends behind this byte is the only one that can hold it.
            let next = secrets.partition_point(|secret| secret.end <= at);
            let secret = secrets.get(next).is_some_and(|secret| secret.start <= at);
            push_hex(&[if secret { MASK } else { self.data[at] }], text);
        }
    }
}

/// The next stretch of bytes between `at` and `end` that holds something.
pub(crate) fn next_piece(data: &[u8], at: usize, end: usize) -> Option<(usize, usize)> {
    let from = at + first_filled(data.get(at..end)?)?;
    let mut to = from + 1;
    let mut look = to;
    while look < end && look - to <= GAP {
        if !is_empty_byte(data[look]) {
            to = look + 1;
        }
        look += 1;
    }
    Some((from, to))
}

/// Appends upper-case hexadecimal digits.
pub(crate) fn push_hex(bytes: &[u8], text: &mut String) {
    let mut buffer = [0_u8; 2 * STEP];
    for chunk in bytes.chunks(STEP) {
        let digits = faster_hex::hex_encode_upper(chunk, &mut buffer);
        text.push_str(digits.expect("the buffer holds two digits for each byte of a chunk"));
    }
}
