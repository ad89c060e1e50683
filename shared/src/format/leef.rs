//! LEEF 1.0 and 2.0 (QRadar). There is no escaping: a delimiter, line end or other control byte in a value
//! becomes a space and is counted.

use super::clock;
use super::escape::{Escape, cut};
use super::head::IdPrefix;
use super::key::{Around, Fit, KeyTable, Naming, OwnKeys, camel, fit, own_pair};
use super::meaning::MeaningPairs;
use super::sink::{BLOCK, Sink};
use super::{FormatContext, FormatCounters, PRODUCT, VENDOR};
use crate::event::{Event, Field, FieldDef, FieldType};
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
/// Addresses remembered.
const ADDRESSES: usize = 256;
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
    meanings: MeaningPairs,
    /// Addresses seen of late, each at a place that depends on its end; empty where none was.
    addresses: Vec<String>,
}

/// The head's keys with their delimiters.
#[derive(Debug)]
struct HeadKeys {
    dev_time: Short,
    sev: Vec<u8>,
    name: Vec<u8>,
    id: Vec<u8>,
    sequence: Short,
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
                dev_time: Short::of(&named("devTime")),
                sev: named("sev"),
                name: named("eventName"),
                id: named("eventId"),
                sequence: Short::of(&named("sequence")),
            },
            value,
            keys: KeyTable::new(around, OwnKeys::Camel, &HEAD, naming),
            id: IdPrefix::default(),
            meanings: MeaningPairs::new(),
            addresses: vec![String::new(); ADDRESSES],
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
            sink.put_pair(self.names.dev_time.block(), digits(milliseconds).block());
        }
        let sequence = digits(event.sequence);
        self.id.put_front(event, &self.names.id, &self.value, sink);
        sink.put_pair(sequence.block(), self.names.sequence.block());
        sink.put_padded(sequence.block().0, sequence.block().1);
        sink.put(&self.partition);
        let clean = self.value.is_clean(event.all_text().as_bytes());
        self.keys.begin();
        for field in event.fields() {
            // Nearly every field of nearly every event is clean and short.
            let done = clean && self.keys.put_plain(field.id, event.bytes_from(field), sink);
            if !done {
                self.put_value(event, field, clean, sink, counters);
            }
            if let Some(meaning) = field.meaning {
                self.meanings.put(field.id, meaning, &mut self.keys, &self.value, sink, counters);
            }
        }
    }

    /// Whether a value has the type that its key demands. Addresses come again and again, and reading one
    /// costs more than anything else about a field.
    fn fits(&mut self, text: &str, demanded: FieldType) -> bool {
        if demanded != FieldType::Address {
            return fit(text, demanded, false) == Fit::Value;
        }
        let mixed = text.bytes().rev().take(4).fold(text.len(), |mixed, byte| mixed * 31 + usize::from(byte));
        let known = &mut self.addresses[mixed % ADDRESSES];
        if known.as_str() == text {
            return true;
        }
        let fits = fit(text, demanded, false) == Fit::Value;
        if fits {
            // Nothing longer than 45 bytes is an address.
            known.clear();
            known.push_str(text);
        }
        fits
    }

    /// Appends key and value of a field that needs a closer look.
    #[inline(never)]
    fn put_value(
        &mut self,
        event: &Event,
        field: &Field,
        clean: bool,
        sink: &mut Sink,
        counters: &mut FormatCounters,
    ) {
        let Some(key) = self.keys.field(field.id).copied() else { return };
        let mut text = event.text(field);
        if key.pair {
            let (name, value) = own_pair(text);
            if !value.is_empty() {
                self.keys.put_own(name, sink);
                self.value.put(value.as_bytes(), sink, counters);
            }
            return;
        }
        let mut value_key = key.value;
        if !key.plain {
            if let Some(demanded) = key.check
                && !self.fits(text, demanded)
            {
                value_key = key.own;
            }
            text = cut(text, key.limit, counters);
        }
        self.keys.put(value_key, sink);
        if clean && key.plain {
            sink.put_front(event.bytes_from(field));
        } else if clean {
            sink.put(text.as_bytes());
        } else {
            self.value.put(text.as_bytes(), sink, counters);
        }
    }
}

/// A text of at most a block.
#[derive(Debug)]
struct Short {
    block: [u8; BLOCK],
    size: usize,
}

impl Short {
    fn of(text: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        let size = text.len().min(BLOCK);
        block[..size].copy_from_slice(&text[..size]);
        Self { block, size }
    }

    fn block(&self) -> (&[u8; BLOCK], usize) {
        (&self.block, self.size)
    }
}

/// A whole number, which has at most 20 digits.
fn digits(number: impl itoa::Integer) -> Short {
    Short::of(itoa::Buffer::new().format(number).as_bytes())
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
