//! Pure: rows that were handed over of late, for the time after the partition's clock was set back.

use std::collections::{HashMap, VecDeque};

/// Most rows remembered: some 2 MiB, the rows of an hour at nine a second.
pub const MOST: usize = 32_768;

/// Rows handed over, to any lane, since the source was connected.
#[derive(Debug, Default)]
pub struct Recent {
    order: VecDeque<u64>,
    /// By hash: how often it was handed over, and how often the clock had been set back when that happened first. What
    /// a lane that lags is handed once more is of before for the others all the same.
    rows: HashMap<u64, (u32, u32)>,
    setbacks: u32,
}

impl Recent {
    /// The row was handed over.
    pub fn note(&mut self, hash: u64) {
        self.rows.entry(hash).or_insert((0, self.setbacks)).0 += 1;
        self.order.push_back(hash);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
            && let Some(entry) = self.rows.get_mut(&oldest)
        {
            entry.0 -= 1;
            if entry.0 == 0 {
                self.rows.remove(&oldest);
            }
        }
    }

    /// The clock was set back: what was handed over so far is of before.
    pub fn set_back(&mut self) {
        self.setbacks += 1;
    }

    /// Whether the row was handed over before the clock was set back last.
    #[must_use]
    pub fn is_of_before(&self, hash: u64) -> bool {
        self.rows.get(&hash).is_some_and(|(_, setbacks)| *setbacks < self.setbacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_of_before_only_after_a_setback_and_are_forgotten_in_order() {
        let mut recent = Recent::default();
        recent.note(1);
        assert!(!recent.is_of_before(1));
        recent.set_back();
        recent.note(2);
        assert!(recent.is_of_before(1) && !recent.is_of_before(2) && !recent.is_of_before(3));
        recent.note(1);
        assert!(recent.is_of_before(1), "to another lane");
        for hash in 0..MOST as u64 {
            recent.note(hash + 10);
        }
        recent.set_back();
        assert!(!recent.is_of_before(1) && !recent.is_of_before(2), "forgotten");
        assert!(recent.is_of_before(10));
        assert_eq!((recent.order.len(), recent.rows.len()), (MOST, MOST));
    }
}
