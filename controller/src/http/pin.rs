//! Agents that are pinned to the version that they run.

use super::agent::{find, gone};
use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::fleet::record::Pin;
use crate::fleet::{AgentRecord, view};
use crate::store::{Batch, Condition};
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{AgentView, PinRequest};
use muster_shared::id::AgentId;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/agents/{agent}/pin")
            .route(web::put().to(pin))
            .route(web::delete().to(unpin))
            .route(web::route().guard(super::any_method()).to(super::no_method)),
    );
}

#[utoipa::path(
    put,
    path = "/api/v1/agents/{agent}/pin",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body(content = PinRequest, example = json!({"version": "0.2.0", "reason": "certified with the bank's release"})),
    responses((status = 200, body = AgentView)),
)]
pub(super) async fn pin(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    body: web::Json<PinRequest>,
) -> Result<web::Json<AgentView>, ApiError> {
    let PinRequest { version, reason } = body.into_inner();
    super::one_line("reason", &reason)?;
    let id = find(&app, &agent)?;
    let running = app.fleet.with(id, |agent| agent.observed.version()).ok_or_else(|| gone(id))?;
    let running = running.map(|version| version.to_string()).unwrap_or_default();
    if let Some(wanted) = version.filter(|wanted| *wanted != running) {
        let runs =
            if running.is_empty() { "is not known to run any version" } else { &format!("runs {running}") };
        let wanted = crate::fleet::bounded(&wanted, 64);
        let told = format!(
            "agent {id} {runs}, not {wanted}: bring it there first (`muster rollout start --package`)"
        );
        return Err(ApiError::conflict("other-version", told));
    }
    if app.fleet.with(id, |agent| agent.is_upgrading()) == Some(true) {
        let told =
            format!("agent {id} is on its way to another version: pin it once it is there, or went back");
        return Err(ApiError::conflict("upgrade-under-way", told));
    }
    let by = caller.session.user.clone();
    let pin = Pin { version: running, at: Timestamp::now(), by, reason };
    super::detached(set(app, caller, id, Some(pin))).await.map(web::Json)
}

#[utoipa::path(
    delete,
    path = "/api/v1/agents/{agent}/pin",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    responses((status = 204, description = "It is not pinned (any more)")),
)]
pub(super) async fn unpin(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = find(&app, &agent)?;
    super::detached(set(app, caller, id, None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn set(
    app: web::Data<App>,
    caller: Caller,
    id: AgentId,
    pin: Option<Pin>,
) -> Result<AgentView, ApiError> {
    let _writes = app.fleet.record_writes().await;
    let before = app.fleet.with(id, |agent| agent.record.clone()).ok_or_else(|| gone(id))?;
    if before.pin.is_some() || pin.is_some() {
        let word = if pin.is_some() { "agent.pin" } else { "agent.unpin" };
        let record = AgentRecord { pin, ..before.clone() };
        let mut batch = Batch::new();
        batch.put_json(AgentRecord::key(id), Condition::Any, &record);
        let action = Outgoing::by_user(caller.actor(), word, id.to_string());
        app.commit(batch, action.change(&before.pin, &record.pin)).await?;
        app.fleet.install(record, &app.book);
    }
    app.fleet.with(id, |agent| view::view(agent, Timestamp::now())).ok_or_else(|| gone(id))
}
