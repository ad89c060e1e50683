//! People, what they may do, and the tokens of programs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a person may do; each role may do what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Changes agents, enrolment tokens and drafts.
    Operator,
    /// Approves what others propose.
    Approver,
    /// Everything, users and the certification authority too.
    Admin,
}

impl Role {
    /// All, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// As it is written in bodies and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|r| r.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no role: viewer, operator, approver or admin"))
    }
}

/// What an API token may do: never more than the user who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scope {
    /// `/metrics` and nothing else.
    Metrics,
    /// As a viewer.
    Read,
    /// As an operator.
    Operate,
    /// As an approver.
    Approve,
    /// As an admin.
    Admin,
}

impl Scope {
    /// All, the least first.
    pub const ALL: [Self; 5] = [Self::Metrics, Self::Read, Self::Operate, Self::Approve, Self::Admin];

    /// As it is written in bodies and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Approve => "approve",
            Self::Admin => "admin",
        }
    }

    /// The role that a token of this scope has, if any.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Metrics => None,
            Self::Read => Some(Role::Viewer),
            Self::Operate => Some(Role::Operator),
            Self::Approve => Some(Role::Approver),
            Self::Admin => Some(Role::Admin),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no scope: metrics, read, operate, approve or admin"))
    }
}

/// A new user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserRequest {
    /// 1 to 64 letters, digits or `-_.@`.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "maria", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._@-]+$")
    )]
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// The first password, at least 12 characters; absent: one is made and told in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A new user with the one-time password, where one was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserCreated {
    /// The user.
    pub user: UserView,
    /// The password, told only now; absent if the request had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Changes a user; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserChange {
    /// What the user may do from now on, in open sessions too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// True: the user's sessions end and none can be begun; API tokens stop working until it is false again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// What is known of a user; never the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserView {
    /// Name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// May not sign in.
    #[serde(default)]
    pub disabled: bool,
    /// The password was given by somebody else and not changed since.
    #[serde(default)]
    pub password_is_initial: bool,
    /// When the user was made.
    pub created_at: Timestamp,
    /// When the user last signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login: Option<Timestamp>,
    /// Open sessions.
    #[serde(default)]
    pub sessions: u64,
}

/// A password set by an admin; absent: one is made and told in the answer.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordReset {
    /// The new password, at least 12 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// One open session; its token is never told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// Id, by which it can be ended.
    pub id: String,
    /// Whose.
    pub user: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Address that it was begun from.
    pub from: String,
    /// It is a browser's (cookie).
    #[serde(default)]
    pub cookie: bool,
    /// The session of this request.
    #[serde(default)]
    pub current: bool,
}

/// Asks for an API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiTokenRequest {
    /// What it may do.
    pub scope: Scope,
    /// Life in seconds, 1 to 366 days; default 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 31_622_400))]
    pub expires_in_seconds: Option<u64>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "openapi", schema(example = "Prometheus", max_length = 200))]
    pub note: String,
}

/// A new API token. This is the only time that its text is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiTokenCreated {
    /// Its public part.
    pub view: ApiTokenView,
    /// The token's text, `mustera1.…`, to be sent as `Authorization: Bearer`.
    pub token: String,
}

/// What is known of an API token; never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiTokenView {
    /// Id, by which it can be revoked.
    pub id: String,
    /// Whose: it acts as this user, within its scope.
    pub user: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// One line for people.
    #[serde(default)]
    pub note: String,
}

macro_rules! hide {
    ($($name:ident: $($shown:ident),*;)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($shown), &self.$shown))*.finish_non_exhaustive()
            }
        }
    )*};
}

hide! {
    UserRequest: name, role;
    UserCreated: user;
    PasswordReset: ;
    ApiTokenCreated: view;
}
