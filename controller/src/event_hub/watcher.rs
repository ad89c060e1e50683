//! Looks at the fleet while somebody watches, and tells what changed since the last look.

use super::EventHub;
use crate::app::App;
use crate::fleet::roll_up::{self, Line};
use crate::fleet::view;
use jiff::Timestamp;
use muster_proto::api::{AgentEvent, AgentSummary, FleetEvent, FleetView};
use muster_shared::id::AgentId;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Changed agents told one by one; if there are more, watchers are told to read everything anew.
const MAX_CHANGES: usize = 500;

/// What the last look saw.
#[derive(Debug, Default)]
struct Seen {
    agents: HashMap<AgentId, u64>,
    fleet: Option<FleetEvent>,
}

/// What changed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    agents: Vec<AgentEvent>,
    removed: Vec<AgentId>,
    fleet: Option<FleetEvent>,
}

fn event(agent: &AgentSummary) -> AgentEvent {
    AgentEvent {
        id: agent.id,
        name: agent.name.clone(),
        connection: agent.connection,
        healthy: agent.healthy,
        reason: agent.reason.clone(),
        policy: agent.policy.state,
        upgrade: agent.upgrade.as_ref().map(|upgrade| upgrade.step),
        removed: false,
    }
}

fn fleet_event(view: &FleetView) -> FleetEvent {
    FleetEvent {
        agents: view.agents,
        connected: view.connected,
        offline: view.offline,
        healthy: view.healthy,
        unhealthy: view.unhealthy,
        policy_failed: view.policy_failed,
        policy_pending: view.policy_pending,
    }
}

impl Seen {
    fn look(&mut self, agents: &[AgentSummary], fleet: FleetEvent) -> Changes {
        let first = self.fleet.is_none();
        let mut changes = Changes::default();
        let mut now = HashMap::with_capacity(agents.len());
        for agent in agents {
            let event = event(agent);
            let mut hasher = DefaultHasher::new();
            event.hash(&mut hasher);
            let hash = hasher.finish();
            now.insert(event.id, hash);
            if self.agents.remove(&event.id) != Some(hash) && !first {
                changes.agents.push(event);
            }
        }
        changes.removed = self.agents.drain().map(|(id, _)| id).collect();
        self.agents = now;
        if self.fleet.replace(fleet) != Some(fleet) && !first {
            changes.fleet = Some(fleet);
        }
        changes
    }
}

fn tell(hub: &EventHub, changes: Changes) {
    if changes.agents.len() + changes.removed.len() > MAX_CHANGES {
        hub.push("reload", &serde_json::json!({ "reason": "many agents changed at once; read them anew" }));
    } else {
        for event in changes.agents {
            hub.push("agent", &event);
        }
        for id in changes.removed {
            hub.push("agent", &serde_json::json!({ "id": id, "removed": true }));
        }
    }
    if let Some(fleet) = changes.fleet {
        hub.push("fleet", &fleet);
    }
}

/// Runs until it is aborted. Costs nothing while nobody watches.
pub async fn run(app: Arc<App>) {
    let mut seen = Seen::default();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.events.0.wanted.notified() => {}
        }
        if !app.events.is_watched() {
            if seen.fleet.is_some() {
                // From now on changes are not seen: whoever comes back to an older place is told so.
                app.events.push("reload", &serde_json::json!({ "reason": "nobody watched for a while" }));
                seen = Seen::default();
                app.events.0.looked.send_replace(false);
            }
            continue;
        }
        let now = Timestamp::now();
        let agents = app.fleet.each(|agent| view::summary(agent, now));
        let lines: Vec<Line> = agents.iter().map(Line::from).collect();
        let fleet = fleet_event(&roll_up::fleet(&lines, now));
        tell(&app.events, seen.look(&agents, fleet));
        app.events.0.looked.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::{
        AgentKind, AgentLife, AgentState, Connection, PolicyState, PolicyStatusView, RateWindow,
    };
    use muster_shared::id::Revision;

    fn agent(n: u128, healthy: bool) -> AgentSummary {
        AgentSummary {
            id: AgentId(uuid::Uuid::from_u128(n)),
            kind: AgentKind::Muster,
            name: format!("P{n}"),
            labels: Default::default(),
            state: if healthy { AgentState::Healthy } else { AgentState::Failed },
            since: None,
            planned_outage: None,
            upgrade: None,
            pin: None,
            flags: Vec::new(),
            connection: Connection::Connected,
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
                state: PolicyState::Applied,
                reason: String::new(),
                since: None,
            },
            rates: RateWindow::default(),
            lag_ms: 0,
        }
    }

    #[test]
    fn only_what_changed_since_the_last_look_is_told() {
        let fleet = |agents: &[AgentSummary]| {
            let lines: Vec<Line> = agents.iter().map(Line::from).collect();
            fleet_event(&roll_up::fleet(&lines, Timestamp::UNIX_EPOCH))
        };
        let mut seen = Seen::default();
        let mut look = |agents: &[AgentSummary]| seen.look(agents, fleet(agents));
        let both = [agent(1, true), agent(2, true)];
        assert_eq!(look(&both), Changes::default(), "the first look has nothing to compare with");
        assert_eq!(look(&both), Changes::default());
        let changed = look(&[agent(1, true), agent(2, false)]);
        assert_eq!(
            changed.agents.iter().map(|a| (a.id.0.as_u128(), a.healthy)).collect::<Vec<_>>(),
            [(2, false)]
        );
        assert_eq!(changed.fleet.map(|f| (f.healthy, f.unhealthy)), Some((1, 1)));
        let changed = look(&[agent(2, false), agent(3, true)]);
        assert_eq!(changed.agents.iter().map(|a| a.id.0.as_u128()).collect::<Vec<_>>(), [3]);
        assert_eq!(changed.removed, [AgentId(uuid::Uuid::from_u128(1))]);
        assert_eq!(changed.fleet, None, "the counts are the same");
    }
}
