//! The gate in front of every route: who asks, and whether that is enough for what the table says.

use super::auth::{self, Caller, Stranger};
use super::error::ApiError;
use super::headers;
use super::idempotency;
use super::routes::{self, Access, Route};
use crate::app::App;
use crate::audit_log::Outgoing;
use crate::identity::expiry;
use crate::store::Batch;
use actix_web::HttpMessage as _;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web;
use jiff::Timestamp;
use muster_proto::api::{CONTROLLER_NOTICE, NOTICE_HEADER};

/// Lets a request through to its handler, or answers why not. What comes back is protected in browsers.
///
/// # Errors
/// 401, 403, 405.
pub(super) async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut response = admit(request, next).await?;
    headers::protect(response.headers_mut());
    Ok(response)
}

async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // Nothing is there: the handler for that answers 404.
    // The router matches the path with its escapes undone; so must this, or `%75sers` would not be `users`.
    let pattern = request.resource_map().match_pattern(request.match_info().as_str());
    let Some(pattern) = pattern else { return pass(request, next).await };
    let Some(route) = routes::find(request.method().as_str(), &pattern) else {
        let allowed = routes::methods(&pattern);
        if allowed.is_empty() {
            tracing::error!(pattern, "a route without a line in the table was refused");
            return Err(ApiError::forbidden("no-role", "nobody may use this path").into());
        }
        return Err(ApiError::method_not_allowed(request.method(), request.path(), &allowed).into());
    };
    match route.access {
        Access::Public | Access::Agent => return pass(request, next).await,
        Access::Role(_) | Access::Person(_) | Access::Metrics => {}
    }
    let caller = match Caller::find(request.request()) {
        Ok(caller) => caller,
        Err(stranger) => {
            return Err(turned_away(request.app_data::<web::Data<App>>(), stranger).await.into());
        }
    };
    if let Err(error) = auth::may(&caller, route.access) {
        note_refusal(&request, route, &caller).await?;
        return Err(error.into());
    }
    if let Some(app) = request.app_data::<web::Data<App>>() {
        still_in_charge(app, route)?;
    }
    let user = caller.session.user.clone();
    request.extensions_mut().insert(caller);
    let notice = request.app_data::<web::Data<App>>().and_then(|app| notice(app));
    let mut response = if route.method == "POST" && request.headers().contains_key(idempotency::HEADER) {
        idempotency::once(&user, route.pattern, request, next).await?
    } else {
        pass(request, next).await?
    };
    if let Some(notice) = notice {
        response.headers_mut().insert(HeaderName::from_static(NOTICE_HEADER), notice);
    }
    Ok(response)
}

/// A change at a controller that a restored one has replaced would be lost.
fn still_in_charge(app: &App, route: &Route) -> Result<(), ApiError> {
    /// What changes nothing but the own session.
    const FINE: &str = "/api/v1/logout";
    match app.incarnation.superseded() {
        Some(superseded) if route.method != "GET" && route.pattern != FINE => {
            Err(ApiError::conflict("superseded", superseded.says()))
        }
        Some(_) | None => Ok(()),
    }
}

/// What everybody who works with the controller has to know: that it was replaced, or that a
/// certificate or the licence needs care.
fn notice(app: &App) -> Option<HeaderValue> {
    let superseded = app.incarnation.superseded().map(|s| format!("{CONTROLLER_NOTICE}{}", s.says()));
    let expires = || {
        let text = expiry::warning(&app.kept_certificates(), Timestamp::now())?;
        Some(format!("{CONTROLLER_NOTICE}{text}"))
    };
    let text = superseded.or_else(expires).or_else(|| app.licence.state().warnings.first().cloned())?;
    // A header holds ASCII only, and one line.
    let plain = |c: char| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' };
    let text: String = text.chars().map(plain).collect();
    HeaderValue::from_str(&text).ok()
}

async fn pass(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// The answer to somebody who is nobody here, noted where that is for the audit log.
pub(super) async fn turned_away(app: Option<&web::Data<App>>, stranger: Stranger) -> ApiError {
    let Stranger { error, noted } = stranger;
    if let (Some(app), Some(refusal)) = (app, noted) {
        app.refused(*refusal, Timestamp::now()).await;
    }
    error
}

/// A change that was refused goes to the audit log.
async fn note_refusal(request: &ServiceRequest, route: &Route, caller: &Caller) -> Result<(), ApiError> {
    if route.method == "GET" {
        return Ok(());
    }
    let Some(app) = request.app_data::<web::Data<App>>() else { return Ok(()) };
    let path = crate::fleet::bounded(request.path(), 256);
    let action = Outgoing::by_user(caller.actor(), "refused", path)
        .detail(format!("{} {}: role {} is not enough", route.method, route.pattern, caller.role));
    app.commit(Batch::new(), action).await?;
    Ok(())
}
