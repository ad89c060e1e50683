//! Policies with many rules, and a rule with an expression, on the entries of the mix as they are decoded.

use crate::entries::{self, OwnedEntry};
use crate::rounds::measure;
use anyhow::ensure;
use muster_ibmi::audit::AuditDecoder;
use muster_shared::event::Event;
use muster_shared::policy::{CompiledPolicy, EventSource, Verdict, parse_effective};
use muster_tests::results::result;
use std::hint::black_box;

/// Types that the rules name: those of the mix, and as many others.
const TYPES: [&str; 22] = [
    "AF", "CA", "CD", "CO", "CP", "DO", "JS", "PW", "SV", "ZC", "ZR", "AD", "DS", "GR", "NA", "OM", "OR",
    "OW", "PA", "PG", "RA", "ST",
];

const RULES: usize = 200;

const HEAD: &str = "
spec:
  sources: {audit: {kind: audit_journal}}
  destinations: {siem: {transport: {kind: tcp, address: 'siem.example.com:514'}}}
  rules:
";

/// Measures what rules cost, the decoding taken off.
pub fn run() -> anyhow::Result<()> {
    let entries = entries::owned(&entries::replies(1, &[], |sql| sql)?)?;
    let events = decoded(&entries);
    // Each rule asks for its type, for the users of the mix and one more, and for an object that nobody touches: only
    // the last of its conditions says no.
    let users = "ALICE, BOB, CAROL, DAVE, QSECOFR, WEBAPP, BATCHUSR";
    let typed = rules(|n| {
        let entry_type = TYPES[n % TYPES.len()];
        format!("entry_types: [{entry_type}], users: [{users}, USER{n}], objects: ['*ALL/X{n}']")
    });
    let untyped =
        rules(|n| format!("users: [{users}, USER{n}], jobs: ['*ALL/*ALL/*ALL'], objects: ['*ALL/X{n}']"));
    let none = nanoseconds("", &events)?;
    let typed = nanoseconds(&typed, &events)?;
    let untyped = nanoseconds(&untyped, &events)?;
    let expression = "    - {name: e, match: {expression: 'event.user == \"NOBODY\" && event.severity > 3'}, action: drop}\n";
    let expression = nanoseconds(expression, &events)?;
    println!(
        "filter: no rule {none:.0} ns an event; {RULES} rules with types {typed:.0}, without {untyped:.0}; one rule with an expression {expression:.0}"
    );
    result("filter_200_rules_ns", typed.round());
    result("cel_rule_ns", (expression - none).round());
    Ok(())
}

fn rules(conditions: impl Fn(usize) -> String) -> String {
    (0..RULES)
        .map(|n| format!("    - {{name: r{n}, match: {{{}}}, action: drop}}\n", conditions(n)))
        .collect()
}

fn decoded(entries: &[OwnedEntry]) -> Vec<Event> {
    let mut decoder = AuditDecoder::new(37);
    let decode = |entry: &OwnedEntry| {
        let mut event = Event::new();
        decoder.decode(&entry.entry(), &mut event);
        event
    };
    entries.iter().map(decode).collect()
}

/// Nanoseconds an event, in the median round.
fn nanoseconds(rules: &str, events: &[Event]) -> anyhow::Result<f64> {
    let rules = if rules.is_empty() { "    []\n" } else { rules };
    let policy = CompiledPolicy::compile(&parse_effective(&format!("{HEAD}{rules}"))?)?;
    let source = EventSource::new("audit", 3_600);
    let mut events = events.to_vec();
    for event in &mut events {
        // Every rule is asked only where none decides.
        let verdict = policy.evaluate(event, source);
        ensure!(matches!(verdict, Verdict::Keep { rule: None, .. }), "a rule of the measurement matches");
    }
    let rate = measure(events.len(), || {
        for event in &mut events {
            black_box(policy.evaluate(black_box(event), source));
        }
    });
    Ok(rate.nanoseconds())
}
