//! An agent and its package: which it is offered and when, where it stands, and what a rollout sees of that.

use super::{Agent, ChangeState, REPEAT_AFTER};
use crate::fleet::record::Life;
use crate::fleet::upgrade::{Goal, Report, deadline};
use crate::package::decide::{Shelf, choose, decide};
use crate::package::standing::Standing;
use jiff::Timestamp;
use muster_package::Version;
use muster_package::progress::{COMPONENT, Step};
use muster_proto::api::{ComponentKind, Connection, PinView, UpgradeStep, UpgradeView};
use muster_proto::opamp::capability::AgentCapabilities;
use muster_proto::opamp::{AgentToServer, PackagesAvailable, attribute};
use std::collections::BTreeSet;

/// Why an agent gets no packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// It is not one of ours.
    Foreign,
    /// It was removed from those that take part.
    Revoked,
    /// It does not say that it takes packages.
    Unable,
    /// It never said what it runs, or on which platform.
    Unknown,
    /// A person pinned it.
    Pinned,
}

impl Hindrance {
    /// In words, of agents in the plural.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign agents, which get no packages",
            Self::Revoked => "revoked",
            Self::Unable => "cannot upgrade themselves: of an older release, or started without the launcher",
            Self::Unknown => "never told their version and platform",
            Self::Pinned => "pinned to the version that they run",
        }
    }
}

/// When a package was first and last offered over the present connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackageOffered {
    hash: String,
    first: Timestamp,
    last: Timestamp,
}

/// What decides what agents are offered, besides themselves.
pub struct Ground<'g> {
    /// What can be offered.
    pub shelf: &'g Shelf,
    /// What stands.
    pub standings: &'g [Standing],
    /// Rollouts under way.
    pub active: &'g BTreeSet<u64>,
}

impl Agent {
    /// The platform that it said it runs on.
    #[must_use]
    pub fn platform(&self) -> Option<&str> {
        self.observed.attributes.get(attribute::PLATFORM).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Why it gets no packages; none if it does.
    #[must_use]
    pub fn hindrance(&self) -> Option<Hindrance> {
        let capabilities = AgentCapabilities(self.observed.capabilities);
        if self.record.foreign.is_some() {
            Some(Hindrance::Foreign)
        } else if matches!(self.record.life, Life::Revoked(_)) {
            Some(Hindrance::Revoked)
        } else if self.record.pin.is_some() {
            Some(Hindrance::Pinned)
        } else if self.observed.version().is_none() {
            Some(Hindrance::Unknown)
        } else if !capabilities.has(AgentCapabilities::ACCEPTS_PACKAGES) {
            Some(Hindrance::Unable)
        } else if self.platform().is_none() {
            Some(Hindrance::Unknown)
        } else {
            None
        }
    }

    /// Takes what a message says of packages.
    pub(super) fn hear_packages(&mut self, message: &AgentToServer, now: Timestamp) {
        if self.record.foreign.is_some() || (message.package_statuses.is_none() && message.health.is_none()) {
            return;
        }
        let components = self.observed.components.iter();
        let mut own = components.filter(|c| c.kind == ComponentKind::Other && c.name == COMPONENT);
        let word = own.next().and_then(|component| Step::of(&component.status));
        if self.upgrade.take(message.package_statuses.as_ref(), word, now) {
            self.version.upgrade += 1;
        }
    }

    /// A rollout brings it to a version.
    pub fn upgrade_to(&mut self, rollout: u64, version: &Version) {
        let goal = match self.upgrade.goal.take() {
            Some(goal) if goal.rollout == rollout => Some(Goal { back: false, ..*goal }),
            before => match self.observed.version() {
                Some(running) => {
                    // One that still owes a way back goes back to there, not to what it was to leave.
                    let owed = before.filter(|goal| goal.back && goal.from != running).map(|goal| goal.from);
                    let from = owed.unwrap_or(running);
                    Some(Goal { rollout, version: version.clone(), from, back: false })
                }
                // It was never heard since it was enrolled anew: the next look at it finds out.
                None => before.map(|goal| *goal),
            },
        };
        self.upgrade.goal = goal.map(Box::new);
        self.version.upgrade += 1;
    }

    /// A rollout takes back what it brought.
    pub fn upgrade_back(&mut self, rollout: u64) {
        if let Some(goal) = self.upgrade.goal.as_mut().filter(|goal| goal.rollout == rollout && !goal.back) {
            goal.back = true;
            self.version.upgrade += 1;
        }
    }

    /// Whether a rollout brings it somewhere: `Some(false)` if it takes it back.
    #[must_use]
    pub fn brought_by(&self, rollout: u64) -> Option<bool> {
        let goal = self.upgrade.goal.as_ref().filter(|goal| goal.rollout == rollout)?;
        Some(!goal.back)
    }

    /// Works out what it is offered; true if there is something to store.
    pub fn plan_upgrade(&mut self, ground: &Ground<'_>, now: Timestamp) -> bool {
        if self.upgrade.goal.is_none() && ground.standings.is_empty() {
            return self.version.upgrade != self.stored.upgrade;
        }
        let hindrance = self.hindrance();
        let running = self.observed.version();
        let before = self.upgrade.clone();
        let mut blocked = None;
        match (&hindrance, &running, self.platform()) {
            (None, Some(running), Some(platform)) => {
                let state = &self.upgrade;
                let goal = choose(state, running, &self.record.labels, ground.active, ground.standings);
                let platform = platform.to_owned();
                self.upgrade.goal = goal.map(Box::new);
                let decision = decide(&self.upgrade, running, &platform, ground.shelf, ground.active, now);
                self.upgrade.wanted = decision.wanted.map(Box::new);
                blocked = decision.blocked;
            }
            (Some(_), _, _) | (None, None, _) | (None, _, None) => self.upgrade.wanted = None,
        }
        self.upgrade_blocked = blocked.map(String::into_boxed_str);
        if self.upgrade != before {
            self.version.upgrade += 1;
            self.wanted_version = self.version.upgrade;
        }
        self.version.upgrade != self.stored.upgrade
    }

    /// The wanted package, if it has to be offered now to an agent that dialled `endpoint`.
    pub fn offer_packages(&mut self, endpoint: &str, now: Timestamp) -> Option<PackagesAvailable> {
        let hindered = self.hindrance().is_some() || self.record.life != Life::Active;
        // What is not stored yet could be another thing after a crash.
        if hindered || self.wanted_version > self.stored.upgrade {
            return None;
        }
        if !self.upgrade.is_due(self.observed.version().as_ref()) {
            return None;
        }
        let wanted = self.upgrade.wanted.as_ref()?;
        let hash = wanted.hash_text();
        let before = self.package_offered.take().filter(|offered| offered.hash == hash);
        // Who does not say what becomes of packages is told once over each connection.
        let capabilities = AgentCapabilities(self.observed.capabilities);
        let answers = capabilities.has(AgentCapabilities::REPORTS_PACKAGE_STATUSES);
        let waits = |offered: &&PackageOffered| !answers || now.duration_since(offered.last) < REPEAT_AFTER;
        if let Some(offered) = before.as_ref().filter(waits) {
            self.package_offered = Some(offered.clone());
            return None;
        }
        let offer = wanted.offer(endpoint);
        let first = before.map_or(now, |offered| offered.first);
        self.package_offered = Some(PackageOffered { hash, first, last: now });
        Some(offer)
    }

    /// Where it stands with the version that a rollout brings: `with` if it should run it, else if it should be back.
    #[must_use]
    pub fn package_state(&self, rollout: u64, version: &Version, with: bool) -> ChangeState {
        let running = self.observed.version();
        let Some(goal) = self.upgrade.goal.as_deref().filter(|goal| goal.rollout == rollout) else {
            // It was not told, or is told a moment from now.
            return ChangeState::Old;
        };
        let there = running.as_ref() == Some(if with { version } else { &goal.from });
        let answer = self.upgrade.answer();
        match (answer.map(|report| report.step), there) {
            (Some(Step::RolledBack | Step::Failed), false) => {
                ChangeState::Refused(answer.map(|report| report.reason.clone()).unwrap_or_default())
            }
            (
                Some(
                    Step::Offered
                    | Step::Waiting
                    | Step::Downloading
                    | Step::Verified
                    | Step::Staged
                    | Step::Switching
                    | Step::Confirming,
                ),
                _,
            ) => ChangeState::Changing,
            // It is about to leave, and was not heard of the offer to stay; or is on trial by an offer before.
            (None, true) if self.upgrade.is_under_way() => ChangeState::Changing,
            (Some(Step::Done | Step::RolledBack | Step::Failed) | None, true) => {
                if with {
                    ChangeState::New
                } else {
                    ChangeState::Old
                }
            }
            // A step on the way, or the offer before it. Where nothing leads on, as while the files of the packages are
            // missing after a restore, it has its time all the same.
            (Some(Step::Done) | None, false) if !with => ChangeState::New,
            (Some(Step::Done) | None, false) if self.upgrade.is_under_way() => ChangeState::Changing,
            (Some(Step::Done) | None, false) => ChangeState::Old,
        }
    }

    /// It is on its way to another version.
    #[must_use]
    pub fn is_upgrading(&self) -> bool {
        self.upgrade.is_under_way()
    }

    /// That it is pinned.
    #[must_use]
    pub fn pin_view(&self) -> Option<PinView> {
        let pin = self.record.pin.as_ref()?;
        let (version, reason) = (pin.version.clone(), pin.reason.clone());
        Some(PinView { version, since: pin.at, by: pin.by.clone(), reason })
    }

    /// Where it stands with the version that it shall come to; none where nobody said so.
    #[must_use]
    pub fn upgrade_view(&self, now: Timestamp) -> Option<UpgradeView> {
        let goal = self.upgrade.goal.as_deref()?;
        let there = self.observed.version().as_ref() == Some(goal.end());
        let answer = self.upgrade.answer();
        let version = self.upgrade.wanted.as_ref().map_or(goal.end(), |wanted| &wanted.version);
        let mut view = UpgradeView {
            rollout: goal.rollout,
            target: goal.end().to_string(),
            version: version.to_string(),
            step: UpgradeStep::Done,
            percent: None,
            reason: String::new(),
            since: None,
            deadline: None,
            overdue: false,
        };
        match (answer, there) {
            (Some(report), _) if !report.step.is_over() => self.tell(&mut view, report.step, report),
            (_, true) => self.tell_end(&mut view, goal),
            (Some(report), false) if report.step != Step::Done => self.tell(&mut view, report.step, report),
            (Some(_) | None, false) => self.tell_waiting(&mut view),
        }
        // Who is not there is nowhere on its way, whatever it said last.
        let over = matches!(view.step, UpgradeStep::Done | UpgradeStep::RolledBack | UpgradeStep::Failed);
        if self.connection(now) != Connection::Connected && !over {
            let last = if view.step == UpgradeStep::Offered { "" } else { view.step.words() };
            view.reason = if last.is_empty() { String::new() } else { format!("it was {last} when it left") };
            (view.step, view.since) = (UpgradeStep::Away, self.last_seen);
            (view.percent, view.deadline) = (None, None);
        } else if !over && let Some(pin) = &self.record.pin {
            (view.step, view.since, view.deadline) = (UpgradeStep::Pinned, Some(pin.at), None);
            view.reason.clone_from(&pin.reason);
        }
        view.overdue = view.deadline.is_some_and(|deadline| deadline < now);
        Some(view)
    }

    fn tell(&self, view: &mut UpgradeView, step: Step, report: &Report) {
        view.step = match step {
            Step::Offered => UpgradeStep::Offered,
            Step::Waiting => UpgradeStep::Waiting,
            Step::Downloading => UpgradeStep::Downloading,
            Step::Verified => UpgradeStep::Verified,
            Step::Staged => UpgradeStep::Staged,
            Step::Switching => UpgradeStep::Switching,
            Step::Confirming => UpgradeStep::Confirming,
            Step::Done => UpgradeStep::Done,
            Step::RolledBack => UpgradeStep::RolledBack,
            Step::Failed => UpgradeStep::Failed,
        };
        view.reason.clone_from(&report.reason);
        (view.percent, view.since, view.deadline) = (report.percent, Some(report.since), report.deadline());
    }

    /// It runs what it shall.
    fn tell_end(&self, view: &mut UpgradeView, goal: &Goal) {
        view.since = self.upgrade.answer().map(|report| report.since);
        if goal.back {
            view.step = UpgradeStep::RolledBack;
            let own = self.upgrade.failure.as_deref().filter(|failure| failure.rollout == goal.rollout);
            view.reason = match own {
                Some(failure) => failure.reason.clone(),
                None => format!("rollout {} was taken back", goal.rollout),
            };
            view.version = goal.version.to_string();
        }
    }

    /// It has to be offered something, or cannot be.
    fn tell_waiting(&self, view: &mut UpgradeView) {
        if let Some(why) = &self.upgrade_blocked {
            (view.step, view.reason) = (UpgradeStep::Blocked, why.to_string());
            return;
        }
        if let Some(hindrance) = self.hindrance().filter(|hindrance| *hindrance != Hindrance::Pinned) {
            (view.step, view.reason) = (UpgradeStep::Blocked, hindrance.words().to_owned());
            return;
        }
        view.step = UpgradeStep::Offered;
        view.since = self.package_offered.as_ref().map(|offered| offered.first);
        view.deadline = view.since.and_then(|since| deadline(Step::Offered, since));
    }
}
