//! The text of an RFC 3164 message: `muster: event="AF_A" … user="BOB"`. Values stand in quotes; a quote
//! or backslash in a value gets a backslash.

use super::escape::{Escape, cut};
use super::key::{Around, KeyTable};
use super::rfc5424::{HEAD, naming, partition_params, write_head};
use super::{APP_NAME, FormatContext, FormatCounters};
use crate::event::Event;

/// Writes `key="value"` pairs behind the tag.
#[derive(Debug)]
pub(super) struct PairWriter {
    tag: Vec<u8>,
    partition: Vec<u8>,
    value: Escape,
    keys: KeyTable,
}

impl PairWriter {
    pub(super) fn new(ctx: &FormatContext) -> Self {
        let value = Escape::backslash(br#"\""#);
        Self {
            tag: format!("{APP_NAME}:").into_bytes(),
            partition: partition_params(&ctx.partition, &value),
            value,
            keys: KeyTable::new(Around { before: b" ", delimiter: None, after: b"=\"" }, &HEAD, naming),
        }
    }

    pub(super) fn write(&mut self, event: &Event, out: &mut Vec<u8>, counters: &mut FormatCounters) {
        out.extend_from_slice(&self.tag);
        write_head(event, &self.value, out, counters);
        out.extend_from_slice(&self.partition);
        write_fields(event, &mut self.keys, &self.value, out, counters);
    }
}

/// Appends ` key="value"` for every field and meaning.
pub(super) fn write_fields(
    event: &Event,
    keys: &mut KeyTable,
    value: &Escape,
    out: &mut Vec<u8>,
    counters: &mut FormatCounters,
) {
    let clean = value.is_clean(event.all_text().as_bytes());
    keys.begin();
    for field in event.fields() {
        let Some(key) = keys.field(field.id).copied() else { continue };
        let text = cut(event.text(field), key.limit, counters);
        keys.write(key.value, out);
        if clean {
            out.extend_from_slice(text.as_bytes());
        } else {
            value.write(text.as_bytes(), out, counters);
        }
        out.push(b'"');
        if let Some(meaning) = field.meaning {
            keys.write(key.meaning, out);
            value.write(meaning.as_bytes(), out, counters);
            out.push(b'"');
        }
    }
}
