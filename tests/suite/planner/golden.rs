//! Scripts that a person can read like a log. Lines with `>` are what happens, `#` says what it shows, the others are
//! what the planner says. `MUSTER_GOLDEN=write` writes what it says now into the files; read the difference.

use super::sim::{Answer, Fleet};
use muster_planner::{Presence, Rollout, Step, plan};
use muster_proto::api::{Labels, MaintenanceWindow, OnFailure, RolloutStrategy};
use std::path::{Path, PathBuf};

#[test]
fn scripts_read_like_a_log() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/planner/golden");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    let write = std::env::var_os("MUSTER_GOLDEN").is_some_and(|value| value == "write");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let played = play(&text);
        if write {
            std::fs::write(&file, played).unwrap();
        } else {
            assert_eq!(played, text, "{}", file.display());
        }
    }
}

/// The script with what the planner says to it.
fn play(text: &str) -> String {
    let mut stage = Stage::default();
    for line in text.lines() {
        match line.strip_prefix("> ") {
            Some(command) => {
                stage.out.push_str(&format!("{line}\n"));
                stage.act(command);
            }
            None if line.is_empty() || line.starts_with('#') => stage.out.push_str(&format!("{line}\n")),
            None => {}
        }
    }
    stage.out
}

struct Stage {
    fleet: Fleet,
    strategy: RolloutStrategy,
    rollout: Option<Rollout>,
    out: String,
}

impl Default for Stage {
    fn default() -> Self {
        let strategy = RolloutStrategy {
            soak_seconds: 60,
            deadline_seconds: 30,
            recovery_seconds: 10,
            ..RolloutStrategy::default()
        };
        Self { fleet: Fleet::of(0), strategy, rollout: None, out: String::new() }
    }
}

impl Stage {
    fn act(&mut self, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let now = self.fleet.now;
        match words[..] {
            ["fleet", count] => self.fleet = Fleet::of(count.parse().unwrap()),
            ["strategy", ref settings @ ..] => self.set(settings),
            ["window", label, from, to, zone] => self.strategy.windows.push(MaintenanceWindow {
                labels: labels(label),
                days: Vec::new(),
                from: from.to_owned(),
                to: to.to_owned(),
                time_zone: zone.to_owned(),
            }),
            ["label", name, label] => self.fleet.named(name).labels.extend(labels(label)),
            ["start"] => self.start(),
            ["pause", ref why @ ..] => {
                let step = self.rollout().pause("otto", &why.join(" "), now).unwrap();
                self.take(&step);
            }
            ["resume"] => {
                let step = self.rollout().resume("otto", "").unwrap();
                self.take(&step);
                self.step();
            }
            ["abort", ref why @ ..] => {
                let step = self.rollout().abort("otto", &why.join(" "), now).unwrap();
                self.take(&step);
            }
            ["waiting"] => {
                let rollout = self.rollout.as_ref().unwrap();
                for line in rollout.waiting(&|id| self.fleet.look(id), now) {
                    self.out.push_str(&format!("    {line}\n"));
                }
            }
            ["over"] => {
                for _ in 0..100_000 {
                    if self.rollout().phase.is_over() {
                        return;
                    }
                    self.pass(1);
                }
                panic!("it does not end\n{}", self.out);
            }
            [seconds] if seconds.starts_with('+') => self.pass(seconds[1..].parse().unwrap()),
            [name, ref what @ ..] => self.happen(name, what),
            [] => panic!("an empty command"),
        }
    }

    fn rollout(&mut self) -> &mut Rollout {
        self.rollout.as_mut().expect("it was started")
    }

    fn set(&mut self, settings: &[&str]) {
        let strategy = &mut self.strategy;
        for setting in settings {
            let (key, value) = setting.split_once('=').unwrap();
            match key {
                "canaries" => strategy.canaries = value.parse().unwrap(),
                "waves" => strategy.waves = value.split(',').map(|w| w.parse().unwrap()).collect(),
                "soak" => strategy.soak_seconds = value.parse().unwrap(),
                "deadline" => strategy.deadline_seconds = value.parse().unwrap(),
                "recovery" => strategy.recovery_seconds = value.parse().unwrap(),
                "unavailable" => strategy.max_unavailable = value.parse().unwrap(),
                "failures" => strategy.max_failures = value.parse().unwrap(),
                "success" => strategy.success_percent = value.parse().unwrap(),
                "on_failure" if value == "halt" => strategy.on_failure = OnFailure::Halt,
                _ => panic!("no setting {setting}"),
            }
        }
    }

    fn start(&mut self) {
        let planned = plan(self.fleet.candidates(), &self.strategy).unwrap();
        for reason in &planned.reasons {
            self.out.push_str(&format!("    {reason}\n"));
        }
        self.rollout = Some(Rollout::start(&planned, self.strategy.clone(), self.fleet.now));
        self.step();
    }

    fn happen(&mut self, name: &str, what: &[&str]) {
        let agent = self.fleet.named(name);
        match what {
            ["applies"] => agent.answer = Answer::Applies,
            ["breaks"] => agent.answer = Answer::Breaks,
            ["refuses"] => agent.answer = Answer::Refuses,
            ["hangs"] => agent.answer = Answer::Hangs,
            ["leaves"] => agent.presence = Presence::Away,
            ["returns"] => agent.presence = Presence::Present,
            ["IPL"] => agent.presence = Presence::PlannedOutage,
            ["fails", why @ ..] => agent.broken = Some(why.join(" ")),
            ["recovers"] => agent.broken = None,
            ["busy"] => agent.busy = true,
            ["free"] => agent.busy = false,
            _ => panic!("no such thing: {name} {what:?}"),
        }
    }

    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.fleet.advance(1);
            self.step();
        }
    }

    fn step(&mut self) {
        let Self { fleet, rollout, .. } = self;
        let Some(rollout) = rollout else { return };
        let step = rollout.step(&|id| fleet.look(id), fleet.now);
        self.take(&step);
    }

    fn take(&mut self, step: &Step) {
        for note in &step.notes {
            let line = format!("{} {note}\n", self.fleet.now.strftime("%a %H:%M:%S"));
            self.out.push_str(&line);
        }
        self.fleet.obey(step);
    }
}

fn labels(text: &str) -> Labels {
    text.split(',').filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}
