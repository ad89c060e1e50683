//! Restarting an agent by the OpAMP command.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::store::Batch;
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::Connection;
use muster_proto::opamp::capability::AgentCapabilities;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/agents/{agent}/restart", web::post().to(restart));
}

/// Has a connected agent restart. It loses nothing by that; a polling one hears of it with its next poll.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/restart",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    responses((status = 202)),
)]
pub(super) async fn restart(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = super::agent::find(&app, &agent)?;
    let now = Timestamp::now();
    let present = app.fleet.with(id, |agent| {
        let capabilities = AgentCapabilities(agent.observed.capabilities);
        (agent.connection(now), capabilities.has(AgentCapabilities::ACCEPTS_RESTART_COMMAND))
    });
    match present {
        Some((Connection::Connected, true)) => {}
        Some((Connection::Connected, false)) => {
            return Err(ApiError::conflict(
                "no-restart",
                format!("agent {id} takes no restart command; restart it on its host"),
            ));
        }
        Some((Connection::Reconnecting | Connection::Offline | Connection::NeverConnected, _)) => {
            return Err(ApiError::conflict("not-connected", format!("agent {id} is not connected")));
        }
        None => return Err(ApiError::not_found(format!("agent {id} was removed"))),
    }
    let action = Outgoing::by_user(caller.actor(), "agent.restart", id.to_string());
    // Noted before it is done, and sent only if it could be noted.
    super::detached(async move {
        app.commit(Batch::new(), action).await?;
        app.fleet.with(id, |agent| agent.outbox.restart());
        Ok(())
    })
    .await?;
    Ok(HttpResponse::Accepted().finish())
}
