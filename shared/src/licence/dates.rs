//! Moments and days of licences, all in UTC.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The moment at which a day begins.
pub(super) fn begin(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

/// The moment at which a day is over.
pub(super) fn end(day: Date) -> Timestamp {
    day.tomorrow().map_or(Timestamp::MAX, begin)
}

/// So many days later.
pub(super) fn days(moment: Timestamp, days: i64) -> Timestamp {
    moment.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
}

/// The day of a moment, for people.
pub(super) fn day(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).date().to_string()
}

/// Whole days from `now` to `moment`, rounded up.
pub(super) fn days_left(now: Timestamp, moment: Timestamp) -> i64 {
    let seconds = moment.duration_since(now).as_secs();
    seconds.div_euclid(86_400) + i64::from(seconds.rem_euclid(86_400) > 0)
}
