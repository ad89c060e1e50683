//! `CEF:0|Vendor|Product|Version|Event class|Name|Severity|key=value …` (ArcSight Common Event Format).

use super::{Pair, Payload, PayloadKind, is_key};
use std::borrow::Cow;

/// Header fields between version and extension.
const FIELDS: usize = 6;

/// Keys whose meaning another key, with `Label` behind it, tells.
const LABELLED: [&str; 8] =
    ["cs", "cn", "cfp", "c6a", "flexString", "flexNumber", "flexDate", "deviceCustomDate"];

/// Reads what follows `CEF:`; none if the header is not whole.
pub(super) fn parse<'t>(text: &'t str, rest: &'t str) -> Option<Payload<'t>> {
    let (version, rest) = rest.split_once('|')?;
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let mut header: [Cow<'t, str>; FIELDS] = Default::default();
    let mut rest = rest;
    for (number, field) in header.iter_mut().enumerate() {
        let (value, behind) = header_field(rest);
        *field = value;
        // The last pipe may be missing where there is no extension.
        rest = match behind {
            Some(behind) => behind,
            None if number + 1 == FIELDS => "",
            None => return None,
        };
    }
    let mut payload = Payload::of(PayloadKind::Cef, text);
    [payload.vendor, payload.product, payload.version, payload.event_id, payload.name, payload.severity] =
        header;
    extension(rest, &mut payload);
    name_custom_fields(&mut payload.pairs);
    Some(payload)
}

/// A header field up to the next pipe that has no backslash before it.
fn header_field(text: &str) -> (Cow<'_, str>, Option<&str>) {
    let mut escaped = false;
    let pipe = text.bytes().position(|byte| {
        let ends = byte == b'|' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    let (field, behind) = match pipe {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    (unescaped(field.trim()), behind)
}

/// `key=value` pairs: a key is the word before an equals sign that has no backslash before it; a value ends before the
/// blank in front of the next key.
fn extension<'t>(text: &'t str, payload: &mut Payload<'t>) {
    let mut key: Option<&'t str> = None;
    let (mut value_at, mut word_at) = (0, 0);
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if byte == b'=' && !escaped && word_at >= value_at && is_key(&text[word_at..at]) {
            if let Some(key) = key {
                payload.add(key, unescaped(text[value_at..word_at].trim()));
            }
            key = Some(&text[word_at..at]);
            value_at = at + 1;
        }
        if byte.is_ascii_whitespace() {
            word_at = at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    if let Some(key) = key {
        payload.add(key, unescaped(text[value_at..].trim()));
    }
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some(sign @ ('\\' | '=' | '|')) => out.push(sign),
            // No escape of CEF: a path that was written without care.
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

/// `cs1=4711 cs1Label=orderNo` becomes `orderNo=4711`.
fn name_custom_fields(pairs: &mut Vec<Pair<'_>>) {
    let is_custom = |key: &str| {
        let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
        name.len() + 1 == key.len() && LABELLED.contains(&name)
    };
    for at in 0..pairs.len() {
        let key = pairs[at].key.clone();
        if !is_custom(&key) {
            continue;
        }
        let label = pairs.iter().find(|pair| pair.key.strip_suffix("Label") == Some(&*key));
        if let Some(label) = label.map(|label| label.value.clone()) {
            pairs[at].key = label;
        }
    }
    pairs.retain(|pair| !pair.key.strip_suffix("Label").is_some_and(is_custom));
}
