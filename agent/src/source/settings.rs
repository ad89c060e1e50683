//! What the settings of several sources have in common, checked.

use jiff::Timestamp;

/// Where the very first read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Behind what is there.
    Now,
    /// At the oldest entry that is still there.
    Oldest,
    /// At the first entry of that time or later.
    At(Timestamp),
}

/// A start that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("start `{0}`: write `now`, `oldest` or a time such as 2026-03-01T00:00:00Z")]
pub struct NoStart(String);

impl std::str::FromStr for Start {
    type Err = NoStart;

    fn from_str(text: &str) -> Result<Self, NoStart> {
        match text {
            "now" => Ok(Self::Now),
            "oldest" => Ok(Self::Oldest),
            time => time.parse().map(Self::At).map_err(|_| NoStart(text.to_owned())),
        }
    }
}

/// Whether `name` is a system name, which is safe to stand in SQL text.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    (1..=10).contains(&name.len())
        && first.is_some_and(|byte| !byte.is_ascii_digit())
        && name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'$' | b'#' | b'@' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts() {
        assert_eq!("now".parse(), Ok(Start::Now));
        assert_eq!("oldest".parse(), Ok(Start::Oldest));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Start::At(Timestamp::from_second(1).unwrap())));
        assert_eq!("yesterday".parse::<Start>(), Err(NoStart("yesterday".to_owned())));
    }
}
