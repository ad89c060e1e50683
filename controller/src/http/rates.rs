//! Event rates.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::fleet::{Agent, roll_up, view};
use actix_web::web;
use jiff::Timestamp;
use muster_proto::api::{Connection, RatesQuery, RatesView};
use muster_proto::session::rates::RatesWatch;

/// While somebody looks: a report a second, for 15 s after the last look.
const WATCH: RatesWatch = RatesWatch { interval_ms: 1_000, expires_after_ms: 15_000 };

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/rates", web::get().to(rates));
}

#[utoipa::path(
    get,
    path = "/api/v1/rates",
    params(RatesQuery),
    responses((status = 200, body = RatesView)),
)]
pub(super) async fn rates(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<RatesQuery>,
) -> Result<web::Json<RatesView>, ApiError> {
    let now = Timestamp::now();
    let watch = query.watch;
    let look = |agent: &mut Agent| {
        if watch && agent.connection(now) == Connection::Connected {
            agent.outbox.watch(WATCH);
        }
        view::rates(agent, now)
    };
    let mut agents = match &query.agent {
        Some(name) => app.fleet.with(super::agent::find(&app, name)?, look).into_iter().collect(),
        None => app.fleet.each(look),
    };
    agents.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Ok(web::Json(RatesView { at: now, fleet: roll_up::sum(agents.iter().map(|a| &a.window)), agents }))
}
