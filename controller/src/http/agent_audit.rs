//! The audit log for agents whose policy has a source `controller_audit`: they send it to the SIEM.
//!
//! Admitted by an agent's certificate, as OpAMP is; users have `/audit`.

use super::error::ApiError;
use crate::app::App;
use crate::gateway::admission::by_certificate;
use actix_web::{HttpRequest, Responder, web};
use muster_proto::api::AgentAuditQuery;
use muster_proto::opamp::INCARNATION_HEADER;
use muster_shared::policy::model::SourceSpec;

/// Lines of an answer unless asked otherwise.
const DEFAULT: u32 = 500;
/// Most lines of an answer.
const MOST: u32 = 1_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/agent/audit", web::get().to(following));
}

async fn following(
    app: web::Data<App>,
    request: HttpRequest,
    query: web::Query<AgentAuditQuery>,
) -> Result<impl Responder, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT);
    if limit > MOST {
        return Err(ApiError::bad_request("limit", format!("limit must be 0 to {MOST}")));
    }
    allowed(&app, &request).await?;
    let (log, after) = (app.audit.clone(), query.after);
    let read = tokio::task::spawn_blocking(move || log.following(after, limit as usize)).await;
    let mut page = read.map_err(|e| ApiError::internal("the audit log could not be read", &e))??;
    page.fork = app.incarnation.restored().and_then(|restored| restored.fork.clone());
    Ok(web::Json(page).customize().insert_header((INCARNATION_HEADER, app.incarnation.header())))
}

/// Only an agent that is to send the log may read it.
async fn allowed(app: &web::Data<App>, request: &HttpRequest) -> Result<(), ApiError> {
    let id = by_certificate(app, request).await?;
    let named = app.fleet.with(id, |agent| {
        let sources = agent.desired.policy.spec.sources.values();
        sources.into_iter().any(|source| matches!(source, SourceSpec::ControllerAudit(_)))
    });
    match named {
        Some(true) => Ok(()),
        Some(false) | None => Err(ApiError::forbidden(
            "no-such-source",
            format!("the policy of agent {id} has no source of kind controller_audit (any more)"),
        )),
    }
}
