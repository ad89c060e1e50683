//! What publishing documents would do: a function of the documents in force, the documents ordered and the
//! fleet. The same plan is shown by a dry run and a preview, and carried out by publishing.

use super::impact::{Documents, Group, impact, oversize, refusal};
use super::{
    Change, Checked, MAX_DOCUMENTS, StoredRevision, check_alone, contradictions, fault, signed_size,
};
use muster_proto::api::{Labels, PlanAction, PlannedPolicy, PolicyFault, PolicyPlan, PolicyText};
use muster_shared::id::{AgentId, Revision};
use muster_shared::policy::limits::Limits;
use muster_shared::policy::merge::selects;
use muster_shared::policy::model::{PolicyDocument, PolicySpec};
use muster_shared::policy::signature::is_signature;
use muster_shared::policy::validate::secrets_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names of agents in one message.
const MAX_NAMES: usize = 5;
/// Most breaches of limits in one reason.
const MAX_BREACHES: usize = 5;

/// A document that is read and checked by itself.
#[derive(Debug, Clone)]
pub struct Read {
    /// Where it comes from, and its text.
    pub source: PolicyText,
    /// What the check found.
    pub checked: Checked,
}

impl Read {
    /// Reads a document.
    #[must_use]
    pub fn from(source: PolicyText) -> Self {
        Self { checked: check_alone(&source.text), source }
    }

    /// A text from nowhere in particular.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self::from(PolicyText { text, ..PolicyText::default() })
    }

    /// Name of the policy; empty where it could not be read.
    #[must_use]
    pub fn name(&self) -> &str {
        self.checked.document.as_ref().map_or("", |document| &document.name)
    }
}

/// What is to be published, all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Documents.
    pub documents: Vec<Read>,
    /// Names of policies to be removed.
    pub removals: Vec<String>,
    /// Remove every policy that is not among the documents.
    pub prune: bool,
}

impl Order {
    /// Whether it says anything about this policy.
    #[must_use]
    pub fn concerns(&self, name: &str) -> bool {
        self.prune
            || self.removals.iter().any(|n| n == name)
            || self.documents.iter().any(|d| d.name() == name)
    }
}

/// What is in force.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// The documents.
    pub documents: &'a Documents,
    /// Their stored revisions, at least of those that the order concerns.
    pub stored: &'a BTreeMap<String, StoredRevision>,
    /// What the signed ones add to an offer, in bytes.
    pub signed: &'a BTreeMap<String, usize>,
    /// What rollouts under way bring, with their numbers.
    pub staged: &'a [(u64, Arc<PolicyDocument>)],
    /// Policies that rollouts under way remove or bring, with their numbers.
    pub staging: &'a BTreeMap<String, u64>,
}

/// What the fleet is like, as far as it matters for policies.
#[derive(Debug, Clone, Default)]
pub struct FleetFacts {
    /// Agents by labels.
    pub sets: BTreeMap<Labels, Vec<AgentId>>,
    /// Agents by local limits; those without are not listed.
    pub limits: Vec<(Limits, BTreeSet<AgentId>)>,
    /// Agents by the names of secrets that they have; those that never told are not listed.
    pub secrets: Vec<(BTreeSet<String>, BTreeSet<AgentId>)>,
}

impl FleetFacts {
    fn selected<'f>(&'f self, selector: &'f Labels) -> impl Iterator<Item = AgentId> + 'f {
        let sets = self.sets.iter().filter(|(labels, _)| selects(selector, labels));
        sets.flat_map(|(_, agents)| agents.iter().copied())
    }
}

/// Tells the name of an agent.
pub type Names<'n> = &'n dyn Fn(AgentId) -> String;

/// What would be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// As it is shown.
    pub view: PolicyPlan,
    /// New revisions, in the order of `view.policies` without the unchanged ones.
    pub changes: Vec<Change>,
    /// Agents that would get another policy; empty where the plan has faults.
    pub groups: Vec<Group>,
}

/// Agents that would refuse a policy, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The agents.
    pub agents: Vec<AgentId>,
    /// Why.
    pub reason: String,
}

/// Plans an order.
#[must_use]
pub fn plan(order: &Order, present: Present<'_>, fleet: &FleetFacts, names: Names<'_>) -> Plan {
    let mut planned: Vec<Planned> = Vec::with_capacity(order.documents.len());
    let mut ordered: BTreeSet<String> = BTreeSet::new();
    for document in &order.documents {
        let mut item = Planned::of(document, present);
        if !item.view.name.is_empty() && !ordered.insert(item.view.name.clone()) {
            item.stands_twice();
        }
        planned.push(item);
    }
    let removed = present
        .documents
        .keys()
        .filter(|name| !ordered.contains(*name) && (order.prune || order.removals.contains(name)));
    planned.extend(removed.filter_map(|name| present.stored.get(name)).map(Planned::removal));

    let candidates = candidates(present.documents, &planned);
    let mut view = PolicyPlan {
        valid: false,
        published: false,
        policies: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    for item in &mut planned {
        item.wait_for_rollout(present.staging);
    }
    blame(&candidates, present.staged, &mut planned);
    if candidates.len() > MAX_DOCUMENTS.max(present.documents.len()) {
        let message =
            format!("there would be {} policies, at most {MAX_DOCUMENTS} are possible", candidates.len());
        view.faults.push(fault("", String::new(), message));
    }
    for item in &mut planned {
        item.look_at_fleet(fleet, names);
    }
    let mut groups = Vec::new();
    if view.faults.is_empty() && planned.iter().all(|p| p.view.faults.is_empty()) {
        match impact(present.documents, &candidates, &fleet.sets) {
            Ok(found) => groups = with_signatures(found, order, present),
            Err(conflict) => view.faults.push(fault("", String::new(), conflict.to_string())),
        }
        judge(&groups, fleet, names, &mut view);
    }
    let changes = planned.iter_mut().filter_map(|p| p.change.take()).collect();
    view.policies = planned.into_iter().map(|p| p.view).collect();
    view.valid = view.faults.is_empty() && view.policies.iter().all(|p| p.faults.is_empty());
    Plan { view, changes, groups }
}

/// One document on its way through the plan.
struct Planned {
    view: PlannedPolicy,
    document: Option<Arc<PolicyDocument>>,
    text: String,
    change: Option<Change>,
}

impl Planned {
    fn stands_twice(&mut self) {
        let message = format!("`{}` is also the name of another of these documents", self.view.name);
        self.view.faults.push(fault(&self.text, "name".to_owned(), message));
        self.change = None;
    }

    fn of(read: &Read, present: Present<'_>) -> Self {
        let Read { source: text, checked } = read;
        let Checked { document, faults, warnings } = checked.clone();
        let name = read.name().to_owned();
        let old = present.stored.get(&name);
        let same = old.is_some_and(|old| old.text == text.text && old.signature == text.signature);
        let mut faults = faults;
        if text.signature.as_ref().is_some_and(|signature| !is_signature(signature)) {
            let message = "the signature is no detached minisign signature; make it with `minisign -Sm FILE`";
            faults.push(fault("", String::new(), message.to_owned()));
        }
        let action = match old {
            Some(_) if same => PlanAction::Unchanged,
            Some(_) => PlanAction::Update,
            None => PlanAction::Create,
        };
        let changes =
            old.filter(|_| document.is_some()).map(|old| super::changes(Some(&old.text), Some(&text.text)));
        // The very document in force, so that nobody counts as touched by it.
        let document = match present.documents.get(&name) {
            Some((_, in_force)) if same => Some(Arc::clone(in_force)),
            _ => document,
        };
        let change = document.as_ref().filter(|_| !same && faults.is_empty()).map(|document| Change::Put {
            document: Arc::clone(document),
            text: text.text.clone(),
            signature: text.signature.clone(),
        });
        let view = PlannedPolicy {
            name,
            file: text.file.clone(),
            action,
            from: old.map_or(Revision(0), |old| old.view.revision),
            revision: None,
            changes: changes.unwrap_or_default(),
            agents: 0,
            faults,
            warnings,
        };
        Self { view, document, text: text.text.clone(), change }
    }

    fn removal(old: &StoredRevision) -> Self {
        let view = PlannedPolicy {
            name: old.view.name.clone(),
            file: String::new(),
            action: PlanAction::Remove,
            from: old.view.revision,
            revision: None,
            changes: super::changes(Some(&old.text), None),
            agents: 0,
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        Self { view, document: None, text: old.text.clone(), change: Some(Change::Remove(old.clone())) }
    }

    /// Two changes of one policy at a time would leave nobody knowing what is in force.
    fn wait_for_rollout(&mut self, staging: &BTreeMap<String, u64>) {
        if self.view.action == PlanAction::Unchanged {
            return;
        }
        if let Some(rollout) = staging.get(&self.view.name) {
            let message = format!(
                "rollout {rollout} is bringing `{}` to the partitions; wait until it is done, or abort it with `muster \
                 rollout abort {rollout}`",
                self.view.name
            );
            self.view.faults.push(fault(&self.text, "name".to_owned(), message));
            self.change = None;
        }
    }

    /// Counts whom it selects, and warns where that is nobody or where a secret is missing.
    fn look_at_fleet(&mut self, fleet: &FleetFacts, names: Names<'_>) {
        let Some(document) = &self.document else { return };
        let selector = &document.selector;
        self.view.agents = fleet.selected(selector).count() as u64;
        if self.view.agents == 0 && !selector.is_empty() {
            let labels: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let message = format!(
                "no agent has the labels {} now; `muster agents label NAME {}` sets them",
                labels.join(" "),
                labels.join(" ")
            );
            self.view.warnings.push(fault(&self.text, "selector".to_owned(), message));
        }
        for secret in secrets_of(&document.spec) {
            let without: BTreeSet<AgentId> = fleet
                .secrets
                .iter()
                .filter(|(known, _)| !known.contains(&secret.name))
                .flat_map(|(_, agents)| agents.iter().copied())
                .collect();
            let lacking: Vec<AgentId> = fleet.selected(selector).filter(|a| without.contains(a)).collect();
            if !lacking.is_empty() {
                let message = format!(
                    "the secrets folder of {} had no entry `{}` when the agent last started: the destination stays \
                     down there until {}.crt and {}.key are in it",
                    listed(&lacking, names),
                    secret.name,
                    secret.name,
                    secret.name
                );
                self.view.warnings.push(fault(&self.text, secret.path, message));
            }
        }
    }
}

/// The groups with the size of what is really offered: signed documents travel with their merge, if all are.
fn with_signatures(mut groups: Vec<Group>, order: &Order, present: Present<'_>) -> Vec<Group> {
    let mut sizes = present.signed.clone();
    for read in &order.documents {
        sizes.remove(read.name());
        if let Some(signature) = &read.source.signature {
            sizes.insert(read.name().to_owned(), signed_size(&read.source.text, signature));
        }
    }
    for group in &mut groups {
        let all: Option<Vec<usize>> = group.documents.iter().map(|name| sizes.get(name).copied()).collect();
        group.bytes += all.unwrap_or_default().into_iter().sum::<usize>();
    }
    groups
}

/// The documents that would be in force.
fn candidates(present: &Documents, planned: &[Planned]) -> Documents {
    let mut candidates = present.clone();
    for item in planned {
        match (&item.document, item.view.action) {
            (Some(document), _) => {
                candidates.insert(item.view.name.clone(), (item.view.from.0, Arc::clone(document)));
            }
            (None, PlanAction::Remove) => {
                candidates.remove(&item.view.name);
            }
            (None, PlanAction::Create | PlanAction::Update | PlanAction::Unchanged) => {}
        }
    }
    candidates
}

/// Tells the documents that contradict another one, in force or on its way.
fn blame(candidates: &Documents, staged: &[(u64, Arc<PolicyDocument>)], planned: &mut [Planned]) {
    let changed: Vec<String> = planned
        .iter()
        .filter(|p| p.view.action != PlanAction::Unchanged)
        .map(|p| p.view.name.clone())
        .collect();
    let mut all = candidates.clone();
    for (rollout, document) in staged.iter().filter(|(_, d)| !changed.contains(&d.name)) {
        // Beside the one in force: partitions have the one or the other.
        all.insert(format!("{} (rollout {rollout})", document.name), (*rollout, Arc::clone(document)));
    }
    for (name, path, message) in contradictions(&all, &changed.iter().collect::<Vec<_>>()) {
        if let Some(item) = planned.iter_mut().find(|p| p.view.name == name) {
            item.view.faults.push(fault(&item.text, path, message));
        }
    }
}

/// What would be too large is a fault, what agents would refuse a warning: they run on with what they have.
fn judge(groups: &[Group], fleet: &FleetFacts, names: Names<'_>, view: &mut PolicyPlan) {
    for group in groups {
        if let Some(reason) = oversize(&group.new, group.bytes) {
            let message = format!(
                "the merged policy of {} {reason}; it is made of {}",
                listed(&group.agents, names),
                group.documents.join(", ")
            );
            view.faults.push(fault("", String::new(), message));
            continue;
        }
        for Refusal { agents, reason } in refusals(group, fleet) {
            let message = format!("{} would refuse what is merged for it: {reason}", listed(&agents, names));
            view.warnings.push(fault("", String::new(), message));
        }
    }
}

/// Agents of a group that would refuse their new policy.
#[must_use]
pub fn refusals(group: &Group, fleet: &FleetFacts) -> Vec<Refusal> {
    if let Some(reason) = refusal(&group.new) {
        return vec![Refusal { agents: group.agents.clone(), reason }];
    }
    let empty = PolicySpec::default();
    if group.new.spec == empty && group.old.spec == empty {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (limits, limited) in &fleet.limits {
        let agents: Vec<AgentId> = group.agents.iter().copied().filter(|a| limited.contains(a)).collect();
        let breaches = if agents.is_empty() { Vec::new() } else { limits.breaches(&group.new) };
        if !breaches.is_empty() {
            let shown: Vec<String> = breaches.iter().take(MAX_BREACHES).map(ToString::to_string).collect();
            let more = breaches.len().saturating_sub(MAX_BREACHES);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            found.push(Refusal {
                agents,
                reason: format!("its local limits forbid it: {}{more}", shown.join("; ")),
            });
        }
    }
    found
}

/// `EAST, WEST and 12 more`.
fn listed(agents: &[AgentId], names: Names<'_>) -> String {
    let shown: Vec<String> = agents.iter().take(MAX_NAMES).map(|id| names(*id)).collect();
    match agents.len().saturating_sub(MAX_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// All faults of a plan, for an answer that has no place for the plan itself; paths begin with the file.
#[must_use]
pub fn all_faults(view: &PolicyPlan) -> Vec<PolicyFault> {
    let of_document = |policy: &PlannedPolicy| {
        let file = policy.file.clone();
        let named = move |f: &PolicyFault| PolicyFault {
            message: if file.is_empty() { f.message.clone() } else { format!("{file}: {}", f.message) },
            ..f.clone()
        };
        policy.faults.iter().map(named).collect::<Vec<_>>()
    };
    view.policies.iter().flat_map(of_document).chain(view.faults.iter().cloned()).collect()
}

#[cfg(test)]
mod tests;
