//! OpAMP over plain HTTP: a request a message.

use super::admission::{Admission, admit};
use super::claim::claim_poll;
use super::process::{Channel, persist_last_seen, process, warning};
use super::websocket::endpoint;
use crate::app::App;
use crate::fleet::link::Link;
use crate::http::error::ApiError;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use muster_proto::opamp::frame::{self, FrameError, MAX_MESSAGE_BYTES};
use muster_proto::opamp::{AgentToServer, CONTENT_TYPE};
use muster_proto::session::rates::RatesMessage;

/// Handles a poll. Compression in and out is done around this; sizes count after it.
///
/// # Errors
/// A problem if the agent is not admitted or the body is no OpAMP message.
pub async fn poll(
    app: web::Data<App>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
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
    let admission = admit(&app, &connection, authorization, Timestamp::now()).await?;
    let body = body.map_err(|e| ApiError::unreadable_body(&e, MAX_MESSAGE_BYTES))?;
    let message: AgentToServer = frame::decode_plain(&body, MAX_MESSAGE_BYTES).map_err(|e| match e {
        FrameError::TooBig { .. } => ApiError::too_large(MAX_MESSAGE_BYTES),
        FrameError::Header | FrameError::Body(_) => {
            ApiError::bad_request("opamp-malformed", "the body is no OpAMP message (protobuf AgentToServer)")
        }
    })?;
    let claim = match &admission {
        Admission::Agent { id } => Some(claim_poll(&app, *id, connection.address).await?),
        Admission::Renewing { .. } | Admission::Enrolling { .. } => None,
    };
    let channel =
        Channel { admission, claim, from: connection.address.ip(), endpoint: endpoint(&app, &request) };
    let mut reply = process(&app, &channel, &message).await.into_reply();
    if let Some(claim) = &channel.claim {
        let pending = claim.outbox.take();
        if let Some(text) = pending.warning {
            reply = warning(&message.instance_uid, text);
        } else if reply.error_response.is_none() {
            reply.custom_message = pending.watch.map(|w| RatesMessage::Watch(w).to_custom());
        }
    }
    if message.agent_disconnect.is_some()
        && let (Admission::Agent { id }, Some(claim)) = (&channel.admission, &channel.claim)
    {
        let at = Timestamp::now();
        app.fleet.with_epoch(*id, claim.epoch, |agent| agent.link = Link::Closed { at });
        persist_last_seen(&app, *id).await;
    }
    let bytes = frame::encode_plain(&reply, MAX_MESSAGE_BYTES)
        .map_err(|e| ApiError::internal("the answer is too large to be sent", &e))?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(bytes))
}
