//! Recent entries: those of a journal as they came, in few bytes, to be decoded again; those of other sources as events.

use muster_ibmi::audit::{AuditDecoder, JournalEntry};
use muster_shared::event::{Event, field};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Entries kept of one source.
pub(super) const MAX_ENTRIES: usize = 1_000;

/// So many entries are copied in this time, the newest of each batch; at higher rates the older ones would be
/// pushed out unseen.
const COPY_WINDOW: Duration = Duration::from_secs(1);

/// Longest data that is kept of one entry; the rest of a longer one is missing in what is shown.
const MAX_DATA: usize = 32 * 1024;

/// One entry.
#[derive(Debug, Clone)]
pub(super) enum Recorded {
    /// An entry of a journal.
    Journal(JournalRecord),
    /// What another source made, before policy set its severity.
    Event(Arc<Event>),
}

impl Recorded {
    fn size(&self) -> usize {
        match self {
            Self::Journal(record) => record.size(),
            Self::Event(event) => size_of::<Self>() + event.size(),
        }
    }

    /// What it was made of: the data of a journal's entry in hex, of others the text or hex that they keep.
    pub(super) fn raw(&self) -> Option<String> {
        match self {
            Self::Journal(record) => record.read(|entry| faster_hex::hex_string_upper(entry.data)),
            Self::Event(event) => event.get(field::RAW).map(str::to_owned),
        }
    }

    /// Makes the event again, as it was before policy set its severity; false if that cannot be.
    pub(super) fn restore(&self, decoder: &mut AuditDecoder, event: &mut Event) -> bool {
        match self {
            Self::Journal(record) => {
                event.id_prefix = Arc::clone(&record.prefix);
                let read = record.read(|entry| {
                    // What the decoder counts was counted when the entry came.
                    let _ = decoder.decode(entry, event);
                });
                read.is_some()
            }
            Self::Event(recorded) => {
                *event = Event::clone(recorded);
                true
            }
        }
    }
}

/// One entry of a journal.
#[derive(Debug, Clone)]
pub(super) struct JournalRecord {
    /// Front part of the event's id.
    prefix: Arc<str>,
    bytes: Box<[u8]>,
}

impl JournalRecord {
    fn new(entry: &JournalEntry<'_>, prefix: &Arc<str>) -> Self {
        let data = &entry.data[..entry.data.len().min(MAX_DATA)];
        let texts = texts(entry);
        let length: usize = texts.iter().map(|text| 2 + text.len()).sum();
        let mut bytes = Vec::with_capacity(HEAD + length + data.len());
        bytes.push(entry.code);
        bytes.extend_from_slice(&entry.entry_type);
        bytes.extend_from_slice(&entry.sequence.to_le_bytes());
        bytes.extend_from_slice(&entry.time_us.to_le_bytes());
        bytes.extend_from_slice(&entry.remote_port.map_or(u64::MAX, u64::from).to_le_bytes());
        bytes.extend_from_slice(&entry.data_length.to_le_bytes());
        for text in texts {
            let text = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
            bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
            bytes.extend_from_slice(text);
        }
        bytes.extend_from_slice(data);
        Self { prefix: Arc::clone(prefix), bytes: bytes.into() }
    }

    fn size(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    /// Shows the entry as it came. `None` cannot be: only what [`JournalRecord::new`] wrote is read.
    fn read<R>(&self, look: impl FnOnce(&JournalEntry<'_>) -> R) -> Option<R> {
        let mut rest = Reader(&self.bytes);
        let code = rest.array::<1>()?[0];
        let entry_type = rest.array::<2>()?;
        let sequence = u64::from_le_bytes(rest.array()?);
        let time_us = i64::from_le_bytes(rest.array()?);
        let remote_port = u32::try_from(u64::from_le_bytes(rest.array()?)).ok();
        let data_length = u32::from_le_bytes(rest.array()?);
        let mut text = || {
            let length = u16::from_le_bytes(rest.array()?);
            std::str::from_utf8(rest.take(usize::from(length))?).ok()
        };
        let (user, job_name, job_user, job_number) = (text()?, text()?, text()?, text()?);
        let (program, program_library, remote_address, object) = (text()?, text()?, text()?, text()?);
        Some(look(&JournalEntry {
            code,
            entry_type,
            sequence,
            time_us,
            user,
            job_name,
            job_user,
            job_number,
            program,
            program_library,
            remote_address,
            remote_port,
            object,
            data: rest.0,
            data_length,
        }))
    }
}

/// Bytes before the texts.
const HEAD: usize = 1 + 2 + 8 + 8 + 8 + 4;

fn texts<'e>(entry: &JournalEntry<'e>) -> [&'e str; 8] {
    [
        entry.user,
        entry.job_name,
        entry.job_user,
        entry.job_number,
        entry.program,
        entry.program_library,
        entry.remote_address,
        entry.object,
    ]
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// The last entries of one source, oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Recorded>,
    bytes: usize,
    limit: usize,
    window: Option<Instant>,
    copied: usize,
}

impl Ring {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit, window: None, copied: 0 }
    }

    /// Bounds its bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink();
    }

    /// How many entries of a batch are to be copied, the last ones.
    pub(super) fn allowance(&mut self, rows: usize, now: Instant) -> usize {
        if self.window.is_none_or(|window| now.duration_since(window) >= COPY_WINDOW) {
            self.window = Some(now);
            self.copied = 0;
        }
        let taken = rows.min(MAX_ENTRIES - self.copied);
        self.copied += taken;
        taken
    }

    pub(super) fn push(&mut self, entry: &JournalEntry<'_>, prefix: &Arc<str>) {
        self.keep(Recorded::Journal(JournalRecord::new(entry, prefix)));
    }

    pub(super) fn push_event(&mut self, event: Event) {
        self.keep(Recorded::Event(Arc::new(event)));
    }

    fn keep(&mut self, recorded: Recorded) {
        self.bytes += recorded.size();
        self.entries.push_back(recorded);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.entries.len() > MAX_ENTRIES || self.bytes > self.limit {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.size();
        }
    }

    /// All of them.
    pub(super) fn snapshot(&self) -> Vec<Recorded> {
        self.entries.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64, data: &[u8]) -> JournalEntry<'_> {
        JournalEntry {
            code: b'T',
            entry_type: *b"AF",
            sequence,
            time_us: -5,
            user: "BOB",
            job_name: "QZDASOINIT",
            job_user: "QUSER",
            job_number: "012345",
            program: "",
            program_library: "QSYS",
            remote_address: "10.0.0.1",
            remote_port: Some(8471),
            object: "ÄÖ",
            data,
            data_length: 700,
        }
    }

    #[test]
    fn what_was_recorded_is_what_came() {
        let prefix: Arc<str> = Arc::from("P/");
        for port in [Some(0), Some(u32::MAX), None] {
            let came = JournalEntry { remote_port: port, ..entry(7, b"\xC1\x00\xFF") };
            let recorded = JournalRecord::new(&came, &prefix);
            let same = recorded.read(|read| assert_eq!(format!("{read:?}"), format!("{came:?}")));
            assert_eq!(same, Some(()));
        }
        let long = vec![1; MAX_DATA + 9];
        let length = JournalRecord::new(&entry(1, &long), &prefix).read(|read| read.data.len());
        assert_eq!(length, Some(MAX_DATA));
    }

    #[test]
    fn number_and_bytes_are_bounded() {
        let prefix: Arc<str> = Arc::from("P/");
        let mut ring = Ring::new(1024 * 1024);
        let sequences = |ring: &Ring| -> Vec<u64> {
            let (mut decoder, mut event) = (AuditDecoder::new(37), Event::new());
            let restored = ring.snapshot();
            let sequence = |r: &Recorded| r.restore(&mut decoder, &mut event).then_some(event.sequence);
            restored.iter().filter_map(sequence).collect()
        };
        for sequence in 0..2_500 {
            ring.push(&entry(sequence, &[0; 100]), &prefix);
        }
        assert_eq!(sequences(&ring), (1_500..2_500).collect::<Vec<_>>());
        ring.set_limit(10_000);
        assert!(ring.bytes <= 10_000 && ring.entries.len() > 20, "{}", ring.entries.len());
        assert_eq!(sequences(&ring).last(), Some(&2_499));
        ring.push(&entry(9_999, &[0; 20_000]), &prefix);
        assert_eq!((sequences(&ring), ring.bytes), (vec![], 0), "larger than all");
    }

    #[test]
    fn an_event_is_kept_whole() {
        let mut event = Event::new();
        event.push(muster_shared::event::field::USER, "BOB");
        event.sequence = 7;
        let mut ring = Ring::new(10_000);
        ring.push_event(event);
        let mut restored = Event::new();
        assert!(ring.snapshot()[0].restore(&mut AuditDecoder::new(37), &mut restored));
        assert_eq!((restored.sequence, restored.all_text()), (7, "BOB"));
        ring.set_limit(10);
        assert_eq!((ring.entries.len(), ring.bytes), (0, 0));
    }

    #[test]
    fn only_so_many_are_copied_in_a_second() {
        let mut ring = Ring::new(1024);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(ring.allowance(300, at(0)), 300);
        assert_eq!(ring.allowance(2_000, at(500)), 700);
        assert_eq!(ring.allowance(2_000, at(999)), 0);
        assert_eq!(ring.allowance(2_000, at(1_000)), 1_000);
    }
}
