//! Texts with stars: paths of the integrated file system, and functions of exit points.

use super::pattern::PatternError;

/// Longest pattern in bytes.
const MAX_BYTES: usize = 1_024;
/// Most stars of one pattern: what bounds the time of a comparison.
const MAX_STARS: usize = 8;

/// A path, case-sensitive, in which a star stands for any text, slashes included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern {
    /// What stands between the stars; one part without any.
    parts: Vec<String>,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError::Path`] where no path can match, or comparing would take too long.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let wrong = |reason| Err(PatternError::Path { path: text.to_owned(), reason });
        if !text.starts_with(['/', '*']) {
            return wrong("begins with no slash; write a path such as /etc/passwd, /home/* or *.pem");
        }
        if text.len() > MAX_BYTES {
            return wrong("is longer than 1,024 bytes");
        }
        if text.contains("**") {
            return wrong("has two stars in a row; one stands for any text already");
        }
        let parts: Vec<String> = text.split('*').map(str::to_owned).collect();
        if parts.len() > MAX_STARS + 1 {
            return wrong("has more than 8 stars");
        }
        Ok(Self { parts })
    }

    /// Whether a path matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self.parts.as_slice() {
            [] => false,
            [whole] => whole == path,
            [first, middle @ .., last] => {
                let Some(mut rest) = path.strip_prefix(first.as_str()) else { return false };
                for part in middle {
                    let Some(at) = rest.find(part.as_str()) else { return false };
                    rest = &rest[at + part.len()..];
                }
                rest.ends_with(last.as_str())
            }
        }
    }
}

/// A text in any case of the letters A to Z, or with a star at its end what a text begins with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WordPattern {
    stem: String,
    generic: bool,
}

impl WordPattern {
    /// Longest pattern in bytes.
    pub const MAX: usize = 64;

    /// Reads a pattern; `None` where it is empty, too long, or has a star in another place.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (stem, generic) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let good = !stem.is_empty() && stem.len() <= Self::MAX && !stem.contains('*');
        good.then(|| Self { stem: stem.to_owned(), generic })
    }

    /// Whether a text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (text, stem) = (text.as_bytes(), self.stem.as_bytes());
        match text.get(..stem.len()) {
            Some(head) => head.eq_ignore_ascii_case(stem) && (self.generic || text.len() == stem.len()),
            None => false,
        }
    }
}

/// Whether `text` holds `wanted`, which is in lower case, in any case of the letters A to Z.
#[must_use]
pub fn contains_ignoring_case(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let Some((first, rest)) = wanted.split_first() else { return true };
    let Some(last_start) = text.len().checked_sub(wanted.len()) else { return false };
    let begins = |byte: &u8| byte.eq_ignore_ascii_case(first);
    let candidates = text[..=last_start].iter().enumerate().filter(|(_, byte)| begins(byte));
    candidates.map(|(at, _)| &text[at + 1..at + wanted.len()]).any(|tail| tail.eq_ignore_ascii_case(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths() {
        let cases: [(&str, &str, bool); 18] = [
            ("/etc/passwd", "/etc/passwd", true),
            ("/etc/passwd", "/etc/passwd2", false),
            ("/etc/passwd", "/ETC/passwd", false),
            ("/etc/*", "/etc/ssh/sshd_config", true),
            ("/etc/*", "/etc/", true),
            ("/etc/*", "/etc", false),
            ("/etc/*", "/etcetera", false),
            ("/etc*", "/etcetera", true),
            ("*.pem", "/home/bob/key.pem", true),
            ("*.pem", "/home/bob/key.pem.bak", false),
            ("/home/*/.ssh/*", "/home/bob/.ssh/id", true),
            ("/home/*/.ssh/*", "/home/.ssh/id", false),
            ("*", "/anything", true),
            ("*", "", true),
            ("/a*a", "/a", false),
            ("/a*a", "/aa", true),
            ("*é*", "/café", true),
            ("/QSYS.LIB/*.LIB/*.FILE", "/QSYS.LIB/PAY.LIB/EMP.FILE", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
        for (bad, part) in [
            ("", "begins with no slash"),
            ("etc/passwd", "begins with no slash"),
            ("/a**", "two stars in a row"),
            ("/*a*a*a*a*a*a*a*a*a", "more than 8 stars"),
        ] {
            let error = PathPattern::parse(bad).unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
        assert!(PathPattern::parse(&format!("/{}", "a".repeat(MAX_BYTES))).is_err());
    }

    #[test]
    fn words() {
        for (pattern, text, expected) in [
            ("retr", "RETR", true),
            ("RETR", "RETRIEVE", false),
            ("retr*", "RETRIEVE", true),
            ("re*", "R", false),
            ("é", "É", false),
        ] {
            assert_eq!(WordPattern::parse(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
        for bad in ["", "*", "a*b", &"a".repeat(65)] {
            assert_eq!(WordPattern::parse(bad), None);
        }
    }

    proptest! {
        #[test]
        fn a_path_pattern_agrees_with_a_regular_expression(pattern in "/[ab/]{0,3}(\\*[ab/]{1,3}){0,3}\\*?", path in "/[ab/]{0,12}") {
            let expression = format!("^(?s:{})$", regex::escape(&pattern).replace("\\*", ".*"));
            let expected = regex::Regex::new(&expression).unwrap().is_match(&path);
            prop_assert_eq!(PathPattern::parse(&pattern).unwrap().matches(&path), expected);
        }

        #[test]
        fn containing_agrees_with_lower_case(text in "[aAbBéÉ]{0,12}", wanted in "[abé]{0,4}") {
            let expected = text.to_ascii_lowercase().contains(&wanted);
            prop_assert_eq!(contains_ignoring_case(&text, &wanted), expected);
        }
    }
}
