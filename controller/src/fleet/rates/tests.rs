//! Reports of an agent and what is told of them.

use super::*;

fn report(at_ms: u64, received: u64, delivered: u64) -> RatesReport {
    let source = wire::SourceRates {
        received,
        kept: received - received / 10,
        dropped: received / 10,
        dropped_by_rule: [("no-zr".to_owned(), received / 10)].into(),
        lag_ms: Some(700),
        bad_rows: 2,
        last_event_unix_ms: Some(5_000),
        ..Default::default()
    };
    let destination =
        wire::DestinationRates { delivered, lag_ms: Some(900), replayed: 3, ..Default::default() };
    RatesReport {
        boot_id: vec![1; 16],
        time_unix_ms: at_ms,
        sources: [("audit".to_owned(), source)].into(),
        destinations: [("siem".to_owned(), destination)].into(),
        ..Default::default()
    }
}

fn detail(tracker: &RateTracker) -> AgentRates {
    tracker.detail("019b8d7a-2da8-7657-b52d-492a9de33319".parse().unwrap(), "P", false)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn three_spans_from_counters() {
    let mut tracker = RateTracker::default();
    assert_eq!(tracker.window(false), RateWindow::default());
    for second in 0..=7_200_u64 {
        // 100 a second, and 200 a second in the last two minutes.
        let received = second * 100 + second.saturating_sub(7_080) * 100;
        tracker.report(&report(1_000_000 + second * 1_000, received, received), Timestamp::UNIX_EPOCH);
    }
    let window = tracker.window(false);
    assert_eq!(
        window.total,
        Totals { received: 732_000, kept: 658_800, dropped: 73_200, delivered: 732_000 }
    );
    assert!(near(window.now.received, 200.0), "{window:?}");
    assert!(near(window.minute.received, 200.0), "{window:?}");
    assert!(near(window.minute.dropped, 20.0), "{window:?}");
    assert!(window.hour.received > 102.5 && window.hour.received < 103.5, "{window:?}");
    assert_eq!(tracker.window(true).hour, PerSecond::default());
    assert_eq!(tracker.window(true).total, window.total);
    let detail = detail(&tracker);
    assert_eq!(detail.sources[0].dropped_by_rule["no-zr"], 73_200);
    assert_eq!((detail.sources[0].lag_ms, detail.destinations[0].lag_ms, detail.lag_ms), (700, 900, 900));
    assert!(near(detail.destinations[0].delivered_minute, 200.0));
    assert_eq!((detail.sources[0].counters.bad_rows, detail.destinations[0].counters.replayed), (2, 3));
    assert_eq!(detail.sources[0].counters.last_event, Some("1970-01-01T00:00:05Z".parse().unwrap()));
}

#[test]
fn an_agent_takes_little_memory() {
    let mut tracker = RateTracker::default();
    assert_eq!(tracker.heap_bytes(), 0);
    for second in 0..=7_200_u64 {
        let mut report = report(1_000_000 + second * 1_000, second, second);
        let source = report.sources["audit"].clone();
        report.sources.insert("history".to_owned(), source.clone());
        report.sources.insert("messages".to_owned(), source);
        tracker.report(&report, Timestamp::UNIX_EPOCH);
    }
    assert!(tracker.heap_bytes() < 2_048, "{}", tracker.heap_bytes());
}

#[test]
fn any_number_can_be_told() {
    let mut tracker = RateTracker::default();
    let mut absurd = report(1_000, u64::MAX, u64::MAX);
    let again = absurd.sources["audit"].clone();
    absurd.sources.insert("more".to_owned(), again);
    tracker.report(&absurd, Timestamp::UNIX_EPOCH);
    absurd.time_unix_ms = u64::MAX;
    tracker.report(&absurd, Timestamp::UNIX_EPOCH);
    assert_eq!(tracker.window(false).total.received, u64::MAX);
}

#[test]
fn a_minute_of_slow_reports_reaches_back_past_it() {
    let mut tracker = RateTracker::default();
    for i in 0..10_u64 {
        tracker.report(&report(1_000 + i * 30_000, i * 300, 0), Timestamp::UNIX_EPOCH);
    }
    assert!(near(tracker.window(false).minute.received, 10.0));
}

#[test]
fn a_source_that_is_added_leaves_the_others_as_they_were() {
    let mut tracker = RateTracker::default();
    tracker.report(&report(1_000, 100, 50), Timestamp::UNIX_EPOCH);
    tracker.report(&report(11_000, 200, 150), Timestamp::UNIX_EPOCH);
    let mut more = report(21_000, 300, 250);
    more.sources.insert("aaa".to_owned(), wire::SourceRates { received: 40, ..Default::default() });
    more.destinations.insert("zzz".to_owned(), wire::DestinationRates { delivered: 7, ..Default::default() });
    tracker.report(&more, Timestamp::UNIX_EPOCH);
    let shown = detail(&tracker);
    let now: Vec<_> = shown.sources.iter().map(|s| (s.name.as_str(), s.window.now.received)).collect();
    assert_eq!(now, [("aaa", 4.0), ("audit", 10.0)]);
    assert!(near(shown.sources[1].window.minute.received, 10.0), "{shown:?}");
    assert!(near(shown.destinations[0].delivered_now, 10.0), "{shown:?}");
    tracker.report(&report(31_000, 400, 350), Timestamp::UNIX_EPOCH);
    let shown = detail(&tracker);
    assert_eq!((shown.sources.len(), shown.sources[0].window.now.received), (1, 10.0));
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
    restarted.sources.get_mut("audit").unwrap().received = 50;
    tracker.report(&restarted, Timestamp::UNIX_EPOCH);
    let window = tracker.window(false);
    assert_eq!(
        (window.total.received, window.now, window.minute),
        (50, PerSecond::default(), PerSecond::default())
    );
}
