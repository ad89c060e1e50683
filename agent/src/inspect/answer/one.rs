//! One event with all that is known of it: its values uncut, what it was made of, and as SIEMs read it.

use super::{Look, Reason, Refused};
use crate::inspect::record::Recorded;
use crate::inspect::show;
use muster_ibmi::audit::AuditDecoder;
use muster_proto::api::{EventDetail, FormattedEvent};
use muster_proto::session::inspect::{Answer, AskEvent, MAX_EVENT, MAX_EVENT_ID, MAX_PART};
use muster_shared::event::Event;
use muster_shared::format::{FormatContext, Formatter, effective_header};
use muster_shared::policy::CompiledPolicy;
use muster_shared::policy::model::{EffectivePolicy, FormatKind, FormatSpec, Header};
use muster_shared::policy::replay::{Fate, Replay};

/// Most bytes of messages in all formats together: a quarter of the answer, for JSON may write a byte as two.
const MAX_FORMATS: usize = MAX_EVENT / 4;

/// Answers with the event of this id.
pub(super) fn one(look: &Look, ask: &AskEvent) -> Result<Vec<Answer>, Refused> {
    if ask.event_id.is_empty() || ask.event_id.len() > MAX_EVENT_ID {
        return Err(Refused(Reason::Invalid, format!("the id of an event has 1 to {MAX_EVENT_ID} bytes")));
    }
    let policy = look.policy.as_ref().ok_or_else(super::no_policy)?;
    let (found, held) = find(look, policy, ask.event_id.as_bytes());
    let Some(Found { event, source, recorded, fate, decoded }) = found else {
        let text = format!(
            "this agent has {held} recent events in memory, and this one is not among them any more: it keeps the last \
             1,000 of each source, fewer of long ones"
        );
        return Err(Refused(Reason::NotHeld, text));
    };
    let detail = EventDetail {
        event: show::whole(&event, &look.place, &source, decoded, fate, policy),
        raw: recorded.raw(),
        formats: formats(&event, fate, policy, look.effective.as_deref(), &look.context),
    };
    // A struct of texts and numbers has no way to fail.
    let json = serde_json::to_vec(&detail).unwrap_or_default();
    if json.len() > MAX_EVENT {
        let text = format!("the event is too long to be told: {} bytes, at most {MAX_EVENT}", json.len());
        return Err(Refused(Reason::Failed, text));
    }
    Ok(json.chunks(MAX_PART).map(|piece| Answer::Event(piece.to_vec())).collect())
}

/// An event that was found, after the policy.
struct Found {
    event: Event,
    source: String,
    recorded: Recorded,
    fate: Fate,
    decoded: muster_shared::severity::Severity,
}

/// The event with this id, and how many were looked at. All recent ones before it pass the policy too: whether a throttle
/// holds one back hangs on those before. What only a tail showed is looked at last.
fn find(look: &Look, policy: &CompiledPolicy, id: &[u8]) -> (Option<Found>, usize) {
    let mut decoder = AuditDecoder::new(look.ccsid);
    let (mut event, mut written, mut held) = (Event::new(), Vec::new(), 0);
    for shown_only in [false, true] {
        let mut replay = Replay::default();
        for watch in look.watches.all() {
            let entries = if shown_only { watch.shown().snapshot() } else { watch.ring().snapshot() };
            held += if shown_only { 0 } else { entries.len() };
            for recorded in entries {
                if !recorded.restore(&mut decoder, &mut event) {
                    continue;
                }
                let decoded = event.severity;
                let fate = replay.take(policy, &mut event, look.source(watch.name()), &mut Vec::new());
                written.clear();
                event.write_id(&mut written);
                if written == id {
                    let source = watch.name().to_owned();
                    return (Some(Found { event, source, recorded, fate, decoded }), held);
                }
            }
        }
    }
    (None, held)
}

/// Name of a format with its header.
fn name(spec: &FormatSpec) -> &'static str {
    match (spec.kind, effective_header(spec)) {
        (FormatKind::Syslog, Header::Rfc5424) => "syslog_rfc5424",
        (FormatKind::Syslog, Header::Rfc3164) => "syslog_rfc3164",
        (FormatKind::Cef, _) => "cef",
        (FormatKind::Leef1, _) => "leef1",
        (FormatKind::Leef2, _) => "leef2",
    }
}

/// Every format with default settings.
fn standard() -> [FormatSpec; 5] {
    let plain = |kind, header| FormatSpec { kind, header, ..FormatSpec::default() };
    [
        plain(FormatKind::Syslog, Some(Header::Rfc5424)),
        plain(FormatKind::Syslog, Some(Header::Rfc3164)),
        plain(FormatKind::Cef, None),
        plain(FormatKind::Leef1, None),
        plain(FormatKind::Leef2, None),
    ]
}

/// The event as each destination gets it, then in every format.
fn formats(
    event: &Event,
    fate: Fate,
    policy: &CompiledPolicy,
    effective: Option<&EffectivePolicy>,
    context: &FormatContext,
) -> Vec<FormattedEvent> {
    let destinations: Vec<&str> = match fate {
        Fate::Kept { destinations, .. } => policy.destination_names(destinations).collect(),
        Fate::Dropped { .. } | Fate::HeldBack { .. } => Vec::new(),
    };
    let spec = |name: &str| Some(effective?.spec.destinations.get(name)?.format.clone());
    let sent = destinations.into_iter().filter_map(|name| Some((Some(name.to_owned()), spec(name)?)));
    let mut left = MAX_FORMATS;
    let written = sent.chain(standard().map(|spec| (None, spec))).filter_map(|(destination, spec)| {
        // Settings that cannot be used are found before a policy is taken.
        let mut formatter = Formatter::new(&spec, context).ok()?;
        let mut message = Vec::new();
        formatter.write(event, &mut message);
        left = left.checked_sub(message.len())?;
        let text = String::from_utf8_lossy(&message).into_owned();
        Some(FormattedEvent { format: name(&spec).to_owned(), destination, text })
    });
    written.collect()
}
