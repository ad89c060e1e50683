//! Several statements under way on one connection, and replies in another order.

use super::{WAIT, firsts, host, partition, query, text};
use ibmi_sim::{Fault, Generation};
use muster_agent::host::{Answer, Host, HostError, MOST_ASKED, Ticket};
use std::collections::BTreeMap;
use std::time::Duration;

const SQL: &str = "select DEPTNAME from SAMPLE.DEPARTMENT where DEPTNO = ?";

/// Department, and its name.
const DEPARTMENTS: [(&str, &str); 4] =
    [("B01", "PLANNING"), ("C01", "CUSTOMER CARE"), ("D11", "PRODUCTION"), ("E21", "SOFTWARE")];

fn error((ticket, result): Answer) -> (Ticket, HostError) {
    match result {
        Err(error) => (ticket, error),
        Ok(rows) => panic!("an error, not {:?}", rows.texts()),
    }
}

#[tokio::test]
async fn replies_in_any_order_find_their_statements() {
    for (_, generation) in Generation::ALL {
        let sim = partition(generation, |_| {}).await;
        let mut host = host(&sim);
        query(&mut host, "values (1)").await.expect("a row");
        assert!(host.answer().await.is_none(), "nothing is under way");
        for fault in [Fault::Clear, Fault::Reorder { ms: 100 }] {
            sim.set_fault(fault).expect("the fault");
            let mut asked = BTreeMap::new();
            for (number, name) in DEPARTMENTS {
                let ticket = host.ask(SQL, &[text(number)], 5, WAIT).await.expect("sent");
                asked.insert(ticket, name);
            }
            // Another statement does not wait for them, nor lose them.
            let row =
                query(&mut host, "select MUSTER from SAMPLE.DEPARTMENT").await.expect_err("no such column");
            assert!(row.sql().is_some_and(|error| error.not_found_column()), "{row}");
            while let Some((ticket, rows)) = host.answer().await {
                let name = asked.remove(&ticket).expect("a ticket that is open");
                assert_eq!(firsts(&rows.expect("a row")), [name], "{generation:?} {fault:?}");
            }
            assert!(asked.is_empty(), "{generation:?} {fault:?}");
            // With the other calls, too.
            let statement = host.statement(SQL.to_owned());
            for (number, name) in DEPARTMENTS {
                host.begin(statement, &[text(number)], 5, WAIT).await.expect("sent");
                assert_eq!(firsts(&host.finish().await.expect("a row")), [name], "{generation:?} {fault:?}");
            }
        }
        assert_eq!(sim.counts().sign_ons, 1);
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_reply_that_overtakes_another_is_taken_for_its_own_statement() {
    let sim = partition(Generation::G1b, |_| {}).await;
    let mut host = host(&sim);
    query(&mut host, "values (0)").await.expect("a row");
    sim.set_fault(Fault::Reorder { ms: 20_000 }).expect("the fault");
    for overtaken_by_a_query in [false, true] {
        let first = host.ask("values (1)", &[], 5, WAIT).await.expect("sent");
        let held = tokio::time::timeout(Duration::from_millis(200), host.answer()).await;
        assert!(held.is_err(), "the server holds it back: {held:?}");
        if overtaken_by_a_query {
            assert_eq!(firsts(&query(&mut host, "values (2)").await.expect("a row")), ["2"]);
        } else {
            let second = host.ask("values (2)", &[], 5, WAIT).await.expect("sent");
            let (ticket, rows) = host.answer().await.expect("an answer");
            assert_eq!((ticket, firsts(&rows.expect("a row"))), (second, vec!["2".to_owned()]));
        }
        let (ticket, rows) = host.answer().await.expect("an answer");
        assert_eq!((ticket, firsts(&rows.expect("a row"))), (first, vec!["1".to_owned()]));
    }
    sim.stop().await;
}

#[tokio::test]
async fn an_error_is_that_of_its_statement_and_an_answer_outlives_a_dropped_future() {
    let sim = partition(Generation::G2, |_| {}).await;
    let mut host = host(&sim);
    let wrong = host.ask("select 1 as A from NOLIB.NOTAB", &[], 5, WAIT).await.expect("sent");
    let (ticket, failed) = error(host.answer().await.expect("an answer"));
    assert_eq!(ticket, wrong);
    assert!(failed.sql().is_some_and(|error| error.not_found_object()), "{failed}");
    // Nobody waits while it comes, with bytes that have to be fetched.
    sim.set_fault(Fault::Slow { ms: 300 }).expect("the fault");
    let right = host.ask("values (x'C1C2')", &[], 5, WAIT).await.expect("sent");
    for _ in 0..3 {
        let early = tokio::time::timeout(Duration::from_millis(20), host.answer()).await;
        assert!(early.is_err(), "it takes longer: {early:?}");
    }
    let (ticket, rows) = host.answer().await.expect("an answer");
    assert_eq!((ticket, firsts(&rows.expect("a row"))), (right, vec!["C1C2".to_owned()]));
    assert!(host.answer().await.is_none());
    sim.stop().await;
}

#[tokio::test]
async fn what_is_under_way_is_bounded_and_told_when_the_connection_breaks() {
    let sim = partition(Generation::G1b, |_| {}).await;
    let mut host = host(&sim);
    query(&mut host, "values (1)").await.expect("a row");
    sim.set_fault(Fault::Hung).expect("the fault");
    let mut open = Vec::new();
    for _ in 0..MOST_ASKED {
        open.push(host.ask("values (1)", &[], 5, Duration::from_secs(30)).await.expect("sent"));
    }
    let full = host.ask("values (1)", &[], 5, WAIT).await.expect_err("no more than that");
    assert!(matches!(full, HostError::Config(_)) && !full.is_disconnected(), "{full}");
    sim.set_fault(Fault::DropSocket).expect("the fault");
    let mut told = Vec::new();
    while let Some(answer) = host.answer().await {
        let (ticket, failed) = error(answer);
        assert!(matches!(failed, HostError::Dropped { .. }), "{failed}");
        told.push(ticket);
    }
    told.sort();
    assert_eq!(told, open);
    sim.set_fault(Fault::Clear).expect("no fault");
    assert_eq!(firsts(&query(&mut host, "values (7)").await.expect("a row")), ["7"]);
    sim.stop().await;
}

#[tokio::test]
async fn one_that_is_late_takes_the_connection_with_it_and_the_others_are_told_why() {
    let sim = partition(Generation::G1b, |_| {}).await;
    let mut host = host(&sim);
    query(&mut host, "values (1)").await.expect("a row");
    sim.set_fault(Fault::Hung).expect("the fault");
    let patient = host.ask("values (1)", &[], 5, Duration::from_secs(30)).await.expect("sent");
    let hasty = host.ask("values (2)", &[], 5, Duration::from_millis(200)).await.expect("sent");
    let (ticket, failed) = error(host.answer().await.expect("an answer"));
    assert!(ticket == hasty && matches!(failed, HostError::Timeout { .. }), "{failed}");
    let (ticket, failed) = error(host.answer().await.expect("an answer"));
    assert!(ticket == patient && failed.to_string().contains("did not answer `values (2)`"), "{failed}");
    sim.stop().await;
}

/// The documented way for statements that wait on the partition.
#[tokio::test]
async fn a_second_connection_goes_on_while_the_first_waits() {
    let sim = partition(Generation::G1b, |_| {}).await;
    let mut waiting = host(&sim);
    let mut other = waiting.another().expect("a good configuration");
    query(&mut other, "values (1)").await.expect("a row");
    query(&mut waiting, "values (1)").await.expect("a row");
    let long = waiting.ask("values (2)", &[], 5, WAIT).await.expect("sent");
    for number in 0..5 {
        let sql = format!("values ({number})");
        assert_eq!(firsts(&query(&mut other, &sql).await.expect("a row")), [number.to_string()]);
    }
    let (ticket, rows) = waiting.answer().await.expect("an answer");
    assert_eq!((ticket, rows.expect("a row").len()), (long, 1));
    assert_eq!(sim.counts().sign_ons, 2);
    sim.stop().await;
}
