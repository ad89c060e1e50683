//! The local secrets folder: which entries it holds. Their content is read where it is used, and nowhere else.

use std::collections::BTreeSet;
use std::path::Path;

/// Most names that are told.
const MAX_NAMES: usize = 100;

/// Names of the complete entries: a certificate `NAME.crt` with its key `NAME.key`. A folder that is not there
/// holds none.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let files: BTreeSet<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    files
        .iter()
        .filter_map(|file| file.strip_suffix(".crt"))
        .filter(|name| files.contains(&format!("{name}.key")))
        .take(MAX_NAMES)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_count_and_only_names_are_told() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.crt", "b.key", "a.crt", "a.key", "half.crt", "other.key", "notes.txt"] {
            std::fs::write(folder.path().join(file), "content").unwrap();
        }
        assert_eq!(names(folder.path()), ["a", "b"]);
        assert_eq!(names(&folder.path().join("nowhere")), Vec::<String>::new());
    }
}
