//! An agent as the interface shows it.

use super::agent::Agent;
use super::{outage, state};
use jiff::Timestamp;
use muster_proto::api::{
    AgentRates, AgentState, AgentSummary, AgentView, CertificateView, Connection, PlannedOutage,
};
use muster_proto::opamp::attribute;

/// The one state, and since when.
#[must_use]
pub fn state(agent: &Agent, now: Timestamp) -> (AgentState, Option<Timestamp>) {
    let said = state::level(&agent.observed);
    // Two with one identity: nothing that either says can be relied on.
    let level = if agent.current_conflict(now).is_some() { said.max(state::Level::Degraded) } else { said };
    let planned = planned_outage(agent, now);
    let facts = state::Facts {
        connection: agent.connection(now),
        level,
        quarantined: false,
        planned_outage: planned.is_some(),
    };
    let state = state::state(facts);
    let since = planned.filter(|_| state == AgentState::PlannedOutage).map(|outage| outage.since);
    (state, since.or_else(|| state::since(state, &agent.observed, agent.last_seen)))
}

/// The planned outage that is on.
#[must_use]
pub fn planned_outage(agent: &Agent, now: Timestamp) -> Option<PlannedOutage> {
    outage::present(agent.outage.as_deref(), &agent.observed, now)
}

/// The line of the list.
#[must_use]
pub fn summary(agent: &Agent, now: Timestamp) -> AgentSummary {
    let connection = agent.connection(now);
    let attribute = |key: &str| agent.observed.attributes.get(key).cloned().unwrap_or_default();
    let conflict = agent.current_conflict(now);
    let (state, since) = state(agent, now);
    AgentSummary {
        id: agent.record.id,
        name: agent.observed.name(agent.record.id),
        labels: agent.record.labels.clone(),
        state,
        since,
        connection,
        last_seen: agent.last_seen,
        healthy: agent.observed.healthy && conflict.is_none(),
        reason: conflict.map_or_else(|| agent.observed.reason.clone(), |c| c.text.clone()),
        version: attribute(attribute::SERVICE_VERSION),
        os_release: attribute(attribute::IBMI_OS_RELEASE),
        policy: agent.policy_status(now),
        rates: agent.rates.window(connection != Connection::Connected),
        lag_ms: agent.rates.lag_ms(),
        // What was seen before it left says nothing of now.
        flags: if connection == Connection::Connected { agent.flags.to_vec() } else { Vec::new() },
        planned_outage: planned_outage(agent, now),
    }
}

/// Everything.
#[must_use]
pub fn view(agent: &Agent, now: Timestamp) -> AgentView {
    let certificate = &agent.record.certificate;
    let mut attributes = agent.observed.attributes.clone();
    let limits = attributes.remove(attribute::LIMITS);
    let secrets = attributes.remove(attribute::SECRETS);
    AgentView {
        summary: summary(agent, now),
        enrolled_at: agent.record.enrolled_at,
        attributes,
        limits: limits.and_then(|text| serde_json::from_str(&text).ok()),
        secrets: secrets.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect(),
        certificate: Some(CertificateView {
            serial: certificate.serial.clone(),
            expires_at: certificate.not_after,
            key_sha256: certificate.key_sha256.clone(),
        }),
        components: agent.observed.components.clone(),
        warnings: agent.current_conflict(now).map(|c| c.text.clone()).into_iter().collect(),
        rate_detail: rates(agent, now),
    }
}

/// Its rates.
#[must_use]
pub fn rates(agent: &Agent, now: Timestamp) -> AgentRates {
    let silent = agent.connection(now) != Connection::Connected;
    agent.rates.detail(agent.record.id, &agent.observed.name(agent.record.id), silent)
}
