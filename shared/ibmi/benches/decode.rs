//! Speed of decoding entry data into events, one entry an iteration.

use divan::Bencher;
use divan::counter::ItemsCount;
use muster_ibmi::audit::{AuditDecoder, JournalEntry};
use muster_ibmi::ebcdic::code_page;
use muster_shared::event::Event;
use std::hint::black_box;

fn main() {
    divan::main();
}

const NO_ENTRY: JournalEntry<'static> = JournalEntry {
    code: b'T',
    entry_type: *b"PY",
    sequence: 4711,
    time_us: 1_767_225_600_000_000,
    user: "BOB",
    job_name: "QPADEV0001",
    job_user: "BOB",
    job_number: "012345",
    program: "QCMD",
    program_library: "QSYS",
    remote_address: "192.0.2.10",
    remote_port: Some(50_123),
    object: "",
    data: &[],
    data_length: 0,
};

/// Entry type and data.
type Sample = ([u8; 2], Vec<u8>);

fn sample(entry_type: &[u8; 2], length: usize, texts: &[(usize, &str)]) -> Sample {
    let page = code_page(37).expect("page 37");
    let mut data = vec![0x40; length];
    for (offset, text) in texts {
        for (position, character) in text.chars().enumerate() {
            data[offset + position] = page.byte_of(character).expect("a character of page 37");
        }
    }
    (*entry_type, data)
}

fn numbers(mut sample: Sample, values: &[(usize, &[u8])]) -> Sample {
    for (offset, bytes) in values {
        sample.1[*offset..*offset + bytes.len()].copy_from_slice(bytes);
    }
    sample
}

/// An authority failure with 800 bytes, as it comes with an empty name block.
fn authority_failure() -> Sample {
    let texts = [
        (0, "AEMPLOYEES PAYROLL   *FILE"),
        (30, "QPADEV0001BOB       012345QCMD      QSYS      BOB       DSP01     0000123"),
    ];
    sample(b"AF", 800, &texts)
}

fn mix() -> Vec<Sample> {
    let read = |entry_type, data| numbers(sample(entry_type, 660, data), &[(29, &[0, 0x03, 0x0F])]);
    let object = [(0, "REMPLOYEES PAYROLL   *FILE"), (32, "MEMBER1")];
    vec![
        authority_failure(),
        sample(b"PW", 120, &[(0, "PALICE     DSP01")]),
        read(b"ZR", &object),
        read(b"ZR", &object),
        read(b"ZC", &[(0, "CEMPLOYEES PAYROLL   *FILE")]),
        sample(
            b"JS",
            780,
            &[(0, "SI QPADEV0001BOB       012345DSP01     BOB       QDFTJOBD  QGPL      QINTER    QSYS")],
        ),
        sample(b"JS", 780, &[(0, "EBJPAYJOB    ALICE     012346")]),
        sample(
            b"CD",
            100,
            &[(0, "CDSPOBJD   QSYS      *CMD    N"), (30, "DSPOBJD OBJ(PAYROLL/EMPLOYEES) OBJTYPE(*FILE)")],
        ),
        sample(b"CP", 340, &[(0, "ABOB       QSYS      *USRPRF CHGY"), (36, "Y"), (56, "GRPUSERS  BOB")]),
        sample(b"CO", 790, &[(0, "NEMPNEW    PAYROLL   *FILE   PF")]),
        sample(b"DO", 790, &[(0, "AEMPOLD    PAYROLL   *FILE   PF")]),
        sample(b"SV", 600, &[(0, "AQPWDMINLEN8"), (261, "6")]),
        sample(
            b"CA",
            830,
            &[(0, "AEMPLOYEES PAYROLL   *FILE   ALICE"), (49, "YYY"), (54, "YYYY"), (66, "GRT")],
        ),
    ]
}

fn run(bencher: Bencher<'_, '_>, samples: &[Sample]) {
    let mut decoder = AuditDecoder::new(37);
    let mut event = Event::new();
    bencher.counter(ItemsCount::new(samples.len())).bench_local(|| {
        for (entry_type, data) in samples {
            let entry = JournalEntry {
                entry_type: *entry_type,
                data: black_box(data),
                data_length: data.len() as u32,
                ..NO_ENTRY
            };
            black_box(decoder.decode(&entry, &mut event));
        }
    });
}

#[divan::bench(sample_size = 100)]
fn realistic_mix(bencher: Bencher<'_, '_>) {
    run(bencher, &mix());
}

#[divan::bench(sample_size = 100)]
fn authority_failure_800(bencher: Bencher<'_, '_>) {
    run(bencher, &[authority_failure()]);
}

#[divan::bench(sample_size = 100, args = ["PW", "ZR", "ZC", "JS", "CD", "CP", "CO", "DO", "SV", "CA"])]
fn one_type(bencher: Bencher<'_, '_>, entry_type: &str) {
    let sample = mix().into_iter().find(|(of, _)| of == entry_type.as_bytes());
    run(bencher, &[sample.expect("the mix has the type")]);
}

/// What an application writes: text, and text that is read further.
#[divan::bench(sample_size = 100, args = ["text", "cef"])]
fn user_written(bencher: Bencher<'_, '_>, kind: &str) {
    let text = match kind {
        "cef" => "CEF:0|Acme|Payroll|2.1|SAL-7|Salary changed|8|suser=ann duser=carol orderNo=12 msg=raise",
        _ => "PAYROLL RUN 4711 CLOSED BY BOB IN SUBSYSTEM QBATCH, 1,204 PAYSLIPS WRITTEN, 0 REJECTED",
    };
    let (_, data) = sample(b"PY", text.len(), &[(0, text)]);
    let data_length = data.len() as u32;
    let mut decoder = AuditDecoder::new(37);
    let mut event = Event::new();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let entry = JournalEntry { code: b'U', data: black_box(&data), data_length, ..NO_ENTRY };
        black_box(decoder.decode(&entry, &mut event));
    });
}

#[divan::bench(sample_size = 100)]
fn with_a_blank_path_block(bencher: Bencher<'_, '_>) {
    let (entry_type, mut data) = authority_failure();
    data.resize(5871, 0x40);
    run(bencher, &[(entry_type, data)]);
}
