//! Who makes a request: the extractor that every route but `login` takes.

use super::error::ApiError;
use crate::app::App;
use crate::user::SessionRecord;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use jiff::Timestamp;
use std::future::{Ready, ready};
use std::net::IpAddr;

/// The user of a request.
pub(crate) struct Caller {
    /// Session.
    pub(crate) session: SessionRecord,
    /// Its token.
    pub(crate) token: String,
    /// From where.
    pub(crate) from: IpAddr,
}

impl Caller {
    fn find(request: &HttpRequest) -> Result<Self, ApiError> {
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
        let session = app.accounts.session(token, Timestamp::now())?;
        let from = super::connection(request)?.address.ip();
        Ok(Self { session, token: token.to_owned(), from })
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::find(request))
    }
}
