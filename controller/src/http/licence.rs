//! The licence: where it stands, files, and pairs of partitions.

use super::auth::Caller;
use super::error::ApiError;
use super::policy::{Body, text};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::licence::{LicenceKeeper, look};
use crate::store::Batch;
use actix_web::web;
use jiff::Timestamp;
use muster_proto::api::{LicencePair, LicenceView};

/// Most declared pairs.
const MAX_PAIRS: usize = 5_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/licence")
                .route(web::get().to(show))
                .route(web::post().to(install))
                .route(web::route().guard(super::any_method()).to(super::no_method)),
        )
        .route("/licence/pair", web::post().to(pair))
        .route("/licence/unpair", web::post().to(unpair));
}

#[utoipa::path(get, path = "/api/v1/licence", responses((status = 200, body = LicenceView)))]
pub(super) async fn show(app: web::Data<App>, _: Caller) -> web::Json<LicenceView> {
    look(&app).await;
    web::Json(app.licence.view())
}

#[utoipa::path(
    post,
    path = "/api/v1/licence",
    request_body(content = String, content_type = "text/plain", description = "The licence file as it is"),
    responses((status = 200, body = LicenceView, description = "It counts from now on")),
)]
pub(super) async fn install(
    app: web::Data<App>,
    caller: Caller,
    body: Body,
) -> Result<web::Json<LicenceView>, ApiError> {
    let file = text(body)?;
    super::detached(async move {
        let _changes = app.accounts.changes().await;
        let mut batch = Batch::new();
        let installed = app
            .licence
            .add(&file, Timestamp::now(), &mut batch)
            .map_err(|error| ApiError::bad_request("licence", error.to_string()))?;
        let licence = &installed.licence;
        let action = Outgoing::by_user(caller.actor(), "licence.install", licence.id.as_str()).detail(
            format!("{} seats until {} for {}", licence.seats, licence.valid_until, licence.customer),
        );
        app.commit(batch, action).await?;
        app.licence.take(installed);
        look(&app).await;
        Ok(web::Json(app.licence.view()))
    })
    .await
}

#[utoipa::path(
    post,
    path = "/api/v1/licence/pair",
    request_body = LicencePair,
    responses((status = 200, body = LicenceView)),
)]
pub(super) async fn pair(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<LicencePair>,
) -> Result<web::Json<LicenceView>, ApiError> {
    let pair = body.into_inner();
    if pair.a == pair.b {
        return Err(ApiError::bad_request("pair", "a pair is of two partitions"));
    }
    change(app, caller, "licence.pair", pair, |pairs, pair| {
        if pairs.iter().any(|known| known.is_of(pair)) {
            return Ok(());
        }
        if let Some(other) = pairs.iter().find(|known| known.has(&pair.a) || known.has(&pair.b)) {
            let text =
                format!("{} and {} are a pair already; a partition is in one pair only", other.a, other.b);
            return Err(ApiError::conflict("pair", text));
        }
        if pairs.len() >= MAX_PAIRS {
            return Err(ApiError::conflict(
                "pair",
                format!("there are {MAX_PAIRS} pairs, which is the most"),
            ));
        }
        pairs.push(pair.clone());
        Ok(())
    })
    .await
}

#[utoipa::path(
    post,
    path = "/api/v1/licence/unpair",
    request_body = LicencePair,
    responses((status = 200, body = LicenceView)),
)]
pub(super) async fn unpair(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<LicencePair>,
) -> Result<web::Json<LicenceView>, ApiError> {
    change(app, caller, "licence.unpair", body.into_inner(), |pairs, pair| {
        let before = pairs.len();
        pairs.retain(|known| !known.is_of(pair));
        match pairs.len() < before {
            true => Ok(()),
            false => Err(ApiError::not_found(format!("{} and {} are no pair", pair.a, pair.b))),
        }
    })
    .await
}

async fn change(
    app: web::Data<App>,
    caller: Caller,
    action: &'static str,
    pair: LicencePair,
    with: fn(&mut Vec<LicencePair>, &LicencePair) -> Result<(), ApiError>,
) -> Result<web::Json<LicenceView>, ApiError> {
    super::detached(async move {
        let _changes = app.accounts.changes().await;
        let mut pairs = app.licence.pairs();
        with(&mut pairs, &pair)?;
        let mut batch = Batch::new();
        LicenceKeeper::add_pairs(&pairs, &mut batch);
        let object = format!("{} and {}", pair.a, pair.b);
        app.commit(batch, Outgoing::by_user(caller.actor(), action, object)).await?;
        app.licence.take_pairs(pairs);
        look(&app).await;
        Ok(web::Json(app.licence.view()))
    })
    .await
}
