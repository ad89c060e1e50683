//! Protected entry types: what in a policy might keep one of them from arriving.

use super::{Breach, journals};
use crate::event::SourceKind;
use crate::policy::filter::{EntryType, event_pattern};
use crate::policy::model::{Action, AuditJournalSpec, Match, PolicySpec, RouteSpec, SourceSpec};
use crate::policy::pattern::NamePattern;
use crate::severity::Severity;

/// Everything in a policy that may keep a protected entry type from arriving anywhere.
pub(super) fn hidden(entry: EntryType, spec: &PolicySpec, breaches: &mut Vec<Breach>) {
    let mut breach = |path: String, problem: String| {
        breaches.push(Breach { limit: "never_drop", path, problem });
    };
    let shown = show(entry);
    if !journals(spec).any(|(_, source)| fetches(source, entry)) {
        breach("spec.sources".to_owned(), format!("no source fetches {shown}"));
    }
    for (position, when) in spec.exclude.iter().enumerate().filter(|(_, when)| may_match(when, entry, spec)) {
        let any = when.entry_types.is_empty() && when.events.is_empty();
        let also = if any { "every entry type, so also " } else { "" };
        breach(format!("spec.exclude[{position}]"), format!("drops {also}{shown}"));
    }
    for rule in &spec.rules {
        match rule.action {
            // No rule after this one is asked about the protected entries.
            Action::Keep if surely_matches(&rule.when, entry, spec) => break,
            Action::Drop if may_match(&rule.when, entry, spec) => {
                breach(format!("spec.rules[{}]", rule.name), format!("may drop {shown}"));
            }
            Action::Throttle if may_match(&rule.when, entry, spec) => {
                breach(format!("spec.rules[{}]", rule.name), format!("may hold back {shown}"));
            }
            Action::Keep | Action::Drop | Action::Throttle => {}
        }
    }
    if spec.destinations.is_empty() {
        breach("spec.destinations".to_owned(), format!("there is none, so {shown} is not delivered"));
    }
    let routed =
        |route: &RouteSpec| surely_matches(&route.when, entry, spec) && !route.destinations.is_empty();
    if !spec.routes.is_empty() && !spec.routes.values().any(routed) {
        breach("spec.routes".to_owned(), format!("no route takes every {shown}"));
    }
}

fn fetches(source: &AuditJournalSpec, entry: EntryType) -> bool {
    let named = |text: &String| EntryType::parse(text).is_ok_and(|t| t.entry_type == entry.entry_type);
    source.entry_types.is_empty() || source.entry_types.iter().any(named)
}

/// Whether an event of this type could meet the conditions.
fn may_match(when: &Match, entry: EntryType, spec: &PolicySpec) -> bool {
    let audit = |name: &String| {
        name == SourceKind::AuditJournal.as_str()
            || matches!(spec.sources.get(name), Some(SourceSpec::AuditJournal(_)))
    };
    let overlaps = |text: &String| {
        EntryType::parse(text).is_ok_and(|t| {
            (t.code, t.entry_type) == (entry.code, entry.entry_type)
                && (t.subtype == entry.subtype || t.subtype.is_none() || entry.subtype.is_none())
        })
    };
    (when.sources.is_empty() || when.sources.iter().any(audit))
        && (when.entry_types.is_empty() || when.entry_types.iter().any(overlaps))
        && (when.events.is_empty() || when.events.iter().any(|text| may_have_id(text, entry)))
        // What surely holds, `not` of it surely does not. Of any other condition it is not known.
        && !when.not.as_ref().is_some_and(|not| surely_matches(not, entry, spec))
}

/// Whether every event of this type meets the conditions.
fn surely_matches(when: &Match, entry: EntryType, spec: &PolicySpec) -> bool {
    let includes = |text: &String| {
        EntryType::parse(text).is_ok_and(|t| {
            (t.code, t.entry_type) == (entry.code, entry.entry_type)
                && (t.subtype.is_none() || t.subtype == entry.subtype)
        })
    };
    let Match {
        sources,
        entry_types,
        events,
        min_severity,
        max_severity,
        not,
        users: _,
        target_users: _,
        objects: _,
        object_types: _,
        programs: _,
        jobs: _,
        paths: _,
        system_values: _,
        message_ids: _,
        queues: _,
        exit_points: _,
        exit_functions: _,
        outcomes: _,
        remote_addresses: _,
        remote_ports: _,
        local_ports: _,
        contains: _,
        when: _,
        expression: _,
    } = when;
    // Conditions that ask for more than the type might not hold: there must be none.
    let rest = Match {
        sources: sources.clone(),
        entry_types: entry_types.clone(),
        events: events.clone(),
        min_severity: *min_severity,
        max_severity: *max_severity,
        not: not.clone(),
        ..Match::default()
    };
    *when == rest
        && (sources.is_empty() || sources.iter().any(|s| s == SourceKind::AuditJournal.as_str()))
        && (entry_types.is_empty() || entry_types.iter().any(includes))
        && (events.is_empty() || events.iter().any(|text| surely_has_id(text, entry)))
        && min_severity.is_none_or(|s| s == Severity::LOWEST)
        && max_severity.is_none_or(|s| s == Severity::HIGHEST)
        && not.as_ref().is_none_or(|not| !may_match(not, entry, spec))
}

/// Whether the id of some event of this type could match: `AF`, or `AF_` and a subtype.
fn may_have_id(text: &str, entry: EntryType) -> bool {
    let id = show(entry);
    let Ok(pattern) = event_pattern(text) else { return true };
    let with_subtype = format!("{id}_");
    let subtype = |stem: &str| stem.len() == with_subtype.len() + 1 && stem.starts_with(&with_subtype);
    pattern.matches(&id)
        || entry.subtype.is_none()
            && match &pattern {
                NamePattern::All => true,
                NamePattern::Exact(stem) => subtype(stem),
                NamePattern::Prefix(stem) => with_subtype.starts_with(stem.as_str()) || subtype(stem),
            }
}

/// Whether the ids of all events of this type match.
fn surely_has_id(text: &str, entry: EntryType) -> bool {
    let id = show(entry);
    match event_pattern(text) {
        Ok(NamePattern::All) => true,
        Ok(NamePattern::Exact(stem)) => entry.subtype.is_some() && stem == id,
        Ok(NamePattern::Prefix(stem)) => id.starts_with(&stem),
        Err(_) => false,
    }
}

fn show(entry: EntryType) -> String {
    let mut text = String::new();
    if entry.code != b'T' {
        text.push_str(&format!("{}_", char::from(entry.code)));
    }
    text.extend(entry.entry_type.map(char::from));
    if let Some(subtype) = entry.subtype {
        text.push_str(&format!("_{}", char::from(subtype)));
    }
    text
}
