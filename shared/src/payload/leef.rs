//! `LEEF:1.0|Vendor|Product|Version|EventID|key=value<TAB>…` and `LEEF:2.0|…|EventID|^|key=value^…` (IBM QRadar).

use super::{Payload, PayloadKind, is_key};

/// Reads what follows `LEEF:`; none if the header is not whole.
pub(super) fn parse<'t>(text: &'t str, rest: &'t str) -> Option<Payload<'t>> {
    let mut parts = rest.splitn(6, '|');
    let version = parts.next()?;
    if !matches!(version, "1.0" | "2.0") {
        return None;
    }
    let mut payload = Payload::of(PayloadKind::Leef, text);
    payload.vendor = parts.next()?.trim().into();
    payload.product = parts.next()?.trim().into();
    payload.version = parts.next()?.trim().into();
    payload.event_id = parts.next()?.trim().into();
    let rest = parts.next().unwrap_or_default();
    let (delimiter, attributes) = match rest.split_once('|') {
        Some((sign, behind)) if version == "2.0" => match delimiter(sign) {
            Some(delimiter) => (delimiter, behind),
            // Left out, and the pipe is one of a value.
            None => ('\t', rest),
        },
        Some(_) | None => ('\t', rest),
    };
    for attribute in attributes.split(delimiter) {
        let Some((key, value)) = attribute.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "sev" => payload.severity = value.into(),
            "eventName" => payload.name = value.into(),
            key if is_key(key) => payload.add(key, value),
            _ => {}
        }
    }
    Some(payload)
}

/// The delimiter that a header names: a character, or `x` or `0x` and one to four hexadecimal digits. An empty one is
/// the TAB.
fn delimiter(sign: &str) -> Option<char> {
    let mut characters = sign.chars();
    match (characters.next(), characters.next()) {
        (None, _) => Some('\t'),
        (Some(only), None) => Some(only),
        _ => {
            let digits = sign.strip_prefix("0x").or_else(|| sign.strip_prefix('x'))?;
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() <= 4)?;
            char::from_u32(number)
        }
    }
}
