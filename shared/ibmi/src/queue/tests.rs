use super::*;
use proptest::prelude::*;

/// Text as a program in a job of CCSID 37 writes it.
fn ebcdic(text: &str) -> Vec<u8> {
    let page = crate::ebcdic::code_page(37).unwrap();
    text.chars().map(|c| page.byte_of(c).unwrap()).collect()
}

fn context(content: QueueContent) -> QueueContext {
    QueueContext { queue: "PAYROLL/EVENTS".to_owned(), content, ccsid: 37, ccsid_assumed: true }
}

fn entry(data: &[u8]) -> QueueEntry<'_> {
    QueueEntry {
        data,
        declared: data.len() as u32,
        key: &[],
        sender_job: "123456/BOB/NIGHTRUN",
        sender_user: "BATCH",
        enqueued_us: 1_772_334_245_000_000,
    }
}

/// The event as text: id, severity, then each field.
fn shown(event: &Event) -> String {
    let mut id = Vec::new();
    event.kind.write_event_id(&mut id);
    let mut out = format!("{} {}", String::from_utf8(id).unwrap(), event.severity.get());
    for field in event.fields() {
        out.push_str(&format!("|{}={}", dictionary().get(field.id).keyword, event.text(field)));
    }
    out
}

fn decoded(entry: &QueueEntry<'_>, context: &QueueContext) -> (String, QueueLook) {
    let mut event = Event::new();
    let look = decode(entry, context, &mut event);
    assert_eq!((event.name, event.time_us), ("Data queue entry", entry.enqueued_us));
    (shown(&event), look)
}

const HEAD: &str = "|queue=PAYROLL/EVENTS|user=BATCH|job_name=NIGHTRUN|job_user=BOB|job_number=123456";

#[test]
fn each_format_becomes_its_event() {
    let cases = [
        ("Limit exceeded for order 4711  ", "DTAQ_TEXT 3", "|message=Limit exceeded for order 4711"),
        (
            "order=4711 severity=7 user=ANNA text=\"two words\"",
            "DTAQ_KV 7",
            "|message=order=4711 severity=7 user=ANNA text=\"two words\"|app_format=key_value|app_severity=7\
             |app_field=order=4711|app_user=ANNA|app_field=text=two words",
        ),
        (
            "{\"event_id\":\"PAY7\",\"severity\":\"high\",\"amount\":12.5,\"a\":{\"b\":true}}",
            "DTAQ_JSON 8",
            "|message={\"event_id\":\"PAY7\",\"severity\":\"high\",\"amount\":12.5,\"a\":{\"b\":true}}|app_format=json\
             |app_event_id=PAY7|app_severity=high|app_field=amount=12.5|app_field=a.b=true",
        ),
        (
            "CEF:0|Acme|Payroll|2.1|100|Limit exceeded|9|suser=ANNA src=10.1.2.3 cs1=4711 cs1Label=orderNo",
            "DTAQ_CEF 9",
            "|message=CEF:0|Acme|Payroll|2.1|100|Limit exceeded|9|suser=ANNA src=10.1.2.3 cs1=4711 cs1Label=orderNo\
             |app_format=cef|app_vendor=Acme|app_product=Payroll|app_version=2.1|app_event_id=100\
             |app_name=Limit exceeded|app_severity=9|app_user=ANNA|remote_address=10.1.2.3|app_field=orderNo=4711",
        ),
        (
            "LEEF:1.0|Acme|Payroll|2.1|100|usrName=ANNA\tsev=6\tsrc=10.1.2.3",
            "DTAQ_LEEF 6",
            "|message=LEEF:1.0|Acme|Payroll|2.1|100|usrName=ANNA\tsev=6\tsrc=10.1.2.3|app_format=leef\
             |app_vendor=Acme|app_product=Payroll|app_version=2.1|app_event_id=100|app_severity=6|app_user=ANNA\
             |remote_address=10.1.2.3",
        ),
    ];
    for (text, head, fields) in cases {
        let bytes = ebcdic(text);
        let (event, look) = decoded(&entry(&bytes), &context(QueueContent::Auto));
        assert_eq!(event, format!("{head}{HEAD}{fields}"));
        assert!(!look.unprintable && !look.unexpected && !look.cut, "{look:?}");
    }
}

#[test]
fn what_the_policy_says_of_the_content_is_kept_to() {
    let json = ebcdic("{\"severity\":9}");
    let (event, look) = decoded(&entry(&json), &context(QueueContent::Text));
    assert_eq!(event, format!("DTAQ_TEXT 3{HEAD}|message={{\"severity\":9}}"));
    assert!(!look.unexpected);
    for (content, expected) in [
        (QueueContent::Json, false),
        (QueueContent::Leef, true),
        (QueueContent::Cef, true),
        (QueueContent::KeyValue, true),
    ] {
        let (event, look) = decoded(&entry(&json), &context(content));
        assert!(event.starts_with("DTAQ_JSON 9"), "{event}");
        assert_eq!(look.unexpected, expected, "{content:?}");
    }
}

#[test]
fn bytes_that_are_no_text_travel_as_digits() {
    let none = QueueEntry { sender_job: "", sender_user: "", ..entry(&[0x00, 0x01, 0xC1, 0xFF]) };
    let (event, look) = decoded(&none, &context(QueueContent::Auto));
    assert_eq!(event, "DTAQ_BINARY 3|queue=PAYROLL/EVENTS|raw=0:0001C1FF");
    assert_eq!((look.format, look.unprintable), (QueuedFormat::Binary, false));
    // A single one in a text, and a text that the policy insists on.
    let mut bytes = ebcdic("ABCDEFG");
    bytes.push(0x02);
    let (event, look) = decoded(&entry(&bytes), &context(QueueContent::Auto));
    assert_eq!(event, format!("DTAQ_TEXT 3{HEAD}|message=ABCDEFG\u{2}|raw=0:C1C2C3C4C5C6C702"));
    assert!(look.unprintable);
    let (event, look) = decoded(&entry(&[0x01, 0x02, 0xC1]), &context(QueueContent::Text));
    assert_eq!(event, format!("DTAQ_TEXT 3{HEAD}|message=\u{1}\u{2}A|raw=0:0102C1"));
    assert!(look.unprintable);
}

#[test]
fn a_wrong_code_page_is_noticed_and_costs_nothing() {
    // UTF-16 text in a queue that is said to be CCSID 37.
    let bytes: Vec<u8> = "order".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let named = QueueContext { ccsid_assumed: false, ..context(QueueContent::Text) };
    let (event, look) = decoded(&entry(&bytes), &named);
    assert!(event.starts_with("DTAQ_TEXT 3") && event.ends_with("|raw=0:006F0072006400650072"), "{event}");
    assert!(look.unprintable);
    let right = QueueContext { ccsid: 1200, ..named };
    let (event, look) = decoded(&entry(&bytes), &right);
    assert_eq!(event, format!("DTAQ_TEXT 3{HEAD}|message=order"));
    assert!(!look.unprintable);
}

#[test]
fn passwords_are_masked_in_every_form() {
    let cases = [
        ("CHGUSRPRF USRPRF(BOB) PASSWORD(geheim)", "|message=CHGUSRPRF USRPRF(BOB) PASSWORD(********)"),
        (
            "order=1 password=geheim",
            "|message=order=1 password=********|app_format=key_value|app_field=order=1|app_field=password=********",
        ),
        (
            "{\"user\":\"ANNA\",\"newPassword\":\"geheim\"}",
            "|message={\"user\":\"ANNA\",\"newPassword\":\"********\"}|app_format=json|app_user=ANNA\
             |app_field=newPassword=********",
        ),
        (
            "CEF:0|Acme|Payroll|2.1|100|Login|3|pwd=geheim act=x",
            "|message=CEF:0|Acme|Payroll|2.1|100|Login|3|pwd=******** act=x|app_format=cef|app_vendor=Acme\
             |app_product=Payroll|app_version=2.1|app_event_id=100|app_name=Login|app_severity=3|app_field=pwd=********\
             |app_field=act=x",
        ),
        ("select ENCRYPT_AES('4711', 'geheim')", "|message=select ENCRYPT_AES(********)"),
        ("PASSWORD(*NONE) stays", "|message=PASSWORD(*NONE) stays"),
    ];
    for (text, fields) in cases {
        for data in [ebcdic(text), text.as_bytes().to_vec()] {
            let (event, look) = decoded(&entry(&data), &context(QueueContent::Auto));
            assert!(event.ends_with(&format!("{HEAD}{fields}")), "{event}");
            assert_eq!(look.masked, u32::from(fields.contains("********")), "{text}");
        }
    }
}

#[test]
fn passwords_are_masked_in_raw_whatever_the_bytes_are() {
    let text = "password=geheim";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let odd: Vec<u8> = [&[0x07][..], &wide].concat();
    for (data, secret) in [
        ([vec![0x02], ebcdic(text)].concat(), ebcdic("geheim")),
        ([&[0x02; 9], text.as_bytes()].concat(), b"geheim".to_vec()),
        (wide, b"g\0e\0h\0e\0i\0m".to_vec()),
        (odd, b"g\0e\0h\0e\0i\0m".to_vec()),
    ] {
        for content in [QueueContent::Auto, QueueContent::Text] {
            let named = QueueContext { ccsid_assumed: false, ..context(content) };
            let (event, look) = decoded(&entry(&data), &named);
            let raw = event.split("|raw=0:").nth(1).unwrap_or_else(|| panic!("{event}"));
            assert_eq!(raw.len(), 2 * data.len(), "as long as the entry");
            assert!(!raw.contains(&faster_hex::hex_string_upper(&secret)), "{event}");
            assert!(look.masked > 0);
        }
    }
}

#[test]
fn a_record_of_the_exit_program_is_not_shown() {
    let record = [ebcdic("MUSTRX"), vec![0, 1], ebcdic("geheim")].concat();
    let (event, look) = decoded(&entry(&record), &context(QueueContent::Auto));
    assert_eq!(
        event,
        format!(
            "DTAQ_BINARY 3{HEAD}|reason=a record of the exit program, which may hold passwords; a source of kind exit_point \
             reads it|raw_length=14"
        )
    );
    assert!(look.exit_record && !look.cut);
}

#[test]
fn keys_are_text_or_digits() {
    let data = ebcdic("x");
    let key = ebcdic("030 ");
    for (key, shown) in
        [(&key[..], "030"), (&[0x00, 0x00, 0x01][..], "X'000001'"), (&[0x40, 0x40][..], "X'4040'")]
    {
        let (event, _) = decoded(&QueueEntry { key, ..entry(&data) }, &context(QueueContent::Auto));
        assert_eq!(event, format!("DTAQ_TEXT 3{HEAD}|entry_key={shown}|message=x"));
    }
}

#[test]
fn an_entry_that_did_not_come_whole_is_noticed() {
    let data = ebcdic("ABC");
    for declared in [2, 4, u32::MAX] {
        let (event, look) = decoded(&QueueEntry { declared, ..entry(&data) }, &context(QueueContent::Auto));
        assert!(look.cut && event.ends_with("|message=ABC"), "{event}");
    }
    let (event, look) = decoded(&entry(&[]), &context(QueueContent::Auto));
    assert_eq!(event, format!("DTAQ_TEXT 3{HEAD}"));
    assert!(!look.cut && !look.unprintable);
}

#[test]
fn a_sender_that_makes_no_sense_is_left_out() {
    let data = ebcdic("x");
    let odd = QueueEntry { sender_job: "nonsense", sender_user: "  ", ..entry(&data) };
    assert_eq!(decoded(&odd, &context(QueueContent::Auto)).0, "DTAQ_TEXT 3|queue=PAYROLL/EVENTS|message=x");
}

proptest! {
    #[test]
    fn any_bytes_become_an_event_that_has_all_of_them(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        key in proptest::collection::vec(any::<u8>(), 0..20),
        ccsid in proptest::sample::select(vec![37_u16, 273, 420, 500, 1200, 1208, 65_535, 0]),
        assumed in any::<bool>(),
    ) {
        let context = QueueContext { ccsid, ccsid_assumed: assumed, ..context(QueueContent::Auto) };
        let mut event = Event::new();
        let look = decode(&QueueEntry { key: &key, ..entry(&data) }, &context, &mut event);
        if look.format == QueuedFormat::Binary || look.unprintable {
            let digits = format!("0:{}", faster_hex::hex_string_upper(&data));
            prop_assert_eq!(event.get(field::RAW), Some(digits.as_str()));
        }
    }
}
