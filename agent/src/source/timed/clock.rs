//! Pure: the partition's clock as the agent knows it, between two questions for it.

use muster_ibmi::timestamp;
use muster_shared::cursor::TimedCursor;
use std::time::Duration;

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3_600 * SECOND_US;

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
    /// The local time that it is at least. A place keeps this one: a clock that answered slowly once would seem to be
    /// set back as soon as it answers quickly.
    #[must_use]
    pub fn earliest_us(&self) -> i64 {
        self.local_us.saturating_sub(self.uncertain_us)
    }

    /// How far the partition's clock was set back since a place was looked at, if it was. Where the agent's own clock
    /// shows less than it did then (both may be the same clock), nobody knows how much time has passed: an hour more is
    /// read again, so that rows come twice rather than never.
    #[must_use]
    pub fn set_back_since(&self, place: &TimedCursor) -> Option<i64> {
        let went_back = self.utc_us < place.clock_us;
        let passed = self.utc_us.saturating_sub(place.clock_us).max(0);
        let back = place.looked_us.saturating_add(passed).saturating_sub(self.local_us);
        let tolerance = TOLERANCE_US + self.uncertain_us + passed / DRIFT;
        let more = if went_back { HOUR_US } else { 0 };
        (back > tolerance).then_some(back.saturating_add(more))
    }

    /// How far the partition's clock was set forward since a place was looked at, if it was. Too much does no harm.
    fn set_forward_since(&self, place: &TimedCursor) -> Option<i64> {
        let passed = self.utc_us.saturating_sub(place.clock_us).max(0);
        let forward = self.local_us.saturating_sub(place.looked_us).saturating_sub(passed);
        (forward > TOLERANCE_US + self.uncertain_us + passed / DRIFT).then_some(forward)
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
        let uncertain_us = self.told.map_or(0, |(_, _, uncertain)| uncertain);
        let settled_us = local_us - uncertain_us - LATE_US - self.held(now);
        Some(Moment { local_us, settled_us, utc_us, uncertain_us })
    }

    /// The same for a reader at a place. Only the place may show that the clock was set forward: a clock that is asked
    /// for the first time has nothing to compare with.
    pub fn moment_at(&mut self, now: Duration, utc_us: i64, place: &TimedCursor) -> Option<Moment> {
        let moment = self.moment(now, utc_us)?;
        match moment.set_forward_since(place).filter(|step| *step > self.held(now)) {
            Some(step) => {
                self.forward = Some((now, step));
                self.moment(now, utc_us)
            }
            None => Some(moment),
        }
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
        let late = LATE_US + 2 * SECOND_US;
        assert_eq!(told(-4 * SECOND_US, 2 * SECOND_US), (false, late, late), "a slow answer");
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
        // The agent's clock went back as well: how much time passed is not known.
        assert_eq!(since(-HOUR_US, 9 * HOUR_US, 0), Some(2 * HOUR_US));
        assert_eq!(since(-HOUR_US, 10 * HOUR_US, 0), None, "only the agent's");
        assert_eq!(since(-1, 10 * HOUR_US - 3 * SECOND_US, 0), None);
    }

    #[test]
    fn a_clock_that_is_new_learns_from_a_place_that_it_was_set_forward() {
        let mut clock = Clock::new(0);
        clock.tell(seconds(0), 2 * HOUR_US, 0, None);
        let unsettled = |clock: &mut Clock, at: u64, looked_us: i64| {
            let place = TimedCursor::starting(0, looked_us, 0);
            let utc_us = micros(seconds(at));
            let moment = clock.moment_at(seconds(at), utc_us, &place).unwrap();
            moment.local_us - moment.settled_us
        };
        assert_eq!(unsettled(&mut clock, 5, 2 * HOUR_US - 2 * SECOND_US), LATE_US, "no difference");
        assert_eq!(unsettled(&mut clock, 5, HOUR_US), LATE_US + HOUR_US);
        assert_eq!(unsettled(&mut clock, 15, 2 * HOUR_US), LATE_US + HOUR_US, "for all readers");
        assert_eq!(unsettled(&mut clock, 31, 2 * HOUR_US), LATE_US);
    }

    #[test]
    fn one_slow_answer_is_no_clock_that_is_set_back_later() {
        let mut clock = Clock::new(0);
        // Asked at 10, told at 40: it may have been read at once, or just before.
        clock.tell(seconds(25), HOUR_US, 15 * SECOND_US, None);
        let slow = clock.moment(seconds(40), 40 * SECOND_US).unwrap();
        let place = TimedCursor::starting(0, slow.earliest_us(), slow.utc_us);
        assert_eq!(slow.settled_us, HOUR_US - LATE_US);
        for read_at in [10, 25, 40] {
            let mut clock = clock.clone();
            let local_us = HOUR_US + (60 - read_at) * SECOND_US;
            clock.tell(seconds(60), local_us, 0, None);
            let quick = clock.moment(seconds(60), 60 * SECOND_US).unwrap();
            assert_eq!(quick.set_back_since(&place), None, "read at {read_at}");
        }
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
