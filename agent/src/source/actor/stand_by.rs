//! The part of the loop that waits for the right to collect, and hands it over.
//!
//! What an earlier turn of this agent took out of a queue is nowhere else: it is delivered while the agent stands by.

use super::{CLOSE_LIMIT, Connected, Loop, Stop, Stopped, unless};
use crate::health::HealthState;
use crate::host::reconnect::Reconnect;
use crate::lease::standing::Role;
use crate::source::Told;
use muster_shared::cursor::Cursor;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// What is under way when a lease is given back has this long to be delivered: a replay window of 30 s and some.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);

/// What was begun when a lease is given back has this long to end, less than [`RELEASING_LIMIT`]: for a source that takes
/// away what it reads, until what it has kept is taken away.
///
/// [`RELEASING_LIMIT`]: crate::lease::standing::RELEASING_LIMIT
const HAND_OVER_LIMIT: Duration = Duration::from_secs(45);

/// Progress is stamped so often while something is waited for.
const STAMP_EVERY: Duration = Duration::from_secs(5);

/// While it stands by, so often a source says that it is not behind.
const STAND_BY_LOOK: Duration = Duration::from_secs(5);

const ASKING: &str = "asking the controller which agent of the partition collects this";

/// What an earlier turn of this agent left behind.
enum Left {
    /// It was not looked at yet.
    Unknown,
    /// Nothing.
    Nothing,
    /// This, to be delivered.
    Some(Box<Connected>),
}

impl Left {
    async fn close(self) {
        match self {
            Self::Some(mut connected) => {
                connected.source.close(CLOSE_LIMIT).await;
            }
            Self::Unknown | Self::Nothing => {}
        }
    }
}

impl Loop {
    /// Waits for the right to collect, and takes over where the agent before stopped.
    pub(super) async fn await_lease(&mut self, backoff: &mut Reconnect) -> Result<(), Stopped> {
        let stop = self.task.stop.clone();
        self.halt = stop.clone();
        let mut moves = self.task.lease.moves();
        let mut left = Left::Unknown;
        let grant = loop {
            self.task.progress.stamp();
            if let Some(grant) = self.task.lease.grant(&stop) {
                break grant;
            }
            match self.task.lease.role() {
                // Nothing was being read when the lease was wanted back.
                Role::Releasing => {
                    self.hand_over().await;
                    continue;
                }
                // The controller has to know which partition this is.
                Role::Asking if self.task.on_partition && !(self.task.partition_known)() => {
                    self.meet_partition(backoff).await?;
                }
                Role::Asking | Role::Sole | Role::Holding | Role::StandingBy { .. } | Role::Released => {}
            }
            // Whatever it still does: the lease does not wait for it any more.
            self.closing = None;
            self.look_for_left(&mut left).await;
            self.tell_lease(&left);
            let changed = async {
                // Whether it changed or time passed, it is looked at again.
                let _ = tokio::time::timeout(STAND_BY_LOOK, moves.next()).await;
            };
            self.deliver_left(&stop, &mut left, changed).await?;
        };
        left.close().await;
        self.closing = None;
        self.stands_by = None;
        self.halt = grant.turn;
        for slot in &mut self.task.lanes {
            match grant.carried.get(slot.lane.key().destination.as_str()) {
                // A place in the spool of another agent says nothing of this one's.
                Some(Cursor::Spool(_)) => {}
                Some(cursor) => slot.lane.take_over(cursor.clone()),
                None => slot.lost |= grant.lost,
            }
        }
        // What is not stored is carried once more at the next start.
        if !grant.carried.is_empty() && self.store_positions().await {
            self.task.lease.taken_over();
        }
        self.owes_beginning = grant.lost;
        self.note_beginning();
        Ok(())
    }

    /// That it is not known where somebody stood matters until every lane has a place of its own.
    pub(super) fn note_beginning(&mut self) {
        if self.owes_beginning && self.task.lanes.iter().all(|slot| slot.lane.committed().is_some()) {
            self.owes_beginning = false;
            self.task.lease.begun();
        }
    }

    /// Connects once, for the partition's facts.
    async fn meet_partition(&mut self, backoff: &mut Reconnect) -> Result<(), Stopped> {
        let stop = self.task.stop.clone();
        let (error, wait) = match unless(&stop, self.connect()).await? {
            Ok(_) => return Ok(()),
            Err(Stop::Asked) => return Err(Stopped),
            Err(Stop::Closed(closed)) => (closed.reason, closed.wait),
            Err(Stop::Failed(error)) => {
                let wait = self.task.sign_on.wait_after(&error, backoff);
                (error.to_string(), wait)
            }
        };
        self.rest(&error, wait).await
    }

    /// Looks once for what an earlier turn left behind, and until it could be looked at.
    async fn look_for_left(&mut self, left: &mut Left) {
        if !matches!(left, Left::Unknown) {
            return;
        }
        let Some(open) = self.task.leftover.as_mut() else {
            *left = Left::Nothing;
            return;
        };
        match open().await {
            Ok(Some(connected)) if self.undelivered(&connected) == 0 => *left = self.settle(connected).await,
            Ok(Some(connected)) => *left = Left::Some(Box::new(connected)),
            Ok(None) => *left = Left::Nothing,
            Err(error) => debug!(source = self.task.name, %error, "what is left cannot be looked at yet"),
        }
    }

    /// Nothing is left to deliver. While another agent collects, nothing has to stay to go on with either.
    async fn settle(&mut self, mut connected: Connected) -> Left {
        let stands_by = matches!(self.task.lease.role(), Role::StandingBy { .. });
        let settled = stands_by && self.store_positions().await;
        if settled {
            let committed = self.committed();
            connected.source.settle(&committed).await;
        }
        connected.source.close(CLOSE_LIMIT).await;
        if settled { Left::Nothing } else { Left::Unknown }
    }

    fn committed(&self) -> Vec<Option<Cursor>> {
        self.task.lanes.iter().map(|slot| slot.lane.committed()).collect()
    }

    /// Delivers what is left until `changed`, or just waits.
    async fn deliver_left(
        &mut self,
        stop: &CancellationToken,
        left: &mut Left,
        changed: impl Future<Output = ()>,
    ) -> Result<(), Stopped> {
        let Left::Some(connected) = left else { return unless(stop, changed).await };
        let halt = stop.child_token();
        self.halt = halt.clone();
        let until = async {
            changed.await;
            halt.cancel();
            std::future::pending::<()>().await;
        };
        let delivered = async {
            loop {
                self.task.progress.stamp();
                if let Err(stopped) = self.step(connected).await {
                    return Some(stopped);
                }
                if self.undelivered(connected) == 0 {
                    return None;
                }
            }
        };
        let ended = tokio::select! {
            ended = delivered => ended,
            () = until => return Ok(()),
        };
        self.halt = stop.clone();
        match ended {
            Some(Stop::Asked) if stop.is_cancelled() => return Err(Stopped),
            // The lease has changed, or it is time to look.
            Some(Stop::Asked) => {}
            Some(Stop::Closed(_)) => {}
            Some(Stop::Failed(error)) => {
                warn!(source = self.task.name, %error, "what is left cannot be delivered now");
                std::mem::replace(left, Left::Unknown).close().await;
                return unless(stop, tokio::time::sleep(STAND_BY_LOOK)).await;
            }
            None => {
                info!(source = self.task.name, "what was left of an earlier turn is delivered");
                if let Left::Some(connected) = std::mem::replace(left, Left::Unknown) {
                    *left = self.settle(*connected).await;
                }
            }
        }
        Ok(())
    }

    fn undelivered(&self, connected: &Connected) -> u64 {
        connected.source.undelivered(&self.committed())
    }

    /// Health of a source that does not collect.
    fn tell_lease(&mut self, left: &Left) {
        let (state, reason) = match self.task.lease.role() {
            Role::Asking => (HealthState::Starting, ASKING.to_owned()),
            Role::StandingBy { holder } => (HealthState::Healthy, format!("standing by: {holder} collects")),
            Role::Releasing | Role::Released => {
                (HealthState::Healthy, "handing over to another agent of the partition".to_owned())
            }
            Role::Sole | Role::Holding => return,
        };
        if let Left::Some(connected) = left {
            let count = self.undelivered(connected);
            let reason =
                format!("{reason}; {count} entries that were taken here before are still to be delivered");
            self.task.health.report(&self.component, HealthState::Degraded, &reason);
            self.stands_by = Some(Told { state: HealthState::Degraded, reason });
            return;
        }
        self.task.health.report(&self.component, state, &reason);
        // Nothing here is behind: another agent has it.
        let now_us = jiff::Timestamp::now().as_microsecond();
        self.task.counters.looked(true, now_us);
        for slot in &self.task.lanes {
            slot.lane.looked(true, now_us);
        }
    }

    /// The right to collect is gone or wanted back: lets what is under way be delivered, and what was begun end, if there
    /// is time. While that still runs the lease is not given back.
    pub(super) async fn hand_over(&mut self) {
        let releasing = self.task.lease.role() == Role::Releasing;
        if releasing {
            self.tell_lease(&Left::Nothing);
        }
        let closing = self.closing.take();
        let closed = async {
            let mut connected = closing?;
            let ended = connected.source.close(HAND_OVER_LIMIT).await;
            (!ended).then_some(connected)
        };
        let drained = async {
            if releasing {
                self.drain_lanes().await;
            }
        };
        let progress = &self.task.progress;
        let stamped = async {
            loop {
                progress.stamp();
                tokio::time::sleep(STAMP_EVERY).await;
            }
        };
        let stop = self.task.stop.clone();
        let both = unless(&stop, futures_util::future::join(closed, drained));
        // Whatever it was that ended the wait: what is not committed is read again by the next holder.
        let still_runs = tokio::select! {
            ended = both => ended.ok().and_then(|(still_runs, ())| still_runs),
            () = stamped => None,
        };
        self.closing = still_runs;
        for slot in &self.task.lanes {
            slot.lane.set_draining(false);
            slot.lane.rewind();
        }
        // What is not stored is read again, should this agent collect again.
        let _ = self.store_positions().await;
        if self.closing.is_none() {
            self.task.lease.give_back();
        }
    }

    /// Lets what is under way be delivered.
    async fn drain_lanes(&self) {
        for slot in &self.task.lanes {
            slot.lane.set_draining(true);
        }
        let mut moves = self.task.lease.moves();
        let drained = async {
            while !self.task.lanes.iter().all(|slot| slot.lane.drained())
                && self.task.lease.role() == Role::Releasing
            {
                // A destination that breaks meanwhile wakes, too.
                tokio::select! {
                    () = self.task.wake.notified() => {}
                    () = moves.next() => {}
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_LIMIT, drained).await;
    }
}
