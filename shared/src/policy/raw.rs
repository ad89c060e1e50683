//! The kinds that carry a `kind` tag, as they stand in a file: one flat struct with the fields of all kinds.
//!
//! Serde reads an internally tagged enum through a buffer and forgets line and column on the way. A flat
//! struct is read straight from the parser, so an error in it names its place; turning it into the enum
//! then refuses fields that the chosen kind does not have.

use super::model::{AuditJournalSpec, ControllerAuditSpec, Framing, SourceSpec, TransportSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Kinds of source.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SourceTag {
    /// The security audit journal.
    AuditJournal,
    /// The audit log of the agent's controller.
    ControllerAudit,
}

/// A source to collect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source", extend("allOf" = fields_of_sources()))]
pub(super) struct RawSource {
    /// What is read.
    kind: SourceTag,
    /// Journal as LIBRARY/NAME; default QSYS/QAUDJRN.
    journal: Option<String>,
    /// Where the very first read starts: `now` (default), `oldest`, or an RFC 3339 time.
    start: Option<String>,
    /// Entry types to fetch at all (`AF`); empty, the default, fetches every type. (`rules` filter what was
    /// fetched.)
    entry_types: Option<Vec<String>>,
    /// Pause between polls when idle, in milliseconds, 1,000 (default) or more.
    #[schemars(range(min = 1_000, max = 3_600_000))]
    poll_interval_ms: Option<u64>,
    /// Most entries asked for in one call, 16 to 5,000; default 2,000.
    #[schemars(range(min = 16, max = 5_000))]
    batch_rows: Option<u32>,
}

impl TryFrom<RawSource> for SourceSpec {
    type Error = FieldOfOtherKind;

    fn try_from(raw: RawSource) -> Result<Self, Self::Error> {
        match raw.kind {
            SourceTag::AuditJournal => {
                let default = AuditJournalSpec::default();
                Ok(Self::AuditJournal(AuditJournalSpec {
                    journal: raw.journal.unwrap_or(default.journal),
                    start: raw.start.unwrap_or(default.start),
                    entry_types: raw.entry_types.unwrap_or(default.entry_types),
                    poll_interval_ms: raw.poll_interval_ms.unwrap_or(default.poll_interval_ms),
                    batch_rows: raw.batch_rows.unwrap_or(default.batch_rows),
                }))
            }
            SourceTag::ControllerAudit => {
                let fields = [
                    ("journal", raw.journal.is_some()),
                    ("entry_types", raw.entry_types.is_some()),
                    ("batch_rows", raw.batch_rows.is_some()),
                ];
                if let Some((field, _)) = fields.into_iter().find(|(_, present)| *present) {
                    let belongs_to = "kind: audit_journal";
                    return Err(FieldOfOtherKind {
                        kind: "controller_audit",
                        of: "source",
                        field,
                        belongs_to,
                    });
                }
                let default = ControllerAuditSpec::default();
                Ok(Self::ControllerAudit(ControllerAuditSpec {
                    start: raw.start.unwrap_or(default.start),
                    poll_interval_ms: raw.poll_interval_ms.unwrap_or(default.poll_interval_ms),
                }))
            }
        }
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
    json!([without("controller_audit", &["journal", "entry_types", "batch_rows"])])
}

/// Which fields a kind of transport does not have, for the schema.
fn fields_of_kinds() -> serde_json::Value {
    json!([
        without("udp", &["framing", "server_name", "ca_pem", "client_certificate"]),
        without("tcp", &["server_name", "ca_pem", "client_certificate"]),
    ])
}

/// A field that the chosen kind of transport or source does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {kind} {of} has no `{field}`; it belongs to {belongs_to}")]
pub(super) struct FieldOfOtherKind {
    kind: &'static str,
    of: &'static str,
    field: &'static str,
    belongs_to: &'static str,
}

impl TryFrom<RawTransport> for TransportSpec {
    type Error = FieldOfOtherKind;

    fn try_from(raw: RawTransport) -> Result<Self, Self::Error> {
        let kind = raw.kind.name();
        let refuse = |present: bool, field, belongs_to| {
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
