//! What lets people and programs in: open sessions and API tokens. Everybody sees and ends their own; an admin
//! sees and ends all.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{ApiTokenCreated, ApiTokenRequest, ApiTokenView, Page, PageQuery, Role, SessionView};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/sessions", web::get().to(sessions))
        .route("/sessions/{id}", web::delete().to(end_session))
        .service(web::resource("/api-tokens").route(web::post().to(create)).route(web::get().to(list)))
        .route("/api-tokens/{id}", web::delete().to(revoke));
}

/// Whose sessions and tokens the caller may see: all, or the own.
fn whose(caller: &Caller) -> Option<&str> {
    if caller.role >= Role::Admin { None } else { Some(&caller.session.user) }
}

#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    params(PageQuery),
    responses((status = 200, body = Page<SessionView>)),
)]
pub(super) async fn sessions(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<SessionView>>, ApiError> {
    let open = app.accounts.open_sessions(whose(&caller), &caller.session.id, Timestamp::now())?;
    Ok(web::Json(super::page(open.into_iter().map(|s| (super::falling(&s.id), s)), &query)?))
}

#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{id}",
    params(("id" = String, Path, description = "Id of the session")),
    responses((status = 204, description = "It has ended")),
)]
pub(super) async fn end_session(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (session, batch) = app.accounts.end_session(&id, whose(&caller))?;
    let action = Outgoing::by_user(caller.actor(), "session.end", id.as_str())
        .detail(format!("of {}, begun from {}", session.user, session.from));
    app.commit(batch, action).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    post,
    path = "/api/v1/api-tokens",
    request_body(content = ApiTokenRequest, example = json!({"scope": "metrics", "note": "Prometheus"})),
    responses((status = 201, body = ApiTokenCreated)),
)]
pub(super) async fn create(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<ApiTokenRequest>,
) -> Result<HttpResponse, ApiError> {
    let created = super::detached(async move {
        let _changes = app.accounts.changes().await;
        let user = &caller.session.user;
        let (token, record, batch) =
            app.accounts.make_api_token(user, caller.role, &body, Timestamp::now())?;
        let action = Outgoing::by_user(caller.actor(), "api-token.create", record.id.as_str())
            .change((), record.view());
        app.commit(batch, action).await?;
        Ok(ApiTokenCreated { view: record.view(), token })
    })
    .await?;
    Ok(HttpResponse::Created().json(created))
}

#[utoipa::path(
    get,
    path = "/api/v1/api-tokens",
    params(PageQuery),
    responses((status = 200, body = Page<ApiTokenView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<ApiTokenView>>, ApiError> {
    let tokens = app.accounts.list_api_tokens(whose(&caller), Timestamp::now())?;
    Ok(web::Json(super::page(tokens.into_iter().map(|t| (t.id.clone(), t)), &query)?))
}

#[utoipa::path(
    delete,
    path = "/api/v1/api-tokens/{id}",
    params(("id" = String, Path, description = "Id of the API token")),
    responses((status = 204, description = "It works no more")),
)]
pub(super) async fn revoke(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (token, batch) = app.accounts.revoke_api_token(&id, whose(&caller))?;
    let action = Outgoing::by_user(caller.actor(), "api-token.revoke", id.as_str()).change(token.view(), ());
    app.commit(batch, action).await?;
    Ok(HttpResponse::NoContent().finish())
}
