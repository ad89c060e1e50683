//! Speed of a compiled policy: no rules, a typical set, many rules with and without types, and an expression.

use divan::Bencher;
use muster_shared::event::{Event, EventKind, field};
use muster_shared::policy::{CompiledPolicy, EventSource, parse_effective};
use muster_shared::severity::Severity;
use std::time::Instant;

fn main() {
    divan::main();
    // As `muster-bench filter` prints them, there for events of the mix.
    println!("RESULT filter_200_rules_ns {:.0}", median_ns(&rules(200, TYPED)));
    println!("RESULT cel_rule_ns {:.0}", median_ns(&rules(1, EXPRESSION)) - median_ns(""));
}

/// Three conditions, of which only the last says no.
const TYPED: &str = "entry_types: [{type}], users: ['BOB*', USER{n}], objects: ['PAY*/X{n}']";

const EXPRESSION: &str = "expression: 'event.user == \"USER{n}\" && event.severity > 3'";

/// Events of one iteration, so that the cost of the loop vanishes.
const EVENTS: usize = 1_000;

const DESTINATIONS: &str = "  destinations: {siem: {transport: {kind: udp, address: 'siem:514'}}}\n";

const SOURCE: EventSource<'static> = EventSource::new("audit", 3_600);

fn policy(spec: &str) -> CompiledPolicy {
    let policy =
        parse_effective(&format!("spec:\n{DESTINATIONS}{spec}")).expect("the bench's policies are valid");
    CompiledPolicy::compile(&policy).expect("the bench's policies are valid")
}

fn events() -> Vec<Event> {
    (0..16)
        .map(|number| {
            let mut event = Event::new();
            let entry_type = [*b"AF", *b"CO", *b"JS", *b"PW"][number % 4];
            event.kind = EventKind::Audit { code: b'T', entry_type, subtype: b'A' };
            event.severity = Severity::clamped(5);
            event.push(field::USER, "BOB");
            event.push(field::JOB_NAME, "QZDASOINIT");
            event.push(field::OBJECT_NAME, "EMP");
            event.push(field::OBJECT_LIBRARY, "PAYROLL");
            event
        })
        .collect()
}

fn evaluate(policy: &CompiledPolicy, events: &mut [Event]) {
    for number in 0..EVENTS {
        divan::black_box(policy.evaluate(divan::black_box(&mut events[number % 16]), SOURCE));
    }
}

fn run(bencher: Bencher, spec: &str) {
    let (policy, mut events) = (policy(spec), events());
    bencher
        .counter(divan::counter::ItemsCount::new(EVENTS))
        .bench_local(move || evaluate(&policy, &mut events));
}

/// Nanoseconds an event, in the median of some rounds.
fn median_ns(spec: &str) -> f64 {
    let (policy, mut events) = (policy(spec), events());
    let mut rounds: Vec<f64> = (0..101)
        .map(|_| {
            let start = Instant::now();
            (0..20).for_each(|_| evaluate(&policy, &mut events));
            start.elapsed().as_nanos() as f64 / (20 * EVENTS) as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[50]
}

/// Rules of which none matches, each with this text as its conditions, in which `{n}` is its number.
fn rules(count: usize, conditions: &str) -> String {
    let rule = |n: usize| {
        let when = conditions.replace("{n}", &n.to_string()).replace("{type}", TYPES[n % TYPES.len()]);
        format!("    - {{name: r{n}, match: {{{when}}}, action: drop}}\n")
    };
    format!("  rules:\n{}", (0..count).map(rule).collect::<String>())
}

/// Types that rules name, those of the events among them.
const TYPES: [&str; 20] = [
    "AF", "CA", "CD", "CO", "CP", "DO", "DS", "JS", "NA", "OM", "OR", "OW", "PA", "PG", "PW", "RA", "ST",
    "SV", "ZC", "ZR",
];

#[divan::bench]
fn no_rules(bencher: Bencher) {
    run(bencher, "");
}

#[divan::bench]
fn drop_one_type(bencher: Bencher) {
    run(bencher, "  rules: [{name: quiet, match: {entry_types: [ZR]}, action: drop}]\n");
}

#[divan::bench]
fn typical(bencher: Bencher) {
    run(
        bencher,
        "  exclude: [{users: [QTMHHTTP, 'QTM*']}]
  rules:
    - {name: quiet, match: {entry_types: [ZR, ZC, JS]}, action: drop}
    - {name: batch, match: {users: ['BATCH*', OPER], entry_types: [CO]}, action: drop}
    - {name: temporary, match: {objects: ['QTEMP/*ALL', '*ALL/TMP*']}, action: drop}
  severities:
    - {match: {entry_types: [AF_B, AF_C]}, severity: 9}
    - {match: {objects: ['PAY*/*ALL']}, severity: 8}
",
    );
}

#[divan::bench]
fn two_hundred_rules(bencher: Bencher) {
    run(bencher, &rules(200, TYPED));
}

#[divan::bench]
fn two_hundred_rules_without_types(bencher: Bencher) {
    run(bencher, &rules(200, "users: ['BOB*', USER{n}], objects: ['PAY*/X{n}'], jobs: [J{n}]"));
}

#[divan::bench]
fn expression(bencher: Bencher) {
    run(bencher, &rules(1, EXPRESSION));
}

#[divan::bench]
fn regular_expression(bencher: Bencher) {
    run(bencher, &rules(1, "expression: 'event.object_name.matches(\"^X[0-9]{n}$\")'"));
}
