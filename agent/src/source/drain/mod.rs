//! Data queues are emptied into the spool and read from there: shared by all sources that do so.
//!
//! ```text
//! queue ──look──▸ spool, synced ──▸ queue: take out exactly those ──compare──▸ mark
//!                   │
//!                   └──▸ read ──▸ events, whatever the partition does
//! ```
//! Promises: an entry is taken out of the queue only after it lies on the agent's disk; an agent that is killed at any
//! moment finds it in the queue or in the spool and gives it one number. Emptying goes on while a destination is down,
//! until the spool is full, and delivery goes on while the partition is away. What another reader makes come out
//! unlooked-at is kept at once and told.
//!
//! What is not promised: two entries with the same bytes from the same sender in the same microsecond are told apart by
//! their count alone; and another program that takes entries out of the queue gets them.

pub mod beside;
pub mod entry;
pub mod ledger;
pub mod query;
mod shadow;
mod source;
pub mod standing;
mod task;
mod under_way;

pub use source::{Begin, Decode, Spooled};
pub use task::{Delivered, Dial, Drain, Running, Store};

use crate::host::Host;
use crate::source::SourceError;
use query::QueueName;
use std::time::Duration;

/// Looks once whether a queue, LIBRARY/NAME, can be emptied, and takes nothing: for `check-config --connect`.
///
/// # Errors
/// Why it cannot, and what to do.
pub async fn look_once(host: &mut dyn Host, queue: &str) -> Result<(), SourceError> {
    const WAIT: Duration = Duration::from_secs(30);
    let Some(queue) = QueueName::parse(queue) else {
        return Err(SourceError::Setup(format!("`{queue}` is no data queue; write LIBRARY/NAME")));
    };
    let user = host.user().to_owned();
    let explain = |error: crate::host::HostError| match query::advice(&error, &queue, &user) {
        Some(advice) => SourceError::Setup(advice),
        None => SourceError::Host(error),
    };
    let rows = host.query(&query::describe(&queue), &[], 2, WAIT).await.map_err(explain)?;
    let shape = query::shape(&rows)
        .map_err(|reason| SourceError::Setup(format!("data queue {queue} cannot be emptied: {reason}")))?
        .ok_or_else(|| SourceError::Setup(query::missing(&queue, &user)))?;
    host.query(&query::look(&queue, &shape, 1, false), &[], 2, WAIT).await.map_err(explain)?;
    Ok(())
}

#[cfg(test)]
mod tests;
