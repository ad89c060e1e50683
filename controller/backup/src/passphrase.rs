//! The passphrase that a backup is encrypted to.

use age::secrecy::SecretString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// Fewest characters: whoever gets a backup may guess as long as he likes.
const MIN: usize = 12;
/// Most bytes of a file that are read.
const MAX: u64 = 4_096;

/// A passphrase.
#[derive(Clone)]
pub struct Passphrase(pub(crate) SecretString);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file.
    #[error("the passphrase file {} cannot be read; check its path and permissions", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "the passphrase file {0} can be read by others than its owner (mode {1:03o}); run `chmod 600 {0}` and, if \
         others may have read it, choose another passphrase"
    )]
    Open(String, u32),
    /// It is none.
    #[error(
        "the passphrase must have {MIN} characters or more, in the first line of its file; a sentence will do"
    )]
    Short,
    /// Something else.
    #[error("the passphrase file {0} is longer than {MAX} bytes or no text; is it the right file?")]
    NoText(String),
}

impl Passphrase {
    /// A passphrase.
    ///
    /// # Errors
    /// If it is too short.
    pub fn new(text: &str) -> Result<Self, PassphraseError> {
        if text.chars().count() < MIN {
            return Err(PassphraseError::Short);
        }
        Ok(Self(SecretString::from(text.to_owned())))
    }

    /// The first line of a file that only its owner may read, or that is a credential of the service.
    ///
    /// # Errors
    /// If there is none, or others may read it.
    pub fn from_file(path: &Path) -> Result<Self, PassphraseError> {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self::read(path, credentials.as_deref())
    }

    /// `credentials` is the folder in which systemd hands a service its credentials; they may have the mode 0440
    /// there, with a group that is the service's own.
    fn read(path: &Path, credentials: Option<&Path>) -> Result<Self, PassphraseError> {
        let failed = |source| PassphraseError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        let name = path.display().to_string();
        let others = if credentials.is_some_and(|folder| is_in(path, folder)) { 0o037 } else { 0o077 };
        if mode & others != 0 {
            return Err(PassphraseError::Open(name, mode));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) if bytes.len() as u64 <= MAX => text,
            Ok(_) | Err(_) => return Err(PassphraseError::NoText(name)),
        };
        Self::new(text.lines().next().unwrap_or_default())
    }
}

fn is_in(path: &Path, folder: &Path) -> bool {
    folder.is_absolute()
        && path.starts_with(folder)
        && !path.components().any(|part| part == Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_credential_of_the_service_may_be_read_by_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("credentials"), folder.path().join("credentials-not"));
        for place in [&inside, &outside] {
            std::fs::create_dir(place).unwrap();
        }
        let read = |path: &Path, mode| {
            std::fs::write(path, b"correct horse battery\n").unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            let result = Passphrase::read(path, Some(&inside));
            std::fs::remove_file(path).unwrap();
            result
        };
        for mode in [0o640, 0o600] {
            read(&inside.join("backup-passphrase"), mode).unwrap();
        }
        for mode in [0o644, 0o660, 0o604] {
            let refused = read(&inside.join("backup-passphrase"), mode);
            assert!(matches!(refused, Err(PassphraseError::Open(..))), "{mode:o}");
        }
        for elsewhere in [outside.join("p"), inside.join("../credentials-not/p")] {
            assert!(matches!(read(&elsewhere, 0o640), Err(PassphraseError::Open(..))), "{elsewhere:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        let write = |text: &[u8], mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Passphrase::from_file(&path)
        };
        let good = write(b"correct horse battery\nsecond line\n", 0o600).unwrap();
        assert_eq!(good.0.expose_secret(), "correct horse battery");
        assert_eq!(format!("{good:?}"), "Passphrase");
        for mode in [0o640, 0o604, 0o660, 0o644] {
            let error = write(b"correct horse battery\n", mode).unwrap_err().to_string();
            assert!(error.contains("can be read by others") && error.contains("chmod 600"), "{error}");
        }
        for short in [&b""[..], b"\n", b"short\n"] {
            assert!(matches!(write(short, 0o600), Err(PassphraseError::Short)), "{short:?}");
        }
        for odd in [vec![b'x'; 5_000], vec![0xff; 20]] {
            assert!(matches!(write(&odd, 0o600), Err(PassphraseError::NoText(_))));
        }
        assert!(matches!(
            Passphrase::from_file(&folder.path().join("none")),
            Err(PassphraseError::File { .. })
        ));
    }
}
