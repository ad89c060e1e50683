//! Events as people look at them: recent ones, and those of a live tail.

use jiff::Timestamp;
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// Stable id: partition, source, receiver, sequence.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// System name of the partition.
    #[serde(default)]
    pub system: String,
    /// The partition's offset from UTC in seconds, east of Greenwich positive; absent where an older agent told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset_seconds: Option<i32>,
    /// Name of the source in the policy.
    pub source: String,
    /// Type and subtype, such as `AF_A`.
    pub event: String,
    /// What the type means.
    pub name: String,
    /// Kind of source, such as `audit_journal`; empty where an older agent told it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_kind: String,
    /// 0 to 10, after the policy.
    pub severity: u8,
    /// 0 to 10, before the policy; absent where an older agent told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoded_severity: Option<u8>,
    /// The rule that drops it; absent if it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_by: Option<String>,
    /// Destinations that get it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// Its values by keyword. Long ones are cut.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

impl EventView {
    /// The event as one line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!(
            "{} {} {} {} sev {} {}",
            self.time.strftime("%F %T%.3fZ"),
            self.system,
            self.source,
            self.event,
            self.severity,
            self.name
        );
        for (keyword, value) in self.fields.iter().filter(|(keyword, _)| *keyword != "raw") {
            // Writing to a String cannot fail.
            let _ = match value.contains([' ', '"', '=']) {
                true => write!(line, " {keyword}=\"{}\"", value.replace('"', "'")),
                false => write!(line, " {keyword}={value}"),
            };
        }
        if let Some(rule) = &self.dropped_by {
            let _ = write!(line, " [dropped by {rule}]");
        }
        line
    }
}

/// Which recent events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct RecentQuery {
    /// Filter, such as `type=AF user=PAY* severity>=7`; empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// At most so many, 1 to 1,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Recent events of one agent, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecentEvents {
    /// The agent.
    pub agent: AgentId,
    /// Events that the agent has in memory.
    pub held: u64,
    /// Events of them that the filter lets through; more than `events` where the limit cut.
    pub matched: u64,
    /// The events.
    pub events: Vec<EventView>,
}

/// Which event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct OneEventQuery {
    /// Its id, as recent events and tails tell it.
    pub id: String,
}

/// One event with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventDetailView {
    /// The agent.
    pub agent: AgentId,
    /// The rest, as the agent tells it.
    #[serde(flatten)]
    pub detail: EventDetail,
}

/// What an agent knows of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventDetail {
    /// The event, its values uncut.
    pub event: EventView,
    /// What it was made of: the data of a journal entry in hex; of other sources the text or hex that they keep; absent
    /// where nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The event as SIEMs read it: first as each destination that gets it has it, then in every format with default
    /// settings. Of a very long event those that do not fit are left out.
    pub formats: Vec<FormattedEvent>,
}

/// An event in one format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FormattedEvent {
    /// `syslog_rfc5424`, `syslog_rfc3164`, `cef`, `leef1` or `leef2`.
    pub format: String,
    /// The destination that gets it so; absent for the format with default settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The message, without what a transport puts around it.
    pub text: String,
}

/// Which events of a tail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct TailQuery {
    /// Filter, as of recent events.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Tail over the fleet: labels of the agents, `key=value`, several with commas; empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
}

/// What a tail tells: server-sent events with the kind as `event` and this as `data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TailItem {
    /// An event.
    Event {
        /// The agent.
        agent: AgentId,
        /// Its name.
        agent_name: String,
        /// The event.
        event: Box<EventView>,
    },
    /// Events that matched and are not shown, because they were too many.
    Skipped {
        /// The agent.
        agent: AgentId,
        /// Its name.
        agent_name: String,
        /// How many.
        events: u64,
    },
    /// An agent is looked into.
    Started {
        /// The agent.
        agent: AgentId,
        /// Its name.
        agent_name: String,
    },
    /// An agent is not looked into, or no more.
    Ended {
        /// The agent.
        agent: AgentId,
        /// Its name.
        agent_name: String,
        /// Why.
        reason: String,
    },
}

/// What the bundle shall hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DiagnosticsRequest {
    /// With the content of recent events; without it there is none.
    #[serde(default)]
    pub with_events: bool,
}

/// What a policy would do to the recent events of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewView {
    /// Events looked at.
    pub events: u64,
    /// Kept by the policy in force.
    pub kept_now: u64,
    /// Kept by the candidate.
    pub kept_then: u64,
    /// Kept now, dropped then.
    pub newly_dropped: u64,
    /// Dropped now, kept then.
    pub newly_kept: u64,
    /// Kept by both, to other destinations.
    pub rerouted: u64,
    /// Newly dropped, by rule of the candidate.
    #[serde(default)]
    pub dropped_by_rule: BTreeMap<String, u64>,
    /// Newly kept, by rule of the policy in force.
    #[serde(default)]
    pub kept_from_rule: BTreeMap<String, u64>,
    /// At most 20 of the events that change.
    #[serde(default)]
    pub samples: Vec<PreviewSampleView>,
}

/// An event that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewSampleView {
    /// `dropped`, `kept` or `rerouted`.
    pub change: String,
    /// The rule that makes the difference; the destinations for `rerouted`.
    pub rule: String,
    /// The event.
    pub event: EventView,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people() {
        let event = EventView {
            id: "x/1".to_owned(),
            time: "2026-11-25T18:00:00.25Z".parse().unwrap(),
            system: "PROD01".to_owned(),
            utc_offset_seconds: Some(7_200),
            source: "audit".to_owned(),
            event: "AF_A".to_owned(),
            name: "Authority failure".to_owned(),
            source_kind: "audit_journal".to_owned(),
            severity: 7,
            decoded_severity: Some(6),
            dropped_by: Some("no-af".to_owned()),
            destinations: Vec::new(),
            fields: [("user", "BOB"), ("path", "/my file"), ("raw", "00FF")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        };
        assert_eq!(
            event.line(),
            "2026-11-25 18:00:00.250Z PROD01 audit AF_A sev 7 Authority failure path=\"/my file\" user=BOB [dropped by no-af]"
        );
        let item = TailItem::Event {
            agent: "019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(),
            agent_name: "PROD01".to_owned(),
            event: Box::new(event),
        };
        let text = serde_json::to_string(&item).unwrap();
        assert!(text.starts_with(r#"{"kind":"event","agent":"019b8d7a"#), "{text}");
        assert_eq!(serde_json::from_str::<TailItem>(&text).unwrap(), item);
    }
}
