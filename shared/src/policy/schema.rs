//! JSON Schema of policy documents, made from the model itself, so that an editor completes and checks what
//! this release reads. The descriptions in it are the documentation of the model's fields.

use super::model::PolicyDocument;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The schema (draft 7, which editors' YAML support reads).
#[must_use]
pub fn document_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<PolicyDocument>();
        let mut schema = schema.to_value();
        if let Some(root) = schema.as_object_mut() {
            root.insert("title".to_owned(), json!("Muster policy"));
        }
        schema
    });
    &SCHEMA
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{parse_document, validate_document};
    use proptest::prelude::*;

    fn validator() -> jsonschema::Validator {
        jsonschema::draft7::new(document_schema()).unwrap()
    }

    /// A document that uses every field of the model.
    fn full() -> Value {
        json!({
            "api_version": "muster/v1", "name": "all", "description": "d", "selector": {"a": "b"}, "priority": -3,
            "spec": {
                "sources": {"audit": {
                    "kind": "audit_journal", "journal": "QSYS/QAUDJRN", "start": "now", "entry_types": ["AF"],
                    "poll_interval_ms": 1000, "batch_rows": 16,
                }, "log": {"kind": "controller_audit", "start": "oldest", "poll_interval_ms": 1000}},
                "exclude": [conditions()],
                "rules": [
                    {"name": "r", "match": conditions(), "action": "drop"},
                    {"name": "t", "match": {}, "action": "throttle", "limit": 10, "seconds": 60, "key": ["event"]},
                ],
                "severities": [{"match": conditions(), "severity": 9}],
                "routes": {"all": {"match": conditions(), "destinations": ["udp"]}},
                "destinations": {
                    "udp": {"transport": {"kind": "udp", "address": "a:1"}},
                    "tcp": {"transport": {"kind": "tcp", "address": "a:1", "framing": "newline"}},
                    "tls": {
                        "transport": {
                            "kind": "tls", "address": "a:1", "framing": "octet_counting", "server_name": "b",
                            "ca_pem": "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n",
                            "client_certificate": "n",
                        },
                        "format": {
                            "kind": "leef2", "header": "rfc5424", "facility": 13, "utc": false, "cef_space": false,
                            "leef_delimiter": "^", "bom": false,
                        },
                        "heartbeat_seconds": 0,
                        "replay_window_ms": 1,
                        "receiver_buffer_bytes": 65_536,
                    },
                },
            },
        })
    }

    fn conditions() -> Value {
        json!({
            "sources": ["audit"], "entry_types": ["AF"], "events": ["AF_*"], "users": ["A*"], "target_users": ["B"],
            "objects": ["A/B"], "object_types": ["*FILE"], "programs": ["QSYS/QCMD"], "jobs": ["QUSER/*ALL"],
            "paths": ["/etc/*"], "system_values": ["QPWD*"], "message_ids": ["CPF*"], "queues": ["QSYS/QSYSOPR"],
            "exit_points": ["QIBM_QTMF_*"], "exit_functions": ["RETR"], "outcomes": ["allowed", "refused"],
            "remote_addresses": ["10.0.0.0/8"], "remote_ports": [22, "1024-65535"], "local_ports": [21],
            "contains": ["STRSQL"], "when": [{"days": ["mon"], "from": "22:00", "to": "06:00"}], "min_severity": 1,
            "max_severity": 10, "expression": "event.severity > 3", "not": {"users": ["C"], "remote_ports": [1]},
        })
    }

    /// Every place in a document, as JSON pointers.
    fn places(value: &Value, here: &str, found: &mut Vec<String>) {
        found.push(here.to_owned());
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| places(value, &format!("{here}/{key}"), found))
            }
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(i, value)| places(value, &format!("{here}/{i}"), found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn remove(document: &mut Value, place: &str) {
        let Some((parent, key)) = place.rsplit_once('/') else { return };
        match document.pointer_mut(parent) {
            Some(Value::Object(map)) => drop(map.remove(key)),
            Some(Value::Array(list)) => drop(list.remove(key.parse().unwrap())),
            other => panic!("{place} has the parent {other:?}"),
        }
    }

    #[test]
    fn a_document_with_every_field_is_valid_for_both() {
        let text = full().to_string();
        let document = parse_document(&text).unwrap();
        let errors: Vec<_> = validate_document(&document).into_iter().filter(|p| p.is_error()).collect();
        assert_eq!(errors, []);
        let complaints: Vec<String> = validator().iter_errors(&full()).map(|e| e.to_string()).collect();
        assert_eq!(complaints, Vec::<String>::new());
        // The example is complete: what the model writes for it has no field that the example lacks.
        let mut written = Vec::new();
        places(&serde_json::to_value(&document).unwrap(), "", &mut written);
        for place in written {
            // Defaults of the format are written for destinations that give none.
            let known = full().pointer(&place).is_some()
                || ["/format", "/heartbeat_seconds", "/replay_window_ms"].iter().any(|p| place.contains(p));
            assert!(known, "{place} is missing in the example");
        }
    }

    #[test]
    fn every_field_is_described() {
        let definitions = document_schema()["definitions"].as_object().unwrap();
        let all = definitions.iter().map(|(n, s)| (n.as_str(), s)).chain([("document", document_schema())]);
        let mut fields = 0;
        for (name, schema) in all {
            for (field, content) in schema["properties"].as_object().into_iter().flatten() {
                let described = content["description"].as_str().is_some_and(|d| d.len() > 5);
                assert!(described, "{name}.{field} has no description: {content}");
                fields += 1;
            }
        }
        assert!(fields > 40, "{fields}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

        /// Whatever is taken away, put in or replaced in a document: schema and model say the same of it.
        #[test]
        fn schema_and_model_agree(
            edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..10), 1..4),
        ) {
            let mut document = full();
            for (place, edit) in edits {
                let mut all = Vec::new();
                places(&document, "", &mut all);
                let place = place.get(&all).clone();
                // Values of these have a meaning that only the schema knows (and `validate`).
                let value = match edit {
                    0..=2 => { remove(&mut document, &place); continue }
                    3 => {
                        if let Some(Value::Object(map)) = document.pointer_mut(&place) {
                            map.insert("bogus".to_owned(), json!(1));
                        }
                        continue;
                    }
                    4 => Value::Null,
                    5 => json!(true),
                    6 => json!([]),
                    7 => json!({}),
                    8 => json!(["udp"]),
                    _ => json!(-1),
                };
                if let Some(target) = document.pointer_mut(&place) {
                    // Serde's JSON takes a list for a struct; the reader of policies does not (see `parse`). An
                    // earlier edit may have put something else where the struct was.
                    let of_struct = target.is_object() || full().pointer(&place).is_some_and(Value::is_object);
                    if !(of_struct && value.is_array()) {
                        *target = value;
                    }
                }
            }
            let model = serde_json::from_value::<PolicyDocument>(document.clone()).map(drop);
            let complaint = validator().iter_errors(&document).next().map(|e| format!("{}: {e}", e.instance_path));
            prop_assert_eq!(model.is_ok(), complaint.is_none(), "{:?} / {:?} / {}", model, complaint, document);
        }
    }
}
