//! What stands in a package's manifest.

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The form of a manifest.
pub const FORMAT: &str = "muster/package-v1";
/// Largest manifest, in bytes.
pub const MAX_MANIFEST: usize = 256 * 1024;
/// Most files of a package.
pub const MAX_FILES: usize = 200;
/// Largest file, and largest payload, in bytes.
pub const MAX_SIZE: u64 = 512 * 1024 * 1024;

/// What a package says of itself; this is what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// What it upgrades: [`crate::AGENT`].
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Where it runs: `x86_64-linux`; see [`crate::this_platform`].
    pub platform: String,
    /// Versions that may be upgraded to it directly, `>=0.3, <0.6`.
    pub upgrade_from: VersionReq,
    /// Once this package was accepted, no version below this one is, but for the one that ran just before.
    pub floor: Version,
    /// Versions of the formats of what the agent keeps on disk, by the name of the format.
    pub formats: Formats,
    /// The archive of the files.
    pub payload: Payload,
    /// The files in it.
    pub files: Vec<FileEntry>,
    /// One line for people; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// It mends a hole: a controller brings it to its agents whatever its licence says. The vendor signs that, so nobody
    /// else can say so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub security: bool,
}

/// Formats by name: `cursor`, `spool`, `policy`.
pub type Formats = BTreeMap<String, FormatVersions>;

/// Which versions of a format a program knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatVersions {
    /// Those that it reads.
    pub read: BTreeSet<u32>,
    /// The one that it writes.
    pub write: u32,
}

/// The compressed archive of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where it lies in the version's folder: `bin/muster-agent`.
    pub path: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// It is a program.
    #[serde(default)]
    pub executable: bool,
}

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Beyond [`MAX_MANIFEST`].
    #[error("the manifest has {0} bytes, more than {MAX_MANIFEST}")]
    TooLarge(usize),
    /// Not to be read.
    #[error("the manifest cannot be read: {0}")]
    Unreadable(String),
    /// Of another form.
    #[error(
        "the manifest has the form `{0}`, known here is {FORMAT}: a newer release made it; upgrade in smaller steps"
    )]
    Form(String),
    /// It says something that makes no sense.
    #[error("the manifest makes no sense: {0}")]
    Senseless(String),
}

impl Manifest {
    /// Reads and checks a manifest. Whether it is signed is another matter: [`crate::keys::Trust::verify`].
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Form {
            format: String,
        }
        if bytes.len() > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let unreadable = |e: serde_json::Error| ManifestError::Unreadable(e.to_string());
        let form: Form = serde_json::from_slice(bytes).map_err(unreadable)?;
        if form.format != FORMAT {
            return Err(ManifestError::Form(form.format));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        manifest.check().map_err(ManifestError::Senseless)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let word = |text: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            (1..=64).contains(&text.len()) && text.bytes().all(plain)
        };
        if !word(&self.name) || !word(&self.platform) {
            return Err("name and platform are words of letters, digits, - and _".to_owned());
        }
        if self.version.to_string().len() > 64 {
            return Err("its version has more than 64 characters".to_owned());
        }
        if self.floor > self.version {
            return Err(format!("its floor {} is above its version {}", self.floor, self.version));
        }
        if !crate::is_sha256(&self.payload.sha256) || self.payload.size > MAX_SIZE {
            return Err(format!("its payload has no SHA-256, or more than {MAX_SIZE} bytes"));
        }
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            return Err(format!(
                "it has {} files, at least 1 and at most {MAX_FILES} may be",
                self.files.len()
            ));
        }
        let mut paths = BTreeSet::new();
        for file in &self.files {
            check_path(&file.path)?;
            if !paths.insert(&file.path) {
                return Err(format!("it names {} twice", file.path));
            }
            if !crate::is_sha256(&file.sha256) || file.size > MAX_SIZE {
                return Err(format!("{} has no SHA-256, or more than {MAX_SIZE} bytes", file.path));
            }
        }
        if self.notes.len() > 500 || self.notes.chars().any(char::is_control) {
            return Err("its notes are not one line of at most 500 bytes".to_owned());
        }
        match self.formats.values().find(|f| !f.read.contains(&f.write)) {
            Some(format) => Err(format!("it writes a format {} that it does not read", format.write)),
            None => Ok(()),
        }
    }

    /// `muster-agent-0.2.0-x86_64-linux.muster`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.muster", self.name, self.version, self.platform)
    }

    /// The entry of a file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Bytes of all files unpacked.
    #[must_use]
    pub fn unpacked_size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// A path that stays below the version's folder, whatever the platform.
fn check_path(path: &str) -> Result<(), String> {
    let part = |part: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
    };
    let good = path.len() <= 200 && path.split('/').all(part) && !path.starts_with("manifest.json");
    let wrong =
        || format!("`{}` is no path of a file in a package", path.chars().take(80).collect::<String>());
    if good { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::manifest;

    type Change = fn(&mut Manifest);

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases: [(Change, &str); 11] = [
            (|m| m.format = "muster/package-v2".to_owned(), "a newer release made it"),
            (|m| m.name = "../agent".to_owned(), "name and platform"),
            (|m| m.floor = Version::new(9, 0, 0), "floor 9.0.0 is above"),
            (|m| m.payload.sha256 = "AA".to_owned(), "payload has no SHA-256"),
            (|m| m.files.clear(), "it has 0 files"),
            (|m| m.files[0].path = "../bin/x".to_owned(), "no path of a file"),
            (|m| m.files[0].path = "/bin/x".to_owned(), "no path of a file"),
            (|m| m.files[0].path = "manifest.json".to_owned(), "no path of a file"),
            (|m| m.files.push(m.files[0].clone()), "twice"),
            (|m| m.notes = "a\nb".to_owned(), "one line"),
            (|m| m.formats.get_mut("cursor").unwrap().write = 9, "does not read"),
        ];
        for (change, expected) in cases {
            let mut manifest = manifest("0.2.0");
            change(&mut manifest);
            let error = Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let good = manifest("0.2.0");
        assert_eq!(Manifest::parse(&serde_json::to_vec(&good).unwrap()), Ok(good));
    }

    #[test]
    fn later_releases_may_say_more() {
        let mut value = serde_json::to_value(manifest("0.2.0")).unwrap();
        value["something_new"] = 1.into();
        assert!(Manifest::parse(&serde_json::to_vec(&value).unwrap()).is_ok());
    }
}
