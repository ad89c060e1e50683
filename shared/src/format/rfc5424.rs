//! RFC 5424 with structured data: `[muster@32473 event="AF_A" …][meta sequenceId="1"] text for people`.

use super::escape::Escape;
use super::header::BOM;
use super::key::{Around, KeyTable, Naming};
use super::rfc3164::write_fields;
use super::{APP_NAME, ENTERPRISE_NUMBER, FormatContext, FormatCounters};
use crate::event::{Event, EventKind, FieldDef, FieldId, field};
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
            keys: KeyTable::new(Around { before: b" ", delimiter: None, after: b"=\"" }, &HEAD, naming),
            bom,
            sequence_id: 0,
        }
    }

    pub(super) fn write(&mut self, event: &Event, out: &mut Vec<u8>, counters: &mut FormatCounters) {
        out.extend_from_slice(&self.open);
        write_head(event, &self.value, out, counters);
        out.extend_from_slice(&self.partition);
        write_fields(event, &mut self.keys, &self.value, out, counters);
        self.sequence_id = if self.sequence_id >= MAX_SEQUENCE_ID { 1 } else { self.sequence_id + 1 };
        out.extend_from_slice(b"][meta sequenceId=\"");
        out.extend_from_slice(itoa::Buffer::new().format(self.sequence_id).as_bytes());
        out.extend_from_slice(b"\"] ");
        if self.bom {
            out.extend_from_slice(BOM);
        }
        // What had to be replaced was counted in the structured data already.
        self.write_text(event, out);
    }

    /// Name and the fields that a person asks for first: `Authority failure: user BOB, object PAYROLL/EMP *FILE`.
    fn write_text(&self, event: &Event, out: &mut Vec<u8>) {
        let mut ignored = FormatCounters::default();
        let mut put = |text: &str, out: &mut Vec<u8>| self.text.write(text.as_bytes(), out, &mut ignored);
        if event.name.is_empty() {
            event.kind.write_event_id(out);
        } else {
            put(event.name, out);
        }
        let mut separator = ": ";
        for part in PARTS {
            let mut values =
                part.fields.iter().filter_map(|(before, id)| Some((before, event.get(*id)?))).peekable();
            if values.peek().is_none() {
                continue;
            }
            out.extend_from_slice(separator.as_bytes());
            out.extend_from_slice(part.label.as_bytes());
            for (position, (before, value)) in values.enumerate() {
                out.extend_from_slice(if position == 0 { " " } else { before }.as_bytes());
                put(value, out);
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

/// Appends the pairs that every message has, each with a blank before it.
pub(super) fn write_head(event: &Event, value: &Escape, out: &mut Vec<u8>, counters: &mut FormatCounters) {
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(b" event=\"");
    event.kind.write_event_id(out);
    if !event.name.is_empty() {
        out.extend_from_slice(b"\" event_name=\"");
        value.write(event.name.as_bytes(), out, counters);
    }
    out.extend_from_slice(match event.kind {
        EventKind::Audit { .. } => b"\" category=\"audit_journal",
        EventKind::Agent(_) => b"\" category=\"agent",
    });
    out.extend_from_slice(b"\" severity=\"");
    out.extend_from_slice(number.format(event.severity.get()).as_bytes());
    out.extend_from_slice(b"\" event_id=\"");
    value.write(event.id_prefix.as_bytes(), out, counters);
    out.extend_from_slice(number.format(event.sequence).as_bytes());
    out.extend_from_slice(b"\" sequence=\"");
    out.extend_from_slice(number.format(event.sequence).as_bytes());
    out.push(b'"');
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
