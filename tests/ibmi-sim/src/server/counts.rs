//! What clients have done, for tests that ask how often.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// What clients have done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// TCP connections accepted, refused ones during a restart among them.
    pub connections: u64,
    /// `connect` requests that were let in.
    pub sign_ons: u64,
    /// `connect` requests that were refused, for whatever reason.
    pub refused_sign_ons: u64,
    /// Requests of all sockets.
    pub requests: u64,
    /// Byte cells kept beside a reply.
    pub blobs_kept: u64,
    /// Of these, fetched.
    pub blobs_fetched: u64,
    /// Requests for bytes that were refused.
    pub blobs_refused: u64,
}

/// The same while it goes on.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) connections: AtomicU64,
    pub(super) sign_ons: AtomicU64,
    pub(super) refused_sign_ons: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) blobs_kept: AtomicU64,
    pub(super) blobs_fetched: AtomicU64,
    pub(super) blobs_refused: AtomicU64,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connections: read(&self.connections),
            sign_ons: read(&self.sign_ons),
            refused_sign_ons: read(&self.refused_sign_ons),
            requests: read(&self.requests),
            blobs_kept: read(&self.blobs_kept),
            blobs_fetched: read(&self.blobs_fetched),
            blobs_refused: read(&self.blobs_refused),
        }
    }
}
