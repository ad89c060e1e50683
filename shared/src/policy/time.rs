//! Weekdays and times of day in conditions, by the partition's local time. The offset of that time from UTC is
//! handed in with each event.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::fmt;

const DAY: u16 = 24 * 60;
/// Minutes of a week.
const WEEK: u16 = 7 * DAY;
/// 1970-01-01 was a Thursday; weeks begin on Monday.
const EPOCH: i64 = 3 * DAY as i64;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// Every day, Monday first.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

/// A time of day in whole minutes, `00:00` to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Minutes since midnight.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

/// A text that is no time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time of day; write hours and minutes in quotes, '00:00' to '24:00'")]
pub struct NoTime(String);

impl TryFrom<String> for TimeOfDay {
    type Error = NoTime;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = |digits: &[u8]| match digits {
            [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(u16::from(a - b'0') * 10 + u16::from(b - b'0')),
            _ => None,
        };
        let minutes = text.as_bytes().split_at_checked(2).and_then(|(hours, rest)| {
            let (hours, minutes) = (number(hours)?, number(rest.strip_prefix(b":")?)?);
            (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
        });
        minutes.map(Self).ok_or(NoTime(text))
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl JsonSchema for TimeOfDay {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Hours and minutes, 00:00 to 24:00.", "type": "string",
            "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
        })
    }
}

/// A time of day on some days of the week, by the partition's local time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeWindow {
    /// Days on which it begins; without any, every day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// When it begins; midnight by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<TimeOfDay>,
    /// When it ends, this minute not included; the next midnight by default. Earlier than `from` means on the
    /// next day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<TimeOfDay>,
}

/// Windows ready to be asked: spans of minutes of the week, Monday 00:00 first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows {
    /// First minute, and the minute behind the last one.
    spans: Vec<(u16, u16)>,
}

impl Windows {
    /// Compiles windows.
    #[must_use]
    pub fn new(windows: &[TimeWindow]) -> Self {
        let mut spans = Vec::new();
        for window in windows {
            let from = window.from.map_or(0, TimeOfDay::minutes);
            let to = window.to.map_or(DAY, TimeOfDay::minutes);
            let length = if to > from { to - from } else { DAY - from + to };
            let days: &[Weekday] = if window.days.is_empty() { &Weekday::ALL } else { &window.days };
            for day in days {
                let start = (*day as u16 * DAY + from) % WEEK;
                match start + length {
                    end if end <= WEEK => spans.push((start, end)),
                    // From Sunday into Monday.
                    end => spans.extend([(start, WEEK), (0, end - WEEK)]),
                }
            }
        }
        spans.sort_unstable();
        spans.dedup();
        Self { spans }
    }

    /// Whether a time, in microseconds since 1970 UTC, lies in a window where the clock is ahead of UTC by
    /// `utc_offset_seconds`.
    #[must_use]
    pub fn contains(&self, time_us: i64, utc_offset_seconds: i32) -> bool {
        let minute = minute_of_week(time_us, utc_offset_seconds);
        self.spans.iter().any(|(start, end)| (*start..*end).contains(&minute))
    }
}

/// Minutes since Monday 00:00 of the local week.
#[must_use]
pub fn minute_of_week(time_us: i64, utc_offset_seconds: i32) -> u16 {
    let local = time_us.div_euclid(1_000_000).saturating_add(i64::from(utc_offset_seconds));
    // Between 0 and WEEK, which fits.
    (local.div_euclid(60) + EPOCH).rem_euclid(i64::from(WEEK)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> Result<TimeOfDay, NoTime> {
        text.to_owned().try_into()
    }

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    fn window(days: &[Weekday], from: &str, to: &str) -> TimeWindow {
        let time = |text: &str| (!text.is_empty()).then(|| time(text).unwrap());
        TimeWindow { days: days.to_vec(), from: time(from), to: time(to) }
    }

    #[test]
    fn times_of_day() {
        for (text, minutes) in [("00:00", 0), ("07:05", 425), ("23:59", 1_439), ("24:00", 1_440)] {
            assert_eq!(time(text).unwrap().minutes(), minutes);
            assert_eq!(time(text).unwrap().to_string(), text);
        }
        for bad in ["", "7:05", "24:01", "12:60", "12", "12:3", "12-30", "12:30 ", "é2:30", "ab:cd"] {
            assert_eq!(time(bad), Err(NoTime(bad.to_owned())));
        }
    }

    #[test]
    fn windows() {
        use Weekday::{Fri, Mon, Sat, Sun};
        // 2026-11-23 is a Monday.
        let cases: [(TimeWindow, &str, i32, bool); 19] = [
            (window(&[], "", ""), "2026-11-23T00:00:00Z", 0, true),
            (window(&[Mon], "", ""), "2026-11-23T00:00:00Z", 0, true),
            (window(&[Mon], "", ""), "2026-11-23T23:59:59.999999Z", 0, true),
            (window(&[Mon], "", ""), "2026-11-24T00:00:00Z", 0, false),
            (window(&[Mon], "", ""), "2026-11-22T23:59:59Z", 0, false),
            // By the clock of the partition.
            (window(&[Mon], "", ""), "2026-11-22T23:30:00Z", 3_600, true),
            (window(&[Mon], "", ""), "2026-11-24T00:30:00Z", -3_600, true),
            (window(&[], "08:00", "18:00"), "2026-11-23T08:00:00Z", 0, true),
            (window(&[], "08:00", "18:00"), "2026-11-23T18:00:00Z", 0, false),
            (window(&[], "08:00", "18:00"), "2026-11-23T07:59:59Z", 0, false),
            // Over midnight: days are those on which it begins.
            (window(&[Fri], "22:00", "06:00"), "2026-11-27T21:59:59Z", 0, false),
            (window(&[Fri], "22:00", "06:00"), "2026-11-27T22:00:00Z", 0, true),
            (window(&[Fri], "22:00", "06:00"), "2026-11-28T05:59:59Z", 0, true),
            (window(&[Fri], "22:00", "06:00"), "2026-11-28T06:00:00Z", 0, false),
            (window(&[Fri], "22:00", "06:00"), "2026-11-27T05:00:00Z", 0, false),
            // Over the end of the week.
            (window(&[Sun], "22:00", "06:00"), "2026-11-23T05:00:00Z", 0, true),
            (window(&[Sat, Sun], "", ""), "2026-11-29T12:00:00Z", 0, true),
            // The same time twice is a whole day.
            (window(&[Mon], "06:00", "06:00"), "2026-11-24T05:59:00Z", 0, true),
            (window(&[Mon], "24:00", "02:00"), "2026-11-24T01:00:00Z", 0, true),
        ];
        for (window, text, offset, expected) in cases {
            let windows = Windows::new(std::slice::from_ref(&window));
            assert_eq!(windows.contains(at(text), offset), expected, "{window:?} {text} {offset}");
        }
        assert!(!Windows::new(&[]).contains(0, 0));
    }

    proptest! {
        /// The minute of the week is what a calendar says.
        #[test]
        fn minutes_agree_with_the_calendar(seconds in -4_000_000_000_i64..8_000_000_000, offset in -50_400_i32..50_400) {
            let local = jiff::Timestamp::from_second(seconds).unwrap()
                .to_zoned(jiff::tz::Offset::from_seconds(offset).unwrap().to_time_zone());
            let days = u16::try_from(local.weekday().to_monday_zero_offset()).unwrap();
            let expected = days * DAY + local.hour() as u16 * 60 + local.minute() as u16;
            prop_assert_eq!(minute_of_week(seconds * 1_000_000, offset), expected);
        }

        /// Any time at all is answered.
        #[test]
        fn no_time_is_too_far(time_us in any::<i64>(), offset in any::<i32>()) {
            prop_assert!(minute_of_week(time_us, offset) < WEEK);
        }
    }
}
