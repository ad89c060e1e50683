//! YAML text becomes a policy. Every refusal names line and column and what was expected; limits on size,
//! depth and aliases keep a hostile file from costing memory or time.

use super::model::{EffectivePolicy, PolicyDocument, PolicySpec};
use serde::de::DeserializeOwned;

/// Most bytes of one policy text. A policy with a hundred certificates has some 200 KiB.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting; the model itself needs 6, and one more for each `not`.
const MAX_DEPTH: usize = 16;
/// Most nodes (keys and values) of one text.
const MAX_NODES: usize = 100_000;
/// Most aliases (`*name`) and anchors; enough to repeat a certificate per destination.
const MAX_ALIASES: usize = 256;

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is longer than [`MAX_BYTES`].
    #[error("the policy has {size} bytes, at most {MAX_BYTES} are allowed; split it into several documents")]
    TooLarge {
        /// Its length in bytes.
        size: usize,
    },
    /// The YAML is malformed, or something in it is not what the model expects.
    #[error("line {line}, column {column}: {message}")]
    At {
        /// Line, counted from 1.
        line: u64,
        /// Column, counted from 1.
        column: u64,
        /// What is wrong and what was expected.
        message: String,
    },
    /// An error of the whole text that has no place in it.
    #[error("{message}")]
    Whole {
        /// What is wrong.
        message: String,
    },
}

/// Reads one policy document.
///
/// # Errors
/// [`ParseError`] with line and column.
pub fn parse_document(text: &str) -> Result<PolicyDocument, ParseError> {
    parse(text)
}

/// Reads the bare content of a policy: the local policy of a stand-alone agent.
///
/// # Errors
/// [`ParseError`] with line and column.
pub fn parse_spec(text: &str) -> Result<PolicySpec, ParseError> {
    parse(text)
}

/// Reads an effective policy, as the controller sends it.
///
/// # Errors
/// [`ParseError`] with line and column.
pub fn parse_effective(text: &str) -> Result<EffectivePolicy, ParseError> {
    parse(text)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError::TooLarge { size: text.len() });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_documents: 1,
            max_inclusion_depth: 0,
            max_total_scalar_bytes: MAX_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 8,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))
}

fn explain(error: &serde_saphyr::Error) -> ParseError {
    let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    match error.location() {
        Some(place) if place.line() > 0 => {
            let (line, column) = (place.line(), place.column());
            // The renderer repeats the place at the end; it stands in front already.
            let message =
                message.strip_suffix(&format!(" at line {line}, column {column}")).unwrap_or(&message);
            ParseError::At { line, column, message: in_our_words(message) }
        }
        _ => ParseError::Whole { message: in_our_words(&message) },
    }
}

/// The parser speaks of scalars and sequences; people who write policies know texts and lists.
fn in_our_words(message: &str) -> String {
    match message {
        "expected sequence start" => "expected a list, each item after `- `, or [] for none".to_owned(),
        "expected mapping start" => "expected `key: value` lines, or {} for none".to_owned(),
        "expected string scalar" => "expected a text".to_owned(),
        "null is not allowed here" => "expected a text, there is nothing".to_owned(),
        "invalid u8" => "expected a whole number from 0 to 255".to_owned(),
        "invalid u32" => "expected a whole number from 0 to 4294967295".to_owned(),
        "invalid u64" => "expected a whole number, 0 or more".to_owned(),
        "invalid i32" => "expected a whole number".to_owned(),
        "invalid boolean" => "expected true or false".to_owned(),
        "unexpected end of file" => "the text ends before the policy does".to_owned(),
        "recursion limit exceeded" => format!("nested deeper than {MAX_DEPTH} levels"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::{Framing, TransportSpec};
    use proptest::prelude::*;

    /// The first three lines of every case; what is wrong begins on line 4.
    const HEAD: &str = "api_version: muster/v1\nname: a\nspec:\n";

    #[test]
    fn malformed_documents_name_line_column_and_what_was_expected() {
        let cases: [(&str, &str); 31] = [
            (
                "  bogus: 1\n",
                "line 4, column 3: unknown field `bogus`, expected one of sources, exclude, rules, severities, routes, destinations",
            ),
            (
                "  destinations:\n    a:\n      transport: { kind: tpc, address: 'x:1' }\n",
                "line 6, column 26: unknown variant `tpc`, expected one of udp, tcp, tls",
            ),
            (
                "  destinations:\n    a:\n      transport:\n        kind: tcp\n        address: 'x:1'\n        server_name: a\n",
                "line 7, column 9: a tcp transport has no `server_name`; it belongs to kind: tls",
            ),
            (
                "  destinations:\n    a:\n      transport:\n        kind: udp\n        address: 'x:1'\n        framing: newline\n",
                "line 7, column 9: a udp transport has no `framing`; it belongs to kind: tcp and kind: tls",
            ),
            (
                "  destinations:\n    a:\n      transport:\n        kind: tcp\n        adress: 'x:1'\n",
                "line 8, column 9: unknown field `adress`, expected one of kind, address, framing, server_name, ca_pem, client_certificate",
            ),
            (
                "  destinations:\n    a:\n      transport:\n        kind: tcp\n",
                "line 7, column 9: missing field `address`",
            ),
            (
                "  destinations:\n    a:\n      transport:\n        kind: tcp\n        address: [x]\n",
                "line 8, column 18: expected a text",
            ),
            (
                "  destinations:\n    a:\n      transport: {kind: tcp, address: x:1}\n      format: {facility: 300}\n",
                "line 7, column 26: expected a whole number from 0 to 255",
            ),
            (
                "  destinations:\n    a:\n      transport: {kind: tcp, address: x:1}\n      format: {kind: leaf}\n",
                "line 7, column 22: unknown variant `leaf`, expected one of syslog, cef, leef1, leef2",
            ),
            (
                "  destinations:\n    a:\n      transport: {kind: tcp, address: x:1}\n      format: {leef_delimiter: ab}\n",
                "line 7, column 32: only single character allowed here",
            ),
            (
                "  destinations:\n    a:\n      transport: {kind: tcp, address: x:1}\n      format: {bom: maybe}\n",
                "line 7, column 21: expected true or false",
            ),
            (
                "  rules:\n    - name: a\n      action: dorp\n",
                "line 6, column 15: unknown variant `dorp`, expected one of keep, drop, throttle",
            ),
            (
                "  exclude:\n    - {remote_ports: [22, ftp]}\n",
                "line 5, column 27: `ftp` is no port and no range of ports such as 1024-65535",
            ),
            (
                "  exclude:\n    - {when: [{from: '25:00'}]}\n",
                "line 5, column 22: `25:00` is no time of day; write hours and minutes in quotes, '00:00' to '24:00'",
            ),
            (
                "  exclude:\n    - {when: [{days: [monday]}]}\n",
                "line 5, column 23: unknown variant `monday`, expected one of mon, tue, wed, thu, fri, sat, sun",
            ),
            (
                "  exclude:\n    - {outcomes: [denied]}\n",
                "line 5, column 19: unknown variant `denied`, expected one of allowed, refused, unknown",
            ),
            (
                "  rules:\n    - name: a\n      action: drop\n      match: {min_severity: 0}\n",
                "line 7, column 29: severity 0 is outside 1 to 10",
            ),
            ("  rules:\n    - name: a\n    action: drop\n", "line 5, column 7: missing field `action`"),
            ("  rules: {\n", "line 4, column 10: expected a list, each item after `- `, or [] for none"),
            (
                "  rules:\n\t- a\n",
                "line 5, column 2: tabs disallowed within this context (block indentation)",
            ),
            ("  rules: \"abc\n", "line 5, column 1: invalid indentation in multiline quoted scalar"),
            (
                "  rules:\n    - name:\n      action: drop\n",
                "line 5, column 11: expected a text, there is nothing",
            ),
            (
                "  rules: []\n  rules: []\n",
                "line 5, column 3: duplicate mapping key `rules` is not allowed here",
            ),
            ("  rules: *x\n", "line 4, column 10: reference to unknown value"),
            (
                "  rules: [[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]\n",
                "line 4, column 26: nested deeper than 16 levels",
            ),
            ("  rules:\n", "line 4, column 8: expected a list, each item after `- `, or [] for none"),
            ("---\nname: b\n", "line 3, column 5: expected `key: value` lines, or {} for none"),
            (
                "  sources: {a: {kind: audit_journal, batch_rows: -1}}\n",
                "line 4, column 50: expected a whole number from 0 to 4294967295",
            ),
            ("  sources: {a: {journal: x}}\n", "line 4, column 17: missing field `kind`"),
            (
                "  sources: {a: {kind: weather}}\n",
                "line 4, column 23: unknown variant `weather`, expected one of audit_journal, history_log, message_queue, data_queue, exit_point, controller_audit",
            ),
            (
                "  sources: {a: {kind: audit_journal, poll_interval_ms: soon}}\n",
                "line 4, column 56: expected a whole number, 0 or more",
            ),
        ];
        for (tail, expected) in cases {
            let error = parse_document(&format!("{HEAD}{tail}")).unwrap_err();
            assert_eq!(error.to_string(), expected, "{tail}");
        }
    }

    #[test]
    fn texts_that_are_no_policy_at_all() {
        for (text, expected) in [
            ("", "line 1, column 1: the text ends before the policy does"),
            ("- a\n", "line 1, column 1: expected `key: value` lines, or {} for none"),
            ("name: a\n", "line 1, column 1: missing field `api_version`"),
            ("{\"name\": \u{0}}\n", "line 1, column 10: unexpected character: `\\u{0}'"),
        ] {
            assert_eq!(parse_document(text).unwrap_err().to_string(), expected, "{text:?}");
        }
        assert_eq!(
            parse_document(&" ".repeat(MAX_BYTES + 1)),
            Err(ParseError::TooLarge { size: MAX_BYTES + 1 })
        );
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("sources: {}\nexclude:\n  - &a0 {users: [A, B, C, D, E, F, G, H]}\nx:\n");
        for level in 1..30 {
            let previous = level - 1;
            text.push_str(&format!(
                "  a{level}: &a{level} [{}]\n",
                vec![format!("*a{previous}"); 9].join(", ")
            ));
        }
        // Unknown field first or too many aliases first: either way it ends at once.
        assert!(matches!(parse_spec(&text), Err(ParseError::At { .. })));
        let users = vec!["*u"; MAX_ALIASES + 1].join(", ");
        let many = format!("exclude:\n  - users: [&u BOB, {users}]\n");
        assert!(matches!(parse_spec(&many), Err(ParseError::At { line: 2, .. } | ParseError::Whole { .. })));
    }

    proptest! {
        /// Any text is answered, and an answer has a place or none, never a made-up one.
        #[test]
        fn any_text_is_survived(text in "\\PC*|[\\x00-\\x7f]{0,400}") {
            if let Err(ParseError::At { line, column, .. }) = parse_document(&text) {
                prop_assert!(line >= 1 && column >= 1);
            }
        }

        /// Pieces of YAML that are known for trouble, anywhere in a document: it is a document or it is refused,
        /// soon, and a document that is read is written and read again as the same.
        #[test]
        fn hostile_pieces_anywhere_are_survived(
            pieces in proptest::collection::vec(
                (0_usize..400, prop_oneof![
                    Just("&a "), Just("*a"), Just("<<: *a"), Just("!!binary "), Just("!include x"), Just("? "), Just(": "),
                    Just("- - - "), Just("{"), Just("}"), Just("["), Just("]"), Just("|\n"), Just(">\n"), Just("\t"),
                    Just("\"\\u0000\""), Just("\u{feff}"), Just("---\n"), Just("...\n"), Just("%YAML 9.9\n"), Just("~"),
                    Just("0x7fffffffffffffff"), Just(".inf"), Just("1e999"), Just("'"), Just("#"), Just("\r\n"), Just("\u{85}"),
                ]),
                1..12,
            ),
        ) {
            let mut text = "api_version: muster/v1\nname: a\nselector: {site: berlin}\npriority: 10\nspec:\n  sources:\n    audit: {kind: audit_journal, entry_types: [AF, PW]}\n  exclude:\n    - {users: [QTMHHTTP]}\n  rules:\n    - {name: r, match: {objects: [PAY*/*ALL]}, action: drop}\n  destinations:\n    siem:\n      transport: {kind: tls, address: 'siem.example.com:6514'}\n".to_owned();
            for (at, piece) in pieces {
                let at = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
                text.insert_str(at, piece);
            }
            if let Ok(document) = parse_document(&text) {
                let json = serde_json::to_string(&document).unwrap();
                prop_assert_eq!(parse_document(&json).unwrap(), document);
            }
        }
    }

    #[test]
    fn a_whole_document_is_read_and_written_back() {
        let text = "
api_version: muster/v1
name: site-berlin
description: What Berlin sends
selector: {site: berlin}
priority: 10
spec:
  sources:
    audit: {kind: audit_journal, start: oldest, entry_types: [AF, PW]}
  exclude:
    - {users: [QTMHHTTP]}
  rules:
    - {name: quiet-zr, match: {entry_types: [ZR], objects: [PAY*/*ALL]}, action: drop}
  severities:
    - {match: {entry_types: [AF_A]}, severity: 9}
  routes:
    all: {destinations: [qradar]}
  destinations:
    qradar:
      transport: {kind: tls, address: 'siem.example.com:6514'}
      format: {kind: leef2}
";
        let document = parse_document(text).unwrap();
        assert_eq!(document.priority, 10);
        assert_eq!(
            document.spec.destinations["qradar"].transport,
            TransportSpec::Tls {
                address: "siem.example.com:6514".to_owned(),
                framing: Framing::OctetCounting,
                server_name: None,
                ca_pem: None,
                client_certificate: None,
            }
        );
        assert_eq!(document.spec.destinations["qradar"].heartbeat_seconds, 300);
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<PolicyDocument>(&json).unwrap(), document);
        // JSON is YAML.
        assert_eq!(parse_document(&json).unwrap(), document);
        let yaml = serde_saphyr::to_string(&document).unwrap();
        assert_eq!(parse_document(&yaml).unwrap(), document);
    }
}
