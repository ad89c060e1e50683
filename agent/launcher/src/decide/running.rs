//! The part of the state machine that has an agent: from its start to what its end means.

use super::change::{self, Standing, standing};
use super::event::seconds;
use super::pace::{LOOPING, Pace, SETTLED};
use super::{
    Act, Decision, EXIT_CONFIG, End, Exit, LEAVE, Line, Machine, PEEK_EVERY, Phase, Run, STOP, STOP_TRIAL,
};
use muster_package::slots::Trial;
use std::time::Duration;

impl Machine {
    pub(super) fn started(&mut self, now: Duration, decision: &mut Decision) {
        match &self.phase {
            Phase::Starting => {
                let peek_at = now.saturating_add(PEEK_EVERY);
                self.phase =
                    Phase::Running(Run { since: now, confirmed: None, unwell: None, peek_at, ordered: None });
                let what = change::to_run(&self.launch);
                decision.say(match &self.launch.trial {
                    None => format!("{what} is started"),
                    Some(Trial { probation: Some(_), .. }) => format!("{what} is started, in its probation"),
                    Some(trial) => {
                        let limit = trial.order.healthy_seconds;
                        format!("{what} is started on trial: it has {limit} s to be healthy")
                    }
                });
            }
            Phase::Looking { .. }
            | Phase::Checking { .. }
            | Phase::Running(_)
            | Phase::Stopping { .. }
            | Phase::Pausing { .. }
            | Phase::Over => self.again(decision),
        }
    }

    pub(super) fn not_started(&mut self, why: String, now: Duration, decision: &mut Decision) {
        match &self.phase {
            Phase::Starting => {
                change::uncount_start(&mut self.launch);
                let end = End { ran: Duration::ZERO, exit: Exit::NotStarted(why), since_confirmed: None };
                self.judge(&end, now, decision);
            }
            Phase::Looking { .. }
            | Phase::Checking { .. }
            | Phase::Running(_)
            | Phase::Stopping { .. }
            | Phase::Pausing { .. }
            | Phase::Over => self.again(decision),
        }
    }

    pub(super) fn said(&mut self, line: Line, now: Duration, decision: &mut Decision) {
        let standing = standing(&self.launch);
        let (Phase::Running(run), Standing::Trial, Some(trial)) =
            (&mut self.phase, standing, &mut self.launch.trial)
        else {
            return self.again(decision);
        };
        match line {
            Line::Healthy => {
                if !trial.healthy {
                    trial.healthy = true;
                    decision.try_store();
                }
            }
            Line::Connected => {
                if !trial.connected {
                    trial.connected = true;
                    decision.try_store();
                }
            }
            Line::Unwell(what) => run.unwell = Some(what),
        }
        if trial.healthy && (trial.connected || !trial.order.connected) {
            run.confirmed = Some(now);
            decision.say(format!(
                "{} is confirmed, and must not end by itself for {} s",
                trial.order.to, trial.order.probation_seconds
            ));
            change::confirm(&mut self.launch);
            decision.try_store();
        }
    }

    /// An agent that ordered ends by itself, so that it stores its cursors in its own time; one that does not is made to.
    pub(super) fn peeked(&mut self, there: bool, now: Duration, decision: &mut Decision) {
        match &mut self.phase {
            Phase::Running(run) => {
                run.peek_at = now.saturating_add(PEEK_EVERY);
                run.ordered = there.then(|| run.ordered.unwrap_or(now));
                if run.ordered.is_some_and(|since| now >= since.saturating_add(LEAVE)) {
                    decision.say(format!(
                        "the agent ordered another version {} ago and still runs: it is asked to end",
                        seconds(LEAVE)
                    ));
                    self.stop(false, now.saturating_add(STOP_TRIAL), decision);
                }
            }
            Phase::Looking { .. }
            | Phase::Checking { .. }
            | Phase::Starting
            | Phase::Stopping { .. }
            | Phase::Pausing { .. }
            | Phase::Over => self.again(decision),
        }
    }

    pub(super) fn ended(&mut self, exit: Exit, now: Duration, decision: &mut Decision) {
        match &self.phase {
            Phase::Running(run) => {
                let end = End {
                    ran: now.saturating_sub(run.since),
                    exit,
                    since_confirmed: run.confirmed.map(|at| now.saturating_sub(at)),
                };
                self.phase = Phase::Looking { end: Some(end) };
            }
            Phase::Stopping { for_good: true, .. } => {
                decision.say(format!("the agent ended ({exit}), and so does the launcher"));
                self.phase = Phase::Over;
            }
            Phase::Stopping { for_good: false, .. } => self.phase = Phase::Looking { end: None },
            Phase::Looking { .. }
            | Phase::Checking { .. }
            | Phase::Starting
            | Phase::Pausing { .. }
            | Phase::Over => (),
        }
        self.again(decision);
    }

    pub(super) fn run_deadline(&self, run: &Run) -> Option<Duration> {
        let trial = self.launch.trial.as_ref()?;
        let after = |since: Duration, seconds: u64| since.saturating_add(Duration::from_secs(seconds));
        match standing(&self.launch) {
            Standing::Trial => {
                let healthy = (!trial.healthy).then(|| after(run.since, trial.order.healthy_seconds));
                let connected = (trial.order.connected && !trial.connected)
                    .then(|| after(run.since, trial.order.connected_seconds));
                healthy.into_iter().chain(connected).min()
            }
            Standing::Probation => {
                Some(after(run.confirmed.unwrap_or(run.since), trial.order.probation_seconds))
            }
            Standing::Settled => None,
        }
    }

    pub(super) fn timer(&mut self, now: Duration, decision: &mut Decision) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return self.again(decision);
        }
        match self.phase.clone() {
            Phase::Running(run) => self.run_timer(&run, now, decision),
            Phase::Stopping { for_good, kill_at, .. } => {
                decision.say("the agent does not end when asked to, and is killed".to_owned());
                self.phase = Phase::Stopping { for_good, kill_at, killed: true };
                decision.act = Act::Kill;
            }
            Phase::Pausing { .. } => {
                self.phase = Phase::Looking { end: None };
                decision.act = Act::Look;
            }
            Phase::Looking { .. } | Phase::Checking { .. } | Phase::Starting | Phase::Over => {
                self.again(decision)
            }
        }
    }

    fn run_timer(&mut self, run: &Run, now: Duration, decision: &mut Decision) {
        if self.run_deadline(run).is_none_or(|deadline| now < deadline) {
            decision.act = Act::Peek;
            return;
        }
        match standing(&self.launch) {
            Standing::Trial => self.trial_is_late(run, now, decision),
            Standing::Probation => {
                change::settle(&mut self.launch);
                decision.try_store();
                decision.say(format!("{} has passed its probation", self.launch.current));
            }
            Standing::Settled => (),
        }
    }

    /// The version on trial did not show itself in time. That is stored before the agent is asked to end: a power cut in
    /// between must not give it another chance.
    fn trial_is_late(&mut self, run: &Run, now: Duration, decision: &mut Decision) {
        let Some(Trial { order, healthy, .. }) = change::open_trial(&self.launch) else { return };
        let limit = Duration::from_secs(order.healthy_seconds);
        let unwell = run.unwell.as_ref().map_or(String::new(), |what| format!(": {what}"));
        let why = if !healthy && now >= run.since.saturating_add(limit) {
            format!("it was not healthy within {}{unwell}", seconds(limit))
        } else {
            format!("it was not connected to a controller within {} s", order.connected_seconds)
        };
        self.give_up_trial(why, decision);
        self.stop(false, now.saturating_add(STOP_TRIAL), decision);
    }

    fn stop(&mut self, for_good: bool, kill_at: Duration, decision: &mut Decision) {
        self.phase = Phase::Stopping { for_good, kill_at, killed: false };
        decision.act = Act::Term;
    }

    pub(super) fn stop_asked(&mut self, now: Duration, decision: &mut Decision) {
        match self.phase.clone() {
            Phase::Running(_) => {
                decision.say("asked to end: the agent is asked to end first".to_owned());
                self.stop(true, now.saturating_add(STOP), decision);
            }
            Phase::Stopping { kill_at, killed, .. } => {
                self.phase = Phase::Stopping { for_good: true, kill_at, killed };
            }
            Phase::Looking { .. }
            | Phase::Checking { .. }
            | Phase::Starting
            | Phase::Pausing { .. }
            | Phase::Over => {
                self.phase = Phase::Over;
                decision.act = Act::End;
            }
        }
    }

    /// What an end means that nobody asked for.
    pub(super) fn judge(&mut self, end: &End, now: Duration, decision: &mut Decision) {
        match standing(&self.launch) {
            Standing::Trial => {
                let why = match &end.exit {
                    Exit::NotStarted(why) => format!("it cannot be started: {why}"),
                    Exit::Code(_) | Exit::Signal(_) | Exit::Unknown => {
                        format!("it ended after {} ({})", seconds(end.ran), end.exit)
                    }
                };
                self.give_up_trial(why, decision);
                self.next(decision);
            }
            Standing::Probation => {
                let when = end.since_confirmed.map_or_else(
                    || format!("{} after it was started again in its probation", seconds(end.ran)),
                    |since| format!("{} after it was confirmed", seconds(since)),
                );
                self.go_back(format!("it ended {when} ({})", end.exit), decision);
                self.next(decision);
            }
            Standing::Settled => self.start_again(end, now, decision),
        }
    }

    fn start_again(&mut self, end: &End, now: Duration, decision: &mut Decision) {
        let crash = end.exit != Exit::Code(EXIT_CONFIG);
        let pause = self.pace.ended(end.ran, crash);
        if self.pace.is_looping() && self.launch.previous.is_some() {
            let why = format!(
                "it ended {LOOPING} times in a row within {} of its start, the last time with {}",
                seconds(SETTLED),
                end.exit
            );
            self.go_back(why, decision);
            self.pace = Pace::default();
            return self.next(decision);
        }
        decision.say(format!(
            "{} ended after {} ({}{}); it is started again in {}",
            self.launch.current,
            seconds(end.ran),
            end.exit,
            if crash { "" } else { ": its configuration is wrong, see what it said" },
            seconds(pause)
        ));
        self.phase = Phase::Pausing { until: now.saturating_add(pause) };
    }
}
