//! What one agent should run: the merge of the documents that select it. Functions of values.

use super::StoredRevision;
use muster_proto::opamp::AgentRemoteConfig;
use muster_proto::opamp::config::policy_offer;
use muster_shared::policy::merge::{Merged, merge, selects};
use muster_shared::policy::model::{EffectivePolicy, PolicyDocument, SignedDocument};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an agent should run, ready to be offered. Shared by all agents that the same documents select.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The policy.
    pub policy: EffectivePolicy,
    /// Documents that it was merged from, `name@revision`, highest priority first.
    pub documents: Vec<String>,
    /// The offer.
    pub offer: AgentRemoteConfig,
    /// Hash of the offer in hex.
    pub hash: String,
}

/// A document with the numbers that matter for assigning it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Current {
    /// Its present revision.
    pub revision: u64,
    /// The document; absent if the present revision removed it.
    pub document: Option<Arc<PolicyDocument>>,
    /// Its text and signature, if it was published with one.
    pub signed: Option<SignedDocument>,
    /// Every revision with the selector that it had, oldest first; a removing one has the selector of
    /// what it removed.
    pub selectors: Vec<(u64, BTreeMap<String, String>)>,
}

impl Current {
    /// Takes over a newer revision.
    pub(super) fn take(&mut self, stored: &StoredRevision, document: Option<Arc<PolicyDocument>>) {
        let view = &stored.view;
        self.revision = view.revision.0;
        self.signed = document.as_ref().and_then(|_| stored.signed());
        self.document = document;
        self.selectors.push((view.revision.0, view.selector.clone()));
    }

    /// The last revision that changed something for these labels: it selects them, or the one before did.
    #[must_use]
    pub fn touched(&self, labels: &BTreeMap<String, String>) -> u64 {
        let hit = |i: usize| self.selectors.get(i).is_some_and(|(_, s)| selects(s, labels));
        (0..self.selectors.len())
            .rev()
            .find(|&i| hit(i) || (i > 0 && hit(i - 1)))
            .and_then(|i| self.selectors.get(i))
            .map_or(0, |(revision, _)| *revision)
    }
}

/// What decides the result of [`assign`]: the number that it gets and the documents, `name@revision`.
pub type Selection = (u64, Vec<String>);

/// What [`assign`] would merge for these labels, found without merging.
#[must_use]
pub fn selection<'a>(
    book: impl Iterator<Item = &'a Current> + Clone,
    labels: &BTreeMap<String, String>,
) -> Selection {
    let revision = book.clone().map(|c| c.touched(labels)).max().unwrap_or(0);
    let selected = book.filter_map(|c| {
        let document = c.document.as_ref().filter(|d| selects(&d.selector, labels))?;
        Some(format!("{}@{}", document.name, c.revision))
    });
    (revision, selected.collect())
}

/// Merges what selects these labels. The number of the result is the last revision that changed something
/// for them, so that a revision for others is not pushed to everybody.
#[must_use]
pub fn assign<'a>(
    book: impl Iterator<Item = &'a Current> + Clone,
    labels: &BTreeMap<String, String>,
) -> Desired {
    let revision = book.clone().map(|c| c.touched(labels)).max().unwrap_or(0);
    let mut documents: Vec<&PolicyDocument> = book.clone().filter_map(|c| c.document.as_deref()).collect();
    let merged = loop {
        match merge(documents.iter().copied(), labels, revision) {
            Ok(merged) => break merged,
            // Refused at publishing, so only a store from elsewhere can hold it: do without one of the two.
            Err(conflict) => {
                tracing::error!(%conflict, "stored policies contradict each other");
                documents.retain(|d| d.name != conflict.second);
            }
        }
    };
    let current: BTreeMap<&str, &Current> =
        book.filter_map(|c| Some((c.document.as_ref()?.name.as_str(), c))).collect();
    desired(merged, &current)
}

fn desired(mut merged: Merged, current: &BTreeMap<&str, &Current>) -> Desired {
    let number = |name: &String| current.get(name.as_str()).map_or(0, |c| c.revision);
    let documents = merged.documents.iter().map(|name| format!("{name}@{}", number(name))).collect();
    // All of them or none: half of them proves nothing.
    let signed = merged.documents.iter().map(|name| current.get(name.as_str())?.signed.clone());
    merged.policy.signed = signed.collect::<Option<Vec<_>>>().unwrap_or_default();
    let offer = policy_offer(crate::store::encode(&merged.policy));
    let hash = crate::identity::secret::hex(&offer.config_hash);
    Desired { policy: merged.policy, documents, offer, hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn document(name: &str, selector: &[(&str, &str)], priority: i32) -> PolicyDocument {
        PolicyDocument {
            api_version: "muster/v1".to_owned(),
            name: name.to_owned(),
            description: String::new(),
            selector: labels(selector),
            priority,
            spec: Default::default(),
        }
    }

    fn current(revision: u64, document: PolicyDocument) -> Current {
        let selectors = vec![(revision, document.selector.clone())];
        Current { revision, document: Some(Arc::new(document)), signed: None, selectors }
    }

    #[test]
    fn no_policy_is_the_empty_one_and_has_a_hash() {
        let desired = assign([].iter(), &labels(&[]));
        assert_eq!(desired.policy, EffectivePolicy::default());
        assert_eq!(desired.hash.len(), 64);
        assert_eq!(desired.documents, Vec::<String>::new());
    }

    #[test]
    fn a_revision_for_others_changes_nothing_here() {
        let base = current(1, document("base", &[], 0));
        let before = assign([base.clone()].iter(), &labels(&[("env", "test")]));
        let book = [base, current(2, document("prod", &[("env", "prod")], 10))];
        let here = assign(book.iter(), &labels(&[("env", "test")]));
        let there = assign(book.iter(), &labels(&[("env", "prod")]));
        assert_eq!(before.hash, here.hash);
        assert_eq!((here.policy.revision, there.policy.revision), (1, 2));
        assert_eq!(there.documents, ["prod@2", "base@1"]);
    }

    #[test]
    fn a_selection_is_what_is_merged() {
        let book =
            [current(1, document("base", &[], 0)), current(2, document("prod", &[("env", "prod")], 10))];
        for env in ["test", "prod"] {
            let labels = labels(&[("env", env)]);
            let (revision, mut selected) = selection(book.iter(), &labels);
            let mut merged = assign(book.iter(), &labels);
            selected.sort();
            merged.documents.sort();
            assert_eq!((revision, selected), (merged.policy.revision, merged.documents), "{env}");
        }
    }

    #[test]
    fn signed_documents_travel_when_all_are_signed() {
        let signed = |name: &str| SignedDocument { text: name.to_owned(), signature: format!("by {name}") };
        let mut base = current(1, document("base", &[], 0));
        base.signed = Some(signed("base"));
        let mut prod = current(2, document("prod", &[("env", "prod")], 10));
        let half = assign([base.clone(), prod.clone()].iter(), &labels(&[("env", "prod")]));
        assert_eq!(half.policy.signed, []);
        prod.signed = Some(signed("prod"));
        let whole = assign([base.clone(), prod.clone()].iter(), &labels(&[("env", "prod")]));
        assert_eq!(whole.policy.signed, [signed("prod"), signed("base")]);
        let other = assign([base, prod].iter(), &labels(&[]));
        assert_eq!(other.policy.signed, [signed("base")], "only those that select it");
    }

    #[test]
    fn losing_a_document_counts_as_a_change() {
        let gone = Current {
            revision: 7,
            document: None,
            signed: None,
            selectors: vec![
                (3, labels(&[("a", "1")])),
                (5, labels(&[("a", "2")])),
                (7, labels(&[("a", "2")])),
            ],
        };
        assert_eq!(gone.touched(&labels(&[("a", "1")])), 5);
        assert_eq!(gone.touched(&labels(&[("a", "2")])), 7);
        assert_eq!(gone.touched(&labels(&[("a", "3")])), 0);
    }
}
