//! Signing in and out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Header that a change by cookie must carry, with the value that [`LoginReply::csrf_token`] told.
pub const CSRF_HEADER: &str = "x-muster-csrf";

/// What kind of session to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct LoginQuery {
    /// The session's token is set as a cookie (for browsers) and not told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cookie: bool,
}

/// User and password, exchanged for a session token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginRequest {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// A session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginReply {
    /// To be sent as `Authorization: Bearer <token>`; empty if it was set as a cookie.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The password is still the one-time password of the first start; it works, but should be changed.
    #[serde(default)]
    pub password_is_initial: bool,
    /// Of a cookie session: to be sent in the header `x-muster-csrf` with every change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
}

/// A new password for the user of the session; ends the user's other sessions.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordChange {
    /// The present password.
    pub current: String,
    /// The new one, at least 12 characters.
    pub new: String,
}

/// The session's user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhoAmI {
    /// User name.
    pub user: String,
    /// What the user may do.
    #[serde(default = "viewer")]
    pub role: super::Role,
    /// Scope of the API token, if the request carried one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<super::Scope>,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// As in [`LoginReply`].
    #[serde(default)]
    pub password_is_initial: bool,
    /// Release of the controller.
    pub controller_version: String,
    /// As in [`LoginReply`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoginReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginReply").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChange").finish_non_exhaustive()
    }
}

/// What a controller that does not tell the role of its users gives.
fn viewer() -> super::Role {
    super::Role::Viewer
}
