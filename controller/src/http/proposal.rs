//! Settings, and what waits for a second person.
//!
//! Whoever changes something that needs four eyes asks [`required`] first and, if so, calls [`propose`] instead
//! of doing it; [`execute`] does it when a second person has approved. A new kind of proposal is an arm there.

use super::auth::Caller;
use super::error::ApiError;
use super::etag::{Precondition, etag};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::proposal::{Proposal, Proposals, Refused};
use crate::store::{self, Batch};
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{
    Page, PageQuery, ProposalDecision, ProposalKind, ProposalView, Settings, SettingsChange, SettingsChanged,
};
use serde_json::Value;

/// Largest payload of a proposal.
const MAX_PAYLOAD: usize = 2 * 1024 * 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/settings").route(web::get().to(settings)).route(web::patch().to(change)))
        .route("/proposals", web::get().to(list))
        .route("/proposals/{id}", web::get().to(show))
        .route("/proposals/{id}/approve", web::post().to(approve))
        .route("/proposals/{id}/reject", web::post().to(reject));
}

/// Whether a change needs a second person.
pub(super) fn required(app: &App) -> Result<bool, ApiError> {
    Ok(app.proposals.settings()?.four_eyes)
}

/// Proposes a change; answers 202 with the proposal.
pub(super) async fn propose(
    app: &App,
    caller: &Caller,
    kind: ProposalKind,
    summary: String,
    payload: Value,
) -> Result<ProposalView, ApiError> {
    if store::encode(&payload).len() > MAX_PAYLOAD {
        return Err(ApiError::conflict(
            "proposal-too-large",
            "this is too much for one proposal; publish it in parts",
        ));
    }
    let now = Timestamp::now();
    let user = &caller.session.user;
    let (proposal, batch) = app.proposals.propose(kind, summary, payload, user, now)??;
    let action = Outgoing::by_user(caller.actor(), "proposal.create", proposal.id.as_str())
        .detail(proposal.summary.clone());
    app.commit(batch, action).await?;
    Ok(proposal.view(now))
}

fn tag(value: &impl serde::Serialize) -> String {
    crate::identity::secret::sha256_hex(&store::encode(value))[..16].to_owned()
}

#[utoipa::path(get, path = "/api/v1/settings", responses((status = 200, body = Settings)))]
pub(super) async fn settings(app: web::Data<App>, _: Caller) -> Result<HttpResponse, ApiError> {
    let settings = app.proposals.settings()?;
    Ok(HttpResponse::Ok().insert_header(etag(tag(&settings))).json(settings))
}

#[utoipa::path(
    patch,
    path = "/api/v1/settings",
    request_body(content = SettingsChange, example = json!({"four_eyes": true})),
    responses(
        (status = 200, body = SettingsChanged),
        (status = 202, body = SettingsChanged, description = "A second person must approve"),
    ),
)]
pub(super) async fn change(
    app: web::Data<App>,
    caller: Caller,
    known: Precondition,
    body: web::Json<SettingsChange>,
) -> Result<HttpResponse, ApiError> {
    let change = body.into_inner();
    let changed = super::detached(async move {
        let _changes = app.accounts.changes().await;
        let before = app.proposals.settings()?;
        known.check(Some(&tag(&before)), "the settings")?;
        let after = Settings { four_eyes: change.four_eyes.unwrap_or(before.four_eyes) };
        if before.four_eyes && !after.four_eyes {
            let summary = "let one person publish alone (four-eyes off)".to_owned();
            let proposal = propose(&app, &caller, ProposalKind::FourEyesOff, summary, Value::Null).await?;
            return Ok(SettingsChanged { settings: before, proposal: Some(proposal) });
        }
        if before != after {
            set(&app, &caller, before, after, Batch::new()).await?;
        }
        Ok(SettingsChanged { settings: after, proposal: None })
    })
    .await?;
    let mut answer = match changed.proposal {
        Some(_) => HttpResponse::Accepted(),
        None => HttpResponse::Ok(),
    };
    Ok(answer.insert_header(etag(tag(&changed.settings))).json(changed))
}

async fn set(
    app: &App,
    caller: &Caller,
    before: Settings,
    after: Settings,
    mut batch: Batch,
) -> Result<(), ApiError> {
    app.proposals.set(before, after, &mut batch)?;
    let action = Outgoing::by_user(caller.actor(), "settings.change", "four-eyes").change(before, after);
    Ok(app.commit(batch, action).await?)
}

#[utoipa::path(
    get,
    path = "/api/v1/proposals",
    params(PageQuery),
    responses((status = 200, body = Page<ProposalView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<ProposalView>>, ApiError> {
    let now = Timestamp::now();
    let newest_first = |id: &str| super::falling(id);
    // The payload is told with the single one: a list of many policies would be long.
    let views =
        app.proposals.all()?.into_iter().map(|p| ProposalView { payload: Value::Null, ..p.view(now) });
    Ok(web::Json(super::page(views.map(|p| (newest_first(&p.id), p)), &query)?))
}

fn known(app: &App, id: &str) -> Result<Proposal, ApiError> {
    Ok(app.proposals.find(id)?.ok_or(Refused::Unknown)?)
}

#[utoipa::path(
    get,
    path = "/api/v1/proposals/{id}",
    params(("id" = String, Path, description = "Id of the proposal")),
    responses((status = 200, body = ProposalView)),
)]
pub(super) async fn show(
    app: web::Data<App>,
    _: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let proposal = known(&app, &id)?;
    Ok(HttpResponse::Ok().insert_header(etag(tag(&proposal))).json(proposal.view(Timestamp::now())))
}

#[utoipa::path(
    post,
    path = "/api/v1/proposals/{id}/approve",
    params(("id" = String, Path, description = "Id of the proposal")),
    request_body(content = ProposalDecision, example = json!({"note": "as discussed"})),
    responses((status = 200, body = ProposalView, description = "Approved and done")),
)]
pub(super) async fn approve(
    app: web::Data<App>,
    caller: Caller,
    known_as: Precondition,
    id: web::Path<String>,
    body: web::Json<ProposalDecision>,
) -> Result<web::Json<ProposalView>, ApiError> {
    let ProposalDecision { note } = body.into_inner();
    super::one_line("note", &note)?;
    super::detached(async move {
        let _changes = app.accounts.changes().await;
        let before = known(&app, &id)?;
        known_as.check(Some(&tag(&before)), "the proposal")?;
        let now = Timestamp::now();
        let after = before.approved(&caller.session.user, &note, now)?;
        // Decided and done are stored together: what was approved was done, whatever happens between.
        let mut batch = Batch::new();
        Proposals::decide(&before, &after, &mut batch);
        Outgoing::by_user(caller.actor(), "proposal.approve", before.id.as_str())
            .detail(format!("{}, proposed by {}", before.summary, before.proposed_by))
            .add_to(&mut batch);
        execute(&app, &caller, &before, batch).await?;
        Ok(web::Json(after.view(now)))
    })
    .await
}

/// Does what was proposed, and stores `batch` with it.
async fn execute(
    app: &web::Data<App>,
    caller: &Caller,
    proposal: &Proposal,
    batch: Batch,
) -> Result<(), ApiError> {
    match proposal.kind {
        ProposalKind::FourEyesOff => {
            let before = app.proposals.settings()?;
            set(app, caller, before, Settings { four_eyes: false }, batch).await
        }
        ProposalKind::PolicyPublish => {
            super::publish_proposal::approved(app.clone(), caller.clone(), &proposal.payload, batch).await
        }
        ProposalKind::RolloutStart => {
            super::rollout::approved(app.clone(), caller.clone(), &proposal.payload, batch).await
        }
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/proposals/{id}/reject",
    params(("id" = String, Path, description = "Id of the proposal")),
    request_body(content = ProposalDecision, example = json!({"note": "not before the audit"})),
    responses((status = 200, body = ProposalView, description = "Rejected; nothing was done")),
)]
pub(super) async fn reject(
    app: web::Data<App>,
    caller: Caller,
    known_as: Precondition,
    id: web::Path<String>,
    body: web::Json<ProposalDecision>,
) -> Result<web::Json<ProposalView>, ApiError> {
    let ProposalDecision { note } = body.into_inner();
    super::one_line("note", &note)?;
    super::detached(async move {
        let _changes = app.accounts.changes().await;
        let before = known(&app, &id)?;
        known_as.check(Some(&tag(&before)), "the proposal")?;
        let now = Timestamp::now();
        let user = &caller.session.user;
        if caller.role < muster_proto::api::Role::Approver && *user != before.proposed_by {
            return Err(ApiError::forbidden("role", "only an approver rejects what somebody else proposed"));
        }
        let after = before.rejected(user, &note, now)?;
        let mut batch = Batch::new();
        Proposals::decide(&before, &after, &mut batch);
        let action = Outgoing::by_user(caller.actor(), "proposal.reject", before.id.as_str())
            .detail(format!("{}, proposed by {}", before.summary, before.proposed_by));
        app.commit(batch, action).await?;
        Ok(web::Json(after.view(now)))
    })
    .await
}
