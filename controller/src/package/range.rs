//! Which part of a file a request asks for (RFC 9110, section 14).
//!
//! One part from a byte on, with or without an end, is served. Everything else that a client may ask for is answered
//! with the whole file, as the RFC allows: agents go on where a download broke off, and need no more.

use std::ops::Range;

/// What is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The whole file.
    Whole,
    /// These bytes of it.
    Some(Range<u64>),
    /// It asks for what is behind the end.
    Behind,
}

/// What a request with the headers `Range` and `If-Range` asks for of a file of `size` bytes with the strong tag `tag`
/// (with its quotes).
#[must_use]
pub fn asked(range: Option<&str>, if_range: Option<&str>, tag: &str, size: u64) -> Part {
    if if_range.is_some_and(|wanted| wanted.trim() != tag) {
        // It has the beginning of another file.
        return Part::Whole;
    }
    let Some((begin, end)) = range.and_then(read) else { return Part::Whole };
    if end.is_some_and(|end| end < begin) {
        return Part::Whole;
    }
    if begin >= size {
        return Part::Behind;
    }
    // The last byte is told, and may lie behind the end.
    let end = end.map_or(size, |last| last.saturating_add(1).min(size));
    Part::Some(begin..end)
}

/// `bytes=a-` or `bytes=a-b`.
fn read(range: &str) -> Option<(u64, Option<u64>)> {
    let (unit, set) = range.split_once('=')?;
    let (begin, end) = set.trim().split_once('-')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match end {
        "" => Some((number(begin)?, None)),
        end => Some((number(begin)?, Some(number(end)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_file() {
        const TAG: &str = "\"abc\"";
        let cases = [
            (None, None, Part::Whole),
            (Some("bytes=0-"), None, Part::Some(0..100)),
            (Some("bytes=10-"), None, Part::Some(10..100)),
            (Some("bytes=10-19"), None, Part::Some(10..20)),
            (Some("bytes=99-99"), None, Part::Some(99..100)),
            (Some("bytes=10-1000"), None, Part::Some(10..100)),
            (Some("bytes=10-18446744073709551615"), None, Part::Some(10..100)),
            (Some("bytes=100-"), None, Part::Behind),
            (Some("bytes=100-200"), None, Part::Behind),
            // Allowed to be ignored, and not needed.
            (Some("bytes=-10"), None, Part::Whole),
            (Some("bytes=0-9,20-29"), None, Part::Whole),
            (Some("lines=1-2"), None, Part::Whole),
            (Some("bytes=20-10"), None, Part::Whole),
            (Some("bytes=+1-"), None, Part::Whole),
            (Some("bytes=99999999999999999999-"), None, Part::Whole),
            (Some("nonsense"), None, Part::Whole),
            (Some("bytes=10-"), Some(TAG), Part::Some(10..100)),
            (Some("bytes=10-"), Some("\"other\""), Part::Whole),
            (Some("bytes=10-"), Some("W/\"abc\""), Part::Whole),
            (Some("bytes=10-"), Some("Wed, 21 Oct 2015 07:28:00 GMT"), Part::Whole),
        ];
        for (range, if_range, expected) in cases {
            assert_eq!(asked(range, if_range, TAG, 100), expected, "{range:?} {if_range:?}");
        }
    }
}
