//! What changes, as it happens: server-sent events.

use super::auth::Caller;
use super::error::ApiError;
use crate::app::App;
use crate::event_hub::{Event, EventHub, Next, Place};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use jiff::Timestamp;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// A comment is sent when nothing happened for so long: proxies keep the connection, dead ones are noticed, and
/// a session that has ended ends the stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events of one write.
const BURST: usize = 100;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/events", web::get().to(events));
}

#[utoipa::path(
    get,
    path = "/api/v1/events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Go on after the event with this id")),
    responses((
        status = 200,
        body = String,
        content_type = "text/event-stream",
        description = "Events `audit`, `policy`, `agent`, `fleet`, `rollout` and `reload`; see the schemas of those names",
    )),
)]
pub(super) async fn events(
    app: web::Data<App>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let hub = app.events.clone();
    let Some(place) = hub.enter() else {
        return Err(ApiError::unavailable("too many clients watch already; close some or poll", 10));
    };
    hub.await_look().await;
    let last_seen = request.headers().get("last-event-id").and_then(|h| h.to_str().ok());
    let (number, greeting) = match last_seen {
        None => (hub.last(), String::new()),
        Some(id) => match hub.number(id) {
            Some(number) => (number, String::new()),
            None => {
                let missed = hub.missed(hub.last(), "the controller was restarted; read everything anew");
                (hub.last(), text(&hub, missed).0)
            }
        },
    };
    // At once, so that the client knows that it is connected.
    let greeting = format!("retry: 2000\n: connected\n\n{greeting}");
    let watch =
        Watch { app, caller, hub, number, greeting: Some(greeting), checked: Instant::now(), _place: place };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Compressed, events would wait for each other.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream(watch)))
}

struct Watch {
    app: web::Data<App>,
    caller: Caller,
    hub: EventHub,
    number: u64,
    greeting: Option<String>,
    /// When the session was last looked at.
    checked: Instant,
    _place: Place,
}

/// One event in the form of the stream.
fn write(out: &mut String, id: &str, kind: &str, data: &str) {
    // Writing to a String has no way to fail; JSON has no line ends.
    let _ = write!(out, "id: {id}\nevent: {kind}\ndata: {data}\n\n");
}

/// The events as text, and where to go on; an empty text if there are none.
fn text(hub: &EventHub, next: Next) -> (String, Option<u64>) {
    let mut out = String::new();
    match next {
        Next::Events(events) => {
            for Event { number, kind, data } in &events {
                write(&mut out, &hub.id(*number), kind, data);
            }
            (out, events.last().map(|e| e.number))
        }
        Next::Missed { last, reload } => {
            write(&mut out, &hub.id(last), "reload", &reload);
            (out, Some(last))
        }
    }
}

/// The client's own pace is the pace: what it has not taken yet is in the ring, or missed.
fn stream(watch: Watch) -> impl Stream<Item = Result<Bytes, Infallible>> {
    unfold(watch, |mut watch| async move {
        if let Some(greeting) = watch.greeting.take() {
            return Some((Ok(Bytes::from(greeting)), watch));
        }
        let mut grown = watch.hub.grown();
        loop {
            if watch.hub.is_closed() || !still_admitted(&mut watch) {
                return None;
            }
            grown.mark_unchanged();
            let (out, last) = text(&watch.hub, watch.hub.after(watch.number, BURST));
            if let Some(last) = last {
                watch.number = last;
                return Some((Ok(Bytes::from(out)), watch));
            }
            if tokio::time::timeout(HEARTBEAT, grown.changed()).await.is_err() {
                return Some((Ok(Bytes::from_static(b": heartbeat\n\n")), watch));
            }
        }
    })
}

/// Whether the session or token that opened the stream still lets somebody in.
fn still_admitted(watch: &mut Watch) -> bool {
    if watch.checked.elapsed() < HEARTBEAT {
        return true;
    }
    watch.checked = Instant::now();
    let (accounts, now) = (&watch.app.accounts, Timestamp::now());
    match watch.caller.scope {
        Some(_) => accounts.api_token(&watch.caller.token, now).is_ok(),
        None => accounts.session(&watch.caller.token, now).is_ok(),
    }
}
