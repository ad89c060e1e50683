//! LEEF 1.0 and 2.0 (QRadar). There is no escaping: a delimiter, line end or other control byte in a value
//! becomes a space and is counted.

use super::clock;
use super::escape::{CleanTexts, Escape, cut};
use super::head::IdPrefix;
use super::key::{Around, Fit, KeyTable, Naming, camel, fit};
use super::sink::Sink;
use super::{FormatContext, FormatCounters, PRODUCT, VENDOR};
use crate::event::{Event, FieldDef, FieldType};
use crate::partition::Partition;

/// Keys that LEEF defines; strings under them hold at most 255 characters.
pub(super) const PREDEFINED: [&str; 45] = [
    "cat",
    "devTime",
    "devTimeFormat",
    "proto",
    "sev",
    "src",
    "dst",
    "srcPort",
    "dstPort",
    "srcPreNAT",
    "dstPreNAT",
    "srcPostNAT",
    "dstPostNAT",
    "usrName",
    "srcMAC",
    "dstMAC",
    "srcPreNATPort",
    "dstPreNATPort",
    "srcPostNATPort",
    "dstPostNATPort",
    "identSrc",
    "identHostName",
    "identNetBios",
    "identGrpName",
    "identMAC",
    "vSrc",
    "vSrcName",
    "accountName",
    "srcBytes",
    "dstBytes",
    "srcPackets",
    "dstPackets",
    "totalPackets",
    "role",
    "realm",
    "policy",
    "resource",
    "url",
    "groupID",
    "domain",
    "isLoginEvent",
    "isLogoutEvent",
    "identSecondlp",
    "calLanguage",
    "calCountryOrRegion",
];

/// Keys that every message of ours begins with.
const HEAD: [&str; 10] = [
    "cat",
    "devTime",
    "sev",
    "eventName",
    "eventId",
    "sequence",
    "systemName",
    "serialNumber",
    "partitionId",
    "osRelease",
];
/// Most characters of a predefined string key.
const MAX_PREDEFINED: usize = 255;

/// Writes LEEF payloads.
#[derive(Debug)]
pub(super) struct LeefWriter {
    /// `LEEF:2.0|Muster|IBM i|0.1.0|`.
    head: Vec<u8>,
    /// What stands between event id and attributes: `|` or `|^|`.
    after_id: Vec<u8>,
    /// `^systemName=PROD01^serialNumber=…`: the same in every event.
    partition: Vec<u8>,
    names: HeadKeys,
    value: Escape,
    keys: KeyTable,
    id: IdPrefix,
    meanings: CleanTexts,
}

/// The head's keys with their delimiters.
#[derive(Debug)]
struct HeadKeys {
    dev_time: Vec<u8>,
    sev: Vec<u8>,
    name: Vec<u8>,
    id: Vec<u8>,
    sequence: Vec<u8>,
}

impl LeefWriter {
    /// LEEF 1.0: TAB between attributes.
    pub(super) fn version_1(ctx: &FormatContext) -> Self {
        Self::new(ctx, "1.0", b'\t', b"|".to_vec())
    }

    /// LEEF 2.0 with a chosen delimiter, which the header names: itself, or hexadecimal for a control byte.
    pub(super) fn version_2(ctx: &FormatContext, delimiter: u8) -> Self {
        let shown = if delimiter.is_ascii_control() {
            format!("|x{delimiter:02X}|")
        } else {
            format!("|{}|", char::from(delimiter))
        };
        Self::new(ctx, "2.0", delimiter, shown.into_bytes())
    }

    fn new(ctx: &FormatContext, version: &str, delimiter: u8, after_id: Vec<u8>) -> Self {
        let header_text = Escape::replacing(b"|");
        let value = Escape::replacing(&[delimiter]);
        let mut head = format!("LEEF:{version}|{VENDOR}|{PRODUCT}|").into_bytes();
        head.extend_from_slice(&header_text.apply(&ctx.product_version));
        head.push(b'|');
        let around = Around { before: b"", delimiter: Some(delimiter), after: b"=" };
        let named = |name: &str| [&[delimiter], name.as_bytes(), b"="].concat();
        Self {
            head,
            after_id,
            partition: partition_pairs(&ctx.partition, delimiter, &value),
            names: HeadKeys {
                dev_time: named("devTime"),
                sev: named("sev"),
                name: named("eventName"),
                id: named("eventId"),
                sequence: named("sequence"),
            },
            value,
            keys: KeyTable::new(around, &HEAD, naming),
            id: IdPrefix::default(),
            meanings: CleanTexts::default(),
        }
    }

    /// Appends what depends on kind, severity and name of the event only.
    pub(super) fn write_block(&self, event: &Event, block: &mut Vec<u8>) {
        block.extend_from_slice(&self.head);
        event.kind.write_event_id(block);
        block.extend_from_slice(&self.after_id);
        block.extend_from_slice(b"cat=");
        block.extend_from_slice(event.kind.source().as_str().as_bytes());
        block.extend_from_slice(&self.names.sev);
        block.extend_from_slice(itoa::Buffer::new().format(event.severity.get()).as_bytes());
        if !event.name.is_empty() {
            block.extend_from_slice(&self.names.name);
            block.extend_from_slice(&self.value.apply(event.name));
        }
    }

    /// Appends the rest of the payload.
    pub(super) fn put(&mut self, event: &Event, sink: &mut Sink, counters: &mut FormatCounters) {
        if let Some(milliseconds) = clock::epoch_milliseconds(event.time_us) {
            sink.put(&self.names.dev_time);
            sink.put_number(milliseconds);
        }
        let mut digits = itoa::Buffer::new();
        let sequence = digits.format(event.sequence).as_bytes();
        self.id.put_front(event, &self.names.id, &self.value, sink);
        sink.put(sequence);
        sink.put(&self.names.sequence);
        sink.put(sequence);
        sink.put(&self.partition);
        let clean = self.value.is_clean(event.all_text().as_bytes());
        self.keys.begin();
        for field in event.fields() {
            let Some(key) = self.keys.field(field.id) else { continue };
            let mut text = event.text(field);
            let (mut value_key, meaning_key, plain) = (key.value, key.meaning, key.plain);
            if !plain {
                if let Some(demanded) = key.check
                    && fit(text, demanded, false) != Fit::Value
                {
                    value_key = key.own;
                }
                text = cut(text, key.limit, counters);
            }
            self.keys.put(value_key, sink);
            if clean && plain {
                sink.put_front(event.bytes_from(field));
            } else if clean {
                sink.put(text.as_bytes());
            } else {
                self.value.put(text.as_bytes(), sink, counters);
            }
            if let Some(meaning) = field.meaning {
                self.keys.put(meaning_key, sink);
                self.meanings.put(meaning, &self.value, sink, counters);
            }
        }
    }
}

/// What says which partition it is; facts that are not known are left out.
fn partition_pairs(partition: &Partition, delimiter: u8, value: &Escape) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, text) in super::partition_facts(partition) {
        out.push(delimiter);
        out.extend_from_slice(camel(key).as_bytes());
        out.push(b'=');
        out.extend_from_slice(&value.apply(&text));
    }
    out
}

pub(super) fn naming(row: &FieldDef) -> Naming {
    let predefined = PREDEFINED.contains(&row.leef.as_str());
    let typed = matches!(row.field_type, FieldType::Address | FieldType::Integer);
    Naming {
        name: row.leef.clone(),
        meaning: format!("{}Text", row.leef),
        own: camel(&row.keyword),
        label: String::new(),
        ipv6: None,
        // Only readers of predefined keys insist on a type; our own keys may hold anything.
        strict: predefined && typed,
        limit: if predefined && row.field_type == FieldType::Text { MAX_PREDEFINED } else { 0 },
    }
}
