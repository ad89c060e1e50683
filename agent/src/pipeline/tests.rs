//! Throttles in the pipeline: per destination, over rewinds and new connections, and without a further event.

use super::*;
use crate::destination::DestinationConfig;
use crate::source::record::RecordFacts;
use muster_shared::cursor::{CursorKey, LogCursor};
use muster_shared::event::controller_action;
use muster_shared::format::FormatContext;
use muster_shared::policy::model::EffectivePolicy;
use muster_shared::policy::parse_effective;
use std::path::Path;

const SECOND: i64 = 1_000_000;

const RULES: &str = "rules: [{name: storm, action: throttle, limit: 1, seconds: 60}]";

fn policy(rules: &str) -> EffectivePolicy {
    let text = format!(
        "spec:
  sources: {{log: {{kind: controller_audit}}}}
  destinations:
    a: {{transport: {{kind: tcp, address: 'a:1'}}, format: {{kind: leef2}}}}
    b: {{transport: {{kind: tcp, address: 'b:1'}}, format: {{kind: leef2}}}}
  {rules}
"
    );
    parse_effective(&text).unwrap()
}

/// Entries of the controller's log: number, second and user of each.
#[derive(Debug)]
struct Log(Vec<(u64, i64, &'static str)>);

impl RecordBatch for Log {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn fill(&self, index: usize, event: &mut Event) -> RecordFacts {
        let (sequence, second, user) = self.0[index];
        event.kind = EventKind::Controller(controller_action("login"));
        event.name = "Login at the controller";
        event.time_us = second * SECOND;
        event.severity = Severity::clamped(3);
        event.id_prefix = Arc::from("P/log/");
        event.sequence = sequence;
        event.push(field::USER, user);
        RecordFacts { bytes: 1, sequence, cursor: Some(at(sequence)) }
    }
}

fn at(sequence: u64) -> Cursor {
    Cursor::ControllerAudit(LogCursor { sequence, hash: "".into() })
}

struct Site {
    counters: Arc<SourceCounters>,
    lanes: [Arc<Lane>; 2],
    compiled: Arc<CompiledPolicy>,
}

impl Site {
    fn new(rules: &str) -> Self {
        let lane = |name: &str| {
            let key = CursorKey { source: "controller_audit:log".into(), destination: name.into() };
            Arc::new(Lane::new(key, Some(at(0))))
        };
        let compiled = Arc::new(CompiledPolicy::compile(&policy(rules)).unwrap());
        let counters = Arc::<SourceCounters>::default();
        counters.set_rules(compiled.rule_names());
        Self { counters, lanes: ["a", "b"].map(lane), compiled }
    }

    /// A pipeline, as each connection gets a new one.
    fn connect(&self) -> Pipeline {
        let partition =
            Partition { serial_number: "78A1B2C".to_owned(), partition_id: 3, ..Partition::default() };
        let context = FormatContext { partition: Arc::new(partition), product_version: "0.1.0".to_owned() };
        let spec = policy("").spec;
        let outputs = spec.destinations.iter().map(|(name, spec)| {
            let config = DestinationConfig::build(name, spec, Path::new("/nonexistent")).unwrap();
            Output::new(&config, &context).unwrap()
        });
        let outputs = outputs.collect();
        let counters = Arc::clone(&self.counters);
        Pipeline::new(
            "log",
            "controller_audit:log",
            context.partition,
            Arc::clone(&self.compiled),
            outputs,
            counters,
        )
    }

    fn targets(&self, of: &[usize]) -> Vec<Target> {
        let target = |&index: &usize| Target {
            lane: Arc::clone(&self.lanes[index]),
            epoch: self.lanes[index].epoch(),
            destination: index,
        };
        of.iter().map(target).collect()
    }
}

/// What each delivery says: the user of an entry, the text of a summary.
fn said(deliveries: &[Delivery]) -> Vec<Vec<String>> {
    let message = |line: &str| {
        let value = |key: &str| Some(line.split(key).nth(1)?.split('^').next()?.to_owned());
        value("^msg=").or_else(|| value("^usrName=")).unwrap_or_else(|| panic!("{line}"))
    };
    let lines = |d: &Delivery| String::from_utf8(d.bytes.clone()).unwrap().lines().map(message).collect();
    deliveries.iter().map(lines).collect()
}

fn run(
    pipeline: &mut Pipeline,
    site: &Site,
    of: &[usize],
    log: &[(u64, i64, &'static str)],
) -> Vec<Vec<String>> {
    let last = at(log.last().map_or(0, |(sequence, ..)| *sequence));
    let deliveries = pipeline.process_records(&Log(log.to_vec()), &last, &site.targets(of));
    for delivery in &deliveries {
        assert_eq!(delivery.marks.last().map(|mark| &mark.cursor), Some(&last), "the last mark covers all");
        assert_eq!(delivery.marks.last().map(|mark| mark.offset), Some(delivery.bytes.len()));
    }
    said(&deliveries)
}

#[test]
fn the_first_passes_and_the_summary_follows_with_a_later_event() {
    let site = Site::new(RULES);
    let mut pipeline = site.connect();
    let both = |texts: &[&str]| vec![texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(); 2];
    let log = [(1, 10, "BOB"), (2, 11, "BOB"), (3, 12, "EVE"), (4, 13, "BOB")];
    assert_eq!(run(&mut pipeline, &site, &[0, 1], &log), both(&["BOB", "EVE"]));
    let later = run(&mut pipeline, &site, &[0, 1], &[(5, 70, "BOB")]);
    assert_eq!(later, both(&["BOB", "2 more CONTROLLER_LOGIN by BOB in 60 s"]));
    let seen = site.counters.snapshot();
    assert_eq!((seen.received, seen.kept, seen.dropped), (5, 3, 2));
    assert_eq!((seen.rules.kept["storm"], seen.rules.held_back["storm"]), (3, 2));
}

#[test]
fn the_summary_comes_out_of_a_quiet_source_too() {
    let site = Site::new(RULES);
    let mut pipeline = site.connect();
    run(&mut pipeline, &site, &[0], &[(1, 10, "BOB"), (2, 11, "BOB")]);
    let targets = site.targets(&[0]);
    let start = 1_000 * SECOND;
    for second in [0, 30, 59] {
        assert!(pipeline.idle(&at(2), &targets, start + second * SECOND).is_none(), "{second}");
    }
    let deliveries = pipeline.idle(&at(2), &targets, start + 60 * SECOND).unwrap();
    assert_eq!(said(&deliveries), [["1 more CONTROLLER_LOGIN by BOB in 60 s"]]);
    assert_eq!(deliveries[0].marks.last().map(|mark| &mark.cursor), Some(&at(2)));
    let text = String::from_utf8(deliveries[0].bytes.clone()).unwrap();
    assert!(text.contains("MUSTER_THROTTLED"), "{text}");
    assert!(
        text.contains("eventId=78A1B2C-3/controller_audit:log/throttle/storm/CONTROLLER_LOGIN,BOB/0"),
        "{text}"
    );
    assert!(pipeline.idle(&at(2), &targets, start + 500 * SECOND).is_none(), "told once");
}

#[test]
fn another_connection_goes_on_where_the_one_before_was() {
    let site = Site::new(RULES);
    run(&mut site.connect(), &site, &[0], &[(1, 10, "BOB"), (2, 11, "BOB")]);
    let later = run(&mut site.connect(), &site, &[0], &[(3, 12, "BOB"), (4, 70, "EVE")]);
    assert_eq!(later, [["EVE", "2 more CONTROLLER_LOGIN by BOB in 60 s"]]);
}

#[test]
fn a_lane_that_is_read_for_again_gets_the_first_ones_again() {
    let site = Site::new(RULES);
    let mut pipeline = site.connect();
    let log = [(1, 10, "BOB"), (2, 11, "BOB"), (3, 12, "BOB")];
    assert_eq!(run(&mut pipeline, &site, &[0, 1], &log), [["BOB"], ["BOB"]]);
    // What was written to `a` may be lost; `b` goes on.
    site.lanes[0].rewind();
    assert_eq!(run(&mut pipeline, &site, &[0], &log), [["BOB"]]);
    assert_eq!(run(&mut pipeline, &site, &[0, 1], &[(4, 13, "BOB")]), [[""; 0], [""; 0]]);
    let later = run(&mut pipeline, &site, &[0, 1], &[(5, 70, "EVE")]);
    let summary = |number| format!("{number} more CONTROLLER_LOGIN by BOB in 60 s");
    assert_eq!(later, [["EVE".to_owned(), summary(3)], ["EVE".to_owned(), summary(3)]]);
    let seen = site.counters.snapshot();
    assert_eq!(
        (seen.received, seen.rules.held_back["storm"]),
        (5, 3),
        "what is read again is not counted again"
    );
}

#[test]
fn each_destination_is_told_what_was_held_back_from_it() {
    let routes = format!(
        "{RULES}\n  routes: {{a: {{destinations: [a]}}, b: {{match: {{users: [EVE]}}, destinations: [b]}}}}"
    );
    let site = Site::new(&routes);
    let mut pipeline = site.connect();
    let log = [(1, 10, "BOB"), (2, 11, "BOB"), (3, 12, "EVE"), (4, 13, "EVE"), (5, 70, "X")];
    let summary = |user| format!("1 more CONTROLLER_LOGIN by {user} in 60 s");
    assert_eq!(
        run(&mut pipeline, &site, &[0, 1], &log),
        [
            vec!["BOB".to_owned(), "EVE".to_owned(), "X".to_owned(), summary("BOB"), summary("EVE")],
            vec!["EVE".to_owned(), summary("EVE")]
        ]
    );
}

#[test]
fn a_policy_without_the_throttle_ends_its_windows() {
    let mut site = Site::new(RULES);
    run(&mut site.connect(), &site, &[0], &[(1, 10, "BOB"), (2, 11, "BOB")]);
    site.compiled = Arc::new(CompiledPolicy::compile(&policy("")).unwrap());
    let later = run(&mut site.connect(), &site, &[0], &[(3, 12, "BOB")]);
    assert_eq!(later, [["BOB", "1 more CONTROLLER_LOGIN by BOB in 60 s"]]);
}

#[test]
fn conditions_on_time_ask_the_partitions_clock() {
    let rules = "rules: [{name: night, match: {when: [{from: '00:00', to: '06:00'}]}, action: drop}]";
    let site = Site::new(rules);
    let mut pipeline = site.connect();
    let ahead = Partition { utc_offset_seconds: 7_200, ..Partition::default() };
    assert_eq!(run(&mut pipeline, &site, &[0], &[(1, 5 * 3_600, "BOB")]), [[""; 0]]);
    pipeline.partition = Arc::new(ahead);
    assert_eq!(run(&mut pipeline, &site, &[0], &[(2, 5 * 3_600, "BOB")]), [["BOB"]]);
}
