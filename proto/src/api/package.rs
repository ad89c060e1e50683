//! Release packages in the controller's repository.

use super::HoldView;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Content type of a piece of a package's file.
pub const PACKAGE_CONTENT_TYPE: &str = "application/octet-stream";
/// Header of a piece: where in the file it begins.
pub const UPLOAD_OFFSET_HEADER: &str = "upload-offset";

/// Begins the upload of a package's file, or finds the one that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageUploadRequest {
    /// Bytes of the whole file.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, example = 20_480))]
    pub size: u64,
}

/// Where an upload stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageUpload {
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// Bytes that are there: the next piece begins here.
    pub offset: u64,
    /// The package, once all of it is there and was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageView>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageView {
    /// What it upgrades.
    #[cfg_attr(feature = "openapi", schema(example = "muster-agent"))]
    pub name: String,
    /// Its version.
    #[cfg_attr(feature = "openapi", schema(example = "0.2.0"))]
    pub version: String,
    /// Where it runs.
    #[cfg_attr(feature = "openapi", schema(example = "x86_64-linux"))]
    pub platform: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Bytes of its file.
    pub size: u64,
    /// Versions that may be upgraded to it directly.
    #[cfg_attr(feature = "openapi", schema(example = ">=0.1.0"))]
    pub upgrade_from: String,
    /// Once it was installed no version below this one is, but for the one that ran just before.
    pub floor: String,
    /// One line by the vendor; may be empty.
    #[serde(default)]
    pub notes: String,
    /// It mends a hole, says the vendor: it may be rolled out whatever the licence says.
    #[serde(default)]
    pub security: bool,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// When.
    pub uploaded_at: Timestamp,
    /// Its file is there. It is not after a restore, for backups hold no packages: upload it again.
    pub present: bool,
    /// Set once it was retired: new rollouts do not offer it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<HoldView>,
}

/// Retires a package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageRetire {
    /// Why, one line.
    #[serde(default)]
    pub reason: String,
}
