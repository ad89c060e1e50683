//! Policy files of a directory: what Git holds.

use crate::error::CliError;
use crate::locate::{Places, locate};
use muster_proto::api::{PolicyFault, PolicySetRequest, PolicyText};
use std::path::{Path, PathBuf};

/// Most files of one set.
const MAX_FILES: usize = 1_000;
/// Most bytes of all of them: what a controller takes.
const MAX_BYTES: usize = 12 * 1024 * 1024;
/// Deepest folder.
const MAX_DEPTH: usize = 8;

/// A file of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command) struct PolicyFile {
    /// Its path as it is shown.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
    /// Content of the `.minisig` file beside it.
    pub(super) signature: Option<String>,
}

/// Reads a file, or every `*.yaml` and `*.yml` below a directory, by path. What begins with a dot is left out.
pub(in crate::command) fn read_set(path: &Path) -> Result<Vec<PolicyFile>, CliError> {
    let mut paths = Vec::new();
    if path.is_dir() {
        walk(path, 0, &mut paths)?;
        if paths.is_empty() {
            let none = format!("{} holds no *.yaml or *.yml file", path.display());
            return Err(CliError::Local(none));
        }
    } else {
        paths.push(path.to_owned());
    }
    paths.sort();
    let mut bytes = 0;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let text = super::read(&path)?;
        bytes += text.len();
        if bytes > MAX_BYTES {
            return Err(CliError::Local(format!("the files have more than {MAX_BYTES} bytes together")));
        }
        let signature = signature_of(&path)?;
        files.push(PolicyFile { path: path.display().to_string(), text, signature });
    }
    Ok(files)
}

/// The detached signature `FILE.minisig` beside a file, if there is one.
pub(super) fn signature_of(file: &Path) -> Result<Option<String>, CliError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    let path = PathBuf::from(name);
    if path.is_file() { super::read(&path).map(Some) } else { Ok(None) }
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), CliError> {
    for entry in std::fs::read_dir(folder).map_err(CliError::file("read", folder))? {
        let path = entry.map_err(CliError::file("read", folder))?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        let policy = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if path.is_dir() {
            if depth >= MAX_DEPTH {
                return Err(CliError::Local(format!(
                    "{} is more than {MAX_DEPTH} folders deep",
                    path.display()
                )));
            }
            walk(&path, depth + 1, found)?;
        } else if policy {
            found.push(path);
            if found.len() > MAX_FILES {
                return Err(CliError::Local(format!(
                    "more than {MAX_FILES} policy files; split the directory"
                )));
            }
        }
    }
    Ok(())
}

/// The files as a request.
pub(in crate::command) fn request(files: &[PolicyFile], prune: bool) -> PolicySetRequest {
    let text = |f: &PolicyFile| PolicyText {
        file: f.path.clone(),
        text: f.text.clone(),
        signature: f.signature.clone(),
    };
    let documents = files.iter().map(text).collect();
    PolicySetRequest { documents, prune, ..PolicySetRequest::default() }
}

/// Gives places in a file to what has only a path.
pub(super) fn placed(files: &[PolicyFile], file: &str, mut faults: Vec<PolicyFault>) -> Vec<PolicyFault> {
    if let Some(file) = files.iter().find(|f| f.path == file)
        && !faults.is_empty()
    {
        locate(&Places::of(&file.text), &mut faults);
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_read_in_order_and_only_policies() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("sites/.hidden")).unwrap();
        for (name, text) in [
            ("b.yaml", "b"),
            ("a.yml", "a"),
            ("README.md", "no"),
            ("b.yaml.minisig", "signed"),
            (".c.yaml", "no"),
            ("sites/east.yaml", "east"),
            ("sites/.hidden/x.yaml", "no"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let texts: Vec<String> = read_set(folder.path()).unwrap().into_iter().map(|file| file.text).collect();
        assert_eq!(texts, ["a", "b", "east"]);
        let one = read_set(&folder.path().join("b.yaml")).unwrap();
        assert_eq!((one.len(), one[0].text.as_str()), (1, "b"));
        assert_eq!(one[0].signature.as_deref(), Some("signed"));
        let empty = tempfile::tempdir().unwrap();
        let error = read_set(empty.path()).unwrap_err().to_string();
        assert!(error.contains("holds no *.yaml"), "{error}");
    }

    #[test]
    fn a_folder_that_contains_itself_ends() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        assert!(read_set(folder.path()).unwrap_err().to_string().contains("folders deep"));
    }
}
