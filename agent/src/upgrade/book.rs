//! What was offered and what became of it, kept over restarts in `upgrade/book.json`. The agent alone writes it.

use super::disk::{Disk, replace};
use super::offer::Offer;
use muster_package::admit::Floor;
use muster_package::slots::{Launch, Layout, MAX_FILE, OutcomeResult, Slot};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;
use tracing::warn;

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word", content = "reason")]
pub enum Verdict {
    /// It runs.
    Done,
    /// It ran, and the version before runs again: why.
    RolledBack(String),
    /// It never ran: why.
    Failed(String),
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Book {
    /// The last offer.
    pub offer: Option<Offer>,
    /// What became of it; none while it is under way.
    pub verdict: Option<Verdict>,
    /// Below what no version is installed.
    pub floor: Option<Floor>,
    /// SHA-256 of the package file that each kept version came from.
    pub contents: BTreeMap<Version, String>,
    /// Hash of the offer by which each version came here, hexadecimal.
    pub offers: BTreeMap<Version, String>,
    /// How often the launcher was asked for the last offer.
    pub orders: u32,
    /// Version of the program that the operating system's package installed, once it was seen running.
    pub installed: Option<Version>,
}

/// Versions that are remembered.
const MAX_VERSIONS: usize = 20;

/// How often the launcher is asked for one offer: more often, and collection would stop again and again for nothing.
pub const MAX_ORDERS: u32 = 3;

impl Book {
    /// Reads it. A damaged one is as none: what it holds is offered again, and the floor is in the kept manifests.
    #[must_use]
    pub fn load(layout: &Layout) -> Self {
        let path = Self::path(layout);
        match read_json(&path) {
            Ok(book) => book.unwrap_or_default(),
            Err(error) => {
                warn!(path = %path.display(), error, "the book of upgrades cannot be read, begun anew");
                Self::default()
            }
        }
    }

    /// Stores it.
    ///
    /// # Errors
    /// As the system says; what was stored before is there then.
    pub fn store(&mut self, layout: &Layout, disk: &dyn Disk) -> io::Result<()> {
        while self.contents.len() > MAX_VERSIONS {
            self.contents.pop_first();
        }
        while self.offers.len() > MAX_VERSIONS {
            self.offers.pop_first();
        }
        disk.make_dir(layout.root())?;
        let text = serde_json::to_vec_pretty(self)?;
        replace(disk, &Self::path(layout), &text)
    }

    fn path(layout: &Layout) -> std::path::PathBuf {
        layout.root().join("book.json")
    }

    /// Takes over what the launcher decided about the last offer; true if that was news.
    pub fn learn(&mut self, launch: &Launch) -> bool {
        let (Some(offer), Some(outcome)) = (&self.offer, &launch.last) else { return false };
        if outcome.offer != offer.hash {
            return false;
        }
        let verdict = match outcome.result {
            OutcomeResult::Confirmed => Verdict::Done,
            OutcomeResult::RolledBack => Verdict::RolledBack(outcome.reason.clone()),
            OutcomeResult::Refused => Verdict::Failed(outcome.reason.clone()),
        };
        let news = self.verdict.as_ref() != Some(&verdict);
        self.verdict = Some(verdict);
        news
    }

    /// The version that ran just before the present one.
    #[must_use]
    pub fn previous(&self, launch: &Launch) -> Option<(Version, Slot)> {
        match launch.previous.as_ref()? {
            Slot::Installed => Some((self.installed.clone()?, Slot::Installed)),
            Slot::Package { version } => Some((version.clone(), Slot::Package { version: version.clone() })),
        }
    }
}

/// What the launcher runs and why.
///
/// # Errors
/// When it cannot be read: then nothing follows from it.
pub fn launch(layout: &Layout) -> Result<Launch, String> {
    let path = layout.launch();
    match read_json(&path) {
        Ok(launch) => Ok(launch.unwrap_or_default()),
        Err(error) => Err(format!("what the launcher wrote cannot be read: {}: {error}", path.display())),
    }
}

/// Reads a small JSON file; none if it is not there.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string())
}
