//! How far an upgrade is, in OpAMP's words and in ours: pure.

use super::book::{Book, Verdict};
use muster_package::AGENT;
use muster_package::progress::Step;
use muster_proto::opamp::{PackageDownloadDetails, PackageStatus, PackageStatusEnum, PackageStatuses};
use semver::Version;
use std::collections::BTreeMap;

/// Where the work on the last offer stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Phase {
    /// Nothing is being done: the book says what became of the last offer.
    #[default]
    Idle,
    /// It waits for its turn.
    Waiting,
    /// It is fetched.
    Downloading {
        /// 0 to 100.
        percent: f64,
        /// Bytes a second.
        rate: f64,
    },
    /// See [`Step::Verified`].
    Verified,
    /// See [`Step::Staged`].
    Staged,
    /// See [`Step::Switching`].
    Switching,
    /// See [`Step::Confirming`].
    Confirming,
}

impl Phase {
    /// The step that it is; none while nothing is done.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Idle => None,
            Self::Waiting => Some(Step::Waiting),
            Self::Downloading { .. } => Some(Step::Downloading),
            Self::Verified => Some(Step::Verified),
            Self::Staged => Some(Step::Staged),
            Self::Switching => Some(Step::Switching),
            Self::Confirming => Some(Step::Confirming),
        }
    }
}

/// Beginning of the message of an upgrade that ran and was taken back.
pub const ROLLED_BACK: &str = "rolled back: ";

/// What the controller is told.
#[must_use]
pub fn statuses(book: &Book, phase: &Phase, running: &Version) -> PackageStatuses {
    let bytes = |hex: &String| {
        let mut bytes = vec![0; hex.len() / 2];
        match faster_hex::hex_decode(hex.as_bytes(), &mut bytes) {
            Ok(_) => bytes,
            // A damaged book: none that the controller knows.
            Err(_) => Vec::new(),
        }
    };
    let (status, error_message, download_details) = match (phase, &book.verdict) {
        (Phase::Idle, None | Some(Verdict::Done)) => (PackageStatusEnum::Installed, String::new(), None),
        (Phase::Idle, Some(Verdict::RolledBack(why))) => {
            (PackageStatusEnum::InstallFailed, format!("{ROLLED_BACK}{why}"), None)
        }
        (Phase::Idle, Some(Verdict::Failed(why))) => (PackageStatusEnum::InstallFailed, why.clone(), None),
        (Phase::Waiting, _) => (PackageStatusEnum::InstallPending, String::new(), None),
        (Phase::Downloading { percent, rate }, _) => {
            let details =
                PackageDownloadDetails { download_percent: *percent, download_bytes_per_second: *rate };
            (PackageStatusEnum::Downloading, String::new(), Some(details))
        }
        (Phase::Verified | Phase::Staged | Phase::Switching | Phase::Confirming, _) => {
            (PackageStatusEnum::Installing, String::new(), None)
        }
    };
    let offer = book.offer.as_ref();
    let package = PackageStatus {
        name: AGENT.to_owned(),
        agent_has_version: running.to_string(),
        agent_has_hash: book.offers.get(running).map(bytes).unwrap_or_default(),
        server_offered_version: offer.map(|o| o.version.to_string()).unwrap_or_default(),
        server_offered_hash: offer.map(|o| bytes(&o.hash)).unwrap_or_default(),
        status: status.into(),
        error_message,
        download_details,
    };
    PackageStatuses {
        packages: BTreeMap::from([(AGENT.to_owned(), package)]),
        server_provided_all_packages_hash: offer.map(|o| bytes(&o.set)).unwrap_or_default(),
        error_message: String::new(),
    }
}
