//! All documents that select a partition become one effective policy.
//!
//! Sources, routes, destinations and rules are named: of two documents with the same name the one with the
//! higher priority wins and replaces the whole item. Rules run by priority of their document, then by its
//! name, then by position; excludes and severities, which have no names, likewise. Two documents that set
//! the same named item with equal priority contradict each other: an error names both.

use super::model::{EffectivePolicy, PolicyDocument, PolicySpec};
use std::collections::{BTreeMap, BTreeSet};

/// Most contradictions that are told at once.
const MAX_CONFLICTS: usize = 1_000;

/// Which document set an item: by path such as `destinations.qradar` or `rules.quiet-jobs`. Items of lists
/// without names are numbered as in the result: `exclude[0]`.
pub type Provenance = BTreeMap<String, ItemOrigin>;

/// Where an item of a merged policy comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemOrigin {
    /// Name of the document that set it.
    pub document: String,
    /// Names of the documents whose item of the same name it replaced, highest priority first.
    pub overrode: Vec<String>,
}

/// The result of a merge.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merged {
    /// What the agent runs.
    pub policy: EffectivePolicy,
    /// Where each item comes from.
    pub provenance: Provenance,
    /// Names of the documents that took part, highest priority first.
    pub documents: Vec<String>,
}

/// Two documents set the same item with equal priority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error(
    "policies `{first}` and `{second}` both set {path} with priority {priority}; give one of them a higher priority or rename the item"
)]
pub struct MergeConflict {
    /// The item, such as `destinations.qradar`.
    pub path: String,
    /// Name of the one document.
    pub first: String,
    /// Name of the other.
    pub second: String,
    /// Priority of both.
    pub priority: i32,
}

/// Whether a selector matches labels: every pair of it is among them.
#[must_use]
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Merges the documents whose selector matches `labels`. The order of `documents` does not matter.
///
/// # Errors
/// [`MergeConflict`] where two documents with equal priority set the same item.
pub fn merge<'a>(
    documents: impl IntoIterator<Item = &'a PolicyDocument>,
    labels: &BTreeMap<String, String>,
    revision: u64,
) -> Result<Merged, MergeConflict> {
    let selected = documents.into_iter().filter(|d| selects(&d.selector, labels)).collect();
    merge_selected(selected, revision)
}

/// Merges these documents, whatever their selectors say. The order of `documents` does not matter.
///
/// # Errors
/// [`MergeConflict`] where two documents with equal priority set the same item.
pub fn merge_documents<'a>(
    documents: impl IntoIterator<Item = &'a PolicyDocument>,
    revision: u64,
) -> Result<Merged, MergeConflict> {
    merge_selected(documents.into_iter().collect(), revision)
}

/// Contradictions between any two documents that could select the same partition, whatever partitions
/// exist now: what must be refused when one of them is published. At most 1,000 are told.
#[must_use]
pub fn conflicts<'a>(documents: impl IntoIterator<Item = &'a PolicyDocument>) -> Vec<MergeConflict> {
    // Only documents that set the same item with the same priority can contradict each other.
    let mut claims: BTreeMap<(String, i32), Vec<&PolicyDocument>> = BTreeMap::new();
    for document in documents {
        for path in item_paths(&document.spec).into_iter().collect::<BTreeSet<_>>() {
            claims.entry((path, document.priority)).or_default().push(document);
        }
    }
    let mut found = Vec::new();
    for ((path, priority), rivals) in claims {
        for (position, a) in rivals.iter().enumerate() {
            for b in rivals.iter().skip(position + 1).filter(|b| can_meet(&a.selector, &b.selector)) {
                let (first, second) = if a.name <= b.name { (a, b) } else { (b, a) };
                let (first, second) = (first.name.clone(), second.name.clone());
                found.push(MergeConflict { path: path.clone(), first, second, priority });
                if found.len() >= MAX_CONFLICTS {
                    return found;
                }
            }
        }
    }
    found.sort();
    found
}

/// Whether labels exist that both selectors match.
fn can_meet(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> bool {
    !a.iter().any(|(key, value)| b.get(key).is_some_and(|other| other != value))
}

/// Paths of the named items of a policy.
fn item_paths(spec: &PolicySpec) -> Vec<String> {
    let named = |kind: &str, name: &str| format!("{kind}.{name}");
    spec.sources
        .keys()
        .map(|n| named("sources", n))
        .chain(spec.rules.iter().map(|r| named("rules", &r.name)))
        .chain(spec.routes.keys().map(|n| named("routes", n)))
        .chain(spec.destinations.keys().map(|n| named("destinations", n)))
        .collect()
}

fn merge_selected(mut documents: Vec<&PolicyDocument>, revision: u64) -> Result<Merged, MergeConflict> {
    documents.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
    let mut merged = Merged::default();
    merged.policy.revision = revision;
    let mut owners: BTreeMap<String, Owner<'_>> = BTreeMap::new();
    for document in &documents {
        merged.documents.push(document.name.clone());
        let mut owned = |path: String| claim(&mut owners, path, document);
        let spec = &mut merged.policy.spec;
        for (name, item) in &document.spec.sources {
            if owned(format!("sources.{name}"))? {
                spec.sources.insert(name.clone(), item.clone());
            }
        }
        for rule in &document.spec.rules {
            if owned(format!("rules.{}", rule.name))? {
                spec.rules.push(rule.clone());
            }
        }
        for (name, item) in &document.spec.routes {
            if owned(format!("routes.{name}"))? {
                spec.routes.insert(name.clone(), item.clone());
            }
        }
        for (name, item) in &document.spec.destinations {
            if owned(format!("destinations.{name}"))? {
                spec.destinations.insert(name.clone(), item.clone());
            }
        }
        for item in &document.spec.exclude {
            owned(format!("exclude[{}]", spec.exclude.len()))?;
            spec.exclude.push(item.clone());
        }
        for item in &document.spec.severities {
            owned(format!("severities[{}]", spec.severities.len()))?;
            spec.severities.push(item.clone());
        }
    }
    let origin = |owner: Owner<'_>| ItemOrigin {
        document: owner.document.name.clone(),
        overrode: owner.overrode.into_iter().map(str::to_owned).collect(),
    };
    merged.provenance = owners.into_iter().map(|(path, owner)| (path, origin(owner))).collect();
    Ok(merged)
}

/// The document that has an item, and those that would have it without this one.
struct Owner<'a> {
    document: &'a PolicyDocument,
    overrode: Vec<&'a str>,
}

/// Takes an item for a document. `Ok(false)`: a document of higher priority has it already.
fn claim<'a>(
    owners: &mut BTreeMap<String, Owner<'a>>,
    path: String,
    document: &'a PolicyDocument,
) -> Result<bool, MergeConflict> {
    match owners.get_mut(&path) {
        None => {
            owners.insert(path, Owner { document, overrode: Vec::new() });
            Ok(true)
        }
        // The same name twice in one document: both stay, and `validate` refuses them with their places.
        Some(owner) if std::ptr::eq(owner.document, document) => Ok(true),
        Some(owner) if owner.document.priority > document.priority => {
            if owner.overrode.last() != Some(&document.name.as_str()) {
                owner.overrode.push(&document.name);
            }
            Ok(false)
        }
        Some(owner) => Err(MergeConflict {
            path,
            first: owner.document.name.clone(),
            second: document.name.clone(),
            priority: document.priority,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse_document;
    use proptest::prelude::*;

    fn document(name: &str, priority: i32, selector: &str, spec: &str) -> PolicyDocument {
        let text = format!(
            "{{api_version: muster/v1, name: {name}, priority: {priority}, selector: {selector}, spec: {spec}}}"
        );
        parse_document(&text).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn udp(host: &str) -> String {
        format!("{{transport: {{kind: udp, address: '{host}:514'}}}}")
    }

    #[test]
    fn higher_priority_replaces_whole_items_and_rules_run_by_priority() {
        let base = document(
            "base",
            0,
            "{}",
            &format!(
                "{{destinations: {{a: {}, b: {}}}, rules: [{{name: r1, action: drop}}, {{name: r2, action: keep}}],\
                 exclude: [{{users: [BASE]}}]}}",
                udp("base-a"),
                udp("base-b")
            ),
        );
        let site = document(
            "site",
            5,
            "{site: berlin}",
            &format!(
                "{{destinations: {{a: {}}}, rules: [{{name: r2, action: drop}}, {{name: r3, action: keep}}],\
                 exclude: [{{users: [SITE]}}]}}",
                udp("site-a")
            ),
        );
        let other = document("other", 9, "{site: paris}", "{rules: [{name: r9, action: drop}]}");
        let merged = merge([&base, &other, &site], &labels(&[("site", "berlin"), ("tier", "1")]), 7).unwrap();
        assert_eq!(merged.documents, ["site", "base"]);
        assert_eq!(merged.policy.revision, 7);
        let spec = &merged.policy.spec;
        assert_eq!(spec.destinations["a"], site.spec.destinations["a"]);
        assert_eq!(spec.destinations["b"], base.spec.destinations["b"]);
        let rules: Vec<_> = spec.rules.iter().map(|r| (r.name.as_str(), r.action)).collect();
        use crate::policy::model::Action::{Drop, Keep};
        assert_eq!(rules, [("r2", Drop), ("r3", Keep), ("r1", Drop)]);
        assert_eq!(spec.exclude[0].users, ["SITE"]);
        let owners: Vec<_> = merged
            .provenance
            .iter()
            .map(|(k, v)| (k.as_str(), v.document.as_str(), v.overrode.join(",")))
            .collect();
        let owner = |path, document, overrode: &str| (path, document, overrode.to_owned());
        assert_eq!(
            owners,
            [
                owner("destinations.a", "site", "base"),
                owner("destinations.b", "base", ""),
                owner("exclude[0]", "site", ""),
                owner("exclude[1]", "base", ""),
                owner("rules.r1", "base", ""),
                owner("rules.r2", "site", "base"),
                owner("rules.r3", "site", ""),
            ]
        );
    }

    #[test]
    fn equal_priority_on_one_item_names_both_documents() {
        let one = document("one", 3, "{}", &format!("{{destinations: {{a: {}}}}}", udp("x")));
        let two = document("two", 3, "{site: berlin}", &format!("{{destinations: {{a: {}}}}}", udp("y")));
        let three = document("three", 3, "{site: paris}", &format!("{{destinations: {{a: {}}}}}", udp("z")));
        let error = merge([&two, &one], &labels(&[("site", "berlin")]), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policies `one` and `two` both set destinations.a with priority 3; give one of them a higher priority or rename the item"
        );
        assert!(merge([&two, &one], &labels(&[]), 1).is_ok());
        let pairs: Vec<_> = conflicts(&[two, one, three]).into_iter().map(|c| (c.first, c.second)).collect();
        let expected = [("one", "three"), ("one", "two")];
        assert_eq!(pairs, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    proptest! {
        #[test]
        fn the_order_of_the_documents_does_not_matter(
            priorities in proptest::collection::vec(-2_i32..3, 1..6),
            rules in proptest::collection::vec(0_u8..6, 6),
            seed in any::<u64>(),
        ) {
            let documents: Vec<_> = priorities
                .iter()
                .enumerate()
                .map(|(i, p)| {
                    let rule = rules[i];
                    document(&format!("d{i}"), *p, "{}", &format!("{{rules: [{{name: r{rule}, action: drop}}]}}"))
                })
                .collect();
            let mut shuffled: Vec<&PolicyDocument> = documents.iter().collect();
            let length = shuffled.len();
            for i in (1..length).rev() {
                shuffled.swap(i, (seed.rotate_left(i as u32 * 7) % (i as u64 + 1)) as usize);
            }
            prop_assert_eq!(merge(&documents, &BTreeMap::new(), 1), merge(shuffled, &BTreeMap::new(), 1));
        }
    }
}
