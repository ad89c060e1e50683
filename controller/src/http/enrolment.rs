//! Enrolments that wait for approval.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::identity::pending::{PendingRecord, Verdict};
use crate::store::{Batch, Condition};
use actix_web::web;
use jiff::Timestamp;
use muster_proto::api::{Decision, EnrolmentView, Page, PageQuery};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/enrolments", web::get().to(list))
        .route("/enrolments/{key}/approve", web::post().to(approve))
        .route("/enrolments/{key}/deny", web::post().to(deny));
}

#[utoipa::path(
    get,
    path = "/api/v1/enrolments",
    params(PageQuery),
    responses((status = 200, body = Page<EnrolmentView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<EnrolmentView>>, ApiError> {
    let views = app.pending.views(Timestamp::now());
    Ok(web::Json(super::page(views.into_iter().map(|v| (v.key_sha256.clone(), v)), &query)?))
}

#[utoipa::path(
    post,
    path = "/api/v1/enrolments/{key}/approve",
    params(("key" = String, Path, description = "Key fingerprint, or the beginning of it; id or name of the agent")),
    request_body(content = Decision, example = json!({"reason": "compared by telephone"})),
    responses((status = 200, body = EnrolmentView)),
)]
pub(super) async fn approve(
    app: web::Data<App>,
    caller: Caller,
    key: web::Path<String>,
    body: web::Json<Decision>,
) -> Result<web::Json<EnrolmentView>, ApiError> {
    super::detached(decide(app, caller, key.into_inner(), body.into_inner(), true)).await
}

#[utoipa::path(
    post,
    path = "/api/v1/enrolments/{key}/deny",
    params(("key" = String, Path, description = "Key fingerprint, or the beginning of it; id or name of the agent")),
    request_body(content = Decision, example = json!({"reason": "compared by telephone"})),
    responses((status = 200, body = EnrolmentView)),
)]
pub(super) async fn deny(
    app: web::Data<App>,
    caller: Caller,
    key: web::Path<String>,
    body: web::Json<Decision>,
) -> Result<web::Json<EnrolmentView>, ApiError> {
    super::detached(decide(app, caller, key.into_inner(), body.into_inner(), false)).await
}

async fn decide(
    app: web::Data<App>,
    caller: Caller,
    key: String,
    Decision { reason }: Decision,
    approved: bool,
) -> Result<web::Json<EnrolmentView>, ApiError> {
    let reason = super::agent::checked_reason(reason)?;
    let _writes = app.fleet.record_writes().await;
    let key = match app.pending.find(&key).as_slice() {
        [key] => key.clone(),
        [] => {
            return Err(ApiError::not_found(format!(
                "no enrolment with `{key}` waits; see `muster agents pending`"
            )));
        }
        many => {
            return Err(ApiError::conflict(
                "ambiguous",
                format!("{} enrolments fit `{key}`; give the whole fingerprint", many.len()),
            ));
        }
    };
    let (at, by) = (Timestamp::now(), caller.session.user.clone());
    let gone = || ApiError::not_found("the enrolment is over; see `muster agents pending`");
    let record = app.pending.get(&key).ok_or_else(gone)?;
    let (verdict, action) = if approved {
        (Verdict::Approved { by, at }, "agent.approve")
    } else {
        let reason = if reason.is_empty() { "no reason given".to_owned() } else { reason.clone() };
        (Verdict::Denied { by, at, reason }, "agent.deny")
    };
    let record = PendingRecord { verdict, ..record };
    let mut batch = Batch::new();
    batch.put_json(PendingRecord::key(&key), Condition::Any, &record);
    let entry = Outgoing::by_user(caller.actor(), action, record.agent.to_string())
        .detail(format!("key {key}, token {} {reason}", record.token).trim_end());
    app.commit(batch, entry).await?;
    app.pending.install(record, at);
    let view = app.pending.views(at).into_iter().find(|v| v.key_sha256 == key);
    view.map(web::Json).ok_or_else(gone)
}
