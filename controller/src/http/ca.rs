//! The certification authority.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::identity::life::Actor;
use crate::identity::roll_over;
use actix_web::web;
use muster_proto::api::{CaFinish, CaView};

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
    responses((status = 200, body = CaView)),
)]
pub(super) async fn begin(app: web::Data<App>, caller: Caller) -> Result<web::Json<CaView>, ApiError> {
    let step = async move {
        let actor = Actor { name: &caller.session.user, from: caller.from };
        Ok(roll_over::begin(&app, actor).await?)
    };
    super::detached(step).await.map(web::Json)
}

#[utoipa::path(
    post,
    path = "/api/v1/ca/roll-over/finish",
    request_body(content = CaFinish, example = json!({"force": false})),
    responses((status = 200, body = CaView)),
)]
pub(super) async fn finish(
    app: web::Data<App>,
    caller: Caller,
    body: web::Json<CaFinish>,
) -> Result<web::Json<CaView>, ApiError> {
    let step = async move {
        let actor = Actor { name: &caller.session.user, from: caller.from };
        Ok(roll_over::finish(&app, body.force, actor).await?)
    };
    super::detached(step).await.map(web::Json)
}
