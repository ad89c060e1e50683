//! Carries out what was decided: files, the agent's process, signals and the clock.

use crate::child::Agent;
use crate::decide::{Act, Decision, Event, Found, Look, Machine, Store};
use crate::store::{self, StoreError};
use crate::{lock, say, verify};
use anyhow::Context as _;
use muster_package::Version;
use muster_package::slots::{Layout, PROGRAM, Slot};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

/// What to start, and where its state is.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The agent's configuration.
    pub config: PathBuf,
    /// The program that the operating system's package installed.
    pub agent: PathBuf,
    /// The agent's state folder.
    pub state_dir: PathBuf,
}

/// Runs agents until the launcher is asked to end.
///
/// # Errors
/// If the state folder cannot be used, or is used by another launcher.
pub async fn run(setup: Setup) -> anyhow::Result<()> {
    let mut stop = Stop::new().context("cannot take signals")?;
    let layout = Layout::new(&setup.state_dir);
    store::prepare(&layout)?;
    let _launcher = lock::launcher(&layout)?;
    let _agents = tokio::select! {
        lock = lock::agents(&layout) => lock?,
        () = stop.asked() => return Ok(()),
    };
    let (launch, note) = store::launch(&layout);
    note.iter().for_each(|note| say(note));
    let (mut machine, mut decision) = Machine::begin(launch);
    let mut shell = Shell {
        setup,
        layout,
        stop,
        begun: Instant::now(),
        agent: None,
        gone: None,
        unsaved: false,
        told: None,
        seen: Found::Nothing,
        handled: Found::Nothing,
    };
    loop {
        let Some(event) = shell.carry_out(decision, &machine).await else { break };
        decision = machine.step(event, shell.begun.elapsed());
    }
    if let Some(agent) = shell.gone {
        agent.last_words().await;
    }
    Ok(())
}

struct Shell {
    setup: Setup,
    layout: Layout,
    stop: Stop,
    begun: Instant,
    /// The agent that runs.
    agent: Option<Agent>,
    /// The one that ran before.
    gone: Option<Agent>,
    /// The state could not be stored.
    unsaved: bool,
    /// What was said of that: it is tried again every few seconds, and said once.
    told: Option<String>,
    /// What was at the place of the order when it was looked at last.
    seen: Found,
    /// An order that was dealt with: removed once the state is stored, and not looked at again until then.
    handled: Found,
}

impl Shell {
    /// The event that follows; none at the end.
    async fn carry_out(&mut self, decision: Decision, machine: &Machine) -> Option<Event> {
        decision.notes.iter().for_each(|note| say(note));
        match self.settle(&decision, machine) {
            Ok(()) => self.told = None,
            Err(error) => {
                let why = format!("{:#}", anyhow::Error::new(error));
                if self.told.as_ref() != Some(&why) {
                    say(&why);
                    self.told = Some(why.clone());
                }
                match decision.store {
                    Store::Must if self.unsaved => return Some(Event::NotStored(why)),
                    Store::Must | Store::Try | Store::No => (),
                }
            }
        }
        match decision.act {
            Act::Look => Some(Event::Looked(self.look())),
            Act::Peek => Some(Event::Peeked(self.peek())),
            Act::Check { version, accepted } => {
                Some(Event::Checked(self.check(&version, accepted.as_deref())))
            }
            Act::Start(slot) => Some(self.start(&slot)),
            Act::Term => {
                self.agent.iter_mut().for_each(Agent::terminate);
                Some(self.wait(machine.deadline()).await)
            }
            Act::Kill => {
                self.agent.iter_mut().for_each(Agent::kill);
                Some(self.wait(machine.deadline()).await)
            }
            Act::Wait => Some(self.wait(machine.deadline()).await),
            Act::End => None,
        }
    }

    /// Stores the state, then removes the order that it speaks of; also what could not be done before.
    fn settle(&mut self, decision: &Decision, machine: &Machine) -> Result<(), StoreError> {
        self.unsaved |= decision.store != Store::No;
        if decision.remove_order {
            self.handled = std::mem::replace(&mut self.seen, Found::Nothing);
        }
        if self.unsaved {
            store::keep(&self.layout, machine.launch())?;
            self.unsaved = false;
        }
        if self.handled != Found::Nothing {
            // The agent may have ordered something else meanwhile.
            if store::order(&self.layout) == self.handled {
                store::remove_order(&self.layout)?;
            }
            self.handled = Found::Nothing;
        }
        Ok(())
    }

    fn look(&mut self) -> Look {
        let found = store::order(&self.layout);
        self.seen = if found == self.handled { Found::Nothing } else { found };
        let path = &self.setup.agent;
        let installed = verify::digest(path).map(|(sha256, _)| sha256);
        Look {
            order: self.seen.clone(),
            installed: installed.map_err(|error| format!("{}: {error}", path.display())),
        }
    }

    /// One that cannot be read asks for nothing: no agent is ended for it.
    fn peek(&self) -> bool {
        let found = store::order(&self.layout);
        match &found {
            Found::Order(_) => found != self.handled,
            Found::Nothing | Found::Unreadable(_) => false,
        }
    }

    fn check(&self, version: &Version, accepted: Option<&str>) -> Result<String, String> {
        let (trust, note) = verify::trust(&self.layout);
        note.iter().for_each(|note| say(note));
        verify::check(&self.layout, version, &trust, accepted).map_err(|why| why.to_string())
    }

    fn start(&mut self, slot: &Slot) -> Event {
        let program = self.program(slot);
        match Agent::start(&program, &self.setup.config) {
            Ok(agent) => {
                self.agent = Some(agent);
                Event::Started
            }
            Err(error) => Event::NotStarted(format!("{}: {error}", program.display())),
        }
    }

    fn program(&self, slot: &Slot) -> PathBuf {
        match slot {
            Slot::Installed => self.setup.agent.clone(),
            Slot::Package { version } => self.layout.version(version).join(PROGRAM),
        }
    }

    async fn wait(&mut self, deadline: Option<Duration>) -> Event {
        let left = deadline.map(|deadline| deadline.saturating_sub(self.begun.elapsed()));
        let agent = &mut self.agent;
        let event = tokio::select! {
            biased;
            // Before the agent's end: a system that shuts down may ask both at once.
            () = self.stop.asked() => Event::StopAsked,
            event = async {
                match agent {
                    Some(agent) => agent.next().await,
                    None => std::future::pending().await,
                }
            } => event,
            () = async {
                match left {
                    Some(left) => sleep(left).await,
                    None => std::future::pending().await,
                }
            } => Event::Timer,
        };
        if matches!(event, Event::Ended(_)) {
            self.gone = self.agent.take();
        }
        event
    }
}

/// The signals that ask the launcher to end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}
