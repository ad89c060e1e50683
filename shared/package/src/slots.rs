//! What agent and launcher tell each other on disk, in the folder `upgrade/` of the agent's state folder.
//!
//! ```text
//! versions/0.2.0/      an unpacked package: manifest.json, manifest.json.minisig, the files; complete when it is there
//! statement.json       the last statement about keys, with its signatures ([`KeptStatement`])
//! download/            what is being fetched
//! order.json           the agent asks for another version ([`Order`]); the launcher removes it once it is carried out
//! launch.json          what the launcher runs and why ([`Launch`]); the launcher alone writes it
//! ```
//! Each file has one writer and is replaced atomically, so that a power cut leaves the old or the new one. The launcher
//! also talks to the agent that it started through its standard streams:
//!
//! * standard input stays open as long as the launcher lives; at its end the agent stops in order, so that two agents
//!   never run side by side after a launcher was killed;
//! * the agent says on standard output, each on a line of its own, [`HEALTHY`] once everything works again that worked
//!   before, and [`CONNECTED`] once it was heard by a controller.
//!
//! The environment variable [`ENV`] tells an agent that it runs under a launcher.

use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Environment variable that says `1` where a launcher started the agent.
pub const ENV: &str = "MUSTER_LAUNCHER";
/// Line by which an agent says that all works again that worked before.
pub const HEALTHY: &str = "muster: healthy";
/// Beginning of a line by which an agent says what does not work yet that worked before.
pub const UNWELL: &str = "muster: unwell: ";
/// Line by which an agent says that a controller heard it.
pub const CONNECTED: &str = "muster: connected";
/// The form of both files.
pub const FORMAT: u32 = 1;
/// Largest of these files that is believed, in bytes.
pub const MAX_FILE: u64 = 256 * 1024;
/// The program of an agent in its package.
pub const PROGRAM: &str = "bin/muster-agent";

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Below the state folder of an agent.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { root: state_dir.join("upgrade") }
    }

    /// The folder of all of it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The unpacked packages.
    #[must_use]
    pub fn versions(&self) -> PathBuf {
        self.root.join("versions")
    }

    /// An unpacked package.
    #[must_use]
    pub fn version(&self, version: &Version) -> PathBuf {
        self.versions().join(version.to_string())
    }

    /// The statement about keys.
    #[must_use]
    pub fn statement(&self) -> PathBuf {
        self.root.join("statement.json")
    }

    /// What is being fetched.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.root.join("download")
    }

    /// The agent's order.
    #[must_use]
    pub fn order(&self) -> PathBuf {
        self.root.join("order.json")
    }

    /// What the launcher runs.
    #[must_use]
    pub fn launch(&self) -> PathBuf {
        self.root.join("launch.json")
    }
}

/// The last statement about keys, as it was signed. Agent and launcher verify it each time against the shipped keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStatement {
    /// The text.
    pub text: String,
    /// Its signatures.
    pub signatures: Vec<String>,
}

/// What can be run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Slot {
    /// The program that the operating system's package installed.
    #[default]
    Installed,
    /// An unpacked package.
    Package {
        /// Its version.
        version: Version,
    },
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Installed => f.write_str("the installed version"),
            Self::Package { version } => write!(f, "{version}"),
        }
    }
}

/// The agent asks for another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// [`FORMAT`].
    pub format: u32,
    /// What it is for: the hash of the controller's offer, hexadecimal.
    pub offer: String,
    /// What to run.
    pub to: Slot,
    /// Version of it, for people.
    pub to_version: Version,
    /// Version of the agent that asks.
    pub from_version: Version,
    /// Components that work now, `source/audit`, `destination/siem`: they must work again.
    pub worked: Vec<String>,
    /// The agent is connected to a controller: it must be again.
    pub connected: bool,
    /// Seconds until it must be healthy.
    pub healthy_seconds: u64,
    /// Seconds until it must be connected; longer, since a controller may be away without fault of the agent's.
    pub connected_seconds: u64,
    /// Seconds after it was confirmed in which it may not end by itself.
    pub probation_seconds: u64,
}

/// What the launcher runs, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Launch {
    /// [`FORMAT`].
    pub format: u32,
    /// What runs, and what is gone back to from a trial.
    pub current: Slot,
    /// What ran before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Slot>,
    /// A version that has to show itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// What became of the last order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// SHA-256 of the installed program, hexadecimal: when the operating system's package brings another one, that one
    /// is meant to run.
    #[serde(default)]
    pub installed_sha256: String,
    /// The order by which `current` came here; none for the installed program as the operating system brought it. A
    /// version that begins to die long after it was confirmed is told as the outcome of this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// SHA-256 of the manifests, hexadecimal, of the versions that are kept and that the launcher verified and started: each
    /// goes on being started if the key that signed it is retired. Those on trial need a key that counts all the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted: BTreeMap<Version, String>,
}

/// The order by which a version came here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// [`Order::offer`].
    pub offer: String,
    /// [`Order::to_version`].
    pub version: Version,
}

/// A version that has to show itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What was ordered.
    pub order: Order,
    /// How often it was started: a power cut is not the version's fault.
    pub starts: u32,
    /// It was healthy; now it must not end by itself for [`Order::probation_seconds`].
    pub healthy: bool,
    /// It was connected.
    pub connected: bool,
    /// It was confirmed and is [`Launch::current`] now: what is needed to go back all the same. None until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation: Option<Probation>,
}

/// What a confirmed version put in the place of, beside [`Launch::previous`].
///
/// How much of the probation has passed is not kept, for no clock survives a restart that could not be set: a launcher
/// that is started again begins it anew.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Probation {
    /// [`Launch::previous`] as it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Slot>,
    /// [`Launch::origin`] as it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What became of an order. [`OutcomeResult::Confirmed`] may still become [`OutcomeResult::RolledBack`], when the version
/// ends by itself in its probation or begins to die later; the other two are final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`Order::offer`].
    pub offer: String,
    /// The version that it was about.
    pub version: Version,
    /// What happened.
    pub result: OutcomeResult,
    /// Why, in words; empty for [`OutcomeResult::Confirmed`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What happened with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeResult {
    /// It runs.
    Confirmed,
    /// It ran, and the version before runs again.
    RolledBack,
    /// It was never started: it is not what was signed, or is not there.
    Refused,
}
