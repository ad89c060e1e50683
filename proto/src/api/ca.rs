//! The controller's certification authority.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthorityView {
    /// Its name.
    pub name: String,
    /// SHA-256 of its public key (SPKI) in hex: what enrolment tokens pin.
    pub key_sha256: String,
    /// SHA-256 of its certificate in hex: what `muster login --fingerprint` compares.
    pub certificate_sha256: String,
    /// When its certificate expires.
    pub expires_at: Timestamp,
}

/// The authority, and how far its roll-over has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaView {
    /// Signs agents' certificates.
    pub issuing: AuthorityView,
    /// The one being replaced; still accepted. Absent where no roll-over is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<AuthorityView>,
    /// When the roll-over began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Agents that have to follow.
    pub agents: u64,
    /// Those that do not have a certificate of the new authority yet.
    pub remaining: u64,
    /// Names of some of them.
    #[serde(default)]
    pub remaining_names: Vec<String>,
}

/// Ends a roll-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaFinish {
    /// `key_sha256` of the new authority, as it was shown: nobody ends a roll-over that was not looked at.
    pub issuing: String,
    /// Even though agents are left behind, which then have to enrol anew.
    #[serde(default)]
    pub force: bool,
}
