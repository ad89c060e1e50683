//! The certification authority.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::identity::roll_over;
use actix_web::web;
use muster_proto::api::{CaFinish, CaView, Decision};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/ca", web::get().to(show))
        .route("/ca/roll-over", web::post().to(begin))
        .route("/ca/roll-over/finish", web::post().to(finish));
}

#[utoipa::path(
    get,
    path = "/api/v1/ca",
    responses((status = 200, body = CaView)),
)]
pub(super) async fn show(app: web::Data<App>, _: Caller) -> web::Json<CaView> {
    web::Json(roll_over::view(&app))
}

#[utoipa::path(
    post,
    path = "/api/v1/ca/roll-over",
    request_body(content = Decision, example = json!({"reason": "the old key was on a lost disk"})),
    responses((status = 200, body = CaView)),
)]
pub(super) async fn begin(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<Decision>,
) -> Result<web::Json<CaView>, ApiError> {
    let step = async move {
        let actor = caller.actor();
        let reason = super::agent::checked_reason(body.into_inner().reason)?;
        Ok(roll_over::begin(&app, actor, &reason).await?)
    };
    super::detached(step).await.map(web::Json)
}

#[utoipa::path(
    post,
    path = "/api/v1/ca/roll-over/finish",
    request_body(content = CaFinish, example = json!({"issuing": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef", "force": false})),
    responses((status = 200, body = CaView)),
)]
pub(super) async fn finish(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<CaFinish>,
) -> Result<web::Json<CaView>, ApiError> {
    let step = async move {
        let actor = caller.actor();
        Ok(roll_over::finish(&app, &body, actor).await?)
    };
    super::detached(step).await.map(web::Json)
}
