//! Time stamps of IBM i. They carry no time zone: they are local times of the partition, whose offset from
//! UTC (QUTCOFFSET, `CURRENT TIMEZONE`) the caller knows.

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;

/// Microseconds of a day.
const DAY_US: i64 = 86_400 * SECOND_US;

/// Local microseconds since 1970 of `yyyy-mm-dd-hh.mm.ss[.f…]` (IBM i) or `yyyy-mm-dd hh:mm:ss[.f…]` (SQL),
/// also with `T` between date and time. Up to 12 digits of fraction are read, the first six count.
/// `24:00:00`, which Db2 knows, is midnight of the next day. `None` if the text is no such time.
#[must_use]
pub fn local_micros(text: &[u8]) -> Option<i64> {
    if text.len() < 19 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    if !matches!((text[10], text[13], text[16]), (b'-', b'.', b'.') | (b' ' | b'T', b':', b':')) {
        return None;
    }
    let date = (number(&text[0..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..19])?);
    let fraction = fraction(&text[19..])?;
    let whole_day = hour == 24 && minute == 0 && second == 0 && fraction == 0;
    if (hour > 23 && !whole_day) || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(days(date)? * DAY_US + seconds * SECOND_US + i64::from(fraction))
}

/// As [`local_micros`], from the bytes of an EBCDIC field. Digits, `-`, `.` and `:` lie at the same place in
/// all pages, so no page is needed.
#[must_use]
pub fn local_micros_ebcdic(bytes: &[u8]) -> Option<i64> {
    let bytes = crate::blank::trimmed(bytes);
    let mut text = [0_u8; 32];
    let text = text.get_mut(..bytes.len())?;
    for (to, from) in text.iter_mut().zip(bytes) {
        *to = match from {
            0xF0..=0xF9 => from - 0xF0 + b'0',
            0x60 => b'-',
            0x4B => b'.',
            0x7A => b':',
            0x40 => b' ',
            _ => return None,
        };
    }
    local_micros(text)
}

/// UTC microseconds of a local time, with the partition's offset east of UTC.
#[must_use]
pub fn to_utc(local_us: i64, offset_seconds: i32) -> i64 {
    local_us.saturating_sub(i64::from(offset_seconds) * SECOND_US)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0_u32, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
}

/// Microseconds of `.123456`, or 0 of nothing.
fn fraction(text: &[u8]) -> Option<u32> {
    let Some((dot, digits)) = text.split_first() else { return Some(0) };
    if *dot != b'.' || digits.is_empty() || digits.len() > 12 {
        return None;
    }
    number(digits.get(6..).unwrap_or_default())?;
    let digits = &digits[..digits.len().min(6)];
    Some(number(digits)? * 10_u32.pow(6 - digits.len() as u32))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, years 1 to 9999, or `None` if there is no such
/// day. The year is counted from March, so that the leap day is its last one.
fn days((year, month, day): (u32, u32, u32)) -> Option<i64> {
    const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = LENGTHS.get(month.checked_sub(1)? as usize)? + u32::from(leap && month == 2);
    if year == 0 || day == 0 || day > length {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year =
        i64::from(year) * 365 + i64::from(year / 4) - i64::from(year / 100) + i64::from(year / 400);
    let before_month = i64::from((153 * month + 2) / 5);
    Some(before_year + before_month + i64::from(day) - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::DateTime;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    fn with_jiff(text: &str) -> i64 {
        let civil: DateTime = text.replacen(' ', "T", 1).parse().unwrap();
        civil.to_zoned(TimeZone::UTC).unwrap().timestamp().as_microsecond()
    }

    #[test]
    fn both_forms_mean_the_same() {
        let expected = Some(with_jiff("2026-03-01 04:05:06.789012"));
        assert_eq!(local_micros(b"2026-03-01-04.05.06.789012"), expected);
        assert_eq!(local_micros(b"2026-03-01 04:05:06.789012"), expected);
        assert_eq!(local_micros(b"2026-03-01T04:05:06.789012999999"), expected);
        assert_eq!(local_micros(b"2026-03-01 04:05:06"), Some(with_jiff("2026-03-01 04:05:06")));
        assert_eq!(local_micros(b"2026-03-01 04:05:06.5"), Some(with_jiff("2026-03-01 04:05:06.5")));
        assert_eq!(local_micros(b"2026-02-28-24.00.00.000000"), Some(with_jiff("2026-03-01 00:00:00")));
        assert_eq!(local_micros(b"1970-01-01 00:00:00"), Some(0));
    }

    #[test]
    fn others_are_refused() {
        let cases = [
            "",
            "2026-03-01",
            "2026-02-29 00:00:00",
            "2026-13-01 00:00:00",
            "2026-00-01 00:00:00",
            "2026-01-00 00:00:00",
            "0000-01-01 00:00:00",
            "2026-01-01 24:00:01",
            "2026-01-01 23:60:00",
            "2026-01-01 23:00:60",
            "2026-01-01-23:00:00",
            "2026-01-01 23.00.00",
            "2026-01-01 23:00:00.",
            "2026-01-01 23:00:00.1234567890123",
            "2026-01-01 23:00:00Z",
            "2026-01-01 23:00:00.12x",
            "+026-01-01 23:00:00",
            "2026-01-01 23:00:00.1234567x",
        ];
        for text in cases {
            assert_eq!(local_micros(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ebcdic_and_offset() {
        let bytes: Vec<u8> = "2026-03-01-04.05.06.789012"
            .bytes()
            .map(|b| match b {
                b'-' => 0x60,
                b'.' => 0x4B,
                digit => digit - b'0' + 0xF0,
            })
            .collect();
        let local = local_micros_ebcdic(&bytes).unwrap();
        assert_eq!(local, with_jiff("2026-03-01 04:05:06.789012"));
        assert_eq!(to_utc(local, 3600), with_jiff("2026-03-01 03:05:06.789012"));
        assert_eq!(to_utc(local, -18_000), with_jiff("2026-03-01 09:05:06.789012"));
        assert_eq!(local_micros_ebcdic(&[0x40; 26]), None);
        assert_eq!(local_micros_ebcdic(&[0xF0; 100]), None);
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(
            year in 1_i16..=9999, month in 1_i8..=12, day in 1_i8..=28, hour in 0_i8..=23, minute in 0_i8..=59,
            second in 0_i8..=59, micros in 0_i32..=999_999,
        ) {
            let civil = jiff::civil::datetime(year, month, day, hour, minute, second, micros * 1000);
            let expected = civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_microsecond());
            prop_assume!(expected.is_ok());
            let text = format!("{year:04}-{month:02}-{day:02}-{hour:02}.{minute:02}.{second:02}.{micros:06}");
            prop_assert_eq!(local_micros(text.as_bytes()), expected.ok());
        }

        #[test]
        fn every_day_agrees_with_jiff(year in 1_i16..=9998, day_of_year in 0_i32..=365) {
            let first = jiff::civil::date(year, 1, 1);
            let date = first.checked_add(jiff::Span::new().days(day_of_year)).unwrap();
            let expected = date.to_zoned(TimeZone::UTC).unwrap().timestamp().as_microsecond();
            prop_assert_eq!(local_micros(format!("{date} 00:00:00").as_bytes()), Some(expected));
        }

        #[test]
        fn any_text_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (local_micros(&bytes), local_micros_ebcdic(&bytes));
        }
    }
}
