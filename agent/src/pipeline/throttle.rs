//! What the throttles of a policy count, for each destination apart: one that lags is read for on its own, and what
//! it has not got yet must not be held back because another one has it.

use super::Target;
use muster_shared::event::Event;
use muster_shared::policy::replay::Fate;
use muster_shared::policy::throttle::{Summary, Throttle};
use muster_shared::policy::{CompiledPolicy, Verdict};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes that the keys of one source take, over all destinations.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The throttles of one source.
#[derive(Debug, Default)]
pub struct Throttles {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    policy: Option<Arc<CompiledPolicy>>,
    lanes: Vec<LaneThrottle>,
    key: String,
}

#[derive(Debug)]
struct LaneThrottle {
    destination: String,
    /// Epoch of the lane in which this was counted.
    epoch: u64,
    throttle: Throttle,
}

impl Throttles {
    /// Opens them for one batch. The lanes that were rewound since the last one begin anew: of what is read again
    /// the first ones pass again, for they may have been lost on the way.
    pub(super) fn open(&self, policy: &Arc<CompiledPolicy>, targets: &[Target]) -> Open<'_> {
        // Counts only: after a panic elsewhere they are still usable.
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let same = book.policy.as_ref().is_some_and(|known| Arc::ptr_eq(known, policy));
        if !same {
            book.lanes.iter_mut().for_each(|lane| lane.throttle.adopt(policy));
            book.policy = Some(Arc::clone(policy));
        }
        let lanes = targets.iter().map(|target| book.lane(policy, target)).collect();
        Open { book, lanes }
    }
}

impl Book {
    /// Position of a target's lane; made at first use.
    fn lane(&mut self, policy: &CompiledPolicy, target: &Target) -> usize {
        let destination = target.lane.key().destination.as_str();
        let found = self.lanes.iter().position(|lane| lane.destination == destination);
        let position = found.unwrap_or_else(|| {
            let mut throttle = Throttle::new(MAX_BYTES / policy.destinations().len().max(1));
            throttle.adopt(policy);
            self.lanes.push(LaneThrottle {
                destination: destination.to_owned(),
                epoch: target.epoch,
                throttle,
            });
            self.lanes.len() - 1
        });
        let lane = &mut self.lanes[position];
        if lane.epoch != target.epoch {
            lane.epoch = target.epoch;
            lane.throttle.clear();
        }
        position
    }
}

/// The throttles of a source while one batch passes.
pub(super) struct Open<'t> {
    book: MutexGuard<'t, Book>,
    /// Position in the book for each target.
    lanes: Vec<usize>,
}

impl Open<'_> {
    /// What becomes of an event, for these targets.
    #[inline]
    pub(super) fn settle(
        &mut self,
        policy: &CompiledPolicy,
        verdict: Verdict,
        event: &Event,
        targets: &[Target],
    ) -> Fate {
        match verdict {
            Verdict::Keep { destinations, rule } => Fate::Kept { destinations, rule },
            Verdict::Drop { rule } => Fate::Dropped { rule },
            Verdict::Throttle { destinations, rule } => {
                let Some(of_rule) = policy.throttle(rule) else {
                    return Fate::Kept { destinations, rule: Some(rule) };
                };
                let book = &mut *self.book;
                of_rule.write_key(event, &mut book.key);
                let (mut passed, mut held) = (0, 0);
                for (target, lane) in targets.iter().zip(&self.lanes) {
                    let bit = 1 << target.destination;
                    if destinations & bit != 0 {
                        let throttle = &mut book.lanes[*lane].throttle;
                        let passes = throttle.admit(rule, &book.key, event.time_us, event.severity);
                        *(if passes { &mut passed } else { &mut held }) |= bit;
                    }
                }
                if held != 0 && passed == 0 {
                    Fate::HeldBack { rule, destinations }
                } else {
                    Fate::Kept { destinations: destinations & !held, rule: Some(rule) }
                }
            }
        }
    }

    /// Everything up to this time was read.
    pub(super) fn advance(&mut self, newest_us: i64) {
        self.each(|throttle| throttle.advance(newest_us));
    }

    /// There is nothing more to read at this time of the agent's clock.
    pub(super) fn idle(&mut self, now_us: i64) {
        self.each(|throttle| throttle.idle(now_us));
    }

    fn each(&mut self, mut change: impl FnMut(&mut Throttle)) {
        for lane in &self.lanes {
            change(&mut self.book.lanes[*lane].throttle);
        }
    }

    /// Summaries that are due, for each target.
    pub(super) fn take_due(&mut self) -> Vec<Vec<Summary>> {
        self.lanes.iter().map(|lane| self.book.lanes[*lane].throttle.take_due()).collect()
    }
}
