//! Recordings of our own tools through policies.

use super::*;
use crate::output::Style;

const POLICY: &str = "
sources: {audit: {kind: audit_journal}}
exclude: [{users: [QTMHHTTP]}]
rules:
  - {name: keep-payroll, match: {objects: [PAYROLL/*ALL]}, action: keep}
  - {name: storm, match: {entry_types: [AF]}, action: throttle, limit: 1}
  - {name: quiet, match: {entry_types: [ZR]}, action: drop}
  - {name: never, match: {message_ids: [CPF1124]}, action: drop}
severities: [{match: {entry_types: [AF_A]}, severity: 9}]
routes:
  all: {destinations: [archive]}
  grave: {match: {min_severity: 8}, destinations: [siem]}
destinations:
  archive: {transport: {kind: tcp, address: 'a:1'}}
  siem: {transport: {kind: tcp, address: 's:1'}}
";

fn view(second: u32, event: &str, fields: &str) -> String {
    format!(
        "{{\"id\":\"P/{second}\",\"time\":\"2026-11-25T18:00:{second:02}Z\",\"system\":\"PROD\",\"source\":\"audit\",\
         \"event\":\"{event}\",\"name\":\"n\",\"source_kind\":\"audit_journal\",\"severity\":9,\"decoded_severity\":5,\
         \"fields\":{{{fields}}}}}"
    )
}

fn report(policy: &str, recording: &str) -> Report {
    let policy = EffectivePolicy { spec: parse_spec(policy).unwrap(), ..EffectivePolicy::default() };
    let compiled = CompiledPolicy::compile(&policy).unwrap();
    test(
        &policy,
        &compiled,
        Recording::parse(recording.as_bytes(), "file").unwrap_or_else(|e| panic!("{e}")),
        0,
    )
}

fn json(report: &Report) -> serde_json::Value {
    serde_json::to_value(report).unwrap()
}

#[test]
fn each_event_is_told_with_its_rule_and_where_it_goes() {
    let lines = [
        view(1, "AF_A", "\"user\":\"BOB\""),
        view(2, "AF_A", "\"user\":\"BOB\""),
        view(3, "AF_A", "\"user\":\"BOB\",\"object_library\":\"PAYROLL\",\"object_name\":\"EMP\""),
        view(4, "ZR", "\"user\":\"BOB\""),
        view(5, "PW_P", "\"user\":\"QTMHHTTP\""),
        view(6, "PW_P", ""),
    ];
    let found = report(POLICY, &lines.join("\n"));
    let told = json(&found);
    let of = |number: usize, key: &str| told["events"][number][key].clone();
    let became: Vec<_> =
        (0..6).map(|n| format!("{} {}", of(n, "became"), of(n, "rule")).replace('"', "")).collect();
    assert_eq!(
        became,
        [
            "kept storm",
            "held_back storm",
            "kept keep-payroll",
            "dropped quiet",
            "dropped exclude[0]",
            "kept null"
        ]
    );
    assert_eq!(
        (of(0, "severity_before"), of(0, "severity"), of(0, "severity_by")),
        (5.into(), 9.into(), "severities[0]".into())
    );
    assert_eq!(of(0, "destinations"), serde_json::json!(["archive", "siem"]));
    assert_eq!(of(0, "routes"), serde_json::json!(["all", "grave"]));
    assert_eq!((of(5, "destinations"), of(5, "severity")), (serde_json::json!(["archive"]), 5.into()));
    assert_eq!(told["never_matched"], serde_json::json!(["never"]));
    assert_eq!(told["destinations"], serde_json::json!({"archive": 3, "siem": 2}));
    assert_eq!(told["summaries"][0]["text"], "1 more AF_A by BOB in 60 s");
    assert_eq!(
        told["totals"],
        serde_json::json!({"events": 6, "kept": 3, "dropped": 2, "held_back": 1, "not_collected": 0, "nowhere": 0})
    );
    let mut out = Vec::new();
    found.print_counts(Style { json: false, colour: false, terminal: false }, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in [
        "6 events: 3 kept, 2 dropped, 1 held back",
        "  to archive: 3",
        "  storm would tell from 2026-11-25T18:00:00Z (audit): 1 more AF_A by BOB in 60 s",
        " never         -     -        -          never matched",
        " storm         1     -        1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn what_our_tools_print_is_read() {
    let one = view(1, "AF_A", "\"user\":\"BOB\"");
    let agent = "019b8d7a-2da8-7657-b52d-492a9de33319";
    let recordings = [
        one.clone(),
        format!("[{one},{one}]"),
        format!("{{\"agent\":\"{agent}\",\"held\":9,\"matched\":1,\"events\":[{one}]}}"),
        format!(
            "{{\"kind\":\"started\",\"agent\":\"{agent}\",\"agent_name\":\"P\"}}\n\
             {{\"kind\":\"event\",\"agent\":\"{agent}\",\"agent_name\":\"P\",\"event\":{one}}}\n\
             {{\"kind\":\"skipped\",\"agent\":\"{agent}\",\"agent_name\":\"P\",\"events\":7}}\n"
        ),
        format!("{{\"change\":\"dropped\",\"rule\":\"r\",\"event\":{one}}}"),
    ];
    for (recording, expected) in recordings.iter().zip([1, 2, 1, 1, 1]) {
        assert_eq!(report(POLICY, recording).totals.events, expected, "{recording}");
    }
    // What an agent of an earlier release told.
    let older = one.replace(",\"source_kind\":\"audit_journal\"", "").replace(",\"decoded_severity\":5", "");
    let recording = Recording::parse(older.as_bytes(), "file").unwrap();
    assert_eq!(recording.events[0].1.severity.get(), 9);
    assert!(
        recording.notes()[0].starts_with("1 event(s) were recorded without the severity"),
        "{:?}",
        recording.notes()
    );
    let own = view(1, "MUSTER_GAP", "").replace("audit_journal", "agent").replace("\"audit\"", "\"agent\"");
    assert_eq!(json(&report(POLICY, &own))["destinations"], serde_json::json!({"archive": 1, "siem": 1}));
}

#[test]
fn what_limits_a_test_is_told() {
    let odd = view(1, "AF_A", "\"user\":\"BOB\",\"nonesuch\":\"x\",\"raw\":\"00FF…\"");
    let notes = Recording::parse(odd.as_bytes(), "file").unwrap().notes().join("\n");
    assert!(notes.contains("1 value(s) of `nonesuch`") && notes.contains("1 value(s) were cut"), "{notes}");
    assert_eq!(Recording::parse(&b""[..], "file").unwrap().notes(), ["the recording holds no event"]);
    let other = view(1, "AF_A", "").replace("\"audit\"", "\"elsewhere\"");
    let found = json(&report(POLICY, &other));
    assert_eq!(found["events"][0]["became"], "not_collected");
    assert_eq!(json(&report("rules: [{name: r, action: drop}]", &other))["events"][0]["became"], "dropped");
}

#[test]
fn what_is_no_recording_says_why() {
    let bad = |text: &str| match Recording::parse(text.as_bytes(), "file") {
        Ok(_) => panic!("{text} was read"),
        Err(error) => error.to_string(),
    };
    for (text, part) in [
        ("2026-11-25 18:00:00.250Z PROD01 audit AF_A sev 7", "--output json"),
        ("7", "event 1: is no event"),
        ("{}", "event 1: missing field"),
        (&format!("{}\n{{\"id\":\"x\"}}", view(1, "AF_A", "")), "event 2: missing field"),
        (&view(1, "NOSUCHEVENT", ""), "event 1: `NOSUCHEVENT` is no event id"),
        (&view(1, "AF_A", "").replace(":9,", ":900,"), "event 1: invalid value"),
        ("{\"events\":", "EOF"),
    ] {
        let error = bad(text);
        assert!(error.starts_with("file") && error.contains(part), "{text}: {error}");
    }
}

#[test]
fn expressions_that_fail_are_counted() {
    let policy = "rules: [{name: ports, match: {expression: 'event.remote_port > 1024'}, action: drop}]";
    let lines = [view(1, "AF_A", ""), view(2, "AF_A", "\"remote_port\":\"8471\"")];
    let found = report(policy, &lines.join("\n"));
    assert_eq!(found.faults(), 1);
    let told = json(&found);
    assert_eq!(
        told["expression_faults"]["ports"]["last"],
        "the event has no remote_port; ask has(event.remote_port) first"
    );
    assert_eq!(
        (&told["events"][0]["became"], &told["events"][1]["became"]),
        (&"kept".into(), &"dropped".into())
    );
}
