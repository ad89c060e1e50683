//! Messages and the events that must come of them: one case per identifier that is known, and what is bad.

use muster_ibmi::ebcdic::code_page;
use muster_ibmi::message::{Doubt, Inquiry, Message, MessageDecoder, known_messages};
use muster_shared::event::{Event, EventKind, MessageId, MessageOrigin, dictionary};
use proptest::prelude::*;

const TIME_US: i64 = 1_793_000_000_123_456;

/// A message of the history log without anything.
fn message<'a>(id: &'a str, text: &'a str, tokens: &'a [u8]) -> Message<'a> {
    Message {
        origin: MessageOrigin::HistoryLog,
        queue: "",
        id,
        kind: "INFORMATIONAL",
        subtype: "",
        severity: Some(0),
        time_us: TIME_US,
        user: "QSYS",
        job: "370690/QSYS/QINTER",
        program: "QWTPIIPP",
        file_library: "QSYS",
        file: "QCPFMSG",
        text,
        detail: "",
        tokens,
        key: "",
        answers: None,
    }
}

fn queued<'a>(id: &'a str, kind: &'a str, severity: u8, text: &'a str) -> Message<'a> {
    Message {
        origin: MessageOrigin::Queue,
        queue: "QSYS/QSYSOPR",
        kind,
        severity: Some(severity),
        key: "00000CB0",
        ..message(id, text, &[])
    }
}

fn ebcdic(ccsid: u16, text: &str) -> Vec<u8> {
    let page = code_page(ccsid).unwrap();
    text.chars().map(|c| page.byte_of(c).unwrap()).collect()
}

fn decode(message: &Message<'_>) -> Event {
    let mut event = Event::new();
    MessageDecoder::new(37).decode(message, &mut event);
    event
}

fn fields(event: &Event) -> Vec<(&'static str, String)> {
    let keyword = |id| dictionary().get(id).keyword.as_str();
    event.fields().iter().map(|field| (keyword(field.id), event.text(field).to_owned())).collect()
}

/// What every message of [`message`] has, around what is its own.
fn expected(id: &str, own: &[(&'static str, &str)], text: &str, raw: &str) -> Vec<(&'static str, String)> {
    let front = [
        ("user", "QSYS"),
        ("job_name", "QINTER"),
        ("job_user", "QSYS"),
        ("job_number", "370690"),
        ("program", "QWTPIIPP"),
        ("message_id", id),
        ("message_type", "INFORMATIONAL"),
        ("message_severity", "0"),
    ];
    let back = [("message", text), ("message_file", "QSYS/QCPFMSG"), ("raw", raw)];
    let all = front.iter().chain(own).chain(&back);
    all.filter(|(_, value)| !value.is_empty())
        .map(|(keyword, value)| (*keyword, (*value).to_owned()))
        .collect()
}

/// Replacement data of CPF1124: a job in front, the subsystem at byte 59, and something between.
fn job_start(front: &str) -> Vec<u8> {
    ebcdic(37, &format!("{front:<26}260807091500        2608070915  QINTER    QSYS      "))
}

#[test]
fn each_known_identifier_becomes_its_event() {
    let start = "Job 370690/QSYS/QINTER started on 26/08/07 at 09:15:00 in subsystem QINTER in QSYS.";
    let other = "Job 900001/TESTUSR/QPADEV0009 started on 26/08/07 at 09:15:00 in subsystem QINTER in QSYS.";
    let end = "Job 370690/QSYS/QINTER ended on 26/08/07 at 09:45:00; 33.5 seconds used; end code 30 .";
    let client =
        "User TESTUSR from client 10.1.2.3 connected to job 900002/QUSER/QZDASOINIT in subsystem QUSRWRK.";
    let (tokens, target) = (job_start("QINTER    QSYS      370690"), job_start("900001TESTUSR   QPADEV0009"));
    let raw = "26:F2F6F0F8F0F7F0F9F1F5F0F0,46:F2F6F0F8F0F7F0F9F1F5,68:D8E2E8E2";
    let job = [
        ("related_job_name", "QPADEV0009"),
        ("related_job_user", "TESTUSR"),
        ("related_job_number", "900001"),
    ];
    let server =
        [("related_job_name", "QZDASOINIT"), ("related_job_user", "QUSER"), ("related_job_number", "900002")];
    type Case<'c> = (&'c str, &'c str, &'c [u8], Vec<(&'static str, &'c str)>, &'c str, &'c str, u8);
    let subsystem = ("subsystem", "QINTER");
    let cases: [Case<'_>; 12] = [
        ("CPF1124", start, &tokens, vec![subsystem], raw, "Job started", 2),
        ("CPF1124", other, &target, [&[subsystem][..], &job[..]].concat(), raw, "Job started", 2),
        (
            "CPF1164",
            end,
            &[0xC1],
            vec![("job_cpu_ms", "33500"), ("job_end_code", "30")],
            "0:C1",
            "Job ended",
            5,
        ),
        ("CPC1225", "Job ended abnormally.", &[], vec![], "", "Job ended abnormally", 5),
        (
            "CPF1393",
            "User profile BOB has been disabled.",
            &[],
            vec![("target_user", "BOB")],
            "",
            "User profile disabled after failed sign-ons",
            8,
        ),
        (
            "CPF1397",
            "Subsystem QINTER varied off work station DSP01 for user BOB",
            &[],
            vec![("subsystem", "QINTER"), ("device_name", "DSP01"), ("target_user", "BOB")],
            "",
            "Device varied off after failed sign-ons",
            8,
        ),
        (
            "TCP2617",
            "TCP/IP connection to remote system 10.1.2.3 closed, reason code 2.",
            &[],
            vec![("remote_address", "10.1.2.3")],
            "",
            "TCP connection to a remote system closed",
            3,
        ),
        ("CPF1269", "Rejected.", &[], vec![], "", "Program start request rejected", 6),
        ("CPF0907", "Storage.", &[], vec![], "", "Storage threshold reached", 9),
        ("CPI0920", "Disk.", &[], vec![], "", "Disk unit error", 9),
        (
            "CPIAD09",
            client,
            &[],
            [&[("remote_address", "10.1.2.3")][..], &server[..]].concat(),
            "",
            "User connected to a host server job",
            2,
        ),
        ("CPI3999", "Watch.", &[], vec![], "", "Watch exit program problem", 6),
    ];
    let mut seen = Vec::new();
    for (id, text, tokens, own, raw, name, severity) in cases {
        let message = message(id, text, tokens);
        let event = decode(&message);
        assert_eq!(fields(&event), expected(id, &own, text, raw), "{id}");
        assert_eq!((event.name, event.severity.get()), (name, severity), "{id}");
        assert_eq!(event.time_us, TIME_US);
        let kind = EventKind::Message { origin: MessageOrigin::HistoryLog, id: MessageId::parse(id) };
        assert_eq!(event.kind, kind);
        assert_eq!(MessageDecoder::new(37).doubt(&message), None, "{id}");
        seen.push(kind);
    }
    for known in known_messages() {
        let kind = EventKind::Message { origin: MessageOrigin::HistoryLog, id: known.id };
        assert!(seen.contains(&kind), "no case for {:?}", known.name);
    }
}

#[test]
fn what_is_not_known_travels_as_it_is() {
    let text = "TCP/IP-Schnittstelle 10.1.2.3 wurde gestartet.\n(älter)";
    let event = decode(&message("TCP2615", text, &ebcdic(37, "10.1.2.3")));
    assert_eq!(fields(&event), expected("TCP2615", &[], text, "0:F1F04BF14BF24BF3"));
    assert_eq!((event.name, event.severity.get()), ("Message", 2));
    // Impromptu: no identifier, no file; the job is none.
    let message =
        Message { job: "*N", file: "", file_library: "", severity: None, ..message("", "hello", &[]) };
    let event = decode(&message);
    let id = EventKind::Message { origin: MessageOrigin::HistoryLog, id: MessageId::default() };
    assert_eq!(event.kind, id);
    let keywords: Vec<_> = fields(&event).into_iter().map(|(keyword, _)| keyword).collect();
    assert_eq!(keywords, ["user", "job_name", "program", "message_type", "message"]);
}

#[test]
fn names_are_read_only_where_a_text_has_as_many_as_it_should() {
    type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
    let cases: [Case; 6] = [
        ("CPF1393", "CPF1393 Benutzerprofil MÜLLER wurde inaktiviert.", &[("target_user", "MÜLLER")]),
        ("CPF1393", "Profile BOB of group OPS was disabled.", &[]),
        ("CPF1393", "A profile was disabled.", &[]),
        ("CPF1397", "Work station DSP01 was varied off.", &[]),
        ("TCP2617", "Connexion TCP/IP avec le système ::1 fermée.", &[("remote_address", "::1")]),
        ("TCP2617", "A connection was closed.", &[]),
    ];
    for (id, text, own) in cases {
        assert_eq!(fields(&decode(&message(id, text, &[]))), expected(id, own, text, ""), "{text}");
    }
}

#[test]
fn severities_follow_the_partition_the_table_the_code_and_the_queue() {
    for (severity, expected) in
        [(0, 2), (10, 2), (20, 3), (30, 4), (40, 5), (50, 6), (70, 7), (80, 7), (99, 8), (255, 8)]
    {
        assert_eq!(
            decode(&queued("CPA0001", "INQUIRY", severity, "?")).severity.get(),
            expected,
            "{severity}"
        );
    }
    let end = |code: u16| {
        let text = format!("Job 370690/A/B ended on 26/08/07 at 09:45:00; 1 seconds used; end code {code}");
        let event = decode(&message("CPF1164", &text, &[]));
        let meaning = event.fields().iter().find_map(|field| field.meaning);
        (event.severity.get(), meaning)
    };
    let cases = [
        (0, (2, Some("ended normally"))),
        (20, (4, Some("exceeded the end severity of the job"))),
        (30, (5, Some("ended abnormally"))),
        // Not documented: the code stands there without a meaning.
        (70, (5, None)),
        (1, (2, None)),
    ];
    for (code, expected) in cases {
        assert_eq!(end(code), expected, "{code}");
    }
    // What lands in QSYSMSG is critical, and more so if the table says it.
    for (id, severity, expected) in [("CPF1269", 0, 8), ("CPX9999", 40, 8), ("CPI0920", 99, 9), ("", 0, 8)] {
        let message = Message { queue: "QSYS/QSYSMSG", ..queued(id, "INFORMATIONAL", severity, "x") };
        assert_eq!(decode(&message).severity.get(), expected, "{id}");
    }
}

#[test]
fn an_inquiry_waits_and_a_reply_names_what_it_answers() {
    let get =
        |event: &Event, keyword| dictionary().find(keyword).and_then(|id| event.get(id).map(str::to_owned));
    let event = decode(&queued("CPA0702", "INQUIRY", 99, "CPF2110 received. (C D I R)"));
    assert_eq!(get(&event, "reply_state").as_deref(), Some("waiting"));
    assert_eq!(get(&event, "message_queue").as_deref(), Some("QSYS/QSYSOPR"));
    assert_eq!(get(&event, "message_key").as_deref(), Some("00000CB0"));
    let known = Inquiry { key: "00000CA0", id: "CPA0702", text: "CPF2110 received. (C D I R)" };
    for (answers, id, text) in
        [(known, Some("CPA0702"), Some(known.text)), (Inquiry { id: "", text: "", ..known }, None, None)]
    {
        let event = decode(&Message { answers: Some(answers), ..queued("", "REPLY", 0, "C") });
        assert_eq!(get(&event, "reply_to_key").as_deref(), Some("00000CA0"));
        assert_eq!(get(&event, "reply_to_id").as_deref(), id);
        assert_eq!(get(&event, "reply_to_message").as_deref(), text);
        assert_eq!(get(&event, "reply_state"), None);
        assert_eq!(get(&event, "message").as_deref(), Some("C"));
    }
}

#[test]
fn what_cannot_be_right_is_told_and_nothing_is_lost() {
    let decoder = MessageDecoder::new(37);
    let raw = |event: &Event| event.get(muster_shared::event::field::RAW).map(str::to_owned);
    let short = job_start("QINTER    QSYS      370690")[..30].to_vec();
    let cut = message("CPF1124", "x", &short);
    assert_eq!(decoder.doubt(&cut), Some(Doubt::ShortTokens { have: 30, need: 68 }));
    assert_eq!(raw(&decode(&cut)).as_deref(), Some("26:F2F6F0F8"));
    // No job in front, and no name where the subsystem lies.
    let foreign = vec![0xFF; 80];
    let strange = message("CPF1124", "x", &foreign);
    assert_eq!(decoder.doubt(&strange), Some(Doubt::UnreadableToken { field: "subsystem" }));
    let event = decode(&strange);
    assert_eq!(raw(&event), Some(format!("0:{}", "FF".repeat(80))));
    assert!(!fields(&event).iter().any(|(keyword, _)| matches!(*keyword, "subsystem" | "related_job_name")));
    // Another code page than the partition's: `Ü` of 273 lies where 37 has `!`.
    let german = ebcdic(273, &format!("{:58}ÜBUNG     ", ""));
    let wrong = message("CPF1124", "x", &german);
    assert_eq!(decoder.doubt(&wrong), Some(Doubt::UnreadableToken { field: "subsystem" }));
    assert_eq!(MessageDecoder::new(273).doubt(&wrong), None);
    let ended = message("CPF1164", "Job 370690/A/B ended.", &[]);
    assert_eq!(decoder.doubt(&ended), Some(Doubt::UnreadableText));
    let long = "ä".repeat(1_025);
    let text = message("CPF9999", &long, &[]);
    assert_eq!(decoder.doubt(&text), Some(Doubt::TooLong { what: "text", most: 1_024 }));
    let event = decode(&text);
    assert_eq!(event.get(muster_shared::event::field::MESSAGE).map(|text| text.chars().count()), Some(1_024));
    let detail = "x".repeat(4_097);
    let detailed = Message { detail: &detail, ..message("CPF9999", "x", &[]) };
    assert!(matches!(decoder.doubt(&detailed), Some(Doubt::TooLong { what: "second-level text", .. })));
    let tokens = vec![0xC1; 4_097];
    assert!(matches!(decoder.doubt(&message("A", "x", &tokens)), Some(Doubt::TooLong { most: 4_096, .. })));
    for text in ["a\u{1A}b", "a\u{FFFD}", "\u{0}", "a\u{9F}"] {
        assert_eq!(decoder.doubt(&message("CPF9999", text, &[])), Some(Doubt::Unprintable), "{text:?}");
    }
    assert_eq!(decoder.doubt(&message("CPF9999", "a\n\tb", &[])), None);
}

#[test]
fn passwords_never_leave() {
    let tokens = ebcdic(37, "CHGUSRPRF USRPRF(BOB) PASSWORD(GEHEIM1)");
    let text = "Command CHGUSRPRF USRPRF(BOB) PASSWORD(GEHEIM1) failed.";
    let answered = Some(Inquiry { key: "01", id: "", text });
    let event = decode(&Message { detail: text, answers: answered, ..message("CPF9999", text, &tokens) });
    assert!(!event.all_text().contains("GEHEIM1"), "{}", event.all_text());
    assert!(!event.all_text().contains("C7C5C8C5C9D4F1"), "{}", event.all_text());
    assert_eq!(event.all_text().matches("PASSWORD(********)").count(), 3);
}

proptest! {
    #[test]
    fn any_message_becomes_an_event(
        id in prop::sample::select(vec!["CPF1124", "CPF1164", "CPIAD09", "CPF1393", "", "TCP2617", "?"]),
        text in "[ -~ä使\u{1A}\u{FFFD}]{0,80}",
        tokens in proptest::collection::vec(any::<u8>(), 0..120),
        ccsid in prop::sample::select(vec![37_u16, 273, 1208, 1200, 930, 65_535]),
        severity in any::<Option<u8>>(),
    ) {
        let decoder = MessageDecoder::new(ccsid);
        let message = Message { severity, ..message(id, &text, &tokens) };
        let mut event = Event::new();
        decoder.decode(&message, &mut event);
        let _ = decoder.doubt(&message);
        // Every byte that is not blank is in a field or in raw.
        let filled = tokens.iter().filter(|byte| !matches!(byte, 0 | 0x40)).count();
        let raw = event.get(muster_shared::event::field::RAW).unwrap_or_default();
        let kept: usize = raw.split(',').filter_map(|piece| piece.split_once(':')).map(|(_, digits)| digits.len() / 2).sum();
        let read = if id == "CPF1124" { 36 } else { 0 };
        prop_assert!(kept + read >= filled, "{} of {} bytes: {}", kept, filled, raw);
    }
}
