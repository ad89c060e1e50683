//! What limits forbid and what they allow.

use super::*;
use crate::policy::parse_effective;

fn policy(spec: &str) -> EffectivePolicy {
    parse_effective(&format!("{{spec: {{{spec}}}}}")).unwrap()
}

fn limits(toml: serde_json::Value) -> Limits {
    Limits::build(serde_json::from_value(toml).unwrap()).unwrap()
}

#[test]
fn receivers() {
    let cases: [(&str, &str, &str, bool); 27] = [
        ("siem.example.com:6514", "tls", "siem.example.com:6514", true),
        ("siem.example.com:6514", "udp", "siem.example.com:6514", true),
        ("siem.example.com:6514", "tls", "SIEM.example.com.:6514", true),
        ("siem.example.com:6514", "tls", "siem.example.com:514", false),
        ("siem.example.com:6514", "tls", "evil-siem.example.com:6514", false),
        ("siem.example.com", "tls", "siem.example.com:1", true),
        ("tls://siem.example.com", "tls", "siem.example.com:6514", true),
        ("tls://siem.example.com", "tcp", "siem.example.com:6514", false),
        ("*.example.com:514", "udp", "a.b.example.com:514", true),
        ("*.example.com:514", "udp", "example.com:514", false),
        ("*.example.com:514", "udp", "evilexample.com:514", false),
        ("*.example.com:514", "udp", "x.example.com.evil.org:514", false),
        ("*", "udp", "anything:9", true),
        ("*:514", "udp", "anything:9", false),
        ("10.1.0.0/16:514-520", "udp", "10.1.255.1:520", true),
        ("10.1.0.0/16:514-520", "udp", "10.2.0.1:520", false),
        ("10.1.0.0/16:514-520", "udp", "10.1.255.1:521", false),
        ("10.1.0.0/16", "udp", "ten.example.com:514", false),
        ("10.0.0.1", "udp", "10.0.0.1:514", true),
        ("10.0.0.1:514", "udp", "10.0.0.10:514", false),
        ("[2001:db8::1]:6514", "tls", "[2001:db8::1]:6514", true),
        ("[2001:db8::1]:6514", "tls", "[2001:db8::2]:6514", false),
        ("[2001:db8::/32]:6514", "tls", "[2001:db8:1::2]:6514", true),
        ("[2001:db8::]/32", "tls", "[2001:db8:1::2]:6514", true),
        ("2001:db8::/32", "tls", "[2001:db8:1::2]:6514", true),
        ("[2001:db8::1]:6514", "tls", "[2001:0DB8:0::1]:6514", true),
        ("siem:514", "udp", "siem:0514", true),
    ];
    for (pattern, kind, address, expected) in cases {
        assert_eq!(
            Receiver::parse(pattern).unwrap().covers(kind, address),
            expected,
            "{pattern} {kind} {address}"
        );
    }
    for (bad, part) in [
        ("", "has no host"),
        ("http://siem:1", "another transport"),
        ("siem:0", "has no port"),
        ("siem:9-8", "has no port"),
        ("siem:x", "has no port"),
        ("sie*.com:1", "star in the wrong place"),
        ("*.:1", "has no host"),
        ("10.0.0.0/33", "no host name"),
        ("[::1:5", "opens a bracket"),
    ] {
        let error = Receiver::parse(bad).unwrap_err().to_string();
        assert!(error.contains(part), "{bad}: {error}");
    }
}

const GOOD: &str = "sources: {audit: {kind: audit_journal}},
    destinations: {siem: {transport: {kind: tls, address: 'siem.example.com:6514'}}}";

#[test]
fn without_limits_everything_is_allowed() {
    let free = Limits::default();
    assert_eq!(free.breaches(&policy(GOOD)), []);
    assert_eq!(free.breaches(&policy("")), []);
    assert!(!free.allows_queue("QGPL", "Q"), "reading a queue empties it");
    assert!(free.spec().is_empty());
}

#[test]
fn foreign_receivers_and_journals_are_named() {
    let limits = limits(serde_json::json!({
        "destinations": ["tls://*.example.com"], "journals": ["QSYS/QAUDJRN", "PAY*/*ALL"], "queues": ["QGPL/AUD*"],
    }));
    assert_eq!(limits.breaches(&policy(GOOD)), []);
    let foreign =
        "sources: {a: {kind: audit_journal, journal: payroll/j}, b: {kind: audit_journal, journal: QGPL/J}},
        destinations: {x: {transport: {kind: tcp, address: 'siem.example.com:6514'}}}";
    let told: Vec<String> = limits.breaches(&policy(foreign)).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "limit `destinations`: spec.destinations.x: tcp://siem.example.com:6514 is not among the allowed receivers",
            "limit `journals`: spec.sources.b.journal: QGPL/J is not among the allowed journals",
        ]
    );
    assert!(limits.allows_queue("qgpl", "audit1") && !limits.allows_queue("QGPL", "OTHER"));
    let none = Limits::build(LimitsSpec { destinations: Some(Vec::new()), ..LimitsSpec::default() }).unwrap();
    assert_eq!(none.breaches(&policy(GOOD)).len(), 1, "an empty list allows none");
}

#[test]
fn protected_entry_types_cannot_be_hidden() {
    let limits = limits(serde_json::json!({"never_drop": ["AF", "PW_P"]}));
    let with = |more: &str| format!("{GOOD}, {more}");
    let cases: [(String, &[&str]); 42] = [
        (GOOD.into(), &[]),
        (
            with("rules: [{name: r, match: {events: [ZR, 'CPF*', 'A*']}, action: drop}]"),
            &["spec.rules[r]: may drop AF"],
        ),
        (with("rules: [{name: r, match: {events: [af_b]}, action: drop}]"), &["spec.rules[r]: may drop AF"]),
        (with("rules: [{name: r, match: {events: [AF_BC, PW_A]}, action: drop}]"), &[]),
        (
            with("rules: [{name: r, match: {events: ['PW_*']}, action: drop}]"),
            &["spec.rules[r]: may drop PW_P"],
        ),
        (with("exclude: [{events: ['AF*']}]"), &["spec.exclude[0]: drops AF"]),
        (with("rules: [{name: r, match: {not: {entry_types: [AF, PW]}}, action: drop}]"), &[]),
        (with("rules: [{name: r, match: {not: {events: ['AF*', 'PW*']}}, action: drop}]"), &[]),
        (
            with("rules: [{name: r, match: {not: {entry_types: [AF]}}, action: drop}]"),
            &["spec.rules[r]: may drop PW_P"],
        ),
        (
            with("rules: [{name: r, match: {not: {entry_types: [AF, PW], users: [X]}}, action: drop}]"),
            &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
        ),
        (
            with("rules: [{name: r, match: {not: {not: {entry_types: [AF]}}}, action: drop}]"),
            &["spec.rules[r]: may drop AF"],
        ),
        (
            with("rules: [{name: r, match: {expression: 'event.type == \"ZR\"'}, action: drop}]"),
            &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
        ),
        (
            with("rules: [{name: k, match: {when: [{days: [mon]}]}, action: keep}, {name: r, action: drop}]"),
            &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
        ),
        (
            with(
                "rules: [{name: k, match: {events: ['AF*', 'PW_P']}, action: keep}, {name: r, action: drop}]",
            ),
            &[],
        ),
        (
            with("rules: [{name: t, match: {entry_types: [AF]}, action: throttle, limit: 5}]"),
            &["spec.rules[t]: may hold back AF"],
        ),
        (
            with(
                "rules: [{name: k, match: {entry_types: [AF]}, action: keep}, {name: t, action: throttle, limit: 5}]",
            ),
            &["spec.rules[t]: may hold back PW_P"],
        ),
        (with("routes: {r: {match: {not: {entry_types: [ZR]}}, destinations: [siem]}}"), &[]),
        (with("rules: [{name: r, match: {entry_types: [ZR]}, action: drop}]"), &[]),
        (with("rules: [{name: r, match: {entry_types: [PW_A]}, action: drop}]"), &[]),
        (
            with("rules: [{name: r, match: {entry_types: [AF]}, action: drop}]"),
            &["spec.rules[r]: may drop AF"],
        ),
        (
            with("rules: [{name: r, match: {entry_types: [af_a]}, action: drop}]"),
            &["spec.rules[r]: may drop AF"],
        ),
        (
            with("rules: [{name: r, match: {entry_types: [PW]}, action: drop}]"),
            &["spec.rules[r]: may drop PW_P"],
        ),
        (
            with("rules: [{name: r, match: {users: [BOB]}, action: drop}]"),
            &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
        ),
        (
            with("rules: [{name: k, match: {entry_types: [AF, PW]}, action: keep}, {name: r, action: drop}]"),
            &[],
        ),
        (
            with(
                "rules: [{name: k, match: {entry_types: [AF_A, PW]}, action: keep}, {name: r, action: drop}]",
            ),
            &["spec.rules[r]: may drop AF"],
        ),
        (
            with(
                "rules: [{name: k, match: {entry_types: [AF, PW], users: [A]}, action: keep}, {name: r, action: drop}]",
            ),
            &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
        ),
        (
            with("rules: [{name: r, match: {sources: [audit_journal], entry_types: [AF]}, action: drop}]"),
            &["spec.rules[r]: may drop AF"],
        ),
        (
            with("rules: [{name: r, match: {sources: [audit], entry_types: [AF]}, action: drop}]"),
            &["spec.rules[r]: may drop AF"],
        ),
        (with("rules: [{name: r, match: {sources: [other], entry_types: [AF]}, action: drop}]"), &[]),
        (with("rules: [{name: r, match: {entry_types: [U_AF]}, action: drop}]"), &[]),
        (
            with(
                "rules: [{name: r, match: {max_severity: 2}, action: drop}, {name: r2, match: {entry_types: [ZR]}, action: drop}]",
            ),
            &["spec.rules[r]: may drop AF", "spec.rules[r]: may drop PW_P"],
        ),
        (with("rules: [{name: k, action: keep}, {name: r, action: drop}]"), &[]),
        (with("exclude: [{entry_types: [AF]}]"), &["spec.exclude[0]: drops AF"]),
        (
            with("exclude: [{users: [X]}]"),
            &[
                "spec.exclude[0]: drops every entry type, so also AF",
                "spec.exclude[0]: drops every entry type, so also PW_P",
            ],
        ),
        (
            GOOD.replace("audit_journal", "audit_journal, entry_types: [AF]"),
            &["spec.sources: no source fetches PW_P"],
        ),
        (GOOD.replace("audit_journal", "audit_journal, entry_types: [af, pw]"), &[]),
        (with("routes: {r: {destinations: [siem]}}"), &[]),
        (with("routes: {r: {match: {entry_types: [AF, PW]}, destinations: [siem]}}"), &[]),
        (
            with("routes: {r: {match: {entry_types: [AF]}, destinations: [siem]}}"),
            &["spec.routes: no route takes every PW_P"],
        ),
        (
            with("routes: {r: {match: {min_severity: 5}, destinations: [siem]}}"),
            &["spec.routes: no route takes every AF", "spec.routes: no route takes every PW_P"],
        ),
        (with("routes: {r: {match: {min_severity: 1, max_severity: 10}, destinations: [siem]}}"), &[]),
        (
            String::new(),
            &[
                "spec.sources: no source fetches AF",
                "spec.destinations: there is none, so AF is not delivered",
                "spec.sources: no source fetches PW_P",
                "spec.destinations: there is none, so PW_P is not delivered",
            ],
        ),
    ];
    for (spec, expected) in cases {
        let told: Vec<String> = limits
            .breaches(&policy(&spec))
            .iter()
            .map(|b| {
                assert_eq!(b.limit, "never_drop");
                format!("{}: {}", b.path, b.problem)
            })
            .collect();
        assert_eq!(told, expected, "{spec}");
    }
}

#[test]
fn patterns_without_meaning_are_named() {
    for (spec, part) in [
        (serde_json::json!({"journals": ["QAUDJRN"]}), "journals: `QAUDJRN` names no library"),
        (serde_json::json!({"queues": ["A/*B"]}), "queues: `*B` has a star"),
        (serde_json::json!({"never_drop": ["AFX"]}), "never_drop: `AFX` is no entry type"),
        (serde_json::json!({"destinations": ["siem:0"]}), "destinations: `siem:0` has no port"),
    ] {
        let error = Limits::build(serde_json::from_value(spec).unwrap()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
