//! Figures of one destination, readable from any thread; they survive a restart of the actor.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// Live figures of one destination; see [`Stats::snapshot`].
#[derive(Debug, Default)]
pub struct Stats {
    pub(super) connected: AtomicBool,
    pub(super) delivered: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) breaks: AtomicU64,
    pub(super) lost_datagrams: AtomicU64,
    pub(super) heartbeats: AtomicU64,
    pub(super) queued_bytes: AtomicUsize,
    pub(super) newest_us: AtomicI64,
    last_error: Mutex<Option<String>>,
}

/// Figures of one destination at one moment. Counters count since the agent started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DestinationStats {
    /// Whether it is connected (UDP: whether its socket is open).
    pub connected: bool,
    /// Events written, those sent again included, heartbeats not.
    pub delivered: u64,
    /// Bytes written, frames and heartbeats included.
    pub bytes: u64,
    /// Connections made.
    pub connections: u64,
    /// Connections that broke.
    pub breaks: u64,
    /// Datagrams known to be lost: the receiver's host or the own kernel refused them.
    pub lost_datagrams: u64,
    /// Heartbeats written.
    pub heartbeats: u64,
    /// Bytes that wait to be written.
    pub queued_bytes: usize,
    /// Time of the newest event written, microseconds since 1970 UTC; 0 before the first. The lag is the
    /// present time less this while events wait.
    pub newest_us: i64,
    /// Why it last could not be reached, kept after it works again.
    pub last_error: Option<String>,
}

impl Stats {
    /// The figures now.
    #[must_use]
    pub fn snapshot(&self) -> DestinationStats {
        DestinationStats {
            connected: self.connected.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            breaks: self.breaks.load(Ordering::Relaxed),
            lost_datagrams: self.lost_datagrams.load(Ordering::Relaxed),
            heartbeats: self.heartbeats.load(Ordering::Relaxed),
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed),
            newest_us: self.newest_us.load(Ordering::Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
        }
    }

    pub(super) fn set_error(&self, reason: &str) {
        *self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(reason.to_owned());
    }

    pub(super) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn saw(&self, newest_us: i64) {
        self.newest_us.fetch_max(newest_us, Ordering::Relaxed);
    }
}
