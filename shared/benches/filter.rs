//! Speed of a compiled policy: no rules, a typical set, many rules with and without types, and an expression.

use divan::Bencher;
use muster_shared::event::{Event, EventKind, field};
use muster_shared::policy::{CompiledPolicy, EventSource, parse_effective};
use muster_shared::severity::Severity;

fn main() {
    divan::main();
}

/// Events of one iteration, so that the cost of the loop vanishes.
const EVENTS: usize = 1_000;

const DESTINATIONS: &str = "  destinations: {siem: {transport: {kind: udp, address: 'siem:514'}}}\n";

fn run(bencher: Bencher, spec: &str) {
    let policy =
        parse_effective(&format!("spec:\n{DESTINATIONS}{spec}")).expect("the bench's policies are valid");
    let policy = CompiledPolicy::compile(&policy).expect("the bench's policies are valid");
    let mut events: Vec<Event> = (0..16)
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
        .collect();
    let source = EventSource::new("audit", 3_600);
    bencher.counter(divan::counter::ItemsCount::new(EVENTS)).bench_local(move || {
        for number in 0..EVENTS {
            divan::black_box(policy.evaluate(divan::black_box(&mut events[number % 16]), source));
        }
    });
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
    run(bencher, &rules(200, "entry_types: [{type}], users: ['BOB*', USER{n}], objects: ['PAY*/X{n}']"));
}

#[divan::bench]
fn two_hundred_rules_without_types(bencher: Bencher) {
    run(bencher, &rules(200, "users: ['BOB*', USER{n}], objects: ['PAY*/X{n}'], jobs: [J{n}]"));
}

#[divan::bench]
fn expression(bencher: Bencher) {
    run(bencher, &rules(1, "expression: 'event.user == \"USER{n}\" && event.severity > 3'"));
}

#[divan::bench]
fn regular_expression(bencher: Bencher) {
    run(bencher, &rules(1, "expression: 'event.object_name.matches(\"^X[0-9]{n}$\")'"));
}
