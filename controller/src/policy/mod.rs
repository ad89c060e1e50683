//! The policy book: documents, their numbered immutable revisions, and what follows from them for agents.

pub mod assign;
pub mod draft;
pub mod impact;
pub mod locate;
pub mod plan;

use crate::store::{self, Batch, Condition, Store, StoreError};
use assign::{Current, Desired, Selection, assign, selection};
use impact::Documents;
use jiff::Timestamp;
use muster_proto::api::{
    ChangeKind, Labels, PolicyChange, PolicyFault, PolicyRevisionView, RevisionStanding,
};
use muster_shared::id::Revision;
use muster_shared::policy::diff::{self, diff_documents};
use muster_shared::policy::merge::{MergeConflict, conflicts, merge_documents, selects};
use muster_shared::policy::model::{PolicyDocument, SignedDocument};
use muster_shared::policy::provenance::{self, ValueOrigin};
use muster_shared::policy::validate::holds_private_key;
use muster_shared::policy::{ParseError, parse_document, validate_document};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// Prefix of the keys of revisions: name, then the number with leading zeros.
pub(crate) const REVISIONS: &str = "policy/revision/";
/// Key of the last number given.
pub(crate) const LAST: &str = "policy/last";
/// Most documents.
pub const MAX_DOCUMENTS: usize = 1_000;
/// Words that stand where names of policies do, in `/api/v1/policies/…`.
const RESERVED: [&str; 3] = ["apply", "preview", "validate"];
/// Most faults that are told at once.
const MAX_FAULTS: usize = 100;

/// A stored revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRevision {
    /// What is shown of it.
    pub view: PolicyRevisionView,
    /// The text as it was sent; of a removing one, what it removed.
    pub text: String,
    /// The detached signature that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl StoredRevision {
    /// Text and signature, if it was signed.
    pub(super) fn signed(&self) -> Option<SignedDocument> {
        let signature = self.signature.clone()?;
        Some(SignedDocument { text: self.text.clone(), signature })
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checked {
    /// The document, if it could be read.
    pub document: Option<Arc<PolicyDocument>>,
    /// What must be mended.
    pub faults: Vec<PolicyFault>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<PolicyFault>,
}

/// One document of a [`Publication`].
#[derive(Debug, Clone)]
pub enum Change {
    /// Its next revision.
    Put {
        /// The document, checked.
        document: Arc<PolicyDocument>,
        /// Its text.
        text: String,
        /// The detached signature that came with it.
        signature: Option<String>,
    },
    /// It is removed; this is what is removed.
    Remove(StoredRevision),
}

/// A change of the book that is ready to be stored: one new revision or several, all of them or none.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The revisions, in the order of their numbers, each with its document; without one it removes it.
    pub revisions: Vec<(StoredRevision, Option<Arc<PolicyDocument>>)>,
    /// Number that must still be the last one.
    last: u64,
}

impl Publication {
    /// Notes with every revision why it is published.
    pub fn comment(&mut self, comment: &str) {
        for (stored, _) in &mut self.revisions {
            comment.clone_into(&mut stored.view.comment);
        }
    }
}

/// The present state of all documents.
#[derive(Debug, Default)]
pub struct PolicyBook {
    state: RwLock<State>,
    /// Held from making a publication to taking it over.
    publishing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    /// Grows with every change of what anybody should run.
    edition: u64,
    documents: BTreeMap<String, Current>,
    /// Every name that a revision ever had.
    names: BTreeSet<String>,
    /// What rollouts under way bring, by rollout and name of the document.
    staged: BTreeMap<u64, BTreeMap<String, Current>>,
    /// By documents and number: agents with other labels but the same result share it.
    cache: HashMap<Selection, Arc<Desired>>,
}

fn key(name: &str, revision: u64) -> String {
    format!("{REVISIONS}{name}/{revision:020}")
}

impl PolicyBook {
    /// Reads all revisions from the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let mut state = State { last: store::get_json(store, LAST)?.unwrap_or(0), ..State::default() };
        for (key, stored) in store::scan_json::<StoredRevision>(store, REVISIONS)? {
            let document =
                if stored.view.removed { None } else { parse_document(&stored.text).ok().map(Arc::new) };
            if document.is_none() && !stored.view.removed {
                tracing::error!(key, "a stored policy cannot be read by this release; it selects nobody");
            }
            state.place(&stored, document);
        }
        Ok(Self { state: RwLock::new(state), publishing: tokio::sync::Mutex::default() })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an agent with these labels should run that has what these rollouts bring.
    #[must_use]
    pub fn desired(&self, labels: &Labels, staged: &[u64]) -> Arc<Desired> {
        self.desired_at(labels, staged).1
    }

    /// The same, with the edition of the book that it follows from.
    #[must_use]
    pub fn desired_at(&self, labels: &Labels, staged: &[u64]) -> (u64, Arc<Desired>) {
        loop {
            let (edition, key, desired) = {
                let state = self.read();
                let seen = state.seen(staged);
                let key = selection(seen.iter().copied(), labels);
                if let Some(present) = state.cache.get(&key) {
                    return (state.edition, Arc::clone(present));
                }
                (state.edition, key, Arc::new(assign(seen.iter().copied(), labels)))
            };
            let mut state = self.write();
            if state.edition == edition {
                return (edition, Arc::clone(state.cache.entry(key).or_insert(desired)));
            }
        }
    }

    /// Changes with every change of the book.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.read().edition
    }

    /// Names of the documents that rollouts are changing, with the rollout.
    #[must_use]
    pub fn staging(&self) -> BTreeMap<String, u64> {
        let state = self.read();
        let names = |(rollout, documents): (&u64, &BTreeMap<String, Current>)| {
            let rollout = *rollout;
            documents.keys().map(move |name| (name.clone(), rollout)).collect::<Vec<_>>()
        };
        state.staged.iter().flat_map(names).collect()
    }

    /// Documents that rollouts under way bring, with the rollout.
    #[must_use]
    pub fn staged(&self) -> Vec<(u64, Arc<PolicyDocument>)> {
        let state = self.read();
        let all = state.staged.iter().flat_map(|(rollout, all)| all.values().map(move |c| (*rollout, c)));
        all.filter_map(|(rollout, current)| Some((rollout, current.document.clone()?))).collect()
    }

    /// Reads and checks a text, alone and against the other documents.
    #[must_use]
    pub fn check(&self, text: &str) -> Checked {
        let mut checked = check_alone(text);
        if let Some(document) = &checked.document {
            let mut candidates = self.documents();
            candidates.insert(document.name.clone(), (0, Arc::clone(document)));
            let found = contradictions(&candidates, &[&document.name]);
            checked.faults.extend(found.into_iter().map(|(_, path, message)| fault(text, path, message)));
        }
        checked
    }

    /// The documents in force.
    #[must_use]
    pub fn documents(&self) -> Documents {
        let state = self.read();
        let live = state.documents.iter().filter_map(|(name, current)| {
            let document = current.document.as_ref()?;
            Some((name.clone(), (current.revision, Arc::clone(document))))
        });
        live.collect()
    }

    /// What the signed documents in force add to an offer, in bytes, by name.
    #[must_use]
    pub fn signed_sizes(&self) -> BTreeMap<String, usize> {
        let state = self.read();
        let signed = state.documents.iter().filter_map(|(n, c)| Some((n.clone(), c.signed.as_ref()?)));
        signed.map(|(name, signed)| (name, signed_size(&signed.text, &signed.signature))).collect()
    }

    /// Every value of the policy that these labels get, with its origin.
    #[must_use]
    pub fn explain(&self, labels: &Labels) -> Vec<ValueOrigin> {
        let documents = self.documents();
        let selected: Vec<_> = documents.iter().filter(|(_, (_, d))| selects(&d.selector, labels)).collect();
        let Ok(merged) = merge_documents(selected.iter().map(|(_, (_, d))| &**d), 0) else {
            // `assign` says so in the log, and what it leaves out has no single origin.
            return Vec::new();
        };
        let numbered = selected.iter().map(|(name, (number, d))| (name.as_str(), (*number, &**d)));
        provenance::explain(&merged, &numbered.collect())
    }

    /// Waits for the right to change the book.
    pub async fn publishing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.publishing.lock().await
    }

    /// New revisions of checked documents, staged by a rollout or in force at once. The caller holds [`PolicyBook::publishing`].
    #[must_use]
    pub fn publication(
        &self,
        changes: Vec<Change>,
        rollout: Option<u64>,
        user: &str,
        now: Timestamp,
    ) -> Publication {
        let last = self.read().last;
        let standing = rollout.map_or(RevisionStanding::InForce, |_| RevisionStanding::Staged);
        let number = |change, number| match change {
            Change::Put { document, text, signature } => {
                let view = PolicyRevisionView {
                    name: document.name.clone(),
                    revision: Revision(number),
                    published_at: now,
                    published_by: user.to_owned(),
                    removed: false,
                    description: document.description.clone(),
                    selector: document.selector.clone(),
                    priority: document.priority,
                    sha256: crate::identity::secret::sha256_hex(text.as_bytes()),
                    comment: String::new(),
                    standing,
                    rollout,
                };
                (StoredRevision { view, text, signature }, Some(document))
            }
            Change::Remove(present) => {
                let view = PolicyRevisionView {
                    revision: Revision(number),
                    published_at: now,
                    published_by: user.to_owned(),
                    removed: true,
                    comment: String::new(),
                    standing,
                    rollout,
                    ..present.view
                };
                (StoredRevision { view, text: present.text, signature: None }, None)
            }
        };
        let revisions = changes.into_iter().zip(last + 1..).map(|(c, n)| number(c, n)).collect();
        Publication { revisions, last }
    }

    /// Takes over a publication that is stored.
    pub fn take(&self, publication: Publication) {
        let mut state = self.write();
        state.changed();
        for (stored, document) in publication.revisions {
            state.place(&stored, document);
        }
    }

    /// What a rollout brought is in force for everybody from now on, or for nobody. The caller holds
    /// [`PolicyBook::publishing`], and has stored it.
    pub fn settle(&self, rollout: u64, in_force: bool) {
        let mut state = self.write();
        state.changed();
        if let Some(staged) = state.staged.remove(&rollout)
            && in_force
        {
            state.documents.extend(staged);
        }
    }

    /// A revision of that name was published once, whatever became of it.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.read().names.contains(name)
    }

    /// The present revision of a document; also one that removed it.
    #[must_use]
    pub fn current(&self, name: &str) -> Option<u64> {
        self.read().documents.get(name).map(|c| c.revision)
    }

    /// The revision of a document that is in force; 0 for none.
    #[must_use]
    pub fn live(&self, name: &str) -> u64 {
        let state = self.read();
        state.documents.get(name).filter(|c| c.document.is_some()).map_or(0, |c| c.revision)
    }

    /// Names of the documents that are not removed.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let state = self.read();
        state.documents.iter().filter(|(_, c)| c.document.is_some()).map(|(n, _)| n.clone()).collect()
    }
}

impl State {
    fn place(&mut self, stored: &StoredRevision, document: Option<Arc<PolicyDocument>>) {
        self.names.insert(stored.view.name.clone());
        match (stored.view.standing, stored.view.rollout) {
            (RevisionStanding::InForce, _) => self.take(stored, document),
            (RevisionStanding::Staged, Some(rollout)) => self.stage(rollout, stored, document),
            (RevisionStanding::Staged, None) | (RevisionStanding::Withdrawn, _) => {
                self.last = self.last.max(stored.view.revision.0);
            }
        }
    }

    fn changed(&mut self) {
        self.edition += 1;
        self.cache.clear();
    }

    fn take(&mut self, stored: &StoredRevision, document: Option<Arc<PolicyDocument>>) {
        self.last = self.last.max(stored.view.revision.0);
        self.documents.entry(stored.view.name.clone()).or_default().take(stored, document);
    }

    fn stage(&mut self, rollout: u64, stored: &StoredRevision, document: Option<Arc<PolicyDocument>>) {
        self.last = self.last.max(stored.view.revision.0);
        let mut current = self.documents.get(&stored.view.name).cloned().unwrap_or_default();
        current.take(stored, document);
        self.staged.entry(rollout).or_default().insert(stored.view.name.clone(), current);
    }

    /// The documents as agents see them that have what these rollouts bring.
    fn seen(&self, staged: &[u64]) -> Vec<&Current> {
        if staged.is_empty() {
            return self.documents.values().collect();
        }
        let mut seen: BTreeMap<&str, &Current> =
            self.documents.iter().map(|(n, c)| (n.as_str(), c)).collect();
        for documents in staged.iter().filter_map(|rollout| self.staged.get(rollout)) {
            seen.extend(documents.iter().map(|(name, current)| (name.as_str(), current)));
        }
        seen.into_values().collect()
    }
}

impl Publication {
    /// Adds it to a batch; the numbers are taken only if nobody else took them.
    pub fn add_to(&self, batch: &mut Batch) {
        let Some((newest, _)) = self.revisions.last() else { return };
        let free = match self.last {
            0 => Condition::Absent,
            last => Condition::Equals(store::encode(&last)),
        };
        batch.put_json(LAST, free, &newest.view.revision.0);
        for (stored, _) in &self.revisions {
            batch.put_json(key(&stored.view.name, stored.view.revision.0), Condition::Absent, stored);
        }
    }
}

/// What a signed document adds to an offer, in bytes.
fn signed_size(text: &str, signature: &str) -> usize {
    let document = SignedDocument { text: text.to_owned(), signature: signature.to_owned() };
    store::encode(&document).len() + 1
}

/// Reads and checks a text by itself.
#[must_use]
pub fn check_alone(text: &str) -> Checked {
    if holds_private_key(text) {
        let message = "the text holds a private key, which a policy must never carry: it is neither stored nor sent. \
                       Put the key into the secrets folder of the agents, name it here, and replace it, for it has \
                       travelled";
        return Checked { faults: vec![fault("", String::new(), message.to_owned())], ..Checked::default() };
    }
    let document = match parse_document(text) {
        Ok(document) => document,
        Err(error) => return Checked { faults: vec![parse_fault(&error)], ..Checked::default() },
    };
    let mut checked = Checked::default();
    for problem in validate_document(&document).into_iter().take(MAX_FAULTS) {
        let error = problem.is_error();
        let fault = fault(text, problem.path, problem.message);
        if error { checked.faults.push(fault) } else { checked.warnings.push(fault) }
    }
    if RESERVED.contains(&document.name.as_str()) {
        let message = format!("`{}` is a word of the interface's paths; choose another name", document.name);
        checked.faults.push(fault(text, "name".to_owned(), message));
    }
    checked.document = Some(Arc::new(document));
    checked
}

/// Contradictions between candidates in which one of the `changed` takes part: name of that one, path in its
/// document, message.
#[must_use]
pub fn contradictions(candidates: &Documents, changed: &[&String]) -> Vec<(String, String, String)> {
    let found = conflicts(candidates.values().map(|(_, document)| &**document));
    let blamed = |conflict: MergeConflict| {
        let name = [&conflict.first, &conflict.second].into_iter().find(|name| changed.contains(name))?;
        Some((name.clone(), format!("spec.{}", conflict.path), conflict.to_string()))
    };
    found.into_iter().filter_map(blamed).take(MAX_FAULTS).collect()
}

/// A stored revision.
///
/// # Errors
/// If the store cannot be read.
pub fn stored(store: &dyn Store, name: &str, revision: u64) -> Result<Option<StoredRevision>, StoreError> {
    store::get_json(store, &key(name, revision))
}

/// Adds where a revision stands to a batch.
pub fn put_standing(revision: &StoredRevision, batch: &mut Batch) {
    let key = key(&revision.view.name, revision.view.revision.0);
    batch.put_json(key, Condition::Any, revision);
}

/// All stored revisions of a document, oldest first.
///
/// # Errors
/// If the store cannot be read.
pub fn history(store: &dyn Store, name: &str) -> Result<Vec<StoredRevision>, StoreError> {
    let pairs = store::scan_json::<StoredRevision>(store, &format!("{REVISIONS}{name}/"))?;
    Ok(pairs.into_iter().map(|(_, stored)| stored).collect())
}

/// Whether every one of these changes brings a text back that was published once under the same name.
///
/// # Errors
/// If the store cannot be read.
pub fn going_back(store: &dyn Store, changes: &[Change]) -> Result<bool, StoreError> {
    for change in changes {
        let Change::Put { document, text, .. } = change else { return Ok(false) };
        let before = history(store, document.name.as_str())?;
        if !before.iter().any(|revision| !revision.view.removed && revision.text == *text) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What differs between two texts that were published; `None` for "nothing".
#[must_use]
pub fn changes(old: Option<&str>, new: Option<&str>) -> Vec<PolicyChange> {
    let read = |text: Option<&str>| text.and_then(|t| parse_document(t).ok());
    let whole = |document: &PolicyDocument, kind: ChangeKind| {
        let value = serde_json::to_value(document).ok();
        let (before, after) = match kind {
            ChangeKind::Removed => (value, None),
            ChangeKind::Added | ChangeKind::Changed => (None, value),
        };
        vec![PolicyChange { path: document.name.clone(), kind, before, after }]
    };
    match (read(old), read(new)) {
        (None, None) => Vec::new(),
        (None, Some(new)) => whole(&new, ChangeKind::Added),
        (Some(old), None) => whole(&old, ChangeKind::Removed),
        (Some(old), Some(new)) => diff_documents(&old, &new).into_iter().map(change).collect(),
    }
}

pub(crate) fn change(change: diff::Change) -> PolicyChange {
    let position = |n: usize| Some(serde_json::json!({ "position": n }));
    let (kind, before, after) = match change.kind {
        diff::ChangeKind::Added(value) => (ChangeKind::Added, None, Some(value)),
        diff::ChangeKind::Removed(value) => (ChangeKind::Removed, Some(value), None),
        diff::ChangeKind::Changed { old, new } => (ChangeKind::Changed, Some(old), Some(new)),
        diff::ChangeKind::Moved { old, new } => (ChangeKind::Changed, position(old), position(new)),
    };
    PolicyChange { path: change.path, kind, before, after }
}

pub(crate) fn fault(text: &str, path: String, message: String) -> PolicyFault {
    let (line, column) = locate::locate(text, &path).unwrap_or((0, 0));
    PolicyFault { line, column, path, message }
}

fn parse_fault(error: &ParseError) -> PolicyFault {
    let (line, column, message) = match error {
        ParseError::At { line, column, message } => (*line, *column, message.clone()),
        ParseError::TooLarge { .. } | ParseError::Whole { .. } => (0, 0, error.to_string()),
    };
    PolicyFault { line, column, path: String::new(), message }
}
