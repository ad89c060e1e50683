//! Supervision: every child is made by a factory, watched, and replaced by a new one when it dies or
//! freezes.
//!
//! actix's own `Supervisor` does not restart an actor that panicked, and after a stop it goes on with the
//! old fields; so the children here are new values each time. Progress is what a child stamps when a step
//! completes, never a timer of its own: a hung child has a running timer.

mod child;
pub mod restart;

pub use child::{Child, Children, Factory, Running};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a child last completed a step.
#[derive(Debug, Clone)]
pub struct Progress {
    started: Instant,
    millis: Arc<AtomicU64>,
}

impl Progress {
    /// Stamped now.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), millis: Arc::new(AtomicU64::new(0)) }
    }

    /// A step was completed.
    pub fn stamp(&self) {
        // An agent does not run for 500 million years.
        self.millis.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Time since the last step.
    #[must_use]
    pub fn age(&self) -> Duration {
        let stamped = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(stamped)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
