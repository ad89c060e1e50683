//! Agents and the fleet.

use super::auth::Caller;
use super::error::ApiError;
use super::etag::{Precondition, etag};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::fleet::effective;
use crate::fleet::{AgentRecord, roll_up, view};
use crate::identity::life::{self, Change};
use crate::identity::secret::sha256_hex;
use crate::store::{Batch, Condition};
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_package::VersionReq;
use muster_proto::api::{
    AgentPolicyView, AgentSummary, AgentView, AgentsQuery, Decision, FleetView, Labels, Page, PageQuery,
};
use muster_shared::id::AgentId;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/fleet", web::get().to(fleet))
        .route("/agents", web::get().to(list))
        .service(
            web::resource("/agents/{agent}")
                .route(web::get().to(show))
                .route(web::delete().to(remove))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/agents/{agent}/labels", web::put().to(labels))
        .route("/agents/{agent}/quarantine", web::post().to(quarantine))
        .route("/agents/{agent}/release", web::post().to(release))
        .route("/agents/{agent}/revoke", web::post().to(revoke))
        .route("/agents/{agent}/decommission", web::post().to(decommission))
        .route("/agents/{agent}/policy", web::get().to(policy));
}

/// The one agent with this id or name.
pub(super) fn find(app: &App, id_or_name: &str) -> Result<AgentId, ApiError> {
    match app.fleet.find(id_or_name).as_slice() {
        [id] => Ok(*id),
        [] => Err(ApiError::not_found(format!("there is no agent `{id_or_name}`; see `muster agents`"))),
        many => Err(ApiError::conflict(
            "ambiguous",
            format!("{} agents have the name `{id_or_name}`; give the id", many.len()),
        )),
    }
}

pub(super) fn gone(id: AgentId) -> ApiError {
    ApiError::not_found(format!("agent {id} was removed"))
}

#[utoipa::path(
    get,
    path = "/api/v1/fleet",
    responses((status = 200, body = FleetView)),
)]
pub(super) async fn fleet(app: web::Data<App>, _: Caller) -> Result<web::Json<FleetView>, ApiError> {
    let now = Timestamp::now();
    let agents = app.fleet.each(|agent| view::line(agent, now));
    let view = roll_up::fleet(&agents, now);
    let read = tokio::task::spawn_blocking(move || app.history.day(now)).await;
    let day =
        read.map_err(|e| ApiError::internal("the history could not be read", &e))?.unwrap_or_else(|error| {
            tracing::warn!(%error, "history not read; the fleet is told without its day");
            Default::default()
        });
    Ok(web::Json(FleetView { day, ..view }))
}

#[utoipa::path(
    get,
    path = "/api/v1/agents",
    params(AgentsQuery),
    responses((status = 200, body = Page<AgentSummary>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<AgentsQuery>,
) -> Result<web::Json<Page<AgentSummary>>, ApiError> {
    let AgentsQuery { cursor, limit, version, upgrade } = query.into_inner();
    let (now, query) = (Timestamp::now(), PageQuery { cursor, limit });
    let version = version.as_deref().map(requirement).transpose()?;
    let fulfils = |id: &AgentId| {
        version.as_ref().is_none_or(|wanted| {
            let running = app.fleet.with(*id, |agent| agent.observed.version()).flatten();
            running.is_some_and(|running| muster_package::admit::fulfils(&running, wanted))
        })
    };
    let stands = |id: &AgentId| {
        upgrade.is_none_or(|wanted| {
            let view = app.fleet.with(*id, |agent| agent.upgrade_view(now)).flatten();
            view.is_some_and(|view| view.step == wanted)
        })
    };
    let ids = app.fleet.ids().into_iter().filter(fulfils).filter(stands).map(|id| (id.to_string(), id));
    // Only what is on the page is worked out; who was removed meanwhile is not on it.
    let Page { items, next } = super::page(ids, &query)?;
    let line = |id| app.fleet.with(id, |agent| view::summary(agent, now));
    Ok(web::Json(Page { items: items.into_iter().filter_map(line).collect(), next }))
}

/// Reads what is asked of versions.
pub(super) fn requirement(text: &str) -> Result<VersionReq, ApiError> {
    text.parse().map_err(|error| {
        let told = "is no requirement of versions, such as `<0.4` or `>=0.2, <0.4`";
        ApiError::bad_request("version", format!("`{}` {told}: {error}", crate::fleet::bounded(text, 100)))
    })
}

#[utoipa::path(
    get,
    path = "/api/v1/agents/{agent}",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    responses((status = 200, body = AgentView)),
)]
pub(super) async fn show(
    app: web::Data<App>,
    _: Caller,
    agent: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer(&app, find(&app, &agent)?)
}

/// An agent, with the tag of what people decided about it.
fn answer(app: &App, id: AgentId) -> Result<HttpResponse, ApiError> {
    let now = Timestamp::now();
    let (tag, view) =
        app.fleet.with(id, |agent| (tag(&agent.record), view::view(agent, now))).ok_or_else(|| gone(id))?;
    Ok(HttpResponse::Ok().insert_header(etag(tag)).json(view))
}

/// Changes with what people decide: labels, quarantine, revocation. Not with what happens by itself, such as a renewed
/// certificate.
fn tag(record: &AgentRecord) -> String {
    let decided = serde_json::json!([record.labels, record.life, record.shares_partition, record.pin]);
    sha256_hex(decided.to_string().as_bytes())[..16].to_owned()
}

#[utoipa::path(
    put,
    path = "/api/v1/agents/{agent}/labels",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body(content = BTreeMap<String, String>, example = json!({"env": "prod", "site": "zrh"})),
    responses((status = 200, body = AgentView)),
)]
pub(super) async fn labels(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    known: Precondition,
    body: web::Json<Labels>,
) -> Result<HttpResponse, ApiError> {
    let id = find(&app, &agent)?;
    super::detached(set_labels(app.clone(), caller, id, known, body.into_inner())).await?;
    answer(&app, id)
}

async fn set_labels(
    app: web::Data<App>,
    caller: Caller,
    id: AgentId,
    known: Precondition,
    labels: Labels,
) -> Result<(), ApiError> {
    super::token::check_labels(&labels)?;
    let _writes = app.fleet.record_writes().await;
    let before = app.fleet.with(id, |a| a.record.clone()).ok_or_else(|| gone(id))?;
    known.check(Some(&tag(&before)), &format!("agent {id}"))?;
    let record = AgentRecord { labels, ..before.clone() };
    let mut batch = Batch::new();
    batch.put_json(AgentRecord::key(id), Condition::Any, &record);
    let action = Outgoing::by_user(caller.actor(), "agent.label", id.to_string())
        .change(&before.labels, &record.labels);
    app.commit(batch, action).await?;
    app.fleet.install(record, &app.book);
    Ok(())
}

/// A reason that a person gave: one line.
pub(super) fn checked_reason(reason: String) -> Result<String, ApiError> {
    if reason.len() > 200 || reason.chars().any(char::is_control) {
        return Err(ApiError::bad_request("reason", "reason must be one line of at most 200 bytes"));
    }
    Ok(reason)
}

#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/quarantine",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body(content = Decision, example = json!({"reason": "odd traffic"})),
    responses((status = 200, body = AgentView)),
)]
pub(super) async fn quarantine(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    body: web::Json<Decision>,
) -> Result<web::Json<AgentView>, ApiError> {
    super::detached(change(app, caller, agent.into_inner(), Change::Quarantine, body.into_inner())).await
}

#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/release",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body(content = Decision, example = json!({"reason": "odd traffic"})),
    responses((status = 200, body = AgentView)),
)]
pub(super) async fn release(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    body: web::Json<Decision>,
) -> Result<web::Json<AgentView>, ApiError> {
    super::detached(change(app, caller, agent.into_inner(), Change::Release, body.into_inner())).await
}

#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/revoke",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body(content = Decision, example = json!({"reason": "odd traffic"})),
    responses((status = 200, body = AgentView)),
)]
pub(super) async fn revoke(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    body: web::Json<Decision>,
) -> Result<web::Json<AgentView>, ApiError> {
    super::detached(change(app, caller, agent.into_inner(), Change::Revoke, body.into_inner())).await
}

async fn change(
    app: web::Data<App>,
    caller: Caller,
    agent: String,
    what: Change,
    Decision { reason }: Decision,
) -> Result<web::Json<AgentView>, ApiError> {
    let id = find(&app, &agent)?;
    let reason = checked_reason(reason)?;
    let reason = match (reason.is_empty(), what) {
        (false, _) => reason,
        (true, Change::Quarantine) => format!("quarantined by {}", caller.session.user),
        (true, Change::Release | Change::Revoke) => String::new(),
    };
    life::change(&app, id, what, caller.actor(), &reason).await?;
    let now = Timestamp::now();
    app.fleet.with(id, |agent| view::view(agent, now)).map(web::Json).ok_or_else(|| gone(id))
}

/// Removes an agent: its certificate is refused from now on, its connection is closed.
#[utoipa::path(
    delete,
    path = "/api/v1/agents/{agent}",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    responses((status = 204, description = "Removed; its connection is closed")),
)]
pub(super) async fn remove(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    known: Precondition,
) -> Result<HttpResponse, ApiError> {
    let id = find(&app, &agent)?;
    let tag = app.fleet.with(id, |agent| tag(&agent.record)).ok_or_else(|| gone(id))?;
    known.check(Some(&tag), &format!("agent {id}"))?;
    super::detached(forget(app, caller, id, false, Decision::default())).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes an agent for good: its keys are refused for ever.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/decommission",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body(content = Decision, example = json!({"reason": "machine scrapped"})),
    responses((status = 204, description = "Removed; its keys are refused for good")),
)]
pub(super) async fn decommission(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    body: web::Json<Decision>,
) -> Result<HttpResponse, ApiError> {
    let id = find(&app, &agent)?;
    super::detached(forget(app, caller, id, true, body.into_inner())).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn forget(
    app: web::Data<App>,
    caller: Caller,
    id: AgentId,
    for_good: bool,
    Decision { reason }: Decision,
) -> Result<(), ApiError> {
    Ok(life::remove(&app, id, caller.actor(), for_good, &checked_reason(reason)?).await?)
}

#[utoipa::path(
    get,
    path = "/api/v1/agents/{agent}/policy",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    responses((status = 200, body = AgentPolicyView)),
)]
pub(super) async fn policy(
    app: web::Data<App>,
    _: Caller,
    agent: web::Path<String>,
) -> Result<web::Json<AgentPolicyView>, ApiError> {
    let id = find(&app, &agent)?;
    let told = app.fleet.with(id, |agent| agent.config.effective).ok_or_else(|| gone(id))?;
    let effective = match told {
        Some(told) => effective::text(&*app.store, told)?,
        None => None,
    };
    let now = Timestamp::now();
    let labels = app.fleet.with(id, |agent| agent.record.labels.clone()).ok_or_else(|| gone(id))?;
    let values = app.book.explain(&labels);
    let view = app.fleet.with(id, |agent| AgentPolicyView {
        status: agent.policy_status(now),
        documents: agent.desired.documents.clone(),
        wanted: agent.desired.policy.clone(),
        values,
        effective,
    });
    view.map(web::Json).ok_or_else(|| gone(id))
}
