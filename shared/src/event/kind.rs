//! What an event is: entry type of a journal, or something that the agent itself reports.

use super::{CONTROLLER_ACTIONS, ControllerAction, ExitAction, exit_action};
use crate::policy::filter::EntryType;
use serde::{Deserialize, Serialize};

/// The kinds of source that an event can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// The security audit journal QAUDJRN.
    AuditJournal,
    /// The history log QHST.
    HistoryLog,
    /// A message queue: QSYSOPR, QSYSMSG or any named one.
    MessageQueue,
    /// A data queue that programs of the partition write to.
    DataQueue,
    /// Exit points: what the exit program saw, and which programs are registered.
    ExitPoint,
    /// The controller's audit log.
    ControllerAudit,
    /// The agent's own reports: heartbeat, gap, policy change.
    Agent,
}

impl SourceKind {
    /// Every kind that a policy can name: the agent's own reports are none.
    pub const OF_POLICY: [Self; 6] = [
        Self::AuditJournal,
        Self::HistoryLog,
        Self::MessageQueue,
        Self::DataQueue,
        Self::ExitPoint,
        Self::ControllerAudit,
    ];

    /// Name in policies, health and cursor keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuditJournal => "audit_journal",
            Self::HistoryLog => "history_log",
            Self::MessageQueue => "message_queue",
            Self::DataQueue => "data_queue",
            Self::ExitPoint => "exit_point",
            Self::ControllerAudit => "controller_audit",
            Self::Agent => "agent",
        }
    }
}

/// Events that the agent makes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentEvent {
    /// Sign of life, per destination (default every 5 minutes), so that a SIEM can alert on silence.
    Heartbeat,
    /// Entries that were lost before they could be read, with the exact range.
    Gap,
    /// A policy that drops more, or leaves a destination, is about to take effect.
    PolicyChanged,
    /// `muster-agent send-test`.
    Test,
    /// The hash chain of the controller's audit log does not fit: entries were changed, removed or replaced.
    AuditChainBroken,
    /// How many alike events a throttle of the policy held back in a window of time.
    Throttled,
}

impl AgentEvent {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Heartbeat,
        Self::Gap,
        Self::PolicyChanged,
        Self::Test,
        Self::AuditChainBroken,
        Self::Throttled,
    ];

    /// Event id as a SIEM sees it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Heartbeat => "MUSTER_HEARTBEAT",
            Self::Gap => "MUSTER_GAP",
            Self::PolicyChanged => "MUSTER_POLICY_CHANGED",
            Self::Test => "MUSTER_TEST",
            Self::AuditChainBroken => "MUSTER_AUDIT_CHAIN_BROKEN",
            Self::Throttled => "MUSTER_THROTTLED",
        }
    }

    /// Fixed English text, as [`super::Event::name`].
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Heartbeat => "Agent heartbeat",
            Self::Gap => "Events lost before they could be read",
            Self::PolicyChanged => "Collection policy changed",
            Self::Test => "Test event",
            Self::AuditChainBroken => "The controller's audit log was tampered with",
            Self::Throttled => "More alike events than a rule lets pass",
        }
    }
}

/// Identifier of a message: `CPF1124`, in upper case; all zero for an impromptu message, which has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MessageId(pub [u8; 7]);

impl MessageId {
    /// Reads an identifier; what is not seven letters and digits is taken as none.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let bytes: Option<[u8; 7]> = text.trim().as_bytes().try_into().ok();
        let bytes = bytes.filter(|bytes| bytes.iter().all(u8::is_ascii_alphanumeric));
        Self(bytes.map(|bytes| bytes.map(|b| b.to_ascii_uppercase())).unwrap_or_default())
    }

    /// Whether the message has no identifier.
    #[must_use]
    pub fn is_impromptu(self) -> bool {
        self.0[0] == 0
    }
}

/// Event id of a message without identifier.
const IMPROMPTU: &str = "IMPROMPTU";

/// Where a message was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageOrigin {
    /// The history log.
    HistoryLog,
    /// A message queue.
    Queue,
}

/// How the entry of a data queue is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueuedFormat {
    /// Plain text.
    Text,
    /// LEEF 1.0 or 2.0.
    Leef,
    /// CEF.
    Cef,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    KeyValue,
    /// Bytes that are no text.
    Binary,
}

impl QueuedFormat {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Text, Self::Leef, Self::Cef, Self::Json, Self::KeyValue, Self::Binary];

    const fn id(self) -> &'static str {
        match self {
            Self::Text => "DTAQ_TEXT",
            Self::Leef => "DTAQ_LEEF",
            Self::Cef => "DTAQ_CEF",
            Self::Json => "DTAQ_JSON",
            Self::KeyValue => "DTAQ_KV",
            Self::Binary => "DTAQ_BINARY",
        }
    }
}

/// Source and type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// An entry of the audit journal.
    Audit {
        /// Journal code, `T` for audit entries, `U` for user-written, `J` for the journal's own.
        code: u8,
        /// Entry type, two upper-case letters or digits: `AF`.
        entry_type: [u8; 2],
        /// Entry subtype, the first byte of the entry data where the layout has one (`A`); 0 if none.
        subtype: u8,
    },
    /// A message of the history log or of a message queue.
    Message {
        /// Where it was found.
        origin: MessageOrigin,
        /// Its identifier.
        id: MessageId,
    },
    /// An entry that a program put on a data queue.
    Queued(QueuedFormat),
    /// What an exit program saw, or a change of what is registered at exit points.
    Exit(&'static ExitAction),
    /// An entry of the controller's audit log.
    Controller(&'static ControllerAction),
    /// Made by the agent.
    Agent(AgentEvent),
}

impl EventKind {
    /// The kind of source.
    #[must_use]
    pub const fn source(&self) -> SourceKind {
        match self {
            Self::Audit { .. } => SourceKind::AuditJournal,
            Self::Message { origin: MessageOrigin::HistoryLog, .. } => SourceKind::HistoryLog,
            Self::Message { origin: MessageOrigin::Queue, .. } => SourceKind::MessageQueue,
            Self::Queued(_) => SourceKind::DataQueue,
            Self::Exit(_) => SourceKind::ExitPoint,
            Self::Controller(_) => SourceKind::ControllerAudit,
            Self::Agent(_) => SourceKind::Agent,
        }
    }

    /// The kind of a recorded event, from its source and its id as [`EventKind::write_event_id`] writes it; `None`
    /// where no event of that source has such an id.
    #[must_use]
    pub fn recorded(source: SourceKind, id: &str) -> Option<Self> {
        let message = |origin| match MessageId::parse(id) {
            id if !id.is_impromptu() => Some(Self::Message { origin, id }),
            none => (id == IMPROMPTU).then_some(Self::Message { origin, id: none }),
        };
        match source {
            SourceKind::AuditJournal => {
                let EntryType { code, entry_type, subtype } = EntryType::parse(id).ok()?;
                Some(Self::Audit { code, entry_type, subtype: subtype.unwrap_or(0) })
            }
            SourceKind::HistoryLog => message(MessageOrigin::HistoryLog),
            SourceKind::MessageQueue => message(MessageOrigin::Queue),
            SourceKind::DataQueue => {
                QueuedFormat::ALL.into_iter().find(|format| format.id() == id).map(Self::Queued)
            }
            SourceKind::ExitPoint => exit_action(id).map(Self::Exit),
            SourceKind::ControllerAudit => {
                CONTROLLER_ACTIONS.iter().find(|action| action.id == id).map(Self::Controller)
            }
            SourceKind::Agent => AgentEvent::ALL.into_iter().find(|event| event.id() == id).map(Self::Agent),
        }
    }

    /// Appends the event id of a SIEM: `AF_A`, `SV`, `MUSTER_GAP`. Printable ASCII without blank or pipe.
    pub fn write_event_id(&self, out: &mut Vec<u8>) {
        match self {
            Self::Audit { code, entry_type, subtype } => {
                if *code != b'T' {
                    out.push(printable(*code));
                    out.push(b'_');
                }
                out.push(printable(entry_type[0]));
                out.push(printable(entry_type[1]));
                if *subtype != 0 {
                    out.push(b'_');
                    out.push(printable(*subtype));
                }
            }
            Self::Message { id, .. } if id.is_impromptu() => out.extend_from_slice(IMPROMPTU.as_bytes()),
            Self::Message { id, .. } => out.extend(id.0.map(printable)),
            Self::Queued(format) => out.extend_from_slice(format.id().as_bytes()),
            Self::Exit(action) => out.extend_from_slice(action.id.as_bytes()),
            Self::Controller(action) => out.extend_from_slice(action.id.as_bytes()),
            Self::Agent(event) => out.extend_from_slice(event.id().as_bytes()),
        }
    }
}

/// Letters and digits as they are; anything else (garbage in the data) as `x`, so that an id stays one.
const fn printable(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte } else { b'x' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids() {
        let message =
            |id: &str| EventKind::Message { origin: MessageOrigin::Queue, id: MessageId::parse(id) };
        let cases: [(EventKind, &str); 11] = [
            (message("cpf1124"), "CPF1124"),
            (message(""), "IMPROMPTU"),
            (message("CPF 112"), "IMPROMPTU"),
            (EventKind::Queued(QueuedFormat::KeyValue), "DTAQ_KV"),
            (EventKind::Exit(&crate::event::EXIT_UNKNOWN), "EXIT_UNKNOWN"),
            (EventKind::Controller(crate::event::controller_action("login")), "CONTROLLER_LOGIN"),
            (EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' }, "AF_A"),
            (EventKind::Audit { code: b'T', entry_type: *b"SV", subtype: 0 }, "SV"),
            (EventKind::Audit { code: b'U', entry_type: *b"00", subtype: 0 }, "U_00"),
            (EventKind::Audit { code: b'T', entry_type: *b"Z|", subtype: b' ' }, "Zx_x"),
            (EventKind::Agent(AgentEvent::Gap), "MUSTER_GAP"),
        ];
        for (kind, expected) in cases {
            let mut out = Vec::new();
            kind.write_event_id(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            // Bytes that are no letter or digit are lost in an id.
            if expected != "Zx_x" {
                assert_eq!(EventKind::recorded(kind.source(), expected), Some(kind), "{expected}");
            }
        }
        let of_history =
            EventKind::Message { origin: MessageOrigin::HistoryLog, id: MessageId::parse("CPF1124") };
        assert_eq!(EventKind::recorded(SourceKind::HistoryLog, "CPF1124"), Some(of_history));
        for source in SourceKind::OF_POLICY {
            assert_eq!(EventKind::recorded(source, "MUSTER_GAP"), None, "{source:?}");
        }
        assert_eq!(EventKind::recorded(SourceKind::AuditJournal, "CPF1124"), None);
        assert_eq!(EventKind::recorded(SourceKind::ControllerAudit, "AF_A"), None);
        assert_eq!(EventKind::recorded(SourceKind::Agent, "AF_A"), None);
    }
}
