//! From the bytes of a Mapepire reply to LEEF on one core, with entries of 800 bytes.

use crate::entries;
use crate::path::Path;
use crate::rounds::measure;
use anyhow::{Context as _, ensure};
use muster_agent::host::Rows;
use muster_agent::host::mapepire::reply_rows;
use muster_agent::source::audit_journal::EntryBatch;
use muster_tests::results::result;
use std::hint::black_box;

/// Bytes of entry data fetched of each entry.
const BYTES: usize = 800;

/// Types of the mix whose data is at least that long.
const TYPES: [&str; 6] = ["AF", "ZR", "ZC", "CO", "DO", "CA"];

/// Measures the whole way from reply to message.
pub fn run() -> anyhow::Result<()> {
    let long = entries::replies(4, &TYPES, fixed_size)?;
    for row in entries::owned(&long)?.iter() {
        ensure!(row.bytes() == BYTES, "{} has {} bytes", row.type_name(), row.bytes());
    }
    let rate = rate_of(&long, "800-byte entries")?;
    result("ingest_leef_events_per_s", rate.round());
    rate_of(&entries::replies(4, &[], |sql| sql)?, "the mix as the agent fetches it")?;
    Ok(())
}

/// Makes the statement fetch a fixed number of bytes, blanks included, where the agent leaves the blank tail.
fn fixed_size(sql: String) -> String {
    let start = sql.find("hex(").unwrap_or_default();
    let end = sql.find(" as DATA,").unwrap_or(start);
    let data = format!("hex(cast(substr(D.ENTRY_DATA, 1, {BYTES}) as varchar({BYTES}) for bit data))");
    format!("{}{data}{}", &sql[..start], &sql[end..])
}

fn rate_of(replies: &[Rows], what: &str) -> anyhow::Result<f64> {
    let count: usize = replies.iter().map(Rows::len).sum();
    let mut path = Path::new()?;
    let mut out = Vec::with_capacity(16 << 20);
    let mut failed = false;
    let rate = measure(count, || {
        for reply in replies {
            out.clear();
            let batch = reply_rows(black_box(reply.text.clone()))
                .ok()
                .and_then(|rows| EntryBatch::from_rows(rows, 0));
            match batch {
                Some(batch) => {
                    batch.visit(&mut |entry| path.take(entry, &mut out));
                }
                None => failed = true,
            }
            black_box(&out);
        }
    });
    (!failed).then_some(()).context("a reply could not be read")?;
    let bytes: usize = replies.iter().map(|rows| rows.text.len()).sum();
    println!(
        "ingest, {what}: {:.0} events/s (median), best round {:.0}, {:.0} ns an entry, {} bytes of reply an entry",
        rate.median,
        rate.best,
        rate.nanoseconds(),
        bytes / count
    );
    Ok(rate.median)
}
