//! Who makes a request: found once by the gate, taken by the handlers.
//!
//! Three things let somebody in: the token of a session or an API token as `Authorization: Bearer`, or the cookie
//! of a browser's session. A browser sends its cookie unasked, also for other people's pages; so a change by cookie
//! must carry a header that only the own page can know, and come from the own origin.

use super::error::ApiError;
use super::routes::Access;
use crate::app::App;
use crate::audit_log::{Actor, Kind, Refusal};
use crate::store::StoreError;
use crate::user::{API_TOKEN_PREFIX, SessionRecord, UserError, csrf_token, effective};
use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use jiff::Timestamp;
use muster_proto::api::{CSRF_HEADER, Role, Scope};
use std::future::{Ready, ready};
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;

/// Name of the cookie; the prefix makes browsers refuse it from anything but this host, on TLS.
pub(super) const COOKIE: &str = "__Host-muster";

/// The user of a request.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Session; of an API token, one that lasts as long as the token.
    pub(crate) session: SessionRecord,
    /// Text of what let the caller in.
    pub(crate) token: String,
    /// What the caller may do: the lesser of the user's role and the token's scope. The scope `metrics` is less
    /// than a viewer.
    pub(crate) role: Role,
    /// Scope, if an API token let the caller in.
    pub(crate) scope: Option<Scope>,
    /// From where.
    pub(crate) from: IpAddr,
}

/// Why a request has no caller.
pub(super) struct Stranger {
    /// The answer.
    pub(super) error: ApiError,
    /// What of it is for the audit log. A session that is over is not: it is what browsers come back with.
    pub(super) noted: Option<Box<Refusal>>,
}

impl<E: Into<ApiError>> From<E> for Stranger {
    fn from(error: E) -> Self {
        Self { error: error.into(), noted: None }
    }
}

impl Caller {
    /// Who it is in the audit log.
    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor { name: &self.session.user, from: self.from, token: self.api_token() }
    }

    /// Id of the API token, if one let the caller in.
    pub(crate) fn api_token(&self) -> Option<&str> {
        self.scope.map(|_| self.session.id.as_str())
    }

    /// Whose session or token the request carries.
    pub(super) fn find(request: &HttpRequest) -> Result<Self, Stranger> {
        let Some(app) = request.app_data::<web::Data<App>>() else {
            return Err(ApiError::unavailable("the controller is not ready", 1).into());
        };
        let from = super::connection(request)?.address.ip();
        let now = Timestamp::now();
        if let Some(token) = bearer(request) {
            if token.starts_with(API_TOKEN_PREFIX) {
                return Self::by_api_token(app, token, from, now);
            }
            let (session, role) = app.accounts.session(token, now)?;
            if session.cookie {
                // What was made for a browser works as a cookie only.
                return Err(UserError::NoSession.into());
            }
            return Ok(Self { session, token: token.to_owned(), role, scope: None, from });
        }
        let Some(token) = cookie(request) else {
            return Err(ApiError::unauthorised(
                "no-credential",
                "sign in with `muster login` and send the session's token as `Authorization: Bearer`",
            )
            .into());
        };
        let (session, role) = app.accounts.session(&token, now)?;
        if !session.cookie {
            return Err(UserError::NoSession.into());
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let asked = |error| csrf(request, Some(session.user.clone()), from, error);
            from_own_page(request).map_err(asked)?;
            let sent = request.headers().get(CSRF_HEADER).map_or(&b""[..], header::HeaderValue::as_bytes);
            if !bool::from(csrf_token(&token).as_bytes().ct_eq(sent)) {
                return Err(asked(ApiError::forbidden(
                    "csrf",
                    format!(
                        "a change by cookie must carry the header {CSRF_HEADER} with the value that `GET /api/v1/whoami` tells"
                    ),
                )));
            }
        }
        Ok(Self { session, token, role, scope: None, from })
    }

    fn by_api_token(app: &App, text: &str, from: IpAddr, now: Timestamp) -> Result<Self, Stranger> {
        let (token, role) = match app.accounts.api_token(text, now) {
            Ok(found) => found,
            Err(error @ UserError::NoToken) => {
                let noted = Some(Box::new(refused_token(app, text, from, now)?));
                return Err(Stranger { error: error.into(), noted });
            }
            Err(error) => return Err(error.into()),
        };
        let session = SessionRecord {
            id: token.id,
            user: token.user,
            created_at: token.created_at,
            expires_at: token.expires_at,
            from: from.to_string(),
            cookie: false,
        };
        let role = effective(role, token.scope).unwrap_or(Role::Viewer);
        Ok(Self { session, token: text.to_owned(), role, scope: Some(token.scope), from })
    }
}

/// What the audit log says of an API token that lets nobody in: more than whoever presents it is told.
fn refused_token(app: &App, text: &str, from: IpAddr, now: Timestamp) -> Result<Refusal, StoreError> {
    let (token, reason) = app.accounts.why_no_api_token(text, now)?;
    let (user, object) = token.map(|token| (token.user, token.id)).unzip();
    Ok(Refusal { kind: Kind::ApiToken, from, user, object: object.unwrap_or_default(), reason })
}

/// A change that a browser was made to ask for.
pub(super) fn csrf(request: &HttpRequest, user: Option<String>, from: IpAddr, error: ApiError) -> Stranger {
    let object = crate::fleet::bounded(request.path(), 256);
    let reason = format!("{}: {error}", request.method());
    Stranger { error, noted: Some(Box::new(Refusal { kind: Kind::Csrf, from, user, object, reason })) }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The cookie's value.
pub(super) fn cookie(request: &HttpRequest) -> Option<String> {
    let headers = request.headers().get_all(header::COOKIE).filter_map(|h| h.to_str().ok());
    let mut pairs = headers.flat_map(|h| h.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// Refuses what another site's page asked for. Programs send none of these headers.
pub(super) fn from_own_page(request: &HttpRequest) -> Result<(), ApiError> {
    let text = |name: &str| request.headers().get(name).map(|h| h.to_str().unwrap_or("?").to_owned());
    let host =
        text("host").or_else(|| request.uri().authority().map(ToString::to_string)).unwrap_or_default();
    let own = format!("https://{host}");
    let foreign = text("origin")
        .filter(|o| !o.eq_ignore_ascii_case(&own))
        .or_else(|| text("sec-fetch-site").filter(|s| !["same-origin", "none"].contains(&s.as_str())));
    match foreign {
        None => Ok(()),
        Some(origin) => Err(ApiError::forbidden(
            "csrf",
            format!("a page of another origin ({}) asked for this", crate::fleet::bounded(&origin, 100)),
        )),
    }
}

/// Whether the caller may use a route.
pub(super) fn may(caller: &Caller, access: Access) -> Result<(), ApiError> {
    let user = &caller.session.user;
    let least = match access {
        Access::Public | Access::Agent => return Ok(()),
        Access::Metrics if caller.scope == Some(Scope::Metrics) => return Ok(()),
        Access::Person(_) if caller.scope.is_some() => {
            return Err(ApiError::forbidden(
                "person",
                "this is for people: sign in with `muster login`, an API token cannot do it",
            ));
        }
        Access::Metrics => Role::Viewer,
        Access::Role(least) | Access::Person(least) => least,
    };
    match caller.scope {
        Some(Scope::Metrics) => {
            Err(ApiError::forbidden("scope", "this API token of scope metrics is for /metrics only"))
        }
        Some(scope) if caller.role < least => Err(ApiError::forbidden(
            "scope",
            format!(
                "this needs the role {least}; the API token of {user} has scope {scope} and role {}",
                caller.role
            ),
        )),
        Some(_) | None if caller.role >= least => Ok(()),
        Some(_) | None => Err(ApiError::forbidden(
            "role",
            format!("this needs the role {least}, and {user} is {}; ask an admin", caller.role),
        )),
    }
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
