//! Users.

use super::auth::Caller;
use super::error::ApiError;
use super::etag::{Precondition, etag};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::user::{Changed, UserRecord, one_time_password};
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use muster_proto::api::{Page, PageQuery, PasswordReset, UserChange, UserCreated, UserRequest, UserView};
use zeroize::Zeroizing;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/users").route(web::post().to(create)).route(web::get().to(list)))
        .service(
            web::resource("/users/{user}")
                .route(web::get().to(show))
                .route(web::patch().to(change))
                .route(web::delete().to(delete)),
        )
        .route("/users/{user}/password", web::post().to(reset_password));
}

fn sessions(app: &App, name: &str, now: Timestamp) -> Result<u64, ApiError> {
    Ok(app.accounts.open_sessions(Some(name), "", now)?.len() as u64)
}

/// Changes with what an admin may change, not with every sign-in.
fn tag(record: &UserRecord) -> String {
    let UserRecord { name, role, disabled, password, .. } = record;
    crate::identity::secret::sha256_hex(format!("{name} {role} {disabled} {password}").as_bytes())[..16]
        .to_owned()
}

/// Refuses what was decided on another version of the user than the one that is there.
fn check(app: &App, known: &Precondition, name: &str) -> Result<(), ApiError> {
    let record = app.accounts.user(name)?;
    known.check(record.as_ref().map(tag).as_deref(), &format!("user `{name}`"))
}

fn view(app: &App, name: &str) -> Result<(String, UserView), ApiError> {
    let record = app.accounts.user(name)?;
    let record = record
        .ok_or_else(|| ApiError::not_found(format!("there is no user `{name}`; see `muster users list`")))?;
    Ok((tag(&record), record.view(sessions(app, name, Timestamp::now())?)))
}

/// Stores a change with its entry in the audit log; tells the user after it.
async fn store(
    app: &App,
    caller: &Caller,
    action: &str,
    name: &str,
    changed: Changed,
) -> Result<Option<UserView>, ApiError> {
    let Changed { before, after, batch } = changed;
    let shown = |record: Option<&UserRecord>| record.map(|r| r.view(0));
    let entry =
        Outgoing::by_user(caller.actor(), action, name).change(shown(before.as_ref()), shown(after.as_ref()));
    app.commit(batch, entry).await?;
    match after {
        Some(record) => Ok(Some(record.view(sessions(app, name, Timestamp::now())?))),
        None => Ok(None),
    }
}

fn given_or_made(password: Option<String>) -> (Zeroizing<String>, bool) {
    match password {
        Some(password) => (Zeroizing::new(password), false),
        None => (one_time_password(), true),
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/users",
    request_body(content = UserRequest, example = json!({"name": "maria", "role": "operator"})),
    responses((status = 201, body = UserCreated)),
)]
pub(super) async fn create(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<UserRequest>,
) -> Result<HttpResponse, ApiError> {
    let UserRequest { name, role, password } = body.into_inner();
    let (password, made) = given_or_made(password);
    let created = super::detached(async move {
        let _changes = app.accounts.changes().await;
        let changed = app.accounts.create(&name, role, password.clone(), Timestamp::now()).await?;
        let user = store(&app, &caller, "user.create", &name, changed).await?;
        let user = user.ok_or_else(|| ApiError::not_found("the user was deleted meanwhile"))?;
        Ok(UserCreated { user, password: made.then(|| password.to_string()) })
    })
    .await?;
    Ok(HttpResponse::Created().json(created))
}

#[utoipa::path(
    get,
    path = "/api/v1/users",
    params(PageQuery),
    responses((status = 200, body = Page<UserView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<UserView>>, ApiError> {
    let users = app.accounts.list(Timestamp::now())?;
    Ok(web::Json(super::page(users.into_iter().map(|u| (u.name.clone(), u)), &query)?))
}

#[utoipa::path(
    get,
    path = "/api/v1/users/{user}",
    params(("user" = String, Path, description = "Name of the user")),
    responses((status = 200, body = UserView)),
)]
pub(super) async fn show(
    app: web::Data<App>,
    _: Caller,
    user: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (tag, view) = view(&app, &user)?;
    Ok(HttpResponse::Ok().insert_header(etag(tag)).json(view))
}

#[utoipa::path(
    patch,
    path = "/api/v1/users/{user}",
    params(("user" = String, Path, description = "Name of the user")),
    request_body(content = UserChange, example = json!({"role": "approver"})),
    responses((status = 200, body = UserView)),
)]
pub(super) async fn change(
    app: web::Data<App>,
    caller: Caller,
    known: Precondition,
    user: web::Path<String>,
    body: web::Json<UserChange>,
) -> Result<web::Json<UserView>, ApiError> {
    let (name, change) = (user.into_inner(), body.into_inner());
    let changed = super::detached(async move {
        let _changes = app.accounts.changes().await;
        check(&app, &known, &name)?;
        let changed = app.accounts.change(&name, &change)?;
        store(&app, &caller, "user.change", &name, changed).await
    })
    .await?;
    changed.map(web::Json).ok_or_else(|| ApiError::not_found("the user was deleted meanwhile"))
}

#[utoipa::path(
    delete,
    path = "/api/v1/users/{user}",
    params(("user" = String, Path, description = "Name of the user")),
    responses((status = 204, description = "Deleted, with sessions and API tokens")),
)]
pub(super) async fn delete(
    app: web::Data<App>,
    caller: Caller,
    known: Precondition,
    user: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let name = user.into_inner();
    super::detached(async move {
        let _changes = app.accounts.changes().await;
        check(&app, &known, &name)?;
        let changed = app.accounts.delete(&name)?;
        store(&app, &caller, "user.delete", &name, changed).await
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    post,
    path = "/api/v1/users/{user}/password",
    params(("user" = String, Path, description = "Name of the user")),
    request_body(content = PasswordReset, example = json!({})),
    responses((status = 200, body = UserCreated, description = "The user's sessions have ended")),
)]
pub(super) async fn reset_password(
    app: web::Data<App>,
    caller: Caller,
    known: Precondition,
    user: web::Path<String>,
    body: web::Json<PasswordReset>,
) -> Result<web::Json<UserCreated>, ApiError> {
    let name = user.into_inner();
    let (password, made) = given_or_made(body.into_inner().password);
    super::detached(async move {
        let _changes = app.accounts.changes().await;
        check(&app, &known, &name)?;
        let changed = app.accounts.reset_password(&name, password.clone()).await?;
        let user = store(&app, &caller, "password.reset", &name, changed).await?;
        let user = user.ok_or_else(|| ApiError::not_found("the user was deleted meanwhile"))?;
        Ok(web::Json(UserCreated { user, password: made.then(|| password.to_string()) }))
    })
    .await
}
