//! Planned outages: announced by an operator, or by the agent that sees its partition being powered down. They end by
//! themselves.

use super::observed::Observed;
use crate::store::{self, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use muster_proto::api::{ComponentKind, PlannedOutage};
use muster_shared::id::AgentId;
use std::collections::BTreeMap;

/// Prefix of the keys of announced outages.
pub const PREFIX: &str = "maintenance/";
/// Longest outage that can be announced.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What an agent announces is believed for so long: an IPL takes minutes, seldom an hour.
const BY_AGENT: SignedDuration = SignedDuration::from_hours(2);
/// Component and word with which an agent announces it.
const COMPONENT: &str = "partition";
const WORD: &str = "planned_outage";

/// Key in the store.
#[must_use]
pub fn key(id: AgentId) -> String {
    format!("{PREFIX}{id}")
}

/// All announced outages.
///
/// # Errors
/// If the store cannot be read.
pub fn load(store: &dyn Store) -> Result<BTreeMap<AgentId, PlannedOutage>, StoreError> {
    let all = store::scan_json::<PlannedOutage>(store, PREFIX)?;
    Ok(all
        .into_iter()
        .filter_map(|(key, outage)| Some((key.strip_prefix(PREFIX)?.parse().ok()?, outage)))
        .collect())
}

/// The outage that is on, if one is: what an operator announced, else what the agent does.
#[must_use]
pub fn present(
    announced: Option<&PlannedOutage>,
    observed: &Observed,
    now: Timestamp,
) -> Option<PlannedOutage> {
    let on = |outage: &PlannedOutage| outage.since <= now && now < outage.until;
    announced.cloned().filter(on).or_else(|| by_agent(observed).filter(on))
}

fn by_agent(observed: &Observed) -> Option<PlannedOutage> {
    let is = |c: &&muster_proto::api::ComponentView| {
        c.kind == ComponentKind::Other && c.name == COMPONENT && c.status == WORD
    };
    let component = observed.components.iter().find(is)?;
    let since = component.since?;
    Some(PlannedOutage {
        since,
        until: since.checked_add(BY_AGENT).ok()?,
        reason: component.reason.clone(),
        announced_by: "agent".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::api::ComponentView;

    #[test]
    fn outages_begin_and_end_by_themselves() {
        let at = |minute: i64| Timestamp::from_second(1_000_000 + minute * 60).unwrap();
        let announced = PlannedOutage {
            since: at(0),
            until: at(60),
            reason: "IPL".to_owned(),
            announced_by: "alice".to_owned(),
        };
        let component = ComponentView {
            kind: ComponentKind::Other,
            name: "partition".to_owned(),
            healthy: true,
            status: "planned_outage".to_owned(),
            reason: "PWRDWNSYS".to_owned(),
            since: Some(at(30)),
        };
        let said = Observed { components: vec![component.clone()], ..Observed::default() };
        let quiet = Observed {
            components: vec![ComponentView { status: "healthy".to_owned(), ..component }],
            ..Observed::default()
        };
        let by = |announced: Option<&PlannedOutage>, observed, minute| {
            present(announced, observed, at(minute)).map(|outage| outage.announced_by)
        };
        let (alice, agent) = (Some("alice".to_owned()), Some("agent".to_owned()));
        assert_eq!(by(Some(&announced), &quiet, -1), None);
        assert_eq!(by(Some(&announced), &quiet, 0), alice);
        assert_eq!(by(Some(&announced), &said, 59), alice);
        assert_eq!(by(Some(&announced), &said, 60), agent);
        assert_eq!(by(Some(&announced), &quiet, 60), None);
        assert_eq!(by(None, &said, 149), agent);
        assert_eq!(by(None, &said, 150), None, "two hours later");
    }
}
