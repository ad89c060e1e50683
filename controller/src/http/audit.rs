//! The audit log.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use actix_web::web;
use muster_proto::api::{AuditEntry, Page, PageQuery};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/audit", web::get().to(list));
}

#[utoipa::path(
    get,
    path = "/api/v1/audit",
    params(PageQuery),
    responses((status = 200, body = Page<AuditEntry>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<AuditEntry>>, ApiError> {
    let limit = super::limit(&query)?;
    let before = match query.cursor.as_deref().map(str::parse::<u64>) {
        None => None,
        Some(Ok(sequence)) => Some(sequence),
        Some(Err(_)) => return Err(ApiError::bad_request("cursor", "the cursor is not one of this list")),
    };
    let log = app.audit.clone();
    let read = tokio::task::spawn_blocking(move || log.page(before, limit)).await;
    let items = read.map_err(|e| ApiError::internal("the audit log could not be read", &e))??;
    let next = items.last().filter(|e| e.sequence > 1).map(|e| e.sequence.to_string());
    Ok(web::Json(Page { items, next }))
}
