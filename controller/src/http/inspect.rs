//! Looking into agents: recent events, live tail, preview, diagnostics. Who looked is in the audit log.

use super::agent::find;
use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::inspect::{self, AskError, tail};
use crate::store::Batch;
use actix_web::http::header::{self, ContentEncoding};
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use muster_proto::api::{
    Connection, DiagnosticsRequest, EventDetailView, OneEventQuery, PreviewView, RecentEvents, RecentQuery,
    TailItem, TailQuery,
};
use muster_proto::session::inspect::{InspectRefusalReason, MAX_EVENT_ID, MAX_RECENT};
use muster_shared::event::EventQuery;
use muster_shared::policy::merge::selects;
use muster_shared::policy::parse_effective;
use std::time::Duration;

/// A line without meaning is sent so often: proxies and clients see that the stream lives, and a viewer that went away
/// is noticed by it.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/agents/{agent}/events/recent", web::get().to(recent))
        .route("/agents/{agent}/events/one", web::get().to(one))
        .route("/agents/{agent}/events/tail", web::get().to(tail_one))
        .route("/events/tail", web::get().to(tail_fleet))
        .route("/agents/{agent}/preview", web::post().to(preview))
        .route("/agents/{agent}/diagnostics", web::post().to(diagnostics));
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        let text = error.to_string();
        match error {
            AskError::Away(_) => Self::conflict("agent-away", text),
            AskError::Unable(_) | AskError::TooOld { .. } => Self::conflict("agent-unable", text),
            AskError::Refused { reason, .. } => match reason {
                InspectRefusalReason::SwitchedOff => Self::forbidden("switched-off", text),
                InspectRefusalReason::Invalid => Self::bad_request("refused-by-agent", text),
                InspectRefusalReason::Busy => Self::unavailable(text, 5),
                InspectRefusalReason::NotHeld => Self::not_found(text),
                InspectRefusalReason::Failed | InspectRefusalReason::Unspecified => {
                    Self::conflict("refused-by-agent", text)
                }
            },
            AskError::Silent { .. } => Self::gateway_timeout(text),
            AskError::Busy => Self::unavailable(text, 2),
            AskError::Odd(_) => Self::bad_gateway(text),
        }
    }
}

/// A filter that has no meaning is told before anybody is asked.
fn check(filter: &str) -> Result<(), ApiError> {
    EventQuery::parse(filter).map(drop).map_err(|error| ApiError::bad_request("filter", error.to_string()))
}

/// Who looks at what is written down before it is shown.
async fn note(
    app: &App,
    caller: &Caller,
    action: &str,
    object: String,
    detail: &str,
) -> Result<(), ApiError> {
    let action = Outgoing::by_user(caller.actor(), action, object);
    Ok(app.commit(Batch::new(), action.detail(detail)).await?)
}

#[utoipa::path(
    get,
    path = "/api/v1/agents/{agent}/events/recent",
    params(("agent" = String, Path, description = "Id or name of the agent"), RecentQuery),
    responses((status = 200, body = RecentEvents)),
)]
pub(super) async fn recent(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    query: web::Query<RecentQuery>,
) -> Result<web::Json<RecentEvents>, ApiError> {
    let id = find(&app, &agent)?;
    check(&query.filter)?;
    let limit = match query.limit {
        None => 0,
        Some(limit @ 1..=MAX_RECENT) => limit,
        Some(_) => return Err(ApiError::bad_request("limit", format!("limit must be 1 to {MAX_RECENT}"))),
    };
    note(&app, &caller, "events.recent", id.to_string(), &query.filter).await?;
    Ok(web::Json(inspect::recent(&app, id, query.into_inner().filter, limit).await?))
}

#[utoipa::path(
    get,
    path = "/api/v1/agents/{agent}/events/one",
    params(("agent" = String, Path, description = "Id or name of the agent"), OneEventQuery),
    responses((status = 200, body = EventDetailView)),
)]
pub(super) async fn one(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    query: web::Query<OneEventQuery>,
) -> Result<web::Json<EventDetailView>, ApiError> {
    let id = find(&app, &agent)?;
    let event = query.into_inner().id;
    if event.is_empty() || event.len() > MAX_EVENT_ID || event.chars().any(char::is_control) {
        let told = format!("id must be that of an event, 1 to {MAX_EVENT_ID} bytes in one line");
        return Err(ApiError::bad_request("id", told));
    }
    note(&app, &caller, "events.one", id.to_string(), &event).await?;
    Ok(web::Json(inspect::one(&app, id, event).await?))
}

#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/preview",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body(content = Object, content_type = "application/json", description = "An effective policy"),
    responses((status = 200, body = PreviewView)),
)]
pub(super) async fn preview(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    candidate: Bytes,
) -> Result<web::Json<PreviewView>, ApiError> {
    let id = find(&app, &agent)?;
    let text = std::str::from_utf8(&candidate).map_err(|e| ApiError::bad_request("policy", e.to_string()))?;
    let candidate = parse_effective(text).map_err(|e| ApiError::bad_request("policy", e.to_string()))?;
    note(&app, &caller, "policy.preview", id.to_string(), "").await?;
    Ok(web::Json(inspect::preview(&app, id, &candidate).await?))
}

#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/diagnostics",
    params(("agent" = String, Path, description = "Id or name of the agent")),
    request_body = Option<DiagnosticsRequest>,
    responses((status = 200, body = Object, content_type = "application/json", description = "The bundle")),
)]
pub(super) async fn diagnostics(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let id = find(&app, &agent)?;
    // Nobody has to write down that nothing special is wanted.
    let request =
        if body.is_empty() { Ok(DiagnosticsRequest::default()) } else { serde_json::from_slice(&body) };
    let request =
        request.map_err(|e| ApiError::bad_request("json", format!("the body cannot be used: {e}")))?;
    let with_events = request.with_events;
    let detail = if with_events { "with events" } else { "" };
    note(&app, &caller, "agent.diagnostics", id.to_string(), detail).await?;
    let bundle = inspect::diagnostics(&app, id, with_events).await?;
    let name = format!("attachment; filename=\"muster-diagnostics-{id}.json\"");
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CONTENT_DISPOSITION, name))
        .body(bundle))
}

#[utoipa::path(
    get,
    path = "/api/v1/agents/{agent}/events/tail",
    params(("agent" = String, Path, description = "Id or name of the agent"), TailQuery),
    responses((status = 200, body = TailItem, content_type = "text/event-stream", description = "Server-sent events")),
)]
pub(super) async fn tail_one(
    app: web::Data<App>,
    caller: Caller,
    agent: web::Path<String>,
    query: web::Query<TailQuery>,
) -> Result<HttpResponse, ApiError> {
    let agent = find(&app, &agent)?;
    if !query.selector.is_empty() {
        return Err(ApiError::bad_request("selector", "one agent is named already; leave the selector out"));
    }
    check(&query.filter)?;
    let name = app.fleet.with(agent, |a| a.observed.name(agent)).unwrap_or_else(|| agent.to_string());
    note(&app, &caller, "events.tail", agent.to_string(), &query.filter).await?;
    Ok(events(tail::start(&app, vec![tail::Target { agent, name }], &query.filter)))
}

#[utoipa::path(
    get,
    path = "/api/v1/events/tail",
    params(TailQuery),
    responses((status = 200, body = TailItem, content_type = "text/event-stream", description = "Server-sent events")),
)]
pub(super) async fn tail_fleet(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<TailQuery>,
) -> Result<HttpResponse, ApiError> {
    check(&query.filter)?;
    let selector = super::selector::labels("selector", &query.selector)?;
    let now = Timestamp::now();
    let mut targets = Vec::new();
    app.fleet.each(|agent| {
        let there = agent.connection(now) == Connection::Connected && agent.takes_inspect;
        if there && selects(&selector, &agent.record.labels) {
            let id = agent.record.id;
            targets.push(tail::Target { agent: id, name: agent.observed.name(id) });
        }
    });
    if targets.is_empty() {
        return Err(ApiError::conflict("no-agent", "no connected agent is selected"));
    }
    if targets.len() > tail::MAX_AGENTS {
        let text = format!(
            "{} connected agents are selected, at most {} can be looked into at a time; narrow the selector",
            targets.len(),
            tail::MAX_AGENTS
        );
        return Err(ApiError::bad_request("too-many-agents", text));
    }
    let object = if query.selector.is_empty() { "fleet".to_owned() } else { query.selector.clone() };
    note(&app, &caller, "events.tail", object, &query.filter).await?;
    Ok(events(tail::start(&app, targets, &query.filter)))
}

/// Server-sent events.
fn events(items: tokio::sync::mpsc::Receiver<TailItem>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // A compressor would hold events back until it has enough of them.
        .insert_header(ContentEncoding::Identity)
        .streaming(lines(items))
}

fn lines(
    items: tokio::sync::mpsc::Receiver<TailItem>,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let begin = stream::iter([Ok(Bytes::from_static(b": muster\n\n"))]);
    let rest = stream::unfold(items, |mut items| async move {
        let text = match tokio::time::timeout(KEEP_ALIVE, items.recv()).await {
            Ok(Some(item)) => line(&item),
            Ok(None) => return None,
            Err(_) => ": alive\n\n".to_owned(),
        };
        Some((Ok(Bytes::from(text)), items))
    });
    begin.chain(rest)
}

fn line(item: &TailItem) -> String {
    let kind = match item {
        TailItem::Event { .. } => "event",
        TailItem::Skipped { .. } => "skipped",
        TailItem::Started { .. } => "started",
        TailItem::Ended { .. } => "ended",
    };
    // JSON has no line breaks of its own.
    format!("event: {kind}\ndata: {}\n\n", serde_json::to_string(item).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn items_become_server_sent_events() {
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let agent = "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap();
        let item = TailItem::Skipped { agent, agent_name: "A\nB".to_owned(), events: 3 };
        sender.send(item).await.unwrap();
        drop(sender);
        let all: Vec<_> = lines(receiver).map(|line| line.unwrap()).collect().await;
        let text: String = all.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        assert_eq!(
            text,
            ": muster\n\nevent: skipped\ndata: {\"kind\":\"skipped\",\"agent\":\"019b8d7a-2da8-7657-b52d-492a9de33319\",\"agent_name\":\"A\\nB\",\"events\":3}\n\n"
        );
    }
}
