//! Enrolment tokens.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::identity::secret;
use crate::identity::token::{PREFIX, TokenRecord};
use crate::store::{self, Batch, Condition};
use actix_web::{HttpResponse, web};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{Labels, Page, PageQuery, TokenCreated, TokenRequest, TokenView};
use muster_proto::session::EnrolmentToken;
use muster_proto::session::token::MAX_URLS;

const DEFAULT_SECONDS: u64 = 24 * 60 * 60;
const MAX_SECONDS: u64 = 90 * 24 * 60 * 60;
const MAX_USES: u32 = 10_000;
/// Tokens that have not been deleted; expired ones are deleted after a month.
const MAX_TOKENS: usize = 10_000;
const KEEP_EXPIRED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Most labels of an agent.
const MAX_LABELS: usize = 32;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/tokens")
                .route(web::post().to(create))
                .route(web::get().to(list))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/tokens/{id}", web::delete().to(delete));
}

/// Checks labels: as a selector of a policy could name them.
pub(super) fn check_labels(labels: &Labels) -> Result<(), ApiError> {
    let part = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        !text.is_empty() && text.len() <= 63 && text.chars().all(allowed)
    };
    match labels.iter().find(|(key, value)| !part(key) || !part(value)) {
        _ if labels.len() > MAX_LABELS => {
            Err(ApiError::bad_request("labels", format!("at most {MAX_LABELS} labels are allowed")))
        }
        Some((key, value)) => Err(ApiError::bad_request(
            "labels",
            format!(
                "label `{key}={value}` cannot be used: key and value have 1 to 63 letters, digits or `-_./`"
            ),
        )),
        None => Ok(()),
    }
}

fn check(request: &TokenRequest) -> Result<(u64, u32), ApiError> {
    check_labels(&request.labels)?;
    let seconds = request.expires_in_seconds.unwrap_or(DEFAULT_SECONDS);
    if seconds == 0 || seconds > MAX_SECONDS {
        return Err(ApiError::bad_request(
            "expiry",
            format!("expires_in_seconds must be 1 to {MAX_SECONDS} (90 days)"),
        ));
    }
    let uses = request.uses.unwrap_or(1);
    if uses == 0 || uses > MAX_USES {
        return Err(ApiError::bad_request("uses", format!("uses must be 1 to {MAX_USES}")));
    }
    let url = |u: &String| (u.starts_with("https://") || u.starts_with("wss://")) && u.len() <= 256;
    if request.urls.len() > MAX_URLS || !request.urls.iter().all(url) {
        return Err(ApiError::bad_request(
            "urls",
            format!("urls must be at most {MAX_URLS}, each https://host:port or wss://host:port"),
        ));
    }
    if request.note.len() > 200 || request.note.contains('\n') {
        return Err(ApiError::bad_request("note", "note must be one line of at most 200 bytes"));
    }
    Ok((seconds, uses))
}

#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    request_body(content = TokenRequest, example = json!({"uses": 5, "labels": {"env": "prod"}, "note": "Zurich"})),
    responses((status = 201, body = TokenCreated)),
)]
pub(super) async fn create(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<TokenRequest>,
) -> Result<HttpResponse, ApiError> {
    let request = body.into_inner();
    let (seconds, uses) = check(&request)?;
    let now = Timestamp::now();
    let mut batch = make_room(&app, now)?;
    let urls = if request.urls.is_empty() { app.urls.clone() } else { request.urls };
    let token = EnrolmentToken {
        urls: urls.clone(),
        ca_spki_sha256: app.authority.issuing().spki_sha256(),
        id: uuid::Uuid::now_v7(),
        secret: secret::random_bytes(),
    };
    let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let record = TokenRecord {
        id: token.id.to_string(),
        secret_sha256: secret::hex(&token.secret_hash()),
        created_at: now,
        created_by: caller.session.user.clone(),
        expires_at: now + life,
        uses,
        used: 0,
        labels: request.labels,
        urls,
        note: request.note,
        approve: request.approve,
        partition: request.partition,
        authority: Some(secret::hex(&token.ca_spki_sha256)),
    };
    batch.put_json(TokenRecord::key(&record.id), Condition::Absent, &record);
    let action =
        Outgoing::by_user(caller.actor(), "token.create", record.id.as_str()).detail(describe(&record));
    app.commit(batch, action).await?;
    Ok(HttpResponse::Created().json(TokenCreated { view: record.view(), token: token.format() }))
}

fn describe(token: &TokenRecord) -> String {
    let approve = if token.approve { ", needs approval" } else { "" };
    let partition = token.partition.as_ref().map(|p| format!(", for partition {p}")).unwrap_or_default();
    format!("uses {}, expires {}{approve}{partition}", token.uses, token.expires_at)
}

/// Deletes tokens that expired long ago.
fn make_room(app: &App, now: Timestamp) -> Result<Batch, ApiError> {
    let tokens = store::scan_json::<TokenRecord>(&*app.store, PREFIX)?;
    let mut batch = Batch::new();
    let mut left = tokens.len();
    for (_, token) in tokens {
        if now.duration_since(token.expires_at) > KEEP_EXPIRED {
            add_deletion(app, &mut batch, &token.id)?;
            left -= 1;
        }
    }
    if left >= MAX_TOKENS {
        return Err(ApiError::conflict("too-many-tokens", "there are too many tokens; delete some"));
    }
    Ok(batch)
}

/// Deletes a token, and what is stored of its uses.
fn add_deletion(app: &App, batch: &mut Batch, id: &str) -> Result<(), ApiError> {
    batch.delete(TokenRecord::key(id), Condition::Any);
    for (key, _) in app.store.scan(&TokenRecord::use_prefix(id), None, usize::MAX)? {
        batch.delete(key, Condition::Any);
    }
    Ok(())
}

#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    params(PageQuery),
    responses((status = 200, body = Page<TokenView>)),
)]
pub(super) async fn list(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<TokenView>>, ApiError> {
    let tokens = store::scan_json::<TokenRecord>(&*app.store, PREFIX)?;
    let authorities: Vec<String> =
        app.authority.trust().all().map(|ca| secret::hex(&ca.spki_sha256())).collect();
    Ok(web::Json(super::page(
        tokens.into_iter().map(|(_, t)| (t.id.clone(), t.view_under(&authorities))),
        &query,
    )?))
}

#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    params(("id" = String, Path, description = "Id of the token")),
    responses((status = 204, description = "It works no more")),
)]
pub(super) async fn delete(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    // Not while somebody enrols with it.
    let _writes = app.fleet.record_writes().await;
    let key = TokenRecord::key(&id);
    if id.len() > 64 || app.store.get(&key)?.is_none() {
        return Err(ApiError::not_found("there is no such token; see `muster token list`"));
    }
    let mut batch = Batch::new();
    add_deletion(&app, &mut batch, &id)?;
    let action = Outgoing::by_user(caller.actor(), "token.delete", id.as_str());
    app.commit(batch, action).await?;
    Ok(HttpResponse::NoContent().finish())
}
