//! RFC 5424 with structured data: `[muster@32473 event="AF_A" …][meta sequenceId="1"] text for people`.

use super::escape::Escape;
use super::head::IdPrefix;
use super::header::BOM;
use super::key::{Around, KeyTable, Naming, OwnKeys};
use super::rfc3164::{put_fields, put_identity};
use super::sink::Sink;
use super::{APP_NAME, ENTERPRISE_NUMBER, FormatContext, FormatCounters};
use crate::event::{Event, FieldDef, FieldId, field};
use crate::partition::Partition;

/// Most characters of a keyword: RFC 5424 allows 32, and two digits may follow where a keyword repeats.
const MAX_NAME: usize = 30;
/// Highest `sequenceId`; after it comes 1 again (RFC 5424 section 7.3.1).
const MAX_SEQUENCE_ID: u32 = 2_147_483_647;

/// Names that every message of ours begins with.
pub(super) const HEAD: [&str; 10] = [
    "event",
    "event_name",
    "event_id",
    "category",
    "severity",
    "sequence",
    "system_name",
    "serial_number",
    "partition_id",
    "os_release",
];

/// Writes structured data and text.
#[derive(Debug)]
pub(super) struct StructuredDataWriter {
    /// `[muster@32473`.
    open: Vec<u8>,
    partition: Vec<u8>,
    value: Escape,
    text: Escape,
    keys: KeyTable,
    id: IdPrefix,
    bom: bool,
    sequence_id: u32,
}

impl StructuredDataWriter {
    pub(super) fn new(ctx: &FormatContext, bom: bool) -> Self {
        let value = Escape::backslash(br#"\"]"#);
        Self {
            open: format!("[{APP_NAME}@{ENTERPRISE_NUMBER}").into_bytes(),
            partition: partition_params(&ctx.partition, &value),
            value,
            text: Escape::controls(),
            keys: KeyTable::new(
                Around { before: b" ", delimiter: None, after: b"=\"" },
                OwnKeys::Snake,
                &HEAD,
                naming,
            ),
            id: IdPrefix::default(),
            bom,
            sequence_id: 0,
        }
    }

    /// Appends what depends on kind, severity and name of the event only.
    pub(super) fn write_block(&self, event: &Event, block: &mut Vec<u8>) {
        block.extend_from_slice(&self.open);
        write_head(event, &self.value, block);
    }

    /// Appends the rest of structured data, and the text.
    pub(super) fn put(&mut self, event: &Event, sink: &mut Sink, counters: &mut FormatCounters) {
        put_identity(event, &mut self.id, &self.value, &self.partition, sink);
        put_fields(event, &mut self.keys, &self.value, sink, counters);
        self.sequence_id = if self.sequence_id >= MAX_SEQUENCE_ID { 1 } else { self.sequence_id + 1 };
        sink.put(b"][meta sequenceId=\"");
        sink.put_number(self.sequence_id);
        sink.put(b"\"] ");
        if self.bom {
            sink.put(BOM);
        }
        // What had to be replaced was counted in the structured data already.
        self.put_text(event, sink);
    }

    /// Name and the fields that a person asks for first: `Authority failure: user BOB, object PAYROLL/EMP *FILE`.
    fn put_text(&self, event: &Event, sink: &mut Sink) {
        let mut ignored = FormatCounters::default();
        let mut put = |text: &str, sink: &mut Sink| self.text.put(text.as_bytes(), sink, &mut ignored);
        if event.name.is_empty() {
            let mut id = Vec::new();
            event.kind.write_event_id(&mut id);
            sink.put(&id);
        } else {
            put(event.name, sink);
        }
        let mut separator = ": ";
        for part in PARTS {
            let mut values =
                part.fields.iter().filter_map(|(before, id)| Some((before, event.get(*id)?))).peekable();
            if values.peek().is_none() {
                continue;
            }
            sink.put(separator.as_bytes());
            sink.put(part.label.as_bytes());
            for (position, (before, value)) in values.enumerate() {
                sink.put(if position == 0 { " " } else { before }.as_bytes());
                put(value, sink);
            }
            separator = ", ";
        }
    }
}

/// One part of the text: a label, and fields with what stands before each unless it comes first.
struct Part {
    label: &'static str,
    fields: &'static [(&'static str, FieldId)],
}

const PARTS: [Part; 8] = [
    Part { label: "user", fields: &[(" ", field::USER)] },
    Part { label: "target user", fields: &[(" ", field::TARGET_USER)] },
    Part {
        label: "object",
        fields: &[(" ", field::OBJECT_LIBRARY), ("/", field::OBJECT_NAME), (" ", field::OBJECT_TYPE)],
    },
    Part { label: "path", fields: &[(" ", field::PATH)] },
    Part {
        label: "job",
        fields: &[(" ", field::JOB_NUMBER), ("/", field::JOB_USER), ("/", field::JOB_NAME)],
    },
    Part { label: "program", fields: &[(" ", field::PROGRAM_LIBRARY), ("/", field::PROGRAM_NAME)] },
    Part { label: "from", fields: &[(" ", field::REMOTE_ADDRESS), (" port ", field::REMOTE_PORT)] },
    Part { label: "message", fields: &[(" ", field::MESSAGE)] },
];

/// Appends the pairs that depend on kind, severity and name of the event only, each with a blank before it.
pub(super) fn write_head(event: &Event, value: &Escape, block: &mut Vec<u8>) {
    block.extend_from_slice(b" event=\"");
    event.kind.write_event_id(block);
    if !event.name.is_empty() {
        block.extend_from_slice(b"\" event_name=\"");
        block.extend_from_slice(&value.apply(event.name));
    }
    block.extend_from_slice(b"\" category=\"");
    block.extend_from_slice(event.kind.source().as_str().as_bytes());
    block.extend_from_slice(b"\" severity=\"");
    block.extend_from_slice(itoa::Buffer::new().format(event.severity.get()).as_bytes());
    block.push(b'"');
}

/// What says which partition it is.
pub(super) fn partition_params(partition: &Partition, value: &Escape) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, text) in super::partition_facts(partition) {
        out.push(b' ');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"=\"");
        out.extend_from_slice(&value.apply(&text));
        out.push(b'"');
    }
    out
}

/// Keywords as names of parameters.
pub(super) fn naming(row: &FieldDef) -> Naming {
    Naming {
        name: short(&row.keyword, MAX_NAME),
        meaning: format!("{}_text", short(&row.keyword, MAX_NAME - "_text".len())),
        own: short(&row.keyword, MAX_NAME),
        ..Naming::default()
    }
}

/// A keyword of at most `limit` characters. Longer ones lose vowels from the end, then their end: readable
/// still, and the same in every release.
fn short(keyword: &str, limit: usize) -> String {
    let mut name = keyword.to_owned();
    while name.len() > limit
        && let Some(vowel) = name.rfind(['a', 'e', 'i', 'o', 'u']).filter(|position| *position > 0)
    {
        name.remove(vowel);
    }
    name.truncate(limit);
    name
}
