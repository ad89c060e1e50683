//! Leases: which agent of a partition collects which source.

use jiff::Timestamp;
use muster_shared::id::AgentId;
use muster_shared::partition::PartitionKey;
use serde::{Deserialize, Serialize};

/// Which leases.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct LeaseQuery {
    /// `next` of the page before; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most items of a page, 1 to 1,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
    /// Only those of this partition, `SERIAL-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}

/// The lease of a source of a partition that has more than one agent for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseView {
    /// The partition, `SERIAL-ID`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "78A1B2C-3"))]
    pub partition: PartitionKey,
    /// Kind and object of the source.
    #[cfg_attr(feature = "openapi", schema(example = "audit_journal:QSYS/QAUDJRN"))]
    pub source: String,
    /// Grows whenever another agent takes over; events of a source with a stand-by carry it.
    pub epoch: u64,
    /// The agent that collects.
    pub holder: LeaseAgent,
    /// Since when.
    pub since: Timestamp,
    /// Milliseconds since the holder last renewed; it lapses after 10,000.
    pub renewed_ms_ago: u64,
    /// The agent that it is being moved to; absent while it is not moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<LeaseAgent>,
    /// Agents that would take over, in this order.
    pub stand_by: Vec<LeaseAgent>,
    /// Renewals of earlier holders that were refused since the controller started.
    pub late_renewals: u64,
}

/// An agent of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseAgent {
    /// Who.
    pub id: AgentId,
    /// Its name: that of the partition, where it knows it.
    pub name: String,
    /// It is connected.
    pub connected: bool,
}

/// Has leases of a partition moved to another of its agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseMove {
    /// The agent that shall collect.
    pub to: AgentId,
    /// Only this source; every source of the partition if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}
