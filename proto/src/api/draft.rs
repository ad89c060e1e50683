//! Drafts: policy documents that are being written and are not in force.

use super::PolicyFault;
use jiff::Timestamp;
use muster_shared::id::Revision;
use serde::{Deserialize, Serialize};

/// A draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DraftView {
    /// Its name.
    pub name: String,
    /// Changes with every save; also the `ETag` of the answer. Whoever saves sends it as `If-Match`.
    pub etag: String,
    /// Name of the policy that it would become; empty where the text cannot be read.
    #[serde(default)]
    pub policy: String,
    /// Revision of that policy when the draft was begun; 0 for none.
    pub base: Revision,
    /// Another revision was published since then.
    pub outdated: bool,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was saved last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
    /// It could be published as it is.
    pub valid: bool,
    /// Why not.
    #[serde(default)]
    pub faults: Vec<PolicyFault>,
    /// What is allowed but probably not meant.
    #[serde(default)]
    pub warnings: Vec<PolicyFault>,
}

/// A draft with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DraftText {
    /// The draft.
    pub draft: DraftView,
    /// YAML text, exactly as it was saved.
    pub text: String,
}

/// How a draft is saved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct DraftQuery {
    /// Revision that the text was made from; default the present one for a new draft, what it was for an old
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
}
