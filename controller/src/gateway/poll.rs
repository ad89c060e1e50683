//! OpAMP over plain HTTP: a request a message.
//!
//! The body is not looked at before the agent is admitted. An agent has one poll at a time.

use super::admission::{Admission, admit};
use super::body::{self, BODY_DEADLINE};
use super::claim::claim_poll;
use super::foreign::{self, By};
use super::process::{
    Channel, Verdict, lease_order, persist_last_seen, process, restart_command, says_nothing, warning,
};
use super::websocket::{endpoint, heard, met, proven};
use super::{MAX_AGENT_MESSAGE_BYTES, claim::Claim};
use crate::app::App;
use crate::fleet::link::Link;
use crate::http::detached;
use crate::http::error::ApiError;
use crate::identity::enrol::pace_offer;
use actix_web::dev::Decompress;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use jiff::Timestamp;
use muster_proto::opamp::frame::{self, FrameError, MAX_MESSAGE_BYTES};
use muster_proto::opamp::server_error_response::Details;
use muster_proto::opamp::{AgentToServer, CONTENT_TYPE, INCARNATION_HEADER, ServerToAgent};
use muster_proto::session::inspect::InspectMessage;
use muster_proto::session::rates::RatesMessage;

/// Handles a poll. Compression of the answer is done around this; sizes count without it.
///
/// # Errors
/// A problem if the agent is not admitted or the body is no OpAMP message.
pub async fn poll(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let connection = crate::http::connection(&request)?;
    if app.is_stopping() {
        return Err(ApiError::unavailable("the controller is shutting down", 2));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|h| h.to_str().ok()).unwrap_or("");
    if kind.split(';').next().map(str::trim) != Some(CONTENT_TYPE) {
        return Err(ApiError::unsupported_media_type(CONTENT_TYPE));
    }
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
    let authorization = authorization.map(str::to_owned);
    let met = met(request.head());
    proven(&app, &connection, met.clone()).await?;
    let admission = {
        let (app, connection) = (app.clone(), connection.clone());
        detached(async move { admit(&app, &connection, authorization.as_deref(), Timestamp::now()).await })
            .await?
    };
    heard(&app, &admission, connection.address.ip(), met).await?;
    let turn = match &admission {
        Admission::Agent { id }
        | Admission::Renewing { id, .. }
        | Admission::Foreign { agent: Some(id), .. } => {
            app.fleet.with(*id, |agent| std::sync::Arc::clone(&agent.poll_turn))
        }
        Admission::Enrolling { .. } | Admission::Foreign { agent: None, .. } => None,
    };
    let turn = match turn {
        // The semaphore is never closed.
        Some(turn) => tokio::time::timeout(BODY_DEADLINE, turn.acquire_owned())
            .await
            .map_err(|_| ApiError::too_many("another poll of this agent is under way", 1))?
            .ok(),
        None => None,
    };
    let stream = Decompress::from_headers(payload.into_inner(), request.headers());
    let body = body::read(&app.bodies, stream, BODY_DEADLINE).await?;
    let endpoint = endpoint(&app, request.head(), "https");
    let incarnation = app.incarnation.header();
    detached(async move {
        let _turn = turn;
        let mut message = read_message(&body)?;
        let address = connection.address;
        let claim = match &admission {
            Admission::Agent { id } => Some(claim_poll(&app, *id, address).await?),
            Admission::Renewing { .. } | Admission::Enrolling { .. } | Admission::Foreign { .. } => None,
        };
        let mut channel = Channel { admission, claim, from: address.ip(), endpoint };
        let settled = foreign::settle(&app, &mut channel, By::Poll, address, &message).await;
        answer(&app, &channel, settled, &mut message).await
    })
    .await
    .map(|bytes| {
        let mut response = HttpResponse::Ok();
        response.content_type(CONTENT_TYPE).insert_header((INCARNATION_HEADER, incarnation)).body(bytes)
    })
}

fn read_message(body: &Bytes) -> Result<AgentToServer, ApiError> {
    frame::decode_plain(body, MAX_AGENT_MESSAGE_BYTES).map_err(|e| match e {
        FrameError::TooBig { .. } => ApiError::too_large(MAX_AGENT_MESSAGE_BYTES),
        FrameError::Header | FrameError::Body(_) => {
            ApiError::bad_request("opamp-malformed", "the body is no OpAMP message (protobuf AgentToServer)")
        }
    })
}

async fn answer(
    app: &App,
    channel: &Channel,
    settled: Option<Verdict>,
    message: &mut AgentToServer,
) -> Result<Vec<u8>, ApiError> {
    let taken = settled.is_none();
    let mut reply = match settled {
        Some(verdict) => verdict.into_reply(),
        None => process(app, channel, message).await.into_reply(),
    };
    if let Some((text, seconds)) = retry_wish(&reply) {
        // Over HTTP a status says so: that is what clients heed.
        return Err(ApiError::unavailable(&text, seconds));
    }
    if let Some(claim) = channel.claim.as_ref().filter(|_| taken) {
        add_pending(app, channel, claim, message, &mut reply);
    }
    if taken
        && message.agent_disconnect.is_some()
        && let (Some(id), Some(claim)) = (channel.agent(), &channel.claim)
    {
        let at = Timestamp::now();
        app.fleet.with_epoch(id, claim.epoch, |agent| agent.link = Link::Closed { at });
        persist_last_seen(app, id).await;
    }
    let encoded = frame::encode_plain(&reply, MAX_MESSAGE_BYTES).or_else(|error| {
        // Too large because of the policy: the rest of the answer is not withheld for it.
        tracing::error!(%error, "policy too large to be offered");
        reply.remote_config = None;
        frame::encode_plain(&reply, MAX_MESSAGE_BYTES)
    });
    encoded.map_err(|e| ApiError::internal("the answer is too large to be sent", &e))
}

/// What an answer says that asks for patience: its text, and the seconds.
fn retry_wish(reply: &ServerToAgent) -> Option<(String, u64)> {
    let error = reply.error_response.as_ref()?;
    let Details::RetryInfo(info) = error.details.as_ref()?;
    Some((error.error_message.clone(), info.retry_after_nanoseconds.div_ceil(1_000_000_000)))
}

fn add_pending(
    app: &App,
    channel: &Channel,
    claim: &Claim,
    message: &AgentToServer,
    reply: &mut ServerToAgent,
) {
    let mut pending = claim.outbox.take();
    // A warning takes the place of the whole answer; settings are offered once, so the warning waits for the next poll.
    let waits = reply.connection_settings.is_some();
    if let Some(text) = pending.warning.take_if(|_| !waits) {
        *reply = warning(&message.instance_uid, text);
    } else if reply.error_response.is_none() {
        // An answer carries one custom message; what is left waits for the next poll.
        let order = if std::mem::take(&mut pending.leases) { lease_order(app, channel) } else { None };
        reply.custom_message = match order {
            Some(order) => Some(order),
            None => match pending.asks.pop_front() {
                Some(ask) => Some(InspectMessage::Request(ask).to_custom()),
                None => pending.watch.take().map(|w| RatesMessage::Watch(w).to_custom()),
            },
        };
        if pending.settings && reply.connection_settings.is_none() {
            let heartbeat = app.config.heartbeat_seconds;
            reply.connection_settings =
                Some(pace_offer(&app.authority.trust(), &channel.endpoint, heartbeat));
        }
    }
    if let Some(text) = pending.warning {
        claim.outbox.warn(text);
    }
    if pending.leases {
        claim.outbox.leases_changed();
    }
    if !pending.asks.is_empty() || pending.watch.is_some() {
        claim.outbox.put_back(pending.asks, pending.watch);
    }
    if pending.restart {
        if says_nothing(reply) {
            *reply = restart_command(&message.instance_uid);
        } else {
            // A command travels alone: with the next poll.
            claim.outbox.restart();
        }
    }
}
