//! The one thing that the launcher reads in the agent's configuration: where its state folder is.
//!
//! Everything else in the file is the agent's, and may look different in the next version of the agent. So a mistake in it
//! does not keep the launcher from starting an agent, which then says what is wrong.

use serde::Deserialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Largest configuration that is read.
const MAX_FILE: u64 = 1024 * 1024;

/// Why the state folder is not known, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what it should be. What stands in it is not quoted: it may be a secret at the wrong place.
    #[error("{}: line {line}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// The state folder of the agent with this configuration. A relative one is relative to the configuration's folder, as
/// the agent has it.
///
/// # Errors
/// [`ConfigError`].
pub fn state_dir(path: &Path) -> Result<PathBuf, ConfigError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let folder = folder(&text).map_err(|(line, problem)| ConfigError::Content {
        path: path.to_owned(),
        line,
        problem,
    })?;
    Ok(path.parent().unwrap_or(Path::new(".")).join(folder))
}

fn folder(text: &str) -> Result<PathBuf, (usize, String)> {
    #[derive(Deserialize)]
    struct ConfigFile {
        state_dir: PathBuf,
    }
    let file: ConfigFile = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        (before.matches('\n').count() + 1, error.message().to_owned())
    })?;
    Ok(file.state_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_state_folder_counts() {
        let told = |text: &str| match folder(text) {
            Ok(path) => path.display().to_string(),
            Err((line, problem)) => format!("line {line}: {problem}"),
        };
        let cases = [
            ("state_dir = \"state\"\nnew_in_2031 = true\n[partition]\naddress = 7", "state"),
            ("\n\n[partition]\n", "missing field `state_dir`"),
            ("a = 1\nstate_dir = [\"x\"]", "line 2: "),
            ("a = 1\n\nb == \"secret\"", "line 3: "),
        ];
        for (text, expected) in cases {
            let told = told(text);
            assert!(told.contains(expected) && !told.contains("secret"), "{expected}: {told}");
        }
    }

    #[test]
    fn relative_to_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, "state_dir = \"state\"").unwrap();
        assert_eq!(state_dir(&path).unwrap(), folder.path().join("state"));
        std::fs::write(&path, "state_dir = \"/var/lib/x\"").unwrap();
        assert_eq!(state_dir(&path).unwrap(), Path::new("/var/lib/x"));
        let missing = state_dir(&folder.path().join("none.toml")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read the configuration"), "{missing}");
    }
}
