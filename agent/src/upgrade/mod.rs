//! Upgrades of the agent: what the controller offers is fetched, verified, unpacked beside the running version, asked to
//! check itself, and handed to the launcher, which switches and switches back.
//!
//! ```text
//! offer ─▸ offer.rs: is it to be done? ─▸ fetch.rs ─▸ stage.rs: verify, unpack ─▸ self-check of the new program
//!                                                                                     │
//!   book.rs: what was offered and what became of it, over restarts                    ▾
//!   confirm.rs: does all work again that worked before?  ◂── launcher ◂── order.json, end of this process
//! ```
//! Promises: nothing is unpacked where it can run before signature and digests are right; a power cut or a kill at any
//! step leaves a program that runs; every offer ends as done, rolled back or failed, with the reason; a version that is
//! on disk already is not fetched again. Refuses: whatever is not signed by a key that counts here (the controller's
//! word counts for nothing), versions below the signed floor, and versions whose formats the running one cannot read.
//!
//! Without a launcher ([`muster_package::slots::ENV`]) the agent declares no such capability: nobody could switch back.

pub mod actor;
pub mod book;
pub mod confirm;
pub mod disk;
pub mod fetch;
pub mod offer;
pub mod phase;
pub mod stage;
mod work;

use crate::uplink::endpoint::Endpoint;
use crate::uplink::transport::proxy::Proxy;
use muster_package::manifest::{FormatVersions, Formats};
use muster_proto::opamp::{PackageStatuses, PackagesAvailable};
use rustls::ClientConfig;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod fetch_tests;
#[cfg(test)]
mod tests;

/// `[upgrade]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpgradeSettings {
    /// Whether the controller may upgrade this agent.
    pub enabled: bool,
    /// Longest wait in seconds before a download begins, so that not all agents begin at once.
    pub jitter_seconds: u64,
    /// Seconds until all must work again after a switch.
    pub healthy_seconds: u64,
    /// Seconds until a controller must have heard the new version.
    pub connected_seconds: u64,
    /// Seconds after that in which it must not end by itself.
    pub probation_seconds: u64,
}

impl Default for UpgradeSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            jitter_seconds: 60,
            healthy_seconds: 180,
            connected_seconds: 1_800,
            probation_seconds: 600,
        }
    }
}

impl UpgradeSettings {
    /// Checks the bounds.
    ///
    /// # Errors
    /// What is out of bounds.
    pub fn check(&self) -> Result<(), String> {
        let most = [
            ("jitter_seconds", self.jitter_seconds, 0, 600),
            ("healthy_seconds", self.healthy_seconds, 1, 1_800),
            ("connected_seconds", self.connected_seconds, 1, 86_400),
            ("probation_seconds", self.probation_seconds, 0, 86_400),
        ];
        match most.iter().find(|(_, value, least, most)| value < least || value > most) {
            Some((name, value, least, most)) => {
                Err(format!("[upgrade] {name} is {value}; it must be from {least} to {most}"))
            }
            None => Ok(()),
        }
    }
}

/// Formats of what this build keeps on disk. One that changes its form gets a new number here, and reads the old ones:
/// tests hold the bytes of each number (`the_bytes_of_…`).
#[must_use]
pub fn formats() -> Formats {
    let only = |version: u32| FormatVersions { read: [version].into(), write: version };
    [("cursor", only(1)), ("spool", only(1)), ("policy", only(1))]
        .into_iter()
        .map(|(name, versions)| (name.to_owned(), versions))
        .collect()
}

/// How the connected controller is reached.
#[derive(Clone)]
pub struct Access {
    /// Its address.
    pub endpoint: Endpoint,
    /// Trust and own certificate.
    pub tls: Arc<ClientConfig>,
    /// The way there, if not direct.
    pub proxy: Option<Proxy>,
}

/// Takes offered packages; the agent's [`actor::Upgrader`].
pub trait PackageHandler {
    /// A controller heard this agent, and can be reached like this.
    fn connected(&self, access: Access);

    /// The connection ended.
    fn disconnected(&self);

    /// The controller offers something.
    fn offered(&self, available: PackagesAvailable, access: Access);
}

/// Message to the uplink: where the agent stands with its packages.
#[derive(Debug, Clone, PartialEq, actix::Message)]
#[rtype(result = "()")]
pub struct ReportPackages(pub PackageStatuses);

/// Pause between two looks at what the launcher decided.
const LOOK_EVERY: Duration = Duration::from_millis(500);
