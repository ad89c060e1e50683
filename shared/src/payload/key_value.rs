//! `key=value` pairs between blanks, commas or semicolons: `order=4711, user=BOB text="two words"`.

use super::{MAX_KEY, Payload, PayloadKind, is_key_byte};
use std::borrow::Cow;

/// Longest value in quotes, in bytes.
const MAX_QUOTED: usize = 4_096;

/// Reads a text that begins with a pair; none if it does not.
pub(super) fn parse(text: &str) -> Option<Payload<'_>> {
    let mut payload = Payload::of(PayloadKind::KeyValue, text);
    let mut rest = text;
    while !rest.is_empty() {
        let key = key(rest)?;
        let behind = &rest[key.len() + 1..];
        let (value, next) = match behind.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(behind, quote).unwrap_or_else(|| plain(behind)),
            _ => plain(behind),
        };
        payload.add(key, value);
        rest = next;
    }
    payload.take_header();
    Some(payload)
}

/// The key that a text begins with, before its equals sign.
fn key(text: &str) -> Option<&str> {
    let length = text.bytes().take(MAX_KEY + 1).take_while(|byte| is_key_byte(*byte)).count();
    let is_key = (1..=MAX_KEY).contains(&length) && text.as_bytes().get(length) == Some(&b'=');
    is_key.then(|| &text[..length])
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | ',' | ';' | '\t' | '\n' | '\r')
}

/// A value in quotes and what follows it; none if it is not closed soon, or something other than a pair follows.
fn quoted(text: &str, quote: char) -> Option<(Cow<'_, str>, &str)> {
    let mut value = String::new();
    let mut characters = text[1..].char_indices();
    let end = loop {
        match characters.next().filter(|(at, _)| *at < MAX_QUOTED)? {
            (at, c) if c == quote => break at + 2,
            (_, '\\') => match characters.next()?.1 {
                sign @ ('\\' | '"' | '\'') => value.push(sign),
                other => value.extend(['\\', other]),
            },
            (_, c) => value.push(c),
        }
    };
    let behind = &text[end..];
    let next = behind.trim_start_matches(is_separator);
    let ends = next.is_empty() || (next.len() < behind.len() && key(next).is_some());
    ends.then_some((Cow::Owned(value), next))
}

/// A value up to a separator that the next pair follows, or to the end.
fn plain(text: &str) -> (Cow<'_, str>, &str) {
    let mut at = 0;
    while let Some(found) = text[at..].find(is_separator) {
        let end = at + found;
        let next = text[end..].trim_start_matches(is_separator);
        if key(next).is_some() {
            return (Cow::Borrowed(&text[..end]), next);
        }
        at = text.len() - next.len();
        if next.is_empty() {
            return (Cow::Borrowed(&text[..end]), next);
        }
    }
    (Cow::Borrowed(text), "")
}
