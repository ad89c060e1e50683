//! What the launcher does next: a state machine of [`Launch`], what happened and the time.
//!
//! ```text
//! Looking ─▸ Checking ─▸ Starting ─▸ Running ─▸ Looking (ended) …
//!    ▴           │            │          └────▸ Stopping ─▸ Looking, or Over
//!    └─ Pausing ◂┴────────────┘
//! ```
//! Each step returns one [`Decision`]: what to store, then whether the order's file goes, then one thing to do, whose
//! result is the next event. While an agent runs there is such a step every few seconds, so that what could not be stored
//! is stored once there is room, and an agent that ordered and does not end is ended. A launcher that is killed between any two of these begins again with what was stored.
//! Nothing here reads a clock or a file: `now` counts from the launcher's start.

pub mod change;
pub mod event;
pub mod pace;
mod running;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub use event::{Act, Decision, Event, Exit, Found, Line, Look, Store};

use change::{Program, Standing, Taken, standing};
use muster_package::Version;
use muster_package::slots::{Launch, Slot};
use pace::Pace;
use std::time::Duration;

/// Starts of a version on trial. It ends for each of them by a power cut, or by somebody who restarts the launcher: not
/// its fault, but after three a host has to run what is known to work.
pub const MAX_STARTS: u32 = 3;
/// How long a version that failed its trial may take to stop in order.
pub const STOP_TRIAL: Duration = Duration::from_secs(10);
/// How long an agent may take to stop in order when the launcher ends: it stores its cursors and closes its connections.
pub const STOP: Duration = Duration::from_secs(30);
/// How often is looked whether there is an order while an agent runs. It costs next to nothing, and is also how soon
/// what could not be stored is stored: an agent whose trial is over reads that it is from there.
pub const PEEK_EVERY: Duration = Duration::from_secs(5);
/// How long an agent may take to end once its order is there. Twice [`STOP`]: one that takes longer hangs, and would keep
/// the host on its old version for ever.
pub const LEAVE: Duration = Duration::from_secs(60);
/// Exit status by which an agent says that its configuration is wrong, which another version would not mend.
const EXIT_CONFIG: i32 = 2;

/// Where the launcher is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// At order and installed program, before a start; after an end that is to be judged then.
    Looking { end: Option<End> },
    /// Whether what is to run is what was signed.
    Checking { version: Version },
    /// The agent is being started.
    Starting,
    /// The agent runs.
    Running(Run),
    /// The agent was asked to end.
    Stopping { for_good: bool, kill_at: Duration, killed: bool },
    /// Before the next start.
    Pausing { until: Duration },
    /// The launcher ends.
    Over,
}

/// A running agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    since: Duration,
    /// When it was confirmed in this run.
    confirmed: Option<Duration>,
    /// What it said last of what does not work yet.
    unwell: Option<String>,
    /// When to look next whether there is an order.
    peek_at: Duration,
    /// Since when there is one.
    ordered: Option<Duration>,
}

/// The end of an agent that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    ran: Duration,
    exit: Exit,
    since_confirmed: Option<Duration>,
}

/// The state machine.
#[derive(Debug, Clone)]
pub struct Machine {
    launch: Launch,
    phase: Phase,
    pace: Pace,
}

impl Machine {
    /// Begins with what was stored.
    #[must_use]
    pub fn begin(launch: Launch) -> (Self, Decision) {
        let machine = Self { launch, phase: Phase::Looking { end: None }, pace: Pace::default() };
        (machine, Decision { act: Act::Look, ..Decision::default() })
    }

    /// What is to be stored.
    #[must_use]
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// When [`Event::Timer`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Running(run) => Some(self.run_deadline(run).map_or(run.peek_at, |at| at.min(run.peek_at))),
            Phase::Stopping { kill_at, killed: false, .. } => Some(*kill_at),
            Phase::Pausing { until } => Some(*until),
            Phase::Stopping { killed: true, .. }
            | Phase::Looking { .. }
            | Phase::Checking { .. }
            | Phase::Starting
            | Phase::Over => None,
        }
    }

    /// Takes what happened.
    pub fn step(&mut self, event: Event, now: Duration) -> Decision {
        let mut decision = Decision::default();
        match event {
            Event::Looked(look) => self.looked(look, now, &mut decision),
            Event::Checked(result) => self.checked(result, &mut decision),
            Event::NotStored(why) => self.not_stored(&why, &mut decision),
            Event::Started => self.started(now, &mut decision),
            Event::NotStarted(why) => self.not_started(why, now, &mut decision),
            Event::Said(line) => self.said(line, now, &mut decision),
            Event::Peeked(there) => self.peeked(there, now, &mut decision),
            Event::Ended(exit) => self.ended(exit, now, &mut decision),
            Event::Timer => self.timer(now, &mut decision),
            Event::StopAsked => self.stop_asked(now, &mut decision),
        }
        decision
    }

    /// An event that says nothing now: what was to be done still is.
    fn again(&self, decision: &mut Decision) {
        decision.act = match &self.phase {
            Phase::Looking { .. } => Act::Look,
            Phase::Checking { version } => Act::Check {
                version: version.clone(),
                accepted: change::accepted(&self.launch, version).cloned(),
            },
            Phase::Starting => Act::Start(change::to_run(&self.launch).clone()),
            Phase::Running(_) | Phase::Stopping { .. } | Phase::Pausing { .. } => Act::Wait,
            Phase::Over => Act::End,
        };
    }

    fn looked(&mut self, look: Look, now: Duration, decision: &mut Decision) {
        let end = match &self.phase {
            Phase::Looking { end } => end.clone(),
            Phase::Checking { .. }
            | Phase::Starting
            | Phase::Running(_)
            | Phase::Stopping { .. }
            | Phase::Pausing { .. }
            | Phase::Over => return self.again(decision),
        };
        // An order is taken before anything else is looked at: what becomes of it then is a change of the state alone,
        // and no power cut brings it back.
        match (self.learn_order(look.order, decision), end) {
            (Some(Taken::Trial | Taken::Resumed), _) | (Some(Taken::Runs), None) => {
                self.phase = Phase::Looking { end: None };
                self.again(decision);
            }
            // It ended for an order that means nothing: not a crash, and not to be done without a pause.
            (Some(Taken::Runs), Some(end)) => {
                let pause = self.pace.ended(end.ran, false);
                self.phase = Phase::Pausing { until: now.saturating_add(pause) };
            }
            (None, end) => match (self.learn_program(look.installed, decision), end) {
                (true, _) | (false, None) => self.next(decision),
                (false, Some(end)) => self.judge(&end, now, decision),
            },
        }
    }

    /// True if the installed program was replaced.
    fn learn_program(&mut self, installed: Result<String, String>, decision: &mut Decision) -> bool {
        let sha256 = match installed {
            Ok(sha256) => sha256,
            Err(why) => {
                decision.say(format!("the installed program cannot be looked at: {why}"));
                return false;
            }
        };
        let before = self.launch.current.clone();
        match change::learn_program(&mut self.launch, sha256) {
            Program::Same => false,
            Program::First => {
                decision.try_store();
                false
            }
            Program::Another => {
                decision.say(format!("{}; {before} ran before", change::REPLACED));
                decision.try_store();
                self.pace = Pace::default();
                true
            }
        }
    }

    fn learn_order(&mut self, found: Found, decision: &mut Decision) -> Option<Taken> {
        let order = match found {
            Found::Nothing => return None,
            Found::Unreadable(why) => {
                decision.remove_order = true;
                decision.say(format!("the order cannot be read, and is removed: {why}"));
                return Some(Taken::Runs);
            }
            Found::Order(order) => order,
        };
        decision.remove_order = true;
        let (to, version, current) = (&order.to, &order.to_version, &self.launch.current);
        decision.say(format!("{to} ({version}) is ordered in the place of {current}"));
        let taken = change::take(&mut self.launch, *order);
        match taken {
            Taken::Trial => {
                decision.store = Store::Must;
                self.pace = Pace::default();
            }
            Taken::Resumed => (),
            Taken::Runs => {
                decision.try_store();
                decision.say("it is what runs".to_owned());
            }
        }
        Some(taken)
    }

    /// On to the next start.
    fn next(&mut self, decision: &mut Decision) {
        if change::open_trial(&self.launch).is_some_and(|trial| trial.starts >= MAX_STARTS) {
            let why = format!("it was started {MAX_STARTS} times, and neither confirmed nor ended by itself");
            self.give_up_trial(why, decision);
        }
        match change::to_run(&self.launch) {
            Slot::Package { version } => {
                self.phase = Phase::Checking { version: version.clone() };
                self.again(decision);
            }
            // Whoever can change it, root, can change this program as well.
            Slot::Installed => self.start(decision),
        }
    }

    fn start(&mut self, decision: &mut Decision) {
        match standing(&self.launch) {
            Standing::Trial => {
                change::count_start(&mut self.launch);
                decision.store = Store::Must;
            }
            Standing::Probation | Standing::Settled => (),
        }
        self.phase = Phase::Starting;
        decision.act = Act::Start(change::to_run(&self.launch).clone());
    }

    fn checked(&mut self, result: Result<String, String>, decision: &mut Decision) {
        match (&self.phase, result) {
            (Phase::Checking { version }, Ok(manifest)) => {
                if change::accept(&mut self.launch, version.clone(), manifest) {
                    decision.try_store();
                }
                self.start(decision);
            }
            (Phase::Checking { .. }, Err(why)) => {
                match standing(&self.launch) {
                    Standing::Trial => self.give_up_trial(why, decision),
                    Standing::Probation | Standing::Settled => self.go_back(why, decision),
                }
                self.next(decision);
            }
            (
                Phase::Looking { .. }
                | Phase::Starting
                | Phase::Running(_)
                | Phase::Stopping { .. }
                | Phase::Pausing { .. }
                | Phase::Over,
                _,
            ) => self.again(decision),
        }
    }

    /// Without its start on disk a version on trial could be started for ever, so it is not.
    fn not_stored(&mut self, why: &str, decision: &mut Decision) {
        match (&self.phase, standing(&self.launch)) {
            (Phase::Looking { .. }, Standing::Trial) => {
                self.give_up_trial(not_stored(why), decision);
                self.again(decision);
            }
            (Phase::Starting, Standing::Trial) => {
                change::uncount_start(&mut self.launch);
                self.give_up_trial(not_stored(why), decision);
                self.next(decision);
            }
            (
                Phase::Looking { .. }
                | Phase::Checking { .. }
                | Phase::Starting
                | Phase::Running(_)
                | Phase::Stopping { .. }
                | Phase::Pausing { .. }
                | Phase::Over,
                Standing::Trial | Standing::Probation | Standing::Settled,
            ) => self.again(decision),
        }
    }

    fn give_up_trial(&mut self, why: String, decision: &mut Decision) {
        let version = change::to_run(&self.launch).to_string();
        change::end_trial(&mut self.launch, why.clone());
        self.pace = Pace::default();
        decision.try_store();
        decision.say(format!("{version} is not taken: {why}; {} runs again", self.launch.current));
    }

    fn go_back(&mut self, why: String, decision: &mut Decision) {
        let version = self.launch.current.to_string();
        change::go_back(&mut self.launch, why.clone());
        self.pace = Pace::default();
        decision.try_store();
        decision.say(format!("{version} is given up: {why}; {} runs again", self.launch.current));
    }
}

fn not_stored(why: &str) -> String {
    format!("the launcher could not store that it is on trial: {why}")
}
