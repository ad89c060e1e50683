//! Rates from cumulative counters.
//!
//! A lost report costs resolution, not truth; a new boot id starts again at 0. Three spans are computed:
//! between the last two reports, over the last minute and over the last hour. There are thousands of agents,
//! so little is kept of each: names once for the whole fleet, the newest counters, and some rows of the past.

mod samples;

use super::{bounded, names};
use jiff::Timestamp;
use muster_planner::Counters;
use muster_proto::api::{
    AgentRates, DestinationCounters, DestinationRates, PerSecond, RateWindow, SourceCounters, SourceRates,
    Totals,
};
use muster_proto::session::rates::{self as wire, RatesReport};
use muster_shared::id::AgentId;
use samples::Samples;
use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

/// Sources or destinations, and rules, that are kept of one report.
const MAX_NAMES: usize = 64;
/// A clock that leaps further than this makes what was before useless for comparing.
const MAX_LEAP_MS: u64 = 86_400_000;
/// Counters of a source in a row: received, kept, dropped.
const PER_SOURCE: usize = 3;

#[derive(Debug, Clone, PartialEq)]
struct Source {
    name: Arc<str>,
    total: [u64; PER_SOURCE],
    lag_ms: u64,
    counters: SourceCounters,
    /// What the rules did, in the order of [`by_rule`].
    by_rule: [Counts; BY_RULE],
}

/// Counts by name.
type Counts = Box<[(Arc<str>, u64)]>;

/// Lists of counts by rule in a report.
const BY_RULE: usize = 4;

/// What a report tells by rule: dropped, kept, held back, expressions that failed.
fn by_rule(told: &wire::SourceRates) -> [&BTreeMap<String, u64>; BY_RULE] {
    [&told.dropped_by_rule, &told.kept_by_rule, &told.throttled_by_rule, &told.expression_faults]
}

#[derive(Debug, Clone, PartialEq)]
struct Destination {
    name: Arc<str>,
    delivered: u64,
    lag_ms: u64,
    counters: DestinationCounters,
}

#[derive(Debug, Clone, PartialEq)]
struct Tracked {
    boot_id: [u8; 16],
    reported_at: Timestamp,
    sources: Box<[Source]>,
    destinations: Box<[Destination]>,
    samples: Samples,
}

/// What a source or a destination did in a span of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanCounts {
    /// Its name.
    pub name: Arc<str>,
    /// A destination.
    pub destination: bool,
    /// Received, kept, dropped; a destination's deliveries are in the first.
    pub counts: [u64; 3],
    /// Its lag now.
    pub lag_ms: u64,
}

/// The counters of one agent and their recent past. Takes no memory before the first report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateTracker(Option<Box<Tracked>>);

impl RateTracker {
    /// Takes a report that arrived at `now`.
    pub fn report(&mut self, report: &RatesReport, now: Timestamp) {
        let boot_id = boot_id(report);
        let at_ms = match report.time_unix_ms {
            0 => u64::try_from(now.as_millisecond()).unwrap_or(0),
            told => told,
        };
        if let Some(tracked) = &mut self.0
            && tracked.boot_id == boot_id
            && tracked.is_named_as(report)
        {
            tracked.update(report, at_ms, now);
            return;
        }
        let before = self.0.take();
        let mut samples = Samples::default();
        let sources: Box<[Source]> = report.sources.iter().take(MAX_NAMES).map(source).collect();
        let destinations: Box<[Destination]> =
            report.destinations.iter().take(MAX_NAMES).map(destination).collect();
        let row = row(Vec::new(), at_ms, &sources, &destinations);
        if let Some(before) = before {
            let leaps = before.leaps_to(at_ms);
            if before.boot_id != boot_id {
                samples = before.samples.restarted(row.len());
            } else {
                samples = relaid(*before, &sources, &destinations);
                if leaps {
                    samples = samples.leapt();
                }
            }
        }
        samples.take(row);
        self.0 = Some(Box::new(Tracked { boot_id, reported_at: now, sources, destinations, samples }));
    }

    /// Greatest lag of the destinations, or of the sources where no destination tells one.
    #[must_use]
    pub fn lag_ms(&self) -> u64 {
        let Some(tracked) = &self.0 else { return 0 };
        let destinations = tracked.destinations.iter().map(|d| d.lag_ms).max();
        let sources = tracked.sources.iter().map(|s| s.lag_ms).max();
        destinations.or(sources).unwrap_or(0)
    }

    /// All sources and destinations together. `silent` (offline) makes the rates 0, not the totals.
    #[must_use]
    pub fn window(&self, silent: bool) -> RateWindow {
        let Some(tracked) = &self.0 else { return RateWindow::default() };
        let count = tracked.sources.len();
        tracked.window(silent, |row| {
            let (sources, destinations) = row[1..].split_at(count * PER_SOURCE);
            let sum = |column| total(sources.iter().skip(column).step_by(PER_SOURCE).copied());
            Totals {
                received: sum(0),
                kept: sum(1),
                dropped: sum(2),
                delivered: total(destinations.iter().copied()),
            }
        })
    }

    /// All counters together, with what counts as an error: not decoded, cut, lost.
    #[must_use]
    pub fn counters(&self) -> Option<Counters> {
        let tracked = self.0.as_ref()?;
        // Random ids: half of one tells processes apart.
        let (_, half) = tracked.boot_id.split_last_chunk::<8>()?;
        let errors = |s: &Source| {
            let c = &s.counters;
            total([c.unknown_types, c.short_entries, c.bad_rows].into_iter())
        };
        let lost = |d: &Destination| total([d.counters.truncated, d.counters.lost_datagrams].into_iter());
        let at = tracked.samples.last().map_or(0, |row| row[0]);
        Some(Counters {
            at_ms: i64::try_from(at).unwrap_or(i64::MAX),
            boot: u64::from_be_bytes(*half),
            received: total(tracked.sources.iter().map(|s| s.total[0])),
            errors: total(tracked.sources.iter().map(errors).chain(tracked.destinations.iter().map(lost))),
        })
    }

    /// When it last reported.
    #[must_use]
    pub fn reported_at(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|tracked| tracked.reported_at)
    }

    /// Everything, by source and destination.
    #[must_use]
    pub fn detail(&self, id: AgentId, agent_name: &str, silent: bool) -> AgentRates {
        let (sources, destinations) = match &self.0 {
            Some(tracked) => (tracked.source_rates(silent), tracked.destination_rates(silent)),
            None => (Vec::new(), Vec::new()),
        };
        AgentRates {
            id,
            name: agent_name.to_owned(),
            reported_at: self.0.as_ref().map(|t| t.reported_at),
            window: self.window(silent),
            lag_ms: self.lag_ms(),
            sources,
            destinations,
        }
    }

    /// What was counted since the last call, by source and destination; `None` where nobody knows since when.
    pub fn take_span(&mut self) -> Option<Vec<SpanCounts>> {
        let tracked = self.0.as_mut()?;
        let span = tracked.samples.take_span()?;
        let (sources, destinations) = span.split_at_checked(tracked.sources.len() * PER_SOURCE)?;
        let source = |(source, counts): (&Source, &[u64])| SpanCounts {
            name: Arc::clone(&source.name),
            destination: false,
            counts: [counts[0], counts[1], counts[2]],
            lag_ms: source.lag_ms,
        };
        let destination = |(destination, delivered): (&Destination, &u64)| SpanCounts {
            name: Arc::clone(&destination.name),
            destination: true,
            counts: [*delivered, 0, 0],
            lag_ms: destination.lag_ms,
        };
        let sources = tracked.sources.iter().zip(sources.chunks_exact(PER_SOURCE)).map(source);
        Some(sources.chain(tracked.destinations.iter().zip(destinations).map(destination)).collect())
    }

    /// The agent is away: what it counts meanwhile belongs to no span.
    pub fn pause(&mut self) {
        if let Some(tracked) = &mut self.0 {
            tracked.samples.pause();
        }
    }

    /// Bytes on the heap, shared names apart.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let Some(tracked) = &self.0 else { return 0 };
        let lists = tracked.sources.iter().flat_map(|source| &source.by_rule);
        let rules = lists.map(|counts| size_of_val(&**counts)).sum::<usize>();
        size_of::<Tracked>()
            + size_of_val(&*tracked.sources)
            + size_of_val(&*tracked.destinations)
            + rules
            + tracked.samples.heap_bytes()
    }
}

impl Tracked {
    /// Nothing has another name or place than in the report: what nearly every report finds.
    fn is_named_as(&self, report: &RatesReport) -> bool {
        let rules = |source: &Source, told: &wire::SourceRates| {
            source.by_rule.iter().zip(by_rule(told)).all(|(counts, told)| {
                counts.len() == told.len()
                    && counts.iter().zip(told.keys()).all(|((r, _), t)| **r == *t.as_str())
            })
        };
        self.sources.len() == report.sources.len()
            && self.destinations.len() == report.destinations.len()
            && self
                .sources
                .iter()
                .zip(&report.sources)
                .all(|(s, (name, told))| *s.name == **name && rules(s, told))
            && self.destinations.iter().zip(report.destinations.keys()).all(|(d, name)| *d.name == **name)
    }

    /// Takes a report of the same process with the same names, where everything is.
    fn update(&mut self, report: &RatesReport, at_ms: u64, now: Timestamp) {
        for (source, told) in self.sources.iter_mut().zip(report.sources.values()) {
            (source.total, source.lag_ms) =
                ([told.received, told.kept, told.dropped], told.lag_ms.unwrap_or(0));
            source.counters = source_counters(told);
            for (counts, told) in source.by_rule.iter_mut().zip(by_rule(told)) {
                counts.iter_mut().zip(told.values()).for_each(|((_, count), told)| *count = *told);
            }
        }
        for (destination, told) in self.destinations.iter_mut().zip(report.destinations.values()) {
            (destination.delivered, destination.lag_ms) = (told.delivered, told.lag_ms.unwrap_or(0));
            destination.counters = destination_counters(told);
        }
        if self.leaps_to(at_ms) {
            self.samples = std::mem::take(&mut self.samples).leapt();
        }
        let spare = self.samples.spare();
        self.samples.take(row(spare, at_ms, &self.sources, &self.destinations));
        self.reported_at = now;
    }

    /// The agent's clock did not just go on.
    fn leaps_to(&self, at_ms: u64) -> bool {
        let last_ms = self.samples.last().map_or(0, |row| row[0]);
        at_ms <= last_ms || at_ms - last_ms > MAX_LEAP_MS
    }

    fn window(&self, silent: bool, totals: impl Fn(&[u64]) -> Totals) -> RateWindow {
        let Some(last) = self.samples.last() else { return RateWindow::default() };
        let total = totals(last);
        let since = |base: Option<&[u64]>| match base {
            Some(base) if !silent => per_second(totals(base), total, last[0].saturating_sub(base[0])),
            Some(_) | None => PerSecond::default(),
        };
        RateWindow {
            total,
            now: since(self.samples.previous()),
            minute: since(self.samples.minute()),
            hour: since(self.samples.hour()),
        }
    }

    fn source_rates(&self, silent: bool) -> Vec<SourceRates> {
        let named = |counts: &Counts| counts.iter().map(|(name, count)| (name.to_string(), *count)).collect();
        let rates = |(position, source): (usize, &Source)| {
            let [dropped, kept, throttled, faults] = &source.by_rule;
            SourceRates {
                name: source.name.to_string(),
                window: self.window(silent, |row| {
                    let at = 1 + position * PER_SOURCE;
                    Totals { received: row[at], kept: row[at + 1], dropped: row[at + 2], delivered: 0 }
                }),
                dropped_by_rule: named(dropped),
                kept_by_rule: named(kept),
                throttled_by_rule: named(throttled),
                expression_faults: named(faults),
                lag_ms: source.lag_ms,
                counters: source.counters,
            }
        };
        self.sources.iter().enumerate().map(rates).collect()
    }

    fn destination_rates(&self, silent: bool) -> Vec<DestinationRates> {
        let first = 1 + self.sources.len() * PER_SOURCE;
        let rates = |(position, destination): (usize, &Destination)| {
            let window =
                self.window(silent, |row| Totals { delivered: row[first + position], ..Totals::default() });
            DestinationRates {
                name: destination.name.to_string(),
                delivered: window.total.delivered,
                delivered_now: window.now.delivered,
                delivered_minute: window.minute.delivered,
                delivered_hour: window.hour.delivered,
                lag_ms: destination.lag_ms,
                counters: destination.counters,
            }
        };
        self.destinations.iter().enumerate().map(rates).collect()
    }
}

/// The past of the same agent, with its columns where the new ones are.
fn relaid(before: Tracked, sources: &[Source], destinations: &[Destination]) -> Samples {
    let mut samples = before.samples;
    let same = before.sources.iter().map(|s| &s.name).eq(sources.iter().map(|s| &s.name))
        && before.destinations.iter().map(|d| &d.name).eq(destinations.iter().map(|d| &d.name));
    if !same {
        let first = before.sources.len() * PER_SOURCE;
        let mut columns = Vec::with_capacity(sources.len() * PER_SOURCE + destinations.len());
        for source in sources {
            let old = before.sources.iter().position(|s| s.name == source.name);
            columns.extend((0..PER_SOURCE).map(|c| old.map(|old| old * PER_SOURCE + c)));
        }
        for destination in destinations {
            let old = before.destinations.iter().position(|d| d.name == destination.name);
            columns.push(old.map(|old| first + old));
        }
        samples.relay(&columns);
    }
    samples
}

/// The counters as a row, in the memory of `row`.
fn row(mut row: Vec<u64>, at_ms: u64, sources: &[Source], destinations: &[Destination]) -> Vec<u64> {
    row.clear();
    row.reserve_exact(1 + sources.len() * PER_SOURCE + destinations.len());
    row.push(at_ms);
    row.extend(sources.iter().flat_map(|s| s.total));
    row.extend(destinations.iter().map(|d| d.delivered));
    row
}

fn boot_id(report: &RatesReport) -> [u8; 16] {
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(&report.boot_id) {
        *to = *from;
    }
    id
}

/// An agent may tell any number: a sum beyond the greatest stays there.
fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

fn name(text: &str) -> Arc<str> {
    names::shared(&bounded(text, 128))
}

fn source((text, told): (&String, &wire::SourceRates)) -> Source {
    Source {
        name: name(text),
        total: [told.received, told.kept, told.dropped],
        lag_ms: told.lag_ms.unwrap_or(0),
        counters: source_counters(told),
        by_rule: by_rule(told).map(|told| told.iter().take(MAX_NAMES).map(|(r, n)| (name(r), *n)).collect()),
    }
}

fn source_counters(told: &wire::SourceRates) -> SourceCounters {
    SourceCounters {
        bytes: told.bytes,
        unknown_types: told.decoded_unknown,
        short_entries: told.decoded_short,
        bad_rows: told.bad_rows,
        last_event: told.last_event_unix_ms.and_then(time),
    }
}

fn destination_counters(told: &wire::DestinationRates) -> DestinationCounters {
    DestinationCounters {
        bytes: told.bytes,
        queue_bytes: told.queue_bytes,
        replayed: told.replayed,
        reconnects: told.reconnects,
        truncated: told.truncated,
        lost_datagrams: told.lost_datagrams,
    }
}

fn destination((text, told): (&String, &wire::DestinationRates)) -> Destination {
    Destination {
        name: name(text),
        delivered: told.delivered,
        lag_ms: told.lag_ms.unwrap_or(0),
        counters: destination_counters(told),
    }
}

fn time(unix_ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()
}

fn per_second(before: Totals, after: Totals, span_ms: u64) -> PerSecond {
    #[allow(clippy::cast_precision_loss)] // rates are for people: 53 bits are plenty
    let rate = |before: u64, after: u64| {
        if span_ms == 0 { 0.0 } else { after.saturating_sub(before) as f64 * 1_000.0 / span_ms as f64 }
    };
    PerSecond {
        received: rate(before.received, after.received),
        kept: rate(before.kept, after.kept),
        dropped: rate(before.dropped, after.dropped),
        delivered: rate(before.delivered, after.delivered),
    }
}

#[cfg(test)]
mod tests;
