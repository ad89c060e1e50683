//! How [`Launch`] changes: pure.

use muster_package::Version;
use muster_package::slots::{Launch, Order, Origin, Outcome, OutcomeResult, Probation, Slot, Trial};

/// How far the running version is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has to show itself; [`Launch::current`] is gone back to.
    Trial,
    /// It showed itself, and must not end by itself yet.
    Probation,
    /// Nothing is asked of it.
    Settled,
}

/// What an order meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A version is on trial because of it.
    Trial,
    /// It had been taken already: a power cut came before its file was removed.
    Resumed,
    /// What it asks for runs.
    Runs,
}

/// What the digest of the installed program says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// It is the known one.
    Same,
    /// None was known.
    First,
    /// The operating system's package brought another one.
    Another,
}

/// How far the version that is to run is trusted.
#[must_use]
pub fn standing(launch: &Launch) -> Standing {
    match &launch.trial {
        None => Standing::Settled,
        Some(Trial { probation: Some(_), .. }) => Standing::Probation,
        Some(Trial { probation: None, .. }) => Standing::Trial,
    }
}

/// The trial that is not decided yet.
#[must_use]
pub fn open_trial(launch: &Launch) -> Option<&Trial> {
    launch.trial.as_ref().filter(|trial| trial.probation.is_none())
}

/// What is to run.
#[must_use]
pub fn to_run(launch: &Launch) -> &Slot {
    open_trial(launch).map_or(&launch.current, |trial| &trial.order.to)
}

/// SHA-256 of the manifest of a version for which a retired key counts. On trial there is none: a retired key means that
/// nothing new is taken by it.
#[must_use]
pub fn accepted<'l>(launch: &'l Launch, version: &Version) -> Option<&'l String> {
    match standing(launch) {
        Standing::Trial => None,
        Standing::Probation | Standing::Settled => launch.accepted.get(version),
    }
}

/// Remembers the manifest of a version that was verified and is about to be started, and forgets those of versions that
/// are not kept; true if that changed anything.
pub fn accept(launch: &mut Launch, version: Version, manifest: String) -> bool {
    let before = launch.accepted.clone();
    launch.accepted.insert(version, manifest);
    forget(launch);
    launch.accepted != before
}

fn forget(launch: &mut Launch) {
    let Launch { current, previous, trial, accepted, .. } = launch;
    let probation = trial.as_ref().and_then(|trial| trial.probation.as_ref());
    let kept: Vec<&Slot> = std::iter::once(&*current)
        .chain(previous.as_ref())
        .chain(trial.as_ref().map(|trial| &trial.order.to))
        .chain(probation.and_then(|probation| probation.previous.as_ref()))
        .collect();
    accepted.retain(|version, _| {
        kept.iter().any(|slot| matches!(slot, Slot::Package { version: kept } if kept == version))
    });
}

/// Takes an order.
pub fn take(launch: &mut Launch, order: Order) -> Taken {
    if open_trial(launch).is_some_and(|trial| trial.order == order) {
        return Taken::Resumed;
    }
    let superseded = format!("{} was ordered before it was confirmed", order.to);
    end_trial(launch, superseded);
    if order.to == launch.current {
        launch.last = Some(outcome(&origin(&order), OutcomeResult::Confirmed, String::new()));
        launch.origin = Some(origin(&order));
        return Taken::Runs;
    }
    launch.trial = Some(Trial { order, starts: 0, healthy: false, connected: false, probation: None });
    Taken::Trial
}

/// A version on trial is about to be started.
pub fn count_start(launch: &mut Launch) {
    if let Some(trial) = launch.trial.as_mut().filter(|trial| trial.probation.is_none()) {
        trial.starts = trial.starts.saturating_add(1);
        // The process that said so is gone.
        trial.healthy = false;
        trial.connected = false;
    }
}

/// The start that was counted did not take place.
pub fn uncount_start(launch: &mut Launch) {
    if let Some(trial) = launch.trial.as_mut().filter(|trial| trial.probation.is_none()) {
        trial.starts = trial.starts.saturating_sub(1);
    }
}

/// The version on trial showed itself: it is the current one, in probation.
pub fn confirm(launch: &mut Launch) {
    let Some(trial) = launch.trial.as_mut().filter(|trial| trial.probation.is_none()) else { return };
    let by = origin(&trial.order);
    let before = std::mem::replace(&mut launch.current, trial.order.to.clone());
    launch.last = Some(outcome(&by, OutcomeResult::Confirmed, String::new()));
    let previous = launch.previous.replace(before);
    trial.probation = Some(Probation { previous, origin: launch.origin.replace(by) });
}

/// The version on trial failed: it ran, or never did. What ran before runs again.
pub fn end_trial(launch: &mut Launch, reason: String) {
    let Some(trial) = launch.trial.take_if(|trial| trial.probation.is_none()) else { return };
    let result = if trial.starts == 0 { OutcomeResult::Refused } else { OutcomeResult::RolledBack };
    launch.last = Some(outcome(&origin(&trial.order), result, reason));
}

/// The current version is of no use: the one before it is the current one, or else the installed one.
pub fn go_back(launch: &mut Launch, reason: String) {
    tell_origin(launch, reason);
    launch.current = launch.previous.take().unwrap_or_default();
    if let Some(probation) = launch.trial.take().and_then(|trial| trial.probation) {
        launch.previous = probation.previous;
        launch.origin = probation.origin;
    }
}

/// Tells that the current version does not run any more as the outcome of the order that brought it.
///
/// Not in the place of what became of another order: that one is newer, for each change here tells of an order that is at
/// least as new as the one that the current version came by. An agent asks for one order at a time, so an outcome of an
/// older one would tell it nothing, and it would try the newer one for ever.
fn tell_origin(launch: &mut Launch, reason: String) {
    // Without an order there is nobody to tell.
    let Some(by) = launch.origin.take() else { return };
    if launch.last.as_ref().is_none_or(|last| last.offer == by.offer) {
        launch.last = Some(outcome(&by, OutcomeResult::RolledBack, reason));
    }
}

/// The probation is over.
pub fn settle(launch: &mut Launch) {
    launch.trial.take_if(|trial| trial.probation.is_some());
}

/// Compares the installed program with the known one. Another one is what is meant to run: somebody installed it.
pub fn learn_program(launch: &mut Launch, sha256: String) -> Program {
    if launch.installed_sha256 == sha256 {
        return Program::Same;
    }
    let first = launch.installed_sha256.is_empty();
    launch.installed_sha256 = sha256;
    if first {
        return Program::First;
    }
    end_trial(launch, REPLACED.to_owned());
    tell_origin(launch, REPLACED.to_owned());
    launch.current = Slot::Installed;
    launch.previous = None;
    launch.trial = None;
    forget(launch);
    Program::Another
}

/// Why nothing of before counts after the installed program was replaced.
pub const REPLACED: &str = "the operating system's package brought another program, which runs now";

fn origin(order: &Order) -> Origin {
    Origin { offer: order.offer.clone(), version: order.to_version.clone() }
}

fn outcome(by: &Origin, result: OutcomeResult, reason: String) -> Outcome {
    Outcome { offer: by.offer.clone(), version: by.version.clone(), result, reason }
}
