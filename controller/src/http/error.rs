//! Errors become RFC 9457 problems here and nowhere else.

use crate::audit_log::AuditError;
use crate::identity::life::LifeError;
use crate::identity::roll_over::RollOverError;
use crate::licence::NotLicensed;
use crate::proposal::Refused;
use crate::store::StoreError;
use crate::user::UserError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use muster_proto::api::{PROBLEM_CONTENT_TYPE, PolicyFault, Problem, UPLOAD_OFFSET_HEADER};
use std::fmt;

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    problem: Box<Problem>,
    retry_after_seconds: Option<u64>,
    allow: Option<String>,
    upload_offset: Option<u64>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.detail)
    }
}

impl ApiError {
    fn new(code: &str, title: &str, status: StatusCode, detail: impl Into<String>) -> Self {
        let problem = Box::new(Problem::new(code, title, status.as_u16(), detail));
        Self { problem, retry_after_seconds: None, allow: None, upload_offset: None }
    }

    /// 400.
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(code, "The request cannot be used", StatusCode::BAD_REQUEST, detail)
    }

    /// 401.
    pub fn unauthorised(code: &str, detail: impl Into<String>) -> Self {
        Self::new(code, "Not admitted", StatusCode::UNAUTHORIZED, detail)
    }

    /// 403.
    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::new(code, "Refused", StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new("not-found", "Not found", StatusCode::NOT_FOUND, detail)
    }

    /// 405.
    pub fn method_not_allowed(method: &Method, path: &str, allowed: &str) -> Self {
        let detail = format!("{path} cannot be done with {method}, only with {allowed}");
        let error = Self::new("method", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED, detail);
        Self { allow: Some(allowed.to_owned()), ..error }
    }

    /// 409.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(code, "Conflict", StatusCode::CONFLICT, detail)
    }

    /// Tells where the next piece of an upload begins.
    #[must_use]
    pub fn with_offset(self, offset: u64) -> Self {
        Self { upload_offset: Some(offset), ..self }
    }

    /// 416: what is asked for is behind the end of the file.
    pub fn behind_the_end(size: u64) -> Self {
        let detail = format!("the file has {size} bytes, and what is asked for begins behind them");
        Self::new("range", "Not that part", StatusCode::RANGE_NOT_SATISFIABLE, detail)
    }

    /// 507: the disk is full.
    pub fn no_room(detail: impl Into<String>) -> Self {
        Self::new("no-room", "No room", StatusCode::INSUFFICIENT_STORAGE, detail)
    }

    /// 410: another one does this now.
    pub fn gone(code: &str, detail: impl Into<String>) -> Self {
        Self::new(code, "Gone", StatusCode::GONE, detail)
    }

    /// 412: somebody else was faster.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new("changed-meanwhile", "Changed meanwhile", StatusCode::PRECONDITION_FAILED, detail)
    }

    /// 428: the request does not say which version it knows.
    pub fn precondition_required(detail: impl Into<String>) -> Self {
        let status = StatusCode::PRECONDITION_REQUIRED;
        Self::new("precondition-required", "Say what you know", status, detail)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than {limit} bytes (after decompression)");
        Self::new("too-large", "Too large", StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 415.
    pub fn unsupported_media_type(expected: &str) -> Self {
        let detail = format!("this path takes bodies of content type {expected}");
        Self::new("media-type", "Wrong content type", StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 422.
    pub fn unprocessable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(code, "The request cannot be used", StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 422 with the faults of a policy.
    pub fn invalid_policy(faults: Vec<PolicyFault>) -> Self {
        let detail = match faults.first() {
            Some(first) if first.line > 0 => {
                format!(
                    "line {}, column {}: {} ({} in all); nothing was changed",
                    first.line,
                    first.column,
                    first.message,
                    faults.len()
                )
            }
            Some(first) => format!("{} ({} in all); nothing was changed", first.message, faults.len()),
            None => "the policy cannot be used; nothing was changed".to_owned(),
        };
        let mut error = Self::new(
            "policy-invalid",
            "The policy cannot be used",
            StatusCode::UNPROCESSABLE_ENTITY,
            detail,
        );
        error.problem.faults = faults;
        error
    }

    /// 429.
    pub fn too_many(detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        let error = Self::new("throttled", "Too many attempts", StatusCode::TOO_MANY_REQUESTS, detail);
        Self { retry_after_seconds: Some(retry_after_seconds), ..error }
    }

    /// 503.
    pub fn unavailable(detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        let error = Self::new("unavailable", "Not now", StatusCode::SERVICE_UNAVAILABLE, detail);
        Self { retry_after_seconds: Some(retry_after_seconds), ..error }
    }

    /// 502: an agent answered in a way that cannot be read.
    pub fn bad_gateway(detail: impl Into<String>) -> Self {
        Self::new("agent-odd", "The agent's answer cannot be read", StatusCode::BAD_GATEWAY, detail)
    }

    /// 504: an agent did not answer.
    pub fn gateway_timeout(detail: impl Into<String>) -> Self {
        Self::new("agent-silent", "The agent did not answer", StatusCode::GATEWAY_TIMEOUT, detail)
    }

    /// 500; the cause goes to the log, not to the client.
    pub fn internal(tried: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, tried, "request failed");
        let detail = format!("{tried}; the controller's log tells why");
        Self::new("internal", "The controller failed", StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// 400 to a request that should have been a WebSocket upgrade.
    pub fn not_an_upgrade(error: &actix_http::ws::HandshakeError) -> Self {
        let detail = format!("this path takes WebSocket upgrades and OpAMP polls (POST): {error}");
        Self::bad_request("not-an-upgrade", detail)
    }

    /// What became of a body that could not be read.
    pub fn unreadable_body(error: &actix_web::Error, limit: usize) -> Self {
        let status = error.as_response_error().status_code();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::too_large(limit);
        }
        Self::bad_request("body-unreadable", format!("the body cannot be read: {error}"))
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(PROBLEM_CONTENT_TYPE);
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if let Some(offset) = self.upload_offset {
            response.insert_header((UPLOAD_OFFSET_HEADER, offset));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.body(crate::store::encode(&*self.problem))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } => Self::conflict("changed-meanwhile", error.to_string()),
            StoreError::TooLarge { .. } => Self::bad_request("too-large", error.to_string()),
            StoreError::Closed => Self::unavailable(error.to_string(), 2),
            StoreError::Unreadable { .. } | StoreError::Io { .. } | StoreError::InUse { .. } => {
                Self::internal("the controller's store failed", &error)
            }
        }
    }
}

impl From<NotLicensed> for ApiError {
    fn from(refused: NotLicensed) -> Self {
        Self::forbidden("licence", refused.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::not_found(refused.to_string()),
            Refused::Decided(_) => Self::conflict("decided", refused.to_string()),
            Refused::OwnProposal(_) => Self::forbidden("own-proposal", refused.to_string()),
            Refused::TooMany => Self::conflict("too-many-proposals", refused.to_string()),
        }
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        Self::internal("the audit log failed", &error)
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Wrong => Self::unauthorised("wrong-password", error.to_string()),
            UserError::NoSession => Self::unauthorised("no-session", error.to_string()),
            UserError::NoToken => Self::unauthorised("no-api-token", error.to_string()),
            UserError::Throttled(wait) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Self::too_many(error.to_string(), seconds.max(1))
            }
            UserError::Busy => Self::unavailable(error.to_string(), 1),
            UserError::Unknown(_) => Self::not_found(error.to_string()),
            UserError::Taken(_) => Self::conflict("user-exists", error.to_string()),
            UserError::LastAdmin => Self::conflict("last-admin", error.to_string()),
            UserError::ScopeTooLarge { .. } => Self::forbidden("scope", error.to_string()),
            UserError::Invalid { code, reason } => Self::bad_request(code, reason),
            UserError::Weak => Self::bad_request("weak-password", error.to_string()),
            UserError::Store(error) => error.into(),
            UserError::Hash => Self::internal("the password could not be hashed", &error),
        }
    }
}

impl From<LifeError> for ApiError {
    fn from(error: LifeError) -> Self {
        match error {
            LifeError::Gone(_) => Self::not_found(error.to_string()),
            LifeError::NotHeld(_) => Self::conflict("not-quarantined", error.to_string()),
            LifeError::Revoked(_) => Self::conflict("revoked", error.to_string()),
            LifeError::Store(error) => error.into(),
        }
    }
}

impl From<RollOverError> for ApiError {
    fn from(error: RollOverError) -> Self {
        match error {
            RollOverError::UnderWay(_) => Self::conflict("roll-over-under-way", error.to_string()),
            RollOverError::NotUnderWay | RollOverError::Other => {
                Self::conflict("no-roll-over", error.to_string())
            }
            RollOverError::Unfinished(_) => Self::conflict("agents-left", error.to_string()),
            RollOverError::Store(error) => error.into(),
            RollOverError::Authority(_) | RollOverError::Tls(_) => {
                Self::internal("the authority was not replaced", &error)
            }
        }
    }
}
