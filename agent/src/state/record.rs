//! All cursors as one checksummed record; both copies hold these very bytes.
//!
//! ```text
//! "MUSTERC1" | counter, u64 LE | length of the body, u32 LE | body, JSON | crc32 of all before, u32 LE
//! ```

use super::lost::Lost;
use muster_shared::cursor::{Cursor, CursorKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"MUSTERC1";
const HEAD: usize = 8 + 8 + 4;

/// Largest record that is believed: 10,000 cursors take 2 MiB.
pub(super) const MAX_RECORD: usize = 16 * 1024 * 1024;

/// The cursors at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// Grows with every write; of two copies the higher one is newer.
    pub(super) counter: u64,
    /// Which missing cursors are lost ones.
    pub(super) lost: Lost,
    pub(super) cursors: BTreeMap<CursorKey, Cursor>,
}

#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(default)]
    lost: bool,
    /// Whose; empty: not known yet.
    #[serde(default)]
    lost_lanes: Vec<CursorKey>,
    cursors: Vec<(CursorKey, Cursor)>,
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (lost, lost_lanes) = match &self.lost {
            Lost::None => (false, Vec::new()),
            Lost::Unknown => (true, Vec::new()),
            Lost::Lanes(lanes) => (true, lanes.iter().cloned().collect()),
        };
        let body = Body { lost, lost_lanes, cursors: self.cursors.clone().into_iter().collect() };
        let mut out = Vec::with_capacity(HEAD + 256 * self.cursors.len() + 64);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.counter.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        // Plain structs with string keys: writing them to memory cannot fail. Were it to, the record
        // would not decode, and the other copy counts.
        let _ = serde_json::to_writer(&mut out, &body);
        let length = u32::try_from(out.len() - HEAD).unwrap_or(u32::MAX);
        out[16..HEAD].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The record, or None when a single bit of it is wrong.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) || !content.starts_with(MAGIC) {
            return None;
        }
        let counter = u64::from_le_bytes(*content.get(8..16)?.first_chunk()?);
        let length = u32::from_le_bytes(*content.get(16..HEAD)?.first_chunk()?);
        let body = content.get(HEAD..)?;
        if body.len() as u64 != u64::from(length) {
            return None;
        }
        let body: Body = serde_json::from_slice(body).ok()?;
        let lost = match (body.lost, body.lost_lanes.is_empty()) {
            (false, _) => Lost::None,
            (true, true) => Lost::Unknown,
            (true, false) => Lost::Lanes(body.lost_lanes.into_iter().collect()),
        };
        Some(Self { counter, lost, cursors: body.cursors.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::cursor::{JournalCursor, LogCursor, ReceiverId, Seen, SpoolCursor, TimedCursor};

    #[test]
    fn any_damage_is_noticed() {
        let receiver = ReceiverId { library: "QGPL".into(), name: "AUDRCV0001".into(), attached_us: -1 };
        let key = CursorKey { source: "audit_journal:QSYS/QAUDJRN".into(), destination: "siem".into() };
        let cursor = Cursor::Journal(JournalCursor { receiver, sequence: u64::MAX });
        let other = CursorKey { source: key.source.clone(), destination: "other".into() };
        for lost in [Lost::None, Lost::Unknown] {
            let record = Record { counter: 1, lost, ..Record::default() };
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        let record =
            Record { counter: 7, lost: Lost::Lanes([other].into()), cursors: [(key, cursor)].into() };
        let good = record.encode();
        assert_eq!(Record::decode(&good), Some(record));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(Record::decode(&bad), None, "byte {at}");
            assert_eq!(Record::decode(&good[..at]), None, "cut at {at}");
        }
    }

    /// The bytes of format 1, which the version before an upgrade and the one after it both read. Others need a new number
    /// for `cursor` in [`crate::upgrade::formats`].
    #[test]
    fn the_bytes_of_every_kind_of_cursor() {
        let key = |source: &str, destination: &str| CursorKey {
            source: source.into(),
            destination: destination.into(),
        };
        let receiver = ReceiverId { library: "QGPL".into(), name: "AUDRCV0001".into(), attached_us: -1 };
        let timed = TimedCursor {
            from_us: 1,
            through_us: Some(2),
            doubt_us: Some(3),
            at_us: 4,
            looked_us: 5,
            clock_us: 6,
            sequence: 8,
            seen: Seen { rows: [10].into(), first: 1, digest: 11 },
        };
        let spool = SpoolCursor { spool: "0123456789abcdef".into(), sequence: 9 };
        let cursors = [
            ("audit_journal:QSYS/QAUDJRN", Cursor::Journal(JournalCursor { receiver, sequence: 42 })),
            ("controller_audit:", Cursor::ControllerAudit(LogCursor { sequence: 7, hash: "ab".into() })),
            ("data_queue:QGPL/EVENTS", Cursor::Spool(spool)),
            ("history_log:", Cursor::Timed(timed)),
        ];
        let record = Record {
            counter: 7,
            lost: Lost::Lanes([key("audit_journal:QSYS/QAUDJRN", "other")].into()),
            cursors: cursors.map(|(source, cursor)| (key(source, "siem"), cursor)).into(),
        };
        let body = include_bytes!("golden/cursors.v1.json");
        let length = [0xb9, 2, 0, 0];
        let crc = [0x71, 0x6c, 0xf9, 0x65];
        let golden = [&b"MUSTERC1\x07\0\0\0\0\0\0\0"[..], &length, body, &crc].concat();
        assert_eq!(Record::decode(&golden).as_ref(), Some(&record));
        assert_eq!(record.encode(), golden);
    }
}
