//! Results in blocks: where they end, and that nothing is lost between two.

use super::{WAIT, config, firsts, host, partition, query, text};
use ibmi_sim::{Fault, Generation, SimHandle};
use muster_agent::host::{Host, HostError, Param, Rows};
use muster_agent::source::audit_journal::AuditJournal;
use muster_agent::source::{Read, Source};
use muster_shared::policy::model::AuditJournalSpec;
use std::collections::BTreeSet;

const DEPARTMENTS: &str = "select DEPTNO, ADMRDEPT from SAMPLE.DEPARTMENT order by 1";

/// All blocks of a result, with their sizes and whether each was the last.
async fn blocks(host: &mut dyn Host, sql: &str, block: u32) -> (Vec<Rows>, Vec<(usize, bool)>) {
    let mut all = vec![host.open(sql, &[], block, WAIT).await.expect("the first block")];
    while all.last().is_some_and(|rows| !rows.done) {
        all.push(host.more(block, WAIT).await.expect("a block"));
    }
    let sizes = all.iter().map(|rows| (rows.len(), rows.done)).collect();
    (all, sizes)
}

#[tokio::test]
async fn a_result_of_exactly_n_rows_ends_with_an_empty_block() {
    // rows of a block: blocks of 14 rows, and whether each is the last
    let cases: [(u32, &[(usize, bool)]); 5] = [
        (15, &[(14, true)]),
        (14, &[(14, false), (0, true)]),
        (13, &[(13, false), (1, true)]),
        (7, &[(7, false), (7, false), (0, true)]),
        (5, &[(5, false), (5, false), (4, true)]),
    ];
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        let mut host = host(&sim);
        for (block, expected) in cases {
            let (rows, sizes) = blocks(&mut host, DEPARTMENTS, block).await;
            assert_eq!(sizes, expected, "{generation:?}, blocks of {block}");
            let read: Vec<String> = rows.iter().flat_map(firsts).collect();
            assert_eq!((read.len(), read.first().map(String::as_str)), (14, Some("A00")));
            assert_eq!(read.iter().collect::<BTreeSet<_>>().len(), 14, "none twice");
            // Beyond the end there is nothing, and nobody is asked for it.
            sim.set_fault(Fault::Hung).expect("the fault");
            let beyond = host.more(block, WAIT).await.expect("no rows");
            assert_eq!((beyond.len(), beyond.done, beyond.json()), (0, true, &b""[..]));
            sim.set_fault(Fault::Clear).expect("no fault");
        }
        // A block of no rows says nothing about the end.
        let none = host.open(DEPARTMENTS, &[], 0, WAIT).await.expect("no rows");
        assert_eq!((none.len(), none.done), (0, false), "{generation:?}");
        assert_eq!(host.more(20, WAIT).await.expect("all").len(), 14);
        let empty = host.open("select 1 as A from SAMPLE.NOTES", &[], 5, WAIT).await.expect("no rows");
        assert_eq!((empty.len(), empty.done), (0, true));
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_result_that_was_left_open_is_closed_by_the_next_and_lost_with_its_connection() {
    let sim = partition(Generation::G1, |_| {}).await;
    let mut host = host(&sim);
    let params = [Param::Int(0)];
    let sql = "select EMPNO from SAMPLE.EMPLOYEE where BONUS > ?";
    // Far more results than a server lets be open at a time.
    for _ in 0..1_100 {
        assert_eq!(host.open(sql, &params, 2, WAIT).await.expect("a block").len(), 2);
    }
    assert_eq!(host.more(2, WAIT).await.expect("a block").len(), 2);
    // Other statements leave it alone.
    assert_eq!(query(&mut host, "select 1 as A from SYSIBM.SYSDUMMY1").await.expect("a row").len(), 1);
    assert_eq!(firsts(&host.more(1, WAIT).await.expect("a block")), ["000050"]);
    sim.set_fault(Fault::DropSocket).expect("the fault");
    let error = host.more(2, WAIT).await.expect_err("the connection broke");
    assert!(matches!(error, HostError::Dropped { .. }), "{error}");
    let error = host.more(2, WAIT).await.expect_err("the result went with it");
    assert!(error.to_string().contains("the result was lost"), "{error}");
    assert_eq!(host.open(sql, &params, 2, WAIT).await.expect("a block").len(), 2);
    sim.stop().await;
}

#[tokio::test]
async fn a_block_whose_bytes_are_gone_is_not_skipped() {
    let sim = partition(Generation::G2, |_| {}).await;
    let mut host = host(&sim);
    let insert = "insert into SAMPLE.NOTES values (1, '', X'01'), (2, '', X'02'), (3, '', X'03')";
    assert_eq!(host.call(insert, &[], WAIT).await.expect("written").updated, 3);
    let sql = "select DATA from SAMPLE.NOTES order by ID";
    assert_eq!(firsts(&host.open(sql, &[], 1, WAIT).await.expect("a block")), ["01"]);
    sim.set_fault(Fault::BlobsLost { count: 1 }).expect("the fault");
    let error = host.more(1, WAIT).await.expect_err("gone");
    assert!(error.is_expired(), "{error}");
    let error = host.more(1, WAIT).await.expect_err("the next one would skip it");
    assert!(error.to_string().contains("the result was lost"), "{error}");
    assert_eq!(firsts(&host.open(sql, &[], 9, WAIT).await.expect("all")), ["01", "02", "03"]);
    sim.stop().await;
}

/// Entries that one clock tick gave the same time.
fn at_one_time(sim: &SimHandle, count: usize) -> BTreeSet<u64> {
    sim.append_mix(3);
    sim.set_fault(Fault::ClockStopped).expect("the fault");
    sim.append_mix(count);
    sim.set_fault(Fault::Clear).expect("it goes on");
    sim.append_mix(3);
    let entries = sim.entries(0..=u64::MAX);
    let times: BTreeSet<i64> = entries.iter().map(|entry| entry.utc_us).collect();
    assert!(times.len() <= 8, "{} times of {} entries", times.len(), entries.len());
    entries.iter().map(|entry| entry.sequence).collect()
}

#[tokio::test]
async fn rows_of_one_timestamp_are_never_lost_between_blocks() {
    let sql = "select D.SEQUENCE_NUMBER, D.ENTRY_TIMESTAMP from table(QSYS2.DISPLAY_JOURNAL(JOURNAL_LIBRARY => 'QSYS', \
               JOURNAL_NAME => 'QAUDJRN')) as D";
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        let put = at_one_time(&sim, 1_000);
        let mut host = host(&sim);
        for (order, block) in [("", 250), ("", 1_007), (" order by 2", 37)] {
            let (rows, _) = blocks(&mut host, &format!("{sql}{order}"), block).await;
            let read: Vec<u64> =
                rows.iter().flat_map(firsts).map(|cell| cell.parse().expect("a number")).collect();
            assert_eq!(read.len(), put.len(), "{generation:?} {order} {block}");
            assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), put, "{generation:?} {order} {block}");
        }
        // The source goes by the sequence, in calls smaller than the heap.
        let spec = AuditJournalSpec { start: "oldest".into(), batch_rows: 16, ..AuditJournalSpec::default() };
        let mut source = AuditJournal::new(&spec, Box::new(super::host(&sim)), 0).expect("good settings");
        let mut cursor = source.start(false).await.expect("a place");
        let mut read = Vec::new();
        loop {
            match source.read(&cursor, None, true).await.expect("entries") {
                Read::Entries { entries, last, .. } => {
                    entries.visit(&mut |entry| read.push(entry.sequence));
                    cursor = last;
                }
                Read::Moved(next) => cursor = next,
                Read::Idle => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(read, put.into_iter().collect::<Vec<_>>(), "{generation:?}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_prepared_statement_is_used_again_whether_it_saw_the_end_or_not() {
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        let mut host = host(&sim);
        let whole = host.statement("select DEPTNO from SAMPLE.DEPARTMENT where DEPTNO >= ?".to_owned());
        for _ in 0..3 {
            // One row more than there are is asked for: the end is seen.
            let rows = host.execute(whole, &[text("A00")], 14, WAIT).await.expect("rows");
            assert_eq!((rows.len(), rows.done), (14, true), "{generation:?}");
            // The statement has more rows than it was said to: the handle is closed, then prepared anew.
            let rows = host.execute(whole, &[text("A00")], 5, WAIT).await.expect("rows");
            assert_eq!((rows.len(), rows.done), (6, false), "{generation:?}");
            let rows = host.execute(whole, &[text("J22")], 5, WAIT).await.expect("rows");
            assert_eq!(firsts(&rows), ["J22"]);
        }
        sim.stop().await;
    }
}

#[tokio::test]
async fn values_come_whole_from_every_generation() {
    let sql = "select cast('A ' as char(4)) as X, 'B ' as X, cast('123456789012345678901' as decimal(21, 0)) as D, \
               cast(null as char(1)) as N, '<a>=&''\"\\ ' as H, cast('2026-01-02-03.04.05.000006' as timestamp) as T, \
               1.50 as E from SYSIBM.SYSDUMMY1";
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        let mut host = host(&sim);
        let rows = query(&mut host, sql).await.expect("a row").texts();
        let cells: Vec<Option<&str>> = rows[0].iter().map(Option::as_deref).collect();
        let expected = [
            Some("A"),
            Some("B "),
            Some("123456789012345678901"),
            None,
            Some("<a>=&'\"\\ "),
            Some("2026-01-02 03:04:05.000006"),
            Some("1.50"),
        ];
        assert_eq!(cells, expected, "{generation:?}");
        // Many one-off statements on one connection leave nothing behind on the server.
        for _ in 0..1_100 {
            query(&mut host, "values (1)").await.expect("a row");
        }
        assert_eq!(sim.counts().sign_ons, 1);
        sim.stop().await;
    }
    let sim = partition(Generation::G1b, |_| {}).await;
    let statement = "call SAMPLE.MEASURE(?, ?, ?)";
    let params = [text("  a b "), Param::Null, text("12345678901234567890")];
    let mut host = muster_agent::host::mapepire::Mapepire::new(config(&sim)).expect("good");
    let called = host.call(statement, &params, WAIT).await.expect("called");
    let outputs: Vec<Option<&str>> = called.outputs.iter().map(Option::as_deref).collect();
    assert_eq!(outputs, [Some("a b"), Some("6"), Some("12345678901234567891")]);
    let called = host.call("call QSYS2.QCMDEXC('DSPLIBL')", &[], WAIT).await.expect("called");
    assert_eq!((called.updated, called.outputs), (0, vec![]));
    let error = host.call("call QSYS2.QCMDEXC('NOSUCH')", &[], WAIT).await.expect_err("no such command");
    assert_eq!(error.sql().map(|error| error.code), Some(-443), "{error}");
    sim.stop().await;
}
