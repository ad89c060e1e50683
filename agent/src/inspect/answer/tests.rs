//! What a request is answered with.

use super::*;
use crate::inspect::Watches;
use muster_ibmi::audit::JournalEntry;
use muster_proto::api::EventView;
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
    for sequence in 0..count {
        let entry = entry(sequence);
        let _ = decoder.decode(&entry, &mut event);
        let decoded = event.severity;
        let mut replay = Replay::default();
        let fate = replay.take(&compiled, &mut event, EventSource::new("audit", 0), &mut Vec::new());
        watch.batch(1).entry(&entry, &event, decoded, fate, &compiled);
    }
    let system = "PROD".to_owned();
    Look { policy: watches.policy(), watches, system, ccsid: 37, utc_offset_seconds: 0 }
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
    let look = Look {
        watches: Arc::default(),
        policy: None,
        system: String::new(),
        ccsid: 37,
        utc_offset_seconds: 0,
    };
    let answer = recent(&look, &AskRecent::default());
    assert!(matches!(answer, Err(Refused(Reason::Failed, text)) if text.contains("no policy yet")));
}

#[test]
fn parts_are_numbered_and_a_tail_goes_on() {
    let parts = numbered(&[1; 16], chunks(&vec![7; MAX_PART + 1]));
    let seen: Vec<_> = parts.iter().map(|p| (p.part, p.last)).collect();
    assert_eq!(seen, [(0, false), (1, true)]);
    assert!(!numbered(&[1; 16], vec![Answer::Tail(TailEvents::default())])[0].last);
}
