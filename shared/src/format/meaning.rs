//! Meanings of coded values with the key before them, kept ready: the same ones come again and again.

use super::FormatCounters;
use super::escape::Escape;
use super::key::{Key, KeyTable};
use super::sink::{BLOCK, Sink};
use crate::event::FieldId;

/// Number of pairs kept. A busy partition has some fifty in use; two that share a place cost a rebuild,
/// nothing else.
const PLACES: usize = 512;

/// Blocks of one pair; longer ones are put together each time.
const BLOCKS: usize = 2;

/// `^violationTypeText=not authorized to object`: a field and its meaning, the text of which needs no change.
#[derive(Debug, Clone)]
struct Pair {
    id: FieldId,
    meaning: &'static str,
    key: Key,
    size: usize,
    blocks: [[u8; BLOCK]; BLOCKS],
}

/// Pairs by field and text.
#[derive(Debug)]
pub(super) struct MeaningPairs {
    places: Vec<Option<Pair>>,
}

impl MeaningPairs {
    pub(super) fn new() -> Self {
        Self { places: vec![None; PLACES] }
    }

    /// Appends the meaning of a field behind its key.
    #[inline]
    pub(super) fn put(
        &mut self,
        id: FieldId,
        meaning: &'static str,
        keys: &mut KeyTable,
        escape: &Escape,
        sink: &mut Sink,
        counters: &mut FormatCounters,
    ) {
        // Texts lie one behind the other, so their addresses spread well.
        let place = &mut self.places[(meaning.as_ptr().addr() ^ (usize::from(id.0) << 3)) % PLACES];
        if let Some(pair) = place
            && pair.id == id
            && std::ptr::eq(pair.meaning, meaning)
            && keys.claim(pair.key)
        {
            sink.put_blocks(&pair.blocks, pair.size);
            return;
        }
        let Some(key) = keys.field(id).map(|field| field.meaning) else { return };
        let start = sink.as_bytes().len();
        let first = keys.put(key, sink);
        escape.put(meaning.as_bytes(), sink, counters);
        // Only what stands in every event in the same way is kept: no number behind the key, nothing replaced.
        if first && escape.is_clean(meaning.as_bytes()) {
            let text = &sink.as_bytes()[start..];
            let mut blocks = [[0; BLOCK]; BLOCKS];
            if let Some(room) = blocks.as_flattened_mut().get_mut(..text.len()) {
                room.copy_from_slice(text);
                *place = Some(Pair { id, meaning, key, size: text.len(), blocks });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::{Around, Naming, OwnKeys};
    use super::*;
    use crate::event::field;

    #[test]
    fn pairs_that_are_kept_are_those_put_together() {
        let around = Around { before: b"", delimiter: Some(b'^'), after: b"=" };
        let naming = |row: &crate::event::FieldDef| Naming {
            name: row.leef.clone(),
            // Two fields that share a key, so that the second one gets a number.
            meaning: if row.keyword == "reason" {
                "userText".to_owned()
            } else {
                format!("{}Text", row.keyword)
            },
            own: row.keyword.clone(),
            ..Naming::default()
        };
        let mut keys = KeyTable::new(around, OwnKeys::Camel, &[], naming);
        let (mut pairs, escape) = (MeaningPairs::new(), Escape::replacing(b"^"));
        let long = "a meaning that has more bytes than two blocks can hold, as some few of the table do";
        for (round, substitutions) in (0..3).zip(1..) {
            let (mut sink, mut counters) = (Sink::new(), FormatCounters::default());
            counters.substitutions = round;
            keys.begin();
            for (id, meaning) in [
                (field::USER, "plain"),
                (field::REASON, "plain"),
                (field::JOB_NAME, "with ^ in it"),
                (field::JOB_USER, long),
                (FieldId(u16::MAX), "of no field"),
            ] {
                pairs.put(id, meaning, &mut keys, &escape, &mut sink, &mut counters);
            }
            let expected =
                format!("^userText=plain^userText2=plain^job_nameText=with   in it^job_userText={long}");
            assert_eq!(String::from_utf8_lossy(sink.as_bytes()), expected);
            assert_eq!(counters.substitutions, substitutions);
        }
    }
}
