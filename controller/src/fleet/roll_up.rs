//! Sums over the fleet: functions of what the list shows.

use jiff::Timestamp;
use muster_proto::api::{
    AgentState, AgentSummary, Connection, FlagKind, FleetView, PerSecond, PolicyState, RateWindow, Totals,
};

/// Adds up rates.
#[must_use]
pub fn sum<'a>(windows: impl IntoIterator<Item = &'a RateWindow>) -> RateWindow {
    windows.into_iter().fold(RateWindow::default(), |a, b| RateWindow {
        total: Totals {
            received: a.total.received.saturating_add(b.total.received),
            kept: a.total.kept.saturating_add(b.total.kept),
            dropped: a.total.dropped.saturating_add(b.total.dropped),
            delivered: a.total.delivered.saturating_add(b.total.delivered),
        },
        now: add(a.now, b.now),
        minute: add(a.minute, b.minute),
        hour: add(a.hour, b.hour),
    })
}

fn add(a: PerSecond, b: PerSecond) -> PerSecond {
    PerSecond {
        received: a.received + b.received,
        kept: a.kept + b.kept,
        dropped: a.dropped + b.dropped,
        delivered: a.delivered + b.delivered,
    }
}

/// What counts of one agent.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Whether it is there.
    pub connection: Connection,
    /// The one state.
    pub state: AgentState,
    /// Healthy as it last said, and nothing is wrong with it from the controller's side.
    pub healthy: bool,
    /// It has a silent source.
    pub silent: bool,
    /// It has a noisy source.
    pub noisy: bool,
    /// Where it stands with its policy.
    pub policy: PolicyState,
    /// Its rates.
    pub rates: RateWindow,
    /// Greatest lag of its destinations in milliseconds.
    pub lag_ms: u64,
}

impl From<&AgentSummary> for Line {
    fn from(agent: &AgentSummary) -> Self {
        let has = |kind| agent.flags.iter().any(|flag| flag.kind == kind);
        Self {
            connection: agent.connection,
            state: agent.state,
            healthy: agent.healthy,
            silent: has(FlagKind::Silent),
            noisy: has(FlagKind::Noisy),
            policy: agent.policy.state,
            rates: agent.rates,
            lag_ms: agent.lag_ms,
        }
    }
}

/// The fleet at a glance. Health and policy of agents that are offline are not counted as healthy or
/// unhealthy: nobody knows. The day is not known here.
#[must_use]
pub fn fleet(agents: &[Line], now: Timestamp) -> FleetView {
    let count = |f: &dyn Fn(&Line) -> bool| agents.iter().filter(|a| f(a)).count() as u64;
    let there = |a: &Line| a.connection == Connection::Connected;
    FleetView {
        at: now,
        agents: agents.len() as u64,
        connected: count(&there),
        reconnecting: count(&|a| a.connection == Connection::Reconnecting),
        offline: count(&|a| a.connection == Connection::Offline),
        never_connected: count(&|a| a.connection == Connection::NeverConnected),
        healthy: count(&|a| there(a) && a.healthy),
        unhealthy: count(&|a| there(a) && !a.healthy),
        degraded: count(&|a| a.state == AgentState::Degraded),
        failed: count(&|a| a.state == AgentState::Failed),
        planned_outage: count(&|a| a.state == AgentState::PlannedOutage),
        quarantined: count(&|a| a.state == AgentState::Quarantined),
        silent: count(&|a| a.silent),
        noisy: count(&|a| a.noisy),
        policy_failed: count(&|a| a.policy == PolicyState::Failed),
        policy_pending: count(&|a| matches!(a.policy, PolicyState::Applying | PolicyState::Waiting)),
        rates: sum(agents.iter().map(|a| &a.rates)),
        lag_ms: agents.iter().map(|a| a.lag_ms).max().unwrap_or(0),
        day: Totals::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::{AgentLife, PolicyStatusView};
    use muster_shared::id::Revision;

    fn agent(connection: Connection, healthy: bool, state: PolicyState, received: f64) -> AgentSummary {
        AgentSummary {
            id: "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(),
            kind: Default::default(),
            name: "P".to_owned(),
            labels: Default::default(),
            state: match (connection, healthy) {
                (Connection::Connected, true) => AgentState::Healthy,
                (Connection::Connected, false) => AgentState::Failed,
                (Connection::Reconnecting, _) => AgentState::Reconnecting,
                (Connection::Offline, _) => AgentState::PlannedOutage,
                (Connection::NeverConnected, _) => AgentState::NeverConnected,
            },
            since: None,
            connection,
            life: AgentLife::Active,
            last_seen: None,
            healthy,
            reason: String::new(),
            version: String::new(),
            os_release: String::new(),
            utc_offset_seconds: None,
            policy: PolicyStatusView {
                wanted: Revision(1),
                running: None,
                state,
                reason: String::new(),
                since: None,
            },
            rates: RateWindow {
                total: Totals { received: 10, ..Totals::default() },
                now: PerSecond { received, ..PerSecond::default() },
                ..RateWindow::default()
            },
            lag_ms: 0,
            flags: Vec::new(),
            planned_outage: None,
            upgrade: None,
            pin: None,
        }
    }

    #[test]
    fn offline_wins_over_health() {
        let agents = [
            agent(Connection::Connected, true, PolicyState::Applied, 2.0),
            agent(Connection::Connected, false, PolicyState::Failed, 3.0),
            agent(Connection::Offline, false, PolicyState::Waiting, 0.0),
            agent(Connection::Reconnecting, true, PolicyState::Applying, 0.0),
            agent(Connection::NeverConnected, true, PolicyState::Waiting, 0.0),
        ];
        let view = fleet(&agents.each_ref().map(Line::from), Timestamp::UNIX_EPOCH);
        assert_eq!((view.agents, view.connected, view.offline), (5, 2, 1));
        assert_eq!((view.reconnecting, view.never_connected), (1, 1));
        assert_eq!((view.healthy, view.unhealthy), (1, 1));
        assert_eq!((view.failed, view.degraded, view.planned_outage, view.quarantined), (1, 0, 1, 0));
        assert_eq!((view.policy_failed, view.policy_pending), (1, 3));
        assert_eq!(view.rates.total.received, 50);
        assert!((view.rates.now.received - 5.0).abs() < 1e-9);
    }
}
