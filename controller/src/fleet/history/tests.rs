//! Segments on disk, as they are written and read back.

use super::*;
use crate::fleet::rates::SpanCounts;
use muster_proto::api::{AgentState, ComponentKind};
use std::sync::Arc;

fn agent(number: u128) -> AgentId {
    AgentId(uuid::Uuid::from_u128(number))
}

fn counts(name: &str, destination: bool, counts: [u64; 3], lag_ms: u64) -> SpanCounts {
    SpanCounts { name: Arc::from(name), destination, counts, lag_ms }
}

fn sampled(number: u128, received: u64) -> Sampled {
    let components = vec![
        counts("audit", false, [received, received - received / 10, received / 10], 300),
        counts("siem", true, [received / 2, 0, 0], 2_000),
    ];
    Sampled { agent: agent(number), state: AgentState::Healthy, components, standing_by: Vec::new() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn minutes(from: &str, count: i64) -> impl Iterator<Item = Timestamp> {
    let from = at(from);
    (1..=count).map(move |minute| from + jiff::SignedDuration::from_mins(minute))
}

fn range(from: &str, to: &str, step: u64) -> Range {
    Range { from: at(from), to: at(to), step }
}

fn values(answer: &Answer, name: &str) -> Vec<Option<f64>> {
    let found = answer.iter().find(|series| series.name == name);
    found.map(|series| series.values.clone()).unwrap_or_else(|| panic!("no {name} in {answer:?}"))
}

#[test]
fn rates_are_read_back_over_hours_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    // Two hours in two runs of the controller; one agent comes later, in another order.
    for (from, count) in [("2026-11-25T17:30:00Z", 45), ("2026-11-25T18:15:00Z", 45)] {
        let history = History::open(folder.path(), u64::MAX).unwrap();
        for now in minutes(from, count) {
            let mut all = vec![sampled(1, 600)];
            if now > at("2026-11-25T18:00:00Z") {
                all.insert(0, sampled(2, 1_200));
            }
            history.record(now, 60, &all).unwrap();
        }
    }
    let history = History::open(folder.path(), u64::MAX).unwrap();
    let all = range("2026-11-25T17:00:00Z", "2026-11-25T19:30:00Z", 1_800);
    let ask = |number, metric| history.agent(agent(number), metric, all).unwrap();
    let received = ask(1, HistoryMetric::Received);
    assert_eq!(received[0].kind, ComponentKind::Source);
    assert_eq!(received.len(), 1, "a destination receives nothing");
    assert_eq!(values(&received, "audit"), [None, Some(10.0), Some(10.0), Some(10.0), None]);
    assert_eq!(values(&ask(1, HistoryMetric::Dropped), "audit")[1], Some(1.0));
    assert_eq!(values(&ask(1, HistoryMetric::Kept), "audit")[1], Some(9.0));
    assert_eq!(values(&ask(2, HistoryMetric::Delivered), "siem"), [None, None, Some(10.0), Some(10.0), None]);
    assert_eq!(values(&ask(2, HistoryMetric::LagMs), "siem")[2], Some(2_000.0));
    assert_eq!(ask(3, HistoryMetric::Received), []);
    let fleet = history.fleet(HistoryMetric::Received, all).unwrap();
    assert_eq!(values(&fleet, "fleet"), [None, Some(10.0), Some(30.0), Some(30.0), None]);
}

#[test]
fn a_torn_tail_is_cut_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let write = |from: &str, count| {
        let history = History::open(folder.path(), u64::MAX).unwrap();
        minutes(from, count).for_each(|now| history.record(now, 60, &[sampled(1, 600)]).unwrap());
    };
    write("2026-11-25T18:00:00Z", 10);
    let path = segment::path(folder.path(), hour_of(at("2026-11-25T18:30:00Z")).0);
    let whole = std::fs::read(&path).unwrap();
    let read = || {
        let history = History::open(folder.path(), u64::MAX).unwrap();
        let range = range("2026-11-25T18:00:00Z", "2026-11-25T18:20:00Z", 60);
        let answer = history.agent(agent(1), HistoryMetric::Received, range).unwrap();
        answer.first().map_or(0, |series| series.values.iter().flatten().count())
    };
    assert_eq!(read(), 10);
    // Cut at every length: what is whole is read, and what comes later is written behind it.
    for length in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let before = read();
        write("2026-11-25T18:10:00Z", 2);
        assert_eq!(read(), before + 2, "cut at {length}");
    }
    // A byte of the last moment is wrong.
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert_eq!(read(), 9);
    write("2026-11-25T18:10:00Z", 1);
    assert_eq!(read(), 10);
}

#[test]
fn age_and_size_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let sizes =
        || -> Vec<u32> { segment::list(folder.path()).unwrap().iter().map(|(hour, _)| *hour).collect() };
    let history = History::open(folder.path(), u64::MAX).unwrap();
    for hour in 0..40 {
        let now = at("2026-11-25T00:00:00Z") + jiff::SignedDuration::from_hours(hour);
        history.record(now, 60, &[sampled(1, 600)]).unwrap();
    }
    assert_eq!(sizes().len(), KEEP_HOURS as usize + 1);
    let small = History::open(folder.path(), 300).unwrap();
    let next = at("2026-11-26T17:00:00Z");
    small.record(next, 60, &[sampled(1, 600)]).unwrap();
    let total: u64 = segment::list(folder.path()).unwrap().iter().map(|(_, bytes)| bytes).sum();
    assert!(total < 500, "{total}");
    assert_eq!(sizes().last(), Some(&hour_of(next).0));
}

#[test]
fn a_day_of_ten_thousand_agents_fits() {
    // One hour of 1,000 busy agents with three sources and a destination each, scaled up.
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path(), u64::MAX).unwrap();
    let all: Vec<Sampled> = (0..1_000)
        .map(|number| {
            let mut sampled = sampled(number, 3_600);
            let audit = sampled.components[0].clone();
            for name in ["history", "messages"] {
                sampled.components.push(SpanCounts { name: Arc::from(name), ..audit.clone() });
            }
            sampled
        })
        .collect();
    minutes("2026-11-25T18:00:00Z", 59).for_each(|now| history.record(now, 60, &all).unwrap());
    let bytes: u64 = segment::list(folder.path()).unwrap().iter().map(|(_, bytes)| bytes).sum();
    let day_mb = bytes as f64 / 59.0 * 1_440.0 * 10.0 / 1e6;
    assert!(day_mb < 400.0, "{day_mb} MB a day");
    let first = history
        .agent(
            agent(777),
            HistoryMetric::Received,
            range("2026-11-25T18:00:00Z", "2026-11-25T19:00:00Z", 3_600),
        )
        .unwrap();
    assert_eq!(values(&first, "messages"), [Some(60.0)]);
}

#[test]
fn several_agents_are_read_in_one_pass_as_each_alone() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path(), u64::MAX).unwrap();
    for (minute, now) in minutes("2026-11-25T17:30:00Z", 60).enumerate() {
        // Agents come and go; one has two sources.
        let present =
            (0..70_u128).filter(|n| *n != 9 && (*n < 40 || minute > 20) && (*n != 3 || minute % 2 == 0));
        let mut all: Vec<Sampled> = present.map(|n| sampled(n, 60 * (n as u64 + 1))).collect();
        all[1].components.push(counts("qhst", false, [120, 120, 0], 0));
        history.record(now, 60, &all).unwrap();
    }
    let range = range("2026-11-25T17:30:00Z", "2026-11-25T18:30:00Z", 120);
    let asked = [69, 3, 0, 1, 9, 1_000, 41].map(agent);
    let read = history.received(&asked, range).unwrap();
    for (asked, read) in asked.iter().zip(&read) {
        let alone = history.agent(*asked, HistoryMetric::Received, range).unwrap();
        let sum = |step: usize| alone.iter().filter_map(|series| series.values[step]).reduce(|a, b| a + b);
        assert_eq!(read, &(0..30).map(sum).collect::<Vec<_>>(), "{asked}");
    }
    assert_eq!((read[2][0], read[3][0], read[0][0], read[0][29]), (Some(1.0), Some(4.0), None, Some(70.0)));
    assert!(read[4].iter().all(Option::is_none));
    assert_eq!(history.received(&[], range).unwrap(), Vec::<Received>::new());
}

#[test]
fn a_day_is_summed_up_and_not_read_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path(), u64::MAX).unwrap();
    for now in minutes("2026-11-24T17:00:00Z", 120).chain(minutes("2026-11-25T17:00:00Z", 30)) {
        history.record(now, 60, &[sampled(1, 600), sampled(2, 60)]).unwrap();
    }
    let now = at("2026-11-25T17:30:00Z");
    // 90 minutes of the day before are inside, and 30 of this.
    let day = history.day(now).unwrap();
    assert_eq!(day, Totals { received: 120 * 660, kept: 120 * 594, dropped: 120 * 66, delivered: 120 * 330 });
    history.record(now, 60, &[sampled(1, 1_000_000)]).unwrap();
    assert_eq!(history.day(now).unwrap(), day, "read a moment ago");
}
