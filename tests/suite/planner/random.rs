//! Random fleets, random strategies, random faults: what must hold whatever happens.

use super::sim::{Answer, Fleet, id};
use muster_planner::{Action, Phase, Presence, Rollout, State, Step, plan};
use muster_proto::api::{Amount, Day, Labels, MaintenanceWindow, OnFailure, RolloutStrategy};
use muster_tests::results::{full_size, result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

#[test]
fn whatever_happens_the_rules_hold() {
    let (short, long) = if full_size() { (10_000, 100) } else { (1_000, 4) };
    let runs = (0..short).map(|seed| (seed, 200)).chain((0..long).map(|seed| (1_000_000 + seed, 5_000)));
    let mut ends = BTreeMap::new();
    let mut count = 0;
    for (seed, steps) in runs {
        let end = Run::new(seed).play(steps);
        *ends.entry(end).or_insert(0) += 1;
        count += 1;
    }
    println!("{ends:?}");
    // A generator that never reaches one of the two ends would prove little.
    assert!(ends.values().all(|n| *n * 20 > count) && ends.len() == 2, "{ends:?}");
    result("planner_runs_ok", count);
}

struct Run {
    seed: u64,
    dice: StdRng,
    fleet: Fleet,
    rollout: Rollout,
    log: Vec<String>,
    newcomers: usize,
}

fn strategy(dice: &mut StdRng) -> RolloutStrategy {
    let shares = [vec![100], vec![10, 50, 100], vec![5, 10, 20, 40, 80], vec![50], vec![1, 100]];
    let amount = |dice: &mut StdRng, least: u32| match dice.random_range(0..3) {
        0 => Amount::Percent(dice.random_range(1..=50)),
        _ => Amount::Count(dice.random_range(least..=8)),
    };
    let window = MaintenanceWindow {
        labels: Labels::from([("site".to_owned(), "east".to_owned())]),
        days: if dice.random() { vec![] } else { vec![Day::Thu, Day::Fri, Day::Sun] },
        from: "13:00".to_owned(),
        to: if dice.random() { "13:30" } else { "02:00" }.to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
    };
    RolloutStrategy {
        canaries: dice.random_range(0..4),
        waves: shares[dice.random_range(0..shares.len())].clone(),
        max_unavailable: amount(dice, 1),
        max_failures: amount(dice, 0),
        success_percent: if dice.random() { 100 } else { dice.random_range(50..=100) },
        soak_seconds: dice.random_range(0..120),
        deadline_seconds: dice.random_range(5..60),
        recovery_seconds: dice.random_range(0..30),
        windows: if dice.random_bool(0.3) { vec![window] } else { vec![] },
        on_failure: if dice.random_bool(0.3) { OnFailure::Halt } else { OnFailure::RollBack },
        ..RolloutStrategy::default()
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut fleet = Fleet::of(dice.random_range(5..=60));
        let trouble = [0.0, 0.01, 0.05, 0.2][dice.random_range(0..4)];
        for agent in fleet.agents.values_mut() {
            let site = if dice.random() { "east" } else { "west" };
            agent.labels.insert("site".to_owned(), site.to_owned());
            if dice.random_bool(trouble) {
                agent.answer = [Answer::Breaks, Answer::Refuses, Answer::Hangs][dice.random_range(0..3)];
            }
            if dice.random_bool(0.1) {
                agent.presence = Presence::Away;
            }
        }
        let strategy = strategy(&mut dice);
        let planned = plan(fleet.candidates(), &strategy).unwrap();
        let rollout = Rollout::start(&planned, strategy, fleet.now);
        Self { seed, dice, fleet, rollout, log: Vec::new(), newcomers: 0 }
    }

    /// Plays up to `steps` with faults, then without until it is over; tells how it ended.
    fn play(mut self, steps: usize) -> &'static str {
        for _ in 0..steps {
            if self.rollout.phase.is_over() {
                break;
            }
            self.something_happens();
            self.time_passes();
            self.step();
        }
        self.calm_down();
        let mut left = 3_000;
        while !self.rollout.phase.is_over() {
            if let Phase::Halted { .. } | Phase::Paused { .. } = self.rollout.phase {
                let now = self.fleet.now;
                let step = match self.dice.random::<bool>() {
                    true => self.rollout.resume("otto", ""),
                    false => self.rollout.abort("otto", "", now),
                };
                let step = step.unwrap();
                self.check(&step);
                self.fleet.obey(&step);
            }
            self.time_passes();
            self.step();
            left -= 1;
            self.ensure(left > 0, "it always ends");
        }
        self.check_end()
    }

    fn something_happens(&mut self) {
        let count = self.fleet.agents.len();
        let number = self.dice.random_range(1..=count);
        let dice = self.dice.random_range(0..60);
        let now = self.fleet.now;
        let step = match dice {
            0 => self.rollout.pause("otto", "", now).ok(),
            1 => self.rollout.resume("otto", "").ok(),
            2 if self.dice.random_bool(0.05) => self.rollout.abort("otto", "enough", now).ok(),
            3 if count < 70 => {
                self.newcomers += 1;
                let number = 100 + self.newcomers;
                let fresh = Fleet::of(number).agents.remove(&id(number)).unwrap();
                self.fleet.agents.insert(id(number), fresh);
                Some(self.rollout.join([id(number)]))
            }
            _ => None,
        };
        if let Some(step) = step {
            self.check(&step);
            self.fleet.obey(&step);
        }
        let Some(agent) = self.fleet.agents.get_mut(&id(number)) else { return };
        match dice {
            10..=14 => agent.presence = Presence::Away,
            15 => agent.presence = Presence::PlannedOutage,
            16 => agent.presence = Presence::Held,
            17..=24 => agent.presence = Presence::Present,
            25 if self.dice.random_bool(0.1) => agent.broken = Some("not authorised".to_owned()),
            26..=28 => agent.broken = None,
            29 if self.dice.random_bool(0.1) => agent.lag_ms = 400_000,
            30 => agent.lag_ms = 0,
            31 => agent.busy = true,
            32..=34 => agent.busy = false,
            35 if self.dice.random_bool(0.1) => {
                self.fleet.agents.remove(&id(number));
            }
            // The controller is killed and started again: all that it knows is what was stored.
            40 => {
                let stored = serde_json::to_string(&self.rollout).unwrap();
                let targets = std::mem::take(&mut self.rollout.targets);
                let kept = serde_json::to_string(&targets).unwrap();
                self.rollout = serde_json::from_str(&stored).unwrap();
                self.rollout.targets = serde_json::from_str(&kept).unwrap();
                assert_eq!(self.rollout.targets, targets);
                self.rollout.looked_away_until(now);
            }
            _ => {}
        }
    }

    /// From here on everybody behaves.
    fn calm_down(&mut self) {
        for agent in self.fleet.agents.values_mut() {
            (agent.presence, agent.broken, agent.lag_ms, agent.busy) = (Presence::Present, None, 0, false);
        }
    }

    fn time_passes(&mut self) {
        let step = self.rollout.step(&|id| self.fleet.look(id), self.fleet.now);
        self.check(&step);
        self.fleet.obey(&step);
        // As a driver does: until it has to look again, or something is seen before.
        let wake = step.wake.map(|at| at.as_second() - self.fleet.now.as_second());
        self.ensure(wake.is_none_or(|seconds| seconds >= 0), "it is never too late");
        let seconds = match wake {
            Some(seconds) if self.dice.random() => seconds.clamp(1, 90_000),
            _ => self.dice.random_range(1..20),
        };
        self.fleet.advance(seconds);
    }

    fn step(&mut self) {
        let wave = self.rollout.wave;
        let step = self.rollout.step(&|id| self.fleet.look(id), self.fleet.now);
        if self.rollout.wave > wave {
            self.check_gate(wave);
        }
        self.check(&step);
        self.fleet.obey(&step);
    }

    /// What holds of every step.
    fn check(&mut self, step: &Step) {
        self.log.extend(step.notes.iter().map(|note| format!("{} {note}", self.fleet.now)));
        let most = self.rollout.max_unavailable();
        for action in &step.actions {
            let Action::Offer(ids) = action else { continue };
            self.ensure(self.rollout.unavailable() <= most, "nobody is told while too many are unavailable");
            self.ensure(self.rollout.phase == Phase::Running, "nobody is told unless it runs");
            for id in ids {
                let seen = self.fleet.look(*id);
                self.ensure(seen.presence == Presence::Present, "only who is there is told");
                self.ensure(seen.busy.is_none(), "nobody is told who is changed otherwise");
                self.ensure(self.is_open(&seen.labels), "nobody is told outside of its window");
                self.ensure(
                    self.rollout.targets[id].wave <= self.rollout.wave,
                    "nobody is told before its wave",
                );
            }
        }
    }

    /// The window, judged by other means: its only zone is an hour ahead of UTC in those weeks.
    fn is_open(&self, labels: &Labels) -> bool {
        let Some(window) = self.rollout.strategy.windows.first() else { return true };
        if labels.get("site").is_none_or(|site| site != "east") {
            return true;
        }
        let local = self.fleet.now.as_second() + 3_600;
        let (day, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        // 1970-01-01 was a Thursday.
        let allowed = |day: i64| window.days.is_empty() || [0, 1, 3].contains(&day.rem_euclid(7));
        let from = 13 * 3_600;
        match window.to.as_str() {
            "13:30" => allowed(day) && (from..from + 1_800).contains(&second),
            _ => (allowed(day) && second >= from) || (allowed(day - 1) && second < 2 * 3_600),
        }
    }

    /// What holds when a wave passed, judged by what the partitions are really like.
    fn check_gate(&self, passed: usize) {
        let Rollout { strategy, targets, .. } = &self.rollout;
        let mut failed = 0;
        let (mut well, mut others) = (0, 0);
        for (id, target) in targets.iter().filter(|(_, t)| t.wave == passed) {
            let really = self.fleet.agents.get(id);
            match &target.state {
                State::Proven { since } => {
                    well += 1;
                    let really = really.expect("it is in the fleet");
                    self.ensure(really.runs && really.is_well(), "who passed is well with the change");
                    let soaked = self.fleet.now.as_second() - since.as_second();
                    self.ensure(soaked >= strategy.soak_seconds as i64, "who passed was watched long enough");
                }
                State::Failed { .. } => failed += 1,
                State::Offered { .. } | State::Proving { .. } | State::Unwell { .. } => others += 1,
                State::Planned => {
                    let away = really.is_none_or(|agent| agent.presence != Presence::Present);
                    self.ensure(away, "nobody who is there is left behind");
                    self.ensure(passed > 0 || !self.rollout.canaries, "no canary is left behind");
                }
                _ => {}
            }
        }
        let canaries = self.rollout.canaries && passed == 0;
        let allowed = if canaries { 0 } else { strategy.max_failures.of(targets.len()) };
        self.ensure(failed <= allowed, "no wave begins after too many failures");
        let percent = if canaries { 100 } else { usize::from(strategy.success_percent) };
        self.ensure(well * 100 >= (well + others) * percent, "no wave begins before enough passed");
    }

    fn check_end(&self) -> &'static str {
        let wants = |id| self.fleet.agents.get(id).is_some_and(|agent| agent.wanted);
        match &self.rollout.phase {
            Phase::Done { .. } => {
                for (id, target) in &self.rollout.targets {
                    let fits = wants(id) == target.state.has_change() || !self.fleet.agents.contains_key(id);
                    self.ensure(fits, "what was told is what is known");
                }
                "done"
            }
            _ => {
                let nobody = self.rollout.targets.keys().all(|id| !wants(id));
                self.ensure(nobody, "after going back nobody has the change");
                "rolled back"
            }
        }
    }

    fn ensure(&self, holds: bool, rule: &str) {
        if !holds {
            let Rollout { strategy, phase, wave, targets, .. } = &self.rollout;
            panic!(
                "seed {}: {rule}\n{}\nnow {}: {phase:?}, wave {wave}\n{strategy:#?}\n{targets:#?}",
                self.seed,
                self.log.join("\n"),
                self.fleet.now
            );
        }
    }
}
