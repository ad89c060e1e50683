//! Fields on their way into an event.
//!
//! An entry has a dozen short values. Making each of them text by itself (check of UTF-8, growth of the buffer,
//! call of `memcpy`) costs more than translating its bytes. So short values are lined up here, with copies
//! of a fixed size, and go into the event together.

use crate::blank::FILLED;
use crate::ebcdic::CodePage;
use muster_shared::event::{Event, FieldId, Part};

/// Bytes that are lined up at most.
const SIZE: usize = 1024;

/// Longest value that is lined up; a copy may write so many bytes whatever the length.
const LONGEST: usize = 32;

/// Bytes that [`Line::push_window`] looks at.
pub(crate) const WINDOW: usize = 16;

const FILLED_WINDOW: u128 = (FILLED as u128) << 64 | FILLED as u128;

/// Values lined up for one event.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: Box<[u8; SIZE]>,
    length: usize,
    parts: Vec<Part>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { bytes: Box::new([0; SIZE]), length: 0, parts: Vec::with_capacity(64) }
    }

    /// Puts what is lined up into the event.
    pub(crate) fn flush(&mut self, event: &mut Event) {
        if self.parts.is_empty() {
            return;
        }
        match std::str::from_utf8(&self.bytes[..self.length]) {
            Ok(text) => event.push_run(text, &self.parts),
            // Only whole texts and ASCII are lined up, so this is never reached; were it, no field got lost.
            Err(_) => {
                for part in &self.parts {
                    let value = String::from_utf8_lossy(&self.bytes[part.start as usize..part.end as usize]);
                    event.push_with(part.id, part.meaning, |text| text.push_str(&value));
                }
            }
        }
        self.length = 0;
        self.parts.clear();
    }

    /// Forgets what is lined up.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
        self.parts.clear();
    }

    /// The next [`LONGEST`] bytes.
    #[inline]
    fn room(&mut self, event: &mut Event) -> &mut [u8; LONGEST] {
        if self.length > SIZE - LONGEST {
            self.flush(event);
        }
        let room = self.bytes[self.length..].first_chunk_mut();
        room.expect("flush leaves the whole of SIZE, which is more than LONGEST")
    }

    #[inline]
    fn add(&mut self, id: FieldId, meaning: Option<&'static str>, length: usize) {
        let start = self.length;
        self.length += length;
        self.parts.push(Part { id, meaning, start: start as u32, end: self.length as u32 });
    }

    /// Lines up a text.
    #[inline]
    pub(crate) fn push(&mut self, id: FieldId, meaning: Option<&'static str>, text: &str, event: &mut Event) {
        let source = text.as_bytes();
        let size = source.len();
        if size == 0 {
            return;
        }
        if size > LONGEST {
            self.flush(event);
            event.push_with(id, meaning, |out| out.push_str(text));
            return;
        }
        let room = self.room(event);
        // Two copies of a fixed size that overlap cover every length in between.
        if size > 16 {
            room[..16].copy_from_slice(&source[..16]);
            room[size - 16..size].copy_from_slice(&source[size - 16..]);
        } else if size >= 8 {
            room[..8].copy_from_slice(&source[..8]);
            room[size - 8..size].copy_from_slice(&source[size - 8..]);
        } else if size >= 4 {
            room[..4].copy_from_slice(&source[..4]);
            room[size - 4..size].copy_from_slice(&source[size - 4..]);
        } else {
            for (to, from) in room.iter_mut().zip(source) {
                *to = *from;
            }
        }
        self.add(id, meaning, size);
    }

    /// Lines up a number.
    #[inline]
    pub(crate) fn push_int(
        &mut self,
        id: FieldId,
        meaning: Option<&'static str>,
        value: i64,
        event: &mut Event,
    ) {
        self.push(id, meaning, itoa::Buffer::new().format(value), event);
    }

    /// Lines up one byte of EBCDIC; false if it means nothing, then nothing was done.
    #[inline]
    pub(crate) fn push_byte(
        &mut self,
        page: &CodePage,
        byte: u8,
        id: FieldId,
        meaning: Option<&'static str>,
        event: &mut Event,
    ) -> bool {
        match (page.ascii_of(byte), page.char_of(byte)) {
            (Some(ascii), _) => {
                self.room(event)[0] = ascii;
                self.add(id, meaning, 1);
            }
            (None, char::REPLACEMENT_CHARACTER) => return false,
            (None, character) => self.push(id, meaning, character.encode_utf8(&mut [0; 4]), event),
        }
        true
    }

    /// Lines up EBCDIC text; false if it is longer than [`LONGEST`] or not ASCII, then nothing was done.
    #[inline]
    pub(crate) fn push_ascii(
        &mut self,
        page: &CodePage,
        bytes: &[u8],
        id: FieldId,
        meaning: Option<&'static str>,
        event: &mut Event,
    ) -> bool {
        if bytes.len() > LONGEST {
            return false;
        }
        let mut seen = 0;
        for (to, from) in self.room(event).iter_mut().zip(bytes) {
            *to = page.ascii()[usize::from(*from)];
            seen |= *to;
        }
        if seen >= 0x80 {
            return false;
        }
        self.add(id, meaning, bytes.len());
        true
    }

    /// Lines up the first `length` bytes of a window, EBCDIC without blanks at its end; false if one of them
    /// is not ASCII, then nothing was done.
    #[inline]
    pub(crate) fn push_window(
        &mut self,
        page: &CodePage,
        window: Window,
        id: FieldId,
        meaning: Option<&'static str>,
        event: &mut Event,
    ) -> bool {
        let room = self.room(event);
        let ascii = page.ascii();
        let (low, high) = (window.word as u64, (window.word >> 64) as u64);
        let mut seen = 0;
        for (place, to) in room[..8].iter_mut().enumerate() {
            *to = ascii[usize::from((low >> (8 * place)) as u8)];
            seen |= *to;
        }
        if window.length > 8 {
            for (place, to) in room[8..16].iter_mut().enumerate() {
                *to = ascii[usize::from((high >> (8 * place)) as u8)];
                seen |= *to;
            }
        }
        if seen >= 0x80 {
            return false;
        }
        self.add(id, meaning, window.length);
        true
    }
}

/// A field of at most [`WINDOW`] bytes, without what lies behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// First byte lowest; blanks and zero bytes, ASCII in every page, where the value has ended.
    word: u128,
    /// Bytes up to the last one that is neither blank nor zero.
    pub(crate) length: usize,
}

impl Window {
    /// The field that `mask` leaves of the bytes from its start on; `None` if it is blank.
    #[inline]
    pub(crate) fn of(bytes: &[u8; WINDOW], mask: u128) -> Option<Self> {
        let word = u128::from_le_bytes(*bytes) & mask;
        let filled = word & FILLED_WINDOW;
        if filled == 0 {
            return None;
        }
        let length = WINDOW - filled.leading_zeros() as usize / 8;
        Some(Self { word, length })
    }

    /// The mask of a field of `length` bytes, at least 1 and at most [`WINDOW`].
    pub(crate) const fn mask(length: usize) -> u128 {
        u128::MAX >> (8 * (WINDOW - length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blank::trimmed;
    use crate::ebcdic::code_pages;
    use muster_shared::event::field;
    use proptest::prelude::*;

    fn values(event: &Event) -> Vec<(FieldId, String)> {
        event.fields().iter().map(|field| (field.id, event.text(field).to_owned())).collect()
    }

    proptest! {
        #[test]
        fn what_is_lined_up_is_what_was_pushed(texts in proptest::collection::vec("\\PC{0,40}", 0..80)) {
            let (mut line, mut event, mut expected) = (Line::new(), Event::new(), Event::new());
            for text in &texts {
                line.push(field::USER, None, text, &mut event);
                line.push_int(field::REMOTE_PORT, None, text.len() as i64, &mut event);
                expected.push(field::USER, text);
                expected.push_int(field::REMOTE_PORT, text.len() as i64);
            }
            line.flush(&mut event);
            prop_assert_eq!(values(&event), values(&expected));
        }

        #[test]
        fn windows_are_trimmed_texts(
            bytes in proptest::array::uniform16(prop_oneof![2 => Just(0x40_u8), 1 => Just(0), 4 => any::<u8>()]),
            length in 1..=WINDOW, page in 0..27_usize,
        ) {
            let page = code_pages().nth(page).expect("27 pages");
            let value = trimmed(&bytes[..length]);
            let mut text = String::new();
            page.decode_into(value, &mut text);
            let window = Window::of(&bytes, Window::mask(length));
            prop_assert_eq!(window.map_or(0, |window| window.length), value.len());
            if let Some(window) = window {
                let (mut line, mut event) = (Line::new(), Event::new());
                let done = line.push_window(page, window, field::USER, None, &mut event);
                line.flush(&mut event);
                prop_assert_eq!(done, text.is_ascii());
                prop_assert_eq!(event.get(field::USER), done.then_some(text.as_str()));
            }
        }
    }
}
