//! Decoding of whole audit entries, as an agent does it.

use muster_ibmi::audit::{AuditDecoder, Decoded, JournalEntry};
use muster_ibmi::ebcdic::code_page;
use muster_shared::event::{Event, EventKind, dictionary};

const NO_ENTRY: JournalEntry<'static> = JournalEntry {
    code: b'T',
    entry_type: *b"AF",
    sequence: 4711,
    time_us: 1_767_225_600_000_000,
    user: "BOB",
    job_name: "QPADEV0001",
    job_user: "BOB",
    job_number: "012345",
    program: "QCMD",
    program_library: "QSYS",
    remote_address: "",
    remote_port: None,
    object: "",
    data: &[],
    data_length: 0,
};

/// Entry data that is filled piece by piece; blank where nothing is put.
struct Data(Vec<u8>);

impl Data {
    fn blank(length: usize) -> Self {
        Self(vec![0x40; length])
    }

    fn text(self, offset: usize, text: &str) -> Self {
        let page = code_page(37).unwrap();
        self.bytes(offset, &text.chars().map(|c| page.byte_of(c).unwrap()).collect::<Vec<_>>())
    }

    fn bytes(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn utf16(self, offset: usize, text: &str) -> Self {
        self.bytes(offset, &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>())
    }
}

fn decode(entry_type: &[u8; 2], data: &[u8]) -> (Event, Decoded) {
    decode_entry(&JournalEntry { entry_type: *entry_type, data, data_length: data.len() as u32, ..NO_ENTRY })
}

fn decode_entry(entry: &JournalEntry<'_>) -> (Event, Decoded) {
    let mut event = Event::new();
    let decoded = AuditDecoder::new(37).decode(entry, &mut event);
    (event, decoded)
}

fn fields(event: &Event) -> Vec<(&str, &str)> {
    let keyword = |field: &muster_shared::event::Field| dictionary().get(field.id).keyword.as_str();
    event.fields().iter().map(|field| (keyword(field), event.text(field))).collect()
}

fn get<'e>(event: &'e Event, keyword: &str) -> Option<&'e str> {
    event.get(dictionary().find(keyword).unwrap())
}

fn meaning(event: &Event, keyword: &str) -> Option<&'static str> {
    let id = dictionary().find(keyword).unwrap();
    event.fields().iter().find(|field| field.id == id).and_then(|field| field.meaning)
}

const HEADER: [(&str, &str); 6] = [
    ("user", "BOB"),
    ("job_name", "QPADEV0001"),
    ("job_user", "BOB"),
    ("job_number", "012345"),
    ("program", "QCMD"),
    ("program_library", "QSYS"),
];

#[test]
fn an_authority_failure() {
    let data = Data::blank(300).text(0, "AEMP       PAYROLL   *FILE");
    let (event, decoded) = decode(b"AF", &data.0);
    let entry_kind = EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' };
    assert_eq!(event.kind, entry_kind);
    assert_eq!((event.name, event.severity.get(), event.sequence), ("Authority failure", 7, 4711));
    assert_eq!(event.time_us, 1_767_225_600_000_000);
    let own =
        [("subtype", "A"), ("object_name", "EMP"), ("object_library", "PAYROLL"), ("object_type", "*FILE")];
    assert_eq!(fields(&event), [&HEADER[..], &own[..]].concat());
    assert_eq!(meaning(&event, "subtype"), Some("not authorized to object"));
    assert_eq!(decoded, Decoded { known_type: true, short: false, raw_bytes: 0, masked: 0 });
}

#[test]
fn unverified_rows_decode_and_stay_in_raw() {
    let data = Data::blank(300).text(0, "A").text(30, "JOBX").text(50, "000042").text(113, "12A");
    let (event, decoded) = decode(b"AF", &data.0);
    assert_eq!(get(&event, "related_job_name"), Some("JOBX"));
    assert_eq!(get(&event, "related_job_number"), Some("000042"));
    assert_eq!(get(&event, "operation_violation"), Some("12A"));
    assert_eq!(get(&event, "raw"), Some("30:D1D6C2E7,50:F0F0F0F0F4F2"));
    assert_eq!(decoded.raw_bytes, 10);
}

#[test]
fn severities_follow_the_entry() {
    let cases: [(&[u8; 2], Data, u8); 15] = [
        (b"AF", Data::blank(30).text(0, "B"), 9),
        (b"AF", Data::blank(30).text(0, "K"), 7),
        (b"CA", Data::blank(80).text(0, "A").text(29, "*PUBLIC"), 8),
        (b"CA", Data::blank(80).text(0, "A").text(29, "BOB").text(49, "YYY"), 6),
        (
            b"CA",
            Data::blank(80).text(0, "A").text(29, "BOB").text(49, "YYY").text(54, "YYYY").text(59, "YYY"),
            8,
        ),
        (b"CP", Data::blank(80).text(0, "ABOB").text(35, "Y"), 9),
        (b"CP", Data::blank(80).text(0, "ABOB").text(35, "Y").text(43, "Y"), 7),
        (b"SV", Data::blank(600).text(0, "AQPWDMINLEN"), 9),
        (b"SV", Data::blank(600).text(0, "AQDATE"), 7),
        (b"X0", Data::blank(60).text(0, "1"), 2),
        (b"X0", Data::blank(60).text(0, "2"), 5),
        (b"X0", Data::blank(60).text(0, "8"), 7),
        (b"GR", Data::blank(150).text(0, "FZC").bytes(19, &[0, 13]).text(21, "*USAGEFAILURE"), 6),
        (b"CD", Data::blank(60).text(0, "CCRTUSRPRF QSYS"), 6),
        (b"IS", Data::blank(400).text(0, "1").text(297, "8201"), 5),
    ];
    for (entry_type, data, expected) in cases {
        let (event, _) = decode(entry_type, &data.0);
        assert_eq!(event.severity.get(), expected, "{:?}", fields(&event));
    }
}

#[test]
fn numbers_get_their_meaning() {
    let data = Data::blank(100).text(0, "REMP       PAYROLL   *FILE").bytes(29, &[0x00, 0x03, 0x0F]);
    let (event, decoded) = decode(b"ZR", &data.0);
    assert_eq!(get(&event, "access_type"), Some("30"));
    assert_eq!(meaning(&event, "access_type"), Some("open"));
    assert_eq!(decoded.raw_bytes, 0);
    // What is no packed number is not a field but stays in raw.
    let data = Data::blank(100).text(0, "R").bytes(29, &[0xAA, 0xBB, 0xCC]);
    let (event, _) = decode(b"ZR", &data.0);
    assert_eq!(get(&event, "access_type"), None);
    assert_eq!(get(&event, "raw"), Some("29:AABBCC"));
}

/// The name block of KF is documented as a whole.
fn key_ring(length: u16, ccsid: u32) -> Data {
    let data = Data::blank(604).text(0, "K   PWD").bytes(28, &length.to_be_bytes());
    data.bytes(30, &ccsid.to_be_bytes()).text(34, "DE").text(36, "DEU").utf16(74, "Schlüssel")
}

#[test]
fn file_names_follow_their_length_and_ccsid() {
    let (event, decoded) = decode(b"KF", &key_ring(18, 1200).0);
    assert_eq!(get(&event, "ifs_name"), Some("Schlüssel"));
    assert_eq!(get(&event, "name_country"), Some("DE"));
    assert_eq!(meaning(&event, "key_ring_operation"), Some("password changed"));
    assert_eq!(decoded.raw_bytes, 0);
    // Without a CCSID it is UTF-16; without a true length the area is the name.
    for data in [key_ring(18, 0), key_ring(0, 13_488), key_ring(0x4040, 0x4040_4040), key_ring(600, 1200)] {
        assert_eq!(get(&decode(b"KF", &data.0).0, "ifs_name"), Some("Schlüssel"));
    }
    // A length that is too small loses nothing.
    let (event, _) = decode(b"KF", &key_ring(8, 1200).0);
    assert_eq!(get(&event, "ifs_name"), Some("Schl"));
    assert_eq!(get(&event, "raw"), Some("83:FC007300730065006C"));
    // 65535 names no CCSID.
    assert_eq!(get(&decode(b"KF", &key_ring(18, 65_535).0).0, "ifs_name"), Some("Schlüssel"));
    // Nor does one that cannot be read.
    let (event, _) = decode(b"KF", &key_ring(18, 819).0);
    assert_eq!(get(&event, "ifs_name"), None);
    assert!(get(&event, "raw").unwrap().starts_with("75:53006300"), "{:?}", get(&event, "raw"));
}

#[test]
fn prefixed_texts_follow_their_length() {
    let data = Data::blank(2021).text(0, "AN").bytes(2, &37_u32.to_be_bytes()).bytes(6, &[0, 4]);
    let data = data.bytes(8, &[0, 4]).text(10, "PATHX");
    let (event, decoded) = decode(b"EV", &data.0);
    assert_eq!(get(&event, "variable_name"), Some("PATH"));
    assert_eq!(get(&event, "raw"), Some("14:E7"), "the length leaves one letter out");
    assert_eq!(decoded.raw_bytes, 1);
    // Text in UTF-8.
    let data = Data::blank(1200).text(0, "AN").bytes(2, &1208_u32.to_be_bytes()).bytes(6, &[0, 6]);
    let data = data.bytes(8, &[0, 6]).bytes(10, "größ".as_bytes());
    assert_eq!(get(&decode(b"EV", &data.0).0, "variable_name"), Some("größ"));
}

#[test]
fn job_names_of_the_data_are_not_the_acting_ones() {
    let data = Data::blank(720).text(0, "SI").text(3, "PAYJOB    ALICE     654321");
    let (event, _) = decode(b"JS", &data.0);
    assert_eq!(get(&event, "job_name"), Some("QPADEV0001"));
    assert_eq!(get(&event, "target_job_name"), Some("PAYJOB"));
    assert_eq!(get(&event, "target_job_user"), Some("ALICE"));
    assert_eq!(get(&event, "target_job_number"), Some("654321"));
    assert_eq!(meaning(&event, "job_type"), Some("interactive"));
    let data = data.text(559, "GRP1      GRP2");
    assert_eq!(get(&decode(b"JS", &data.0).0, "supplemental_groups"), Some("GRP1 GRP2"));
}

#[test]
fn an_intrusion_fills_the_remote_address_if_the_header_has_none() {
    let data =
        Data::blank(170).text(0, "P2026-03-01-04.05.06.789012").text(84, "00443").text(89, "192.0.2.7");
    let (event, _) = decode(b"IM", &data.0);
    assert_eq!(get(&event, "remote_address"), Some("192.0.2.7"));
    assert_eq!(get(&event, "event_time"), Some("2026-03-01T04:05:06.789012"));
    assert_eq!(get(&event, "peer_port"), Some("443"));
    let entry = JournalEntry {
        entry_type: *b"IM",
        data: &data.0,
        data_length: 170,
        remote_address: "198.51.100.1",
        remote_port: Some(50_000),
        ..NO_ENTRY
    };
    let (event, _) = decode_entry(&entry);
    assert_eq!(get(&event, "remote_address"), Some("198.51.100.1"));
    assert_eq!(get(&event, "remote_port"), Some("50000"));
    assert_eq!(get(&event, "peer_address"), Some("192.0.2.7"));
}

#[test]
fn passwords_never_leave() {
    let command = "CRTUSRPRF USRPRF(EVE) PASSWORD(GEHEIM1) SPCAUT(*ALLOBJ)";
    let data = Data::blank(6045).text(0, "CCRTUSRPRF QSYS      *CMD    N").text(30, command);
    let (event, decoded) = decode(b"CD", &data.0);
    assert_eq!(get(&event, "command"), Some("CRTUSRPRF USRPRF(EVE) PASSWORD(********) SPCAUT(*ALLOBJ)"));
    assert_eq!((decoded.masked, decoded.raw_bytes), (1, 0));
    // Neither from a type that nobody knows …
    let (event, _) = decode(b"Q9", &data.0);
    let secret = "C7C5C8C5C9D4F1";
    assert!(get(&event, "raw").unwrap().contains("4D5C5C5C5C5C5C5C5D"), "{:?}", get(&event, "raw"));
    assert!(!get(&event, "raw").unwrap().contains(secret));
    // … nor from a user-written one.
    let entry =
        JournalEntry { code: b'U', entry_type: *b"XX", data: &data.0[30..], data_length: 6015, ..NO_ENTRY };
    let (event, _) = decode_entry(&entry);
    assert_eq!(get(&event, "message"), Some("CRTUSRPRF USRPRF(EVE) PASSWORD(********) SPCAUT(*ALLOBJ)"));
    assert_eq!(event.name, "User journal entry");
}

#[test]
fn a_blank_tail_left_unfetched_changes_nothing_but_the_count() {
    let data = Data::blank(5872).text(0, "AEMP       PAYROLL   *FILE").text(30, "JOBX");
    let (whole, _) = decode(b"AF", &data.0);
    let entry = JournalEntry { data: &data.0[..34], data_length: 5872, ..NO_ENTRY };
    let (part, decoded) = decode_entry(&entry);
    assert_eq!(get(&part, "blank_tail"), Some("5838"));
    assert!(!decoded.short);
    let without: Vec<_> = fields(&part).into_iter().filter(|(keyword, _)| *keyword != "blank_tail").collect();
    assert_eq!(without, fields(&whole));
    // A value whose last byte is a blank by chance keeps it.
    let data = Data::blank(110).text(0, "C").bytes(46, &[0, 0, 1, 0x40]);
    let entry = JournalEntry { entry_type: *b"SK", data: &data.0[..44], data_length: 700, ..NO_ENTRY };
    assert_eq!(get(&decode_entry(&entry).0, "socket_descriptor"), None);
    let data = Data::blank(110).text(0, "C").bytes(41, &[0, 0, 1, 0x40]);
    let entry = JournalEntry { entry_type: *b"SK", data: &data.0[..44], data_length: 700, ..NO_ENTRY };
    assert_eq!(get(&decode_entry(&entry).0, "socket_descriptor"), Some("320"));
}

#[test]
fn short_data_is_told_and_kept() {
    let data = Data::blank(16).text(0, "AEMP       PAYRO");
    let (event, decoded) = decode(b"AF", &data.0);
    assert!(decoded.short);
    assert_eq!(get(&event, "object_library"), Some("PAYRO"));
    // A number that is cut is no number.
    let data = Data::blank(31).text(0, "R").bytes(29, &[0x00, 0x03]);
    let (event, _) = decode(b"ZR", &data.0);
    assert_eq!((get(&event, "access_type"), get(&event, "raw")), (None, Some("30:03")));
    let (event, decoded) = decode(b"AF", &[]);
    assert_eq!(fields(&event), HEADER);
    assert!(decoded.short);
}

#[test]
fn unknown_types_and_endless_data_travel_in_raw() {
    let (event, decoded) = decode(b"Q9", &[0xC1, 0x40, 0xC2, 0x40, 0x40, 0x40, 0x40, 0xC3]);
    assert_eq!((event.name, decoded.known_type), ("Unknown journal entry type", false));
    assert_eq!(get(&event, "raw"), Some("0:C140C2,7:C3"));
    let (event, decoded) = decode(b"Q9", &[0xFF; 100_000]);
    assert_eq!(decoded.raw_bytes, 100_000);
    let raw = get(&event, "raw").unwrap();
    assert_eq!(raw.len(), 2 + 2 * 8192 + ",more:91808".len());
    assert!(raw.ends_with("FF,more:91808"));
}

#[test]
fn endless_passwords_cost_no_more_than_their_length() {
    let page = code_page(37).unwrap();
    for text in ["PASSWORD(A)", "CRTUSRPRF('", "CRTUSRPRF A '(", "PASSWORD=''", "CRTUSRPRF A B "] {
        let bytes: Vec<u8> = text.chars().map(|c| page.byte_of(c).unwrap()).collect();
        let data = bytes.repeat(2_000_000 / bytes.len());
        let entry = JournalEntry { code: b'U', data: &data, data_length: data.len() as u32, ..NO_ENTRY };
        let (event, decoded) = decode_entry(&entry);
        assert!(event.get(muster_shared::event::field::MESSAGE).unwrap().len() <= 2 * 8192, "{text}");
        assert!(decoded.raw_bytes > 1_000_000, "{text}");
        assert!(get(&event, "raw").is_none_or(|raw| raw.len() < 40_000), "{text}");
    }
}

#[test]
fn entries_of_other_journal_codes() {
    let object = "QAUDJRN   QSYS      ";
    let entry =
        JournalEntry { code: b'J', entry_type: *b"RD", data: &[0xC1], data_length: 1, object, ..NO_ENTRY };
    let (event, decoded) = decode_entry(&entry);
    assert!(decoded.known_type);
    assert_eq!((event.name, event.severity.get()), ("Journal receiver deleted", 6));
    assert_eq!((get(&event, "object_name"), get(&event, "object_library")), (Some("QAUDJRN"), Some("QSYS")));
    assert_eq!(get(&event, "raw"), Some("0:C1"));
    let entry = JournalEntry {
        code: b'U',
        entry_type: *b"00",
        data: &[0xC1, 0x00, 0x01],
        data_length: 3,
        ..NO_ENTRY
    };
    let (event, _) = decode_entry(&entry);
    assert_eq!((get(&event, "message"), get(&event, "raw")), (None, Some("0:C10001")));
    let entry = JournalEntry { code: 0xFF, entry_type: [0, 0xFF], data: &[0xC1], data_length: 1, ..NO_ENTRY };
    let (event, decoded) = decode_entry(&entry);
    assert!(!decoded.known_type);
    assert_eq!(get(&event, "raw"), Some("0:C1"));
}

#[test]
fn text_follows_the_code_page_of_the_partition() {
    let mut event = Event::new();
    let data = Data::blank(30).text(0, "A").bytes(1, &[0x7C, 0xC0, 0xD0]);
    for (ccsid, expected, used) in [(297, "àéè", 297), (37, "@{}", 37), (65_535, "@{}", 37)] {
        let mut decoder = AuditDecoder::new(ccsid);
        let entry = JournalEntry { data: &data.0, data_length: 30, ..NO_ENTRY };
        decoder.decode(&entry, &mut event);
        assert_eq!(get(&event, "object_name"), Some(expected));
        assert_eq!(decoder.ccsid(), used);
    }
}
