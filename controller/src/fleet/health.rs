//! Flattens an agent's health tree, whatever its depth and size.

use super::bounded;
use jiff::Timestamp;
use muster_proto::api::{ComponentKind, ComponentView};
use muster_proto::opamp::ComponentHealth;

/// Deepest level that is looked at.
const MAX_DEPTH: usize = 8;
/// Most components that are kept of one agent.
const MAX_NODES: usize = 256;
/// Longest text that is kept of one component, in bytes.
const MAX_TEXT: usize = 1024;

/// Health of an agent as it said itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// The agent as a whole.
    pub healthy: bool,
    /// First reason why not: of a component if one tells, else of the whole.
    pub reason: String,
    /// Its components: sources and destinations first.
    pub components: Vec<ComponentView>,
}

/// Gives each component the time since when it is as it is. The agent's word counts; where it tells none, or a
/// time to come, it is the time at which the controller first heard of it. What repeats what was said before
/// keeps the earlier of both times.
pub fn settle_since(before: &[ComponentView], after: &mut [ComponentView], now: Timestamp) {
    for component in after {
        let same = before.iter().find(|b| {
            b.kind == component.kind
                && b.name == component.name
                && (b.healthy, &b.status) == (component.healthy, &component.status)
        });
        let told = component.since.map(|told| told.min(now));
        let known = same.and_then(|b| b.since);
        component.since = match (known, told) {
            (Some(known), Some(told)) => Some(known.min(told)),
            (Some(known), None) => Some(known),
            (None, told) => Some(told.unwrap_or(now)),
        };
    }
}

/// Reads a health tree.
#[must_use]
pub fn flatten(root: &ComponentHealth) -> Health {
    let mut components = Vec::new();
    walk("", root, 0, &mut components);
    components.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let own = bounded(&root.last_error, MAX_TEXT);
    let reason = components.iter().find(|c| !c.healthy && !c.reason.is_empty());
    let reason = reason.map_or(own, |c| format!("{}: {}", c.name, c.reason));
    let healthy = root.healthy && components.iter().all(|c| c.healthy || c.kind == ComponentKind::Other);
    Health { healthy, reason: if healthy { String::new() } else { reason }, components }
}

fn walk(path: &str, node: &ComponentHealth, depth: usize, out: &mut Vec<ComponentView>) {
    if depth >= MAX_DEPTH {
        return;
    }
    for (name, child) in &node.component_health_map {
        if out.len() >= MAX_NODES {
            return;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        out.push(component(&path, child));
        walk(&path, child, depth + 1, out);
    }
}

fn component(path: &str, node: &ComponentHealth) -> ComponentView {
    let (kind, name) = match path.split_once('/') {
        Some(("source", name)) => (ComponentKind::Source, name),
        Some(("destination", name)) => (ComponentKind::Destination, name),
        Some(_) | None => (ComponentKind::Other, path),
    };
    ComponentView {
        kind,
        name: bounded(name, 256),
        healthy: node.healthy,
        status: bounded(&node.status, 256),
        reason: bounded(&node.last_error, MAX_TEXT),
        since: time(node.status_time_unix_nano),
    }
}

/// A time of the wire; 0 is "not told".
fn time(unix_nano: u64) -> Option<Timestamp> {
    (unix_nano > 0).then(|| Timestamp::from_nanosecond(i128::from(unix_nano)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(healthy: bool, error: &str, children: Vec<(&str, ComponentHealth)>) -> ComponentHealth {
        ComponentHealth {
            healthy,
            last_error: error.to_owned(),
            status: "s".to_owned(),
            status_time_unix_nano: 1_000_000_000,
            component_health_map: children.into_iter().map(|(n, c)| (n.to_owned(), c)).collect(),
            ..ComponentHealth::default()
        }
    }

    #[test]
    fn components_come_in_order_and_the_reason_names_the_first_sick_one() {
        let tree = node(
            true,
            "",
            vec![
                ("uplink", node(true, "", vec![])),
                ("destination/siem", node(false, "connection refused", vec![])),
                ("source/audit", node(true, "", vec![("reader", node(true, "", vec![]))])),
            ],
        );
        let health = flatten(&tree);
        let names: Vec<_> = health.components.iter().map(|c| (c.kind, c.name.as_str())).collect();
        assert_eq!(
            names,
            [
                (ComponentKind::Source, "audit"),
                (ComponentKind::Source, "audit/reader"),
                (ComponentKind::Destination, "siem"),
                (ComponentKind::Other, "uplink"),
            ]
        );
        assert!(!health.healthy, "a sick destination makes the agent unhealthy whatever the top says");
        assert_eq!(health.reason, "siem: connection refused");
        assert_eq!(health.components[0].since, Some("1970-01-01T00:00:01Z".parse().unwrap()));
    }

    #[test]
    fn since_is_kept_while_the_state_is_the_same() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let component = |healthy: bool, since: Option<i64>| ComponentView {
            kind: ComponentKind::Source,
            name: "audit".to_owned(),
            healthy,
            status: String::new(),
            reason: String::new(),
            since: since.map(at),
        };
        // Before, told now, expected; it is second 100.
        let cases = [
            (None, component(false, Some(7)), 7),
            (None, component(false, None), 100),
            (None, component(false, Some(500)), 100),
            (Some(component(false, Some(7))), component(false, Some(7)), 7),
            (Some(component(false, Some(7))), component(false, None), 7),
            (Some(component(false, Some(7))), component(false, Some(90)), 7),
            (Some(component(false, Some(7))), component(true, None), 100),
            (Some(component(false, Some(7))), component(true, Some(50)), 50),
        ];
        for (before, told, expected) in cases {
            let before: Vec<_> = before.into_iter().collect();
            let mut after = [told];
            settle_since(&before, &mut after, at(100));
            assert_eq!(after[0].since, Some(at(expected)), "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_tree_without_end_is_cut() {
        let mut deep = node(true, "", vec![]);
        for _ in 0..40 {
            deep = node(true, "", vec![("x", deep)]);
        }
        assert_eq!(flatten(&deep).components.len(), MAX_DEPTH);
        let wide = ComponentHealth {
            component_health_map: (0..1_000).map(|i| (i.to_string(), node(true, "", vec![]))).collect(),
            ..node(false, &"é".repeat(2_000), vec![])
        };
        let health = flatten(&wide);
        assert_eq!(health.components.len(), MAX_NODES);
        assert_eq!(health.reason.len(), MAX_TEXT);
    }
}
