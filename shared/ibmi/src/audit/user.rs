//! The data of user-written entries (journal code U): whatever an application sent to the journal.
//!
//! The entry does not say in which CCSID its data is, so it is read with the partition's. Data that is no text in it and
//! is UTF-8 is taken for that: programs in Java, PHP or Node.js send such. Text in a format that SIEMs know is
//! read further, see [`muster_shared::payload`].

use super::mask;
use crate::ebcdic::CodePage;
use crate::text::Encoding;
use muster_shared::event::Event;
use muster_shared::payload;

/// Most bytes that become the message; the rest goes the way of `raw`.
const MAX_MESSAGE: usize = 8 * 1024;

/// NEL, the line end of EBCDIC.
const NEXT_LINE: char = '\u{85}';

/// What was read.
pub(super) struct Read {
    /// Bytes that became text; none if the data is no text.
    pub(super) bytes: usize,
    /// Passwords that were masked.
    pub(super) masked: u32,
}

/// Appends the fields of a text.
pub(super) fn push_text(page: &'static CodePage, data: &[u8], event: &mut Event) -> Read {
    let ebcdic_front = page.front(data, MAX_MESSAGE);
    let front = &data[..data.len().min(MAX_MESSAGE)];
    let read = ebcdic(page, ebcdic_front).map(|text| (ebcdic_front.len(), text));
    let read = read.or_else(|| utf8(front, data.len()));
    let Some((bytes, text)) = read else { return Read { bytes: 0, masked: 0 } };
    let (text, masked) = mask::masked(text);
    payload::detect(&text).push_into(event);
    Read { bytes, masked }
}

fn ebcdic(page: &'static CodePage, bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len());
    let clean = Encoding::Ebcdic(page).decode_trimmed_into(bytes, &mut text);
    if !clean || !is_text(&text) {
        return None;
    }
    Some(if text.contains(NEXT_LINE) { text.replace(NEXT_LINE, "\n") } else { text })
}

/// Text and its length; a character that the limit has cut is left to `raw`.
fn utf8(bytes: &[u8], whole: usize) -> Option<(usize, String)> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && bytes.len() < whole => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    is_text(text).then(|| (text.len(), text.to_owned()))
}

/// Whether there is nothing but characters for people, tabs and line ends.
fn is_text(text: &str) -> bool {
    let is_space = |c: char| matches!(c, '\t' | '\n' | '\r' | NEXT_LINE);
    !text.is_empty()
        && text.chars().all(|c| is_space(c) || !(c.is_control() || c == char::REPLACEMENT_CHARACTER))
}
