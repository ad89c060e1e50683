//! Reads what several agents received in one pass, and what the fleet did over a day.

use super::query::{Cell, Range, at, each_segment};
use super::segment::{Next, Segment};
use muster_proto::api::{HistoryMetric, Totals};
use muster_shared::id::AgentId;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// Events per second, a value a step; none where an agent was away.
pub type Received = Vec<Option<f64>>;

/// What each of these agents received, all sources together, in the order of `agents`.
pub(super) fn received(folder: &Path, agents: &[AgentId], range: Range) -> io::Result<Vec<Received>> {
    let wanted: HashMap<AgentId, usize> = agents.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let mut cells = vec![vec![Cell::default(); range.steps()]; agents.len()];
    each_segment(folder, range, |hour, segment| one_hour(&wanted, &mut cells, range, hour, segment))?;
    let values = |cells: &Vec<Cell>| cells.iter().map(|cell| cell.value(HistoryMetric::Received)).collect();
    Ok(cells.iter().map(values).collect())
}

fn one_hour(
    wanted: &HashMap<AgentId, usize>,
    cells: &mut [Vec<Cell>],
    range: Range,
    hour: u32,
    mut segment: Segment,
) -> io::Result<()> {
    // Numbers of the agents in this hour, rising, with their places among those that are wanted.
    let (mut slots, mut known) = (Vec::new(), 0);
    let mut memory = Vec::new();
    while let Some(next) = segment.next()? {
        let moment = match next {
            Next::Names(_) => continue,
            Next::Agents(new) => {
                let numbered = (known..).zip(&new);
                slots.extend(numbered.filter_map(|(slot, id)| Some((slot, *wanted.get(id)?))));
                known += new.len() as u32;
                continue;
            }
            Next::Moment(moment) => moment,
        };
        let Some(step) = at(hour, moment.sums.second).and_then(|at| range.step_of(at)) else { continue };
        segment.rows(&moment, &slots, &mut memory, |row, place| {
            let sources = row.components.iter().filter(|component| !component.destination);
            let received = sources.fold(0, |sum: u64, source| sum.saturating_add(source.counts[0]));
            if let Some(cell) = cells[place].get_mut(step) {
                cell.add(received, moment.sums.span);
            }
        })?;
    }
    Ok(())
}

/// What the fleet counted in a range.
pub(super) fn totals(folder: &Path, range: Range) -> io::Result<Totals> {
    let mut sum = [0_u64; 4];
    each_segment(folder, range, |hour, mut segment| {
        while let Some(next) = segment.next()? {
            let Next::Moment(moment) = next else { continue };
            if at(hour, moment.sums.second).and_then(|at| range.step_of(at)).is_some() {
                sum = std::array::from_fn(|i| sum[i].saturating_add(moment.sums.counts[i]));
            }
        }
        Ok(())
    })?;
    let [received, kept, dropped, delivered] = sum;
    Ok(Totals { received, kept, dropped, delivered })
}
