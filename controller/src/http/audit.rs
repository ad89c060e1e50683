//! The audit log.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::{AuditError, AuditLog, Search};
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use muster_proto::api::{
    AuditEntry, AuditExportQuery, AuditQuery, AuditVerification, JSON_LINES_CONTENT_TYPE, Page, PageQuery,
};

/// Longest text that is searched for, in bytes.
const MAX_SEARCH: usize = 200;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/audit", web::get().to(list))
        .route("/audit/verify", web::get().to(verify))
        .route("/audit/export", web::get().to(export));
}

async fn read<T: Send + 'static>(
    log: &AuditLog,
    work: impl FnOnce(&AuditLog) -> Result<T, AuditError> + Send + 'static,
) -> Result<T, ApiError> {
    let log = log.clone();
    let done = tokio::task::spawn_blocking(move || work(&log)).await;
    Ok(done.map_err(|e| ApiError::internal("the audit log could not be read", &e))??)
}

#[utoipa::path(
    get,
    path = "/api/v1/audit",
    params(AuditQuery),
    responses((status = 200, body = Page<AuditEntry>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<AuditQuery>,
) -> Result<web::Json<Page<AuditEntry>>, ApiError> {
    let query = query.into_inner();
    let limit = super::limit(&PageQuery { cursor: None, limit: query.limit })?;
    let cursor = match query.cursor.as_deref().map(str::parse::<u64>) {
        None => None,
        Some(Ok(sequence)) => Some(sequence),
        Some(Err(_)) => return Err(ApiError::bad_request("cursor", "the cursor is not one of this list")),
    };
    if query.search.as_ref().is_some_and(|text| text.len() > MAX_SEARCH) {
        return Err(ApiError::bad_request("search", format!("search must be at most {MAX_SEARCH} bytes")));
    }
    let search = Search::from(&query);
    let (items, next) = read(&app.audit, move |log| match query.after {
        Some(after) => log.oldest(&search, cursor.unwrap_or(after), limit),
        None => log.newest(&search, cursor, limit),
    })
    .await?;
    Ok(web::Json(Page { items, next: next.map(|n| n.to_string()) }))
}

#[utoipa::path(
    get,
    path = "/api/v1/audit/verify",
    responses((status = 200, body = AuditVerification)),
)]
pub(super) async fn verify(app: web::Data<App>, _: Caller) -> Result<web::Json<AuditVerification>, ApiError> {
    // To the end even if the client goes away: or the next one would start a second check beside this one.
    super::detached(async move { Ok(web::Json(app.audit.verification().await?)) }).await
}

#[utoipa::path(
    get,
    path = "/api/v1/audit/export",
    params(AuditExportQuery),
    responses((
        status = 200,
        body = String,
        content_type = "application/jsonl",
        description = "One line an entry, oldest first: `{\"hash\":…,\"entry\":{…}}`, as `muster audit-log verify` reads it",
    )),
)]
pub(super) async fn export(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<AuditExportQuery>,
) -> Result<HttpResponse, ApiError> {
    let until = app.audit.last();
    let lines = lines(app.audit.clone(), query.after.unwrap_or(0), until);
    Ok(HttpResponse::Ok()
        .content_type(JSON_LINES_CONTENT_TYPE)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(lines))
}

/// The log as it is now, a segment at a time: what is written meanwhile is not waited for.
fn lines(log: AuditLog, after: u64, until: u64) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    try_unfold((log, after), move |(log, after)| async move {
        let part = read(&log, move |log| log.export(after, until)).await;
        // The answer ends in the middle, and whoever reads it notices: a line or the last entry is missing.
        let part = part.map_err(|e| std::io::Error::other(e.to_string()))?;
        Ok(part.map(|(text, last)| (Bytes::from(text), (log, last))))
    })
}
