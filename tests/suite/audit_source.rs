//! The audit journal source on a simulated partition: nothing is lost over receivers that roll over, get reset,
//! pruned or created anew, and every trouble is told in one clear message.

use ibmi_sim::{Fault, Generation, InjectSpec, Options, Scenario, SimHandle, Simulator};
use muster_agent::host::facts::{self, Facts};
use muster_agent::host::mapepire::{Mapepire, MapepireConfig, Password, Trust, fingerprint};
use muster_agent::host::{CertificateFault, Host, HostError, Param};
use muster_agent::source::audit_journal::{AuditJournal, Settings, query};
use muster_agent::source::{Gap, GapUnit, Read, Source, SourceError};
use muster_shared::cursor::Cursor;
use muster_shared::policy::model::AuditJournalSpec;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(10);

/// What identifies an entry: receiver, sequence, type, time, user, length of its data.
type Seen = (String, u64, String, i64, String, usize);

async fn partition(change: impl FnOnce(&mut Scenario)) -> SimHandle {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut scenario = Scenario::default();
    scenario.system.utc_offset_minutes = -300;
    scenario.journal.hole_every = 7;
    change(&mut scenario);
    Simulator::start(scenario, Options::default()).await.expect("the partition starts")
}

fn config(sim: &SimHandle) -> MapepireConfig {
    MapepireConfig {
        address: sim.addr.to_string(),
        user: "MUSTER".to_owned(),
        password: Password::new("muster1".to_owned()),
        trust: Trust::Authorities(sim.ca_pem.clone()),
    }
}

fn host(config: MapepireConfig) -> Box<dyn Host> {
    Box::new(Mapepire::new(config).expect("a good configuration"))
}

fn source(sim: &SimHandle, start: &str) -> AuditJournal {
    let spec = AuditJournalSpec { start: start.to_owned(), batch_rows: 300, ..AuditJournalSpec::default() };
    AuditJournal::new(&spec, host(config(sim)), 0).expect("good settings")
}

/// All entries that are still there, as they were put in.
fn put(sim: &SimHandle) -> Vec<Seen> {
    sim.entries(0..=u64::MAX)
        .into_iter()
        .map(|entry| {
            (entry.receiver, entry.sequence, entry.entry_type, entry.utc_us, entry.user, entry.data_length)
        })
        .collect()
}

#[derive(Debug, Default)]
struct Told {
    seen: Vec<Seen>,
    gaps: Vec<Gap>,
    bad: u64,
}

/// Reads until nothing is new.
async fn drain(source: &mut AuditJournal, cursor: &mut Cursor) -> Result<Told, SourceError> {
    let mut told = Told::default();
    loop {
        match source.read(cursor, None, true).await? {
            Read::Entries { entries, last, .. } => {
                let place = last.journal().expect("a journal");
                let receiver = place.receiver.name.to_string();
                let stats = entries.visit(&mut |entry| {
                    told.seen.push((
                        receiver.clone(),
                        entry.sequence,
                        String::from_utf8_lossy(&entry.entry_type).into_owned(),
                        entry.time_us,
                        entry.user.to_owned(),
                        entry.data_length as usize,
                    ));
                });
                told.bad += stats.bad_rows;
                *cursor = last;
            }
            Read::Gap { gap, next } => {
                told.gaps.push(gap);
                *cursor = next;
            }
            Read::Moved(next) => *cursor = next,
            Read::Records { .. } => panic!("a journal is read as entries"),
            Read::Idle => return Ok(told),
        }
    }
}

async fn start(source: &mut AuditJournal) -> Cursor {
    source.start(false).await.expect("a place to start from")
}

/// The setup advice that reading from `cursor` ends with.
async fn advice(source: &mut AuditJournal, cursor: &Cursor) -> String {
    match source.read(cursor, None, false).await {
        Err(SourceError::Setup(advice)) => advice,
        other => panic!("advice expected, not {other:?}"),
    }
}

#[tokio::test]
async fn every_entry_arrives_once_and_in_order_on_every_generation() {
    for (_, generation) in Generation::ALL {
        let sim = partition(|scenario| scenario.server.generation = generation).await;
        let mut source = source(&sim, "oldest");
        for _ in 0..3 {
            sim.append_mix(700);
            sim.roll_over();
        }
        sim.append_mix(50);
        let mut cursor = start(&mut source).await;
        let told = drain(&mut source, &mut cursor).await.expect("entries");
        // The journal's own entries at both ends of each receiver among them.
        assert_eq!((told.seen.len(), told.bad), (2_150 + 4 + 3, 0));
        assert_eq!(told.seen, put(&sim));
        assert_eq!(told.gaps, []);
        assert!(drain(&mut source, &mut cursor).await.expect("nothing new").seen.is_empty());
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_roll_over_is_followed_whether_the_agent_looks_or_not() {
    let sim = partition(|_| {}).await;
    let mut first = source(&sim, "now");
    sim.append_mix(10);
    let mut cursor = start(&mut first).await;
    assert!(drain(&mut first, &mut cursor).await.expect("idle").seen.is_empty());
    let before = put(&sim).len();
    // While it looks.
    sim.append_mix(5);
    sim.roll_over();
    sim.append_mix(5);
    let told = drain(&mut first, &mut cursor).await.expect("entries");
    assert_eq!(told.seen, put(&sim)[before..]);
    let before = put(&sim).len();
    drop(first);
    // While it is away, twice.
    for _ in 0..2 {
        sim.append_mix(5);
        sim.roll_over();
    }
    let mut second = source(&sim, "now");
    let told = drain(&mut second, &mut cursor).await.expect("entries");
    assert_eq!((told.gaps, told.seen), (vec![], put(&sim)[before..].to_vec()));
    sim.stop().await;
}

#[tokio::test]
async fn a_receiver_pruned_past_the_cursor_is_one_gap_with_the_exact_range() {
    let sim = partition(|_| {}).await;
    sim.append_mix(20);
    let mut first = source(&sim, "now");
    let mut cursor = start(&mut first).await;
    let place = cursor.journal().cloned().expect("a journal");
    drop(first);
    sim.append_mix(20);
    sim.roll_over();
    sim.append_mix(20);
    sim.roll_over();
    sim.append_mix(20);
    assert!(sim.prune_oldest().is_some() && sim.prune_oldest().is_some());
    let left = sim.status().receivers[0].clone();
    let mut second = source(&sim, "now");
    let told = drain(&mut second, &mut cursor).await.expect("entries");
    assert_eq!(told.seen, put(&sim));
    assert_eq!(
        told.gaps,
        [Gap {
            reason: format!(
                "receiver QGPL/{} was deleted before it was read to its end",
                place.receiver.name
            ),
            receiver: format!("QGPL/{}", place.receiver.name),
            from: place.sequence + 1,
            to: Some(left.first - 1),
            unit: GapUnit::Sequence,
        }]
    );
    sim.stop().await;
}

#[tokio::test]
async fn a_reset_of_the_sequence_loses_nothing() {
    let sim = partition(|_| {}).await;
    let mut source = source(&sim, "oldest");
    let mut cursor = start(&mut source).await;
    sim.append_mix(30);
    sim.reset_sequence();
    sim.append_mix(30);
    let told = drain(&mut source, &mut cursor).await.expect("entries");
    assert_eq!((told.gaps, told.seen), (vec![], put(&sim)));
    sim.stop().await;
}

#[tokio::test]
async fn a_journal_created_anew_is_a_gap_and_is_read_from_its_beginning() {
    for connected in [true, false] {
        let sim = partition(|_| {}).await;
        let mut source = source(&sim, "oldest");
        let mut cursor = start(&mut source).await;
        sim.append_mix(30);
        drain(&mut source, &mut cursor).await.expect("entries");
        sim.recreate_journal();
        // More than before: the place of reading exists in the new receiver too.
        sim.append_mix(100);
        if !connected {
            source = self::source(&sim, "oldest");
        }
        let told = drain(&mut source, &mut cursor).await.expect("entries");
        assert_eq!(told.seen, put(&sim), "connected: {connected}");
        assert_eq!(told.gaps.len(), 1, "connected: {connected}: {:?}", told.gaps);
        assert!(told.gaps[0].reason.contains("created anew"), "{:?}", told.gaps);
        assert_eq!(told.gaps[0].to, None);
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_receiver_deleted_while_it_is_read_is_a_gap_from_there_on() {
    let sim = partition(|_| {}).await;
    let mut source = source(&sim, "oldest");
    let mut cursor = start(&mut source).await;
    sim.append_mix(2_000);
    sim.roll_over();
    sim.append_mix(10);
    let Read::Entries { last, .. } = source.read(&cursor, None, false).await.expect("entries") else {
        panic!("entries expected");
    };
    cursor = last;
    let place = cursor.journal().cloned().expect("a journal");
    sim.prune_oldest().expect("a receiver to delete");
    let told = drain(&mut source, &mut cursor).await.expect("entries");
    assert_eq!(told.seen, put(&sim));
    let ranges: Vec<_> = told.gaps.iter().map(|gap| (gap.from, gap.to)).collect();
    assert_eq!(ranges, [(place.sequence + 1, Some(sim.status().receivers[0].first - 1))]);
    sim.stop().await;
}

#[tokio::test]
async fn the_first_read_starts_where_the_policy_says() {
    let sim = partition(|_| {}).await;
    sim.append_mix(10);
    sim.roll_over();
    // Entries that are put together lie some microseconds ahead of the clock: it passes them first, so that no entry of
    // the second receiver is as old as one of the first.
    let last = put(&sim).iter().map(|entry| entry.3).max().unwrap_or_default();
    while jiff::Timestamp::now().as_microsecond() <= last {
        std::hint::spin_loop();
    }
    sim.append_mix(10);
    // Neither of the two entries of the journal itself, which are of the same moment in both receivers.
    let middle = put(&sim)[14].3;
    let time = jiff::Timestamp::from_microsecond(middle).expect("a time").to_string();
    let since: Vec<Seen> = put(&sim).into_iter().filter(|entry| entry.3 >= middle).collect();
    for (begin, expected) in [("oldest", put(&sim)), ("now", vec![]), (time.as_str(), since)] {
        let mut source = source(&sim, begin);
        let mut cursor = start(&mut source).await;
        let told = drain(&mut source, &mut cursor).await.expect("entries");
        assert_eq!((told.gaps, told.seen), (vec![], expected), "{begin}");
    }
    // A place that was lost is not a first read.
    let mut source = source(&sim, "now");
    let mut cursor = source.start(true).await.expect("a place");
    assert_eq!(drain(&mut source, &mut cursor).await.expect("entries").seen, put(&sim));
    sim.stop().await;
}

#[tokio::test]
async fn a_read_stops_at_its_bound() {
    let sim = partition(|scenario| scenario.journal.hole_every = 0).await;
    let mut source = source(&sim, "oldest");
    sim.append_mix(20);
    let from = start(&mut source).await;
    let mut bound = from.journal().cloned().expect("a journal");
    bound.sequence = put(&sim)[9].1;
    let until = Cursor::Journal(bound);
    let Read::Entries { entries, last, .. } = source.read(&from, Some(&until), true).await.expect("entries")
    else {
        panic!("entries expected");
    };
    let mut sequences = Vec::new();
    entries.visit(&mut |entry| sequences.push(entry.sequence));
    assert_eq!(sequences, put(&sim)[..10].iter().map(|entry| entry.1).collect::<Vec<_>>());
    assert_eq!(last, until);
    assert!(matches!(source.read(&until, Some(&until), true).await, Ok(Read::Idle)));
    sim.stop().await;
}

#[tokio::test]
async fn only_the_entry_types_asked_for_are_fetched_and_the_receivers_end_is_still_seen() {
    let sim = partition(|_| {}).await;
    let spec = AuditJournalSpec {
        start: "oldest".to_owned(),
        entry_types: vec!["AF".to_owned(), "PW".to_owned()],
        ..AuditJournalSpec::default()
    };
    let mut source = AuditJournal::new(&spec, host(config(&sim)), 0).expect("good settings");
    let mut cursor = start(&mut source).await;
    sim.append_mix(200);
    sim.roll_over();
    sim.append_mix(200);
    let told = drain(&mut source, &mut cursor).await.expect("entries");
    let expected: Vec<Seen> =
        put(&sim).into_iter().filter(|entry| ["AF", "PW"].contains(&entry.2.as_str())).collect();
    assert_eq!((told.gaps, told.seen), (vec![], expected));
    sim.stop().await;
}

#[tokio::test]
async fn a_note_of_the_end_in_the_middle_of_a_receiver_misleads_nobody() {
    let sim = partition(|_| {}).await;
    let mut source = source(&sim, "oldest");
    let mut cursor = start(&mut source).await;
    let mut note = InjectSpec::new("NR", "QSYS");
    note.code = "J".to_owned();
    sim.append_mix(10);
    sim.inject(&note).expect("an entry");
    let mut told = drain(&mut source, &mut cursor).await.expect("entries");
    sim.inject(&note).expect("an entry");
    sim.append_mix(10);
    sim.roll_over();
    sim.append_mix(10);
    let more = drain(&mut source, &mut cursor).await.expect("entries");
    told.seen.extend(more.seen);
    assert_eq!((told.gaps, more.gaps, told.seen), (vec![], vec![], put(&sim)));
    sim.stop().await;
}

#[tokio::test]
async fn an_entry_longer_than_one_slice_arrives_whole() {
    let sim = partition(|_| {}).await;
    let mut source = source(&sim, "oldest");
    let cursor = start(&mut source).await;
    let data: String = (0..40_000).map(|i| char::from(b'A' + (i / 100 % 26) as u8)).collect();
    let mut spec = InjectSpec::new("01", "BOB").with("data", &data);
    spec.code = "U".to_owned();
    let sequence = sim.inject(&spec).expect("an entry");
    let Read::Entries { entries, .. } = source.read(&cursor, None, false).await.expect("entries") else {
        panic!("entries expected");
    };
    let mut seen = Vec::new();
    entries
        .visit(&mut |entry| seen.push((entry.sequence, entry.code, entry.data_length, entry.data.to_vec())));
    let (seen_sequence, code, length, bytes) = seen.pop().expect("the entry");
    assert_eq!((seen_sequence, code, length, bytes.len()), (sequence, b'U', 40_000, 40_000));
    let page = muster_ibmi::ebcdic::code_page(37).expect("page 37");
    let mut text = String::new();
    page.decode_into(&bytes, &mut text);
    assert_eq!(text, data);
    sim.stop().await;
}

#[tokio::test]
async fn damaged_entries_are_not_lost() {
    for fault in [Fault::TruncatedData { bytes: 3 }, Fault::AbsurdData] {
        let sim = partition(|_| {}).await;
        let mut source = source(&sim, "oldest");
        let mut cursor = start(&mut source).await;
        sim.set_fault(fault).expect("the fault");
        sim.append_mix(50);
        let told = drain(&mut source, &mut cursor).await.expect("entries");
        let places = |list: &[Seen]| list.iter().map(|entry| entry.1).collect::<Vec<_>>();
        assert_eq!(places(&told.seen), places(&put(&sim)), "{fault:?}");
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_says_that_it_counts() {
    let sim = partition(|_| {}).await;
    let config = MapepireConfig { password: Password::new("wrong".to_owned()), ..config(&sim) };
    let spec = AuditJournalSpec::default();
    let mut source = AuditJournal::new(&spec, host(config), 0).expect("good settings");
    let Err(SourceError::Host(error)) = source.start(false).await else { panic!("an error expected") };
    assert!(matches!(error, HostError::SignOn { .. }) && error.is_disconnected(), "{error}");
    for word in ["MUSTER", "counts against the profile", "STATUS(*ENABLED)"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(!error.to_string().contains("wrong,"), "the password is not told: {error}");
    assert_eq!(sim.profile("MUSTER"), (1, false));
    sim.stop().await;
}

#[tokio::test]
async fn a_foreign_certificate_is_refused_and_its_fingerprint_can_be_pinned() {
    let sim = partition(|_| {}).await;
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let with = |trust: Trust| MapepireConfig { trust, ..config(&sim) };
    let shown =
        CertificateDer::from_pem_slice(sim.ca_pem.as_bytes()).map(|der| fingerprint(&der)).expect("PEM");

    let mut foreign = host(with(Trust::Authorities(other.cert.pem())));
    let error = foreign.query("values 1", &[], 1, WAIT).await.expect_err("a foreign certificate");
    assert!(
        matches!(&error, HostError::Certificate { fault: CertificateFault::Foreign, fingerprint, .. } if *fingerprint == shown),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("pin_sha256 = \"{shown}\"")), "{error}");

    let mut pinned = host(with(Trust::pin(&shown).expect("64 digits")));
    let rows = pinned.query("select 1 as A from SYSIBM.SYSDUMMY1", &[], 5, WAIT).await.expect("a row");
    assert_eq!(rows.json(), b"[[1]]");

    // The server gets another certificate: the pin no longer fits.
    sim.set_fault(Fault::CertificateChanged).expect("the fault");
    let mut again = host(with(Trust::pin(&shown).expect("64 digits")));
    let error = again.query("values 1", &[], 1, WAIT).await.expect_err("not the pinned one");
    assert!(matches!(error, HostError::Certificate { fault: CertificateFault::PinMismatch, .. }), "{error}");
    sim.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_is_told_as_such() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate that fits its key");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls)).accept(stream).await.map(|_| ())
    });
    let mut host = host(MapepireConfig {
        address,
        user: "MUSTER".to_owned(),
        password: Password::new("muster1".to_owned()),
        trust: Trust::Authorities(certificate.pem()),
    });
    let error = host.query("values 1", &[], 1, WAIT).await.expect_err("an expired certificate");
    assert!(matches!(error, HostError::Certificate { fault: CertificateFault::Expired, .. }), "{error}");
    assert!(server.await.expect("the server ends").is_err(), "the handshake must not succeed");
}

#[tokio::test]
async fn an_unknown_host_and_a_closed_port_are_told_apart() {
    let sim = partition(|_| {}).await;
    let with = |address: String| MapepireConfig { address, ..config(&sim) };
    let mut unknown = host(with("no-such-partition.invalid:8076".to_owned()));
    let error = unknown.query("values 1", &[], 1, WAIT).await.expect_err("an unknown host");
    assert!(matches!(error, HostError::UnknownHost { .. }), "{error}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    let mut refused = host(with(closed.to_string()));
    let error = refused.query("values 1", &[], 1, WAIT).await.expect_err("a closed port");
    assert!(matches!(error, HostError::Refused { .. }), "{error}");
    sim.stop().await;
}

#[tokio::test]
async fn a_reply_that_is_no_json_or_endless_is_refused_and_reading_goes_on_later() {
    let sim = partition(|_| {}).await;
    let mut source = source(&sim, "oldest");
    let mut cursor = start(&mut source).await;
    sim.append_mix(100);
    for fault in [Fault::NotJson, Fault::EndlessReply] {
        sim.set_fault(fault).expect("the fault");
        let error = match drain(&mut source, &mut cursor).await {
            Err(SourceError::Host(error)) => error,
            other => panic!("an error expected, not {other:?}"),
        };
        match fault {
            Fault::NotJson => assert!(matches!(error, HostError::NotMapepire { .. }), "{error}"),
            _ => assert!(matches!(error, HostError::TooLarge { .. }), "{error}"),
        }
        assert!(error.is_disconnected());
        sim.set_fault(Fault::Clear).expect("no fault");
    }
    let told = drain(&mut source, &mut cursor).await.expect("entries");
    assert_eq!((told.gaps, told.seen), (vec![], put(&sim)));
    sim.stop().await;
}

#[tokio::test]
async fn a_hung_or_broken_connection_is_found_and_made_again() {
    let sim = partition(|_| {}).await;
    let mut host = host(config(&sim));
    let sql = "select count(*) as N from QSYS2.JOURNAL_INFO";
    host.query(sql, &[], 5, WAIT).await.expect("an answer");
    sim.set_fault(Fault::Hung).expect("the fault");
    let error = host.query(sql, &[], 5, Duration::from_millis(200)).await.expect_err("no answer");
    assert!(matches!(error, HostError::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("QSYS2.JOURNAL_INFO"), "{error}");
    sim.set_fault(Fault::Clear).expect("no fault");
    host.query(sql, &[], 5, WAIT).await.expect("an answer again");
    sim.set_fault(Fault::DropSocket).expect("the fault");
    let error = host.query(sql, &[], 5, WAIT).await.expect_err("a broken connection");
    assert!(matches!(error, HostError::Dropped { .. }), "{error}");
    host.query(sql, &[], 5, WAIT).await.expect("an answer again");
    sim.stop().await;
}

#[tokio::test]
async fn what_a_person_must_mend_comes_with_the_commands() {
    let cases: [(Fault, &[&str]); 3] = [
        (Fault::JournalMissing, &["CRTJRNRCV", "CRTJRN JRN(QSYS/QAUDJRN)", "QAUDCTL"]),
        (Fault::NoAuthority, &["QAUDJRN", "GRTOBJAUT OBJ(QSYS/QAUDJRN) OBJTYPE(*JRN) USER(MUSTER)", "*USE"]),
        (Fault::JournalDetached, &["CHGJRN JRN(QSYS/QAUDJRN) JRNRCV(*GEN)"]),
    ];
    for (fault, words) in cases {
        let sim = partition(|_| {}).await;
        sim.append_mix(10);
        let mut first = source(&sim, "oldest");
        let mut cursor = start(&mut first).await;
        drain(&mut first, &mut cursor).await.expect("entries");
        sim.set_fault(fault).expect("the fault");
        let mut second = source(&sim, "oldest");
        let advice = advice(&mut second, &cursor).await;
        for word in words {
            assert!(advice.contains(word), "{fault:?}: {advice}");
        }
        sim.set_fault(Fault::Clear).expect("no fault");
        assert!(drain(&mut second, &mut cursor).await.is_ok(), "{fault:?} is mended");
        sim.stop().await;
    }
}

#[tokio::test]
async fn the_facts_of_the_partition_are_read() {
    let sim = partition(|scenario| {
        scenario.system.host_name = "PROD01".into();
        scenario.system.partition_name = "PRODUCTION".into();
        scenario.system.partition_id = 3;
        scenario.system.ccsid = 273;
        scenario.system.release = "7.4".into();
    })
    .await;
    let mut host = host(config(&sim));
    let Facts { partition: facts, assumed } =
        facts::read(host.as_mut(), Some(500), None).await.expect("facts");
    assert_eq!(assumed, None);
    assert_eq!(facts.key(), "7800001-3");
    assert_eq!((facts.system_name.as_str(), facts.partition_name.as_str()), ("PROD01", "PRODUCTION"));
    assert_eq!((facts.os_release.as_str(), facts.ccsid, facts.utc_offset_seconds), ("V7R4M0", 273, -18_000));
    sim.stop().await;

    let sim = partition(|scenario| {
        scenario.system.ccsid = 65535;
        scenario.system.page = Some(500);
    })
    .await;
    let mut host = self::host(config(&sim));
    let Facts { partition: facts, assumed } =
        facts::read(host.as_mut(), Some(500), None).await.expect("facts");
    assert_eq!(assumed, None);
    assert_eq!(facts.ccsid, 500, "the configured one where the partition says 65535");
    sim.stop().await;
}

/// A destination that blocks leaves the reply of a prefetch unread for longer than the deadline of its request.
#[tokio::test]
async fn a_reply_that_was_left_unread_is_still_taken_and_each_reply_is_a_sign_of_life() {
    let sim = partition(|_| {}).await;
    sim.append_mix(5_000);
    let place = start(&mut source(&sim, "oldest")).await.journal().cloned().expect("a journal");
    let receiver = [place.receiver.library.to_string(), place.receiver.name.to_string()].map(Param::Text);
    let params = [&receiver[..], &[Param::Int(1)], &receiver[..]].concat();
    let settings = Settings::new(&AuditJournalSpec::default()).expect("the defaults");

    let answers = Rc::new(Cell::new(0));
    let counted = Rc::clone(&answers);
    let mut host = Mapepire::new(config(&sim))
        .expect("a good configuration")
        .on_answer(move || counted.set(counted.get() + 1));
    let statement = host.statement(query::entries(&settings, 5_000, false));
    let deadline = Duration::from_secs(1);
    host.begin(statement, &params, 5_000, deadline).await.expect("a request");
    assert_eq!(answers.get(), 3, "connect, getversion, prepare");
    tokio::time::sleep(deadline + Duration::from_millis(200)).await;
    let rows = host.finish().await.expect("the reply");
    assert_eq!((rows.len(), answers.get()), (5_000, 4));
    sim.stop().await;
}
