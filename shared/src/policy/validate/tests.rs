//! Every check, with its exact words.

use super::*;
use crate::policy::{parse_document, parse_spec};

fn problems(spec: &str) -> Vec<String> {
    validate_spec(&parse_spec(spec).unwrap()).iter().map(ToString::to_string).collect()
}

const SOUND: &str = "
sources: {audit: {kind: audit_journal}}
destinations: {siem: {transport: {kind: tls, address: 'siem.example.com:6514'}}}
";

#[test]
fn a_sound_policy_has_no_problems() {
    assert_eq!(problems(SOUND), [""; 0]);
    let document = parse_document(
        "{api_version: muster/v1, name: base, spec: {routes: {r: {destinations: [elsewhere]}}}}",
    )
    .unwrap();
    let seen: Vec<String> = validate_document(&document).iter().map(ToString::to_string).collect();
    assert_eq!(
        seen,
        [
            "warning: spec.routes.r.destinations[0]: this document has no destination `elsewhere` (known are: none); another one must bring it"
        ]
    );
}

#[test]
fn all_problems_of_a_document_are_listed_at_once() {
    let document = parse_document(
        "{api_version: muster/v2, name: Base Policy, selector: {site: 'a b'}, spec: {exclude: [{}]}}",
    )
    .unwrap();
    let paths: Vec<_> = validate_document(&document).into_iter().map(|p| (p.level, p.path)).collect();
    let expected = ["api_version", "name", "selector.site", "spec.exclude[0]"];
    assert_eq!(paths, expected.map(|path| (Level::Error, path.to_owned())));
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let cases: [(&str, &str); 24] = [
        (
            "sources: {a: {kind: audit_journal, journal: QAUDJRN}}",
            "error: sources.a.journal: `QAUDJRN` is no journal; write LIBRARY/NAME, for example QSYS/QAUDJRN",
        ),
        (
            "sources: {a: {kind: audit_journal, start: yesterday}}",
            "error: sources.a.start: `yesterday` is no start; write now, oldest, or a time such as 2026-01-31T00:00:00Z",
        ),
        (
            "sources: {a: {kind: audit_journal, poll_interval_ms: 999}}",
            "error: sources.a.poll_interval_ms: 999 is outside 1000 to 3600000; an idle journal is asked once a second at most",
        ),
        (
            "sources: {a: {kind: audit_journal, batch_rows: 5001}}",
            "error: sources.a.batch_rows: 5001 is outside 16 to 5000",
        ),
        (
            "sources: {a: {kind: audit_journal, batch_rows: 1}}",
            "error: sources.a.batch_rows: 1 is outside 16 to 5000",
        ),
        (
            "sources: {a: {kind: audit_journal, entry_types: [AF_A]}}",
            "error: sources.a.entry_types[0]: `AF_A`: a source fetches whole types of audit entries (AF); leave subtypes and codes to rules",
        ),
        (
            "rules: [{name: a, match: {entry_types: [AFF]}, action: drop}]",
            "error: rules[0].match.entry_types[0]: `AFF` is no entry type; write two letters or digits (AF), with subtype AF_A, with journal code U_00",
        ),
        (
            "rules: [{name: a, match: {objects: [EMP]}, action: drop}]",
            "error: rules[0].match.objects[0]: `EMP` names no library; write LIBRARY/NAME, for example PAYROLL/EMP* or *ALL/EMP*",
        ),
        (
            "rules: [{name: a, match: {users: [X]}, action: drop}, {name: a, match: {users: [Y]}, action: keep}]",
            "error: rules[1].name: `a` is also the name of rule 0; drops are counted by name",
        ),
        (
            "rules: [{name: a, action: drop}, {name: b, action: keep}]",
            "warning: rules[0]: has no condition, so no rule after it is ever asked",
        ),
        (
            "rules: [{name: a, match: {sources: [x]}, action: drop}]",
            "error: rules[0].match.sources[0]: there is no source or kind of source `x`; known are: none",
        ),
        (
            "rules: [{name: a, match: {min_severity: 8, max_severity: 3}, action: drop}]",
            "error: rules[0].match.min_severity: 8 is above max_severity 3, so nothing can match",
        ),
        (
            "routes: {r: {destinations: []}}",
            "error: routes.r.destinations: is empty; name at least one destination, or drop the events with a rule",
        ),
        (
            "routes: {r: {destinations: [x]}}",
            "error: routes.r.destinations[0]: there is no destination `x`; known are: none",
        ),
        (
            "destinations: {'a b': {transport: {kind: tcp, address: 'a:1'}}}",
            "error: destinations.a b: `a b` is no name; use letters, digits, `-` and `_`, at most 63 of them",
        ),
        (
            "destinations: {a: {transport: {kind: tcp, address: 'a'}}}",
            "error: destinations.a.transport.address: `a` has no port; write host:port, for example siem.example.com:6514",
        ),
        (
            "destinations: {a: {transport: {kind: udp, address: 'a:1'}}}",
            "warning: destinations.a.transport: UDP loses events without notice when the network or the receiver is busy; prefer tls or tcp",
        ),
        (
            "destinations: {a: {transport: {kind: tcp, address: 'a:1'}, receiver_buffer_bytes: 4096}}",
            "error: destinations.a.receiver_buffer_bytes: 4096 is not between 65536 and 67108864",
        ),
        (
            "destinations: {a: {transport: {kind: tls, address: 'a:1', ca_pem: x}}}",
            "error: destinations.a.transport.ca_pem: holds no certificate; paste the text from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----",
        ),
        (
            "destinations: {a: {transport: {kind: tls, address: 'a:1', client_certificate: ../x}}}",
            "error: destinations.a.transport.client_certificate: is no name of a secret; write the name of an entry of the agent's secrets folder (letters, digits, `-` and `_`, at most 63), never the secret itself",
        ),
        (
            "sources: {one: {kind: audit_journal, journal: QSYS/QAUDJRN}, two: {kind: audit_journal, journal: qsys/qaudjrn, entry_types: [AF]}}",
            "error: sources.two.journal: QSYS/QAUDJRN is read by source `one` already, and `two` would share its cursors; keep one of the two, with the entry types of both",
        ),
        (
            "destinations: {a: {transport: {kind: tcp, address: 'a:1'}, format: {facility: 24}}}",
            "error: destinations.a.format.facility: 24 is outside 0 to 23",
        ),
        (
            "destinations: {a: {transport: {kind: tcp, address: 'a:1'}, format: {kind: leef2, leef_delimiter: '|'}}}",
            "error: destinations.a.format.leef_delimiter: '|' cannot separate LEEF attributes; use ASCII punctuation other than | = \\ and quotes, or a control character other than NUL, LF and CR",
        ),
        (
            "destinations: {a: {transport: {kind: tcp, address: 'a:1'}, format: {kind: leef1}}}",
            "warning: destinations.a.format: separates attributes by TAB, which a syslog relay such as rsyslog rewrites to #011 by default; prefer kind: leef2 with its default delimiter ^",
        ),
    ];
    for (spec, expected) in cases {
        let seen = problems(spec);
        let first = seen.iter().find(|p| !p.contains("there is none, so nothing is"));
        assert_eq!(first.map(String::as_str), Some(expected), "{spec}: {seen:?}");
    }
}

#[test]
fn a_known_buffer_of_a_receiver_is_of_no_use_over_udp() {
    let seen =
        problems("destinations: {a: {transport: {kind: udp, address: 'a:1'}, receiver_buffer_bytes: 65536}}");
    let expected =
        "warning: destinations.a.receiver_buffer_bytes: has no effect over udp, which sends nothing again";
    assert!(seen.iter().any(|problem| problem == expected), "{seen:?}");
}

#[test]
fn what_is_valid_compiles_and_what_compiles_has_no_error() {
    for (spec, valid) in [
        (SOUND, true),
        ("rules: [{name: a, match: {users: [qsys*, '*ALL']}, action: drop}]", true),
        ("rules: [{name: a, match: {users: ['*PUBLIC']}, action: drop}]", false),
        ("routes: {r: {destinations: [ghost]}}", false),
        ("severities: [{match: {objects: [a/b/c]}, severity: 4}]", false),
    ] {
        let policy =
            EffectivePolicy { revision: 1, spec: parse_spec(spec).unwrap(), ..EffectivePolicy::default() };
        assert_eq!(validate_effective(&policy).iter().all(|p| !p.is_error()), valid, "{spec}");
        assert_eq!(crate::policy::CompiledPolicy::compile(&policy).is_ok(), valid, "{spec}");
    }
}
