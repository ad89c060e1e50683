//! Pieces that vary seldom, kept ready: one block per kind of event, and the front part of the stable id.

use super::escape::Escape;
use super::sink::Sink;
use crate::event::{Event, EventKind};
use crate::severity::Severity;
use std::sync::Arc;

/// Number of blocks kept, each at one of two places. A busy partition writes some thirty kinds of event;
/// three that share both places cost rebuilds, nothing else.
const PLACES: usize = 256;

/// What a block depends on.
#[derive(Debug, Clone, Copy)]
struct BlockKey {
    kind: EventKind,
    severity: Severity,
    name: &'static str,
}

/// Blocks of text by kind, severity and name of the event.
#[derive(Debug)]
pub(super) struct BlockCache {
    places: Vec<Option<(BlockKey, Vec<u8>)>>,
}

impl BlockCache {
    pub(super) fn new() -> Self {
        Self { places: vec![None; PLACES] }
    }

    /// The block of an event; `build` writes it where it is not there.
    pub(super) fn get(&mut self, event: &Event, build: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let first = place(event);
        // Two kinds that come again and again must not rebuild each other's block: that is some 5,000
        // instructions.
        let second = first ^ 1;
        let place = if !self.holds(first, event) && self.holds(second, event) { second } else { first };
        if !self.holds(place, event) {
            self.places.swap(first, second);
            let mut block = Vec::with_capacity(128);
            build(&mut block);
            let key = BlockKey { kind: event.kind, severity: event.severity, name: event.name };
            self.places[first] = Some((key, block));
        }
        self.places[place].as_ref().map_or(&[], |(_, block)| block)
    }

    #[inline]
    fn holds(&self, place: usize, event: &Event) -> bool {
        self.places[place].as_ref().is_some_and(|(key, _)| {
            key.kind == event.kind
                && key.severity == event.severity
                && key.name.len() == event.name.len()
                && (std::ptr::eq(key.name, event.name) || key.name == event.name)
        })
    }
}

fn place(event: &Event) -> usize {
    let kind = match event.kind {
        EventKind::Audit { code, entry_type: [a, b], subtype } => u32::from_le_bytes([code, a, b, subtype]),
        EventKind::Message { origin, id } => {
            let [_, _, _, a, b, c, d] = id.0;
            u32::from_le_bytes([a, b, c, d]) ^ origin as u32
        }
        EventKind::Queued(format) => 0x100 | format as u32,
        // Many actions are alike in severity and length, so the row itself tells them apart.
        EventKind::Exit(action) => std::ptr::from_ref(action).addr() as u32,
        EventKind::Controller(action) => u32::from(action.severity) << 8 | action.id.len() as u32,
        EventKind::Agent(event) => event as u32,
    };
    // The upper bits of the product depend on all bits of the number.
    let mixed = (kind ^ u32::from(event.severity.get()) << 4).wrapping_mul(0x9E37_79B1);
    (mixed >> 16) as usize % PLACES
}

/// The front part of the stable id behind its key, escaped: the same for all entries of a journal receiver.
#[derive(Debug, Default)]
pub(super) struct IdPrefix {
    prefix: Option<Arc<str>>,
    text: Vec<u8>,
}

impl IdPrefix {
    /// Appends `key` and the id of an event: prefix and sequence number.
    pub(super) fn put(&mut self, event: &Event, key: &[u8], value: &Escape, sink: &mut Sink) {
        self.put_front(event, key, value, sink);
        sink.put_number(event.sequence);
    }

    /// As [`IdPrefix::put`], without the sequence number, which the caller appends.
    pub(super) fn put_front(&mut self, event: &Event, key: &[u8], value: &Escape, sink: &mut Sink) {
        let known = self
            .prefix
            .as_ref()
            .is_some_and(|prefix| Arc::ptr_eq(prefix, &event.id_prefix) || *prefix == event.id_prefix);
        if !known {
            self.text = [key, &value.apply(&event.id_prefix)].concat();
            self.prefix = Some(Arc::clone(&event.id_prefix));
        }
        sink.put(&self.text);
    }
}
