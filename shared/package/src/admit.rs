//! Whether a package may be installed on a host.

use crate::keys::Trust;
use crate::manifest::{Formats, Manifest};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// What a host runs, as far as it decides what may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What it is asked to upgrade: [`crate::AGENT`].
    pub name: String,
    /// Its platform.
    pub platform: String,
    /// The version that runs.
    pub version: Version,
    /// The version that ran just before, if it is still there.
    pub previous: Option<Version>,
    /// The formats that the running version reads and writes.
    pub formats: Formats,
    /// The floor of the highest signed manifest that was accepted here; see [`Floor`].
    pub floor: Floor,
}

/// Below what no version is installed: the floor of the highest version that was ever accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The highest version that was accepted.
    pub highest: Version,
    /// Its floor.
    pub floor: Version,
}

impl Floor {
    /// Of a host that never accepted a package.
    #[must_use]
    pub fn none(running: &Version) -> Self {
        Self { highest: running.clone(), floor: Version::new(0, 0, 0) }
    }

    /// After a package was accepted. A floor never sinks.
    #[must_use]
    pub fn raised(&self, manifest: &Manifest) -> Self {
        if manifest.version <= self.highest && manifest.floor <= self.floor {
            return self.clone();
        }
        Self {
            highest: manifest.version.clone().max(self.highest.clone()),
            floor: manifest.floor.clone().max(self.floor.clone()),
        }
    }
}

/// Why a package is not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Another product.
    #[error("it is a package of {found}, not of {wanted}")]
    Name {
        /// What it is.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// Another platform.
    #[error("it is for {found}, and this host is {here}; upload the package for {here}")]
    Platform {
        /// Its own.
        found: String,
        /// Of the host.
        here: String,
    },
    /// From the running version there is no way.
    #[error("{version} upgrades from {from}, and {running} runs here; go by a version between")]
    NotFrom {
        /// Of the package.
        version: Version,
        /// What it upgrades from.
        from: String,
        /// What runs.
        running: Version,
    },
    /// Too old.
    #[error(
        "{version} is below {floor}, the lowest version that the signed release {highest} allows; going below it needs a \
         statement signed by the vendor"
    )]
    BelowFloor {
        /// Of the package.
        version: Version,
        /// The lowest allowed.
        floor: Version,
        /// Which release says so.
        highest: Version,
    },
    /// What one version writes the other does not read.
    #[error(
        "{writer} writes {format}s in the format {written}, which {reader} does not read: there would be no way {way}"
    )]
    Format {
        /// `cursor`.
        format: String,
        /// Who writes.
        writer: Version,
        /// The version of the format.
        written: u32,
        /// Who reads.
        reader: Version,
        /// `forward` or `back`.
        way: &'static str,
    },
}

/// Judges an offer by its version alone, before anything is downloaded.
///
/// # Errors
/// [`NotAdmitted::BelowFloor`].
pub fn admit_version(version: &Version, host: &Host, trust: &Trust) -> Result<(), NotAdmitted> {
    let allowed = trust.statement().is_some_and(|s| s.allow.contains(version));
    let before = host.previous.as_ref() == Some(version) || *version == host.version;
    if *version >= host.floor.floor || allowed || before {
        return Ok(());
    }
    let Floor { highest, floor } = host.floor.clone();
    Err(NotAdmitted::BelowFloor { version: version.clone(), floor, highest })
}

/// Judges a manifest whose signature counts.
///
/// # Errors
/// [`NotAdmitted`] says why not.
pub fn admit(manifest: &Manifest, host: &Host, trust: &Trust) -> Result<(), NotAdmitted> {
    if manifest.name != host.name {
        return Err(NotAdmitted::Name { found: manifest.name.clone(), wanted: host.name.clone() });
    }
    if manifest.platform != host.platform {
        return Err(NotAdmitted::Platform { found: manifest.platform.clone(), here: host.platform.clone() });
    }
    admit_version(&manifest.version, host, trust)?;
    // Going back is to a version that knows nothing of what came after it; its manifest cannot name it.
    let back = manifest.version < host.version;
    if !back && !matches_from(manifest, &host.version) {
        return Err(NotAdmitted::NotFrom {
            version: manifest.version.clone(),
            from: manifest.upgrade_from.to_string(),
            running: host.version.clone(),
        });
    }
    formats(&host.formats, &host.version, &manifest.formats, &manifest.version, "forward")?;
    formats(&manifest.formats, &manifest.version, &host.formats, &host.version, "back")
}

/// Whether a package upgrades from a version. A pre-release counts as the release that it precedes: `>=0.2` takes
/// `0.2.0-rc.1`, which Cargo's rules would not.
#[must_use]
pub fn matches_from(manifest: &Manifest, running: &Version) -> bool {
    fulfils(running, &manifest.upgrade_from)
}

/// Whether a version, or the release that it precedes, fulfils a requirement.
#[must_use]
pub fn fulfils(version: &Version, requirement: &VersionReq) -> bool {
    let release = Version::new(version.major, version.minor, version.patch);
    requirement.matches(version) || requirement.matches(&release)
}

/// What `writer` writes `reader` must read.
fn formats(
    written: &Formats,
    writer: &Version,
    read: &Formats,
    reader: &Version,
    way: &'static str,
) -> Result<(), NotAdmitted> {
    for (name, format) in written {
        // One that the other does not know at all is new: nothing of it is lost by not reading it.
        if read.get(name).is_some_and(|reads| !reads.read.contains(&format.write)) {
            return Err(NotAdmitted::Format {
                format: name.clone(),
                writer: writer.clone(),
                written: format.write,
                reader: reader.clone(),
                way,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{formats as known, manifest};

    fn host(version: &str) -> Host {
        let version: Version = version.parse().unwrap();
        Host {
            name: "muster-agent".to_owned(),
            platform: "x86_64-linux".to_owned(),
            floor: Floor::none(&version),
            version,
            previous: None,
            formats: known(&[1], 1),
        }
    }

    fn judged(manifest: &Manifest, host: &Host) -> String {
        admit(manifest, host, &Trust::of([])).map_or_else(|why| why.to_string(), |()| "yes".to_owned())
    }

    #[test]
    fn which_package_may_follow() {
        let floor = |host: Host, floor: &str| Host {
            floor: Floor { highest: host.version.clone(), floor: floor.parse().unwrap() },
            ..host
        };
        let with = |version: &str, change: fn(&mut Manifest)| {
            let mut manifest = manifest(version);
            change(&mut manifest);
            manifest
        };
        let before = |host: Host, previous: &str| Host { previous: Some(previous.parse().unwrap()), ..host };
        let cases = [
            (with("0.2.0", |_| ()), host("0.1.0"), "yes"),
            (with("0.2.0", |_| ()), host("0.2.0"), "yes"),
            (with("0.2.0", |m| m.name = "other".to_owned()), host("0.1.0"), "package of other"),
            (with("0.2.0", |m| m.platform = "powerpc64-aix".to_owned()), host("0.1.0"), "for powerpc64-aix"),
            (
                with("0.5.0", |m| m.upgrade_from = ">=0.3".parse().unwrap()),
                host("0.1.0"),
                "go by a version between",
            ),
            (with("0.5.0", |m| m.upgrade_from = ">=0.3".parse().unwrap()), host("0.3.0-rc.1"), "yes"),
            // Back: to what is not below the floor, or ran just before.
            (with("0.1.0", |_| ()), host("0.2.0"), "yes"),
            (with("0.1.0", |_| ()), floor(host("0.2.0"), "0.1.5"), "0.1.0 is below 0.1.5"),
            (with("0.1.0", |_| ()), before(floor(host("0.2.0"), "0.1.5"), "0.1.0"), "yes"),
            (with("0.2.0", |m| m.formats = known(&[1, 2], 1)), host("0.1.0"), "yes"),
            (with("0.2.0", |m| m.formats = known(&[1, 2], 2)), host("0.1.0"), "no way back"),
            (with("0.2.0", |m| m.formats = known(&[2], 2)), host("0.1.0"), "no way forward"),
        ];
        for (manifest, host, expected) in cases {
            let answer = judged(&manifest, &host);
            assert!(answer.contains(expected), "{} on {}: {answer}", manifest.version, host.version);
        }
    }

    #[test]
    fn a_floor_rises_and_never_sinks() {
        let mut newer = manifest("0.4.0");
        newer.floor = "0.3.0".parse().unwrap();
        let floor = Floor::none(&Version::new(0, 1, 0)).raised(&newer);
        assert_eq!((floor.highest.minor, floor.floor.minor), (4, 3));
        assert_eq!(floor.raised(&manifest("0.2.0")), floor);
        let mut lenient = manifest("0.5.0");
        lenient.floor = Version::new(0, 1, 0);
        assert_eq!(floor.raised(&lenient).floor, Version::new(0, 3, 0));
    }
}
