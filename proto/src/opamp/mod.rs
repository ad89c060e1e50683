//! The Open Agent Management Protocol: messages, WebSocket framing, capability bits, attribute names and
//! the hash of a remote configuration.
//!
//! The generated types carry the wire; everything around them is pure. Unknown fields and bits are ignored
//! on reading, as the specification asks.

pub mod attribute;
pub mod capability;
pub mod config;
pub mod frame;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/opamp.proto.v1.rs"));
}

pub use generated::*;

/// Path of OpAMP on the controller, both transports.
pub const PATH: &str = "/v1/opamp";

/// Port of OpAMP unless configured otherwise.
pub const DEFAULT_PORT: u16 = 4320;

/// `Content-Type` that tells plain HTTP from a WebSocket upgrade.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// Header with the canonical text of the instance uid on plain HTTP, for load balancers.
pub const INSTANCE_UID_HEADER: &str = "OpAMP-Instance-UID";

/// Header of Muster's own, both ways: the incarnation that the controller is, and the highest that the agent has met.
pub const INCARNATION_HEADER: &str = "muster-incarnation";

/// Seconds between heartbeats (and polls) that the protocol assumes by default.
pub const DEFAULT_HEARTBEAT_SECONDS: u64 = 30;
