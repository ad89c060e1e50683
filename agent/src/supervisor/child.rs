//! The set of supervised children and what a round of supervision does.

use super::restart::{Exit, History, Restart};
use crate::health::{HealthSink, HealthState};
use std::time::Duration;
use tracing::{error, warn};

/// A child that runs.
pub trait Running {
    /// Whether it can still take messages.
    fn alive(&self) -> bool;
    /// Time since it last completed a step; None for a child without such a measure.
    fn idle_for(&self) -> Option<Duration>;
    /// Asks it to stop; does not wait.
    fn stop(&self);
}

/// Makes a new child. Called at the start and after each death.
pub type Factory = Box<dyn FnMut() -> Box<dyn Running>>;

enum State {
    Runs(Box<dyn Running>),
    /// To be started again at this time, on the caller's clock.
    Waits(Duration),
}

/// One supervised child.
pub struct Child {
    component: String,
    factory: Factory,
    /// Longest time without progress.
    patience: Duration,
    state: State,
    history: History,
}

impl Child {
    /// Starts the child `component` (its name in health).
    #[must_use]
    pub fn start(component: &str, patience: Duration, mut factory: Factory) -> Self {
        let running = factory();
        Self {
            component: component.to_owned(),
            factory,
            patience,
            state: State::Runs(running),
            history: History::default(),
        }
    }

    /// Name in health.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.component
    }

    /// One look at the child at `now`.
    fn check(&mut self, now: Duration, health: &dyn HealthSink) {
        match &self.state {
            State::Runs(running) => {
                let exit = if !running.alive() {
                    Exit::Died
                } else if running.idle_for().is_some_and(|idle| idle > self.patience) {
                    Exit::Frozen
                } else {
                    return;
                };
                running.stop();
                self.ended(exit, now, health);
            }
            State::Waits(at) if *at <= now => self.state = State::Runs((self.factory)()),
            State::Waits(_) => {}
        }
    }

    fn ended(&mut self, exit: Exit, now: Duration, health: &dyn HealthSink) {
        let component = self.component.as_str();
        match self.history.decide(exit, now) {
            Restart::At(at) => {
                warn!(component, ?exit, "component ended and is started again");
                health.report(
                    component,
                    HealthState::Degraded,
                    "it ended unexpectedly and was started again",
                );
                self.state = State::Waits(at);
            }
            Restart::Failing(at) => {
                error!(component, ?exit, died = self.history.died, "component keeps ending");
                let reason =
                    "it keeps ending unexpectedly and is tried again; see the agent's log and report this";
                health.report(component, HealthState::Failed, reason);
                self.state = State::Waits(at);
            }
        }
    }

    /// Asks the child to stop and forgets it.
    pub fn stop(self) {
        if let State::Runs(running) = self.state {
            running.stop();
        }
    }
}

/// All children of a supervisor.
#[derive(Default)]
pub struct Children {
    children: Vec<Child>,
}

impl Children {
    /// Adds a started child.
    pub fn add(&mut self, child: Child) {
        self.children.push(child);
    }

    /// Takes a child out, to be stopped.
    pub fn take(&mut self, component: &str) -> Option<Child> {
        let index = self.children.iter().position(|child| child.component == component)?;
        Some(self.children.swap_remove(index))
    }

    /// One round of supervision.
    pub fn check(&mut self, now: Duration, health: &dyn HealthSink) {
        for child in &mut self.children {
            child.check(now, health);
        }
    }

    /// Stops all.
    pub fn stop_all(&mut self) {
        for child in self.children.drain(..) {
            child.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    struct Fake {
        alive: Rc<Cell<bool>>,
        idle: Rc<Cell<Duration>>,
    }
    impl Running for Fake {
        fn alive(&self) -> bool {
            self.alive.get()
        }
        fn idle_for(&self) -> Option<Duration> {
            Some(self.idle.get())
        }
        fn stop(&self) {}
    }

    #[derive(Default)]
    struct Reports(RefCell<Vec<(String, HealthState)>>);
    impl HealthSink for Reports {
        fn report(&self, component: &str, state: HealthState, _reason: &str) {
            self.0.borrow_mut().push((component.to_owned(), state));
        }
    }

    #[test]
    fn a_dead_and_a_frozen_child_are_replaced_by_new_ones() {
        let (alive, idle, made) =
            (Rc::new(Cell::new(true)), Rc::new(Cell::new(Duration::ZERO)), Rc::new(Cell::new(0)));
        let factory: Factory = {
            let (alive, idle, made) = (alive.clone(), idle.clone(), made.clone());
            Box::new(move || {
                made.set(made.get() + 1);
                alive.set(true);
                idle.set(Duration::ZERO);
                Box::new(Fake { alive: alive.clone(), idle: idle.clone() })
            })
        };
        let reports = Reports::default();
        let mut children = Children::default();
        children.add(Child::start("source/audit", Duration::from_secs(60), factory));
        children.check(Duration::from_secs(1), &reports);
        assert_eq!(made.get(), 1);
        alive.set(false);
        children.check(Duration::from_secs(2), &reports);
        children.check(Duration::from_secs(3), &reports);
        assert_eq!(made.get(), 2);
        idle.set(Duration::from_secs(61));
        children.check(Duration::from_secs(4), &reports);
        children.check(Duration::from_secs(5), &reports);
        assert_eq!(made.get(), 3);
        assert_eq!(
            *reports.0.borrow(),
            [
                ("source/audit".to_owned(), HealthState::Degraded),
                ("source/audit".to_owned(), HealthState::Degraded)
            ]
        );
        let history = &children.children[0].history;
        assert_eq!((history.died, history.frozen), (1, 1));
    }
}
