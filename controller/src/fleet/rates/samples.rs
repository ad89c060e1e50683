//! Counters at moments of the past: few, and in flat rows of numbers.
//!
//! A row is the time in milliseconds and then the counters of all sources and destinations in their order.
//! What is kept: the row before the last one, rows 20 s apart for the last minute, rows 12 min apart for the
//! last hour. So a span of a minute is 60 to 80 s long, one of an hour 60 to 72 min.

use std::mem::size_of;

/// Grid and span of the two longer spans, in milliseconds.
const MINUTE: Grid = Grid { step_ms: 20_000, span_ms: 60_000 };
const HOUR: Grid = Grid { step_ms: 720_000, span_ms: 3_600_000 };

#[derive(Debug, Clone, Copy)]
struct Grid {
    step_ms: u64,
    span_ms: u64,
}

/// Rows of one width, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Rows(Vec<u64>);

impl Rows {
    fn at(&self, width: usize, position: usize) -> Option<&[u64]> {
        self.0.get(position * width..(position + 1) * width)
    }

    fn last_ms(&self, width: usize) -> Option<u64> {
        self.0.len().checked_sub(width).map(|start| self.0[start])
    }

    /// Adds a row where the grid wants one, and drops what is not needed to reach back over the span.
    fn take(&mut self, grid: Grid, row: &[u64]) {
        let width = row.len();
        if self.last_ms(width).is_some_and(|last| row[0].saturating_sub(last) < grid.step_ms) {
            return;
        }
        let needless = (0..self.0.len() / width)
            .take_while(|i| {
                self.at(width, i + 1).is_some_and(|next| row[0].saturating_sub(next[0]) >= grid.span_ms)
            })
            .count();
        self.0.drain(..needless * width);
        self.0.reserve_exact(width);
        self.0.extend_from_slice(row);
    }

    /// The row that a span begins with.
    fn base(&self, width: usize, grid: Grid, now_ms: u64) -> Option<&[u64]> {
        let rows = self.0.len() / width.max(1);
        let old_enough =
            |i: &usize| self.at(width, *i).is_some_and(|row| now_ms.saturating_sub(row[0]) >= grid.span_ms);
        let position = (0..rows).take_while(old_enough).last().unwrap_or(0);
        self.at(width, position)
    }

    fn relaid(&self, width: usize, columns: &[Option<usize>]) -> Self {
        let row = |old: &[u64]| -> Vec<u64> {
            std::iter::once(old[0]).chain(columns.iter().map(|c| c.map_or(0, |c| old[c + 1]))).collect()
        };
        Self(self.0.chunks_exact(width).flat_map(row).collect())
    }
}

/// What is kept of the past of one agent's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Samples {
    last: Vec<u64>,
    previous: Vec<u64>,
    minute: Rows,
    hour: Rows,
    /// Where the present span of the history began; empty before the first.
    span: Vec<u64>,
}

impl Samples {
    /// The agent was restarted: its counters begin at 0 again, and so does a span that is under way.
    pub(super) fn restarted(&self, width: usize) -> Self {
        let span = if self.span.is_empty() { Vec::new() } else { vec![0; width] };
        Self { span, ..Self::default() }
    }

    /// The agent's clock leapt: what was before cannot be compared, but the counters go on.
    pub(super) fn leapt(self) -> Self {
        Self { span: self.span, ..Self::default() }
    }

    /// The newest row less that of the last call, without the time; `None` at the first call.
    pub(super) fn take_span(&mut self) -> Option<Vec<u64>> {
        let span = std::mem::replace(&mut self.span, self.last.clone());
        let both = self.last.iter().zip(&span).skip(1);
        (!span.is_empty()).then(|| both.map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    /// Memory for the next row: that of the row before the last one, which the next report replaces anyway.
    pub(super) fn spare(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.previous)
    }

    /// What comes next is not counted from here.
    pub(super) fn pause(&mut self) {
        self.span = Vec::new();
    }

    /// Takes the row of a report; its width is that of the rows before.
    pub(super) fn take(&mut self, row: Vec<u64>) {
        self.minute.take(MINUTE, &row);
        self.hour.take(HOUR, &row);
        self.previous = std::mem::replace(&mut self.last, row);
    }

    /// The columns are others now: which old one each new one was.
    pub(super) fn relay(&mut self, columns: &[Option<usize>]) {
        let width = self.last.len();
        if width == 0 {
            return;
        }
        let relaid = |rows: &[u64]| Rows(rows.to_vec()).relaid(width, columns).0;
        self.last = relaid(&self.last);
        self.previous = relaid(&self.previous);
        self.minute = self.minute.relaid(width, columns);
        self.hour = self.hour.relaid(width, columns);
        self.span = relaid(&self.span);
    }

    /// The newest row.
    pub(super) fn last(&self) -> Option<&[u64]> {
        (!self.last.is_empty()).then_some(&self.last)
    }

    /// The one before.
    pub(super) fn previous(&self) -> Option<&[u64]> {
        (!self.previous.is_empty()).then_some(&self.previous)
    }

    /// The row a minute back, or the oldest there is.
    pub(super) fn minute(&self) -> Option<&[u64]> {
        self.minute.base(self.last.len(), MINUTE, *self.last.first()?)
    }

    /// The row an hour back, or the oldest there is.
    pub(super) fn hour(&self) -> Option<&[u64]> {
        self.hour.base(self.last.len(), HOUR, *self.last.first()?)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let all = [&self.last, &self.previous, &self.minute.0, &self.hour.0, &self.span];
        all.iter().map(|rows| rows.capacity() * size_of::<u64>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(seconds: impl Iterator<Item = u64>) -> Samples {
        let mut samples = Samples::default();
        for second in seconds {
            samples.take(vec![second * 1_000, second]);
        }
        samples
    }

    #[test]
    fn few_rows_reach_back_over_each_span() {
        for (step, longest_minute) in [(1, 80), (30, 90)] {
            let samples = fed((0..=20_000).step_by(step));
            let last = samples.last().unwrap()[1];
            let back = |row: Option<&[u64]>| last - row.unwrap()[1];
            assert_eq!(back(samples.previous()), step as u64);
            assert!((60..longest_minute).contains(&back(samples.minute())), "{step}: {samples:?}");
            assert!((3_600..4_350).contains(&back(samples.hour())), "{step}: {samples:?}");
            assert!(samples.minute.0.len() <= 2 * 5 && samples.hour.0.len() <= 2 * 7, "{step}: {samples:?}");
        }
        let young = fed(0..5);
        assert_eq!(young.hour().unwrap(), young.minute().unwrap());
        assert_eq!(young.minute().unwrap()[1], 0);
    }

    #[test]
    fn spans_follow_each_other() {
        let mut samples = Samples::default();
        samples.take(vec![1_000, 10]);
        assert_eq!(samples.take_span(), None, "nobody knows since when");
        samples.take(vec![2_000, 15]);
        samples.take(vec![3_000, 17]);
        assert_eq!(samples.take_span(), Some(vec![7]));
        assert_eq!(samples.take_span(), Some(vec![0]));
        let mut samples = samples.restarted(2);
        samples.take(vec![4_000, 3]);
        assert_eq!(samples.take_span(), Some(vec![3]), "since its start");
        let mut samples = samples.leapt();
        samples.take(vec![1_000, 5]);
        assert_eq!(samples.take_span(), Some(vec![2]), "the clock does not count");
        samples.pause();
        samples.take(vec![9_000, 500]);
        assert_eq!(samples.take_span(), None, "it was away");
    }

    #[test]
    fn columns_move_and_new_ones_begin_at_zero() {
        let mut samples = Samples::default();
        samples.take(vec![1_000, 10, 20]);
        samples.take(vec![2_000, 11, 22]);
        samples.relay(&[Some(1), None, Some(0)]);
        assert_eq!(samples.last().unwrap(), [2_000, 22, 0, 11]);
        assert_eq!(samples.previous().unwrap(), [1_000, 20, 0, 10]);
        samples.take(vec![3_000, 23, 1, 12]);
        assert_eq!(samples.minute().unwrap(), [1_000, 20, 0, 10]);
    }
}
