//! Which document set each value of a merged policy, and which values it overrode.
//!
//! Whole items are merged, so every value of an item comes from one document. A value of a replaced item
//! that the new item does not have is listed too, without a value: that is what people look for when
//! something is missing.

use super::merge::{ItemOrigin, Merged};
use super::model::{PolicyDocument, PolicySpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A document with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Origin {
    /// Name of the document.
    pub document: String,
    /// Its revision.
    pub revision: u64,
    /// Its priority.
    pub priority: i32,
}

/// A value that another document would have set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overridden {
    /// Which one.
    #[serde(flatten)]
    pub by: Origin,
    /// Its value; absent if its item has none there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// One value of a merged policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValueOrigin {
    /// Where, as in differences: `spec.destinations.qradar.transport.address`, `spec.rules[quiet].action`.
    pub path: String,
    /// The value, a list as a whole; absent if only items that were replaced have one here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The document that set it, or left it out.
    #[serde(flatten)]
    pub set_by: Origin,
    /// What it overrode, highest priority first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrode: Vec<Overridden>,
}

/// Documents by name, with their revisions.
pub type Numbered<'a> = BTreeMap<&'a str, (u64, &'a PolicyDocument)>;

/// A kind of item in a policy.
#[derive(Debug, Clone, Copy)]
enum Item<'n> {
    Source(&'n str),
    Exclude(usize),
    Rule(&'n str),
    Severity(usize),
    Route(&'n str),
    Destination(&'n str),
}

impl Item<'_> {
    /// Key in [`Merged::provenance`].
    fn key(self) -> String {
        match self {
            Self::Source(name) => format!("sources.{name}"),
            Self::Exclude(position) => format!("exclude[{position}]"),
            Self::Rule(name) => format!("rules.{name}"),
            Self::Severity(position) => format!("severities[{position}]"),
            Self::Route(name) => format!("routes.{name}"),
            Self::Destination(name) => format!("destinations.{name}"),
        }
    }

    /// Path as differences write it.
    fn path(self) -> String {
        match self {
            Self::Rule(name) => format!("spec.rules[{name}]"),
            Self::Source(_)
            | Self::Exclude(_)
            | Self::Severity(_)
            | Self::Route(_)
            | Self::Destination(_) => {
                format!("spec.{}", self.key())
            }
        }
    }

    /// The item in a policy. The model holds strings, numbers and maps with string keys only, all of which
    /// JSON has.
    fn value(self, spec: &PolicySpec) -> Option<Value> {
        match self {
            Self::Source(name) => spec.sources.get(name).and_then(|v| serde_json::to_value(v).ok()),
            Self::Exclude(position) => spec.exclude.get(position).and_then(|v| serde_json::to_value(v).ok()),
            Self::Rule(name) => {
                let rule = spec.rules.iter().find(|rule| rule.name == name);
                rule.and_then(|v| serde_json::to_value(v).ok())
            }
            Self::Severity(position) => {
                spec.severities.get(position).and_then(|v| serde_json::to_value(v).ok())
            }
            Self::Route(name) => spec.routes.get(name).and_then(|v| serde_json::to_value(v).ok()),
            Self::Destination(name) => spec.destinations.get(name).and_then(|v| serde_json::to_value(v).ok()),
        }
    }
}

/// Every value of a merged policy with its origin, in the order of the policy. `documents` are those that
/// took part.
#[must_use]
pub fn explain(merged: &Merged, documents: &Numbered<'_>) -> Vec<ValueOrigin> {
    let spec = &merged.policy.spec;
    let mut values = Vec::new();
    for item in items(spec) {
        if let Some(origin) = merged.provenance.get(&item.key()) {
            item_values(item, spec, origin, documents, &mut values);
        }
    }
    values
}

fn items(spec: &PolicySpec) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = spec.sources.keys().map(|n| Item::Source(n)).collect();
    items.extend((0..spec.exclude.len()).map(Item::Exclude));
    items.extend(spec.rules.iter().map(|r| Item::Rule(&r.name)));
    items.extend((0..spec.severities.len()).map(Item::Severity));
    items.extend(spec.routes.keys().map(|n| Item::Route(n)));
    items.extend(spec.destinations.keys().map(|n| Item::Destination(n)));
    items
}

fn item_values(
    item: Item<'_>,
    spec: &PolicySpec,
    origin: &ItemOrigin,
    documents: &Numbered<'_>,
    values: &mut Vec<ValueOrigin>,
) {
    let named = |name: &str| {
        let (revision, priority) = documents.get(name).map_or((0, 0), |(n, d)| (*n, d.priority));
        Origin { document: name.to_owned(), revision, priority }
    };
    let mut mine = BTreeMap::new();
    leaves(item.path(), &item.value(spec).unwrap_or(Value::Null), &mut mine);
    // Lists without names are put together, never replaced.
    let others: Vec<(Origin, BTreeMap<String, Value>)> = origin
        .overrode
        .iter()
        .map(|name| {
            let mut theirs = BTreeMap::new();
            if let Some(value) = documents.get(name.as_str()).and_then(|(_, d)| item.value(&d.spec)) {
                leaves(item.path(), &value, &mut theirs);
            }
            (named(name), theirs)
        })
        .collect();
    let mut paths: Vec<&String> = mine.keys().collect();
    paths.extend(others.iter().flat_map(|(_, theirs)| theirs.keys()));
    paths.sort();
    paths.dedup();
    for path in paths {
        let overridden = |(by, theirs): &(Origin, BTreeMap<String, Value>)| Overridden {
            by: by.clone(),
            value: theirs.get(path).cloned(),
        };
        values.push(ValueOrigin {
            path: path.clone(),
            value: mine.get(path).cloned(),
            set_by: named(&origin.document),
            overrode: others.iter().map(overridden).collect(),
        });
    }
}

/// The values that are no maps, by path; an empty map is a value too.
fn leaves(path: String, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(format!("{path}.{key}"), value, found);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            found.insert(path, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::merge::merge;
    use crate::policy::parse_document;
    use proptest::prelude::*;

    fn document(name: &str, priority: i32, spec: &str) -> PolicyDocument {
        let text =
            format!("{{api_version: muster/v1, name: {name}, priority: {priority}, spec: {{{spec}}}}}");
        parse_document(&text).unwrap()
    }

    fn explained(documents: &[PolicyDocument]) -> Vec<ValueOrigin> {
        let merged = merge(documents, &BTreeMap::new(), 9).unwrap();
        let numbered =
            documents.iter().enumerate().map(|(i, d)| (d.name.as_str(), (i as u64 + 1, d))).collect();
        explain(&merged, &numbered)
    }

    #[test]
    fn every_value_names_its_document_and_what_it_overrode() {
        let base = document(
            "base",
            0,
            "destinations: {a: {transport: {kind: udp, address: 'x:1'}, format: {kind: leef2, leef_delimiter: '|'}}},
             exclude: [{users: [BASE]}], rules: [{name: r, match: {users: [A]}, action: keep}]",
        );
        let site = document(
            "site",
            5,
            "destinations: {a: {transport: {kind: udp, address: 'y:1'}}}, exclude: [{users: [SITE]}]",
        );
        let values = explained(&[base, site]);
        let find = |path: &str| values.iter().find(|v| v.path == path).unwrap_or_else(|| panic!("{path}"));

        let address = find("spec.destinations.a.transport.address");
        assert_eq!(address.value, Some("y:1".into()));
        let site = Origin { document: "site".to_owned(), revision: 2, priority: 5 };
        let base = Origin { document: "base".to_owned(), revision: 1, priority: 0 };
        assert_eq!(address.set_by, site);
        assert_eq!(address.overrode, [Overridden { by: base.clone(), value: Some("x:1".into()) }]);

        let gone = find("spec.destinations.a.format.leef_delimiter");
        assert_eq!((&gone.value, &gone.set_by), (&None, &site), "left out by the document that won");
        assert_eq!(gone.overrode[0].value, Some("|".into()));

        let rule = find("spec.rules[r].match.users");
        assert_eq!((&rule.value, &rule.set_by), (&Some(serde_json::json!(["A"])), &base));
        assert!(rule.overrode.is_empty());
        let users: Vec<_> =
            ["spec.exclude[0].users", "spec.exclude[1].users"].map(|p| &find(p).set_by).into();
        assert_eq!(users, [&site, &base]);
        assert_eq!(values[0].path, "spec.exclude[0].users", "in the order of the policy");
    }

    #[test]
    fn an_empty_policy_has_no_values() {
        assert_eq!(explained(&[]), []);
    }

    proptest! {
        /// Put together again, the values are the merged policy: none is missing, none is invented.
        #[test]
        fn the_values_are_the_policy(
            parts in proptest::collection::vec((0_u8..4, 0_u8..4, 0_u8..4, any::<bool>()), 0..6),
        ) {
            let documents: Vec<PolicyDocument> = parts
                .iter()
                .enumerate()
                .map(|(i, (rule, destination, route, exclude))| {
                    let exclude = if *exclude { format!("exclude: [{{users: [U{i}]}}],") } else { String::new() };
                    document(
                        &format!("d{i}"),
                        i32::try_from(i).unwrap(),
                        &format!(
                            "{exclude} rules: [{{name: r{rule}, action: drop}}],
                             routes: {{t{route}: {{destinations: [d{destination}]}}}},
                             destinations: {{d{destination}: {{transport: {{kind: udp, address: 'h{i}:1'}}}}}}"
                        ),
                    )
                })
                .collect();
            let merged = merge(&documents, &BTreeMap::new(), 1).unwrap();
            let mut expected = BTreeMap::new();
            for item in items(&merged.policy.spec) {
                leaves(item.path(), &item.value(&merged.policy.spec).unwrap(), &mut expected);
            }
            let found: BTreeMap<String, Value> =
                explained(&documents).into_iter().filter_map(|v| Some((v.path, v.value?))).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
