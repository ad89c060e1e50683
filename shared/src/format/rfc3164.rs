//! The text of an RFC 3164 message: `muster: event="AF_A" … user="BOB"`. Values stand in quotes; a quote
//! or backslash in a value gets a backslash.

use super::escape::Escape;
use super::head::IdPrefix;
use super::key::{Around, KeyTable, OwnKeys, own_pair};
use super::rfc5424::{HEAD, naming, partition_params, write_head};
use super::sink::Sink;
use super::{APP_NAME, FormatContext, FormatCounters};
use crate::event::Event;

/// Writes `key="value"` pairs behind the tag.
#[derive(Debug)]
pub(super) struct PairWriter {
    tag: Vec<u8>,
    partition: Vec<u8>,
    value: Escape,
    keys: KeyTable,
    id: IdPrefix,
}

impl PairWriter {
    pub(super) fn new(ctx: &FormatContext) -> Self {
        let value = Escape::backslash(br#"\""#);
        Self {
            tag: format!("{APP_NAME}:").into_bytes(),
            partition: partition_params(&ctx.partition, &value),
            value,
            keys: KeyTable::new(
                Around { before: b" ", delimiter: None, after: b"=\"" },
                OwnKeys::Snake,
                &HEAD,
                naming,
            ),
            id: IdPrefix::default(),
        }
    }

    /// Appends what depends on kind, severity and name of the event only.
    pub(super) fn write_block(&self, event: &Event, block: &mut Vec<u8>) {
        block.extend_from_slice(&self.tag);
        write_head(event, &self.value, block);
    }

    /// Appends the rest of the text.
    pub(super) fn put(&mut self, event: &Event, sink: &mut Sink, counters: &mut FormatCounters) {
        put_identity(event, &mut self.id, &self.value, &self.partition, sink);
        put_fields(event, &mut self.keys, &self.value, sink, counters);
    }
}

/// Appends the pairs that tell one event from another and its partition.
pub(super) fn put_identity(
    event: &Event,
    id: &mut IdPrefix,
    value: &Escape,
    partition: &[u8],
    sink: &mut Sink,
) {
    id.put(event, b" event_id=\"", value, sink);
    sink.put(b"\" sequence=\"");
    sink.put_number(event.sequence);
    sink.push(b'"');
    sink.put(partition);
}

/// Appends ` key="value"` for every field and meaning.
pub(super) fn put_fields(
    event: &Event,
    keys: &mut KeyTable,
    value: &Escape,
    sink: &mut Sink,
    counters: &mut FormatCounters,
) {
    let clean = value.is_clean(event.all_text().as_bytes());
    keys.begin();
    for field in event.fields() {
        let Some(key) = keys.field(field.id).copied() else { continue };
        let mut text = event.text(field);
        if key.pair {
            let (name, value) = own_pair(text);
            if value.is_empty() {
                continue;
            }
            keys.put_own(name, sink);
            text = value;
        } else {
            keys.put(key.value, sink);
        }
        if clean {
            sink.put(text.as_bytes());
        } else {
            value.put(text.as_bytes(), sink, counters);
        }
        sink.push(b'"');
        if let Some(meaning) = field.meaning {
            keys.put(key.meaning, sink);
            value.put(meaning.as_bytes(), sink, counters);
            sink.push(b'"');
        }
    }
}
