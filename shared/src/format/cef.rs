//! CEF:0 (ArcSight, Sentinel, Splunk, Elastic). Version 0 because common readers refuse 1.

use super::clock;
use super::escape::{Escape, cut};
use super::header::host;
use super::key::{Around, FieldKey, Fit, Key, KeyTable, Naming, OwnKeys, Piece, camel, fit, own_pair};
use super::sink::Sink;
use super::{FormatContext, FormatCounters, PRODUCT, VENDOR};
use crate::event::{Event, FieldDef, FieldType};
use crate::partition::Partition;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Most characters of the header's fields and of keys that we write ourselves.
const MAX_VERSION: usize = 31;
const MAX_NAME: usize = 512;
const MAX_DVCHOST: usize = 100;
const MAX_EXTERNAL_ID: usize = 40;
const MAX_DEVICE_EXTERNAL_ID: usize = 255;

/// Keys that every message of ours begins with.
const HEAD: [&str; 11] = [
    "rt",
    "cat",
    "dvchost",
    "deviceExternalId",
    "externalId",
    "musterEventId",
    "sequence",
    "systemName",
    "serialNumber",
    "partitionId",
    "osRelease",
];

/// Writes CEF payloads.
#[derive(Debug)]
pub(super) struct CefWriter {
    /// `CEF:0|Muster|IBM i|0.1.0|`.
    head: Vec<u8>,
    /// One space between the last pipe and the first key, for liblognorm 2.0.6, or nothing.
    lead: &'static [u8],
    /// ` dvchost=… systemName=… `: the same in every event.
    partition: Vec<u8>,
    header_text: Escape,
    value: Escape,
    keys: KeyTable,
    id: ExternalId,
}

impl CefWriter {
    pub(super) fn new(ctx: &FormatContext, space: bool) -> Self {
        let header_text = Escape::backslash(br"\|");
        let value = Escape::cef_value();
        let mut ignored = FormatCounters::default();
        let mut head = format!("CEF:0|{VENDOR}|{PRODUCT}|").into_bytes();
        head.extend_from_slice(&header_text.apply(cut(&ctx.product_version, MAX_VERSION, &mut ignored)));
        head.push(b'|');
        let around = Around { before: b" ", delimiter: None, after: b"=" };
        Self {
            head,
            lead: if space { b" " } else { b"" },
            partition: partition_pairs(&ctx.partition, &value),
            header_text,
            value,
            keys: KeyTable::new(around, OwnKeys::Camel, &HEAD, naming),
            id: ExternalId::default(),
        }
    }

    /// Appends what depends on kind, severity and name of the event only.
    pub(super) fn write_block(&self, event: &Event, block: &mut Vec<u8>) {
        block.extend_from_slice(&self.head);
        event.kind.write_event_id(block);
        block.push(b'|');
        let name = cut(event.name, MAX_NAME, &mut FormatCounters::default());
        block.extend_from_slice(&self.header_text.apply(name));
        block.push(b'|');
        block.extend_from_slice(itoa::Buffer::new().format(event.severity.get()).as_bytes());
        block.push(b'|');
        block.extend_from_slice(self.lead);
        block.extend_from_slice(b"cat=");
        block.extend_from_slice(event.kind.source().as_str().as_bytes());
    }

    /// Appends the rest of the payload.
    pub(super) fn put(&mut self, event: &Event, sink: &mut Sink, counters: &mut FormatCounters) {
        if let Some(milliseconds) = clock::epoch_milliseconds(event.time_us) {
            sink.put(b" rt=");
            sink.put_number(milliseconds);
        }
        self.id.put(event, &self.value, sink);
        sink.put(b" sequence=");
        sink.put_number(event.sequence);
        sink.put(&self.partition);
        let clean = self.value.is_clean(event.all_text().as_bytes());
        self.keys.begin();
        for field in event.fields() {
            let Some(key) = self.keys.field(field.id).copied() else { continue };
            // Blanks at the end of the last value are lost anyway; readers trim the others as they like.
            let text =
                cut(event.text(field).trim_matches(blank), key.limit, counters).trim_end_matches(blank);
            if text.is_empty() {
                continue;
            }
            let (text, label) = if key.plain {
                self.keys.put(key.value, sink);
                (text, None)
            } else if key.pair {
                let (name, value) = own_pair(text);
                let value = value.trim_start_matches(blank);
                if value.is_empty() {
                    continue;
                }
                self.keys.put_own(name, sink);
                (value, None)
            } else {
                let (value_key, label) = self.choose(&key, text);
                self.keys.put(value_key, sink);
                (text, label)
            };
            if clean {
                sink.put(text.as_bytes());
            } else {
                self.value.put(text.as_bytes(), sink, counters);
            }
            if let Some(label) = label {
                self.keys.put_piece(label, sink);
            }
            if let Some(meaning) = field.meaning {
                self.keys.put(key.meaning, sink);
                self.value.put(meaning.as_bytes(), sink, counters);
            }
        }
    }

    /// Key for a value, and the label pair that follows it.
    fn choose(&self, key: &FieldKey, text: &str) -> (Key, Option<Piece>) {
        let fits = key.check.map_or(Fit::Value, |demanded| fit(text, demanded, key.ipv6.is_some()));
        match (fits, key.ipv6) {
            (Fit::Ipv6, Some((ipv6, label))) if !self.keys.is_used(ipv6) => (ipv6, Some(label)),
            (Fit::Value, _) if key.label.is_none() || !self.keys.is_used(key.value) => (key.value, key.label),
            // A custom string that is taken by another field, or a value of the wrong type.
            (Fit::Value | Fit::Ipv6 | Fit::Own, _) => (key.own, None),
        }
    }
}

/// What is, or becomes, a space; line ends do not, they are escaped.
const fn blank(c: char) -> bool {
    c == ' ' || (c.is_ascii_control() && c != '\n' && c != '\r')
}

/// `externalId` and, where the stable id is longer than the 40 characters that the key may hold,
/// `musterEventId`.
///
/// A long id is not cut, which would make ids equal: `externalId` then holds the first 16 hexadecimal
/// digits of the SHA-256 of the id's front part, a dash and the sequence number, and the id itself stands
/// under `musterEventId`. The front part is the same for all entries of a journal receiver, so its digest is
/// kept.
#[derive(Debug, Default)]
struct ExternalId {
    prefix: Option<Arc<str>>,
    digest: [u8; 16],
    /// ` musterEventId=` and the front part, escaped.
    long: Vec<u8>,
}

impl ExternalId {
    fn put(&mut self, event: &Event, value: &Escape, sink: &mut Sink) {
        let known = self
            .prefix
            .as_ref()
            .is_some_and(|prefix| Arc::ptr_eq(prefix, &event.id_prefix) || *prefix == event.id_prefix);
        if !known {
            self.prepare(&event.id_prefix, value);
        }
        let mut number = itoa::Buffer::new();
        let sequence = number.format(event.sequence).as_bytes();
        sink.put(b" externalId=");
        if event.id_prefix.len() + sequence.len() <= MAX_EXTERNAL_ID {
            sink.put(&self.long[LONG_KEY.len()..]);
            sink.put(sequence);
        } else {
            sink.put(&self.digest);
            sink.push(b'-');
            sink.put(sequence);
            sink.put(&self.long);
            sink.put(sequence);
        }
    }

    #[cold]
    fn prepare(&mut self, prefix: &Arc<str>, value: &Escape) {
        let digest = Sha256::digest(prefix.as_bytes());
        for (pair, byte) in self.digest.chunks_exact_mut(2).zip(digest.iter()) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        self.long.clear();
        self.long.extend_from_slice(LONG_KEY);
        self.long.extend_from_slice(&value.apply(prefix));
        self.prefix = Some(Arc::clone(prefix));
    }
}

const LONG_KEY: &[u8] = b" musterEventId=";

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// What says which partition it is.
fn partition_pairs(partition: &Partition, value: &Escape) -> Vec<u8> {
    let mut ignored = FormatCounters::default();
    let mut out = Vec::new();
    let mut pair = |key: &str, text: &str, limit: usize| {
        let text = cut(text.trim_matches(blank), limit, &mut ignored).trim_end_matches(blank);
        if !text.is_empty() {
            out.push(b' ');
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            out.extend_from_slice(&value.apply(text));
        }
    };
    pair("dvchost", &host(partition).unwrap_or_default(), MAX_DVCHOST);
    if !partition.serial_number.is_empty() {
        pair("deviceExternalId", &partition.key(), MAX_DEVICE_EXTERNAL_ID);
    }
    for (key, text) in super::partition_facts(partition) {
        pair(&camel(key), &text, 0);
    }
    out
}

pub(super) fn naming(row: &FieldDef) -> Naming {
    // Own keys hold letters and digits in lower and upper case and no limit; keys of the standard that hold
    // numbers or addresses are checked.
    let typed = matches!(row.field_type, FieldType::Address | FieldType::Integer);
    let standard = TYPED.contains(&row.cef.as_str());
    let labelled = !row.cef_label.is_empty();
    let own = if labelled { row.cef_label.clone() } else { camel(&row.keyword) };
    Naming {
        name: row.cef.clone(),
        meaning: format!("{}Text", if labelled { &row.cef_label } else { &row.cef }),
        label: if labelled { format!(" {}Label={}", row.cef, row.cef_label) } else { String::new() },
        own,
        ipv6: match row.cef.as_str() {
            "src" => Some(("c6a2", " c6a2Label=Source IPv6 Address")),
            "dst" => Some(("c6a3", " c6a3Label=Destination IPv6 Address")),
            "dvc" => Some(("c6a1", " c6a1Label=Device IPv6 Address")),
            _ => None,
        },
        strict: standard && typed,
        limit: row.cef_max,
    }
}

/// Keys of the standard that hold addresses or whole numbers only.
const TYPED: [&str; 19] = [
    "src",
    "dst",
    "dvc",
    "spt",
    "dpt",
    "cnt",
    "in",
    "out",
    "spid",
    "dpid",
    "dvcpid",
    "fsize",
    "oldFileSize",
    "sourceTranslatedAddress",
    "destinationTranslatedAddress",
    "sourceTranslatedPort",
    "destinationTranslatedPort",
    "cn1",
    "cn2",
];
