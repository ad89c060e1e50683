//! An example for every JSON body of the document that has none of its own, made of the examples of its fields.
//!
//! A field shows the example of its annotation; where that says none, what its name stands for everywhere ([`text`]), a
//! default, the first of its words, or a plain value of its type.

use serde_json::{Map, Value, json};

/// Deepest level that is filled: what lies below is left empty. Bodies of themselves in themselves end there, too.
const MAX_DEPTH: usize = 8;
/// The moment of all examples.
const AT: &str = "2026-11-27T04:00:00Z";

/// Adds them.
pub(super) fn add(document: &mut Value) {
    let schemas = document["components"]["schemas"].take();
    let sampler = Sampler { schemas: &schemas };
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        let answers = responses.into_iter().flat_map(Map::values_mut);
        answers.for_each(|answer| sampler.body(answer));
        if let Some(asked) = operation.get_mut("requestBody") {
            sampler.body(asked);
        }
    }
    document["components"]["schemas"] = schemas;
}

struct Sampler<'s> {
    schemas: &'s Value,
}

impl Sampler<'_> {
    /// Of a body of a request or an answer.
    fn body(&self, body: &mut Value) {
        let Some(media) = body.pointer_mut("/content/application~1json") else { return };
        if media.get("example").is_none()
            && media.get("examples").is_none()
            && let Some(schema) = media.get("schema")
        {
            media["example"] = self.value("", schema, 0);
        }
    }

    /// Of a field.
    fn value(&self, name: &str, schema: &Value, depth: usize) -> Value {
        if let Some(own) = own(schema) {
            return own.clone();
        }
        if let Some(target) = schema["$ref"].as_str() {
            let target = target.trim_start_matches("#/components/schemas/");
            return self.value(name, &self.schemas[target], depth + 1);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.whole(name, parts, depth);
        }
        let choices = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
        if let Some(choice) = choices.and_then(|all| all.iter().find(|choice| choice["type"] != "null")) {
            return self.value(name, choice, depth);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" if depth >= MAX_DEPTH => json!([]),
            "array" => json!([self.value(name, &schema["items"], depth + 1)]),
            "integer" => {
                schema.get("minimum").filter(|least| least.as_i64() > Some(0)).cloned().unwrap_or(json!(1))
            }
            "number" => json!(1.5),
            "boolean" => json!(false),
            "string" if schema["format"] == "date-time" => json!(AT),
            "string" => json!(text(name)),
            _ => json!({}),
        }
    }

    /// Of what is all of its parts.
    fn whole(&self, name: &str, parts: &[Value], depth: usize) -> Value {
        let mut whole = Map::new();
        for part in parts {
            match self.value(name, part, depth) {
                Value::Object(fields) => whole.extend(fields),
                other => return other,
            }
        }
        Value::Object(whole)
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        let fields = schema["properties"].as_object().into_iter().flatten();
        let shown = fields.filter(|(name, _)| depth < MAX_DEPTH || required.iter().any(|r| r == *name));
        let mut object: Map<_, _> =
            shown.map(|(name, field)| (name.clone(), self.value(name, field, depth + 1))).collect();
        if let Some(values) =
            schema.get("additionalProperties").filter(|v| v.is_object() && depth < MAX_DEPTH)
        {
            object.insert("name".to_owned(), self.value("", values, depth + 1));
        }
        Value::Object(object)
    }
}

/// What a schema says itself.
fn own(schema: &Value) -> Option<&Value> {
    let of = |key| schema.get(key);
    let first = |key| of(key).and_then(Value::as_array).and_then(|all| all.first());
    of("example")
        .or_else(|| first("examples"))
        .or_else(|| of("const"))
        .or_else(|| first("enum"))
        .or_else(|| of("default"))
}

/// Its type; of several the one that is not "nothing".
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(one) => one,
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).find(|t| *t != "null").unwrap_or("")
        }
        _ => "",
    }
}

/// What fields of this name hold: names mean the same all over the interface.
fn text(name: &str) -> &'static str {
    match name {
        "action" => "policy.publish",
        "actor" | "by" | "user" | "announced_by" | "created_by" | "decided_by" | "published_by"
        | "proposed_by" | "set_by" | "started_by" | "updated_by" | "uploaded_by" => "vera",
        "agent" | "system" | "partition" => "PROD01",
        "certificate_sha256" | "fingerprint" | "head_hash" | "issuing" | "key_sha256" | "serial"
        | "sha256" | "hash" => "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "comment" | "description" | "reason" | "note" | "notes" => "audit of November",
        "controller_version" | "floor" | "version" => "0.2.0",
        "customer" => "Example AG",
        "destination" => "siem",
        "etag" => "\"7\"",
        "event" => "AF",
        "file" | "path" | "folder" => "policies/base.yaml",
        "format" => "leef2",
        "from" => "192.0.2.10:52114",
        "instance" => "/api/v1/agents",
        "next" | "cursor" => "bXVzdGVy",
        "os_release" => "7.5",
        "policy" | "object" => "base",
        "rule" | "dropped_by" => "no-spool-files",
        "says" | "summary" | "message" | "detail" | "problem" | "change" | "effect" => {
            "in one line, for people"
        }
        "source" | "source_kind" => "audit_journal",
        "status" => "healthy",
        "title" => "Not found",
        "token" | "password" | "current" | "new" | "csrf_token" => "not-shown-here-1",
        "type" => "about:blank",
        "url" | "urls" => "https://controller.example.com:4320",
        "valid_from" => "2026-12-01",
        "valid_until" => "2027-11-30",
        _ => "base",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every JSON body of the document with its example, by operation.
    fn bodies(document: &Value) -> Vec<(String, Value)> {
        let mut bodies = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let answers = operation["responses"].as_object().unwrap().iter();
                let asked = operation.get("requestBody").map(|body| ("request", body));
                let all = answers.map(|(status, body)| (status.as_str(), body)).chain(asked);
                for (part, body) in all {
                    if let Some(media) = body.pointer("/content/application~1json") {
                        bodies.push((format!("{method} {path} {part}"), media.clone()));
                    }
                }
            }
        }
        bodies
    }

    #[test]
    fn every_json_body_has_an_example_that_fits_its_schema() {
        let document = crate::http::openapi::value();
        let bodies = bodies(&document);
        assert!(bodies.len() > 100, "{}", bodies.len());
        let mut faults = Vec::new();
        for (name, media) in bodies {
            let Some(example) = media.get("example") else {
                assert!(
                    media.get("examples").is_some() || media.get("schema").is_none(),
                    "{name} has no example"
                );
                continue;
            };
            let mut schema = media["schema"].clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            faults
                .extend(validator.iter_errors(example).map(|e| format!("{name}: {}: {e}", e.instance_path)));
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn a_field_shows_what_it_says_itself_before_what_its_name_stands_for() {
        let schemas = json!({
            "Word": { "type": "string", "enum": ["first", "second"] },
            "Tree": { "type": "object", "properties": { "below": { "type": "array", "items": { "$ref": "#/components/schemas/Tree" } } } },
        });
        let sampler = Sampler { schemas: &schemas };
        for (name, schema, expected) in [
            ("user", json!({ "type": "string" }), json!("vera")),
            ("user", json!({ "type": "string", "example": "adam" }), json!("adam")),
            ("user", json!({ "type": ["null", "string"], "default": "" }), json!("")),
            (
                "word",
                json!({ "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Word" }] }),
                json!("first"),
            ),
            ("at", json!({ "type": "string", "format": "date-time" }), json!(AT)),
            ("n", json!({ "type": "integer", "minimum": 0 }), json!(1)),
            ("n", json!({ "type": "integer", "minimum": 7 }), json!(7)),
            (
                "labels",
                json!({ "type": "object", "additionalProperties": { "type": "boolean" } }),
                json!({ "name": false }),
            ),
        ] {
            assert_eq!(sampler.value(name, &schema, 0), expected, "{schema}");
        }
        let tree = sampler.value("", &json!({ "$ref": "#/components/schemas/Tree" }), 0).to_string();
        assert!(tree.starts_with(r#"{"below":[{"below":"#) && tree.len() < 200, "{tree}");
    }
}
