//! What an offer of packages asks for, and whether it is to be done: pure.

use super::book::{Book, MAX_ORDERS, Verdict};
use muster_package::AGENT;
use muster_package::admit::{Host, admit_version};
use muster_package::keys::Trust;
use muster_package::slots::{Launch, Slot};
use muster_proto::opamp::PackagesAvailable;
use semver::Version;
use serde::{Deserialize, Serialize};

/// Longest hash that is looked at: it is echoed in every report and kept.
const MAX_HASH: usize = 64;
/// Longest URL that is looked at.
const MAX_URL: usize = 2_000;

/// An offered package of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Hash of the package, hexadecimal; opaque.
    pub hash: String,
    /// Hash of the set, hexadecimal; opaque.
    pub set: String,
    /// Its version.
    pub version: Version,
    /// The file; none where the version is to be on this host already.
    pub file: Option<OfferedFile>,
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedFile {
    /// Where it is.
    pub url: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// An offer that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misunderstood {
    /// What is wrong with it.
    pub reason: String,
    /// The offer as far as it can be answered; none if its hashes are of no use.
    pub offer: Option<Box<Offer>>,
}

/// Reads the offer of the agent's own package out of an offer; other packages are none of its business.
///
/// # Errors
/// What is wrong with it.
pub fn read(available: &PackagesAvailable) -> Result<Option<Offer>, Misunderstood> {
    let Some(package) = available.packages.get(AGENT) else { return Ok(None) };
    understand(available).map_err(|reason| {
        let good = |bytes: &[u8]| (1..=MAX_HASH).contains(&bytes.len());
        let answerable = good(&package.hash) && good(&available.all_packages_hash);
        let offer = answerable.then(|| {
            Box::new(Offer {
                hash: faster_hex::hex_string(&package.hash),
                set: faster_hex::hex_string(&available.all_packages_hash),
                version: Version::parse(&package.version).unwrap_or(Version::new(0, 0, 0)),
                file: None,
            })
        });
        Misunderstood { reason, offer }
    })
}

fn understand(available: &PackagesAvailable) -> Result<Option<Offer>, String> {
    let Some(package) = available.packages.get(AGENT) else { return Ok(None) };
    let hash = |bytes: &[u8], what: &str| match bytes.len() {
        1..=MAX_HASH => Ok(faster_hex::hex_string(bytes)),
        other => {
            Err(format!("the offered package has a {what} of {other} bytes, 1 to {MAX_HASH} are understood"))
        }
    };
    let version = Version::parse(&package.version).map_err(|error| {
        let told: String = package.version.chars().take(64).collect();
        format!("the offered version `{told}` is none: {error}")
    })?;
    let file = match package.file.as_ref().filter(|file| !file.download_url.is_empty()) {
        None => None,
        Some(file) => {
            if file.content_hash.len() != 32 {
                return Err(format!("the package {version} is offered without the SHA-256 of its file"));
            }
            if file.signature.is_empty() {
                return Err(format!("the package {version} is offered without a signature"));
            }
            if file.download_url.len() > MAX_URL {
                return Err(format!("the package {version} is offered with a URL of over {MAX_URL} bytes"));
            }
            let sha256 = faster_hex::hex_string(&file.content_hash);
            Some(OfferedFile { url: file.download_url.clone(), sha256 })
        }
    };
    let (hash, set) = (hash(&package.hash, "hash")?, hash(&available.all_packages_hash, "hash of the set")?);
    Ok(Some(Offer { hash, set, version, file }))
}

/// What is to be done about an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is known: what became of it, or how far it is, is told again.
    Known,
    /// It runs already.
    Runs,
    /// Switch to what is kept on this host.
    Switch(Slot),
    /// Fetch it.
    Fetch(OfferedFile),
    /// It is not done: why.
    Refuse(String),
}

/// Decides about an offer. `under_way`: the last offer is being worked on. `kept`: versions that lie unpacked here.
#[must_use]
pub fn decide(
    offer: &Offer,
    book: &Book,
    under_way: bool,
    host: &Host,
    trust: &Trust,
    launch: &Launch,
    kept: &[Version],
) -> Decision {
    let known = book.offer.as_ref().is_some_and(|last| last.hash == offer.hash);
    // Done, and something else runs all the same: it was replaced by other means, and is wanted again.
    let lost = book.verdict == Some(Verdict::Done) && offer.version != host.version;
    if known && under_way {
        return Decision::Known;
    }
    if offer.version == host.version {
        // It may have come by other means, after it had been taken back.
        return if known && book.verdict == Some(Verdict::Done) { Decision::Known } else { Decision::Runs };
    }
    if known && book.verdict.is_some() && !lost {
        return Decision::Known;
    }
    if known && book.orders >= MAX_ORDERS {
        return Decision::Refuse(format!(
            "the launcher was asked {MAX_ORDERS} times for {} and did not carry it out; see its log",
            offer.version
        ));
    }
    if let Err(why) = admit_version(&offer.version, host, trust) {
        return Decision::Refuse(why.to_string());
    }
    let same_file = |version: &Version| match &offer.file {
        // No file: the version is meant, whatever it came from.
        None => true,
        Some(file) => book.contents.get(version) == Some(&file.sha256),
    };
    if kept.contains(&offer.version) && same_file(&offer.version) {
        return Decision::Switch(Slot::Package { version: offer.version.clone() });
    }
    // What the operating system's package brought came from no file of the controller's.
    let installed = book.installed.as_ref() == Some(&offer.version);
    // Just before it was that one, whatever file the controller has of it.
    let before = launch.previous == Some(Slot::Installed);
    if installed && launch.current != Slot::Installed && (before || offer.file.is_none()) {
        return Decision::Switch(Slot::Installed);
    }
    match &offer.file {
        Some(file) => Decision::Fetch(file.clone()),
        None => Decision::Refuse(format!(
            "{} is not kept on this host any more, and the controller has no package of it; upload one",
            offer.version
        )),
    }
}

impl Book {
    /// Notes a new offer; nothing became of it yet.
    pub fn begin(&mut self, offer: Offer) {
        self.verdict = None;
        self.orders = 0;
        self.offer = Some(offer);
    }

    /// Notes that the offered version runs.
    pub fn done(&mut self) {
        if let Some(offer) = &self.offer {
            self.offers.insert(offer.version.clone(), offer.hash.clone());
        }
        self.verdict = Some(Verdict::Done);
    }
}
