//! Publishing: whatever changes policies goes through [`publish`], so that there is one place where it is
//! checked, stored, written to the audit log and given to the agents.

use super::auth::Caller;
use super::error::ApiError;
use super::etag::Precondition;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::policy::draft::StoredDraft;
use crate::policy::impact::Documents;
use crate::policy::plan::{FleetFacts, Order, Plan, Present, all_faults, plan};
use crate::policy::{self, StoredRevision, going_back};
use crate::store::Batch;
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{PlanAction, PolicyPlan, PolicyPublished, PolicyRevisionView, ProposalView};
use muster_shared::id::AgentId;
use muster_shared::policy::model::PolicyDocument;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An order with what its sender knows, and how it is written down.
pub(super) struct Request {
    /// What is published and removed.
    pub(super) order: Order,
    /// Present revisions that the sender knows, by name; 0 for none.
    pub(super) expected: BTreeMap<String, u64>,
    /// The draft that it comes from, deleted with it.
    pub(super) draft: Option<StoredDraft>,
    /// Word for the audit log; `policy.remove` for what is removed.
    pub(super) action: &'static str,
    /// Why, in the sender's words; may be empty.
    pub(super) comment: String,
    /// A second person approved it: what is stored together with it.
    pub(super) approved: Option<Batch>,
}

/// What became of a request.
pub(super) enum Outcome {
    /// It was published.
    Published(Published),
    /// A second person must approve it.
    Proposed(ProposalView),
}

impl Outcome {
    /// The answer: of what was published as `tell` says.
    pub(super) fn answer(
        self,
        tell: impl FnOnce(Published) -> Result<HttpResponse, ApiError>,
    ) -> Result<HttpResponse, ApiError> {
        match self {
            Self::Published(published) => tell(published),
            Self::Proposed(proposal) => Ok(HttpResponse::Accepted().json(proposal)),
        }
    }
}

/// What was published.
pub(super) struct Published {
    /// As it was planned, with the new numbers.
    pub(super) plan: PolicyPlan,
    /// The revisions of the plan's policies; present ones where nothing changed.
    pub(super) revisions: Vec<PolicyRevisionView>,
}

impl Published {
    /// Of an order of one policy.
    pub(super) fn single(self) -> Result<PolicyPublished, ApiError> {
        let Self { plan, revisions } = self;
        let (Some(policy), Some(revision)) = (plan.policies.into_iter().next(), revisions.into_iter().next())
        else {
            return Err(ApiError::not_found("the order names no policy"));
        };
        let warnings = policy.warnings.into_iter().chain(plan.warnings).collect();
        Ok(PolicyPublished { revision, changed: plan.published, agents: policy.agents, warnings })
    }
}

/// What is in force, and what the fleet is like.
pub(super) struct Ground {
    documents: Documents,
    stored: BTreeMap<String, StoredRevision>,
    signed: BTreeMap<String, usize>,
    staged: Vec<(u64, Arc<PolicyDocument>)>,
    staging: BTreeMap<String, u64>,
    /// The fleet.
    pub(super) fleet: FleetFacts,
}

impl Ground {
    /// As it is now, as far as an order is concerned.
    pub(super) fn of(app: &App, order: &Order) -> Result<Self, ApiError> {
        let documents = app.book.documents();
        let mut stored = BTreeMap::new();
        for (name, (revision, _)) in documents.iter().filter(|(name, _)| order.concerns(name)) {
            if let Some(found) = policy::stored(&*app.store, name, *revision)? {
                stored.insert(name.clone(), found);
            }
        }
        let (staged, staging) = (app.book.staged(), app.book.staging());
        Ok(Self {
            documents,
            stored,
            signed: app.book.signed_sizes(),
            staged,
            staging,
            fleet: app.fleet.facts(),
        })
    }

    /// What an order would do.
    pub(super) fn plan(&self, app: &App, order: &Order) -> Plan {
        let present = Present {
            documents: &self.documents,
            stored: &self.stored,
            signed: &self.signed,
            staged: &self.staged,
            staging: &self.staging,
        };
        plan(order, present, &self.fleet, &|id| name(app, id))
    }

    /// The revision of a policy in force; 0 for none.
    pub(super) fn revision(&self, name: &str) -> u64 {
        self.documents.get(name).map_or(0, |(revision, _)| *revision)
    }
}

/// Name of an agent, for messages.
pub(super) fn name(app: &App, id: AgentId) -> String {
    app.fleet.with(id, |agent| agent.observed.name(id)).unwrap_or_else(|| id.to_string())
}

/// Refuses if somebody published meanwhile.
pub(super) fn check_expected(ground: &Ground, expected: &BTreeMap<String, u64>) -> Result<(), ApiError> {
    for (name, expected) in expected {
        let present = ground.revision(name);
        if present != *expected {
            return Err(ApiError::precondition_failed(format!(
                "policy `{name}` is at revision {present} by now, not {expected}; nothing was changed"
            )));
        }
    }
    Ok(())
}

/// Plans and publishes in one transaction, all of it or nothing.
pub(super) async fn publish(
    app: web::Data<App>,
    caller: Caller,
    request: Request,
) -> Result<Outcome, ApiError> {
    super::one_line("comment", &request.comment)?;
    let _publishing = app.book.publishing().await;
    let ground = Ground::of(&app, &request.order)?;
    check_expected(&ground, &request.expected)?;
    let Plan { mut view, changes, .. } = ground.plan(&app, &request.order);
    if !view.valid {
        return Err(ApiError::invalid_policy(all_faults(&view)));
    }
    // Going back is never refused.
    if view.changes_something() {
        let reverts = request.action == "policy.revert";
        app.licence.permits_unless("publishing", || {
            Ok::<_, ApiError>(reverts || going_back(&*app.store, &changes)?)
        })?;
    }
    if request.approved.is_none() && view.changes_something() && super::proposal::required(&app)? {
        let proposal = super::publish_proposal::propose(&app, &caller, &request, &view).await?;
        return Ok(Outcome::Proposed(proposal));
    }
    for policy in view.policies.iter().filter(|p| p.action == PlanAction::Unchanged) {
        // Applying the same again is how a person asks for another try where it was refused.
        let Some((_, document)) = ground.documents.get(&policy.name) else { continue };
        for id in app.fleet.retry_refused(&document.selector) {
            crate::gateway::process::persist(&app, id, true, None).await?;
        }
    }
    let user = caller.session.user.clone();
    let mut publication = app.book.publication(changes, None, &user, Timestamp::now());
    publication.comment(&request.comment);
    let new: BTreeMap<String, PolicyRevisionView> =
        publication.revisions.iter().map(|(s, _)| (s.view.name.clone(), s.view.clone())).collect();
    let mut batch = request.approved.unwrap_or_default();
    if let Some(draft) = &request.draft {
        draft.delete(&mut batch);
    }
    publication.add_to(&mut batch);
    let mut actions: Vec<Outgoing> =
        new.values().map(|view| audited(&caller, request.action, view)).collect();
    if let Some(draft) = &request.draft {
        let action = "policy.draft-publish";
        actions.push(Outgoing::by_user(caller.actor(), action, draft.name.as_str()));
    }
    commit(&app, batch, actions).await?;
    if !publication.revisions.is_empty() {
        app.book.take(publication);
        app.fleet.reassign(&app.book);
    }
    for view in new.values() {
        tracing::info!(policy = %view.name, revision = %view.revision, removed = view.removed, "policy published");
    }
    let mut revisions = Vec::with_capacity(view.policies.len());
    for policy in &mut view.policies {
        let present = || ground.stored.get(&policy.name).map(|stored| stored.view.clone());
        let Some(revision) = new.get(&policy.name).cloned().or_else(present) else { continue };
        policy.revision = Some(revision.revision);
        revisions.push(revision);
    }
    view.published = !new.is_empty();
    Ok(Outcome::Published(Published { plan: view, revisions }))
}

fn audited(caller: &Caller, action: &str, view: &PolicyRevisionView) -> Outgoing {
    let action = if view.removed { "policy.remove" } else { action };
    let object = format!("{}@{}", view.name, view.revision);
    let comment = if view.comment.is_empty() { String::new() } else { format!(": {}", view.comment) };
    Outgoing::by_user(caller.actor(), action, object).detail(format!("sha256 {}{comment}", view.sha256))
}

/// Stores a batch with all its entries of the audit log.
async fn commit(app: &App, mut batch: Batch, mut actions: Vec<Outgoing>) -> Result<(), ApiError> {
    let Some(last) = actions.pop() else {
        if !batch.is_empty() {
            app.store.apply(batch).await?;
        }
        return Ok(());
    };
    for action in actions {
        action.add_to(&mut batch);
    }
    Ok(app.commit(batch, last).await?)
}

/// The revision that a request expects of a policy, from its `If-Match` or `If-None-Match`.
pub(super) fn expected(
    app: &App,
    name: &str,
    known: &Precondition,
) -> Result<BTreeMap<String, u64>, ApiError> {
    if *known == Precondition::Unknown || name.is_empty() {
        return Ok(BTreeMap::new());
    }
    let present = app.book.live(name);
    let tag = (present > 0).then(|| present.to_string());
    known.check(tag.as_deref(), &format!("policy `{name}`"))?;
    // Checked again when it is published: somebody may be faster.
    Ok(BTreeMap::from([(name.to_owned(), present)]))
}
