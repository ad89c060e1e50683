//! A fleet of numbers: agents that take what they are told, or not.

use jiff::{SignedDuration, Timestamp};
use muster_planner::{Action, Candidate, Counters, Observation, Presence, Step, Version};
use muster_proto::api::Labels;
use muster_shared::id::AgentId;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What an agent does when it is told to change over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Runs it.
    Applies,
    /// Runs it, and a source does not work with it.
    Breaks,
    /// Refuses it.
    Refuses,
    /// Says nothing.
    Hangs,
}

/// A simulated agent.
#[derive(Debug, Clone)]
pub struct Agent {
    pub name: String,
    pub labels: Labels,
    pub presence: Presence,
    /// The change is what it should run.
    pub wanted: bool,
    /// It runs the change.
    pub runs: bool,
    pub refused: bool,
    /// It was heard to be changing over.
    pub changing: bool,
    pub answer: Answer,
    /// A source does not work, whatever it runs.
    pub broken: Option<String>,
    pub lag_ms: u64,
    pub busy: bool,
    /// What was wrong with it, and its lag, when it was told.
    before: (Option<String>, u64),
    /// When it will have followed what it was told.
    follows_at: Option<Timestamp>,
    reported_at: Timestamp,
    seen_at: Timestamp,
    received: u64,
}

/// The fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub now: Timestamp,
    /// Seconds from being told to having done it.
    pub takes: i64,
    pub agents: BTreeMap<AgentId, Agent>,
}

pub fn id(number: usize) -> AgentId {
    AgentId(Uuid::from_u128(0x01a2_0000_0000_7000_8000_0000_0000_0000 + number as u128))
}

impl Fleet {
    /// `P1` to `Pn`, well, at noon.
    pub fn of(count: usize) -> Self {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let agents = (1..=count).map(|number| (id(number), Agent::new(number, now))).collect();
        Self { now, takes: 2, agents }
    }

    pub fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(id, agent): (&AgentId, &Agent)| Candidate {
            id: *id,
            name: agent.name.clone(),
            labels: agent.labels.clone(),
            kind: "V7R5M0".to_owned(),
            present: agent.presence == Presence::Present,
        };
        self.agents.iter().map(candidate).collect()
    }

    pub fn named(&mut self, name: &str) -> &mut Agent {
        self.agents.values_mut().find(|a| a.name == name).unwrap_or_else(|| panic!("no partition {name}"))
    }

    pub fn look(&self, id: AgentId) -> Observation {
        let Some(agent) = self.agents.get(&id) else {
            let mut gone = Agent::new(0, self.now).seen(self.now);
            (gone.name, gone.presence) = (id.to_string(), Presence::Gone);
            return gone;
        };
        agent.seen(self.now)
    }

    /// Does what a step asks for.
    pub fn obey(&mut self, step: &Step) {
        let follows_at = self.now + SignedDuration::from_secs(self.takes);
        for action in &step.actions {
            let (ids, wanted) = match action {
                Action::Offer(ids) => (ids, true),
                Action::Withdraw(ids) => (ids, false),
                Action::Ask(ids) => {
                    for id in ids {
                        if let Some(agent) = self.agents.get_mut(id) {
                            agent.report(self.now);
                        }
                    }
                    continue;
                }
            };
            for id in ids {
                if let Some(agent) = self.agents.get_mut(id) {
                    if wanted {
                        agent.before = (agent.fault(), agent.lag_ms);
                    }
                    agent.wanted = wanted;
                    agent.follows_at = Some(follows_at);
                }
            }
        }
    }

    /// Time passes.
    pub fn advance(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        let now = self.now;
        for agent in self.agents.values_mut().filter(|a| a.presence == Presence::Present) {
            agent.live(now, seconds);
        }
    }
}

impl Agent {
    fn new(number: usize, now: Timestamp) -> Self {
        Self {
            name: format!("P{number}"),
            labels: Labels::new(),
            presence: Presence::Present,
            wanted: false,
            runs: false,
            refused: false,
            changing: false,
            answer: Answer::Applies,
            broken: None,
            lag_ms: 0,
            busy: false,
            before: (None, 0),
            follows_at: None,
            reported_at: now,
            seen_at: now,
            received: 1_000,
        }
    }

    fn report(&mut self, now: Timestamp) {
        if self.presence == Presence::Present {
            self.reported_at = now;
        }
    }

    fn live(&mut self, now: Timestamp, seconds: i64) {
        self.seen_at = now;
        self.received += 10 * u64::try_from(seconds).unwrap_or(0);
        // A heartbeat every 30 s.
        if now.as_second() - self.reported_at.as_second() >= 30 {
            self.reported_at = now;
        }
        if self.follows_at.is_none_or(|at| at > now) {
            return;
        }
        match (self.wanted, self.answer) {
            (false, _) => (self.runs, self.refused, self.changing) = (false, false, false),
            (true, Answer::Applies | Answer::Breaks) => (self.runs, self.changing) = (true, false),
            (true, Answer::Refuses) => self.refused = true,
            (true, Answer::Hangs) => {
                self.changing = true;
                return;
            }
        }
        self.follows_at = None;
    }

    /// Whether it works as it should, or at least as before, as a person would judge.
    pub fn is_well(&self) -> bool {
        let (before, lag_ms) = &self.before;
        let works = self.fault().is_none() || before.is_some();
        self.presence == Presence::Present && works && self.lag_ms <= 300_000.max(*lag_ms)
    }

    fn fault(&self) -> Option<String> {
        let broken = self.runs && self.answer == Answer::Breaks;
        self.broken.clone().or_else(|| broken.then(|| "journal not found".to_owned()))
    }

    fn seen(&self, now: Timestamp) -> Observation {
        let version = match (self.refused && self.wanted, self.runs, self.changing) {
            (true, _, _) => Version::Refused("no such destination".to_owned()),
            (false, true, _) => Version::New,
            (false, false, true) => Version::Changing,
            (false, false, false) => Version::Old,
        };
        let counters = Counters { at_ms: now.as_millisecond(), boot: 1, received: self.received, errors: 0 };
        Observation {
            name: self.name.clone(),
            labels: self.labels.clone(),
            presence: self.presence,
            version,
            unwell: self.fault().map(|why| ("source audit".to_owned(), why)).into_iter().collect(),
            lag_ms: self.lag_ms,
            rate: 10.0,
            counters: Some(counters),
            reported_at: Some(self.reported_at),
            last_seen: Some(self.seen_at),
            busy: self.busy.then(|| "rollout 7".to_owned()),
        }
    }
}
