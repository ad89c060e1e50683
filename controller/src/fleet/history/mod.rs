//! What agents did over the last day, on disk: [`format`] says how, [`segment`] has one file an hour.
//!
//! Nothing of it is in memory but the names and numbers of the hour that is written. Promises: a crash costs the
//! moment that was being written, never more; what is kept is bounded by age and by size. Refuses: to be more than
//! history: nothing is decided by it.

mod format;
mod query;
mod sample;
mod segment;
mod several;

pub use query::{Answer, Range, Series};
pub use sample::{Sampled, record_each_span};
pub use several::Received;

use format::{Counts, Row, Sums};
use jiff::Timestamp;
use muster_proto::api::{HistoryMetric, Totals};
use muster_shared::id::AgentId;
use segment::Writer;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Hours kept beside the present one: a day, whole at any time.
const KEEP_HOURS: u32 = 25;
const HOUR_SECONDS: i64 = 3_600;
/// How long one reading of the last day serves all who ask.
const DAY_FRESH: Duration = Duration::from_secs(20);

/// The history of the fleet. All of it blocks on the disk.
pub struct History {
    folder: PathBuf,
    max_bytes: u64,
    writer: Mutex<Option<Writer>>,
    /// What the last day summed up to, and when that was read.
    day: Mutex<Option<(Instant, Totals)>>,
}

/// The hour of a time, counted since 1970, and the seconds into it.
fn hour_of(at: Timestamp) -> (u32, u64) {
    let second = at.as_second().max(0);
    let hour = u32::try_from(second / HOUR_SECONDS).unwrap_or(u32::MAX);
    (hour, (second % HOUR_SECONDS).unsigned_abs())
}

impl History {
    /// Opens the history in a folder, which is made if need be.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), max_bytes, writer: Mutex::new(None), day: Mutex::new(None) })
    }

    /// Appends what agents did in the `span` seconds before `now`.
    ///
    /// # Errors
    /// Whatever the file system says; then this moment is missing.
    pub fn record(&self, now: Timestamp, span: u64, sampled: &[Sampled]) -> io::Result<()> {
        let (hour, second) = hour_of(now);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.as_ref().is_none_or(|writer| writer.hour != hour) {
            *writer = None;
            self.delete_old(hour)?;
            *writer = Some(Writer::open(&self.folder, hour)?);
        }
        let Some(open) = writer.as_mut() else { return Ok(()) };
        let rows = sampled.iter().map(|sampled| row(open, sampled)).collect();
        let done = open.append(&sums(second, span, sampled), rows);
        if done.is_err() {
            // Names and numbers of what was not written must not be relied on: read them again.
            *writer = None;
        }
        done
    }

    /// Deletes what is older than a day, and more if all together is too large.
    fn delete_old(&self, hour: u32) -> io::Result<()> {
        let mut segments = segment::list(&self.folder)?;
        // A clock that was set back leaves segments of the future: they are as useless as old ones.
        let stale =
            |found: u32| found.saturating_add(KEEP_HOURS) < hour || found > hour.saturating_add(KEEP_HOURS);
        let mut total: u64 = segments.iter().map(|(_, bytes)| bytes).sum();
        segments.retain(|(found, _)| *found != hour);
        for (found, bytes) in segments {
            if stale(found) || total > self.max_bytes {
                std::fs::remove_file(segment::path(&self.folder, found))?;
                total -= bytes;
            }
        }
        Ok(())
    }

    /// What one agent did, by source and destination.
    ///
    /// # Errors
    /// Whatever the file system says. Damaged parts are missing, not wrong.
    pub fn agent(&self, agent: AgentId, metric: HistoryMetric, range: Range) -> io::Result<Answer> {
        query::agent(&self.folder, agent, metric, range)
    }

    /// What the fleet did together.
    ///
    /// # Errors
    /// As above.
    pub fn fleet(&self, metric: HistoryMetric, range: Range) -> io::Result<Answer> {
        query::fleet(&self.folder, metric, range)
    }

    /// What each of these agents received, all sources together, in their order: one pass for all of them.
    ///
    /// # Errors
    /// As above.
    pub fn received(&self, agents: &[AgentId], range: Range) -> io::Result<Vec<Received>> {
        several::received(&self.folder, agents, range)
    }

    /// What the fleet counted over the last 24 hours; up to some seconds old.
    ///
    /// # Errors
    /// As above.
    pub fn day(&self, now: Timestamp) -> io::Result<Totals> {
        // Held while reading: who asks meanwhile waits for this reading instead of taking another.
        let mut last = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, totals)) = last.filter(|(at, _)| at.elapsed() < DAY_FRESH) {
            return Ok(totals);
        }
        let from = now.checked_sub(jiff::SignedDuration::from_hours(24)).unwrap_or(now);
        let totals = several::totals(&self.folder, Range { from, to: now, step: 86_400 })?;
        *last = Some((Instant::now(), totals));
        Ok(totals)
    }
}

fn row(writer: &mut Writer, sampled: &Sampled) -> Row {
    let slot = writer.slot(sampled.agent);
    let components = sampled.components.iter().map(|component| Counts {
        name: writer.name(&component.name),
        destination: component.destination,
        counts: component.counts,
        lag_ms: component.lag_ms,
    });
    Row { slot, state: sampled.state, components: components.collect() }
}

fn sums(second: u64, span: u64, sampled: &[Sampled]) -> Sums {
    let mut sums = Sums { second, span, agents: sampled.len() as u64, ..Sums::default() };
    for component in sampled.iter().flat_map(|sampled| &sampled.components) {
        let [first, kept, dropped] = component.counts;
        let add = |sum: &mut u64, value: u64| *sum = sum.saturating_add(value);
        if component.destination {
            add(&mut sums.counts[3], first);
        } else {
            add(&mut sums.counts[0], first);
            add(&mut sums.counts[1], kept);
            add(&mut sums.counts[2], dropped);
        }
        sums.lag_ms = sums.lag_ms.max(component.lag_ms);
    }
    sums
}

#[cfg(test)]
mod tests;
