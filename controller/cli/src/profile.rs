//! Stored logins: one TOML file a profile in `$XDG_CONFIG_HOME/muster/profiles`, readable by its owner only.
//!
//! A profile is replaced whole (written beside, then renamed), so that an interrupted login leaves the old
//! one; a file that others can read is refused, because it holds a session.

use crate::error::CliError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// One stored login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// URL of the controller, without a path.
    pub(crate) url: String,
    /// User name.
    pub(crate) user: String,
    /// Authority that the controller's certificate must come from, PEM.
    pub(crate) ca_pem: String,
    /// Session token; absent after `logout`, while the trust stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

/// The folder of profiles.
pub(crate) struct ProfileStore {
    folder: PathBuf,
}

impl ProfileStore {
    /// The store below the program's configuration folder.
    pub(crate) fn new(config_dir: Option<&Path>) -> Result<Self, CliError> {
        let folder = config_dir.ok_or_else(|| {
            CliError::Usage("no place for profiles: set HOME or XDG_CONFIG_HOME".to_owned())
        })?;
        Ok(Self { folder: folder.join("profiles") })
    }

    fn path(&self, name: &str) -> Result<PathBuf, CliError> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if name.is_empty() || name.len() > 63 || !plain {
            return Err(CliError::Usage(format!(
                "`{name}` is no name of a profile: use letters, digits, `-` and `_`, at most 63"
            )));
        }
        Ok(self.folder.join(format!("{name}.toml")))
    }

    /// The profile, if it was ever stored.
    pub(crate) fn load(&self, name: &str) -> Result<Option<Profile>, CliError> {
        let path = self.path(name)?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CliError::file("read", path)(error)),
        };
        let mode = std::fs::metadata(&path).map_err(CliError::file("read", &path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(CliError::Local(format!(
                "{} can be read by others and holds a session: run `chmod 600` on it, or delete it and log in again",
                path.display()
            )));
        }
        // The error of the parser would repeat the line, and with it perhaps the session.
        let profile = toml::from_str(&text).map_err(|_| {
            CliError::Local(format!("{} is damaged: delete it and run `muster login`", path.display()))
        })?;
        Ok(Some(profile))
    }

    /// Stores the profile.
    pub(crate) fn save(&self, name: &str, profile: &Profile) -> Result<PathBuf, CliError> {
        let path = self.path(name)?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(CliError::file("create", &self.folder))?;
        let text = toml::to_string(profile)
            .map_err(|e| CliError::Local(format!("cannot write the profile: {e}")))?;
        let beside = self.folder.join(format!(".{name}.{}", std::process::id()));
        let written = write_private(&beside, text.as_bytes(), true)
            .and_then(|()| std::fs::rename(&beside, &path).map_err(CliError::file("write", &path)));
        if written.is_err() {
            // Best effort: the error that matters is the one being returned.
            let _ = std::fs::remove_file(&beside);
        }
        written.map(|()| path)
    }
}

/// Writes a file that only its owner can read; `replace` decides whether one may be there already.
pub(crate) fn write_private(path: &Path, content: &[u8], replace: bool) -> Result<(), CliError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if replace {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path).map_err(CliError::file("write", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(CliError::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            url: "https://c.example:4320".into(),
            user: "admin".into(),
            ca_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            session: Some("geheim".into()),
        }
    }

    #[test]
    fn a_profile_is_kept_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let store = ProfileStore::new(Some(dir.path())).unwrap();
        assert_eq!(store.load("default").unwrap(), None);
        let path = store.save("default", &profile()).unwrap();
        assert_eq!(path, dir.path().join("profiles/default.toml"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(store.load("default").unwrap(), Some(profile()));
        let without = Profile { session: None, ..profile() };
        store.save("default", &without).unwrap();
        assert_eq!(store.load("default").unwrap(), Some(without));
        assert_eq!(std::fs::read_dir(dir.path().join("profiles")).unwrap().count(), 1);
    }

    #[test]
    fn a_profile_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = ProfileStore::new(Some(dir.path())).unwrap();
        let path = store.save("p", &profile()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = store.load("p").unwrap_err().to_string();
        assert!(error.contains("can be read by others"), "{error}");
    }

    #[test]
    fn neither_debug_output_nor_errors_tell_the_session() {
        assert_eq!(
            format!("{:?}", profile()),
            r#"Profile { url: "https://c.example:4320", user: "admin", .. }"#
        );
        let dir = tempfile::tempdir().unwrap();
        let store = ProfileStore::new(Some(dir.path())).unwrap();
        let path = store.save("p", &profile()).unwrap();
        std::fs::write(&path, "session = geheim").unwrap();
        let error = store.load("p").unwrap_err().to_string();
        assert!(error.ends_with("is damaged: delete it and run `muster login`"), "{error}");
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let store = ProfileStore::new(Some(Path::new("/nowhere"))).unwrap();
        for bad in ["", "../x", "a/b", ".hidden", "a b"] {
            assert_eq!(store.load(bad).unwrap_err().exit().code(), 2, "{bad}");
        }
    }
}
