//! The configuration file as written (TOML).

use crate::upgrade::UpgradeSettings;
use crate::uplink::transport::TransportKind;
use muster_shared::policy::limits::LimitsSpec;
use serde::Deserialize;
use std::path::PathBuf;

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Folder for identity, cursors and the last good policy; one per agent.
    pub state_dir: PathBuf,
    /// How the partition is reached.
    pub partition: PartitionTable,
    /// Stand-alone: a local policy.
    #[serde(default)]
    pub policy: PolicyTable,
    /// Local secrets that policies refer to by name.
    #[serde(default)]
    pub secrets: SecretsTable,
    /// What no policy may widen.
    #[serde(default)]
    pub limits: LimitsTable,
    /// How the controller is reached.
    #[serde(default)]
    pub controller: ControllerTable,
    /// Logging.
    #[serde(default)]
    pub log: LogTable,
    /// Looking into this agent from the controller.
    #[serde(default)]
    pub inspect: InspectTable,
    /// Upgrades by the controller.
    #[serde(default)]
    pub upgrade: UpgradeSettings,
}

/// `[controller]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerTable {
    /// `websocket` (default) or `http`: keep a connection, or poll.
    #[serde(default)]
    pub transport: TransportKind,
    /// HTTP proxy, `http://host:port`; the agent asks it to CONNECT.
    pub proxy: Option<String>,
    /// User at the proxy, if it wants one.
    pub proxy_user: Option<String>,
    /// File with the user's password, first line; readable by the agent only.
    pub proxy_password_file: Option<PathBuf>,
}

/// `[partition]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionTable {
    /// `host:port` of the Mapepire server; the port may be left out (8076).
    pub address: String,
    /// The agent's profile on the partition.
    pub user: String,
    /// File with the password, first line; readable by the agent only.
    pub password_file: PathBuf,
    /// PEM file with the certification authority of the Mapepire server.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the server's certificate (DER), hexadecimal, colons allowed.
    pub pin_sha256: Option<String>,
    /// CCSID of text where the partition's QCCSID is 65535.
    pub ccsid: Option<u16>,
}

/// `[policy]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTable {
    /// YAML file with the policy's content (what stands below `spec:` in a policy document).
    pub file: Option<PathBuf>,
    /// Run only policies whose documents are signed by one of `trusted_keys`.
    #[serde(default)]
    pub require_signature: bool,
    /// minisign public keys (the line of the .pub file that begins with RW).
    #[serde(default)]
    pub trusted_keys: Vec<String>,
}

/// `[secrets]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsTable {
    /// Folder of `NAME.crt` and `NAME.key` files.
    pub dir: Option<PathBuf>,
}

/// `[limits]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsTable {
    /// Receivers that events may be sent to; absent: any.
    pub destinations: Option<Vec<String>>,
    /// Journals that may be read; absent: any.
    pub journals: Option<Vec<String>>,
    /// Queues that may be read; absent: none.
    pub queues: Option<Vec<String>>,
    /// Entry types that every policy must collect, keep and deliver.
    #[serde(default)]
    pub never_drop: Vec<String>,
}

impl LimitsTable {
    /// As the limits are checked.
    #[must_use]
    pub fn into_spec(self) -> LimitsSpec {
        let Self { destinations, journals, queues, never_drop } = self;
        LimitsSpec { destinations, journals, queues, never_drop }
    }
}

/// `[log]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTable {
    /// `text` (default) or `json`.
    #[serde(default)]
    pub format: LogFormat,
    /// A tracing filter; default `info`.
    pub filter: Option<String>,
}

/// `[inspect]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InspectTable {
    /// Whether the controller may ask for recent events, a live tail, a preview or diagnostics; default true. With
    /// `false` no recent events are kept either.
    #[serde(default = "allowed")]
    pub enabled: bool,
}

impl Default for InspectTable {
    fn default() -> Self {
        Self { enabled: allowed() }
    }
}

const fn allowed() -> bool {
    true
}

/// Formats of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
