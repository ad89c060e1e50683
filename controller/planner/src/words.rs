//! Words that reasons are made of.

use jiff::Timestamp;

/// Names in one line.
const MAX_NAMES: usize = 5;

/// `1 partition`, `5 partitions`.
pub(crate) fn partitions(count: usize) -> String {
    if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") }
}

/// `EAST, WEST and 12 more`.
pub(crate) fn names<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut all = names.into_iter();
    let shown: Vec<&str> = all.by_ref().take(MAX_NAMES).collect();
    match all.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.
pub(crate) fn span(seconds: u64) -> String {
    let with = |big: u64, word: &str, small: u64, small_word: &str| match small {
        0 => format!("{big} {word}"),
        small => format!("{big} {word} {small} {small_word}"),
    };
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => with(seconds / 60, "min", seconds % 60, "s"),
        7_200..=172_799 => with(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => with(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// The time from `from` to `to`, at least 0.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> String {
    span(u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0))
}

/// `canaries`, `wave 1`.
pub(crate) fn wave(canaries: bool, position: usize) -> String {
    match (canaries, position) {
        (true, 0) => "canaries".to_owned(),
        (true, number) => format!("wave {number}"),
        (false, number) => format!("wave {}", number + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_names() {
        for (seconds, told) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (125, "2 min 5 s"),
            (7_200, "2 h"),
            (12_000, "3 h 20 min"),
            (187_200, "2 d 4 h"),
        ] {
            assert_eq!(span(seconds), told);
        }
        assert_eq!(names(["A"]), "A");
        assert_eq!(names(["A", "B", "C", "D", "E", "F", "G"]), "A, B, C, D, E and 2 more");
        assert_eq!(partitions(1), "1 partition");
    }
}
