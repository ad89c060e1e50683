//! The source on a partition that is a list of entries, for what a real journal shows rarely.

use super::*;
use crate::host::Param;
use muster_shared::cursor::ReceiverId;
use std::cell::RefCell;
use std::rc::Rc;

/// A partition with one receiver of interest, and what it was asked.
#[derive(Default)]
struct Journal {
    /// Sequence and type of the entries that are shown.
    shown: Vec<(u64, &'static str)>,
    /// Length of the data of every entry.
    length: u64,
    /// LAST_SEQUENCE_NUMBER of the receiver.
    last: u64,
    /// The next receiver exists and is attached.
    detached: bool,
    /// Entries are always shown from here on, whatever was asked for.
    stuck_at: Option<u64>,
    asked: Vec<String>,
    statements: Vec<String>,
}

struct Fake {
    journal: Rc<RefCell<Journal>>,
    begun: Option<Rows>,
}

fn rows(text: String) -> Rows {
    Rows::from_json(text.into_bytes()).expect("rows")
}

impl Journal {
    fn catalogue(&mut self, sql: &str) -> Rows {
        let attached = if self.detached { "R2" } else { "R1" };
        let (name, text) = if sql.contains("JOURNAL_RECEIVER_INFO") {
            let (last, after) = (self.last, self.last + 1);
            let (next, more) = if self.detached {
                let more =
                    format!(r#",["QGPL","R2","2026-03-02 00:00:00.000000",{after},{after},null,null]"#);
                (r#""QGPL","R2""#, more)
            } else {
                ("null,null", String::new())
            };
            ("receivers", format!(r#"[["QGPL","R1","2026-03-01 00:00:00.000000",1,{last},{next}]{more}]"#))
        } else if sql.contains("JOURNAL_INFO") {
            ("journal", format!(r#"[["QGPL","{attached}"]]"#))
        } else {
            ("other", r#"[["0"]]"#.to_owned())
        };
        self.asked.push(name.to_owned());
        rows(text)
    }

    fn entries(&mut self, statement: StatementId, params: &[Param], most: u32) -> Rows {
        let sql = &self.statements[statement.0 as usize];
        let Param::Text(start) = &params[2] else { panic!("a sequence") };
        self.asked.push(format!("entries from {start}"));
        if sql.contains("ENDING_SEQUENCE") {
            return rows(r#"[["C1"]]"#.to_owned());
        }
        let start: u64 = self.stuck_at.unwrap_or_else(|| start.parse().expect("a number"));
        let wanted = |entry: &&(u64, &str)| {
            entry.0 >= start && (!sql.contains("JOURNAL_ENTRY_TYPES") || sql.contains(entry.1))
        };
        let length = self.length;
        let row = |(sequence, kind): &(u64, &str)| {
            format!(
                r#"["T","{kind}","2026-03-01 12:00:00.000001","B","","","","","",null,null,null,"C1",{length},{sequence}]"#
            )
        };
        let text: Vec<String> = self.shown.iter().filter(wanted).take(most as usize).map(row).collect();
        rows(format!("[{}]", text.join(",")))
    }
}

impl Host for Fake {
    fn user(&self) -> &str {
        "MUSTER"
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        _: &'a [Param],
        _: u32,
        _: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
        let rows = self.journal.borrow_mut().catalogue(sql);
        async move { Ok(rows) }.boxed_local()
    }

    fn statement(&mut self, sql: String) -> StatementId {
        let statements = &mut self.journal.borrow_mut().statements;
        statements.push(sql);
        StatementId(statements.len() as u32 - 1)
    }

    fn execute<'a>(
        &'a mut self,
        statement: StatementId,
        params: &'a [Param],
        most: u32,
        _: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
        let rows = self.journal.borrow_mut().entries(statement, params, most);
        async move { Ok(rows) }.boxed_local()
    }

    fn begin<'a>(
        &'a mut self,
        statement: StatementId,
        params: &'a [Param],
        most: u32,
        _: Duration,
    ) -> LocalBoxFuture<'a, Result<(), HostError>> {
        self.begun = Some(self.journal.borrow_mut().entries(statement, params, most));
        async move { Ok(()) }.boxed_local()
    }

    fn finish(&mut self) -> LocalBoxFuture<'_, Result<Rows, HostError>> {
        let rows = self.begun.take().expect("a call that was begun");
        async move { Ok(rows) }.boxed_local()
    }
}

fn source(journal: Journal, types: &[&str]) -> (AuditJournal, Rc<RefCell<Journal>>) {
    let journal = Rc::new(RefCell::new(journal));
    let spec = AuditJournalSpec {
        entry_types: types.iter().map(ToString::to_string).collect(),
        batch_rows: 16,
        ..AuditJournalSpec::default()
    };
    let host = Box::new(Fake { journal: Rc::clone(&journal), begun: None });
    (AuditJournal::new(&spec, host, 0).expect("good settings"), journal)
}

/// A place in R1, which was attached at the beginning of March 2026.
fn at(sequence: u64) -> Cursor {
    let attached_us = muster_ibmi::timestamp::local_micros(b"2026-03-01 00:00:00.000000").expect("a time");
    let receiver = ReceiverId { library: "QGPL".into(), name: "R1".into(), attached_us };
    Cursor::Journal(JournalCursor { receiver, sequence })
}

async fn step(source: &mut AuditJournal, from: &Cursor, until: Option<&Cursor>) -> String {
    let place = |cursor: &Cursor| {
        let cursor = cursor.journal().expect("a place in a journal");
        format!("{}@{}", cursor.receiver.name, cursor.sequence)
    };
    match source.read(from, until, true).await {
        Ok(Read::Entries { entries, last, full }) => {
            format!("{} to {}{}", entries.rows(), place(&last), if full { ", more" } else { "" })
        }
        Ok(Read::Moved(next)) => format!("moved to {}", place(&next)),
        Ok(Read::Gap { gap, next }) => format!("gap from {} then {}", gap.from, place(&next)),
        Ok(Read::Records { .. }) => "records".to_owned(),
        Ok(Read::Idle) => "idle".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Lane A stands at 950; lane B at 1000, an entry that no reply shows.
#[tokio::test]
async fn a_lane_behind_one_at_an_entry_that_is_not_shown_gets_there_and_on() {
    for detached in [false, true] {
        let shown = vec![(900, "AF"), (950, "AF"), (1_003, "AF"), (1_004, "AF")];
        let (mut source, _) = source(Journal { shown, last: 1_004, detached, ..Journal::default() }, &[]);
        assert_eq!(
            step(&mut source, &at(950), Some(&at(1_000))).await,
            "moved to R1@1000",
            "detached: {detached}"
        );
        assert_eq!(step(&mut source, &at(1_000), None).await, "2 to R1@1004");
        let after = if detached { "moved to R2@1004" } else { "idle" };
        assert_eq!(step(&mut source, &at(1_004), None).await, after);
    }
}

#[tokio::test]
async fn a_full_reply_without_anything_new_is_no_end() {
    for detached in [false, true] {
        let shown = (1..=40).map(|sequence| (sequence, "AF")).collect();
        let journal = Journal { shown, last: 40, detached, stuck_at: Some(1), ..Journal::default() };
        let (mut source, _) = source(journal, &[]);
        assert_eq!(
            step(&mut source, &at(16), None).await,
            "the partition returned 16 entries of receiver QGPL/R1 from 16 on, and none of them lies beyond it"
        );
    }
}

#[tokio::test]
async fn reading_on_asks_for_entries_only() {
    let shown = (1..=200).map(|sequence| (sequence, "AF")).collect();
    let (mut source, journal) = source(Journal { shown, last: 1, ..Journal::default() }, &[]);
    let mut place = 0;
    for expected in [16, 31, 46, 61] {
        assert!(step(&mut source, &at(place), None).await.ends_with(&format!("R1@{expected}, more")));
        place = expected;
    }
    // The catalogue once, then each call is the one that was begun ahead.
    let asked = journal.borrow().asked.join(", ");
    assert_eq!(
        asked,
        "other, journal, receivers, entries from 1, entries from 16, entries from 31, entries from 46, \
         entries from 61"
    );
}

#[tokio::test]
async fn entries_of_other_types_are_passed_over_once() {
    let shown = (1..=5_000).map(|sequence| (sequence, if sequence == 10 { "AF" } else { "CP" })).collect();
    let (mut source, journal) = source(Journal { shown, last: 5_000, ..Journal::default() }, &["AF"]);
    assert_eq!(step(&mut source, &at(0), None).await, "1 to R1@10");
    assert_eq!(step(&mut source, &at(10), None).await, "moved to R1@5000");
    assert_eq!(step(&mut source, &at(5_000), None).await, "idle");
    // What comes after the catalogue was asked is beyond what a call is known to have seen.
    journal.borrow_mut().shown.push((5_001, "AF"));
    assert_eq!(step(&mut source, &at(5_000), None).await, "1 to R1@5001");
}
