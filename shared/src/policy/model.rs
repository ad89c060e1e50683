//! The policy as written and as run: plain serde types that deny unknown fields. Meaning (names that
//! refer to nothing, ports, patterns) is checked by `validate`, never here.

pub use super::conditions::{Match, Outcome, PortRange};
pub use super::time::{TimeOfDay, TimeWindow, Weekday};

use crate::event::SourceKind;
use crate::severity::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Value of `api_version` that this build reads and writes.
pub const API_VERSION: &str = "muster/v1";

/// Kind and object of the history log.
pub const HISTORY_LOG_KEY: &str = "history_log:QHST";

/// Kind and object of the controller's audit log.
pub const CONTROLLER_AUDIT_KEY: &str = "controller_audit:log";

/// One policy document, as written in YAML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// `muster/v1`.
    #[schemars(extend("enum" = [API_VERSION]))]
    pub api_version: String,
    /// Unique name of the document, lower-case letters, digits and `-`, at most 63.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    pub name: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels that a partition must have, all of them; empty selects every partition.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
    /// A higher priority wins, name by name; rules run by priority, then position.
    #[serde(default)]
    pub priority: i32,
    /// The content.
    pub spec: PolicySpec,
}

/// The content of a policy: also the shape of a stand-alone agent's local policy file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// What is collected, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, SourceSpec>,
    /// What is dropped before any rule runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Match>,
    /// Named rules, first match wins, default keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Severities: first match wins; without one the entry type's default stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severities: Vec<SeverityRule>,
    /// Which events go where; an event goes to every destination whose route matches. Without any route
    /// every event goes to every destination.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, RouteSpec>,
    /// Receivers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub destinations: BTreeMap<String, DestinationSpec>,
}

impl PolicySpec {
    /// Every set of conditions in it.
    pub fn conditions(&self) -> impl Iterator<Item = &Match> {
        let rules = self.rules.iter().map(|rule| &rule.when);
        let severities = self.severities.iter().map(|rule| &rule.when);
        let routes = self.routes.values().map(|route| &route.when);
        self.exclude.iter().chain(rules).chain(severities).chain(routes)
    }
}

/// What an agent runs: the merge of all documents that select it, with its number.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EffectivePolicy {
    /// Revision this was made from; 0 for a local file.
    #[serde(default)]
    pub revision: u64,
    /// The content.
    pub spec: PolicySpec,
    /// The signed documents that it was merged from, for agents that believe nothing else; empty unless all of
    /// them are signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<SignedDocument>,
}

/// A policy document with a detached signature of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDocument {
    /// YAML text of the document, to the byte.
    pub text: String,
    /// Content of its minisign signature file.
    pub signature: String,
}

/// A source to collect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "super::raw::RawSource")]
pub enum SourceSpec {
    /// The security audit journal.
    AuditJournal(AuditJournalSpec),
    /// The history log QHST.
    HistoryLog(HistoryLogSpec),
    /// A message queue.
    MessageQueue(MessageQueueSpec),
    /// A data queue that programs write events to.
    DataQueue(DataQueueSpec),
    /// What the exit program saw, and which programs are registered at exit points.
    ExitPoint(ExitPointSpec),
    /// The audit log of the agent's controller.
    ControllerAudit(ControllerAuditSpec),
}

impl SourceSpec {
    /// Kind and object, such as `audit_journal:QSYS/QAUDJRN`: the same for every agent that reads the same, whatever
    /// the policy calls it. Cursors and leases are kept under it.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::AuditJournal(spec) => format!("audit_journal:{}", spec.journal.to_uppercase()),
            Self::HistoryLog(_) => HISTORY_LOG_KEY.to_owned(),
            Self::MessageQueue(spec) => format!("message_queue:{}", spec.queue.to_uppercase()),
            Self::DataQueue(spec) => format!("data_queue:{}", spec.queue.to_uppercase()),
            Self::ExitPoint(spec) => format!("exit_point:{}", spec.queue.to_uppercase()),
            Self::ControllerAudit(_) => CONTROLLER_AUDIT_KEY.to_owned(),
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::AuditJournal(_) => SourceKind::AuditJournal,
            Self::HistoryLog(_) => SourceKind::HistoryLog,
            Self::MessageQueue(_) => SourceKind::MessageQueue,
            Self::DataQueue(_) => SourceKind::DataQueue,
            Self::ExitPoint(_) => SourceKind::ExitPoint,
            Self::ControllerAudit(_) => SourceKind::ControllerAudit,
        }
    }

    /// The data queue that it empties, if it does, as LIBRARY/NAME.
    #[must_use]
    pub fn emptied_queue(&self) -> Option<&str> {
        match self {
            Self::DataQueue(spec) => Some(&spec.queue),
            Self::ExitPoint(spec) => Some(&spec.queue),
            Self::AuditJournal(_)
            | Self::HistoryLog(_)
            | Self::MessageQueue(_)
            | Self::ControllerAudit(_) => None,
        }
    }
}

/// Settings of an audit journal source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditJournalSpec {
    /// Journal as LIBRARY/NAME.
    pub journal: String,
    /// Where the very first read starts: `now` (default), `oldest`, or an RFC 3339 time.
    pub start: String,
    /// Entry types to fetch at all; empty fetches every type. (`rules` filter what was fetched.)
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_types: Vec<String>,
    /// Pause between polls when idle, in milliseconds, 1,000 or more.
    pub poll_interval_ms: u64,
    /// Most entries asked for in one call, 16 to 5,000; replies are kept under 8 MiB anyway.
    pub batch_rows: u32,
}

impl Default for AuditJournalSpec {
    fn default() -> Self {
        Self {
            journal: "QSYS/QAUDJRN".to_owned(),
            start: "now".to_owned(),
            entry_types: Vec::new(),
            poll_interval_ms: 1_000,
            batch_rows: 2_000,
        }
    }
}

/// Settings of a history log source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryLogSpec {
    /// Where the very first read starts: `now` (default), `oldest`, or an RFC 3339 time.
    pub start: String,
    /// Pause between polls in milliseconds, 1,000 or more.
    pub poll_interval_ms: u64,
    /// Most messages asked for in one call, 16 to 5,000.
    pub batch_rows: u32,
}

impl Default for HistoryLogSpec {
    fn default() -> Self {
        Self { start: "now".to_owned(), poll_interval_ms: 1_000, batch_rows: 1_000 }
    }
}

/// Settings of a message queue source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MessageQueueSpec {
    /// Message queue as LIBRARY/NAME.
    pub queue: String,
    /// Where the very first read starts: `now` (default), `oldest`, or an RFC 3339 time.
    pub start: String,
    /// Pause between polls in milliseconds, 1,000 or more.
    pub poll_interval_ms: u64,
    /// Most messages asked for in one call, 16 to 5,000.
    pub batch_rows: u32,
}

impl Default for MessageQueueSpec {
    fn default() -> Self {
        Self {
            queue: "QSYS/QSYSOPR".to_owned(),
            start: "now".to_owned(),
            poll_interval_ms: 1_000,
            batch_rows: 1_000,
        }
    }
}

/// How the entries of a data queue are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueContent {
    /// Each entry is looked at: LEEF, CEF, a JSON object, `key=value` pairs, else text.
    #[default]
    Auto,
    /// Plain text, whatever it looks like.
    Text,
    /// LEEF 1.0 or 2.0.
    Leef,
    /// CEF.
    Cef,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    KeyValue,
}

/// Settings of a data queue source. Reading empties the queue, so the agent's local limits must name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataQueueSpec {
    /// Data queue as LIBRARY/NAME.
    pub queue: String,
    /// How its entries are written.
    pub content: QueueContent,
    /// Code page of its entries; without one the partition's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ccsid: Option<u16>,
    /// Pause between looks at an empty queue in milliseconds, 1,000 or more.
    pub poll_interval_ms: u64,
    /// Most entries taken in one go, 16 to 5,000.
    pub batch_rows: u32,
    /// Most that is kept on the agent's disk of what was taken and not delivered, in MiB: 1 to 65,536. When it is
    /// full the queue is left alone.
    pub spool_mb: u32,
}

impl Default for DataQueueSpec {
    fn default() -> Self {
        Self {
            queue: String::new(),
            content: QueueContent::default(),
            ccsid: None,
            poll_interval_ms: 1_000,
            batch_rows: 500,
            spool_mb: 256,
        }
    }
}

/// Settings of an exit point source. Reading empties its queue, so the agent's local limits must name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExitPointSpec {
    /// Data queue that the exit program writes to, as LIBRARY/NAME.
    pub queue: String,
    /// Exit programs that belong there, as LIBRARY/NAME, parts may be generic; a registered one that none of these
    /// covers is reported.
    pub programs: Vec<String>,
    /// Pause between looks at an empty queue in milliseconds, 1,000 or more.
    pub poll_interval_ms: u64,
    /// Pause between looks at what is registered, in seconds: 10 to 86,400.
    pub watch_seconds: u64,
    /// Most entries taken in one go, 16 to 5,000.
    pub batch_rows: u32,
    /// Most that is kept on the agent's disk, see [`DataQueueSpec::spool_mb`].
    pub spool_mb: u32,
}

impl Default for ExitPointSpec {
    fn default() -> Self {
        Self {
            queue: "MUSTER/EXITQ".to_owned(),
            programs: vec!["MUSTER/*ALL".to_owned()],
            poll_interval_ms: 1_000,
            watch_seconds: 60,
            batch_rows: 500,
            spool_mb: 256,
        }
    }
}

/// Settings of a source that reads the controller's audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ControllerAuditSpec {
    /// Where the very first read starts: `now` (default) or `oldest`.
    pub start: String,
    /// Pause between polls in milliseconds, 1,000 or more.
    pub poll_interval_ms: u64,
}

impl Default for ControllerAuditSpec {
    fn default() -> Self {
        Self { start: "now".to_owned(), poll_interval_ms: 2_000 }
    }
}

/// What a rule does with a matching event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Keep it; no later rule is asked.
    Keep,
    /// Drop and count it.
    Drop,
    /// Keep the first ones of each key in a window of time, and tell afterwards how many more there were.
    Throttle,
}

/// A named filter rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique name, under which drops are counted.
    pub name: String,
    /// Conditions; an empty one matches everything.
    #[serde(default, rename = "match")]
    pub when: Match,
    /// What to do.
    pub action: Action,
    /// `action: throttle`: so many events of one key pass in a window, 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `action: throttle`: length of a window in seconds, 1 to 86,400; default 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// `action: throttle`: what makes events alike: `event` (the event id) and keywords of fields; default `event`
    /// and `user`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
}

/// Sets the severity of matching events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeverityRule {
    /// Conditions.
    #[serde(default, rename = "match")]
    pub when: Match,
    /// The severity, 1 to 10.
    pub severity: Severity,
}

/// A route: events that match go to the destinations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Conditions; empty matches everything.
    #[serde(default, rename = "match")]
    pub when: Match,
    /// Names of destinations.
    pub destinations: Vec<String>,
}

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationSpec {
    /// How it is reached.
    pub transport: TransportSpec,
    /// How an event is written.
    #[serde(default)]
    pub format: FormatSpec,
    /// Pause between heartbeat events in seconds; 0 sends none.
    #[serde(default = "default_heartbeat")]
    pub heartbeat_seconds: u64,
    /// Length of the replay window in milliseconds (TCP and TLS): what was written within it is sent
    /// again after a break.
    #[serde(default = "default_window")]
    pub replay_window_ms: u64,
    /// Most bytes that the receiver's kernel keeps unread for one connection (TCP and TLS), if that is known: on
    /// Linux the third number of `net.ipv4.tcp_rmem`, or twice what the input's settings ask for. What was written
    /// before so many bytes has been read, and is not sent again however young it is. 64 KiB to 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver_buffer_bytes: Option<u64>,
}

fn default_heartbeat() -> u64 {
    300
}

fn default_window() -> u64 {
    30_000
}

/// How a destination is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "super::raw::RawTransport")]
pub enum TransportSpec {
    /// RFC 5426: one message a datagram, best effort.
    Udp {
        /// `host:port`.
        address: String,
    },
    /// RFC 6587.
    Tcp {
        /// `host:port`.
        address: String,
        /// Octet counting or newline; default newline.
        framing: Framing,
    },
    /// RFC 5425 (TLS 1.2 or later).
    Tls {
        /// `host:port`.
        address: String,
        /// Default octet counting, as the RFC asks.
        framing: Framing,
        /// Name that the receiver's certificate must carry; default the host of `address`.
        #[serde(skip_serializing_if = "Option::is_none")]
        server_name: Option<String>,
        /// PEM text of the certification authorities to trust; default the system's roots.
        #[serde(skip_serializing_if = "Option::is_none")]
        ca_pem: Option<String>,
        /// Name of the entry in the agent's local secrets folder that holds certificate chain and key
        /// (`NAME.crt`, `NAME.key`, PEM) to present.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_certificate: Option<String>,
    },
}

/// How messages are told apart in a byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// A line feed after each message (RFC 6587 section 3.4.2).
    #[default]
    Newline,
    /// Length in bytes before each message (RFC 6587 section 3.4.1).
    OctetCounting,
}

/// How an event is written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FormatSpec {
    /// The payload.
    pub kind: FormatKind,
    /// Syslog header; default RFC 5424 for `syslog`, RFC 3164 for CEF and LEEF, as their readers expect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// Syslog facility 0..=23; default 13 (log audit).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facility: Option<u8>,
    /// RFC 3164 time in UTC instead of the partition's local time.
    pub utc: bool,
    /// CEF: one space between the last header pipe and the first key (for liblognorm 2.0.6).
    pub cef_space: bool,
    /// LEEF 2.0 delimiter, one character; default `^`, which survives relays that rewrite TAB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leef_delimiter: Option<char>,
    /// RFC 5424: begin the text with a byte order mark.
    pub bom: bool,
}

/// Payload formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatKind {
    /// `key="value"` text (RFC 3164) or structured data (RFC 5424).
    #[default]
    Syslog,
    /// ArcSight Common Event Format, version 0.
    Cef,
    /// LEEF 1.0, TAB between attributes.
    Leef1,
    /// LEEF 2.0 with a chosen delimiter.
    Leef2,
}

/// Syslog headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    /// BSD syslog.
    Rfc3164,
    /// The IETF syslog protocol.
    Rfc5424,
}
