//! The task on a queue in memory, which loses connections and answers where a test wants it.

use super::entry::Entry;
use super::query::{Order, QueueName};
use super::standing::Standing;
use super::*;
use crate::health::HealthState;
use crate::host::facts::Facts;
use crate::host::{HostError, Param, Rows, SqlError, StatementId};
use crate::source::sign_on::SignOn;
use crate::source::{Read, Source};
use crate::spool::format::SpoolId;
use crate::spool::{Spool, SpoolEntry};
use futures_util::future::{LocalBoxFuture, ready};
use muster_shared::cursor::Cursor;
use muster_shared::event::{Event, field};
use muster_shared::partition::Partition;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::LocalSet;

const QUEUE: &str = "PAYROLL/EVENTS";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The connection breaks before anything is taken out.
    BreaksBefore,
    /// Entries are taken out, and nobody hears of it.
    BreaksAfter,
    /// Entries are taken out later, after so many other statements, and nobody hears of it.
    RunsLate(usize),
}

/// The queue.
struct Queue {
    order: Order,
    entries: RefCell<VecDeque<(String, String, u64)>>,
    clock: Cell<u64>,
    /// At the next statement that takes something out.
    trouble: Cell<Option<Trouble>>,
    /// A statement that nobody waits for any more, and before how many others it does not run.
    left_behind: RefCell<Option<(String, usize)>>,
    /// At the next such statement, so many are taken by somebody else first.
    stolen: Cell<usize>,
    exists: Cell<bool>,
    /// What DATA_QUEUE_INFO tells, and how many bytes of an entry there are slices for.
    max_length: Cell<u32>,
    /// Nothing is given to who takes.
    jammed: Cell<bool>,
    /// Cancelled at the next statement that takes something out, before it is answered.
    at_take: tokio_util::sync::CancellationToken,
    shuffled: Cell<bool>,
    looks: Cell<usize>,
    sorted_looks: Cell<usize>,
}

impl Queue {
    fn new(order: Order) -> Rc<Self> {
        Rc::new(Self {
            order,
            entries: RefCell::default(),
            clock: Cell::new(0),
            trouble: Cell::new(None),
            left_behind: RefCell::default(),
            stolen: Cell::new(0),
            exists: Cell::new(true),
            max_length: Cell::new(1_000),
            jammed: Cell::new(false),
            at_take: tokio_util::sync::CancellationToken::new(),
            shuffled: Cell::new(false),
            looks: Cell::new(0),
            sorted_looks: Cell::new(0),
        })
    }

    fn put(&self, data: &str, key: &str) {
        self.clock.set(self.clock.get() + 1);
        let mut entries = self.entries.borrow_mut();
        let at = match self.order {
            Order::Fifo => entries.len(),
            Order::Lifo => 0,
            Order::Keyed => entries.iter().take_while(|(_, other, _)| other.as_str() <= key).count(),
        };
        entries.insert(at, (data.to_owned(), key.to_owned(), self.clock.get()));
    }

    fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// `sql`: a short one for short entries asks for no more than one slice.
    fn row(&self, sql: &str, ordinal: u64, data: &str, key: &str, time: Option<u64>) -> String {
        let shown = &data
            [..data.len().min(sql.matches("as DIGITS_").count() / sql.matches("select ").count() * 16_336)];
        let hex = |text: &str| faster_hex::hex_string_upper(text.as_bytes());
        let time = time.map_or("null".to_owned(), |at| format!("\"2026-03-01 04:05:06.{at:06}\""));
        let key = if self.order == Order::Keyed { format!("\"{}\"", hex(key)) } else { "null".to_owned() };
        format!(r#"[{ordinal},{time},"1/BOB/X","BOB",{key},{},"{}"]"#, data.len(), hex(shown))
    }

    /// Runs what was left behind, if it is time.
    fn run_late(&self) {
        let due = {
            let mut left = self.left_behind.borrow_mut();
            match left.as_mut() {
                Some((_, before)) if *before > 0 => {
                    *before -= 1;
                    None
                }
                _ => left.take(),
            }
        };
        if let Some((sql, _)) = due {
            self.take_entries(&sql);
        }
    }

    fn answer(&self, sql: &str) -> Result<Rows, HostError> {
        self.run_late();
        let missing = SqlError {
            code: -443,
            state: "38501".to_owned(),
            message: "CPF9801: Object EVENTS in library PAYROLL not found.".to_owned(),
        };
        let rows = if sql.contains("DATA_QUEUE_INFO") {
            let sequence = match self.order {
                Order::Fifo => "FIFO",
                Order::Lifo => "LIFO",
                Order::Keyed => "KEYED",
            };
            let row = format!(r#"["STANDARD","{sequence}",{},"YES"]"#, self.max_length.get());
            if self.exists.get() { vec![row] } else { Vec::new() }
        } else if !self.exists.get() {
            return Err(HostError::Sql(missing));
        } else if sql.contains("DATA_QUEUE_ENTRIES") {
            self.look(sql)
        } else {
            self.take(sql)?
        };
        Ok(Rows::from_json(format!("[{}]", rows.join(",")).into_bytes()).unwrap())
    }

    fn look(&self, sql: &str) -> Vec<String> {
        self.looks.set(self.looks.get() + 1);
        let most = sql.split("fetch first ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        let entries = self.entries.borrow();
        let mut rows: Vec<String> = entries
            .iter()
            .zip(1..)
            .take(most.parse().unwrap())
            .map(|((data, key, at), ordinal)| self.row(sql, ordinal, data, key, Some(*at)))
            .collect();
        if sql.contains("order by") {
            self.sorted_looks.set(self.sorted_looks.get() + 1);
        } else if self.shuffled.get() {
            rows.reverse();
        }
        rows
    }

    fn take(&self, sql: &str) -> Result<Vec<String>, HostError> {
        let broken = || HostError::Dropped { address: "a:1".to_owned(), reason: "test".to_owned() };
        self.at_take.cancel();
        if self.jammed.get() {
            return Ok(Vec::new());
        }
        let trouble = self.trouble.take();
        match trouble {
            Some(Trouble::BreaksBefore) => return Err(broken()),
            Some(Trouble::RunsLate(before)) => {
                *self.left_behind.borrow_mut() = Some((sql.to_owned(), before));
                return Err(broken());
            }
            Some(Trouble::BreaksAfter) | None => {}
        }
        let stolen = self.stolen.take().min(self.len());
        self.entries.borrow_mut().drain(..stolen);
        let rows = self.take_entries(sql);
        if trouble == Some(Trouble::BreaksAfter) { Err(broken()) } else { Ok(rows) }
    }

    fn take_entries(&self, sql: &str) -> Vec<String> {
        let mut entries = self.entries.borrow_mut();
        let mut rows = Vec::new();
        for part in sql.split(" union all ") {
            let key = part.split("KEY_DATA => X'").nth(1).map(|rest| rest.split('\'').next().unwrap());
            let at = match key {
                None => (!entries.is_empty()).then_some(0),
                Some(key) => entries
                    .iter()
                    .position(|(_, other, _)| faster_hex::hex_string_upper(other.as_bytes()) == key),
            };
            if let Some((data, key, _)) = at.and_then(|at| entries.remove(at)) {
                rows.push(self.row(sql, 0, &data, &key, None));
            }
        }
        rows
    }
}

struct Connection {
    queue: Rc<Queue>,
    statements: Vec<String>,
}

impl Host for Connection {
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
        Box::pin(async move {
            // Others have their turn while a statement runs.
            tokio::task::yield_now().await;
            self.queue.answer(sql)
        })
    }

    fn statement(&mut self, sql: String) -> StatementId {
        self.statements.push(sql);
        StatementId(self.statements.len() as u32 - 1)
    }

    fn execute<'a>(
        &'a mut self,
        statement: StatementId,
        _: &'a [Param],
        _: u32,
        _: Duration,
    ) -> LocalBoxFuture<'a, Result<Rows, HostError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.queue.answer(&self.statements[statement.0 as usize])
        })
    }

    fn begin<'a>(
        &'a mut self,
        _: StatementId,
        _: &'a [Param],
        _: u32,
        _: Duration,
    ) -> LocalBoxFuture<'a, Result<(), HostError>> {
        unreachable!("nothing is asked ahead")
    }

    fn finish(&mut self) -> LocalBoxFuture<'_, Result<Rows, HostError>> {
        unreachable!("nothing is asked ahead")
    }
}

/// Shows the data of an entry as the message.
#[derive(Debug)]
struct Plain;

impl Decode for Plain {
    fn fill(&self, entry: &SpoolEntry, event: &mut Event) {
        let taken = Entry::decode(&entry.body).unwrap();
        event.push(field::MESSAGE, &String::from_utf8(taken.data).unwrap());
        event.time_us = taken.enqueued_us;
    }
}

/// An agent with one such source.
struct Rig {
    queue: Rc<Queue>,
    folder: tempfile::TempDir,
    delivered: Rc<Cell<u64>>,
    standing: Rc<Standing>,
    dials: Rc<Cell<usize>>,
    source: Option<Spooled>,
    seen: Vec<String>,
    cursor: Option<Cursor>,
}

fn facts() -> Facts {
    Facts { partition: Partition::default(), assumed: None }
}

impl Rig {
    fn new(order: Order) -> Self {
        Self {
            queue: Queue::new(order),
            folder: tempfile::tempdir().unwrap(),
            delivered: Rc::default(),
            standing: Rc::default(),
            dials: Rc::default(),
            source: None,
            seen: Vec::new(),
            cursor: None,
        }
    }

    /// Starts the source, as after a start of the agent.
    fn start(&mut self) {
        self.start_with(20, 1024 * 1024);
    }

    fn start_with(&mut self, batch_rows: u32, limit: u64) {
        let (spool, taken) = Spool::open(self.folder.path(), limit, SpoolId(7), |_| None).unwrap();
        let spool = Arc::new(spool);
        self.standing = Rc::default();
        let (queue, dials) = (Rc::clone(&self.queue), Rc::clone(&self.dials));
        let delivered = Rc::clone(&self.delivered);
        let drain = Drain {
            source: "events".to_owned(),
            queue: QueueName::parse(QUEUE).unwrap(),
            poll_interval: Duration::from_secs(1),
            batch_rows,
            spool: Arc::clone(&spool),
            unmarked: taken.unmarked,
            dial: Box::new(move || {
                dials.set(dials.get() + 1);
                let host: Box<dyn Host> =
                    Box::new(Connection { queue: Rc::clone(&queue), statements: Vec::new() });
                Box::pin(ready(Ok((host, facts()))))
            }),
            first: None,
            sign_on: SignOn(None),
            partition: Partition::default(),
            learn: Box::new(|_| {}),
            beside: None,
            delivered: Box::new(move || Some(delivered.get())),
            store: Box::new(|| Box::pin(ready(Ok(())))),
            standing: Rc::clone(&self.standing),
        };
        let standing = Rc::clone(&self.standing);
        let begin: Begin = Box::new(move || drain.start());
        let mut source =
            Spooled::new("data_queue:X".to_owned(), "P-1", 50, spool, Rc::new(Plain), standing, Some(begin));
        source.begin();
        self.source = Some(source);
    }

    async fn stop(&mut self) {
        if let Some(mut source) = self.source.take() {
            assert!(source.close(Duration::from_secs(4)).await);
        }
    }

    /// Waits until the trouble has come.
    async fn troubled(&self) {
        for _ in 0..100_000 {
            if self.queue.trouble.get().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("nothing was taken out");
    }

    /// Waits until the queue is empty and everything in it was read.
    async fn emptied(&mut self, count: usize) {
        for _ in 0..100_000 {
            self.read().await;
            if self.queue.len() == 0 && self.seen.len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} left, {:?} seen, {:?}", self.queue.len(), self.seen, self.standing.told(0));
    }

    /// Reads what lies in the spool.
    async fn read(&mut self) {
        let Some(source) = self.source.as_mut() else { return };
        let mut cursor = match self.cursor.clone() {
            Some(cursor) => cursor,
            None => source.start(false).await.unwrap(),
        };
        loop {
            match source.read(&cursor, None, false).await.unwrap() {
                Read::Records { records, last, .. } => {
                    for index in 0..records.count() {
                        let mut event = Event::new();
                        records.fill(index, &mut event);
                        self.seen.push(event.get(field::MESSAGE).unwrap().to_owned());
                    }
                    cursor = last;
                }
                Read::Idle => break,
                other => panic!("{other:?}"),
            }
        }
        self.delivered.set(cursor.spool().unwrap().sequence);
        self.cursor = Some(cursor);
    }

    async fn told(&self, part: &str) -> HealthState {
        for _ in 0..100_000 {
            if let Some(told) = self.standing.told(jiff::Timestamp::now().as_microsecond())
                && told.reason.contains(part)
            {
                return told.state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{part}: {:?}", self.standing.told(0));
    }
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("e{number:03}")).collect()
}

async fn on_one_thread(work: impl Future<Output = ()>) {
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_once_in_order_with_its_time_and_id() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        for name in names(0..73) {
            rig.queue.put(&name, "");
        }
        rig.start();
        rig.emptied(73).await;
        rig.queue.put("e073", "");
        rig.emptied(74).await;
        assert_eq!(rig.seen, names(0..74));
        assert_eq!(rig.standing.told(0), None);
        let first = Cursor::Spool(muster_shared::cursor::SpoolCursor {
            spool: "0000000000000007".into(),
            sequence: 0,
        });
        let source = rig.source.as_mut().unwrap();
        let Read::Records { records, last, full, .. } = source.read(&first, None, false).await.unwrap()
        else {
            panic!("records expected")
        };
        let mut event = Event::new();
        let facts = records.fill(1, &mut event);
        let mut id = Vec::new();
        event.write_id(&mut id);
        assert_eq!(String::from_utf8(id).unwrap(), "P-1/data_queue:X/0000000000000007/2");
        assert_eq!((facts.sequence, event.time_us), (2, 1_772_337_906_000_002));
        assert_eq!((last.spool().unwrap().sequence, full), (50, true));
        let until = Cursor::Spool(muster_shared::cursor::SpoolCursor {
            spool: "0000000000000007".into(),
            sequence: 3,
        });
        let Read::Records { records, .. } = source.read(&first, Some(&until), false).await.unwrap() else {
            panic!("records expected")
        };
        assert_eq!(records.count(), 3, "not beyond the lane ahead");
        rig.stop().await;
        assert!(!crate::spool::holds_entries(rig.folder.path()), "all is delivered");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_at_any_moment_costs_and_doubles_nothing() {
    for order in [Order::Fifo, Order::Lifo, Order::Keyed] {
        for trouble in [Trouble::BreaksBefore, Trouble::BreaksAfter] {
            on_one_thread(async {
                let mut rig = Rig::new(order);
                rig.start();
                for round in 0..4 {
                    for name in names(round * 30..round * 30 + 30) {
                        rig.queue.put(&name, &name[3..]);
                    }
                    rig.queue.trouble.set(Some(trouble));
                    rig.emptied((round + 1) * 30).await;
                }
                let mut seen = rig.seen.clone();
                seen.sort();
                assert_eq!(seen, names(0..120), "{order:?} {trouble:?}");
                assert!(rig.dials.get() > 1);
                rig.stop().await;
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_killed_at_any_moment_costs_and_doubles_nothing() {
    for order in [Order::Fifo, Order::Lifo, Order::Keyed] {
        for trouble in [Trouble::BreaksBefore, Trouble::BreaksAfter] {
            on_one_thread(async {
                let mut rig = Rig::new(order);
                for round in 0..4 {
                    for name in names(round * 30..round * 30 + 30) {
                        rig.queue.put(&name, &name[3..]);
                    }
                    rig.queue.trouble.set(Some(trouble));
                    rig.start();
                    // Kept, and perhaps taken out: and then it is gone, with all that it knew.
                    rig.troubled().await;
                    rig.stop().await;
                }
                rig.start();
                rig.emptied(120).await;
                let mut seen = rig.seen.clone();
                seen.sort();
                assert_eq!(seen, names(0..120), "{order:?} {trouble:?}");
                rig.stop().await;
            })
            .await;
        }
    }
}

/// The partition runs a statement when nobody waits for it any more: what it takes was written down, whenever it runs.
#[tokio::test(start_paused = true)]
async fn a_statement_that_runs_late_takes_nothing_that_is_not_kept() {
    let late = [0, 1, 2, 3, 4, 5, 6, 9].map(|before| (before, before % 2 == 0));
    for order in [Order::Fifo, Order::Keyed] {
        for ((before, few_keys), killed) in late.into_iter().flat_map(|late| [(late, true), (late, false)]) {
            on_one_thread(async {
                let mut rig = Rig::new(order);
                let key = |name: &str| if few_keys { name[3..].to_owned() } else { name[1..].to_owned() };
                let put =
                    |rig: &Rig, range| names(range).iter().for_each(|name| rig.queue.put(name, &key(name)));
                put(&rig, 0..30);
                rig.queue.trouble.set(Some(Trouble::RunsLate(before)));
                rig.start();
                rig.troubled().await;
                put(&rig, 30..90);
                if killed {
                    rig.stop().await;
                    rig.start();
                }
                rig.emptied(90).await;
                let mut seen = rig.seen.clone();
                seen.sort();
                assert!(rig.queue.left_behind.borrow().is_none(), "it ran");
                assert_eq!(seen, names(0..90), "{order:?}, after {before}, killed: {killed}");
                assert_eq!(rig.standing.told(0), None, "nobody else takes entries");
                rig.stop().await;
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_reader_makes_come_out_is_kept_and_told() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        for name in names(0..60) {
            rig.queue.put(&name, "");
        }
        rig.queue.stolen.set(5);
        rig.start();
        rig.emptied(60).await;
        let mut seen = rig.seen.clone();
        seen.sort();
        // The five that were stolen had been kept before.
        assert_eq!(seen, names(0..60));
        assert_eq!(rig.told("another program takes entries").await, HealthState::Degraded);
        rig.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_goes_and_comes_back_is_waited_for() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        rig.queue.exists.set(false);
        rig.start();
        assert_eq!(rig.told("CRTDTAQ DTAQ(PAYROLL/EVENTS)").await, HealthState::Failed);
        rig.queue.exists.set(true);
        rig.queue.put("e000", "");
        rig.emptied(1).await;
        rig.queue.exists.set(false);
        assert_eq!(rig.told("does not exist").await, HealthState::Failed);
        rig.queue.exists.set(true);
        rig.queue.put("e001", "");
        rig.emptied(2).await;
        assert_eq!((rig.standing.told(0), rig.dials.get()), (None, 1), "over one connection");
        rig.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_leaves_the_queue_alone_until_something_is_delivered() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        let big = "x".repeat(900);
        for number in 0..1_500 {
            rig.queue.put(&format!("{number:04}{big}"), "");
        }
        rig.start_with(100, 1024 * 1024);
        assert_eq!(rig.told("the spool is full (1 of 1 MiB)").await, HealthState::Degraded);
        let left = rig.queue.len();
        assert!((300..600).contains(&left), "{left}");
        let looks = rig.queue.looks.get();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(rig.queue.len(), left, "nothing is taken that cannot be kept");
        assert!(rig.queue.looks.get() - looks <= 13, "and it is not looked at all the time");
        // A second time.
        for _ in 0..2 {
            rig.read().await;
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        rig.emptied(1_500).await;
        let numbers: Vec<usize> = rig.seen.iter().map(|text| text[..4].parse().unwrap()).collect();
        assert_eq!(numbers, (0..1_500).collect::<Vec<_>>());
        rig.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn entries_that_come_in_no_order_are_sorted_by_the_partition() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        rig.queue.shuffled.set(true);
        for name in names(0..30) {
            rig.queue.put(&name, "");
        }
        rig.start();
        rig.emptied(30).await;
        assert_eq!(rig.seen, names(0..30));
        assert!(
            rig.queue.sorted_looks.get() > 0 && rig.queue.looks.get() - rig.queue.sorted_looks.get() == 1
        );
        rig.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_last_in_first_out_is_told_of() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Lifo);
        rig.queue.put("e000", "");
        rig.start();
        rig.emptied(1).await;
        assert_eq!(rig.told("create it anew with SEQ(*FIFO)").await, HealthState::Degraded);
        rig.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_is_gone_or_shorter_is_a_gap() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        rig.start();
        let source = rig.source.as_mut().unwrap();
        let place = |spool: &str, sequence| {
            Cursor::Spool(muster_shared::cursor::SpoolCursor { spool: spool.into(), sequence })
        };
        let Read::Gap { gap, next } = source.read(&place("00000000000000ff", 9), None, false).await.unwrap()
        else {
            panic!("a gap expected")
        };
        assert_eq!((gap.from, gap.to, &next), (10, None, &place("0000000000000007", 0)));
        assert!(
            gap.reason.contains("00000000000000ff") && gap.receiver == "spool of data_queue:X",
            "{gap:?}"
        );
        let Read::Gap { gap, next } = source.read(&place("0000000000000007", 9), None, false).await.unwrap()
        else {
            panic!("a gap expected")
        };
        assert_eq!((gap.from, gap.to, &next), (1, Some(9), &place("0000000000000007", 0)));
        let committed = [Some(place("0000000000000007", 0)), None];
        assert_eq!(source.undelivered(&committed), 0);
        rig.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_sources_do_not_share_a_spool() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        rig.start();
        let folder: &Path = rig.folder.path();
        let error = Spool::open(folder, 1024, SpoolId(8), |_| None).unwrap_err();
        assert!(error.to_string().contains("still in use"), "{error}");
        rig.stop().await;
        assert!(Spool::open(rig.folder.path(), 1024, SpoolId(8), |_| None).is_ok());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_created_anew_for_longer_entries_loses_nothing_of_them() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        rig.queue.put("short", "");
        rig.start();
        rig.emptied(1).await;
        // Deleted and created anew between two looks.
        let long = "x".repeat(40_000);
        rig.queue.max_length.set(64_000);
        rig.queue.put(&long, "");
        rig.emptied(2).await;
        assert_eq!(rig.seen[1].len(), long.len());
        assert_eq!(rig.standing.told(0), None);
        rig.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_gives_nothing_is_told() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        rig.queue.jammed.set(true);
        for name in names(0..3) {
            rig.queue.put(&name, "");
        }
        rig.start();
        assert_eq!(rig.told("can be looked at but not emptied").await, HealthState::Failed);
        rig.read().await;
        assert_eq!(rig.seen, names(0..3), "they are delivered, once");
        rig.queue.jammed.set(false);
        rig.emptied(3).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!((rig.standing.told(0), rig.seen.len()), (None, 3));
        rig.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_taken_out_before_the_task_stops() {
    for order in [Order::Fifo, Order::Lifo, Order::Keyed] {
        on_one_thread(async {
            let mut rig = Rig::new(order);
            for name in names(0..64) {
                rig.queue.put(&name, &name[3..]);
            }
            rig.start_with(64, 1024 * 1024);
            rig.queue.at_take.cancelled().await;
            assert!(rig.queue.len() > 0, "it has only begun");
            rig.stop().await;
            assert_eq!(rig.queue.len(), 0, "{order:?}");
            let (_, taken) = Spool::open(rig.folder.path(), 1024 * 1024, SpoolId(7), |_| None).unwrap();
            assert_eq!(taken.unmarked, [], "nothing may be in both places");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_fills_up_after_a_lost_connection_empties_again() {
    for order in [Order::Fifo, Order::Lifo, Order::Keyed] {
        on_one_thread(async {
            let mut rig = Rig::new(order);
            let big = "x".repeat(900);
            let text = |number: usize| format!("{number:04}{big}");
            // Kept, and the connection breaks before they are taken.
            for number in 0..20 {
                rig.queue.put(&text(number), "5");
            }
            rig.queue.trouble.set(Some(Trouble::BreaksBefore));
            rig.start_with(20, 1024 * 1024);
            while rig.queue.trouble.get().is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Before they can be seen again, more comes in front of them than fits.
            for number in 20..1_500 {
                rig.queue.put(&text(number), &(number % 5).to_string());
            }
            rig.told("the spool is full").await;
            rig.emptied(1_500).await;
            let mut numbers: Vec<usize> = rig.seen.iter().map(|text| text[..4].parse().unwrap()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..1_500).collect::<Vec<_>>(), "{order:?}");
            rig.stop().await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_delivered_while_another_agent_collects_stays_no_spool_to_look_after() {
    on_one_thread(async {
        let mut rig = Rig::new(Order::Fifo);
        rig.queue.put("e000", "");
        rig.queue.trouble.set(Some(Trouble::BreaksBefore));
        rig.start();
        while rig.queue.trouble.get().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rig.stop().await;
        assert!(crate::spool::holds_entries(rig.folder.path()));
        // It stands by: what is left is delivered by a source that empties nothing.
        let (spool, _) = Spool::open(rig.folder.path(), 1024 * 1024, SpoolId(7), |_| None).unwrap();
        let standing = Rc::clone(&rig.standing);
        let key = "data_queue:X".to_owned();
        let mut left = Spooled::new(key, "P-1", 50, Arc::new(spool), Rc::new(Plain), standing, None);
        left.settle(&[None]).await;
        left.settle(&[rig.cursor.clone(), None]).await;
        assert!(crate::spool::holds_entries(rig.folder.path()), "not delivered");
        rig.source = Some(left);
        rig.read().await;
        let committed = [rig.cursor.clone()];
        let mut left = rig.source.take().unwrap();
        assert_eq!((rig.seen.len(), left.undelivered(&committed)), (1, 0));
        left.settle(&committed).await;
        assert!(!crate::spool::holds_entries(rig.folder.path()));
    })
    .await;
}
