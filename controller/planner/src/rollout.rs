//! A rollout, step by step.

use crate::gate::{Before, is_fresh};
use crate::state::{Phase, State, Target};
use crate::track::{Next, after, follow, follow_back};
use crate::waves::Planned;
use crate::window::{Opening, Windows};
use crate::{Observation, Presence, words};
use jiff::Timestamp;
use muster_proto::api::RolloutStrategy;
use muster_shared::id::AgentId;
use muster_shared::policy::merge::selects;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long reports that were asked for are waited for, in seconds.
const FRESH_SECONDS: u64 = 10;
/// How often a partition may become unwell again before it counts as failed.
const MAX_RELAPSES: u8 = 5;
/// Partitions of whom one step tells by name.
const MAX_TOLD: usize = 20;

/// Looks at a partition.
pub(crate) type Look<'l> = &'l dyn Fn(AgentId) -> Observation;

/// A rollout: what is stored of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// How.
    pub strategy: RolloutStrategy,
    /// Where it stands.
    pub phase: Phase,
    /// The first wave are canaries.
    pub canaries: bool,
    /// The wave under way, from 0.
    pub wave: usize,
    /// Waves in all.
    pub waves: usize,
    /// When the wave under way began.
    pub wave_began: Timestamp,
    /// When the wave under way was asked for fresh reports.
    pub asked: Option<Timestamp>,
    /// The partitions. Stored apart: there may be thousands, and most stay as they are from step to step.
    #[serde(skip)]
    pub targets: BTreeMap<AgentId, Target>,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell these to run the change.
    Offer(Vec<AgentId>),
    /// Tell these to run what they ran before.
    Withdraw(Vec<AgentId>),
    /// Ask these for their counters.
    Ask(Vec<AgentId>),
}

/// What a step led to. The new state has to be stored before the actions are done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// What has to be done.
    pub actions: Vec<Action>,
    /// What happened, in words.
    pub notes: Vec<String>,
    /// Partitions that stand elsewhere now.
    pub changed: Vec<AgentId>,
    /// Something else than partitions changed.
    pub moved: bool,
    /// When to look again, if nothing is seen before.
    pub wake: Option<Timestamp>,
}

/// Why an order is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

/// What keeps the partitions of a wave that were not told.
#[derive(Debug, Default)]
struct Remaining {
    /// They could be told later.
    waiting: usize,
    /// They are not there.
    away: usize,
    /// Somebody could be told if fewer were unavailable.
    crowded: bool,
}

impl Rollout {
    /// Begins.
    #[must_use]
    pub fn start(planned: &Planned, strategy: RolloutStrategy, now: Timestamp) -> Self {
        let waves = planned.waves.iter().enumerate();
        let targets =
            waves.flat_map(|(wave, ids)| ids.iter().map(move |id| (*id, Target::planned(wave)))).collect();
        Self {
            strategy,
            phase: Phase::Running,
            canaries: planned.canaries,
            wave: 0,
            waves: planned.waves.len(),
            wave_began: now,
            asked: None,
            targets,
        }
    }

    /// Name of a wave of a plan, by its position.
    #[must_use]
    pub fn name_of_wave(canaries: bool, position: usize) -> String {
        words::wave(canaries, position)
    }

    /// Name of a wave.
    #[must_use]
    pub fn wave_name(&self, position: usize) -> String {
        words::wave(self.canaries, position)
    }

    /// How many partitions may be unavailable at a time.
    #[must_use]
    pub fn max_unavailable(&self) -> usize {
        self.strategy.max_unavailable.of(self.targets.len()).max(1)
    }

    /// How many are.
    #[must_use]
    pub fn unavailable(&self) -> usize {
        self.targets.values().filter(|t| t.state.is_unavailable()).count()
    }

    /// Takes in partitions that came to the fleet meanwhile: they are in the last wave, unless that is under way.
    pub fn join(&mut self, ids: impl IntoIterator<Item = AgentId>) -> Step {
        let mut step = Step::default();
        let last = self.waves.saturating_sub(1);
        if self.phase.is_over() || matches!(self.phase, Phase::GoingBack { .. }) || self.wave >= last {
            return step;
        }
        for id in ids {
            if let std::collections::btree_map::Entry::Vacant(place) = self.targets.entry(id) {
                place.insert(Target::planned(last));
                step.changed.push(id);
            }
        }
        if !step.changed.is_empty() {
            let count = words::partitions(step.changed.len());
            step.notes.push(format!("{count} came to the fleet: in {}", self.wave_name(last)));
        }
        step
    }

    /// Nobody looked until `now`: no deadline passed meanwhile, and nobody was watched.
    pub fn looked_away_until(&mut self, now: Timestamp) {
        let deadline = self.strategy.deadline_seconds;
        for target in self.targets.values_mut() {
            match &mut target.state {
                State::Offered { at } => *at = now,
                State::Proving { since } | State::GoingBack { since } => *since = now,
                State::Unwell { until, .. } => *until = (*until).max(after(now, deadline)),
                State::Planned
                | State::Proven { .. }
                | State::Failed { .. }
                | State::Accepted { .. }
                | State::Back
                | State::Gone => {}
            }
        }
        self.wave_began = now;
        self.asked = None;
    }

    /// What happens now.
    pub fn step(&mut self, look: Look<'_>, now: Timestamp) -> Step {
        let mut step = Step::default();
        match self.phase {
            Phase::Running => {
                self.follow(look, now, &mut step);
                if !self.stop_if_failed(now, &mut step) {
                    self.go_on(look, now, &mut step);
                }
            }
            Phase::Paused { .. } => {
                self.follow(look, now, &mut step);
                self.stop_if_failed(now, &mut step);
            }
            Phase::Halted { .. } => self.follow(look, now, &mut step),
            Phase::GoingBack { .. } => self.follow_back(look, now, &mut step),
            Phase::Done { .. } | Phase::RolledBack { .. } => {}
        }
        step.wake = self.wake(look, now);
        step
    }

    /// A person stops it for a while.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&mut self, by: &str, reason: &str, now: Timestamp) -> Result<Step, Refused> {
        match self.phase {
            Phase::Running => {
                let note = format!("paused by {by}{}", because(reason));
                let (by, reason) = (by.to_owned(), reason.to_owned());
                self.phase = Phase::Paused { by, since: now, reason };
                Ok(Step::noted(note))
            }
            _ => Err(self.refused("paused")),
        }
    }

    /// A person lets it go on. Those that failed stay as they are, and do not count any more.
    ///
    /// # Errors
    /// If it does not stand still.
    pub fn resume(&mut self, by: &str, reason: &str) -> Result<Step, Refused> {
        let halted = match self.phase {
            Phase::Paused { .. } => false,
            Phase::Halted { .. } => true,
            _ => return Err(self.refused("resumed")),
        };
        self.phase = Phase::Running;
        let mut step = Step::noted(format!("resumed by {by}{}", because(reason)));
        if halted {
            for (id, target) in &mut self.targets {
                if let State::Failed { reason, at } = &target.state {
                    target.state = State::Accepted { reason: reason.clone(), at: *at };
                    step.changed.push(*id);
                }
            }
            if !step.changed.is_empty() {
                let count = step.changed.len();
                let (count, be) = (words::partitions(count), if count == 1 { "is" } else { "are" });
                step.notes.push(format!("{count} that failed {be} let be, with the change"));
            }
        }
        Ok(step)
    }

    /// A person ends it: everybody goes back.
    ///
    /// # Errors
    /// If it is over, or goes back already.
    pub fn abort(&mut self, by: &str, reason: &str, now: Timestamp) -> Result<Step, Refused> {
        match self.phase {
            Phase::Running | Phase::Paused { .. } | Phase::Halted { .. } => {
                let mut step = Step::default();
                self.go_back(format!("aborted by {by}{}", because(reason)), now, &mut step);
                Ok(step)
            }
            Phase::GoingBack { .. } | Phase::Done { .. } | Phase::RolledBack { .. } => {
                Err(self.refused("aborted"))
            }
        }
    }

    fn refused(&self, what: &str) -> Refused {
        let state = match &self.phase {
            Phase::Running => "it is running".to_owned(),
            Phase::Paused { by, .. } => format!("it was paused by {by}"),
            Phase::Halted { reason, .. } => format!("it halted: {reason}"),
            Phase::GoingBack { reason, .. } => format!("everybody is going back: {reason}"),
            Phase::Done { .. } => "it is done".to_owned(),
            Phase::RolledBack { reason, .. } => format!("everybody went back: {reason}"),
        };
        Refused(format!("the rollout cannot be {what}: {state}"))
    }

    fn set(&mut self, id: AgentId, state: State, step: &mut Step) {
        if let Some(target) = self.targets.get_mut(&id) {
            target.state = state;
            step.changed.push(id);
        }
    }

    /// What became of those that have the change.
    fn follow(&mut self, look: Look<'_>, now: Timestamp, step: &mut Step) {
        let Self { targets, strategy, .. } = self;
        let mut told = Told::default();
        let mut withdrawn = Vec::new();
        for (id, target) in targets.iter_mut() {
            if !(target.state.is_open() || matches!(target.state, State::Proving { .. })) {
                continue;
            }
            if take(*id, target, &look(*id), strategy, now, &mut told, step) {
                withdrawn.push(*id);
            }
        }
        told.into_notes(step);
        if !withdrawn.is_empty() {
            step.actions.push(Action::Withdraw(withdrawn));
        }
    }

    fn follow_back(&mut self, look: Look<'_>, now: Timestamp, step: &mut Step) {
        let mut told = Told::default();
        for (id, target) in &mut self.targets {
            let State::GoingBack { since } = target.state else { continue };
            match follow_back(since, &look(*id), &self.strategy, now) {
                Next::Same => continue,
                Next::To(state) => target.state = state,
                Next::Told(state, text) => {
                    target.state = state;
                    told.take(text);
                }
            }
            step.changed.push(*id);
        }
        told.into_notes(step);
        let left = self.targets.values().any(|t| matches!(t.state, State::GoingBack { .. }));
        if let Phase::GoingBack { reason, .. } = &self.phase
            && !left
        {
            step.notes.push("rolled back: nobody has the change any more".to_owned());
            step.moved = true;
            self.phase = Phase::RolledBack { reason: reason.clone(), at: now };
        }
    }

    /// Stops if too many failed; true if so.
    fn stop_if_failed(&mut self, now: Timestamp, step: &mut Step) -> bool {
        let failed: Vec<(&AgentId, &Target)> =
            self.targets.iter().filter(|(_, t)| matches!(t.state, State::Failed { .. })).collect();
        let limit = self.strategy.max_failures.of(self.targets.len());
        let canary = failed.iter().any(|(_, t)| self.canaries && t.wave == 0);
        let why = if canary {
            "a canary failed".to_owned()
        } else if failed.len() > limit {
            let may = if limit == 0 { "none may".to_owned() } else { format!("{limit} may") };
            format!("{} failed, {may} (max_failures)", words::partitions(failed.len()))
        } else if failed.len() >= self.max_unavailable() && self.has_planned() {
            let count = words::partitions(failed.len());
            format!("{count} failed, so that no other may be changed (max_unavailable)")
        } else {
            return false;
        };
        let first = failed.first().and_then(|(_, t)| match &t.state {
            State::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        let reason = format!("{why}: {}", first.unwrap_or_default());
        match self.strategy.on_failure {
            muster_proto::api::OnFailure::RollBack => self.go_back(reason, now, step),
            muster_proto::api::OnFailure::Halt => {
                step.notes
                    .push(format!("halted: {reason}; `muster rollout resume` goes on, `abort` goes back"));
                step.moved = true;
                self.phase = Phase::Halted { reason, since: now };
            }
        }
        true
    }

    fn has_planned(&self) -> bool {
        self.targets.values().any(|t| t.state == State::Planned)
    }

    /// Tells everybody who has the change to go back.
    fn go_back(&mut self, reason: String, now: Timestamp, step: &mut Step) {
        let mut ids = Vec::new();
        for (id, target) in self.targets.iter_mut().filter(|(_, t)| t.state.has_change()) {
            target.state = State::GoingBack { since: now };
            ids.push(*id);
        }
        step.notes.push(format!("{reason}: {} back", go(ids.len())));
        step.changed.extend(&ids);
        step.actions.push(Action::Withdraw(ids));
        step.moved = true;
        self.phase = Phase::GoingBack { reason, since: now };
    }

    /// Tells who can be told, and begins the next wave when this one passed.
    fn go_on(&mut self, look: Look<'_>, now: Timestamp, step: &mut Step) {
        if self.targets.is_empty() {
            step.notes.push("done: no partition is changed by it".to_owned());
            step.moved = true;
            self.phase = Phase::Done { at: now };
            return;
        }
        if self.canaries && self.wave == 0 {
            self.replace_canaries(look, now, step);
        }
        let remaining = self.release(look, now, step);
        // Who was told just now is first seen at the next step.
        let told = step.actions.iter().any(|action| matches!(action, Action::Offer(_)));
        if told || !self.has_passed(&remaining, now) {
            step.moved |= self.asked.take().is_some();
            return;
        }
        if !self.is_fresh(look, now, step) {
            return;
        }
        if self.look_at_passed(look, now, step) {
            return;
        }
        let (soak, wave) = (self.strategy.soak_seconds, self.wave);
        let (mut proven, mut here) = (Vec::new(), 0);
        for (id, target) in &mut self.targets {
            if let State::Proving { since } = target.state
                && after(since, soak) <= now
            {
                target.state = State::Proven { since };
                // How much it receives later on says nothing of the change.
                if let Some(before) = &mut target.before {
                    before.counters = None;
                }
                proven.push(*id);
                here += usize::from(target.wave == wave);
            }
        }
        let name = self.wave_name(wave);
        let left = if remaining.away > 0 {
            let follow =
                if remaining.away == 1 { "it follows when it is" } else { "they follow when they are" };
            format!("; {} away: {follow} back", is(remaining.away))
        } else {
            String::new()
        };
        let well = if soak > 0 { format!("well for {}", words::span(soak)) } else { "well".to_owned() };
        let told = format!("{name} passed: {} {well}{left}", words::partitions(here));
        step.changed.extend(proven);
        step.moved = true;
        self.asked = None;
        if wave + 1 < self.waves {
            step.notes.push(told);
            self.wave += 1;
            self.wave_began = now;
            let size = self.targets.values().filter(|t| t.wave == self.wave).count();
            step.notes.push(format!("{} begins: {}", self.wave_name(self.wave), words::partitions(size)));
            self.release(look, now, step);
        } else {
            step.notes.push(told);
            step.notes.push("done: the change is in force for everybody".to_owned());
            self.phase = Phase::Done { at: now };
        }
    }

    /// Puts others in the place of canaries that stay away.
    fn replace_canaries(&mut self, look: Look<'_>, now: Timestamp, step: &mut Step) {
        if now < after(self.wave_began, self.strategy.deadline_seconds) {
            return;
        }
        let away: Vec<AgentId> = self
            .targets
            .iter()
            .filter(|(id, t)| t.wave == 0 && t.state == State::Planned && is_away(look(**id).presence))
            .map(|(id, _)| *id)
            .collect();
        if away.is_empty() {
            return;
        }
        let fits = |seen: &Observation| {
            seen.presence == Presence::Present && selects(&self.strategy.canary_labels, &seen.labels)
        };
        let others = self.targets.iter().filter(|(_, t)| t.wave > 0 && t.state == State::Planned);
        let present: Vec<(AgentId, usize)> = others
            .filter(|(id, _)| fits(&look(**id)))
            .map(|(id, t)| (*id, t.wave))
            .take(away.len())
            .collect();
        for (gone, (id, wave)) in away.into_iter().zip(present) {
            step.notes.push(format!(
                "{} is away: {} is a canary in its place",
                look(gone).name,
                look(id).name
            ));
            for (id, wave) in [(gone, wave), (id, 0)] {
                if let Some(target) = self.targets.get_mut(&id) {
                    target.wave = wave;
                    step.changed.push(id);
                }
            }
        }
    }

    /// Tells as many partitions as may be told now.
    fn release(&mut self, look: Look<'_>, now: Timestamp, step: &mut Step) -> Remaining {
        let windows = Windows::read(&self.strategy.windows).unwrap_or_default();
        let mut free = self.max_unavailable().saturating_sub(self.unavailable());
        let mut remaining = Remaining::default();
        let (mut told, mut names, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut planned: Vec<(usize, AgentId)> = self
            .targets
            .iter()
            .filter(|(_, t)| t.wave <= self.wave && t.state == State::Planned)
            .map(|(id, t)| (t.wave, *id))
            .collect();
        planned.sort_unstable();
        for (_, id) in planned {
            if free == 0 {
                // Whoever is left may be away: that shows when there is room again.
                remaining.crowded = true;
                break;
            }
            let seen = look(id);
            if seen.presence == Presence::Gone {
                gone.push(id);
                continue;
            }
            // Whether or not it is there: else one that is away for a moment would be left to the end, and then be told
            // outside of its window.
            if seen.busy.is_some() || windows.opening(&seen.labels, now) != Opening::Open {
                remaining.waiting += 1;
                continue;
            }
            match seen.presence {
                Presence::Away if left_just_now(&seen, &self.strategy, now) => {
                    remaining.waiting += 1;
                    continue;
                }
                Presence::Away | Presence::PlannedOutage | Presence::Held | Presence::Gone => {
                    remaining.away += 1;
                    continue;
                }
                Presence::Present => {}
            }
            free -= 1;
            if let Some(target) = self.targets.get_mut(&id) {
                target.state = State::Offered { at: now };
                target.before = Some(Before::of(&seen));
            }
            names.push(seen.name);
            told.push(id);
        }
        for id in gone {
            self.set(id, State::Gone, step);
        }
        if !told.is_empty() {
            let all = words::names(names.iter().map(String::as_str));
            step.notes.push(format!("{}: {} told: {all}", self.wave_name(self.wave), is(told.len())));
            step.changed.extend(&told);
            step.actions.push(Action::Offer(told));
        }
        remaining
    }

    /// The wave under way has what it takes for the next one to begin.
    fn has_passed(&self, remaining: &Remaining, now: Timestamp) -> bool {
        let canary_wave = self.canaries && self.wave == 0;
        if remaining.waiting > 0 || remaining.crowded || (canary_wave && remaining.away > 0) {
            return false;
        }
        // After the last wave there is none in which the rest would be followed.
        let last = self.wave + 1 == self.waves;
        let percent = if last || canary_wave { 100 } else { usize::from(self.strategy.success_percent) };
        let enough = |of: &dyn Fn(&Target) -> bool| {
            let (mut soaked, mut open) = (0_usize, 0_usize);
            for target in self.targets.values().filter(|t| of(t)) {
                match &target.state {
                    State::Proven { .. } => soaked += 1,
                    State::Proving { since } if after(*since, self.strategy.soak_seconds) <= now => {
                        soaked += 1
                    }
                    State::Proving { .. } | State::Offered { .. } | State::Unwell { .. } => open += 1,
                    State::Planned
                    | State::Failed { .. }
                    | State::Accepted { .. }
                    | State::GoingBack { .. }
                    | State::Back
                    | State::Gone => {}
                }
            }
            soaked >= ((soaked + open) * percent).div_ceil(100)
        };
        // Those of earlier waves too: one of them may be unwell by now.
        enough(&|t| t.wave == self.wave) && enough(&|t| t.wave <= self.wave)
    }

    /// The partitions that passed told their counters since; else they are asked, and waited for a little.
    fn is_fresh(&mut self, look: Look<'_>, now: Timestamp, step: &mut Step) -> bool {
        let soak = self.strategy.soak_seconds;
        let stale = |id: &AgentId, target: &Target| match target.state {
            State::Proving { since } => {
                after(since, soak) <= now && !is_fresh(&look(*id), after(since, soak))
            }
            _ => false,
        };
        let ids: Vec<AgentId> =
            self.targets.iter().filter(|(id, t)| stale(id, t)).map(|(id, _)| *id).collect();
        match self.asked {
            _ if ids.is_empty() => true,
            Some(asked) => after(asked, FRESH_SECONDS) <= now,
            None => {
                self.asked = Some(now);
                step.moved = true;
                step.actions.push(Action::Ask(ids));
                false
            }
        }
    }

    /// Looks once more at those that passed in earlier waves; true if one is unwell by now.
    fn look_at_passed(&mut self, look: Look<'_>, now: Timestamp, step: &mut Step) -> bool {
        let mut told = Told::default();
        let before = step.changed.len();
        let Self { targets, strategy, .. } = self;
        for (id, target) in targets.iter_mut().filter(|(_, t)| matches!(t.state, State::Proven { .. })) {
            take(*id, target, &look(*id), strategy, now, &mut told, step);
        }
        told.into_notes(step);
        step.changed.len() > before
    }

    /// When to look again.
    fn wake(&self, look: Look<'_>, now: Timestamp) -> Option<Timestamp> {
        let RolloutStrategy { soak_seconds: soak, deadline_seconds: deadline, .. } = self.strategy;
        let by_target = self.targets.values().filter_map(|t| match &t.state {
            State::Offered { at } => Some(after(*at, deadline)),
            State::Unwell { until, .. } => Some(*until),
            State::Proving { since } => Some(after(*since, soak)),
            State::GoingBack { since } => Some(after(*since, deadline)),
            _ => None,
        });
        let asked = self.asked.map(|at| after(at, FRESH_SECONDS));
        let canaries = (self.canaries && self.wave == 0).then(|| after(self.wave_began, deadline));
        let mut next: Vec<Timestamp> =
            by_target.chain(asked).chain(canaries).filter(|at| *at > now).collect();
        if self.phase == Phase::Running && self.unavailable() < self.max_unavailable() {
            let windows = Windows::read(&self.strategy.windows).unwrap_or_default();
            let planned =
                self.targets.iter().filter(|(_, t)| t.wave <= self.wave && t.state == State::Planned);
            for (id, _) in planned.take(if self.strategy.windows.is_empty() { 0 } else { usize::MAX }) {
                if let Opening::Opens(at, _) = windows.opening(&look(*id).labels, now) {
                    next.push(at);
                }
            }
        }
        if self.phase.is_over() { None } else { next.into_iter().min() }
    }
}

/// Takes what became of a partition; true if the change has to be withdrawn from it.
fn take(
    id: AgentId,
    target: &mut Target,
    seen: &Observation,
    strategy: &RolloutStrategy,
    now: Timestamp,
    told: &mut Told,
    step: &mut Step,
) -> bool {
    let counted = target.before.as_ref().and_then(|before| before.counters);
    let (state, text) = match follow(&target.state, &mut target.before, seen, strategy, now) {
        Next::Same => {
            // Counted from another moment: that has to be stored too.
            if counted != target.before.as_ref().and_then(|before| before.counters) {
                step.changed.push(id);
            }
            return false;
        }
        Next::To(state) => (state, None),
        Next::Told(state, text) => (state, Some(text)),
    };
    let (state, text) = match state {
        State::Unwell { reason, .. } if relapsed(&target.state) && target.relapses >= MAX_RELAPSES => {
            let reason = format!("unwell again and again, at last: {reason}");
            let text = format!("{} failed: {reason}", seen.name);
            (State::Failed { reason, at: now }, Some(text))
        }
        state => (state, text),
    };
    if matches!(state, State::Unwell { .. }) && relapsed(&target.state) {
        target.relapses += 1;
    }
    if let Some(text) = text {
        told.take(text);
    }
    target.state = state;
    step.changed.push(id);
    target.state == State::Planned
}

/// Whoever becomes unwell from here was well before, or came back to be unwell again.
fn relapsed(before: &State) -> bool {
    match before {
        State::Proving { .. } | State::Proven { .. } | State::Unwell { away: true, .. } => true,
        State::Unwell { away: false, .. }
        | State::Planned
        | State::Offered { .. }
        | State::Failed { .. }
        | State::Accepted { .. }
        | State::GoingBack { .. }
        | State::Back
        | State::Gone => false,
    }
}

impl Step {
    fn noted(note: String) -> Self {
        Self { notes: vec![note], moved: true, ..Self::default() }
    }

    /// Nothing changed and nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.notes.is_empty() && self.changed.is_empty() && !self.moved
    }
}

/// What is told of single partitions: some by name, of the others how many.
#[derive(Debug, Default)]
struct Told {
    texts: Vec<String>,
    more: usize,
}

impl Told {
    fn take(&mut self, text: String) {
        if self.texts.len() < MAX_TOLD { self.texts.push(text) } else { self.more += 1 }
    }

    fn into_notes(self, step: &mut Step) {
        step.notes.extend(self.texts);
        if self.more > 0 {
            step.notes.push(format!("the like of {} more", words::partitions(self.more)));
        }
    }
}

/// It is not there, and may be back in a moment.
fn left_just_now(seen: &Observation, strategy: &RolloutStrategy, now: Timestamp) -> bool {
    seen.last_seen.is_some_and(|at| after(at, strategy.deadline_seconds) > now)
}

fn is_away(presence: Presence) -> bool {
    matches!(presence, Presence::Away | Presence::PlannedOutage | Presence::Held)
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// `1 partition is`, `5 partitions are`.
fn is(count: usize) -> String {
    format!("{} {}", words::partitions(count), if count == 1 { "is" } else { "are" })
}

/// `1 partition goes`, `5 partitions go`.
fn go(count: usize) -> String {
    format!("{} {}", words::partitions(count), if count == 1 { "goes" } else { "go" })
}
