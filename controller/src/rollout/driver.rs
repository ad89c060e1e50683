//! Makes the steps of rollouts: looks at the agents, stores what the planner decides, then does it.

use super::observe::{gone, observe};
use super::{StoredRollout, changes, package};
use crate::app::App;
use crate::audit_log::{Actor, Outgoing};
use crate::gateway::process;
use crate::package::standing::Standing;
use crate::policy::{self, StoredRevision};
use crate::store::{Batch, StoreError};
use jiff::{SignedDuration, Timestamp};
use muster_package::Version;
use muster_planner::{Action, Observation, Phase, State, Step};
use muster_proto::api::{Connection, RevisionStanding, RolloutEvent};
use muster_proto::session::rates::RatesWatch;
use muster_shared::id::AgentId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// Longest time between two steps of a rollout under way: that an agent left is told by nothing else.
const LONGEST: Duration = Duration::from_secs(1);
/// Shortest: news of many agents come at once.
const SHORTEST: Duration = Duration::from_millis(100);
/// How long agents are waited for after a start of the controller, so that its own absence is not held against them.
const RETURN: SignedDuration = SignedDuration::from_secs(15);
/// Time between two looks for the answers of agents that were asked for their counters.
const ANSWERS: SignedDuration = SignedDuration::from_millis(200);
/// Asks agents for their counters: a second's pace, just long enough for one report.
pub(super) const ASK: RatesWatch = RatesWatch { interval_ms: 1_000, expires_after_ms: 1_500 };

/// Runs until it is aborted.
pub async fn run(app: Arc<App>) {
    let mut news = ["config-state/", "observed/", "agent/", "upgrade/"].map(|prefix| app.store.watch(prefix));
    loop {
        let active = app.rollouts.numbers();
        if active.is_empty() {
            app.rollouts.nudged().await;
            continue;
        }
        let mut wake = Timestamp::MAX;
        for id in active {
            match step(&app, id).await {
                Ok(next) => wake = wake.min(next),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        rollout = id,
                        error,
                        "a step of a rollout was not stored; it is tried again"
                    );
                }
            }
        }
        let rest = Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or_default();
        tokio::time::sleep(SHORTEST).await;
        let [a, b, c, d] = &mut news;
        tokio::select! {
            () = tokio::time::sleep(rest.min(LONGEST)) => {}
            () = app.rollouts.nudged() => {}
            // A closed store ends with the controller.
            _ = a.changed() => {}
            _ = b.changed() => {}
            _ = c.changed() => {}
            _ = d.changed() => {}
        }
    }
}

/// Looks at agents from a rollout.
pub struct Looker<'a> {
    app: &'a App,
    rollout: u64,
    /// The version of the package that it brings.
    package: Option<Version>,
    busy: BTreeMap<AgentId, u64>,
    now: Timestamp,
    /// One look serves a whole step: what comes in meanwhile is judged by the next.
    seen: RefCell<BTreeMap<AgentId, Observation>>,
}

impl<'a> Looker<'a> {
    /// From this rollout, at this moment.
    #[must_use]
    pub fn new(app: &'a App, stored: &StoredRollout, now: Timestamp) -> Self {
        let package = stored.package.as_ref().map(|package| package.version.clone());
        let busy = app.rollouts.busy(stored.id);
        Self { app, rollout: stored.id, package, busy, now, seen: RefCell::default() }
    }

    /// What is seen of an agent.
    #[must_use]
    pub fn look(&self, id: AgentId) -> Observation {
        if let Some(seen) = self.seen.borrow().get(&id) {
            return seen.clone();
        }
        let busy = self.busy.get(&id).copied();
        let package = self.package.as_ref();
        let seen = self.app.fleet.with(id, |agent| observe(agent, self.rollout, package, busy, self.now));
        let seen = seen.unwrap_or_else(|| gone(id));
        self.seen.borrow_mut().insert(id, seen.clone());
        seen
    }
}

/// Makes a step; tells when to look again at the latest.
async fn step(app: &App, id: u64) -> Result<Timestamp, StoreError> {
    let _stepping = app.rollouts.stepping().await;
    let Some(mut stored) = app.rollouts.find_active(id) else { return Ok(Timestamp::MAX) };
    let now = Timestamp::now();
    if !has_waited(app, &stored, now) {
        return Ok(Timestamp::MAX);
    }
    let fresh = match &stored.package {
        Some(package) => {
            package::stage_again(app, &stored, package).await;
            package::newcomers(app, &stored, package)
        }
        None => {
            stage_again(app, &stored).await;
            newcomers(app, &stored)
        }
    };
    let joined = stored.rollout.join(fresh);
    let mut step = {
        let looker = Looker::new(app, &stored, now);
        stored.rollout.step(&|id| looker.look(id), now)
    };
    step.changed.extend(joined.changed);
    step.notes.splice(0..0, joined.notes);
    // Counters are not stored: that they came is seen only by looking.
    let asked = stored.rollout.asked.is_some().then(|| now + ANSWERS);
    let wake = step.wake.into_iter().chain(asked).min().unwrap_or(Timestamp::MAX);
    perform(app, stored, step, now, None).await?;
    Ok(wake)
}

/// An agent that was removed and enrolled again with its id begins with nothing.
async fn stage_again(app: &App, stored: &StoredRollout) {
    let lacks = |id: &AgentId| {
        let staged = app.fleet.with(*id, |agent| agent.staged.contains(&stored.id));
        staged.is_some_and(|staged| !staged)
    };
    let with_change = stored.rollout.targets.iter().filter(|(_, t)| t.state.has_change()).map(|(id, _)| *id);
    let lacking: Vec<AgentId> = with_change.filter(lacks).collect();
    if !lacking.is_empty() {
        let step = Step { actions: vec![Action::Offer(lacking)], ..Step::default() };
        stage(app, stored.id, &step).await;
    }
}

/// After a start of the controller agents need a moment to return.
fn has_waited(app: &App, stored: &StoredRollout, now: Timestamp) -> bool {
    let there = |id: &AgentId| {
        app.fleet.with(*id, |agent| agent.connection(now) == Connection::Connected).unwrap_or(true)
    };
    now.duration_since(app.started) >= RETURN
        || stored.started_at >= app.started
        // Who goes back is given the whole deadline again anyway.
        || matches!(stored.rollout.phase, Phase::GoingBack { .. })
        || stored
            .rollout
            .targets
            .iter()
            .filter(|(_, t)| {
                t.state.has_change() || (t.state == State::Planned && t.wave <= stored.rollout.wave)
            })
            .all(|(id, _)| there(id))
}

/// Agents that came to the fleet since, and that the change is for.
fn newcomers(app: &App, stored: &StoredRollout) -> Vec<AgentId> {
    let known = &stored.rollout.targets;
    let fresh: Vec<AgentId> = app.fleet.ids().into_iter().filter(|id| !known.contains_key(id)).collect();
    let started = stored.started_at;
    fresh
        .into_iter()
        .filter(|id| {
            let labels = app.fleet.with(*id, |agent| {
                (agent.record.foreign.is_none() && agent.record.enrolled_at >= started)
                    .then(|| (agent.record.labels.clone(), agent.staged.clone()))
            });
            let Some((labels, staged)) = labels.flatten() else { return false };
            let with: Vec<u64> = staged.iter().copied().chain([stored.id]).collect();
            app.book.desired(&labels, &with).hash != app.book.desired(&labels, &staged).hash
        })
        .collect()
}

/// Stores a step and does what it asks for. The caller holds [`super::Rollouts::stepping`].
///
/// # Errors
/// If it was not stored; then nothing was done.
pub async fn perform(
    app: &App,
    mut stored: StoredRollout,
    step: Step,
    now: Timestamp,
    by: Option<Outgoing>,
) -> Result<(), StoreError> {
    if step.is_empty() && by.is_none() {
        return Ok(());
    }
    let before = app.rollouts.find_active(stored.id).map(|s| s.state());
    let mut batch = Batch::new();
    stored.add_step(&step, now, &mut batch);
    let over = stored.rollout.phase.is_over();
    let _publishing = if over { Some(app.book.publishing().await) } else { None };
    let standings = if over { settle(app, &stored, &mut batch)? } else { None };
    let action = by.or_else(|| (before != Some(stored.state())).then(|| by_itself(&stored)));
    match action {
        Some(action) => app.commit(batch, action).await?,
        None => app.store.apply(batch).await?,
    }
    tell(app, &stored, &step);
    if let Some(standings) = standings {
        app.packages.take_standings(standings);
    }
    let (id, package) = (stored.id, stored.package.clone());
    let in_force = matches!(stored.rollout.phase, Phase::Done { .. });
    app.rollouts.take(stored);
    match (&package, over) {
        (Some(package), over) => {
            package::act(app, id, package, &step).await;
            if over {
                package::settled(app, id).await;
            }
        }
        (None, over) => {
            stage(app, id, &step).await;
            if over {
                app.book.settle(id, in_force);
                app.fleet.unstage(id);
                app.fleet.reassign(&app.book);
            }
        }
    }
    Ok(())
}

/// Tells what happened to the log and to whoever watches.
fn tell(app: &App, stored: &StoredRollout, step: &Step) {
    for note in &step.notes {
        tracing::info!(rollout = stored.id, "{note}");
    }
    if let Some(text) = step.notes.last() {
        let event = RolloutEvent { id: stored.id, state: stored.state(), text: text.clone() };
        app.events.push("rollout", &event);
    }
}

/// Adds that what a rollout brought is everybody's or nobody's; the versions that stand, if it brought a package to its end.
fn settle(app: &App, stored: &StoredRollout, batch: &mut Batch) -> Result<Option<Vec<Standing>>, StoreError> {
    let standing = match stored.rollout.phase {
        Phase::Done { .. } => RevisionStanding::InForce,
        _ => RevisionStanding::Withdrawn,
    };
    for change in &stored.changes {
        if let Some(mut revision) = policy::stored(&*app.store, &change.name, change.to.0)? {
            revision.view.standing = standing;
            policy::put_standing(&revision, batch);
        }
    }
    app.rollouts.prune(batch)?;
    Ok(stored.package.as_ref().and_then(|package| package::settle(app, stored, package, batch)))
}

/// What the controller did by itself, for the audit log.
fn by_itself(stored: &StoredRollout) -> Outgoing {
    let action = match stored.rollout.phase {
        Phase::Running => "rollout.run",
        Phase::Paused { .. } => "rollout.pause",
        Phase::Halted { .. } => "rollout.halt",
        Phase::GoingBack { .. } => "rollout.roll-back",
        Phase::Done { .. } => "rollout.done",
        Phase::RolledBack { .. } => "rollout.rolled-back",
    };
    let last = stored.log.last().map(|note| note.text.clone()).unwrap_or_default();
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Outgoing::by_user(Actor::new("controller", here), action, format!("rollout {}", stored.id)).detail(last)
}

/// Does what a step of a rollout of policies asks for.
async fn stage(app: &App, id: u64, step: &Step) {
    for action in &step.actions {
        let (agents, with) = match action {
            Action::Offer(agents) => (agents, true),
            Action::Withdraw(agents) => (agents, false),
            Action::Ask(agents) => {
                app.fleet.with_each(agents, |agent| agent.outbox.watch(ASK));
                continue;
            }
        };
        for agent in app.fleet.stage(agents, id, with, &app.book) {
            if let Err(error) = process::persist(app, agent, true, None).await {
                // It is only for a restart of the controller: the agent is offered the policy all the same.
                tracing::warn!(agent_id = %agent, %error, "that a refusal is forgotten was not stored");
            }
        }
    }
}

/// A rollout that is to begin.
pub struct Start {
    /// For people.
    pub description: String,
    /// Who starts it.
    pub user: String,
    /// The new revisions, staged.
    pub revisions: Vec<StoredRevision>,
    /// The planner's state.
    pub rollout: muster_planner::Rollout,
}

impl Start {
    /// The rollout as it is stored first.
    #[must_use]
    pub fn stored(self, app: &App, id: u64, reasons: Vec<String>, now: Timestamp) -> StoredRollout {
        let Self { description, user, revisions, rollout } = self;
        let count = rollout.targets.len();
        let (partitions, waves) = (
            if count == 1 { "partition" } else { "partitions" },
            if rollout.waves == 1 { "wave" } else { "waves" },
        );
        let first = format!("started by {user} for {count} {partitions} in {} {waves}", rollout.waves);
        let texts = std::iter::once(first).chain(reasons);
        StoredRollout {
            id,
            description,
            changes: changes(&revisions, |name| app.book.live(name)),
            package: None,
            started_by: user,
            started_at: now,
            ended_at: None,
            log: texts.map(|text| muster_proto::api::RolloutNote { at: now, text }).collect(),
            rollout,
        }
    }
}
