//! Destinations: receivers of events, each with its own format, pace and cursor.

mod actor;
pub mod backoff;
pub mod config;
mod datagrams;
pub mod frame;
mod heartbeat;
mod link;
mod queue;
mod session;
mod stats;
pub mod transport;
pub mod window;
mod writing;

pub use actor::{Announce, Destination, DestinationActor, DestinationParts, STOP_LIMIT, SetLanes, Stop};
pub use config::{ConfigError, DestinationConfig};
pub use heartbeat::{HeartbeatFacts, HeartbeatSource};
pub use stats::{DestinationStats, Stats};

use crate::lane::Lane;
use muster_shared::cursor::Cursor;
use std::sync::Arc;

/// A point inside a delivery that may be committed once everything before it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Offset in [`Delivery::bytes`] just behind the last message before the mark.
    pub offset: usize,
    /// Messages before the mark, counted from the start of the delivery.
    pub events: u32,
    /// Cursor to commit.
    pub cursor: Cursor,
}

/// Messages for one destination, formatted and framed, in order.
///
/// A delivery without bytes still moves the cursor: all its events were filtered away.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub struct Delivery {
    /// The lane; `lane.add_queued(bytes.len())` was called by the sender.
    pub lane: Arc<Lane>,
    /// Epoch the batch was read in; outdated ones are thrown away.
    pub epoch: u64,
    /// Framed messages, back to back.
    pub bytes: Vec<u8>,
    /// End offset of each message, for datagram transports.
    pub ends: Vec<u32>,
    /// Marks in ascending order; the last one covers the whole delivery. About one per 256 events, so
    /// that a crash repeats little.
    pub marks: Vec<Mark>,
    /// Time of the newest entry that it covers, kept or dropped, microseconds since 1970 UTC, 0 if none: for
    /// the lag.
    pub newest_us: i64,
}
