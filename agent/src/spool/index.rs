//! Pure: which segments a spool has, what may be deleted of them, and where a reader goes on.

use super::format::{HEADER, SpoolId};

/// Places that are remembered: one for each destination that reads at a place of its own.
const MAX_PLACES: usize = 64;

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Number of its first entry.
    pub first: u64,
    /// Bytes of it that are on disk for certain, header included.
    pub length: u64,
    /// Something in it cannot be read: it is put aside instead of deleted.
    pub damaged: bool,
}

/// The segments, oldest first; the last one is written to. There is always one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    segments: Vec<Segment>,
    /// Number that the next entry gets.
    pub next: u64,
    /// Up to this number everything was taken out of the queue.
    pub mark: u64,
    /// Where the entry behind a number begins: number, first entry of the segment, offset.
    places: Vec<(u64, u64, u64)>,
}

/// Where to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In this segment.
    In {
        /// First entry of the segment: its name.
        segment: u64,
        /// Where to begin.
        offset: u64,
        /// Number of the entry there.
        expected: u64,
        /// What of the segment can be read.
        length: u64,
        /// Number of the first entry behind the segment.
        end: u64,
    },
    /// The entries up to this number are gone.
    Gone {
        /// Last one.
        to: u64,
    },
    /// There is nothing yet.
    Nothing,
    /// The reader is beyond the last entry.
    Ahead {
        /// Number of the last entry.
        last: u64,
    },
}

impl Index {
    pub(super) fn new(segments: Vec<Segment>, next: u64, mark: u64) -> Self {
        Self { segments, next, mark, places: Vec::new() }
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Number of the oldest entry that is there, or of the one that will be.
    pub(super) fn first(&self) -> u64 {
        self.segments.first().map_or(self.next, |segment| segment.first)
    }

    /// The segment that is written to.
    pub(super) fn last_segment(&self) -> Option<&Segment> {
        self.segments.last()
    }

    /// A segment was begun.
    pub(super) fn begin(&mut self, first: u64) {
        self.segments.push(Segment { first, length: HEADER as u64, damaged: false });
        self.next = first;
    }

    /// The last segment is on disk up to `length`, and `next` is the number of what follows.
    pub(super) fn grown(&mut self, length: u64, next: u64) {
        if let Some(last) = self.segments.last_mut() {
            last.length = length;
        }
        self.next = next;
    }

    /// Something in this segment cannot be read.
    pub(super) fn note_damage(&mut self, first: u64) {
        for segment in self.segments.iter_mut().filter(|segment| segment.first == first) {
            segment.damaged = true;
        }
    }

    /// Where a reader goes on behind `after`.
    pub(super) fn place(&self, after: u64) -> Place {
        let expected = after.saturating_add(1);
        if expected > self.next {
            return Place::Ahead { last: self.next.saturating_sub(1) };
        }
        if expected < self.first() {
            return Place::Gone { to: self.first() - 1 };
        }
        if expected == self.next {
            return Place::Nothing;
        }
        let at = self.segments.partition_point(|segment| segment.first <= expected).saturating_sub(1);
        let Some(segment) = self.segments.get(at) else { return Place::Nothing };
        let end = self.segments.get(at + 1).map_or(self.next, |next| next.first);
        let known = self.places.iter().find(|(number, first, _)| *number == after && *first == segment.first);
        let (offset, expected) = match known {
            Some((_, _, offset)) => (*offset, expected),
            None => (HEADER as u64, segment.first),
        };
        Place::In { segment: segment.first, offset, expected, length: segment.length, end }
    }

    /// The entry behind `number` begins there.
    pub(super) fn remember(&mut self, number: u64, segment: u64, offset: u64) {
        self.places.retain(|(known, ..)| *known != number);
        if self.places.len() == MAX_PLACES {
            self.places.remove(0);
        }
        self.places.push((number, segment, offset));
    }

    /// Segments whose entries are all delivered up to `delivered`; the last one stays. They are out of the index then.
    /// What may still be in the queue stays too: it has to be known again.
    pub(super) fn take_delivered(&mut self, delivered: u64) -> Vec<Segment> {
        let needed = delivered.min(self.mark).saturating_add(1);
        let ends = self.segments.iter().skip(1).map(|next| next.first);
        let count = ends.take_while(|end| *end <= needed).count();
        self.segments.drain(..count).collect()
    }

    /// Whether [`Index::take_delivered`] would give any.
    pub(super) fn has_delivered(&self, delivered: u64) -> bool {
        let needed = delivered.min(self.mark).saturating_add(1);
        self.segments.get(1).is_some_and(|next| next.first <= needed)
    }

    /// Whether the segment that is written to holds nothing that anybody needs, though more than `bytes`.
    pub(super) fn is_spent(&self, delivered: u64, bytes: u64) -> bool {
        let all = delivered.saturating_add(1) >= self.next && self.mark.saturating_add(1) >= self.next;
        all && self.last_segment().is_some_and(|last| last.length > bytes && last.first < self.next)
    }
}

/// Name of the file of a segment.
pub(super) fn file_name(spool: SpoolId, first: u64) -> String {
    format!("{spool}-{first:020}.seg")
}

/// What the name of a file tells, if it is that of a segment. Entries count from 1, and each has one that follows.
pub(super) fn parse_name(name: &str) -> Option<(SpoolId, u64)> {
    let (spool, first) = name.strip_suffix(".seg")?.split_once('-')?;
    let digits = first.len() == 20 && first.bytes().all(|b| b.is_ascii_digit());
    let first = digits.then(|| first.parse().ok()).flatten()?;
    (1..u64::MAX).contains(&first).then_some((SpoolId::parse(spool)?, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first: u64, length: u64) -> Segment {
        Segment { first, length, damaged: false }
    }

    /// Entries 5 to 9, 10 to 19, and 20 to 22, which are marked.
    fn index() -> Index {
        Index::new(vec![segment(5, 100), segment(10, 200), segment(20, 60)], 23, 22)
    }

    #[test]
    fn names_go_both_ways() {
        let name = file_name(SpoolId(0xAB), 42);
        assert_eq!(name, "00000000000000ab-00000000000000000042.seg");
        assert_eq!(parse_name(&name), Some((SpoolId(0xAB), 42)));
        for other in [
            "lock",
            "x.seg",
            "00000000000000ab-42.seg",
            "00000000000000ab-0000000000000000004x.seg",
            "00000000000000ab-00000000000000000000.seg",
            "00000000000000ab-18446744073709551615.seg",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped_or_at_the_beginning_of_the_segment() {
        let mut index = index();
        let at = |offset, expected| Place::In { segment: 10, offset, expected, length: 200, end: 20 };
        assert_eq!(index.place(12), at(28, 10), "the segment has to be looked through");
        index.remember(12, 10, 77);
        assert_eq!(index.place(12), at(77, 13));
        assert_eq!(index.place(9), at(28, 10));
        assert_eq!(index.place(3), Place::Gone { to: 4 });
        assert_eq!(index.place(22), Place::Nothing);
        assert_eq!(index.place(23), Place::Ahead { last: 22 });
        assert_eq!(index.place(u64::MAX), Place::Ahead { last: 22 });
        for number in 100..300 {
            index.remember(number, 10, 1);
        }
        assert_eq!(index.places.len(), MAX_PLACES);
    }

    #[test]
    fn whole_segments_go_when_all_of_them_is_delivered() {
        let mut index = index();
        assert_eq!((index.bytes(), index.first()), (360, 5));
        assert!(!index.has_delivered(8) && index.has_delivered(9));
        index.mark = 8;
        assert_eq!(index.take_delivered(u64::MAX), [], "perhaps still in the queue");
        index.mark = 22;
        assert_eq!(index.take_delivered(8), []);
        assert_eq!(index.take_delivered(18), [segment(5, 100)]);
        assert_eq!(index.take_delivered(u64::MAX), [segment(10, 200)]);
        assert_eq!((index.first(), index.bytes()), (20, 60));
        assert_eq!(index.take_delivered(22), [], "the last one is written to");
    }

    #[test]
    fn the_last_segment_is_spent_when_nobody_needs_it() {
        let mut index = index();
        assert!(index.is_spent(22, 50));
        assert!(!index.is_spent(21, 50), "not delivered");
        assert!(!index.is_spent(22, 60), "small");
        index.mark = 21;
        assert!(!index.is_spent(22, 50), "perhaps still in the queue");
        index.mark = 22;
        index.begin(23);
        assert!(!index.is_spent(22, 0), "empty");
    }
}
