//! Pure: the partition's clock as the agent knows it, between two questions for it.

use muster_ibmi::timestamp;
use muster_shared::cursor::TimedCursor;
use std::time::Duration;

const SECOND_US: i64 = 1_000_000;

/// A row is looked for until this long after its time. The history log is written with some delay; how long it can
/// be is documented nowhere.
pub const LATE_US: i64 = 10 * SECOND_US;

/// The clock is asked for again after this long.
pub const ASK_EVERY: Duration = Duration::from_secs(15);

/// A difference that is none: what two clocks drift apart, and what an answer takes.
pub const TOLERANCE_US: i64 = 3 * SECOND_US;

/// Two clocks drift apart by at most one part in so many.
const DRIFT: i64 = 5_000;

/// What time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// On the partition's local clock, microseconds since 1970.
    pub local_us: i64,
    /// Rows of earlier times are all there.
    pub settled_us: i64,
    /// On the agent's clock, microseconds since 1970 UTC.
    pub utc_us: i64,
    /// How far `local_us` may be off.
    pub uncertain_us: i64,
}

impl Moment {
    /// How far the partition's clock was set back since a place was looked at, if it was.
    #[must_use]
    pub fn set_back_since(&self, place: &TimedCursor) -> Option<i64> {
        let passed = self.utc_us.saturating_sub(place.clock_us);
        let back = place.looked_us.saturating_add(passed).saturating_sub(self.local_us);
        let tolerance = TOLERANCE_US + self.uncertain_us + passed.max(0) / DRIFT;
        (back > tolerance).then_some(back)
    }
}

/// The offset from UTC before the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before {
    offset_seconds: i32,
    /// The local time, with the offset of before, at which the change was noticed.
    until_us: i64,
}

/// The partition's clock. Times of the agent are told as what has passed since the source was connected.
#[derive(Debug, Clone)]
pub struct Clock {
    offset_seconds: i32,
    before: Option<Before>,
    /// When it was asked last, what it told, and how far that may be off.
    told: Option<(Duration, i64, i64)>,
    /// When it was last seen to be set forward, and how far.
    forward: Option<(Duration, i64)>,
}

impl Clock {
    /// A clock that was not asked yet; the offset from UTC is known.
    #[must_use]
    pub fn new(offset_seconds: i32) -> Self {
        Self { offset_seconds, before: None, told: None, forward: None }
    }

    /// Whether it is to be asked.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        self.told.is_none_or(|(asked, _, _)| now.saturating_sub(asked) >= ASK_EVERY)
    }

    /// Takes what the partition told: its local time at `now`, known to within `uncertain_us`, and its offset if it
    /// told one. True when the clock was set back.
    pub fn tell(
        &mut self,
        now: Duration,
        local_us: i64,
        uncertain_us: i64,
        offset_seconds: Option<i32>,
    ) -> bool {
        let expected = self.local_us(now);
        let tolerance = TOLERANCE_US + uncertain_us + self.told.map_or(0, |(_, _, uncertain)| uncertain);
        let step = expected.map_or(0, |expected| local_us - expected);
        if step > tolerance {
            self.forward = Some((now, step + self.held(now)));
        }
        if let Some(offset) = offset_seconds.filter(|offset| *offset != self.offset_seconds) {
            let change = i64::from(offset - self.offset_seconds) * SECOND_US;
            self.before = Some(Before { offset_seconds: self.offset_seconds, until_us: local_us - change });
            self.offset_seconds = offset;
        }
        self.told = Some((now, local_us, uncertain_us));
        step < -tolerance
    }

    fn local_us(&self, now: Duration) -> Option<i64> {
        self.told.map(|(asked, local_us, _)| local_us + micros(now.saturating_sub(asked)))
    }

    /// What time it is, if the clock was ever asked. For some seconds after it was set forward, rows of before may still
    /// show up.
    #[must_use]
    pub fn moment(&self, now: Duration, utc_us: i64) -> Option<Moment> {
        let local_us = self.local_us(now)?;
        let settled_us = local_us - LATE_US - self.held(now);
        let uncertain_us = self.told.map_or(0, |(_, _, uncertain)| uncertain);
        Some(Moment { local_us, settled_us, utc_us, uncertain_us })
    }

    /// How far it was set forward of late.
    fn held(&self, now: Duration) -> i64 {
        let fresh = |set: &Duration| micros(now.saturating_sub(*set)) <= LATE_US + micros(ASK_EVERY);
        self.forward.filter(|(set, _)| fresh(set)).map_or(0, |(_, step)| step)
    }

    /// UTC of a row's local time. A row of before the last change is told by a time that the clock has not reached, or
    /// that lies before the change.
    #[must_use]
    pub fn utc_us(&self, at_us: i64, now: &Moment) -> i64 {
        let offset = match self.before {
            Some(before) if before.offset_seconds > self.offset_seconds => {
                let ahead = at_us > now.local_us + TOLERANCE_US;
                if ahead { before.offset_seconds } else { self.offset_seconds }
            }
            Some(before) if at_us <= before.until_us => before.offset_seconds,
            Some(_) | None => self.offset_seconds,
        };
        timestamp::to_utc(at_us, offset)
    }

    /// Local time of a moment in UTC.
    #[must_use]
    pub fn local_of(&self, utc_us: i64) -> i64 {
        utc_us.saturating_add(i64::from(self.offset_seconds) * SECOND_US)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600 * SECOND_US;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_asked_now_and_then_and_goes_on_between() {
        let mut clock = Clock::new(3_600);
        assert!(clock.is_due(seconds(0)) && clock.moment(seconds(0), 5).is_none());
        assert!(!clock.tell(seconds(1), 100 * SECOND_US, 0, None));
        assert!(!clock.is_due(seconds(15)) && clock.is_due(seconds(16)));
        let moment = clock.moment(seconds(3), 5).unwrap();
        assert_eq!((moment.local_us, moment.utc_us, moment.settled_us), (102 * SECOND_US, 5, 92 * SECOND_US));
    }

    #[test]
    fn a_set_clock_is_noticed_in_both_directions() {
        let told = |step: i64, uncertain: i64| {
            let mut clock = Clock::new(0);
            clock.tell(seconds(0), HOUR_US, 0, None);
            let back = clock.tell(seconds(100), HOUR_US + 100 * SECOND_US + step, uncertain, None);
            let unsettled = |at: u64| {
                let moment = clock.moment(seconds(at), 0).unwrap();
                moment.local_us - moment.settled_us
            };
            (back, unsettled(101), unsettled(126))
        };
        assert_eq!(told(0, 0), (false, LATE_US, LATE_US));
        assert_eq!(told(-2 * SECOND_US, 0), (false, LATE_US, LATE_US), "no difference");
        assert_eq!(told(-4 * SECOND_US, 0), (true, LATE_US, LATE_US));
        assert_eq!(told(-4 * SECOND_US, 2 * SECOND_US), (false, LATE_US, LATE_US), "a slow answer");
        assert_eq!(told(HOUR_US, 0), (false, LATE_US + HOUR_US, LATE_US), "rows of before may still come");
    }

    #[test]
    fn a_place_tells_that_the_clock_was_set_back_since() {
        let place = TimedCursor::starting(0, 10 * HOUR_US, 5 * HOUR_US);
        let since = |passed: i64, local_us: i64, uncertain_us: i64| {
            Moment { local_us, settled_us: 0, utc_us: 5 * HOUR_US + passed, uncertain_us }
                .set_back_since(&place)
        };
        assert_eq!(since(HOUR_US, 11 * HOUR_US, 0), None);
        assert_eq!(since(HOUR_US, 10 * HOUR_US, 0), Some(HOUR_US));
        assert_eq!(since(10 * HOUR_US, 19 * HOUR_US, 0), Some(HOUR_US));
        assert_eq!(since(0, 10 * HOUR_US - 4 * SECOND_US, 0), Some(4 * SECOND_US));
        assert_eq!(since(0, 10 * HOUR_US - 4 * SECOND_US, SECOND_US), None);
        // In ten hours two clocks may be seven seconds apart.
        assert_eq!(since(10 * HOUR_US, 20 * HOUR_US - 9 * SECOND_US, 0), None);
        assert_eq!(since(HOUR_US, 12 * HOUR_US, 0), None, "forward");
    }

    #[test]
    fn rows_of_before_a_change_keep_its_offset() {
        // 02:59:59 summer time, then 02:00 winter time.
        let mut clock = Clock::new(7_200);
        clock.tell(seconds(0), 3 * HOUR_US - SECOND_US, 0, Some(7_200));
        clock.tell(seconds(10), 2 * HOUR_US + 9 * SECOND_US, 0, Some(3_600));
        let now = clock.moment(seconds(10), 0).unwrap();
        assert_eq!(clock.utc_us(3 * HOUR_US - SECOND_US, &now), HOUR_US - SECOND_US);
        assert_eq!(clock.utc_us(2 * HOUR_US + SECOND_US, &now), HOUR_US + SECOND_US);
        // 01:59:59 winter time, then 03:00 summer time.
        let mut clock = Clock::new(3_600);
        clock.tell(seconds(0), 2 * HOUR_US - SECOND_US, 0, Some(3_600));
        clock.tell(seconds(10), 3 * HOUR_US + 9 * SECOND_US, 0, Some(7_200));
        let now = clock.moment(seconds(10), 0).unwrap();
        assert_eq!(clock.utc_us(2 * HOUR_US - SECOND_US, &now), HOUR_US - SECOND_US);
        assert_eq!(clock.utc_us(3 * HOUR_US + SECOND_US, &now), HOUR_US + SECOND_US);
        assert_eq!(clock.local_of(HOUR_US), 3 * HOUR_US);
    }
}
