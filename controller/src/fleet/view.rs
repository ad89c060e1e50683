//! An agent as the interface shows it.

use super::agent::Agent;
use super::record::Life;
use super::roll_up::Line;
use super::table::Facts;
use super::{outage, state};
use jiff::Timestamp;
use muster_proto::api::{
    AgentKind, AgentLife, AgentRates, AgentState, AgentSummary, AgentView, CertificateView, Connection,
    FlagKind, HoldView, PartitionRow, PlannedOutage,
};
use muster_proto::opamp::attribute;
use std::borrow::Cow;

/// A clock that is further off is warned of; between hosts that are kept in time a second is much.
const MAX_SKEW_MS: u64 = 30_000;

/// The one state, and since when.
#[must_use]
pub fn state(agent: &Agent, now: Timestamp) -> (AgentState, Option<Timestamp>) {
    let said = state::level(&agent.observed);
    // With a clock that is off nothing that it says of times can be relied on, and one that does not answer what it was
    // told to do is not well.
    let level = if is_at_odds(agent, now) { said.max(state::Level::Degraded) } else { said };
    let planned = planned_outage(agent, now);
    let facts = state::Facts {
        connection: agent.connection(now),
        level,
        quarantined: agent.hold().is_some(),
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

/// What counts of it in the sums over the fleet; the same as in [`summary`], without its texts.
#[must_use]
pub fn line(agent: &Agent, now: Timestamp) -> Line {
    let connection = agent.connection(now);
    let there = connection == Connection::Connected;
    let complaint = agent.hold().is_some() || is_at_odds(agent, now);
    let has = |kind| there && agent.flags.iter().any(|flag| flag.kind == kind);
    Line {
        connection,
        state: state(agent, now).0,
        healthy: agent.observed.healthy && !complaint,
        silent: has(FlagKind::Silent),
        noisy: has(FlagKind::Noisy),
        policy: agent.policy_state(now),
        rates: agent.rates.window(!there),
        lag_ms: lag_ms(agent, there),
    }
}

/// How late its events are. What it told before it went away says nothing of now.
fn lag_ms(agent: &Agent, there: bool) -> u64 {
    if there { agent.rates.lag_ms() } else { 0 }
}

/// Something is wrong with it that the controller sees, whatever it says of itself.
fn is_at_odds(agent: &Agent, now: Timestamp) -> bool {
    is_off(agent.skew_ms()).is_some() || agent.policy_is_overdue(now)
}

/// What is wrong with it from the controller's side.
fn complaint(agent: &Agent, now: Timestamp) -> Option<String> {
    let hold = agent.hold().map(|(word, hold)| format!("{word}: {}", hold.reason));
    hold.or_else(|| skew_warning(agent.skew_ms())).or_else(|| agent.policy_overdue(now))
}

/// What the table of the fleet is made of; the same as in [`summary`], mostly borrowed.
#[must_use]
pub fn facts(agent: &Agent, now: Timestamp) -> Facts<'_> {
    let attribute = |key: &str| agent.observed.attributes.get(key).map_or("", String::as_str);
    let there = agent.connection(now) == Connection::Connected;
    let has = |kind| there && agent.flags.iter().any(|flag| flag.kind == kind);
    Facts {
        id: agent.record.id,
        kind: kind(agent),
        name: agent.observed.told_name().map_or_else(|| agent.record.id.to_string().into(), Cow::Borrowed),
        labels: &agent.record.labels,
        partition: agent.record.partition.as_ref(),
        attributes: &agent.observed.attributes,
        state: state(agent, now).0,
        reason: complaint(agent, now).map_or(Cow::Borrowed(agent.observed.reason.as_str()), Cow::Owned),
        version: attribute(attribute::SERVICE_VERSION),
        os_release: attribute(attribute::IBMI_OS_RELEASE),
        policy: agent.policy_state(now),
        silent: has(FlagKind::Silent),
        noisy: has(FlagKind::Noisy),
        received: agent.rates.window(!there).minute.received,
        lag_ms: lag_ms(agent, there),
        last_seen: agent.last_seen,
    }
}

/// The line of the table, without what history says.
#[must_use]
pub fn row(agent: &Agent, now: Timestamp) -> PartitionRow {
    PartitionRow {
        agent: summary(agent, now),
        partition: agent.record.partition.clone(),
        system: agent.observed.attributes.get(attribute::IBMI_SYSTEM_NAME).cloned().unwrap_or_default(),
        spark: Vec::new(),
    }
}

fn kind(agent: &Agent) -> AgentKind {
    if agent.record.foreign.is_some() { AgentKind::Foreign } else { AgentKind::Muster }
}

/// The line of the list.
#[must_use]
pub fn summary(agent: &Agent, now: Timestamp) -> AgentSummary {
    let connection = agent.connection(now);
    let attribute = |key: &str| agent.observed.attributes.get(key).cloned().unwrap_or_default();
    let complaint = complaint(agent, now);
    let (state, since) = state(agent, now);
    AgentSummary {
        id: agent.record.id,
        kind: kind(agent),
        name: agent.observed.name(agent.record.id),
        labels: agent.record.labels.clone(),
        state,
        since,
        connection,
        last_seen: agent.last_seen,
        healthy: agent.observed.healthy && complaint.is_none(),
        reason: complaint.unwrap_or_else(|| agent.observed.reason.clone()),
        life: life(agent),
        version: attribute(attribute::SERVICE_VERSION),
        os_release: attribute(attribute::IBMI_OS_RELEASE),
        utc_offset_seconds: attribute(attribute::IBMI_UTC_OFFSET).parse().ok(),
        policy: agent.policy_status(now),
        rates: agent.rates.window(connection != Connection::Connected),
        lag_ms: lag_ms(agent, connection == Connection::Connected),
        // What was seen before it left says nothing of now.
        flags: if connection == Connection::Connected { agent.flags.to_vec() } else { Vec::new() },
        planned_outage: planned_outage(agent, now),
        upgrade: agent.upgrade_view(now),
        pin: agent.pin_view(),
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
        certificate: agent.record.foreign.is_none().then(|| CertificateView {
            serial: certificate.serial.clone(),
            expires_at: certificate.not_after,
            key_sha256: certificate.key_sha256.clone(),
        }),
        components: agent.observed.components.clone(),
        warnings: warnings(agent, now),
        hold: agent.hold().map(|(_, hold)| HoldView {
            since: hold.at,
            by: hold.by.clone(),
            reason: hold.reason.clone(),
        }),
        partition: agent.record.partition.clone(),
        clock_skew_ms: agent.skew_ms(),
        rate_detail: rates(agent, now),
    }
}

fn life(agent: &Agent) -> AgentLife {
    match &agent.record.life {
        Life::Active => AgentLife::Active,
        Life::Quarantined(_) => AgentLife::Quarantined,
        Life::Revoked(_) => AgentLife::Revoked,
    }
}

fn warnings(agent: &Agent, now: Timestamp) -> Vec<String> {
    let hold = agent.hold().map(|(word, hold)| format!("{word} by {}: {}", hold.by, hold.reason));
    let settings = &agent.observed.settings_refused;
    let refused = (!settings.is_empty()).then(|| format!("it refused connection settings: {settings}"));
    let wrong = agent.wrong_uid(now).map(str::to_owned);
    hold.into_iter()
        .chain(skew_warning(agent.skew_ms()))
        .chain(agent.policy_overdue(now))
        .chain(refused)
        .chain(wrong)
        .collect()
}

/// How far a clock is off, if it is far enough to matter.
fn is_off(skew_ms: Option<i64>) -> Option<i64> {
    skew_ms.filter(|ms| ms.unsigned_abs() > MAX_SKEW_MS)
}

/// What is wrong with an agent's clock.
fn skew_warning(skew_ms: Option<i64>) -> Option<String> {
    let skew = is_off(skew_ms)?;
    let way = if skew > 0 { "ahead of" } else { "behind" };
    Some(format!(
        "its host's clock is {} s {way} the controller's: events carry wrong times, and certificates fail when it \
         is off by more than 10 minutes; set the clocks by NTP",
        skew.unsigned_abs() / 1_000
    ))
}

/// Its rates.
#[must_use]
pub fn rates(agent: &Agent, now: Timestamp) -> AgentRates {
    let silent = agent.connection(now) != Connection::Connected;
    agent.rates.detail(agent.record.id, &agent.observed.name(agent.record.id), silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_off() {
        assert_eq!(skew_warning(None), None);
        assert_eq!(skew_warning(Some(30_000)), None);
        assert!(skew_warning(Some(31_000)).unwrap().starts_with("its host's clock is 31 s ahead of the"));
        assert!(skew_warning(Some(-400_500)).unwrap().starts_with("its host's clock is 400 s behind the"));
    }
}
