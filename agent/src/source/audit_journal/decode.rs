//! Rows of a reply turned into journal entries, borrowed from the reply. Pure.
//!
//! A bad row (odd hex digits, a value of the wrong type, a length that cannot be, a row that breaks off) is
//! never dropped: it is visited with what could be read and counted.

use super::query::{COLUMNS, Column, END_OF_RECEIVER, SLICE};
use crate::host::Rows;
use crate::host::rows::{Cell, Cells, digits};
use crate::source::EntryVisitor;
use muster_ibmi::audit::JournalEntry;
use muster_ibmi::timestamp::{local_micros, to_utc};
use std::borrow::Cow;

/// Entries of one reply.
#[derive(Debug)]
pub struct EntryBatch {
    rows: Rows,
    utc_offset_seconds: i32,
    /// Whole data of entries longer than one slice, by sequence.
    long: Vec<(u64, Vec<u8>)>,
    /// Sequence before the first row: what a row without a readable one is counted from.
    after: u64,
    /// The entry that ends a receiver was fetched to be told of the end, not asked for.
    without_end: bool,
}

/// What a visit met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VisitStats {
    /// Entries visited.
    pub entries: u64,
    /// Entries of which something could not be read.
    pub bad_rows: u64,
    /// Journal code and type of the last one of those.
    pub last_bad: Option<(u8, [u8; 2])>,
}

/// What the last two columns of a row say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) length: u64,
    pub(super) sequence: u64,
}

/// Length and sequence of a row, read from its end; None when they are not two plain numbers.
pub(super) fn tail(row: &[u8]) -> Option<Tail> {
    let row = row.strip_suffix(b"]")?;
    let comma = row.iter().rposition(|byte| *byte == b',')?;
    let sequence = digits(&row[comma + 1..])?;
    let row = &row[..comma];
    let comma = row.iter().rposition(|byte| *byte == b',')?;
    let length = match &row[comma + 1..] {
        b"null" => 0,
        number => digits(number)?,
    };
    Some(Tail { length, sequence })
}

/// The sequence of a row, the slow way: for rows that [`tail`] does not understand.
pub(super) fn sequence(row: &[u8]) -> Option<u64> {
    Cells::new(row).nth(Column::Sequence as usize).and_then(Cell::unsigned)
}

/// The time of a row, as the partition wrote it.
pub(super) fn time(row: &[u8]) -> Option<String> {
    Cells::new(row).nth(Column::Time as usize).and_then(Cell::text).map(Cow::into_owned)
}

/// Whether a row is the journal's own note that the receiver ends here.
pub(super) fn ends_receiver(row: &[u8]) -> bool {
    let mut cells = Cells::new(row);
    cells.next() == Some(Cell::Text("J")) && cells.next().is_some_and(is_end)
}

fn is_end(entry_type: Cell<'_>) -> bool {
    entry_type == Cell::Text(END_OF_RECEIVER)
}

/// Hex digits of the first slice of a row's data.
pub(super) fn first_slice(row: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLICE);
    if let Some(cell) = Cells::new(row).nth(Column::Data as usize) {
        unhex(cell, &mut bytes);
    }
    bytes
}

/// Appends the bytes that the hex digits of `cell` stand for, as far as they go. False when they do not go
/// to the end.
pub(super) fn unhex(cell: Cell<'_>, out: &mut Vec<u8>) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Text(text) => unhex_text(text.as_bytes(), out),
        // All digits happen to be decimal, and the server took them for a number: the digits are right.
        Cell::Number(text) => unhex_text(text.as_bytes(), out),
        Cell::Escaped(_) | Cell::Other(_) => false,
    }
}

fn unhex_text(text: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let whole = text.len() / 2;
    out.resize(start + whole, 0);
    if text.len().is_multiple_of(2) && faster_hex::hex_decode(text, &mut out[start..]).is_ok() {
        return true;
    }
    let good = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count() / 2;
    out.truncate(start + good);
    // These are pairs of hex digits, so this cannot fail; were it to, zeros would stand for the data.
    let _ = faster_hex::hex_decode(&text[..good * 2], &mut out[start..]);
    false
}

impl EntryBatch {
    /// Entries of the rows of one reply to [`query::entries`](super::query::entries), as they are; None when
    /// their sequences do not grow. For measuring and for replies that were kept.
    #[must_use]
    pub fn from_rows(mut rows: Rows, utc_offset_seconds: i32) -> Option<Self> {
        super::receivers::select(&mut rows, 0, None)?;
        Some(Self::new(rows, utc_offset_seconds, Vec::new(), 0))
    }

    /// Entries of `rows`, all with a sequence above `after`.
    pub(super) fn new(rows: Rows, utc_offset_seconds: i32, long: Vec<(u64, Vec<u8>)>, after: u64) -> Self {
        Self { rows, utc_offset_seconds, long, after, without_end: false }
    }

    /// The same without the journal's note that a receiver ends, which is always fetched, when `without` says so.
    #[must_use]
    pub(super) fn without_end(self, without: bool) -> Self {
        Self { without_end: without, ..self }
    }

    /// Number of rows, one that is left out included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Size of the reply in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.text.len()
    }

    /// Shows every entry to `visitor`, in the order of the journal.
    pub fn visit(&self, visitor: &mut EntryVisitor<'_>) -> VisitStats {
        let mut stats = VisitStats::default();
        let mut scratch = Vec::with_capacity(SLICE);
        let mut before = Before { sequence: self.after, time_us: 0 };
        for row in self.rows.iter() {
            self.visit_row(row, &mut scratch, &mut before, &mut stats, visitor);
        }
        stats
    }

    #[inline]
    fn visit_row(
        &self,
        row: &[u8],
        scratch: &mut Vec<u8>,
        before: &mut Before,
        stats: &mut VisitStats,
        visitor: &mut EntryVisitor<'_>,
    ) {
        let mut cells = [Cell::Null; COLUMNS];
        let mut count = 0;
        for (slot, cell) in cells.iter_mut().zip(Cells::new(row)) {
            *slot = cell;
            count += 1;
        }
        let cell = |column: Column| cells[column as usize];
        let mut bad = count < COLUMNS;

        let code = cell(Column::Code);
        if self.without_end && code == Cell::Text("J") && is_end(cell(Column::EntryType)) {
            if let Some(sequence) = cell(Column::Sequence).unsigned() {
                before.sequence = sequence;
            }
            return;
        }
        let sequence = cell(Column::Sequence).unsigned().unwrap_or_else(|| {
            bad = true;
            before.sequence.saturating_add(1)
        });
        before.sequence = sequence;
        let time_us = match cell(Column::Time) {
            Cell::Text(text) => local_micros(text.as_bytes()).map(|us| to_utc(us, self.utc_offset_seconds)),
            _ => None,
        };
        // Neighbours are near in time; zero only when the very first row has none.
        let time_us = time_us.unwrap_or_else(|| {
            bad = true;
            before.time_us
        });
        before.time_us = time_us;

        scratch.clear();
        let whole = self.long.iter().find(|(long, _)| *long == sequence);
        let data = match whole {
            Some((_, data)) => data.as_slice(),
            None => {
                bad |= !unhex(cell(Column::Data), scratch);
                scratch.as_slice()
            }
        };
        let told = match cell(Column::Length) {
            Cell::Null if data.is_empty() => Some(0),
            other => other.unsigned().and_then(|length| u32::try_from(length).ok()),
        };
        let data_length = match told {
            Some(length) if length as usize >= data.len() => length,
            _ => {
                bad = true;
                u32::try_from(data.len()).unwrap_or(u32::MAX)
            }
        };

        let entry_type = match cell(Column::EntryType) {
            Cell::Text(text) if text.len() == 2 => [text.as_bytes()[0], text.as_bytes()[1]],
            _ => {
                bad = true;
                *b"??"
            }
        };
        let code = match code {
            Cell::Text(text) if !text.is_empty() => text.as_bytes()[0],
            _ => {
                bad = true;
                b'?'
            }
        };
        let remote_port = match cell(Column::RemotePort) {
            Cell::Null => None,
            other => {
                let port = other.unsigned().and_then(|port| u32::try_from(port).ok());
                bad |= port.is_none();
                port
            }
        };
        let mut text = |column: Column| text(cell(column), &mut bad);
        let user = text(Column::User);
        let job_name = text(Column::JobName);
        let job_user = text(Column::JobUser);
        let job_number = text(Column::JobNumber);
        let program = text(Column::Program);
        let program_library = text(Column::ProgramLibrary);
        let remote_address = text(Column::RemoteAddress);
        let object = text(Column::Object);
        stats.entries += 1;
        stats.bad_rows += u64::from(bad);
        if bad {
            stats.last_bad = Some((code, entry_type));
        }
        visitor(&JournalEntry {
            code,
            entry_type,
            sequence,
            time_us,
            user: &user,
            job_name: &job_name,
            job_user: &job_user,
            job_number: &job_number,
            program: &program,
            program_library: &program_library,
            remote_address: &remote_address,
            remote_port,
            object: &object,
            data,
            data_length,
        });
    }
}

/// What the row before said, for what a bad row does not.
struct Before {
    sequence: u64,
    time_us: i64,
}

/// Text of a cell without trailing blanks; empty for NULL.
#[inline]
fn text<'t>(cell: Cell<'t>, bad: &mut bool) -> Cow<'t, str> {
    match cell {
        Cell::Null => Cow::Borrowed(""),
        Cell::Text(text) if text.ends_with(' ') => Cow::Borrowed(text.trim_end_matches(' ')),
        Cell::Text(text) | Cell::Number(text) => Cow::Borrowed(text),
        Cell::Escaped(_) => cell.text().unwrap_or_else(|| {
            *bad = true;
            Cow::Borrowed("")
        }),
        Cell::Other(text) => {
            *bad = true;
            Cow::Borrowed(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = (u64, [u8; 2], i64, String, String, Option<u32>, Vec<u8>, u32);

    fn visit(json: &str, offset: i32, after: u64) -> (Vec<Seen>, VisitStats) {
        let rows = Rows::from_json(json.as_bytes().to_vec()).expect("rows");
        let batch = EntryBatch::new(rows, offset, Vec::new(), after);
        let mut seen = Vec::new();
        let stats = batch.visit(&mut |entry| {
            seen.push((
                entry.sequence,
                entry.entry_type,
                entry.time_us,
                entry.user.to_owned(),
                entry.object.to_owned(),
                entry.remote_port,
                entry.data.to_vec(),
                entry.data_length,
            ));
        });
        (seen, stats)
    }

    const GOOD: &str = r#"["T","AF","2026-03-01 12:00:00.000001","BOB","QZDASOINIT","QUSER","123456","QCMD","QSYS","10.1.2.3",8471,"X      \u003d","C1C2",5004,7]"#;

    #[test]
    fn a_row_becomes_an_entry_in_utc() {
        let (seen, stats) = visit(&format!("[{GOOD}]"), 3600, 6);
        assert_eq!(
            seen,
            [(
                7,
                *b"AF",
                1_772_362_800_000_001,
                "BOB".to_owned(),
                "X      =".to_owned(),
                Some(8471),
                vec![0xC1, 0xC2],
                5004
            )]
        );
        assert_eq!(stats, VisitStats { entries: 1, ..VisitStats::default() });
    }

    #[test]
    fn a_bad_row_is_visited_with_what_is_known_and_spoils_no_neighbour() {
        let cases: [(&str, &str, &[u8], u32, u64); 9] = [
            (
                "odd hex",
                r#"["T","AF","2026-03-01 12:00:00.000001","B","","","","","",null,null,null,"C1C",3,8]"#,
                &[0xC1],
                3,
                8,
            ),
            (
                "no hex",
                r#"["T","AF","2026-03-01 12:00:00.000001","B","","","","","",null,null,null,"C1xxC2",3,8]"#,
                &[0xC1],
                3,
                8,
            ),
            (
                "blob",
                r#"["T","AF","2026-03-01 12:00:00.000001","B","","","","","",null,null,null,{"blob_url":"/b","size":3},3,8]"#,
                &[],
                3,
                8,
            ),
            (
                "absurd length",
                r#"["T","AF","2026-03-01 12:00:00.000001","B","","","","","",null,null,null,"C1C2",1,8]"#,
                &[0xC1, 0xC2],
                2,
                8,
            ),
            (
                "huge length",
                r#"["T","AF","2026-03-01 12:00:00.000001","B","","","","","",null,null,null,"C1C2",99999999999,8]"#,
                &[0xC1, 0xC2],
                2,
                8,
            ),
            (
                "negative sequence",
                r#"["T","AF","2026-03-01 12:00:00.000001","B","","","","","",null,null,null,"C1",1,-5]"#,
                &[0xC1],
                1,
                8,
            ),
            ("no time", r#"["T","AF","never","B","","","","","",null,null,null,"C1",1,8]"#, &[0xC1], 1, 8),
            (
                "port",
                r#"["T","AF","2026-03-01 12:00:00.000001","B","","","","","",null,"x",null,"C1",1,8]"#,
                &[0xC1],
                1,
                8,
            ),
            ("breaks off", r#"["T","AF","2026-03-01 12:00:00.000001","B"]"#, &[], 0, 8),
        ];
        for (name, row, data, length, sequence) in cases {
            let (seen, stats) = visit(&format!("[{GOOD},{row},{}]", GOOD.replace(",7]", ",9]")), 3600, 6);
            assert_eq!((stats.entries, stats.bad_rows, stats.last_bad.is_some()), (3, 1, true), "{name}");
            let (seen_sequence, entry_type, time, user, .., seen_data, seen_length) = &seen[1];
            assert_eq!((*seen_sequence, *entry_type, user.as_str()), (sequence, *b"AF", "B"), "{name}");
            assert_eq!((seen_data.as_slice(), *seen_length), (data, length), "{name}");
            assert_eq!(*time, 1_772_362_800_000_001, "{name}");
            assert_eq!((seen[0].0, seen[2].0), (7, 9), "{name}");
        }
    }

    #[test]
    fn entries_of_the_journal_itself_are_shown_unless_only_their_end_was_wanted() {
        let own = |entry_type: &str, sequence: u64| {
            format!(
                r#"["J","{entry_type}","2026-03-01 12:00:00.000001","QSYS","","","","","",null,null,"","D9F2",2,{sequence}]"#
            )
        };
        let (end, begin) = (own("NR", 8), own("PR", 9));
        let json = format!("[{GOOD},{end},{begin}]");
        let (seen, stats) = visit(&json, 0, 6);
        let types: Vec<_> = seen.iter().map(|entry| entry.1).collect();
        assert_eq!(
            (types, stats),
            (vec![*b"AF", *b"NR", *b"PR"], VisitStats { entries: 3, ..VisitStats::default() })
        );
        assert_eq!(seen[1].6, [0xD9, 0xF2]);
        let rows = Rows::from_json(json.into_bytes()).expect("rows");
        let mut left = Vec::new();
        EntryBatch::new(rows, 0, Vec::new(), 6)
            .without_end(true)
            .visit(&mut |entry| left.push(entry.sequence));
        assert_eq!(left, [7, 9]);
        assert!(ends_receiver(end.as_bytes()) && !ends_receiver(begin.as_bytes()));
        assert!(!ends_receiver(GOOD.as_bytes()));
    }

    #[test]
    fn the_end_of_a_row_tells_length_and_sequence() {
        let cases: [(&str, Option<(u64, u64)>); 5] = [
            (GOOD, Some((5004, 7))),
            (r#"["T",null,8]"#, Some((0, 8))),
            (r#"["T","x",8]"#, None),
            (r#"["T",1,2.5]"#, None),
            ("8", None),
        ];
        for (row, expected) in cases {
            let seen = tail(row.as_bytes()).map(|tail| (tail.length, tail.sequence));
            assert_eq!(seen, expected, "{row}");
        }
        assert_eq!(sequence(GOOD.as_bytes()), Some(7));
    }
}
