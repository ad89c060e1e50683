//! Signing in and out.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::store::Batch;
use crate::user::{Accounts, UserError};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{LoginReply, LoginRequest, PasswordChange, WhoAmI};
use zeroize::Zeroizing;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/login", web::post().to(login))
        .route("/logout", web::post().to(logout))
        .route("/password", web::post().to(password))
        .route("/whoami", web::get().to(whoami));
}

#[utoipa::path(
    post,
    path = "/api/v1/login",
    request_body(content = LoginRequest, example = json!({"user": "admin", "password": "the password"})),
    responses((status = 200, body = LoginReply)),
)]
pub(super) async fn login(
    app: web::Data<App>,
    request: HttpRequest,
    body: web::Json<LoginRequest>,
) -> Result<web::Json<LoginReply>, ApiError> {
    let from = super::connection(&request)?.address.ip();
    let LoginRequest { user, password } = body.into_inner();
    let now = Timestamp::now();
    let result = app.accounts.login(&user, Zeroizing::new(password), from, now).await;
    let (token, session, initial) = match result {
        Ok(done) => done,
        Err(error) => {
            if matches!(error, UserError::Wrong) {
                tracing::warn!(%from, "login failed");
                let name = crate::fleet::bounded(&user, 64);
                app.commit(Batch::new(), Outgoing::by_user(&name, from, "login.failed", "")).await?;
            }
            return Err(error.into());
        }
    };
    app.commit(Batch::new(), Outgoing::by_user(&session.user, from, "login", "")).await?;
    Ok(web::Json(LoginReply { token, expires_at: session.expires_at, password_is_initial: initial }))
}

#[utoipa::path(
    post,
    path = "/api/v1/logout",
    responses((status = 204, description = "The session has ended")),
)]
pub(super) async fn logout(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let action = Outgoing::by_user(&caller.session.user, caller.from, "logout", "");
    app.commit(Accounts::logout(&caller.token), action).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    post,
    path = "/api/v1/password",
    request_body(content = PasswordChange, example = json!({"current": "the password", "new": "correct horse battery"})),
    responses((status = 204, description = "The password is changed; other sessions of the user have ended")),
)]
pub(super) async fn password(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<PasswordChange>,
) -> Result<HttpResponse, ApiError> {
    let PasswordChange { current, new } = body.into_inner();
    let (current, new) = (Zeroizing::new(current), Zeroizing::new(new));
    let batch =
        app.accounts.change_password(&caller.token, current, new, caller.from, Timestamp::now()).await?;
    let user = &caller.session.user;
    app.commit(batch, Outgoing::by_user(user, caller.from, "password.change", user.as_str())).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    get,
    path = "/api/v1/whoami",
    responses((status = 200, body = WhoAmI, example = json!({"user": "admin", "role": "admin", "expires_at": "2026-11-25T18:00:00Z", "password_is_initial": false, "controller_version": "0.1.0"}))),
)]
pub(super) async fn whoami(app: web::Data<App>, caller: Caller) -> Result<web::Json<WhoAmI>, ApiError> {
    let record = app.accounts.user(&caller.session.user)?;
    Ok(web::Json(WhoAmI {
        user: caller.session.user,
        role: caller.role,
        expires_at: caller.session.expires_at,
        password_is_initial: record.is_some_and(|r| r.initial),
        controller_version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}
