//! What holds for any data of any entry type. The tables are read here on their own, so that the decoder is
//! not compared with itself.

use muster_ibmi::audit::{AuditDecoder, Decoded, JournalEntry, types};
use muster_ibmi::ebcdic::code_pages;
use muster_shared::event::{Event, EventKind, FieldId, dictionary, field};
use proptest::prelude::*;
use std::collections::BTreeSet;

struct Row {
    key: String,
    offset: usize,
    length: usize,
    format: String,
    field: String,
    trusted: bool,
}

fn rows() -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(include_str!("../data/audit-fields.csv").as_bytes());
    let rows = reader.records().map(Result::unwrap).filter(|r| !r[2].is_empty());
    let row = |r: csv::StringRecord| Row {
        key: r[0].to_owned(),
        offset: r[2].parse().unwrap(),
        length: r[3].parse().unwrap(),
        format: r[4].to_owned(),
        field: r[5].to_owned(),
        trusted: &r[8] != "unverified",
    };
    rows.map(row).collect()
}

/// Journal code and entry type of each type of the table, and some that are not in it.
fn kinds() -> Vec<(u8, [u8; 2])> {
    let known = types().into_iter().map(|info| match info.key.split_once('-') {
        Some(("U", _)) => (b'U', *b"AA"),
        Some((code, rest)) => (code.as_bytes()[0], rest.as_bytes().try_into().unwrap()),
        None => (b'T', info.key.as_bytes().try_into().unwrap()),
    });
    known.chain([(b'T', *b"Q9"), (b'T', [0, 255]), (b'?', *b"AF"), (b'J', *b"ZZ")]).collect()
}

fn decode(kind: (u8, [u8; 2]), ccsid: u16, data: &[u8], blank_tail: u32) -> (Event, Decoded) {
    let entry = JournalEntry {
        code: kind.0,
        entry_type: kind.1,
        sequence: 1,
        time_us: 2,
        user: "BOB",
        job_name: "JOB",
        job_user: "USER",
        job_number: "012345",
        program: "PGM",
        program_library: "LIB",
        remote_address: "192.0.2.1",
        remote_port: Some(7),
        object: "",
        data,
        data_length: data.len() as u32 + blank_tail,
    };
    let mut event = Event::new();
    let decoded = AuditDecoder::new(ccsid).decode(&entry, &mut event);
    (event, decoded)
}

/// Places of `raw` with their bytes, up to a `more`.
fn raw_bytes(event: &Event) -> Vec<(usize, u8)> {
    let raw = event.get(field::RAW).unwrap_or_default();
    let pieces = raw.split(',').filter(|piece| !piece.is_empty() && !piece.starts_with("more:"));
    let mut bytes = Vec::new();
    for piece in pieces {
        let (offset, digits) = piece.split_once(':').expect("a piece is offset:hex");
        let offset: usize = offset.parse().unwrap();
        assert!(!digits.is_empty() && digits.len() % 2 == 0 && digits.to_uppercase() == digits, "{piece}");
        for position in 0..digits.len() / 2 {
            let byte = u8::from_str_radix(&digits[2 * position..2 * position + 2], 16).unwrap();
            bytes.push((offset + position, byte));
        }
    }
    bytes
}

fn filled(byte: u8) -> bool {
    byte != 0x40 && byte != 0
}

/// Data as it comes: stretches of blanks, zeros, text and anything.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        (1..60_usize).prop_map(|length| vec![0x40; length]),
        (1..40_usize).prop_map(|length| vec![0; length]),
        proptest::collection::vec(0xC1_u8..=0xF9, 1..30),
        proptest::collection::vec(any::<u8>(), 1..60),
        (0..600_u16, prop_oneof![Just(0_u32), Just(37), Just(1200), Just(1208), Just(65_535), any::<u32>()])
            .prop_map(|(length, ccsid)| [&length.to_be_bytes()[..], &ccsid.to_be_bytes()].concat()),
    ];
    proptest::collection::vec(stretch, 0..40).prop_map(|stretches| stretches.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_entry_becomes_an_event_with_its_header(data in data(), blank_tail in 0..3000_u32, page in 0..27_usize) {
        let ccsid = code_pages().nth(page).unwrap().ccsid();
        let header: [(FieldId, &str); 8] = [
            (field::USER, "BOB"), (field::JOB_NAME, "JOB"), (field::JOB_USER, "USER"), (field::JOB_NUMBER, "012345"),
            (field::PROGRAM_NAME, "PGM"), (field::PROGRAM_LIBRARY, "LIB"), (field::REMOTE_ADDRESS, "192.0.2.1"),
            (field::REMOTE_PORT, "7"),
        ];
        for kind in kinds() {
            let (event, _) = decode(kind, ccsid, &data, blank_tail);
            let EventKind::Audit { code, entry_type, .. } = event.kind else { panic!("{:?}", event.kind) };
            prop_assert_eq!((code, entry_type), kind);
            prop_assert_eq!((event.sequence, event.time_us), (1, 2));
            prop_assert!(!event.name.is_empty());
            for (id, expected) in header {
                prop_assert_eq!(event.get(id), Some(expected));
            }
            let distinct: BTreeSet<_> = event.fields().iter().map(|f| f.id).collect();
            prop_assert_eq!(distinct.len(), event.fields().len(), "a field stands twice");
        }
    }

    #[test]
    fn no_byte_is_lost(data in data()) {
        let rows = rows();
        for kind in kinds() {
            let key = String::from_utf8_lossy(&kind.1).into_owned();
            let (event, decoded) = decode(kind, 37, &data, 0);
            let kept = raw_bytes(&event);
            for (at, byte) in &kept {
                // A masked password shows as asterisks.
                prop_assert!(data[*at] == *byte || *byte == 0x5C, "{key} {at}");
            }
            let places: BTreeSet<usize> = kept.iter().map(|(at, _)| *at).collect();
            prop_assert_eq!(places.len(), kept.len(), "a byte stands twice in raw");
            if kind.0 == b'U' && event.get(field::MESSAGE).is_some() {
                prop_assert!(data.len() > 8192 || kept.is_empty());
                continue;
            }
            let own: Vec<&Row> = rows.iter().filter(|row| kind.0 == b'T' && row.key == key).collect();
            let mut covered = vec![false; data.len()];
            for row in own.iter().filter(|row| row.trusted && row.field != "-reserved") {
                let end = (row.offset + row.length).min(data.len());
                covered[row.offset.min(end)..end].fill(true);
            }
            if decoded.raw_bytes as usize > kept.len() {
                continue;
            }
            for (at, byte) in data.iter().enumerate() {
                prop_assert!(!filled(*byte) || covered[at] || places.contains(&at), "{} lost byte {}", key, at);
            }
        }
    }

    #[test]
    fn text_fields_come_back(text in "[A-Z][A-Z0-9_]{0,7}") {
        let page = muster_ibmi::ebcdic::code_page(37).unwrap();
        let bytes: Vec<u8> = text.chars().map(|c| page.byte_of(c).unwrap()).collect();
        let rows = rows();
        let plain = rows.iter().filter(|r| r.format == "char" && r.length >= 8 && r.length <= 64);
        for row in plain.filter(|r| !r.field.starts_with('-') && !r.field.contains('|') && r.key.len() == 2) {
            let id = dictionary().find(&row.field).unwrap();
            if dictionary().get(id).field_type == muster_shared::event::FieldType::Integer {
                continue;
            }
            let mut data = vec![0x40; row.offset + row.length + 50];
            data[row.offset..row.offset + bytes.len()].copy_from_slice(&bytes);
            let (event, _) = decode((b'T', row.key.as_bytes().try_into().unwrap()), 37, &data, 0);
            prop_assert_eq!(event.get(id), Some(text.as_str()), "{} {}", &row.key, &row.field);
        }
    }
}

#[test]
fn the_layouts_use_each_field_once_and_do_not_overlap() {
    let rows = rows();
    let keys: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys.len(), 82, "entry types with a layout");
    for key in keys {
        let mut own: Vec<&Row> = rows.iter().filter(|row| row.key == key).collect();
        own.sort_by_key(|row| row.offset);
        for two in own.windows(2) {
            assert!(
                two[0].offset + two[0].length <= two[1].offset,
                "{key} {} {}",
                two[0].field,
                two[1].field
            );
        }
        let fields: Vec<&str> =
            own.iter().map(|r| r.field.as_str()).filter(|f| !f.starts_with('-')).collect();
        let distinct: BTreeSet<&&str> = fields.iter().collect();
        assert_eq!(distinct.len(), fields.len(), "{key} {fields:?}");
    }
}
