//! Times as text, formatted once a second: events come in order, so the second of the last one is nearly
//! always the second of the next.

use super::sink::Sink;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// English month names, whatever the locale.
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// How a second is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `2026-01-31T23:59:59` in UTC; the fraction and `Z` follow.
    Rfc3339,
    /// `Jan  1 23:59:59` at an offset from UTC in seconds.
    Bsd { offset_seconds: i32 },
}

/// Formats seconds and remembers the last one.
#[derive(Debug)]
pub(super) struct Clock {
    style: Style,
    second: Option<i64>,
    text: [u8; 19],
    length: usize,
}

impl Clock {
    pub(super) fn new(style: Style) -> Self {
        Self { style, second: None, text: [0; 19], length: 0 }
    }

    /// Text of a second since 1970; `None` where the year has no four digits.
    pub(super) fn text(&mut self, second: i64) -> Option<&[u8]> {
        if self.second != Some(second) {
            self.second = Some(second);
            self.length = self.format(second).unwrap_or(0);
        }
        (self.length > 0).then(|| &self.text[..self.length])
    }

    #[cold]
    fn format(&mut self, second: i64) -> Option<usize> {
        let offset = match self.style {
            Style::Rfc3339 => 0,
            Style::Bsd { offset_seconds } => offset_seconds,
        };
        let offset = Offset::from_seconds(offset).unwrap_or(Offset::UTC);
        let civil = offset.to_datetime(Timestamp::from_second(second).ok()?);
        if civil.year() < 0 {
            return None;
        }
        Some(match self.style {
            Style::Rfc3339 => self.rfc3339(civil),
            Style::Bsd { .. } => self.bsd(civil),
        })
    }

    fn rfc3339(&mut self, civil: DateTime) -> usize {
        let year = civil.year().unsigned_abs();
        self.text = *b"0000-00-00T00:00:00";
        self.pair(0, (year / 100) as u8);
        self.pair(2, (year % 100) as u8);
        self.pair(5, civil.month().unsigned_abs());
        self.pair(8, civil.day().unsigned_abs());
        self.time(11, civil);
        19
    }

    fn bsd(&mut self, civil: DateTime) -> usize {
        let month = MONTHS[usize::from(civil.month().unsigned_abs()) - 1];
        self.text[..3].copy_from_slice(month);
        self.text[3] = b' ';
        self.pair(4, civil.day().unsigned_abs());
        if self.text[4] == b'0' {
            self.text[4] = b' ';
        }
        self.text[6] = b' ';
        self.text[9] = b':';
        self.text[12] = b':';
        self.time(7, civil);
        15
    }

    fn time(&mut self, at: usize, civil: DateTime) {
        self.pair(at, civil.hour().unsigned_abs());
        self.pair(at + 3, civil.minute().unsigned_abs());
        self.pair(at + 6, civil.second().unsigned_abs());
    }

    /// Two digits of a number below 100.
    fn pair(&mut self, at: usize, number: u8) {
        self.text[at] = b'0' + number / 10;
        self.text[at + 1] = b'0' + number % 10;
    }
}

/// Appends `.123456` or `.123`, with leading zeros.
pub(super) fn put_fraction(microseconds: u32, milliseconds_only: bool, sink: &mut Sink) {
    let mut digits = *b".000000";
    let mut rest = microseconds;
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    sink.put(&digits[..if milliseconds_only { 4 } else { 7 }]);
}

/// Milliseconds since 1970 as readers take them: 13 digits. A shorter number would be read as seconds, so
/// there is none for times before September 2001 or after the year 2286.
pub(super) fn epoch_milliseconds(time_us: i64) -> Option<i64> {
    let milliseconds = time_us.div_euclid(1_000);
    (1_000_000_000_000..10_000_000_000_000).contains(&milliseconds).then_some(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(style: Style, time: &str) -> String {
        let second = time.parse::<Timestamp>().unwrap().as_second();
        String::from_utf8(Clock::new(style).text(second).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn seconds_as_text() {
        let east = Style::Bsd { offset_seconds: 5 * 3600 + 1800 };
        let west = Style::Bsd { offset_seconds: -6 * 3600 };
        for (style, time, expected) in [
            (Style::Rfc3339, "2026-01-31T23:59:59Z", "2026-01-31T23:59:59"),
            (Style::Rfc3339, "2024-02-29T00:00:00Z", "2024-02-29T00:00:00"),
            (Style::Rfc3339, "0999-12-31T00:00:00Z", "0999-12-31T00:00:00"),
            (Style::Bsd { offset_seconds: 0 }, "2026-01-01T03:04:05Z", "Jan  1 03:04:05"),
            (east, "2026-12-31T20:00:00Z", "Jan  1 01:30:00"),
            (west, "2024-03-01T05:59:59Z", "Feb 29 23:59:59"),
        ] {
            assert_eq!(text(style, time), expected);
        }
    }

    #[test]
    fn the_second_is_remembered_and_replaced() {
        let mut clock = Clock::new(Style::Rfc3339);
        assert_eq!(clock.text(0), Some(&b"1970-01-01T00:00:00"[..]));
        assert_eq!(clock.text(0), Some(&b"1970-01-01T00:00:00"[..]));
        assert_eq!(clock.text(-1), Some(&b"1969-12-31T23:59:59"[..]));
        assert_eq!(clock.text(i64::MAX), None);
        assert_eq!(clock.text(-70_000_000_000), None);
    }

    #[test]
    fn fractions_have_leading_zeros() {
        let mut sink = Sink::new();
        put_fraction(42, false, &mut sink);
        put_fraction(999_999, true, &mut sink);
        assert_eq!(sink.as_bytes(), b".000042.999");
    }
}
