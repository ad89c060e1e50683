//! An event as people look at it.

use jiff::Timestamp;
use muster_proto::api::EventView;
use muster_shared::event::{Event, dictionary};
use muster_shared::partition::Partition;
use muster_shared::policy::CompiledPolicy;
use muster_shared::policy::replay::Fate;
use muster_shared::severity::Severity;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Longest value shown, in bytes: `raw` and messages can be long.
const MAX_VALUE: usize = 1_024;

/// The same where all of an event is shown: an entry of a data queue has at most 64,512 bytes, and each of them becomes a
/// character of at most three.
const MAX_WHOLE: usize = 256 * 1024;

/// Where events come from.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// System name of the partition.
    pub(super) system: String,
    /// Its offset from UTC, east of Greenwich positive.
    pub(super) utc_offset_seconds: i32,
}

impl Place {
    pub(super) fn of(partition: &Partition) -> Self {
        Self { system: partition.system_name.clone(), utc_offset_seconds: partition.utc_offset_seconds }
    }
}

/// Whether an event goes nowhere by a rule.
pub(super) const fn is_dropped(fate: Fate) -> bool {
    match fate {
        Fate::Kept { .. } => false,
        Fate::Dropped { .. } | Fate::HeldBack { .. } => true,
    }
}

/// The view of an event, long values cut. Its severity is the one after the policy, `decoded` the one before.
pub(super) fn view(
    event: &Event,
    place: &Place,
    source: &str,
    decoded: Severity,
    fate: Fate,
    policy: &CompiledPolicy,
) -> EventView {
    cut_view(event, place, source, decoded, fate, policy, MAX_VALUE)
}

/// As [`view`], with values as they are.
pub(super) fn whole(
    event: &Event,
    place: &Place,
    source: &str,
    decoded: Severity,
    fate: Fate,
    policy: &CompiledPolicy,
) -> EventView {
    cut_view(event, place, source, decoded, fate, policy, MAX_WHOLE)
}

fn cut_view(
    event: &Event,
    place: &Place,
    source: &str,
    decoded: Severity,
    fate: Fate,
    policy: &CompiledPolicy,
    longest: usize,
) -> EventView {
    let mut id = Vec::new();
    event.write_id(&mut id);
    let mut kind = Vec::new();
    event.kind.write_event_id(&mut kind);
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for field in event.fields() {
        let keyword = dictionary().get(field.id).keyword.clone();
        match fields.entry(keyword) {
            Entry::Vacant(entry) => {
                entry.insert(cut(event.text(field), longest));
            }
            // An application has many pairs.
            Entry::Occupied(mut entry) if field.id == muster_shared::event::field::APP_FIELD => {
                let all = format!("{}, {}", entry.get(), event.text(field));
                entry.insert(cut(&all, longest));
            }
            // The first value counts, as for filters.
            Entry::Occupied(_) => {}
        }
    }
    let (dropped_by, destinations) = match fate {
        Fate::Kept { destinations, .. } => {
            (None, policy.destination_names(destinations).map(str::to_owned).collect())
        }
        Fate::Dropped { rule } | Fate::HeldBack { rule, .. } => {
            (Some(policy.rule_name(rule).to_owned()), Vec::new())
        }
    };
    EventView {
        id: String::from_utf8_lossy(&id).into_owned(),
        time: Timestamp::from_microsecond(event.time_us).unwrap_or(Timestamp::UNIX_EPOCH),
        system: place.system.clone(),
        utc_offset_seconds: Some(place.utc_offset_seconds),
        source: source.to_owned(),
        event: String::from_utf8_lossy(&kind).into_owned(),
        name: event.name.to_owned(),
        source_kind: event.kind.source().as_str().to_owned(),
        severity: event.severity.get(),
        decoded_severity: Some(decoded.get()),
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

fn cut(value: &str, longest: usize) -> String {
    if value.len() <= longest {
        return value.to_owned();
    }
    let end = value.floor_char_boundary(longest);
    format!("{}…", &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::event::{EventKind, field};
    use muster_shared::policy::replay::Replay;
    use muster_shared::policy::{EventSource, parse_effective};
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
        muster_shared::payload::detect("order=12 pieces=3").push_into(&mut event);
        let mut replay = Replay::default();
        let mut fate =
            |event: &mut Event| replay.take(&policy, event, EventSource::new("audit", 0), &mut Vec::new());
        let kept = fate(&mut event);
        let place = Place { system: "PROD".to_owned(), utc_offset_seconds: 3_600 };
        let shown = view(&event, &place, "audit", Severity::clamped(5), kept, &policy);
        assert_eq!(
            (shown.severity, shown.decoded_severity, shown.source_kind.as_str()),
            (7, Some(5), "audit_journal")
        );
        assert_eq!((shown.id.as_str(), shown.event.as_str()), ("P/9", "AF_A"));
        assert_eq!((shown.system.as_str(), shown.utc_offset_seconds), ("PROD", Some(3_600)));
        assert_eq!(shown.time.to_string(), "1970-01-01T00:00:01.5Z");
        assert_eq!((shown.fields["user"].as_str(), shown.destinations.len()), ("BOB", 2));
        assert_eq!(shown.fields["raw"].chars().count(), MAX_VALUE / 2 + 1);
        assert_eq!(shown.fields["app_field"], "order=12, pieces=3");
        event.kind = EventKind::Audit { code: b'T', entry_type: *b"ZR", subtype: 0 };
        let dropped = fate(&mut event);
        let shown = view(&event, &place, "audit", Severity::clamped(5), dropped, &policy);
        assert_eq!((shown.dropped_by.as_deref(), shown.destinations.len()), (Some("no-zr"), 0));
        assert_eq!(serde_json::from_slice::<EventView>(&json(&shown)).unwrap(), shown);
    }
}
