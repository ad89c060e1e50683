//! Local times, as the partition reads them and as people do.

use jiff::Timestamp;
use jiff::tz::Offset;

/// A local time as text that CAST AS TIMESTAMP reads: `2026-03-01-04.05.06.789012`. Times beyond what the partition
/// can tell become the first or last one of it.
#[must_use]
pub fn local_text(at_us: i64) -> String {
    const FIRST: &str = "0001-01-01-00.00.00.000000";
    const LAST: &str = "9999-12-30-00.00.00.000000";
    let Ok(time) = Timestamp::from_microsecond(at_us) else {
        return if at_us < 0 { FIRST } else { LAST }.to_owned();
    };
    let civil = Offset::UTC.to_datetime(time);
    match civil.year() {
        ..1 => FIRST.to_owned(),
        9_999.. => LAST.to_owned(),
        _ => civil.strftime("%Y-%m-%d-%H.%M.%S.%6f").to_string(),
    }
}

/// For people: `2026-03-01 04:05:06`.
#[must_use]
pub fn shown(at_us: i64) -> String {
    match Timestamp::from_microsecond(at_us) {
        Ok(time) => Offset::UTC.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_ibmi::timestamp::local_micros;

    #[test]
    fn local_times_go_both_ways() {
        let text = "2026-03-01-04.05.06.789012";
        assert_eq!(local_text(local_micros(text.as_bytes()).unwrap()), text);
        assert_eq!(shown(local_micros(text.as_bytes()).unwrap()), "2026-03-01 04:05:06");
        assert_eq!(local_text(0), "1970-01-01-00.00.00.000000");
        assert_eq!(
            (local_text(i64::MIN).as_str(), local_text(i64::MAX).as_str()),
            ("0001-01-01-00.00.00.000000", "9999-12-30-00.00.00.000000")
        );
    }
}
