//! The hot path on one core: decode, evaluate the policy, write LEEF 2.0.

use crate::entries::{self, OwnedEntry};
use crate::rounds::measure;
use anyhow::Context as _;
use muster_ibmi::audit::{AuditDecoder, JournalEntry};
use muster_shared::event::Event;
use muster_shared::format::{FormatContext, Formatter};
use muster_shared::partition::Partition;
use muster_shared::policy::model::{FormatKind, FormatSpec};
use muster_shared::policy::{CompiledPolicy, EventSource, Verdict, parse_effective};
use muster_tests::results::result;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

/// Three rules that drop, two severities, one route: what a cautious site runs. It drops little, so that
/// nearly every entry goes the whole way.
const POLICY: &str = "
spec:
  sources: {audit: {kind: audit_journal}}
  destinations:
    siem: {transport: {kind: tcp, address: 'siem.example.com:514'}, format: {kind: leef2}}
    archive: {transport: {kind: tcp, address: 'archive.example.com:514'}}
  rules:
    - {name: web, match: {users: [QTMHHTTP, 'QTM*'], entry_types: [ZR, ZC]}, action: drop}
    - {name: batch, match: {users: ['BATCH*', OPER], entry_types: [CO]}, action: drop}
    - {name: temporary, match: {objects: ['QTEMP/*ALL', '*ALL/TMP*']}, action: drop}
  severities:
    - {match: {entry_types: [AF_B, AF_C]}, severity: 9}
    - {match: {objects: ['PAY*/*ALL']}, severity: 8}
  routes:
    all: {match: {min_severity: 1}, destinations: [siem]}
";

const SOURCE: EventSource<'static> = EventSource::new("audit", 3_600);

/// Everything an entry passes through, as the agent's pipeline holds it.
pub struct Path {
    decoder: AuditDecoder,
    policy: CompiledPolicy,
    formatter: Formatter,
    event: Event,
    /// Messages written since it was made.
    pub kept: u64,
}

impl Path {
    /// The path of one partition, as the simulator describes itself.
    pub fn new() -> anyhow::Result<Self> {
        let policy = CompiledPolicy::compile(&parse_effective(POLICY)?)?;
        let partition = Partition {
            system_name: "BENCH".to_owned(),
            serial_number: "78A1B2C".to_owned(),
            partition_id: 3,
            host_name: "bench.example.com".to_owned(),
            os_release: "V7R5M0".to_owned(),
            ccsid: 37,
            ..Partition::default()
        };
        let context = FormatContext { partition: Arc::new(partition), product_version: "0.1.0".to_owned() };
        let format = FormatSpec { kind: FormatKind::Leef2, ..FormatSpec::default() };
        let mut event = Event::new();
        event.id_prefix = Arc::from("78A1B2C-3/audit_journal:QSYS/QAUDJRN/QGPL/AUDRCV0001@1767222000000000/");
        Ok(Self {
            decoder: AuditDecoder::new(37),
            policy,
            formatter: Formatter::new(&format, &context).context("LEEF 2.0")?,
            event,
            kept: 0,
        })
    }

    /// Takes one entry to LEEF.
    #[inline]
    pub fn take(&mut self, entry: &JournalEntry<'_>, out: &mut Vec<u8>) {
        self.decoder.decode(entry, &mut self.event);
        if let Verdict::Keep { destinations, .. } = self.policy.evaluate(&mut self.event, SOURCE)
            && destinations != 0
        {
            self.formatter.write(&self.event, out);
            out.push(b'\n');
            self.kept += 1;
        }
    }
}

/// Measures the whole path and its parts.
pub fn run() -> anyhow::Result<()> {
    let entries = entries::owned(&entries::replies(1, &[], |sql| sql)?)?;
    describe(&entries);
    let mut path = Path::new()?;
    let mut out = Vec::with_capacity(16 << 20);
    let rate = measure(entries.len(), || {
        out.clear();
        for entry in &entries {
            path.take(black_box(&entry.entry()), &mut out);
        }
        black_box(&out);
    });
    path.kept = 0;
    out.clear();
    entries.iter().for_each(|entry| path.take(&entry.entry(), &mut out));
    println!(
        "pipeline: {:.0} ns an entry (median), best round {:.0} events/s; {} of {} entries kept, {} bytes of LEEF a message",
        rate.nanoseconds(),
        rate.best,
        path.kept,
        entries.len(),
        out.len() as u64 / path.kept.max(1)
    );
    parts(&entries, &mut path, &mut out);
    if let Some(line) = out.split(|byte| *byte == b'\n').nth(3) {
        println!("a message: {}", String::from_utf8_lossy(line));
    }
    result("pipeline_leef_events_per_s", rate.median.round());
    Ok(())
}

/// Where the time goes: decoding alone, and decoding with evaluation.
fn parts(entries: &[OwnedEntry], path: &mut Path, out: &mut Vec<u8>) {
    let decode = measure(entries.len(), || {
        for entry in entries {
            black_box(path.decoder.decode(black_box(&entry.entry()), &mut path.event));
        }
    });
    let evaluate = measure(entries.len(), || {
        for entry in entries {
            path.decoder.decode(black_box(&entry.entry()), &mut path.event);
            black_box(path.policy.evaluate(&mut path.event, SOURCE));
        }
    });
    let write = measure(entries.len(), || {
        out.clear();
        for entry in entries {
            path.decoder.decode(black_box(&entry.entry()), &mut path.event);
            path.formatter.write(black_box(&path.event), out);
        }
    });
    println!(
        "parts: decode {:.0} ns, evaluate {:.0} ns more, LEEF {:.0} ns more",
        decode.nanoseconds(),
        evaluate.nanoseconds() - decode.nanoseconds(),
        write.nanoseconds() - decode.nanoseconds()
    );
}

/// Prints what the mix is made of.
fn describe(entries: &[OwnedEntry]) {
    let mut types: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for entry in entries {
        let (count, bytes) = types.entry(entry.type_name()).or_default();
        *count += 1;
        *bytes += entry.bytes();
    }
    let parts: Vec<String> = types
        .iter()
        .map(|(name, (count, bytes))| format!("{name} {count} x {} bytes", bytes / count))
        .collect();
    let bytes: usize = entries.iter().map(OwnedEntry::bytes).sum();
    println!("mix: {} entries, {} bytes a entry; {}", entries.len(), bytes / entries.len(), parts.join(", "));
}
