//! A host for the tests of the state machine: a disk that keeps what was stored, a power switch, and an agent.

use super::{Act, Decision, Event, Exit, Found, Line, Look, Machine, Store};
use muster_package::Version;
use muster_package::slots::{FORMAT, Launch, Order, Outcome, OutcomeResult, Slot, Trial};
use std::collections::BTreeSet;
use std::time::Duration;

/// What survives a power cut.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    pub(super) launch: Option<Launch>,
    pub(super) order: Option<Order>,
    pub(super) program: String,
    /// Packages that are not what was signed.
    pub(super) damaged: BTreeSet<Version>,
    /// Packages whose key was retired.
    pub(super) retired: BTreeSet<Version>,
    /// Nothing can be written.
    pub(super) full: bool,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) disk: Disk,
    pub(super) machine: Machine,
    decision: Decision,
    now: Duration,
    unsaved: bool,
    /// The order that was seen last.
    seen: Option<Order>,
    /// The order that is to be removed once the state is stored.
    handled: Option<Order>,
    /// What runs.
    pub(super) running: Option<Slot>,
    /// Everything that was started.
    pub(super) started: Vec<Slot>,
    /// Every outcome that was stored.
    pub(super) outcomes: Vec<Outcome>,
    /// Orders that another one came before.
    pub(super) superseded: BTreeSet<String>,
    /// The agent's program cannot be executed.
    pub(super) broken: bool,
    /// The agent does not end when asked to.
    pub(super) deaf: bool,
    /// Things that can still be done before the power goes.
    power: Option<u32>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self::off(Disk { program: "program 1".to_owned(), ..Disk::default() });
        world.drive();
        world
    }

    fn off(disk: Disk) -> Self {
        let (machine, decision) = Machine::begin(disk.launch.clone().unwrap_or(fresh()));
        Self {
            disk,
            machine,
            decision,
            now: Duration::ZERO,
            unsaved: false,
            seen: None,
            handled: None,
            running: None,
            started: Vec::new(),
            outcomes: Vec::new(),
            superseded: BTreeSet::new(),
            broken: false,
            deaf: false,
            power: None,
        }
    }

    /// The launcher begins again with what is on disk.
    pub(super) fn boot(&mut self) {
        let mut next = Self::off(self.disk.clone());
        next.started = std::mem::take(&mut self.started);
        next.outcomes = std::mem::take(&mut self.outcomes);
        next.superseded = std::mem::take(&mut self.superseded);
        next.broken = self.broken;
        *self = next;
        self.drive();
    }

    /// The power goes after as many writes and starts.
    pub(super) fn cut_after(&mut self, count: u32) {
        self.power = Some(count);
    }

    pub(super) fn is_off(&self) -> bool {
        self.power == Some(0)
    }

    fn spend(&mut self) -> bool {
        match &mut self.power {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// As the shell does it: store, remove, act. False if what had to be stored was not.
    fn settle(&mut self) -> bool {
        let Decision { store, remove_order, .. } = self.decision.clone();
        self.unsaved |= store != Store::No;
        if remove_order {
            self.handled = self.seen.take();
        }
        if self.unsaved && !self.disk.full && self.spend() {
            let before = self.disk.launch.as_ref().and_then(|launch| launch.last.clone());
            let launch = self.machine.launch().clone();
            if let Some(last) = launch.last.clone().filter(|last| before.as_ref() != Some(last)) {
                self.outcomes.push(last);
            }
            self.disk.launch = Some(launch);
            self.unsaved = false;
        }
        if self.handled.is_some() && !self.unsaved && self.spend() {
            let handled = self.handled.take();
            self.disk.order.take_if(|order| Some(&*order) == handled.as_ref());
        }
        store != Store::Must || !self.unsaved
    }

    /// Until something has to happen outside.
    pub(super) fn drive(&mut self) {
        for _ in 0..40 {
            if self.is_off() {
                return;
            }
            if !self.settle() {
                self.feed(Event::NotStored("the disk is full".to_owned()));
                continue;
            }
            let event = match self.decision.act.clone() {
                Act::Wait | Act::Term | Act::Kill | Act::End => return,
                Act::Look => Event::Looked(self.look()),
                Act::Peek => Event::Peeked(
                    self.disk.order.as_ref().is_some_and(|order| self.handled.as_ref() != Some(order)),
                ),
                Act::Check { version, .. } if self.disk.damaged.contains(&version) => {
                    Event::Checked(Err("it is damaged".to_owned()))
                }
                Act::Check { version, accepted } => Event::Checked(self.signed(&version, accepted)),
                Act::Start(_) if !self.spend() => return,
                Act::Start(_) if self.broken => Event::NotStarted("no such program".to_owned()),
                Act::Start(slot) => {
                    self.started.push(slot.clone());
                    self.running = Some(slot);
                    Event::Started
                }
            };
            self.feed(event);
        }
        panic!("the launcher turns in circles: {:?}", self.machine);
    }

    fn signed(&self, version: &Version, accepted: Option<String>) -> Result<String, String> {
        let manifest = format!("manifest of {version}");
        let counts = !self.disk.retired.contains(version) || accepted.as_ref() == Some(&manifest);
        if counts { Ok(manifest) } else { Err("its key was retired".to_owned()) }
    }

    fn look(&mut self) -> Look {
        self.seen = self.disk.order.clone().filter(|order| self.handled.as_ref() != Some(order));
        let order = match &self.seen {
            Some(order) => {
                if let Some(trial) = super::change::open_trial(self.machine.launch())
                    && trial.order != *order
                {
                    self.superseded.insert(trial.order.offer.clone());
                }
                Found::Order(Box::new(order.clone()))
            }
            None => Found::Nothing,
        };
        Look { order, installed: Ok(self.disk.program.clone()) }
    }

    fn feed(&mut self, event: Event) {
        self.decision = self.machine.step(event, self.now);
    }

    fn happens(&mut self, event: Event) {
        if !self.is_off() {
            self.feed(event);
            self.drive();
        }
    }

    /// The agent ends.
    pub(super) fn end(&mut self, exit: Exit) {
        if self.running.take().is_some() {
            self.happens(Event::Ended(exit));
        }
    }

    /// The agent writes an order and ends.
    pub(super) fn order(&mut self, order: Order) {
        if self.order_and_hang(order) {
            self.end(Exit::Code(0));
        }
    }

    /// The agent writes an order and does not end; true if it could.
    pub(super) fn order_and_hang(&mut self, order: Order) -> bool {
        let can = self.running.is_some() && !self.disk.full && !self.is_off();
        if can {
            let before = self.disk.order.replace(order);
            self.superseded.extend(before.map(|order| order.offer));
            let trial = super::change::open_trial(self.machine.launch());
            self.superseded.extend(trial.map(|trial| trial.order.offer.clone()));
        }
        can
    }

    pub(super) fn says(&mut self, line: Line) {
        if self.running.is_some() {
            self.happens(Event::Said(line));
        }
    }

    /// Time passes; an agent that is asked to end does so at once.
    pub(super) fn pass(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(deadline) = self.machine.deadline().filter(|at| *at <= until && !self.is_off()) {
            self.now = self.now.max(deadline);
            self.happens(Event::Timer);
            match self.decision.act {
                Act::Term if !self.deaf => self.end(Exit::Signal(15)),
                Act::Kill => self.end(Exit::Signal(9)),
                _ => (),
            }
        }
        self.now = until;
    }

    pub(super) fn stop(&mut self) {
        self.happens(Event::StopAsked);
        self.end(Exit::Code(0));
    }

    /// What is on disk is not what the launcher goes by.
    pub(super) fn unsaved(&self) -> bool {
        self.unsaved
    }

    pub(super) fn act(&self) -> &Act {
        &self.decision.act
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// An event of whoever writes the test, without what follows from it.
    pub(super) fn raw(&mut self, event: Event, at: Duration) -> &Decision {
        self.now = at;
        self.feed(event);
        &self.decision
    }

    /// `rolled_back: it ended …` of the last order on disk.
    pub(super) fn last(&self) -> String {
        match self.disk.launch.as_ref().and_then(|launch| launch.last.as_ref()) {
            None => "none".to_owned(),
            Some(Outcome { result, reason, version, .. }) => match result {
                OutcomeResult::Confirmed => format!("confirmed {version}"),
                OutcomeResult::RolledBack => format!("rolled back {version}: {reason}"),
                OutcomeResult::Refused => format!("refused {version}: {reason}"),
            },
        }
    }

    pub(super) fn runs(&self) -> String {
        self.running.as_ref().map_or("nothing".to_owned(), ToString::to_string)
    }
}

pub(super) fn fresh() -> Launch {
    Launch { format: FORMAT, ..Launch::default() }
}

pub(super) fn slot(version: &str) -> Slot {
    match version {
        "installed" => Slot::Installed,
        version => Slot::Package { version: version.parse().unwrap() },
    }
}

/// An order with 60 s to be healthy, 300 s to be connected, and 600 s of probation.
pub(super) fn order(to: &str) -> Order {
    Order {
        format: FORMAT,
        offer: format!("offer of {to}"),
        to: slot(to),
        to_version: to.parse().unwrap_or(Version::new(0, 1, 0)),
        from_version: Version::new(0, 1, 0),
        worked: vec!["source/audit".to_owned()],
        connected: false,
        healthy_seconds: 60,
        connected_seconds: 300,
        probation_seconds: 600,
    }
}

/// One that also has to be connected.
pub(super) fn order_connected(to: &str) -> Order {
    Order { connected: true, ..order(to) }
}

/// One of many to the same version.
pub(super) fn numbered(order: Order, number: usize, connected: bool) -> Order {
    Order { offer: format!("offer {number}"), connected, ..order }
}

pub(super) fn trial(to: &str, starts: u32, probation: bool) -> Trial {
    Trial {
        order: order(to),
        starts,
        healthy: probation,
        connected: false,
        probation: probation.then(Default::default),
    }
}
