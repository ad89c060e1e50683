//! JSON text as the server's library writes it: `<`, `>`, `&`, `=` and `'` escaped.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

/// Does this byte need more than itself inside a JSON string?
fn special(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | b'=' | b'\'' | 0xE2)
}

/// Appends a JSON string.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    if text.bytes().any(special) {
        for char in text.chars() {
            write_char(char, out);
        }
    } else {
        out.push_str(text);
    }
    out.push('"');
}

fn write_char(char: char, out: &mut String) {
    match char {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{C}' => out.push_str("\\f"),
        '<' | '>' | '&' | '=' | '\'' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1F}' => {
            out.push_str("\\u");
            for place in [12, 8, 4, 0] {
                out.push(char::from_digit((char as u32 >> place) & 0xF, 16).unwrap_or('0'));
            }
        }
        _ => out.push(char),
    }
}

/// Writes strings like [`write_text`].
struct HtmlSafe;

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !fragment.bytes().any(special) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut out = String::with_capacity(fragment.len() + 16);
        for char in fragment.chars() {
            write_char(char, &mut out);
        }
        writer.write_all(out.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let char = match escape {
            CharEscape::Quote => '"',
            CharEscape::ReverseSolidus => '\\',
            CharEscape::Solidus => '/',
            CharEscape::Backspace => '\u{8}',
            CharEscape::FormFeed => '\u{C}',
            CharEscape::LineFeed => '\n',
            CharEscape::CarriageReturn => '\r',
            CharEscape::Tab => '\t',
            CharEscape::AsciiControl(byte) => char::from(byte),
        };
        let mut out = String::with_capacity(6);
        write_char(char, &mut out);
        writer.write_all(out.as_bytes())
    }
}

/// The text of a frame; a frame of this crate always has one.
#[must_use]
pub fn frame<T: Serialize>(value: &T) -> String {
    let mut out = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, HtmlSafe);
    if value.serialize(&mut serializer).is_err() {
        out.clear();
    }
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_writers_escape_alike() {
        let text = "a<b> & 'c'=\"d\"\\\u{1}\t\u{2028} Ä";
        let wanted = "\"a\\u003cb\\u003e \\u0026 \\u0027c\\u0027\\u003d\\\"d\\\"\\\\\\u0001\\t\\u2028 Ä\"";
        let mut out = String::new();
        write_text(text, &mut out);
        assert_eq!(out, wanted);
        assert_eq!(frame(&text), wanted);
        assert_eq!(serde_json::from_str::<String>(&out).expect("JSON"), text);
    }
}
