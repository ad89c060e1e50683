//! Rollouts of packages: for which agents one is, and what its steps do.
//!
//! The planner decides who is told and when; told means that the agent has a goal ([`crate::fleet::upgrade::Goal`]), from
//! which [`crate::package::decide`] works out one offer after the other. What an agent ran before is kept with its goal,
//! stored before anything is offered, so that going back leads there.

use super::StoredRollout;
use crate::app::App;
use crate::fleet::agent::upgrade::Hindrance;
use crate::package::decide::Shelf;
use crate::package::driver::reconcile;
use crate::package::standing::{self, Standing};
use crate::rollout::observe::candidate;
use crate::store::Batch;
use jiff::Timestamp;
use muster_package::Version;
use muster_planner::{Action, Candidate, Phase, Step};
use muster_proto::api::{Labels, RolloutLeftOut, RolloutPackage};
use muster_shared::id::AgentId;
use muster_shared::policy::merge::selects;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Names told of agents that are left out for one reason.
const MAX_NAMES: usize = 20;
/// Higher versions that are remembered as left.
const MAX_LEAVES: usize = 20;

/// The package of a rollout, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// It is for agents with these labels; without any for all.
    pub labels: Labels,
    /// Higher versions that it takes agents away from.
    pub leaves: BTreeSet<Version>,
}

impl StoredPackage {
    /// As the interface shows it.
    #[must_use]
    pub fn view(&self) -> RolloutPackage {
        RolloutPackage { name: self.name.clone(), version: self.version.to_string() }
    }

    /// An agent may be one of this rollout and of one with these labels.
    #[must_use]
    pub fn overlaps(&self, labels: &Labels) -> bool {
        labels.iter().all(|(key, value)| self.labels.get(key).is_none_or(|own| own == value))
    }
}

/// For whom a rollout of a package is.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The agents.
    pub candidates: Vec<Candidate>,
    /// Names of agents that are left out, by the reason.
    left_out: BTreeMap<String, Vec<String>>,
    /// Higher versions that agents run.
    pub leaves: BTreeSet<Version>,
    /// Some of the agents would be taken to a higher version.
    goes_up: bool,
}

/// What becomes of an agent in a rollout of a package.
enum Place {
    In {
        leaves: Option<Version>,
    },
    LeftOut(String),
    /// Nobody has to be told of it.
    Nowhere,
}

fn place(agent: &crate::fleet::Agent, shelf: &Shelf, version: &Version, labels: &Labels) -> Place {
    if !selects(labels, &agent.record.labels) {
        return Place::Nowhere;
    }
    match (agent.hindrance(), agent.observed.version(), agent.platform()) {
        (Some(Hindrance::Revoked), _, _) => Place::Nowhere,
        (Some(hindrance), _, _) => Place::LeftOut(hindrance.words().to_owned()),
        (None, Some(running), Some(platform)) => match shelf.next(platform, &running, version) {
            Ok(Some(_)) => Place::In { leaves: (running > *version).then_some(running) },
            Ok(None) => Place::LeftOut(format!("run {version} already")),
            Err(why) => Place::LeftOut(why),
        },
        (None, None, _) | (None, _, None) => Place::LeftOut(Hindrance::Unknown.words().to_owned()),
    }
}

impl Scope {
    /// Of a version, for agents with these labels.
    #[must_use]
    pub fn of(app: &App, shelf: &Shelf, version: &Version, labels: &Labels, now: Timestamp) -> Self {
        let mut scope = Self::default();
        app.fleet.each(|agent| match place(agent, shelf, version, labels) {
            Place::Nowhere => {}
            Place::LeftOut(reason) => {
                scope.left_out.entry(reason).or_default().push(agent.observed.name(agent.record.id));
            }
            Place::In { leaves } => {
                scope.goes_up |= leaves.is_none();
                scope.leaves.extend(leaves.filter(|_| scope.leaves.len() < MAX_LEAVES));
                scope.candidates.push(candidate(agent, now));
            }
        });
        scope
    }

    /// It only takes agents back to a version below their own.
    #[must_use]
    pub fn goes_back(&self) -> bool {
        !self.goes_up
    }

    /// Who is left out, and why.
    #[must_use]
    pub fn left_out(&self) -> Vec<RolloutLeftOut> {
        let told = |(reason, names): (&String, &Vec<String>)| RolloutLeftOut {
            reason: reason.clone(),
            partitions: names.len() as u64,
            names: names.iter().take(MAX_NAMES).cloned().collect(),
        };
        self.left_out.iter().map(told).collect()
    }

    /// The same in words.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let told = |(reason, names): (&String, &Vec<String>)| match names.as_slice() {
            [name] => format!("1 agent is left out ({name}): {reason}"),
            _ => format!("{} agents are left out: {reason}", names.len()),
        };
        self.left_out.iter().map(told).collect()
    }
}

/// Does what a step of the planner asks for.
pub(super) async fn act(app: &App, id: u64, package: &StoredPackage, step: &Step) {
    for action in &step.actions {
        match action {
            Action::Offer(agents) => bring(app, id, package, agents, true).await,
            Action::Withdraw(agents) => bring(app, id, package, agents, false).await,
            Action::Ask(agents) => {
                app.fleet.with_each(agents, |agent| agent.outbox.watch(super::driver::ASK))
            }
        }
    }
}

async fn bring(app: &App, id: u64, package: &StoredPackage, agents: &[AgentId], with: bool) {
    app.fleet.with_each(agents, |agent| {
        if with { agent.upgrade_to(id, &package.version) } else { agent.upgrade_back(id) }
    });
    look_at(app, id, agents).await;
}

async fn look_at(app: &App, id: u64, agents: &[AgentId]) {
    if let Err(error) = reconcile(app, agents).await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(rollout = id, error, "what agents are offered was not stored; it is tried again");
    }
}

/// Has every agent know what the rollout says of it: after a start of the controller, or where one was removed and
/// enrolled again with its id.
pub(super) async fn stage_again(app: &App, stored: &StoredRollout, package: &StoredPackage) {
    let (mut forward, mut back) = (Vec::new(), Vec::new());
    for (id, target) in &stored.rollout.targets {
        let brought = app.fleet.with(*id, |agent| agent.brought_by(stored.id)).flatten();
        match (target.state.has_change(), brought) {
            (true, None | Some(false)) => forward.push(*id),
            (false, Some(true)) => back.push(*id),
            (true, Some(true)) | (false, None | Some(false)) => {}
        }
    }
    for (agents, with) in [(forward, true), (back, false)] {
        if !agents.is_empty() {
            bring(app, stored.id, package, &agents, with).await;
        }
    }
}

/// Agents that came to the fleet since, and that it is for.
pub(super) fn newcomers(app: &App, stored: &StoredRollout, package: &StoredPackage) -> Vec<AgentId> {
    let known = &stored.rollout.targets;
    let fresh: Vec<AgentId> = app.fleet.ids().into_iter().filter(|id| !known.contains_key(id)).collect();
    if fresh.is_empty() {
        return fresh;
    }
    let shelf = app.packages.shelf();
    let is_for = |id: &AgentId| {
        let joins = app.fleet.with(*id, |agent| {
            agent.record.enrolled_at >= stored.started_at
                && matches!(place(agent, &shelf, &package.version, &package.labels), Place::In { .. })
        });
        joins == Some(true)
    };
    fresh.into_iter().filter(is_for).collect()
}

/// What stands once it is over, with what stores that; nothing if everybody went back.
pub(super) fn settle(
    app: &App,
    stored: &StoredRollout,
    package: &StoredPackage,
    batch: &mut Batch,
) -> Option<Vec<Standing>> {
    let Phase::Done { .. } = stored.rollout.phase else { return None };
    let StoredPackage { version, labels, leaves, .. } = package.clone();
    let new = Standing { rollout: stored.id, version, labels, leaves };
    Some(standing::with(&app.packages.standings(), new, batch))
}

/// Looks at all agents: a rollout is over, and what stands counts now.
pub(super) async fn settled(app: &App, id: u64) {
    look_at(app, id, &app.fleet.ids()).await;
}
