//! The book: what is kept, said and granted.

use super::*;
use muster_proto::session::lease::{LeaseRole, SourceOrder};
use muster_shared::cursor::{CursorKey, LogCursor};

const SOURCE: &str = "audit_journal:QSYS/QAUDJRN";

fn at(sequence: u64) -> Cursor {
    Cursor::ControllerAudit(LogCursor { sequence, hash: "".into() })
}

fn lane(destination: &str, committed: Option<Cursor>) -> Arc<Lane> {
    Arc::new(Lane::new(CursorKey { source: SOURCE.into(), destination: destination.into() }, committed))
}

fn order(role: LeaseRole, epoch: u64, cursors: &[(&str, Cursor)]) -> LeaseOrder {
    let cursors = cursors.iter().map(|(to, cursor)| ((*to).to_owned(), serde_json::to_vec(cursor).unwrap()));
    let source = SourceOrder {
        source: SOURCE.to_owned(),
        role: role.into(),
        epoch,
        cursors: cursors.collect(),
        lost: false,
        holder: "B".to_owned(),
    };
    LeaseOrder { sources: vec![source], renew_ms: 3_000 }
}

fn sources() -> BTreeMap<String, String> {
    BTreeMap::from([(SOURCE.to_owned(), "audit".to_owned())])
}

fn here() -> Place {
    Place::Known("78A1B2C-3".to_owned())
}

/// An enrolled agent's book with one source, never collected before.
fn book(folder: &Path, committed: Option<Cursor>) -> Arc<LeaseBook> {
    let book = Arc::new(LeaseBook::load(folder));
    book.set_sources(&sources(), vec![lane("siem", committed)]);
    book
}

#[test]
fn who_is_alone_asks_nobody_and_who_collected_goes_on() {
    let stop = CancellationToken::new();
    let folder = tempfile::tempdir().unwrap();
    let alone = Arc::new(LeaseBook::alone());
    alone.set_sources(&sources(), vec![lane("siem", None)]);
    let fresh = book(folder.path(), None);
    let other = tempfile::tempdir().unwrap();
    let known = book(other.path(), Some(at(7)));
    for (name, book, collects) in [("alone", alone, true), ("fresh", fresh, false), ("known", known, true)] {
        assert_eq!(book.lease(SOURCE).grant(&stop).is_some(), collects, "{name}");
        assert_eq!(book.stands_by(), !collects, "{name}");
    }
}

#[tokio::test]
async fn a_turn_ends_with_the_lease_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let book = book(folder.path(), None);
    let (lease, stop) = (book.lease(SOURCE), CancellationToken::new());
    let mut moves = lease.moves();
    book.hear(&order(LeaseRole::Hold, 4, &[("siem", at(50))]));
    moves.next().await;
    let grant = lease.grant(&stop).unwrap();
    assert_eq!(grant.carried, BTreeMap::from([("siem".to_owned(), at(50))]));
    assert_eq!(book.epoch(SOURCE).load(Ordering::Relaxed), 4);
    // Until it is taken over, what was carried is what a next holder would get.
    let claim = book.claim(&here());
    assert_eq!(claim.sources[0].cursors["siem"], serde_json::to_vec(&at(50)).unwrap());
    assert!(claim.partition_known && claim.sources[0].collecting);
    lease.taken_over();
    assert!(lease.grant(&stop).unwrap().carried.is_empty());

    let grant = lease.grant(&stop).unwrap();
    book.hear(&order(LeaseRole::Release, 4, &[]));
    assert!(grant.turn.is_cancelled() && !stop.is_cancelled());
    assert_eq!(lease.role(), Role::Releasing);
    assert!(!book.claim(&here()).sources[0].released, "something is still under way");
    lease.give_back();
    let claim = book.claim(&here());
    assert!(claim.sources[0].released && !claim.sources[0].collecting);
    book.hear(&order(LeaseRole::StandBy, 5, &[]));
    assert_eq!(lease.role(), Role::StandingBy { holder: "B".to_owned() });
    assert!(book.stands_by());
    assert!(book.claim(&here()).sources[0].cursors.is_empty(), "only a holder tells where it stands");
}

#[test]
fn it_is_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let book = book(folder.path(), Some(at(7)));
        book.hear(&order(LeaseRole::StandBy, 5, &[]));
    }
    let book = book(folder.path(), Some(at(7)));
    assert_eq!(book.lease(SOURCE).role(), Role::StandingBy { holder: "B".to_owned() });
    book.hear(&order(LeaseRole::Hold, 6, &[("siem", at(9))]));
    drop(book);
    let again = LeaseBook::load(folder.path());
    let stop = CancellationToken::new();
    let grant = Arc::new(again).lease(SOURCE).grant(&stop).unwrap();
    assert_eq!(grant.carried, BTreeMap::from([("siem".to_owned(), at(9))]), "it was not taken over yet");
    // What cannot be read is asked for again.
    std::fs::write(folder.path().join(FILE), "{").unwrap();
    assert!(LeaseBook::load(folder.path()).lock().sources.is_empty());
}

#[test]
fn a_source_that_no_policy_has_is_given_back_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let book = book(folder.path(), Some(at(7)));
    book.hear(&order(LeaseRole::Hold, 2, &[]));
    book.hear(&order(LeaseRole::Release, 2, &[]));
    book.set_sources(&BTreeMap::new(), Vec::new());
    assert_eq!(book.lease(SOURCE).role(), Role::Asking, "should a policy have it again");
    assert!(book.claim(&here()).sources.is_empty());
    book.hear(&order(LeaseRole::StandBy, 3, &[]));
    book.set_sources(&sources(), vec![lane("siem", Some(at(7)))]);
    assert_eq!(book.lease(SOURCE).role(), Role::StandingBy { holder: "B".to_owned() });
}

#[test]
fn a_controller_without_leases_leaves_a_fresh_agent_alone_with_its_sources() {
    let folder = tempfile::tempdir().unwrap();
    let book = book(folder.path(), None);
    book.connected(true);
    assert_eq!(book.lease(SOURCE).role(), Role::Asking);
    book.connected(false);
    assert_eq!(book.lease(SOURCE).role(), Role::Sole);
}

#[test]
fn another_partition_is_another_matter() {
    let folder = tempfile::tempdir().unwrap();
    let book = book(folder.path(), Some(at(7)));
    book.passed(&here());
    book.hear(&order(LeaseRole::StandBy, 5, &[]));
    book.passed(&here());
    assert_eq!(book.lease(SOURCE).role(), Role::StandingBy { holder: "B".to_owned() });
    book.passed(&Place::Unknown);
    assert_eq!(book.lease(SOURCE).role(), Role::StandingBy { holder: "B".to_owned() }, "away, not elsewhere");
    drop(book);
    let book = LeaseBook::load(folder.path());
    book.passed(&Place::Known("78A1B2C-4".to_owned()));
    assert_eq!(book.lock().sources[SOURCE].standing.role, Role::Asking);
    assert_eq!(book.lock().sources[SOURCE].standing.epoch, 0);
}

#[test]
fn a_source_that_takes_away_what_it_reads_is_asked_for_after_a_restart() {
    const QUEUE: &str = "data_queue:PAYROLL/EVENTS";
    let folder = tempfile::tempdir().unwrap();
    let wanted =
        BTreeMap::from([(SOURCE.to_owned(), "audit".to_owned()), (QUEUE.to_owned(), "q".to_owned())]);
    let hold = |source: &str| SourceOrder {
        source: source.to_owned(),
        role: LeaseRole::Hold.into(),
        epoch: 4,
        ..SourceOrder::default()
    };
    let order = LeaseOrder { sources: vec![hold(SOURCE), hold(QUEUE)], renew_ms: 3_000 };
    {
        let book = LeaseBook::load(folder.path());
        book.set_sources(&wanted, Vec::new());
        book.hear(&order);
    }
    let book = Arc::new(LeaseBook::load(folder.path()));
    book.set_sources(&wanted, Vec::new());
    assert_eq!(book.lease(SOURCE).role(), Role::Holding, "what can be read twice goes on");
    assert_eq!(book.lease(QUEUE).role(), Role::Asking);
    assert!(book.waits());
    book.hear(&order);
    assert_eq!(book.lease(QUEUE).role(), Role::Holding);
}
