//! Maintenance windows: in time zones, over midnight, over clock changes.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use muster_proto::api::{Day, Labels, MaintenanceWindow};
use muster_shared::policy::merge::selects;
use std::fmt;

/// Days that are looked ahead for the next window: one a week, and a week in which the clock leaps over it.
const DAYS_AHEAD: i64 = 15;

/// What is wrong with a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowFault(String);

impl fmt::Display for WindowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WindowFault {}

#[derive(Debug, Clone)]
struct Window {
    labels: Labels,
    days: Vec<Weekday>,
    from: Time,
    to: Time,
    zone: TimeZone,
    zone_name: String,
}

/// The windows of a rollout, read and checked.
#[derive(Debug, Clone, Default)]
pub struct Windows(Vec<Window>);

/// Whether a partition may be changed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It may.
    Open,
    /// Not before this moment, told in the window's own time.
    Opens(Timestamp, String),
}

impl Windows {
    /// Reads windows.
    ///
    /// # Errors
    /// The first that cannot be used, and why.
    pub fn read(windows: &[MaintenanceWindow]) -> Result<Self, WindowFault> {
        windows.iter().map(Window::read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a partition with these labels may be changed at `now`.
    pub(crate) fn opening(&self, labels: &Labels, now: Timestamp) -> Opening {
        let mut next: Option<(Timestamp, String)> = None;
        let mut any = false;
        for window in self.0.iter().filter(|w| selects(&w.labels, labels)) {
            any = true;
            match window.next(now) {
                Some((begins, _)) if begins <= now => return Opening::Open,
                Some((begins, told)) if next.as_ref().is_none_or(|(at, _)| begins < *at) => {
                    next = Some((begins, told));
                }
                Some(_) | None => {}
            }
        }
        match next {
            Some((at, told)) => Opening::Opens(at, told),
            // Reading a window makes sure that it opens; the farthest moment keeps the promise if not.
            None if any => Opening::Opens(Timestamp::MAX, "never".to_owned()),
            None => Opening::Open,
        }
    }
}

impl Window {
    fn read(told: &MaintenanceWindow) -> Result<Self, WindowFault> {
        let MaintenanceWindow { labels, days, from, to, time_zone } = told;
        let time = |text: &str| {
            let time = Time::strptime("%H:%M", text);
            time.map_err(|_| WindowFault(format!("`{text}` is no time of day such as 22:00")))
        };
        let (from, to) = (time(from)?, time(to)?);
        if from == to {
            let text = format!("a window from {} to the same time has no length", told.from);
            return Err(WindowFault(text));
        }
        let zone = TimeZone::get(time_zone).map_err(|_| {
            WindowFault(format!("`{time_zone}` is no time zone; use a name such as Europe/Berlin or UTC"))
        })?;
        let days = days.iter().copied().map(weekday).collect();
        Ok(Self { labels: labels.clone(), days, from, to, zone, zone_name: time_zone.clone() })
    }

    /// When it begins that is open now, or else next, and that moment in words.
    fn next(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        let here = now.to_zoned(self.zone.clone());
        for offset in -1..=DAYS_AHEAD {
            let Some((begins, ends)) = self.on(&here, offset) else { continue };
            if ends.timestamp() > now {
                let told = format!("{} {}", begins.strftime("%a %Y-%m-%d %H:%M"), self.zone_name);
                return Some((begins.timestamp(), told));
            }
        }
        None
    }

    /// The window that begins `offset` days from the day of `here`; `None` if none does. A time that the clock leaps
    /// over is the one after the leap, one that comes twice is the first.
    fn on(&self, here: &Zoned, offset: i64) -> Option<(Zoned, Zoned)> {
        let date = here.date().checked_add(Span::new().days(offset)).ok()?;
        if !self.days.is_empty() && !self.days.contains(&date.weekday()) {
            return None;
        }
        let last = if self.to > self.from { date } else { date.tomorrow().ok()? };
        let begins = date.to_datetime(self.from).to_zoned(self.zone.clone()).ok()?;
        let ends = last.to_datetime(self.to).to_zoned(self.zone.clone()).ok()?;
        (ends > begins).then_some((begins, ends))
    }
}

fn weekday(day: Day) -> Weekday {
    match day {
        Day::Mon => Weekday::Monday,
        Day::Tue => Weekday::Tuesday,
        Day::Wed => Weekday::Wednesday,
        Day::Thu => Weekday::Thursday,
        Day::Fri => Weekday::Friday,
        Day::Sat => Weekday::Saturday,
        Day::Sun => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Day], from: &str, to: &str, zone: &str) -> MaintenanceWindow {
        MaintenanceWindow {
            labels: Labels::new(),
            days: days.to_vec(),
            from: from.to_owned(),
            to: to.to_owned(),
            time_zone: zone.to_owned(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn when_windows_open() {
        let nightly = || window(&[], "22:00", "04:00", "Europe/Berlin");
        let saturday = || window(&[Day::Sat], "22:00", "04:00", "Europe/Berlin");
        let leapt = || window(&[], "02:15", "02:45", "Europe/Berlin");
        let over_leap = || window(&[], "01:30", "02:30", "Europe/Berlin");
        /// Window, now, when it opens; empty for open.
        type Case = (MaintenanceWindow, &'static str, &'static str);
        let cases: Vec<Case> = vec![
            (nightly(), "2026-11-26T12:00:00Z", "2026-11-26T21:00:00Z"),
            (nightly(), "2026-11-26T20:59:59Z", "2026-11-26T21:00:00Z"),
            (nightly(), "2026-11-26T21:00:00Z", ""),
            (nightly(), "2026-11-27T02:59:59Z", ""),
            (nightly(), "2026-11-27T03:00:00Z", "2026-11-27T21:00:00Z"),
            // Saturday's reaches into Sunday, and Friday's night is not its.
            (saturday(), "2026-11-28T02:00:00Z", "2026-11-28T21:00:00Z"),
            (saturday(), "2026-11-29T02:00:00Z", ""),
            (saturday(), "2026-11-29T03:00:00Z", "2026-12-05T21:00:00Z"),
            // 2026-03-29: 02:00 becomes 03:00. What lies inside of the leap moves behind it.
            (leapt(), "2026-03-29T00:30:00Z", "2026-03-29T01:15:00Z"),
            (leapt(), "2026-03-29T01:44:59Z", ""),
            (over_leap(), "2026-03-29T00:29:00Z", "2026-03-29T00:30:00Z"),
            (over_leap(), "2026-03-29T01:29:59Z", ""),
            (over_leap(), "2026-03-29T01:30:00Z", "2026-03-29T23:30:00Z"),
            // 2026-10-25: 03:00 becomes 02:00; the night is an hour longer.
            (nightly(), "2026-10-25T02:59:59Z", ""),
            (nightly(), "2026-10-25T03:00:00Z", "2026-10-25T21:00:00Z"),
            (window(&[], "00:00", "23:59", "Pacific/Kiritimati"), "2026-11-26T10:00:00Z", ""),
        ];
        for (window, now, opens) in cases {
            let told = format!("{window:?} at {now}");
            let opening = Windows::read(&[window]).unwrap().opening(&Labels::new(), at(now));
            match (opening, opens) {
                (Opening::Open, "") => {}
                (Opening::Opens(next, _), opens) if !opens.is_empty() => {
                    assert_eq!(next, at(opens), "{told}")
                }
                (other, _) => panic!("{told}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_partition_has_the_windows_that_its_labels_give_it() {
        let mut east = window(&[], "22:00", "04:00", "Europe/Berlin");
        east.labels = Labels::from([("site".to_owned(), "east".to_owned())]);
        let mut west = window(&[], "22:00", "04:00", "America/Chicago");
        west.labels = Labels::from([("site".to_owned(), "west".to_owned())]);
        let windows = Windows::read(&[east.clone(), west]).unwrap();
        let now = at("2026-11-26T22:00:00Z");
        assert_eq!(windows.opening(&east.labels, now), Opening::Open);
        let west = Labels::from([("site".to_owned(), "west".to_owned())]);
        let told = "Thu 2026-11-26 22:00 America/Chicago".to_owned();
        assert_eq!(windows.opening(&west, now), Opening::Opens(at("2026-11-27T04:00:00Z"), told));
        assert_eq!(windows.opening(&Labels::new(), now), Opening::Open, "no window is its own");
    }

    #[test]
    fn what_cannot_be_a_window() {
        for (window, why) in [
            (window(&[], "25:00", "04:00", "UTC"), "`25:00` is no time of day"),
            (window(&[], "22:00", "4", "UTC"), "`4` is no time of day"),
            (window(&[], "22:00", "22:00", "UTC"), "no length"),
            (window(&[], "22:00", "04:00", "Europe/Brln"), "no time zone"),
        ] {
            let error = Windows::read(&[window]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
