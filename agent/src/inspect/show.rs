//! An event as people look at it.

use jiff::Timestamp;
use muster_proto::api::EventView;
use muster_shared::event::{Event, dictionary};
use muster_shared::policy::{CompiledPolicy, Verdict};
use std::collections::BTreeMap;

/// Longest value shown, in bytes: `raw` and messages can be long.
const MAX_VALUE: usize = 1_024;

/// The view of an event. Its severity is the one after the policy.
pub(super) fn view(
    event: &Event,
    system: &str,
    source: &str,
    verdict: Verdict,
    policy: &CompiledPolicy,
) -> EventView {
    let mut id = Vec::new();
    event.write_id(&mut id);
    let mut kind = Vec::new();
    event.kind.write_event_id(&mut kind);
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for field in event.fields() {
        let keyword = dictionary().get(field.id).keyword.clone();
        // The first value counts, as for filters.
        fields.entry(keyword).or_insert_with(|| cut(event.text(field)));
    }
    let (dropped_by, destinations) = match verdict {
        Verdict::Keep { destinations } => (None, names(policy, destinations)),
        Verdict::Drop { rule } => {
            let name = policy.rule_names().get(usize::from(rule.0));
            (Some(name.cloned().unwrap_or_else(|| format!("rule {}", rule.0))), Vec::new())
        }
    };
    EventView {
        id: String::from_utf8_lossy(&id).into_owned(),
        time: Timestamp::from_microsecond(event.time_us).unwrap_or(Timestamp::UNIX_EPOCH),
        system: system.to_owned(),
        source: source.to_owned(),
        event: String::from_utf8_lossy(&kind).into_owned(),
        name: event.name.to_owned(),
        severity: event.severity.get(),
        dropped_by,
        destinations,
        fields,
    }
}

/// The view as JSON.
pub(super) fn json(view: &EventView) -> Vec<u8> {
    // A struct of texts and numbers has no way to fail.
    serde_json::to_vec(view).unwrap_or_default()
}

fn names(policy: &CompiledPolicy, set: u64) -> Vec<String> {
    let all = policy.destinations().iter().enumerate();
    all.filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, name)| name.clone()).collect()
}

fn cut(value: &str) -> String {
    if value.len() <= MAX_VALUE {
        return value.to_owned();
    }
    let end = value.floor_char_boundary(MAX_VALUE);
    format!("{}…", &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::event::{EventKind, field};
    use muster_shared::policy::parse_effective;
    use muster_shared::severity::Severity;
    use std::sync::Arc;

    #[test]
    fn an_event_with_its_keywords() {
        let policy = parse_effective(
            "spec:\n  sources: {audit: {kind: audit_journal}}\n  destinations:\n    a: {transport: {kind: udp, address: 'a:1'}}\n    b: {transport: {kind: udp, address: 'b:1'}}\n  rules: [{name: no-zr, match: {entry_types: [ZR]}, action: drop}]\n",
        );
        let policy = CompiledPolicy::compile(&policy.unwrap()).unwrap();
        let mut event = Event::new();
        event.kind = EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' };
        event.name = "Authority failure";
        event.time_us = 1_500_000;
        event.severity = Severity::clamped(7);
        event.id_prefix = Arc::from("P/");
        event.sequence = 9;
        event.push(field::USER, "BOB");
        event.push(field::RAW, &"é".repeat(2_000));
        let kept = policy.evaluate(&mut event, "audit");
        let shown = view(&event, "PROD", "audit", kept, &policy);
        assert_eq!((shown.id.as_str(), shown.event.as_str()), ("P/9", "AF_A"));
        assert_eq!(shown.time.to_string(), "1970-01-01T00:00:01.5Z");
        assert_eq!((shown.fields["user"].as_str(), shown.destinations.len()), ("BOB", 2));
        assert_eq!(shown.fields["raw"].chars().count(), MAX_VALUE / 2 + 1);
        event.kind = EventKind::Audit { code: b'T', entry_type: *b"ZR", subtype: 0 };
        let dropped = policy.evaluate(&mut event, "audit");
        let shown = view(&event, "PROD", "audit", dropped, &policy);
        assert_eq!((shown.dropped_by.as_deref(), shown.destinations.len()), (Some("no-zr"), 0));
        assert_eq!(serde_json::from_slice::<EventView>(&json(&shown)).unwrap(), shown);
    }
}
