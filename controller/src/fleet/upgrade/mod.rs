//! Where an agent stands with its package: which version it shall come to, what it is offered on the way, and what it
//! says of that. Functions of values and the time; kept over restarts of the controller.

use super::bounded;
use crate::identity::secret::hex;
use jiff::{SignedDuration, Timestamp};
use muster_package::progress::Step;
use muster_package::{AGENT, Version};
use muster_proto::opamp::{
    DownloadableFile, PackageAvailable, PackageStatus, PackageStatusEnum, PackageStatuses, PackageType,
    PackagesAvailable,
};
use muster_shared::id::AgentId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest text that is kept of why an upgrade failed, in bytes.
const MAX_REASON: usize = 1_024;
/// Longest hash that is looked at, in bytes.
const MAX_HASH: usize = 64;
/// How an agent begins its error if the new version ran.
const ROLLED_BACK: &str = "rolled back: ";

/// What is stored of an agent's upgrades.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UpgradeState {
    /// Which version it shall come to; none where nobody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Box<Goal>>,
    /// What it is offered on the way there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Box<Wanted>>,
    /// What it last said of an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<Report>>,
    /// What last failed, while it did not come to a wanted version since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<Failure>>,
}

/// A wanted version that an agent did not come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The rollout that wanted it.
    pub rollout: u64,
    /// Why, as the agent said it.
    pub reason: String,
}

/// Which version an agent shall come to, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// The rollout that says so; it salts the offers, so that another rollout of the same version is another try.
    pub rollout: u64,
    /// The rollout's version.
    pub version: Version,
    /// What ran when it was told first.
    pub from: Version,
    /// It shall go back to `from`.
    pub back: bool,
}

impl Goal {
    /// Where it leads.
    #[must_use]
    pub fn end(&self) -> &Version {
        if self.back { &self.from } else { &self.version }
    }
}

/// A package that is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its version.
    pub version: Version,
    /// For which platform.
    pub platform: String,
    /// Its file; none if the agent shall go back to a version that it keeps and the repository does not have.
    pub file: Option<WantedFile>,
    /// [`Goal::rollout`].
    pub rollout: u64,
    /// [`Goal::back`].
    pub back: bool,
    /// Since when it is wanted.
    pub at: Timestamp,
}

/// The file of a package that is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedFile {
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Signature of the manifest in it.
    pub signature: String,
}

/// What an agent said of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Hash of the offer, hexadecimal.
    pub hash: String,
    /// How far it is.
    pub step: Step,
    /// It said that it installs, and which of the steps of that stands in its health.
    pub installing: bool,
    /// How much of the file it has, in percent.
    pub percent: Option<u8>,
    /// Why it failed.
    pub reason: String,
    /// Since when it is there.
    pub since: Timestamp,
}

impl Wanted {
    /// Tells this offer from every other one.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let (version, rollout) = (self.version.to_string(), self.rollout.to_string());
        let content = self.file.as_ref().map_or("", |file| file.sha256.as_str());
        // No part has a line break in it.
        let way = if self.back { "back" } else { "" };
        for part in [AGENT, &version, &self.platform, content, &rollout, way] {
            hasher.update(part.as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize().into()
    }

    /// [`Self::hash`] as it is compared with what agents say.
    #[must_use]
    pub fn hash_text(&self) -> String {
        hex(&self.hash())
    }

    /// The offer, as it is sent to an agent that dialled `endpoint` (`wss://host:port/v1/opamp`).
    #[must_use]
    pub fn offer(&self, endpoint: &str) -> PackagesAvailable {
        let hash = self.hash();
        let file = match &self.file {
            Some(file) => DownloadableFile {
                download_url: download_url(endpoint, &file.sha256),
                content_hash: unhex(&file.sha256),
                signature: file.signature.clone().into_bytes(),
                ..DownloadableFile::default()
            },
            None => DownloadableFile::default(),
        };
        let package = PackageAvailable {
            r#type: PackageType::TopLevel.into(),
            version: self.version.to_string(),
            file: Some(file),
            hash: hash.to_vec(),
        };
        PackagesAvailable {
            packages: [(AGENT.to_owned(), package)].into(),
            all_packages_hash: Sha256::digest(hash).to_vec(),
        }
    }
}

/// Where a package lies for an agent that dialled `endpoint`.
fn download_url(endpoint: &str, sha256: &str) -> String {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    format!("https://{host}/v1/packages/{sha256}")
}

/// The bytes of a SHA-256 in hexadecimal; nothing of what is none.
fn unhex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(byte).collect::<Option<_>>().unwrap_or_default()
}

/// A step as an agent told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The step.
    pub step: Step,
    /// The finer word for it stands in its health.
    pub installing: bool,
    /// How much it has, in percent.
    pub percent: Option<u8>,
    /// Why it failed.
    pub reason: String,
}

/// What OpAMP's words and the word in an agent's health together say.
#[must_use]
pub fn told(status: &PackageStatus, word: Option<Step>) -> Told {
    let plain = |step| Told { step, installing: false, percent: None, reason: String::new() };
    match PackageStatusEnum::try_from(status.status) {
        Ok(PackageStatusEnum::InstallPending) => plain(Step::Waiting),
        Ok(PackageStatusEnum::Downloading) => {
            let percent = status.download_details.as_ref().map_or(0.0, |details| details.download_percent);
            Told { percent: Some(whole_percent(percent)), ..plain(Step::Downloading) }
        }
        // A word that a later release knows is one of these too.
        Ok(PackageStatusEnum::Installing) | Err(_) => Told { installing: true, ..plain(installing(word)) },
        Ok(PackageStatusEnum::Installed) => plain(Step::Done),
        Ok(PackageStatusEnum::InstallFailed) => match status.error_message.strip_prefix(ROLLED_BACK) {
            Some(why) => Told { reason: bounded(why, MAX_REASON), ..plain(Step::RolledBack) },
            None => Told { reason: bounded(&status.error_message, MAX_REASON), ..plain(Step::Failed) },
        },
    }
}

/// The step of an agent that installs; the word in its health may be that of a moment ago.
fn installing(word: Option<Step>) -> Step {
    match word {
        Some(step @ (Step::Verified | Step::Staged | Step::Switching | Step::Confirming)) => step,
        Some(
            Step::Offered | Step::Waiting | Step::Downloading | Step::Done | Step::RolledBack | Step::Failed,
        )
        | None => Step::Verified,
    }
}

fn whole_percent(percent: f64) -> u8 {
    // What is no number becomes 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded
    let whole = percent.clamp(0.0, 100.0) as u8;
    whole
}

impl Report {
    /// When it has to have got on at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        deadline(self.step, self.since)
    }

    fn is_same_step(&self, other: &Self) -> bool {
        (&self.hash, self.step, &self.reason) == (&other.hash, other.step, &other.reason)
    }
}

/// When a step that began at `since` has to be over.
#[must_use]
pub fn deadline(step: Step, since: Timestamp) -> Option<Timestamp> {
    let limit = SignedDuration::try_from(step.limit()?).ok()?;
    since.checked_add(limit).ok()
}

impl UpgradeState {
    /// Key in the store.
    #[must_use]
    pub fn key(id: AgentId) -> String {
        format!("upgrade/{id}")
    }

    /// Takes what an agent says of its packages, and the word for its step in its health. True if that has to be stored:
    /// how much it has of a file has not, for it says so again.
    fn hear(&mut self, statuses: Option<&PackageStatuses>, word: Option<Step>, now: Timestamp) -> bool {
        let next = match statuses {
            Some(statuses) => statuses.packages.get(AGENT).and_then(|status| said(status, word, now)),
            None => self.report.as_deref().cloned().map(|report| Report {
                step: if report.installing { installing(word) } else { report.step },
                since: now,
                ..report
            }),
        };
        let (Some(mut next), Some(before)) = (next.clone(), &self.report) else {
            let news = next.is_some() != self.report.is_some();
            self.report = next.map(Box::new);
            return news;
        };
        let same = next.is_same_step(before);
        if same {
            next.since = before.since;
        }
        self.report = Some(Box::new(next));
        !same
    }

    /// As [`Self::hear`]; keeps what failed.
    pub fn take(&mut self, statuses: Option<&PackageStatuses>, word: Option<Step>, now: Timestamp) -> bool {
        let news = self.hear(statuses, word, now);
        if news && let (Some(wanted), Some(report)) = (&self.wanted, self.answer()) {
            match report.step {
                Step::RolledBack | Step::Failed => {
                    let failure = Failure { rollout: wanted.rollout, reason: report.reason.clone() };
                    self.failure = Some(Box::new(failure));
                }
                Step::Done if !wanted.back => self.failure = None,
                Step::Done
                | Step::Offered
                | Step::Waiting
                | Step::Downloading
                | Step::Verified
                | Step::Staged
                | Step::Switching
                | Step::Confirming => {}
            }
        }
        news
    }

    /// What it said of what is wanted now.
    #[must_use]
    pub fn answer(&self) -> Option<&Report> {
        let wanted = self.wanted.as_ref()?.hash_text();
        self.report.as_deref().filter(|report| report.hash == wanted)
    }

    /// An upgrade is under way, be it the wanted one or another.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.report.as_ref().is_some_and(|report| !report.step.is_over())
    }

    /// What is wanted has to be offered to an agent that runs `running`: it does not run it, and did not answer. One that
    /// shall go back is told so even if it runs it: it may be about to leave. What was done is wanted again if it runs no more.
    #[must_use]
    pub fn is_due(&self, running: Option<&Version>) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let there = running == Some(&wanted.version);
        match self.answer() {
            None => !there || wanted.back,
            // Done, and something else runs all the same: it was replaced by other means.
            Some(report) => report.step == Step::Done && !there && running.is_some(),
        }
    }
}

/// What a status says of an offer; nothing if it is of none.
fn said(status: &PackageStatus, word: Option<Step>, now: Timestamp) -> Option<Report> {
    let hash = &status.server_offered_hash;
    if hash.is_empty() || hash.len() > MAX_HASH {
        return None;
    }
    let Told { step, installing, percent, reason } = told(status, word);
    Some(Report { hash: hex(hash), step, installing, percent, reason, since: now })
}

#[cfg(test)]
mod tests;
