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
            "error: sources.a.poll_interval_ms: 999 is outside 1000 to 3600000; what is idle is asked once a second at most",
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
        ("rules: [{name: a, match: {expression: 'event.user == \"A\"'}, action: drop}]", true),
        ("rules: [{name: a, match: {expression: 'event.user'}, action: drop}]", false),
        ("rules: [{name: a, match: {not: {paths: [etc]}}, action: drop}]", false),
        (
            "rules: [{name: a, action: throttle, limit: 1, seconds: 86400, key: [event, user, job_name]}]",
            true,
        ),
        ("rules: [{name: a, action: throttle}]", false),
        ("rules: [{name: a, action: keep, limit: 1}]", false),
    ] {
        let policy =
            EffectivePolicy { revision: 1, spec: parse_spec(spec).unwrap(), ..EffectivePolicy::default() };
        assert_eq!(validate_effective(&policy).iter().all(|p| !p.is_error()), valid, "{spec}");
        assert_eq!(crate::policy::CompiledPolicy::compile(&policy).is_ok(), valid, "{spec}");
    }
}

/// Problems of a rule with these conditions, without the path of its `match`.
fn of_conditions(when: &str) -> Vec<String> {
    let spec = format!("{SOUND}rules: [{{name: r, match: {when}, action: drop}}]\n");
    problems(&spec).iter().map(|problem| problem.replace("rules[0].match", "…")).collect()
}

#[test]
fn each_condition_without_meaning_is_named() {
    let star =
        "has a star in the wrong place; a generic name ends with its only star (PAY*), *ALL means every name";
    let cases: [(&str, &str); 26] = [
        ("{events: ['*_A']}", &format!("error: ….events[0]: `*_A` {star}")),
        ("{events: [AF, 'A B']}", "error: ….events[1]: `A B` contains ' ', which no IBM i name has"),
        (
            "{target_users: ['']}",
            "error: ….target_users[0]: is empty; write a name such as QSECOFR, a generic name such as PAY*, or *ALL",
        ),
        (
            "{object_types: [FILE]}",
            "error: ….object_types[0]: `FILE` is no type of object; write the star and the type, such as *FILE or *USRPRF",
        ),
        (
            "{programs: [A/B/C]}",
            "error: ….programs[0]: `A/B/C` has too many parts; write NAME or LIBRARY/NAME, for example QCMD or QSYS/QCMD",
        ),
        (
            "{jobs: [1/2/3/4]}",
            "error: ….jobs[0]: `1/2/3/4` has too many parts; write NAME, USER/NAME or NUMBER/USER/NAME, for example QZDASOINIT or *ALL/QUSER/*ALL",
        ),
        (
            "{paths: [etc/passwd]}",
            "error: ….paths[0]: `etc/passwd` begins with no slash; write a path such as /etc/passwd, /home/* or *.pem",
        ),
        (
            "{paths: [/a, '/**']}",
            "error: ….paths[1]: `/**` has two stars in a row; one stands for any text already",
        ),
        (
            "{system_values: [QVERYLONGNAME]}",
            "error: ….system_values[0]: `QVERYLONGNAME` is longer than the 10 characters of an IBM i name",
        ),
        (
            "{message_ids: [CPF11245]}",
            "error: ….message_ids[0]: `CPF11245` is longer than the 7 characters of an IBM i name",
        ),
        (
            "{queues: [QSYSOPR]}",
            "error: ….queues[0]: `QSYSOPR` names no library; write LIBRARY/NAME, for example PAYROLL/EMP* or *ALL/EMP*",
        ),
        (
            "{exit_points: [QIBM_QTMF_SERVER_REQUEST]}",
            "error: ….exit_points[0]: `QIBM_QTMF_SERVER_REQUEST` is longer than the 20 characters of an IBM i name",
        ),
        (
            "{exit_functions: ['*X']}",
            "error: ….exit_functions[0]: `*X` is no function; write its name, up to 64 characters, or a generic one such as RETR*",
        ),
        (
            "{remote_addresses: [10.0.0.0/33]}",
            "error: ….remote_addresses[0]: `10.0.0.0/33` is no address and no network; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32",
        ),
        (
            "{remote_addresses: ['!10.0.0.0/8']}",
            "error: ….remote_addresses[0]: `!10.0.0.0/8` is no address and no network; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32",
        ),
        (
            "{remote_addresses: [10.1.2.3/8]}",
            "warning: ….remote_addresses[0]: `10.1.2.3/8` has bits behind its length, which do not count",
        ),
        ("{contains: ['']}", "error: ….contains[0]: is no text to search for; write 1 to 256 bytes"),
        ("{when: [{}]}", "error: ….when[0]: names no day and no time, so it is always; leave it out"),
        (
            "{expression: 'event.usr == \"A\"'}",
            "error: ….expression: at character 6: `usr` is no field; docs/fields.md lists them",
        ),
        ("{not: {}}", "error: ….not: has no condition, so what it stands in never holds"),
        ("{not: {users: ['*']}}", &format!("error: ….not.users[0]: `*` {star}")),
        (
            "{not: {not: {not: {not: {sources: [ghost]}}}}}",
            "error: ….not.not.not.not.sources[0]: there is no source or kind of source `ghost`; known are: audit",
        ),
        (
            "{not: {not: {not: {not: {not: {users: [A]}}}}}}",
            "error: ….not.not.not.not.not: stands deeper than 4 levels of `not`",
        ),
        (
            "{not: {min_severity: 5, max_severity: 4}}",
            "error: ….not.min_severity: 5 is above max_severity 4, so nothing can match",
        ),
        (
            "{outcomes: [refused], remote_ports: [1, 2-3], local_ports: ['8470-8476'], queues: [QSYS/QSYSOPR], message_ids: [cpf*]}",
            "",
        ),
        (
            "{when: [{days: [sat, sun]}, {from: '22:00', to: '06:00'}], exit_points: ['QIBM_*'], exit_functions: ['re*'], contains: [x]}",
            "",
        ),
    ];
    for (when, expected) in cases {
        let expected: Vec<&str> = if expected.is_empty() { vec![] } else { vec![expected] };
        assert_eq!(of_conditions(when), expected, "{when}");
    }
}

#[test]
fn each_throttle_without_meaning_is_named() {
    let cases: [(&str, &str); 9] = [
        (
            "action: throttle",
            "limit: action: throttle needs `limit`, how many events of one key pass in a window, 1 or more",
        ),
        (
            "action: throttle, limit: 0",
            "limit: action: throttle needs `limit`, how many events of one key pass in a window, 1 or more",
        ),
        ("action: throttle, limit: 1, seconds: 0", "seconds: seconds: 0 is outside 1 to 86400"),
        ("action: throttle, limit: 1, seconds: 90000", "seconds: seconds: 90000 is outside 1 to 86400"),
        (
            "action: throttle, limit: 1, key: [user, nofield]",
            "key: key[1]: `nofield` is no field; write event or keywords of docs/fields.md such as user",
        ),
        (
            "action: throttle, limit: 1, key: [a, b, c, d, e, f, g, h, i]",
            "key: key has 9 words, at most 8 are possible",
        ),
        ("action: drop, limit: 1", "limit: `limit` belongs to action: throttle"),
        ("action: keep, seconds: 1", "seconds: `seconds` belongs to action: throttle"),
        ("action: keep, key: [user]", "key: `key` belongs to action: throttle"),
    ];
    for (rule, expected) in cases {
        let seen = problems(&format!("{SOUND}rules: [{{name: r, {rule}}}]\n"));
        assert_eq!(seen, [format!("error: rules[0].{expected}")], "{rule}");
    }
    let many = |rule: &str, count: usize| {
        let rules: Vec<String> = (0..count).map(|n| format!("{{name: r{n}, {rule}}}")).collect();
        problems(&format!("{SOUND}rules: [{}]\n", rules.join(", ")))
    };
    let throttle = "match: {users: [A]}, action: throttle, limit: 1";
    assert_eq!(many(throttle, 64), [""; 0]);
    assert_eq!(many(throttle, 65), ["error: rules: has 65 rules that throttle, at most 64 are possible"]);
    let expression = "match: {users: [A], expression: 'event.severity > 1', not: {expression: 'event.severity > 2'}}, action: drop";
    assert_eq!(many(expression, 128), [""; 0]);
    assert_eq!(
        many(expression, 129),
        ["error: rules: the policy has 258 expressions, at most 256 are possible"]
    );
}
