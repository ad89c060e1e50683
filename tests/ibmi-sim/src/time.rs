//! Local time of the partition, as microseconds since 1970 on its own clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds of one day.
pub const DAY: i64 = 86_400_000_000;

/// Microseconds since 1970, UTC.
#[must_use]
pub fn now_utc() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Year, month and day of a day number since 1970 (proleptic Gregorian calendar).
#[must_use]
pub fn civil(day: i64) -> (i64, u32, u32) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// Day number since 1970 of a date.
#[must_use]
pub fn day_number(year: i64, month: u32, day: u32) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// Appends `YYYY-MM-DD`.
pub fn write_date(micros: i64, out: &mut String) {
    let (year, month, day) = civil(micros.div_euclid(DAY));
    push_digits(u64::try_from(year).unwrap_or(0), 4, out);
    out.push('-');
    push_digits(u64::from(month), 2, out);
    out.push('-');
    push_digits(u64::from(day), 2, out);
}

/// Appends `HH` `MM` `SS` with that separator.
pub fn write_time(micros: i64, separator: char, out: &mut String) {
    let seconds = u64::try_from(micros.rem_euclid(DAY) / 1_000_000).unwrap_or(0);
    push_digits(seconds / 3600, 2, out);
    out.push(separator);
    push_digits(seconds / 60 % 60, 2, out);
    out.push(separator);
    push_digits(seconds % 60, 2, out);
}

/// Appends `YYYY-MM-DD HH:MM:SS.ffffff`, the form in which the server writes a timestamp.
pub fn write_timestamp(micros: i64, out: &mut String) {
    write_date(micros, out);
    out.push(' ');
    write_time(micros, ':', out);
    out.push('.');
    push_digits(u64::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0), 6, out);
}

/// The text form of a timestamp.
#[must_use]
pub fn timestamp(micros: i64) -> String {
    let mut out = String::with_capacity(26);
    write_timestamp(micros, &mut out);
    out
}

/// Reads a timestamp in either form (blank or `T` or `-` between date and time, `:` or `.` in the time,
/// 0 to 12 digits of a second), or a date alone.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if text.get(4..5)? != "-"
        || text.get(7..8)? != "-"
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    let mut micros = day_number(i64::from(year), month, day) * DAY;
    if text.len() > 10 {
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        if hour > 24 || minute > 59 || second > 59 {
            return None;
        }
        micros += i64::from(hour * 3600 + minute * 60 + second) * 1_000_000;
        if text.len() > 19 {
            let digits = text.get(20..)?;
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let six: String = digits.chars().chain(std::iter::repeat('0')).take(6).collect();
            micros += six.parse::<i64>().ok()?;
        }
    }
    Some(micros)
}

fn push_digits(number: u64, width: u32, out: &mut String) {
    for place in (0..width).rev() {
        out.push(char::from(b'0' + u8::try_from(number / 10_u64.pow(place) % 10).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_go_both_ways() {
        for text in ["1970-01-01 00:00:00.000000", "2026-11-22 03:59:05.000013", "2000-02-29 23:59:59.999999"]
        {
            assert_eq!(timestamp(parse(text).expect("good")), text);
        }
        assert_eq!(parse("2026-11-22-03.59.05.5"), parse("2026-11-22T03:59:05.500000"));
        assert_eq!(parse("2026-11-22"), parse("2026-11-22 00:00:00"));
        assert_eq!(parse("2026-13-22"), None);
        assert_eq!(parse("yesterday"), None);
    }
}
