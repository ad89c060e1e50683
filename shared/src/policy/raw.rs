//! The kinds that carry a `kind` tag, as they stand in a file: one flat struct with the fields of all kinds.
//!
//! Serde reads an internally tagged enum through a buffer and forgets line and column on the way. A flat
//! struct is read straight from the parser, so an error in it names its place; turning it into the enum
//! then refuses fields that the chosen kind does not have.

use super::model::{
    AuditJournalSpec, ControllerAuditSpec, DataQueueSpec, ExitPointSpec, Framing, HistoryLogSpec,
    MessageQueueSpec, QueueContent, SourceSpec, TransportSpec,
};
use crate::event::SourceKind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Kinds of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SourceTag {
    /// The security audit journal.
    AuditJournal,
    /// The history log QHST.
    HistoryLog,
    /// A message queue.
    MessageQueue,
    /// A data queue that programs write events to.
    DataQueue,
    /// What the exit program saw, and which programs are registered at exit points.
    ExitPoint,
    /// The audit log of the agent's controller.
    ControllerAudit,
}

impl SourceTag {
    const fn kind(self) -> SourceKind {
        match self {
            Self::AuditJournal => SourceKind::AuditJournal,
            Self::HistoryLog => SourceKind::HistoryLog,
            Self::MessageQueue => SourceKind::MessageQueue,
            Self::DataQueue => SourceKind::DataQueue,
            Self::ExitPoint => SourceKind::ExitPoint,
            Self::ControllerAudit => SourceKind::ControllerAudit,
        }
    }
}

/// The fields that a kind of source has, besides `kind` and `poll_interval_ms`, which every kind has.
const fn fields_of(kind: SourceKind) -> &'static [&'static str] {
    match kind {
        SourceKind::AuditJournal => &["journal", "start", "entry_types", "batch_rows"],
        SourceKind::HistoryLog => &["start", "batch_rows"],
        SourceKind::MessageQueue => &["queue", "start", "batch_rows"],
        SourceKind::DataQueue => &["queue", "content", "ccsid", "batch_rows", "spool_mb"],
        SourceKind::ExitPoint => &["queue", "programs", "watch_seconds", "batch_rows", "spool_mb"],
        SourceKind::ControllerAudit => &["start"],
        // No policy names it.
        SourceKind::Agent => &[],
    }
}

/// Every field that some kind of source has and another has not.
const SOURCE_FIELDS: [&str; 10] = [
    "journal",
    "queue",
    "start",
    "entry_types",
    "content",
    "ccsid",
    "programs",
    "watch_seconds",
    "batch_rows",
    "spool_mb",
];

/// A source to collect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source", extend("allOf" = fields_of_sources()))]
pub(super) struct RawSource {
    /// What is read.
    kind: SourceTag,
    /// `audit_journal`: journal as LIBRARY/NAME; default QSYS/QAUDJRN.
    journal: Option<String>,
    /// `message_queue`: message queue as LIBRARY/NAME, default QSYS/QSYSOPR. `data_queue`: data queue as LIBRARY/NAME.
    /// `exit_point`: data queue of the exit program, default MUSTER/EXITQ.
    queue: Option<String>,
    /// Where the very first read starts: `now` (default), `oldest`, or an RFC 3339 time.
    start: Option<String>,
    /// `audit_journal`: entry types to fetch at all (`AF`); empty, the default, fetches every type. (`rules` filter
    /// what was fetched.)
    entry_types: Option<Vec<String>>,
    /// `data_queue`: how its entries are written; default `auto`.
    content: Option<QueueContent>,
    /// `data_queue`: code page of its entries; without one the partition's.
    ccsid: Option<u16>,
    /// `exit_point`: exit programs that belong there, as LIBRARY/NAME, parts may be generic; default MUSTER/*ALL. A
    /// registered one that none of these covers is reported.
    programs: Option<Vec<String>>,
    /// `exit_point`: pause between looks at what is registered, in seconds; default 60.
    #[schemars(range(min = 10, max = 86_400))]
    watch_seconds: Option<u64>,
    /// Pause between polls when idle, in milliseconds, 1,000 (default) or more.
    #[schemars(range(min = 1_000, max = 3_600_000))]
    poll_interval_ms: Option<u64>,
    /// Most entries asked for in one call, 16 to 5,000; the default depends on the kind.
    #[schemars(range(min = 16, max = 5_000))]
    batch_rows: Option<u32>,
    /// `data_queue`, `exit_point`: most that is kept on the agent's disk of what was taken and not delivered, in MiB;
    /// default 256. When it is full the queue is left alone.
    #[schemars(range(min = 1, max = 65_536))]
    spool_mb: Option<u32>,
}

impl RawSource {
    fn has(&self, field: &str) -> bool {
        match field {
            "journal" => self.journal.is_some(),
            "queue" => self.queue.is_some(),
            "start" => self.start.is_some(),
            "entry_types" => self.entry_types.is_some(),
            "content" => self.content.is_some(),
            "ccsid" => self.ccsid.is_some(),
            "programs" => self.programs.is_some(),
            "watch_seconds" => self.watch_seconds.is_some(),
            "batch_rows" => self.batch_rows.is_some(),
            "spool_mb" => self.spool_mb.is_some(),
            _ => false,
        }
    }

    /// Refuses what the kind does not have.
    fn check(&self) -> Result<(), FieldOfOtherKind> {
        let kind = self.kind.kind();
        let own = fields_of(kind);
        let Some(field) = SOURCE_FIELDS.into_iter().find(|field| !own.contains(field) && self.has(field))
        else {
            return Ok(());
        };
        let kinds = SourceKind::OF_POLICY.into_iter().filter(|kind| fields_of(*kind).contains(&field));
        let belongs_to =
            kinds.map(|kind| format!("kind: {}", kind.as_str())).collect::<Vec<_>>().join(" and ");
        Err(FieldOfOtherKind { kind: kind.as_str(), of: "source", field, belongs_to })
    }
}

impl TryFrom<RawSource> for SourceSpec {
    type Error = FieldOfOtherKind;

    fn try_from(raw: RawSource) -> Result<Self, Self::Error> {
        raw.check()?;
        Ok(match raw.kind {
            SourceTag::AuditJournal => {
                let default = AuditJournalSpec::default();
                Self::AuditJournal(AuditJournalSpec {
                    journal: raw.journal.unwrap_or(default.journal),
                    start: raw.start.unwrap_or(default.start),
                    entry_types: raw.entry_types.unwrap_or(default.entry_types),
                    poll_interval_ms: raw.poll_interval_ms.unwrap_or(default.poll_interval_ms),
                    batch_rows: raw.batch_rows.unwrap_or(default.batch_rows),
                })
            }
            SourceTag::HistoryLog => {
                let default = HistoryLogSpec::default();
                Self::HistoryLog(HistoryLogSpec {
                    start: raw.start.unwrap_or(default.start),
                    poll_interval_ms: raw.poll_interval_ms.unwrap_or(default.poll_interval_ms),
                    batch_rows: raw.batch_rows.unwrap_or(default.batch_rows),
                })
            }
            SourceTag::MessageQueue => {
                let default = MessageQueueSpec::default();
                Self::MessageQueue(MessageQueueSpec {
                    queue: raw.queue.unwrap_or(default.queue),
                    start: raw.start.unwrap_or(default.start),
                    poll_interval_ms: raw.poll_interval_ms.unwrap_or(default.poll_interval_ms),
                    batch_rows: raw.batch_rows.unwrap_or(default.batch_rows),
                })
            }
            SourceTag::DataQueue => {
                let default = DataQueueSpec::default();
                Self::DataQueue(DataQueueSpec {
                    queue: raw.queue.unwrap_or(default.queue),
                    content: raw.content.unwrap_or(default.content),
                    ccsid: raw.ccsid,
                    poll_interval_ms: raw.poll_interval_ms.unwrap_or(default.poll_interval_ms),
                    batch_rows: raw.batch_rows.unwrap_or(default.batch_rows),
                    spool_mb: raw.spool_mb.unwrap_or(default.spool_mb),
                })
            }
            SourceTag::ExitPoint => {
                let default = ExitPointSpec::default();
                Self::ExitPoint(ExitPointSpec {
                    queue: raw.queue.unwrap_or(default.queue),
                    programs: raw.programs.unwrap_or(default.programs),
                    poll_interval_ms: raw.poll_interval_ms.unwrap_or(default.poll_interval_ms),
                    watch_seconds: raw.watch_seconds.unwrap_or(default.watch_seconds),
                    batch_rows: raw.batch_rows.unwrap_or(default.batch_rows),
                    spool_mb: raw.spool_mb.unwrap_or(default.spool_mb),
                })
            }
            SourceTag::ControllerAudit => {
                let default = ControllerAuditSpec::default();
                Self::ControllerAudit(ControllerAuditSpec {
                    start: raw.start.unwrap_or(default.start),
                    poll_interval_ms: raw.poll_interval_ms.unwrap_or(default.poll_interval_ms),
                })
            }
        })
    }
}

/// Kinds of transport.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TransportTag {
    /// RFC 5426: one message a datagram, best effort.
    Udp,
    /// RFC 6587: a plain byte stream.
    Tcp,
    /// RFC 5425: TLS 1.2 or later.
    Tls,
}

impl TransportTag {
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// How a destination is reached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Transport", extend("allOf" = fields_of_kinds()))]
pub(super) struct RawTransport {
    /// How messages travel.
    kind: TransportTag,
    /// `host:port` of the receiver; an IPv6 address in brackets.
    address: String,
    /// How messages are told apart in a byte stream: `kind: tcp` (default newline) and `kind: tls` (default
    /// octet_counting).
    framing: Option<Framing>,
    /// `kind: tls`: name that the receiver's certificate must carry; default the host of `address`.
    server_name: Option<String>,
    /// `kind: tls`: PEM text of the certification authorities to trust; default the system's roots.
    ca_pem: Option<String>,
    /// `kind: tls`: name of the entry in the agent's local secrets folder that holds certificate chain and key
    /// (`NAME.crt`, `NAME.key`, PEM) to present. Never the secret itself.
    client_certificate: Option<String>,
}

/// Says in a schema that a kind does not have these fields.
fn without(kind: &str, fields: &[&str]) -> serde_json::Value {
    let none: serde_json::Map<_, _> =
        fields.iter().map(|field| ((*field).to_owned(), json!({"type": "null"}))).collect();
    json!({
        "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
        "then": {"properties": none},
    })
}

/// Which fields a kind of source does not have, for the schema.
fn fields_of_sources() -> serde_json::Value {
    let without = |kind: SourceKind| {
        let own = fields_of(kind);
        let foreign: Vec<&str> = SOURCE_FIELDS.into_iter().filter(|field| !own.contains(field)).collect();
        without(kind.as_str(), &foreign)
    };
    SourceKind::OF_POLICY.into_iter().map(without).collect::<Vec<_>>().into()
}

/// Which fields a kind of transport does not have, for the schema.
fn fields_of_kinds() -> serde_json::Value {
    json!([
        without("udp", &["framing", "server_name", "ca_pem", "client_certificate"]),
        without("tcp", &["server_name", "ca_pem", "client_certificate"]),
    ])
}

/// A field that the chosen kind of transport or source does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {kind} {of} has no `{field}`; it belongs to {belongs_to}")]
pub(super) struct FieldOfOtherKind {
    kind: &'static str,
    of: &'static str,
    field: &'static str,
    belongs_to: String,
}

impl TryFrom<RawTransport> for TransportSpec {
    type Error = FieldOfOtherKind;

    fn try_from(raw: RawTransport) -> Result<Self, Self::Error> {
        let kind = raw.kind.name();
        let refuse = |present: bool, field, belongs_to: &str| {
            let belongs_to = belongs_to.to_owned();
            if present { Err(FieldOfOtherKind { kind, of: "transport", field, belongs_to }) } else { Ok(()) }
        };
        if !matches!(raw.kind, TransportTag::Tls) {
            refuse(raw.server_name.is_some(), "server_name", "kind: tls")?;
            refuse(raw.ca_pem.is_some(), "ca_pem", "kind: tls")?;
            refuse(raw.client_certificate.is_some(), "client_certificate", "kind: tls")?;
        }
        match raw.kind {
            TransportTag::Udp => {
                refuse(raw.framing.is_some(), "framing", "kind: tcp and kind: tls")?;
                Ok(Self::Udp { address: raw.address })
            }
            TransportTag::Tcp => {
                Ok(Self::Tcp { address: raw.address, framing: raw.framing.unwrap_or_default() })
            }
            TransportTag::Tls => Ok(Self::Tls {
                address: raw.address,
                framing: raw.framing.unwrap_or(Framing::OctetCounting),
                server_name: raw.server_name,
                ca_pem: raw.ca_pem,
                client_certificate: raw.client_certificate,
            }),
        }
    }
}
