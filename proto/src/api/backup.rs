//! Backups of the controller, and what a restored one has to tell.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Content type of a backup's file.
pub const BACKUP_CONTENT_TYPE: &str = "application/octet-stream";

/// One backup in the controller's folder of backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupView {
    /// Name of its file.
    #[cfg_attr(feature = "openapi", schema(example = "muster-20261126T040000000Z.muster-backup"))]
    pub name: String,
    /// The moment that it holds.
    pub taken_at: Timestamp,
    /// Size of the file.
    pub bytes: u64,
    /// When the controller last read it wholly and found it good; absent for one that it did not make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
}

/// A backup that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupFailure {
    /// When.
    pub at: Timestamp,
    /// Why, and what to do.
    pub reason: String,
}

/// The backups, and how they come about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupList {
    /// Newest first.
    pub backups: Vec<BackupView>,
    /// The folder; absent while the controller makes no backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Hours between two backups.
    #[serde(default)]
    pub every_hours: u32,
    /// Backups that are kept.
    #[serde(default)]
    pub keep: u32,
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Timestamp>,
    /// When the last good one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    /// What failed since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<BackupFailure>,
}

/// Which incarnation of its fleet's controller this is, and what the last restore left to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestoreView {
    /// Number of the incarnation; 1 for a controller that was never restored.
    pub incarnation: u64,
    /// Its random id.
    pub id: String,
    /// The restore that this incarnation began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredView>,
    /// Set when a restored controller has taken this one's place: this one changes nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<SupersededView>,
}

/// What a restore brought back, and what is left to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestoredView {
    /// When it was restored.
    pub at: Timestamp,
    /// The moment that the backup holds: what was done later is lost.
    pub taken_at: Timestamp,
    /// The highest number of a policy's revision in the backup.
    pub last_revision: u64,
    /// What was done after the backup, as the exported audit log tells, and what became of it.
    pub redo: Vec<String>,
    /// Revisions that agents ran when they came back and that the backup does not have.
    pub lost_revisions: Vec<LostRevision>,
    /// Agents that were refused because they enrolled after the backup: they have to enrol anew.
    pub unknown_agents: Vec<String>,
    /// Agents that came back with a certificate that the lost controller had renewed.
    pub renewed_agents: u64,
}

/// A revision that is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LostRevision {
    /// Its number.
    pub revision: u64,
    /// How many agents ran it.
    pub agents: u64,
}

/// That a restored controller has taken this one's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SupersededView {
    /// Since when this is known.
    pub since: Timestamp,
    /// Number of the incarnation that counts.
    pub by: u64,
    /// In words, with what to do.
    pub says: String,
}
