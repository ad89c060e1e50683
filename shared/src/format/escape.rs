//! What a format cannot hold as it is: one table of 256 entries per format, and a writer that copies runs.

use super::FormatCounters;
use super::sink::Sink;

/// What happens to a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Written as it is.
    Copy,
    /// Replaced by a space, and counted.
    Space,
    /// Written after a backslash.
    Backslash,
    /// Written as backslash and this letter.
    Letter(u8),
}

/// Bytes that are checked in one go.
const CHECKED: usize = 32;

/// A control byte and special everywhere, so it does no harm among the marks.
const FILLING: u8 = 0x7f;

/// How one place of one format (a header field, a value) treats each byte.
#[derive(Debug, Clone)]
pub(super) struct Escape {
    steps: [Step; 256],
    special: [bool; 256],
    /// The special bytes that are no control bytes, at most three, then [`FILLING`].
    marks: [u8; 3],
}

impl Escape {
    /// Control bytes become spaces; nothing else is touched. UTF-8 sequences have no byte below 0x80.
    pub(super) fn controls() -> Self {
        let mut steps = [Step::Copy; 256];
        for (byte, step) in steps.iter_mut().enumerate() {
            if byte < 0x20 || byte == 0x7f {
                *step = Step::Space;
            }
        }
        Self::of(steps)
    }

    /// As [`Escape::controls`], and these bytes become spaces too.
    pub(super) fn replacing(bytes: &[u8]) -> Self {
        Self::controls().with(bytes, Step::Space)
    }

    /// As [`Escape::controls`], and these bytes get a backslash.
    pub(super) fn backslash(bytes: &[u8]) -> Self {
        Self::controls().with(bytes, Step::Backslash)
    }

    /// Values of a CEF extension: backslash and `=` get a backslash, line ends become `\n` and `\r`.
    pub(super) fn cef_value() -> Self {
        let mut steps = Self::backslash(br"\=").steps;
        steps[usize::from(b'\n')] = Step::Letter(b'n');
        steps[usize::from(b'\r')] = Step::Letter(b'r');
        Self::of(steps)
    }

    fn with(&self, bytes: &[u8], step: Step) -> Self {
        let mut steps = self.steps;
        for byte in bytes {
            steps[usize::from(*byte)] = step;
        }
        Self::of(steps)
    }

    fn of(steps: [Step; 256]) -> Self {
        let special = steps.map(|step| step != Step::Copy);
        let mut marks = [FILLING; 3];
        let found = (0x20_u8..0x7f).filter(|byte| special[usize::from(*byte)]);
        for (mark, byte) in marks.iter_mut().zip(found) {
            *mark = byte;
        }
        Self { steps, special, marks }
    }

    /// Whether every byte can be copied as it is.
    #[inline]
    pub(super) fn is_clean(&self, text: &[u8]) -> bool {
        // LEEF has one mark, and each comparison left out is one of five.
        if self.marks[1] == FILLING { self.is_clean_of::<1>(text) } else { self.is_clean_of::<3>(text) }
    }

    /// Looks at whole blocks, the last of which overlaps the one before it: a rest that is looked at byte
    /// by byte took as long as two hundred bytes before it.
    #[inline]
    fn is_clean_of<const MARKS: usize>(&self, text: &[u8]) -> bool {
        let (blocks, _) = text.as_chunks::<CHECKED>();
        match text.last_chunk::<CHECKED>() {
            Some(end) => {
                !blocks.iter().any(|block| self.any_special::<MARKS>(block))
                    && !self.any_special::<MARKS>(end)
            }
            None => {
                // No byte from 0x80 on is special.
                let mut block = [0x80; CHECKED];
                for (to, from) in block.iter_mut().zip(text) {
                    *to = *from;
                }
                !self.any_special::<MARKS>(&block)
            }
        }
    }

    /// Without early end, so that the compiler may compare all bytes at once.
    #[inline]
    fn any_special<const MARKS: usize>(&self, block: &[u8; CHECKED]) -> bool {
        block.iter().fold(false, |any, byte| {
            let mark = self.marks[..MARKS].iter().fold(false, |mark, special| mark | (byte == special));
            any | (*byte < 0x20) | (*byte == FILLING) | mark
        })
    }

    /// Appends a text, changed where needed.
    #[inline]
    pub(super) fn put(&self, text: &[u8], sink: &mut Sink, counters: &mut FormatCounters) {
        if self.is_clean(text) {
            sink.put(text);
        } else {
            self.put_changed(text, sink, counters);
        }
    }

    fn put_changed(&self, text: &[u8], sink: &mut Sink, counters: &mut FormatCounters) {
        let mut rest = text;
        while let Some(position) = rest.iter().position(|byte| self.special[usize::from(*byte)]) {
            sink.put(&rest[..position]);
            let byte = rest[position];
            match self.steps[usize::from(byte)] {
                Step::Copy => sink.push(byte),
                Step::Space => {
                    sink.push(b' ');
                    counters.substitutions += 1;
                }
                Step::Backslash => sink.put(&[b'\\', byte]),
                Step::Letter(letter) => sink.put(&[b'\\', letter]),
            }
            rest = &rest[position + 1..];
        }
        sink.put(rest);
    }

    /// A text, changed where needed, for parts that are prepared once.
    pub(super) fn apply(&self, text: &str) -> Vec<u8> {
        let mut sink = Sink::small();
        self.put(text.as_bytes(), &mut sink, &mut FormatCounters::default());
        sink.as_bytes().to_vec()
    }
}

/// The first `limit` characters of a text; 0 means no limit. Cut before escaping, so neither a UTF-8
/// sequence nor an escape is ever torn.
pub(super) fn cut<'a>(text: &'a str, limit: usize, counters: &mut FormatCounters) -> &'a str {
    if limit == 0 || text.len() <= limit {
        return text;
    }
    match text.char_indices().nth(limit) {
        Some((end, _)) => {
            counters.truncations += 1;
            &text[..end]
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_escapes() {
        for (escape, text, expected, substitutions) in [
            (Escape::controls(), "a\tb\u{7f}é|=", "a b é|=", 2),
            (Escape::replacing(b"^"), "a^b\nc=|", "a b c=|", 2),
            (Escape::backslash(br#""\]"#), "\"a\\]=", r#"\"a\\\]="#, 0),
            (Escape::cef_value(), "a=b\\c|d\r\n\0", r"a\=b\\c|d\r\n ", 1),
        ] {
            let mut sink = Sink::new();
            let mut counters = FormatCounters::default();
            escape.put(text.as_bytes(), &mut sink, &mut counters);
            assert_eq!(sink.as_bytes(), expected.as_bytes());
            assert_eq!(counters.substitutions, substitutions);
            assert!(!escape.is_clean(text.as_bytes()));
            assert!(escape.is_clean("plain é text, longer than a block of sixteen".as_bytes()));
            assert!(!escape.is_clean("plain é text, longer than a block of sixteen\u{1f}".as_bytes()));
        }
    }

    #[test]
    fn texts_are_cut_by_characters() {
        for (text, limit, expected, truncations) in [
            ("abc", 0, "abc", 0),
            ("abc", 3, "abc", 0),
            ("äöü", 3, "äöü", 0),
            ("äöüß", 3, "äöü", 1),
            ("", 1, "", 0),
        ] {
            let mut counters = FormatCounters::default();
            assert_eq!(cut(text, limit, &mut counters), expected);
            assert_eq!(counters.truncations, truncations);
        }
    }
}
