//! Rows of a reply as JSON text: found, counted and cut into cells without building values.
//!
//! One pass over the text finds where every row ends ([`Scan::rows`]); strings, which are nearly all of a
//! reply, are skipped with `memchr`. Cells are then read row by row ([`Cells`]), borrowed from the text. So
//! a broken row costs that row and never its neighbours.

use bytes::Bytes;
use memchr::memchr;
use std::borrow::Cow;
use std::ops::Range;

/// Rows of a reply.
#[derive(Debug, Clone)]
pub struct Rows {
    /// JSON text of the whole reply.
    pub text: Bytes,
    /// Range of `text` that holds the array of rows, brackets included; empty when there is no result.
    pub data: Range<usize>,
    /// Where in `text` each row lies, brackets included.
    pub index: Vec<Range<usize>>,
    /// Whether the statement has no more rows than these.
    pub done: bool,
    /// Whether some cell may be a JSON object; else none is.
    pub objects: bool,
}

/// Where rows lie in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// The array of rows, brackets included.
    pub data: Range<usize>,
    /// Each row, brackets included.
    pub index: Vec<Range<usize>>,
    /// Whether some row is an object or holds one.
    pub objects: bool,
}

impl Rows {
    /// The rows of `text` that `block` tells the places of.
    #[must_use]
    pub fn of(text: Bytes, block: Block, done: bool) -> Self {
        Self { text, data: block.data, index: block.index, done, objects: block.objects }
    }

    /// Rows from JSON text that is nothing but an array of arrays.
    ///
    /// # Errors
    /// The text is no array.
    pub fn from_json(text: impl Into<Bytes>) -> Result<Self, Malformed> {
        let text = text.into();
        let mut scan = Scan::new(&text);
        scan.blanks();
        let block = scan.rows()?;
        Ok(Self::of(text, block, true))
    }

    /// No rows, and no more to come.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Bytes::new(), Block::default(), true)
    }

    /// JSON text of the array of rows.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.text[self.data.clone()]
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// JSON text of each row.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.index.iter().map(|range| &self.text[range.clone()])
    }

    /// Every row as owned, optional texts (numbers in their JSON form): for the small results of the
    /// catalogue, where ease matters and speed does not.
    #[must_use]
    pub fn texts(&self) -> Vec<Vec<Option<String>>> {
        self.iter()
            .map(|row| Cells::new(row).map(|cell| cell.text().map(Cow::into_owned)).collect())
            .collect()
    }
}

/// Text that is not JSON of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON at byte {at}: expected {expected}")]
pub struct Malformed {
    /// Offset in the text.
    pub at: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// A reader over JSON text that steps over values without building them.
#[derive(Debug)]
pub struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    /// Whether an object was stepped over.
    objects: bool,
}

impl<'t> Scan<'t> {
    /// At the beginning of `text`.
    #[must_use]
    pub fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, objects: false }
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte, if any.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over blanks and line ends.
    pub fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Steps over `byte`, with blanks around it.
    ///
    /// # Errors
    /// Something else is there.
    pub fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(self.malformed(expected)) }
    }

    /// Steps over `byte` and the blanks around it, if it is next.
    pub fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
            self.blanks();
        }
        there
    }

    fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }

    /// Steps over a string; the range is its raw content without the quotes.
    ///
    /// # Errors
    /// No string is next, or it does not end.
    pub fn string(&mut self) -> Result<Range<usize>, Malformed> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed("a string"));
        }
        let start = self.at + 1;
        let mut end = start;
        loop {
            let found = self.text.get(end..).and_then(|rest| memchr(b'"', rest));
            let Some(offset) = found else { return Err(self.malformed("the end of the string")) };
            end += offset;
            let backslashes = self.text[start..end].iter().rev().take_while(|&&b| b == b'\\').count();
            if backslashes % 2 == 0 {
                break;
            }
            end += 1;
        }
        self.at = end + 1;
        Ok(start..end)
    }

    /// Steps over any value; the range is its text.
    ///
    /// # Errors
    /// No value is next, or it does not end.
    pub fn value(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'[' | b'{') => self.nested()?,
            Some(b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z') => {
                while matches!(
                    self.peek(),
                    Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
                ) {
                    self.at += 1;
                }
            }
            _ => return Err(self.malformed("a value")),
        }
        Ok(start..self.at)
    }

    /// Steps over an array or object that begins here, whatever is in it.
    fn nested(&mut self) -> Result<(), Malformed> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'[') => depth += 1,
                Some(b'{') => {
                    self.objects = true;
                    depth += 1;
                }
                Some(b']' | b'}') => depth -= 1,
                Some(_) => {}
                None => return Err(self.malformed("a closing bracket")),
            }
            self.at += 1;
            // The first byte is an opening bracket, so the depth is at least 1 until the last one closes.
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Steps over an array of arrays.
    ///
    /// # Errors
    /// Something else is next, or it does not end.
    pub fn rows(&mut self) -> Result<Block, Malformed> {
        let start = self.at;
        let mut index = Vec::new();
        self.objects = false;
        self.expect(b'[', "an array of rows")?;
        if !self.take(b']') {
            loop {
                if !matches!(self.peek(), Some(b'[' | b'{')) {
                    return Err(self.malformed("a row"));
                }
                let row = self.at;
                self.nested()?;
                index.push(row..self.at);
                if self.take(b']') {
                    break;
                }
                self.expect(b',', "a comma between rows")?;
            }
        }
        Ok(Block { data: start..self.at, index, objects: self.objects })
    }
}

/// One value of a row, as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'t> {
    /// SQL NULL.
    Null,
    /// Text without escapes.
    Text(&'t str),
    /// Text with escapes: the JSON string with its quotes.
    Escaped(&'t str),
    /// A number.
    Number(&'t str),
    /// Anything else: true, false, an array, an object, or bytes that are no JSON.
    Other(&'t str),
}

impl<'t> Cell<'t> {
    /// The value as text; None for NULL and for strings whose escapes are wrong.
    #[must_use]
    pub fn text(self) -> Option<Cow<'t, str>> {
        match self {
            Cell::Null => None,
            Cell::Text(text) | Cell::Number(text) | Cell::Other(text) => Some(Cow::Borrowed(text)),
            Cell::Escaped(quoted) => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
        }
    }

    /// Appends the value as JSON, as it stood in the row.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Cell::Null => out.extend_from_slice(b"null"),
            Cell::Text(text) => {
                out.push(b'"');
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
            Cell::Escaped(text) | Cell::Number(text) | Cell::Other(text) => {
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// The value as a whole number that is not negative, from a number or from text.
    #[must_use]
    pub fn unsigned(self) -> Option<u64> {
        match self {
            Cell::Number(text) | Cell::Text(text) => digits(text.as_bytes()),
            Cell::Null | Cell::Escaped(_) | Cell::Other(_) => None,
        }
    }
}

/// The number that plain decimal digits stand for; None for anything else and beyond 64 bits.
#[must_use]
pub fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

/// Reads the cells of one terse row (`[…]`). Ends at the closing bracket or where the text breaks off.
#[derive(Debug)]
pub struct Cells<'t> {
    scan: Scan<'t>,
    open: bool,
}

impl<'t> Cells<'t> {
    /// Cells of `row`, brackets included.
    #[must_use]
    pub fn new(row: &'t [u8]) -> Self {
        let mut scan = Scan::new(row);
        let open = scan.take(b'[') && scan.peek() != Some(b']');
        Self { scan, open }
    }
}

impl<'t> Iterator for Cells<'t> {
    type Item = Cell<'t>;

    #[inline]
    fn next(&mut self) -> Option<Cell<'t>> {
        if !self.open {
            return None;
        }
        let text = self.scan.text;
        let first = self.scan.peek();
        let cell = if first == Some(b'"') {
            let range = self.scan.string().ok();
            range.and_then(|range| {
                let raw = &text[range.clone()];
                match (memchr(b'\\', raw), std::str::from_utf8(raw)) {
                    (_, Err(_)) => None,
                    (None, Ok(plain)) => Some(Cell::Text(plain)),
                    (Some(_), Ok(_)) => {
                        std::str::from_utf8(&text[range.start - 1..range.end + 1]).ok().map(Cell::Escaped)
                    }
                }
            })
        } else {
            let range = self.scan.value().ok();
            range.and_then(|range| std::str::from_utf8(&text[range]).ok()).map(|raw| match first {
                Some(b'-' | b'0'..=b'9') => Cell::Number(raw),
                _ if raw == "null" => Cell::Null,
                _ => Cell::Other(raw),
            })
        };
        self.open = cell.is_some() && self.scan.take(b',');
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_whatever_their_strings_hold() {
        let text = r#"[["a],[b",1],["q\"],[\\",2] , [null,3]]"#;
        let rows = Rows::from_json(text.as_bytes().to_vec()).expect("an array of rows");
        assert_eq!(
            rows.texts(),
            [
                vec![Some("a],[b".to_owned()), Some("1".to_owned())],
                vec![Some("q\"],[\\".to_owned()), Some("2".to_owned())],
                vec![None, Some("3".to_owned())],
            ]
        );
        assert_eq!(rows.json(), text.as_bytes());
    }

    #[test]
    fn cells_tell_their_kind() {
        let row = br#"["x",null,-12,"\u003c",true,{"blob_url":"/blob/1","size":3}]"#;
        let cells: Vec<_> = Cells::new(row).collect();
        assert_eq!(
            cells,
            [
                Cell::Text("x"),
                Cell::Null,
                Cell::Number("-12"),
                Cell::Escaped(r#""\u003c""#),
                Cell::Other("true"),
                Cell::Other(r#"{"blob_url":"/blob/1","size":3}"#),
            ]
        );
        assert_eq!(cells[3].text().as_deref(), Some("<"));
        assert_eq!(Cells::new(b"[]").count(), 0);
        assert_eq!(Cells::new(b"[1,,2]").collect::<Vec<_>>(), [Cell::Number("1")]);
    }

    #[test]
    fn broken_text_is_refused_with_its_place() {
        let cases: [(&[u8], usize); 5] =
            [(b"x", 0), (b"[[1,2]", 6), (b"[[1,2", 5), (b"[\"a", 1), (b"[[\"a", 2)];
        for (text, at) in cases {
            let error = Rows::from_json(text.to_vec()).expect_err("broken");
            assert_eq!(error.at, at, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn digits_are_exact_up_to_64_bits() {
        let cases: [(&str, Option<u64>); 6] = [
            ("0", Some(0)),
            ("18446744073709551600", Some(18_446_744_073_709_551_600)),
            ("18446744073709551616", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ];
        for (text, number) in cases {
            assert_eq!(digits(text.as_bytes()), number, "{text}");
        }
    }
}
