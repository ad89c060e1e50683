//! Errors on the HTTP interface: RFC 9457.

use super::PolicyFault;
use serde::{Deserialize, Serialize};

/// Content type of a [`Problem`].
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// What went wrong and what to do about it (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Stable name of the kind of problem, `urn:muster:problem:CODE`; programs match on this.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short text, the same for every problem of this kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// Path of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Faults of a policy document, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<PolicyFault>,
}

impl Problem {
    /// Prefix of every [`Problem::kind`].
    pub const KIND_PREFIX: &str = "urn:muster:problem:";

    /// A problem of the kind `code` (lower-case words joined by `-`).
    #[must_use]
    pub fn new(code: &str, title: &str, status: u16, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{}{code}", Self::KIND_PREFIX),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            instance: String::new(),
            faults: Vec::new(),
        }
    }

    /// The kind without its prefix, e.g. `token-expired`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.kind.strip_prefix(Self::KIND_PREFIX).unwrap_or(&self.kind)
    }
}
