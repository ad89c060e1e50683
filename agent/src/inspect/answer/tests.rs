//! What a request is answered with.

use super::*;
use crate::inspect::Watches;
use muster_ibmi::audit::JournalEntry;
use muster_proto::api::{EventDetail, EventView};
use muster_proto::session::inspect::AskEvent;
use muster_shared::event::field;
use muster_shared::policy::model::EffectivePolicy;

fn policy(rules: &str) -> EffectivePolicy {
    parse_effective(&format!(
        "spec:\n  sources: {{audit: {{kind: audit_journal}}}}\n  destinations: {{siem: {{transport: {{kind: udp, address: 'a:514'}}}}}}\n{rules}"
    ))
    .unwrap()
}

fn drop(kind: &str) -> EffectivePolicy {
    policy(&format!("  rules: [{{name: no-{kind}, match: {{entry_types: [{kind}]}}, action: drop}}]\n"))
}

fn entry(sequence: u64) -> JournalEntry<'static> {
    JournalEntry {
        code: b'T',
        entry_type: if sequence.is_multiple_of(4) { *b"ZR" } else { *b"AF" },
        sequence,
        time_us: i64::try_from(sequence).unwrap() * 1_000_000,
        user: if sequence.is_multiple_of(2) { "BOB" } else { "ALICE" },
        job_name: "JOB",
        job_user: "QUSER",
        job_number: "000001",
        program: "",
        program_library: "",
        remote_address: "",
        remote_port: None,
        object: "",
        data: &[0xC1],
        data_length: 1,
    }
}

/// An agent that dropped reads and has seen `count` entries, a quarter of them reads.
fn seen(count: u64) -> Look {
    let watches = Arc::new(Watches::default());
    let present = drop("ZR");
    let compiled = Arc::new(CompiledPolicy::compile(&present).unwrap());
    let watch = watches.source("audit");
    watches.adopt(&present, &compiled);
    let mut decoder = AuditDecoder::new(37);
    let mut event = Event::new();
    event.id_prefix = Arc::from("P/");
    let start = Instant::now();
    for sequence in 0..count {
        // So slowly that each of them is copied.
        let now = start + Duration::from_millis(2 * sequence);
        let entry = entry(sequence);
        let _ = decoder.decode(&entry, &mut event);
        let decoded = event.severity;
        let mut replay = Replay::default();
        let fate = replay.take(&compiled, &mut event, EventSource::new("audit", 0), &mut Vec::new());
        watch.batch(1, now).entry(&entry, &event, decoded, fate, &compiled);
    }
    look(&watches)
}

fn look(watches: &Arc<Watches>) -> Look {
    let partition = Partition {
        system_name: "PROD".to_owned(),
        host_name: "prod".to_owned(),
        ccsid: 37,
        ..Partition::default()
    };
    Look::of(watches, Arc::new(partition), "0.4.0".to_owned())
}

fn events(answers: Vec<Answer>) -> (Vec<EventView>, u64, u64) {
    let mut all = (Vec::new(), 0, 0);
    for answer in answers {
        let Answer::Recent(recent) = answer else { panic!("{answer:?}") };
        all.0.extend(recent.events.iter().map(|json| serde_json::from_slice::<EventView>(json).unwrap()));
        (all.1, all.2) = (recent.held, recent.matched);
    }
    all
}

#[test]
fn recent_events_are_the_newest_that_match() {
    let look = seen(1_000);
    let ask = |filter: &str, limit| recent(&look, &AskRecent { filter: filter.to_owned(), limit });
    let (shown, held, matched) = events(ask("user=BOB", 3).ok().unwrap());
    assert_eq!((held, matched), (1_000, 500));
    let ids: Vec<&str> = shown.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["P/994", "P/996", "P/998"]);
    assert_eq!((shown[0].system.as_str(), shown[1].dropped_by.as_deref()), ("PROD", Some("no-ZR")));
    assert_eq!(events(ask("verdict=dropped", 1_000).ok().unwrap()).0.len(), 250);
    let all = ask("", 1_000).ok().unwrap();
    assert!(all.len() > 1, "more than one part");
    assert_eq!(events(all).0.len(), 1_000);
    assert!(matches!(ask("nofield=1", 0), Err(Refused(Reason::Invalid, text)) if text.contains("nofield")));
}

#[test]
fn a_preview_counts_what_changes() {
    let look = seen(1_000);
    let ask = |candidate: &EffectivePolicy, samples| {
        preview(&look, &AskPreview { candidate: serde_json::to_vec(candidate).unwrap(), samples })
    };
    let answers = ask(&drop("AF"), 50).ok().unwrap();
    let [Answer::Preview(report)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((report.events, report.kept_now, report.kept_then), (1_000, 750, 250));
    assert_eq!((report.newly_dropped, report.newly_kept, report.rerouted), (750, 250, 0));
    assert_eq!(report.dropped_by_rule, [("no-AF".to_owned(), 750)].into());
    assert_eq!(report.kept_from_rule, [("no-ZR".to_owned(), 250)].into());
    assert_eq!(report.samples.len(), MAX_SAMPLES as usize);
    assert_eq!((report.samples[0].change.as_str(), report.samples[0].rule.as_str()), ("kept", "no-ZR"));
    let bad = preview(&look, &AskPreview { candidate: b"{".to_vec(), samples: 1 });
    assert!(matches!(bad, Err(Refused(Reason::Invalid, _))));
}

#[test]
fn an_agent_without_a_policy_says_so() {
    let look = look(&Arc::default());
    let answer = recent(&look, &AskRecent::default());
    assert!(matches!(answer, Err(Refused(Reason::Failed, text)) if text.contains("no policy yet")));
    let answer = one::one(&look, &AskEvent { event_id: "P/1".to_owned() });
    assert!(matches!(answer, Err(Refused(Reason::Failed, text)) if text.contains("no policy yet")));
}

fn detail(look: &Look, id: &str) -> Result<EventDetail, (Reason, String)> {
    let answers = one::one(look, &AskEvent { event_id: id.to_owned() }).map_err(|Refused(r, t)| (r, t))?;
    let piece = |answer| if let Answer::Event(piece) = answer { piece } else { panic!("{answer:?}") };
    let json: Vec<u8> = answers.into_iter().flat_map(piece).collect();
    Ok(serde_json::from_slice(&json).unwrap())
}

#[test]
fn one_event_is_told_whole_and_as_siems_read_it() {
    let look = seen(1_500);
    let told = detail(&look, "P/1201").unwrap();
    assert_eq!((told.event.id.as_str(), told.event.fields["user"].as_str()), ("P/1201", "ALICE"));
    assert_eq!(
        (told.event.destinations.as_slice(), told.raw.as_deref()),
        (&["siem".to_owned()][..], Some("C1"))
    );
    let formats: Vec<(&str, Option<&str>)> =
        told.formats.iter().map(|f| (f.format.as_str(), f.destination.as_deref())).collect();
    assert_eq!(
        formats,
        [
            ("syslog_rfc5424", Some("siem")),
            ("syslog_rfc5424", None),
            ("syslog_rfc3164", None),
            ("cef", None),
            ("leef1", None),
            ("leef2", None)
        ]
    );
    assert_eq!(told.formats[0].text, told.formats[1].text, "the destination has no settings of its own");
    for (place, sign) in
        [(1, ">1 "), (2, " prod muster: "), (3, "CEF:0|Muster|"), (4, "LEEF:1.0|Muster|"), (5, "LEEF:2.0|")]
    {
        let text = &told.formats[place].text;
        assert!(text.contains(sign) && text.contains("ALICE") && text.contains("P/1201"), "{text}");
    }
    // What policy drops goes nowhere, and is told in the standard formats all the same.
    let dropped = detail(&look, "P/1200").unwrap();
    assert_eq!((dropped.event.dropped_by.as_deref(), dropped.formats.len()), (Some("no-ZR"), 5));
    // Pushed out of memory, or never there.
    for id in ["P/499", "P/9999", "X"] {
        let (reason, text) = detail(&look, id).unwrap_err();
        assert!(reason == Reason::NotHeld && text.contains("1000 recent events"), "{text}");
    }
    assert_eq!(detail(&look, "").unwrap_err().0, Reason::Invalid);
    assert_eq!(detail(&look, &"x".repeat(513)).unwrap_err().0, Reason::Invalid);
}

#[test]
fn what_a_destination_sets_is_in_its_message() {
    let watches = Arc::new(Watches::default());
    let text = "spec:\n  sources: {q: {kind: audit_journal}}\n  destinations:\n    arc: {transport: {kind: udp, address: 'a:1'}, format: {kind: cef, facility: 4, cef_space: true}}\n    old: {transport: {kind: udp, address: 'b:1'}, format: {kind: syslog, header: rfc3164}}\n";
    let effective = parse_effective(text).unwrap();
    let compiled = Arc::new(CompiledPolicy::compile(&effective).unwrap());
    let watch = watches.source("q");
    watches.adopt(&effective, &compiled);
    // An event of another source, with a long value and a raw form of its own.
    let mut event = Event::new();
    event.id_prefix = Arc::from("Q/");
    event.push(field::MESSAGE, &"m".repeat(5_000));
    event.push(field::RAW, "0xFF");
    let decoded = event.severity;
    let fate = Replay::default().take(&compiled, &mut event, EventSource::new("q", 0), &mut Vec::new());
    watch.batch(1, Instant::now()).event(&event, decoded, fate, &compiled);
    let told = detail(&look(&watches), "Q/0").unwrap();
    assert_eq!((told.event.fields["message"].len(), told.raw.as_deref()), (5_000, Some("0xFF")));
    let sent: Vec<(&str, &str)> =
        told.formats.iter().filter_map(|f| Some((f.destination.as_deref()?, f.format.as_str()))).collect();
    assert_eq!(sent, [("arc", "cef"), ("old", "syslog_rfc3164")]);
    let [arc, cef] = [("cef", true), ("cef", false)].map(|(format, sent)| {
        let found = told.formats.iter().find(|f| f.format == format && f.destination.is_some() == sent);
        found.map(|f| f.text.clone()).unwrap()
    });
    // Facility 4 instead of 13: eight times nine less.
    let priority = |text: &str| text[1..text.find('>').unwrap()].parse::<u32>().unwrap();
    assert_eq!(priority(&cef) - priority(&arc), 72, "{arc}");
}

#[test]
fn what_a_tail_showed_is_found_when_the_ring_has_lost_it() {
    let (watches, present) = (Arc::new(Watches::default()), policy(""));
    let compiled = Arc::new(CompiledPolicy::compile(&present).unwrap());
    let watch = watches.source("audit");
    watches.adopt(&present, &compiled);
    let start = Instant::now();
    let see = |from: u64, to: u64, seconds: u64| {
        let (mut decoder, mut event) = (AuditDecoder::new(37), Event::new());
        event.id_prefix = Arc::from("P/");
        let rows = usize::try_from(to - from).unwrap();
        let mut batch = watch.batch(rows, start + Duration::from_secs(seconds));
        for sequence in from..to {
            let entry = entry(sequence);
            let _ = decoder.decode(&entry, &mut event);
            let decoded = event.severity;
            let fate =
                Replay::default().take(&compiled, &mut event, EventSource::new("audit", 0), &mut Vec::new());
            batch.entry(&entry, &event, decoded, fate, &compiled);
        }
    };
    see(0, 10, 0);
    let until = start + Duration::from_secs(60);
    let viewer = Viewer::new([1; 16], Place::default(), EventQuery::parse("user=BOB").unwrap(), 3, until);
    assert!(watches.tails().add(viewer).is_some());
    // Three of many are shown, and the ring keeps the last ones only.
    see(10, 5_000, 1);
    watches.tails().remove([1; 16]);
    see(5_000, 6_000, 2);
    let look = look(&watches);
    for (id, held) in
        [("P/1", false), ("P/10", true), ("P/12", true), ("P/14", true), ("P/16", false), ("P/11", false)]
    {
        assert_eq!(detail(&look, id).is_ok(), held, "{id}");
    }
}

#[test]
fn parts_are_numbered_and_a_tail_goes_on() {
    let parts = numbered(&[1; 16], chunks(&vec![7; MAX_PART + 1]));
    let seen: Vec<_> = parts.iter().map(|p| (p.part, p.last)).collect();
    assert_eq!(seen, [(0, false), (1, true)]);
    assert!(!numbered(&[1; 16], vec![Answer::Tail(TailEvents::default())])[0].last);
}
