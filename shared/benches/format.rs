//! Speed of each format on a realistic event of 12 fields, and of LEEF on a mix.

use divan::Bencher;
use muster_shared::event::{Event, EventKind, field};
use muster_shared::format::{FormatContext, Formatter};
use muster_shared::partition::Partition;
use muster_shared::policy::model::{FormatKind, FormatSpec, Header};
use muster_shared::severity::Severity;
use std::sync::Arc;

fn main() {
    divan::main();
}

/// Messages of one iteration, so that the cost of the loop vanishes.
const EVENTS: usize = 1_000;

fn event(number: usize) -> Event {
    let mut event = Event::new();
    event.kind = EventKind::Audit { code: b'T', entry_type: *b"AF", subtype: b'A' };
    event.time_us = 1_767_225_599_000_000 + number as i64 * 50;
    event.severity = Severity::clamped(7);
    event.name = "Authority failure";
    event.id_prefix = Arc::from("PROD01/QAUDJRN/QGPL.AUDRCV0001@1767222000000000/");
    event.sequence = 4_711_000 + number as u64;
    event.push(field::USER, "BOB");
    event.push(field::JOB_NAME, "QZDASOINIT");
    event.push(field::JOB_USER, "QUSER");
    event.push(field::JOB_NUMBER, "123456");
    event.push(field::PROGRAM_NAME, "QZDASOINIT");
    event.push(field::PROGRAM_LIBRARY, "QSYS");
    event.push(field::REMOTE_ADDRESS, "192.0.2.17");
    event.push_int(field::REMOTE_PORT, 51023);
    event.push(field::OBJECT_NAME, "EMP");
    event.push(field::OBJECT_LIBRARY, "PAYROLL");
    event.push(field::OBJECT_TYPE, "*FILE");
    event.push_with(field::REASON, Some("not authorized to object"), |text| text.push('A'));
    event
}

fn run(bencher: Bencher, spec: &FormatSpec) {
    let ctx = FormatContext {
        partition: Arc::new(Partition {
            system_name: "PROD01".to_owned(),
            serial_number: "78A1B2C".to_owned(),
            partition_id: 3,
            host_name: "prod01.example.com".to_owned(),
            os_release: "V7R5M0".to_owned(),
            ..Partition::default()
        }),
        product_version: "0.1.0".to_owned(),
    };
    // The pipeline reuses one event buffer, so the bench does not walk over cold memory either.
    let prefix: Arc<str> = Arc::from("PROD01/QAUDJRN/QGPL.AUDRCV0001@1767222000000000/");
    let mut events: Vec<Event> = (0..16).map(event).collect();
    for event in &mut events {
        event.id_prefix = Arc::clone(&prefix);
    }
    let mut formatter = Formatter::new(spec, &ctx).expect("the bench asks for possible formats only");
    let mut out = Vec::with_capacity(1 << 20);
    bencher.counter(divan::counter::ItemsCount::new(EVENTS)).bench_local(move || {
        out.clear();
        for number in 0..EVENTS {
            formatter.write(divan::black_box(&events[number % 16]), &mut out);
        }
        out.len()
    });
}

#[divan::bench]
fn leef2(bencher: Bencher) {
    run(bencher, &FormatSpec { kind: FormatKind::Leef2, ..FormatSpec::default() });
}

#[divan::bench]
fn leef1(bencher: Bencher) {
    run(bencher, &FormatSpec { kind: FormatKind::Leef1, ..FormatSpec::default() });
}

#[divan::bench]
fn cef(bencher: Bencher) {
    run(bencher, &FormatSpec { kind: FormatKind::Cef, ..FormatSpec::default() });
}

#[divan::bench]
fn rfc5424(bencher: Bencher) {
    run(bencher, &FormatSpec::default());
}

#[divan::bench]
fn rfc3164(bencher: Bencher) {
    run(bencher, &FormatSpec { header: Some(Header::Rfc3164), ..FormatSpec::default() });
}
