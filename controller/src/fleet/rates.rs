//! Rates from cumulative counters.
//!
//! A lost report costs resolution, not truth; a new boot id starts again at 0. Two spans are computed:
//! between the last two reports, and over the last minute.

use super::bounded;
use jiff::Timestamp;
use muster_proto::api::{AgentRates, DestinationRates, PerSecond, RateWindow, SourceRates, Totals};
use muster_proto::session::rates::RatesReport;
use muster_shared::id::AgentId;
use std::collections::{BTreeMap, VecDeque};

/// Longest span that is looked back.
const MINUTE_MS: i64 = 60_000;
/// Reports kept: one a second for the minute, and the one before it.
const MAX_SAMPLES: usize = 64;
/// Sources or destinations, and rules, that are kept of one report.
const MAX_NAMES: usize = 64;

/// Counters of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Sample {
    at_ms: i64,
    /// Received, kept, dropped; by source.
    sources: BTreeMap<String, [u64; 3]>,
    /// Delivered; by destination.
    destinations: BTreeMap<String, u64>,
}

/// What is told of a source beside its counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct SourceDetail {
    dropped_by_rule: BTreeMap<String, u64>,
    lag_ms: u64,
}

/// The counters of one agent over the last minute.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateTracker {
    boot_id: Vec<u8>,
    samples: VecDeque<Sample>,
    sources: BTreeMap<String, SourceDetail>,
    destination_lag_ms: BTreeMap<String, u64>,
    reported_at: Option<Timestamp>,
}

impl RateTracker {
    /// Takes a report that arrived at `now`.
    pub fn report(&mut self, report: &RatesReport, now: Timestamp) {
        if report.boot_id != self.boot_id {
            self.boot_id = report.boot_id.iter().copied().take(16).collect();
            self.samples.clear();
        }
        let at_ms = i64::try_from(report.time_unix_ms).ok().filter(|&t| t > 0);
        let at_ms = at_ms.unwrap_or_else(|| now.as_millisecond());
        // The agent's clock was set back, or leapt: what was before cannot be compared.
        if self.samples.back().is_some_and(|last| at_ms <= last.at_ms || at_ms - last.at_ms > 86_400_000) {
            self.samples.clear();
        }
        self.samples.push_back(sample(report, at_ms));
        while self.samples.len() > MAX_SAMPLES
            || self.samples.get(1).is_some_and(|second| at_ms - second.at_ms >= MINUTE_MS)
        {
            self.samples.pop_front();
        }
        self.sources = report.sources.iter().take(MAX_NAMES).map(|(n, s)| (name(n), detail(s))).collect();
        let lags = report.destinations.iter().take(MAX_NAMES);
        self.destination_lag_ms = lags.map(|(n, d)| (name(n), d.lag_ms.unwrap_or(0))).collect();
        self.reported_at = Some(now);
    }

    /// Greatest lag of the destinations, or of the sources where no destination tells one.
    #[must_use]
    pub fn lag_ms(&self) -> u64 {
        let destinations = self.destination_lag_ms.values().copied().max();
        let sources = self.sources.values().map(|s| s.lag_ms).max();
        destinations.or(sources).unwrap_or(0)
    }

    /// All sources and destinations together. `silent` (offline) makes the rates 0, not the totals.
    #[must_use]
    pub fn window(&self, silent: bool) -> RateWindow {
        self.compute(silent, |s| Totals {
            received: total(s.sources.values().map(|c| c[0])),
            kept: total(s.sources.values().map(|c| c[1])),
            dropped: total(s.sources.values().map(|c| c[2])),
            delivered: total(s.destinations.values().copied()),
        })
    }

    /// Everything, by source and destination.
    #[must_use]
    pub fn detail(&self, id: AgentId, agent_name: &str, silent: bool) -> AgentRates {
        let source = |(name, detail): (&String, &SourceDetail)| SourceRates {
            name: name.clone(),
            window: self.compute(silent, |s| {
                let [received, kept, dropped] = s.sources.get(name).copied().unwrap_or_default();
                Totals { received, kept, dropped, delivered: 0 }
            }),
            dropped_by_rule: detail.dropped_by_rule.clone(),
            lag_ms: detail.lag_ms,
        };
        let destination = |(name, lag): (&String, &u64)| {
            let window = self.compute(silent, |s| Totals {
                delivered: s.destinations.get(name).copied().unwrap_or_default(),
                ..Totals::default()
            });
            DestinationRates {
                name: name.clone(),
                delivered: window.total.delivered,
                delivered_now: window.now.delivered,
                delivered_minute: window.minute.delivered,
                lag_ms: *lag,
            }
        };
        AgentRates {
            id,
            name: agent_name.to_owned(),
            reported_at: self.reported_at,
            window: self.window(silent),
            lag_ms: self.lag_ms(),
            sources: self.sources.iter().map(source).collect(),
            destinations: self.destination_lag_ms.iter().map(destination).collect(),
        }
    }

    fn compute(&self, silent: bool, totals: impl Fn(&Sample) -> Totals) -> RateWindow {
        let Some(last) = self.samples.back() else { return RateWindow::default() };
        let total = totals(last);
        let since = |sample: Option<&Sample>| match sample {
            Some(sample) if !silent => per_second(totals(sample), total, last.at_ms - sample.at_ms),
            Some(_) | None => PerSecond::default(),
        };
        let previous = self.samples.len().checked_sub(2).and_then(|i| self.samples.get(i));
        let oldest = self.samples.front().filter(|_| self.samples.len() > 1);
        RateWindow { total, now: since(previous), minute: since(oldest) }
    }
}

/// An agent may tell any number: a sum beyond the greatest stays there.
fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

fn name(text: &str) -> String {
    bounded(text, 128)
}

fn sample(report: &RatesReport, at_ms: i64) -> Sample {
    Sample {
        at_ms,
        sources: report
            .sources
            .iter()
            .take(MAX_NAMES)
            .map(|(n, s)| (name(n), [s.received, s.kept, s.dropped]))
            .collect(),
        destinations: report
            .destinations
            .iter()
            .take(MAX_NAMES)
            .map(|(n, d)| (name(n), d.delivered))
            .collect(),
    }
}

fn detail(source: &muster_proto::session::rates::SourceRates) -> SourceDetail {
    SourceDetail {
        dropped_by_rule: source
            .dropped_by_rule
            .iter()
            .take(MAX_NAMES)
            .map(|(rule, n)| (name(rule), *n))
            .collect(),
        lag_ms: source.lag_ms.unwrap_or(0),
    }
}

fn per_second(before: Totals, after: Totals, span_ms: i64) -> PerSecond {
    #[allow(clippy::cast_precision_loss)] // rates are for people: 53 bits are plenty
    let rate = |before: u64, after: u64| {
        if span_ms <= 0 { 0.0 } else { after.saturating_sub(before) as f64 * 1_000.0 / span_ms as f64 }
    };
    PerSecond {
        received: rate(before.received, after.received),
        kept: rate(before.kept, after.kept),
        dropped: rate(before.dropped, after.dropped),
        delivered: rate(before.delivered, after.delivered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::session::rates as wire;

    fn report(at_ms: u64, received: u64, delivered: u64) -> RatesReport {
        let source = wire::SourceRates {
            received,
            kept: received - received / 10,
            dropped: received / 10,
            dropped_by_rule: [("no-zr".to_owned(), received / 10)].into(),
            lag_ms: Some(700),
            ..Default::default()
        };
        let destination = wire::DestinationRates { delivered, lag_ms: Some(900), ..Default::default() };
        RatesReport {
            boot_id: vec![1; 16],
            time_unix_ms: at_ms,
            sources: [("audit".to_owned(), source)].into(),
            destinations: [("siem".to_owned(), destination)].into(),
            ..Default::default()
        }
    }

    #[test]
    fn two_spans_from_counters() {
        let mut tracker = RateTracker::default();
        assert_eq!(tracker.window(false), RateWindow::default());
        for second in 0..=120_u64 {
            // 100 a second for a minute, then 200 a second.
            let received = if second <= 60 { second * 100 } else { 6_000 + (second - 60) * 200 };
            tracker.report(&report(1_000_000 + second * 1_000, received, received), Timestamp::UNIX_EPOCH);
        }
        let window = tracker.window(false);
        assert_eq!(
            window.total,
            Totals { received: 18_000, kept: 16_200, dropped: 1_800, delivered: 18_000 }
        );
        assert!((window.now.received - 200.0).abs() < 1e-9, "{window:?}");
        assert!((window.minute.received - 200.0).abs() < 1e-9, "{window:?}");
        assert!((window.minute.dropped - 20.0).abs() < 1e-9, "{window:?}");
        assert_eq!(tracker.window(true).now, PerSecond::default());
        assert_eq!(tracker.window(true).total, window.total);
        assert!(tracker.samples.len() <= MAX_SAMPLES);
        let detail = tracker.detail("019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(), "P", false);
        assert_eq!(detail.sources[0].dropped_by_rule["no-zr"], 1_800);
        assert_eq!((detail.sources[0].lag_ms, detail.destinations[0].lag_ms, detail.lag_ms), (700, 900, 900));
        assert!((detail.destinations[0].delivered_minute - 200.0).abs() < 1e-9);
    }

    #[test]
    fn any_number_can_be_told() {
        let mut tracker = RateTracker::default();
        let mut absurd = report(1_000, u64::MAX, u64::MAX);
        let again = absurd.sources["audit"].clone();
        absurd.sources.insert("more".to_owned(), again);
        tracker.report(&absurd, Timestamp::UNIX_EPOCH);
        assert_eq!(tracker.window(false).total.received, u64::MAX);
    }

    #[test]
    fn a_minute_of_slow_reports_reaches_back_past_it() {
        let mut tracker = RateTracker::default();
        for i in 0..10_u64 {
            tracker.report(&report(1_000 + i * 30_000, i * 300, 0), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(tracker.samples.len(), 3);
        assert!((tracker.window(false).minute.received - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_restart_or_a_clock_set_back_starts_again() {
        let mut tracker = RateTracker::default();
        tracker.report(&report(10_000, 500, 500), Timestamp::UNIX_EPOCH);
        let mut restarted = report(11_000, 5, 5);
        restarted.boot_id = vec![2; 16];
        tracker.report(&restarted, Timestamp::UNIX_EPOCH);
        assert_eq!(tracker.window(false).now, PerSecond::default());
        assert_eq!(tracker.window(false).total.received, 5);
        restarted.time_unix_ms = 9_000;
        tracker.report(&restarted, Timestamp::UNIX_EPOCH);
        assert_eq!(tracker.samples.len(), 1);
    }
}
