//! Reads history back: counts become rates per step, lag the greatest of each step.

use super::segment::{self, Next, Segment};
use super::{HOUR_SECONDS, format::Counts, hour_of};
use jiff::Timestamp;
use muster_proto::api::{ComponentKind, HistoryMetric};
use muster_shared::id::AgentId;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Which time, in which steps. Checked where it is made: `from` before `to`, steps of a second or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Beginning of the first step.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// Length of a step in seconds.
    pub step: u64,
}

impl Range {
    /// Number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        let seconds = self.to.duration_since(self.from).as_secs().max(0).unsigned_abs();
        usize::try_from(seconds.div_ceil(self.step.max(1))).unwrap_or(usize::MAX)
    }

    /// The step of a moment, which tells of the time before it.
    pub(super) fn step_of(&self, at: Timestamp) -> Option<usize> {
        let behind = at.duration_since(self.from).as_secs();
        let inside = behind > 0 && at <= self.to;
        inside.then(|| usize::try_from((behind.unsigned_abs() - 1) / self.step.max(1)).ok()).flatten()
    }
}

/// A source, a destination, or the fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is.
    pub kind: ComponentKind,
    /// Its name.
    pub name: String,
    /// One value a step; none where nothing is known.
    pub values: Vec<Option<f64>>,
}

/// Values of some series.
pub type Answer = Vec<Series>;

/// A step that is being added up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    sum: u64,
    span: u64,
    most: u64,
}

impl Cell {
    pub(super) fn add(&mut self, value: u64, span: u64) {
        self.sum = self.sum.saturating_add(value);
        self.span += span;
        self.most = self.most.max(value);
    }

    #[allow(clippy::cast_precision_loss)] // for people: 53 bits are plenty
    pub(super) fn value(&self, metric: HistoryMetric) -> Option<f64> {
        let known = self.span > 0;
        known.then(|| match metric {
            HistoryMetric::Received
            | HistoryMetric::Kept
            | HistoryMetric::Dropped
            | HistoryMetric::Delivered => self.sum as f64 / self.span as f64,
            HistoryMetric::LagMs => self.most as f64,
        })
    }
}

/// Shows every segment that may hold a part of the range.
pub(super) fn each_segment(
    folder: &Path,
    range: Range,
    mut visit: impl FnMut(u32, Segment) -> io::Result<()>,
) -> io::Result<()> {
    let (first, last) = (hour_of(range.from).0, hour_of(range.to).0);
    for (hour, _) in segment::list(folder)? {
        if hour < first || hour > last {
            continue;
        }
        // It may just have been deleted for its age.
        match Segment::open(&segment::path(folder, hour), hour) {
            Ok(Some(segment)) => visit(hour, segment)?,
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn at(hour: u32, second: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::from(hour) * HOUR_SECONDS + i64::try_from(second).ok()?).ok()
}

/// What one agent did.
pub(super) fn agent(
    folder: &Path,
    agent: AgentId,
    metric: HistoryMetric,
    range: Range,
) -> io::Result<Answer> {
    let steps = range.steps();
    let mut series: BTreeMap<(ComponentKind, String), Vec<Cell>> = BTreeMap::new();
    each_segment(folder, range, |hour, mut segment| {
        let (mut names, mut slots, mut slot) = (Vec::new(), 0, None);
        while let Some(next) = segment.next()? {
            let moment = match next {
                Next::Names(new) => {
                    names.extend(new);
                    continue;
                }
                Next::Agents(new) => {
                    let place = new.iter().position(|id| *id == agent);
                    slot = slot.or(place.map(|place| slots + place as u32));
                    slots += new.len() as u32;
                    continue;
                }
                Next::Moment(moment) => moment,
            };
            let step = at(hour, moment.sums.second).and_then(|at| range.step_of(at));
            let (Some(step), Some(slot)) = (step, slot) else { continue };
            let Some(row) = segment.row(&moment, slot)? else { continue };
            for component in row.components {
                let (Some(value), Some(name)) =
                    (value(&component, metric), names.get(component.name as usize))
                else {
                    continue;
                };
                let kind =
                    if component.destination { ComponentKind::Destination } else { ComponentKind::Source };
                let cells =
                    series.entry((kind, name.clone())).or_insert_with(|| vec![Cell::default(); steps]);
                if let Some(cell) = cells.get_mut(step) {
                    cell.add(value, moment.sums.span);
                }
            }
        }
        Ok(())
    })?;
    let series =
        series.into_iter().map(|((kind, name), cells)| Series { kind, name, values: values(&cells, metric) });
    Ok(series.collect())
}

/// What the fleet did.
pub(super) fn fleet(folder: &Path, metric: HistoryMetric, range: Range) -> io::Result<Answer> {
    let mut cells = vec![Cell::default(); range.steps()];
    each_segment(folder, range, |hour, mut segment| {
        while let Some(next) = segment.next()? {
            let Next::Moment(moment) = next else { continue };
            let sums = moment.sums;
            let value = match metric {
                HistoryMetric::Received => sums.counts[0],
                HistoryMetric::Kept => sums.counts[1],
                HistoryMetric::Dropped => sums.counts[2],
                HistoryMetric::Delivered => sums.counts[3],
                HistoryMetric::LagMs => sums.lag_ms,
            };
            let step = at(hour, sums.second).and_then(|at| range.step_of(at));
            if let Some(cell) = step.and_then(|step| cells.get_mut(step)) {
                cell.add(value, sums.span);
            }
        }
        Ok(())
    })?;
    let values = values(&cells, metric);
    Ok(vec![Series { kind: ComponentKind::Other, name: "fleet".to_owned(), values }])
}

fn values(cells: &[Cell], metric: HistoryMetric) -> Vec<Option<f64>> {
    cells.iter().map(|cell| cell.value(metric)).collect()
}

/// The number that a metric asks for; sources deliver nothing, destinations receive nothing.
fn value(component: &Counts, metric: HistoryMetric) -> Option<u64> {
    let [first, kept, dropped] = component.counts;
    match (metric, component.destination) {
        (HistoryMetric::Received, false) | (HistoryMetric::Delivered, true) => Some(first),
        (HistoryMetric::Kept, false) => Some(kept),
        (HistoryMetric::Dropped, false) => Some(dropped),
        (HistoryMetric::LagMs, _) => Some(component.lag_ms),
        (HistoryMetric::Received | HistoryMetric::Kept | HistoryMetric::Dropped, true)
        | (HistoryMetric::Delivered, false) => None,
    }
}
