//! Text that an application wrote, read as what it is: CEF, LEEF, JSON, `key=value`, or plain text.
//!
//! Pure and bounded: whatever the text is, [`detect`] returns, does not fail, and keeps at most [`MAX_PAIRS`] pairs.
//! Text that only looks like a format and does not keep its rules is plain text. [`Payload::push_into`] makes fields of
//! it; the whole text always travels in `message`, so nothing hangs on the reading.

mod cef;
mod fields;
mod json;
mod key_value;
mod leef;

use crate::severity::Severity;
use std::borrow::Cow;

/// Most pairs of one text; the rest is counted in [`Payload::left_out`] and stands in the text only.
pub const MAX_PAIRS: usize = 64;

/// Longest key, in bytes. What is longer is no key.
pub const MAX_KEY: usize = 64;

/// A syslog header may stand before `CEF:` and `LEEF:`; it is no longer than this, in bytes.
const MAX_HEADER: usize = 256;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// Nothing of the others.
    Text,
    /// ArcSight Common Event Format.
    Cef,
    /// Log Event Extended Format, version 1 or 2.
    Leef,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    KeyValue,
}

impl PayloadKind {
    /// Name as the field `app_format` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Cef => "cef",
            Self::Leef => "leef",
            Self::Json => "json",
            Self::KeyValue => "key_value",
        }
    }
}

/// A pair of the application, its escapes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<'t> {
    /// Name that the application gave, in its own spelling. For a CEF custom field (`cs1`) its label.
    pub key: Cow<'t, str>,
    /// Value; never empty.
    pub value: Cow<'t, str>,
}

/// A text, read. Empty where the text does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload<'t> {
    /// What it is.
    pub kind: PayloadKind,
    /// The whole of it, without blanks at its ends.
    pub text: &'t str,
    /// Vendor of the application.
    pub vendor: Cow<'t, str>,
    /// The application.
    pub product: Cow<'t, str>,
    /// Its version.
    pub version: Cow<'t, str>,
    /// Its id of this kind of event.
    pub event_id: Cow<'t, str>,
    /// What happened, in its words.
    pub name: Cow<'t, str>,
    /// How bad it is, as written; [`Payload::level`] reads it.
    pub severity: Cow<'t, str>,
    /// Everything else, in the order of the text.
    pub pairs: Vec<Pair<'t>>,
    /// Pairs beyond [`MAX_PAIRS`].
    pub left_out: usize,
}

impl<'t> Payload<'t> {
    fn of(kind: PayloadKind, text: &'t str) -> Self {
        let empty = || Cow::Borrowed("");
        Self {
            kind,
            text,
            vendor: empty(),
            product: empty(),
            version: empty(),
            event_id: empty(),
            name: empty(),
            severity: empty(),
            pairs: Vec::new(),
            left_out: 0,
        }
    }

    fn add(&mut self, key: impl Into<Cow<'t, str>>, value: impl Into<Cow<'t, str>>) {
        let (key, value) = (key.into(), value.into());
        if value.trim().is_empty() {
            return;
        }
        if self.pairs.len() == MAX_PAIRS {
            self.left_out += 1;
        } else {
            self.pairs.push(Pair { key, value });
        }
    }

    /// JSON and `key=value` have no header of their own: the pairs that are called like its fields are it.
    fn take_header(&mut self) {
        let mut take = |names: &[&str]| {
            let is_one = |pair: &Pair<'_>| names.iter().any(|name| pair.key.eq_ignore_ascii_case(name));
            let at = self.pairs.iter().position(is_one);
            at.map_or(Cow::Borrowed(""), |at| self.pairs.remove(at).value)
        };
        let (vendor, product, version) =
            (take(&["app_vendor"]), take(&["app_product"]), take(&["app_version"]));
        let event_id = take(&["app_event_id", "event_id", "eventid"]);
        let name = take(&["app_name", "event_name", "eventname"]);
        let severity = take(&["app_severity", "severity", "sev"]);
        (self.vendor, self.product, self.version) = (vendor, product, version);
        (self.event_id, self.name, self.severity) = (event_id, name, severity);
    }

    /// The severity: a number of 0 to 10 or one of the words that CEF and syslog know.
    #[must_use]
    pub fn level(&self) -> Option<Severity> {
        let word = self.severity.trim().to_ascii_lowercase();
        let number = match word.as_str() {
            "debug" => 1,
            "low" | "info" | "informational" | "notice" => 3,
            "medium" | "warning" | "warn" => 5,
            "high" | "error" | "err" => 8,
            "critical" | "alert" => 9,
            "very-high" | "emergency" => 10,
            number => number.parse::<u8>().ok().filter(|number| *number <= 10)?,
        };
        Some(Severity::clamped(number))
    }
}

/// Reads a text.
#[must_use]
pub fn detect(text: &str) -> Payload<'_> {
    let text = text.trim();
    let found = match text.as_bytes().first() {
        None => None,
        Some(b'{') => json::parse(text),
        Some(_) => marked(text).or_else(|| key_value::parse(text)),
    };
    found.unwrap_or_else(|| Payload::of(PayloadKind::Text, text))
}

/// CEF or LEEF, at the start of the text or behind a syslog header.
fn marked(text: &str) -> Option<Payload<'_>> {
    let front = text.floor_char_boundary(MAX_HEADER.min(text.len()));
    let begins = |marker: &str| {
        let mut found = text[..front].match_indices(marker).map(|(at, _)| at);
        let at = found.find(|at| *at == 0 || text[..*at].ends_with(' '))?;
        Some(&text[at + marker.len()..])
    };
    if let Some(rest) = begins("CEF:") {
        return cef::parse(text, rest);
    }
    begins("LEEF:").and_then(|rest| leef::parse(text, rest))
}

/// Whether a key may stand for one: letters, digits and some signs, not too long.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_KEY && text.bytes().all(is_key_byte)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'$' | b'#' | b'@')
}

#[cfg(test)]
mod tests;
