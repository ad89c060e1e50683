//! Planned outages that operators announce.

use super::agent::{find, gone};
use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::fleet::{bounded, outage, view};
use crate::store::{Batch, Condition};
use actix_web::{HttpResponse, web};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{AgentView, MaintenanceRequest, PlannedOutage};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/agents/{agent}/maintenance")
            .route(web::put().to(announce))
            .route(web::delete().to(end))
            .route(web::route().guard(super::any_method()).to(super::no_method)),
    );
}

#[utoipa::path(
    put,
    path = "/api/v1/agents/{agent}/maintenance",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body = MaintenanceRequest,
    responses((status = 200, body = AgentView)),
)]
pub(super) async fn announce(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    body: web::Json<MaintenanceRequest>,
) -> Result<web::Json<AgentView>, ApiError> {
    let (agent, body) = (agent.into_inner(), body.into_inner());
    super::detached(async move {
        let id = find(&app, &agent)?;
        let now = Timestamp::now();
        let length = i64::try_from(body.for_seconds).map(SignedDuration::from_secs).ok();
        let length = length.filter(|length| *length > SignedDuration::ZERO && *length <= outage::LONGEST);
        let until = length.and_then(|length| now.checked_add(length).ok()).ok_or_else(|| {
            ApiError::bad_request(
                "for-seconds",
                "for_seconds must be 1 to 604800: an outage lasts seven days at most",
            )
        })?;
        let planned = PlannedOutage {
            since: now,
            until,
            reason: bounded(&body.reason, 256),
            announced_by: caller.session.user.clone(),
        };
        let _writes = app.fleet.record_writes().await;
        let mut batch = Batch::new();
        batch.put_json(outage::key(id), Condition::Any, &planned);
        let detail = format!("until {until}: {}", planned.reason);
        let action = Outgoing::by_user(caller.actor(), "agent.maintenance", id.to_string());
        app.commit(batch, action.detail(detail)).await?;
        let view = app.fleet.with(id, |agent| {
            agent.outage = Some(Box::new(planned));
            view::view(agent, Timestamp::now())
        });
        view.map(web::Json).ok_or_else(|| gone(id))
    })
    .await
}

#[utoipa::path(
    delete,
    path = "/api/v1/agents/{agent}/maintenance",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    responses((status = 204, description = "Ended")),
)]
pub(super) async fn end(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let agent = agent.into_inner();
    super::detached(async move {
        let id = find(&app, &agent)?;
        let _writes = app.fleet.record_writes().await;
        let mut batch = Batch::new();
        batch.delete(outage::key(id), Condition::Any);
        let action = Outgoing::by_user(caller.actor(), "agent.maintenance_end", id.to_string());
        app.commit(batch, action).await?;
        app.fleet.with(id, |agent| agent.outage = None);
        Ok(())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
