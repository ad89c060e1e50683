//! Whether a source is silent or noisy, by its own past in the same hour of the week. Pure.

use muster_proto::api::FlagKind;

/// Weeks that must have been seen before anything is said.
pub(super) const MIN_WEEKS: u16 = 3;
/// Seconds of the hour that must have been seen.
const MIN_COVERED: u32 = 15 * 60;
/// Where fewer events than this are to be expected, none is nothing odd.
const MIN_EXPECTED: f64 = 20.0;
/// A source becomes silent below this part of what is expected, and is silent no more above that part.
const SILENT: (f64, f64) = (0.05, 0.2);
/// A source becomes noisy above this multiple, and is noisy no more below that one.
const NOISY: (f64, f64) = (5.0, 3.0);
/// What must be there beyond the expected before it is noise.
const MIN_EXCESS: f64 = 1_000.0;
/// Weight of a new week once enough are known: a change of habit is followed within a month.
const WEIGHT: f64 = 0.25;
/// One week can move what is known by this factor at most, so that an outage or a storm is not learnt.
const MAX_PULL: f64 = 8.0;

/// What is known of one hour of the week.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Past {
    /// Events in that hour.
    pub mean: f32,
    /// Weeks that it was learnt from.
    pub weeks: u16,
}

/// What is seen of the present hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Present {
    /// Events.
    pub count: u64,
    /// Seconds of the hour in which the agent was there.
    pub covered: u32,
}

#[allow(clippy::cast_precision_loss)] // compared with a mean
fn count(present: Present) -> f64 {
    present.count as f64
}

/// Events that are to be expected by now.
#[must_use]
pub fn expected(past: Past, present: Present) -> f64 {
    f64::from(past.mean) * f64::from(present.covered) / 3_600.0
}

/// The flag of a source that had the flag `before`.
#[must_use]
pub fn judge(past: Past, present: Present, before: Option<FlagKind>) -> Option<FlagKind> {
    if past.weeks < MIN_WEEKS {
        return None;
    }
    let (expected, count) = (expected(past, present), count(present));
    if present.covered < MIN_COVERED {
        // Too early for a new judgement; the one of the hour before stands until it is refuted.
        let whole_hour = f64::from(past.mean);
        return before.filter(|flag| match flag {
            FlagKind::Silent => count <= SILENT.1 * expected && whole_hour >= MIN_EXPECTED,
            FlagKind::Noisy => true,
        });
    }
    let silent = match before {
        Some(FlagKind::Silent) => SILENT.1,
        Some(FlagKind::Noisy) | None => SILENT.0,
    };
    let noisy = match before {
        Some(FlagKind::Noisy) => NOISY.1,
        Some(FlagKind::Silent) | None => NOISY.0,
    };
    if expected >= MIN_EXPECTED && count <= silent * expected {
        Some(FlagKind::Silent)
    } else if count >= noisy * expected && count - expected >= MIN_EXCESS {
        Some(FlagKind::Noisy)
    } else {
        None
    }
}

/// What is known after an hour; `None` if too little of it was seen to learn from.
#[must_use]
pub fn learn(past: Past, present: Present) -> Option<Past> {
    /// Nine tenths of an hour.
    const WHOLE: u32 = 3_240;
    if present.covered < WHOLE {
        return None;
    }
    let seen = count(present) * 3_600.0 / f64::from(present.covered);
    let mean = f64::from(past.mean);
    let weight = (1.0 / (f64::from(past.weeks) + 1.0)).max(WEIGHT);
    let believed = if past.weeks < MIN_WEEKS {
        seen
    } else {
        seen.clamp(mean / MAX_PULL, mean * MAX_PULL + MIN_EXPECTED)
    };
    #[allow(clippy::cast_possible_truncation)] // seven digits are plenty
    Some(Past { mean: (mean + weight * (believed - mean)) as f32, weeks: past.weeks.saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use FlagKind::{Noisy, Silent};

    #[test]
    fn every_case() {
        // Mean, weeks, count, minutes covered, flag before, expected flag.
        let cases = [
            (1_200.0, 3, 600, 30, None, None),
            (1_200.0, 3, 0, 30, None, Some(Silent)),
            (1_200.0, 3, 30, 30, None, Some(Silent)),
            (1_200.0, 3, 31, 30, None, None),
            (1_200.0, 2, 0, 30, None, None),
            (1_200.0, 3, 0, 14, None, None),
            (1_200.0, 3, 0, 15, None, Some(Silent)),
            // Hysteresis: it must come back, not just twitch.
            (1_200.0, 3, 100, 30, Some(Silent), Some(Silent)),
            (1_200.0, 3, 121, 30, Some(Silent), None),
            // The first minutes of an hour.
            (1_200.0, 3, 0, 2, Some(Silent), Some(Silent)),
            (1_200.0, 3, 20, 2, Some(Silent), None),
            (10.0, 3, 0, 2, Some(Silent), None),
            (10_000.0, 3, 1, 2, Some(Noisy), Some(Noisy)),
            // At night nothing is nothing odd.
            (19.0, 9, 0, 60, None, None),
            (0.0, 9, 0, 60, Some(Silent), None),
            // Noise.
            (1_200.0, 3, 3_000, 30, None, Some(Noisy)),
            (1_200.0, 3, 2_999, 30, None, None),
            (1_200.0, 3, 2_000, 30, Some(Noisy), Some(Noisy)),
            (1_200.0, 3, 1_799, 30, Some(Noisy), None),
            (10.0, 9, 900, 60, None, None),
            (0.0, 9, 1_000, 60, None, Some(Noisy)),
            (1_200.0, 3, 0, 60, Some(Noisy), Some(Silent)),
        ];
        for (mean, weeks, count, minutes, before, expected) in cases {
            let (past, present) = (Past { mean, weeks }, Present { count, covered: minutes * 60 });
            assert_eq!(judge(past, present, before), expected, "{past:?} {present:?} {before:?}");
        }
    }

    #[test]
    fn weeks_are_learnt_and_a_storm_is_not() {
        let hour = |count| Present { count, covered: 3_600 };
        let mut past = Past::default();
        for count in [900, 1_000, 1_100] {
            past = learn(past, hour(count)).unwrap();
        }
        assert_eq!(past, Past { mean: 1_000.0, weeks: 3 });
        assert_eq!(learn(past, Present { count: 9, covered: 3_239 }), None, "it was away");
        assert_eq!(learn(past, Present { count: 900, covered: 3_240 }).unwrap().mean, 1_000.0, "scaled up");
        let storm = learn(past, hour(1_000_000)).unwrap();
        assert!(storm.mean < 2_800.0, "{storm:?}");
        let outage = learn(past, hour(0)).unwrap();
        assert!(outage.mean > 750.0, "{outage:?}");
        // A habit that changes for good is followed.
        for _ in 0..12 {
            past = learn(past, hour(100)).unwrap();
        }
        assert!(past.mean < 150.0, "{past:?}");
        assert_eq!(learn(Past { mean: 0.0, weeks: u16::MAX }, hour(0)).unwrap().weeks, u16::MAX);
    }
}
