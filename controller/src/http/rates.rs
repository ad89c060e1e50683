//! Event rates.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::fleet::history::{Range, Series};
use crate::fleet::{Agent, roll_up, view};
use actix_web::web;
use jiff::Timestamp;
use muster_proto::api::{
    Connection, HistoryMetric, HistoryQuery, HistorySeries, HistoryView, RatesQuery, RatesView,
};
use muster_proto::session::rates::{CAPABILITY, RatesWatch};

/// While somebody looks: a report a second, for 15 s after the last look.
const WATCH: RatesWatch = RatesWatch { interval_ms: 1_000, expires_after_ms: 15_000 };

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/rates", web::get().to(rates))
        .route("/fleet/history", web::get().to(fleet_history))
        .route("/agents/{agent}/history", web::get().to(agent_history));
}

/// Most steps of one answer.
const MAX_STEPS: usize = 2_000;
/// Shortest step and the one unless asked otherwise, in seconds.
const STEP: (u64, u64) = (60, 300);

/// The range that is asked for.
fn range(query: &HistoryQuery, now: Timestamp) -> Result<Range, ApiError> {
    let to = query.to.unwrap_or(now);
    let day = jiff::SignedDuration::from_hours(24);
    let from = query.from.unwrap_or_else(|| to.checked_sub(day).unwrap_or(to));
    let step = query.step.unwrap_or(STEP.1);
    let range = Range { from, to, step };
    if step < STEP.0 {
        return Err(ApiError::bad_request("step", format!("step must be {} seconds or more", STEP.0)));
    }
    if from >= to {
        return Err(ApiError::bad_request("range", "from must be before to"));
    }
    if range.steps() > MAX_STEPS {
        let text = format!(
            "{} steps are asked for, at most {MAX_STEPS} are told; take a longer step",
            range.steps()
        );
        return Err(ApiError::bad_request("range", text));
    }
    Ok(range)
}

#[utoipa::path(
    get,
    path = "/api/v1/agents/{agent}/history",
    params(("agent" = String, Path, description = "Id or name of the agent"), HistoryQuery),
    responses((status = 200, body = HistoryView)),
)]
pub(super) async fn agent_history(
    app: web::Data<App>,
    _: Caller,
    agent: web::Path<String>,
    query: web::Query<HistoryQuery>,
) -> Result<web::Json<HistoryView>, ApiError> {
    let id = super::agent::find(&app, &agent)?;
    let (metric, range) = (query.metric, range(&query, Timestamp::now())?);
    history(range, metric, move || app.history.agent(id, metric, range)).await
}

#[utoipa::path(
    get,
    path = "/api/v1/fleet/history",
    params(HistoryQuery),
    responses((status = 200, body = HistoryView)),
)]
pub(super) async fn fleet_history(
    app: web::Data<App>,
    _: Caller,
    query: web::Query<HistoryQuery>,
) -> Result<web::Json<HistoryView>, ApiError> {
    let (metric, range) = (query.metric, range(&query, Timestamp::now())?);
    history(range, metric, move || app.history.fleet(metric, range)).await
}

async fn history(
    range: Range,
    metric: HistoryMetric,
    read: impl FnOnce() -> std::io::Result<Vec<Series>> + Send + 'static,
) -> Result<web::Json<HistoryView>, ApiError> {
    const TRIED: &str = "the history could not be read";
    let read = tokio::task::spawn_blocking(read).await.map_err(|e| ApiError::internal(TRIED, &e))?;
    let series = read.map_err(|e| ApiError::internal(TRIED, &e))?;
    let series = series.into_iter().map(|Series { kind, name, values }| HistorySeries { kind, name, values });
    let Range { from, to, step } = range;
    Ok(web::Json(HistoryView { metric, from, to, step, series: series.collect() }))
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
        if watch && agent.connection(now) == Connection::Connected && agent.knows(CAPABILITY) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let now: Timestamp = "2026-11-25T18:00:00Z".parse().unwrap();
        let ask = |from: Option<&str>, to: Option<&str>, step| {
            let time = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            let query = HistoryQuery { from: time(from), to: time(to), step, ..HistoryQuery::default() };
            range(&query, now).map(|range| (range.from.to_string(), range.steps())).map_err(|e| e.to_string())
        };
        assert_eq!(ask(None, None, None), Ok(("2026-11-24T18:00:00Z".to_owned(), 288)));
        assert_eq!(ask(Some("2026-11-25T17:00:30Z"), None, Some(60)).unwrap().1, 60);
        for (from, to, step, expected) in [
            (None, None, Some(1), "60 seconds or more"),
            (Some("2026-11-25T19:00:00Z"), None, None, "before"),
            (Some("2020-01-01T00:00:00Z"), None, None, "at most 2000"),
            (Some("-009999-01-02T01:59:59Z"), Some("9999-12-30T22:00:00Z"), Some(60), "at most"),
        ] {
            let error = ask(from, to, step).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
