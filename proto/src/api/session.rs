//! Signing in and out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// To be sent as `Authorization: Bearer <token>`.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The password is still the one-time password of the first start; it works, but should be changed.
    #[serde(default)]
    pub password_is_initial: bool,
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
    /// When the session ends.
    pub expires_at: Timestamp,
    /// As in [`LoginReply`].
    #[serde(default)]
    pub password_is_initial: bool,
    /// Release of the controller.
    pub controller_version: String,
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
