//! The kinds that carry a `kind` tag, as they stand in a file: one flat struct with the fields of all kinds.
//!
//! Serde reads an internally tagged enum through a buffer and forgets line and column on the way. A flat
//! struct is read straight from the parser, so an error in it names its place; turning it into the enum
//! then refuses fields that the chosen kind does not have.

use super::model::{AuditJournalSpec, Framing, SourceSpec, TransportSpec};
use serde::Deserialize;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourceTag {
    AuditJournal,
}

/// A source as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    kind: SourceTag,
    journal: Option<String>,
    start: Option<String>,
    entry_types: Option<Vec<String>>,
    poll_interval_ms: Option<u64>,
    batch_rows: Option<u32>,
}

impl From<RawSource> for SourceSpec {
    fn from(raw: RawSource) -> Self {
        match raw.kind {
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
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TransportTag {
    Udp,
    Tcp,
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

/// A transport as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTransport {
    kind: TransportTag,
    address: String,
    framing: Option<Framing>,
    server_name: Option<String>,
    ca_pem: Option<String>,
    client_certificate: Option<String>,
}

/// A field that the chosen kind of transport does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {kind} transport has no `{field}`; it belongs to {belongs_to}")]
pub(super) struct FieldOfOtherKind {
    kind: &'static str,
    field: &'static str,
    belongs_to: &'static str,
}

impl TryFrom<RawTransport> for TransportSpec {
    type Error = FieldOfOtherKind;

    fn try_from(raw: RawTransport) -> Result<Self, Self::Error> {
        let kind = raw.kind.name();
        let refuse = |present: bool, field, belongs_to| {
            if present { Err(FieldOfOtherKind { kind, field, belongs_to }) } else { Ok(()) }
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
