//! Bytes of a Mapepire reply → decoded rows, before anything is formatted: one core, 800-byte entries.
//!
//! `cargo bench -p muster-agent --bench ingest`

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use muster_agent::host::mapepire::reply_rows;
use muster_agent::source::audit_journal::EntryBatch;
use std::fmt::Write;

const ROWS: usize = 2_000;

/// A reply as a server writes it: 2,000 authority failures of 800 bytes.
fn reply() -> bytes::Bytes {
    let mut text = String::from(
        "{\"id\":\"7\",\"has_results\":true,\"update_count\":-1,\"metadata\":{\"column_count\":15,\
         \"job\":\"330921/QUSER/QZDASOINIT\",\"columns\":[]},\"data\":[",
    );
    // EBCDIC letters and digits with some binary between, as entry data looks.
    let data: String = (0..800_u32).map(|i| format!("{:02X}", 0xC1 + (i * 7 % 60))).collect();
    for row in 0..ROWS {
        let comma = if row == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}[\"T\",\"AF\",\"2026-03-01 12:{:02}:{:02}.{row:06}\",\"MUSTER\",\"QZDASOINIT\",\"QUSER\",\
             \"{row:06}\",\"QCMD\",\"QSYS\",\"10.1.2.3\",8471,\"\",\"{data}\",5804,{}]",
            row / 60 % 60,
            row % 60,
            1_000_000 + row
        );
    }
    text.push_str("],\"output_parms\":null,\"is_done\":true,\"success\":true,\"execution_time\":30}\n\n");
    text.into()
}

fn main() {
    divan::main();
}

/// Finding the rows in the reply.
#[divan::bench]
fn locate_rows(bencher: Bencher<'_, '_>) {
    let text = reply();
    bencher
        .counter(ItemsCount::new(ROWS))
        .counter(BytesCount::new(text.len()))
        .bench(|| reply_rows(black_box(text.clone())).map(|rows| rows.len()));
}

/// The whole way: reply to journal entries.
#[divan::bench]
fn reply_to_entries(bencher: Bencher<'_, '_>) {
    let text = reply();
    bencher.counter(ItemsCount::new(ROWS)).counter(BytesCount::new(text.len())).bench(|| {
        let rows = reply_rows(black_box(text.clone())).expect("a good reply");
        let batch = EntryBatch::from_rows(rows, 3600).expect("rows in order");
        let mut sum = 0_usize;
        batch.visit(&mut |entry| sum += entry.data.len() + entry.user.len() + entry.sequence as usize);
        black_box(sum)
    });
}
