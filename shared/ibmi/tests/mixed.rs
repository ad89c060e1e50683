//! Audit entries of partitions whose page mixes single and double bytes.

use muster_ibmi::audit::{AuditDecoder, Decoded, JournalEntry};
use muster_ibmi::ebcdic::{code_page, mixed_ccsids};
use muster_shared::event::{Event, dictionary, field};
use proptest::prelude::*;

/// Entry data that is filled piece by piece; blank where nothing is put.
fn data(length: usize, pieces: &[(usize, &[u8])]) -> Vec<u8> {
    let mut data = vec![0x40; length];
    for (offset, bytes) in pieces {
        data[*offset..*offset + bytes.len()].copy_from_slice(bytes);
    }
    data
}

/// Bytes of text in single bytes of a page.
fn single(ccsid: u16, text: &str) -> Vec<u8> {
    let page = code_page(ccsid).expect("a page");
    text.chars().map(|character| page.byte_of(character).expect("a character of the page")).collect()
}

fn decode(ccsid: u16, code: u8, entry_type: [u8; 2], data: &[u8]) -> (Event, Decoded) {
    let entry = JournalEntry {
        code,
        entry_type,
        sequence: 1,
        time_us: 2,
        user: "SATO",
        job_name: "QPADEV0001",
        job_user: "SATO",
        job_number: "012345",
        program: "QCMD",
        program_library: "QSYS",
        remote_address: "",
        remote_port: None,
        object: "",
        data,
        data_length: data.len() as u32,
    };
    let mut decoder = AuditDecoder::new(ccsid);
    assert_eq!(decoder.ccsid(), ccsid);
    let mut event = Event::new();
    let decoded = decoder.decode(&entry, &mut event);
    (event, decoded)
}

fn get<'e>(event: &'e Event, keyword: &str) -> Option<&'e str> {
    event.get(dictionary().find(keyword).expect("a field"))
}

#[test]
fn names_of_ten_bytes() {
    type Case = (u16, &'static [u8], Option<&'static str>, Option<&'static str>);
    let cases: [Case; 7] = [
        (5035, b"\x0E\x45\x62\x45\x66\x0F", Some("日本"), None),
        (939, b"\xC1\x0E\x45\x62\x45\x66\x0F\xC2", Some("A日本B"), None),
        // Cut within a pair: what is whole is text, and all bytes are kept.
        (
            1399,
            b"\x0E\x45\x62\x45\x66\x45\x62\x45\x66\x45",
            Some("日本日本\u{FFFD}"),
            Some("1:0E456245664562456645"),
        ),
        // Cut between two pairs.
        (1399, b"\xC1\x0E\x45\x62\x45\x66\x45\x62\x45\x66", Some("A日本日本"), None),
        // Small letters and Katakana of the Katakana page.
        (930, b"\x62\x63\x81\x82", Some("abｱｲ"), None),
        (930, b"\xC1\x57", Some("A\u{FFFD}"), Some("1:C157")),
        (933, b"\x0E\xD0\x65\x0F", Some("한"), None),
    ];
    for (ccsid, name, expected, raw) in cases {
        let data = data(300, &[(0, b"\xC1"), (1, name)]);
        let (event, _) = decode(ccsid, b'T', *b"AF", &data);
        assert_eq!((get(&event, "object_name"), get(&event, "raw")), (expected, raw), "{ccsid} {name:02X?}");
        assert_eq!(get(&event, "subtype"), Some("A"));
    }
}

#[test]
fn one_character_that_means_nothing_is_kept() {
    let (event, _) = decode(939, b'T', *b"AF", &data(300, &[(0, b"\x0E"), (1, b"\xC1")]));
    assert_eq!((get(&event, "subtype"), get(&event, "raw")), (Some("\u{FFFD}"), Some("0:0E")));
}

#[test]
fn commands_keep_their_text_and_hide_their_passwords() {
    let ccsid = 5035;
    let text = [&b"\x0E\x45\x62\x45\x66\x0F"[..], &single(ccsid, "') PASSWORD(GEHEIM1) X(Y)")].concat();
    let command = [&single(ccsid, "CHGUSRPRF USRPRF(SATO) TEXT('")[..], &text].concat();
    let entry = data(6045, &[(0, b"\xC3"), (30, &command)]);
    let (event, decoded) = decode(ccsid, b'T', *b"CD", &entry);
    let expected = "CHGUSRPRF USRPRF(SATO) TEXT('日本') PASSWORD(********) X(Y)";
    assert_eq!((get(&event, "command"), decoded.masked, decoded.raw_bytes), (Some(expected), 1, 0));
    // Cut in the middle of a pair, the command is text and its bytes are kept, the password in neither.
    let cut = [&command[..], &b"\x0E\x45\x62\x45"[..]].concat();
    let (event, decoded) = decode(ccsid, b'T', *b"CD", &data(6045, &[(0, b"\xC3"), (30, &cut)]));
    assert_eq!(get(&event, "command"), Some(format!("{expected}日\u{FFFD}").as_str()));
    let raw = get(&event, "raw").expect("bytes that could not be read");
    assert!(
        raw.contains("4D5C5C5C5C5C5C5C5D") && raw.ends_with("0E456245") && !raw.contains("C7C5C8C5C9D4F1"),
        "{raw}"
    );
    assert_eq!(decoded.masked, 1);
}

#[test]
fn user_written_entries_are_messages() {
    let message = |ccsid, bytes: &[u8]| {
        let (event, decoded) = decode(ccsid, b'U', *b"00", bytes);
        (
            event.get(field::MESSAGE).map(str::to_owned),
            get(&event, "raw").map(str::to_owned),
            decoded.raw_bytes,
        )
    };
    assert_eq!(message(939, b"\xC1\x0E\x45\x62\x0F\x40"), (Some("A日".into()), None, 0));
    // What is no text as a whole travels as bytes.
    assert_eq!(message(939, b"\x0E\x45\x62\x45"), (None, Some("0:0E456245".into()), 4));
    assert_eq!(message(37, b"\xC1\x0E\x45\x62\x0F"), (None, Some("0:C10E45620F".into()), 5));
    // A long one is cut between two pairs: 8,192 bytes are shift-out, 4,095 pairs and half of the next.
    let long = [&b"\x0E"[..], &b"\x45\x62".repeat(5_000), b"\x0F"].concat();
    let (text, raw, raw_bytes) = message(939, &long);
    assert_eq!(text.map(|text| text.chars().count()), Some(4_095));
    assert_eq!(raw_bytes as usize, long.len() - 1 - 2 * 4_095);
    assert!(raw.is_some_and(|raw| raw.starts_with("8191:4562")));
}

/// Fields, raw and header of any data, whatever the page.
fn any_data() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        (1..40_usize).prop_map(|length| vec![0x40; length]),
        (1..40_usize).prop_map(|length| vec![0; length]),
        proptest::collection::vec(
            prop_oneof![1 => Just(0x0E_u8), 1 => Just(0x0F), 6 => 0x40_u8..=0xFE],
            1..60
        ),
        proptest::collection::vec(any::<u8>(), 1..30),
    ];
    proptest::collection::vec(stretch, 0..30).prop_map(|stretches| stretches.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_entry_becomes_an_event(bytes in any_data()) {
        for ccsid in mixed_ccsids() {
            for (code, entry_type) in
                [(b'T', *b"AF"), (b'T', *b"CD"), (b'T', *b"JS"), (b'T', *b"KF"), (b'U', *b"00"), (b'T', *b"Q9")]
            {
                let (event, _) = decode(ccsid, code, entry_type, &bytes);
                prop_assert_eq!((event.sequence, event.get(field::USER)), (1, Some("SATO")));
            }
        }
    }

    /// A short field is lined up as a whole or decoded by itself; both read the same.
    #[test]
    fn short_fields_read_as_their_text(
        name in proptest::collection::vec(prop_oneof![1 => Just(0x0E_u8), 1 => Just(0x0F), 6 => 0x40_u8..=0xFE], 1..=10),
    ) {
        for ccsid in mixed_ccsids() {
            let (event, decoded) = decode(ccsid, b'T', *b"AF", &data(300, &[(0, b"\xC1"), (1, &name)]));
            let mut text = String::new();
            let clean = code_page(ccsid).expect("a page").decode_trimmed_into(&name, &mut text);
            prop_assert_eq!(get(&event, "object_name").unwrap_or_default(), text);
            prop_assert_eq!(decoded.raw_bytes == 0, clean);
        }
    }
}
