//! What changes between two policies, path by path, and whether the new one lets a SIEM see less.

use super::model::{
    Action, EffectivePolicy, Match, PolicyDocument, PolicySpec, Rule, SourceSpec, TransportSpec,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where: `spec.destinations.qradar.transport.address`, `spec.rules[quiet-jobs].action`.
    pub path: String,
    /// What happened there.
    pub kind: ChangeKind,
}

/// What happened to a value.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeKind {
    /// It is new.
    Added(Value),
    /// It is gone.
    Removed(Value),
    /// It has another value.
    Changed {
        /// Before.
        old: Value,
        /// Now.
        new: Value,
    },
    /// A named rule stands elsewhere in the order; positions count from 0.
    Moved {
        /// Before.
        old: usize,
        /// Now.
        new: usize,
    },
}

/// Longest value in readable text; certificates are cut.
const MAX_SHOWN: usize = 120;

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.kind {
            ChangeKind::Added(value) => write!(f, "+ {path}: {}", shown(value)),
            ChangeKind::Removed(value) => write!(f, "- {path}: {}", shown(value)),
            ChangeKind::Changed { old, new } => write!(f, "~ {path}: {} -> {}", shown(old), shown(new)),
            ChangeKind::Moved { old, new } => write!(f, "~ {path}: moved from position {old} to {new}"),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// Differences between two documents, in the order of their paths.
#[must_use]
pub fn diff_documents(old: &PolicyDocument, new: &PolicyDocument) -> Vec<Change> {
    diff(old, new)
}

/// Differences between two effective policies. The number of the revision is not one of them.
#[must_use]
pub fn diff_effective(old: &EffectivePolicy, new: &EffectivePolicy) -> Vec<Change> {
    let mut changes = diff(&old.spec, &new.spec);
    for change in &mut changes {
        change.path.insert_str(0, "spec.");
    }
    changes
}

/// One line a change, for people and for the `policy_changed` event; empty text where nothing changes.
#[must_use]
pub fn render(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        text.push_str(&change.to_string());
        text.push('\n');
    }
    text
}

fn diff<T: Serialize>(old: &T, new: &T) -> Vec<Change> {
    // The model holds strings, numbers and maps with string keys only, all of which JSON has.
    let tree = |value: &T| serde_json::to_value(value).unwrap_or(Value::Null);
    let mut changes = Vec::new();
    walk(String::new(), &tree(old), &tree(new), &mut changes);
    changes
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn walk(path: String, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                pair(join(&path, key), a.get(key), b.get(key), changes);
            }
        }
        (Value::Array(a), Value::Array(b)) => lists(&path, a, b, changes),
        _ => changes.push(Change { path, kind: ChangeKind::Changed { old: old.clone(), new: new.clone() } }),
    }
}

fn pair(path: String, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(old), Some(new)) => walk(path, old, new, changes),
        // A list that appears or goes is its items: an absent list and an empty one mean the same.
        (None, Some(Value::Array(items))) => lists(&path, &[], items, changes),
        (Some(Value::Array(items)), None) => lists(&path, items, &[], changes),
        (None, Some(new)) => changes.push(Change { path, kind: ChangeKind::Added(new.clone()) }),
        (Some(old), None) => changes.push(Change { path, kind: ChangeKind::Removed(old.clone()) }),
        (None, None) => {}
    }
}

/// Lists of named items (rules) are compared by name, others as sets of their items.
fn lists(path: &str, old: &[Value], new: &[Value], changes: &mut Vec<Change>) {
    let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
    let named = |items: &[Value]| items.iter().map(name).collect::<Option<Vec<String>>>();
    match (named(old), named(new)) {
        (Some(old_names), Some(new_names)) if !(old.is_empty() && new.is_empty()) => {
            named_lists(path, (&old_names, old), (&new_names, new), changes);
        }
        _ => {
            for (position, item) in old.iter().enumerate().filter(|(_, item)| !new.contains(item)) {
                let path = format!("{path}[{position}]");
                changes.push(Change { path, kind: ChangeKind::Removed(item.clone()) });
            }
            for (position, item) in new.iter().enumerate().filter(|(_, item)| !old.contains(item)) {
                let path = format!("{path}[{position}]");
                changes.push(Change { path, kind: ChangeKind::Added(item.clone()) });
            }
            // The same items in another order or number: first match wins, so order means something.
            if old.iter().all(|i| new.contains(i)) && new.iter().all(|i| old.contains(i)) {
                let kind =
                    ChangeKind::Changed { old: Value::Array(old.to_vec()), new: Value::Array(new.to_vec()) };
                changes.push(Change { path: path.to_owned(), kind });
            }
        }
    }
}

fn named_lists(
    path: &str,
    old: (&[String], &[Value]),
    new: (&[String], &[Value]),
    changes: &mut Vec<Change>,
) {
    let find = |names: &[String], name: &String| names.iter().position(|n| n == name);
    for (position, name) in old.0.iter().enumerate() {
        if find(new.0, name).is_none() {
            let kind = ChangeKind::Removed(old.1[position].clone());
            changes.push(Change { path: format!("{path}[{name}]"), kind });
        }
    }
    // Positions among the rules that both have: a rule that others were put before has not moved.
    let common = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|n| others.contains(n)).cloned().collect()
    };
    let (before, after) = (common(old.0, new.0), common(new.0, old.0));
    for (position, name) in new.0.iter().enumerate() {
        let path = format!("{path}[{name}]");
        let Some(previous) = find(old.0, name) else {
            changes.push(Change { path, kind: ChangeKind::Added(new.1[position].clone()) });
            continue;
        };
        walk(path.clone(), &old.1[previous], &new.1[position], changes);
        if find(&before, name) != find(&after, name) {
            changes.push(Change { path, kind: ChangeKind::Moved { old: previous, new: position } });
        }
    }
}

/// Why a new policy may let the SIEMs see less than the old one; empty where it surely does not.
///
/// This is an approximation on the safe side, made from the texts of the policies alone: it may name a
/// change that in truth drops nothing (a new drop rule that no event ever meets), it never stays silent
/// about one that could. Formats, paces and addresses' reachability are not looked at; an address that
/// changes counts as leaving the old receiver.
#[must_use]
pub fn narrows(old: &EffectivePolicy, new: &EffectivePolicy) -> Vec<String> {
    let (old, new) = (&old.spec, &new.spec);
    let mut reasons = Vec::new();
    narrowed_sources(old, new, &mut reasons);
    narrowed_filters(old, new, &mut reasons);
    narrowed_destinations(old, new, &mut reasons);
    narrowed_routes(old, new, &mut reasons);
    if old.severities != new.severities && (asks_severity(old) || asks_severity(new)) {
        reasons.push("severities change, and a filter or route asks for the severity".to_owned());
    }
    reasons
}

fn narrowed_sources(old: &PolicySpec, new: &PolicySpec, reasons: &mut Vec<String>) {
    for (name, source) in &old.sources {
        let (before, now) = match (source, new.sources.get(name)) {
            (SourceSpec::AuditJournal(before), Some(SourceSpec::AuditJournal(now))) => (before, now),
            // The others are read whole: only what they read can change.
            (before, Some(now)) if before.kind() == now.kind() => {
                if before.key() != now.key() {
                    reasons.push(format!("source {name} leaves {} for {}", before.key(), now.key()));
                }
                continue;
            }
            (_, _) => {
                reasons.push(format!("source {name} is no longer collected"));
                continue;
            }
        };
        if before.journal != now.journal {
            reasons.push(format!("source {name} leaves journal {} for {}", before.journal, now.journal));
        }
        let covers = |entry: &String| now.entry_types.iter().any(|n| n.eq_ignore_ascii_case(entry));
        if !now.entry_types.is_empty()
            && (before.entry_types.is_empty() || !before.entry_types.iter().all(covers))
        {
            reasons.push(format!("source {name} fetches fewer entry types"));
        }
    }
}

fn narrowed_filters(old: &PolicySpec, new: &PolicySpec, reasons: &mut Vec<String>) {
    for (position, when) in new.exclude.iter().enumerate() {
        if !old.exclude.contains(when) {
            reasons.push(format!("exclude[{position}] is new or changed"));
        }
    }
    // Taking a drop rule away or putting a keep rule in can only keep more. Whatever else differs might not: a
    // throttle both keeps from the rules below it and holds back.
    let same = |a: &Rule, b: &Rule| {
        a.when == b.when
            && a.action == b.action
            && (a.limit, a.seconds, &a.key) == (b.limit, b.seconds, &b.key)
    };
    let without = |rules: &[Rule], action: Action, others: &[Rule]| -> Vec<Rule> {
        rules.iter().filter(|r| r.action != action || others.iter().any(|o| same(r, o))).cloned().collect()
    };
    let before = without(&old.rules, Action::Drop, &new.rules);
    let now = without(&new.rules, Action::Keep, &old.rules);
    if before.len() == now.len() && before.iter().zip(&now).all(|(a, b)| same(a, b)) {
        return;
    }
    let mut named = reasons.len();
    for rule in now.iter().filter(|rule| !old.rules.iter().any(|o| same(o, rule))) {
        match rule.action {
            Action::Keep => {}
            Action::Drop => reasons.push(format!("rule {} drops and is new or changed", rule.name)),
            Action::Throttle => reasons.push(format!("rule {} throttles and is new or changed", rule.name)),
        }
    }
    for rule in before.iter().filter(|rule| !new.rules.iter().any(|n| same(n, rule))) {
        match rule.action {
            Action::Keep => reasons.push(format!("rule {}, which keeps, is gone or changed", rule.name)),
            Action::Drop => {}
            // A changed one was named above.
            Action::Throttle if now.iter().any(|n| n.name == rule.name && n.action == rule.action) => {}
            Action::Throttle => {
                reasons.push(format!("rule {}, which lets events pass, is gone or changed", rule.name));
            }
        }
    }
    named = reasons.len() - named;
    if named == 0 {
        reasons.push("the order of the rules changes".to_owned());
    }
}

fn narrowed_destinations(old: &PolicySpec, new: &PolicySpec, reasons: &mut Vec<String>) {
    let address = |transport: &TransportSpec| match transport {
        TransportSpec::Udp { address }
        | TransportSpec::Tcp { address, .. }
        | TransportSpec::Tls { address, .. } => address.clone(),
    };
    for (name, before) in &old.destinations {
        match new.destinations.get(name) {
            None => reasons.push(format!("destination {name} is left")),
            Some(now) if address(&now.transport) != address(&before.transport) => reasons.push(format!(
                "destination {name} leaves {} for {}",
                address(&before.transport),
                address(&now.transport)
            )),
            Some(_) => {}
        }
    }
}

fn narrowed_routes(old: &PolicySpec, new: &PolicySpec, reasons: &mut Vec<String>) {
    for destination in old.destinations.keys().filter(|name| new.destinations.contains_key(*name)) {
        // What leads to a destination, as conditions; no route at all leads everything to everybody.
        let ways = |spec: &PolicySpec| -> Vec<Match> {
            if spec.routes.is_empty() {
                return vec![Match::default()];
            }
            spec.routes
                .values()
                .filter(|r| r.destinations.contains(destination))
                .map(|r| r.when.clone())
                .collect()
        };
        let now = ways(new);
        if now.contains(&Match::default()) {
            continue;
        }
        if ways(old).iter().any(|way| !now.contains(way)) {
            reasons.push(format!("fewer events are routed to destination {destination}"));
        }
    }
}

fn asks_severity(spec: &PolicySpec) -> bool {
    spec.exclude.iter().any(Match::asks_severity)
        || spec.rules.iter().any(|r| r.when.asks_severity())
        || spec.routes.values().any(|r| r.when.asks_severity())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse_effective;

    fn effective(spec: &str) -> EffectivePolicy {
        parse_effective(&format!("{{spec: {{{spec}}}}}")).unwrap()
    }

    const A: &str = "destinations: {a: {transport: {kind: udp, address: 'a:514'}}}";

    #[test]
    fn changes_are_named_by_path() {
        let cases: [(&str, &str, &str); 8] = [
            ("", "", ""),
            (
                A,
                "destinations: {a: {transport: {kind: udp, address: 'b:514'}}}",
                "~ spec.destinations.a.transport.address: \"a:514\" -> \"b:514\"\n",
            ),
            (
                "rules: [{name: r, action: drop}]",
                "",
                "- spec.rules[r]: {\"action\":\"drop\",\"match\":{},\"name\":\"r\"}\n",
            ),
            (
                "rules: [{name: r, match: {users: [A, B]}, action: drop}]",
                "rules: [{name: r, match: {users: [B, C]}, action: keep}]",
                "~ spec.rules[r].action: \"drop\" -> \"keep\"\n- spec.rules[r].match.users[0]: \"A\"\n+ spec.rules[r].match.users[1]: \"C\"\n",
            ),
            (
                "rules: [{name: r, action: drop}, {name: s, action: keep}]",
                "rules: [{name: s, action: keep}, {name: r, action: drop}]",
                "~ spec.rules[s]: moved from position 1 to 0\n~ spec.rules[r]: moved from position 0 to 1\n",
            ),
            (
                "rules: [{name: r, action: keep}]",
                "rules: [{name: new, action: keep}, {name: r, action: keep}]",
                "+ spec.rules[new]: {\"action\":\"keep\",\"match\":{},\"name\":\"new\"}\n",
            ),
            (
                "exclude: [{users: [A]}]",
                "exclude: [{users: [A]}, {users: [B]}]",
                "+ spec.exclude[1]: {\"users\":[\"B\"]}\n",
            ),
            (
                "severities: [{match: {users: [A]}, severity: 3}]",
                "severities: [{match: {users: [A]}, severity: 4}]",
                "- spec.severities[0]: {\"match\":{\"users\":[\"A\"]},\"severity\":3}\n+ spec.severities[0]: {\"match\":{\"users\":[\"A\"]},\"severity\":4}\n",
            ),
        ];
        for (old, new, expected) in cases {
            assert_eq!(render(&diff_effective(&effective(old), &effective(new))), expected, "{old} / {new}");
        }
    }

    #[test]
    fn narrowing_is_noticed() {
        let rule = |name: &str, user: &str, action: &str| {
            format!("{{name: {name}, match: {{users: [{user}]}}, action: {action}}}")
        };
        let rules = |list: &[String]| format!("rules: [{}]", list.join(", "));
        let two = "destinations: {a: {transport: {kind: udp, address: 'a:514'}}, b: {transport: {kind: udp, address: 'b:514'}}}";
        let source = "sources: {audit: {kind: audit_journal}}";
        let cases: Vec<(String, String, &[&str])> = vec![
            (A.into(), A.into(), &[]),
            (A.into(), two.into(), &[]),
            (two.into(), A.into(), &["destination b is left"]),
            (
                A.into(),
                "destinations: {a: {transport: {kind: tcp, address: 'x:1'}}}".into(),
                &["destination a leaves a:514 for x:1"],
            ),
            (
                A.into(),
                "destinations: {a: {transport: {kind: tcp, address: 'a:514'}, format: {kind: cef}}}".into(),
                &[],
            ),
            (source.into(), String::new(), &["source audit is no longer collected"]),
            (
                source.into(),
                "sources: {audit: {kind: audit_journal, entry_types: [AF]}}".into(),
                &["source audit fetches fewer entry types"],
            ),
            ("sources: {audit: {kind: audit_journal, entry_types: [AF]}}".into(), source.into(), &[]),
            (String::new(), "exclude: [{users: [A]}]".into(), &["exclude[0] is new or changed"]),
            ("exclude: [{users: [A]}]".into(), String::new(), &[]),
            (String::new(), rules(&[rule("r", "A", "drop")]), &["rule r drops and is new or changed"]),
            (rules(&[rule("r", "A", "drop")]), String::new(), &[]),
            (rules(&[rule("r", "A", "drop")]), rules(&[rule("k", "A", "keep"), rule("r", "A", "drop")]), &[]),
            (
                rules(&[rule("k", "A", "keep"), rule("r", "A*", "drop")]),
                rules(&[rule("r", "A*", "drop")]),
                &["rule k, which keeps, is gone or changed"],
            ),
            (
                rules(&[rule("k", "A", "keep"), rule("r", "A*", "drop")]),
                rules(&[rule("r", "A*", "drop"), rule("k", "A", "keep")]),
                &["the order of the rules changes"],
            ),
            (
                two.into(),
                format!(
                    "{two}, routes: {{r: {{match: {{users: [A]}}, destinations: [a]}}, s: {{destinations: [b]}}}}"
                ),
                &["fewer events are routed to destination a"],
            ),
            (format!("{two}, routes: {{r: {{match: {{users: [A]}}, destinations: [a]}}}}"), two.into(), &[]),
            (
                String::new(),
                "exclude: [{not: {users: [A]}}]".into(),
                &["exclude[0] is new or changed"],
            ),
            (
                "rules: [{name: r, match: {remote_addresses: [10.0.0.1]}, action: drop}]".into(),
                "rules: [{name: r, match: {remote_addresses: [10.0.0.0/8]}, action: drop}]".into(),
                &["rule r drops and is new or changed"],
            ),
            (
                String::new(),
                "rules: [{name: t, action: throttle, limit: 10}]".into(),
                &["rule t throttles and is new or changed"],
            ),
            (
                "rules: [{name: t, action: throttle, limit: 10}]".into(),
                "rules: [{name: t, action: throttle, limit: 9}]".into(),
                &["rule t throttles and is new or changed"],
            ),
            (
                "rules: [{name: t, action: throttle, limit: 10}, {name: r, action: drop}]".into(),
                "rules: [{name: r, action: drop}]".into(),
                &["rule t, which lets events pass, is gone or changed"],
            ),
            (
                "rules: [{name: t, action: throttle, limit: 10}]".into(),
                "rules: [{name: t, action: drop}]".into(),
                &["rule t drops and is new or changed", "rule t, which lets events pass, is gone or changed"],
            ),
            (
                "rules: [{name: t, action: throttle, limit: 10}]".into(),
                "rules: [{name: k, action: keep}, {name: t, action: throttle, limit: 10}]".into(),
                &[],
            ),
            (
                "severities: [{match: {users: [A]}, severity: 3}], rules: [{name: r, match: {expression: 'event.severity < 3'}, action: drop}]".into(),
                "rules: [{name: r, match: {expression: 'event.severity < 3'}, action: drop}]".into(),
                &["severities change, and a filter or route asks for the severity"],
            ),
            ("severities: [{match: {users: [A]}, severity: 3}]".into(), String::new(), &[]),
            (
                "severities: [{match: {users: [A]}, severity: 3}], exclude: [{max_severity: 2}]".into(),
                "exclude: [{max_severity: 2}]".into(),
                &["severities change, and a filter or route asks for the severity"],
            ),
        ];
        for (old, new, expected) in cases {
            assert_eq!(narrows(&effective(&old), &effective(&new)), expected, "{old} / {new}");
        }
    }
}
