//! The one state of an agent that is shown everywhere: list, detail, fleet, metrics. Pure.
//!
//! What an agent said before it left is old, so that being away wins over everything it said.

use super::observed::Observed;
use jiff::Timestamp;
use muster_proto::api::{AgentState, ComponentKind, ComponentView, Connection};

/// How well an agent is by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// All of it works.
    Healthy,
    /// Something is starting, lost, late or only assumed.
    Degraded,
    /// Something does not work.
    Failed,
}

/// What the state is told from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether it is there.
    pub connection: Connection,
    /// What it said of itself.
    pub level: Level,
    /// It is not trusted.
    pub quarantined: bool,
    /// An outage of its partition is announced for now.
    pub planned_outage: bool,
}

/// The state.
#[must_use]
pub fn state(facts: Facts) -> AgentState {
    let Facts { connection, level, quarantined, planned_outage } = facts;
    match (connection, planned_outage) {
        (Connection::NeverConnected, _) => AgentState::NeverConnected,
        (Connection::Offline | Connection::Reconnecting, true) => AgentState::PlannedOutage,
        (Connection::Offline, false) => AgentState::Offline,
        (Connection::Connected | Connection::Reconnecting, _) if quarantined => AgentState::Quarantined,
        (Connection::Reconnecting, false) => AgentState::Reconnecting,
        (Connection::Connected, planned) => match (level, planned) {
            (Level::Healthy, _) => AgentState::Healthy,
            (Level::Degraded | Level::Failed, true) => AgentState::PlannedOutage,
            (Level::Degraded, false) => AgentState::Degraded,
            (Level::Failed, false) => AgentState::Failed,
        },
    }
}

/// How well one component is: an agent's own words are known, of others only whether they are healthy.
#[must_use]
pub fn component_level(component: &ComponentView) -> Level {
    match (component.healthy, component.status.as_str()) {
        (true, _) => Level::Healthy,
        (false, "degraded" | "starting") => Level::Degraded,
        (false, _) => Level::Failed,
    }
}

/// How well an agent is: as its worst source or destination; where it names none, as it says itself.
#[must_use]
pub fn level(observed: &Observed) -> Level {
    let worst = observed
        .components
        .iter()
        .filter(|c| c.kind != ComponentKind::Other || !observed.healthy)
        .map(component_level)
        .max();
    match (observed.healthy, worst) {
        (true, worst) => worst.unwrap_or(Level::Healthy),
        (false, None | Some(Level::Healthy)) => Level::Failed,
        (false, Some(worst)) => worst,
    }
}

/// Since when an agent is in a state.
#[must_use]
pub fn since(state: AgentState, observed: &Observed, last_seen: Option<Timestamp>) -> Option<Timestamp> {
    let of = |level: Level| {
        observed.components.iter().filter(move |c| component_level(c) == level).filter_map(|c| c.since)
    };
    match state {
        // Well since the last of its components became so.
        AgentState::Healthy => of(Level::Healthy).max(),
        AgentState::Degraded => of(Level::Degraded).min(),
        AgentState::Failed => of(Level::Failed).min(),
        AgentState::Reconnecting | AgentState::Offline => last_seen,
        AgentState::PlannedOutage | AgentState::Quarantined | AgentState::NeverConnected => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case() {
        use AgentState as S;
        use Connection::{Connected, NeverConnected, Offline, Reconnecting};
        use Level::{Degraded, Failed, Healthy};
        // Connection, level, quarantined, planned outage.
        let cases = [
            (Connected, Healthy, false, false, S::Healthy),
            (Connected, Degraded, false, false, S::Degraded),
            (Connected, Failed, false, false, S::Failed),
            (Connected, Healthy, true, false, S::Quarantined),
            (Connected, Failed, true, false, S::Quarantined),
            (Connected, Healthy, false, true, S::Healthy),
            (Connected, Degraded, false, true, S::PlannedOutage),
            (Connected, Failed, false, true, S::PlannedOutage),
            (Connected, Healthy, true, true, S::Quarantined),
            (Reconnecting, Healthy, false, false, S::Reconnecting),
            (Reconnecting, Failed, false, false, S::Reconnecting),
            (Reconnecting, Healthy, true, false, S::Quarantined),
            (Reconnecting, Healthy, false, true, S::PlannedOutage),
            (Offline, Healthy, false, false, S::Offline),
            (Offline, Degraded, false, false, S::Offline),
            (Offline, Failed, false, false, S::Offline),
            (Offline, Failed, true, false, S::Offline),
            (Offline, Healthy, false, true, S::PlannedOutage),
            (Offline, Failed, true, true, S::PlannedOutage),
            (NeverConnected, Healthy, false, false, S::NeverConnected),
            (NeverConnected, Failed, true, true, S::NeverConnected),
        ];
        for (connection, level, quarantined, planned_outage, expected) in cases {
            let facts = Facts { connection, level, quarantined, planned_outage };
            assert_eq!(state(facts), expected, "{facts:?}");
        }
    }

    fn component(kind: ComponentKind, healthy: bool, status: &str, second: i64) -> ComponentView {
        ComponentView {
            kind,
            name: status.to_owned(),
            healthy,
            status: status.to_owned(),
            reason: String::new(),
            since: Some(Timestamp::from_second(second).unwrap()),
        }
    }

    fn observed(healthy: bool, components: Vec<ComponentView>) -> Observed {
        Observed { healthy, components, ..Observed::default() }
    }

    #[test]
    fn an_agent_is_as_well_as_its_worst_part() {
        use ComponentKind::{Destination, Other, Source};
        let well = component(Source, true, "healthy", 1);
        let late = component(Source, false, "degraded", 5);
        let dead = component(Destination, false, "failed", 3);
        let cases = [
            (observed(true, vec![]), Level::Healthy),
            (observed(false, vec![]), Level::Failed),
            (observed(true, vec![well.clone()]), Level::Healthy),
            (observed(false, vec![well.clone()]), Level::Failed),
            (observed(false, vec![well.clone(), late.clone()]), Level::Degraded),
            (observed(false, vec![late.clone(), dead.clone()]), Level::Failed),
            (observed(false, vec![component(Source, false, "starting", 1)]), Level::Degraded),
            (observed(true, vec![component(Other, false, "failed", 1)]), Level::Healthy),
            (observed(false, vec![component(Other, false, "degraded", 1)]), Level::Degraded),
            // A foreign agent's words are its own.
            (observed(false, vec![component(Other, false, "StatusPermanentError", 1)]), Level::Failed),
        ];
        for (observed, expected) in cases {
            assert_eq!(level(&observed), expected, "{observed:?}");
        }
        let sick = observed(false, vec![well, late, dead]);
        let second = |state| since(state, &sick, Timestamp::from_second(9).ok()).map(Timestamp::as_second);
        assert_eq!(second(AgentState::Failed), Some(3));
        assert_eq!(second(AgentState::Degraded), Some(5));
        assert_eq!(second(AgentState::Healthy), Some(1));
        assert_eq!(second(AgentState::Offline), Some(9));
        assert_eq!(second(AgentState::NeverConnected), None);
    }
}
