//! Pure: how a segment of a spool is written, and how it is read when something of it is damaged.
//!
//! ```text
//! segment   "MUSTERQ1" | spool, 8 | first sequence, 8 | crc32 of all before, 4 | record ...
//! record    length of the body, 4 | crc32, 4 | sequence, 8 | kind, 1 | body
//! ```
//! Numbers are little-endian. The checksum of a record covers length, sequence, kind and body and begins with the id
//! of the spool, so that bytes of another spool are none of this one. A record of kind [`MARK`] has no body and no
//! number of its own: its sequence says up to where everything was taken out of the queue.

use std::fmt;

/// Which spool it is, made at random when it is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpoolId(pub u64);

impl SpoolId {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        plain.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }

    fn seed(self) -> u32 {
        crc32fast::hash(&self.0.to_le_bytes())
    }
}

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

const MAGIC: &[u8; 8] = b"MUSTERQ1";

/// Bytes of a segment before its first record.
pub const HEADER: usize = 28;

/// Bytes of a record beside its body.
pub const RECORD: usize = 17;

/// Longest body: an entry of a data queue has at most 64,512 bytes, its hex digits twice that.
pub const MAX_BODY: usize = 256 * 1024;

/// Kind of the record that marks up to where the queue was emptied.
pub const MARK: u8 = 0;

/// The first bytes of a segment.
#[must_use]
pub fn header(spool: SpoolId, first: u64) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(MAGIC);
    out[8..16].copy_from_slice(&spool.0.to_le_bytes());
    out[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&out[..24]);
    out[24..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Whether a later release wrote the segment, in a form that is not known here. A damaged header says nothing: number
/// and spool stand in the name of the file too.
#[must_use]
pub fn is_later(bytes: &[u8]) -> bool {
    let (family, version) = MAGIC.split_at(MAGIC.len() - 1);
    bytes.starts_with(family)
        && bytes.get(family.len()).is_some_and(|found| *found > version[0] && *found <= b'9')
}

/// Appends a record. Bodies are at most [`MAX_BODY`] long: what is longer is cut.
pub fn put_record(spool: SpoolId, sequence: u64, kind: u8, body: &[u8], out: &mut Vec<u8>) {
    let body = &body[..body.len().min(MAX_BODY)];
    // At most MAX_BODY, far below 4 GiB.
    let length = (body.len() as u32).to_le_bytes();
    let crc = checksum(spool, length, sequence.to_le_bytes(), kind, body);
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(body);
}

fn checksum(spool: SpoolId, length: [u8; 4], sequence: [u8; 8], kind: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(spool.seed());
    for part in [&length[..], &sequence, &[kind], body] {
        hasher.update(part);
    }
    hasher.finalize()
}

/// A record that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'b> {
    /// Its number; of a mark, the last number that it covers.
    pub sequence: u64,
    /// What it is.
    pub kind: u8,
    /// Its content.
    pub body: &'b [u8],
    /// Where it ends.
    pub end: usize,
}

/// What lies at a place of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'b> {
    /// The next entry.
    Entry(Record<'b>),
    /// A mark.
    Mark(Record<'b>),
    /// The entries up to this number are missing; go on at the same place.
    Missing {
        /// Last number that is missing.
        to: u64,
    },
    /// Bytes that are no record; go on at `resume`, or nothing that can be read follows.
    Damaged {
        /// Where the next whole record begins.
        resume: Option<usize>,
    },
    /// Nothing follows.
    End,
}

/// Looks at the place `at` of a segment, where the entry with the number `expected` should be next.
///
/// Whatever the bytes are, a caller that goes on as told reaches the end and is shown every whole record.
#[must_use]
pub fn step(spool: SpoolId, bytes: &[u8], at: usize, expected: u64) -> Step<'_> {
    if at >= bytes.len() {
        return Step::End;
    }
    match record(spool, bytes, at).filter(|record| fits(record, bytes.len(), expected)) {
        None => Step::Damaged { resume: resume(spool, bytes, at + 1, expected) },
        Some(record) if record.kind == MARK && record.sequence >= expected => {
            Step::Missing { to: record.sequence }
        }
        Some(record) if record.kind == MARK => Step::Mark(record),
        Some(record) if record.sequence > expected => Step::Missing { to: record.sequence - 1 },
        Some(record) => Step::Entry(record),
    }
}

/// The whole record at `at`, if there is one.
fn record(spool: SpoolId, bytes: &[u8], at: usize) -> Option<Record<'_>> {
    let rest = bytes.get(at..)?;
    let head = rest.first_chunk::<RECORD>()?;
    let length_bytes: [u8; 4] = *head.first_chunk()?;
    let length = u32::from_le_bytes(length_bytes) as usize;
    if length > MAX_BODY {
        return None;
    }
    let body = rest.get(RECORD..RECORD + length)?;
    let crc = u32::from_le_bytes(*head[4..].first_chunk()?);
    let sequence: [u8; 8] = *head[8..].first_chunk()?;
    let kind = head[16];
    if checksum(spool, length_bytes, sequence, kind, body) != crc {
        return None;
    }
    Some(Record { sequence: u64::from_le_bytes(sequence), kind, body, end: at + RECORD + length })
}

/// Whether a record may stand here: numbers only grow, and no faster than there is room for records.
fn fits(record: &Record<'_>, size: usize, expected: u64) -> bool {
    let most = expected.saturating_add((size / RECORD) as u64);
    if record.kind == MARK { record.sequence <= most } else { (expected..=most).contains(&record.sequence) }
}

/// The first place from `from` on at which a whole record begins. The checksum of a place is reckoned only where length
/// and number can be true, so a damaged segment costs one pass over its bytes.
fn resume(spool: SpoolId, bytes: &[u8], from: usize, expected: u64) -> Option<usize> {
    let most = expected.saturating_add((bytes.len() / RECORD) as u64);
    (from..bytes.len().saturating_sub(RECORD - 1)).find(|at| {
        let head = &bytes[*at..];
        let sequence =
            head.get(8..16).and_then(<[u8]>::first_chunk).map_or(u64::MAX, |b| u64::from_le_bytes(*b));
        let likely = sequence <= most && (head[16] == MARK || sequence >= expected);
        likely && record(spool, bytes, *at).is_some_and(|record| fits(&record, bytes.len(), expected))
    })
}

/// What the newest segment of a spool holds, found when the spool is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Number that the next entry gets.
    pub next: u64,
    /// Bytes to keep: what follows was being written when the agent stopped, and was taken out of no queue yet.
    pub keep: usize,
    /// Up to where everything was taken out of the queue, if the segment tells.
    pub mark: Option<u64>,
    /// Something before `keep` is damaged.
    pub damaged: bool,
}

/// Reads a whole segment, header included, whose first entry has the number `first`. `each` is shown every entry.
pub fn tail(spool: SpoolId, bytes: &[u8], first: u64, mut each: impl FnMut(&Record<'_>)) -> Tail {
    let mut tail = Tail { next: first, keep: HEADER.min(bytes.len()), mark: None, damaged: false };
    let mut at = HEADER;
    loop {
        match step(spool, bytes, at, tail.next) {
            Step::Entry(record) => {
                each(&record);
                tail.next = record.sequence + 1;
                at = record.end;
                tail.keep = at;
            }
            Step::Mark(record) => {
                tail.mark = tail.mark.max(Some(record.sequence));
                at = record.end;
                tail.keep = at;
            }
            Step::Missing { to } => {
                tail.next = to + 1;
                tail.damaged = true;
            }
            Step::Damaged { resume: Some(resume) } => {
                tail.damaged = true;
                at = resume;
            }
            // Cut off in the middle of a write, or nothing left.
            Step::Damaged { resume: None } | Step::End => return tail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPOOL: SpoolId = SpoolId(0x0123_4567_89AB_CDEF);

    /// A segment of entries with these bodies, a mark behind every `marked`th.
    fn segment(first: u64, bodies: &[Vec<u8>], marked: usize) -> (Vec<u8>, Vec<std::ops::Range<usize>>) {
        let mut bytes = header(SPOOL, first).to_vec();
        let mut places = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            let start = bytes.len();
            put_record(SPOOL, first + index as u64, 1, body, &mut bytes);
            places.push(start..bytes.len());
            if (index + 1) % marked == 0 {
                put_record(SPOOL, first + index as u64, MARK, &[], &mut bytes);
            }
        }
        (bytes, places)
    }

    type Entries = Vec<(u64, Vec<u8>)>;
    type Missing = Vec<(u64, u64)>;

    /// Entries that can be read, and ranges that are missing before the last of them.
    fn read(bytes: &[u8], first: u64) -> (Entries, Missing) {
        let (mut entries, mut missing) = (Vec::new(), Vec::new());
        let (mut at, mut expected) = (HEADER, first);
        for _ in 0..bytes.len() + 2 {
            match step(SPOOL, bytes, at, expected) {
                Step::Entry(record) => {
                    entries.push((record.sequence, record.body.to_vec()));
                    (at, expected) = (record.end, record.sequence + 1);
                }
                Step::Mark(record) => at = record.end,
                Step::Missing { to } => {
                    missing.push((expected, to));
                    expected = to + 1;
                }
                Step::Damaged { resume: Some(resume) } => at = resume,
                Step::Damaged { resume: None } | Step::End => return (entries, missing),
            }
        }
        panic!("it does not come to an end");
    }

    fn numbered(first: u64, bodies: &[Vec<u8>]) -> Vec<(u64, Vec<u8>)> {
        (first..).zip(bodies.iter().cloned()).collect()
    }

    #[test]
    fn ids_are_sixteen_hex_digits() {
        assert_eq!(SPOOL.to_string(), "0123456789abcdef");
        assert_eq!(SpoolId::parse("0123456789abcdef"), Some(SPOOL));
        for bad in ["", "0123456789abcde", "0123456789ABCDEF", "+123456789abcdef"] {
            assert_eq!(SpoolId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_another_version_is_a_later_one() {
        assert!(!is_later(&header(SPOOL, 1)));
        for (bytes, later) in
            [(&b"MUSTERQ2"[..], true), (b"MUSTERQ1", false), (b"XUSTERQ2", false), (b"", false)]
        {
            assert_eq!(is_later(bytes), later, "{bytes:?}");
        }
    }

    /// The bytes of format 1, which the version before an upgrade and the one after it both read. Others need a new number
    /// for `spool` in [`crate::upgrade::formats`].
    #[test]
    fn the_bytes_of_a_segment() {
        let golden = [
            &b"MUSTERQ1\xef\xcd\xab\x89\x67\x45\x23\x01\x29\0\0\0\0\0\0\0\xe3\x7f\x34\x3d"[..],
            b"\x03\0\0\0\x6a\xa8\x18\x93\x29\0\0\0\0\0\0\0\x01one",
            b"\0\0\0\0\x95\x4e\xef\x0e\x2a\0\0\0\0\0\0\0\x02",
            b"\0\0\0\0\xb9\x2f\xe1\xe0\x2a\0\0\0\0\0\0\0\x00",
        ]
        .concat();
        let mut written = header(SPOOL, 41).to_vec();
        for (sequence, kind, body) in [(41, 1, &b"one"[..]), (42, 2, b""), (42, MARK, b"")] {
            put_record(SPOOL, sequence, kind, body, &mut written);
        }
        assert_eq!(written, golden);
        let mut entries = Vec::new();
        let found =
            tail(SPOOL, &golden, 41, |entry| entries.push((entry.sequence, entry.kind, entry.body.to_vec())));
        assert_eq!(entries, [(41, 1, b"one".to_vec()), (42, 2, Vec::new())]);
        assert_eq!(found, Tail { next: 43, keep: golden.len(), mark: Some(42), damaged: false });
    }

    #[test]
    fn what_was_written_is_read_and_the_mark_is_known() {
        let bodies = vec![b"one".to_vec(), Vec::new(), vec![0; 70_000]];
        let (bytes, places) = segment(41, &bodies, 2);
        assert_eq!(read(&bytes, 41), (numbered(41, &bodies), vec![]));
        let mut count = 0;
        let found = tail(SPOOL, &bytes, 41, |_| count += 1);
        assert_eq!(found, Tail { next: 44, keep: bytes.len(), mark: Some(42), damaged: false });
        assert_eq!(count, 3);
        assert_eq!(read(&bytes, 41).0.len(), places.len());
        let foreign = tail(SpoolId(7), &bytes, 41, |_| panic!("records of another spool"));
        assert_eq!((foreign.next, foreign.keep), (41, HEADER));
    }

    #[test]
    fn a_write_that_was_cut_off_is_cut_off_cleanly() {
        let bodies = vec![b"one".to_vec(), b"two".to_vec()];
        let (bytes, places) = segment(1, &bodies, 1);
        for cut in places[1].start + 1..places[1].end {
            let found = tail(SPOOL, &bytes[..cut], 1, |_| {});
            assert_eq!((found.next, found.keep, found.damaged), (2, places[1].start, false), "cut at {cut}");
        }
        // A page of zeros behind what was written, as a power failure may leave it.
        let mut zeros = bytes[..places[1].start].to_vec();
        zeros.resize(places[1].start + 4_096, 0);
        let found = tail(SPOOL, &zeros, 1, |_| {});
        assert_eq!((found.next, found.keep, found.damaged), (2, places[1].start, false));
    }

    #[test]
    fn a_damaged_record_in_the_middle_costs_itself_and_its_number_is_known() {
        let bodies: Vec<Vec<u8>> = (0..5_u8).map(|n| vec![n; 30]).collect();
        let (good, places) = segment(10, &bodies, 9);
        for byte in places[2].clone() {
            let mut bytes = good.clone();
            bytes[byte] ^= 0x40;
            let (entries, missing) = read(&bytes, 10);
            assert_eq!(entries.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [10, 11, 13, 14], "byte {byte}");
            assert_eq!(missing, [(12, 12)], "byte {byte}");
            let found = tail(SPOOL, &bytes, 10, |_| {});
            assert_eq!((found.next, found.keep, found.damaged), (15, good.len(), true), "byte {byte}");
        }
    }

    #[test]
    fn the_last_record_is_missed_where_a_mark_covers_it() {
        let bodies = vec![b"one".to_vec(), b"two".to_vec()];
        let (mut bytes, places) = segment(1, &bodies, 2);
        bytes[places[1].end - 1] ^= 1;
        assert_eq!(read(&bytes, 1).1, [(2, 2)]);
        let found = tail(SPOOL, &bytes, 1, |_| {});
        assert_eq!((found.next, found.mark, found.damaged), (3, Some(2), true));
    }

    fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..20)
    }

    proptest! {
        #[test]
        fn a_cut_anywhere_keeps_all_that_is_whole(bodies in bodies(), marked in 1_usize..5, cut in 0.0..1.0_f64) {
            let (bytes, places) = segment(1, &bodies, marked);
            let cut = HEADER + ((bytes.len() - HEADER) as f64 * cut) as usize;
            let whole = places.iter().filter(|place| place.end <= cut).count();
            let found = tail(SPOOL, &bytes[..cut], 1, |_| {});
            prop_assert_eq!(found.next, 1 + whole as u64);
            prop_assert!(!found.damaged && found.keep <= cut);
            prop_assert_eq!(read(&bytes[..found.keep], 1), (numbered(1, &bodies[..whole]), vec![]));
        }

        #[test]
        fn bits_that_flip_cost_only_the_records_they_are_in(
            bodies in bodies(),
            flips in proptest::collection::vec((0.0..1.0_f64, 0_u8..8), 1..6),
        ) {
            let (good, places) = segment(1, &bodies, 4);
            let mut bytes = good.clone();
            for (place, bit) in &flips {
                let at = HEADER + ((bytes.len() - HEADER - 1) as f64 * place) as usize;
                bytes[at] ^= 1 << bit;
            }
            let whole = |index: usize| bytes[places[index].clone()] == good[places[index].clone()];
            let expected: Vec<_> =
                numbered(1, &bodies).into_iter().enumerate().filter(|(i, _)| whole(*i)).map(|(_, e)| e).collect();
            let (entries, missing) = read(&bytes, 1);
            prop_assert_eq!(&entries, &expected);
            // What is missing before the last entry is told to the number.
            let last = entries.last().map_or(0, |(number, _)| *number);
            let told: Vec<u64> = missing.iter().flat_map(|(from, to)| *from..=*to).filter(|n| *n < last).collect();
            let gone: Vec<u64> = (1..last).filter(|n| !whole(*n as usize - 1)).collect();
            prop_assert_eq!(told, gone);
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read(&bytes, 1);
            tail(SPOOL, &bytes, 1, |_| {});
        }
    }
}
