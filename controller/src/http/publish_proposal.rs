//! Publishing with four eyes: an order becomes a proposal, and an approved proposal becomes the order again.

use super::auth::Caller;
use super::error::ApiError;
use super::proposal;
use super::publish::{self, Outcome, Request};
use crate::app::App;
use crate::policy::draft::StoredDraft;
use crate::policy::plan::{Order, Read};
use crate::store::Batch;
use actix_web::web;
use muster_proto::api::{PlanAction, PolicyPlan, PolicyText, ProposalKind, ProposalView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An order as a proposal carries it.
#[derive(Serialize, Deserialize)]
struct Proposed {
    documents: Vec<PolicyText>,
    removals: Vec<String>,
    prune: bool,
    /// The revisions that were there when it was proposed: what was approved is what is done.
    expected: BTreeMap<String, u64>,
    draft: Option<StoredDraft>,
    action: String,
    #[serde(default)]
    comment: String,
}

/// `publish base, web; remove old`, as far as something changes.
pub(super) fn summary(plan: &PolicyPlan) -> String {
    let names = |wanted: fn(PlanAction) -> bool| {
        let names = plan.policies.iter().filter(|p| wanted(p.action)).map(|p| p.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let published = names(|action| match action {
        PlanAction::Create | PlanAction::Update => true,
        PlanAction::Remove | PlanAction::Unchanged => false,
    });
    let removed = names(|action| match action {
        PlanAction::Remove => true,
        PlanAction::Create | PlanAction::Update | PlanAction::Unchanged => false,
    });
    let part = |verb: &str, names: &str| (!names.is_empty()).then(|| format!("{verb} {names}"));
    let parts = [part("publish", &published), part("remove", &removed)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Proposes what a request asks for, whose plan is valid.
pub(super) async fn propose(
    app: &App,
    caller: &Caller,
    request: &Request,
    plan: &PolicyPlan,
) -> Result<ProposalView, ApiError> {
    let Request { order, draft, action, comment, .. } = request;
    let expected = plan.policies.iter().map(|p| (p.name.clone(), p.from.0)).collect();
    let proposed = Proposed {
        documents: order.documents.iter().map(|d| d.source.clone()).collect(),
        removals: order.removals.clone(),
        prune: order.prune,
        expected,
        draft: draft.clone(),
        action: (*action).to_owned(),
        comment: comment.clone(),
    };
    let payload = serde_json::to_value(proposed)
        .map_err(|e| ApiError::internal("the order could not be proposed", &e))?;
    proposal::propose(app, caller, ProposalKind::PolicyPublish, summary(plan), payload).await
}

/// Does what was proposed, and stores `with` together with it.
pub(super) async fn approved(
    app: web::Data<App>,
    caller: Caller,
    payload: &Value,
    with: Batch,
) -> Result<(), ApiError> {
    let proposed: Proposed = serde_json::from_value(payload.clone())
        .map_err(|e| ApiError::internal("the proposal cannot be read", &e))?;
    let Proposed { documents, removals, prune, expected, draft, action, comment } = proposed;
    let documents = documents.into_iter().map(Read::from).collect();
    let action = if action == "policy.revert" { "policy.revert" } else { "policy.publish" };
    let order = Order { documents, removals, prune };
    let request = Request { order, expected, draft, action, comment, approved: Some(with) };
    match publish::publish(app, caller, request).await? {
        Outcome::Published(_) => Ok(()),
        Outcome::Proposed(_) => Err(ApiError::conflict("proposal", "it was proposed again")),
    }
}
