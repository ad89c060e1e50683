//! What the planner sees of an agent.

use crate::fleet::record::Life;
use crate::fleet::{Agent, outage};
use jiff::Timestamp;
use muster_package::Version;
use muster_planner::{Candidate, Observation, Presence, Version as ChangeState};
use muster_proto::api::{ComponentKind, Connection};
use muster_proto::opamp::attribute;
use muster_shared::id::AgentId;

/// What is seen of an agent from the rollout `rollout`, which brings `package` or policies; `busy` is another rollout that
/// changes it.
#[must_use]
pub fn observe(
    agent: &mut Agent,
    rollout: u64,
    package: Option<&Version>,
    busy: Option<u64>,
    now: Timestamp,
) -> Observation {
    let id = agent.record.id;
    let components = &agent.observed.components;
    let word = |kind| match kind {
        ComponentKind::Source => Some("source"),
        ComponentKind::Destination => Some("destination"),
        ComponentKind::Other => None,
    };
    let unwell = components.iter().filter(|c| !c.healthy).filter_map(|c| {
        let why = if c.reason.is_empty() { &c.status } else { &c.reason };
        Some((format!("{} {}", word(c.kind)?, c.name), why.clone()))
    });
    let (version, held) = match package {
        Some(package) => {
            let with = agent.brought_by(rollout).unwrap_or_default();
            let version = agent.package_state(rollout, package, with);
            // Who is pinned takes no packages, as who is quarantined takes nothing; one that has it already is watched further.
            let held = agent.record.pin.is_some() && version == ChangeState::Old;
            (version, held)
        }
        None => (agent.change_state(agent.staged.contains(&rollout)), false),
    };
    Observation {
        name: agent.observed.name(id),
        labels: agent.record.labels.clone(),
        presence: match presence(agent, now) {
            Presence::Present if held => Presence::Held,
            other => other,
        },
        version,
        unwell: unwell.collect(),
        lag_ms: agent.rates.lag_ms(),
        rate: agent.rates.window(false).minute.received,
        counters: agent.rates.counters(),
        // One that tells counters, and told none to this process: whatever it tells will be newer.
        reported_at: agent
            .rates
            .reported_at()
            .or_else(|| agent.knows(muster_proto::session::rates::CAPABILITY).then_some(Timestamp::MIN)),
        last_seen: agent.last_seen,
        busy: busy.map(|other| format!("rollout {other}")),
    }
}

/// What is seen of an agent that is not in the fleet any more.
#[must_use]
pub fn gone(id: AgentId) -> Observation {
    Observation {
        name: id.to_string(),
        labels: Default::default(),
        presence: Presence::Gone,
        version: muster_planner::Version::Old,
        unwell: Vec::new(),
        lag_ms: 0,
        rate: 0.0,
        counters: None,
        reported_at: None,
        last_seen: None,
        busy: None,
    }
}

fn presence(agent: &Agent, now: Timestamp) -> Presence {
    match (&agent.record.life, agent.connection(now)) {
        (Life::Revoked(_), _) => Presence::Gone,
        (Life::Quarantined(_), _) => Presence::Held,
        (Life::Active, Connection::Connected) => Presence::Present,
        (Life::Active, Connection::Reconnecting | Connection::Offline | Connection::NeverConnected) => {
            match outage::present(agent.outage.as_deref(), &agent.observed, now) {
                Some(_) => Presence::PlannedOutage,
                None => Presence::Away,
            }
        }
    }
}

/// An agent that a change is for.
#[must_use]
pub fn candidate(agent: &Agent, now: Timestamp) -> Candidate {
    let id = agent.record.id;
    Candidate {
        id,
        name: agent.observed.name(id),
        labels: agent.record.labels.clone(),
        kind: agent.observed.attributes.get(attribute::IBMI_OS_RELEASE).cloned().unwrap_or_default(),
        present: presence(agent, now) == Presence::Present,
    }
}
