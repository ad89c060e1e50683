//! Enrolment tokens.

use super::Labels;
use jiff::Timestamp;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Asks for an enrolment token. All fields may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenRequest {
    /// Life in seconds, 1 to 90 days; default 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// How many agents may enrol with it, 1 to 10,000; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Labels that its agents get.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// URLs (`wss://host:port/v1/opamp`) that its agents shall use; default the controller's own names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// One line for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Each agent waits for a person's approval.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
    /// The partition that it is for, `SERIAL-NUMBER`: lets an agent join it although it is known already, and
    /// no agent of another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "78A1B2C-3"))]
    pub partition: Option<PartitionKey>,
}

/// A new token. This is the only time that its text is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenCreated {
    /// Its public part.
    pub view: TokenView,
    /// The token's text, `muster1.…`, to be given to `muster-agent enrol --token-file`.
    pub token: String,
}

/// What is known of a token; never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenView {
    /// Id, by which it can be deleted.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many agents may enrol with it.
    pub uses: u32,
    /// How many did.
    pub used: u32,
    /// Labels that its agents get.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// URLs that it carries.
    #[serde(default)]
    pub urls: Vec<String>,
    /// One line for people.
    #[serde(default)]
    pub note: String,
    /// Each agent waits for a person's approval.
    #[serde(default)]
    pub approve: bool,
    /// The partition that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "78A1B2C-3"))]
    pub partition: Option<PartitionKey>,
    /// It pins an authority that was replaced: nobody can enrol with it any more.
    #[serde(default)]
    pub void: bool,
}

impl fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCreated").field("view", &self.view).finish_non_exhaustive()
    }
}
