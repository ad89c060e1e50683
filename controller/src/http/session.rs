//! Signing in and out.

use super::auth::{self, COOKIE, Caller};
use super::error::ApiError;
use super::gate;
use crate::app::App;
use crate::audit_log::{Actor, Outgoing};
use crate::store::Batch;
use crate::user::{Accounts, LoginKind, UserError, csrf_token};
use actix_web::http::header::{HeaderName, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{LoginQuery, LoginReply, LoginRequest, PasswordChange, WhoAmI};
use zeroize::Zeroizing;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/login", web::post().to(login))
        .route("/logout", web::post().to(logout))
        .route("/password", web::post().to(password))
        .route("/whoami", web::get().to(whoami));
}

/// The header that sets the cookie for so many seconds; tokens need no escapes.
fn set_cookie(token: &str, seconds: i64) -> (HeaderName, String) {
    let cookie = format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    (SET_COOKIE, cookie)
}

#[utoipa::path(
    post,
    path = "/api/v1/login",
    params(LoginQuery),
    request_body(content = LoginRequest, example = json!({"user": "admin", "password": "the password"})),
    responses((status = 200, body = LoginReply)),
)]
pub(super) async fn login(
    app: web::Data<App>,
    request: HttpRequest,
    query: web::Query<LoginQuery>,
    body: web::Json<LoginRequest>,
) -> Result<HttpResponse, ApiError> {
    let from = super::connection(&request)?.address.ip();
    // Nobody signs a browser in from another site's page, as somebody else.
    if let Err(error) = auth::from_own_page(&request) {
        let stranger = auth::csrf(&request, None, from, error);
        return Err(gate::turned_away(Some(&app), stranger).await);
    }
    let LoginRequest { user, password } = body.into_inner();
    let now = Timestamp::now();
    let old = auth::cookie(&request);
    let kind = if query.cookie { LoginKind::Cookie { old: old.as_deref() } } else { LoginKind::Bearer };
    let result = app.accounts.login(&user, Zeroizing::new(password), from, kind, now).await;
    let signed_in = match result {
        Ok(done) => done,
        Err(error) => {
            if matches!(error, UserError::Wrong) {
                tracing::warn!(%from, "login failed");
                let name = crate::fleet::bounded(&user, 64);
                app.commit(Batch::new(), Outgoing::by_user(Actor::new(&name, from), "login.failed", ""))
                    .await?;
            }
            return Err(error.into());
        }
    };
    let session = signed_in.session;
    let action = Outgoing::by_user(Actor::new(&session.user, from), "login", session.id.as_str());
    app.commit(Batch::new(), action).await?;
    let mut reply = LoginReply {
        token: String::new(),
        expires_at: session.expires_at,
        password_is_initial: signed_in.user.initial,
        csrf_token: None,
    };
    if !session.cookie {
        reply.token = signed_in.token;
        return Ok(HttpResponse::Ok().json(reply));
    }
    reply.csrf_token = Some(csrf_token(&signed_in.token));
    let life = session.expires_at.duration_since(now).as_secs();
    Ok(HttpResponse::Ok().insert_header(set_cookie(&signed_in.token, life)).json(reply))
}

#[utoipa::path(
    post,
    path = "/api/v1/logout",
    responses((status = 204, description = "The session has ended")),
)]
pub(super) async fn logout(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let session = &caller.session;
    let action = Outgoing::by_user(caller.actor(), "logout", session.id.as_str());
    app.commit(Accounts::logout(&caller.token), action).await?;
    let mut response = HttpResponse::NoContent();
    if session.cookie {
        response.insert_header(set_cookie("", 0));
    }
    Ok(response.finish())
}

#[utoipa::path(
    post,
    path = "/api/v1/password",
    request_body(
        content = PasswordChange,
        example = json!({"current": "the password", "new": "correct horse battery"}),
    ),
    responses((status = 204, description = "The password is changed; other sessions of the user have ended")),
)]
pub(super) async fn password(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<PasswordChange>,
) -> Result<HttpResponse, ApiError> {
    let PasswordChange { current, new } = body.into_inner();
    let (current, new) = (Zeroizing::new(current), Zeroizing::new(new));
    super::detached(async move {
        let _changes = app.accounts.changes().await;
        let now = Timestamp::now();
        let batch = app.accounts.change_password(&caller.token, current, new, caller.from, now).await?;
        let user = &caller.session.user;
        let action = Outgoing::by_user(caller.actor(), "password.change", user.as_str());
        Ok(app.commit(batch, action).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    get,
    path = "/api/v1/whoami",
    responses((status = 200, body = WhoAmI, example = json!({
        "user": "admin", "role": "admin", "expires_at": "2026-11-25T18:00:00Z",
        "password_is_initial": false, "controller_version": "0.1.0",
    }))),
)]
pub(super) async fn whoami(app: web::Data<App>, caller: Caller) -> Result<web::Json<WhoAmI>, ApiError> {
    let record = app.accounts.user(&caller.session.user)?;
    Ok(web::Json(WhoAmI {
        csrf_token: caller.session.cookie.then(|| csrf_token(&caller.token)),
        user: caller.session.user,
        role: caller.role,
        scope: caller.scope,
        expires_at: caller.session.expires_at,
        password_is_initial: record.is_some_and(|r| r.initial),
        controller_version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}
