//! The licence.

use jiff::Timestamp;
use muster_shared::licence::Standing;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};

/// Header of every answer while the licence needs care: what to do, in one line.
pub const NOTICE_HEADER: &str = "muster-notice";

/// What its text begins with where it is not about the licence but about the controller itself.
pub const CONTROLLER_NOTICE: &str = "controller: ";

/// Where the licence stands, and what happens next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LicenceView {
    /// Where it stands.
    pub standing: Standing,
    /// What is so, and what happens next and when, in one line.
    pub says: String,
    /// What a person has to look at; nothing while all is well.
    pub warnings: Vec<String>,
    /// When the next thing happens by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// What is refused now. Collection never is.
    #[serde(default)]
    pub refused: Vec<String>,
    /// Seats in use: partitions, of which a declared pair counts once.
    pub used: u32,
    /// Seats; absent without a licence, which is as many as you like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<u32>,
    /// Pairs that the licence counts once.
    #[serde(default)]
    pub ha_pairs: u32,
    /// Declared pairs.
    #[serde(default)]
    pub pairs: Vec<LicencePair>,
    /// Those of them that are counted once.
    #[serde(default)]
    pub pairs_counted: u32,
    /// Number of the licence; empty without one, as are the fields below.
    #[serde(default)]
    pub id: String,
    /// For whom.
    #[serde(default)]
    pub customer: String,
    /// First day on which it counts, UTC.
    #[serde(default)]
    pub valid_from: String,
    /// Last day on which it counts, UTC.
    #[serde(default)]
    pub valid_until: String,
}

/// Two partitions of which one stands by for the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LicencePair {
    /// The one, `SERIAL-ID`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "78A1B2C-1"))]
    pub a: PartitionKey,
    /// The other.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "78A1B2D-1"))]
    pub b: PartitionKey,
}

impl LicencePair {
    /// Whether it is of these two, in whatever order.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        (self.a == other.a && self.b == other.b) || (self.a == other.b && self.b == other.a)
    }

    /// Whether a partition is in it.
    #[must_use]
    pub fn has(&self, partition: &PartitionKey) -> bool {
        self.a == *partition || self.b == *partition
    }
}
