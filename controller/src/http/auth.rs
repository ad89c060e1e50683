//! Who makes a request: found once by the gate, taken by the handlers.

use super::error::ApiError;
use super::routes::Access;
use crate::app::App;
use crate::user::SessionRecord;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use jiff::Timestamp;
use muster_proto::api::Role;
use std::future::{Ready, ready};
use std::net::IpAddr;

/// The user of a request.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Session.
    pub(crate) session: SessionRecord,
    /// Its token.
    pub(crate) token: String,
    /// What the user may do.
    pub(crate) role: Role,
    /// From where.
    pub(crate) from: IpAddr,
}

impl Caller {
    /// Whose session the request carries.
    pub(super) fn find(request: &HttpRequest) -> Result<Self, ApiError> {
        let Some(app) = request.app_data::<web::Data<App>>() else {
            return Err(ApiError::unavailable("the controller is not ready", 1));
        };
        let header = request.headers().get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
        let token = header.and_then(|h| h.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else {
            return Err(ApiError::unauthorised(
                "no-credential",
                "sign in with `muster login` and send the session's token as `Authorization: Bearer`",
            ));
        };
        let token = token.trim();
        let (session, role) = app.accounts.session(token, Timestamp::now())?;
        let from = super::connection(request)?.address.ip();
        Ok(Self { session, token: token.to_owned(), role, from })
    }
}

/// Whether the caller may use a route.
pub(super) fn may(caller: &Caller, access: Access) -> Result<(), ApiError> {
    let least = match access {
        Access::Public | Access::Agent => return Ok(()),
        Access::Role(least) | Access::Person(least) => least,
        Access::Metrics => Role::Viewer,
    };
    if caller.role >= least {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "role",
        format!("this needs the role {least}, and {} is {}; ask an admin", caller.session.user, caller.role),
    ))
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        // A handler that asks for the caller on a route that lets everybody in.
        ready(caller.ok_or_else(|| ApiError::unauthorised("no-credential", "this path knows no user")))
    }
}
