//! Policy documents that are published together, and what that would do before it is done.

use super::{PolicyChange, PolicyFault, PreviewView};
use muster_shared::id::{AgentId, Revision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Documents to be published together: all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicySetRequest {
    /// The documents.
    pub documents: Vec<PolicyText>,
    /// Remove every policy that is not among them.
    #[serde(default)]
    pub prune: bool,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// For a preview: ask some of the agents that would change what it would do to their recent events.
    #[serde(default)]
    pub events: bool,
    /// Present revisions, by name of the policy, that the plan was made from; 0 for none. If one of them is
    /// another by now, nothing is done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expected: BTreeMap<String, u64>,
    /// Why it is published: one line of at most 200 bytes, kept with the new revisions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// Why something is published.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct PublishQuery {
    /// One line of at most 200 bytes, kept with the new revision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// A document on its way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyText {
    /// Where it comes from, for messages; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// YAML text.
    pub text: String,
    /// Content of a detached minisign signature of the text, for agents that ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// What is done with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PlanAction {
    /// It is new.
    Create,
    /// It gets another revision.
    Update,
    /// It is as it should be.
    Unchanged,
    /// It is removed.
    Remove,
}

/// One policy of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlannedPolicy {
    /// Name; empty where the text could not be read.
    #[serde(default)]
    pub name: String,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// What is done with it.
    pub action: PlanAction,
    /// Its present revision, before; 0 for none.
    pub from: Revision,
    /// Its new revision, once published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What changes in the document.
    #[serde(default)]
    pub changes: Vec<PolicyChange>,
    /// Agents that it selects now.
    pub agents: u64,
    /// Why it cannot be published.
    #[serde(default)]
    pub faults: Vec<PolicyFault>,
    /// What is allowed but probably not meant.
    #[serde(default)]
    pub warnings: Vec<PolicyFault>,
}

/// What publishing documents would do, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyPlan {
    /// It can be published as it is.
    pub valid: bool,
    /// It is published; false for a dry run, and where nothing changes.
    pub published: bool,
    /// The policies, in the order given; removed ones last.
    pub policies: Vec<PlannedPolicy>,
    /// Why the whole cannot be published.
    #[serde(default)]
    pub faults: Vec<PolicyFault>,
    /// What is allowed but probably not meant: partitions that would refuse what they would get.
    #[serde(default)]
    pub warnings: Vec<PolicyFault>,
}

impl PolicyPlan {
    /// Something is created, updated or removed.
    #[must_use]
    pub fn changes_something(&self) -> bool {
        self.policies.iter().any(|policy| match policy.action {
            PlanAction::Create | PlanAction::Update | PlanAction::Remove => true,
            PlanAction::Unchanged => false,
        })
    }
}

/// What publishing documents would mean for the partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyPreview {
    /// What would be published.
    pub plan: PolicyPlan,
    /// Agents whose policy would change.
    pub changed: u64,
    /// Agents whose policy would stay as it is.
    pub unchanged: u64,
    /// Agents that change in the same way, the largest group first.
    pub groups: Vec<PreviewGroup>,
}

/// Agents whose policies change in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewGroup {
    /// How many there are.
    pub count: u64,
    /// Their names, at most 50.
    pub agents: Vec<String>,
    /// Their ids, in the same order: agents of one partition have one name.
    #[serde(default)]
    pub ids: Vec<AgentId>,
    /// Documents that they would run, `name@revision` by falling priority; `name@new` for those of this plan.
    pub documents: Vec<String>,
    /// What changes in the merged policy.
    pub changes: Vec<PolicyChange>,
    /// Why their SIEMs may see less; empty where they surely do not.
    #[serde(default)]
    pub narrows: Vec<String>,
    /// Size of the merged policy in bytes.
    pub bytes: u64,
    /// Agents that would refuse it, and why; they would run on with the one before.
    #[serde(default)]
    pub refusals: Vec<PreviewRefusal>,
    /// What it would do to recent events, by the agents that were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<PreviewEvents>,
}

/// What an agent says a policy would do to its recent events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewEvents {
    /// Its name.
    pub agent: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<PreviewView>,
    /// Why it says nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// Agents that would refuse a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewRefusal {
    /// How many there are.
    pub count: u64,
    /// Their names, at most 50.
    pub agents: Vec<String>,
    /// Why.
    pub reason: String,
}

/// Which revision comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyRevert {
    /// Number of the revision whose text is published again.
    pub to: u64,
    /// Why: one line of at most 200 bytes, kept with the new revision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}
