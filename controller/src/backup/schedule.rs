//! When the next backup is due, and which are not kept: functions of values.

use jiff::{SignedDuration, Timestamp};
use muster_backup::EXTENSION;

/// A failed backup is tried again after this, however long the time between two is.
const RETRY: SignedDuration = SignedDuration::from_mins(10);

/// What the names of files begin with.
const PREFIX: &str = "muster-";

/// What is known of the backups before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// The moment of the newest good one.
    pub newest: Option<Timestamp>,
    /// The last failure, if nothing was good since.
    pub failed: Option<Timestamp>,
}

/// When the next backup is due. What bears a time that is still to come is of a clock that was wrong, and puts off
/// nothing.
#[must_use]
pub fn due(past: Past, every: SignedDuration, now: Timestamp) -> Timestamp {
    let after = |from: Timestamp, pause: SignedDuration| from.checked_add(pause).unwrap_or(Timestamp::MAX);
    let over = |at: &Timestamp| *at <= now;
    let regular = past.newest.filter(over).map_or(now, |newest| after(newest, every));
    match past.failed.filter(over) {
        Some(failed) => regular.max(after(failed, RETRY.min(every))),
        None => regular,
    }
}

/// The newest file that does not bear a time that is still to come.
#[must_use]
pub fn newest(files: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> Option<Timestamp> {
    files.into_iter().filter(|taken_at| *taken_at <= now).max()
}

/// The files that are not kept: all but the newest `keep`. Those of a time that is still to come go first.
#[must_use]
pub fn surplus(mut files: Vec<(String, Timestamp)>, keep: usize, now: Timestamp) -> Vec<String> {
    let rank = |(name, taken_at): &(String, Timestamp)| (*taken_at <= now, *taken_at, name.clone());
    files.sort_by_key(|file| std::cmp::Reverse(rank(file)));
    files.into_iter().skip(keep.max(1)).map(|(name, _)| name).collect()
}

/// The name of the file of a backup that was taken at this moment.
#[must_use]
pub fn file_name(taken_at: Timestamp) -> String {
    let text = taken_at.strftime("%Y%m%dT%H%M%S");
    format!("{PREFIX}{text}{:03}Z.{EXTENSION}", taken_at.subsec_millisecond().max(0))
}

/// The moment of a backup by its file's name; `None` for any other file. A name that passes leads nowhere else.
#[must_use]
pub fn taken_at(name: &str) -> Option<Timestamp> {
    let stamp = name.strip_prefix(PREFIX)?.strip_suffix(EXTENSION)?.strip_suffix("Z.")?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (date, time) = stamp.split_once('T')?;
    if date.len() != 8 || time.len() != 9 || !digits(date) || !digits(time) {
        return None;
    }
    let number = |text: &str| text.parse::<i64>().ok();
    let part =
        |text: &str, from: usize, to: usize| number(&text[from..to]).and_then(|n| i8::try_from(n).ok());
    let year = i16::try_from(number(&date[..4])?).ok()?;
    let millisecond = i32::try_from(number(&time[6..])?).ok()?;
    let moment = jiff::civil::DateTime::new(
        year,
        part(date, 4, 6)?,
        part(date, 6, 8)?,
        part(time, 0, 2)?,
        part(time, 2, 4)?,
        part(time, 4, 6)?,
        millisecond * 1_000_000,
    );
    Some(moment.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn due_times() {
        let hour = SignedDuration::from_hours(1);
        for (what, newest, failed, now, expected) in [
            ("the first at once", None, None, 5, 5),
            ("an hour after the last", Some(0), None, 5, 60),
            ("overdue after a long stop", Some(0), None, 500, 60),
            ("again soon after a failure", Some(0), Some(60), 61, 70),
            ("the first one failed", None, Some(0), 1, 10),
            ("a failed one by hand puts off nothing for long", Some(0), Some(55), 56, 65),
            ("nor brings it forward", Some(0), Some(5), 6, 60),
            ("the clock was set back", Some(5_000), None, 10, 10),
            ("and a failure stands in the future", Some(0), Some(5_000), 100, 60),
        ] {
            let past = Past { newest: newest.map(at), failed: failed.map(at) };
            assert_eq!(due(past, hour, at(now)), at(expected), "{what}");
        }
        let often = SignedDuration::from_mins(1);
        let past = Past { newest: Some(at(0)), failed: Some(at(1)) };
        assert_eq!(due(past, often, at(1)), at(2), "never more seldom than asked for");
    }

    #[test]
    fn the_newest_are_kept() {
        let files = |minutes: &[i64]| minutes.iter().map(|m| (m.to_string(), at(*m))).collect::<Vec<_>>();
        for (have, keep, gone) in [
            (&[][..], 7, vec![]),
            (&[1, 2, 3], 3, vec![]),
            (&[1, 2, 3], 2, vec!["1"]),
            (&[3, 1, 2], 1, vec!["2", "1"]),
            (&[1], 0, vec![]),
        ] {
            assert_eq!(surplus(files(have), keep, at(100)), gone, "{have:?} {keep}");
        }
        // A clock that was a year ahead once neither ends the backups nor has the true ones deleted.
        let odd = [1, 500_000, 2, 500_001];
        assert_eq!(newest(odd.map(at), at(100)), Some(at(2)));
        assert_eq!(surplus(files(&odd), 2, at(100)), ["500001", "500000"]);
    }

    #[test]
    fn names_tell_the_moment_and_lead_nowhere_else() {
        let moment: Timestamp = "2026-11-26T04:05:06.007Z".parse().unwrap();
        assert_eq!(file_name(moment), "muster-20261126T040506007Z.muster-backup");
        assert_eq!(taken_at(&file_name(moment)), Some(moment));
        for bad in [
            "",
            "muster-",
            "muster-20261126T040506007Z",
            "muster-20261126T040506007Z.muster-backup.partial",
            ".muster-20261126T040506007Z.muster-backup",
            "../muster-20261126T040506007Z.muster-backup",
            "muster-../../20261126T040506007Z.muster-backup",
            "muster-20261326T040506007Z.muster-backup",
            "muster-20261126T040506Z.muster-backup",
            "muster-2026+126T040506007Z.muster-backup",
            "muster-20261126T24:506007Z.muster-backup",
            "muster-äöüäöüäöT040506007Z.muster-backup",
        ] {
            assert_eq!(taken_at(bad), None, "{bad}");
        }
    }
}
